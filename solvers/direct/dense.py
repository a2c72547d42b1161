"""Dense direct solves: Cholesky, L D L^H or LU by LAPACK, and an inverse for other array libraries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import arrays
from ..arrays import Space
from ..operator import checked
from .sparse import Factorization

SYMMETRIC = 1e-12  # max |A - A^H| / max |A|


@dataclass(frozen=True, slots=True)
class Dense:
    """The recipe for A^-1 of a dense A (n, n): NumPy by LAPACK's factors, other libraries by an inverse, refined once.

    Parameters
    ----------
    spd : bool, optional
        True: Cholesky, LinAlgError if A is not positive definite. False: not tried. None: tried if A is Hermitian with a
        positive diagonal. A Hermitian A that is not positive definite is factorised as L D L^H (Bunch-Kaufman), any other
        as L U.

    Notes
    -----
    Factors are held in double precision: 8 n^2 bytes (16 complex; twice that for other libraries, which hold A as well).
    n^3/3 multiply-adds for Cholesky, n^3/3 for L D L^H, 2 n^3/3 for L U, 2 n^3 for the inverse. Raises
    numpy.linalg.LinAlgError if A is exactly singular, ValueError if it is not finite. Golub and Van Loan, Matrix
    Computations (2013), sections 3.4, 4.2, 4.4.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.solvers.direct import Dense
    >>> F = Dense()(np.array([[2.0, 1.0], [1.0, 2.0]]))
    >>> F.name, F @ np.array([3.0, 3.0])
    ('cholesky', array([1., 1.]))
    """

    spd: bool | None = None

    name = "dense"

    def __call__(self, A: Any) -> Factorization | Inverse:
        A = checked(A)
        xp = arrays.namespace(A)
        if xp is None or str(getattr(A, "layout", "torch.strided")) != "torch.strided":
            raise TypeError(f"Dense needs a dense array; got {type(A).__name__}; use SuperLU for a sparse matrix")
        if not isinstance(A, np.ndarray):
            return invert(A, xp)
        dtype = np.dtype(arrays.working_dtype(A.dtype.name))
        if not np.isfinite(A).all():
            raise ValueError("Dense needs finite entries; A holds NaN or infinity")
        return lapack(np.array(A, arrays.WIDE[dtype.name], order="F"), dtype, self.spd)


def lapack(A: np.ndarray, dtype: np.dtype, spd: bool | None) -> Factorization:
    """The cheapest of LAPACK's factorisations that A allows; A (Fortran order, ours) is overwritten by an L U."""
    largest = np.abs(A).max(initial=0.0)
    hermitian = bool(np.abs(A - A.conj().T).max(initial=0.0) <= SYMMETRIC * largest)
    diagonal = A.diagonal().real
    if spd and not hermitian:
        raise np.linalg.LinAlgError("Dense(spd=True) needs a symmetric (Hermitian) A, which this is not; use Dense()")
    if hermitian and (spd or (spd is None and (diagonal > 0).all())):
        factors = cholesky(A, dtype)
        if factors is not None:
            return factors
        if spd:
            raise np.linalg.LinAlgError("Dense(spd=True) needs a positive definite A, which this is not; use Dense()")
    return symmetric_indefinite(A, dtype) if hermitian else general(A, dtype)


def cholesky(A: np.ndarray, dtype: np.dtype) -> Factorization | None:
    """L L^H, or None if A is not positive definite."""
    from scipy.linalg import get_lapack_funcs

    potrf, potrs = get_lapack_funcs(("potrf", "potrs"), (A,))
    L, info = potrf(A, lower=True, clean=False)
    if info > 0:
        return None
    return Factorization(lambda b, trans: potrs(L, b, lower=True)[0], A.shape, dtype, "cholesky", L.size, L.nbytes, spd=True)


