"""The HTML report of `petrov bench learned`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import figures, report
from ..document import OK, Document, Row, by_problem
from . import definite, works
from .samples import of
from .standings import break_evens, helps, role, slopes, total
from .tables import COLUMNS, break_even_line, help_line, lines
from .verdicts import WORKS, tally, verdicts

TEMPLATE = "learned.html.j2"
COLOURS = {  # learned: dark and full; its scalars broken; its start dotted; baselines thin
    "graph-multigrid": "#0b3c8c", "grid-multigrid-2d": "#2e8b57", "grid-multigrid-3d": "#2e8b57", "graph-factor-2d": "#b0188b",
    "sparse-inverse-2d": "#d95f02",
}  # fmt: skip
BASELINES = {
    "Jacobi": "#a9a9a9", "IC(0)": "#c49c00", "SmoothedAggregation, V": "#7fb800", "GeometricMultigrid, W": "#17a2b8",
    "PyAMG SA": "#b3261e", "PyAMG RS": "#e39c9c", "direct": "#555555",
    "hypre + PETSc cg": "#5e3c99",
}  # fmt: skip
LINES = {"network": ("-", "o"), "scalars": ((0, (4, 2)), "s"), "untrained": (":", "^"), "baseline": ("-", ".")}


def write(document: Document, path: Path) -> None:
    """Render the report to path, through a temporary name."""
    report.put(render(document), path)


def render(document: Document) -> str:
    """The report as one HTML text, figures inline."""
    rows = document.rows
    return report.filled(
        TEMPLATE, document, plots={"growth": growth(rows), "families": bars_of_families(rows)}, tally=tally(rows),
        verdicts=[{"title": WORKS[work], "lines": [v for v in verdicts(rows) if v.work == work]} for work in WORKS],
        helps=[help_line(one) for one in helps(rows)], columns=COLUMNS,
        evens=[break_even_line(one) for one in break_evens(rows, document.identity["settings"]["weights"])],
        slopes=[slope_cells(one) for one in slopes(rows)],
        tables=[table_cells(problem, group) for problem, group in by_problem(timed(rows)).items()],
        matrices=[matrix_cells(problem, group) for problem, group in by_problem(looked_at(rows)).items()],
        problems=[],
    )  # fmt: skip


def timed(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.work in works.TIMED]


def looked_at(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.work == definite.WORK]


def slope_cells(one: Any) -> dict[str, str]:
    return {
        "family": one.family, "method": one.method, "counts": ", ".join(f"{n:,}: {count}" for n, count in one.counts),
        "slope": f"{one.slope:.2f}",
    }  # fmt: skip


def table_cells(problem: str, group: Sequence[Row]) -> dict[str, Any]:
    unknowns = next((row.rows for row in group if row.rows), 0)
    count = max((row.runs for row in group), default=0)
    return {"title": problem, "about": f"{unknowns:,} unknowns, {count} systems", "lines": lines(group)}


def matrix_cells(problem: str, group: Sequence[Row]) -> dict[str, Any]:
    cells = [
        {
            "method": row.method, "right": row.status == OK,
            "iterations": "-" if row.iterations is None else f"{row.iterations:,}",
            "said": "; ".join([*([f"{row.status}: {row.reason}"] if row.status != OK else []), *row.warnings]),
        }
        for row in group
        if row.status != "SKIPPED"
    ]
    return {"title": problem, "about": f"{next((row.rows for row in group if row.rows), 0):,} unknowns", "lines": cells}


# -- Figures ---------------------------------------------------------------------------------------------------------------


def look(row: Row) -> dict[str, Any] | None:
    """Colour, line and marker of a way; None if it is not drawn."""
    name, kin = role(row)
    colour = COLOURS.get(kin) or BASELINES.get(row.method)
    if colour is None:
        return None
    line, marker = LINES[name]
    thick = 1.8 if name == "network" else 1.2
    face = colour if name == "network" else "white"
    return {"color": colour, "linestyle": line, "marker": marker, "linewidth": thick, "markersize": 5, "markerfacecolor": face}


def growth(rows: Sequence[Row]) -> str | None:
    """Seconds and iterations against unknowns, a line of panels a family; None if there is nothing to show."""
    families: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        if row.work == works.GROWTH and row.status == OK and look(row):
            families.setdefault(row.family, {}).setdefault(row.method, []).append(row)
    families = {name: group for name, group in families.items() if any(len(line) > 2 for line in group.values())}
    if not families:
        return None
    figure, grid = figures.blank(12.6, 3.5 * len(families), len(families), 2)
    handles = {}
    for (family, group), (left, across) in zip(families.items(), grid, strict=True):
        for method, line in group.items():
            style = look(line[0]) or {}
            n = [row.rows for row in line]
            handles[method] = left.loglog(n, [total(row, 1) for row in line], **style)[0]
            if method != "direct":
                across.loglog(n, [row.iterations for row in line], **style)
        most = max(row.iterations or 1 for line in group.values() for row in line if row.method != "direct")
        across.set_ylim(1, 10.0 ** math.ceil(math.log10(most * 1.2)))
        figures.decorate(left, f"{family}: set-up + solve", "unknowns", "seconds")
        figures.decorate(across, f"{family}: iterations to 1e-8", "unknowns", "")
    figures.legend(figure, handles)
    return figures.svg(figure, "growth")


def bars_of_families(rows: Sequence[Row]) -> str | None:
    """Set-up and one solve of every way on the held-out systems of each family: medians, with the quartiles of the sum."""
    groups = by_problem(row for row in rows if row.work == works.FAMILY and row.status == OK)
    if not groups:
        return None
    across = min(3, len(groups))
    down = -(-len(groups) // across)
    tallest = max(len(group) for group in groups.values())
    figure, grid = figures.blank(4.6 * across, (0.24 * tallest + 0.9) * down, down, across)
    for axes, (problem, group) in zip(grid.flat, groups.items(), strict=False):
        ordered = sorted(group, key=lambda row: total(row, 1), reverse=True)
        for y, row in enumerate(ordered):
            colour = COLOURS.get(role(row)[1], "#8a97a8")
            spread = of(row, lambda one: one.total())
            setup, solve = 1e3 * (row.setup_seconds or 0.0), 1e3 * (row.solve_seconds or 0.0)
            axes.barh(y, setup, color=colour, alpha=0.9, height=0.7)
            axes.barh(y, solve, left=setup, color=colour, alpha=0.45, height=0.7)
            if spread:
                axes.plot([1e3 * spread.low, 1e3 * spread.high], [y, y], color="#111111", linewidth=1.0)
        axes.set_yticks(range(len(ordered)), [row.method for row in ordered])
        axes.locator_params(axis="x", nbins=6)
        figures.decorate(axes, problem.partition(": ")[2], "ms: set-up (dark) + one solve; line: quartiles of the sum", "")
        axes.tick_params(axis="y", labelsize=7, length=0)
    for axes in grid.flat[len(groups) :]:
        axes.set_visible(False)
    return figures.svg(figure, "families")


