"""The asv benchmarks: found where asv looks, each run once on small systems, none timed that is wrong."""

import json
from pathlib import Path

import pytest

from petrov.benchmarks import history
from petrov.benchmarks.contests import PYAMG, known
from petrov.benchmarks.records import Outcome

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    history.system.cache_clear()
    monkeypatch.setattr(history, "GRIDS", {"poisson 512^2": ("poisson", 24, 2), "jump 1e6 48^3": ("jump 1e6", 8, 3)})
    monkeypatch.setattr(history, "ELEMENTS", {"P1 240^2": (16, 2)})
    monkeypatch.setattr(history, "METHODS", {method.name: method for method in (*known("petrov cg + Jacobi"), PYAMG[0])})
    yield
    history.system.cache_clear()


def test_asv_is_told_where_they_are():
    settings = json.loads((ROOT / "asv.conf.json").read_text())
    folder = ROOT / settings["benchmark_dir"]
    assert "petrov.benchmarks.history import Iterate, Solve" in (folder / "__init__.py").read_text()


@pytest.mark.parametrize("problem", ["poisson 512^2", "jump 1e6 48^3", "P1 240^2"])
def test_solves(problem):
    for method in history.METHODS:
        benchmark = history.Solve()
        benchmark.setup(problem, method)
        benchmark.time_setup(problem, method)
        benchmark.time_solve(problem, method)
        assert 0 < benchmark.track_iterations(problem, method) < 600


def test_iterations_and_parameters():
    problems, methods = history.Iterate.params
    for method in methods:
        benchmark = history.Iterate()
        benchmark.setup(problems[0], method)
        benchmark.time_iterations(problems[0], method)
    assert set(history.Solve.params[0]) >= set(problems)


def test_a_method_for_grids_is_left_out_on_elements(monkeypatch):
    monkeypatch.setitem(history.METHODS, history.GRID.name, history.GRID)
    with pytest.raises(NotImplementedError, match="for grids"):
        history.Solve().setup("P1 240^2", history.GRID.name)


def test_a_wrong_answer_is_not_timed(monkeypatch):
    monkeypatch.setattr(history, "solved", lambda method, prepared, problem: Outcome(0 * problem.b, True, 1))
    with pytest.raises(ArithmeticError, match="true relative residual"):
        history.Solve().setup("poisson 512^2", PYAMG[0].name)
