"""`petrov bench learned`: learned preconditioners beside what they have to beat, the tables of what has been found."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .. import stages
from ..document import Document, Row, by_problem
from ..stages import Suite
from . import report, works
from .contest import Timing
from .standings import break_evens, helps, slopes
from .tables import HEADS, break_even_line, brief, help_line, lines
from .verdicts import WORKS, tally, verdicts
from .ways import fingerprints
from .works import contests

TIMINGS = {True: Timing(3, 1, 10.0, 2_000), False: Timing(20, 1, 300.0, 5_000)}


def main(
    quick: bool = False, only: Sequence[str] | None = None, json: str | Path | None = None, html: str | Path | None = None
) -> int:
    """Run the contests of the works `only` names, or all; the rest as in `stages.main`. On one thread: PyAMG has no more."""
    with one_thread():
        settings = replace(TIMINGS[quick], weights=fingerprints())
        return stages.main(Suite("learned", WORKS, contests, settings, show, report.write), quick, only, json, html)


@contextmanager
def one_thread() -> Iterator[None]:
    """Our kernels on one thread, as of `PETROV_NUM_THREADS=1`; as it was afterwards."""
    before = os.environ.get("PETROV_NUM_THREADS")
    os.environ["PETROV_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PETROV_NUM_THREADS"]
        else:
            os.environ["PETROV_NUM_THREADS"] = before


# -- What is printed -------------------------------------------------------------------------------------------------------


def show(result: Document, console: Console) -> None:
    timed = by_problem(row for row in result.rows if row.work in works.TIMED)
    for problem, group in timed.items():
        console.print(table_of_problem(problem, group))
    if found := slopes(result.rows):
        title = "iterations by unknowns, and the slope of log iterations against log n"
        shown = plain_table(title, ("family", "method", "unknowns: iterations", "slope"))
        for one in found:
            shown.add_row(one.family, one.method, ", ".join(f"{n:,}: {count}" for n, count in one.counts), f"{one.slope:.2f}")
        console.print(shown)
    if pairs := helps(result.rows):
        title = "network / its scalars or its start, whichever is better: does learning help?"
        shown = plain_table(title, ("of", "on", "beside", "iterations", "1 solve", "10 solves", ""))
        for pair in pairs:
            shown.add_row(*help_line(pair).values())
        console.print(shown)
    if evens := break_evens(result.rows, result.identity["settings"]["weights"]):
        title = "matrices after which training paid, beside the best baseline"
        shown = plain_table(title, ("of", "on", "best baseline", "training", "saved a matrix", "1 solve each", "10 each"))
        for even in evens:
            shown.add_row(*break_even_line(even).values())
        console.print(shown)
    stages.show_bars(result, console, verdicts(result.rows), tally(result.rows))


def plain_table(title: str, columns: Sequence[str]) -> Table:
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in columns:
        shown.add_column(name, overflow="fold")
    return shown


def table_of_problem(problem: str, group: Sequence[Row]) -> Table:
    """Right answers alone: what was skipped or failed has its line above."""
    unknowns = next((row.rows for row in group if row.rows), 0)
    count = max((row.runs for row in group), default=0)
    shown = plain_table(f"{problem}: {unknowns:,} unknowns, {count} systems; best first", HEADS)
    for column in shown.columns:
        column.no_wrap, column.justify = True, "left" if column is shown.columns[0] else "right"
    for line in lines(group):
        if line["one"] != "-":
            shown.add_row(*brief(line))
    return shown
