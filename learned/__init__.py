"""Learned preconditioners: trained on a family of systems, recipes like any other, applied by compiled kernels.

Importing this, loading weights and applying them need no torch; training does (pip install "petrov[learned]").
"""

if not __name__.startswith("petrov."):
    raise ImportError("learned/ is the package petrov.learned: install petrov (or put src/ on the path) and import that")

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import WeightsError, describe, load, save, shipped
    from .conjugate_directions import ConjugateDirections
    from .factors import NeumannFactor
    from .families import FAMILIES, Family, split
    from .graph_multigrid import GraphMultigrid
    from .grid_multigrid import GridMultigrid
    from .preconditioner import GraphFactor, SparseInverseNetwork
    from .sweeps import DiagonalSweeps
    from .training import train
    from .tuning import tune

__all__ = [
    "FAMILIES", "ConjugateDirections", "DiagonalSweeps", "Family", "GraphFactor", "GraphMultigrid", "GridMultigrid",
    "NeumannFactor", "SparseInverseNetwork", "WeightsError", "describe", "load", "save", "shipped", "split", "train", "tune",
]  # fmt: skip

# Where the names are: each is loaded when first used, so that `petrov.solve` may ask what a learned candidate costs at no cost.
HOMES = {
    "checkpoint": ("WeightsError", "describe", "load", "save", "shipped"), "conjugate_directions": ("ConjugateDirections",),
    "factors": ("NeumannFactor",), "families": ("FAMILIES", "Family", "split"), "graph_multigrid": ("GraphMultigrid",),
    "grid_multigrid": ("GridMultigrid",), "preconditioner": ("GraphFactor", "SparseInverseNetwork"),
    "sweeps": ("DiagonalSweeps",), "training": ("train",), "tuning": ("tune",),
}  # fmt: skip
MODULES = {name: module for module, names in HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """The public names, loaded when first used; `train` and `tune` need torch."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    try:
        return getattr(importlib.import_module(f".{MODULES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torch_geometric"):
            raise
        raise ImportError(f'training needs {error.name}: pip install "petrov[learned]"') from error


def __dir__() -> list[str]:
    return sorted(__all__)
