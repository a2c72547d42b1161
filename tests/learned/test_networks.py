"""Networks: NumPy and torch give one answer, losses agree with dense matrices, gradients with differences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

import petrov
from petrov.learned import GraphFactor, NeumannFactor, SparseInverseNetwork, factors, preconditioner, save
from petrov.learned.graph import graph
from petrov.learned.networks.architecture import Architecture, Network, untrained
from petrov.learned.networks.compiled import forward
from petrov.learned.probe import defect
from petrov.solvers import Jacobi, cg, problems

SEED = 45_131
EPSILON = 1e-3


def problem(n: int = 7, dim: int = 2):
    return problems.jump(n, dim, contrast=1e3, seed=SEED)


def shaken(recipe, size: float = 0.3, seed: int = SEED):
    """The recipe with random weights everywhere, the decoders too."""
    rng = np.random.default_rng(seed)
    weights = {name: value + size * rng.standard_normal(value.shape) for name, value in recipe.network.weights.items()}
    return type(recipe)(Network(recipe.network.architecture, weights))


RECIPES = {
    "graph factor": lambda: shaken(GraphFactor.untrained(coordinates=2, node_features=1, edge_features=2, guess=True, steps=2)),
    "graph factor of A alone": lambda: shaken(GraphFactor.untrained(steps=3)),
    "sparse inverse": lambda: shaken(SparseInverseNetwork.untrained(coordinates=2, steps=2)),
    "sparse inverse of A alone": lambda: shaken(SparseInverseNetwork.untrained(width=9)),
}


def bound(recipe, system):
    features = np.random.default_rng(SEED).standard_normal((len(system.b), 1))
    return recipe.bind(coordinates=system.coordinates, node_features=features, edge_features=[system.A, 2 * system.A])


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_positive_definite_whatever_the_weights(name, dtype):
    system = problem(12)
    A = system.A.astype(dtype)
    M = bound(RECIPES[name](), system)(A)
    dense = M @ np.eye(A.shape[0], dtype=dtype)
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    assert M.linear and M.spd and M.dtype == dtype and dense.dtype == dtype
    assert np.abs(dense - dense.T).max() <= tolerance * np.abs(dense).max()
    s = np.sqrt(A.diagonal())
    assert np.linalg.eigvalsh(s[:, None] * (dense + dense.T) / 2 * s)[0] > 0
    assert dtype == "float32" or cg(A, np.ones(A.shape[0]), M=M).converged
    assert M.name in repr(M) and f"{A.shape[0]} x {A.shape[0]}" in repr(M) and M.nbytes > 0 and M.H is M


def test_training_starts_at_what_is_known():
    system = problem(10)
    r = np.random.default_rng(SEED).standard_normal((100, 2))
    A = system.A.toarray()
    lower = np.tril(A) / np.sqrt(A.diagonal())
    assert np.allclose(GraphFactor.untrained()(system.A) @ r, np.linalg.solve(lower @ lower.T, r), rtol=1e-11)
    assert np.allclose(GraphFactor.untrained(start="jacobi")(system.A) @ r, Jacobi()(system.A) @ r, rtol=1e-13)
    assert np.allclose(SparseInverseNetwork.untrained()(system.A) @ r, NeumannFactor()(system.A) @ r, rtol=1e-12)
    E = (A / np.sqrt(A.diagonal())[:, None] / np.sqrt(A.diagonal())) - np.eye(100)
    G, scale = np.eye(100) - 1.1 * E, 1 / np.sqrt(A.diagonal())[:, None]
    dense = scale * ((G @ G.T + EPSILON * np.eye(100)) @ (scale * r))
    assert np.allclose(SparseInverseNetwork.untrained(start=1.1, epsilon=EPSILON)(system.A) @ r, dense, rtol=1e-11)
    with pytest.raises(ValueError, match="start must be finite"):
        SparseInverseNetwork.untrained(start=np.inf)


def test_scales_of_A_do_not_matter():
    """M(D A D) = D^-1 M(A) D^-1."""
    system, recipe = problem(9), RECIPES["sparse inverse of A alone"]()
    d = np.random.default_rng(SEED).uniform(0.1, 10, 81)
    r = np.random.default_rng(SEED).standard_normal(81)
    scaled = recipe(sp.csr_array(sp.diags_array(d) @ system.A @ sp.diags_array(d)))
    assert np.allclose(scaled @ r, (recipe(system.A) @ (r / d)) / d, rtol=1e-4)


def test_numbers_of_the_unknowns_do_not_matter():
    """G of a permuted A is the permuted G."""
    system, recipe = problem(9), RECIPES["sparse inverse of A alone"]()
    order = np.random.default_rng(SEED).permutation(81)
    r = np.random.default_rng(SEED).standard_normal(81)
    moved, there = recipe(system.A[order][:, order]) @ r[order], (recipe(system.A) @ r)[order]
    assert np.abs(moved - there).max() <= 1e-5 * np.abs(there).max(), "single precision"


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_compiled_computes_what_is_written(name):
    """Widths with and without a rest of four, ReLU and GELU, LayerNorms, the mean over edges; several chunks, the last not full."""
    recipe = RECIPES[name]()
    for A in (problem(70).A, problem(3).A, sp.csr_array(np.diag([1.0, 2.0, 3.0]))):
        a, n = recipe.network.architecture, A.shape[0]
        points = np.random.default_rng(SEED).uniform(size=(n, 2))
        known = a.graph(A, points, np.ones((n, 1)), [A, 2 * A])
        for got, wanted in zip(forward(recipe.network, known), recipe.network(known), strict=True):
            assert got.dtype == np.float64 and got.shape == wanted.shape
            assert np.abs(got - wanted).max(initial=0) <= 2e-5 * np.abs(wanted).max(initial=0)


def test_threads_do_not_change_a_bit(monkeypatch):
    recipe = RECIPES["sparse inverse of A alone"]()
    known = graph(problem(150).A)
    one, other = ([array.copy() for array in forward(recipe.network, known)] for _ in threads_of(monkeypatch))
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def threads_of(monkeypatch):
    for count in ("1", "2"):
        monkeypatch.setenv("PETROV_NUM_THREADS", count)
        yield count


def test_the_guess():
    system = problem(8)
    M = bound(RECIPES["graph factor"](), system)(system.A)
    B = np.random.default_rng(SEED).standard_normal((64, 3))
    X = M.guess(B)
    assert X.shape == B.shape and np.array_equal(M.guess(B[:, 1]), X[:, 1])
    assert np.allclose(M.guess(-2.5 * B[:, 0]) / M.guess(2.5 * B[:, 0]), M.guess(-B[:, 0]) / X[:, 0])
    assert np.allclose(M.guess(1e3 * B), 1e3 * X) and not M.guess(np.zeros(64)).any()
    assert not hasattr(RECIPES["graph factor of A alone"]()(system.A), "guess")
    with pytest.raises(ValueError, match="b must have shape"):
        M.guess(np.ones(5))


def test_a_missing_feature_is_named():
    system = problem(6)
    with pytest.raises(ValueError, match="trained with coordinates, 2 of them; got none"):
        RECIPES["graph factor"]()(system.A)
    with pytest.raises(ValueError, match="edge_features, 2 of them; got 1"):
        RECIPES["graph factor"]().bind(coordinates=system.coordinates, node_features=system.b[:, None], edge_features=[system.A])(system.A)


def test_what_is_bound_stays_bound():
    """petrov.Solver binds a near null space to whatever it is given."""
    system = problem(6)
    recipe = bound(RECIPES["sparse inverse"](), system)
    again = recipe.bind(near_nullspace=np.ones((36, 1)))
    assert again.coordinates is system.coordinates and len(again.edge_features) == 2
    assert petrov.solve(system.A, system.b, M=recipe).preconditioner == "sparse inverse net"


@pytest.mark.parametrize("name", ["graph factor of A alone", "sparse inverse of A alone"])
def test_what_overflows_falls_back_with_a_warning(name):
    recipe = RECIPES[name]()
    weights = {key: value * 1e200 if "decoder.2.w" in key or "decoder.0.w" in key else value for key, value in recipe.network.weights.items()}
    broken = type(recipe)(Network(recipe.network.architecture, weights))
    with pytest.warns(RuntimeWarning, match="the network gives NaN or infinity; Jacobi"), np.errstate(all="ignore"):
        M = broken(problem(6).A)
    assert M.name == "jacobi"


@pytest.mark.parametrize(("matrix", "says"), [
    (np.diag([1.0, -1.0, 2.0, 3.0]), "not positive"), (np.eye(4) + np.diag([0.5] * 3, 1), "not symmetric"),
    (np.diag([1.0, np.nan, 2.0, 3.0]), "NaN or infinity"), (2 * np.eye(4), ""),
])  # fmt: skip
def test_the_probe_sees(matrix, says, monkeypatch):
    assert says in defect(matrix) and bool(says) == bool(defect(matrix))
    monkeypatch.setattr(preconditioner, "triangular", lambda *_: matrix)
    if says:
        with pytest.warns(RuntimeWarning, match=f"failed its probe on this matrix: .*{says}"):
            assert RECIPES["graph factor of A alone"]()(np.eye(4) * 2.0).name == "jacobi"


REFUSED = [
    (lambda: Architecture(width=0), ValueError, "width must be"),
    (lambda: Architecture(activation="tanh"), ValueError, "activation must be"),
    (lambda: Architecture(residual=1), ValueError, "True or False"),
    (lambda: GraphFactor.untrained(start="ssor"), ValueError, "start must be"),
    (lambda: Architecture(hidden=3), TypeError, "unexpected keyword"),
    (lambda: SparseInverseNetwork(untrained(Architecture(), 1), epsilon=-1.0), ValueError, "epsilon must be positive"),
    (lambda: Network(Architecture(), {}), ValueError, "arrays are missing"),
    (lambda: Network(Architecture(), untrained(Architecture(width=8), 1).weights), ValueError, "must be float64"),
    (lambda: Network(Architecture(), {k: v * np.nan for k, v in untrained(Architecture(), 1).weights.items()}), ValueError, "must be finite"),
]


@pytest.mark.parametrize(("make", "error", "says"), REFUSED)
def test_refusals(make, error, says):
    with pytest.raises(error, match=says):
        make()


# What torch computes.


def sampled(n: int = 5):
    losses = pytest.importorskip("petrov.learned.losses", exc_type=ImportError)
    torch = pytest.importorskip("torch")
    known = graph(problem(n).A)
    rng = np.random.default_rng(SEED)
    entries = [torch.from_numpy(0.2 * rng.standard_normal(size)) for size in (known.size, len(known.rows))]
    vectors = [torch.from_numpy(rng.standard_normal((known.size, 2))) for _ in range(2)]
    return losses, torch, known, losses.sample(known), entries, vectors


@pytest.mark.parametrize("name", RECIPES)
def test_numpy_and_torch_agree(name):
    torch = pytest.importorskip("torch")
    pytest.importorskip("torch_geometric")
    system, recipe = problem(8), RECIPES[name]()
    recipe = bound(recipe, system)
    a, rng = recipe.network.architecture, np.random.default_rng(SEED)
    known = a.graph(system.A, recipe.coordinates, recipe.node_features, recipe.edge_features)
    b = rng.standard_normal(64)
    nodes = np.column_stack([known.nodes, b]) if a.right_hand_side else known.nodes
    with torch.no_grad():
        index = torch.from_numpy(np.stack([known.columns, known.rows]).astype(np.int64))
        got = recipe.module(torch.from_numpy(nodes), torch.from_numpy(known.edges), index)
    for ours, theirs in zip(recipe.network(known, b), got, strict=True):
        assert np.allclose(ours, theirs.numpy(), rtol=1e-10, atol=1e-12) and np.abs(ours).max() > 1e-2


def test_losses_against_dense_matrices():
    losses, torch, known, at, (d, off), (X, B) = sampled()
    n = known.size
    A, G = (np.asarray(at.dense(*entries)) for entries in ((torch.ones(n, dtype=torch.float64), at.values), (d, off)))
    M, x, b = G @ G.T + EPSILON * np.eye(n), X.numpy(), B.numpy()
    assert np.allclose(A, (problem(5).A.toarray() * known.scale).T * known.scale)
    product = losses.inverse_product(at, d, off, EPSILON)
    assert np.allclose(product(X), M @ x)
    assert float(losses.sai(at, product, X)) == pytest.approx(np.mean(((A @ M @ x - x) ** 2).sum(0) / (x**2).sum(0)))
    eigenvalues = np.linalg.eigvals(M @ A).real
    assert float(losses.kaporin(at, d, off, EPSILON)) == pytest.approx(np.log(eigenvalues.mean()) - np.log(eigenvalues).mean())
    lower = losses.bounded_lower(at, 9 * off)
    L = np.eye(n) + np.asarray(at.dense(torch.zeros(n, dtype=torch.float64), lower))
    mean = 4.5 * (off.numpy() + off.numpy()[known.reverse])
    expected = np.where(known.rows > known.columns, mean, 0.0)
    sums = np.bincount(known.rows, np.abs(expected), n)
    assert sums.max() > 1 and np.allclose(lower, expected / np.maximum(sums, 1)[known.rows])
    assert np.allclose(losses.triangular_product(at, lower)(X), np.linalg.solve(L @ L.T, x))
    assert np.allclose(losses.bounded_lower(at, off, at.values), factors.bounded_rows(known, known.values + mean / 9))
    assert float(losses.data_weighted(at, lower, X, B)) == pytest.approx(np.mean(((L @ L.T @ x - b) ** 2).sum(0) / (b**2).sum(0)))
    assert float(losses.prediction(X, B)) == pytest.approx(np.mean(((x - b) ** 2).sum(0) / (b**2).sum(0)))


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_unrolled_cg_is_cg(steps):
    """The loss is the mean of log(|x - x_K|_A / |x|_A) / K of the x_K that the solver gives."""
    losses, torch, known, at, (d, off), (X, _) = sampled()
    A = np.asarray(at.dense(torch.ones(known.size, dtype=torch.float64), at.values))
    G = np.asarray(at.dense(1 + d, off))
    M, expected = G @ G.T + EPSILON * np.eye(known.size), []
    for x in X.numpy().T:
        e = x - cg(A, A @ x, M=M, max_iterations=steps, rtol=1e-14).x
        expected.append(np.log((e @ A @ e) / (x @ A @ x)) / (2 * steps))
    value = losses.unrolled_cg(at, losses.inverse_product(at, 1 + d, off, EPSILON), X, steps)
    assert float(value) == pytest.approx(np.mean(expected), rel=1e-8)


def test_losses_are_least_at_the_inverse():
    """A diagonal A: G = I makes M A = I but for epsilon; unrolled cg has no error left after one step then, so not it."""
    losses, torch, *_ = sampled()
    at = losses.sample(graph(sp.csr_array(np.diag(np.arange(1.0, 7.0)))))
    one, none = torch.ones(6, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    X = torch.from_numpy(np.random.default_rng(SEED).standard_normal((6, 3)))
    assert float(losses.kaporin(at, one, none, 1e-9)) == pytest.approx(0, abs=1e-12)
    assert float(losses.sai(at, losses.inverse_product(at, one, none, 1e-9), X)) == pytest.approx(0, abs=1e-15)
    assert float(losses.data_weighted(at, none, X, X)) == pytest.approx(0, abs=1e-15)


def test_gradients_against_differences():
    losses, torch, _, at, (d, off), (X, B) = sampled(3)
    d, off = (1 + d).requires_grad_(), off.requires_grad_()

    def product(d, off):
        return losses.inverse_product(at, d, off, EPSILON)

    functions = [
        lambda d, off: losses.sai(at, product(d, off), X),
        lambda d, off: losses.unrolled_cg(at, product(d, off), X, 3),
        lambda d, off: losses.kaporin(at, d, off, EPSILON),
        lambda d, off: losses.data_weighted(at, losses.bounded_lower(at, 3 * off), X, B) + losses.prediction(d[:, None] * X, B),
        lambda d, off: losses.unrolled_cg(at, losses.triangular_product(at, losses.bounded_lower(at, 3 * off, at.values)), X, 3) + 0 * d.sum(),
    ]
    for function in functions:
        assert torch.autograd.gradcheck(function, (d, off), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", RECIPES)
def test_gradients_reach_every_weight(name):
    """Of the whole way from features to losses, along a random direction of all weights."""
    losses, torch, *_ = sampled()
    pytest.importorskip("torch_geometric")
    system = problem(5)
    recipe = bound(RECIPES[name](), system)
    a, module = recipe.network.architecture, recipe.module
    at = losses.sample(a.graph(system.A, recipe.coordinates, recipe.node_features, recipe.edge_features))
    X = torch.from_numpy(np.random.default_rng(SEED).standard_normal((at.size, 2)))
    nodes = torch.cat([at.nodes, X[:, :1]], 1) if a.right_hand_side else at.nodes

    def loss():
        scalars, edges = module(nodes, at.edges, at.edge_index)
        value = losses.data_weighted(at, losses.bounded_lower(at, edges), X, at.A(X)) + losses.prediction(scalars[:, None], X)
        M = losses.inverse_product(at, 1 + 0.1 * scalars, 0.1 * edges - 0.5 * at.values, EPSILON)
        return value + losses.unrolled_cg(at, M, X, 4)

    loss().backward()
    parameters = list(module.parameters())
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in parameters)
    generator = torch.Generator().manual_seed(SEED)
    directions = [torch.randn(p.shape, dtype=p.dtype, generator=generator) for p in parameters]
    slope, step = sum(float((p.grad * v).sum()) for p, v in zip(parameters, directions, strict=True)), 1e-7
    values = []
    for sign in (1, -2):
        with torch.no_grad():
            for p, v in zip(parameters, directions, strict=True):
                p += sign * step * v
        values.append(float(loss().detach()))
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=1e-4)


def test_saving_needs_no_torch_and_no_pickle(tmp_path):
    for name, make in RECIPES.items():
        path = tmp_path / f"{name}.safetensors"
        save(make(), path)
        assert b"pickle" not in path.read_bytes() and path.stat().st_size < 400_000
