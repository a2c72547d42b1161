"""A custom preconditioner in ten lines: Laplace's operator, inverted by sine transforms, for a medium of two phases.

A recipe is a frozen record of parameters; called with A, it returns anything with shape, dtype and @ that is about
A^-1. `spd = True` on what it returns is a promise that lets petrov use cg; without it, flexible_cg forgives more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.fft import dstn, idstn
from scipy.sparse.linalg import LinearOperator

import petrov
from petrov.solvers import IncompleteCholesky, problems


@dataclass(frozen=True)
class FastPoisson:
    """M = (-c Laplace)^-1 on a square grid of cells with zero boundary values; c is the mean of the coefficient."""

    n: int
    c: float

    def __call__(self, A: Any) -> LinearOperator:
        frequency = 4 * self.n**2 * np.sin(np.pi * np.arange(1, self.n + 1) / (2 * self.n)) ** 2
        eigenvalues = self.c * (frequency[:, None] + frequency)

        def apply(r: np.ndarray) -> np.ndarray:
            return idstn(dstn(r.reshape(self.n, self.n), type=2) / eigenvalues, type=2).ravel()

        M = LinearOperator(A.shape, matvec=apply, dtype=A.dtype)
        M.spd, M.name = True, "fast Poisson"
        return M


def main(sizes: tuple[int, ...] = (32, 64, 128)) -> dict[int, int]:
    """Iterations by grid size."""
    iterations = {}
    for n in sizes:
        problem = problems.darcy(n, coefficient="two-phase", seed=1_618)
        r = petrov.solve(problem.A, problem.b, M=FastPoisson(n, float(problem.coefficient.mean())))
        ic = petrov.solve(problem.A, problem.b, method="cg", M=IncompleteCholesky())
        iterations[n] = r.iterations
        print(f"n = {n:3d}: {r.iterations:3d} iterations with FastPoisson, {ic.iterations:3d} with IncompleteCholesky")
    print(f"\n{r}")
    return iterations


if __name__ == "__main__":
    main()
