"""States against dense arrays on every kind of tree, real and complex."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petrov.rom.ttn.kron_sum import KronSum
from petrov.rom.ttn.state import TTN, unitary_error
from petrov.rom.ttn.tree import Tree
from petrov.rom.ttn.truncation import truncated

from .trees import TREES, state, trees

array_api_strict = pytest.importorskip("array_api_strict")

DTYPES = ["float64", "complex128"]


@settings(max_examples=60, deadline=None)
@given(trees(), st.sampled_from(DTYPES), st.integers(1, 3))
def test_algebra_is_that_of_dense_arrays(tree, dtype, rank):
    a, b = state(tree, rank, dtype), state(tree, 2, dtype, seed=5)
    A, B = a.to_dense(), b.to_dense()
    assert A.shape == tree.sizes and A.dtype == dtype
    close = {"rtol": 1e-11, "atol": 1e-11 * (np.abs(A).max() + np.abs(B).max() + 1)}
    np.testing.assert_allclose((a + b).to_dense(), A + B, **close)
    np.testing.assert_allclose((2 * a - b).to_dense(), 2 * A - B, **close)
    assert a.inner(b) == pytest.approx(np.vdot(A, B), rel=1e-10, abs=1e-10 * np.linalg.norm(A) * np.linalg.norm(B))
    assert a.norm() == pytest.approx(np.linalg.norm(A), rel=1e-12)
    q = a.orthonormal()
    assert unitary_error(q) < 1e-13
    np.testing.assert_allclose(q.to_dense(), A, **close)
    index = tuple(size - 1 for size in tree.sizes)
    assert a.entry(*index) == pytest.approx(A[index])


@settings(max_examples=40, deadline=None)
@given(trees(), st.sampled_from(DTYPES), st.sampled_from([1e-12, 1e-1, 0.5]))
def test_from_dense_and_rounding_keep_their_tolerance(tree, dtype, tol):
    A = state(tree, 9, dtype).to_dense()
    Y = TTN.from_dense(tree, A, tol)
    assert np.linalg.norm(Y.to_dense() - A) <= (tol + 1e-12) * np.linalg.norm(A) and unitary_error(Y) < 1e-13
    full = TTN.from_dense(tree, A)
    Z, discarded = truncated(full, tol, relative=True)
    error = np.linalg.norm(Z.to_dense() - A)
    assert error <= np.linalg.norm(discarded) * (1 + 1e-9) + 1e-12 * np.linalg.norm(A) and unitary_error(Z) < 1e-13
    assert all(tail <= tol * np.linalg.norm(A) for tail in discarded)


def test_rounding_finds_the_ranks_of_a_sum():
    a = TTN.random(Tree.balanced([3] * 8), 3, seed=1)
    assert (a + a).ranks == tuple(2 * r for r in a.ranks)
    assert (a + a).rounded(1e-12).ranks == a.ranks
    assert (a - a).norm() < 1e-14
    noisy = a + 1e-6 * TTN.random(a.tree, 3, seed=2)
    assert noisy.rounded(1e-4).ranks == a.ranks and (noisy.rounded(1e-4) - a).norm() < 1e-5
    assert max(noisy.rounded(0.0, max_rank=2).ranks) == 2
    assert min(truncated(noisy, 10.0, min_rank=2)[0].ranks) == 2


def test_weighted_truncation_drops_what_the_published_rule_keeps():
    e = np.eye(4)

    def term(i, j):
        return TTN.product(Tree.balanced([4] * 4), [e[i], e[i], e[j], e[j]])

    Y = term(0, 0) + 1e-3 * (term(1, 1) + 1e-2 * term(2, 1))  # leaf 0: singular values 1, 1e-3, 1e-5
    weighted, discarded = truncated(Y, 1e-4)
    published, kept = truncated(Y, 1e-4, weighted=False)
    assert weighted.ranks == (2,) * 6 and published.ranks == (3, 3, 2, 2, 2, 2)
    assert discarded[0] == pytest.approx(1e-5, rel=1e-3) and (weighted - Y).norm() == pytest.approx(1e-5, rel=1e-3)
    assert max(kept) < 1e-15 and (published - Y).norm() < 1e-15


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("name", TREES)
def test_product_states_of_a_larger_rank(name, dtype):
    tree = TREES[name]
    rng = np.random.default_rng(3)
    vectors = [(rng.standard_normal(n) * (1 + 1j if dtype.startswith("complex") else 1)).astype(dtype) for n in tree.sizes]
    dense = vectors[0]
    for vector in vectors[1:]:
        dense = np.multiply.outer(dense, vector)
    for rank in (1, 2, 50):
        Y = TTN.product(tree, vectors, rank)
        assert Y.ranks == tree.feasible(rank)[:-1] and Y.dtype == dtype
        np.testing.assert_allclose(Y.to_dense(), dense, atol=2e-5 if dtype in ("float32", "complex64") else 1e-13)
        assert unitary_error(Y) < (1e-5 if dtype in ("float32", "complex64") else 1e-13)
    np.testing.assert_array_equal(TTN.product(tree, vectors, 2).cores[0], TTN.product(tree, vectors, 2).cores[0])


def test_product_of_integers_and_of_a_zero_vector():
    tree = Tree.chain([2, 2])
    assert TTN.product(tree, [np.array([0, 1]), np.array([1, 0])]).to_dense()[1, 0] == 1.0
    assert TTN.product(tree, [np.zeros(2), np.ones(2)], rank=2).norm() == 0.0


@pytest.mark.parametrize("name", TREES)
def test_moments_contract_leaves(name):
    tree = TREES[name]
    Y = state(tree, 2, "complex128")
    w = np.linspace(1, 2, tree.sizes[0])
    np.testing.assert_allclose(Y.moments({0: w}), np.tensordot(w, Y.to_dense(), axes=(0, 0)))
    M = np.arange(2.0 * tree.sizes[0]).reshape(tree.sizes[0], 2)
    np.testing.assert_allclose(Y.project(0, M).to_dense(), np.tensordot(M.T, Y.to_dense(), axes=(1, 0)))
    everything = Y.moments({leaf: np.ones(n) for leaf, n in enumerate(tree.sizes)})
    assert everything.shape == () and complex(everything) == pytest.approx(Y.to_dense().sum())


def test_random_states_are_orthonormal_and_repeatable():
    Y = TTN.random(Tree.balanced([4] * 4), 3, seed=9, dtype="complex64")
    assert Y.norm() == pytest.approx(1.0, rel=1e-5) and Y.dtype == "complex64" and unitary_error(Y) < 1e-5
    np.testing.assert_array_equal(Y.cores[-1], TTN.random(Y.tree, 3, seed=9, dtype="complex64").cores[-1])


def test_any_array_library_holds_the_cores():
    tree = TREES["balanced"]
    host = state(tree)
    Y = TTN(tree, tuple(array_api_strict.asarray(core) for core in host.cores))
    for made, expected in [((Y + Y).rounded(1e-12), 2 * host), (Y.orthonormal(), host), (Y.scaled(2.0), 2 * host)]:
        np.testing.assert_allclose(np.asarray(made.to_dense()), expected.to_dense(), atol=1e-10)
    assert Y.inner(Y) == pytest.approx(host.inner(host)) and Y.norm() == pytest.approx(host.norm())
    vectors = [array_api_strict.asarray(np.ones(n)) for n in tree.sizes]
    assert TTN.product(tree, vectors, 2).norm() ** 2 == pytest.approx(np.prod(tree.sizes))


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_norms_whose_squares_are_no_numbers(size):
    A = 1.0 + np.arange(24).reshape(2, 3, 4)
    Y = TTN.from_dense(Tree.balanced([2, 3, 4]), size * A)
    np.testing.assert_allclose(Y.to_dense() / size, A, rtol=1e-12)
    assert Y.norm() == pytest.approx(size * np.linalg.norm(A), rel=1e-12)
    Z = (Y + Y).rounded(1e-12)
    assert Z.ranks == Y.ranks and Z.norm() == pytest.approx(2 * Y.norm(), rel=1e-12)


def test_numbers_keep_the_precision_of_a_state():
    Y = TTN.random(Tree.chain([2, 3]), 2, dtype="float32")
    two = np.float64(2.0)
    assert {made.dtype for made in (two * Y, Y * two, Y / two, Y * np.array(2.0), Y / Y.norm())} == {"float32"}
    assert (Y / 2).norm() == pytest.approx(0.5)


def test_moments_of_more_leaves_than_arrays_have_axes():
    Y = TTN.product(Tree.balanced([2] * 100), [np.array([0.25, 0.75])] * 100)
    assert float(Y.moments({leaf: np.ones(2) for leaf in range(100)})) == pytest.approx(1.0)
    assert Y.moments({leaf: np.ones(2) for leaf in range(1, 99)}).shape == (2, 2)


def test_wrong_states_are_refused():
    tree = Tree.chain([2, 2])
    Y = TTN.product(tree, [[1, 0], [0.0, 1]])
    for told, act in [
        ("tol must be >= 0", lambda: Y.rounded(np.nan)),
        ("max_rank >= 1", lambda: Y.rounded(0.1, max_rank=0)),
        ("tol must be >= 0", lambda: TTN.from_dense(tree, np.ones((2, 2)), -1.0)),
        ("holds NaN", lambda: TTN.from_dense(tree, np.full((2, 2), np.nan))),
        ("must have the tree of the state", lambda: Y.expectation(KronSum(Tree.balanced([2, 2]), [(1.0, {})]))),
        ("an entry has 2 indices", lambda: Y.entry(0, 1, 0)),
        (r"leaves 0 ... 1; got 5", lambda: Y.contract({5: np.ones(2)})),
        ("leaf 1 has the length 2", lambda: Y.project(1, np.ones((3, 2)))),
        ("dtype must be", lambda: TTN.random(tree, 1, dtype="int64")),
    ]:
        with pytest.raises(ValueError, match=told):
            act()
    for act in (lambda: Y * Y, lambda: Y + 1, lambda: Y.inner(np.ones(4)), lambda: Y * np.ones(2)):
        with pytest.raises(TypeError, match=r"a TTN goes with|multiplied by numbers"):
            act()
    with pytest.raises(ValueError, match=r"core 1 must have the shape \(1, 2, 1\)"):
        TTN(tree, (np.ones((2, 1)), np.ones((2, 2, 1))))
    with pytest.raises(ValueError, match="needs as many cores"):
        TTN(tree, (np.ones((2, 1)),))
    with pytest.raises(ValueError, match="2 leaves; got 1 vectors"):
        TTN.product(tree, [np.ones(2)])
    with pytest.raises(ValueError, match=r"vector 1 must have the shape \(2,\)"):
        TTN.product(tree, [np.ones(2), np.ones(3)])
    with pytest.raises(ValueError, match="same tree"):
        state(tree) + state(Tree.chain([2, 3]))
    with pytest.raises(ValueError, match="too large"):
        TTN.product(Tree.chain([4] * 20), [np.ones(4)] * 20).to_dense()
    with pytest.raises(ValueError, match="of the leaves"):
        TTN.from_dense(tree, np.ones(4))
