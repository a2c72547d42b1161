"""The shipped weights of the two networks of factors: iterations on systems that no training saw, definite wherever they are applied."""

from __future__ import annotations

import numpy as np
import pytest

from petrov.learned import FAMILIES, describe, load
from petrov.solvers import IncompleteCholesky, Jacobi, cg, problems

# weights, what they have to beat, the most of its iterations (measured: 0.91 and 0.40)
BEATEN = [("graph-factor-2d", IncompleteCholesky(), 1.0), ("sparse-inverse-2d", Jacobi(), 0.5)]
SEED = 880_301


@pytest.mark.parametrize(("name", "rival", "most"), BEATEN)
def test_fewer_iterations_on_held_out_systems(name, rival, most):
    recipe, systems = load(name), [FAMILIES["fem2d"].system(8_000, SEED + k) for k in range(4)]
    counts = np.array([[cg(s.A, s.b, M=M).iterations for M in (s.bind(recipe), rival)] for s in systems])
    ratio = np.exp(np.log(counts[:, 0] / counts[:, 1]).mean())
    assert ratio < most, counts
    assert not {8_000} & {*describe(name)["facts"]["sizes"], *describe(name)["facts"]["unseen_sizes"]}


@pytest.mark.parametrize("name", [name for name, *_ in BEATEN])
def test_definite_out_of_the_family(name):
    """Where IC(0) meets a pivot that is not positive, too."""
    recipe = load(name)
    for A in (problems.elasticity(5, 3).A, problems.jump(16, contrast=1e8).A, problems.anisotropic(14, epsilon=1e-4, angle=0.6).A):
        M = recipe(A) @ np.eye(A.shape[0])
        d = np.sqrt(A.diagonal())
        scaled = d[:, None] * M * d
        assert np.abs(scaled - scaled.T).max() <= 1e-12 * np.abs(scaled).max()
        assert np.linalg.eigvalsh((scaled + scaled.T) / 2)[0] > 0


@pytest.mark.parametrize("name", [name for name, *_ in BEATEN])
def test_a_file_tells_how_it_was_made(name):
    pytest.importorskip("torch")
    from petrov.learned.weights.make import RUNS

    facts, run = describe(name)["facts"], RUNS[name]
    assert facts["families"] == list(run.families) and facts["sizes"] == list(run.sizes) and facts["systems"] == run.count
    assert all(facts["plan"][key] == value for key, value in run.options.items() if key != "steps") and facts["steps"] == run.options["steps"]
    assert facts["iterations"] < facts["iterations_before"] and facts["seconds"] > 0
