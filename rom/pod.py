"""Proper orthogonal decomposition: the few modes that hold most of a set of snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..solvers import arrays
from ..solvers.direct.cholesky import Cholesky, cholesky
from .homes import on_device, together


@dataclass(frozen=True, slots=True, eq=False)
class Modes:
    """The modes of `pod`: `basis` (n, N) with orthonormal columns in the product, most energetic first.

    `singular_values`: all min(n, m) of them, also those whose modes are not kept; in descending order. Both NumPy's, or CuPy's;
    `error` and `energy` are numbers, for which the singular values are read on the host.
    """

    basis: Any
    singular_values: Any

    @property
    def size(self) -> int:
        return int(self.basis.shape[1])

    def error(self, size: int | None = None) -> float:
        """The error of projecting the snapshots on the first `size` modes (all kept): the root of the squares dropped."""
        return tail(arrays.to_numpy(self.singular_values))[self.size if size is None else size]

    def energy(self, size: int | None = None) -> float:
        """The part of the sum of squares that the first `size` modes hold, between 0 and 1."""
        total = self.error(0)
        return 1.0 - (self.error(size) / total) ** 2 if total > 0 else 1.0

    def __repr__(self) -> str:
        n, N = self.basis.shape
        error = f"error {self.error():.2e} of {self.error(0):.2e}"
        return f"{type(self).__name__}: {N} modes of {n} unknowns, {self.basis.dtype}, {error}"


def pod(S: Any, *, product: Any = None, tol: float | None = None, size: int | None = None, weights: Any = None) -> Modes:
    """The N modes V that minimise sum_j w_j ||s_j - V V^H X s_j||_X^2 over the columns s_j of S (n, m).

    Parameters
    ----------
    S : array (n, m)
        Snapshots, one a column; real or complex, any of NumPy's floating types. CuPy arrays are worked on where they are, and
        answered with CuPy arrays; those of other libraries are read on the host.
    product : None, matrix X (n, n), or Cholesky
        The inner product u^H X v: None is the Euclidean one; X is dense or SciPy sparse, Hermitian and positive definite, and
        is factorised here; a factorisation by `petrov.solvers.direct.cholesky` (anything with `lower` and `lift`) is used as is.
        With CuPy snapshots a dense CuPy matrix, or what has `lower` and `lift` for CuPy arrays.
    tol : float, optional
        Keep the fewest modes with error(N) <= tol * error(0): the relative error of the snapshots, root mean square.
    size : int, optional
        Keep at most so many. Without tol and size all modes that stand above rounding are kept.
    weights : array (m,), optional
        w_j >= 0, of a quadrature in time or parameters for instance; default 1.

    Returns
    -------
    Modes
        basis^H X basis = I to rounding (of the condition of X). Modes whose singular value is below max(n, m) eps times the
        largest are noise, and never kept, whatever tol and size ask for.

    Notes
    -----
    X = L L^H; L^H S = Q R (Householder) and R = U Sigma W^H; the modes are L^-H Q U. The Gram matrix S^H X S of the method of
    snapshots would square the singular values and lose those below sqrt(eps); it is never formed. About 4 n m^2 operations and
    2 n m numbers beside S. Raises numpy.linalg.LinAlgError if X is not positive definite, ValueError for snapshots that are
    empty or not finite, TypeError for arrays in two places. On a device the host reads the singular values, and whether all is
    finite. Volkwein, Proper Orthogonal Decomposition (2013), section 1; Golub and Van Loan, Matrix Computations
    (2013), section 8.6.3.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.rom.pod import pod
    >>> x, mu = np.linspace(0, 1, 200)[:, None], np.linspace(1, 2, 30)
    >>> modes = pod(np.exp(-mu * x), tol=1e-6)
    >>> modes.size, bool(modes.error() <= 1e-6 * modes.error(0))
    (4, True)
    """
    together(S=S, product=None if hasattr(product, "lift") else product, weights=weights)
    S = snapshots_there(S, "S")
    n, m = S.shape
    if tol is not None and not 0 <= tol < 1:
        raise ValueError(f"tol is a relative error: 0 <= tol < 1; got {tol}")
    if size is not None and size < 1:
        raise ValueError(f"size, the most modes to keep, must be at least 1; got {size}")
    X = half_of_device(product, S) if on_device(S) else half_product(product, n)
    scaled = S if weights is None else S * roots(weights, S)
    U, sigma = left_vectors(X.lower(scaled))
    N = kept(arrays.to_numpy(sigma), max(n, m) * np.finfo(S.dtype).eps, tol, size)
    dtype = family(S.dtype, X)
    real = np.empty(0, dtype).real.dtype
    if on_device(S):
        return Modes(X.lift(U(N)).astype(dtype, copy=False), sigma.astype(real, copy=False))
    return Modes(np.ascontiguousarray(X.lift(U(N)), dtype), sigma.astype(real))


def roots(weights: Any, S: Any) -> Any:
    """The roots of the checked weights (m,), in the precision and the place of S."""
    found = np.sqrt(checked_weights(arrays.to_numpy(weights) if on_device(weights) else weights, S.shape[1]))
    found = found.astype(S.real.dtype)
    return arrays.namespace(S).asarray(found, device=arrays.device(S)) if on_device(S) else found  # type: ignore[union-attr]


def left_vectors(Y: Any) -> tuple[Any, Any]:
    """(a function from N to the first N left singular vectors of Y, all singular values)."""
    if on_device(Y):
        xp: Any = arrays.namespace(Y)
        if Y.shape[0] <= Y.shape[1]:
            U, sigma, _ = xp.linalg.svd(Y, full_matrices=False)
            return lambda N: U[:, :N], sigma
        Q, R = xp.linalg.qr(Y)
        U, sigma, _ = xp.linalg.svd(R)
        return lambda N: Q @ U[:, :N], sigma
    from scipy.linalg import qr, svd

    if Y.shape[0] <= Y.shape[1]:
        U, sigma, _ = svd(Y, full_matrices=False)
        return lambda N: U[:, :N], sigma
    Q, R = qr(Y, mode="economic")
    U, sigma, _ = svd(R)
    return lambda N: Q @ U[:, :N], sigma


def kept(sigma: np.ndarray, noise: float, tol: float | None, size: int | None) -> int:
    """How many modes: no more than size, no more than stand above rounding, and no more than tol needs."""
    N = int(np.count_nonzero(sigma > noise * sigma[0]))
    if tol is not None:
        left = tail(sigma)
        N = min(N, int(np.argmax(np.array(left) <= tol * left[0])))
    return N if size is None else min(N, size)


def tail(sigma: np.ndarray) -> list[float]:
    """The root of the sum of squares of what follows the first N singular values, for N = 0, 1, ..., all; without overflow."""
    unit = float(sigma[0]) or 1.0
    squares = np.concatenate([np.cumsum((sigma[::-1].astype(np.float64) / unit) ** 2)[::-1], [0.0]])
    return [float(value) for value in unit * np.sqrt(squares)]


def snapshots(S: Any, name: str) -> np.ndarray:
    """S as a finite floating-point array (n, m) on the host, or an error."""
    S = np.asarray(arrays.to_numpy(S) if arrays.namespace(S) is not None else S)
    if S.ndim != 2 or 0 in S.shape:
        raise ValueError(f"{name} must be an array (n, m), a snapshot a column, and not empty; got the shape {S.shape}")
    if S.dtype.kind not in "biufc":
        raise TypeError(f"{name} must hold numbers; got {S.dtype}")
    S = S.astype(arrays.working_dtype(S.dtype.name), copy=False)
    where = arrays.first_nonfinite(S)
    if where is not None:
        raise ValueError(f"{name} must be finite; entry {where} is {S[where]}: find out why, or drop that snapshot")
    return S


def snapshots_there(S: Any, name: str) -> Any:
    """`snapshots`, where S is if that is a device."""
    if not on_device(S):
        return snapshots(S, name)
    if S.ndim != 2 or 0 in S.shape or S.dtype.kind not in "biufc":
        raise ValueError(f"{name} must be an array (n, m) of numbers, not empty; got the shape {tuple(S.shape)} of {S.dtype}")
    xp: Any = arrays.namespace(S)
    S = xp.astype(S, np.dtype(arrays.working_dtype(S.dtype.name)), copy=False)
    bad = arrays.to_numpy(xp.any(~xp.isfinite(S), axis=0))
    if bad.any():
        raise ValueError(f"{name} must be finite; column {int(np.argmax(bad))} is not: find out why, or drop that snapshot")
    return S


def checked_weights(weights: Any, m: int) -> np.ndarray:
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (m,) or not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(f"weights must be {m} finite numbers >= 0, one a snapshot; got the shape {weights.shape}")
    return weights


class Euclidean:
    """The factor L = I of the product X = I."""

    def lower(self, V: Any) -> Any:
        """V itself."""
        return V

    lift = lower


def half_product(product: Any, n: int) -> Any:
    """What has `lower` (v to L^H v) and `lift` (back) for X = L L^H of n unknowns; product None is X = I.

    ValueError if X is not (n, n); what `cholesky` raises if it is not positive definite.
    """
    if product is None:
        return Euclidean()
    shape = getattr(product, "shape", (n, n))
    if tuple(shape) != (n, n):
        raise ValueError(f"product must be a matrix ({n}, {n}), as the snapshots have {n} rows; got the shape {tuple(shape)}")
    if hasattr(product, "lower") and hasattr(product, "lift"):
        return product
    return cholesky(product)


@dataclass(frozen=True, slots=True, eq=False)
class DenseHalf:
    """The factor L of a dense X = L L^H where X is."""

    L: Any

    @property
    def dtype(self) -> Any:
        return self.L.dtype

    def lower(self, V: Any) -> Any:
        """L^H V."""
        return adjoint(self.L) @ V

    def lift(self, W: Any) -> Any:
        """L^-H W."""
        return arrays.namespace(W).linalg.solve(adjoint(self.L), W)  # type: ignore[union-attr]


def adjoint(M: Any) -> Any:
    return M.T if M.dtype.kind != "c" else M.conj().T


def half_of_device(product: Any, S: Any) -> Any:
    """`half_product` for snapshots S of CuPy; TypeError for a sparse X, which nothing factorises there."""
    if product is None:
        return Euclidean()
    n = S.shape[0]
    if arrays.sparse(product) or isinstance(product, Cholesky):
        raise TypeError(
            "a sparse inner product is factorised on the host, and the snapshots are CuPy's: give them as NumPy arrays "
            "(cupy.asnumpy), a dense CuPy matrix, or an object with lower and lift for CuPy arrays"
        )
    if hasattr(product, "lower") and hasattr(product, "lift"):
        return product
    if tuple(product.shape) != (n, n):
        raise ValueError(f"product must be a matrix ({n}, {n}), as the snapshots have {n} rows; got the shape {product.shape}")
    xp: Any = arrays.namespace(product)
    X = xp.astype(product, np.dtype(arrays.working_dtype(product.dtype.name)), copy=False)
    L = xp.linalg.cholesky(X)
    size, skew, wrong = arrays.to_numpy(xp.stack([xp.max(xp.abs(D)) for D in (X, X - adjoint(X), X - L @ adjoint(L))]))
    unit = n * float(np.finfo(X.dtype).eps)
    if not skew <= max(1e-10, unit) * size:
        raise ValueError(f"product must be Hermitian and finite; it differs from its adjoint by {skew:.1e} of {size:.1e}")
    if not wrong <= 10 * unit * size:  # CuPy factorises what is not definite as far as it gets, and says nothing
        raise np.linalg.LinAlgError("product is not positive definite; give one that is, or product=None")
    return DenseHalf(L)


def family(dtype: np.dtype, half: Any) -> np.dtype:
    """dtype, or the complex type of its precision if the factors of a product are complex."""
    wide = np.dtype(getattr(half, "dtype", dtype))
    return np.result_type(dtype, np.complex64) if wide.kind == "c" else np.dtype(dtype)
