"""Linear finite elements on the Delaunay triangulation of jittered points: unstructured systems without a mesh file."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import sparse

from .data import canonical

JITTER = 0.35  # of the spacing, in every direction
SLIVER = 1e-4  # cells below this part of spacing^dim are left out: flat tetrahedra
Coefficient = Callable[[np.ndarray], np.ndarray]


def laplacian(n: int, dim: int, *, coefficient: Coefficient | None = None, seed: int) -> sparse.csr_array:
    """The stiffness matrix of -div(a grad u) with u = 0 where x_0 = 0 and no flux elsewhere, P1 on the unit cube.

    (n + 1)^dim points of a grid, moved by up to JITTER of the spacing; those with u given are eliminated, so A has
    n (n + 1)^(dim - 1) rows, numbered along the grid, and is symmetric positive definite. a is taken at the middle of a cell;
    None means 1. The same points for a seed. ValueError for a dim other than 2 and 3. Cost: that of the triangulation (two
    seconds for 500^2, a minute for 60^3).

    >>> from petrov.benchmarks.unstructured import laplacian
    >>> A = laplacian(8, 2, seed=611)
    >>> A.shape, abs(A - A.T).max()
    ((72, 72), np.float64(0.0))
    """
    if dim not in (2, 3):
        raise ValueError(f"dim must be 2 or 3; got {dim!r}")
    points = jittered(n, dim, seed)
    cells = triangulation(points, n)
    values = np.ones(len(cells)) if coefficient is None else coefficient(points[cells].mean(axis=1))
    free = points[:, 0] > 0
    return canonical(assemble(points, cells, values)[free][:, free])


def jittered(n: int, dim: int, seed: int) -> np.ndarray:
    """Points (N, dim), last coordinate fastest; those on a face, an edge or a corner of the cube stay on it."""
    axis = np.linspace(0.0, 1.0, n + 1)
    points = np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    shift = np.random.default_rng(seed).uniform(-JITTER / n, JITTER / n, points.shape)
    shift[(points == 0) | (points == 1)] = 0.0
    return points + shift


def triangulation(points: np.ndarray, n: int) -> np.ndarray:
    """Cells (M, dim + 1) of the Delaunay triangulation, without slivers."""
    from scipy.spatial import Delaunay

    cells = Delaunay(points).simplices
    return cells[volumes(points, cells) > SLIVER / n ** points.shape[1]]


def edges(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """(M, dim, dim): the edges that leave a cell's first corner."""
    corners = points[cells]
    return corners[:, 1:] - corners[:, :1]


def volumes(points: np.ndarray, cells: np.ndarray) -> np.ndarray:
    return np.abs(np.linalg.det(edges(points, cells))) / math.factorial(points.shape[1])


def assemble(points: np.ndarray, cells: np.ndarray, values: np.ndarray) -> sparse.csr_array:
    """sum over cells of a |T| grad phi_i . grad phi_j; the gradients are the columns of the inverse of the edges."""
    inverse = np.linalg.inv(edges(points, cells))
    gradients = np.concatenate([-inverse.sum(axis=2, keepdims=True), inverse], axis=2)
    weights = values * volumes(points, cells)
    local = np.einsum("m,mdi,mdj->mij", weights, gradients, gradients)
    rows = np.repeat(cells, cells.shape[1], axis=1)
    columns = np.tile(cells, (1, cells.shape[1]))
    A = sparse.coo_array((local.ravel(), (rows.ravel(), columns.ravel())), shape=(len(points),) * 2).tocsr()
    return 0.5 * (A + A.T)  # a sum of many parts is rounded in another order above the diagonal than below
