"""The first step of an evolution in parts: a state of low rank turns into many directions at once, and its steps are cheap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .local_solvers import Stats
from .method import StepResult
from .state import TTN


def in_parts(
    step: Callable[[TTN, float, float], StepResult], parts: int, state: TTN, t: float, h: float, span: tuple[float, float] | None
) -> StepResult:
    """step(state, t, h); the first of a span as so many steps of h / parts."""
    if span is None or t != span[0] or parts == 1:
        return step(state, t, h)
    stats, squares, result = Stats(), np.zeros(len(state.tree.edges)), StepResult(state)
    for k in range(parts):
        result = step(result.state, t + k * h / parts, h / parts)
        stats, squares = stats + result.stats, squares + np.square(result.discarded)
    return StepResult(result.state, tuple(np.sqrt(squares).tolist()), stats=stats)
