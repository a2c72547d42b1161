"""What the rows say by themselves: who stands where, did learning help, when does training pay, what grows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..document import OK, Row, by_problem
from . import works
from .samples import Sample, Spread, of, paired
from .ways import BASELINE, NETWORK, SCALARS, UNTRAINED

CLASSICAL = ("SSOR", "Neumann factor")


class Standing(NamedTuple):
    """A learned preconditioner on one problem: its three forms, and the baselines that were right."""

    kin: str
    problem: str
    untrained: Row | None
    scalars: Row | None
    network: Row | None
    baselines: tuple[Row, ...]

    def best(self, right_hand_sides: int = 1, library: str = "", name: str = "") -> Row | None:
        """The baseline of the lowest median total, of those of a library or a name."""
        rows = [row for row in self.baselines if row.library == (library or row.library) and row.method.startswith(name)]
        return min(rows, key=lambda row: total(row, right_hand_sides), default=None)


def total(row: Row, right_hand_sides: int) -> float:
    """The median over the systems of set-up and so many solves."""
    spread = of(row, lambda one: one.total(right_hand_sides))
    return spread.median if spread else float("inf")


def role(row: Row) -> tuple[str, str]:
    """(role, kin) of a row."""
    name, _, kin = row.chose.partition(" of ")
    return name, kin


def right(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.status == OK and row.history]


def standings(rows: Sequence[Row]) -> list[Standing]:
    """Every learned preconditioner on every problem that was timed; absent ones as well."""
    found = []
    for problem, group in by_problem(row for row in rows if row.work in works.TIMED).items():
        kins = list(dict.fromkeys(role(row)[1] for row in group if role(row)[1]))
        base = tuple(row for row in right(group) if role(row)[0] == BASELINE)
        for kin in kins:
            forms = {role(row)[0]: row for row in group if role(row)[1] == kin}
            # SSOR and the Neumann factor need no weights: to what is not of their kind they are baselines
            others = tuple(row for row in right(group) if role(row)[1] != kin and row.method.startswith(CLASSICAL))
            found.append(Standing(kin, problem, forms.get(UNTRAINED), forms.get(SCALARS), forms.get(NETWORK), base + others))
    return found


def iterations(one: Sample) -> float:
    return one.iterations


def totals(right_hand_sides: int) -> Callable[[Sample], float]:
    return lambda one: one.total(right_hand_sides)


# -- Did learning help? ----------------------------------------------------------------------------------------------------


class Help(NamedTuple):
    """The network beside its twin of tuned scalars, or beside its start where scalars that were tuned on one family do worse than
    that on another: iterations and totals of 1 and 10 right-hand sides, as paired ratios."""

    kin: str
    problem: str
    twin: str
    iterations: Spread
    one: Spread
    ten: Spread

    @property
    def word(self) -> str:
        """Of iterations and of the seconds of ten right-hand sides: both count, on three quarters of the systems."""
        if self.iterations.high < 1.0 and self.ten.high < 1.0:
            return "helps"
        return "fewer iterations, no time" if self.iterations.high < 1.0 else "does not help"


def helps(rows: Sequence[Row]) -> list[Help]:
    found = []
    for one in standings(rows):
        if one.network is None or one.network.status != OK or one.scalars is None:
            continue
        twin = min(right(row for row in (one.scalars, one.untrained) if row), key=lambda row: total(row, 10), default=None)
        parts = [paired(one.network, twin, what) for what in (iterations, totals(1), totals(10))]
        if twin is not None and all(part is not None for part in parts):
            found.append(Help(one.kin, one.problem, twin.method, *parts))  # type: ignore[arg-type]
    return found


class BreakEven(NamedTuple):
    """After how many matrices, each with one right-hand side (ten), the seconds of training came back; None: never."""

    kin: str
    problem: str
    rival: str
    training: float | None
    gain: float  # seconds a matrix with one right-hand side, median of the paired differences
    gain_ten: float
    one: float | None
    ten: float | None


def break_evens(rows: Sequence[Row], weights: dict[str, Any]) -> list[BreakEven]:
    """Against the best baseline of each problem."""
    found = []
    for one in standings(rows):
        training = (weights.get(one.kin) or {}).get("seconds")
        if one.network is None or one.network.status != OK or (best := one.best()) is None:
            continue
        rivals = {k: one.best(k) for k in (1, 10)}
        gains = {k: gain(one.network, rival, k) for k, rival in rivals.items()}
        counts = {k: training / g if training and g and g > 0 else None for k, g in gains.items()}
        more = gains[1] or 0.0, gains[10] or 0.0
        found.append(BreakEven(one.kin, one.problem, best.method, training, *more, counts[1], counts[10]))
    return found


def gain(ours: Row, rival: Row | None, right_hand_sides: int) -> float | None:
    """The median over the systems of the seconds saved."""
    if rival is None:
        return None
    theirs = {int(values[0]): Sample(*values) for values in rival.history}
    both = [(Sample(*values), theirs[int(values[0])]) for values in ours.history if int(values[0]) in theirs]
    return float(np.median([b.total(right_hand_sides) - a.total(right_hand_sides) for a, b in both])) if both else None


# -- Growth ----------------------------------------------------------------------------------------------------------------


class Slope(NamedTuple):
    """A way on a family at several sizes: iterations by unknowns, and d log iterations / d log n."""

    family: str
    method: str
    counts: tuple[tuple[int, int], ...]
    slope: float


def slopes(rows: Sequence[Row]) -> list[Slope]:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grown = row.work in (works.GROWTH, works.DIRECTIONS)
        if grown and row.status == OK and row.iterations and row.method != "direct":
            groups.setdefault((row.family, row.method), []).append(row)
    found = []
    for (family, method), group in groups.items():
        counts = sorted((row.rows or 0, row.iterations or 0) for row in group)
        if len(counts) >= 3:
            logarithms = np.log(np.array(counts, dtype=float))
            slope = float(np.polyfit(logarithms[:, 0], logarithms[:, 1], 1)[0])
            found.append(Slope(family, method, tuple(counts), slope))
    return found
