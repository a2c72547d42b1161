"""Tree tensor networks on CuPy arrays: the answers of NumPy, states of CuPy, and few reads on the host; see `tests/devices.py`."""

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.rom.ttn import (
    BUG,
    RK4,
    TTN,
    TTNO,
    AdaptiveRK,
    Affine,
    Function,
    Implicit,
    KronSum,
    MidpointBUG,
    ParallelBUG,
    ProjectorSplitting,
    RankAdaptiveBUG,
    SecondOrderParallelBUG,
    StepTruncate,
    Tree,
    evolve,
)

CLOSE = {"rtol": 1e-10, "atol": 1e-10}


def hamiltonian(tree):
    rng = np.random.default_rng(11)
    terms = [(1.0, {leaf: np.diag(rng.random(n))}) for leaf, n in enumerate(tree.sizes)]
    for leaf in range(tree.order - 1):
        A, B = (rng.standard_normal((tree.sizes[k],) * 2) for k in (leaf, leaf + 1))
        terms.append((0.3, {leaf: A + A.T, leaf + 1: B + B.T}))
    return KronSum(tree, terms)


def moved(state, device):
    return TTN(state.tree, tuple(device.put(core) for core in state.cores))


# A method, and what the host may read a node beside one row a Krylov vector: the size of a local equation's start and end, the
# new directions and the singular values of the edge, the parts that decide for a repetition; once a sweep.
METHODS = {
    "BUG": (BUG(), 2),
    "BUG, RK4": (BUG(local=RK4()), 0),
    "BUG, AdaptiveRK": (BUG(local=AdaptiveRK(rtol=1e-12)), 0),
    "RankAdaptiveBUG": (RankAdaptiveBUG(1e-6, relative=True), 4),
    "RankAdaptiveBUG, published": (RankAdaptiveBUG(1e-6, truncation="published"), 4),
    "ParallelBUG": (ParallelBUG(), 5),
    "ParallelBUG, rejecting": (ParallelBUG(reject=10.0, theta=1e-7), 6),
    "SecondOrderParallelBUG": (SecondOrderParallelBUG(), 5),
    "MidpointBUG": (MidpointBUG(), 7),
    "ProjectorSplitting": (ProjectorSplitting(), 6),  # down and up again
    "StepTruncate": (StepTruncate(tolerance=1e-6), 13),  # rounds seven sums
}


@pytest.mark.parametrize("factor", [-1.0, -1j], ids=["real", "complex"])
@pytest.mark.parametrize("tree", [Tree.balanced([4] * 4), Tree.chain([3, 4, 4, 3])], ids=["balanced", "chain"])
@pytest.mark.parametrize("name", METHODS)
def test_a_step_on_a_tree(device, name, tree, factor):
    (method, each), rhs = METHODS[name], factor * hamiltonian(tree)
    start = TTN.random(tree, 3)
    host = method.step(start, rhs, 0.0, 0.05)
    given = moved(start, device)
    with device.counted() as reads:
        found = method.step(given, rhs, 0.0, 0.05)
    np.testing.assert_allclose(device.get(found.state.to_dense()), host.state.to_dense(), **CLOSE)
    assert found.state.ranks == host.state.ranks
    assert found.stats == host.stats
    most = found.stats.applications + each * len(tree.parent) * (found.rejections + 1)
    assert len(reads) <= most, (len(reads), found.stats)
    assert max(reads) <= 41  # never a core: the longest is the row of a Krylov vector, or the singular values of an edge


@pytest.mark.parametrize("factor", [-1.0, -1j], ids=["real", "complex"])
def test_implicit_local_steps(device, factor):
    """By minres and gmres of petrov.solvers, on CuPy arrays too."""
    tree = Tree.chain([3, 4, 3])
    start, rhs, method = TTN.random(tree, 3), factor * hamiltonian(tree), BUG(local=Implicit())
    found = method.step(moved(start, device), rhs, 0.0, 0.05)
    np.testing.assert_allclose(device.get(found.state.to_dense()), method.step(start, rhs, 0.0, 0.05).state.to_dense(), **CLOSE)


def test_states_answer_where_they_are(device):
    tree = Tree.balanced([2, 3, 2])
    vectors = [np.arange(1.0, n + 1) for n in tree.sizes]
    Y, Z = TTN.product(tree, vectors, rank=2), TTN.random(tree, 2)
    y, z = TTN.product(tree, [device.put(v) for v in vectors], rank=2), moved(Z, device)
    for found, expected in [
        (y.to_dense(), Y.to_dense()),
        ((y + 2.0 * z).to_dense(), (Y + 2.0 * Z).to_dense()),
        ((y + z).rounded(1e-12).to_dense(), (Y + Z).to_dense()),
        (TTN.from_dense(tree, y.to_dense()).to_dense(), Y.to_dense()),
        (z.cast("complex128").to_dense(), Z.to_dense()),
        (y.project(1, device.put(np.eye(3)[:, :2])).to_dense(), Y.to_dense()[:, :2]),
        (y.moments({0: device.put(np.ones(2))}), Y.moments({0: np.ones(2)})),
    ]:
        np.testing.assert_allclose(device.get(found), expected, **CLOSE)
    H = hamiltonian(tree)
    assert y.norm() == pytest.approx(Y.norm())
    assert y.inner(z) == pytest.approx(Y.inner(Z))
    assert z.expectation(H) == pytest.approx(Z.expectation(H))
    assert y.entry(1, 2, 0) == pytest.approx(Y.entry(1, 2, 0))


