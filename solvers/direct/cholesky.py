"""The two halves of a Cholesky factorisation apart: coordinates in which the norm of X is the Euclidean one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .sparse import SuperLU, compressed_columns


@dataclass(frozen=True, slots=True, eq=False)
class Cholesky:
    """P X P^H = (L d) (L d)^H, L unit lower triangular, d > 0: the factors of a Hermitian positive definite X (n, n).

    Three maps, each of (n,) or (n, k), returning arrays of the same shape in double precision:

    half(F) = d^-1 L^-1 P F, with ||half(f)||_2 = ||f||_{X'} = sqrt(f^H X^-1 f), the norm of residuals;
    lower(V) = d L^H P V, with ||lower(v)||_2 = ||v||_X = sqrt(v^H X v), the norm of solutions;
    lift(Y) = P^H L^-H d^-1 Y, the inverse of lower; so lift(half(F)) = X^-1 F.
    """

    order: np.ndarray  # row i of the factors is unknown order[i]
    d: np.ndarray
    rows: Any  # strict lower triangle of L, by rows, or the whole of L d where X was dense
    adjoint: Any  # strict upper triangle of L^H, by rows, or None
    shape: tuple[int, int]
    dtype: np.dtype

    @property
    def dense(self) -> bool:
        return self.adjoint is None

    @property
    def nbytes(self) -> int:
        if self.dense:
            return int(self.rows.nbytes)
        return sum(part.nbytes for half in (self.rows, self.adjoint) for part in (half.data, half.indices, half.indptr))

    def half(self, F: Any) -> np.ndarray:
        """d^-1 L^-1 P F: dual vectors (residuals, right-hand sides) in Euclidean coordinates."""
        Y = self.block(F)
        if self.dense:
            return shaped(triangular(self.rows, Y, "N"), F)
        Y = Y[self.order]
        self.sweep("down", self.rows, Y)
        return shaped(Y / self.d[:, None], F)

    def lift(self, Y: Any) -> np.ndarray:
        """P^H L^-H d^-1 Y: the vectors whose Euclidean coordinates are Y."""
        V = self.block(Y)
        if self.dense:
            return shaped(triangular(self.rows, V, "C"), Y)
        V = V / self.d[:, None]
        self.sweep("up", self.adjoint, V)
        found = np.empty_like(V)
        found[self.order] = V
        return shaped(found, Y)

    def lower(self, V: Any) -> np.ndarray:
        """d L^H P V: solutions in Euclidean coordinates."""
        W = self.block(V)
        if self.dense:
            return shaped(self.rows.conj().T @ W, V)
        W = W[self.order]
        return shaped(self.d[:, None] * (W + self.adjoint @ W), V)

    def solve(self, F: Any) -> np.ndarray:
        """X^-1 F."""
        return self.lift(self.half(F))

    def norm(self, V: Any) -> Any:
        """||v||_X of each column."""
        return np.linalg.norm(self.lower(V), axis=0)

    def dual_norm(self, F: Any) -> Any:
        """||f||_{X'} of each column."""
        return np.linalg.norm(self.half(F), axis=0)

    def block(self, B: Any) -> np.ndarray:
        """B as (n, k), row by row, in the type of the factors or a complex one."""
        B = np.asarray(B)
        if B.ndim not in (1, 2) or B.shape[0] != self.shape[0]:
            raise ValueError(f"expected vectors of {self.shape[0]} rows, (n,) or (n, k); got shape {B.shape}")
        wide = np.result_type(self.dtype, B.dtype, np.float64)
        return np.ascontiguousarray(B.reshape(self.shape[0], -1), dtype=wide)

    def sweep(self, direction: str, factor: Any, B: np.ndarray) -> None:
        from ..kernels import substitution

        getattr(substitution, direction)(factor.indptr, factor.indices, factor.data, B)

    def __repr__(self) -> str:
        return f"cholesky: {self.shape[0]} x {self.shape[1]}, {self.dtype}, {self.nbytes} bytes"


def cholesky(X: Any) -> Cholesky:
    """The Cholesky factors of a Hermitian positive definite X: a NumPy array or a SciPy sparse matrix (n, n).

    Sparse X is ordered and factorised by SuperLU without pivoting; X is positive definite if and only if all pivots are positive
    (Sylvester), up to rounding of the order of n eps ||X||. Memory: the entries of the factor twice, 12 bytes each; n^2 numbers
    for a dense X. The imaginary part of its diagonal is dropped. Raises numpy.linalg.LinAlgError if X is not positive definite,
    ValueError if it is not Hermitian to 1e-10 of its largest entry or not finite, TypeError if its entries are not stored.

    >>> import numpy as np, scipy.sparse as sp
    >>> from petrov.solvers.direct.cholesky import cholesky
    >>> R = cholesky(sp.csr_array([[4.0, 2.0], [2.0, 2.0]]))
    >>> R.norm(np.array([1.0, 0.0])), R.solve(np.array([4.0, 2.0]))
    (np.float64(2.0), array([1., 0.]))
    """
    if isinstance(X, np.ndarray):
        return dense(X)
    csc, _ = compressed_columns(X, "cholesky")
    hermitian(abs(csc - csc.conj().T).max() if csc.nnz else 0.0, abs(csc).max() if csc.nnz else 0.0)
    diagonal = csc.diagonal().real
    if not (diagonal > 0).all():  # said here, because SuperLU's BLAS writes to stderr where it meets an empty row
        raise np.linalg.LinAlgError(NOT_DEFINITE.format(f"the smallest entry of its diagonal is {diagonal.min():.3g}"))
    try:
        lu = SuperLU(spd=True).factors(csc, "MMD_AT_PLUS_A")
    except np.linalg.LinAlgError as error:
        raise np.linalg.LinAlgError(NOT_DEFINITE.format("a pivot is zero")) from error
    pivots = lu.U.diagonal()
    if not (np.array_equal(lu.perm_r, lu.perm_c) and (pivots.real > 0).all()):
        raise np.linalg.LinAlgError(NOT_DEFINITE.format(f"the smallest pivot is {pivots.real.min():.3g}"))
    order = np.argsort(lu.perm_r)
    from scipy.sparse import csr_array, tril

    strict = tril(lu.L, -1).tocsc()
    strict.sort_indices()
    adjoint = csr_array((strict.data.conj(), strict.indices, strict.indptr), shape=strict.shape)  # columns of L are rows of L^H
    return Cholesky(order, np.sqrt(pivots.real), strict.tocsr(), adjoint, csc.shape, csc.dtype)


def is_positive_definite(A: Any) -> bool:
    """Whether a Hermitian A has a Cholesky factorisation, up to rounding."""
    try:
        cholesky(A)
    except np.linalg.LinAlgError:
        return False
    return True


def dense(X: np.ndarray) -> Cholesky:
    """By LAPACK."""
    if X.ndim != 2 or X.shape[0] != X.shape[1]:
        raise ValueError(f"cholesky needs a square X; got shape {X.shape}")
    if not np.isfinite(X).all():
        raise ValueError("cholesky needs finite entries; X holds NaN or infinity")
    hermitian(np.abs(X - X.conj().T).max(initial=0.0), np.abs(X).max(initial=0.0))
    wide = X.astype(np.result_type(X.dtype, np.float64))
    try:
        L = np.linalg.cholesky(wide)
    except np.linalg.LinAlgError as error:
        raise np.linalg.LinAlgError(NOT_DEFINITE.format("a pivot is not positive")) from error
    return Cholesky(np.arange(len(X)), np.ones(len(X)), L, None, X.shape, wide.dtype)


NOT_DEFINITE = "X is not positive definite ({}); give a symmetric positive definite matrix"
ASYMMETRY = 1e-10


def hermitian(deviation: float, largest: float) -> None:
    if deviation > ASYMMETRY * largest:
        said = f"max|X - X^H| = {deviation:.2e}, max|X| = {largest:.2e}"
        raise ValueError(f"X is not symmetric (Hermitian): {said}; give (X + X^H)/2")


def triangular(L: np.ndarray, B: np.ndarray, trans: str) -> np.ndarray:
    from scipy.linalg import solve_triangular

    return solve_triangular(L, B, lower=True, trans=trans, check_finite=False)


def shaped(B: np.ndarray, like: Any) -> np.ndarray:
    return B[:, 0] if np.ndim(like) == 1 else B
