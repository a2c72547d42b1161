"""What a reduced model answers: coefficients, bounds, outputs, and fields when somebody looks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...solvers import arrays
from ..homes import on_device


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The answers at m parameters: NumPy arrays, or CuPy's where the parameters were.

    Attributes
    ----------
    mus : (m, p)
    coefficients : (m, N), (m, N, k) where b had k columns
        u ~ V coefficients. With local bases, N is the largest of their sizes, and the others are filled up with zeros.
    bound : (m,) or (m, k)
        Of the error in the norm of X: ||u(mu) - V a||_X <= bound, if `kind` is "rigorous".
    kind : "rigorous", "estimate" or "none"
        "estimate": the operator is interpolated or learned, or the stability constant is an estimate. "none": there is no
        stability constant, and `bound` is NaN.
    outputs : (m, l) or (m, l, k), or None;  output_bound : of their error
    full : (m,) of bool
        Where the full system was solved, because the bound did not meet the tolerance.
    norms : (m,) or (m, k)
        ||V a||_X.
    """

    mus: Any
    coefficients: Any
    bound: Any
    kind: str
    outputs: Any
    output_bound: Any
    full: Any
    norms: Any
    field_of: Callable[[int], Any] = field(repr=False)
    fields_of: Callable[[Any], Any] | None = field(default=None, repr=False)  # of an array of indices at once

    def __len__(self) -> int:
        return len(self.mus)

    def fields(self, which: Any = slice(None)) -> Any:
        """The solutions in full: (n,) or (n, k) for one index, (count, n) or (count, n, k) for a slice or a list of them.

        Made when asked for: n N multiply-adds each, more than all else that a prediction costs.
        """
        if isinstance(which, int | np.integer):
            return self.field_of(range(len(self))[which])
        numbers = np.arange(len(self))[which]
        if self.fields_of is not None:
            return self.fields_of(numbers)
        return np.stack([self.field_of(int(i)) for i in numbers]) if len(numbers) else np.empty((0, 0))

    @property
    def relative_bound(self) -> Any:
        """bound / (||V a||_X - bound), which bounds the error relative to the solution; infinite where the bound is too large."""
        below = self.norms - self.bound
        if on_device(below):
            xp: Any = arrays.namespace(below)
            otherwise = xp.where(self.bound == 0, 0.0, xp.inf)
            return xp.where(below > 0, self.bound / xp.where(below > 0, below, 1.0), otherwise)
        return np.divide(self.bound, below, out=np.where(self.bound == 0, 0.0, np.inf), where=below > 0)

    def __repr__(self) -> str:
        word = {"rigorous": "bound", "estimate": "error estimate"}.get(self.kind)
        worst = f", largest {word} {float(arrays.to_numpy(self.bound.max())):.3g}" if word and len(self) else ""
        count = int(arrays.to_numpy(self.full.sum()))
        solved = f", {count} solved in full" if count else ""
        outputs = "" if self.outputs is None else f", {self.outputs.shape[1]} outputs"
        return f"Prediction: {len(self)} parameters, size {self.coefficients.shape[1]}{outputs}{worst}{solved}"


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """The certificate of one prediction by one assembly of A and b: ||u - u_N||_X <= bound = ||b - A u_N||_{X'} / alpha.

    kind: "rigorous" where alpha is a bound for the true operator, "estimate" where it is not, "none" where there is none.
    residual: ||b - A u_N||_{X'} (a number, or (k,)). alpha: the stability constant, and `how` it was found.
    """

    mu: dict[str, float]
    bound: Any
    kind: str
    residual: Any
    alpha: float
    how: str

    def __repr__(self) -> str:
        point = ", ".join(f"{name} = {value:.6g}" for name, value in self.mu.items())
        word = {"rigorous": "bound", "estimate": "error estimate"}.get(self.kind, "nothing known,")
        return f"Verification at {point}: {word} {np.max(self.bound):.3g}, alpha {self.alpha:.3g} by {self.how}"
