"""Losses of a learned multigrid: what a few steps of cg with the whole cycle leave of the error, and what a solve costs."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ...solvers import cg
from ..families import System
from ..graph_multigrid import GraphMultigrid
from ..losses import unrolled_cg
from ..multigrid.differentiable import Sparse, cycle
from ..multigrid.module import Ladder
from ..plan import Plan
from .objective import Objective

LOSSES = ("unrolled-cg", "work")
COARSEST = 40  # unknowns of the last level: training systems are small, and shall have levels
SHAKEN = {"scalars": 0.25, "edge.2": 0.1}  # weights that decide what is strong, and how far they are moved to see what that does
# Costs in products with A, measured on one thread: of a set-up, for each unit of the operator complexity and for each product of
# two numbers an entry of A in the Galerkin products; of an iteration, for each unit of the complexity and apart from it.
SETUP, GALERKIN, ITERATION, PRODUCT = 45.0, 4.5, 4.0, 2.0
SOLVES = 2.0  # a set-up
SMOOTH = 8
DIGITS = 8 * float(np.log(10.0))


def multigrid(recipe: GraphMultigrid, plan: Plan, device: str) -> Objective:
    """'unrolled-cg': the mean logarithm of the reduction of |x - x_k|_A in a step of cg. 'work': the logarithm of what set-up and
    iterations to 1e-8 cost at that rate, in products with A, a set-up shared by two solves.

    Gradients go through cg, cycle, Galerkin products and prolongations. What is strong is a yes or no: its weights get the
    difference that moving them to both sides makes, along a random direction (evolution strategies; Salimans, Ho, Chen, Sidor and
    Sutskever, arXiv:1703.03864, with antithetic pairs).
    """
    if plan.loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)} for a {recipe.name}; got {plan.loss!r}")
    if torch.device(device).type != "cpu":
        raise ValueError(f"a {recipe.name} is trained on the CPU, by compiled sweeps; got device={device!r}")
    module = recipe.module
    return Objective(module, prepared, partial(loss_of, module, plan))


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A, scaled to the order of one, and solutions (n, SMOOTH) for white right-hand sides, of the size of white vectors."""

    A: Sparse
    smooth: np.ndarray

    def errors(self, columns: int, rng: np.random.Generator) -> Tensor:
        """Vectors (n, columns) to begin with: white, and by turns combinations of solutions."""
        X = rng.standard_normal((len(self.smooth), columns))
        X[:, 1::2] = self.smooth @ rng.standard_normal((SMOOTH, columns // 2))
        return torch.from_numpy(X)


def prepared(system: System) -> Sample:
    A = system.A.tocsr().copy()
    A.sort_indices()
    A.data /= np.abs(A.data).max()
    rng = np.random.default_rng(A.nnz)
    M = GraphMultigrid.untrained(rung="scalars")(A)
    smooth = np.stack([cg(A, rng.standard_normal(A.shape[0]), M=M, rtol=1e-6).x for _ in range(SMOOTH)], axis=1)
    rows = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    sparse = Sparse(rows, A.indices.astype(np.int64), A.shape, torch.from_numpy(A.data))
    return Sample(sparse, smooth / np.sqrt(np.square(smooth).mean(axis=0)) / SMOOTH**0.5)


def loss_of(module: Ladder, plan: Plan, at: Sample, rng: np.random.Generator) -> Tensor:
    X = at.errors(plan.columns, rng)
    value = measured(module, module, plan, at.A, X)
    parts = deciding(module)
    moved = {name: far * rng.standard_normal(part.shape) for name, (far, part) in parts.items()}
    with torch.no_grad():
        ahead, behind = (measured(module, shaken(module, moved, sign), plan, at.A, X) for sign in (1.0, -1.0))
    along = value.new_zeros(())
    for name, (far, part) in parts.items():
        along = along + (torch.from_numpy(moved[name]) / far**2 * part).sum()
    return value + 0.5 * (ahead - behind) * (along - along.detach())


def measured(module: Ladder, judge: Ladder, plan: Plan, A: Sparse, X: Tensor) -> Tensor:
    M = cycle(A, module, judge, COARSEST)
    rate = unrolled_cg(M, M, X, plan.unrolled)  # type: ignore[arg-type]  # it asks a sample for A alone
    if plan.loss == "unrolled-cg":
        return rate
    iterations = DIGITS / (-rate).clamp(min=1e-3)
    setup = SETUP * M.complexity + GALERKIN * M.products
    return torch.log(setup / SOLVES + iterations * (PRODUCT + ITERATION * M.complexity))


def deciding(module: Ladder) -> dict[str, tuple[float, Tensor]]:
    """name -> (how far it is moved, the part that decides what is strong: the first scalar, the first output)."""
    return {
        name: (far, parameter[:1]) for name, parameter in module.named_parameters()
        for start, far in SHAKEN.items() if name.startswith(start)
    }  # fmt: skip


def shaken(module: Ladder, moved: dict[str, np.ndarray], sign: float) -> Ladder:
    """A copy whose deciding weights are moved."""
    other = copy.deepcopy(module)
    for name, (_, part) in deciding(other).items():
        part += torch.from_numpy(sign * moved[name])
    return other
