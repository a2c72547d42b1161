"""Products with a few long rows on a GPU: W^H r, and x + W^T alpha, for W (k, n) in single or double precision.

W^H r reads W once and r once for four rows (two complex ones); the other reads W, alpha and x and writes one vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ... import arrays
from . import launch


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """What the products need: two sets of small results, partial sums, and a vector."""

    alpha: Any
    beta: Any
    partials: Any
    ticket: Any
    t: Any


def room(count: int, n: int, columns: int, dtype: str, xp: Any) -> Room:
    numbers = (count + 4) * columns * (2 if dtype.startswith("complex") else 1)
    alpha, beta = (xp.empty(numbers, dtype=xp.float64) for _ in range(2))
    partials = xp.empty(4 * columns * launch.grid(n, columns)[0], dtype=xp.float64)
    return Room(alpha, beta, partials, xp.zeros(1, dtype=xp.uint32), xp.empty((n, columns), dtype=getattr(xp, dtype)))


def along(rows: Any, r: Any, columns: int, alpha: Any, room: Room) -> None:
    """alpha = rows^H r."""
    kernel = launch.kernels("rows.cu", D=rows, V=r)["along_rows"]
    count, group = rows.shape[0], 2 if arrays.dtype_name(r).startswith("complex") else 4
    for first in range(0, count, group):
        launch.launch(kernel, rows.shape[1], columns, count, first, rows, r, alpha, room.partials, room.ticket)


def add(rows: Any, a: float, alpha: Any, b: float, beta: Any, columns: int, x: Any, y: Any) -> None:
    """y = x + rows^T (a alpha + b beta)."""
    kernel = launch.kernels("rows.cu", D=rows, V=x)["add_rows"]
    launch.launch(kernel, rows.shape[1], columns, rows.shape[0], rows, a, alpha, b, beta, x, y)


__all__ = ["Room", "add", "along", "room"]
