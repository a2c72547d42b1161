"""Linear invariants <w, Y>: bases that hold given states w, and truncation that leaves them in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..homes import together
from .algebra import overlaps
from .augmentation import grown_core, padded
from .local_solvers import eps_of
from .overlaps import overlap_core
from .state import TTN
from .tensors import adjoint, along, matrix, namespace, norm, unfolding
from .truncation import leading


def checked_keep(keep: Sequence[TTN]) -> None:
    if not all(isinstance(w, TTN) for w in keep):
        raise TypeError(f"keep must be a tuple of TTNs, the w of the invariants <w, Y>; got {keep!r}")


def holding(state: TTN, keep: Sequence[TTN]) -> TTN:
    """The same tensor in bases that also span those of the states in `keep`: their ranks are added where they are missing."""
    if not keep:
        return state
    tree, cores = state.tree, [*state.cores]
    kept = [like(w, state).orthonormal() for w in keep]
    found: list[list[Any]] = [[] for _ in keep]  # <new basis, basis of w>, a node each
    for node in tree.nodes:
        children = tree.children[node]
        below = [cores[child].shape[-1] for child in children]
        wanted = [overlap_core([M[child] for child in children], None, w.cores[node]) for M, w in zip(found, kept, strict=True)]
        if node == tree.root:
            cores[node] = padded(cores[node], (*below, *cores[node].shape[len(children) :]))
            break
        candidates = namespace(wanted[0]).concat(wanted, axis=wanted[0].ndim - 1)
        cores[node] = grown_core(cores[node], below, candidates, 0.0, eps_of(candidates))
        for M, core in zip(found, wanted, strict=True):
            M.append(adjoint(matrix(cores[node])) @ matrix(core))
    return TTN(tree, tuple(cores))


def truncated_holding(
    state: TTN,
    keep: Sequence[TTN],
    tol: float,
    min_rank: int,
    max_rank: int | None,
    weighted: bool,
    *,
    spare: int = 0,
    relative: bool = False,
) -> tuple[TTN, tuple[float, ...]]:
    """`truncation.truncated` of an orthonormal state whose bases hold those of `keep`: they are left in, and so is every <w, Y>.

    max_rank limits what is kept besides, and no rank falls below that of the invariants.
    """
    tree, cores, discarded = state.tree, [*state.cores], [0.0] * len(state.tree.edges)
    wanted = [overlaps(tree, state.cores, like(w, state).orthonormal().cores) for w in keep]
    weights, size = {tree.root: cores[tree.root]}, norm(cores[-1])
    for node in reversed(tree.nodes):
        own = weights.pop(node)
        for axis, child in enumerate(tree.children[node]):
            xp, M = namespace(own), unfolding(own, axis).T
            Q = leading(xp.concat([found[child] for found in wanted], axis=1), 100 * eps_of(M))[0]
            rest = M - Q @ (adjoint(Q) @ M)
            limit = tol if weighted or not relative or size == 0 else tol * norm(M) / size
            most = None if max_rank is None else max(max_rank - Q.shape[1], 1)
            P, _, discarded[child] = leading(rest, limit, max(min_rank - Q.shape[1], 1), most, spare)
            P = xp.linalg.qr(xp.concat([Q, P - Q @ (adjoint(Q) @ P)], axis=1))[0]
            cores[node] = along(adjoint(P), cores[node], axis)
            cores[child] = along(P.T, cores[child], cores[child].ndim - 1)
            L = adjoint(xp.linalg.qr(adjoint(adjoint(P) @ M))[1])  # P^H M = L (orthonormal rows)
            weights[child] = along(L.T, cores[child], cores[child].ndim - 1) if weighted else cores[child]
    return TTN(tree, tuple(cores)).orthonormal(), tuple(discarded)


def like(w: TTN, state: TTN) -> TTN:
    """w in the type of the state. ValueError for another tree, for w = 0, and for a complex w of a real state."""
    if w.tree != state.tree:
        raise ValueError(f"a state to keep must have the tree of the state; it has\n{w.to_text()}\nand not\n{state.to_text()}")
    together(state=state.cores[-1], keep=w.cores[-1])
    if w.dtype.startswith("complex") and not state.dtype.startswith("complex"):
        raise ValueError("a complex state to keep would make the real state complex: keep its real and its imaginary part")
    size = norm(w.orthonormal().cores[-1])
    if not size > 0:
        raise ValueError("a state to keep must not be zero")
    return w.scaled(1 / size).cast(state.dtype)
