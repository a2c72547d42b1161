"""The page about one solve: what it says, and that odd histories do not break its plot."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from petrov.benchmarks import solve_report
from petrov.solvers import SolveResult, Status


def outcome(residuals: np.ndarray, **fields: object) -> SolveResult:
    usual = {
        "x": np.ones(3), "status": Status.CONVERGED, "reason": "A < B & symmetric", "method": "cg", "preconditioner": "jacobi",
        "residual": 2.5e-9, "iterations": 1234, "matvecs": 1235, "rtol": 1e-8, "relative_residual": 1e-9, "setup_seconds": 0.25,
    }  # fmt: skip
    return SolveResult(residuals=residuals, **(usual | fields))


def lines(svg: str) -> int:
    """Curves in a plot: matplotlib's numbered lines that are neither ticks nor grid, less the legend's."""
    return len(re.findall(r'<g id="line2d_\d+">\s*<path d="[^"]*" clip-path="[^"]*" style="[^"]*stroke-width: 1\.6', svg))


def test_the_page(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    solve_report.write(outcome(np.array([3.0, 1e-3, 3e-9])), np.full(3, 1.5), path, title="<A>.mtx", facts={"b": "b.npy & co"})
    page = path.read_text(encoding="utf-8")
    said = ("&lt;A&gt;.mtx", "CONVERGED", "A &lt; B &amp; symmetric", "b.npy &amp; co", "1,234", "1,235", "2.500e-09", "0.25 s")
    assert [words for words in said if words not in page] == []
    assert lines(page) == 1
    assert "rtol = 1e-08" in page
    assert not re.search(r'(src|href)="https?:', page)
    assert [found.name for found in tmp_path.iterdir()] == ["r.html"]


def test_a_failure_is_shown_as_one() -> None:
    page = solve_report.render(outcome(np.array([1.0, 0.5]), status=Status.DIVERGED), np.ones(3), title="A", facts={})
    assert '<span class="bad">DIVERGED' in page
    assert "The residual grew beyond recovery" in page


HISTORIES = {  # residuals, b -> curves, or None for no plot
    "two columns": (np.array([[1.0, 2.0], [0.1, 0.2]]), np.ones((3, 2)), 2),
    "twenty columns": (np.ones((5, 20)), np.ones((3, 20)), 20),
    "zeros and infinities": (np.array([1.0, 0.0, np.inf, np.nan, 0.1]), np.ones(3), 1),
    "b is zero": (np.array([1.0, 0.1]), np.zeros(3), 1),
    "no tolerance": (np.array([1.0, 0.5]), np.ones(3), 1),
    "one look": (np.array([1.0]), np.ones(3), None),
    "no looks": (np.zeros((0,)), np.ones(3), None),
    "all zero": (np.zeros(4), np.ones(3), None),
}


@pytest.mark.parametrize(("residuals", "b", "curves"), HISTORIES.values(), ids=HISTORIES)
def test_histories(residuals: np.ndarray, b: np.ndarray, curves: int | None, request: pytest.FixtureRequest) -> None:
    columns, rtol = residuals.shape[1:], 0.0 if "tolerance" in request.node.name else 1e-8
    each = {"residual": np.ones(columns), "relative_residual": np.ones(columns), "iterations": np.full(columns, 4)}
    result = outcome(residuals, rtol=rtol, **each)
    plot = solve_report.history(result, b)
    assert plot is None if curves is None else lines(plot) == curves
    assert "Residual history" in solve_report.render(result, b, title="A", facts={})
