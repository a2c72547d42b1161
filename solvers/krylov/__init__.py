"""Krylov methods: one method a file, one interface, one result."""

from .cg import cg

__all__ = ["cg"]
