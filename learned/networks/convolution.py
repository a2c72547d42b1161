"""The convolutional network of `grid_network` in torch: for its gradients. The arithmetic is that of `Forward`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .grid_network import TINY, GridArchitecture, GridNetwork, network_from


class Convolutions(nn.Module):
    """u (batch, *grid) -> (batch, *grid), float32."""

    def __init__(self, architecture: GridArchitecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        kind = nn.Conv2d if a.dim == 2 else nn.Conv3d

        def several(count: int) -> nn.ModuleList:
            return nn.ModuleList([kind(a.width, a.width, 3, padding=1) for _ in range(count)])

        self.first = kind(1, a.width, 3, padding=1)
        self.down, self.coarse, self.up = several(a.down), several(a.coarse), several(a.up)
        self.last = kind(a.width, 1, 1)
        if a.coarsest is not None:
            self.gain = nn.Parameter(torch.full((1,), 0.5))
        # Channels beside each other: several times as quick on a CPU.
        self.layout: Any = torch.channels_last if a.dim == 2 else torch.channels_last_3d
        nn.Module.to(self, memory_format=self.layout)  # type: ignore[call-overload]

    def forward(self, u: Tensor) -> Tensor:
        grid, a = tuple(u.shape[1:]), self.architecture
        ends = [(0, m - n) for n, m in zip(grid, a.padded(grid), strict=True)]
        r = [functional.pad(u[:, None], [k for pair in reversed(ends) for k in pair])]
        pool, linear = (functional.avg_pool2d, "bilinear") if a.dim == 2 else (functional.avg_pool3d, "trilinear")
        for _ in range(a.rungs(grid)):
            r.append(4 * pool(r[-1], 2))
        y: Any = None
        for k in range(len(r))[::-1]:
            size = 1 if k == 0 else r[k].square().mean(dim=list(range(1, a.dim + 2)), keepdim=True).sqrt().clamp_min(float(TINY))
            z = size * self.single(r[k] / size)
            y = z if y is None else z + self.gain * functional.interpolate(y, scale_factor=2.0, mode=linear)
        return y[(slice(None), 0, *[slice(n) for n in grid])]

    def single(self, r: Tensor) -> Tensor:
        """f (batch, 1, *grid)."""
        x = functional.relu(self.down[0](self.first(r.contiguous(memory_format=self.layout))))
        x = pairs(self.down[1:-1], x)
        x = functional.relu(self.down[-1](x))
        pool = functional.avg_pool2d if self.architecture.dim == 2 else functional.avg_pool3d
        coarse = pairs(self.coarse, pool(x, 2))
        return self.last(pairs(self.up, x + functional.interpolate(coarse, scale_factor=2.0, mode="nearest")))


def pairs(convolutions: Sequence[nn.Module] | nn.ModuleList, x: Tensor) -> Tensor:
    """x <- x + ReLU(conv(ReLU(conv(x)))) for every pair of convolutions."""
    for k in range(0, len(convolutions), 2):
        x = x + functional.relu(convolutions[k + 1](functional.relu(convolutions[k](x))))
    return x


def module_of(network: GridNetwork) -> Convolutions:
    """The network as a torch module in single precision, its weights copied."""
    module = Convolutions(network.architecture)
    module.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in network.weights.items()})
    return module


def network_of(architecture: GridArchitecture, module: nn.Module) -> GridNetwork:
    """The weights of a module, copied."""
    return network_from(architecture, {name: value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()})
