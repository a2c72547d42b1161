"""Inner products of one state with the bases of another: a state between given bases, at one node or edge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .tensors import adjoint, along, matrix, unfolding


def overlap_up(below: Sequence[Any], bra: Any, core: Any) -> Any:
    """<bra, state> (r', R) of a subtree, from those of the children of its node and two cores of the node."""
    return adjoint(matrix(bra)) @ matrix(overlap_core(below, None, core))


def overlap_down(axis: int, siblings: Sequence[Any], above: Any, bra: Any, core: Any) -> Any:
    """<bra, state> (r', R) of the rest of the tree at one axis of a node; the entry of `siblings` at that axis is not read."""
    chosen = [None if k == axis else M for k, M in enumerate(siblings)]
    return adjoint(unfolding(bra, axis)) @ unfolding(overlap_core(chosen, above, core), axis)


def overlap_core(below: Sequence[Any], above: Any, core: Any) -> Any:
    """The core of the state with its child axes, and its parent axis, in the bases of bra; None leaves an axis."""
    for axis, M in enumerate(below):
        core = core if M is None else along(M, core, axis)
    return core if above is None else along(above, core, core.ndim - 1)


def overlap_edge(below: Any, above: Any) -> Any:
    """The matrix (r' of the subtree, r' of the rest)."""
    return below @ above.T
