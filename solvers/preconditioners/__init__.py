"""Preconditioners M ~ A^-1: frozen recipes; called with A they do the set-up and return what is applied as M @ r."""

from .chebyshev import Chebyshev
from .incomplete import IncompleteCholesky, IncompleteLU
from .jacobi import Jacobi
from .multigrid import GeometricMultigrid, SmoothedAggregation

__all__ = ["Chebyshev", "GeometricMultigrid", "IncompleteCholesky", "IncompleteLU", "Jacobi", "SmoothedAggregation"]
