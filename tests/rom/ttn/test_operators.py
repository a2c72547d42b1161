"""KronSum and TTNO against Kronecker products: one table, every tree, real and complex."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import aslinearoperator

from petrov.rom.ttn.kron_sum import KronSum
from petrov.rom.ttn.state import TTN
from petrov.rom.ttn.tree import Tree
from petrov.rom.ttn.ttno import TTNO

from .operators import OPERATORS, dense_terms, random_terms
from .trees import TREES, trees

DTYPES = ["float64", "complex128"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
@pytest.mark.parametrize("kind", OPERATORS)
def test_to_dense(kind, tree, dtype):
    A, expected = OPERATORS[kind](tree, dtype)
    size = np.abs(expected).max()
    np.testing.assert_allclose(A.to_dense(), expected, atol=1e-11 * size)
    np.testing.assert_allclose((-1j * A).to_dense(), -1j * expected, atol=1e-11 * size)
    np.testing.assert_allclose((2 * A + A - 0.5 * A).to_dense(), 2.5 * expected, atol=1e-11 * size)
    np.testing.assert_allclose((1j * A + A).to_dense(), (1 + 1j) * expected, atol=1e-11 * size)


@settings(max_examples=40, deadline=None)
@given(trees(5), st.sampled_from(DTYPES), st.integers(0, 1000))
def test_any_tree_and_terms(tree, dtype, seed):
    terms = random_terms(tree.sizes, dtype, seed, kinds=("dense", "diagonal"), count=5)
    expected = dense_terms(tree.sizes, terms)
    for A in (KronSum(tree, terms), TTNO.from_terms(tree, terms), TTNO.from_terms(tree, terms).rounded(1e-13)):
        np.testing.assert_allclose(A.to_dense(), expected, atol=1e-10 * max(np.abs(expected).max(), 1))


@pytest.mark.parametrize(("d", "bond"), [(4, 4), (8, 6), (16, 10)])
def test_long_range_bonds(d, bond):
    """4, 6, 10."""
    n, x = np.diag([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]])
    V = 2 / np.maximum(np.abs(np.subtract.outer(range(d), range(d))), 1)
    H = TTNO.pairwise(Tree.balanced([2] * d), V, n, onsite=x + n)
    assert max(H.ranks) == bond and H.program.identity[0] >= 0 and H.program.complete[0] >= 0
    assert max((H + H).ranks) == 2 * bond - 2  # identity and complete channels are shared
    assert max((-1j * H).rounded(1e-12).ranks) == bond
    assert min((H.scaled(2.0) + H).program.complete) >= 0 and min((H.scaled(2.0) + H).program.identity[:-1]) >= 0
    if d == 8:
        terms = [(V[i, j], {i: n, j: n}) for i in range(d) for j in range(i + 1, d)] + [(1.0, {i: x + n}) for i in range(d)]
        np.testing.assert_allclose(H.to_dense(), dense_terms([2] * d, terms), atol=1e-11)


def test_tolerance_of_pairwise_lowers_bonds():
    d = 16
    V = 1 / np.maximum(np.abs(np.subtract.outer(range(d), range(d))), 1)
    H = [TTNO.pairwise(Tree.balanced([2] * d), V, np.diag([1.0, 0.0]), tol=tol) for tol in (1e-2, 1e-5)]
    assert max(H[0].ranks) < max(H[1].ranks) < 10


@pytest.mark.parametrize(("d", "most"), [(32, 13), (64, 18)])
def test_long_range_bonds_of_many_leaves(d, most):
    """One less than the published 14 and 19 (rank of the semi-separable form plus 3); beyond by hand: 23, 27 for 128, 256."""
    p, k = np.random.default_rng(2).uniform(size=d), np.arange(d)
    V = 1 / np.maximum(np.abs(np.subtract.outer(k, k)), 1)
    H = TTNO.pairwise(Tree.balanced([2] * d), V, np.array([1.0, 0.0]))
    Y = TTN.product(H.tree, [np.sqrt([q, 1 - q]) for q in p])
    assert max(H.ranks) == most
    assert Y.expectation(H) == pytest.approx((np.triu(V, 1) * np.outer(p, p)).sum(), rel=1e-12)


def test_coefficients_of_time():
    tree = Tree.chain([2, 2])
    X, Z = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, -1.0])
    A = -1j * KronSum(tree, [(np.sin, {0: X}), (2.0, {1: Z}), (np.sin, {0: Z, 1: Z})])
    expected = -1j * dense_terms([2, 2], [(np.sin(0.3), {0: X}), (2.0, {1: Z}), (np.sin(0.3), {0: Z, 1: Z})])
    np.testing.assert_allclose(A.at(0.3).to_dense(), expected)
    parts = A.split()
    assert len(parts) == 2 and not A.is_constant
    total = sum((c(0.3) if c else 1.0) * part.to_dense() for c, part in parts)
    np.testing.assert_allclose(total, expected)
    np.testing.assert_allclose(
        (A + KronSum(tree, [(1.0, {0: X})])).at(0.3).to_dense(), expected + dense_terms([2, 2], [(1.0, {0: X})])
    )
    with pytest.raises(ValueError, match="functions of time"):
        _ = A.program


def test_factors_that_are_known_by_products_and_other_formats():
    tree, A = Tree.chain([3, 2]), np.arange(9.0).reshape(3, 3)
    for factor in (aslinearoperator(A), lambda X: A @ X, sp.lil_array(A), sp.dok_array(A), A.tolist()):
        made = KronSum(tree, [(np.array(2.0), {np.int64(0): factor})]) / 4
        np.testing.assert_allclose(made.to_dense(), np.kron(A / 2, np.eye(2)))
    assert repr(made) == "KronSum: 2 leaves, 1 terms"


def test_wrong_operators_are_refused():
    tree = Tree.chain([2, 3])
    with pytest.raises(ValueError, match="term 0 names the leaves"):
        KronSum(tree, [(1.0, {2: np.eye(2)})])
    with pytest.raises(ValueError, match=r"leaf 1 must have the shape \(3, 3\)"):
        KronSum(tree, [(1.0, {1: np.eye(2)})])
    with pytest.raises(TypeError, match="must hold numbers"):
        KronSum(tree, [(1.0, {0: np.array(["a", "b"])})])
    for term, error, told in [
        ("x", TypeError, r"a term is \(coefficient, \{leaf: operator\}\)"),
        ((1.0, [np.eye(2)]), TypeError, "a term is"),
        (("a", {}), TypeError, "coefficient of term 0.* must be a number; got str"),
        ((np.ones(2), {}), TypeError, "must be a number; got ndarray"),
        ((np.nan, {}), ValueError, "must be finite; got nan"),
        ((1.0, {0: [[np.inf, 0], [0, 0]]}), ValueError, "leaf 0 holds NaN or infinity"),
        ((1.0, {0: aslinearoperator(np.eye(3))}), ValueError, "leaf 0 must have the shape"),
    ]:
        for kind in (KronSum, TTNO.from_terms):
            with pytest.raises(error, match=told):
                kind(tree, [term])
    with pytest.raises(ValueError, match="take a KronSum"):
        TTNO.from_terms(Tree.chain([10**5, 2]), [(1.0, {0: np.ones(10**5)})])
    with pytest.raises(ValueError, match="2 nodes needs as many cores; got 1"):
        TTNO(tree, (np.ones((2, 2, 1)),))
    with pytest.raises(ValueError, match="at least one term"):
        KronSum(tree, [])
    with pytest.raises(TypeError, match="constant coefficients"):
        TTNO.from_terms(tree, [(np.sin, {0: np.eye(2)})])
    with pytest.raises(ValueError, match="V must have the shape"):
        TTNO.pairwise(tree, np.ones((3, 3)), [np.eye(2), np.eye(3)])
    with pytest.raises(ValueError, match="one for all leaves or 2"):
        TTNO.pairwise(tree, np.ones((2, 2)), [np.eye(2)])
    with pytest.raises(ValueError, match="core 1 must have the shape"):
        TTNO(tree, (np.ones((2, 2, 1)), np.ones((1, 3, 2, 1))))
    with pytest.raises(ValueError, match="same tree"):
        TTNO.from_terms(tree, [(1.0, {})]) + TTNO.from_terms(Tree.chain([2, 2]), [(1.0, {})])
