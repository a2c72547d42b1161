"""Bases that span all they can: what integrators need not look at."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .tree import Tree


def is_full(shape: Sequence[int]) -> bool:
    """Whether a core of that shape is square as a matrix: orthonormal columns span all then."""
    return math.prod(shape[:-1]) <= shape[-1]


def full_subtrees(tree: Tree, cores: Sequence[Any]) -> list[bool]:
    """For every node whether all cores of its subtree are square: its basis spans all that its leaves hold."""
    full: list[bool] = []
    for node, core in enumerate(cores):
        full.append(is_full(core.shape) and all(full[child] for child in tree.children[node]))
    return full


def growing_edges(tree: Tree, cores: Sequence[Any]) -> list[int]:
    """The edges without those inside of full subtrees: a step changes nothing there that its topmost core could not take."""
    full = full_subtrees(tree, cores)
    return [node for node in tree.edges if not full[tree.parent[node]]]
