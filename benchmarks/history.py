"""What `asv` follows from commit to commit (asv.conf.json; `make history`): set-up, solve, iterations, one iteration.

Every benchmark first solves once and refuses to be timed if the true residual is not within the tolerance. A PyAMG row runs
along: what moves it is the machine.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from .contests import ALGEBRAIC, COEFFICIENTS, GRID, PYAMG, elements, grid_system, known
from .measure import ROUNDING
from .records import Limits, Method, Outcome, System, relative_residual

RTOL, SECONDS, STEPS = 1e-8, 60.0, 40
METHODS: dict[str, Method] = {method.name: method for method in (GRID, ALGEBRAIC, PYAMG[0])}
GRIDS = {f"{name} {n}^{dim}": (name, n, dim) for dim, n in ((2, 512), (3, 48)) for name in COEFFICIENTS}
ELEMENTS = {"P1 240^2": (240, 2)}


@functools.lru_cache(maxsize=1)
def system(problem: str) -> System:
    """The system of that name; asv times one problem after the other."""
    return grid_system(*GRIDS[problem])() if problem in GRIDS else elements(*ELEMENTS[problem])


def solved(method: Method, prepared: Any, problem: System) -> Outcome:
    return method.solve(prepared, problem, RTOL, method.limits(len(problem.b), SECONDS), None)


class Solve:
    """Multigrid: set-up apart from solve. A grid's method meets no elements."""

    param_names: ClassVar = ["problem", "method"]
    params: ClassVar = [[*GRIDS, *ELEMENTS], [*METHODS]]
    timeout = 600.0

    def setup(self, problem: str, method: str) -> None:
        """Solve once. NotImplementedError makes asv leave the pair out."""
        if problem in ELEMENTS and METHODS[method] is GRID:
            raise NotImplementedError(f"{method} is for grids")
        self.method, self.system = METHODS[method], system(problem)
        self.prepared = self.method.setup(self.system)
        outcome = solved(self.method, self.prepared, self.system)
        residual = relative_residual(self.system, outcome.x)
        if not residual <= 10 * RTOL * (1 + ROUNDING):  # PyAMG stops on a residual of its recurrence
            raise ArithmeticError(f"{method} on {problem}: true relative residual {residual:.1e}, wanted {RTOL:.0e}")
        self.iterations = outcome.iterations

    def time_setup(self, problem: str, method: str) -> None:
        self.method.setup(self.system)

    def time_solve(self, problem: str, method: str) -> None:
        solved(self.method, self.prepared, self.system)

    def track_iterations(self, problem: str, method: str) -> int | None:
        return self.iterations


class Iterate:
    """STEPS iterations of Jacobi-CG, ours and SciPy's."""

    param_names: ClassVar = ["problem", "method"]
    params: ClassVar = [["poisson 512^2", "poisson 48^3", *ELEMENTS], ["petrov cg + Jacobi", "scipy cg + Jacobi"]]

    def setup(self, problem: str, method: str) -> None:
        (self.method,), self.system = known(method), system(problem)
        self.prepared = self.method.setup(self.system)
        made = self.steps()
        if made.iterations != STEPS:
            raise ArithmeticError(f"{method} on {problem}: {made.iterations} iterations, wanted {STEPS}")

    def steps(self) -> Outcome:
        return self.method.solve(self.prepared, self.system, 1e-12, Limits(STEPS, SECONDS), None)

    def time_iterations(self, problem: str, method: str) -> None:
        self.steps()
