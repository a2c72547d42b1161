"""What the rows of `petrov bench sequences` say to the bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .. import stages
from ..document import Row
from ..table import seconds
from . import ratios, recycling, times
from .ratios import Comparison

WORKS = {
    ratios.WORK: "iterations of GMRES(40) / SKR(40, 20), beside Table 1 of the paper",
    times.WORK: "seconds a system: petrov.Sequence beside what else could be done",
    recycling.WORK: "iterations with recycled directions / without",
    recycling.BLOCKS: "seconds of 16 right-hand sides together / one after another",
}


class Verdict(NamedTuple):
    """One bar: what it is on, what was found, what was asked; met is None if it was not measured."""

    work: str
    problem: str
    found: str
    bar: str
    met: bool | None


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    return [*of_ratios(rows), *of_times(rows), *of_shares(rows)]


def by_tolerance(rows: Iterable[Row]) -> dict[tuple[str, float], list[Comparison]]:
    """The comparisons of each set and tolerance, over its preconditioners."""
    groups: dict[tuple[str, float], list[Comparison]] = {}
    for one in ratios.comparisons(rows):
        groups.setdefault((one.case.problem, one.case.rtol), []).append(one)
    return groups


def of_ratios(rows: Iterable[Row]) -> list[Verdict]:
    """Within the paper's range or better, at every tolerance of every set."""
    found = []
    for (problem, rtol), group in by_tolerance(rows).items():
        ours, paper = [one.ratio for one in group], [one.case.published for one in group]
        found.append(Verdict(
            ratios.WORK, f"{problem}, {rtol:.0e}", f"{min(ours):.3g} to {max(ours):.3g}",
            f"{min(paper):.3g} to {max(paper):.3g} in the paper", all(one.within for one in group),
        ))  # fmt: skip
    return found


def of_times(rows: Iterable[Row]) -> list[Verdict]:
    found = []
    for one in times.standings(rows):
        right = one.ours.status == "OK"
        if one.ratio is not None and one.rival is not None:
            said = f"{one.ratio:.2f} ({seconds(one.ours.solve_seconds)}; {one.rival.method} {seconds(one.rival.solve_seconds)})"
            met = right and one.ratio <= times.RIVAL_BAR
            found.append(Verdict(times.WORK, f"{one.ours.family}, of the best other way", said, f"{times.RIVAL_BAR:.3g}", met))
        if one.published:
            gains = ", ".join(f"{name} {gain:.3g}" for name, gain in one.gains.items())
            met = right and one.gain is not None and one.gain >= times.REFERENCE_BAR
            found.append(Verdict(
                times.WORK, f"{one.ours.family}, below SciPy's gmres(40)", gains, f"{times.REFERENCE_BAR:.3g} with each", met
            ))  # fmt: skip
    return found


def of_shares(rows: Iterable[Row]) -> list[Verdict]:
    found = []
    for one in recycling.shares(rows):
        share = one.share
        said = f"{one.ours.status}, {one.plain.status}" if share is None else f"{share:.3f} of {one.plain.method}"
        problem = f"{one.ours.method}: {one.bar.problem}"
        found.append(Verdict(one.ours.work, problem, said, f"{one.bar.share:.2f}", share is not None and share <= one.bar.share))
    return found


def tally(rows: Sequence[Row]) -> str:
    """How many bars were met, one sentence."""
    return stages.tally(verdicts(rows))
