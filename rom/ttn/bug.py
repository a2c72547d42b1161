"""Basis update and Galerkin integrators: of fixed rank, and of ranks that follow a tolerance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .augmentation import grown_core, padded
from .full_bases import growing_edges, is_full
from .gauges import gauges
from .images import Images
from .invariants import holding
from .local_solvers import Stats, eps_of
from .method import (
    FLOOR,
    StepResult,
    checked_adaptive,
    checked_tolerance,
    prepared,
    solver_for,
    truncate,
)
from .right_hand_sides import RightHandSide, Views, as_rhs
from .start import in_parts
from .state import TTN
from .tensors import adjoint, along, matrix, namespace, norm, qr

START = 1 / 32  # of the span, where bases have yet to find all that F does
DROPPED = 1e-3  # of the tolerance of the truncation: new directions shorter than that are not added


@dataclass(frozen=True, slots=True)
class BUG:
    """Fixed ranks: bases are updated by K-steps at the leaves and Galerkin steps of the cores above, then taken as they are.

    Parameters
    ----------
    local : solver of local equations
        `Krylov`, `RK4`, `AdaptiveRK`, `Implicit`; None: Krylov for linear right-hand sides, AdaptiveRK for others.
    tolerance : float
        Ten times that of the local solves, relative to the norm of the state.

    Notes
    -----
    Order 1 (proved), no step back in time; error constants do not depend on small singular values. The state is projected on the
    new bases, so that the norm is not kept. Ranks stay as they are: `TTN.product(..., rank=r)` and `TTN.random` give room.
    A leaf whose basis is square skips its K-step. A step costs one flow a node in cores of the size of the state.

    Ceruti, Lubich and Walach, SIAM J. Numer. Anal. 59 (2021) 289; Ceruti and Lubich, BIT 62 (2022) 23; trees: Ceruti, Lubich and
    Sulz, SIAM J. Numer. Anal. 61 (2023) 194, without the augmentation.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.rom.ttn import KronSum, TTN, Tree
    >>> tree = Tree.balanced([4] * 4)
    >>> A = KronSum(tree, [(1.0, {k: -np.arange(4.0)}) for k in range(4)])
    >>> Y = TTN.random(tree, 2)
    >>> BUG().step(Y, A, 0.0, 0.1).state.ranks
    (2, 2, 2, 2, 2, 2)
    """

    local: Any = None
    tolerance: float = 1e-10

    order = 1

    def __post_init__(self) -> None:
        checked_tolerance(self.tolerance)

    def step(self, state: TTN, rhs: Any, t: float, h: float, *, span: tuple[float, float] | None = None) -> StepResult:
        rhs = as_rhs(rhs)
        state = prepared(state, rhs)
        tree, stage, seen = state.tree, rhs.at(t, h), gauges(state)
        views = Views.of(stage, seen)
        size, stats = norm(state.cores[-1]), Stats()
        cores, ups, turns = [*state.cores], [*views.up, None], [None] * len(tree.parent)
        for node in tree.nodes:
            below = [ups[child] for child in tree.children[node]]
            start, moved = seen.weighted[node], False
            for axis, child in enumerate(tree.children[node]):  # projected on the new bases: turn = <new, old>
                if turns[child] is not None:
                    start, moved = along(turns[child], start, axis), True
            if node < tree.root and not moved and is_full(cores[node].shape):
                continue
            flow = stage.core(node, below, views.down[node], start)
            C, used = solver_for(self.local, flow, self.tolerance * size, size).solve(flow, start, t, h)
            stats = stats + used
            if node == tree.root:
                cores[node] = C
                break
            cores[node], turns[node] = updated(C, projected_core(state, turns, node))
            ups[node] = stage.up(node, below, cores[node], cores[node])
        return StepResult(TTN(tree, tuple(cores)), stats=stats)


def projected_core(state: TTN, turns: list[Any], node: int) -> Any:
    """The old core of a node in the new bases of its children."""
    core = state.cores[node]
    for axis, child in enumerate(state.tree.children[node]):
        core = core if turns[child] is None else along(turns[child], core, axis)
    return core


def updated(C: Any, old: Any) -> tuple[Any, Any]:
    """(orthonormal core with the range of C, <new basis, old basis>)."""
    xp = namespace(C)
    Q = qr(matrix(C))[0]
    return xp.reshape(Q, (*C.shape[:-1], -1)), adjoint(Q) @ matrix(old)


@dataclass(frozen=True, slots=True)
class RankAdaptiveBUG:
    """Bases are doubled by what the step makes of them, the cores computed in the doubled bases, and the result truncated.

    Parameters
    ----------
    tolerance : float
        theta, the 2-norm of what the truncation may leave out at an edge; absolute, or times the norm of the state if `relative`.
        At least 1e-14 of the norm.
    max_rank, min_rank : int
        Limits of all ranks after a step; below min_rank, ranks are not lowered.
    spare : int
        Directions kept at every edge beyond those that theta asks for, if they are more than rounding. What a step adds to a
        direction is of order h, and below theta it would be cut off anew in every step, for good: one that is spared grows until
        theta keeps it. With 0, theta times the number of steps has to be small.
    truncation : "weighted" or "published"
        Weighted child cores (smaller ranks at the same error), or orthonormal ones as in the paper; a relative theta is then of
        the norm of what is decomposed.
    local : as for `BUG`; None: at a tenth of theta.
    start_parts : int
        The first step of a `span` is made in so many parts: errors of a step are largest at a state of low rank.
    keep : tuple of TTN
        States w whose bases are in those of every result: <w, Y> changes by <w, F(Y)> alone, and where that is 0, as for mass and
        moments, by the error of the local solves only: give a `local` as exact as needed. Ranks are at least those of all w
        together; max_rank gives way to them.

    Notes
    -----
    Order 1 (proved), 2 to 3 seen where ranks suffice. Norm and, for Schroedinger equations, energy are kept up to theta. Bases
    that fill their space are not computed again. A step works in cores of twice the ranks: of three edges, up to 8 times the size
    of the state.

    Bases grow by what F does to one of them while the others are kept. What only changes several at once is not seen so: x (x) x
    would leave a product of vectors that x turns by 90 degrees as it is. Steps in the first 1/32 of `span`, the first one in any
    case, and steps without a span therefore add the range of F(t, Y), found with random bases (`images.Images`).

    Ceruti, Lubich and Sulz, SIAM J. Numer. Anal. 61 (2023) 194 (arXiv 2201.10291), algorithms 4 to 7.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.rom.ttn import KronSum, TTN, Tree
    >>> tree = Tree.balanced([2] * 4)
    >>> x, n = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])
    >>> H = KronSum(tree, [(1.0, {k: x}) for k in range(4)] + [(2.0, {k: n, k + 1: n}) for k in range(3)])
    >>> Y = TTN.product(tree, [np.array([1.0, 0.0])] * 4)
    >>> result = RankAdaptiveBUG(tolerance=1e-8).step(Y, -1j * H, 0.0, 0.1)
    >>> result.state.ranks, round(result.state.norm(), 8)
    ((2, 2, 3, 2, 2, 3), 1.0)
    """

    tolerance: float = 1e-8
    max_rank: int | None = None
    min_rank: int = 1
    truncation: str = "weighted"
    local: Any = None
    relative: bool = False
    keep: tuple[TTN, ...] = ()
    spare: int = 1
    start_parts: int = 4

    order = 1

    def __post_init__(self) -> None:
        checked_adaptive(self)

    def step(self, state: TTN, rhs: Any, t: float, h: float, *, span: tuple[float, float] | None = None) -> StepResult:
        rhs = as_rhs(rhs)

        def part(state: TTN, t: float, h: float) -> StepResult:
            state = holding(prepared(state, rhs), self.keep)
            return adaptive_step(self, state, rhs, t, h, threshold(self, state), span)

        return in_parts(part, self.start_parts, state, t, h, span)


def threshold(method: Any, state: TTN) -> float:
    """theta of a method whose tolerance is absolute or `relative`, for an orthonormal state."""
    size = norm(state.cores[-1])
    return max(method.tolerance * (size if method.relative else 1.0), FLOOR * size)


def starts(t: float, h: float, span: tuple[float, float] | None, part: float = START) -> bool:
    """Whether the step lies within the first part of the span; without a span every step does."""
    return span is None or abs(t + h - span[0]) <= part * abs(span[1] - span[0]) * (1 + 1e-9) or t == span[0]


def adaptive_step(
    method: Any, state: TTN, rhs: RightHandSide, t: float, h: float, theta: float, span: tuple[float, float] | None
) -> StepResult:
    """Bases doubled, with the range of F(t, Y) added at the start, cores computed in them, truncated as `method` says."""
    stage, seen = rhs.at(t, h), gauges(state, growing_edges(state.tree, state.cores))
    images = Images.of(stage, seen, t, h) if starts(t, h, span) else None
    wide, stats = augmented_step(Views.of(stage, seen), t, h, method.local, theta, images)
    state, discarded = truncate(method, wide, theta)
    return StepResult(state, discarded, stats=stats)


def augmented_step(
    views: Views, t: float, h: float, local: Any, theta: float, images: Images | None = None
) -> tuple[TTN, Stats]:
    """The state at t + h in bases that hold the old ones (their first columns) and what the step adds; orthonormal.

    With images of the state in the old bases, those are added too.
    """
    stage, seen = views.stage, views.gauges
    tree, cores, ups = seen.bases.tree, [*seen.bases.cores], [*views.up, None]
    size, stats = norm(cores[-1]), Stats()
    for node in tree.nodes:
        children = tree.children[node]
        below = [cores[child].shape[-1] for child in children]
        if node < tree.root and is_full((*below, *cores[node].shape[len(children) :])):
            if images is not None:
                images.grow(node, cores[node])
            continue
        start = padded(seen.weighted[node], (*below, *seen.weighted[node].shape[len(children) :]))
        flow = stage.core(node, [ups[child] for child in children], views.down[node], start)
        C, used = solver_for(local, flow, theta, size).solve(flow, start, t, h)
        stats = stats + used
        if node == tree.root:
            cores[node] = C
            break
        if images is not None:
            C = namespace(C).concat([C, images.at(node)], axis=C.ndim - 1)
        core = grown_core(cores[node], below, C, DROPPED * theta, eps_of(C))
        if images is not None:
            images.grow(node, core)
        if core.shape != cores[node].shape:
            cores[node] = core
            ups[node] = stage.up(node, [ups[child] for child in children], core, core)
    return TTN(tree, tuple(cores)), stats
