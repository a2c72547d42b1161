"""What the rows of `petrov bench gpu` say to the bars."""

from __future__ import annotations

from collections.abc import Sequence

from .. import stages
from ..document import OK, Row, by_problem
from ..roofline import speed
from ..sequences.verdicts import Verdict
from ..table import ratio
from . import predictions, solves

SHARE, FASTER = 0.7, 3.0  # of the bandwidth of a copy; times as fast as cupyx
WORKS = {
    solves.ITERATION: "one iteration of Jacobi-CG, its bytes over the bandwidth of a copy",
    solves.AGAINST: "one iteration of Jacobi-CG beside cupyx.scipy.sparse.linalg.cg",
    solves.MULTIGRID: "conjugate gradients with multigrid to 1e-8, on the GPU and on the host",
    predictions.WORK: "predictions of a reduced model, on the GPU and on the host",
}


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    return [found for problem, group in by_problem(rows).items() for found in of_problem(problem, group)]


def of_problem(problem: str, group: Sequence[Row]) -> list[Verdict]:
    of, work = {row.method: row for row in group}, group[0].work
    right = all(row.status == OK for row in group)
    if work == solves.ITERATION:
        mine, roof = speed(of[solves.OURS]), speed(of[solves.COPY])
        return [verdict(work, problem, mine / roof if mine and roof else None, f"at least {SHARE:.0%}", SHARE, right)]
    if work == solves.AGAINST:
        times = faster(of[solves.THEIRS], of[solves.OURS])
        return [verdict(work, problem, times, f"at least {FASTER:g} times as fast", FASTER, right)]
    return [verdict(work, f"{problem}, {name}", times, "faster than the host", 1.0, right) for name, times in pairs(group)]


def verdict(work: str, problem: str, value: float | None, bar: str, least: float, right: bool) -> Verdict:
    return Verdict(work, problem, ratio(value) if right else "wrong", bar, right and value is not None and value >= least)


def faster(other: Row, ours: Row) -> float | None:
    """How many times as fast ours is, set-up aside."""
    return other.solve_seconds / ours.solve_seconds if other.solve_seconds and ours.solve_seconds else None


def pairs(group: Sequence[Row]) -> list[tuple[str, float | None]]:
    """Rows come in pairs, GPU before host: (what the pair is, host / GPU)."""
    return [(a.method.rpartition(",")[0], faster(b, a)) for a, b in zip(group[::2], group[1::2], strict=True)]


def tally(rows: Sequence[Row]) -> str:
    return stages.tally(verdicts(rows))
