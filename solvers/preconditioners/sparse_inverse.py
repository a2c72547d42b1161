"""Factorised sparse approximate inverse: set-up and application are both parallel, and no triangular system is solved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import arrays
from ..kernels.cuda.launch import columns_of
from ..kernels.cuda.matrix import start
from ..kernels.cuda.work import Work, applied
from ..storage import Placed, compact, placed
from ..storage.resident import Move
from .entries import stored_entries
from .incomplete import SMALLEST_PIVOT, lower_triangle


@dataclass(frozen=True, slots=True)
class SparseInverse:
    """The recipe for M = G^H G with a sparse lower triangular G, G A G^H ~ I, for a Hermitian positive definite A (FSAI).

    G minimises ||I - G L||_F (A = L L^H) over its pattern, row by row: a small dense Cholesky factorisation each. It exists for
    every positive definite A, and M is positive definite whatever the pattern.

    Parameters
    ----------
    power : int
        The pattern to begin with is that of the lower triangle of A^power; 0 is the diagonal.
    drop : float
        Couplings with |a_ij| <= drop sqrt(a_ii a_jj) do not count in that pattern.
    steps : int
        How often the pattern of a row grows.
    added : int
        Entries a row may gain in one step: those in which its Kaporin number psi = (G A G^H)_ii falls fastest.
    tolerance : float
        An entry is added only if it alone would lower psi by more than this part of it.
    single : bool
        Keep G in single precision: two thirds of the traffic, the same M to 1e-7; M stays exactly Hermitian.

    Notes
    -----
    A: stored, NumPy or SciPy (any format); real or complex. Set up in double precision on all threads: O(m^3) for a row of m
    entries. Applied as two products, with G and with G^H, both kept by rows, on a GPU in the forms of `compact`. Memory: 2 nnz(G)
    entries with their indices; one more copy while set up. ValueError if A is not Hermitian, not finite, has a diagonal entry
    that is not positive, or is not positive definite where a row looks; TypeError if its entries are not stored. Kolotilina and
    Yeremin, SIAM J. Matrix Anal. Appl. 14 (1993); growing: Janna and Ferronato, SIAM J. Sci. Comput. 33 (2011).

    Examples
    --------
    >>> from petrov.solvers import SparseInverse, problems
    >>> SparseInverse(power=1)(problems.poisson(32).A)
    sparse inverse: 1024 x 1024, 3008 entries in G (2.9 a row), float64, 80392 bytes
    """

    power: int = 1
    drop: float = 0.0
    steps: int = 0
    added: int = 1
    tolerance: float = 1e-3
    single: bool = False

    name = "sparse inverse"

    def __post_init__(self) -> None:
        for what, least in (("power", 0), ("steps", 0), ("added", 1)):
            value = getattr(self, what)
            if value != int(value) or value < least:
                raise ValueError(f"{what} must be an integer and at least {least}; got {value!r}")
        for what in ("drop", "tolerance"):
            if not 0.0 <= getattr(self, what) < 1.0:
                raise ValueError(f"{what} must be at least 0 and less than 1; got {getattr(self, what)!r}")

    def __call__(self, A: Any) -> InverseFactors:
        from ..kernels import sparse_product

        csr = stored_entries(A, self.name)
        dtype = csr.dtype
        diagonal = lower_triangle(csr, arrays.WIDE[dtype.name], self.name)[3]
        indptr, indices, values = inverse_rows(self, csr, 1.0 / np.sqrt(diagonal))
        kept = narrowed(values, diagonal_places(indptr), dtype, self.single)
        starts, columns, order = np.empty_like(indptr), np.empty_like(indices), np.empty(len(indices), indptr.dtype)
        sparse_product.transpose(indptr, indices, starts, columns, order)
        return InverseFactors((kept, indices, indptr), (kept[order].conj(), columns, starts), dtype)


def inverse_rows(recipe: SparseInverse, csr: Any, scale: np.ndarray) -> tuple[np.ndarray, ...]:
    """(indptr, indices, values) of G in double precision."""
    from ..kernels import inverse as kernels

    n = csr.shape[0]
    A = (csr.indptr, csr.indices, csr.values.astype(arrays.WIDE[csr.dtype.name], copy=False), scale)
    room = np.empty(n, np.int64)
    kernels.count(n, recipe.power, *A, recipe.drop, room)
    room = np.minimum(room + recipe.steps * recipe.added, np.arange(n)) + 1
    starts, counts = offsets(room), np.empty(n, np.int64)
    columns, entries = np.empty(starts[-1], np.uint32), np.empty(starts[-1], A[2].dtype)
    kernels.rows(
        n, recipe.power, recipe.drop, recipe.steps, recipe.added, recipe.tolerance, SMALLEST_PIVOT, *A, int(room.max(initial=1)),
        starts, counts, columns, entries,
    )  # fmt: skip
    if (bad := np.flatnonzero(counts == 0)).size:
        raise ValueError(
            f"sparse inverse met a pivot that is not positive in row {bad[0]}: A is not positive definite, or singular to "
            "rounding; use minres or a direct solve"
        )
    if recipe.steps == 0:
        return starts.astype(index_type(starts[-1])), columns, entries
    indptr = offsets(counts)
    indices, values = np.empty(indptr[-1], np.uint32), np.empty(indptr[-1], entries.dtype)
    kernels.squeeze(n, starts, columns, entries, indptr, indices, values)
    return indptr.astype(index_type(indptr[-1])), indices, values


def offsets(counts: np.ndarray) -> np.ndarray:
    starts = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=starts[1:])
    return starts


def index_type(entries: int) -> str:
    return "uint32" if entries < 2**32 else "uint64"


def diagonal_places(indptr: np.ndarray) -> np.ndarray:
    """Where the diagonal of G is: last in its row."""
    return indptr[1:].astype(np.int64) - 1


def narrowed(values: np.ndarray, diagonal: np.ndarray, dtype: np.dtype, single: bool) -> np.ndarray:
    """The values in A's precision, or in single precision; ValueError if that cannot hold them."""
    target = np.dtype("complex64" if dtype.kind == "c" else "float32") if single else dtype
    with np.errstate(over="ignore", under="ignore"):
        kept = values.astype(target, copy=False)
    small = kept[diagonal].real < np.finfo(target).smallest_normal
    if not np.isfinite(kept).all() or small.any():
        raise ValueError(
            f"sparse inverse cannot keep G in {target}: its entries range from {np.abs(values[diagonal]).min():.3g} to "
            f"{np.abs(values).max():.3g}; use single=False, or scale A to a unit diagonal"
        )
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class InverseFactors:
    """M = G^H G: (values, indices, indptr) of G and of G^H by rows."""

    lower: tuple[np.ndarray, np.ndarray, np.ndarray]
    upper: tuple[np.ndarray, np.ndarray, np.ndarray]
    dtype: np.dtype
    linear: bool = True
    spd: bool | None = True

    name = "sparse inverse"

    @property
    def shape(self) -> tuple[int, int]:
        n = len(self.lower[2]) - 1
        return (n, n)

    @property
    def H(self) -> InverseFactors:
        return self

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in (*self.lower, *self.upper))

    def __matmul__(self, r: Any) -> np.ndarray:
        from ..kernels import inverse as kernels

        r = np.require(r, np.result_type(self.dtype, r), ["C", "W"])
        if r.ndim == 1:
            return self.apply_dot(r)[0]
        t, z = np.empty_like(r), np.empty_like(r)
        kernels.block_product(len(r), *self.lower, r, t)
        kernels.block_product(len(r), *self.upper, t, z)
        return z

    def apply_dot(self, r: np.ndarray, z: np.ndarray | None = None) -> tuple[np.ndarray, float]:
        """z = M r (written into z if given) and r^H z = ||G r||^2."""
        from ..kernels import inverse as kernels

        t = np.zeros_like(r)
        z = np.zeros_like(r) if z is None else z
        rz = kernels.product(len(r), *self.lower, r, t)
        kernels.product(len(r), *self.upper, t, z)
        return z, float(rz)

    def moved(self, move: Move) -> ResidentFactors:
        """The same on a GPU, each factor in the smallest of the forms of `compact`."""
        lower, upper = (placed(compact(rows(part, self.shape)), move) for part in (self.lower, self.upper))
        return ResidentFactors(lower, upper, self.dtype, len(self.lower[0]), Work())

    def __repr__(self) -> str:
        n, entries = self.shape[0], len(self.lower[0])
        return (
            f"{self.name}: {n} x {n}, {entries} entries in G ({entries / max(n, 1):.1f} a row), {self.lower[0].dtype}, "
            f"{self.nbytes} bytes"
        )


