"""Steps of a Chebyshev iteration on a GPU, with a matrix in its compact form: one sweep over memory each.

A step reads the matrix, x by rows and by columns, the iterate before x, b and the inverse of the diagonal, and writes one vector
over the one before x: five streams of vectors, where r, d and x by Saad's recurrence are seven. Memory: one vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import launch
from .matrix import LETTERS


def coefficients(count: int, low: float, high: float) -> tuple[tuple[float, float], ...]:
    """(c, e) of each of `count` steps x_(j+1) = x_j + c (x_j - x_(j-1)) + e D^-1 (b - A x_j) for a spectrum in [low, high].

    Saad, Iterative Methods for Sparse Linear Systems (2003), Algorithm 12.1, with d = x_j - x_(j-1).
    """
    theta, delta = (high + low) / 2, (high - low) / 2
    rho, steps = delta / theta, [(0.0, 1 / theta)]
    for _ in range(count - 1):
        rho, previous = 1 / (2 * theta / delta - rho), rho
        steps.append((rho * previous, 2 * rho / delta))
    return tuple(steps)


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """The steps for a matrix (form, parts, shape) on a device; `inverse` is 1 / D (n,), `coefficients` as above."""

    A: Any
    inverse: Any
    coefficients: tuple[tuple[float, float], ...]

    def kernels(self, dtype: str) -> dict[str, Any]:
        types = dict(zip(LETTERS[self.A.form], self.A.parts, strict=False))
        return launch.kernels(f"{self.A.form}.cuh", "smoothing.cu", V=dtype, D=self.inverse, **types)

    def from_zero(self, kernels: dict[str, Any], columns: int, b: Any, x: Any, other: Any) -> None:
        """x = the last iterate from zero; `other` is overwritten. One product less than steps."""
        n, here, there = self.A.shape[0], x, other
        if len(self.coefficients) % 2 == 0:
            here, there = there, here
        launch.launch(kernels["first_step"], n, columns, self.coefficients[0][1], self.inverse, b, here)
        for number, (c, e) in enumerate(self.coefficients[1:]):
            known = int(number > 0)
            launch.launch(kernels["next_step"], n, columns, *self.A.parts, known, c, e, self.inverse, b, here, there)
            here, there = there, here

    def improve(self, kernels: dict[str, Any], columns: int, b: Any, x: Any, other: Any) -> Any:
        """The last iterate from x: in x after an even number of steps, in `other` after an odd one."""
        n, known = self.A.shape[0], 0
        for c, e in self.coefficients:
            launch.launch(kernels["next_step"], n, columns, *self.A.parts, known, c, e, self.inverse, b, x, other)
            x, other, known = other, x, 1
        return x


__all__ = ["Steps", "coefficients"]
