"""Forward and backward substitution with a sparse triangular factor, many right-hand sides at once; O(entries k) each.

The right-hand sides lie side by side, row by row (C order), so that a row of the factor is read once for all of them and the
innermost loop runs along contiguous numbers. Both sweeps gather: down takes the rows of L, up those of L^H.
"""

from __future__ import annotations

from typing import Any

from .compiler import njit

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


@njit(**OPTIONS)
def down(starts, columns, values, B):
    """B <- L^-1 B in place, for L unit lower triangular; starts, columns, values: its strict lower triangle by rows."""
    n, k = B.shape
    for i in range(n):
        for entry in range(starts[i], starts[i + 1]):
            j, value = columns[entry], values[entry]
            for c in range(k):
                B[i, c] -= value * B[j, c]


@njit(**OPTIONS)
def up(starts, columns, values, B):
    """B <- L^-H B in place; starts, columns, values: the strict upper triangle of L^H by rows."""
    n, k = B.shape
    for i in range(n - 1, -1, -1):
        for entry in range(starts[i], starts[i + 1]):
            j, value = columns[entry], values[entry]
            for c in range(k):
                B[i, c] -= value * B[j, c]
