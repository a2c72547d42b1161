"""A time loop: a torch moves over a plate, and every step starts from what the steps before have taught.

Implicit Euler solves (1 + dt L) u = u_before + dt f with one matrix, so one `petrov.Solver` serves all steps. The
solution changes little from step to step: `x0=` starts there, or at its extrapolation, and cg has less left to do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import petrov
from petrov.solvers import problems

Guess = Callable[[list[np.ndarray]], np.ndarray | None]
STARTS: dict[str, Guess] = {
    "zero": lambda u: None,
    "the last step": lambda u: u[-1],
    "a line through the last two": lambda u: 2 * u[-1] - u[-2],
    "a parabola through the last three": lambda u: 3 * u[-1] - 3 * u[-2] + u[-3],
}


def torch(points: np.ndarray, t: float) -> np.ndarray:
    """A round flame, once around the middle of the plate in one unit of time."""
    centre = 0.5 + 0.25 * np.array([np.cos(2 * np.pi * t), np.sin(2 * np.pi * t)])
    return 1e3 * np.exp(-100 * np.sum((points - centre) ** 2, axis=1))


def march(solver: petrov.Solver, problem: problems.Heat, steps: int, guess: Guess) -> tuple[np.ndarray, int]:
    """The last u and the iterations of all steps together."""
    u, iterations = [np.zeros(len(problem.b))] * 3, 0
    for step in range(1, steps + 1):
        r = solver.solve(u[-1] + problem.dt * torch(problem.coordinates, step * problem.dt), x0=guess(u))
        u, iterations = [*u[1:], r.x], iterations + r.iterations
    return u[-1], iterations


def main(n: int = 64, steps: int = 100) -> dict[str, int]:
    """Iterations by what the steps start from."""
    problem = problems.heat(n, dt=1e-3)
    solver = petrov.Solver(problem.A, method="cg", M="jacobi")
    print(solver)
    iterations, reference = {}, None
    for name, guess in STARTS.items():
        u, iterations[name] = march(solver, problem, steps, guess)
        reference = u if reference is None else reference
        change = np.linalg.norm(u - reference) / np.linalg.norm(reference)
        print(f"from {name:35s}{iterations[name]:6d} iterations, same end to {change:.0e}")
    return iterations


if __name__ == "__main__":
    main()
