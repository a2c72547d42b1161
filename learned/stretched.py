"""Finite volumes on a grid whose cells grow from one side or from the middle: the boundary layers of fluid dynamics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp


def widths(n: int, smallest: float, rng: np.random.Generator) -> np.ndarray:
    """Widths (n,) of cells that fill [0, 1], in geometric progression: from the left, from the right, or to the middle and back.

    The smallest is between `smallest` and 1 of the largest, on a logarithmic scale.
    """
    ratio = smallest ** float(rng.uniform())
    kind = int(rng.integers(3))
    place = np.linspace(0.0, 1.0, n) if kind < 2 else 1.0 - np.abs(np.linspace(-1.0, 1.0, n))
    h = ratio ** (1.0 - place)
    h = h[::-1] if kind == 1 else h
    return np.asarray(h / h.sum())


def middles(h: Sequence[np.ndarray]) -> np.ndarray:
    """The middles of the cells (n, dim), last axis fastest."""
    axes = [np.cumsum(width) - width / 2 for width in h]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(h))


def finite_volumes(h: Sequence[np.ndarray], a: np.ndarray, sides: Sequence[str]) -> Any:
    """-div(a grad u) integrated over cells of these widths, a (n_1, ..., n_dim) a cell: csr_array.

    Harmonic means between cells; 'dirichlet' sides of an axis are half a cell away, through 'neumann' sides nothing flows.
    """
    number, every = np.arange(a.size).reshape(a.shape), [slice(None)] * len(h)
    A = sp.csr_array((a.size, a.size))

    def add(i: np.ndarray, j: np.ndarray, w: np.ndarray) -> None:
        nonlocal A
        A = A + sp.coo_array((w.ravel(), (i.ravel(), j.ravel())), A.shape)

    for axis, width in enumerate(h):
        area = np.ones(())
        for k, other in enumerate(h):
            area = np.multiply.outer(area, np.ones_like(other) if k == axis else other)
        along = np.expand_dims(width, [k for k in range(len(h)) if k != axis])
        half = along / (2.0 * a * area)  # resistance from the middle of a cell to its face
        before, after, low, high = every.copy(), every.copy(), every.copy(), every.copy()
        before[axis], after[axis], low[axis], high[axis] = slice(-1), slice(1, None), slice(1), slice(-1, None)
        i, j = number[*before], number[*after]
        w = 1.0 / (half[*before] + half[*after])
        for rows, columns, values in ((i, i, w), (j, j, w), (i, j, -w), (j, i, -w)):
            add(rows, columns, values)
        if sides[axis] == "dirichlet":
            for end in (low, high):
                add(number[*end], number[*end], 1.0 / half[*end])
    A.sort_indices()
    return A
