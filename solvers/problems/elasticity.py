"""Linear elasticity by P1 elements on a structured simplicial mesh of the unit square or cube."""

from __future__ import annotations

from itertools import permutations
from math import factorial

import numpy as np
import scipy.sparse as sp

from .grid import mesh
from .problem import Problem, check, positive


def elasticity(n: int, dim: int = 2, *, young: float = 1.0, poisson_ratio: float = 0.3) -> Problem:
    """-div sigma(u) = f, clamped where x_0 = 0, free elsewhere, loaded by f = -e_last (plane strain in 2-D).

    n cells a side, each cut into dim! simplices; the clamped displacements are condensed out, so A is symmetric positive
    definite with dim unknowns a free node, node by node. near_nullspace: the rigid-body modes at the free nodes, (N, 3) or
    (N, 6). young in units of stress, poisson_ratio in (0, 1/2). ValueError for anything else. O(n^dim).

    >>> from petrov.solvers import problems
    >>> problems.elasticity(4).near_nullspace.shape
    (40, 3)
    """
    check(n, dim)
    positive(young=young)
    if dim == 1:
        raise ValueError("elasticity needs dim 2 or 3; got 1; use poisson(n, 1)")
    if not 0 < poisson_ratio < 0.5:
        raise ValueError(f"poisson_ratio must lie in (0, 1/2); got {poisson_ratio!r}")
    points, simplices = simplicial(n, dim)
    A, b = assemble(points, simplices, young, poisson_ratio)
    free = np.repeat(points[:, 0] > 0, dim)
    modes = rigid_body_modes(points)[free]
    return Problem(A[free][:, free].tocsr(), b[free], None, None, modes, points[points[:, 0] > 0], None, None, True, "elasticity")


def simplicial(n: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """(nodes, simplices): every cell of an n^dim grid cut into dim! simplices along its diagonal (Kuhn)."""
    points = mesh(np.arange(n + 1) / n, dim)
    strides = (n + 1) ** np.arange(dim - 1, -1, -1)
    corners = mesh(np.arange(n), dim).astype(int) @ strides
    simplices = []
    for order in permutations(range(dim)):
        path = np.cumsum([0, *(strides[axis] for axis in order)])
        simplices.append(corners[:, None] + path)
    return points, np.concatenate(simplices)


def assemble(points: np.ndarray, simplices: np.ndarray, young: float, poisson_ratio: float) -> tuple[sp.csr_array, np.ndarray]:
    """Stiffness matrix and load of f = -e_last on all nodes, unknowns node by node.

    Element matrix: |T| (lambda g_i g_j^T + mu (g_j g_i^T + (g_i . g_j) I)) with g the gradients of the hat functions.
    """
    dim, count = points.shape[1], len(simplices)
    edges = points[simplices[:, 1:]] - points[simplices[:, :1]]
    volume = np.abs(np.linalg.det(edges)) / factorial(dim)
    inverse = np.linalg.inv(edges)  # columns are the gradients of the last dim hat functions
    gradients = np.concatenate([-inverse.sum(axis=2, keepdims=True), inverse], axis=2).transpose(0, 2, 1)
    mu = young / (2 * (1 + poisson_ratio))
    lame = young * poisson_ratio / ((1 + poisson_ratio) * (1 - 2 * poisson_ratio))
    outer = np.einsum("tia,tjb->tiajb", gradients, gradients)
    products = np.einsum("tic,tjc->tij", gradients, gradients)
    local = lame * outer + mu * outer.transpose(0, 1, 4, 3, 2)
    local += mu * np.einsum("tij,ab->tiajb", products, np.eye(dim))
    local *= volume[:, None, None, None, None]
    unknowns = (simplices[:, :, None] * dim + np.arange(dim)).reshape(count, -1).astype(np.int32)
    size = unknowns.shape[1]
    rows, columns = np.repeat(unknowns, size, axis=1).ravel(), np.tile(unknowns, (1, size)).ravel()
    total = points.size
    A = sp.coo_array((local.reshape(-1), (rows, columns)), shape=(total, total)).tocsr()
    b = np.zeros(total)
    np.add.at(b, simplices * dim + dim - 1, -(volume / (dim + 1))[:, None])
    return A, b


def rigid_body_modes(points: np.ndarray) -> np.ndarray:
    """Translations and rotations at the nodes, (nodes * dim, 3 or 6)."""
    count, dim = points.shape
    centred = points - points.mean(axis=0)
    modes = [np.tile(np.eye(dim)[axis], count) for axis in range(dim)]
    for i in range(dim):
        for j in range(i + 1, dim):
            rotation = np.zeros((count, dim))
            rotation[:, i], rotation[:, j] = -centred[:, j], centred[:, i]
            modes.append(rotation.ravel())
    return np.stack(modes, axis=1)
