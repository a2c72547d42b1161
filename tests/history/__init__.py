"""Where asv looks for benchmarks: those of the package."""

from petrov.benchmarks.history import Iterate, Solve

__all__ = ["Iterate", "Solve"]
