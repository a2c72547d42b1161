"""Diagonals: the entries of a banded matrix without any index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .csr import same_pattern
from .single import fits_single

MOST_BANDS = 32


@dataclass(frozen=True, slots=True, eq=False)
class DIA:
    """A matrix by bands: bands[d, i] = A[i, i + offsets[d]], zero beyond the matrix; offsets rise.

    A Hermitian matrix keeps only the bands at offsets >= 0: a lower entry is read from the upper band, where another row has
    left it in the cache, so the traffic halves. Values stand in single precision where that is exact; dtype is that of the
    matrix it was made from, which `tocsr` gives back. `A @ x` with x (n,) or (n, k).
    """

    bands: np.ndarray
    offsets: tuple[int, ...]
    hermitian: bool
    original: Any

    @property
    def shape(self) -> tuple[int, int]:
        return self.original.shape

    @property
    def dtype(self) -> np.dtype:
        return self.original.dtype

    @property
    def nnz(self) -> int:
        return self.original.nnz

    @property
    def values(self) -> np.ndarray:
        """The stored entries of the matrix it was made from."""
        return self.original.data

    @property
    def bytes_per_row(self) -> float:
        """What one product moves of the matrix itself."""
        return self.bands.nbytes / max(self.shape[0], 1)

    @property
    def kind(self) -> tuple[str, ...]:
        """The types that kernels are compiled for."""
        return "dia", self.bands.dtype.name

    def band(self, offset: int) -> np.ndarray:
        """A[i, i + offset] for every i, at an offset that is kept."""
        return self.bands[self.offsets.index(offset)]

    def __matmul__(self, x: Any) -> Any:
        from ..kernels.dia import product

        return product(self, x)

    @property
    def H(self) -> Any:
        return self if self.hermitian else self.original.conj().T

    def diagonal(self) -> np.ndarray:
        return self.original.diagonal()

    def tocsr(self) -> Any:
        return self.original

    def __repr__(self) -> str:
        rows, columns = self.shape
        half = ", upper half of a Hermitian matrix" if self.hermitian else ""
        return (
            f"DIA {rows} x {columns}, {len(self.offsets)} bands{half}, {self.nnz} entries, {self.dtype} kept as "
            f"{self.bands.dtype}, {self.bytes_per_row:.0f} bytes per row"
        )


def by_bands(A: Any, like: Any = None) -> DIA | None:
    """A canonical CSR view as bands, those of a Hermitian matrix halved; None where CSR would be smaller.

    A matrix of the same pattern (`like`), else a few rows tell what to try; the passes over all entries tell what holds.
    """
    matrix, n = A.tocsr(), A.shape[0]
    if A.shape[0] != A.shape[1] or n == 0 or A.nnz == 0:
        return None
    alike = isinstance(like, DIA) and like.dtype == matrix.dtype and same_pattern(matrix, like.original)
    if alike and (found := by_the_same_bands(A, like)) is not None:
        return found
    offsets, values = sample(matrix)
    halves = (True, False) if mirrored_at_first(matrix) else (False,)
    kept = np.dtype(np.float32) if values.dtype == np.float64 and fits_single(values) else values.dtype
    for half in halves:
        chosen = offsets[offsets >= 0] if half else offsets
        while len(chosen) * kept.itemsize * n < A.nnz * (kept.itemsize + 4) and len(chosen) <= MOST_BANDS:
            bands, above, missed, rounded = filled(A, chosen, kept)
            if rounded and kept != values.dtype:  # NaN counts as rounded in any type
                kept = values.dtype
            elif len(missed):
                chosen = np.union1d(chosen, missed)
            elif not half:
                return DIA(bands, tuple(map(int, chosen)), False, matrix)
            elif mirrored(A, chosen, bands) == above:
                return DIA(bands, tuple(map(int, chosen)), True, matrix)
            else:
                break
        else:
            return None  # the bands above the diagonal alone are too many
    return None


def by_the_same_bands(A: Any, like: DIA) -> DIA | None:
    """A in the bands and the precision of another matrix; None if that loses an entry."""
    offsets = np.array(like.offsets)
    bands, above, missed, rounded = filled(A, offsets, like.bands.dtype)
    if rounded or len(missed) or (like.hermitian and mirrored(A, offsets, bands) != above):
        return None
    return DIA(bands, like.offsets, like.hermitian, A.tocsr())


def filled(A: Any, offsets: np.ndarray, kept: np.dtype) -> tuple[np.ndarray, int, np.ndarray, bool]:
    """Bands in the precision `kept`; entries above the diagonal; offsets left out; whether an entry was rounded."""
    from ..kernels.dia import ABOVE, MISSING, ROUNDED, WITHOUT, fill

    bands = np.empty((len(offsets), A.shape[0]), kept)
    seen = fill(A.shape[0], A.indptr, A.indices, A.tocsr().data, offsets, bands)
    missed = seen[seen[:, MISSING] > 0, WITHOUT]
    return bands, int(seen[:, ABOVE].sum()), missed, bool(seen[:, ROUNDED].any())


def mirrored(A: Any, offsets: np.ndarray, bands: np.ndarray) -> int:
    """How many entries below the diagonal mirror the bands; -1 if one does not, or the diagonal is not real."""
    from ..kernels.dia import mirrored as count

    if bands.dtype.kind == "c" and bands[0].imag.any():
        return -1
    return int(count(A.shape[0], A.indptr, A.indices, A.tocsr().data, offsets, bands))


def mirrored_at_first(matrix: Any, count: int = 64) -> bool:
    """Whether the leading block is Hermitian: if not, A is not, and the passes that would tell are spared."""
    m = min(count, matrix.shape[0])
    end = matrix.indptr[m]
    rows, columns = np.repeat(np.arange(m), np.diff(matrix.indptr[: m + 1])), matrix.indices[:end]
    inside, block = columns < m, np.zeros((m, m), matrix.dtype)
    block[rows[inside], columns[inside]] = matrix.data[:end][inside]
    return bool((block == block.conj().T).all())


def sample(matrix: Any, count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """The offsets, rising and with 0, and the values of the entries of the first rows, the last and some between."""
    n = matrix.shape[0]
    spread = np.linspace(0, n - 1, count).astype(int)
    rows = np.unique(np.concatenate([np.arange(min(n, count)), spread, np.arange(max(0, n - count), n)]))
    starts, counts = matrix.indptr[rows].astype(np.int64), np.diff(matrix.indptr)[rows]
    places = np.arange(counts.sum()) + np.repeat(starts - np.cumsum(counts) + counts, counts)
    found = matrix.indices[places].astype(np.int64) - np.repeat(rows, counts)
    return np.unique(np.append(found, 0)), matrix.data[places]