def rows(parts: tuple[np.ndarray, ...], shape: tuple[int, int]) -> Any:
    """The SciPy matrix of (values, indices, indptr), which shares them where its indices are 32 bits wide."""
    from scipy.sparse import csr_array

    values, indices, indptr = parts
    narrow = indptr.itemsize == 4
    indices = indices.view(np.int32) if narrow else indices.astype(np.int64)
    return csr_array((values, indices, indptr.view(np.int32 if narrow else np.int64)), shape=shape)


@dataclass(frozen=True, slots=True, eq=False)
class ResidentFactors:
    """M = G^H G on a GPU: two products. Moves the bytes of both factors, and r, t, t, z (and what of r and t is read again)."""

    lower: Placed
    upper: Placed
    dtype: np.dtype
    entries: int
    work: Work
    linear: bool = True
    spd: bool | None = True

    name = "sparse inverse"

    @property
    def shape(self) -> tuple[int, int]:
        return self.lower.shape

    @property
    def H(self) -> ResidentFactors:
        return self

    @property
    def nbytes(self) -> int:
        return self.lower.nbytes + self.upper.nbytes

    def __matmul__(self, r: Any) -> Any:
        return applied(self, r)

    def into(self, r: Any, z: Any) -> Any:
        """z = M r, for contiguous r and z (n,) or (n, k) of one type."""
        xp: Any = arrays.namespace(r)
        columns = columns_of(r)
        t = self.work.of(columns, arrays.dtype_name(r), lambda k, _: xp.empty((r.shape[0], k), dtype=r.dtype))
        for A, x, y in ((self.lower, r, t), (self.upper, t, z)):
            start("product", A, columns, x, y)
        return z

    def __repr__(self) -> str:
        n, each = self.shape[0], self.entries / max(self.shape[0], 1)
        return f"{self.name}: {n} x {n}, {self.entries} entries in G ({each:.1f} a row), {self.nbytes} bytes on a GPU"
