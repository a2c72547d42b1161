"""What every integrator on trees does: one step, as a frozen recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ...solvers import arrays
from ..homes import together
from .invariants import checked_keep, truncated_holding
from .krylov import Krylov
from .local_solvers import Stats
from .runge_kutta import AdaptiveRK
from .singular_values import cut
from .state import TTN, unitary_error
from .tasks import Workers
from .tensors import all_finite

FLOOR = 1e-14  # of the norm: no tolerance of a truncation lies below


@dataclass(frozen=True, slots=True, eq=False)
class StepResult:
    """A step that was made.

    `state`: orthonormal, at t + h. `discarded`: the 2-norm tail that the truncation left out, an edge each (empty without one).
    `rejections`: how often the step was repeated in larger bases. `stats`: of the local solves, those of refused steps too.
    `estimate`: an estimate of what the step missed, if the method has one.
    """

    state: TTN
    discarded: tuple[float, ...] = ()
    rejections: int = 0
    stats: Stats = field(default_factory=Stats)
    estimate: float | None = None


class Method(Protocol):
    """An integrator: a frozen dataclass that holds parameters and no state, so that a step depends on its arguments alone.

    `order`: of the error in h at a fixed time. `step`: from t to t + h (h < 0 goes back), with a right-hand side from `as_rhs`
    or what that accepts. `span`: (start, end) of the whole evolution, which start-up rules read; None for a single step. The
    state may have any gauge; results are orthonormal, and a step from such a state does no sweep more.
    """

    @property
    def order(self) -> int: ...

    def step(self, state: TTN, rhs: Any, t: float, h: float, *, span: tuple[float, float] | None = None) -> StepResult: ...


def prepared(state: TTN, rhs: Any) -> TTN:
    """The state as a step needs it: orthonormal, complex if the right-hand side is. ValueError for another tree or NaN."""
    if not isinstance(state, TTN):
        raise TypeError(f"the state must be a TTN; got {type(state).__name__}: TTN.product and TTN.from_dense make one")
    if state.tree != rhs.tree:
        raise ValueError(
            f"the state and the right-hand side must have the same tree; they have\n{state.to_text()}\nand\n{rhs.tree.to_text()}"
        )
    if (at_time := getattr(rhs, "at_time", None)) is not None:
        together(state=state.cores[-1], source=at_time(0.0).cores[-1])
    name = state.dtype
    if rhs.is_complex and not name.startswith("complex"):
        name = {"float32": "complex64"}.get(name, "complex128")
    if any(arrays.dtype_name(core) != name for core in state.cores):
        state = state.cast(name)
    error = unitary_error(state)
    if not error <= 1000 * np.finfo(name).eps:
        state = state.orthonormal()
    if not all_finite(state.cores[-1]):
        raise ValueError("the state holds NaN or infinity: look at the step before")
    return state


def solver_for(local: Any, flow: Any, theta: float, size: float) -> Any:
    """The local solver: the given one; else Krylov for linear flows and AdaptiveRK for others, at a tenth of theta / size."""
    if local is not None:
        return local
    tol = min(max(0.1 * theta / size if size > 0 else 0.0, FLOOR), 1e-8)
    return Krylov(tol=tol) if flow.linear else AdaptiveRK(rtol=tol, atol=max(tol * size, 1e-300))


def checked_ranks(min_rank: int, max_rank: int | None) -> None:
    if not all(isinstance(rank, int | np.integer) for rank in (min_rank, max_rank) if rank is not None):
        raise TypeError(f"ranks must be whole numbers; got min_rank = {min_rank!r} and max_rank = {max_rank!r}")
    if min_rank < 1 or (max_rank is not None and max_rank < min_rank):
        raise ValueError(f"ranks must be 1 <= min_rank <= max_rank (None for no limit); got {min_rank} and {max_rank}")


def checked_truncation(truncation: str) -> None:
    if truncation not in ("weighted", "published"):
        raise ValueError(f'truncation must be "weighted" or "published"; got {truncation!r}')


def truncate(method: Any, state: TTN, theta: float, workers: Workers | None = None) -> tuple[TTN, tuple[float, ...]]:
    """`truncation.truncated` for an orthonormal state by the rules of a method: limits, spare, truncation, relative, keep."""
    weighted = method.truncation == "weighted"
    rules = {"spare": method.spare, "relative": method.relative}
    if method.keep:
        return truncated_holding(state, method.keep, theta, method.min_rank, method.max_rank, weighted, **rules)
    cores, discarded = cut(state.tree, state.cores, theta, method.min_rank, method.max_rank, weighted, workers, **rules)
    return TTN(state.tree, cores), discarded


def checked_tolerance(tolerance: float) -> None:
    if not 0 <= tolerance < np.inf:
        raise ValueError(f"tolerance must be a number >= 0; got {tolerance}")


def checked_adaptive(method: Any) -> None:
    """Refuse parameters that no integrator with adaptive ranks can mean."""
    checked_tolerance(method.tolerance)
    checked_ranks(method.min_rank, method.max_rank)
    if not (isinstance(method.spare, int) and method.spare >= 0):
        raise ValueError(f"spare must be a number of directions >= 0; got {method.spare}")
    checked_truncation(method.truncation)
    checked_keep(method.keep)
    if not (isinstance(method.start_parts, int) and method.start_parts >= 1):
        raise ValueError(f"start_parts must be the number of parts of the first step, at least 1; got {method.start_parts!r}")


def checked_threads(threads: int | None) -> None:
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, or None; got {threads}")
