"""Coefficients and error bounds of a reduced model at a batch of parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...solvers import arrays
from ..operators.decomposition import Split
from . import online
from .online import EPS, ROUNDING, Reduced

LIKELY = 8  # this part of it is added to larger residuals


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The weights at m parameters, for models of any size: thetas (Q, m), rhs (P, m), outputs (S, m) or None, alpha (m,)."""

    mus: Any
    thetas: Any
    rhs: Any
    outputs: Any
    alpha: Any
    errors: Any  # None, or (2, m) of the interpolated operator and right-hand side, where they are known
    unit: float = EPS  # of rounding

    def __len__(self) -> int:
        return len(self.mus)

    def joined(self, other: Batch) -> Batch:
        """This batch and another behind it."""

        def both(a: Any, b: Any) -> Any:
            return None if a is None or b is None else np.concatenate([a, b], axis=-1)

        names = ("thetas", "rhs", "outputs", "alpha", "errors")
        parts = {name: both(getattr(self, name), getattr(other, name)) for name in names}
        return Batch(np.concatenate([self.mus, other.mus]), **parts, unit=self.unit)


Alpha = Callable[[np.ndarray], np.ndarray]
OperatorError = Callable[[np.ndarray], Any]


def batch(
    split: Split, mus: np.ndarray, alpha: Alpha, error: OperatorError | None = None, outputs: bool = True
) -> Batch:  # fmt: skip
    """The weights of a split operator at points mus (m, p), and the stability constants there."""
    errors = None
    if error is not None:
        errors = np.stack([np.broadcast_to(np.asarray(part, float), len(mus)) for part in error(mus)])
        if len(errors) != 2 or not (np.isfinite(errors).all() and (errors >= 0).all()):
            raise ValueError("error(mus) must return two bounds, finite and not negative: of the operator and of b")
    rows = split.L.weights(mus) if split.L is not None and outputs else None
    return Batch(mus, split.A.weights(mus), split.b.weights(mus), rows, alpha(mus), errors, split.unit)


def solved(reduced: Reduced, given: Batch) -> tuple[Any, Any]:
    """(a (N, k, m), bounds (k, m) of the error in the norm of X).

    bound = (||r||_{X'} + eps_b + eps_A ||u_N||_X) / alpha, where to ||r|| a part of its rounding is added, which is ROUNDING eps
    times the sizes of the terms of which r is the sum, and the whole of it is the least it counts as; infinite where alpha is
    not positive, or the reduced matrix singular.
    """
    xp: Any = arrays.namespace(given.thetas)
    a = online.solve(reduced, given.thetas, given.rhs)
    residual = online.residual(reduced, given.thetas, given.rhs, a)
    if given.errors is not None:
        residual = residual + given.errors[1] + given.errors[0] * lengths(a)
    floor = ROUNDING * given.unit * online.rounding(reduced, given.thetas, given.rhs, a)
    positive = given.alpha > 0
    bound = xp.maximum(residual + floor / LIKELY, floor) / xp.where(positive, given.alpha, 1.0)
    return a, xp.where(positive & ~xp.isnan(bound), bound, xp.inf)


def lengths(a: Any) -> Any:
    """||a|| (k, m) of coefficients (N, k, m)."""
    xp: Any = arrays.namespace(a)
    return np.linalg.norm(a, axis=0) if xp is np else xp.linalg.vector_norm(a, axis=0)
