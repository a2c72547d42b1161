"""A suite that is a list of contests: run in one process on one machine, kept as they come, shown at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text
from threadpoolctl import threadpool_limits

from . import document, report, runner, table
from .contests import Contest
from .document import Document, Row

QUICK = "These are the small sizes: the bars are meant for the large ones."


@dataclass(frozen=True, slots=True)
class Suite:
    """What `petrov bench NAME` runs: the works that --only may name, their contests by `quick`, the record of settings that each
    contest is given, and what shows and reports the rows."""

    name: str
    works: Collection[str]
    contests: Callable[[Sequence[str] | None, bool], list[Contest]]
    settings: Any
    show: Callable[[Document, Console], None]
    write: Callable[[Document, Path], None]


def main(suite: Suite, quick: bool, only: Sequence[str] | None, json: str | Path | None, html: str | Path | None) -> int:
    """Run the contests (those of the works `only` names), print the tables, keep the rows in `json`, the report in `html`.

    json, html, resuming and Ctrl-C are those of `petrov bench poisson`; so is BLAS's one thread. Returns 0 whether or not the
    bars are met, 1 if one of our answers was wrong, 2 for bad input, 130 after Ctrl-C.
    """
    try:
        if unknown := set(only or ()) - set(suite.works):
            raise ValueError(f"there is no work {', '.join(sorted(unknown))}; there is {', '.join(suite.works)}")
        path = Path(json) if json is not None else Path(html).with_suffix(".json") if html is not None else None
        if html is not None:
            report.require_libraries()
        with threadpool_limits(limits=1, user_api="blas"):
            wanted = {"suite": suite.name, "quick": quick, "only": sorted(only or []), **asdict(suite.settings)}
            start, message = document.resume(path, document.identity(wanted))
            return compare(suite, suite.contests(only, quick), start, path, html, message)
    except (ValueError, OSError, ImportError) as error:
        print(f"petrov bench {suite.name}: {error}", file=sys.stderr)
        return runner.BAD_INPUT


def compare(
    suite: Suite, chosen: list[Contest], start: Document, path: Path | None, html: str | Path | None, message: str
) -> int:
    """Measure, show, report."""
    console = table.console()
    if message:
        console.print(message)
    result = runner.collect(groups(chosen, suite.settings, start), len(chosen), start, path, console)
    suite.show(result, console)
    if html is not None:
        suite.write(result, Path(html))
        console.print(f"report: {html}")
    return runner.exit_code(result)


def groups(chosen: Sequence[Contest], settings: Any, start: Document) -> Iterator[tuple[list[Row], int]]:
    """The rows of each contest: measured, or as they were if it is done."""
    for one in chosen:
        done = [row for row in start.rows if row.problem == one.name]
        yield done or one.run(settings), 1


def tally(found: Collection[Any]) -> str:
    """How many bars were met, one sentence; what was not measured counts as neither met nor missed."""
    missed = "; ".join(one.problem for one in found if one.met is not None and not one.met)
    absent = "; ".join(one.problem for one in found if one.met is None)
    said = f"{sum(bool(one.met) for one in found)} of {len(found)} bars met"
    return said + (f"; missed: {missed}" if missed else "") + (f"; not measured: {absent}" if absent else "") + "."


def show_bars(result: Document, console: Console, verdicts: Collection[Any], tally: str) -> None:
    """What was found beside its bars (records with work, problem, found, bar and met, None where a peer is not there), what to
    beware of, the tally."""
    quick = result.identity["settings"]["quick"]
    shown = Table(title="bars", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    for name in ("work", "on", "found", "bar", "verdict"):
        shown.add_column(name, overflow="fold")
    for one in verdicts:
        word, style = ("met", "green") if one.met else ("small", "dim") if quick else ("MISSED", "bold red")
        if one.met is None:
            word, style = "not measured", "yellow"
        shown.add_row(one.work, one.problem, one.found, one.bar, Text(word, style=style))
    console.print(shown)
    for warning in (table.busy(result), QUICK if quick else ""):
        if warning:
            console.print(warning, style="yellow")
    console.print(tally, soft_wrap=True)
