"""Smallest eigenvalues and singular values measured by X: estimates from above, and bounds that a factorisation confirms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...solvers import arrays
from ...solvers.direct import factorize
from ...solvers.direct.cholesky import Cholesky, cholesky, is_positive_definite

SMALL = 200  # unknowns up to which LAPACK is asked for the eigenvalues
STEPS = 150  # of a Lanczos iteration at most
ROUGH = 12  # steps that tell about where a spectrum lies
SEED = 48_611
GROWTH = 4.0  # of the distance to the guess, where a factorisation has failed
EPS = float(np.finfo(np.float64).eps)


def hermitian_part(A: Any) -> Any:
    """(A + A^H) / 2."""
    return (A + A.conj().T) / 2


def skew_part(A: Any) -> Any:
    """(A - A^H) / 2i, which is Hermitian: A is its Hermitian part plus i times this."""
    return (A - A.conj().T) / 2j


def smallest_eigenvalue(A: Any, X: Any, factor: Cholesky | None = None, *, tol: float = 1e-6) -> float:
    """An estimate from above of the smallest eigenvalue lambda of A v = lambda X v, for a Hermitian A and X > 0 (n, n).

    Lanczos with full orthogonalisation on (A - s X)^-1, where s = 0 if A is positive definite, else a number that a Cholesky
    factorisation shows to lie below the spectrum; up to 200 unknowns LAPACK. A Rayleigh quotient is never below lambda: see
    `confirmed` for a bound. `factor` is cholesky(X), made here if it is missed. It stops when the residual is tol of the
    eigenvalue of the inverse, or after 150 steps. Cost: one Cholesky factorisation if A > 0, a few otherwise, and two
    triangular solves a step, mostly 10 to 40. Memory: the factor and a vector a step. Raises ValueError if A is not Hermitian or
    not finite, TypeError if its entries are not stored.

    >>> import numpy as np
    >>> smallest_eigenvalue(np.diag([3.0, -2.0]), np.diag([1.0, 4.0]))
    -0.5
    """
    return smallest_pair(A, X, factor, tol=tol)[0]


def smallest_pair(A: Any, X: Any, factor: Cholesky | None = None, *, tol: float = 1e-6) -> tuple[float, np.ndarray]:
    """`smallest_eigenvalue`, and the vector (n,) whose Rayleigh quotient it is, with v^H X v = 1."""
    if A.shape != X.shape:
        raise ValueError(f"A and X must have one shape; got {A.shape} and {X.shape}")
    if abs(A).max() == 0:
        return quotient(A, X, np.ones(A.shape[0]))
    if A.shape[0] <= SMALL:
        from scipy.linalg import eigh

        _, vectors = eigh(dense(A), dense(X), subset_by_index=(0, 0))
        return quotient(A, X, vectors[:, 0])
    R = below(A, X, factor)
    _, y = largest(lambda y: R.half(X @ R.lift(y)), A.shape[0], kind(A, X), tol)
    return quotient(A, X, R.lift(y))


def below(A: Any, X: Any, factor: Cholesky | None) -> Cholesky:
    """The factors of A - s X > 0, with s = 0 or below the spectrum by a part of its width."""
    if (A.diagonal().real > 0).all():
        try:
            return cholesky(A)
        except np.linalg.LinAlgError:
            pass
    factor = cholesky(X) if factor is None else factor
    high, _ = largest(lambda y: factor.half(A @ factor.lift(y)), A.shape[0], kind(A, X), 1e-2, ROUGH)
    minus_low, _ = largest(lambda y: -factor.half(A @ factor.lift(y)), A.shape[0], kind(A, X), 1e-2, ROUGH)
    low, width = -minus_low, max(high + minus_low, EPS * abs(minus_low), np.finfo(float).tiny)
    for doubling in range(40):
        try:
            return cholesky(A - (low - 0.1 * width * 2**doubling) * X)
        except np.linalg.LinAlgError:
            continue
    raise np.linalg.LinAlgError("no shift makes A - s X positive definite; is X positive definite, and scaled like A?")


def largest(
    apply: Callable[[np.ndarray], np.ndarray], n: int, dtype: np.dtype, tol: float, steps: int = STEPS
) -> tuple[float, np.ndarray]:
    """(theta, y): the largest Ritz value of a Hermitian map after some steps of Lanczos, and its vector of length one."""
    from scipy.linalg import eigh_tridiagonal

    q = np.random.default_rng(SEED).standard_normal(n).astype(dtype)
    Q: list[np.ndarray] = [q / np.linalg.norm(q)]
    diagonal: list[float] = []
    beside: list[float] = []
    for step in range(1, min(steps, n) + 1):
        w = apply(Q[-1])
        diagonal.append(float(np.vdot(Q[-1], w).real))
        for _ in range(2):  # twice is enough (Kahan, Parlett)
            for q in Q:
                w = w - np.vdot(q, w) * q
        theta, s = eigh_tridiagonal(np.array(diagonal), np.array(beside), select="i", select_range=(step - 1, step - 1))
        left = float(np.linalg.norm(w))
        if left * abs(s[-1, 0]) <= tol * abs(theta[0]) or left <= EPS * abs(theta[0]) or step == min(steps, n):
            break
        beside.append(left)
        Q.append(w / left)
    y = np.tensordot(s[:, 0], np.array(Q), axes=1)
    return float(theta[0]), y / np.linalg.norm(y)


def confirmed(A: Any, X: Any, guess: float, *, margin: float = 1e-3) -> float:
    """A lower bound of the smallest eigenvalue of A v = lambda X v: an alpha < guess for which A - alpha X has a Cholesky factor.

    alpha = guess - margin |guess| first, then four times as far away until the factorisation succeeds; near zero the distance
    is that of rounding. n eps of the diagonals of A and |alpha| X is taken off first, so that the rounding of the factorisation
    cannot make an indefinite matrix look definite (Rump, BIT 46 (2006) 433). alpha is negative where A is indefinite. Cost: one
    sparse Cholesky factorisation mostly. Raises ValueError if A is not Hermitian or the guess not finite.

    >>> import numpy as np
    >>> A = np.diag([2.0, 5.0])
    >>> confirmed(A, np.eye(2), 2.0), bool(confirmed(A, np.eye(2), 2.1) <= 2.0)  # 2.1 is refused by the factorisation
    (1.998, True)
    """
    if not (np.isfinite(guess) and 0 < margin < 1):
        raise ValueError(f"confirmed needs a finite guess and 0 < margin < 1; got guess={guess}, margin={margin}")
    a, x = abs(A.diagonal()), X.diagonal().real
    if abs(A).max() == 0:
        return min(float(guess), 0.0)
    n = A.shape[0]
    distance = max(margin * abs(guess), 8 * n * EPS * float((a / x).max()))
    for _ in range(60):
        alpha = float(guess) - distance
        if definite(A - alpha * X - diagonal(n * EPS * (a + abs(alpha) * x), A)):
            return alpha
        distance *= GROWTH
    raise np.linalg.LinAlgError(f"no lower bound near {guess:.3g} could be confirmed; is X positive definite, and scaled like A?")


def semidefinite(H: Any, X: Any, scale: float) -> float | None:
    """The least of scale times 1e-12, 1e-11, ..., 1e-7 for which H + that X > 0, up to rounding; 0 if H = 0; None if none is."""
    if abs(H).max() == 0:
        return 0.0
    return next((delta for delta in scale * 10.0 ** np.arange(-12, -6) if definite(H + delta * X)), None)


def definite(A: Any) -> bool:
    """Whether a Hermitian A is positive definite, up to rounding; the diagonal first, which costs nothing."""
    return bool((A.diagonal().real > 0).all()) and is_positive_definite(A)


def smallest_singular_value(A: Any, X: Any, factor: Cholesky | None = None, *, tol: float = 1e-4) -> float:
    """An estimate from above of the inf-sup constant of A: the smallest singular value of L^-1 A L^-H with X = L L^H.

    Lanczos on the inverse of its square, by one factorisation of A (n, n) and two solves with it a step. 0 if A is singular.

    >>> import numpy as np
    >>> from petrov.solvers.direct.cholesky import cholesky
    >>> A, X = np.array([[0.0, 3.0], [-1.0, 0.0]]), np.eye(2)
    >>> round(smallest_singular_value(A, X, cholesky(X)), 6)
    1.0
    """
    R = cholesky(X) if factor is None else factor
    try:
        F = factorize(A)
    except np.linalg.LinAlgError:
        return 0.0

    def squared(y: np.ndarray) -> np.ndarray:
        z = R.lower(F @ (X @ R.lift(y)))
        return R.lower(F.H @ (X @ R.lift(z)))

    return float(1.0 / np.sqrt(largest(squared, A.shape[0], kind(A, X), tol)[0]))


def quotient(A: Any, X: Any, v: np.ndarray) -> tuple[float, np.ndarray]:
    """(v^H A v, v) of v scaled to v^H X v = 1."""
    v = v / np.sqrt(np.vdot(v, X @ v).real)
    return float(np.vdot(v, A @ v).real), v


def kind(*matrices: Any) -> np.dtype:
    return np.result_type(*(np.dtype(arrays.dtype_name(A)) for A in matrices), np.float64)


def dense(A: Any) -> np.ndarray:
    return A if isinstance(A, np.ndarray) else A.toarray()


def diagonal(values: np.ndarray, like: Any) -> Any:
    """A diagonal matrix, dense or sparse as another one is."""
    if isinstance(like, np.ndarray):
        return np.diag(values)
    from scipy.sparse import diags_array

    return diags_array(values, format="csr")
