"""GraphMultigrid: definite whatever its weights, the same numbers compiled and in torch, and what it does where it cannot help."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.learned import FAMILIES, GraphMultigrid, graph_multigrid, load, save
from petrov.learned.multigrid import coarsening, ladder
from petrov.solvers import SmoothedAggregation, cg, problems
from petrov.solvers.preconditioners.multigrid.matrices import matrix

RUNGS = ("scalars", "mlp", "gnn")
SEED = 60_913


def recipe(rung: str, size: float = 0.0, **options) -> GraphMultigrid:
    """Untrained, or with weights drawn anew, normal of this size."""
    start = GraphMultigrid.untrained(rung=rung, **options)
    rng = np.random.default_rng(SEED)
    return start.with_weights({k: v + size * rng.standard_normal(v.shape) for k, v in start.weights.items()}) if size else start


# What holds for all weights.


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("size", [0.3, 5.0])
@pytest.mark.parametrize("name", ["fem2d", "fem3d", "fv2d"])
def test_definite_whatever_the_weights(rung, size, name):
    A = FAMILIES[name].system(300, 5).A
    M = recipe(rung, size, coarsest=15)(A)
    assert M.name == "graph multigrid" and len(M.levels) > 1 and M.linear and M.spd
    dense = M @ np.eye(A.shape[0])
    assert abs(dense - dense.T).max() < 2e-6 * abs(dense).max()
    assert np.linalg.eigvalsh((dense + dense.T) / 2).min() > 0


def test_rungs_begin_alike_and_forget_the_unit():
    A, b = FAMILIES["fem2d"].system(2_000, 8)[:2]
    first = recipe("scalars")(A) @ b
    for rung in RUNGS[1:]:
        assert np.array_equal(recipe(rung)(A) @ b, first)
    M = recipe("mlp", 0.3)
    assert np.allclose(M(A) @ b, 2.0**40 * (M(2.0**40 * A) @ b), rtol=1e-5, atol=1e-5)
    assert not np.allclose(M(A) @ b, first, rtol=1e-3)


def test_prolongation_keeps_the_constant():
    """Where rows sum to zero, whatever the gates."""
    A = problems.poisson(20).A.tolil()
    A.setdiag(0)
    A = sp.csr_array(A.tocsr())
    A = sp.csr_array(A - sp.diags_array(np.asarray(A.sum(axis=1)).ravel()))
    known, _, P, R, coarse = coarsening.coarsen(matrix(A), ladder.packed(recipe("gnn", 2.0).weights))
    rows = np.bincount(np.repeat(np.arange(P.rows), np.diff(P.indptr)), P.values)
    assert known.home.min() >= 0 and np.allclose(rows, 1.0, atol=1e-12)
    assert np.allclose(coarse.scipy().toarray(), (P.scipy().T @ A @ P.scipy()).toarray(), atol=1e-9) and P.rows == R.columns
    assert P.values.min() < 0 or P.values.max() < 1.5


def test_update_is_set_up_on_the_same_aggregates():
    a, b = FAMILIES["fem2d"].system(3_000, 2), FAMILIES["fem2d"].system(3_000, 2).b
    M = recipe("mlp", 0.2)(a.A)
    assert np.allclose(M.update(a.A) @ b, M @ b, rtol=1e-5, atol=1e-5)
    other = sp.csr_array(a.A + 0.1 * sp.diags_array(a.A.diagonal()))
    again, fresh = M.update(other), recipe("mlp", 0.2)(other)
    assert cg(other, b, M=again).iterations <= cg(other, b, M=fresh).iterations + 2
    assert np.allclose(again.update(a.A) @ b, M @ b, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="set up anew"):
        M.update(sp.csr_array(sp.diags_array(np.ones(len(b)))))


# Against the networks in torch.


@pytest.mark.parametrize("rung", RUNGS)
def test_kernels_are_the_networks_in_torch(rung):
    torch = pytest.importorskip("torch")
    A = matrix(sp.csr_array(FAMILIES["fem2d"].system(500, 3).A))
    it = recipe(rung, 0.4)
    facts, diagonal = coarsening.facts_of(A)
    got = coarsening.chosen(A, facts, diagonal, ladder.packed(it.weights))
    at, module = coarsening.features_of(A, facts), it.module
    features, table = torch.from_numpy(at.features), torch.from_numpy(at.table)
    with torch.no_grad():
        heard = module.heard(features, torch.from_numpy(at.rows), torch.from_numpy(at.degrees))
        damping, relaxation = module.of_rows(table, heard)
        strength, near, far = module.of_edges(features, heard[at.rows], heard[at.columns])
    assert np.allclose(got.damping, damping, rtol=1e-4) and np.allclose(got.relaxation, relaxation, rtol=1e-4)
    assert np.allclose(got.near[at.off], near, atol=2e-4) and np.allclose(got.far[at.off], far, atol=2e-4)
    sure = (strength.abs().numpy() > 1e-4) & (at.features[:, 0] < 0.999)  # the strongest of a row is strong always
    assert np.array_equal(got.strong[at.off][sure], (strength > 0).numpy()[sure]) and sure.mean() > 0.7
    assert 0.05 < got.strong[at.off].mean() < 0.98 and got.strong.sum() == got.strong[at.off].sum() + A.rows


# Iterations.


@pytest.mark.parametrize(("name", "size", "least"), [("fem2d", 6_000, 14), ("fem3d", 4_000, 17), ("fv2d", 6_000, 13)])
def test_iterations_before_training(name, size, least):
    A, b = FAMILIES[name].system(size, 4)[:2]
    assert cg(A, b, M=recipe("mlp")).iterations <= least


def test_rotated_anisotropy():
    A, b = problems.anisotropic(96, epsilon=1e-3)[:2]
    b = np.random.default_rng(SEED).standard_normal(len(b))
    assert cg(A, b, M=recipe("scalars")).iterations <= 0.4 * cg(A, b, M=SmoothedAggregation()).iterations


# Files, refusals and what is used instead.


def test_file(tmp_path):
    it = recipe("gnn", 0.2, width=5, channels=2)
    save(it, tmp_path / "w", {"seed": 3})
    again = load(tmp_path / "w")
    assert (again.rung, again.width, again.channels) == ("gnn", 5, 2)
    assert all(np.array_equal(again.weights[k], v) for k, v in it.weights.items())


@pytest.mark.parametrize(("change", "match"), [
    ({"rung": "deep"}, "rung must be one of"), ({"width": 0}, "width must be an integer"), ({"rung": "scalars"}, "not of rung 'scalars'"),
    ({"weights": {"scalars": np.full(7, np.nan)}, "rung": "scalars"}, "must be finite"),
    ({"weights": {"scalars": np.zeros(3)}, "rung": "scalars"}, r"float64 \(7,\)"),
])  # fmt: skip
def test_recipes_refuse(change, match):
    from dataclasses import replace

    with pytest.raises(ValueError, match=match):
        replace(recipe("mlp"), **change)


def test_fallbacks_say_their_name(monkeypatch):
    A, b = problems.poisson(16)[:2]
    B = np.stack([np.ones(len(b)), np.arange(len(b))], axis=1)
    with pytest.warns(RuntimeWarning, match="another was given; SmoothedAggregation"):
        assert recipe("mlp").bind(near_nullspace=B)(A).name == SmoothedAggregation.name
    assert recipe("mlp").bind(near_nullspace=np.ones(len(b)))(A).name == "graph multigrid"
    with pytest.warns(RuntimeWarning, match=r"5000 unknowns that it cannot gather.*; Jacobi is used"):
        recipe("mlp")(sp.eye_array(5_000).tocsr())
    monkeypatch.setattr(graph_multigrid, "defect", lambda M, **_: "it is purple")
    with pytest.warns(RuntimeWarning, match="it is purple; SmoothedAggregation"):
        assert recipe("mlp")(A).name == SmoothedAggregation.name


def test_not_symmetric_is_refused():
    with pytest.raises(ValueError, match="graph multigrid needs a symmetric A"):
        recipe("mlp")(problems.convection_diffusion(8).A)
