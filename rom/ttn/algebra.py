"""Sums and inner products of states on the same tree."""

from __future__ import annotations

from typing import Any

from ...solvers import arrays
from .state import TTN, same_tree
from .tensors import adjoint, along, matrix, namespace


def overlaps(bra: TTN, ket: TTN) -> list[Any]:
    """For every node the matrix <bra basis, ket basis> (r', r) of its subtree; the last is (1, 1), the inner product."""
    found: list[Any] = []
    for node in ket.tree.nodes:
        X = ket.cores[node]
        for axis, child in enumerate(ket.tree.children[node]):
            X = along(found[child], X, axis)
        found.append(adjoint(matrix(bra.cores[node])) @ matrix(X))
    return found


def inner(bra: TTN, ket: TTN) -> Any:
    """<bra, ket>, conjugate in bra, as a Python number. ValueError if the trees differ."""
    same_tree(bra, ket)
    return arrays.scalar(overlaps(bra, ket)[-1][0, 0])


def added(a: TTN, b: TTN) -> TTN:
    """The sum a + b, of the sum of the ranks: block diagonal cores. Not orthonormal; `rounded` takes out what is not needed."""
    same_tree(a, b)
    cores = []
    for node in a.tree.nodes:
        children = len(a.tree.children[node])
        summed = [*range(children)] + ([] if node == a.tree.root else [a.cores[node].ndim - 1])
        cores.append(direct_sum(a.cores[node], b.cores[node], summed))
    return TTN(a.tree, tuple(cores))


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


def entry(state: TTN, index: tuple[int, ...]) -> Any:
    """One entry of the tensor, at the cost of small products."""
    vectors: list[Any] = []
    for node in state.tree.nodes:
        X, leaf = state.cores[node], state.tree.leg[node]
        if leaf >= 0:
            X = X[..., index[leaf], :]
        for child in state.tree.children[node]:
            X = namespace(X).tensordot(vectors[child], X, axes=((0,), (0,)))
        vectors.append(X)
    return arrays.scalar(vectors[-1][0])

