"""From the system a user gives to the one that is solved, and back: elimination, change of sign, projection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import arrays
from .arrays import Space
from .eliminate import Elimination
from .kernels import reference
from .kernels.verbs import verbs
from .nullspace import Nullspace
from .result import SolveResult, Status
from .system import tolerances

MARGIN = 0.999  # the part of the limit left to the free rows; the rest covers the rounding of the eliminated ones


@dataclass(frozen=True, slots=True, eq=False)
class Transform:
    """What is done to A x = b before it is solved; each part may be absent (None, None, 1.0)."""

    A: Any
    elimination: Elimination | None
    nullspace: Nullspace | None
    sign: float

    @property
    def trivial(self) -> bool:
        return self.elimination is None and self.nullspace is None and self.sign == 1.0

    def moved(self, move: Callable[[np.ndarray], Any]) -> Transform:
        """The same for vectors of a GPU."""
        elimination = None if self.elimination is None else self.elimination.moved(move)
        return replace(self, elimination=elimination, nullspace=None if self.nullspace is None else self.nullspace.moved(move))

    def forward(self, b: Any, x0: Any, rtol: float | None, atol: float, space: Space) -> Inner:
        """The inner system for one b; the tolerance is that of the original one."""
        known, inner, inconsistency = None, b, 0.0
        if self.elimination is not None:
            known, inner = self.elimination.reduce(b)
            x0 = None if x0 is None else arrays.asarray(x0, space)[self.elimination.free]
            # The smallest column's limit serves all columns: an absolute tolerance is one number.
            limit = max(tolerances(rtol, atol, space) * float(np.min(arrays.norm(b, space))), atol)
            rtol, atol = 0.0, MARGIN * limit
        if self.nullspace is not None:
            inner = self.nullspace.off_range(b)
            size, outside = (float(np.linalg.norm(arrays.norm(v, space))) for v in (b, b - inner))
            inconsistency = outside / size if size > 0 else 0.0
        return Inner(self.sign * inner if self.sign != 1.0 else inner, x0, rtol, atol, known, inconsistency)

    def restore(self, inner: Inner, x: Any) -> Any:
        """The user's x from the inner one."""
        if self.nullspace is not None:
            return self.nullspace.off_kernel(x)
        return x if self.elimination is None else self.elimination.expand(inner.known, x)

    def restate(self, inner: Inner, result: SolveResult, b: Any, rtol: float | None, atol: float, space: Space) -> SolveResult:
        """The inner record in terms of the user's system; the residual of an eliminated one is computed anew."""
        x, asked = self.restore(inner, result.x), tolerances(rtol, atol, space)
        said = [*self.story(), result.reason]
        if self.elimination is None:
            return replace(result, x=x, inconsistency=inner.inconsistency, rtol=asked, reason="; ".join(said))
        wide = arrays.asarray(b, space, arrays.WIDE[space.dtype])
        size = np.atleast_1d(arrays.norm(b, space))
        residual = verbs(self.A, space).residual if space.is_cupy else reference.residual
        norms = np.atleast_1d(arrays.norm(residual(self.A, wide, x, space), space))
        met = norms <= np.maximum(asked * size, atol)
        if result.converged and not met.all():
            statuses = tuple(Status.CONVERGED if ok else Status.STAGNATED for ok in met)
            result = replace(result, status=Status.STAGNATED, statuses=statuses)
            said.append(Status.STAGNATED.value)
        if not np.isfinite(norms).all():
            result, x, norms = replace(result, status=Status.DIVERGED), arrays.zeros(b.shape, space), size
            said.append(f"x is too large for {space.dtype}")
        vector, relative = b.ndim == 1, np.divide(norms, size, out=np.zeros_like(norms), where=size > 0)
        return replace(
            result, x=x, rtol=asked, matvecs=result.matvecs + len(norms), residual=float(norms[0]) if vector else norms,
            relative_residual=float(relative[0]) if vector else relative, reason="; ".join(said),
        )  # fmt: skip

    def story(self) -> list[str]:
        said = []
        if self.elimination is not None:
            said.append(f"{len(self.elimination.fixed)} rows that fix one unknown eliminated")
        if self.sign < 0:
            said.append("A is negative definite by its diagonal: solved as -A x = -b")
        if self.nullspace is not None:
            said.append(f"null space of dimension {self.nullspace.right.shape[1]} projected out")
        return said


@dataclass(frozen=True, slots=True, eq=False)
class Inner:
    """The system that is solved: b, x0 and tolerances, the unknowns already known, and how far b was out of range."""

    b: Any
    x0: Any
    rtol: float | None
    atol: float
    known: Any
    inconsistency: float
