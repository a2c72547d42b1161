"""Flexible conjugate gradients: for a preconditioner that changes, is not linear or not quite symmetric."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from .. import arrays
from ..certify import certify
from ..kernels import reference
from ..result import SolveResult
from ..stopping import Run, drive
from ..system import system
from .columns import one_by_one


@one_by_one
def flexible_cg(
    A: Any, b: Any, *, M: Any = None, x0: Any = None, rtol: float | None = None, atol: float = 0.0,
    max_iterations: int | None = None, time_limit: float | None = None, callback: Callable[[Any], Any] | None = None,
    memory: int = 2,
) -> SolveResult:  # fmt: skip
    """Solve A x = b for symmetric positive definite A; M may be anything that maps r to a useful direction.

    Each direction M r is made A-orthogonal to the last `memory` directions, so an M that changes from call to call (an
    inner iteration, a trained network) costs iterations but never correctness. Common arguments, the meaning of converged
    and errors as in `cg`; b (n, k) is solved column by column. Raises ValueError if memory < 1.

    Holds 4 + 2 memory vectors and a copy of the best x; an iteration is one product, one M and 3 + 2 memory sweeps.
    Notay, SIAM J. Sci. Comput. 22 (2000), Algorithm 2.1 (truncated).

    >>> import numpy as np
    >>> from petrov.solvers import flexible_cg
    >>> flexible_cg(np.diag([1.0, 2.0, 3.0]), np.ones(3)).converged
    True
    """
    if isinstance(memory, bool) or not isinstance(memory, int) or memory < 1:
        raise ValueError(f"memory must be an integer >= 1 (directions to stay orthogonal to); got {memory!r}")
    problem = system(
        A, b, M=M, x0=x0, rtol=rtol, atol=atol, max_iterations=max_iterations, time_limit=time_limit, callback=callback
    )  # fmt: skip
    return drive(Run("flexible_cg", problem, compiled=True), lambda run: iterate(run, memory))


def iterate(run: Run, memory: int) -> Any:
    A, M, space, verbs = run.problem.A, run.problem.M, run.space, run.verbs
    x, run.compile_seconds = run.start(), verbs.compile_for(A, None, space)
    while (r := run.restart(x)) is not None:
        directions: deque[tuple[Any, Any, Any]] = deque(maxlen=memory)
        while True:
            z, rz = verbs.precondition(M, r, None, space)
            p = arrays.copy(z, space)
            for old, image, energy in directions:
                p = p - reference.cast(reference.ratio(reference.dot(image, p, space), energy, None, space), space) * old
            q, pq = verbs.apply_dot(A, p, None, space)
            pr = reference.dot(p, r, space)
            x, r, _, rr, _ = verbs.step(None, pr, pq, p, q, x, r, r, None, space)
            # The sign of r^H M r does not matter here: p^H r has the same, and x moves downhill either way.
            nonzero = None if M is None else abs(rz)
            if run.look(x, rr, curvature=pq, preconditioned=nonzero, breakdown=pr, direction=(p, q)):
                break
            directions.append((p, arrays.copy(q, space), space.xp.asarray(pq)))  # A may hand out one buffer again
    certify(run, x)
    return x
