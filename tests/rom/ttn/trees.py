"""Trees of every kind, states on them, and random trees for hypothesis."""

import numpy as np
from hypothesis import strategies as st

from petrov.rom.ttn.state import TTN
from petrov.rom.ttn.tree import Tree

SIZES = [2, 3, 2, 2, 3]
TREES = {
    "balanced": Tree.balanced(SIZES),
    "chain": Tree.chain(SIZES),
    "comb": Tree.comb(SIZES, 2),
    "tucker": Tree.tucker(SIZES),
    "nested": Tree.nested(({1: (0, 4)}, 2, {3: ()}), SIZES),
    "one node": Tree.balanced([4]),
}


def state(tree, ranks=3, dtype="float64", seed=811):
    """Not orthonormal: every core has entries of size one."""
    rng = np.random.default_rng(seed)
    ranks = tree.feasible(ranks)
    cores = [rng.standard_normal(tree.core_shape(node, ranks)) for node in tree.nodes]
    if dtype.startswith("complex"):
        cores = [core + 1j * rng.standard_normal(core.shape) for core in cores]
    return TTN(tree, tuple(core.astype(dtype) for core in cores))


@st.composite
def trees(draw, most=6):
    """A tree of up to `most` legs of lengths 1 to 3, anywhere."""
    d = draw(st.integers(1, most))
    legs = draw(st.permutations(range(d)))
    parts = []
    for leg in legs:  # each node takes some of the finished subtrees, carries the leg or puts it beside them
        count = draw(st.integers(0, min(len(parts), 2)))
        taken, parts = parts[len(parts) - count :], parts[: len(parts) - count]
        parts.append({leg: tuple(taken)} if draw(st.booleans()) else (leg, *taken))
    structure = parts[0] if len(parts) == 1 else tuple(parts)
    return Tree.nested(structure, draw(st.lists(st.integers(1, 3), min_size=d, max_size=d)))
