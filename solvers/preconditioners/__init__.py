"""Preconditioners M ~ A^-1: frozen recipes; called with A they do the set-up and return what is applied as M @ r."""

from .chebyshev import Chebyshev
from .deflation import Deflation
from .incomplete import IncompleteCholesky, IncompleteLU
from .jacobi import Jacobi
from .multigrid import GeometricMultigrid, SmoothedAggregation
from .schwarz import Schwarz
from .sparse_inverse import SparseInverse

__all__ = [
    "Chebyshev", "Deflation", "GeometricMultigrid", "IncompleteCholesky", "IncompleteLU", "Jacobi", "Schwarz",
    "SmoothedAggregation", "SparseInverse",
]  # fmt: skip
