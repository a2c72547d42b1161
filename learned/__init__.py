"""Learned preconditioners: trained on a family of systems, recipes like any other, applied by compiled kernels.

Importing this, loading weights and applying them need no torch; training does (pip install "petrov[learned]").
"""

if not __name__.startswith("petrov."):
    raise ImportError("learned/ is the package petrov.learned: install petrov (or put src/ on the path) and import that")

import importlib
from typing import TYPE_CHECKING, Any

from .checkpoint import WeightsError, describe, load, save, shipped
from .conjugate_directions import ConjugateDirections
from .factors import NeumannFactor
from .families import FAMILIES, Family, split
from .graph_multigrid import GraphMultigrid
from .preconditioner import GraphFactor, SparseInverseNetwork
from .sweeps import DiagonalSweeps

if TYPE_CHECKING:
    from .training import train
    from .tuning import tune

TRAINING = {"train": ".training", "tune": ".tuning"}  # what needs torch, and its module

__all__ = [
    "FAMILIES", "ConjugateDirections", "DiagonalSweeps", "Family", "GraphFactor", "GraphMultigrid", "NeumannFactor",
    "SparseInverseNetwork", "WeightsError", "describe", "load", "save", "shipped", "split", "train", "tune",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """`train` and `tune`, loaded when first used: they need torch."""
    if name not in TRAINING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    try:
        return getattr(importlib.import_module(TRAINING[name], __name__), name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torch_geometric"):
            raise
        raise ImportError(f'training needs {error.name}: pip install "petrov[learned]"') from error
