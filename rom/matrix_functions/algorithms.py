"""Functions of one matrix, and how fast their power series fall."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...solvers import arrays
from ...solvers.direct.sparse import factorize
from ..operators.terms import deviation
from .thetas import Series, ThetaInterpolation

TERMS = 150  # of a series that are summed before its remainder is
SYMMETRIC = 1e-12  # max |A - A^H| / max |A|


def dense(A: Any) -> np.ndarray:
    """A as an array."""
    return A.toarray() if arrays.sparse(A) else np.asarray(A)


def hermitian(A: np.ndarray) -> bool:
    """Whether a dense A is Hermitian to rounding."""
    return bool(deviation(A) <= SYMMETRIC * abs(A).max(initial=0.0))


def inverse(A: Any) -> Any:
    """A^-1: a matrix, Hermitian if A is, or the factorisation of a sparse A."""
    if arrays.sparse(A):
        return factorize(A)
    X = np.linalg.inv(A)
    return (X + X.conj().T) / 2 if hermitian(A) else X


def logdet(A: Any) -> float:
    """log det A; LinAlgError unless the determinant is positive."""
    sign, value = sparse_slogdet(A) if arrays.sparse(A) else np.linalg.slogdet(A)
    if not abs(sign - 1) < 1e-6:
        raise np.linalg.LinAlgError(
            f"logdet needs a positive determinant; its sign is {sign:.3g}; if it never vanishes, pass a callable of your own"
        )
    return float(value)


def sparse_slogdet(A: Any) -> tuple[complex, float]:
    """numpy.linalg.slogdet of a sparse A, from its L U factorisation."""
    from scipy.sparse.linalg import splu

    try:
        lu = splu(A.tocsc().astype(arrays.WIDE[arrays.working_dtype(A.dtype.name)]))
    except RuntimeError as error:
        raise np.linalg.LinAlgError(f"logdet needs a nonsingular matrix; SuperLU says: {error}") from error
    diagonal = lu.U.diagonal()
    return parity(lu.perm_r) * parity(lu.perm_c) * np.prod(diagonal / abs(diagonal)), float(np.log(abs(diagonal)).sum())


def parity(order: np.ndarray) -> int:
    """The sign of a permutation: -1 for each cycle of even length."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(order)
    cycles = connected_components(coo_array((np.ones(n), (np.arange(n), order)), shape=(n, n)), return_labels=False)
    return -1 if (n - cycles) % 2 else 1


def sqrt(A: Any) -> np.ndarray:
    """The principal square root."""
    from scipy.linalg import sqrtm

    return sqrtm(dense(A))


def sign(A: Any) -> np.ndarray:
    """The matrix sign function: no eigenvalue may cross the imaginary axis."""
    from scipy.linalg import signm

    return signm(dense(A))


def exp(A: Any) -> np.ndarray:
    """The matrix exponential, by scaling and squaring."""
    from scipy.linalg import expm

    return expm(dense(A))


