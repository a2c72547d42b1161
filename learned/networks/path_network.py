"""The network of a learned multigrid on grids in torch: two bounded factors of every path between aggregates."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

LEAST = 0.01  # the root of the root of the smallest factor


class PathNetwork(nn.Module):
    """features (a list of fields) -> the factors of coupling and of interpolation; without a hidden layer two learned numbers."""

    inner: Tensor
    inner_bias: Tensor
    outer: Tensor
    outer_bias: Tensor
    excess: Tensor  # of a reaction, of a wall

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.hidden = len(weights.get("inner", ()))
        for name, value in weights.items():
            self.register_parameter(name, nn.Parameter(torch.from_numpy(np.array(value, np.float64))))

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        if not self.hidden:
            return power(self.outer_bias[0]).expand_as(features[0]), power(self.outer_bias[1]).expand_as(features[0])
        x = torch.relu(torch.stack(features, -1) @ self.inner.T + self.inner_bias)
        y = x @ self.outer.T + self.outer_bias
        return power(y[..., 0]), power(y[..., 1])


def power(y: Tensor) -> Tensor:
    """(1 + y / (1 + |y|))^4: one at zero, between 1e-8 and 16."""
    return (1.0 + y / (1.0 + y.abs())).clamp(min=LEAST) ** 4
