"""`petrov bench rom`: reduced models beside pyMOR's, and the tables of what has been found."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .. import stages, table
from ..contests import Contest
from ..document import Document
from ..stages import Suite
from . import data_driven, report, stored, thermal
from .thermal import CASES, Timing
from .verdicts import WORKS, standings, tally, verdicts

TIMINGS = {True: Timing(20, 3, 2_000, 100), False: Timing(100, 3, 10_000, 200)}


def main(
    quick: bool = False, only: Sequence[str] | None = None, json: str | Path | None = None, html: str | Path | None = None
) -> int:
    """Run the contests of the works `only` names, or all; the rest as in `stages.main`. Needs pyMOR (the extra bench)."""
    return stages.main(Suite("rom", WORKS, contests, TIMINGS[quick], show, report.write), quick, only, json, html)


def contests(only: Sequence[str] | None, quick: bool) -> list[Contest]:
    """All contests, or those of the works named; those that share the models of a case follow each other."""
    first = CASES[quick][0]
    found = [Contest(data_driven.name(first), data_driven.WORK, partial(data_driven.measure, first))]
    found += [
        contest
        for case in CASES[quick]
        for contest in (
            Contest(case.name, thermal.WORK, partial(thermal.measure, case)),
            Contest(stored.name(case), stored.WORK, partial(stored.measure, case)),
        )
    ]
    return [one for one in found if only is None or one.work in only]


# -- What is printed -------------------------------------------------------------------------------------------------------


def show(result: Document, console: Console) -> None:
    if standings(result.rows):
        console.print(table_of_blocks(result))
    stages.show_bars(result, console, verdicts(result.rows), tally(result.rows))


def table_of_blocks(result: Document) -> Table:
    title = "seconds offline and of 1,000 answers with bounds: petrov.rom / pyMOR"
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("problem", "offline", "1,000 answers", "one parameter a call"):
        shown.add_column(name, justify="left" if name == "problem" else "right", no_wrap=True)
    for one in standings(result.rows):
        pairs = (
            (one.ours.setup_seconds, one.theirs.setup_seconds, one.offline),
            (one.ours.solve_seconds, one.theirs.solve_seconds, one.online),
            (one.alone.solve_seconds, one.theirs.solve_seconds, one.single),
        )
        shown.add_row(
            one.ours.problem, *(f"{table.seconds(a)} / {table.seconds(b)} = {table.ratio(share)}" for a, b, share in pairs)
        )
    return shown
