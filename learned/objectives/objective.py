"""The record that an objective is, and how weights enter and leave a torch module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from ..families import System


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """What training lowers.

    module: its parameters are named as the recipe's weights; prepare(system): what of a system does not depend on weights, made
    once for each; loss(prepared, rng): a number (0-d tensor) for vectors drawn by rng; cost(M, iterations): by what validation
    judges a solve with the applied M, the iterations themselves if it is left out.
    """

    module: nn.Module
    prepare: Callable[[System], Any]
    loss: Callable[[Any, np.random.Generator], Tensor]
    cost: Callable[[Any, float], float] = lambda M, iterations: iterations


def weights_of(module: Any) -> dict[str, np.ndarray]:
    """The weights of a module as arrays, copied."""
    return {name: value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()}


def chosen(losses: dict[str, Any], loss: str, name: str) -> Any:
    """The loss of this name; ValueError naming those there are."""
    if loss not in losses:
        raise ValueError(f"loss must be one of {', '.join(losses)} for a {name}; got {loss!r}")
    return losses[loss]
