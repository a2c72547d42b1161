"""Where F(t, Y) points: the range of its part at every node, found with random bases of the rest of the tree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .gauges import Gauges
from .right_hand_sides import Stage, View
from .tasks import Workers, serial
from .tensors import placed
from .tree import Tree

FURTHER = 8  # random columns beyond the rank of an edge: the range of what F adds is found but for its smallest parts
LEAST = 32  # random columns of an edge: a state of low rank can turn into as many directions as F has terms
SEED = 90611


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """h F(t, Y), node by node: its range at an edge, whether or not the old bases of the rest see it.

    An integrator that asks what F does to the basis of one subtree while all other bases are kept misses what changes several
    at once: x (x) x turns |0> (x) |0> by 90 degrees in both, which leaves nothing in the old bases. Products of random numbers in
    place of the old bases miss nothing but by chance: Halko, Martinsson and Tropp, SIAM Rev. 53 (2011) 217; of cores: Al Daas et
    al., SIAM J. Sci. Comput. 45 (2023) A74. Random numbers are the same at every call, and independent of gauges.

    `at(node)`: columns (the core's other axes, between bases that have grown; count) with their weights, to be asked for from
    the leaves to the root; `grow(node, core)`: that core is the new one of the node. Costs views between two sets of bases, and
    one application of F a node.
    """

    stage: Stage
    seen: Gauges
    t: float
    h: float
    rest: tuple[View, ...]  # <random bases, F, old bases> of the rest of the tree at every edge
    mixed: list[View]  # <grown bases, F, old bases> of every subtree

    @classmethod
    def of(cls, stage: Stage, seen: Gauges, t: float, h: float, workers: Workers | None = None) -> Images:
        tree, cores = seen.bases.tree, seen.bases.cores
        random = [placed(core, cores[-1]) for core in random_cores(tree, [max(r + FURTHER, LEAST) for r in seen.bases.ranks])]
        ups: list[View] = [None] * len(tree.parent)
        downs: list[View] = [None] * len(tree.parent)

        def see_up(node: int) -> None:
            if node < tree.root:
                ups[node] = stage.up(node, [ups[child] for child in tree.children[node]], random[node], cores[node])

        def see_down(node: int) -> None:
            if seen.towards[node] is not None:
                parent, axis = tree.parent[node], tree.axis(node)
                bra = random[parent] * math.sqrt(random[parent].shape[-1] / random[parent].shape[axis])
                siblings = [ups[child] for child in tree.children[parent]]
                downs[node] = stage.down(node, siblings, downs[parent], bra, seen.towards[node])

        workers = workers or serial(tree)
        workers.up(see_up)
        workers.down(see_down)
        return cls(stage, seen, t, h, tuple(downs), [None] * len(tree.parent))

    def at(self, node: int) -> Any:
        below, core = [self.mixed[child] for child in self.seen.bases.tree.children[node]], self.seen.weighted[node]
        return self.h * self.stage.core(node, below, self.rest[node], core)(self.t, core)

    def grow(self, node: int, core: Any) -> None:
        below = [self.mixed[child] for child in self.seen.bases.tree.children[node]]
        self.mixed[node] = self.stage.up(node, below, core, self.seen.bases.cores[node])


def random_cores(tree: Tree, ranks: Sequence[int]) -> list[np.ndarray]:
    """Of about these ranks, scaled so that products with the bases of subtrees keep the 2-norm in the mean."""
    rng, kept = np.random.default_rng(SEED), tree.feasible(ranks)
    shapes = [tree.core_shape(node, kept) for node in tree.nodes]
    return [rng.standard_normal(shape) / math.sqrt(shape[-1]) for shape in shapes]
