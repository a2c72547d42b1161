"""Projector splitting on trees, known as the time-dependent variational principle: one node, or a pair of nodes, at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .augmentation import extended, new_columns, padded
from .local_solvers import Flow, Stats, eps_of
from .method import StepResult, checked_ranks, prepared, solver_for
from .moving_centre import MovingCentre
from .right_hand_sides import as_rhs
from .state import TTN
from .tensors import matrix, norm, placed
from .tree import NO_LEG, Tree

JOINED = 16  # default least rank of two sites where nodes without legs join subtrees
SEED = 4481
PART = 0.1  # of the tolerance of a split: error of the local solves before it


@dataclass(frozen=True, slots=True)
class ProjectorSplitting:
    """Projector splitting with one site (fixed ranks) or two (adaptive ranks), of order 1 (Lie) or 2 (Strang).

    The centre of the state walks over the tree. One site: each node forwards in time, each edge backwards. Two sites: each
    pair of neighbours forwards and split by a singular value decomposition, the node between two pairs backwards. Order 2: a
    walk by h / 2, then the same backwards. No basis is inverted, so small singular values do no harm. What the flow conserves,
    norm and energy of Y' = -i H Y, one site conserves up to the local solves, two sites up to `tolerance`. The steps backwards
    amplify what a dissipative flow damps: take a BUG method for such equations.

    Parameters
    ----------
    order : 1 or 2
    sites : 1 or 2
    tolerance : float
        Of a split, relative to the norm of the state: the 2-norm of what it cuts off. Two sites only; but local solves are as
        accurate as a hundredth of it in both, unless `local` is given.
    max_rank, min_rank : int or None
        Limits of a split. A pair sees only what F does at one edge: where nodes without a leg join subtrees, directions that
        need several edges are found among those of weight zero, which min_rank keeps. None: 16 on such trees, 1 on others;
        less is cheaper, and may miss what F does between distant legs.
    local : Krylov, RK4, AdaptiveRK, Implicit or None
        None: Krylov for linear right-hand sides, AdaptiveRK for others.

    Notes
    -----
    Lubich, Oseledets and Vandereycken, SIAM J. Numer. Anal. 53 (2015) 917 (trains); Ceruti, Lubich and Walach, SIAM J. Numer.
    Anal. 59 (2021) 289 (trees); Haegeman et al., Phys. Rev. B 94 (2016) 165116 (two sites, adjoint walk); Bauernfeind and
    Aichhorn, SciPost Phys. 8 (2020) 024 (two sites on trees). A pair of binary nodes has r^4 numbers where a node has r^3.

    >>> import numpy as np
    >>> from petrov.rom.ttn import KronSum, TTN, Tree
    >>> Y = TTN.product(Tree.chain([2, 2, 2]), [np.array([1.0, 0.0])] * 3)
    >>> sx, sz = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, -1.0])
    >>> H = KronSum(Y.tree, [(1.0, {0: sx}), (1.0, {0: sz, 1: sz}), (1.0, {1: sz, 2: sz}), (1.0, {1: sx})])
    >>> result = ProjectorSplitting(sites=2).step(Y, -1j * H, 0.0, 0.1)
    >>> result.state.ranks, round(result.state.norm(), 9)
    ((2, 1), 1.0)
    """

    order: int = 2
    sites: int = 2
    tolerance: float = 1e-8
    max_rank: int | None = None
    min_rank: int | None = None
    local: Any = None

    def __post_init__(self) -> None:
        if self.order not in (1, 2) or self.sites not in (1, 2):
            raise ValueError(f"order and sites must be 1 or 2; got {self.order} and {self.sites}")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance must be at least 0 and less than 1, as a part of the norm; got {self.tolerance}")
        if self.min_rank is not None:
            checked_ranks(self.min_rank, self.max_rank)
        elif self.max_rank is not None:
            checked_ranks(1, self.max_rank)

    def step(self, state: TTN, rhs: Any, t: float, h: float, *, span: tuple[float, float] | None = None) -> StepResult:
        """From t to t + h. Adds, for two sites, directions of weight zero up to min_rank."""
        rhs = as_rhs(rhs)
        state = prepared(state, rhs)
        pairs = self.sites == 2 and len(state.tree.edges) > 0
        if pairs:
            state = filled(state, self.least(state.tree))
        sweep = Sweep(MovingCentre(rhs.at(t, h), state), self, t, norm(state.cores[-1]), [0.0] * len(state.tree.edges))
        up, down = (pairs_up, pairs_down) if pairs else (nodes_up, nodes_down)
        if self.order == 1:
            up(sweep, h, h, True)
        else:
            up(sweep, h / 2, h, False)
            sweep.t = t + h / 2
            down(sweep, h / 2)
        discarded = tuple(map(math.sqrt, sweep.discarded)) if pairs else ()
        return StepResult(sweep.centre.state(), discarded, stats=sweep.stats)

    def least(self, tree: Tree) -> int:
        """min_rank, or what stands for it on that tree."""
        if self.min_rank is not None:
            return self.min_rank
        wanted = JOINED if NO_LEG in tree.leg else 1
        return wanted if self.max_rank is None else min(wanted, self.max_rank)


def filled(state: TTN, least: int) -> TTN:
    """The orthonormal state with ranks of at least `least` where they fit: further random directions of weight zero."""
    tree, rng = state.tree, np.random.default_rng(SEED)
    wanted = [max(rank, fits) for rank, fits in zip(state.ranks, tree.feasible(least)[:-1], strict=True)]
    if wanted == [*state.ranks]:
        return state
    cores = [*state.cores]
    for node in tree.nodes:
        below = [wanted[child] for child in tree.children[node]]
        core = padded(cores[node], (*below, *cores[node].shape[len(below) :]))
        if node < tree.root:
            old = matrix(core)
            random = placed(rng.standard_normal((old.shape[0], wanted[node] - old.shape[1])), core)
            core = extended(core, new_columns(old, random, 0.0, eps_of(core)))
        cores[node] = core
    return TTN(tree, tuple(cores))


@dataclass(slots=True)
class Sweep:
    """A walk of the centre over the tree that advances what it meets, from t on; backwards from t + h to t."""

    centre: MovingCentre
    method: ProjectorSplitting
    t: float
    size: float
    discarded: list[float]  # squares, an edge each
    stats: Stats = field(default_factory=Stats)

    def advanced(self, flow: Flow, Y: Any, h: float, *, back: bool = False) -> Any:
        local = solver_for(self.method.local, flow, PART * self.method.tolerance * self.size, self.size)
        Y, stats = local.solve(flow, Y, self.t + h, -h) if back else local.solve(flow, Y, self.t, h)
        self.stats += stats
        return Y

    def node(self, h: float, *, back: bool = False) -> None:
        self.centre.cores[self.centre.at] = self.advanced(self.centre.flow(), self.centre.core, h, back=back)

    def edge_back(self, node: int, S: Any, h: float) -> Any:
        return self.advanced(self.centre.edge_flow(node), S, h, back=True)

    def pair(self, child: int, h: float, *, to_parent: bool) -> None:
        C, method = self.centre.pair(child), self.method
        C = self.advanced(self.centre.pair_flow(child, C), C, h)
        limit, least = method.tolerance * self.size, method.least(self.centre.tree)
        tail = self.centre.split(child, C, to_parent=to_parent, tol=limit, min_rank=least, max_rank=method.max_rank)
        self.discarded[child] += tail**2


def nodes_up(sweep: Sweep, h: float, last: float, to_root: bool) -> None:
    """Every node forwards and every edge backwards by h, in post-order; the root by `last`. The centre ends at the root."""
    centre = sweep.centre
    centre.walk_down(0)
    for node in centre.tree.edges:
        sweep.node(h)
        centre.leave(sweep.edge_back(node, centre.lift(), h))
        centre.walk_down(node + 1)
    sweep.node(last)


def nodes_down(sweep: Sweep, h: float) -> None:
    """The adjoint of `nodes_up` without the root: every edge backwards, every node forwards by h, in the reversed order."""
    centre = sweep.centre
    for node in reversed(centre.tree.edges):
        centre.walk_up(centre.tree.parent[node])
        centre.enter(node, sweep.edge_back(node, centre.descend(node), h))
        sweep.node(h)
    centre.walk_up(centre.tree.root)


def pairs_up(sweep: Sweep, h: float, last: float, to_root: bool) -> None:
    """Every pair forwards and every node between two pairs backwards by h, in post-order; the last pair by `last`."""
    centre = sweep.centre
    *edges, top = centre.tree.edges
    centre.walk_down(0)
    for node in edges:
        sweep.pair(node, h, to_parent=True)
        sweep.node(h, back=True)
        centre.walk_down(node + 1)
    sweep.pair(top, last, to_parent=to_root)


def pairs_down(sweep: Sweep, h: float) -> None:
    """The adjoint of `pairs_up` without the last pair, from its lower node to the root."""
    centre = sweep.centre
    for node in reversed(centre.tree.edges[:-1]):
        centre.walk_up(centre.tree.parent[node])
        sweep.node(h, back=True)
        sweep.pair(node, h, to_parent=False)
    centre.walk_up(centre.tree.root)