def symmetric_indefinite(A: np.ndarray, dtype: np.dtype) -> Factorization:
    """L D L^H with 1 x 1 and 2 x 2 blocks in D."""
    from scipy.linalg import get_lapack_funcs

    kind = "he" if np.iscomplexobj(A) else "sy"
    trf, trs, size = get_lapack_funcs((f"{kind}trf", f"{kind}trs", f"{kind}trf_lwork"), (A,))
    work, _ = size(len(A), lower=True)
    LD, pivots, info = trf(A, lower=True, lwork=max(int(work.real), 1))
    if info > 0:
        raise np.linalg.LinAlgError(SINGULAR.format("L D L^H", info - 1))
    return Factorization(lambda b, trans: trs(LD, pivots, b, lower=True)[0], A.shape, dtype, "ldl", LD.size, LD.nbytes, spd=False)


def general(A: np.ndarray, dtype: np.dtype) -> Factorization:
    """P L U."""
    from scipy.linalg import get_lapack_funcs

    getrf, getrs = get_lapack_funcs(("getrf", "getrs"), (A,))
    LU, pivots, info = getrf(A, overwrite_a=True)
    if info > 0:
        raise np.linalg.LinAlgError(SINGULAR.format("L U", info - 1))
    transposed = {"N": 0, "H": 2 if np.iscomplexobj(A) else 1}
    return Factorization(
        lambda b, trans: getrs(LU, pivots, b, trans=transposed[trans])[0], A.shape, dtype, "lu", LU.size, LU.nbytes
    )


SINGULAR = (
    "A is singular: the {} factorisation found a zero pivot in row {}; pass nullspace= if you know the null space, or use "
    "method='lsmr' for the least-squares solution"
)


@dataclass(frozen=True, slots=True, eq=False)
class Inverse:
    """X = A^-1 as an array of A's library, applied with one step of iterative refinement: x = X b, then x + X (b - A x).

    The step makes the residual as small as a factorisation's while cond(A) eps is below one (Higham, Accuracy and Stability
    of Numerical Algorithms (2002), section 14.1 and chapter 12).
    """

    inverse: Any
    A: Any
    dtype: Any
    linear: bool = True
    spd: bool | None = None

    name = "inverse"

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.A.shape)

    @property
    def nbytes(self) -> int:
        return 2 * self.A.shape[0] ** 2 * np.dtype(arrays.dtype_name(self.A)).itemsize

    @property
    def H(self) -> Inverse:
        xp: Any = arrays.namespace(self.A)
        return Inverse(xp.conj(self.inverse.T), xp.conj(self.A.T), self.dtype)

    def __matmul__(self, b: Any) -> Any:
        xp = arrays.namespace(b)
        kind = arrays.working_dtype(arrays.dtype_name(self.dtype), arrays.dtype_name(b))
        space = Space(xp, arrays.working_dtype(arrays.WIDE[kind], arrays.dtype_name(self.A)), arrays.device(b), None)
        A, X, wide = (arrays.asarray(part, space) for part in (self.A, self.inverse, b))
        x = X @ wide
        return arrays.asarray(x + X @ (wide - A @ x), space, kind)

    def __repr__(self) -> str:
        return f"{self.name}: {self.shape[0]} x {self.shape[1]}, {arrays.dtype_name(self.dtype)}, {self.nbytes} bytes"


def invert(A: Any, xp: Any) -> Inverse:
    """The inverse of a dense array of another library than NumPy, in double precision on its own device."""
    name = arrays.working_dtype(arrays.dtype_name(A))
    space = Space(xp, arrays.WIDE[name], arrays.device(A), None)
    wide = arrays.asarray(A, space)
    if not bool(xp.all(xp.isfinite(wide))):
        raise ValueError("Dense needs finite entries; A holds NaN or infinity")
    try:
        inverse = xp.linalg.inv(wide)
    except (RuntimeError, np.linalg.LinAlgError) as error:  # torch's error for a singular matrix is a RuntimeError
        raise np.linalg.LinAlgError(f"A is singular ({error}); pass nullspace=, or use method='lsmr'") from error
    if not bool(xp.all(xp.isfinite(inverse))):
        raise np.linalg.LinAlgError("A is singular: its inverse is not finite; pass nullspace=, or use method='lsmr'")
    return Inverse(inverse, wide, getattr(xp, name))
