"""The compiled passes of recognise.py against the ones in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.solvers import compact, problems, recognise
from petrov.solvers.eliminate import alone
from petrov.solvers.storage import canonical

MATRICES = {
    "grid": lambda: problems.darcy(9).A,
    "Neumann": lambda: problems.poisson(9, boundary="neumann").A,
    "convection": lambda: problems.convection_diffusion(9).A,
    "elasticity": lambda: problems.elasticity(5).A,
    "negative": lambda: -problems.darcy(9).A,
    "empty row": lambda: sp.csr_array(np.diag([1.0, 0.0, 2.0]) + np.diag([0.5, 0.0], 1)),
    "mixed signs": lambda: sp.csr_array(np.diag([1.0, -3.0, 2.0])),
    "one triangle": lambda: sp.csr_array(np.triu(np.ones((5, 5)))),
    "nearly symmetric": lambda: problems.darcy(9).A + sp.csr_array(([1e-9], ([3], [4])), shape=(81, 81)),
    "unit rows": lambda: sp.block_diag([problems.poisson(5).A, 2 * sp.eye_array(4)]).tocsr(),
}


@pytest.mark.parametrize("name", MATRICES)
def test_rows(name):
    A = canonical(sp.csr_array(MATRICES[name]()))
    readable, compiled = recognise.rows(A), recognise.compiled_rows(A)
    assert compiled.asymmetry == pytest.approx(readable.asymmetry, rel=1e-6, abs=1e-15)
    for fact in ("definite", "dominant", "positive", "zero_sums", "empty_row"):
        assert getattr(compiled, fact) == getattr(readable, fact), fact


@pytest.mark.parametrize("name", MATRICES)
def test_rows_alone_with_their_diagonal(name, monkeypatch):
    from petrov.solvers import eliminate

    matrix = canonical(sp.csr_array(MATRICES[name]())).tocsr()
    readable = alone(matrix)
    monkeypatch.setattr(eliminate, "COMPILED_FROM", 0)
    assert np.array_equal(alone(matrix), readable)


def test_a_grid_is_a_fact():
    facts = recognise.recognise(compact(problems.darcy(64).A), 5)
    assert facts.grid is not None and facts.grid.shape == (64, 1, 64) and facts.depth == 127
