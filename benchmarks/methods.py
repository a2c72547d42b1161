"""What petrov offers, as rows of the suite: the default, and each method with each preconditioner by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import solve as petrov_solve
from ..solvers import SolveResult, cg, compact, gmres, minres
from ..solvers.external.pyamg import PyAMG
from ..solvers.preconditioners import Chebyshev, IncompleteCholesky, IncompleteLU, Jacobi
from .records import DEFINITE, EVERY, Limits, Method, Outcome, System

AMG_CAP = 500
LARGEST_3D_DIRECT = 50_000


def outcome(result: SolveResult, system: System, history: list[float] | None, *, compiled: float = 0.0) -> Outcome:
    """A SolveResult as an Outcome; the history is relative to ||P b||, the norm at x0 = 0."""
    if history is not None:
        history.extend((result.residuals / np.linalg.norm(system.projected)).tolist())
    chose = result.method if result.preconditioner in ("", "none") else f"{result.method} + {result.preconditioner}"
    return Outcome(
        x=result.x, claims=result.converged, iterations=int(np.max(result.iterations)), chose=chose,
        setup_seconds=result.setup_seconds, compile_seconds=result.compile_seconds + compiled,
    )  # fmt: skip


def front_door(**choices: Any) -> Callable[..., Outcome]:
    """petrov.solve: one call does it all; it reports its own set-up, the rest of the wall time counts as solve."""

    def solve(_: None, system: System, rtol: float, limits: Limits, history: list[float] | None) -> Outcome:
        result = petrov_solve(
            system.A, system.b, rtol=rtol, nullspace=system.nullspace, near_nullspace=system.near_nullspace,
            time_limit=limits.seconds, raise_on_failure=False, **choices,
        )  # fmt: skip
        return outcome(result, system, history)

    return solve


def nothing(system: System) -> None:
    """No set-up: the call that follows does it."""


def prepare(recipe: Any) -> Callable[[System], tuple[Any, Any]]:
    """Set-up: A compacted once, and M = recipe(A) on it."""

    def setup(system: System) -> tuple[Any, Any]:
        A = compact(system.A)
        if recipe is None:
            return A, None
        bound = recipe.bind(near_nullspace=system.near_nullspace) if hasattr(recipe, "bind") else recipe
        return A, bound(A)

    return setup


def iterate(method: Callable[..., SolveResult], **own: Any) -> Callable[..., Outcome]:
    """Solve: one Krylov method on what `prepare` made; b is projected, for a method knows no nullspace."""

    def solve(prepared: tuple[Any, Any], system: System, rtol: float, limits: Limits, history: list[float] | None) -> Outcome:
        A, M = prepared
        result = method(A, system.projected, M=M, rtol=rtol, max_iterations=limits.iterations, time_limit=limits.seconds, **own)
        return outcome(result, system, history)

    return solve


SYMMETRIC_INDEFINITE = frozenset({"indefinite"})
GENERAL = frozenset({"general"})

METHODS: tuple[Method, ...] = (
    Method("petrov.solve", "petrov", EVERY, nothing, front_door()),
    Method("petrov cg", "petrov", DEFINITE, prepare(None), iterate(cg)),
    Method("petrov cg + Jacobi", "petrov", DEFINITE, prepare(Jacobi()), iterate(cg)),
    Method("petrov cg + Chebyshev", "petrov", DEFINITE, prepare(Chebyshev()), iterate(cg)),
    Method("petrov cg + IC(0)", "petrov", DEFINITE, prepare(IncompleteCholesky()), iterate(cg)),
    Method(
        "petrov cg + AMG", "petrov", DEFINITE, prepare(PyAMG(kind="smoothed_aggregation")), iterate(cg),
        needs="pyamg", iteration_cap=AMG_CAP,
    ),
    Method("petrov minres", "petrov", SYMMETRIC_INDEFINITE, prepare(None), iterate(minres)),
    Method("petrov gmres + ILU", "petrov", GENERAL, prepare(IncompleteLU()), iterate(gmres, restart=40)),
    Method(
        "petrov direct", "petrov", EVERY, nothing, front_door(method="direct"), largest_3d=LARGEST_3D_DIRECT
    ),
)  # fmt: skip
