"""Stabilised bi-conjugate gradients: short recurrences for non-symmetric systems."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .. import arrays
from ..kernels import reference
from ..result import SolveResult, Status
from ..stopping import Run, drive, read
from ..system import system
from .columns import one_by_one


@one_by_one
def bicgstab(
    A: Any, b: Any, *, M: Any = None, x0: Any = None, rtol: float | None = None, atol: float = 0.0,
    max_iterations: int | None = None, time_limit: float | None = None, callback: Callable[[Any], Any] | None = None,
) -> SolveResult:  # fmt: skip
    """Solve A x = b for any square A with a fixed amount of memory; preconditioned on the right by a linear M.

    The residual is not monotone: the best x is kept. When the recurrence breaks down it is started anew from the true
    residual; BREAKDOWN is returned if it breaks down at once. Common arguments, the meaning of converged and errors as in
    `cg`; b (n, k) is solved column by column.

    Holds 8 vectors and a copy of the best x; an iteration is two products and two M. Van der Vorst, SIAM J. Sci. Stat.
    Comput. 13 (1992); Saad, Iterative Methods (2003), Algorithm 7.7.

    >>> import numpy as np
    >>> from petrov.solvers import bicgstab
    >>> bicgstab(np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([3.0, 1.0])).x.round(6)
    array([1., 1.])
    """
    problem = system(
        A, b, M=M, x0=x0, rtol=rtol, atol=atol, max_iterations=max_iterations, time_limit=time_limit, callback=callback
    )  # fmt: skip
    return drive(Run("bicgstab", problem), iterate)


def iterate(run: Run) -> Any:
    x = run.start()
    while (r := run.restart(x)) is not None:
        x = cycle(run, x, r)
    return x


def cycle(run: Run, x: Any, r: Any) -> Any:
    """The recurrence from one true residual until something has to be looked at."""
    A, M, space, start = run.problem.A, run.problem.M, run.space, run.iteration
    shadow = p = r
    rho = inner(shadow, r, space)
    while True:
        y = precondition(M, p, space)
        v = arrays.copy(reference.product(A, y, space), space)
        sigma = inner(shadow, v, space)
        if not usable(run, sigma, y, v, start):
            return x
        alpha = rho / sigma
        s = r - alpha * v
        z = precondition(M, s, space)
        t = reference.product(A, z, space)
        tt, ts = inner(t, t, space), inner(t, s, space)
        if not (math.isfinite(abs(tt)) and math.isfinite(abs(ts))):
            nonfinite(run, z)
            return x
        omega = ts / tt if tt != 0 else 0.0
        x = x + alpha * y + omega * z
        r = s - omega * t
        rho_old, rho = rho, inner(shadow, r, space)
        stop = run.look(x, inner(r, r, space).real, products=2)
        if stop or not usable(run, omega * rho, z, t, start):
            return x
        p = r + (rho / rho_old) * (alpha / omega) * (p - omega * v)


def inner(x: Any, y: Any, space: Any) -> Any:
    return read(arrays.inner(x, y, space))


def precondition(M: Any, r: Any, space: Any) -> Any:
    return r if M is None else arrays.copy(reference.product(M, r, space, "M"), space)


def usable(run: Run, divisor: Any, image: Any, product: Any, start: int) -> bool:
    """True if the recurrence may divide by `divisor`; otherwise notes why, if a restart would not help."""
    if divisor != 0 and math.isfinite(abs(divisor)):
        return True
    if not math.isfinite(abs(divisor)) and not math.isfinite(float(arrays.norm(product, run.space))):
        nonfinite(run, image)
    elif run.iteration <= start + 1:
        run.leave(Status.BREAKDOWN)
    return False


def nonfinite(run: Run, image: Any) -> None:
    sound = math.isfinite(float(arrays.norm(image, run.space)))
    run.leave(Status.NONFINITE_OPERATOR if sound else Status.NONFINITE_PRECONDITIONER)