def test_evolution(device, tmp_path):
    """Observed numbers, a checkpoint, and the end: read once a step, but for the checkpoint, which holds the state."""
    tree = Tree.balanced([4] * 4)
    H, start = hamiltonian(tree), TTN.random(tree, 2)
    options = {"dt": 0.1, "method": ProjectorSplitting(), "observe": {"energy": lambda Y: Y.expectation(H).real}}
    host = evolve(start, -1j * H, (0.0, 0.3), **options)
    found = evolve(moved(start, device), -1j * H, (0.0, 0.3), checkpoint=tmp_path / "run", **options)
    again = evolve(moved(start, device), -1j * H, (0.0, 0.3), checkpoint=tmp_path / "run", **options)
    np.testing.assert_allclose(found.observed["energy"], host.observed["energy"], **CLOSE)
    for result in (found, again):
        np.testing.assert_allclose(device.get(result.state.to_dense()), host.state.to_dense(), **CLOSE)


def test_sources_functions_and_operators_of_the_device(device):
    """Affine and Function right-hand sides; leg operators given as CuPy arrays, sparse ones, diagonals and functions."""
    tree = Tree.chain([40, 3])
    D, rng = sp.diags_array([1.0, -2.0, 1.0], offsets=[-1, 0, 1], shape=(40, 40)).tocsr(), np.random.default_rng(3)
    B = rng.standard_normal((3, 3))
    H = KronSum(tree, [(1.0, {0: D}), (0.5, {1: B}), (0.1, {0: np.arange(40.0)}), (1.0, {0: lambda X: -2.0 * X, 1: B})])
    own = KronSum(
        tree,
        [(1.0, {0: D}), (0.5, {1: device.put(B)}), (0.1, {0: device.put(np.arange(40.0))}), (1.0, {0: lambda X: -2.0 * X, 1: B})],
    )
    start, source = TTN.random(tree, 2), TTN.random(tree, 1, seed=5)
    there, near = moved(start, device), moved(source, device)
    for host, ours in [
        (H, own),
        (TTNO.from_terms(tree, [(0.5, {1: B})]), TTNO.from_terms(tree, [(0.5, {1: device.put(B)})])),
        (Affine(H, source), Affine(own, near)),
        (Affine(H, lambda t: (1 + t) * source), Affine(own, lambda t: (1 + t) * near)),
        (Function(tree, lambda t, Y: source - Y), Function(tree, lambda t, Y: near - Y)),
    ]:
        method = BUG(local=AdaptiveRK(rtol=1e-12))
        expected, found = (method.step(Y, F, 0.0, 0.01).state for Y, F in ((start, host), (there, ours)))
        np.testing.assert_allclose(device.get(found.to_dense()), expected.to_dense(), **CLOSE)


@pytest.mark.parametrize("n", [3, 40])  # held as matrices, and as functions
def test_functions_on_legs_are_of_the_device(device, n):
    tree = Tree.chain([n, 3])
    start = TTN.random(tree, 2)
    method, there = BUG(local=RK4()), moved(start, device)

    def step(f):
        return method.step(there, KronSum(tree, [(1.0, {0: f, 1: np.arange(3.0)})]), 0.0, 0.1).state

    found = step(lambda X: device.cupy.concatenate([X[1:, :], X[:1, :]]))
    host = KronSum(tree, [(1.0, {0: lambda X: np.concatenate([X[1:], X[:1]]), 1: np.arange(3.0)})])
    np.testing.assert_allclose(device.get(found.to_dense()), method.step(start, host, 0.0, 0.1).state.to_dense(), **CLOSE)
    for wrong in (lambda X: np.ones(X.shape), sp.linalg.aslinearoperator(np.eye(n))):
        with pytest.raises(TypeError, match="a leg operator that is a function gets the arrays of the state, here CuPy's"):
            step(wrong)


def test_states_of_two_places_do_not_mix(device):
    tree = Tree.balanced([2, 2])
    Y = TTN.random(tree, 2)
    y, H = moved(Y, device), hamiltonian(tree)
    wrong = [
        lambda: TTN(tree, (*y.cores[:-1], Y.cores[-1])),
        lambda: TTN.product(tree, [np.ones(2), device.put(np.ones(2))]),
        lambda: y + Y,
        lambda: y.inner(Y),
        lambda: BUG().step(y, Affine(H, Y), 0.0, 0.1),
        lambda: BUG().step(Y, Function(tree, lambda t, X: y), 0.0, 0.1),
        lambda: RankAdaptiveBUG(keep=(Y,)).step(y, H, 0.0, 0.1),
    ]
    for mixed in wrong:
        with pytest.raises(TypeError, match=r"(?s)NumPy \(cpu\).*cupy.asnumpy"):
            mixed()
