"""The same sets on the clock: petrov.Sequence as it comes beside all the other ways, interleaved, each answer judged first."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..document import FAILED, NOT_CONVERGED, OK, WRONG, Row
from ..measure import LADDER, ROUNDING, first_line
from . import sets
from .sets import Family
from .ways import LIMIT, OURS, REFERENCE, Answers, OutOfTime, Way, of, ways

WORK = "times"
REFERENCE_BAR, RIVAL_BAR = 13.9, 1.25


class Set(NamedTuple):
    """A set in full and quick; `published`: the bar against GMRES(40) is meant for it."""

    full: Callable[[int], Family]
    quick: Callable[[int], Family]
    published: bool = False


SETS: dict[str, Set] = {
    "Darcy": Set(sets.darcy, lambda count: sets.darcy(count, 32), True),
    "Thermal": Set(sets.thermal, lambda count: sets.thermal(count, 20), True),
    "Poisson": Set(sets.poisson, lambda count: sets.poisson(count, 20), True),
    "Helmholtz": Set(sets.helmholtz, lambda count: sets.helmholtz(count, 32), True),
    "Darcy, as released": Set(lambda count: sets.darcy(count, released=True), lambda count: sets.darcy(count, 32, released=True)),
    "Helmholtz, as released": Set(
        lambda count: sets.helmholtz(count, released=True), lambda count: sets.helmholtz(count, 32, released=True)
    ),
    "log-normal media": Set(sets.media, lambda count: sets.media(count, 32)),
    "heat in time": Set(sets.heat, lambda count: sets.heat(count, 32)),
    "waves": Set(sets.waves, lambda count: sets.waves(count, 32)),
}  # fmt: skip


class Timing(NamedTuple):
    """Rounds in which every way has its turn; systems a round for a way that solves each by itself."""

    rounds: int
    few: int


def name(problem: str) -> str:
    """The name of the contest of a set."""
    return f"{problem}: seconds a system"


def measure(family: Family, timing: Timing) -> list[Row]:
    """Every way judged first, then timed in turn; a reference, which takes seconds a system, has one turn of one system."""
    everything = list(range(len(family.systems)))
    entries = [Entry(way, family) for way in ways(family)]
    for entry in entries:
        entry.judge(everything[:1] if entry.way.role == REFERENCE else everything[:3])
    for turn in range(timing.rounds):
        for entry in entries:
            if entry.row.status == OK and entry.way.role != REFERENCE:
                few = [(turn * timing.few + k) % len(everything) for k in range(timing.few)]
                entry.time(few if entry.way.each else everything)
    for entry in entries:
        if entry.way.role == REFERENCE and entry.row.status == OK:
            entry.time([len(everything) // 2])
    return [entry.finished() for entry in entries]


class Entry:
    """A way on its way: its row so far, what it has to be asked for, the seconds a system of its runs."""

    def __init__(self, way: Way, family: Family):
        self.way, self.family, self.asked, self.seconds = way, family, family.rtol, list[float]()
        A = family.systems[0][0]
        kind = "spd" if family.definite else "indefinite" if family.symmetric else "general"
        library = "petrov" if way.role == OURS else "rivals"
        self.row = Row(
            name(family.name), family.name, kind, way.name, library, OK, rows=A.shape[0], entries=int(A.nnz), rtol=family.rtol,
            work=WORK,
        )  # fmt: skip

    def judge(self, chosen: list[int]) -> None:
        """Find what the way has to be asked for to be right; a way that is out of time is slower than that."""
        for part in LADDER:
            self.asked = part * self.family.rtol
            try:
                worst = self.worst(self.way.run(self.family, chosen, self.asked), chosen)
            except OutOfTime:
                return self.out_of_time()
            except Exception as error:
                self.row = replace(self.row, status=FAILED, reason=f"{type(error).__name__}: {first_line(str(error))}")
                return None
            self.row = replace(self.row, relative_residual=worst, asked_rtol=self.asked)
            if worst <= self.family.rtol * (1 + ROUNDING):
                return None
        self.row = replace(self.row, status=NOT_CONVERGED, reason=f"true relative residual {worst:.1e}")
        return None

    def worst(self, found: Answers, chosen: list[int]) -> float:
        return max(
            float(np.linalg.norm(b - A @ x) / np.linalg.norm(b)) for x, (A, b) in zip(found, of(self.family, chosen), strict=True)
        )

    def time(self, chosen: list[int]) -> None:
        gc.collect()
        start = time.perf_counter()
        try:
            found = self.way.run(self.family, chosen, self.asked)
        except OutOfTime:
            return self.out_of_time()
        self.seconds.append((time.perf_counter() - start) / len(chosen))
        worst = self.worst(found, chosen)
        if not worst <= self.family.rtol * (1 + ROUNDING):
            wrong = WRONG if self.way.role == OURS else NOT_CONVERGED
            self.row = replace(self.row, status=wrong, relative_residual=worst, reason=f"true relative residual {worst:.1e}")
        return None

    def out_of_time(self) -> None:
        """Slower than the limit, which is what is counted."""
        self.row = replace(self.row, status=NOT_CONVERGED, reason=f"a system took more than {LIMIT:g} s")
        self.seconds = [LIMIT]

    def finished(self) -> Row:
        """The row, with medians; seconds also for a way that was out of time."""
        if not self.seconds or (self.row.status != OK and self.seconds != [LIMIT]):
            return self.row
        return replace(
            self.row, runs=len(self.seconds), setup_seconds=0.0, solve_seconds=float(np.median(self.seconds)),
            fastest_seconds=min(self.seconds), slowest_seconds=max(self.seconds),
        )  # fmt: skip


class Standing(NamedTuple):
    """What the rows of a set say."""

    problem: str
    ours: Row
    rival: Row | None
    reference: Row | None
    references: list[Row]

    @property
    def ratio(self) -> float | None:
        """Ours over the best of all other ways; the bar is RIVAL_BAR."""
        return quotient(self.ours, self.rival)

    @property
    def gain(self) -> float | None:
        """SciPy's gmres(40) with the preconditioner that suits it best, over ours; the bar is REFERENCE_BAR."""
        return quotient(self.reference, self.ours)

    @property
    def gains(self) -> dict[str, float]:
        """The same with every preconditioner that gave a right answer, or was out of time."""
        found = {row.method.removeprefix(f"{REFERENCE} + "): quotient(row, self.ours) for row in self.references}
        return {name: gain for name, gain in found.items() if gain is not None}

    @property
    def published(self) -> bool:
        """The bar against GMRES(40) is meant for this set."""
        return SETS[self.ours.family].published


def quotient(a: Row | None, b: Row | None) -> float | None:
    return a.solve_seconds / b.solve_seconds if a and b and a.solve_seconds and b.solve_seconds else None


def standings(rows: Iterable[Row]) -> list[Standing]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.work == WORK:
            groups.setdefault(row.problem, []).append(row)
    return [standing(problem, group) for problem, group in groups.items()]


def standing(problem: str, rows: list[Row]) -> Standing:
    def best(some: Iterable[Row]) -> Row | None:
        return min(some, key=lambda row: row.solve_seconds or np.inf, default=None)

    others = [row for row in rows if row.method != OURS and row.solve_seconds]
    references = [row for row in others if row.method.startswith(REFERENCE)]
    return Standing(
        problem, next(row for row in rows if row.method == OURS), best(row for row in others if row.status == OK),
        best(references), references,
    )
