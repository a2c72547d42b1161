"""Sparse direct solves: A^-1 by its factors, as an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import arrays
from ..operator import checked

INDEX_LIMIT = 2**31 - 1  # SuperLU counts in 32-bit integers


@dataclass(frozen=True, slots=True, eq=False)
class Factorization:
    """A^-1 held as factors in double precision, applied as `F @ b` to b (n,) or (n, k).

    `dtype` is A's; the result has the common type of A and b. `solve(b, trans)` works in double precision, with trans "N" or
    "H" for A^-H. `entries` counts the numbers stored in the factors and `nbytes` their bytes with indices, both None where
    the library does not tell.
    """

    solve: Callable[[np.ndarray, str], np.ndarray]
    shape: tuple[int, int]
    dtype: np.dtype
    name: str
    entries: int | None = None
    nbytes: int | None = None
    linear: bool = True
    spd: bool | None = None
    adjoint: bool = False
    renew: Reordered | None = None  # the ordering, without the factors

    def update(self, A: Any) -> Factorization:
        """The factors of another A with entries at the same places, in the order that was found for these; ValueError for any
        other A, or where the library keeps no order."""
        if self.renew is None:
            raise ValueError(f"{self.name} keeps no ordering for another A here; factorise anew")
        return self.renew.update(A)

    @property
    def H(self) -> Factorization:
        return self if self.spd else replace(self, adjoint=not self.adjoint)

    def __matmul__(self, b: Any) -> np.ndarray:
        b = np.asarray(b)
        trans, wide, result = "H" if self.adjoint else "N", arrays.WIDE[self.dtype.name], np.result_type(self.dtype, b)
        if b.size == 0:
            return np.zeros(b.shape, result)
        if np.iscomplexobj(b) and wide == "float64":  # real factors: the two parts apart
            x = self.solve(b.real.astype(wide), trans) + 1j * self.solve(b.imag.astype(wide), trans)
        else:
            x = self.solve(b.astype(wide), trans)
        return x.astype(result, copy=False)

    def __repr__(self) -> str:
        size = "" if self.entries is None else f", {self.entries} entries in the factors, {self.nbytes} bytes"
        return f"{self.name}: {self.shape[0]} x {self.shape[1]}, {self.dtype}{size}"


@dataclass(frozen=True, slots=True)
class SuperLU:
    """The recipe for A^-1 = (L U)^-1 by SuperLU, which SciPy brings along; for any stored, nonsingular A.

    Parameters
    ----------
    spd : bool
        A is Hermitian positive definite: it is ordered symmetrically and factorised without pivoting, in about the time of
        a Cholesky factorisation. The caller's word is not checked; an A that is not gives large residuals.
    ordering : str, optional
        "COLAMD", "MMD_AT_PLUS_A", "MMD_ATA" or "NATURAL". By default MMD_AT_PLUS_A, which halves time and fill, where spd or
        where A's pattern is symmetric with a full diagonal; COLAMD elsewhere.

    Notes
    -----
    Raises numpy.linalg.LinAlgError if A is exactly singular (no pivot in some column), ValueError if A is not finite or has
    2^31 entries, TypeError if its entries are not stored. An A that is singular up to rounding gives a huge x; look at the
    residual. The factorisation cannot be interrupted: Ctrl-C waits for its end (seconds at 10^6 unknowns in 2-D, minutes
    in 3-D). Measured at n = 10^4 and 6.6*10^4 (five points): 21 and 240 ms, a solve 0.8 and 7 ms. Demmel, Eisenstat,
    Gilbert, Li and Liu, SIAM J. Matrix Anal. Appl. 20 (1999).

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from petrov.solvers.direct import SuperLU
    >>> F = SuperLU()(sp.csr_array([[2.0, 1.0], [0.0, 4.0]]))
    >>> F @ np.array([3.0, 4.0]), F.H @ np.array([2.0, 5.0])
    (array([1., 1.]), array([1., 1.]))
    """

    spd: bool = False
    ordering: str | None = None

    name = "superlu"

    def __post_init__(self) -> None:
        if self.ordering not in (None, "COLAMD", "MMD_AT_PLUS_A", "MMD_ATA", "NATURAL"):
            raise ValueError(f"ordering must be None, COLAMD, MMD_AT_PLUS_A, MMD_ATA or NATURAL; got {self.ordering!r}")

    def __call__(self, A: Any) -> Factorization:
        csc, dtype = compressed_columns(A, "SuperLU")
        ordering = self.ordering or ("MMD_AT_PLUS_A" if self.spd or symmetric_pattern(csc) else "COLAMD")
        lu = self.factors(csc, ordering)
        renew = Reordered(self, csc, lu.perm_c) if ordering == "MMD_AT_PLUS_A" else None
        return self.held(lu, lu.solve, csc, dtype, renew)

    def factors(self, csc: Any, ordering: str, given: Any = None) -> Any:
        """SciPy's, or an error that helps, with the rows and columns of `given` where csc is a reordered one."""
        from scipy.sparse.linalg import splu

        without_pivoting = {"diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}} if self.spd else {}
        try:
            return splu(csc, permc_spec=ordering, **without_pivoting)
        except RuntimeError as error:
            raise np.linalg.LinAlgError(singular("SuperLU", csc if given is None else given, str(error))) from error
        except MemoryError as error:
            raise MemoryError(f"SuperLU ran out of memory for {csc.shape[0]} unknowns; {ITERATIVE}") from error

    def held(self, lu: Any, solve: Callable[[np.ndarray, str], np.ndarray], csc: Any, dtype: Any, renew: Any) -> Factorization:
        nbytes = lu.nnz * (csc.dtype.itemsize + 4)
        spd = True if self.spd else None
        return Factorization(solve, csc.shape, dtype, self.name, lu.nnz, nbytes, spd=spd, renew=renew)


class Reordered:
    """The order of one factorisation for others of the same pattern: of rows and columns alike, so that what was on the diagonal
    stays there. Finding it takes a quarter to a third of the time of a factorisation in the plane. Holds the pattern twice."""

    def __init__(self, recipe: SuperLU, csc: Any, places: np.ndarray):
        self.recipe, self.indices, self.indptr, self.shape = recipe, csc.indices.copy(), csc.indptr.copy(), csc.shape
        self.order = np.argsort(places)
        self.pattern: Any = None  # of the reordered matrix, with the places of its entries in the one that comes

    def update(self, A: Any) -> Factorization:
        from scipy.sparse import csc_array

        csc, dtype = compressed_columns(A, "SuperLU")
        same = csc.shape == self.shape and np.array_equal(csc.indptr, self.indptr)
        if not (same and np.array_equal(csc.indices, self.indices)):
            raise ValueError("an update keeps the pattern: A has entries at other places; factorise anew")
        order = self.order
        if self.pattern is None:
            numbered = csc_array((np.arange(1.0, csc.nnz + 1), self.indices, self.indptr), shape=self.shape)
            self.pattern = csc_array(numbered[order][:, order])
            self.pattern.sort_indices()
        values = csc.data[self.pattern.data.astype(np.int64) - 1]
        reordered = csc_array((values, self.pattern.indices, self.pattern.indptr), shape=self.shape)
        lu = self.recipe.factors(reordered, "NATURAL", csc)

        def solve(b: np.ndarray, trans: str) -> np.ndarray:
            x = np.empty_like(b, dtype=np.result_type(b, values))
            x[order] = lu.solve(b[order], trans)
            return x

        return self.recipe.held(lu, solve, csc, dtype, self)


@dataclass(frozen=True, slots=True)
class Cholmod:
    """The recipe for A^-1 = (L L^H)^-1 by CHOLMOD, for a Hermitian positive definite A; needs scikit-sparse >= 0.4.16.

    `ordering`: "default" (AMD, then METIS where that is built in), "amd", "metis", "nesdis", "colamd", "natural" or "best".
    ImportError naming the extra if scikit-sparse is missing; LinAlgError if A is not positive definite. Only one triangle of
    A is read. Chen, Davis, Hager and Rajamanickam, ACM TOMS 35 (2008).
    """

    ordering: str = "default"

    name = "cholmod"

    def __post_init__(self) -> None:
        known = ("default", "amd", "metis", "nesdis", "colamd", "natural", "best")
        if self.ordering not in known:
            raise ValueError(f"ordering must be one of {', '.join(known)}; got {self.ordering!r}")

    def __call__(self, A: Any) -> Factorization:
        cholmod = cholmod_module()
        if cholmod is None:
            raise ImportError(
                'Cholmod needs scikit-sparse, which is not installed: pip install "petrov[cholmod]"; or use SuperLU(spd=True)'
            )
        csc, dtype = compressed_columns(A, "Cholmod")
        if np.iscomplexobj(csc.data):  # CHOLMOD calls a diagonal indefinite that is complex in its last bit
            csc = csc.copy()
            csc.setdiag(csc.diagonal().real)
        try:
            solve, entries = cholmod_factor(cholmod, csc, self.ordering)
        except cholmod.CholmodNotPositiveDefiniteError as error:
            raise np.linalg.LinAlgError(
                f"Cholmod needs a positive definite A, which this is not ({error}); use SuperLU()"
            ) from error
        nbytes = None if entries is None else entries * (csc.dtype.itemsize + csc.indices.itemsize)
        return Factorization(lambda b, trans: solve(b), csc.shape, dtype, self.name, entries, nbytes, spd=True)


def factorize(A: Any, *, spd: bool | None = None) -> Factorization:
    """A^-1 by the best sparse factorisation at hand: CHOLMOD for an A known to be positive definite, else SuperLU."""
    if spd and cholmod_module() is not None:
        return Cholmod()(A)
    return SuperLU(spd=bool(spd))(A)


def cholmod_module() -> Any | None:
    """sksparse.cholmod, or None where it is not installed."""
    try:
        from sksparse import cholmod
    except ImportError:
        return None
    return cholmod


def cholmod_factor(cholmod: Any, csc: Any, ordering: str) -> tuple[Callable[[np.ndarray], np.ndarray], int | None]:
    """(solve, entries of L or None) with either of scikit-sparse's interfaces: `cho_factor` from 0.5 on, `cholesky` before."""
    from scipy.sparse import csc_array, csc_matrix

    parts = (csc.data, csc.indices, csc.indptr)
    if hasattr(cholmod, "cho_factor"):
        factor = cholmod.cho_factor(csc_array(parts, shape=csc.shape), order=ordering)
        return factor.solve, int(factor.nnz)
    factor = cholmod.cholesky(csc_matrix(parts, shape=csc.shape), ordering_method=ordering)
    pivots = factor.D().real  # of small or very sparse matrices it makes L D L^H, which exists for indefinite ones too
    if not (pivots > 0).all():
        raise cholmod.CholmodNotPositiveDefiniteError(f"pivot {pivots.min():.3g}")
    return factor, None


ITERATIVE = "use an iterative method (cg or gmres with a preconditioner), which needs little more than A"


def compressed_columns(A: Any, what: str) -> tuple[Any, np.dtype]:
    """(A as CSC in canonical form and double precision, A's working dtype); shares memory with A where nothing changes.

    TypeError if the entries of A are not stored on the host, ValueError if one is not finite or there are too many.
    """
    from scipy.sparse import csc_array

    A = checked(A)
    if not isinstance(A, np.ndarray) and not hasattr(A, "tocsr"):
        raise TypeError(
            f"{what} needs the entries of A in a NumPy array or a SciPy sparse matrix; got {type(A).__name__} from "
            f"{arrays.library(A)}; {ITERATIVE}"
        )
    csc = csc_array(A) if isinstance(A, np.ndarray) else A.tocsc() if hasattr(A, "tocsc") else A.tocsr().tocsc()
    if csc.nnz > INDEX_LIMIT:
        raise ValueError(f"{what} takes at most {INDEX_LIMIT} entries (32-bit indices); got {csc.nnz}; {ITERATIVE}")
    if not csc.has_canonical_format:
        csc = csc.copy()
        csc.sum_duplicates()
    if not np.isfinite(csc.data).all():
        raise ValueError(f"{what} needs finite entries; A holds NaN or infinity")
    dtype = np.dtype(arrays.working_dtype(csc.dtype.name))
    return csc.astype(arrays.WIDE[dtype.name], copy=False), dtype


def symmetric_pattern(csc: Any) -> bool:
    """Whether a_ij is stored wherever a_ji is, and no entry of the diagonal is zero."""
    rows = csc.tocsr()
    same = np.array_equal(rows.indptr, csc.indptr) and np.array_equal(rows.indices, csc.indices)
    return bool(same and (csc.diagonal() != 0).all())


def singular(what: str, csc: Any, said: str) -> str:
    """The message for a matrix without an inverse: names a row or column without entries if there is one."""
    entries = csc.tocoo()
    for axis, index in (("row", entries.row[entries.data != 0]), ("column", entries.col[entries.data != 0])):
        empty = np.flatnonzero(np.bincount(index, minlength=csc.shape[0]) == 0)
        if len(empty):
            return f"{what} found A singular: {axis} {empty[0]} has no nonzero entry; remove that unknown or give it an equation"
    return (
        f"{what} found A singular ({said}); pass nullspace= (for example 'constant' for a pure Neumann problem), fix one "
        "unknown, or use method='lsmr' for the least-squares solution"
    )
