"""Sequences of related systems, solved in an order and by means that each system takes from those before it."""

from .sequence import Sequence, Summary

__all__ = ["Sequence", "Summary"]
