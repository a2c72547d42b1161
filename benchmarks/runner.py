"""The runner: every problem with every method that suits it, kept after every row, resumed where it stopped."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from threadpoolctl import threadpool_limits

from . import document, measure, report, table
from .document import SKIPPED, WRONG, Document, Row
from .measure import Settings
from .methods import METHODS
from .peers import PEERS
from .records import Method, Problem
from .suites import SUITES

BAD_INPUT, INTERRUPTED = 2, 130
REPEAT, SECONDS = {True: 3, False: 5}, {True: 4.0, False: 300.0}  # by `quick`


def main(
    suite: str = "poisson", quick: bool = False, sizes: Sequence[int] | None = None, json: str | Path | None = None,
    html: str | Path | None = None, repeat: int | None = None, *, rtol: float = 1e-8,
) -> int:  # fmt: skip
    """Run a suite, print its table, keep the rows in `json` and write the report to `html`.

    `json` is the checkpoint: it is rewritten after every row, and an unfinished one of the same machine, settings,
    versions and source is gone on with. html alone keeps its rows beside it, in the same name with .json. repeat: timed
    runs a row at most (default 3 if quick, else 5). An iteration is stopped after 10 s if quick, else after 300 s.

    Returns 0; 1 if a method of petrov claimed success wrongly or petrov.solve failed with an exception; 2 for bad input
    (message on stderr); 130 after Ctrl-C, with everything measured so far kept and shown.

    BLAS has one thread meanwhile: on vectors it gains nothing here, and where another process shares the machine its two
    threads wait for each other (SciPy's cg on 512^2: 3 s with one, 19 to 29 s with two, two cores, load 2).
    """
    with threadpool_limits(limits=1, user_api="blas"):
        return benchmark(suite, quick, sizes, json, html, repeat, rtol)


def benchmark(
    suite: str, quick: bool, sizes: Sequence[int] | None, json: str | Path | None, html: str | Path | None,
    repeat: int | None, rtol: float,
) -> int:  # fmt: skip
    """`main`, with the threads set."""
    try:
        problems = choose(suite, quick, sizes)
        settings = Settings(rtol, repeats_or_default(repeat, quick), SECONDS[quick])
        path = Path(json) if json is not None else Path(html).with_suffix(".json") if html is not None else None
        if html is not None:
            report.require_libraries()
        wanted = {"suite": suite, "quick": quick, "sizes": list(sizes or []), **asdict(settings)}
        start, message = document.resume(path, document.identity(wanted))
    except (ValueError, OSError, ImportError) as error:
        print(f"petrov bench: {error}", file=sys.stderr)
        return BAD_INPUT
    console = table.console()
    if message:
        console.print(message)
    result = run(problems, (*METHODS, *PEERS), settings, start, path, console)
    table.show(result, console)
    if html is not None:
        report.write(result, Path(html))
        console.print(f"report: {html}")
    return exit_code(result)


def choose(suite: str, quick: bool, sizes: Sequence[int] | None) -> list[Problem]:
    if suite not in SUITES:
        raise ValueError(f"no suite {suite!r}; there is {', '.join(SUITES)}")
    if sizes is not None and (not sizes or min(sizes) < 8):
        raise ValueError(f"sizes are cells along a side, at least 8 each; got {list(sizes)}")
    return SUITES[suite](quick=quick, sizes=sizes)


def repeats_or_default(repeat: int | None, quick: bool) -> int:
    if repeat is not None and repeat < 1:
        raise ValueError(f"repeat is the number of timed runs, at least 1; got {repeat}")
    return repeat or REPEAT[quick]


def run(
    problems: Sequence[Problem], methods: Sequence[Method], settings: Settings, start: Document,
    path: Path | None, console: Console,
) -> Document:  # fmt: skip
    """All rows that `start` does not hold yet. On Ctrl-C: the rows so far, `finished` False."""
    total = sum(problem.kind in method.kinds for problem in problems for method in methods)
    stream = (([row], weight) for row, weight in rows(problems, methods, settings, start.done))
    return collect(stream, total, start, path, console)


def collect(
    stream: Iterator[tuple[list[Row], int]], total: int, start: Document, path: Path | None, console: Console
) -> Document:
    """`start` with the rows of the stream, which come in groups that are kept whole, each a number of steps of `total`.
    On Ctrl-C: the rows so far, `finished` False."""
    result = start
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # No refreshing thread: it would take time from what is measured, and write while standard output is collected.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        bar = progress.add_task("benchmark", total=total)
        console.print(table.HEADER, style="bold")
        try:
            for group, weight in stream:
                if new := [row for row in group if row.key not in start.done]:
                    result = replace(result, rows=(*result.rows, *new))
                    if path is not None:
                        document.save(result, path)
                for row in group:
                    console.print(table.line(row), soft_wrap=True)
                progress.update(bar, advance=weight, description=group[-1].problem, refresh=True)
        except KeyboardInterrupt:
            kept = f"kept in {path}; run the same command to go on" if path is not None else "not kept: no file was named"
            console.print(f"interrupted after {len(result.rows)} rows, {kept}", style="yellow")
            return result
    result = replace(result, finished=True)
    if path is not None:
        document.save(result, path)
    return result


def rows(
    problems: Sequence[Problem], methods: Sequence[Method], settings: Settings, done: dict[tuple[str, str], Row]
) -> Iterator[tuple[Row, int]]:
    """Each row and how many steps of the bar it is: measured, or as it was if it is done."""
    warm: set[tuple[str, str, bool]] = set()
    for problem in problems:
        suited = [method for method in methods if problem.kind in method.kinds]
        todo = [method for method in suited if (problem.name, method.name) not in done]
        yield from ((done[problem.name, method.name], 1) for method in suited if method not in todo)
        if not todo:
            continue
        try:
            system = problem.make()
        except FileNotFoundError as error:
            yield absent(problem, str(error)), len(todo)
            continue
        large = system.A.shape[0] > measure.LARGE
        for method in todo:
            if (method.name, problem.kind, large) not in warm:
                measure.warm_up(method, problem.kind, large=large)
                warm.add((method.name, problem.kind, large))
            yield measure.measure(method, problem, system, settings), 1


def absent(problem: Problem, reason: str) -> Row:
    """The one row of a problem whose file is not there."""
    return Row(problem.name, problem.family, problem.kind, "(all)", "", SKIPPED, reason)


def exit_code(result: Document) -> int:
    if not result.finished:
        return INTERRUPTED
    ours = [row for row in result.rows if row.library == "petrov"]
    broken = any(row.status == WRONG or (row.method == table.DEFAULT and row.status == document.FAILED) for row in ours)
    return int(broken)
