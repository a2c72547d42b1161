"""`petrov bench sequences`: the contests, and the tables of what they have shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .. import stages
from ..contests import Contest
from ..document import Document, Row
from ..stages import Suite
from . import ratios, recycling, report, times
from .ratios import TABLE_1, Case
from .recycling import Bar
from .sets import Family
from .times import SETS, Timing
from .verdicts import WORKS, by_tolerance, tally, verdicts


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured. carried: systems along which SKR is counted at most; seconds: how long it is, and GMRES(40);
    systems, rounds and few of the times; seeds and cells a side of recycling; cells a side and rounds of the blocks."""

    carried: int
    seconds: float
    systems: int
    rounds: int
    few: int
    seeds: int
    cells: int
    block_cells: int
    block_rounds: int


EXTENTS = {True: Extent(6, 1.0, 12, 2, 2, 2, 40, 64, 1), False: Extent(100, 8.0, 100, 5, 3, 5, 100, 512, 3)}


def main(
    quick: bool = False, only: Sequence[str] | None = None, json: str | Path | None = None, html: str | Path | None = None
) -> int:
    """Run the contests of the works `only` names, or all; the rest as in `stages.main`."""
    return stages.main(Suite("sequences", WORKS, contests, EXTENTS[quick], show, report.write), quick, only, json, html)


# -- What is run -----------------------------------------------------------------------------------------------------------


def contests(only: Sequence[str] | None, quick: bool) -> list[Contest]:
    """All contests, or those of the works named."""
    table_1 = [case for problem in TABLE_1 for case in ratios.cases(problem, quick)]
    found = [Contest(case.name, ratios.WORK, partial(count, case, quick)) for case in table_1]
    found += [Contest(times.name(problem), times.WORK, partial(clock, problem, quick)) for problem in SETS]
    found += [Contest(bar.problem, bar.work, partial(save, bar)) for bar in recycling.TABLE]
    return [one for one in found if only is None or one.work in only]


@lru_cache(maxsize=1)
def carried(problem: str, quick: bool, count: int) -> Family:
    """A set that the cases of the table share, until the next set is made."""
    published = TABLE_1[problem]
    return (published.quick if quick else published.full)(count)


def count(case: Case, quick: bool, extent: Extent) -> list[Row]:
    return ratios.measure(carried(case.problem, quick, extent.carried), case, extent.seconds)


def clock(problem: str, quick: bool, extent: Extent) -> list[Row]:
    family = (SETS[problem].quick if quick else SETS[problem].full)(extent.systems)
    return times.measure(family, Timing(extent.rounds, extent.few))


def save(bar: Bar, extent: Extent) -> list[Row]:
    if bar.work == recycling.BLOCKS:
        return recycling.blocks(bar, extent.block_cells, extent.block_rounds)
    return recycling.counts(bar, extent.cells, extent.seeds)


# -- What is printed -------------------------------------------------------------------------------------------------------


def show(result: Document, console: Console) -> None:
    if by_tolerance(result.rows):
        console.print(table_of_ratios(result))
    stages.show_bars(result, console, verdicts(result.rows), tally(result.rows))


def table_of_ratios(result: Document) -> Table:
    title = "GMRES(40) / SKR(40, 20), iterations: sorted / unsorted (paper)"
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shown.add_column("set", no_wrap=True)
    for name in ratios.PRECONDITIONERS:
        shown.add_column(name, justify="right", no_wrap=True)
    for (problem, rtol), group in by_tolerance(result.rows).items():
        of = {one.case.preconditioner: one for one in group}
        cells = [
            f"{of[p].ratio:.3g} / {of[p].gmres / of[p].unsorted:.3g} ({of[p].case.published:.3g})" if p in of else "-"
            for p in ratios.PRECONDITIONERS
        ]
        shown.add_row(f"{problem} {rtol:.0e}", *cells)
    return shown
