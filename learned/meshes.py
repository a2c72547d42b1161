"""Meshes of triangles and tetrahedra on the unit square and cube, with holes; linear elements on them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from math import factorial
from typing import Any

import numpy as np
import scipy.sparse as sp

FLAT = 0.02  # of the volume of a regular simplex of the same longest edge: less is a sliver, which is left out
ROOM = 0.45  # spacings that points keep from sides and holes


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """points (N, dim) in the unit square or cube and simplices (T, dim + 1) of their numbers; every point is in one."""

    points: np.ndarray
    simplices: np.ndarray

    def on_side(self, axis: int, end: int) -> np.ndarray:
        """Whether a point lies on the side x_axis = end (0 or 1), (N,)."""
        return np.abs(self.points[:, axis] - end) < 1e-12


def mesh(size: int, dim: int, rng: np.random.Generator, *, holes: int = 0, jitter: float = 0.25) -> Mesh:
    """The Delaunay mesh of about `size` points: a staggered lattice moved at random, with `holes` round holes.

    jitter: the largest move, in spacings; about 0.3 makes obtuse triangles. The lattice is hexagonal in 2-D and body-centred
    cubic in 3-D; slivers, which sides and holes leave, are left out. Points are numbered from left to right: triangular factors
    and caches like neighbours to be near. O(size log size).
    """
    from scipy.spatial import Delaunay

    spacing = (2 / 3**0.5 / size) ** 0.5 if dim == 2 else (2 / size) ** (1 / 3) * 3**0.5 / 2
    balls = round_holes(holes, dim, rng)
    regular = lattice(spacing, dim)
    inside = regular + spacing * jitter * rng.uniform(-1, 1, regular.shape)
    inside = inside[((inside > ROOM * spacing) & (inside < 1 - ROOM * spacing)).all(axis=1)]
    points: np.ndarray = np.concatenate([sides(spacing, dim), inside])
    for centre, radius in balls:
        far = np.linalg.norm(points - centre, axis=1) > radius + ROOM * spacing
        points = np.concatenate([points[far], centre + radius * directions(radius, spacing, dim)])
    simplices = np.sort(Delaunay(points).simplices, axis=1)
    kept = ~flat(points, simplices)
    middle = points[simplices].mean(axis=1)
    for centre, radius in balls:
        kept &= np.linalg.norm(middle - centre, axis=1) > radius
    simplices = simplices[kept]
    used = np.unique(simplices)
    used = used[np.lexsort(points[used].T[::-1])]
    numbers = np.empty(len(points), int)
    numbers[used] = np.arange(len(used))
    return Mesh(points[used], numbers[simplices])


def lattice(spacing: float, dim: int) -> np.ndarray:
    """The points of a hexagonal (2-D) or body-centred cubic (3-D) lattice with neighbours `spacing` apart, over [0, 1]^dim."""
    steps = (spacing, spacing * 3**0.5) if dim == 2 else (spacing * 2 / 3**0.5,) * 3
    corners = np.stack(np.meshgrid(*[np.arange(0, 1 + step, step) for step in steps], indexing="ij"), axis=-1).reshape(-1, dim)
    return np.concatenate([corners, corners + 0.5 * np.array(steps)])


def sides(spacing: float, dim: int) -> np.ndarray:
    """Points on the boundary of the cube, about `spacing` apart, each once."""
    count = max(1, round(1 / spacing))
    grid = np.array(list(product(range(count + 1), repeat=dim - 1)))
    faces = [np.insert(grid, axis, end, axis=1) for axis in range(dim) for end in (0, count)]
    return np.unique(np.concatenate(faces), axis=0) / count


def round_holes(count: int, dim: int, rng: np.random.Generator) -> list[tuple[np.ndarray, float]]:
    """`count` or fewer balls (centre, radius) inside of the cube that keep apart."""
    found: list[tuple[np.ndarray, float]] = []
    for _ in range(20 * count):
        radius = float(rng.uniform(0.08, 0.2))
        centre = rng.uniform(radius + 0.08, 1 - radius - 0.08, dim)
        if len(found) < count and all(np.linalg.norm(centre - c) > radius + r + 0.08 for c, r in found):
            found.append((centre, radius))
    return found


def directions(radius: float, spacing: float, dim: int) -> np.ndarray:
    """Unit vectors that lie about `spacing` apart on a circle or (Fibonacci's spiral) a sphere of this radius."""
    if dim == 2:
        around = np.linspace(0, 2 * np.pi, max(6, round(2 * np.pi * radius / spacing)), endpoint=False)
        return np.stack([np.cos(around), np.sin(around)], axis=1)
    count = max(12, round(4 * np.pi * (radius / spacing) ** 2))
    height = 1 - (2 * np.arange(count) + 1) / count
    angle = np.pi * (3 - 5**0.5) * np.arange(count)
    width = np.sqrt(1 - height**2)
    return np.stack([width * np.cos(angle), width * np.sin(angle), height], axis=1)


def flat(points: np.ndarray, simplices: np.ndarray) -> np.ndarray:
    """Whether a simplex is a sliver, (T,)."""
    corners, dim = points[simplices], points.shape[1]
    lengths = [np.linalg.norm(corners[:, i] - corners[:, j], axis=1) for i, j in combinations(range(dim + 1), 2)]
    regular = np.sqrt((dim + 1) / 2**dim) / factorial(dim) * np.max(lengths, axis=0) ** dim
    return volumes(corners) < FLAT * regular


def volumes(corners: np.ndarray) -> np.ndarray:
    """Of simplices given by their corners (T, dim + 1, dim): (T,)."""
    return np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / factorial(corners.shape[2])


def stiffness(grid: Mesh, conductivity: np.ndarray) -> sp.csr_array:
    """The matrix of int (K grad u) . grad v over all points, K (T, dim, dim) symmetric on each simplex; symmetric to the bit.

    Of linear elements: |T| g_i . K g_j with g the gradients of the hat functions. O(T).
    """
    corners = grid.points[grid.simplices]
    inverse = np.linalg.inv(corners[:, 1:] - corners[:, :1])  # columns: gradients of all hat functions but the first
    gradients = np.concatenate([-inverse.sum(axis=2, keepdims=True), inverse], axis=2).transpose(0, 2, 1)
    local = np.einsum("tia,tab,tjb->tij", gradients, conductivity, gradients) * volumes(corners)[:, None, None]
    return assembled(grid, local)


def mass(grid: Mesh, density: np.ndarray) -> sp.csr_array:
    """The matrix of int density u v, density (T,): |T| (1 + delta_ij) / ((dim + 1) (dim + 2)). O(T)."""
    dim = grid.points.shape[1]
    weights = density * volumes(grid.points[grid.simplices]) / ((dim + 1) * (dim + 2))
    return assembled(grid, weights[:, None, None] * (1 + np.eye(dim + 1)))


def assembled(grid: Mesh, local: np.ndarray) -> Any:
    """The sum of the element matrices (T, dim + 1, dim + 1), made symmetric to the bit."""
    size, n = local.shape[1], len(grid.points)
    rows, columns = np.repeat(grid.simplices, size, axis=1).ravel(), np.tile(grid.simplices, (1, size)).ravel()
    A = sp.coo_array((local.ravel(), (rows, columns)), shape=(n, n)).tocsr()
    return sp.csr_array((A + A.T) / 2)
