"""Sequences of related systems: what one solve leaves for the next."""

from .space import RecycleSpace

__all__ = ["RecycleSpace"]
