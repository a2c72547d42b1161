"""`petrov bench gpu`: what there is to measure where CuPy has a GPU, and the tables of what has been found."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .. import report, runner, stages, table
from ..contests import Contest
from ..document import Document, Row, by_problem
from ..roofline import speed
from ..stages import Suite
from . import predictions, solves
from .timing import Timing, device_name, require
from .verdicts import WORKS, tally, verdicts

TIMINGS = {True: Timing(2, 64, 16, 16, 500), False: Timing(7, 1024, 256, 100, 100_000)}
TEMPLATE = "gpu.html.j2"


def main(
    quick: bool = False, only: Sequence[str] | None = None, json: str | Path | None = None, html: str | Path | None = None
) -> int:
    """Run the contests of the works `only` names, or all; the rest as in `stages.main`. Needs CuPy (the extra cuda) and a GPU."""
    try:
        require()
    except ImportError as error:
        print(f"petrov bench gpu: {error}", file=sys.stderr)
        return runner.BAD_INPUT
    return stages.main(Suite("gpu", WORKS, contests, TIMINGS[quick], show, write), quick, only, json, html)


def contests(only: Sequence[str] | None, quick: bool) -> list[Contest]:
    timing = TIMINGS[quick]
    return [one for one in (*solves.contests(timing), *predictions.contests(timing)) if only is None or one.work in only]


# -- What is printed -------------------------------------------------------------------------------------------------------


def show(result: Document, console: Console) -> None:
    console.print(f"on {device_name()}", highlight=False)
    for name, rows in by_problem(result.rows).items():
        console.print(table_of(name, rows))
    stages.show_bars(result, console, verdicts(result.rows), tally(result.rows))


def table_of(name: str, rows: Sequence[Row]) -> Table:
    shown = Table(title=name, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("method", "set-up", "solve or one iteration", "iterations", "GB/s", "status"):
        shown.add_column(column, justify="left" if column in ("method", "status") else "right", no_wrap=True)
    for row in rows:
        shown.add_row(*cells(row).values())
    return shown


def cells(row: Row) -> dict[str, str]:
    rate = speed(row)
    return {
        "method": row.method, "setup": table.seconds(row.setup_seconds), "solve": table.seconds(row.solve_seconds),
        "iterations": "-" if row.iterations is None else f"{row.iterations:,}", "rate": "-" if rate is None else f"{rate:,.0f}",
        "status": row.status if not row.reason else f"{row.status}: {row.reason}",
    }  # fmt: skip


def write(document: Document, path: Path) -> None:
    """The report as one HTML file."""
    report.put(render(document), path)


def render(document: Document) -> str:
    rows = document.rows
    found = verdicts(rows)
    return report.filled(
        TEMPLATE, document, plots={}, tally=tally(rows), device=device_name(),
        verdicts=[{"title": WORKS[work], "lines": [v for v in found if v.work == work]} for work in WORKS],
        tables=[{"name": name, "rows": [cells(row) for row in group]} for name, group in by_problem(rows).items()],
    )  # fmt: skip
