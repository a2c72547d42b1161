"""Multigrid: one hierarchy and one cycle, fed by several set-ups."""

from .geometric import GeometricMultigrid
from .hierarchy import Hierarchy
from .smoothed_aggregation import SmoothedAggregation

__all__ = ["GeometricMultigrid", "Hierarchy", "SmoothedAggregation"]
