"""Effective operators of every node and edge against P^H A P, with P column by column; every operator, every tree."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from petrov.rom.ttn import local_sums
from petrov.rom.ttn.environments import Environments, core_function, expectation, ups
from petrov.rom.ttn.gauges import gauges
from petrov.rom.ttn.kron_sum import KronSum
from petrov.rom.ttn.state import TTN
from petrov.rom.ttn.tensors import along
from petrov.rom.ttn.tree import Tree
from petrov.rom.ttn.ttno import TTNO

from .operators import OPERATORS, dense_terms, random_terms
from .trees import TREES, state, trees

array_api_strict = pytest.importorskip("array_api_strict")

DTYPES = ["float64", "complex128"]


@pytest.fixture(params=["small", "large"])
def paths(request, monkeypatch):
    """Small nodes are contracted in other ways than large ones: either for all."""
    if request.param == "large":
        monkeypatch.setattr(local_sums, "GATHERED", 0)
        monkeypatch.setattr(local_sums, "SMALL", 0)
    return request.param


def tensor_at(seen, node, core):
    """The dense tensor of a core between the orthonormal bases of all its sides."""
    tree, cores = seen.bases.tree, {node: core}
    while node != tree.root:
        cores[tree.parent[node]] = seen.towards[node]
        node = tree.parent[node]
    return TTN(tree, tuple(cores.get(t, seen.bases.cores[t]) for t in tree.nodes)).to_dense().reshape(-1)


def prolongation(embed, shape):
    """The matrix of a linear function of arrays of that shape."""
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    return np.stack([embed(unit) for unit in units], axis=1)


def check_all(A, dense, Y):
    seen = gauges(Y)
    E = Environments.of(A, seen)
    size = np.abs(dense).max() + 1
    for node in Y.tree.nodes:
        C = seen.weighted[node]
        P = prolongation(lambda unit, node=node: tensor_at(seen, node, unit), C.shape)
        np.testing.assert_allclose(P.conj().T @ P, np.eye(P.shape[1]), atol=1e-12)
        np.testing.assert_allclose(P @ C.reshape(-1), Y.to_dense().reshape(-1), atol=1e-12 * (Y.norm() + 1))
        np.testing.assert_allclose(E.core(node)(C).reshape(-1), P.conj().T @ dense @ P @ C.reshape(-1), atol=1e-11 * size * (Y.norm() + 1))
    for node in Y.tree.edges:
        S = seen.S[node].T

        def embed(S, node=node):
            return tensor_at(seen, node, along(S.T, seen.bases.cores[node], seen.bases.cores[node].ndim - 1))

        P = prolongation(embed, S.shape)
        np.testing.assert_allclose(P @ S.reshape(-1), Y.to_dense().reshape(-1), atol=1e-12 * (Y.norm() + 1))
        np.testing.assert_allclose(E.edge(node)(S).reshape(-1), P.conj().T @ dense @ P @ S.reshape(-1), atol=1e-11 * size * (Y.norm() + 1))


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
@pytest.mark.parametrize("kind", OPERATORS)
def test_every_node_and_edge(kind, tree, paths):
    dtype = "float64" if paths == "small" else "complex128"
    A, dense = OPERATORS[kind](tree, dtype)
    check_all(A, dense, state(tree, 2, dtype).orthonormal())


@settings(max_examples=40, deadline=None)
@given(trees(5), st.sampled_from(DTYPES), st.integers(0, 1000), st.booleans())
def test_any_tree(tree, dtype, seed, compress):
    terms = random_terms(tree.sizes, dtype, seed, kinds=("dense", "diagonal"), count=4)
    A = TTNO.from_terms(tree, terms) if compress else KronSum(tree, terms)
    check_all(A, dense_terms(tree.sizes, terms), state(tree, 3, dtype).orthonormal())


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
@pytest.mark.parametrize("kind", OPERATORS)
def test_two_different_states(kind, tree, paths):
    A, dense = OPERATORS[kind](tree, "complex128")
    ket, bra = state(tree, 2, "complex128"), state(tree, 3, "complex128", seed=4)
    value = np.vdot(bra.to_dense(), dense @ ket.to_dense().reshape(-1))
    size = np.abs(dense).max() * ket.norm() * bra.norm()
    assert expectation(1j * A, ket, bra) == pytest.approx(1j * value, abs=1e-10 * size)
    assert ket.expectation(A) == pytest.approx(np.vdot(ket.to_dense(), dense @ ket.to_dense().reshape(-1)), abs=1e-10 * size)
    mixed = ups(A.program, ket.orthonormal(), bra.orthonormal())
    below = [mixed[child] for child in tree.children[tree.root]]
    C = ket.orthonormal().cores[-1]
    made = core_function(A.program, tree.root, below, None, C.shape, C)(C)
    embed = prolongation(lambda unit: bra.orthonormal().with_cores({tree.root: unit}).to_dense().reshape(-1), bra.cores[-1].shape)
    np.testing.assert_allclose(made.reshape(-1), embed.conj().T @ dense @ ket.to_dense().reshape(-1), atol=1e-10 * size)


def test_several_cores_at_once(paths):
    tree = TREES["comb"]
    A, _ = OPERATORS["from_terms"](tree)
    Y = state(tree).orthonormal()
    E = Environments.of(A, Y)
    rng = np.random.default_rng(2)
    for node in tree.nodes:
        shape = E.gauges.weighted[node].shape
        C = rng.standard_normal((3, *shape))
        if np.prod(shape) > local_sums.SMALL:
            np.testing.assert_allclose(E.core(node)(C), np.stack([E.core(node)(one) for one in C]), atol=1e-11)


def test_long_legs_with_sparse_operators():
    """Operators of a leg that are not stacked: applied as they are."""
    sizes, rng = [33, 2, 34], np.random.default_rng(8)
    D = sp.diags_array([np.ones(32), -np.ones(32)], offsets=[1, -1]).tocsr()
    B = rng.standard_normal((34, 34))
    terms = [(1.0, {0: D, 1: rng.standard_normal((2, 2))}), (2.0, {0: D @ D, 2: np.arange(34.0)}), (0.3, {2: lambda X: B @ X}), (1.0, {0: D})]
    for tree in (Tree.tucker(sizes), Tree.chain(sizes)):
        check_all(KronSum(tree, terms), dense_terms(sizes, terms), state(tree, 2).orthonormal())


def test_zero_operators():
    tree = TREES["balanced"]
    Y = state(tree).orthonormal()
    check_all(KronSum(tree, [(0.0, {})]), np.zeros((72, 72)), Y)
    check_all(0.0 * TTNO.from_terms(tree, [(1.0, {})]), np.zeros((72, 72)), Y)
    assert TTNO.from_terms(tree, [(0.0, {0: np.eye(2)})]).to_dense().max() == 0.0


def test_bonds_that_nothing_uses(paths):
    """A network padded by zeros, one of its cores zero altogether."""
    tree = Tree.chain([2, 3])
    rng = np.random.default_rng(5)
    first = np.concatenate([rng.standard_normal((2, 2, 2)), np.zeros((2, 2, 2))], axis=2)
    A = TTNO(tree, (first, rng.standard_normal((4, 3, 3, 1))))
    check_all(A, A.to_dense(), state(tree, 2).orthonormal())
    B = TTNO(tree, (0 * first, A.cores[1]))
    check_all(B, np.zeros((6, 6)), state(tree, 2).orthonormal())


def test_real_stays_real_and_any_library():
    tree = TREES["balanced"]
    A, _ = OPERATORS["from_terms"](tree)
    Y = state(tree).orthonormal()
    E = Environments.of(A, Y)
    assert all(E.core(node)(E.gauges.weighted[node]).dtype == np.float64 for node in tree.nodes)
    strict = TTN(tree, tuple(array_api_strict.asarray(core) for core in Y.cores))
    F = Environments.of(A, strict)
    for node in tree.nodes:
        C = E.gauges.weighted[node]
        np.testing.assert_allclose(np.asarray(F.core(node)(array_api_strict.asarray(C))), E.core(node)(C), atol=1e-10)
    single = Y.cast("float32")
    assert single.dtype == "float32" and Environments.of(A, single).core(tree.root)(single.cores[-1]).dtype == np.float32
    assert strict.expectation(A) == pytest.approx(Y.expectation(A))


@pytest.mark.parametrize("which", ["all", "root"])
def test_scaled_cores_have_no_identity_channels(which, paths):
    tree = TREES["nested"]
    A, dense = OPERATORS["from_terms"](tree)
    cores = [1.5 * core if which == "all" or node == tree.root else core for node, core in enumerate(A.cores)]
    B = TTNO(tree, tuple(cores))
    assert max(A.program.complete[:-1]) >= 0 > max(B.program.complete[:-1])
    check_all(B, dense * 1.5 ** (len(cores) if which == "all" else 1), state(tree, 2).orthonormal())


def test_multiples_of_a_leg_operator_are_one():
    tree = Tree.chain([2, 2])
    X = np.array([[0.0, 1.0], [1.0, 0.0]])
    A = TTNO.from_terms(tree, [(1.0, {0: X, 1: X}), (3.0, {0: X}), (0.5, {1: X})])
    assert [len(local.ops) for local in TTNO(tree, A.cores).program.locals] == [2, 2]
