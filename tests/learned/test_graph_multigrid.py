"""GraphMultigrid: definite whatever its weights, the same numbers compiled and in torch, and what it does where it cannot help."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.learned import FAMILIES, GraphMultigrid, graph_multigrid, load, save, split
from petrov.learned.multigrid import coarsening, ladder, setup
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
    known, _, P, R, coarse = coarsening.coarsen(matrix(A), ladder.packed(recipe("gnn", 2.0).weights), 0.25)
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
    it = recipe(rung, 0.15)
    facts, diagonal = coarsening.facts_of(A, 0.15)
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


@pytest.mark.parametrize("rung", RUNGS)
def test_the_cycle_that_is_trained_is_the_one_applied(rung):
    torch = pytest.importorskip("torch")
    from petrov.learned.multigrid.differentiable import cycle
    from petrov.learned.objectives.graph_multigrid import COARSEST, prepared

    system, it = FAMILIES["fem2d"].system(700, 3), recipe(rung, 0.1, coarsest=40)
    with torch.no_grad():
        M = cycle(prepared(system).A, it.module, COARSEST)
        z = M(torch.from_numpy(system.b[:, None])).numpy()[:, 0] / abs(system.A.data).max()
    applied = it(system.A)
    assert len(M.levels) > 1 and np.isclose(M.complexity, applied.operator_complexity)
    assert abs(z - applied @ system.b).max() < 1e-5 * abs(z).max()


def test_gradients_are_differences():
    """Of the loss by every array but what decides strength, which is a yes or no."""
    torch = pytest.importorskip("torch")
    from petrov.learned.multigrid.differentiable import cycle
    from petrov.learned.objectives.graph_multigrid import prepared, unrolled_cg

    A, it = prepared(FAMILIES["anisotropic2d"].system(300, 3)).A, recipe("gnn", 0.1)
    for k, name in enumerate(ladder.SCALARS):
        if name in ("threshold", "width"):
            it.weights["scalars"][k] = 6.0 if name == "width" else -6.0
    it.weights["edge.2.bias"][:] = 0.4  # no gate is at its bound, where the gradient is another by intent
    X = torch.from_numpy(np.random.default_rng(SEED).standard_normal((A.shape[0], 2)))

    def loss(module):
        return unrolled_cg(M := cycle(A, module, 100), M, X, 4)

    module = it.module
    loss(module).backward()
    for name, value in it.weights.items():
        slope = dict(module.named_parameters())[name].grad.numpy()
        at = np.unravel_index(np.argmax(abs(slope)), slope.shape)
        ends = []
        for step in (1e-6, -1e-6):
            other = {key: array.copy() for key, array in it.weights.items()}
            other[name][at] += step
            with torch.no_grad():
                ends.append(float(loss(it.with_weights(other).module)))
        assert np.isclose((ends[0] - ends[1]) / 2e-6, slope[at], rtol=1e-3, atol=1e-6), name
        assert value.shape == slope.shape and slope[at] != 0


def test_what_decides_strength_is_moved_towards_less_work():
    """Aggregates that are too small make dear levels: the threshold shall fall."""
    pytest.importorskip("torch")
    from petrov.learned.objectives.graph_multigrid import multigrid
    from petrov.learned.plan import Plan

    it = recipe("scalars")
    it.weights["scalars"][0] = ladder.raw("strength", 0.8)
    objective = multigrid(it, Plan("work", columns=2, unrolled=5), "cpu")
    at = objective.prepare(FAMILIES["fem2d"].system(900, 4))
    for draw in range(8):
        objective.loss(at, np.random.default_rng(draw)).backward()
    slope = objective.module.scalars.grad
    assert slope[0] > 0.05
    assert objective.cost(it(FAMILIES["fem2d"].system(900, 4).A), 10.0) > 10.0
    with pytest.raises(ValueError, match="trained on the CPU"):
        multigrid(it, Plan("work"), "cuda")
    with pytest.raises(ValueError, match="loss must be one of unrolled-cg, work"):
        multigrid(it, Plan("sai"), "cpu")


def test_training_lowers_iterations():
    pytest.importorskip("torch")
    from petrov.learned.training import trained

    bad = recipe("mlp")
    bad.weights["scalars"][4] -= 3.0  # hardly smoothed prolongations
    parts = split(["fem2d"], sizes=[300], unseen_sizes=[1_500], count=4, held_out=1)
    plan = {"steps": 10, "batch": 1, "columns": 2, "unrolled": 6, "every": 5, "rate": 0.3, "progress": False}
    state = trained(bad, parts, **plan)
    assert state.best_score < 0.85 * state.history[0][1]


# Iterations.


@pytest.mark.parametrize(("name", "size", "least"), [("fem2d", 6_000, 14), ("fem3d", 4_000, 17), ("fv2d", 6_000, 13)])
def test_iterations_before_training(name, size, least):
    A, b = FAMILIES[name].system(size, 4)[:2]
    assert cg(A, b, M=recipe("mlp")).iterations <= least


def test_rotated_anisotropy():
    A, b = problems.anisotropic(96, epsilon=1e-3)[:2]
    b = np.random.default_rng(SEED).standard_normal(len(b))
    assert cg(A, b, M=recipe("scalars")).iterations <= 0.4 * cg(A, b, M=SmoothedAggregation()).iterations


@pytest.mark.parametrize("name", ["graph-multigrid", "graph-multigrid-scalars"])
def test_shipped_weights(name):
    it = load(name)
    assert it.rung == ("scalars" if "scalars" in name else "mlp")
    for A, b in (FAMILIES["fem2d"].system(6_000, 4)[:2], FAMILIES["fem3d"].system(4_000, 4)[:2]):
        assert cg(A, b, M=it).iterations <= 17
    A, b = problems.anisotropic(96, epsilon=1e-3)[:2]
    b = np.random.default_rng(SEED).standard_normal(len(b))
    assert cg(A, b, M=it).iterations <= 0.4 * cg(A, b, M=SmoothedAggregation()).iterations


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
    monkeypatch.setattr(graph_multigrid, "defect_of", lambda M: "it is purple")
    with pytest.warns(RuntimeWarning, match="it is purple; SmoothedAggregation"):
        assert recipe("mlp")(A).name == SmoothedAggregation.name


def test_the_probe_sees_what_is_wrong_on_every_level():
    M = recipe("mlp", coarsest=20)(FAMILIES["fem2d"].system(2_000, 3).A)
    assert setup.defect_of(M) == "" and len(M.levels) > 2
    for k, place, value in ((0, slice(7, 9), -1.0), (0, 7, np.nan), (1, slice(None), -1.0), (2, 7, np.inf)):
        held = M.levels[k].inverse
        before, held[place] = held.copy(), value
        assert setup.defect_of(M), k
        held[:] = before
    M.levels[1].R.values[::2] *= 1.3
    assert "not symmetric" in setup.defect_of(M)


def test_not_symmetric_is_refused():
    with pytest.raises(ValueError, match="graph multigrid needs a symmetric A"):
        recipe("mlp")(problems.convection_diffusion(8).A)
