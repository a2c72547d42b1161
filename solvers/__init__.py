"""Linear solvers: Krylov methods, preconditioners, direct factorisations, and the front door that chooses among them."""

if not __name__.startswith("petrov."):
    raise ImportError("solvers/ is the package petrov.solvers: install petrov (or put src/ on the path) and import that")

from .krylov import bicgstab, block_cg, cg, flexible_cg, gcrodr, gmres, lsmr, minres
from .preconditioners import (
    Chebyshev,
    Deflation,
    GeometricMultigrid,
    IncompleteCholesky,
    IncompleteLU,
    Jacobi,
    Schwarz,
    SmoothedAggregation,
    SparseInverse,
)  # fmt: skip
from .recycling import RecycleSpace
from .result import SolveError, SolveInterrupted, SolveResult, Status
from .sequences import Sequence
from .solve import solve
from .solver import Solver
from .storage import compact

__all__ = [
    "Chebyshev", "Deflation", "GeometricMultigrid", "IncompleteCholesky", "IncompleteLU", "Jacobi", "RecycleSpace", "Schwarz",
    "Sequence", "SmoothedAggregation", "SolveError", "SolveInterrupted", "SolveResult", "Solver", "SparseInverse", "Status",
    "bicgstab", "block_cg", "cg", "compact", "flexible_cg", "gcrodr", "gmres", "lsmr", "minres", "solve",
]  # fmt: skip
