"""Incomplete factorisations: Cholesky on the pattern of A, and LU with a drop tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import arrays
from ..direct.sparse import Factorization, compressed_columns
from .coloured_blocks import Blocks, coloured
from .entries import stored_entries

FIRST_SHIFT = 1e-3
SMALLEST_PIVOT = 64 * float(np.finfo(np.float64).eps)  # of S A S, whose diagonal is 1
LEAST_BLOCK = 256  # rows: which blocks couple is kept as a dense table
ASYMMETRY = {"float64": 1e-12, "complex128": 1e-12, "float32": 1e-6, "complex64": 1e-6}  # max|A - A^H| / max|A|


@dataclass(frozen=True, slots=True)
class IncompleteCholesky:
    """The recipe for M = (L D L^H)^-1 with L D L^H = A on the pattern of A: IC(0), for a Hermitian positive definite A.

    Parameters
    ----------
    shift : float
        A + shift * diag(A) is factorised. The factorisation always exists for M- and H-matrices, not for every positive
        definite A: where a pivot is not positive, it is repeated with the shift 1e-3 (or twice the one given), doubled until
        all pivots are (Manteuffel, Math. Comp. 34 (1980); doubling: Lin and More, SIAM J. Sci. Comput. 21 (1999)). The
        operator returned tells the shift and the number of attempts.
    max_shift : float
        The largest shift tried; ValueError after it.
    block : int
        From four blocks of so many rows on, blocks are coloured and A is factorised colour by colour, so that the two sweeps run
        on all threads. 0 keeps the order of A and one thread, as does an A whose blocks nearly all couple.

    Notes
    -----
    A: stored, NumPy or SciPy (any format); real or complex. Factorised in double precision on one core, kept in that of A.
    Measured with blocks on two cores at 1024^2: the two sweeps 1.8 times as fast, up to 1.3 % more iterations. Memory: both
    triangles, about one copy of A. ValueError if A is not Hermitian, not finite or has a diagonal entry that is not positive;
    TypeError if its entries are not stored. Saad, Iterative Methods for Sparse Linear Systems (2003), section 10.3; blocks:
    Iwashita, Nakashima and Takahashi, IPDPS 2012.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from petrov.solvers.preconditioners import IncompleteCholesky
    >>> A = sp.diags_array([[-1.0] * 3, [2.0] * 4, [-1.0] * 3], offsets=[-1, 0, 1])
    >>> IncompleteCholesky()(A)
    ic(0): 4 x 4, 3 entries below the diagonal, float64, shift 0 after 1 attempt, 184 bytes
    """

    shift: float = 0.0
    max_shift: float = 100.0
    block: int = 16_384

    name = "ic(0)"

    def __post_init__(self) -> None:
        if not 0.0 <= self.shift < math.inf:
            raise ValueError(f"shift must be finite and >= 0; got {self.shift!r}")
        if not self.shift <= self.max_shift < math.inf:
            raise ValueError(f"max_shift must be finite and >= shift = {self.shift!r}; got {self.max_shift!r}")
        if self.block != int(self.block) or not (self.block == 0 or self.block >= LEAST_BLOCK):
            raise ValueError(f"block must be 0 or an integer of at least {LEAST_BLOCK}; got {self.block!r}")

    def __call__(self, A: Any) -> IncompleteFactors:
        from ..kernels import triangular as kernels

        csr = stored_entries(A, self.name)
        dtype = csr.values.dtype
        wide = arrays.WIDE[dtype.name]
        reordered, blocks = coloured(csr, self.block)
        types = (dtype.name, wide, csr.indices.dtype.name, csr.indptr.dtype.name)
        seconds = kernels.compile_for(*types, threaded=blocks.count > 1)
        starts, columns, lower, diagonal = lower_triangle(csr, wide, self.name)
        if blocks.count > 1:
            starts, columns, lower, diagonal = lower_triangle(reordered, wide, self.name)
        scale = 1.0 / np.sqrt(diagonal)
        factor, inverse = np.empty_like(lower), np.empty_like(diagonal)
        shift, attempts = self.shift, 1
        while (row := kernels.factorise(starts, columns, lower, scale, shift, SMALLEST_PIVOT, factor, inverse)) < len(diagonal):
            following = max(2 * shift, FIRST_SHIFT)
            if following > self.max_shift:
                raise ValueError(
                    f"ic(0) met a pivot that is not positive in row {blocks.original(row)} with every shift up to "
                    f"{shift:g} (max_shift = {self.max_shift:g}); raise max_shift, or use Jacobi, or minres or a direct solve "
                    "if A is indefinite"
                )
            shift, attempts = following, attempts + 1
        kernels.unscale(starts, columns, scale, factor, inverse)
        upper_starts, upper_columns, upper = np.empty_like(starts), np.empty_like(columns), np.empty_like(factor)
        kernels.adjoint(starts, columns, factor, upper_starts, upper_columns, upper)
        factor, upper = factor.astype(dtype, copy=False), upper.astype(dtype, copy=False)
        inverse = inverse.astype(arrays.REAL[dtype.name], copy=False)
        return IncompleteFactors(
            starts, columns, factor, inverse, upper_starts, upper_columns, upper, blocks, shift, attempts, seconds
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class IncompleteFactors:
    """M = L^-H D^-1 L^-1: strict lower L and strict upper L^H by rows, `inverse` = 1 / D.

    All in the order of `blocks`. `compile_seconds`: in the set-up.
    """

    starts: np.ndarray
    columns: np.ndarray
    factor: np.ndarray
    inverse: np.ndarray
    upper_starts: np.ndarray
    upper_columns: np.ndarray
    upper: np.ndarray
    blocks: Blocks
    shift: float
    attempts: int
    compile_seconds: float
    linear: bool = True
    spd: bool | None = True

    name = "ic(0)"

    @property
    def shape(self) -> tuple[int, int]:
        return (len(self.inverse), len(self.inverse))

    @property
    def dtype(self) -> np.dtype:
        return self.factor.dtype

    @property
    def H(self) -> IncompleteFactors:
        return self

    @property
    def nbytes(self) -> int:
        lower = (self.starts, self.columns, self.factor, self.inverse)
        return sum(part.nbytes for part in (*lower, self.upper_starts, self.upper_columns, self.upper, self.blocks))

    def __matmul__(self, r: Any) -> np.ndarray:
        from ..kernels import triangular as kernels

        # "W": the kernels are compiled for arrays that may be written to, and a read-only one would compile them again
        r = np.require(r, np.result_type(self.factor, r), ["C", "W"])
        z, blocks = np.empty_like(r), self.blocks
        x = z if blocks.count == 1 else np.empty_like(r)
        sweep = kernels.solve if r.ndim == 1 else kernels.solve_block
        lower, upper = (self.starts, self.columns, self.factor), (self.upper_starts, self.upper_columns, self.upper)
        rows = 0 if blocks.count == 1 else len(r)  # one block: one thread
        sweep(rows, blocks.colours, blocks.starts, blocks.shifts, *lower, self.inverse, *upper, r, x, z)
        return z

    def __repr__(self) -> str:
        n, times = self.shape[0], "attempt" if self.attempts == 1 else "attempts"
        blocks = "" if self.blocks.count == 1 else f"{self.blocks.count} blocks in {len(self.blocks.colours) - 1} colours, "
        return (
            f"{self.name}: {n} x {n}, {len(self.factor)} entries below the diagonal, {self.dtype}, {blocks}"
            f"shift {self.shift:g} after {self.attempts} {times}, {self.nbytes} bytes"
        )


def lower_triangle(csr: Any, wide: str, what: str) -> tuple[np.ndarray, ...]:
    """(starts, columns, entries) of the strict lower triangle and the diagonal; ValueError if A is not for `what`."""
    from ..kernels import triangular as kernels

    n = csr.shape[0]
    largest = float(np.abs(csr.values).max(initial=0.0))
    if not math.isfinite(largest):
        raise ValueError(f"{what} needs finite entries; A holds NaN or infinity")
    starts, diagonal = np.empty(n + 1, csr.indptr.dtype), np.zeros(n)
    count = kernels.count_lower(csr.indptr, csr.indices, starts)
    columns, lower = np.empty(count, csr.indices.dtype), np.empty(count, wide)
    deviation = kernels.split(csr.indptr, csr.indices, csr.values, columns, lower, diagonal)
    if deviation > ASYMMETRY[csr.values.dtype.name] * largest:
        raise ValueError(
            f"{what} needs a symmetric (Hermitian) A; got max|A - A^H| = {deviation:.3g} beside max|A| = {largest:.3g}; "
            "use IncompleteLU"
        )
    smallest = float(np.finfo(csr.values.dtype).smallest_normal)
    bad = np.flatnonzero(~(diagonal >= smallest))
    if len(bad):
        raise ValueError(
            f"{what} needs a positive diagonal; got {diagonal[bad[0]]:g} in row {bad[0]}, so A is not positive definite; "
            "use minres or a direct solve"
        )
    return starts, columns, lower, diagonal


@dataclass(frozen=True, slots=True)
class IncompleteLU:
    """The recipe for M = (L U)^-1, an LU factorisation that drops small entries: SuperLU's, by way of SciPy; for any A.

    Parameters
    ----------
    drop_tol : float
        Entries below drop_tol times the largest of their column are dropped.
    fill_factor : float
        At most this many times the entries of A are kept, roughly.
    ordering : str
        "COLAMD", "MMD_AT_PLUS_A" (better where A's pattern is symmetric), "MMD_ATA" or "NATURAL".

    Notes
    -----
    A: NumPy or SciPy (any format). M is linear, not symmetric for a symmetric A: for gmres and bicgstab, not cg. Raises
    numpy.linalg.LinAlgError if the factor is singular, TypeError if the entries of A are not stored. Factorised and kept in
    double precision; M prints its size. Li and Shao, A supernodal approach to incomplete LU factorization with partial
    pivoting, ACM TOMS 37 (2011).

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.solvers.preconditioners import IncompleteLU
    >>> M = IncompleteLU()(np.array([[4.0, 1.0], [0.0, 2.0]]))
    >>> M @ np.array([5.0, 2.0])
    array([1., 1.])
    """

    drop_tol: float = 1e-4
    fill_factor: float = 10.0
    ordering: str = "COLAMD"

    name = "ilu"

    def __post_init__(self) -> None:
        if not 0.0 <= self.drop_tol <= 1.0:
            raise ValueError(f"drop_tol must be between 0 and 1; got {self.drop_tol!r}")
        if not 1.0 <= self.fill_factor < math.inf:
            raise ValueError(f"fill_factor must be at least 1; got {self.fill_factor!r}")
        if self.ordering not in ("COLAMD", "MMD_AT_PLUS_A", "MMD_ATA", "NATURAL"):
            raise ValueError(f"ordering must be COLAMD, MMD_AT_PLUS_A, MMD_ATA or NATURAL; got {self.ordering!r}")

    def __call__(self, A: Any) -> Factorization:
        from scipy.sparse.linalg import spilu

        csc, dtype = compressed_columns(A, "IncompleteLU")
        try:
            lu = spilu(csc, drop_tol=self.drop_tol, fill_factor=self.fill_factor, permc_spec=self.ordering)
        except RuntimeError as error:
            raise np.linalg.LinAlgError(f"ilu met a singular factor ({error}); {self.advice()}") from error
        if not np.isfinite(lu.solve(np.ones(csc.shape[0], csc.dtype))).all():
            raise np.linalg.LinAlgError(f"ilu made a factor that is singular to rounding; {self.advice()}")
        return Factorization(lu.solve, csc.shape, dtype, self.name, lu.nnz, lu.nnz * (csc.dtype.itemsize + 4))

    def advice(self) -> str:
        return (
            f"try a smaller drop_tol (now {self.drop_tol:g}) or a larger fill_factor (now {self.fill_factor:g}), or scale the "
            "rows of A; if A is itself singular, pass nullspace= or use method='lsmr'"
        )
