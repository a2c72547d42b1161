"""Right-hand sides on a pair of neighbours: the cores of a node and its parent as one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .contraction import Channels, Function, contractions
from .local_solvers import Flow, FunctionFlow, LinearFlow
from .local_sums import as_matrix, leg_modes, times
from .moving_flow import MovingFlow, with_source
from .overlaps import overlap_core
from .plans import planned
from .program import Program
from .right_hand_sides import AffineStage, LinearStage, Stage, View
from .tensors import eye, namespace
from .tree import Tree


def pair_flow(
    tree: Tree, stage: Stage, child: int, below: Sequence[View], siblings: Sequence[View], above: View, like: Any
) -> Flow:
    """The flow of a pair: the axes of the child's core but the last, then those of its parent's core but the child's.

    below: the views of the child's children; siblings: of all children of its parent (its own is not read); above: from above
    the parent. `like` has the shape and type of the pair.
    """
    if isinstance(stage, LinearStage):
        return linear_flow(stage, child, below, siblings, above, like)
    if isinstance(stage, AffineStage):
        return affine_flow(tree, stage, child, below, siblings, above, like)
    return general_flow(tree, stage, child, below, siblings, above, like)


def linear_flow(
    stage: LinearStage, child: int, below: Sequence[View], siblings: Sequence[View], above: View, like: Any
) -> LinearFlow | MovingFlow:
    def part(k: int, program: Program) -> Function:
        beside = [None if view is None else view[k] for view in siblings]
        return pair_function(program, child, [view[k] for view in below], beside, None if above is None else above[k], like)

    return stage.summed([part(k, program) for k, program in enumerate(stage.programs)])


def affine_flow(
    tree: Tree, stage: AffineStage, child: int, below: Sequence[View], siblings: Sequence[View], above: View, like: Any
) -> LinearFlow | MovingFlow:
    views = [(None, None, None) if view is None else view for view in siblings]
    linear = None if above is None else above[0]
    flow = linear_flow(stage.linear, child, [view[0] for view in below], [view[0] for view in views], linear, like)
    parent, axis, cores = tree.parent[child], tree.axis(child), stage.source.cores
    own = overlap_core([view[1] for view in below], None, cores[child])
    beside = [None if k == axis else view[1] for k, view in enumerate(views)]
    rest = overlap_core(beside, None if above is None else above[1], cores[parent])
    source = namespace(own).tensordot(own, rest, axes=((own.ndim - 1,), (axis,)))
    return with_source(flow, source)


def general_flow(
    tree: Tree, stage: Stage, child: int, below: Sequence[View], siblings: Sequence[View], above: View, like: Any
) -> Flow:
    """The child's basis is the identity of its axes: the pair is then the core of the parent."""
    xp, axis, parent = namespace(like), tree.axis(child), tree.parent[child]
    count = len(tree.children[child]) + (tree.leg[child] >= 0)  # axes of the child in the pair
    rows, columns = tuple(like.shape[:count]), tuple(like.shape[count:])
    n = math.prod(rows)
    own = xp.reshape(eye(n, like), (*rows, n))
    views = [stage.up(child, below, own, own) if k == axis else view for k, view in enumerate(siblings)]

    def core(C: Any) -> Any:
        return xp.moveaxis(xp.reshape(C, (n, *columns)), 0, axis)

    flow = stage.core(parent, views, above, core(like))
    return FunctionFlow(lambda t, C: xp.reshape(xp.moveaxis(flow(t, core(C)), axis, 0), like.shape))


def pair_function(
    program: Program, child: int, below: Sequence[Channels], siblings: Sequence[Any], above: Channels | None, like: Any
) -> Function:
    """C -> factor times the operator on a pair between the environments of the rest, without a matrix."""
    parent, axis = program.tree.parent[child], program.tree.axis(child)
    others = [*siblings[:axis], *siblings[axis + 1 :], *leg_modes(program, parent, like)]
    modes = [*below, *leg_modes(program, child, like), *others, *([] if above is None else [above])]
    flags, shape = tuple(mode.identity for mode in modes), tuple(like.shape)
    key = ("pair", child, flags)
    if key not in program.plans:
        channels, values = joined_entries(program, child)
        program.plans[key] = planned(channels[:, : len(modes)], values, [mode.count for mode in modes], flags)
    (run,) = contractions(program.plans[key], modes, range(len(modes)), shape, like)
    return times(as_matrix(run, modes, shape, like), program.factor)


def joined_entries(program: Program, child: int) -> tuple[np.ndarray, np.ndarray]:
    """The entries of a child and its parent multiplied over the channel between them: (channels without that one, values)."""
    axis, own, parent = program.tree.axis(child), program.locals[child], program.locals[program.tree.parent[child]]
    rows, values = [], []
    for channel in range(own.count):
        k, l = np.flatnonzero(own.channels[:, -1] == channel), np.flatnonzero(parent.channels[:, axis] == channel)
        k, l = np.repeat(k, len(l)), np.tile(l, len(k))
        rows.append(np.hstack([own.channels[k, :-1], np.delete(parent.channels[l], axis, axis=1)]))
        values.append(own.values[k] * parent.values[l])
    return np.vstack(rows), np.concatenate(values)
