"""The sums of an operator at one node: channels of its edges, and effective operators without a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...solvers import arrays
from .contraction import Actions, Channels, Function, Mode, contractions, leg_mode
from .machine import Machine, machine
from .plans import Plan, planned
from .program import Local, Program
from .tensors import adjoint, eye, namespace, placed, unfolding

GATHERED = 2**15  # entries of all products of a node, up to which they are formed one by one: fewer calls, more arithmetic
SMALL = 64  # unknowns of a core up to which its effective operator is a matrix: one product a call


def subtrees(program: Program, ket: Sequence[Any], bra: Sequence[Any], *, known: bool) -> list[Channels]:
    """`up` of every node, leaves to root, between the cores of two states; the last is <bra, A ket> without the factor."""
    found: list[Channels] = []
    for node in program.tree.nodes:
        below = [found[child] for child in program.tree.children[node]]
        found.append(up(program, node, below, bra[node], ket[node], known=known))
    return found


def expected(program: Program, ket: Sequence[Any], bra: Sequence[Any]) -> Any:
    """<bra, A ket>, a Python number; nothing has to be orthonormal."""
    return program.factor * arrays.scalar(subtrees(program, ket, bra, known=False)[-1].stack[0, 0, 0])


def up(program: Program, node: int, below: Sequence[Channels], bra: Any, ket: Any, *, known: bool) -> Channels:
    """The channels of the edge of a node from those of its children, between two cores of it.

    The cores may differ in all ranks; bra's fit the rows m' of the children's matrices. `known`: they are the same and
    orthonormal, so that the identity channel is the identity and is not computed.
    """
    modes = [*below, *leg_modes(program, node, ket)]
    local, identity = program.locals[node], program.identity[node] if known else -1
    axes = tuple(range(len(modes)))
    stack = views(program, ("up", node), local, [*axes], len(axes), modes, axes, ket, bra, identity)
    return Channels(stack, identity)


def down(
    program: Program, node: int, siblings: Sequence[Channels], above: Channels | None, bra: Any, ket: Any, *, known: bool
) -> Channels:
    """The channels of the rest of the tree at the edge of a node, between two cores of its parent.

    `siblings`: `up` of all children of the parent in order (the node's own is not read), `above`: `down` of the parent, None if
    that is the root. `known`: the cores are the same, and orthonormal from all axes but the node's to that.
    """
    tree = program.tree
    parent, axis = tree.parent[node], tree.axis(node)
    modes = [*siblings, *leg_modes(program, parent, ket), *([] if above is None else [above])]
    columns = [k for k in range(len(modes)) if k != axis]
    local, complete = program.locals[parent], program.complete[node] if known else -1
    stack = views(program, ("down", node), local, columns, axis, [modes[k] for k in columns], columns, ket, bra, complete)
    return Channels(stack, complete)


def views(
    program: Program,
    key: tuple[Any, ...],
    local: Local,
    columns: list[int],
    out: int,
    modes: Sequence[Mode],
    axes: Sequence[int],
    ket: Any,
    bra: Any,
    skipped: int,
) -> Any:
    """<bra, the sums of the channels of the column `out` applied to ket> over all axes but that one (channels, m', m)."""
    plan = sums_plan(program, key, local, columns, out, modes)
    made = machine(plan, modes, axes, ket.shape, ket, skipped) if type(bra) is type(ket) and bra.dtype == ket.dtype else None
    if made is not None:
        return made.projected(ket, bra, out, skipped)
    return projected(summed(program, key, local, columns, out, modes, axes, ket, skipped), bra, out, skipped)


def sums_plan(program: Program, key: tuple[Any, ...], local: Local, columns: list[int], out: int, modes: Sequence[Mode]) -> Plan:
    """The plan of a sum a channel of the column `out`; made once."""
    flags = tuple(mode.identity for mode in modes)
    if (*key, flags) not in program.plans:
        rows, sums = local.channels[:, columns], (local.channels[:, out], program.locals[key[1]].count)
        program.plans[(*key, flags)] = planned(rows, local.values, [mode.count for mode in modes], flags, sums)
    return program.plans[(*key, flags)]


def projected(W: Any, bra: Any, axis: int, skipped: int) -> Any:
    """<bra, W_b> over all axes but one, for every channel b (b, m', m); the identity for the skipped one."""
    left = adjoint(unfolding(bra, axis))
    xp = namespace(bra)
    if isinstance(W, list):
        return xp.stack([eye(left.shape[0], bra) if X is None else left @ unfolding(X, axis) for X in W])
    if axis != bra.ndim - 1:
        W = xp.moveaxis(W, axis + 1, -1)
    stack = left @ xp.reshape(W, (W.shape[0], -1, W.shape[-1]))
    if skipped >= 0:
        stack[skipped, ...] = eye(left.shape[0], stack)
    return stack


def core_function(
    program: Program, node: int, below: Sequence[Channels], above: Channels | None, shape: Sequence[int], like: Any
) -> Function:
    """C -> factor times the sum over entries of (below (x) leg (x) above) C, for cores of that shape.

    The result has m' of each mode for m: with mixed environments it lives in other bases than C.
    """
    modes = [*below, *leg_modes(program, node, like), *([] if above is None else [above])]
    local, flags = program.locals[node], tuple(mode.identity for mode in modes)
    key = ("core", node, flags)
    if key not in program.plans:
        columns = local.channels[:, : len(modes)]
        program.plans[key] = planned(columns, local.values, [mode.count for mode in modes], flags)
    (run,) = contractions(program.plans[key], modes, range(len(modes)), shape, like)
    return times(as_matrix(run, modes, shape, like), program.factor)


def edge_function(program: Program, node: int, below: Channels, above: Channels, like: Any) -> Function:
    """S -> factor times the sum over channels b of below[b] S above[b]^T."""
    key = ("edge", node, below.identity, above.identity)
    if key not in program.plans:
        both = np.repeat(np.arange(below.count)[:, None], 2, axis=1)
        program.plans[key] = planned(both, np.ones(below.count), [below.count] * 2, key[2:])
    shape = (below.lengths[1], above.lengths[1])
    (run,) = contractions(program.plans[key], [below, above], (0, 1), shape, like)
    return times(as_matrix(run, [below, above], shape, like), program.factor)


def times(run: Function, factor: complex) -> Function:
    return run if factor == 1 else (lambda C: factor * run(C))


def as_matrix(run: Function, modes: Sequence[Mode], shape: Sequence[int], like: Any) -> Function:
    """run, as one product with its matrix where it is small and square."""
    size, xp = math.prod(shape), namespace(like)
    if isinstance(run, Machine) or size > SMALL:
        return run
    if any(isinstance(mode, Actions) or mode.lengths[0] != mode.lengths[1] for mode in modes):
        return run
    images = run(xp.reshape(eye(size, like), (size, *shape)))
    M, shape = xp.reshape(images, (size, size)).T, tuple(shape)
    return lambda C: xp.reshape(M @ xp.reshape(C, (size,)), shape)


def leg_modes(program: Program, node: int, like: Any) -> list[Mode]:
    """The mode of the leg of a node, as a list that is empty if there is none; made once a library and type."""
    if program.tree.leg[node] < 0:
        return []
    key = ("leg", node, namespace(like).__name__, arrays.dtype_name(like), str(arrays.device(like)))
    if key not in program.plans:
        program.plans[key] = leg_mode(program.locals[node].ops, program.tree.size(node), like)
    return [program.plans[key]]


def summed(
    program: Program,
    key: tuple[Any, ...],
    local: Local,
    columns: list[int],
    out: int,
    modes: Sequence[Mode],
    axes: Sequence[int],
    core: Any,
    skipped: int,
) -> Any:
    """For every channel of the column `out` the sum of its entries, applied to the core along the other axes.

    One array (channels, core) for small cores, else a list, with None where skipped.
    """
    count = program.locals[key[1]].count
    dense = [mode for mode in modes if isinstance(mode, Channels)]
    if len(dense) == len(modes) > 0 and len(local.values) * math.prod(core.shape) <= GATHERED:
        key = ("gathered", *key, core.dtype, type(core), arrays.device(core))
        if key not in program.plans:
            program.plans[key] = selection(local, columns, out, count, core)
        return gathered(program.plans[key], dense, axes, core)
    runs = contractions(sums_plan(program, key, local, columns, out, modes), modes, axes, core.shape, core)
    return [None if b == skipped else run(core) for b, run in enumerate(runs)]


def selection(local: Local, columns: list[int], out: int, count: int, core: Any) -> tuple[list[Any], Any]:
    """The channel of every entry, column by column, and the matrix (channels out, entries) that adds entries up."""
    xp = namespace(core)
    sums = np.zeros((count, len(local.values)), local.values.dtype)
    sums[local.channels[:, out], np.arange(len(local.values))] = local.values
    chosen = [xp.asarray(np.ascontiguousarray(local.channels[:, k]), device=arrays.device(core)) for k in columns]
    return chosen, placed(sums, core)


def gathered(selected: tuple[list[Any], Any], modes: Sequence[Channels], axes: Sequence[int], core: Any) -> Any:
    """`summed` for small cores: the products of all entries at once (entries, core), then added up by channel."""
    xp, shape = namespace(core), [*core.shape]
    chosen, sums = selected
    X = core
    for entries, mode, axis in zip(chosen, modes, axes, strict=True):
        matrices = xp.take(mode.stack, entries, axis=0)
        before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        if before == 1:
            X = matrices @ xp.reshape(X, (-1, shape[axis], after))
        else:
            X = matrices[:, None, :, :] @ xp.reshape(X, (-1, before, shape[axis], after))
        shape[axis] = mode.lengths[0]
    return xp.reshape(sums @ xp.reshape(X, (sums.shape[1], -1)), (sums.shape[0], *shape))
