"""The HTML report of `petrov bench peers`: a table of bars for every work, iterations, memory, and the roofline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import bars, petsc, report, roofline
from .bars import MISSED, PASSED, TARGET, Line, Spread
from .document import Document, Row, by_problem
from .table import ratio, seconds

TEMPLATE = "versus.html.j2"
COLOURS = {TARGET: "win", PASSED: "win", MISSED: "loss"}


def write(document: Document, path: Path) -> None:
    """Render the report to path, through a temporary name."""
    report.put(render(document), path)


def render(document: Document) -> str:
    """The report as one HTML text, the figure inline."""
    rows, found = document.rows, bars.lines(document.rows)
    works = [(work, [line_cells(one) for one in found if one.work == work]) for work in bars.WORKS.values()]
    return report.filled(
        TEMPLATE, document, plots={"roofline": roofline.figure(rows)}, tally=bars.tally(rows), petsc=petsc.absent(),
        works=[{"title": work.title, "lines": lines} for work, lines in works if lines],
        spreads=[spread_cells(one) for one in bars.spreads(rows)], memory=[row for row in rows if row.work == "memory"],
        kernels=[kernel_cells(row, rows) for row in rows if row.library == "petrov" and roofline.speed(row)],
        problems=[detail(name, group) for name, group in by_problem(rows).items()],
    )  # fmt: skip


def line_cells(line: Line) -> dict[str, Any]:
    peer = line.peer
    return {
        "problem": bare(line.ours), "ours": line.ours.method.removeprefix("petrov "), "setup": seconds(line.ours.setup_seconds),
        "solve": seconds(line.ours.solve_seconds), "peer": peer.method if peer else line.bar.peer,
        "peer_setup": seconds(peer.setup_seconds if peer else None), "peer_solve": seconds(peer.solve_seconds if peer else None),
        "ratio": ratio(line.ratio), "bar": ratio(line.bar.bar), "target": ratio(line.bar.target), "verdict": line.verdict,
        "reason": line.reason, "colour": COLOURS.get(line.verdict, "dim"),
    }  # fmt: skip


def spread_cells(one: Spread) -> dict[str, Any]:
    return {
        "family": one.family, "ours": one.method.removeprefix("petrov "),
        "counts": ", ".join(f"{rows:,}: {count}" for rows, count in one.iterations),
        "ratio": "-" if one.ratio is None else f"{one.ratio:.2f}", "bar": f"{one.work.spread:.2f}", "verdict": one.verdict,
        "reason": one.reason, "colour": COLOURS.get(one.verdict, "dim"),
    }  # fmt: skip


def kernel_cells(row: Row, rows: tuple[Row, ...]) -> dict[str, Any]:
    part = roofline.share(row, rows)
    return {
        "problem": row.problem, "ours": row.method.removeprefix("petrov "), "form": row.chose, "traffic": f"{row.traffic:.0f}",
        "time": seconds(row.solve_seconds), "speed": f"{roofline.speed(row):.1f}",
        "share": "-" if part is None else f"{part:.0%}",
    }  # fmt: skip


def detail(problem: str, rows: list[Row]) -> dict[str, Any]:
    """All rows of a problem; the time of one iteration or product is compared as such, and is no part of a total."""
    cells = report.detail(problem, rows)
    if bars.WORKS[rows[0].work].each:
        cells["lines"] = [line | {"total": "-", "spread": "-", "ratio": "-", "colour": ""} for line in cells["lines"]]
    return cells


def bare(row: Row) -> str:
    """The problem's name without that of its work, which heads the table."""
    return row.problem.removeprefix(f"{row.work}: ")
