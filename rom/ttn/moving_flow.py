"""Linear local equations whose coefficients or sources change within a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .local_solvers import LinearFlow


@dataclass(frozen=True, slots=True, eq=False)
class MovingFlow:
    """Y' = F(t, Y), linear at every time: `at(t)` is the equation of constant coefficients there, `middle` that halfway through.

    Called, it is F(t, Y): Runge-Kutta methods keep their order. Solvers of constant linear equations find `apply`, `factor` and
    `source` of the middle: the exponential midpoint rule, of order 2.

    >>> import numpy as np
    >>> at = lambda t: LinearFlow(lambda Y: Y, factor=t)
    >>> F = MovingFlow(at, at(0.5))
    >>> F(2.0, np.ones(1)), F.factor
    (array([2.]), 0.5)
    """

    at: Callable[[float], LinearFlow]
    middle: LinearFlow

    linear = True

    def __call__(self, t: float, Y: Any) -> Any:
        return self.at(t)(t, Y)

    def apply(self, Y: Any) -> Any:
        return self.middle.apply(Y)

    @property
    def factor(self) -> complex:
        return self.middle.factor

    @property
    def hermitian(self) -> bool | None:
        return self.middle.hermitian

    @property
    def source(self) -> Any:
        return self.middle.source


def with_source(
    flow: LinearFlow | MovingFlow, source: Any, moving: Callable[[float], Any] | None = None
) -> LinearFlow | MovingFlow:
    """The flow and a source, at other times than the middle `moving(t)` if given."""

    def added(linear: LinearFlow, source: Any) -> LinearFlow:
        return LinearFlow(linear.apply, linear.factor, linear.hermitian, source)

    if isinstance(flow, MovingFlow):
        at = flow.at
        return MovingFlow(lambda t: added(at(t), source if moving is None else moving(t)), added(flow.middle, source))
    if moving is None:
        return added(flow, source)
    return MovingFlow(lambda t: added(flow, moving(t)), added(flow, source))
