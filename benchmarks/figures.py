"""The plots of the report, as SVG text: times against size, times per problem, residual histories. One colour per method."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .document import OK, WRONG, Row, by_problem
from .table import seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# petrov: filled circles and full lines, from dark to light; peers: open markers and broken lines. (colour, marker)
STYLES = {
    "petrov.solve": ("#111111", "D"),
    "petrov cg": ("#1f77b4", "o"),
    "petrov cg + Jacobi": ("#17a2b8", "o"),
    "petrov cg + Chebyshev": ("#7fb800", "o"),
    "petrov cg + IC(0)": ("#2e8b57", "o"),
    "petrov cg + AMG": ("#0b3c8c", "o"),
    "petrov minres": ("#5e3c99", "o"),
    "petrov gmres + ILU": ("#00695c", "o"),
    "petrov direct": ("#6b7a8f", "o"),
    "scipy cg": ("#e6550d", "s"),
    "scipy cg + Jacobi": ("#f2a33a", "s"),
    "scipy minres": ("#b15928", "s"),
    "scipy gmres + ILU": ("#c49c00", "s"),
    "scipy splu": ("#a50f15", "s"),
    "pyamg SA + cg": ("#d6279b", "^"),
    "pyamg RS + cg": ("#8e44ad", "^"),
}
OTHERS = ("#8c564b", "#bcbd22", "#e377c2", "#9467bd", "#2ca02c")
FILES = {"SuiteSparse and others"}  # a family of unrelated matrices, no curve
BAND = {"linewidth": 4.5, "alpha": 0.4, "zorder": 2}  # the default runs one of the others: a band under its curve
GRID = {"color": "#dddddd", "linewidth": 0.6}


def style(method: str, library: str, names: Sequence[str]) -> dict[str, Any]:
    """Colour, marker and line of a method: fixed for the suite's own, by position for further ones."""
    colour, marker = STYLES.get(method, (OTHERS[list(names).index(method) % len(OTHERS)], "v"))
    ours = library == "petrov"
    return {
        "color": colour, "marker": marker, "linestyle": "-" if ours else (0, (4, 2)),
        "markerfacecolor": colour if ours else "white", "markeredgecolor": colour,
        "linewidth": 1.4, "zorder": 3 if ours else 4,  # broken lines over full ones: two equal curves are both seen
        **(BAND if method == "petrov.solve" else {}),
    }  # fmt: skip


def svg(figure: Figure, salt: str) -> str:
    """The figure as an <svg> element, without date and prologue; the same rows give the same text."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": salt}), io.StringIO() as file:
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
        text = file.getvalue()
    return text[text.index("<svg") :]


def blank(width: float, height: float, rows: int = 1, columns: int = 1, **keywords: Any) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **keywords)


def decorate(axes: Any, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(which="both", labelsize=8)
    axes.grid(True, which="major", **GRID)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def right(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.status == OK and row.total_seconds]


def names_of(rows: Iterable[Row]) -> list[str]:
    """The methods in the order of the suite's table, others after them."""
    found = list(dict.fromkeys(row.method for row in rows))
    return [name for name in STYLES if name in found] + [name for name in found if name not in STYLES]


