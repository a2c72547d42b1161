"""Tree tensor networks, and integrators for high-dimensional differential equations in that form."""

from .environments import Environments
from .gauges import Gauges, gauges
from .kron_sum import KronSum
from .state import TTN
from .tree import Tree
from .truncation import truncated
from .ttno import TTNO

__all__ = ["TTN", "TTNO", "Environments", "Gauges", "KronSum", "Tree", "gauges", "truncated"]
