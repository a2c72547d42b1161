"""The parallel basis update and Galerkin integrator: all local equations of a step at once, none larger than the state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from .augmentation import grown_core, padded
from .bug import DROPPED, adaptive_step
from .full_bases import growing_edges, is_full
from .gauges import gauges
from .invariants import holding
from .local_solvers import Stats, eps_of
from .method import (
    FLOOR,
    StepResult,
    checked_adaptive,
    checked_threads,
    checked_tolerance,
    prepared,
    solver_for,
    truncate,
)
from .right_hand_sides import RightHandSide, Stage, Views, as_rhs
from .start import in_parts
from .state import TTN
from .tasks import Workers, workers
from .tensors import namespace, norm

MOST_REJECTIONS = 10  # of one step; ranks double at each


@dataclass(frozen=True, slots=True)
class ParallelBUG:
    """Leaves, cores and the root solve their equations at the same time in the old bases; first-order terms join the results.

    Parameters
    ----------
    tolerance, theta : float
        The truncation leaves out at most theta at an edge. By default theta = tolerance * |h|^3: a theta that falls more slowly
        keeps the error on a plateau, as errors of truncation come back enlarged. A number for `theta` is taken as it is. Never
        below 1e-14 of the norm. If `relative`, both times the norm of the state.
    max_rank, min_rank, spare, truncation, local : as for `RankAdaptiveBUG`.
    reject : float or None
        c: a step is repeated from its start, in the bases that it found, if the dropped terms are estimated above c theta, or a
        rank doubled in full and still may grow; 10 in the published experiments. None: never.
    start : float
        Steps within this part of `span` are rank-adaptive BUG steps: most of the error is made in the first steps from states of
        low rank. 0 for none; without a span there are none.
    start_parts : as for `RankAdaptiveBUG`; not if `start` is 0.
    threads : int or None
        Threads for the local equations, and for the subtrees below the root in the sweeps before and after, with BLAS limited to
        one thread each; None: one after another. Results for any number are the same to the last bit. Small
        steps do not use them.

    keep : tuple of TTN
        As for `RankAdaptiveBUG`; the <w, Y> with <w, F> = 0 are kept.

    Notes
    -----
    Order 1; the error at fixed ranks does not depend on small singular values. Not exact for states of fixed rank, and the norm
    is kept to first order only. `StepResult.estimate` is h times the norm of F(t, Y) in products of two or more new directions,
    which the step drops: an estimate of its error.

    A step: gauges and views of the old bases; then for every leaf K' = F_l(K) and for every other node C' = F_t(C), in cores of
    the size of the state, which is all that is dear and runs in parallel; then from the leaves to the root new directions
    orth[old, K(t + h)] and, for the core of a node with grown children, the blocks C(t + h) for old directions, h F(t, Y)
    for one new direction, 0 for more; then the truncation.

    Ceruti, Kusch and Lubich, SIAM J. Sci. Comput. 46 (2024) B205; trees: Ceruti, Kusch, Lubich and Sulz, arXiv 2412.00858.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.rom.ttn import KronSum, TTN, Tree
    >>> tree = Tree.balanced([4] * 4)
    >>> D = np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)
    >>> A = KronSum(tree, [(1.0, {0: D, 1: D}), (1.0, {1: D, 2: D}), (1.0, {2: D, 3: D})])
    >>> Y = TTN.product(tree, [np.ones(4)] * 4)
    >>> ParallelBUG(tolerance=1.0).step(Y, A, 0.0, 0.01).state.ranks
    (2, 2, 2, 2, 2, 2)
    """

    tolerance: float = 1e-4
    max_rank: int | None = None
    min_rank: int = 1
    truncation: str = "weighted"
    local: Any = None
    theta: float | None = None
    reject: float | None = None
    start: float = 1 / 32
    threads: int | None = None
    keep: tuple[TTN, ...] = ()
    relative: bool = False
    spare: int = 1
    start_parts: int = 4

    order = 1

    def __post_init__(self) -> None:
        checked_adaptive(self)
        checked_tolerance(self.theta or 0.0)
        if self.reject is not None and not self.reject > 0:
            raise ValueError(f"reject must be positive, a multiple of theta, or None; got {self.reject}")
        if not 0 <= self.start <= 1:
            raise ValueError(f"start must be a part of the span, 0 to 1; got {self.start}")
        checked_threads(self.threads)

    def step(self, state: TTN, rhs: Any, t: float, h: float, *, span: tuple[float, float] | None = None) -> StepResult:
        rhs = as_rhs(rhs)
        with workers(state.tree, [core.shape for core in state.cores], self.threads) as team:

            def part(state: TTN, t: float, h: float) -> StepResult:
                return self.made(holding(prepared(state, rhs), self.keep), rhs, t, h, span, team)

            return in_parts(part, self.start_parts if self.start else 1, state, t, h, span)

    def made(
        self, state: TTN, rhs: RightHandSide, t: float, h: float, span: tuple[float, float] | None, team: Workers
    ) -> StepResult:
        """The step from an orthonormal state."""
        theta = self.tolerance * abs(h) ** (self.order + 2) if self.theta is None else self.theta
        size = norm(state.cores[-1])
        theta = max(theta * size if self.relative else theta, FLOOR * size)
        if span is not None and abs(t + h - span[0]) <= self.start * abs(span[1] - span[0]) * (1 + 1e-9):
            return adaptive_step(self, state, rhs, t, h, theta, span)
        return self.repeated(state, rhs, t, h, theta, team)

    def repeated(self, state: TTN, rhs: RightHandSide, t: float, h: float, theta: float, team: Workers) -> StepResult:
        """The step, in bases that grow until it is not rejected."""
        stats, rejections = Stats(), 0
        while True:
            wide, used, estimate = parallel_step(state, rhs.at(t, h), t, h, self.local, theta, team)
            stats = stats + used
            result, discarded = truncate(self, wide, theta, team)
            refused = self.reject is not None and rejections < MOST_REJECTIONS and wide.ranks != state.ranks
            if not refused or not (estimate > self.reject * theta or self.hit(state, result)):  # type: ignore[operator]
                return StepResult(result, discarded, rejections, stats, estimate)
            root = padded(state.cores[-1], wide.cores[-1].shape)
            state, rejections = wide.with_cores({state.tree.root: root}), rejections + 1

    def hit(self, before: TTN, after: TTN) -> bool:
        """Whether a rank doubled in full although twice as much is allowed, and possible."""
        possible = after.tree.feasible(2 * max(after.ranks, default=1))
        most = [possible[node] if self.max_rank is None else min(possible[node], self.max_rank) for node in after.tree.edges]
        return any(new == 2 * old < limit for old, new, limit in zip(before.ranks, after.ranks, most, strict=True))


def parallel_step(
    state: TTN, stage: Stage, t: float, h: float, local: Any, theta: float, team: Workers
) -> tuple[TTN, Stats, float]:
    """(state at t + h in bases [old, new], orthonormal; stats; estimate of what was dropped)."""
    tree = state.tree
    seen = gauges(state, growing_edges(tree, state.cores))
    views = Views.of(stage, seen, team)
    results, stats = local_results(views, t, h, local, theta, team)
    cores, mixed = [*state.cores], [*views.up, None]  # mixed[t]: between [old, new] and old bases
    dropped = [0.0] * len(cores)

    def augment(node: int) -> None:
        children = tree.children[node]
        below, weighted = [cores[child].shape[-1] for child in children], seen.weighted[node]
        if weighted is None:  # within a full subtree
            return
        grown = padded(results[node], (*below, *weighted.shape[len(children) :]))
        if grown.shape != weighted.shape:
            flow = stage.core(node, [mixed[child] for child in children], views.down[node], weighted)
            grown, dropped[node] = joined(grown, flow(t, weighted), h, weighted.shape[: len(children)])
        if node == tree.root:
            cores[node] = grown
        elif not is_full((*below, *cores[node].shape[len(children) :])):
            core = grown_core(cores[node], below, grown, DROPPED * theta, eps_of(grown))
            if core.shape[-1] > cores[node].shape[-1]:
                mixed[node] = stage.up(node, [mixed[child] for child in children], core, cores[node])
            cores[node] = core

    team.up(augment)
    return TTN(tree, tuple(cores)), stats, math.hypot(*dropped)


def local_results(views: Views, t: float, h: float, local: Any, theta: float, team: Workers) -> tuple[list[Any], Stats]:
    """The weighted cores at t + h, each by its own equation in the old bases; those that span all already stay as they are."""
    seen = views.gauges
    tree, results, size = seen.bases.tree, [*seen.weighted], norm(seen.weighted[-1])

    def solve(node: int) -> tuple[Any, Stats]:
        flow = views.flow(node)
        return solver_for(local, flow, theta, size).solve(flow, seen.weighted[node], t, h)

    moving = [node for node in tree.nodes if node == tree.root or not is_full(seen.bases.cores[node].shape)]
    stats = Stats()
    for node, (C, used) in zip(moving, team.independent(moving, solve), strict=True):
        results[node], stats = C, stats + used
    return results, stats


def joined(grown: Any, change: Any, h: float, old: Sequence[int]) -> tuple[Any, float]:
    """(core, size of what was dropped): h `change` written into the blocks of `grown` with one new direction.

    `old`: the ranks of the children before; the entries beyond are new.
    """
    core, dropped = namespace(grown).asarray(grown, copy=True), 0.0
    for new in product((False, True), repeat=len(old)):
        block = tuple(slice(r, None) if is_new else slice(0, r) for r, is_new in zip(old, new, strict=True))
        if sum(new) == 1:
            core[(*block, ...)] = h * change[(*block, ...)]
        elif sum(new) > 1:
            dropped += (abs(h) * norm(change[(*block, ...)])) ** 2
    return core, dropped**0.5
