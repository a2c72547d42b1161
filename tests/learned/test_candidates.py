"""What petrov.solve takes of the shipped weights by itself."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import petrov
from petrov import learned, solvers
from petrov.learned import candidates
from petrov.learned.candidates import GridWeights
from petrov.solvers import compact, problems
from petrov.solvers.recognise import recognise


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    """As if a grid of 120^2 cells were large, and factorisations dear."""
    monkeypatch.setattr(candidates, "CELLS", 14_000)
    monkeypatch.setattr(candidates, "ONCE", (1e-9, 1e-6))


def test_it_is_taken_on_large_grids_alone():
    b = np.random.default_rng(7).standard_normal(14_400)
    for A, name in (
        (problems.darcy(120).A, "grid multigrid"), (problems.darcy(25, dim=3).A, "grid multigrid"),
        (problems.darcy(60).A, ""), (problems.anisotropic(120).A, ""),
    ):  # fmt: skip
        rhs = b[: A.shape[0]] if A.shape[0] <= len(b) else np.resize(b, A.shape[0])
        result = petrov.solve(A, rhs)
        assert (result.preconditioner == "grid multigrid") == bool(name), result
        assert np.linalg.norm(rhs - A @ result.x) <= 1.01e-8 * np.linalg.norm(rhs)
        assert not name or result.iterations <= 14


def test_the_dimension_is_told_from_the_matrix():
    for problem, dim in ((problems.poisson(120), 2), (problems.poisson(25, dim=3), 3)):
        A = compact(problem.A)
        assert GridWeights().estimate(recognise(A, 1)) is not None
        loaded = learned.load(f"grid-multigrid-{dim}d")
        r = np.random.default_rng(3).standard_normal(A.shape[0])
        np.testing.assert_array_equal(GridWeights()(A) @ r, loaded(A) @ r)


def test_the_front_door_offers_it_and_can_be_told_not_to():
    A, b = problems.darcy(120).A, np.ones(14_400)
    for ask in (lambda **k: petrov.solve(A, b, **k), lambda **k: petrov.Solver(A, **k).solve(b), lambda **k: petrov.Sequence(**k).solve([(A, b)])[0]):
        assert ask().preconditioner == "grid multigrid" and ask(candidates=()).preconditioner != "grid multigrid"
    assert solvers.solve(A, b).preconditioner != "grid multigrid"
    assert pickle.loads(pickle.dumps(petrov.solve)) is petrov.solve and isinstance(petrov.Solver(A), solvers.Solver)
    assert petrov.solve.__doc__ == solvers.solve.__doc__ and petrov.Sequence.__name__ == "Sequence"


def test_asking_loads_no_weights():
    code = """
import sys
import numpy as np, petrov
petrov.solve(np.eye(3), np.ones(3))
assert not any(name in sys.modules for name in ("petrov.learned.checkpoint", "safetensors", "petrov.learned.families"))
from petrov.solvers import problems
r = petrov.solve(problems.poisson(450).A, np.ones(450 * 450))
assert r.preconditioner == "grid multigrid" and "torch" not in sys.modules, r
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr
