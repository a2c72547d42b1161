"""Pictures: what has to stand in them does."""

import numpy as np
import pytest

from petrov.rom.ttn import TTN, KronSum, StepTruncate, Tree, draw, evolve

from .trees import TREES, state

pytest.importorskip("matplotlib")


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
def test_tree(tree, tmp_path):
    Y = state(tree)
    found = texts(draw(Y, tmp_path / "tree.png"))
    assert sorted(found) == sorted([str(rank) for rank in Y.ranks] + [f"{leaf} ({n})" for leaf, n in enumerate(tree.sizes)])
    assert (tmp_path / "tree.png").read_bytes()[1:4] == b"PNG"
    assert len(texts(draw(tree))) == tree.order


def test_drawings_that_cannot_be():
    with pytest.raises(ValueError, match="ranks must be 3 numbers"):
        draw(Tree.chain([2] * 4), ranks=[1])
    with pytest.raises(TypeError, match="a TTN or a Tree; got list"):
        draw([2])
    assert max(draw(Tree.chain([2] * 1000)).get_size_inches()) <= 100.0  # a picture that can be written


def test_evolution(tmp_path):
    tree = Tree.chain([2, 2])
    Y = TTN.product(tree, [np.ones(2)] * 2)
    observe = {"norm": lambda Y: Y.norm(), "leaves": lambda Y: np.ones(3), "complex": lambda Y: 1j}
    result = evolve(Y, KronSum(tree, [(-1.0, {})]), (0, 0.2), dt=0.1, method=StepTruncate(), observe=observe)
    figure = result.plot(str(tmp_path / "run.png"))
    assert [line.get_label() for line in figure.axes[0].lines] == ["norm"] and (tmp_path / "run.png").exists()
    assert len(figure.axes) == 2
