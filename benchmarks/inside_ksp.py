"""What our preconditioner costs inside PETSc: `python -m petrov.benchmarks.inside_ksp` (needs PETSc; one process).

PCApply of a PC of type python beside the preconditioner alone, and a step of PETSc's cg with it beside a step of ours on the same
matrix of PETSc, each taking its turn. Both solutions are held to the true residual first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import Solver
from ..solvers import SmoothedAggregation, cg, problems
from ..solvers.external import petsc

SYSTEMS = ((1024, 2), (100, 3))
RTOL = 1e-8


class Cost(NamedTuple):
    """Seconds of an application, and of a step, in PETSc and by ourselves."""

    inside: float
    alone: float
    ksp_step: float
    our_step: float

    def __str__(self) -> str:
        return (
            f"PCApply {1e3 * self.inside:.2f} ms, M {1e3 * self.alone:.2f} ms: {self.inside / self.alone:.3f}; a step of PETSc's "
            f"cg {1e3 * self.ksp_step:.2f} ms, of ours {1e3 * self.our_step:.2f} ms: {self.ksp_step / self.our_step:.3f}"
        )


def measured(n: int, dim: int, rounds: int = 9) -> Cost:
    """Medians for Poisson with n cells a side. ArithmeticError if a solution is not one."""
    A = problems.poisson(n, dim).A
    b = np.random.default_rng(7).standard_normal(A.shape[0])
    mat = petsc.petsc_matrix(A)
    M: Any = SmoothedAggregation()(A)
    ksp, x, rhs = prepared(mat, M, b)
    distributed, r, z = petsc.Distributed.of(mat), b.copy(), np.empty_like(b)
    results: list[Any] = []
    ways: dict[str, Callable[[], Any]] = {
        "inside": lambda: ksp.getPC().apply(rhs, x), "alone": lambda: M.apply_dot(r, z),
        "ksp": lambda: (x.set(0.0), ksp.solve(rhs, x)), "ours": lambda: results.append(cg(distributed, b, M=M, rtol=RTOL)),
    }  # fmt: skip
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    for found in (x.getArray(readonly=True), results[-1].x):
        if not np.linalg.norm(b - A @ found) <= 1.01 * RTOL * np.linalg.norm(b):
            raise ArithmeticError(f"a solution of Poisson {n}^{dim} is not within {RTOL:g}: no time is told")
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    return Cost(
        medians["inside"], medians["alone"], medians["ksp"] / ksp.getIterationNumber(), medians["ours"] / results[-1].iterations
    )


def prepared(mat: Any, M: Any, b: np.ndarray) -> tuple[Any, Any, Any]:
    """PETSc's cg with M in its PC, ready to solve, and its vectors."""
    from petsc4py import PETSc

    ksp = PETSc.KSP().create()
    ksp.setOperators(mat)
    ksp.setType("cg")
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(rtol=RTOL)
    ksp.getPC().setType("python")
    ksp.getPC().setPythonContext(Solver(mat, M=M).as_petsc_pc())
    ksp.setUp()
    x, rhs = mat.createVecs()
    rhs.setArray(b)
    return ksp, x, rhs


def main() -> None:
    for n, dim in SYSTEMS:
        print(f"Poisson {n}^{dim}: {measured(n, dim)}")


if __name__ == "__main__":
    main()
