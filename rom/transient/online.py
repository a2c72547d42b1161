"""A fitted transient model without its full problem: what predictions need, and what a file holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .parabolic_bound import ParabolicBound
from .prediction import TransientPrediction
from .reduced import Reduced


@dataclass(frozen=True, slots=True, eq=False)
class Online:
    """The reduced model, a richer one whose basis begins with the same vectors, the bound if there is one, and the samples.

    samples: (mu, u), some states of training trajectories, at which a function that is given again is compared.
    """

    reduced: Reduced
    richer: Reduced
    bound: ParabolicBound | None
    samples: list[tuple[np.ndarray, np.ndarray]]

    def predict(self, points: np.ndarray, estimate: bool) -> TransientPrediction:
        """Trajectories at points (m, p), with an estimate of their error if asked for, and a bound if there is one."""
        reduced = self.reduced
        a = reduced.solve(points)
        outputs = None if reduced.L is None else a @ reduced.L.T
        bound = None if self.bound is None else self.bound.values(reduced, points, a)
        distance = self.distance(points, a) if estimate else None
        kind = "rigorous" if bound is not None else "estimate" if estimate else "none"
        return TransientPrediction(points, reduced.stated.times, a, outputs, kind, bound, distance, reduced.V)

    def distance(self, points: np.ndarray, a: np.ndarray) -> np.ndarray:
        """How far the richer model's trajectories are from a (m, K + 1, N), in the product: (m, K + 1)."""
        fine = self.richer.solve(points)
        fine[:, :, : self.reduced.size] -= a
        return np.linalg.norm(fine, axis=2)
