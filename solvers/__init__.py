"""Linear solvers: Krylov methods, preconditioners, direct factorisations, and the front door that chooses among them."""

if not __name__.startswith("petrov."):
    raise ImportError("solvers/ is the package petrov.solvers: install petrov (or put src/ on the path) and import that")

from .krylov import bicgstab, cg, flexible_cg, gmres, lsmr, minres
from .result import SolveError, SolveInterrupted, SolveResult, Status
from .storage import compact

__all__ = [
    "SolveError", "SolveInterrupted", "SolveResult", "Status", "bicgstab", "cg", "compact", "flexible_cg", "gmres",
    "lsmr", "minres",
]  # fmt: skip
