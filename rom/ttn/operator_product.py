"""An operator times a state as a state, of the product of the ranks."""

from __future__ import annotations

import math
from typing import Any

from ...solvers import arrays
from .contraction import Actions, leg_mode
from .program import Program
from .state import TTN
from .tensors import namespace


def applied(A: Any, state: TTN) -> TTN:
    """A Y for a KronSum or TTNO: the rank of an edge is that of the state times the channels of A. Not orthonormal.

    >>> import numpy as np
    >>> from petrov.rom.ttn import KronSum, TTN, Tree
    >>> Y = TTN.product(Tree.balanced([2, 2]), [np.ones(2), np.ones(2)])
    >>> applied(KronSum(Y.tree, [(2.0, {1: np.array([1.0, 3.0])})]), Y).to_dense()
    array([[2., 6.],
           [2., 6.]])
    """
    program: Program = A.program
    cores = [product_core(program, node, core) for node, core in enumerate(state.cores)]
    cores[-1] = cores[-1] * program.factor
    return TTN(state.tree, tuple(cores))


def product_core(program: Program, node: int, core: Any) -> Any:
    """The core with axes (channel, own) for every child and for the parent, and its leg operators applied."""
    tree, local = program.tree, program.locals[node]
    counts = [program.locals[child].count for child in tree.children[node]] + [local.count]
    images = leg_images(program, node, core)
    xp, ranks = namespace(core), [*core.shape]
    own = [] if tree.leg[node] < 0 else [ranks[-2]]
    children = ranks[: len(tree.children[node])]
    dtype = xp.result_type(core, *images, *([xp.complex64] if local.values.dtype.kind == "c" else []))
    total = xp.zeros((*counts, *core.shape), dtype=dtype, device=arrays.device(core))
    for row, value in zip(local.channels.tolist(), local.values.tolist(), strict=True):
        channels, op = (row, 0) if not own else ([*row[:-2], row[-1]], row[-2])
        total[tuple(channels)] += value * images[op]
    n = len(children)
    order = [axis for k in range(n) for axis in (k, n + 1 + k)] + [2 * n + 1] * len(own) + [n, total.ndim - 1]
    total = xp.permute_dims(total, tuple(order))
    pairs = [count * rank for count, rank in zip(counts, children, strict=False)]
    return xp.reshape(total, (*pairs, *own, counts[-1] * ranks[-1]))


def leg_images(program: Program, node: int, core: Any) -> list[Any]:
    """The core times every operator of its leg; itself where there is none."""
    if program.tree.leg[node] < 0:
        return [core]
    xp, n = namespace(core), core.shape[-2]
    X = xp.reshape(core, (math.prod(core.shape[:-2]), n, core.shape[-1]))
    mode = leg_mode(program.locals[node].ops, n, core)
    if isinstance(mode, Actions):
        return [xp.reshape(f(X), core.shape) for f in mode.functions]
    return [xp.reshape(mode.stack[k, ...] @ X, core.shape) for k in range(mode.count)]
