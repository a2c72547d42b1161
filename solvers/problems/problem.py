"""What every problem returns, and the checks of the arguments they share."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Problem(NamedTuple):
    """One linear system A x = b with what is known of it.

    A : csr_array (N, N); b : (N,); solution : (N,) exact solution of the differential equation at the unknowns, or None;
    nullspace : (N, d) or None; near_nullspace : (N, d) or None; coordinates : (N, dim) in the unit cube; grid : number of
    unknowns along each axis (last axis fastest), or None; coefficient : (N,) or None; spd : True, False, None if unknown.
    """

    A: Any
    b: np.ndarray
    solution: np.ndarray | None = None
    nullspace: np.ndarray | None = None
    near_nullspace: np.ndarray | None = None
    coordinates: np.ndarray | None = None
    grid: tuple[int, ...] | None = None
    coefficient: np.ndarray | None = None
    spd: bool | None = None
    name: str = ""

    def __repr__(self) -> str:
        return f"{self.name}: {self.A.shape[0]} unknowns, {self.A.nnz} entries"


def check(n: Any, dim: Any, smallest: int = 1) -> None:
    """Refuse what is no grid: n cells (or nodes) a side in 1, 2 or 3 dimensions."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < smallest:
        raise ValueError(f"n must be an integer >= {smallest}, the number of cells a side; got {n!r}")
    if dim not in (1, 2, 3):
        raise ValueError(f"dim must be 1, 2 or 3; got {dim!r}")


def positive(**values: float) -> None:
    for name, value in values.items():
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be a positive number; got {value!r}")


def one_of(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
