"""Ranks lowered by singular values: of a matrix, and of every edge of a tree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...solvers import arrays
from .full_bases import full_subtrees
from .tasks import Workers, serial
from .tensors import adjoint, along, compilable, matrix, namespace, norm, qr, unfolding
from .tree import Tree

ROUNDING = 30.0  # rounding units of the largest singular value: smaller ones are no directions to spare


def leading(M: Any, tol: float, min_rank: int = 1, max_rank: int | None = None, spare: int = 0) -> tuple[Any, Any, float]:
    """(P, sigma, discarded): the left singular vectors of M (m, n) that leave a 2-norm tail of at most tol, and `spare` more.

    At least min_rank (if there are so many), at most max_rank; `discarded` is the tail. M^H is reduced by QR first if M is wide.
    """
    P, sigma = svd(M)
    rank, discarded = kept_rank(arrays.to_numpy(sigma), tol, min_rank, max_rank, spare)
    return P[:, :rank], sigma[:rank], discarded


def svd(M: Any) -> tuple[Any, Any]:
    """(P, sigma): the left singular vectors and the singular values."""
    if compilable(M):
        from . import compiled_factors

        return compiled_factors.svd(np.ascontiguousarray(M))
    xp = namespace(M)
    if M.shape[1] > M.shape[0]:
        M = adjoint(xp.linalg.qr(adjoint(M))[1])
    P, sigma, _ = xp.linalg.svd(M, full_matrices=False)
    return P, sigma


def kept_rank(sigma: np.ndarray, tol: float, min_rank: int = 1, max_rank: int | None = None, spare: int = 0) -> tuple[int, float]:
    """(rank, tail): the smallest rank whose 2-norm tail is at most tol, plus `spare`, clamped to min_rank and max_rank.

    Singular values of the size of rounding are not spared.
    """
    peak = float(sigma[0]) or 1.0  # so that no square overflows or vanishes
    tails = peak * np.append(np.sqrt(np.cumsum((sigma[::-1].astype(np.float64) / peak) ** 2)[::-1]), 0.0)
    rank = int(np.argmax(tails <= tol))
    rank += min(spare, int(np.sum(sigma[rank:] > ROUNDING * np.finfo(sigma.dtype).eps * peak)))
    rank = min(max(rank, min_rank, 1), len(sigma) if max_rank is None else max_rank, len(sigma))
    return rank, float(tails[rank])


def cut(
    tree: Tree,
    cores: Sequence[Any],
    tol: float,
    min_rank: int,
    max_rank: int | None,
    weighted: bool,
    workers: Workers | None = None,
    *,
    spare: int = 0,
    relative: bool = False,
) -> tuple[tuple[Any, ...], tuple[float, ...]]:
    """(cores, discarded): orthonormal cores after a sweep from the root, with a 2-norm tail of at most tol an edge.

    `relative`: tol is for a core of the root's norm, and for others in proportion; weighted ones have the same anyway.

    Full subtrees whose edge is not cut stay as they are: with square cores, no singular value of an edge inside is smaller than
    the smallest one above, or than 1 without weights.
    """
    found, full, workers = [*cores], full_subtrees(tree, cores), workers or serial(tree)
    weights: list[Any] = [None] * tree.root + [cores[-1]]  # the cores to decompose; None where nothing is cut any more
    turns: list[Any] = [None] * len(cores)  # of the axis of the parent's core, where the basis of a node changes
    discarded, size = [0.0] * len(tree.edges), norm(cores[-1])

    def decompose(node: int) -> None:
        if node == tree.root or weights[tree.parent[node]] is None:
            return
        M = unfolding(weights[tree.parent[node]], tree.axis(node)).T
        limit = tol if weighted or not relative or size == 0 else tol * norm(M) / size
        P, sigma, discarded[node] = leading(M, limit, min_rank, max_rank, spare)
        if full[node] and sigma.shape[0] == found[node].shape[-1]:
            least = arrays.host(sigma[-1]) if weighted else 1.0
            if least > limit:
                return
        found[node], turns[node] = along(P.T, found[node], found[node].ndim - 1), adjoint(P)
        weights[node] = found[node] * sigma if weighted else found[node]

    def orthonormalise(node: int) -> None:
        for axis, child in enumerate(tree.children[node]):
            if turns[child] is not None:
                found[node] = along(turns[child], found[node], axis)
        if turns[node] is not None:
            Q, R = qr(matrix(found[node]))
            found[node], turns[node] = namespace(Q).reshape(Q, (*found[node].shape[:-1], -1)), R @ turns[node]

    workers.down(decompose)
    workers.up(orthonormalise)
    return tuple(found), tuple(discarded)