ALGORITHMS: dict[str, Callable[[Any], Any]] = {
    "inverse": inverse, "logdet": logdet, "sqrt": sqrt, "sign": sign, "exp": exp,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A -> c_0 I + c_1 A + ... + c_n A^n, dense, by Horner's rule; interpolated exactly from degree n on.

    >>> import numpy as np
    >>> Polynomial([1.0, 0.0, 2.0])(np.diag([1.0, 3.0]))
    array([[ 3.,  0.],
           [ 0., 19.]])
    """

    coefficients: Sequence[Any]

    name = "polynomial"

    def __post_init__(self) -> None:
        c = np.asarray(self.coefficients)
        if c.ndim != 1 or c.size == 0 or c.dtype.kind not in "biufc" or not np.isfinite(c).all():
            raise ValueError(f"coefficients must be finite numbers, the constant first; got {self.coefficients!r}")

    def __call__(self, A: Any) -> np.ndarray:
        A = dense(A)
        X = np.zeros(A.shape, np.result_type(A, np.float32))
        for c in reversed(self.coefficients):
            X = X @ A + c * np.eye(len(A), dtype=A.dtype)
        return X


@dataclass(frozen=True, slots=True)
class Iteration:
    """A -> the limit of X <- step(X, A) from start(A) (default: A): until |X_new - X| <= rtol |X_new|, or round-off stops it.

    LinAlgError if X is not finite or `max_iterations` do not do.

    >>> import numpy as np
    >>> root = Iteration(lambda X, A: (X + np.linalg.solve(X, A)) / 2)  # Newton
    >>> root(np.diag([4.0, 9.0]))
    array([[2., 0.],
           [0., 3.]])
    """

    step: Callable[[Any, Any], Any]
    start: Callable[[Any], Any] | None = None
    rtol: float = 1e-13
    max_iterations: int = 200

    name = "iteration"

    def __call__(self, A: Any) -> Any:
        X, change = A if self.start is None else self.start(A), math.inf
        for _ in range(self.max_iterations):
            with np.errstate(over="ignore", invalid="ignore"):  # said below
                new = self.step(X, A)
                before, change, size = change, float(np.linalg.norm(new - X)), float(np.linalg.norm(new))
            if not math.isfinite(size):
                raise np.linalg.LinAlgError("the iteration diverged: X is not finite")
            X = new
            if change <= self.rtol * size or before <= change <= 1e-8 * size:
                return X
        raise np.linalg.LinAlgError(f"the iteration did not converge in {self.max_iterations} steps; the last was {change:.1e}")


def name_of(algorithm: Any) -> str:
    """What messages call an algorithm."""
    if isinstance(algorithm, str):
        return algorithm
    return str(getattr(algorithm, "name", getattr(algorithm, "__name__", type(algorithm).__name__)))


def series_of(f: Any, matrices: list[Any], weights: ThetaInterpolation) -> tuple[float, Series] | str:
    """(factor, series): |T_k| <= factor * (what the series says) where f(A) = sum_k s^k T_k; or why there is none.

    A = C + sum_q s_q B_q with C in the middle of the box. Dense algebra, some n^3.
    """
    if not isinstance(f, Polynomial) and f not in SERIES:
        return f"no series of {name_of(f)} is known"
    if any(arrays.sparse(A) for A in matrices):
        return "norms of dense matrices are needed, and these are sparse (toarray() if they are small)"
    C = sum(c * A for c, A in zip(weights.centre, matrices, strict=True))
    B = [h * A for h, A in zip(weights.scale, matrices, strict=True) if h > 0]
    try:
        factor, sizes, terms, ratio = polynomial_series(f, C, B) if isinstance(f, Polynomial) else SERIES[f](C, B)
    except np.linalg.LinAlgError as error:
        return f"in the middle of the box, {error}"
    reach = float(np.sum(sizes)) * ratio
    if reach >= 1:
        return f"the series of {name_of(f)} converges up to 1 around the middle of the box, which reaches {reach:.3g}"
    return factor, Series(np.array(sizes, float), np.array(terms, float), ratio)


def relative(C: np.ndarray, B: list[np.ndarray]) -> tuple[Any, list[np.ndarray]]:
    """(|C^-1|, singular values of what stands for C^-1 B_q): of L^-1 B_q L^-H if C = L L^H and all are Hermitian."""
    if hermitian(C) and all(hermitian(part) for part in B):
        lowest = np.linalg.eigvalsh(C)[0]
        if lowest > 0:
            L = np.linalg.inv(np.linalg.cholesky(C))
            return 1 / lowest, [abs(np.linalg.eigvalsh(L @ part @ L.conj().T)) for part in B]
    X = np.linalg.inv(C)
    return np.linalg.norm(X, 2), [np.linalg.svd(X @ part, compute_uv=False) for part in B]


def inverse_series(C: np.ndarray, B: list[np.ndarray]) -> tuple[Any, list[Any], Any, float]:
    """Neumann's: C^-1 sum_j (- sum_q s_q B_q C^-1)^j."""
    factor, values = relative(C, B)
    return factor, [v.max() for v in values], np.ones(TERMS), 1.0


def logdet_series(C: np.ndarray, B: list[np.ndarray]) -> tuple[Any, list[Any], Any, float]:
    """log det C - sum_j tr (- sum_q s_q C^-1 B_q)^j / j, with |tr(D_1 ... D_j)| <= |D_1|_* |D_2| ... |D_j|."""
    values = relative(C, B)[1]
    rank = max((v.sum() / v.max() for v in values if v.max() > 0), default=0.0)
    return rank, [v.max() for v in values], 1 / np.maximum(np.arange(TERMS), 1), 1.0


def exp_series(C: np.ndarray, B: list[np.ndarray]) -> tuple[Any, list[Any], Any, float]:
    """Dyson's: a word of j factors B_q has at most exp(the logarithmic norm of C) / j! times their norms."""
    factor = math.exp(np.linalg.eigvalsh((C + C.conj().T) / 2)[-1])
    return factor, [np.linalg.norm(part, 2) for part in B], [1 / math.factorial(j) for j in range(TERMS)], 1 / TERMS


def sqrt_series(C: np.ndarray, B: list[np.ndarray]) -> tuple[Any, list[Any], Any, float]:
    """From A^1/2 = int_0^inf (I - t (A + t)^-1) t^-1/2 dt / pi and Neumann's series of (A + t)^-1, for positive definite A.

    (C + t)^-1/2 C^1/2 is a contraction, at most (h / (h + t))^1/2 with h the largest eigenvalue of C, and what is left of the
    integral is h^1/2 B(1/2, j - 1/2) / pi.
    """
    values = np.linalg.eigvalsh(C) if hermitian(C) and all(hermitian(part) for part in B) else np.array([-1.0])
    if not values[0] > 0:
        raise np.linalg.LinAlgError("A is not Hermitian positive definite")
    terms = np.cumprod([1.0, 1.0, *((2 * j - 1) / (2 * j) for j in range(1, TERMS - 1))])
    return np.sqrt(values[-1]), [v.max() for v in relative(C, B)[1]], terms, 1.0


def polynomial_series(f: Polynomial, C: np.ndarray, B: list[np.ndarray]) -> tuple[Any, list[Any], Any, float]:
    """|T_k| is at most what p^ = sum_j |c_j| x^j gives at |C|: its derivative of order |k|, over |k|!."""
    c, size = np.abs(np.asarray(f.coefficients)), np.linalg.norm(C, 2)
    n = len(c)
    terms = [sum(c[j] * math.comb(j, m) * size ** (j - m) for j in range(m, n)) for m in range(n)]
    return 1.0, [np.linalg.norm(part, 2) for part in B], terms, 0.0


SERIES = {inverse: inverse_series, logdet: logdet_series, exp: exp_series, sqrt: sqrt_series}
