"""Ranks lowered by singular values: of a matrix, and of every edge of a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...solvers import arrays
from .algebra import orthonormal
from .tensors import adjoint, along, namespace, unfolding
from .tree import Tree


def leading(M: Any, tol: float, min_rank: int = 1, max_rank: int | None = None) -> tuple[Any, Any, float]:
    """(P, sigma, discarded): the left singular vectors of M (m, n) that leave a 2-norm tail of at most tol.

    At least min_rank (if there are so many), at most max_rank; `discarded` is the tail. M^H is reduced by QR first if M is wide.
    """
    xp = namespace(M)
    if M.shape[1] > M.shape[0]:
        M = adjoint(xp.linalg.qr(adjoint(M))[1])
    P, sigma, _ = xp.linalg.svd(M, full_matrices=False)
    rank, discarded = kept_rank(arrays.to_numpy(sigma), tol, min_rank, max_rank)
    return P[:, :rank], sigma[:rank], discarded


def kept_rank(sigma: np.ndarray, tol: float, min_rank: int = 1, max_rank: int | None = None) -> tuple[int, float]:
    """(rank, tail): the smallest rank whose 2-norm tail is at most tol, clamped to min_rank and max_rank."""
    tails = np.append(np.sqrt(np.cumsum(sigma[::-1].astype(np.float64) ** 2)[::-1]), 0.0)
    rank = int(np.argmax(tails <= tol))
    rank = min(max(rank, min_rank, 1), len(sigma) if max_rank is None else max_rank, len(sigma))
    return rank, float(tails[rank])


def cut(
    tree: Tree, cores: Sequence[Any], tol: float, min_rank: int, max_rank: int | None, weighted: bool
) -> tuple[tuple[Any, ...], tuple[float, ...]]:
    """(cores, discarded): orthonormal cores after a sweep from the root, with a 2-norm tail of at most tol an edge."""
    found = [*cores]
    weights = {tree.root: found[tree.root]}  # the cores to decompose
    discarded = [0.0] * len(tree.edges)
    for node in reversed(tree.nodes):
        own = weights.pop(node)
        for axis, child in enumerate(tree.children[node]):
            P, sigma, discarded[child] = leading(unfolding(own, axis).T, tol, min_rank, max_rank)
            found[node] = along(adjoint(P), found[node], axis)
            found[child] = along(P.T, found[child], found[child].ndim - 1)
            weights[child] = found[child] * sigma if weighted else found[child]
    return orthonormal(tree, found), tuple(discarded)
