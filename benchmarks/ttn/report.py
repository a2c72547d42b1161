"""The HTML report of `petrov bench ttn`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import figures, report
from ..document import OK, SKIPPED, Document, Row, by_problem
from ..table import ratio, seconds
from . import alone, spins
from .verdicts import ERROR, STEP_BAR, WORKS, Duel, duels, paces, tally, verdicts

TEMPLATE = "ttn.html.j2"
COLOURS = {  # petrov: full lines, filled markers; peers: broken and open
    "petrov two sites, chain": ("#0b3c8c", "o"), "petrov two sites, balanced": ("#1f9bcf", "o"),
    "petrov MidpointBUG": ("#2e8b57", "D"), "petrov RankAdaptiveBUG": ("#111111", "v"), "petrov ParallelBUG": ("#8a97a8", "^"),
    "TeNPy TDVP2": ("#d95f02", "s"), "TeNPy TEBD": ("#b0188b", "s"), "PyTreeNet TDVP2, chain": ("#b3261e", "X"),
    "PyTreeNet BUG, dense exponentials": ("#b3261e", "P"), "PyTreeNet BUG, RK45": ("#e39c9c", "P"),
}  # fmt: skip
STEPS_SHOWN = (1, 2, 5, 10, 20)


def write(document: Document, path: Path) -> None:
    """Render the report to path, through a temporary name."""
    report.put(render(document), path)


def render(document: Document) -> str:
    """The report as one HTML text, figures inline."""
    rows = document.rows
    plots = {"precision": precision(rows), "growth": growth(rows), "ranks": ranks(rows)}
    return report.filled(
        TEMPLATE, document, plots=plots, tally=tally(rows), error=f"{ERROR:.0e}",
        verdicts=[{"title": WORKS[work], "lines": [v for v in verdicts(rows) if v.work == work]} for work in WORKS],
        steps=[step_cells(row, rows) for row in rows if row.problem == spins.STEPS],
        duels=[duel_cells(one) for one in duels(rows)], many=[many_cells(row) for row in rows if row.work == spins.MANY],
        alone=[alone_cells(row) for row in rows if row.work in alone.WORKS],
        problems=[detail(name, group) for name, group in by_problem(rows).items()],
    )  # fmt: skip


def detail(problem: str, group: list[Row]) -> dict[str, Any]:
    """All rows of a problem, in the colours of the figures."""
    found = report.detail(problem, group)
    return {**found, "about": "", "lines": [{**line, "swatch": colour_of(line["method"])} for line in found["lines"]]}


# -- Tables ----------------------------------------------------------------------------------------------------------------


def step_cells(row: Row, rows: Sequence[Row]) -> dict[str, Any]:
    """A method in the contest of steps; of ours, the part of PyTreeNet's time."""
    share = next((one.share for one in paces(rows) if one.ours is row), None)
    track = [row.history[k - 1] for k in STEPS_SHOWN if k <= len(row.history)]
    return {
        "method": row.method, "ranks": ", ".join(f"{rank:.0f}" for _, rank, *_ in track), "total": seconds(row.solve_seconds),
        "last": seconds(row.history[-1][2]) if row.history else "-", "wall": seconds(wall(row)), "error": error_of(row),
        "share": ratio(share), "colour": "" if share is None else "win" if share <= STEP_BAR else "loss",
        "trouble": {OK: "", SKIPPED: "not run"}.get(row.status, row.reason),
    }  # fmt: skip


def duel_cells(one: Duel) -> dict[str, Any]:
    def cell(row: Row | None) -> dict[str, str]:
        if row is None:
            return {"method": "not run" if one.absent else "none reaches it", "seconds": "-", "error": "-"}
        return {"method": row.method, "seconds": seconds(row.solve_seconds), "error": error_of(row)}

    share = one.share
    return {
        "quench": one.quench, "name": one.name, "ours": cell(one.ours), "theirs": cell(one.peer), "share": ratio(share),
        "colour": "" if share is None else "win" if share <= 1 else "loss",
    }  # fmt: skip


def many_cells(row: Row) -> dict[str, str]:
    return {
        "spins": f"{row.rows}", "method": row.method, "tree": row.kind, "bond": "-" if row.entries is None else f"{row.entries}",
        "setup": seconds(row.setup_seconds), "total": seconds(row.solve_seconds),
        "rank": f"{row.history[-1][1]:.0f}" if row.history else "-",
        "trouble": {OK: "", SKIPPED: "not run"}.get(row.status, row.reason),
    }  # fmt: skip


