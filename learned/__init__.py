"""Learned preconditioners: trained on a family of systems, recipes like any other, applied by compiled kernels.

Importing this, loading weights and applying them need no torch; training does (pip install "petrov[learned]").
"""

if not __name__.startswith("petrov."):
    raise ImportError("learned/ is the package petrov.learned: install petrov (or put src/ on the path) and import that")

import importlib
from typing import TYPE_CHECKING, Any

from .checkpoint import WeightsError, describe, load, save
from .factors import NeumannFactor
from .families import FAMILIES, Family, split
from .preconditioner import GraphFactor, SparseInverseNetwork
from .sweeps import DiagonalSweeps

if TYPE_CHECKING:
    from .training import train

__all__ = [
    "FAMILIES", "DiagonalSweeps", "Family", "GraphFactor", "NeumannFactor", "SparseInverseNetwork", "WeightsError", "describe",
    "load", "save", "split", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """`train`, loaded when first used: it needs torch."""
    if name != "train":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    try:
        return importlib.import_module(".training", __name__).train
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torch_geometric"):
            raise
        raise ImportError(f'training needs {error.name}: pip install "petrov[learned]"') from error
