"""Operators as dense matrices: the plain sum over all entries, with nothing skipped. For small trees."""

from __future__ import annotations

import math

import numpy as np

from . import legs
from .program import Program

MOST_ROWS = 2**13


def dense_program(program: Program) -> np.ndarray:
    """The matrix (N, N) on arrays flattened in the order of the leaves. ValueError above N = 8192."""
    tree = program.tree
    if math.prod(tree.sizes) > MOST_ROWS:
        raise ValueError(f"a dense operator on arrays of the shape {tree.sizes} is too large: take a smaller tree")
    found: list[list[np.ndarray]] = []  # of every node: the matrix of each channel
    orders: list[list[int]] = []
    for node, local in enumerate(program.locals):
        own = tree.leg[node]
        ops = [legs.dense(op, tree.size(node)) for op in local.ops]
        order = [leaf for child in tree.children[node] for leaf in orders[child]] + ([own] if own >= 0 else [])
        size = math.prod(tree.sizes[leaf] for leaf in order)
        total = [np.zeros((size, size), np.result_type(local.values, *ops, *(m for c in tree.children[node] for m in found[c])))]
        total = [total[0].copy() for _ in range(local.count)]
        for row, value in zip(local.channels, local.values, strict=True):
            part = np.ones((1, 1)) * value
            for axis, child in enumerate(tree.children[node]):
                part = np.kron(part, found[child][row[axis]])
            if own >= 0:
                part = np.kron(part, ops[row[-2]])
            total[row[-1]] = total[row[-1]] + part
        found.append(total)
        orders.append(order)
    sizes = tuple(tree.sizes[leaf] for leaf in orders[-1])
    axes = np.argsort(orders[-1])
    tensor = (program.factor * found[-1][0]).reshape(sizes * 2)
    return tensor.transpose([*axes, *(axes + len(axes))]).reshape(found[-1][0].shape)
