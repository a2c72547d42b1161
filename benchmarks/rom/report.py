"""The HTML report of `petrov bench rom`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import figures, report
from ..document import Document, Row, by_problem
from ..table import ratio, seconds
from . import peer, stored, thermal
from .verdicts import OFFLINE_BAR, ONLINE_BAR, WORKS, Standing, standings, tally, verdicts

TEMPLATE = "rom.html.j2"
LOOKS: dict[str, dict[str, Any]] = {
    peer.NAME: {"color": "#e6550d", "marker": "s", "linestyle": (0, (4, 2)), "markerfacecolor": "white"},
    thermal.OURS: {"color": "#0b3c8c", "marker": ".", "linestyle": "-"},
}  # fmt: skip


def write(document: Document, path: Path) -> None:
    """Render the report to path, through a temporary name."""
    report.put(render(document), path)


def render(document: Document) -> str:
    """The report as one HTML text, figures inline."""
    rows = document.rows
    return report.filled(
        TEMPLATE, document, plots={"ladder": ladder(rows)}, tally=tally(rows),
        verdicts=[{"title": WORKS[work], "lines": [v for v in verdicts(rows) if v.work == work]} for work in WORKS],
        standings=[standing_cells(one) for one in standings(rows)],
        files=[file_cells(row) for row in rows if row.work == stored.WORK],
        problems=[report.detail(name, group) for name, group in by_problem(rows).items()],
    )  # fmt: skip


def standing_cells(one: Standing) -> dict[str, Any]:
    def cell(a: float | None, b: float | None, share: float | None, bar: float | None) -> dict[str, str]:
        colour = "" if bar is None or share is None else "win" if share <= bar else "loss"
        return {"ours": seconds(a), "theirs": seconds(b), "ratio": ratio(share), "colour": colour}

    return {
        "problem": one.ours.problem, "rows": f"{one.ours.rows:,}", "apart": f"{one.ours.relative_residual:.1e}",
        "ours": one.ours.reason, "theirs": one.theirs.reason,
        "cells": [
            cell(one.ours.setup_seconds, one.theirs.setup_seconds, one.offline, OFFLINE_BAR),
            cell(one.ours.solve_seconds, one.theirs.solve_seconds, one.online, ONLINE_BAR),
            cell(one.alone.solve_seconds, one.theirs.solve_seconds, one.single, None),
        ],
    }  # fmt: skip


def file_cells(row: Row) -> dict[str, str]:
    return {
        "problem": row.problem, "method": row.method, "said": row.reason, "write": seconds(row.setup_seconds),
        "read": seconds(row.solve_seconds),
    }  # fmt: skip


def ladder(rows: Sequence[Row]) -> str | None:
    """The largest bound over the training set against the size of the basis; None if there is none."""
    groups = by_problem(row for row in rows if row.work == thermal.WORK and row.history)
    if not groups:
        return None
    figure, grid = figures.blank(11.5, 3.4, 1, len(groups))
    handles = {}
    for axes, (problem, group) in zip(grid.flat, groups.items(), strict=True):
        for row in sorted(group, key=lambda row: row.method != peer.NAME):  # ours above
            size, bound = zip(*row.history, strict=True)
            handles[row.method] = axes.semilogy(size, bound, markersize=5, linewidth=1.2, **LOOKS[row.method])[0]
        figures.decorate(axes, problem, "basis size", "largest bound over the training set")
    figures.legend(figure, handles)
    return figures.svg(figure, "ladder")
