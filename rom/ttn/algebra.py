"""Sums, inner products and entries of tensors on a tree, from their cores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...solvers import arrays
from .tensors import adjoint, along, matrix, namespace, qr
from .tree import Tree


def orthonormal(tree: Tree, cores: Sequence[Any]) -> tuple[Any, ...]:
    """The same tensor; the cores below the root, as matrices (all other axes, parent), with orthonormal columns."""
    found = [*cores]
    for node in tree.edges:
        core = found[node]
        xp, parent = namespace(core), tree.parent[node]
        Q, R = qr(matrix(core))
        found[node] = xp.reshape(Q, (*core.shape[:-1], -1))
        found[parent] = along(R, found[parent], tree.axis(node))
    return tuple(found)


def overlaps(tree: Tree, bra: Sequence[Any], ket: Sequence[Any]) -> list[Any]:
    """For every node the matrix <bra basis, ket basis> (r', r) of its subtree; the last is (1, 1), the inner product."""
    found: list[Any] = []
    for node in tree.nodes:
        X = ket[node]
        for axis, child in enumerate(tree.children[node]):
            X = along(found[child], X, axis)
        found.append(adjoint(matrix(bra[node])) @ matrix(X))
    return found


def added(tree: Tree, a: Sequence[Any], b: Sequence[Any]) -> tuple[Any, ...]:
    """The cores of the sum, of the sum of the ranks: block diagonal."""
    cores = []
    for node in tree.nodes:
        last = [] if node == tree.root else [a[node].ndim - 1]
        cores.append(direct_sum(a[node], b[node], [*range(len(tree.children[node])), *last]))
    return tuple(cores)


def direct_sum(x: Any, y: Any, axes: list[int]) -> Any:
    """x and y as blocks on the diagonal of the given axes; the others are shared. Without axes: the sum."""
    if not axes:
        return x + y
    xp = namespace(x)
    shape = tuple(x.shape[axis] + (y.shape[axis] if axis in axes else 0) for axis in range(x.ndim))
    total = xp.zeros(shape, dtype=xp.result_type(x, y), device=arrays.device(x))
    total[tuple(slice(0, x.shape[axis]) if axis in axes else slice(None) for axis in range(x.ndim))] = x
    total[tuple(slice(x.shape[axis], None) if axis in axes else slice(None) for axis in range(x.ndim))] = y
    return total


def entry(tree: Tree, cores: Sequence[Any], index: tuple[int, ...]) -> Any:
    """One entry of the tensor, a number."""
    if len(index) != tree.order:
        raise ValueError(f"an entry has {tree.order} indices, one a leaf; got {index}")
    vectors: list[Any] = []
    for node in tree.nodes:
        X, leaf = cores[node], tree.leg[node]
        if leaf >= 0:
            X = X[..., index[leaf], :]
        for child in tree.children[node]:
            X = namespace(X).tensordot(vectors[child], X, axes=((0,), (0,)))
        vectors.append(X)
    return arrays.scalar(vectors[-1][0])


def dense(tree: Tree, cores: Sequence[Any]) -> Any:
    """The whole tensor, an axis for each leaf longer than 1, in order: of many contracted leaves no library holds the axes."""
    xp = namespace(cores[0])
    bases: list[Any] = []  # (entries of the subtree, r), and the leaves in the order of those entries
    orders: list[list[int]] = []
    for node in tree.nodes:
        X, order = cores[node], []
        for axis, child in enumerate(tree.children[node]):
            X = along(bases[child], X, axis)
            order += orders[child]
        orders.append(order + ([tree.leg[node]] if tree.size(node) > 1 else []))
        bases.append(matrix(X))
    X = xp.reshape(bases[-1], tuple(tree.sizes[leaf] for leaf in orders[-1]))
    return xp.permute_dims(X, tuple(int(i) for i in np.argsort(orders[-1])))


def decomposed(tree: Tree, array: Any, leading: Any, allowed: float) -> tuple[Any, ...]:
    """Orthonormal cores of an array, each from `leading` (matrix, tolerance) -> (U, ...), from the leaves to the root."""
    xp = namespace(array)
    names = [-1 - leaf for leaf in range(tree.order)]  # of the axes: -1 - leaf, or the node whose parent it is
    cores: list[Any] = []
    for node in tree.nodes:
        own = [*tree.children[node]] + ([-1 - tree.leg[node]] if tree.leg[node] >= 0 else [])
        rest = [name for name in names if name not in own]
        array = xp.permute_dims(array, tuple(names.index(name) for name in own + rest))
        shape = tuple(array.shape)
        if node == tree.root:
            break
        unfolded = xp.reshape(array, (math.prod(shape[: len(own)]), -1))
        U = leading(unfolded, allowed)[0]
        cores.append(xp.reshape(U, (*shape[: len(own)], -1)))
        array, names = xp.reshape(adjoint(U) @ unfolded, (-1, *shape[len(own) :])), [node, *rest]
    return (*cores, xp.reshape(array, (*shape, 1)))
