"""The peers, each as its manual has it, on the same A, b and tolerance in the same process: SciPy and PyAMG.

SciPy's and PyAMG's iterations stop on a residual that their recurrence carries (SciPy's minres on an estimate relative to
||A|| ||x||), so they are marked `tighten`: where the true residual misses the tolerance they are asked for less until it
does not, and timed at that. Neither knows a nullspace: they get P b. SuperLU gets the ordering and pivoting for a
symmetric pattern where A is symmetric positive (semi)definite, its defaults elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import linalg

from .data import SEED
from .methods import AMG_CAP, GENERAL, LARGEST_3D_DIRECT, SYMMETRIC_INDEFINITE, nothing
from .records import DEFINITE, EVERY, Limits, Method, Outcome, System

RESTART = 40


class OutOfTime(Exception):
    """Raised out of a peer's callback; `x` is its iterate."""

    def __init__(self, x: np.ndarray):
        super().__init__()
        self.x = x


def stopped(run: Callable[[], tuple[np.ndarray, int]]) -> tuple[np.ndarray, int]:
    """x and info of an iteration; where its callback ran out of time, the x of then and -1."""
    try:
        return run()
    except OutOfTime as stop:
        return stop.x.copy(), -1


def scipy_iteration(function: Callable[..., Any]) -> Callable[..., Outcome]:
    """scipy.sparse.linalg.cg or minres, its iterations counted by the callback."""

    def solve(M: Any, system: System, rtol: float, limits: Limits, history: list[float] | None) -> Outcome:
        b, count, end = system.projected, [0], time.perf_counter() + limits.seconds
        scale = np.linalg.norm(b)

        def look(x: np.ndarray) -> None:
            count[0] += 1
            if history is not None:
                history.append(float(np.linalg.norm(b - system.A @ x) / scale))
            if time.perf_counter() > end:
                raise OutOfTime(x)

        if history is not None:
            history.append(1.0)
        x, info = stopped(
            lambda: function(system.A, b, rtol=rtol, maxiter=limits.iterations, M=M, callback=look)
        )  # fmt: skip
        return Outcome(x, claims=info == 0, iterations=count[0])

    return solve


def scipy_gmres(M: Any, system: System, rtol: float, limits: Limits, history: list[float] | None) -> Outcome:
    """scipy.sparse.linalg.gmres(restart=40); its maxiter counts restarts, and the callback sees no x."""
    norms: list[float] = []
    end = time.perf_counter() + limits.seconds

    def look(norm: float) -> None:
        norms.append(norm)
        if time.perf_counter() > end:
            raise OutOfTime(np.zeros_like(system.b))

    x, info = stopped(
        lambda: linalg.gmres(
            system.A, system.projected, rtol=rtol, restart=RESTART, maxiter=-(-limits.iterations // RESTART), M=M,
            callback=look, callback_type="pr_norm",
        )
    )  # fmt: skip
    return Outcome(x, claims=info == 0, iterations=len(norms))


def scipy_jacobi(system: System) -> Any:
    inverse = 1.0 / system.A.diagonal()
    return linalg.LinearOperator(system.A.shape, lambda r: inverse * r.ravel(), dtype=system.A.dtype)


def scipy_ilu(system: System) -> Any:
    factors = linalg.spilu(sparse.csc_array(system.A))
    return linalg.LinearOperator(system.A.shape, factors.solve, dtype=system.A.dtype)


def superlu(**options: Any) -> Callable[[System], Any]:
    """Set-up: the conversion to CSC and the factorisation."""

    def setup(system: System) -> Any:
        return linalg.splu(sparse.csc_array(system.A), **options)

    return setup


def substitute(factors: Any, system: System, rtol: float, limits: Limits, history: list[float] | None) -> Outcome:
    return Outcome(factors.solve(system.projected), claims=None)


def pyamg_hierarchy(kind: str) -> Callable[[System], tuple[Any, Any]]:
    """Set-up: PyAMG's hierarchy with its defaults, the near-nullspace given to the kind that takes one.

    PyAMG draws vectors from NumPy's global generator; it is seeded for the set-up, so that repeats repeat, and restored.
    """

    def setup(system: System) -> tuple[Any, Any]:
        import pyamg

        A = sparse.csr_matrix(system.A)  # a new object: PyAMG writes attributes on the matrix it gets
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(SEED)  # noqa: NPY002
        try:
            if kind == "smoothed_aggregation":
                hierarchy = pyamg.smoothed_aggregation_solver(A, B=system.near_nullspace)
            else:
                hierarchy = pyamg.ruge_stuben_solver(A)
        finally:
            np.random.set_state(state)  # noqa: NPY002
        return A, hierarchy.aspreconditioner(cycle="V")

    return setup


def pyamg_jacobi(system: System) -> tuple[Any, Any]:
    return sparse.csr_matrix(system.A), scipy_jacobi(system)


def pyamg_cg(prepared: tuple[Any, Any], system: System, rtol: float, limits: Limits, history: list[float] | None) -> Outcome:
    """pyamg.krylov.cg with the V-cycle as M."""
    from pyamg import krylov

    (A, M), b, end = prepared, system.projected, time.perf_counter() + limits.seconds
    norms: list[float] = []

    def look(x: np.ndarray) -> None:
        if time.perf_counter() > end:
            raise OutOfTime(x)

    x, info = stopped(
        lambda: krylov.cg(A, b, tol=rtol, maxiter=limits.iterations, M=M, residuals=norms, callback=look)
    )  # fmt: skip
    if history is not None:
        history.extend((np.array(norms) / np.linalg.norm(b)).tolist())
    return Outcome(x, claims=info == 0, iterations=len(norms) - 1)


PEERS: tuple[Method, ...] = (
    Method("scipy cg", "scipy", DEFINITE, nothing, scipy_iteration(linalg.cg), tighten=True, history_costs=True),
    Method("scipy cg + Jacobi", "scipy", DEFINITE, scipy_jacobi, scipy_iteration(linalg.cg), tighten=True, history_costs=True),
    Method(
        "scipy minres", "scipy", SYMMETRIC_INDEFINITE, nothing, scipy_iteration(linalg.minres),
        tighten=True, history_costs=True,
    ),
    Method("scipy gmres + ILU", "scipy", GENERAL, scipy_ilu, scipy_gmres, tighten=True),
    Method(
        "scipy splu", "scipy", DEFINITE,
        superlu(permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}), substitute,
        largest_3d=LARGEST_3D_DIRECT,
    ),
    Method("scipy splu", "scipy", EVERY - DEFINITE, superlu(), substitute, largest_3d=LARGEST_3D_DIRECT),
    Method(
        "pyamg SA + cg", "pyamg", DEFINITE, pyamg_hierarchy("smoothed_aggregation"), pyamg_cg,
        tighten=True, needs="pyamg", iteration_cap=AMG_CAP,
    ),
    Method(
        "pyamg RS + cg", "pyamg", DEFINITE, pyamg_hierarchy("ruge_stuben"), pyamg_cg,
        tighten=True, needs="pyamg", iteration_cap=AMG_CAP,
    ),
)  # fmt: skip

PYAMG_JACOBI = Method("pyamg cg + Jacobi", "pyamg", DEFINITE, pyamg_jacobi, pyamg_cg, tighten=True, needs="pyamg")
