"""The networks of `ladder` in torch: for their gradients. The arithmetic is that of `compiled`, in double precision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from .ladder import EDGE_OUTPUTS, MOST, OF_EDGE, OF_ROW, ROW_OUTPUTS, SCALARS, SPREAD

LOW, HIGH = (torch.tensor([getattr(s, end) for s in SCALARS.values()], dtype=torch.float64) for end in ("low", "high"))
OPEN = 1.0  # how far beyond its bounds a gate still feels its gradient


class Ladder(nn.Module):
    """The scalars, and for the higher rungs the networks of messages, entries and rows."""

    def __init__(self, rung: str, width: int, channels: int) -> None:
        super().__init__()
        c = channels if rung == "gnn" else 0
        self.scalars = nn.Parameter(torch.zeros(len(SCALARS)))
        if c:
            self.message = nn.Sequential(nn.Linear(OF_EDGE, c), nn.ReLU())
        if rung != "scalars":
            self.edge = nn.Sequential(nn.Linear(OF_EDGE + 2 * c, width), nn.ReLU(), nn.Linear(width, EDGE_OUTPUTS))
            self.row = nn.Sequential(nn.Linear(OF_ROW + c, width), nn.ReLU(), nn.Linear(width, ROW_OUTPUTS))

    def values(self) -> dict[str, Tensor]:
        """The bounded scalars by name."""
        bounded = LOW + (HIGH - LOW) * torch.sigmoid(self.scalars)
        return dict(zip(SCALARS, bounded.unbind(), strict=True))

    def heard(self, features: Tensor, rows: Tensor, degrees: Tensor) -> Tensor:
        """The mean message (n, channels) of the entries off the diagonal, in row rows[k]; (n, 0) for the lower rungs."""
        if not hasattr(self, "message"):
            return features.new_zeros(len(degrees), 0)
        messages = self.message(features)
        return messages.new_zeros(len(degrees), messages.shape[1]).index_add(0, rows, messages) / degrees[:, None]

    def of_rows(self, facts: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """Damping and relaxation (n,) from (p, q, s, t) of the rows."""
        v = self.values()
        out = self.row(torch.cat([facts, heard], 1)) if hasattr(self, "row") else facts.new_zeros(len(facts), ROW_OUTPUTS)
        change = out.clamp(-SPREAD, SPREAD).exp()
        odds = v["relaxation"] / (2 - v["relaxation"]) * change[:, 1]
        return v["damping"] * change[:, 0], 2 * odds / (1 + odds)

    def of_edges(self, features: Tensor, heard_i: Tensor, heard_j: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """By entry off the diagonal: how strong it is (positive: strong), and its gates near and far."""
        v = self.values()
        towards = torch.maximum(features[:, 0], features[:, 1])
        size = torch.maximum(features[:, 0].abs(), features[:, 1].abs())
        gate = ((size - v["threshold"]) / v["width"]).clamp(0.0, 1.0)
        gate = torch.where(features[:, 2] > 0, gate * v["positive"], gate)
        strength = towards - v["strength"]  # of the strongest of a row the sign does not count
        if not hasattr(self, "edge"):
            return strength, gate, gate
        out = self.edge(torch.cat([features, heard_i, heard_j], 1))
        return strength + out[:, 0], bounded(gate + gate * out[:, 1]), bounded(gate + gate * out[:, 2])


def bounded(gate: Tensor) -> Tensor:
    """The gate between 0 and MOST; near these its gradient is felt still, so that what is shut can open again."""
    inside = gate.clamp(0.0, MOST)
    within = gate.clamp(-OPEN, MOST + OPEN)
    return within + (inside - within).detach()


def module_of(rung: str, width: int, channels: int, weights: Mapping[str, np.ndarray]) -> Ladder:
    """The module with these weights, copied, in double precision."""
    module = Ladder(rung, width, channels).double()
    module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    return module
