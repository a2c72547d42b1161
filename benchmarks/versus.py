"""`petrov bench peers`: every contest in one process on one machine, kept as it comes, and the table of bars at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import bars, petsc, stages, table, versus_report
from .bars import MISSED, NO_PEER, PASSED, TARGET, WORKS, Line, Spread, Work
from .contests import contests
from .document import Document, Row
from .gpu.timing import require
from .measure import Settings
from .stages import Suite
from .table import ratio, seconds

SETTINGS = {  # by `quick`: at least so many runs, all after the one that is judged
    True: Settings(repeat=2, seconds=20.0, least=1, first_counts=False),
    False: Settings(repeat=5, seconds=300.0, least=3, first_counts=False),
}
QUICK = "These are the small sizes: the bars are meant for the large ones."
COLOURS = {TARGET: "green", PASSED: "green", MISSED: "bold red", NO_PEER: "yellow"}


def main(
    quick: bool = False, only: Sequence[str] | None = None, json: str | Path | None = None, html: str | Path | None = None
) -> int:
    """Run the contests of the works `only` names, or all; the rest as in `stages.main`."""
    suite = Suite("peers", WORKS, contests, SETTINGS[quick], show, versus_report.write)
    return stages.main(suite, quick, only, json, html)


# -- What is printed -------------------------------------------------------------------------------------------------------


def show(result: Document, console: Console) -> None:
    rows = result.rows
    found, growth = bars.lines(rows), bars.spreads(rows)
    for work in bars.WORKS.values():
        if lines := [one for one in found if one.work == work]:
            console.print(table_of_lines(work, lines))
    if growth:
        console.print(table_of_spreads(growth))
    for text in dict.fromkeys([f"{one.ours.method} on {one.ours.problem}: {one.reason}" for one in found if one.reason]
                              + [f"{one.method} on {one.family}: {one.reason}" for one in growth if one.reason]):  # fmt: skip
        console.print(text, style="yellow", soft_wrap=True)
    for row in rows:
        if row.work == "memory":
            console.print(f"{row.problem}: {row.status}, {row.reason}", soft_wrap=True)
    for warning in (table.busy(result), QUICK if result.identity["settings"]["quick"] else "", no_petsc(), gpu()):
        if warning:
            console.print(Text(warning, style="yellow"), soft_wrap=True)
    console.print(bars.tally(rows))


def no_petsc() -> str:
    reason = petsc.absent()
    return f"PETSc took no part: {reason}." if reason else ""


def gpu() -> str:
    """Why no row is of a GPU: what stands in the way, or where those rows are."""
    try:
        require()
    except ImportError as error:
        return f"No GPU took part: {error}."
    return "The GPU has a comparison of its own: petrov bench gpu."


def table_of_lines(work: Work, lines: Sequence[Line]) -> Table:
    shown = Table(title=f"{work.key}: {work.title}", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    for name in ("problem", "petrov", "set-up + solve", "peer", "set-up + solve"):
        shown.add_column(name, no_wrap=True)
    for name in ("ours / peer", "bar", "target"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("verdict", no_wrap=True)
    for line in lines:
        peer = line.peer
        shown.add_row(
            line.ours.problem.removeprefix(f"{work.key}: "), line.ours.method.removeprefix("petrov cg + "), times(line.ours),
            peer.method if peer else line.bar.peer, times(peer), ratio(line.ratio), ratio(line.bar.bar), ratio(line.bar.target),
            Text(line.verdict, style=COLOURS.get(line.verdict, "")),
        )  # fmt: skip
    return shown


def times(row: Row | None) -> str:
    if row is None or row.solve_seconds is None:
        return "-"
    return f"{seconds(row.setup_seconds)} + {seconds(row.solve_seconds)}"


def table_of_spreads(found: Sequence[Spread]) -> Table:
    shown = Table(title="iterations to the tolerance, by rows", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("family", "petrov", "rows: iterations"):
        shown.add_column(name, overflow="fold")
    for name in ("largest / smallest", "bar"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("verdict", no_wrap=True)
    for one in found:
        counts = ", ".join(f"{rows:,}: {count}" for rows, count in one.iterations)
        shown.add_row(
            one.family, one.method.removeprefix("petrov cg + "), counts, "-" if one.ratio is None else f"{one.ratio:.2f}",
            f"{one.work.spread:.2f}", Text(one.verdict, style=COLOURS.get(one.verdict, "")),
        )  # fmt: skip
    return shown
