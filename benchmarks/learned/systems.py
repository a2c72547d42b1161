"""Systems that no training saw: draws of the families with seeds of their own, draws of others, and right-hand sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from ...learned import families, meshes
from ...learned.families import Family, System
from ...learned.obstacles import WALLS, bodies, poisson
from ...solvers.problems.fields import balls, blocks
from ...solvers.problems.grid import centres, finite_volumes
from .. import data
from ..unstructured import laplacian

SEED = 880_301  # training seeds begin at 71,993 and count by one: none of them is near


WARM = 40_000  # unknowns from which kernels take their form for large systems


@dataclass(frozen=True, slots=True)
class Case:
    """Held-out systems that are measured together: `make(k)` is the k-th of `count`.

    every: some are solved for all kinds of right-hand sides, else for white noise alone; grid: the matrices are five- or
    seven-point ones of a grid.
    rtol: to which they are solved; warm: a smaller system that compiles and warms up as well as the first.
    """

    work: str
    name: str
    family: str
    make: Callable[[int], System]
    count: int
    dim: int = 2
    grid: bool = False
    every: bool = False
    rtol: float = 1e-8
    warm: Callable[[], System] | None = None

    @property
    def problem(self) -> str:
        return f"{self.work}: {self.name}"


def obstacles(n: int, k: int) -> System:
    """Poisson on n^2 cells between bodies that are the same for every n; k even: Dirichlet walls, odd: Neumann."""
    rng = np.random.default_rng([SEED, k])
    solid = bodies(n, 2, int(rng.integers(1, 9)), rng)
    A = poisson(solid, WALLS[k % 2])
    b = np.random.default_rng([SEED, k, n]).standard_normal(A.shape[0])
    points = centres(n, 2)[~solid.ravel()]
    unknown: Any = None
    return System(A, b, points, unknown, unknown, f"obstacles {n}^2", (n, n), ~solid)


def drawn(work: str, family: Family, size: int, count: int, *, name: str = "", every: bool = False) -> Case:
    """The case of `count` draws of a family at a size."""

    def make(k: int) -> System:
        return family.system(size, SEED + k)

    label = name or family.name
    warm = partial(family.system, WARM, SEED) if size > WARM else None
    return Case(work, f"{label}, {size:,}", label, make, count, family.dim, not family.elements, every, warm=warm)


def only(name: str, coefficient: str) -> Family:
    """A family with one kind of coefficient."""
    return replace(families.family(name), coefficients=(coefficient,))


# -- What no family draws --------------------------------------------------------------------------------------------------


def finite_elements(
    size: int, seed: int, *, dim: int = 2, field: Callable[[int], np.ndarray] | None = None, tensor: Any = None,
    outside: Callable[[np.ndarray], np.ndarray] | None = None, holes: int = 0, name: str,
) -> System:  # fmt: skip
    """Linear elements, Dirichlet where x = 0: field(seed) on cells of the cube times tensor (dim, dim); simplices whose middle is
    `outside` are left out."""
    rng = np.random.default_rng([seed, size])
    grid = meshes.mesh(size, dim, rng, holes=holes)
    if outside is not None:
        grid = without(grid, outside)
    middle = grid.points[grid.simplices].mean(axis=1)
    a = np.ones(len(middle))
    if field is not None:
        values = field(seed)
        a = values[tuple(np.minimum((middle * len(values)).astype(int), len(values) - 1).T)]
    K = meshes.stiffness(grid, a[:, None, None] * (np.eye(dim) if tensor is None else tensor))
    M = meshes.mass(grid, np.zeros(len(middle)))
    member = replace(families.family("fem2d" if dim == 2 else "fem3d"), name=name)
    return families.condensed(member, "", grid, M, K, [True] + [False] * (2 * dim - 1), rng)


def without(grid: meshes.Mesh, outside: Callable[[np.ndarray], np.ndarray]) -> meshes.Mesh:
    """The mesh of the simplices whose middle is not outside, and of their points."""
    kept = grid.simplices[~outside(grid.points[grid.simplices].mean(axis=1))]
    used, numbers = np.unique(kept, return_inverse=True)
    return meshes.Mesh(grid.points[used], numbers.reshape(kept.shape))


def l_shape(middle: np.ndarray) -> np.ndarray:
    return np.asarray((middle > 0.5).all(axis=1))


def turned(epsilon: float, angle: float) -> np.ndarray:
    """diag(1, epsilon), turned."""
    Q = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return Q @ np.diag([1.0, epsilon]) @ Q.T


def anisotropic(size: int, seed: int) -> System:
    """10^-3, turned by a random angle."""
    angle = float(np.random.default_rng(seed).uniform(0.1, np.pi / 2 - 0.1))
    return finite_elements(size, seed, tensor=turned(1e-3, angle), name="rotated anisotropy 1e-3")


def block_field(contrast: float, dim: int = 2) -> Callable[[int], np.ndarray]:
    return lambda seed: blocks(64 if dim == 2 else 24, dim, seed, contrast, 8)


def ball_field(contrast: float, n: int = 64, dim: int = 2) -> Callable[[int], np.ndarray]:
    return lambda seed: balls(n, dim, seed, contrast, 16)


def other_mesh(n: int, seed: int) -> System:
    """Jittered points of a grid, triangulated: another generator, another numbering, some obtuse angles."""
    A = laplacian(n, 2, seed=seed)
    points = np.indices((n + 1, n + 1)).reshape(2, -1).T[n + 1 :] / n  # where they were before they were moved
    return of_matrix(A, seed, points, "jittered grid")


def of_matrix(A: Any, seed: int, points: np.ndarray | None, name: str, grid: tuple[int, ...] | None = None) -> System:
    """A system of A alone: its features are zero, its terms zero and A."""
    n = A.shape[0]
    b = np.random.default_rng(seed).standard_normal(n)
    nothing = sp.csr_array(A * 0.0)
    where = np.linspace(0, 1, n)[:, None] * np.ones(2) if points is None else points
    return System(sp.csr_array(A), b, where, np.zeros((n, 1)), (nothing, sp.csr_array(A)), name, grid)


def volumes(n: int, seed: int, field: np.ndarray, name: str) -> System:
    """Finite volumes with Dirichlet sides on the cells of a field."""
    A = finite_volumes(field, ("dirichlet",) * field.ndim) / float(n) ** 2
    return of_matrix(A, seed, centres(n, field.ndim), name, field.shape)


def noise(n: int, seed: int) -> System:
    """A coefficient of e^-4.6 to e^4.6 drawn for every cell alone."""
    return volumes(n, seed, np.exp(np.random.default_rng(seed).uniform(-4.6, 4.6, (n, n))), "cellwise noise")


def real(name: str) -> Callable[[int], System]:
    """A matrix of a file; its own right-hand side is not used, for every case has white noise."""

    def make(k: int) -> System:
        A, _ = data.read(name)
        return of_matrix(A, SEED + k, None, name)

    return make


SHIFTS: dict[str, Callable[[int, int], System]] = {  # name -> (size, seed) -> system
    "jittered grid": lambda size, seed: other_mesh(round(size**0.5), seed),
    "blocks, contrast 10^6": partial(finite_elements, field=block_field(1e6), name="blocks 10^6"),
    "inclusions, contrast 10^5": partial(finite_elements, field=ball_field(1e5), name="inclusions 10^5"),
    "rotated anisotropy 10^-3": anisotropic,
    "L-shape": partial(finite_elements, outside=l_shape, name="L-shape"),
    "many holes": partial(finite_elements, holes=8, name="many holes"),
    "three dimensions": partial(finite_elements, dim=3, name="three dimensions"),
}
GRID_SHIFTS: dict[str, Callable[[int, int], System]] = {  # name -> (cells a side, seed) -> system
    "cellwise noise e^4.6": noise,
    "grid blocks, contrast 10^6": lambda n, seed: volumes(n, seed, blocks(n, 2, seed, 1e6, 8), "blocks 10^6"),
    "grid inclusions, contrast 10^5": lambda n, seed: volumes(n, seed, balls(n, 2, seed, 1e5, 16), "inclusions 10^5"),
}


# -- Right-hand sides ------------------------------------------------------------------------------------------------------

KINDS = ("white", "smooth", "point", "range", "stripes")  # the first is timed


def right_hand_side(kind: str, system: System, seed: int) -> np.ndarray:
    """b (n,) of a kind: white noise; a sine; one entry near the middle; A times white noise; +-1 in eight stripes."""
    x, n = system.coordinates, len(system.b)
    if kind == "white":
        return np.random.default_rng([seed, 1]).standard_normal(n)
    if kind == "range":
        return system.A @ np.random.default_rng([seed, 2]).standard_normal(n)
    if kind == "smooth":
        return np.sin(np.pi * x).prod(axis=1) + 1e-3
    if kind == "stripes":
        return np.where((x[:, 0] * 8).astype(int) % 2, 1.0, -1.0)
    b = np.zeros(n)
    b[np.argmin(np.abs(x - 0.45).sum(axis=1))] = 1.0
    return b
