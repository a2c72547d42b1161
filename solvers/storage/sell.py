"""Sorted slices (SELL-C-sigma): rows of like length side by side, columns relative to their slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .csr import CSR
from .single import fits_single

GAIN = 0.9  # bytes / those of CSR at which slices repay their making: in a hundred products (measured)


@dataclass(frozen=True, slots=True, eq=False)
class SELL:
    """A matrix by slices of 8 rows, the rows of every 64 sorted by length: entry k of lane l of slice s stands at
    starts[s] + 8 k + l, in column bases[s] + columns[...]; lane j is row 64 (j // 64) + places[j].

    Shorter rows are filled up with zeros, which read what the last entry of their row reads. Columns take 16 bits where every
    slice spans fewer than 2^16 columns, entries single precision where that is exact; dtype is that of the matrix. `A @ x` with
    x (n,) or (n, k); blocks go by `rows`, the CSR view it was made from. Kreutzer et al., SIAM J. Sci. Comput. 36 (2014) C401.
    """

    stored: np.ndarray
    columns: np.ndarray
    starts: np.ndarray
    bases: np.ndarray
    places: np.ndarray
    rows: CSR

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.shape

    @property
    def dtype(self) -> np.dtype:
        return self.rows.dtype

    @property
    def nnz(self) -> int:
        return self.rows.nnz

    @property
    def values(self) -> np.ndarray:
        """The stored entries of the matrix it was made from."""
        return self.rows.values

    @property
    def bytes_per_row(self) -> float:
        """What one product moves of the matrix itself."""
        parts = (self.stored, self.columns, self.starts, self.bases, self.places)
        return sum(part.nbytes for part in parts) / max(self.shape[0], 1)

    @property
    def kind(self) -> tuple[str, ...]:
        """The types that kernels are compiled for."""
        return "sell", self.stored.dtype.name, self.columns.dtype.name, self.starts.dtype.name

    def __matmul__(self, x: Any) -> Any:
        plain = type(x) is np.ndarray and x.dtype == self.dtype and x.shape == self.shape[1:] and x.flags.c_contiguous
        if not plain:
            return self.rows @ x
        from ..kernels.sell import product

        return product(self, x)

    @property
    def H(self) -> Any:
        return self.rows.H

    def diagonal(self) -> np.ndarray:
        return self.rows.diagonal()

    def tocsr(self) -> Any:
        return self.rows.tocsr()

    def __repr__(self) -> str:
        rows, columns = self.shape
        return (
            f"SELL {rows} x {columns}, {self.nnz} entries and {len(self.stored) - self.nnz} zeros in slices of 8, {self.dtype} "
            f"kept as {self.stored.dtype}, columns as {self.columns.dtype}, {self.bytes_per_row:.0f} bytes per row"
        )


def by_slices(A: CSR, gain: float = GAIN) -> SELL | None:
    """A canonical CSR view as slices; None where a row is empty, or where they take more than `gain` times the bytes of CSR."""
    from ..kernels import sell as kernels

    n = A.shape[0]
    if n == 0 or A.indices.dtype != np.uint32:
        return None
    count = -(-n // kernels.LANES)
    places, widths, bases = np.empty(n, np.uint8), np.empty(count, np.uint32), np.empty(count, np.uint32)
    seen = kernels.slices(n, A.indptr, A.indices, places, widths, bases)
    total = kernels.LANES * int(widths.sum(dtype=np.int64))
    if seen[:, kernels.SHORTEST].min() == 0:
        return None
    starts = np.zeros(count + 1, np.uint32 if total < 2**32 else np.uint64)
    np.cumsum(kernels.LANES * widths.astype(starts.dtype), out=starts[1:])
    columns = np.empty(total, np.uint16 if seen[:, kernels.SPAN].max() < 2**16 else np.uint32)
    single = A.dtype == np.float64 and fits_single(A.values[:: max(1, A.nnz // 4096)])
    for kept in ([np.dtype(np.float32)] if single else []) + [A.dtype]:
        if total * (kept.itemsize + columns.itemsize) > gain * A.nnz * (A.dtype.itemsize + A.indices.itemsize):
            continue
        stored = np.empty(total, kept)
        rounded = kernels.fill(n, A.indptr, A.indices, A.values, places, starts, bases, columns, stored).any()
        if kept == A.dtype or not rounded:
            return SELL(stored, columns, starts, bases, places, A)
    return None