def alone_cells(row: Row) -> dict[str, Any]:
    return {
        "problem": row.problem, "method": row.method, "steps": "-" if row.iterations is None else f"{row.iterations:,}",
        "total": seconds(row.solve_seconds), "error": error_of(row), "said": row.reason, "wrong": row.status != OK,
    }  # fmt: skip


def wall(row: Row) -> float | None:
    return sum(step[3] for step in row.history) if row.history else None


def error_of(row: Row) -> str:
    return "-" if row.relative_residual is None else f"{row.relative_residual:.1e}"


# -- Figures ---------------------------------------------------------------------------------------------------------------


def code(row: Row) -> str:
    """The name of a row without its step."""
    return row.method if row.method in COLOURS else row.method.rpartition(", ")[0]


def colour_of(method: str) -> str:
    return next((colour for name, (colour, _) in COLOURS.items() if method.startswith(name)), "#6b7a8f")


def look(name: str) -> dict[str, Any]:
    colour, marker = COLOURS.get(name, ("#6b7a8f", "."))
    ours = name.startswith("petrov")
    return {
        "color": colour, "marker": marker, "linestyle": "-" if ours else (0, (4, 2)), "linewidth": 1.4, "markersize": 5.5,
        "markerfacecolor": colour if ours else "white", "markeredgecolor": colour,
    }  # fmt: skip


def by_code(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.status == OK and row.solve_seconds:
            found.setdefault(code(row), []).append(row)
    return found


def precision(rows: Sequence[Row]) -> str | None:
    """Error at t = 1 against seconds, a panel a quench, a line a code; None if there is nothing to show."""
    panels = {name: by_code(row for row in rows if row.problem == name) for name in (spins.PRECISION, spins.CHAINS)}
    panels = {name: codes for name, codes in panels.items() if codes}
    if not panels:
        return None
    figure, grid = figures.blank(5.2 * len(panels) + 2.6, 4.2, 1, len(panels))
    handles = {}
    for axes, (problem, codes) in zip(grid.flat, panels.items(), strict=True):
        for name, group in codes.items():
            points = [(row.solve_seconds, row.relative_residual) for row in group]  # from long steps to short ones
            handles[name] = axes.loglog(*zip(*points, strict=True), **look(name))[0]
        axes.axhline(ERROR, color="#555555", linewidth=1.1, linestyle=":")
        axes.set_xlim(*decades(axes.get_xlim()))
        axes.set_ylim(*decades(axes.get_ylim()))
        figures.decorate(axes, problem, "seconds of one processor", "error of the mean of sz at t = 1")
    figures.legend(figure, {name: handles[name] for name in COLOURS if name in handles})
    return figures.svg(figure, "precision")


def decades(limits: Sequence[float]) -> tuple[float, float]:
    """The powers of ten around them."""
    low, high = limits
    return 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high))


def growth(rows: Sequence[Row]) -> str | None:
    """Of the contest of steps: the largest rank, and seconds a step, against time; None if there is nothing to show."""
    shown = [row for row in rows if row.problem == spins.STEPS and row.status == OK and row.history]
    if not shown:
        return None
    figure, ((left, right),) = figures.blank(12.2, 3.6, 1, 2)
    handles = {}
    for row in shown:
        step, rank, cpu, _ = zip(*row.history, strict=True)
        style = {**look(row.method), "markersize": 3.5}
        handles[row.method] = left.plot(step, rank, **style)[0]
        right.semilogy(step, cpu, **style)
    for axes, title in ((left, "largest rank"), (right, "seconds of a step")):
        axes.xaxis.get_major_locator().set_params(integer=True)
        figures.decorate(axes, title, "step", "")
    figures.legend(figure, handles)
    return figures.svg(figure, "growth")


def ranks(rows: Sequence[Row]) -> str | None:
    """The largest rank against time of what has no peer, a panel a problem; None if there is nothing to show."""
    groups = by_problem(row for row in rows if row.work in alone.WORKS and row.status == OK and len(row.history) > 1)
    if not groups:
        return None
    figure, grid = figures.blank(4.2 * len(groups) + 2.6, 3.4, 1, len(groups))
    for axes, (problem, group) in zip(grid.flat, groups.items(), strict=True):
        for row in group:
            axes.plot(*zip(*row.history, strict=True), linewidth=1.4, label=row.method.removeprefix("petrov "))
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=7, frameon=False)
        figures.decorate(axes, problem, "t", "largest rank")
    return figures.svg(figure, "ranks")
