"""The report of one solve: a self-contained HTML page with the outcome, its reason, the residual history and the facts."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import __version__
from ..solvers import SolveResult
from . import figures, machine

TEMPLATE = "solve.html.j2"
NEEDS = ("jinja2", "matplotlib")
LABELLED = 8  # columns of b with a line of their own in the legend


def require_libraries() -> None:
    """Raise ImportError, naming the extra, when the libraries of the report are missing."""
    if missing := [name for name in NEEDS if importlib.util.find_spec(name) is None]:
        raise ImportError(f'an HTML report needs {" and ".join(missing)}: pip install "petrov[bench]", or leave --report out')


def write(result: SolveResult, b: np.ndarray, path: Path, *, title: str, facts: dict[str, str]) -> None:
    """Render the page to path, through a temporary name."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(render(result, b, title=title, facts=facts), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def render(result: SolveResult, b: np.ndarray, *, title: str, facts: dict[str, str]) -> str:
    """The page as text. b (n,) or (n, k) is what was solved for; facts say where A and b came from."""
    require_libraries()
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    plot = history(result, b)
    return environment.get_template(TEMPLATE).render(
        title=title, result=result, plot=None if plot is None else Markup(plot), facts=facts | outcome(result)
    )


def history(result: SolveResult, b: np.ndarray) -> str | None:
    """Residual over ||b|| against iterations, a line a column, as SVG; None where there are not two points to join."""
    norms = np.atleast_1d(np.linalg.norm(b, axis=0))
    looks = np.asarray(result.residuals, float).reshape(len(result.residuals), len(norms))
    relative = looks / np.where(norms > 0, norms, 1.0)
    relative[~(np.isfinite(relative) & (relative > 0))] = np.nan
    if np.isfinite(relative).sum(axis=0).max(initial=0) < 2:
        return None
    figure, grid = figures.blank(9.0, 4.2)
    axes = grid[0][0]
    steps = np.linspace(0, np.max(result.iterations), len(looks))  # a look is an iteration on a CPU
    for column, values in enumerate(relative.T):
        axes.semilogy(steps, values, linewidth=1.6, label=f"column {column}" if 1 < len(norms) <= LABELLED else None)
    if result.rtol:
        axes.axhline(result.rtol, color="#888888", linewidth=0.9, linestyle=":", label=f"rtol = {result.rtol:g}")
    figures.decorate(axes, "", "iterations", "residual / ||b||")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)
    return figures.svg(figure, "history")


def outcome(result: SolveResult) -> dict[str, str]:
    """The numbers of a result and what it ran on, as pairs of texts."""
    computer, threads = machine.machine(), machine.threads()
    return {
        "method": result.method,
        "preconditioner": result.preconditioner,
        "iterations": joined(result.iterations, "{:,.0f}"),
        "products with A": f"{result.matvecs:,}",
        "||b - A x||, recomputed": joined(result.residual, "{:.3e}"),
        "||b - A x|| / ||b||": joined(result.relative_residual, "{:.3e}"),
        "relative tolerance": f"{result.rtol:g}",
        "set-up": f"{result.setup_seconds:.3g} s",
        "solve": f"{result.solve_seconds:.3g} s",
        "compiling, once": f"{result.compile_seconds:.3g} s",
        "petrov": __version__,
        "Python": str(computer["python"]),
        "machine": f"{computer['processor']}, {computer['cores']} cores",
        "threads": f"{threads['numba']} in petrov's kernels",
    }


def joined(values: float | Sequence[float] | np.ndarray, form: str) -> str:
    """One number, or a column's each, the first few written out."""
    numbers = np.atleast_1d(values)
    return ", ".join(form.format(number) for number in numbers[:LABELLED]) + (", ..." if len(numbers) > LABELLED else "")
