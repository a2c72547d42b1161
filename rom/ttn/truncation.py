"""Truncation of ranks, from the root to the leaves: with the child cores weighted, or as published for BUG integrators."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...solvers import arrays
from .state import TTN
from .tensors import adjoint, along, namespace, norm, unfolding


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


def truncated(
    state: TTN,
    tol: float,
    *,
    min_rank: int = 1,
    max_rank: int | None = None,
    relative: bool = False,
    weighted: bool = True,
    orthonormal: bool = False,
) -> tuple[TTN, tuple[float, ...]]:
    """(state, discarded): ranks lowered edge by edge from the root, as long as the 2-norm tail of an edge is at most tol.

    `weighted`: the core of a child is weighted by the singular values of its edge, so that a tail is a part of the tensor's norm:
    Grasedyck, SIAM J. Matrix Anal. Appl. 31 (2010) 2029, section 3. Without, the orthonormal core itself is decomposed, and a
    direction goes only if it is hardly used: the rule of the published BUG integrators (Ceruti, Lubich and Sulz, SIAM J. Numer.
    Anal. 61 (2023) 194, algorithm 7). `relative`: tol is of the norm of the state. `orthonormal`: the state is so already, which
    saves a sweep. `discarded`: the tail of every edge, in order. The result is orthonormal.

    >>> from petrov.rom.ttn.tree import Tree
    >>> Y = TTN.random(Tree.chain([4, 4, 4]), 3)
    >>> truncated(Y + 1e-9 * TTN.random(Y.tree, 1, seed=7), 1e-6)[0].ranks
    (3, 3)
    """
    if min_rank < 1 or (max_rank is not None and max_rank < min_rank) or not tol >= 0:
        raise ValueError(f"tol must be >= 0 and 1 <= min_rank <= max_rank; got {tol}, {min_rank}, {max_rank}")
    if not orthonormal:
        state = state.orthonormal()
    tree, cores = state.tree, [*state.cores]
    weights = {tree.root: cores[tree.root]}  # the cores to decompose
    limit = tol * norm(cores[-1]) if relative else tol
    discarded = [0.0] * len(tree.edges)
    for node in reversed(tree.nodes):
        own = weights.pop(node)
        for axis, child in enumerate(tree.children[node]):
            P, sigma, discarded[child] = leading(unfolding(own, axis).T, limit, min_rank, max_rank)
            cores[node] = along(adjoint(P), cores[node], axis)
            cores[child] = along(P.T, cores[child], cores[child].ndim - 1)
            weights[child] = cores[child] * sigma if weighted else cores[child]
    return TTN(tree, tuple(cores)).orthonormal(), tuple(discarded)

