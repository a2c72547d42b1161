"""petrov: linear solvers that get faster with every system they solve."""

__version__ = "0.1.0"
