"""Flexible conjugate gradients: for a preconditioner that changes, is not linear or not quite symmetric, or any directions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import arrays
from ..certify import certify
from ..kernels import reference
from ..operator import name_of
from ..result import SolveResult
from ..stopping import Run, drive
from ..system import system
from .columns import one_by_one

DEPENDENT = 8.0  # times eps |z|: a direction that is shorter once it is conjugate to the last ones is rounding


@one_by_one
def flexible_cg(
    A: Any, b: Any, *, M: Any = None, x0: Any = None, rtol: float | None = None, atol: float = 0.0,
    max_iterations: int | None = None, time_limit: float | None = None, callback: Callable[[Any], Any] | None = None,
    memory: int = 2, direction: Callable[[Any], Any] | None = None,
) -> SolveResult:  # fmt: skip
    """Solve A x = b for symmetric positive definite A; M may be anything that maps r to a useful direction.

    Each direction M r is made A-orthogonal to the last `memory` directions and searched exactly, so the error never grows in the
    norm of A, and an M that changes from call to call (an inner iteration, a trained network) costs iterations but never
    correctness. `direction`, a function of a residual (n,) that returns a direction (n,), does as well as an M; its sign and
    length do not matter.

    Common arguments, the meaning of converged and errors as in `cg`; b (n, k) is solved column by column. A direction that
    is not finite ends the solve as NONFINITE_PRECONDITIONER, one that is zero, orthogonal to r or dependent on the last ones to
    rounding as BREAKDOWN. Raises ValueError if memory < 1 or both M and direction are given, TypeError if direction is not
    callable.

    Holds 4 + 2 memory vectors and a copy of the best x; an iteration is one product, one M and 5 + 2 memory sweeps.
    Notay, SIAM J. Sci. Comput. 22 (2000), Algorithm 2.1 (truncated); with memory=2, Kaneda et al. (ICML 2023), Algorithm 1.

    >>> import numpy as np
    >>> from petrov.solvers import flexible_cg
    >>> A = np.diag([1.0, 2.0, 3.0])
    >>> flexible_cg(A, np.ones(3)).converged, flexible_cg(A, np.ones(3), direction=lambda r: -r / A.diagonal()).iterations
    (True, 1)
    """
    if isinstance(memory, bool) or not isinstance(memory, int) or memory < 1:
        raise ValueError(f"memory must be an integer >= 1 (directions to stay orthogonal to); got {memory!r}")
    problem = system(
        A, b, M=chosen(A, M, direction), x0=x0, rtol=rtol, atol=atol, max_iterations=max_iterations, time_limit=time_limit,
        callback=callback,
    )  # fmt: skip
    return drive(Run("flexible_cg", problem, compiled=True), lambda run: iterate(run, memory))


def chosen(A: Any, M: Any, direction: Any) -> Any:
    """M, or the operator that a direction is."""
    if direction is None:
        return M
    if M is not None:
        raise ValueError("flexible_cg takes M or direction, not both; got both: leave out the one that is not to be used")
    if not callable(direction):
        raise TypeError(f"direction must be callable, direction(r) -> q of r's shape; got {type(direction).__name__}; use M=")
    return Directed(direction, getattr(A, "shape", None), getattr(A, "dtype", None))


@dataclass(frozen=True, slots=True, eq=False)
class Directed:
    """A function r -> q as an operator."""

    function: Callable[[Any], Any]
    shape: Any
    dtype: Any

    linear = False

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", name_of(self.function)))

    def __matmul__(self, r: Any) -> Any:
        xp = arrays.namespace(r)
        assert xp is not None
        q = self.function(xp.asarray(r, copy=True))  # which may write to what it is given
        if arrays.namespace(q) is None or tuple(q.shape) != tuple(r.shape):
            got = tuple(q.shape) if hasattr(q, "shape") else type(q).__name__
            raise ValueError(f"direction(r) must return an array of r's shape {tuple(r.shape)}; {self.name} returned {got}")
        size = xp.max(xp.abs(q))  # so that a direction's length does not matter, be it 1e-200
        return q / xp.where((size > 0) & xp.isfinite(size), size, xp.ones_like(size))


def iterate(run: Run, memory: int) -> Any:
    A, M, space, verbs = run.problem.A, run.problem.M, run.space, run.verbs
    x, run.compile_seconds = run.start(), verbs.compile_for(A, None, space)
    while (r := run.restart(x)) is not None:
        directions: deque[tuple[Any, Any, Any]] = deque(maxlen=memory)
        while True:
            z, rz = verbs.precondition(M, r, None, space)
            p = arrays.copy(z, space)
            for old, image, energy in directions:
                along = arrays.reduce(reference.dot(image, p, space), space)
                p = p - reference.cast(reference.ratio(along, energy, None, space), space) * old
            q, pq = verbs.apply_dot(A, p, None, space)
            pq, pr = arrays.reduced(space, pq, reference.dot(p, r, space))
            useless = None if M is None else no_use(z, p, r, pr, space)
            x, r, _, rr, _ = verbs.step(None, pr, pq, p, q, x, r, r, None, space)
            rr, rz = arrays.reduced(space, rr, rz)
            if run.look(x, rr, **seen(M, rz, pr, pq, useless, space), direction=(p, q)):
                break
            directions.append((p, arrays.copy(q, space), space.xp.asarray(pq)))  # A may hand out one buffer again
    certify(run, x)
    return x


def no_use(z: Any, p: Any, r: Any, pr: Any, space: Any) -> Any:
    """Whether p is what rounding left of z, or orthogonal to r up to rounding: a search along it shows nothing."""
    zz, pp, rr = arrays.reduced(space, *(reference.dot(v, v, space) for v in (z, p, r)))
    root = space.xp.sqrt  # of each: their product is below the smallest number where M is 1e-150
    return (pp <= (DEPENDENT * space.eps) ** 2 * zz) | (abs(pr) < space.eps * root(pp) * root(rr))


def seen(M: Any, rz: Any, pr: Any, pq: Any, useless: Any, space: Any) -> dict[str, Any]:
    """What `look` is told of a step. The sign of r^H M r does not matter: p^H r has the same, and x moves downhill either way."""
    if useless is None:
        return {"curvature": pq, "breakdown": pr}
    one = space.xp.ones_like(pr)
    found = space.xp.where(useless, 0 * one, pr), space.xp.where(useless, one, space.xp.asarray(pq))
    finite = abs(space.xp.asarray(rz))
    if isinstance(M, Directed):  # zero is no property of an M then
        finite = space.xp.where(finite == 0, one, finite)
    return {"breakdown": found[0], "curvature": found[1], "preconditioned": finite}
