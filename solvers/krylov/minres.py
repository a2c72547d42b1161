"""Minimal residuals for symmetric, possibly indefinite systems."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import arrays
from ..operator import Scaled
from ..result import SolveResult, Status
from ..stopping import Run, drive, read
from ..system import system
from .columns import one_by_one


@one_by_one
def minres(
    A: Any, b: Any, *, M: Any = None, x0: Any = None, rtol: float | None = None, atol: float = 0.0,
    max_iterations: int | None = None, time_limit: float | None = None, callback: Callable[[Any], Any] | None = None,
) -> SolveResult:  # fmt: skip
    """Solve A x = b for a symmetric (Hermitian) A, definite or not, singular but consistent allowed.

    M must be symmetric positive definite. Converged is judged on ||b - A x||_2, not on the M-norm that the recurrence
    minimises. A singular system with b outside the range ends INCONSISTENT with a least-squares x. Common arguments and
    errors as in `cg`; b (n, k) is solved column by column.

    Holds 8 vectors (10 with M); an iteration is one product, one M and about 8 sweeps. Paige and Saunders, SIAM J. Numer.
    Anal. 12 (1975); preconditioned as in Elman, Silvester and Wathen, Finite Elements and Fast Iterative Solvers,
    Algorithm 4.1.

    >>> import numpy as np
    >>> from petrov.solvers import minres
    >>> minres(np.diag([1.0, -2.0, 3.0]), np.ones(3)).x.round(6)
    array([ 1.      , -0.5     ,  0.333333])
    """
    problem = system(
        A, b, M=M, x0=x0, rtol=rtol, atol=atol, max_iterations=max_iterations, time_limit=time_limit, callback=callback
    )  # fmt: skip
    return drive(Run("minres", problem), iterate)


def iterate(run: Run) -> Any:
    x = run.start()
    while (r := run.restart(x)) is not None:
        x = cycle(run, x, r)
    return x


def cycle(run: Run, x: Any, r: Any) -> Any:
    """Lanczos vectors v (residual space) and z = M v, rotations c, s, update directions w; names as in the book."""
    A, space, verbs = run.problem.A, run.space, run.verbs
    M = balanced(run, run.problem.M, r)
    v_old, v = arrays.zeros(r.shape, space), r
    w_old, w = arrays.zeros(r.shape, space), arrays.zeros(r.shape, space)
    z, gamma = lanczos_norm(run, M, v)
    if gamma is None:
        return x
    gamma_old, eta, norm_A = 1.0, gamma, 0.0
    singular = 0.5 * math.sqrt(space.eps)  # ||A r|| / (||A|| ||r||) from which r counts as orthogonal to the range
    c_old, c, s_old, s = 1.0, 1.0, 0.0, 0.0
    while True:
        z = z * (1.0 / gamma)
        q = verbs.product(A, z, space)
        delta = read(arrays.reduce(verbs.dot(z, q, space), space))
        v, v_old = q - (delta / gamma) * v - (gamma / gamma_old) * v_old, v
        z_next, gamma_next = lanczos_norm(run, M, v)
        if gamma_next is None:
            return x
        alpha0 = c * delta - c_old * s * gamma
        alpha1 = math.hypot(alpha0, gamma_next)
        alpha2, alpha3 = s * delta + c_old * c * gamma, s_old * gamma
        norm_A = max(norm_A, math.hypot(gamma, delta, gamma_next) if run.iteration else abs(delta))
        # The previous residual satisfies ||A r|| = ||r|| hypot(alpha0, c gamma_next): zero is a least-squares solution.
        if alpha1 == 0.0 or math.hypot(alpha0, c * gamma_next) <= singular * norm_A:
            run.leave(Status.INCONSISTENT)
            return x
        c_old, c, s_old, s = c, alpha0 / alpha1, s, gamma_next / alpha1
        w, w_old = (z - alpha3 * w_old - alpha2 * w) * (1.0 / alpha1), w
        x = x + (c * eta) * w
        eta = -s * eta
        if M is None:
            norm = abs(eta)
        else:
            r = (s * s) * r + ((c * eta / gamma_next) * v if gamma_next > 0 else 0.0 * v)
            norm = float(arrays.norm(r, space))
        if run.look(x, norm * norm) or gamma_next == 0.0:
            return x
        gamma_old, gamma, z = gamma, gamma_next, z_next


def balanced(run: Run, M: Any, r: Any) -> Any:
    """M, or a power of two times M where r^H M r would leave the range in which its square root is taken."""
    if M is None:
        return None
    image = run.verbs.product(M, r, run.space, "M")
    gain = float(arrays.norm(image, run.space)) / float(arrays.norm(r, run.space))
    if not 0.0 < gain < math.inf or 1e-60 < gain < 1e60:
        return M
    return Scaled(M, 2.0 ** min(-math.floor(math.log2(gain)), 1000))


def lanczos_norm(run: Run, M: Any, v: Any) -> tuple[Any, float | None]:
    """z = M v and sqrt(v^H z); None after noting why if that is no norm."""
    z, vz = run.verbs.precondition(M, v, None, run.space)
    vz = read(arrays.reduce(vz, run.space))
    if M is None or vz == 0.0 or not math.isfinite(vz):
        norm = float(arrays.norm(v, run.space))
        if not math.isfinite(norm):
            run.leave(Status.NONFINITE_OPERATOR)
            return z, None
        if M is None:
            return z, norm
    if not math.isfinite(vz):
        run.leave(Status.NONFINITE_PRECONDITIONER)
        return z, None
    if vz < 0.0 or (vz == 0.0 and norm > 0.0):
        run.leave(Status.INDEFINITE_PRECONDITIONER)
        return z, None
    return z, math.sqrt(vz)
