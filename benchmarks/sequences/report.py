"""The HTML report of `petrov bench sequences`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import figures, report
from ..document import Document, Row, by_problem
from ..table import seconds
from . import ratios, times
from .ratios import GMRES, PRECONDITIONERS, SORTED, UNSORTED, Comparison
from .times import Standing
from .verdicts import WORKS, by_tolerance, tally, verdicts

TEMPLATE = "sequences.html.j2"
DRAWN = "Jacobi"  # whose iterations are drawn system by system
LOOKS: dict[str, dict[str, Any]] = {
    GMRES: {"color": "#e6550d", "marker": "s", "linestyle": (0, (4, 2)), "markerfacecolor": "white"},
    UNSORTED: {"color": "#17a2b8", "marker": "o", "linestyle": "-"},
    SORTED: {"color": "#0b3c8c", "marker": "o", "linestyle": "-"},
}  # fmt: skip


def write(document: Document, path: Path) -> None:
    """Render the report to path, through a temporary name."""
    report.put(render(document), path)


def render(document: Document) -> str:
    """The report as one HTML text, figures inline."""
    rows = document.rows
    timed = [row for row in rows if row.work == times.WORK]
    plots = {"along": along(rows), "times": figures.times(timed)}
    return report.filled(
        TEMPLATE, document, plots=plots, tally=tally(rows), kinds=list(PRECONDITIONERS),
        verdicts=[{"title": WORKS[work], "lines": [v for v in verdicts(rows) if v.work == work]} for work in WORKS],
        ratios=[ratio_cells(problem, rtol, group) for (problem, rtol), group in by_tolerance(rows).items()],
        standings=[standing_cells(one) for one in times.standings(rows)],
        problems=[report.detail(name, group) for name, group in by_problem(rows).items()],
    )  # fmt: skip


def ratio_cells(problem: str, rtol: float, group: Sequence[Comparison]) -> dict[str, Any]:
    of = {one.case.preconditioner: one for one in group}
    return {
        "problem": problem, "rtol": f"{rtol:.0e}",
        "cells": [
            {
                "sorted": f"{one.ratio:.3g}", "unsorted": f"{one.gmres / one.unsorted:.3g}", "paper": f"{one.case.published:.3g}",
                "counts": f"{one.gmres:,.0f} / {one.sorted:,.0f}", "colour": "win" if one.within else "loss",
            } if (one := of.get(kind)) else None
            for kind in PRECONDITIONERS
        ],
    }  # fmt: skip


def standing_cells(one: Standing) -> dict[str, Any]:
    met = one.ratio is not None and one.ratio <= times.RIVAL_BAR
    return {
        "problem": one.ours.family, "rows": f"{one.ours.rows:,}", "rtol": f"{one.ours.rtol:.0e}",
        "ours": seconds(one.ours.solve_seconds), "rival": one.rival.method if one.rival else "-",
        "rival_seconds": seconds(one.rival.solve_seconds if one.rival else None),
        "ratio": "-" if one.ratio is None else f"{one.ratio:.2f}", "colour": "win" if met else "loss",
        "gains": [{"name": name, "gain": f"{gain:.3g}", "colour": gained(one, gain)} for name, gain in one.gains.items()],
    }  # fmt: skip


def gained(one: Standing, gain: float) -> str:
    """Coloured where there is a bar."""
    return "" if not one.published else "win" if gain >= times.REFERENCE_BAR else "loss"


def along(rows: Sequence[Row]) -> str | None:
    """Iterations system by system, a panel a set, at its tightest tolerance; None if there is nothing to draw."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.work == ratios.WORK and row.chose == DRAWN and row.rtol == min(ratios.TABLE_1[row.family].ratios):
            groups.setdefault(row.family, []).append(row)
    if not groups:
        return None
    down = -(-len(groups) // 2)
    figure, grid = figures.blank(11.5, 3.2 * down, down, 2)
    handles = {}
    for axes, (problem, group) in zip(grid.flat, groups.items(), strict=False):
        for row in group:
            order, counts = zip(*row.history, strict=True)
            handles[row.method] = axes.semilogy(order, counts, markersize=3, linewidth=1.2, **LOOKS[row.method])[0]
        figures.decorate(axes, f"{problem}, {group[0].rtol:.0e}, {DRAWN}", "system, in the order it was solved", "iterations")
    for axes in grid.flat[len(groups) :]:
        axes.set_visible(False)
    figures.legend(figure, handles)
    return figures.svg(figure, "along")
