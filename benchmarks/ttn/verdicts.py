"""What the rows of `petrov bench ttn` say to the bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .. import stages
from ..document import OK, Row
from ..sequences.verdicts import Verdict
from ..table import ratio, seconds
from . import alone, line_source, plane_source, spins, threads

STEP_BAR, STEP_TARGET = 1 / 15, 1 / 40  # of PyTreeNet's time a step
ERROR, TIME_BAR, TIME_TARGET = 2e-7, 1.0, 1 / 3  # of the time that TeNPy needs for that error
WORKS = {
    spins.ISING: "long-range Ising: time a step beside PyTreeNet's BUG, time for an error beside TeNPy's TDVP",
    spins.NEIGHBOURS: "neighbours alone, where chains are at home: time for an error beside TeNPy's TDVP and TEBD",
    spins.MANY: "32 and 64 spins: operators and steps",
    plane_source.WORK: "a plane source with two uncertain parameters, beside collocation",
    line_source.WORK: "a line source with two uncertain parameters in its published size, beside collocation",
    threads.WORK: "parallel BUG: seconds of a step on one thread and on two",
}


class Pace(NamedTuple):
    """One of our BUG methods beside the fastest BUG of PyTreeNet that is right; peer None where there is none."""

    ours: Row
    peer: Row | None
    absent: bool  # none was run, rather than none was right

    @property
    def share(self) -> float | None:
        """None unless both are right."""
        if self.ours.status != OK or self.peer is None:
            return None
        return quotient(self.ours.solve_seconds, self.peer.solve_seconds)

    @property
    def last(self) -> float | None:
        """Of the last step alone."""
        if self.peer is None or not self.ours.history or not self.peer.history:
            return None
        return quotient(self.ours.history[-1][2], self.peer.history[-1][2])


class Duel(NamedTuple):
    """The fastest of our rows and of a peer's whose error is at most ERROR."""

    work: str
    quench: str
    name: str  # of the peer's method
    bar: float | None
    ours: Row | None
    peer: Row | None
    absent: bool

    @property
    def share(self) -> float | None:
        return quotient(self.ours.solve_seconds if self.ours else None, self.peer.solve_seconds if self.peer else None)


def quotient(a: float | None, b: float | None) -> float | None:
    return a / b if a and b else None


def fastest(rows: Iterable[Row]) -> Row | None:
    timed = [row for row in rows if row.status == OK and row.solve_seconds]
    return min(timed, key=lambda row: row.solve_seconds or 0.0, default=None)


def unrun(rows: Iterable[Row]) -> bool:
    """Whether none of them took part."""
    return all(row.status == "SKIPPED" for row in rows)


def paces(rows: Sequence[Row], problem: str = spins.STEPS) -> list[Pace]:
    group = [row for row in rows if row.problem == problem]
    peers = [row for row in group if row.library == "pytreenet"]
    return [Pace(row, fastest(peers), unrun(peers)) for row in group if row.library == "petrov"]


def duels(rows: Sequence[Row]) -> list[Duel]:
    """Ours beside each kind of a peer's, on both quenches. TEBD has no bar: chains with gates are made for that problem."""
    asked = (
        (spins.ISING, spins.PRECISION, "TeNPy TDVP2", TIME_BAR), (spins.ISING, spins.PRECISION, "PyTreeNet TDVP2", None),
        (spins.NEIGHBOURS, spins.CHAINS, "TeNPy TDVP2", None), (spins.NEIGHBOURS, spins.CHAINS, "TeNPy TEBD", None),
    )  # fmt: skip
    found = []
    for work, problem, word, bar in asked:
        group = [row for row in rows if row.problem == problem]
        exact = [row for row in group if row.relative_residual is not None and row.relative_residual <= ERROR]
        ours, peers = fastest(row for row in exact if row.library == "petrov"), [row for row in group if word in row.method]
        if group:
            peer = fastest(row for row in exact if word in row.method)
            found.append(Duel(work, problem.partition(":")[0], word, bar, ours, peer, unrun(peers)))
    return found


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    return [*of_steps(rows), *of_times(rows), *alone.verdicts(rows)]


def of_steps(rows: Sequence[Row]) -> list[Verdict]:
    bar = f"{ratio(STEP_BAR)}, target {ratio(STEP_TARGET)}"
    found = []
    for one in paces(rows):
        said = one.ours.status if one.ours.status != OK else pace_said(one)
        met = None if one.absent else one.share is not None and one.share <= STEP_BAR
        problem = f"{one.ours.method}: time of {one.ours.iterations} steps, of PyTreeNet's"
        found.append(Verdict(spins.ISING, problem, said, bar, met))
    return found


def pace_said(one: Pace) -> str:
    """Ratio; then times, ranks and errors of both."""
    if one.peer is None:
        return f"{seconds(one.ours.solve_seconds)}; no BUG of PyTreeNet {'was at hand' if one.absent else 'was right'}"
    both = one.ours, one.peer
    times, ranks = (" / ".join(part) for part in ([seconds(row.solve_seconds) for row in both], [rank(row) for row in both]))
    errors = " / ".join(f"{row.relative_residual:.1e}" for row in both if row.relative_residual is not None)
    return f"{ratio(one.share)} ({times}; last step {ratio(one.last)}; ranks {ranks}; errors {errors})"


def rank(row: Row) -> str:
    """The largest after the last step."""
    return f"{row.history[-1][1]:.0f}" if row.history else "-"


def of_times(rows: Sequence[Row]) -> list[Verdict]:
    bar = f"{ratio(TIME_BAR)}, target {ratio(TIME_TARGET)}"
    return [
        Verdict(
            one.work, f"{one.quench}: error {ERROR:.0e} at t = 1, of {one.name}'s time", duel_said(one), bar,
            None if one.absent else one.share is not None and one.share <= one.bar,
        )
        for one in duels(rows)
        if one.bar is not None
    ]  # fmt: skip


def duel_said(one: Duel) -> str:
    def named(row: Row | None) -> str:
        return "none" if row is None else f"{row.method}: {seconds(row.solve_seconds)}, error {row.relative_residual:.1e}"

    return f"{ratio(one.share)} ({named(one.ours)} / {named(one.peer)})"


def tally(rows: Sequence[Row]) -> str:
    return stages.tally(verdicts(rows))
