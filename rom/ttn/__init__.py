"""Tree tensor networks, and integrators for high-dimensional differential equations in that form."""

from .state import TTN
from .tree import Tree
from .truncation import truncated

__all__ = ["TTN", "Tree", "truncated"]
