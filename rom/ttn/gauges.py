"""The centre of a state moved to every node: weighted cores, and the cores that point towards a child."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .state import TTN
from .tensors import along, namespace, qr, unfolding


@dataclass(frozen=True, slots=True, eq=False)
class Gauges:
    """An orthonormal state seen from each of its nodes and edges.

    `bases`: the state. `weighted[t]`: the core of t with what the rest weighs, so that the tensor is that core between
    orthonormal bases on all sides. For an edge t: `S[t]` (r', r) with weighted[t] = core t times S[t] along its last axis, and
    `towards[t]`: the parent's core with orthonormal columns (all other axes, r') where the axis of t points; None at the root.
    """

    bases: TTN
    weighted: tuple[Any, ...]
    towards: tuple[Any, ...]
    S: tuple[Any, ...]


def gauges(state: TTN, edges: Iterable[int] | None = None) -> Gauges:
    """Of an orthonormal state: one QR factorisation an edge, from the root to the leaves (Mat_i(C)^T = Q S).

    `edges`: those to look at, with all above them; None: all. The others have None.
    """
    tree = state.tree
    wanted = set(tree.edges if edges is None else edges)
    weighted: list[Any] = [None] * tree.root + [state.cores[-1]]
    towards: list[Any] = [None] * len(tree.parent)
    S: list[Any] = [None] * len(tree.parent)
    for node in reversed(tree.edges):
        if node not in wanted:
            continue
        parent, axis = weighted[tree.parent[node]], tree.axis(node)
        Q, S[node] = qr(unfolding(parent, axis))
        others = (*parent.shape[:axis], *parent.shape[axis + 1 :])
        xp = namespace(Q)
        towards[node] = xp.moveaxis(xp.reshape(Q, (*others, -1)), -1, axis)
        weighted[node] = along(S[node], state.cores[node], state.cores[node].ndim - 1)
    return Gauges(state, tuple(weighted), tuple(towards), tuple(S))
