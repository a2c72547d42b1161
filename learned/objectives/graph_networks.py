"""Losses of the two graph networks: of the factor L L^T, and of the inverse G G^T + epsilon I."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from .. import losses
from ..families import System
from ..losses import Sample
from ..networks.message_passing import EncodeProcessDecode, module_of
from ..plan import Plan
from ..preconditioner import GraphFactor, SparseInverseNetwork
from .objective import Objective, chosen

# The loss of (sample, (scalars of the nodes, of the edges), vectors X (n, k), S A S X).
GraphLoss = Callable[[Sample, tuple[Tensor, Tensor], Tensor, Tensor], Tensor]


def factor(recipe: GraphFactor, plan: Plan, device: str) -> Objective:
    """'data' is the loss of the paper."""
    return made(recipe, of_factor(recipe, plan), plan, device)


def inverse(recipe: SparseInverseNetwork, plan: Plan, device: str) -> Objective:
    return made(recipe, of_inverse(recipe.epsilon, recipe.start, plan), plan, device)


def made(recipe: GraphFactor | SparseInverseNetwork, known: dict[str, GraphLoss], plan: Plan, device: str) -> Objective:
    module, loss = module_of(recipe.network).to(device), chosen(known, plan.loss, recipe.name)
    return Objective(module, partial(prepared, recipe, device), partial(loss_of, recipe, module, plan, loss))


def prepared(recipe: GraphFactor | SparseInverseNetwork, device: str, system: System) -> Sample:
    a = recipe.network.architecture
    return losses.sample(a.graph(system.A, system.coordinates, system.node_features, system.edge_features), device)


def of_factor(recipe: GraphFactor, plan: Plan) -> dict[str, GraphLoss]:
    def lower(at: Sample, out: tuple[Tensor, Tensor]) -> Tensor:
        return losses.bounded_lower(at, out[1], at.values if recipe.start == "gauss-seidel" else 0.0)

    return {
        "data": lambda at, out, X, B: losses.data_weighted(at, lower(at, out), X, B),
        "unrolled-cg": lambda at, out, X, B: losses.unrolled_cg(
            at, losses.triangular_product(at, lower(at, out)), X, plan.unrolled
        ),
    }  # fmt: skip


def of_inverse(epsilon: float, start: float, plan: Plan) -> dict[str, GraphLoss]:
    def factor(at: Sample, out: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return 1.0 + out[0], out[1] - start * at.values

    def product(at: Sample, out: tuple[Tensor, Tensor]) -> losses.Product:
        return losses.inverse_product(at, *factor(at, out), epsilon)

    return {
        "sai": lambda at, out, X, B: losses.sai(at, product(at, out), X),
        "unrolled-cg": lambda at, out, X, B: losses.unrolled_cg(at, product(at, out), X, plan.unrolled),
        "kaporin": lambda at, out, X, B: losses.kaporin(at, *factor(at, out), epsilon),
    }


def loss_of(
    recipe: GraphFactor | SparseInverseNetwork, module: EncodeProcessDecode, plan: Plan, objective: GraphLoss, at: Sample,
    rng: np.random.Generator,
) -> Tensor:  # fmt: skip
    """The loss on one system, for random vectors x, or, where the loss is of data, for random b."""
    a = recipe.network.architecture
    X = torch.from_numpy(rng.standard_normal((at.size, plan.columns))).to(at.nodes.device)
    B = at.A(X)
    if plan.loss == "data":
        B, X = X, torch.linalg.solve(at.dense(torch.ones_like(X[:, 0]), at.values), X)
    if not a.right_hand_side:
        return objective(at, module(at.nodes, at.edges, at.edge_index), X, B)
    column = B[:, :1] / B[:, :1].square().mean().sqrt()  # b of mean square one, as `predicted` gives it
    value = objective(at, module(torch.cat([at.nodes, 0 * column], 1), at.edges, at.edge_index), X, B)
    guess = module(torch.cat([at.nodes, column], 1), at.edges, at.edge_index)[0]
    return value + losses.prediction(guess[:, None] * (B[:, :1].square().mean().sqrt()), X[:, :1])
