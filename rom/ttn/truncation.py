"""Truncation of states, from the root to the leaves: with the child cores weighted, or as published for BUG integrators."""

from __future__ import annotations

from .singular_values import cut, kept_rank, leading
from .state import TTN
from .tasks import Workers
from .tensors import norm

__all__ = ["kept_rank", "leading", "truncated"]


def truncated(
    state: TTN,
    tol: float,
    *,
    min_rank: int = 1,
    max_rank: int | None = None,
    relative: bool = False,
    weighted: bool = True,
    orthonormal: bool = False,
    workers: Workers | None = None,
    spare: int = 0,
) -> tuple[TTN, tuple[float, ...]]:
    """(state, discarded): ranks lowered edge by edge from the root, as long as the 2-norm tail of an edge is at most tol.

    `weighted`: the core of a child is weighted by the singular values of its edge, so that a tail is a part of the tensor's norm:
    Grasedyck, SIAM J. Matrix Anal. Appl. 31 (2010) 2029, section 3. Without, the orthonormal core itself is decomposed, and a
    direction goes only if none of the others uses it much: the rule of the published BUG integrators (Ceruti, Lubich and Sulz,
    SIAM J. Numer. Anal. 61 (2023) 194, algorithm 7). `relative`: tol is of the norm of what is decomposed, with `weighted` that
    of the state. `orthonormal`: the state is so already, which saves a sweep. `workers`: visits several nodes at a time.
    `spare`: directions kept beyond those, an edge. `discarded`: the tail of every edge, in order. The result is orthonormal.

    >>> from petrov.rom.ttn.tree import Tree
    >>> Y = TTN.random(Tree.chain([4, 4, 4]), 3)
    >>> truncated(Y + 1e-9 * TTN.random(Y.tree, 1, seed=7), 1e-6)[0].ranks
    (3, 3)
    """
    if min_rank < 1 or (max_rank is not None and max_rank < min_rank) or not tol >= 0:
        raise ValueError(f"tol must be >= 0 and 1 <= min_rank <= max_rank; got {tol}, {min_rank}, {max_rank}")
    if not orthonormal:
        state = state.orthonormal()
    limit = tol * norm(state.cores[-1]) if relative else tol
    cores, discarded = cut(state.tree, state.cores, limit, min_rank, max_rank, weighted, workers, spare=spare, relative=relative)
    return TTN(state.tree, cores), discarded