def scaling(rows: Sequence[Row]) -> str | None:
    """Total seconds against rows for every family run at three sizes or more; None if there is none."""
    timed = right(rows)
    sizes: dict[str, set[int | None]] = {}
    for row in timed:
        sizes.setdefault(row.family, set()).add(row.rows)
    families = [family for family, found in sizes.items() if len(found) >= 3 and family not in FILES]
    if not families:
        return None
    across = min(len(families), 2)
    down = -(-len(families) // across)
    figure, grid = blank(4.9 * across + 2.3, 4.0 * down, down, across)
    names, handles = names_of(rows), {}
    for axes, family in zip(grid.flat, families, strict=False):
        for name in names:
            line = sorted((row for row in timed if (row.family, row.method) == (family, name)), key=lambda r: r.rows or 0)
            if line:
                look = style(name, line[0].library, names)
                points = [row.rows for row in line], [row.total_seconds for row in line]
                handles[name] = axes.loglog(*points, markersize=5, label=name, **look)[0]
        decorate(axes, f"{family}: set-up + solve", "rows", "seconds")
    for axes in grid.flat[len(families) :]:
        axes.set_visible(False)
    legend(figure, {name: handles[name] for name in names if name in handles})
    return svg(figure, "scaling")


def legend(figure: Figure, handles: dict[str, Any]) -> None:
    figure.legend(
        handles.values(), handles.keys(), loc="outside right upper", fontsize=8, frameon=False, handlelength=3.2
    )  # fmt: skip


def times(rows: Sequence[Row]) -> str | None:
    """A line per problem, a column per method: seconds of set-up + solve, shaded by the ratio to the fastest of the line."""
    groups = {problem: group for problem, group in by_problem(rows).items() if right(group)}
    if not groups:
        return None
    names = names_of(row for group in groups.values() for row in group)
    figure, grid = blank(2.6 + 0.68 * len(names), 1.4 + 0.27 * len(groups))
    axes = grid[0][0]
    for y, group in enumerate(groups.values()):
        fastest = min(row.total_seconds or 0.0 for row in right(group))
        for row in group:
            cell(axes, names.index(row.method), y, row, fastest)
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="left", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(range(len(groups)), list(groups), fontsize=8)
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    return svg(figure, "times")


def cell(axes: Any, x: int, y: int, row: Row, fastest: float) -> None:
    """One square: dark green for the fastest, paler up to a hundred times slower; grey with a word for no right answer."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    words = {"NOT CONVERGED": "no conv.", "WRONG": "WRONG", "FAILED": "failed", "SKIPPED": "skipped"}
    if row.status == OK and row.total_seconds:
        depth = max(0.0, 1.0 - math.log10(row.total_seconds / fastest) / 2.0)
        face: Any = colormaps["Greens"](0.05 + 0.8 * depth)
        text = seconds(row.total_seconds)
        ink, weight = "white" if depth > 0.62 else "#1a1f24", "bold" if depth == 1.0 else "normal"
    else:
        face, text, weight = "#eceff2", words[row.status], "normal"
        ink = "#b3261e" if row.status == WRONG else "#5d6875"
    axes.add_patch(Rectangle((x - 0.49, y - 0.48), 0.98, 0.96, facecolor=face, linewidth=0))
    axes.text(x, y, text, ha="center", va="center", fontsize=7, color=ink, weight=weight)


def histories(rows: Sequence[Row]) -> str | None:
    """Relative residual against iterations and against seconds, a line of panels per plotted problem."""
    groups = {
        problem: [row for row in group if len(row.history) > 1]
        for problem, group in by_problem(rows).items()
        if any(len(row.history) > 1 for row in group)
    }
    if not groups:
        return None
    figure, grid = blank(12.5, 3.3 * len(groups), len(groups), 2, sharey="row")
    names, handles = names_of(rows), {}
    for (problem, group), (left, across) in zip(groups.items(), grid, strict=True):
        for row in group:
            look = style(row.method, row.library, names) | {"marker": "", "markersize": 0}
            steps, values = zip(*row.history, strict=True)
            handles[row.method] = left.semilogy([max(k, 0.7) for k in steps], values, label=row.method, **look)[0]
            if row.total_seconds is not None:
                across.loglog(clock(row, steps), values, **look)
        left.set_xscale("log")
        for axes, unit in ((left, "iterations"), (across, "seconds, set-up included")):
            decorate(axes, problem, unit, "||b - A x|| / ||b||" if axes is left else "")
            if group[0].rtol:
                axes.axhline(group[0].rtol, color="#888888", linewidth=0.8, linestyle=":")
    legend(figure, {name: handles[name] for name in names if name in handles})
    return svg(figure, "histories")


def clock(row: Row, steps: Sequence[float]) -> list[float]:
    """The median times spread evenly over the iterations: set-up first, then solve / iterations a step."""
    setup, solve = row.setup_seconds or 0.0, row.solve_seconds or 0.0
    last = max(steps) or 1.0
    return [max(setup, solve / last / 2) if k == 0 else setup + solve * k / last for k in steps]
