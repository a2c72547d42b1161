"""The midpoint BUG integrator: of order two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .augmentation import grown_core, padded
from .bug import DROPPED, augmented_step, threshold
from .full_bases import growing_edges, is_full
from .gauges import gauges
from .images import Images
from .invariants import holding
from .local_solvers import eps_of
from .method import (
    StepResult,
    checked_adaptive,
    prepared,
    solver_for,
    truncate,
)
from .overlaps import overlap_core, overlap_up
from .right_hand_sides import RightHandSide, Views, as_rhs
from .start import in_parts
from .state import TTN
from .tensors import namespace, norm


@dataclass(frozen=True, slots=True)
class MidpointBUG:
    """Order 2: bases of the start, of the state half a step on, and of F there; then one Galerkin equation over the whole step.

    Parameters
    ----------
    tolerance, relative, max_rank, min_rank, truncation, local, keep, spare, start_parts : as for `RankAdaptiveBUG`.
        The ranks of the half step are limited as those of the step are.

    Notes
    -----
    The half step is one of rank-adaptive BUG in bases to which the range of h F(t, Y) is added, truncated. Then for every node
    from the leaves to the root the old basis, the basis half a step on and the range of h F(t + h/2, Y(t + h/2)) are joined, so
    that Y and h F(Y) lie in the space that the root's core is solved in. Errors of order h^3 a step, independent of small
    singular values, also for states that F takes out of their tangent space, as most products of vectors: ranges are found with
    random bases (`images.Images`; the same at every call), not in those of the state. Norm and, for Schroedinger equations,
    energy are kept up to theta. The root's equation has cores of three to four times the ranks; no other is solved there.

    Matrices: Ceruti, Einkemmer, Kusch and Lubich, BIT 64 (2024) 30 (arXiv 2402.08607). Trees: the same, node by node.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.rom.ttn import KronSum, TTN, Tree
    >>> tree = Tree.balanced([2] * 4)
    >>> x, n = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])
    >>> H = KronSum(tree, [(1.0, {k: x}) for k in range(4)] + [(2.0, {k: n, k + 1: n}) for k in range(3)])
    >>> Y = TTN.product(tree, [np.array([1.0, 0.0])] * 4)
    >>> round(MidpointBUG(tolerance=1e-8).step(Y, -1j * H, 0.0, 0.1).state.norm(), 8)
    1.0
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

    order = 2

    def __post_init__(self) -> None:
        checked_adaptive(self)

    def step(self, state: TTN, rhs: Any, t: float, h: float, *, span: tuple[float, float] | None = None) -> StepResult:
        rhs = as_rhs(rhs)
        return in_parts(lambda state, t, h: self.part(state, rhs, t, h), self.start_parts, state, t, h, span)

    def part(self, state: TTN, rhs: RightHandSide, t: float, h: float) -> StepResult:
        """One step."""
        state = holding(prepared(state, rhs), self.keep)
        size, theta = norm(state.cores[-1]), threshold(self, state)
        stage, seen = rhs.at(t, h / 2), gauges(state, growing_edges(state.tree, state.cores))
        images = Images.of(stage, seen, t + h / 4, h / 2)
        wide, stats = augmented_step(Views.of(stage, seen), t, h / 2, self.local, theta, images)
        half, _ = truncate(self, wide, theta)
        stage = rhs.at(t, h)
        images = Images.of(stage, gauges(half, growing_edges(half.tree, half.cores)), t + h / 2, h)
        bases, ups, core = joint_bases(state, half, images, theta)
        below = [ups[child] for child in state.tree.children[state.tree.root]]
        flow = stage.core(state.tree.root, below, None, core)
        C, used = solver_for(self.local, flow, theta, size).solve(flow, core, t, h)
        state, discarded = truncate(self, bases.with_cores({state.tree.root: C}), theta)
        return StepResult(state, discarded, stats=stats + used)


def joint_bases(state: TTN, half: TTN, images: Images, theta: float) -> tuple[TTN, list[Any], Any]:
    """(state in bases that hold its own, those of half and the images of half; views of the subtrees; the root's core).

    Directions carry their weights in half and in h F, and those shorter than a thousandth of theta are left out.
    """
    tree, stage, cores = state.tree, images.stage, [*state.cores]
    ups: list[Any] = []
    overlap: list[Any] = []  # <joint basis, basis of half>
    for node in tree.edges:
        children = tree.children[node]
        below = [cores[child].shape[-1] for child in children]
        core = padded(cores[node], (*below, *cores[node].shape[len(children) :]))
        if not is_full(core.shape):
            there = overlap_core([overlap[child] for child in children], None, images.seen.weighted[node])
            candidates = namespace(core).concat([there, images.at(node)], axis=core.ndim - 1)
            core = grown_core(core, below, candidates, DROPPED * theta, eps_of(core))
        cores[node] = core
        images.grow(node, core)
        ups.append(stage.up(node, [ups[child] for child in children], core, core))
        overlap.append(overlap_up([overlap[child] for child in children], core, half.cores[node]))
    root = cores[-1]
    below = [cores[child].shape[-1] for child in tree.children[tree.root]]
    core = padded(root, (*below, *root.shape[len(below) :]))
    return state.with_cores(dict(enumerate([*cores[:-1], core]))), ups, core
