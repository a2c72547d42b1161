"""What a transient model answers: coefficients over time, outputs, errors, and fields when somebody looks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class TransientPrediction:
    """Trajectories at m parameters.

    Attributes
    ----------
    mus : (m, p);  times : (K + 1,)
    coefficients : (m, K + 1, N)
        u(t_k) ~ V coefficients[:, k].
    outputs : (m, K + 1, l), or None
    kind : "rigorous" if there is a bound, else "estimate" if that was asked for, else "none"
    bound : (m, K + 1), or None unless rigorous
        ||u(t_k) - V a^k||_M <= bound, for the solution u of the full time steps.
    estimate : (m, K + 1), or None unless it was asked for
        Of the error in the norm of the product: the distance to a richer reduced model. It is small where both are wrong alike.
    """

    mus: np.ndarray
    times: np.ndarray
    coefficients: np.ndarray
    outputs: np.ndarray | None
    kind: str
    bound: np.ndarray | None
    estimate: np.ndarray | None
    basis: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.mus)

    def fields(self, which: int, k: Any = slice(None)) -> np.ndarray:
        """The states (n, K + 1) at parameter number `which`; (n,) at one time k, (n, count) for a slice or a list of them."""
        return self.basis @ self.coefficients[range(len(self))[which], k].T

    def __repr__(self) -> str:
        found = [("bound", self.bound), ("error estimate", self.estimate)]
        worst = "".join(f", largest {word} {values.max():.3g}" for word, values in found if values is not None and len(self))
        outputs = "" if self.outputs is None else f", {self.outputs.shape[2]} outputs"
        size = f"{len(self)} parameters, {len(self.times) - 1} steps, size {self.coefficients.shape[2]}"
        return f"TransientPrediction: {size}{outputs}{worst}"


@dataclass(frozen=True, slots=True, eq=False)
class TransientVerification:
    """One prediction against the full solution, in the norm of the product, at each time.

    errors, norms (K + 1,): ||u - V a|| and ||u||. projection (K + 1,): the distance of u to the space of V, which no coefficients
    can beat. seconds, reduced_seconds: of the full and of the reduced solution, one parameter each.
    """

    mu: dict[str, float]
    errors: np.ndarray
    norms: np.ndarray
    projection: np.ndarray
    seconds: float
    reduced_seconds: float

    @property
    def relative(self) -> float:
        """(sum_k ||u - V a||^2 / sum_k ||u||^2)^1/2."""
        return ratio(self.errors, self.norms)

    @property
    def relative_projection(self) -> float:
        """The same of the projection: what a basis of this size leaves at best."""
        return ratio(self.projection, self.norms)

    @property
    def worst(self) -> float:
        """max_k ||u - V a|| / max_k ||u||."""
        return float(self.errors.max() / (self.norms.max() or 1.0))

    def __repr__(self) -> str:
        point = ", ".join(f"{name} = {value:.6g}" for name, value in self.mu.items())
        best = f"projection {self.relative_projection:.2e}"
        times = f"{self.seconds:.3g} s in full, {self.reduced_seconds:.3g} s reduced"
        return f"TransientVerification at {point}: relative error {self.relative:.2e} ({best}), {times}"


def ratio(above: np.ndarray, below: np.ndarray) -> float:
    return float(np.linalg.norm(above) / (np.linalg.norm(below) or 1.0))
