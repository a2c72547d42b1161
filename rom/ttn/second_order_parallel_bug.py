"""Parallel BUG of order two: bases that hold F(t, Y) before, and what all local equations add to them after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .augmentation import extended, grown_core, new_columns, padded
from .bug import DROPPED, threshold
from .full_bases import growing_edges, is_full
from .gauges import Gauges, gauges
from .images import Images
from .invariants import holding
from .local_solvers import Stats, eps_of
from .method import StepResult, checked_adaptive, checked_threads, prepared, solver_for, truncate
from .right_hand_sides import RightHandSide, Stage, View, Views, as_rhs
from .start import in_parts
from .state import TTN
from .tasks import Workers, workers
from .tensors import adjoint, along, matrix, namespace, norm, unfolding


@dataclass(frozen=True, slots=True)
class SecondOrderParallelBUG:
    """Order 2, all local equations of a step at once as in `ParallelBUG`: bases hold F(t, Y) before equations are solved in them.

    Parameters
    ----------
    tolerance, relative, max_rank, min_rank, truncation, local, keep, spare, start_parts : as for `RankAdaptiveBUG`.
    threads : as for `ParallelBUG`.

    Notes
    -----
    Errors of order h^3 a step, independent of small singular values; the norm is kept up to h^4 a step and theta. No start-up
    by another method, no rejection and no falling theta are needed, which is why this is not `ParallelBUG` with another order.

    A step: for every edge the bases of both sides are enriched by the range of h F(t, Y), the subtree's to U = [old, new] from
    the leaves to the root, the rest's to W = [old, new] from the root to the leaves. Then every core, between U of its children
    and W of its parent, solves its equation; these are independent, in cores of up to twice the ranks. Then from the leaves to
    the root the directions outside of U that they have found are added, with the amplitudes that they have: of a child's new
    columns V with the result C, V^H C times W of the parent's core. F(t, Y) itself has no part in them, and products of two such
    directions, O(h^4), are left out. Up to four times the ranks before the truncation.

    Matrices: Kusch, arXiv 2403.02834. Trees: the same at every edge, derived here.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.rom.ttn import KronSum, TTN, Tree
    >>> tree = Tree.balanced([4] * 4)
    >>> D = np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)
    >>> A = KronSum(tree, [(1.0, {0: D, 1: D}), (1.0, {1: D, 2: D}), (1.0, {2: D, 3: D})])
    >>> Y = TTN.product(tree, [np.ones(4)] * 4)
    >>> SecondOrderParallelBUG(tolerance=1e-4).step(Y, A, 0.0, 0.01).state.ranks
    (2, 2, 3, 2, 2, 3)
    """

    tolerance: float = 1e-8
    max_rank: int | None = None
    min_rank: int = 1
    truncation: str = "weighted"
    local: Any = None
    relative: bool = False
    threads: int | None = None
    keep: tuple[TTN, ...] = ()
    spare: int = 1
    start_parts: int = 4

    order = 2

    def __post_init__(self) -> None:
        checked_adaptive(self)
        checked_threads(self.threads)

    def step(self, state: TTN, rhs: Any, t: float, h: float, *, span: tuple[float, float] | None = None) -> StepResult:
        rhs = as_rhs(rhs)
        return in_parts(lambda state, t, h: self.part(state, rhs, t, h), self.start_parts, state, t, h, span)

    def part(self, state: TTN, rhs: RightHandSide, t: float, h: float) -> StepResult:
        """One step."""
        with workers(state.tree, [core.shape for core in state.cores], self.threads) as team:
            state = holding(prepared(state, rhs), self.keep)
            theta, seen = threshold(self, state), gauges(state, growing_edges(state.tree, state.cores))
            bases = Enriched.of(rhs.at(t, h), seen, t, h, DROPPED * theta, team)
            results, stats = bases.solved(t, h, self.local, theta, team)
            wide = joined(bases, results, DROPPED * theta, team)
            state, discarded = truncate(self, wide, theta, team)
        return StepResult(state, discarded, stats=stats)


@dataclass(frozen=True, slots=True, eq=False)
class Enriched:
    """A state between bases [old, new] on both sides of every edge, that hold the range of h F(t, Y).

    `cores[t]`: those of the subtrees; the state itself with the last one. `towards[t]`: the core of t's parent as the basis of
    the rest (as in `Gauges`), `starts[t]`: the core of t between all of them. `up`, `down`: what F does between them.
    """

    stage: Stage
    state: TTN
    towards: list[Any]
    starts: list[Any]
    up: list[View]
    down: list[View]

    @classmethod
    def of(cls, stage: Stage, seen: Gauges, t: float, h: float, drop: float, team: Workers) -> Enriched:
        tree, old = seen.bases.tree, Views.of(stage, seen, team).up
        images = Images.of(stage, seen, t + h / 2, h, team)
        cores, towards = [*seen.bases.cores], [*seen.towards]
        up: list[View] = [None] * len(cores)
        down: list[View] = [None] * len(cores)
        mixed: list[View] = [None] * len(cores)  # <[old, new], F, old> of the rest of the tree

        def enrich_up(node: int) -> None:
            below = [cores[child].shape[-1] for child in tree.children[node]]
            core = padded(cores[node], (*below, *cores[node].shape[len(below) :]))
            if node < tree.root:
                if not is_full(core.shape):
                    core = grown_core(core, below, images.at(node), drop, eps_of(core))
                images.grow(node, core)
                up[node] = stage.up(node, [up[child] for child in tree.children[node]], core, core)
            cores[node] = core

        def enrich_down(node: int) -> None:
            if seen.towards[node] is None:  # the root, or within a full subtree
                return
            parent, axis = tree.parent[node], tree.axis(node)
            weighted, ket = seen.weighted[parent], seen.towards[node]
            below = [old[child] if child == node else images.mixed[child] for child in tree.children[parent]]
            change = h * stage.core(parent, below, mixed[parent], weighted)(t + h / 2, weighted)
            shape = [*change.shape]
            shape[axis] = ket.shape[axis]
            wide = padded(ket, shape)
            columns = new_columns(unfolding(wide, axis), unfolding(change, axis), drop, eps_of(wide))
            towards[node] = placed_along(wide, columns, axis)
            siblings = [*tree.children[parent]]
            mixed[node] = stage.down(node, [images.mixed[child] for child in siblings], mixed[parent], towards[node], ket)
            down[node] = stage.down(node, [up[child] for child in siblings], down[parent], towards[node], towards[node])

        team.up(enrich_up)
        team.down(enrich_down)
        state = TTN(tree, tuple(cores))
        starts = [*seen.weighted]
        for node in tree.nodes:
            if starts[node] is not None:
                last = 1 if node == tree.root else towards[node].shape[tree.axis(node)]
                starts[node] = padded(starts[node], (*cores[node].shape[:-1], last))
        return cls(stage, state, towards, starts, up, down)

    def solved(self, t: float, h: float, local: Any, theta: float, team: Workers) -> tuple[list[Any], Stats]:
        """All cores at t + h, each by its own equation; those that span all already stay as they are."""
        tree, results, size = self.state.tree, [*self.starts], norm(self.starts[-1])

        def solve(node: int) -> tuple[Any, Stats]:
            flow = self.stage.core(node, [self.up[child] for child in tree.children[node]], self.down[node], results[node])
            return solver_for(local, flow, theta, size).solve(flow, self.starts[node], t, h)

        moving = [node for node in tree.nodes if node == tree.root or not is_full(self.state.cores[node].shape)]
        stats = Stats()
        for node, (C, used) in zip(moving, team.independent(moving, solve), strict=True):
            results[node], stats = C, stats + used
        return results, stats


def joined(bases: Enriched, results: list[Any], drop: float, team: Workers) -> TTN:
    """The state at t + h in the enriched bases and what the results hold outside of them; orthonormal."""
    tree, cores = bases.state.tree, [*bases.state.cores]
    amplitudes: list[Any] = [None] * len(cores)  # (new directions of the subtree, W)

    def join(node: int) -> None:
        if results[node] is None:  # within a full subtree
            return
        children, old = tree.children[node], cores[node].shape
        grown = padded(results[node], (*(cores[child].shape[-1] for child in children), *results[node].shape[len(children) :]))
        for axis, child in enumerate(children):
            if amplitudes[child] is not None:
                block = tuple(slice(r, None) if k == axis else slice(0, r) for k, r in enumerate(old[: len(children)]))
                grown[(*block, ...)] = along(amplitudes[child], bases.towards[child], axis)
        if node == tree.root:
            cores[node] = grown
            return
        core = padded(cores[node], (*grown.shape[:-1], old[-1]))
        if not is_full(core.shape):
            columns = new_columns(matrix(core), matrix(grown), drop, eps_of(core))
            core = extended(core, columns)
            if columns.shape[1]:
                amplitudes[node] = adjoint(columns) @ matrix(grown)
        cores[node] = core

    team.up(join)
    return TTN(tree, tuple(cores))


def placed_along(core: Any, columns: Any, axis: int) -> Any:
    """The core with further columns (all other axes, k) at an axis."""
    if columns.shape[1] == 0:
        return core
    xp, others = namespace(core), (*core.shape[:axis], *core.shape[axis + 1 :])
    return xp.concat([core, xp.moveaxis(xp.reshape(columns, (*others, -1)), -1, axis)], axis=axis)
