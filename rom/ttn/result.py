"""What an evolution on a tree returns, and the errors that carry what was reached so far."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from .drawing import plot_evolution
from .local_solvers import Stats
from .state import TTN
from .tensors import norm


@dataclass(frozen=True, slots=True, eq=False)
class Evolution:
    """The state at the end, and what was recorded on the way.

    `state` at time `t`. Row k of the rest belongs to `times[k]`: every step and the start, or what `save_at` named.
    `observed[name]`: what observe[name] returned, stacked. `ranks` (times, edges). `discarded` (times,): what truncations left
    out up to then, the sum over the steps of its 2-norm over the edges, an estimate of their part of the error.
    `rejections`: repeated steps. `steps` made, `seconds` of wall time in them, `stats` of the local solves.
    """

    state: TTN
    t: float
    times: np.ndarray
    observed: dict[str, np.ndarray]
    ranks: np.ndarray
    discarded: np.ndarray
    rejections: int
    steps: int
    seconds: float
    stats: Stats

    def __repr__(self) -> str:
        top = max(self.state.ranks, default=1)
        return f"{type(self).__name__}: t = {self.t:g} after {self.steps} steps, rank {top}, {self.seconds:.3g} s"

    def plot(self, path: str | None = None) -> Any:
        """A matplotlib Figure of what was observed and of the ranks against time; written to `path` if given."""
        return plot_evolution(self, path)


class TruncationWarning(UserWarning):
    """What truncations left out in all steps together is no small part of the state any more."""


def warn_of_truncation(result: Evolution, left: float, target: float) -> None:
    """A TruncationWarning if `left`, the sum of what was left out, is above `target` times the norm of the state at the end."""
    size = norm(result.state.cores[-1])
    if left > target * size > 0:
        told = f"what truncations left out in {result.steps} steps adds up to {left / size:.1e} of the norm of the state"
        told = f"{told}, above the target of {target:g}: lower the tolerance, raise max_rank, or spare a direction more"
        warnings.warn(told, TruncationWarning, stacklevel=3)


class EvolutionError(ArithmeticError):
    """A step failed, or its result was not finite. `result`: the Evolution up to the step before."""

    def __init__(self, message: str, result: Evolution) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.result)  # also out of a process of a pool


class EvolutionInterrupted(KeyboardInterrupt):
    """Ctrl-C during an evolution. `result`: the Evolution up to the last whole step."""

    def __init__(self, message: str, result: Evolution) -> None:
        super().__init__(message)
        self.result = result

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.result)  # also out of a process of a pool
