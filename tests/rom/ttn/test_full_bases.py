"""Subtrees whose bases span all they can: left alone where that is exact, and only there."""

import numpy as np
import pytest

from petrov.rom.ttn import TTN, Environments, gauges, truncated
from petrov.rom.ttn.full_bases import full_subtrees, growing_edges
from petrov.rom.ttn.singular_values import kept_rank
from petrov.rom.ttn.state import unitary_error
from petrov.rom.ttn.tree import Tree

from .integration import all_up, ising
from .trees import state

TREE = Tree.balanced([2] * 8)


def test_which_edges_grow():
    full = state(TREE, 16)
    assert full_subtrees(TREE, full.cores)[:-1] == [True] * 14
    assert growing_edges(TREE, full.cores) == [6, 13]  # below the root
    narrow = state(TREE, [2, 2, 4, 2, 2, 4, 9, 2, 2, 3, 2, 2, 4, 9])
    assert growing_edges(TREE, narrow.cores) == [2, 5, 6, 7, 8, 9, 12, 13]
    seen = gauges(narrow, growing_edges(TREE, narrow.cores))
    assert [node for node in TREE.edges if seen.towards[node] is not None] == growing_edges(TREE, narrow.cores)


@pytest.mark.parametrize("weighted", [True, False])
def test_full_subtrees_are_left_as_they_are(weighted):
    Y = state(TREE, 16).orthonormal()
    Z, discarded = truncated(Y, 1e-12 * Y.norm(), weighted=weighted, orthonormal=True)
    assert all(a is b for a, b in zip(Z.cores[:-1], Y.cores[:-1], strict=True)) and sum(discarded) == 0.0
    Z, _ = truncated(Y, 0.1 * Y.norm(), weighted=weighted, orthonormal=True)
    assert max(Z.ranks) < 16 and unitary_error(Z) < 1e-13


def test_ranks_are_those_of_the_tensor_all_the_same():
    """Full at every edge, with singular values on both sides of the tolerance at each: compared by dense unfoldings."""
    rng = np.random.default_rng(4)
    X = rng.standard_normal((2,) * 8)
    for leaf in range(8):
        X = X * np.where(np.arange(2) == 0, 1.0, 0.03).reshape([-1 if k == leaf else 1 for k in range(8)])
    Y = TTN.from_dense(TREE, X, 0.0)
    for tol in (1e-1, 1e-2, 1e-3, 1e-5, 1e-8):
        Z, discarded = truncated(Y, tol)
        exact = []
        for node in TREE.edges:
            inside = TREE.below[node]
            M = np.moveaxis(X, inside, range(len(inside))).reshape(2 ** len(inside), -1)
            exact.append(kept_rank(np.linalg.svd(M)[1], tol)[0])
        assert all(a <= b for a, b in zip(Z.ranks, exact, strict=True)) and sum(exact) - sum(Z.ranks) <= 2
        assert np.linalg.norm(Z.to_dense() - X) <= np.linalg.norm(discarded) * 1.01 + 1e-14
    assert sum(Z.ranks) > 40 and 0 < sum(truncated(Y, 1e-3)[0].ranks) < sum(Z.ranks)


def test_gauges_of_some_edges_are_those_of_all():
    tree, rhs = ising(8)
    Y = all_up(tree, 4).cast("complex128").orthonormal()
    whole, part = gauges(Y), gauges(Y, growing_edges(tree, Y.cores))
    for node in growing_edges(tree, Y.cores):
        np.testing.assert_array_equal(whole.weighted[node], part.weighted[node])
    assert Environments.of(rhs.A, Y).down[0] is not None
