"""The graph network of `architecture` in torch and PyG: for its gradients. The arithmetic is that of `Network`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from .architecture import NORM_EPSILON, Architecture, Network


def mlp(inputs: int, width: int, outputs: int, activation: str, normalised: bool) -> nn.Sequential:
    act: nn.Module = nn.ReLU() if activation == "relu" else nn.GELU()
    layers: list[nn.Module] = [nn.Linear(inputs, width), act, nn.Linear(width, outputs)]
    return nn.Sequential(*layers, *([nn.LayerNorm(outputs, eps=NORM_EPSILON)] if normalised else []))


class Step(MessagePassing):
    """e_ij <- MLP(e_ij, x_j, x_i), x_i <- MLP(sum_j e_ij, x_i)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(aggr="sum")
        a, w = architecture, architecture.width
        self.residual = a.residual
        self.edge_mlp = mlp(3 * w, w, w, a.activation, a.residual)
        self.node_mlp = mlp(2 * w, w, w, a.activation, a.residual)

    def forward(self, x: Tensor, edge_index: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        new = self.edge_updater(edge_index, x=x, e=e)
        e = e + new if self.residual else new
        new = self.node_mlp(torch.cat([self.propagate(edge_index, e=e, size=(len(x), len(x))), x], dim=1))
        return (x + new if self.residual else new), e

    def edge_update(self, x_i: Tensor, x_j: Tensor, e: Tensor) -> Tensor:
        return self.edge_mlp(torch.cat([e, x_j, x_i], dim=1))

    def message(self, e: Tensor) -> Tensor:
        return e


class EncodeProcessDecode(nn.Module):
    """nodes (n, f), edges (m, g), edge_index (2, m) of (sources, targets) -> scalars of the nodes (n,) and the edges (m,)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a, blocks = architecture, architecture.blocks()

        def coder(name: str) -> nn.Sequential:
            inputs, outputs, normalised = blocks[name]
            return mlp(inputs, a.width, outputs, a.activation, normalised)

        self.pooled = a.pooled
        self.node_encoder, self.edge_encoder = coder("node_encoder"), coder("edge_encoder")
        self.steps = nn.ModuleList([Step(a) for _ in range(a.steps)])
        self.edge_decoder, self.node_decoder = coder("edge_decoder"), coder("node_decoder")

    def forward(self, nodes: Tensor, edges: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
        x, e = self.node_encoder(nodes), self.edge_encoder(edges)
        for step in self.steps:
            x, e = step(x, edge_index, e)
        read = torch.cat([e, e.mean(dim=0, keepdim=True).expand_as(e)], dim=1) if self.pooled else e
        return self.node_decoder(x)[:, 0], self.edge_decoder(read)[:, 0]


def module_of(network: Network) -> EncodeProcessDecode:
    """The network as a torch module in double precision, its weights copied."""
    module = EncodeProcessDecode(network.architecture).double()
    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in network.weights.items()})
    return module
