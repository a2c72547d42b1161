"""Choosing a preconditioner: flow through blocks whose permeabilities differ by a factor of a million.

M ~ A^-1 decides how many iterations cg needs. It never decides when cg stops: that is ||b - A x||, without M. A recipe
such as Jacobi() is given as M=; cheap recipes take many iterations, strong ones few, and the seconds are their sum.
"""

from __future__ import annotations

import petrov
from petrov.solvers import Chebyshev, GeometricMultigrid, IncompleteCholesky, Jacobi, SmoothedAggregation, problems
from petrov.solvers.external.pyamg import PyAMG

RECIPES = {
    "none": None,
    "Jacobi()": Jacobi(),
    "Chebyshev(degree=4)": Chebyshev(degree=4),
    "IncompleteCholesky()": IncompleteCholesky(),
    "SmoothedAggregation()": SmoothedAggregation(),
    "GeometricMultigrid()": GeometricMultigrid(),
    "PyAMG()": PyAMG(),
    "PyAMG('ruge_stuben')": PyAMG("ruge_stuben"),
}


def main(n: int = 64) -> dict[str, int]:
    """Iterations of cg by recipe; 0 where it did not converge."""
    A, b, *_ = problems.jump(n, contrast=1e6, seed=7_013)
    print(f"{len(b)} unknowns, {A.nnz} entries\n")
    print(f"{'M':22s}{'iterations':>10s}{'set-up':>10s}{'solve':>10s}   status")

    iterations = {}
    for name, M in RECIPES.items():
        r = petrov.solve(A, b, method="cg", M=M, max_iterations=5_000, raise_on_failure=False)
        iterations[name] = r.iterations if r.converged else 0
        print(f"{name:22s}{r.iterations:10d}{r.setup_seconds:8.3f} s{r.solve_seconds:8.3f} s   {r.status.name}")

    print("\nWithout method= and M=, petrov chooses by the estimated seconds:")
    print(petrov.solve(A, b))
    return iterations


if __name__ == "__main__":
    main()
