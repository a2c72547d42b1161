"""Losses of a learned multigrid: what a few steps of cg with the whole cycle leave of the error, and what a solve costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...solvers import cg
from ..families import System
from ..graph_multigrid import GraphMultigrid
from ..losses import unrolled_cg
from ..multigrid.differentiable import Sparse, cycle
from ..multigrid.ladder import packed
from ..multigrid.module import Ladder
from ..multigrid.setup import hierarchy
from ..plan import Plan
from .objective import Objective, weights_of

LOSSES = ("unrolled-cg", "work")
COARSEST = 40  # unknowns of the last level of the cycle in torch: training systems are small, and shall have levels
SMOOTH = 8
PAIRS = 4  # of moved weights a system
LARGEST = 4_000  # unknowns of a system for gradients; what decides is also judged by the compiled solves of larger ones
# What decides strength and entries, the first four scalars and the first output of an entry's network: how far they are moved.
MOVED = {"scalars": (4, 0.25), "edge.2.weight": (1, 0.3), "edge.2.bias": (1, 0.1)}
# Costs in products with A, measured on one thread, a unit of the operator complexity: a set-up, which four solves share, and
# an iteration, which costs two products more.
SETUP, ITERATION, PRODUCTS, SOLVES = 80.0, 4.0, 2.0, 4.0
RTOL, LIMIT = 1e-6, 300  # of the solves by which moved weights are compared


def multigrid(recipe: GraphMultigrid, plan: Plan, device: str) -> Objective:
    """The logarithm of the iterations that an error needs: of 1 over the mean logarithm by which a step of cg reduces it.

    Gradients go through cg, cycle, Galerkin products and prolongations. What is strong is a yes or no, and 'unrolled-cg' leaves
    it as it is, and with it the first layer of an entry's network, which it reads. 'work' also moves what decides it, and which
    entries a prolongation has: these weights get in addition the difference that moving them to both sides makes, along random
    directions, to the logarithm of what set-up and iterations of compiled solves cost; and validation counts that. Evolution
    strategies with antithetic pairs: Salimans, Ho, Chen, Sidor and Sutskever, arXiv:1703.03864.
    """
    if plan.loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)} for a {recipe.name}; got {plan.loss!r}")
    if torch.device(device).type != "cpu":
        raise ValueError(f"a {recipe.name} is trained on the CPU, by compiled sweeps; got device={device!r}")
    module = recipe.module
    if plan.loss != "work" and hasattr(module, "edge"):
        module.edge[0].requires_grad_(False)  # strength reads these hidden units too
    return Objective(module, prepared, partial(loss_of, module, plan), work if plan.loss == "work" else iterations)


def work(M: Any, count: float) -> float:
    """Of `count` iterations with M and a part of its set-up, in iterations without coarse levels."""
    setup, iteration = SETUP / SOLVES * M.operator_complexity, PRODUCTS + ITERATION * M.operator_complexity
    return float((setup + count * iteration) / (PRODUCTS + ITERATION))


def iterations(M: Any, count: float) -> float:
    return count


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A, scaled to the order of one, in torch and in SciPy; solutions (n, SMOOTH) for white right-hand sides, of size one."""

    A: Sparse
    stored: Any
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
    return Sample(sparse, A, smooth / np.sqrt(np.square(smooth).mean(axis=0)) / SMOOTH**0.5)


def loss_of(module: Ladder, plan: Plan, at: Sample, rng: np.random.Generator) -> Tensor:
    decided = of_decisions(module, at.stored, rng) if plan.loss == "work" else torch.zeros((), dtype=torch.float64)
    if plan.loss == "work" and len(at.smooth) > LARGEST:
        return decided
    M = cycle(at.A, module, COARSEST)
    rate = unrolled_cg(M, M, at.errors(plan.columns, rng), plan.unrolled)  # type: ignore[arg-type]  # it asks a sample for A alone
    return decided - torch.log(-rate.clamp(max=-1e-3))


def of_decisions(module: Ladder, A: Any, rng: np.random.Generator) -> Tensor:
    """Zero, with the gradient by the weights that decide of the logarithm of the work of a solve, as differences show it."""
    parts = dict(module.named_parameters())
    deciding = {name: (parts[name][:first], far) for name, (first, far) in MOVED.items() if name in parts}
    weights, b = weights_of(module), rng.standard_normal(A.shape[0])
    total = torch.zeros((), dtype=torch.float64)
    for _ in range(PAIRS):
        steps = {name: far * rng.standard_normal(tuple(part.shape)) for name, (part, far) in deciding.items()}
        ahead, behind = (np.log(measured(moved(weights, steps, sign), A, b)) for sign in (1.0, -1.0))
        for name, (part, far) in deciding.items():
            total = total + 0.5 * (ahead - behind) / PAIRS * (torch.from_numpy(steps[name]) / far**2 * part).sum()
    return total - total.detach()


def moved(weights: dict[str, np.ndarray], steps: dict[str, np.ndarray], sign: float) -> dict[str, np.ndarray]:
    """The weights with sign steps added to the first entries of some."""
    found = {name: value.copy() for name, value in weights.items()}
    for name, step in steps.items():
        found[name][: len(step)] += sign * step
    return found


def measured(weights: dict[str, np.ndarray], A: Any, b: np.ndarray) -> float:
    """The work of a compiled solve with these weights, its iterations counted in parts of one."""
    M = hierarchy(A, packed(weights), 2 * COARSEST, GraphMultigrid.name)
    result = cg(A, b, M=M, rtol=RTOL, max_iterations=LIMIT)
    before, after = result.residuals[-2:] if result.iterations else (1.0, 1.0)
    goal = RTOL * float(np.linalg.norm(b))
    part = np.log(before / goal) / np.log(before / after) if after < goal < before else 1.0
    return work(M, max(result.iterations - 1 + float(part), 1.0))
