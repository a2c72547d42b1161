"""Cells of a grid filled by solid bodies, and the Poisson matrix of those between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy import ndimage

from ..solvers.problems.grid import centres, finite_volumes

WALLS = ("dirichlet", "neumann")


def bodies(n: int, dim: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Which of n^dim cells of the unit cube are solid, as booleans: `count` balls, boxes and plates, turned at random.

    A body may leave the cube and overlap others. Fluid that no path of cells joins to a side of the cube is filled.
    """
    points, solid = centres(n, dim), np.zeros(n**dim, bool)
    for _ in range(count):
        y = (points - rng.uniform(0.1, 0.9, dim)) @ np.linalg.qr(rng.standard_normal((dim, dim)))[0]
        kind, sides = rng.integers(3), rng.uniform(0.03, 0.15, dim)
        if kind == 0:
            solid |= np.linalg.norm(y, axis=1) < sides[0]
        else:  # a plate is at least as thick as the diagonal of a cell, so that it is tight
            sides = np.array([dim**0.5 / n, *np.full(dim - 1, 2 * sides[1])]) if kind == 2 else sides
            solid |= (np.abs(y) < sides).all(axis=1)
    return filled(solid.reshape((n,) * dim))


def filled(solid: np.ndarray) -> np.ndarray:
    """Solid, and the fluid that does not reach a side."""
    labels, _ = ndimage.label(~solid)
    inner = (slice(1, -1),) * solid.ndim
    rim = np.ones(solid.shape, bool)
    rim[inner] = False
    return solid | ~np.isin(labels, np.unique(labels[rim & ~solid]))


def poisson(solid: np.ndarray, walls: str) -> Any:
    """h^2 times -Laplace between the bodies: csr_array (n, n), n fluid cells in the order of the grid.

    Zero on the sides of the cube. walls: 'dirichlet', zero in the solid cells, whose rows and columns are left out; 'neumann', no
    flux into them. ValueError if there is no fluid or no such kind of wall.
    """
    if walls not in WALLS:
        raise ValueError(f"walls must be one of {', '.join(WALLS)}; got {walls!r}")
    free = ~solid.ravel()
    if not free.any():
        raise ValueError("no cell is fluid; draw fewer bodies or a finer grid")
    K = finite_volumes(np.ones(solid.shape), ("dirichlet",) * solid.ndim) / float(len(solid)) ** 2
    rows = K[free]
    A = rows[:, free]
    if walls == "neumann":
        A = A + sp.diags_array(np.asarray(rows[:, ~free].sum(axis=1)).ravel())
    A = sp.csr_array(A)
    A.sort_indices()
    return A
