"""An evolution under way: the state now, and the rows recorded so far."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...solvers import arrays
from .local_solvers import Stats
from .method import StepResult
from .result import Evolution
from .state import TTN
from .tensors import all_finite


@dataclass(frozen=True, slots=True)
class Row:
    """What was recorded at one time."""

    t: float
    observed: tuple[np.ndarray, ...]
    ranks: tuple[int, ...]
    discarded: float


@dataclass(frozen=True, slots=True, eq=False)
class Now:
    """All that a step changes, replaced as a whole: an interrupt finds the one before or the one after."""

    state: TTN
    step: int = 0
    rows: int = 0  # of Run.rows that belong to it
    tail: float = 0.0
    rejections: int = 0
    stats: Stats = field(default_factory=Stats)
    seconds: float = 0.0


@dataclass(slots=True)
class Run:
    now: Now
    observe: Mapping[str, Callable[[TTN], Any]]
    rows: list[Row] = field(default_factory=list)

    def start(self, times: list[float]) -> None:
        """Record the initial state, if its time is given."""
        for t in times:
            self.rows.append(self.row(t, self.now.state, 0.0))
        self.now = Now(self.now.state, rows=len(self.rows))

    def finish(self, made: StepResult, end: float, saved: bool, seconds: float) -> None:
        """Take the result of a step that led to `end`."""
        now, state = self.now, contiguous(made.state)
        tail = now.tail + float(np.linalg.norm(made.discarded))
        del self.rows[now.rows :]
        if saved:
            self.rows.append(self.row(end, state, tail))
        rejections, stats = now.rejections + made.rejections, now.stats + made.stats
        self.now = Now(state, now.step + 1, len(self.rows), tail, rejections, stats, now.seconds + seconds)

    def row(self, t: float, state: TTN, tail: float) -> Row:
        """TypeError or ValueError if something observed is no array of numbers, or of another shape than before."""
        observed = tuple(self.number(k, f(state)) for k, f in enumerate(self.observe.values()))
        return Row(t, observed, state.ranks, tail)

    def number(self, k: int, seen: Any) -> np.ndarray:
        name, value = [*self.observe][k], np.asarray(arrays.to_numpy(seen))
        if value.dtype.kind not in "biufc":
            raise TypeError(f"observe[{name!r}] must return a number or an array of numbers; got {type(seen).__name__}")
        if self.rows and value.shape != self.rows[0].observed[k].shape:
            before = self.rows[0].observed[k].shape
            raise ValueError(f"observe[{name!r}] must return arrays of one shape; got {value.shape} after {before}")
        return value

    def result(self, t: float) -> Evolution:
        """All of it as of now, which is time t."""
        now, rows = self.now, self.rows[: self.now.rows]
        observed = {name: np.array([row.observed[k] for row in rows]) for k, name in enumerate(self.observe)}
        ranks = np.array([row.ranks for row in rows], int).reshape(len(rows), len(now.state.tree.edges))
        return Evolution(
            now.state, t, np.array([row.t for row in rows]), observed, ranks, np.array([row.discarded for row in rows]),
            now.rejections, now.step, now.seconds, now.stats,
        )  # fmt: skip


def contiguous(state: TTN) -> TTN:
    """With cores that own their numbers in C order, as they are after reading from a file: products then have the same bits."""
    return TTN(state.tree, tuple(np.array(core, order="C") if isinstance(core, np.ndarray) else core for core in state.cores))


def finite(state: TTN) -> bool:
    return all_finite(*state.cores)
