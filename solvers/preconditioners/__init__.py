"""Preconditioners M ~ A^-1: frozen recipes; called with A they do the set-up and return what is applied as M @ r."""

from typing import Any

from .chebyshev import Chebyshev
from .deflation import Deflation
from .incomplete import IncompleteCholesky, IncompleteLU
from .jacobi import Jacobi
from .multigrid import GeometricMultigrid, SmoothedAggregation
from .schwarz import Schwarz
from .sparse_inverse import SparseInverse

NAMED: dict[str, Any] = {  # what they are called by in text
    "jacobi": Jacobi, "chebyshev": Chebyshev, "ic": IncompleteCholesky, "ilu": IncompleteLU, "amg": SmoothedAggregation,
    "fsai": SparseInverse, "gmg": GeometricMultigrid,
}  # fmt: skip

__all__ = [
    "NAMED", "Chebyshev", "Deflation", "GeometricMultigrid", "IncompleteCholesky", "IncompleteLU", "Jacobi", "Schwarz",
    "SmoothedAggregation", "SparseInverse",
]  # fmt: skip
