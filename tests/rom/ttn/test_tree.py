"""The numbering of trees, their constructors, records and drawing."""

import json
import math

import numpy as np
import pytest
from hypothesis import given

from petrov.rom.ttn.tree import Tree

from .trees import TREES, trees


@given(trees())
def test_any_tree_is_in_post_order_and_survives_a_record(tree):
    assert all(child < node for node in tree.nodes for child in tree.children[node])
    assert tree.below[tree.root] == tuple(range(tree.order))
    assert all(tree.leg[tree.node_of[leaf]] == leaf for leaf in range(tree.order))
    assert sum(map(len, tree.levels)) == len(tree.nodes)
    assert all(tree.children[tree.parent[node]][tree.axis(node)] == node for node in tree.edges)
    again = Tree.from_record(json.loads(json.dumps(tree.record())))
    assert again == tree and hash(again) == hash(tree) and again.children == tree.children


@given(trees())
def test_feasible_ranks_are_filled(tree):
    ranks = tree.feasible(100)
    for node in tree.edges:
        shape = tree.core_shape(node, ranks)
        assert shape[-1] <= math.prod(shape[:-1])
    assert tree.feasible(1) == (1,) * len(tree.nodes)


def test_constructors():
    assert TREES["chain"].children == ((), (0,), (1,), (2,), (3,)) and TREES["chain"].leg == (0, 1, 2, 3, 4)
    assert TREES["tucker"].children[-1] == (0, 1, 2, 3, 4)
    assert TREES["comb"].leg == (0, 1, 2, 3, -1, 4, -1) and TREES["comb"].parent == (1, 4, 3, 4, 6, 6, -1)
    assert [len(level) for level in Tree.balanced([2] * 16).levels] == [1, 2, 4, 8, 16]
    assert Tree.balanced([7]).parent == (-1,) and Tree.chain([2, 2]).resized({1: 5}).sizes == (2, 5)


def test_drawing_shows_ranks():
    text = Tree.nested(({1: 0}, 2), [4, 5, 6]).to_text([3, 7, 8])
    assert text.splitlines() == ["root", "|- 7 - leaf 1 (5)", "|  `- 3 - leaf 0 (4)", "`- 8 - leaf 2 (6)"]


@pytest.mark.parametrize(
    ("parent", "leg", "sizes", "message"),
    [
        ((1, -1), (0, 0), (2,), "must be at one node"),
        ((1, -1), (0, 1), (2, 0), "size >= 1"),
        ((0, -1), (0, 1), (2, 2), "before their parents"),
        ((3, 2, 4, 4, -1), (0, 1, -1, -1, -1), (2, 2), "post-order"),
        ((1, -1), (-1, 0), (2,), "neither a leg nor children"),
        ((1, 2), (0, 1), (2, 2), "must be the root"),
        ((), (), (), "at least one leaf"),
    ],
)
def test_what_is_no_tree_is_refused(parent, leg, sizes, message):
    with pytest.raises(ValueError, match=message):
        Tree(parent, leg, sizes)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="must be at one node"):
        Tree.nested((0, 0), [2, 2])
    with pytest.raises(ValueError, match="length must be"):
        Tree.comb([2, 2], 0)
    with pytest.raises(ValueError, match="ranks must be one number or 4 numbers"):
        Tree.chain([2] * 5).feasible([1, 2])
    with pytest.raises(ValueError, match="ranks must be 4 numbers"):
        Tree.chain([2] * 5).to_text([1, 2])
    with pytest.raises(ValueError, match=r"leaves 0 ... 1; got \[7\]"):
        Tree.chain([2, 2]).resized({7: 3})
    for structure, sizes in [((0, 1.5), [2, 2]), ("ab", [2, 2]), ((0, 1), [2, 2.5])]:
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            Tree.nested(structure, sizes)


def test_deep_trees():
    """Deeper than Python's limit of recursion, and made in less than quadratic time but for `below`."""
    for tree in (Tree.comb([2] * 1500, 1500), Tree.comb([2] * 1500, 1)):
        assert len(tree.to_text().splitlines()) == len(tree.nodes) and tree.order == 1500


def test_ranks_of_numpy():
    tree = Tree.balanced(np.array([4] * 4))
    assert tree.feasible(np.int64(3)) == tree.feasible(np.array([3] * 6)) == tree.feasible(3)
