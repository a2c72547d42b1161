"""Linear solvers: Krylov methods, preconditioners, direct factorisations, and the front door that chooses among them."""

if not __name__.startswith("petrov."):
    raise ImportError("solvers/ is the package petrov.solvers: install petrov (or put src/ on the path) and import that")

from .krylov import bicgstab, cg, flexible_cg, gmres, lsmr, minres
from .preconditioners import (
    Chebyshev,
    GeometricMultigrid,
    IncompleteCholesky,
    IncompleteLU,
    Jacobi,
    Schwarz,
    SmoothedAggregation,
    SparseInverse,
)  # fmt: skip
from .result import SolveError, SolveInterrupted, SolveResult, Status
from .solve import solve
from .solver import Solver
from .storage import compact

__all__ = [
    "Chebyshev", "GeometricMultigrid", "IncompleteCholesky", "IncompleteLU", "Jacobi", "Schwarz", "SmoothedAggregation",
    "SolveError", "SolveInterrupted", "SolveResult", "Solver", "SparseInverse", "Status", "bicgstab", "cg", "compact",
    "flexible_cg", "gmres", "lsmr", "minres", "solve",
]  # fmt: skip
