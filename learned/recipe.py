"""What a learned preconditioner is to training and to files: a recipe whose weights can be read, exchanged and written."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np

from ..solvers.preconditioners import Jacobi


class Recipe(Protocol):
    """A recipe M(A) with weights. `kind` names it in files, `name` to people.

    `described` raises KeyError, TypeError or ValueError for what describes none of its kind.
    """

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def weights(self) -> Mapping[str, np.ndarray]: ...
    @property
    def module(self) -> Any: ...  # its network in torch
    def with_weights(self, weights: Mapping[str, np.ndarray]) -> Self: ...
    def description(self) -> dict[str, Any]: ...  # JSON values: with the weights they make the recipe again
    @classmethod
    def described(cls, description: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> Self: ...
    def bind(self, **facts: Any) -> Self: ...
    def small(self) -> Any: ...  # applied to a small system that it can take: for the probe
    def __call__(self, A: Any) -> Any: ...


def told(recipe: Any, **facts: Any) -> Any:
    """The recipe with the facts that are known; what it knew and is not told again stays."""
    return replace(recipe, **{name: fact for name, fact in facts.items() if fact is not None})


def fallen_back(name: str, A: Any, found: str) -> Any:
    """Jacobi instead, with a warning that says what was found."""
    warnings.warn(f"{name} failed its probe on this matrix: {found}; Jacobi is used instead", RuntimeWarning, stacklevel=3)
    return Jacobi()(A)
