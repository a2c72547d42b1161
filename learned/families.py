"""Families of systems to train on: seeded generators of diffusion by linear elements and finite volumes, and how they are split.

-div(K grad u) + c u = f with Dirichlet sides (at least one) and Neumann sides and holes. K is a coefficient times a matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from zlib import crc32

import numpy as np
import scipy.sparse as sp

from ..solvers.problems.fields import balls, blocks, lognormal
from ..solvers.problems.grid import centres, finite_volumes
from . import stretched
from .meshes import Mesh, mass, mesh, stiffness
from .obstacles import WALLS, bodies, poisson

COEFFICIENTS = ("constant", "lognormal", "blocks", "inclusions")
KINDS = (*COEFFICIENTS, "noise")
CELLS = {2: 64, 3: 24}  # a side of the grid on which the coefficient of a mesh is drawn


class System(NamedTuple):
    """A x = b with what a recipe may be told of it.

    A : csr_array (n, n), SPD; b : (n,), standard normal; coordinates : (n, dim); node_features : (n, 1), 1 where an unknown is
    coupled to a Dirichlet side; edge_features : (mass, stiffness), whose sum is A; grid : cells along each axis (last axis
    fastest), or None; mask : booleans of that shape, True where a cell holds an unknown, None if all do.
    """

    A: Any
    b: np.ndarray
    coordinates: np.ndarray
    node_features: np.ndarray
    edge_features: tuple[Any, Any]
    name: str
    grid: tuple[int, ...] | None = None
    mask: np.ndarray | None = None

    def bind(self, recipe: Any) -> Any:
        """The recipe told of this system's coordinates, features and grid, if it wants to know."""
        if not hasattr(recipe, "bind"):
            return recipe
        told = {"coordinates": self.coordinates, "node_features": self.node_features, "edge_features": self.edge_features}
        return recipe.bind(**told, grid=self.grid, mask=self.mask)

    def __repr__(self) -> str:
        return f"{self.name}: {self.A.shape[0]} unknowns, {self.A.nnz} entries"


@dataclass(frozen=True, slots=True)
class Family:
    """Systems of one kind: what a seed draws.

    Parameters
    ----------
    name : str
    elements : bool
        Linear elements on a Delaunay mesh; else finite volumes on a grid.
    dim : int
    coefficients : tuple of str
        Of 'constant', 'lognormal' (correlation length 0.02 to 0.2, deviation 0.3 to 2), 'blocks' (2 to 8 a side, contrast up to
        10^4), 'inclusions' (contrast up to 10^3 either way), 'noise' (contrast 10 to 10^4 from cell to cell).
    anisotropy : float
        The smallest eigenvalue of K relative to the largest is drawn between this and 1, on a logarithmic scale, and its
        axes turned; 1 for finite volumes.
    holes : int
        The most a mesh has.
    reaction : float
        The largest c h^2 / K, drawn between this / 10^3 and this; 0 for none.
    obstacles : int
        The most solid bodies in a grid, one at least if this is not 0; their walls, in all of a system alike, are Dirichlet or
        Neumann, and the sides of the grid are Dirichlet. Needs finite volumes of constant coefficients.
    stretch : float
        The smallest width of a cell relative to the largest, along an axis, is drawn between this and 1; 1 for elements.

    Examples
    --------
    >>> from petrov.learned import FAMILIES
    >>> FAMILIES["fv2d"].system(100, seed=3).A.shape
    (100, 100)
    """

    name: str
    elements: bool
    dim: int
    coefficients: tuple[str, ...] = COEFFICIENTS
    anisotropy: float = 1.0
    holes: int = 0
    reaction: float = 0.0
    obstacles: int = 0
    stretch: float = 1.0

    def __post_init__(self) -> None:
        if self.dim not in CELLS:
            raise ValueError(f"dim must be 2 or 3; got {self.dim!r}")
        if not self.coefficients or not set(self.coefficients) <= set(KINDS):
            raise ValueError(f"coefficients must be some of {', '.join(KINDS)}; got {self.coefficients!r}")
        if not 0.0 < self.anisotropy <= 1.0 or self.holes < 0 or self.reaction < 0:
            raise ValueError("anisotropy must lie in (0, 1], holes and reaction be at least 0")
        if not self.elements and (self.anisotropy < 1 or self.holes):
            raise ValueError("finite volumes take no anisotropy and no holes: use elements=True")
        if not 0.0 < self.stretch <= 1.0 or (self.stretch < 1 and (self.elements or self.obstacles or self.reaction)):
            raise ValueError("stretch must lie in (0, 1], and less than 1 needs finite volumes without obstacles and reaction")
        if self.obstacles < 0 or (self.obstacles and (self.elements or self.coefficients != ("constant",) or self.reaction)):
            raise ValueError("obstacles need finite volumes, coefficients=('constant',) and no reaction")

    def system(self, size: int, seed: int) -> System:
        """The system of about `size` unknowns that this seed draws: the same bits whenever it is called on one machine.

        Raises ValueError for a size below 20 or a negative seed. O(size log size).
        """
        if size < 20 or seed < 0:
            raise ValueError(f"size must be at least 20 and seed at least 0; got {size!r} and {seed!r}")
        rng = np.random.default_rng([seed, size, crc32(self.name.encode())])
        if self.obstacles:
            return by_obstacles(self, size, rng)
        if self.stretch < 1.0:
            return by_stretching(self, size, rng)
        return by_elements(self, size, rng) if self.elements else by_volumes(self, size, rng)


def by_elements(family: Family, size: int, rng: np.random.Generator) -> System:
    """Linear elements; the unknowns on Dirichlet sides are condensed out."""
    holes = int(rng.integers(family.holes + 1))
    grid = mesh(size, family.dim, rng, holes=holes, jitter=float(rng.uniform(0.05, 0.35)))
    kind, field = coefficient(family, CELLS[family.dim], rng)
    middle = grid.points[grid.simplices].mean(axis=1)
    a = field[tuple(np.minimum((middle * len(field)).astype(int), len(field) - 1).T)]
    K = stiffness(grid, a[:, None, None] * tensor(family, rng))
    c = reaction(family, rng) * size ** (2 / family.dim)
    return condensed(family, kind, grid, mass(grid, c * a), K, dirichlet_sides(family.dim, rng), rng)


def condensed(family: Family, kind: str, grid: Mesh, M: Any, K: Any, fixed: list[bool], rng: np.random.Generator) -> System:
    held = np.zeros(len(grid.points), bool)
    for k, dirichlet in enumerate(fixed):
        held |= grid.on_side(k // 2, k % 2) & dirichlet
    free = ~held
    near = (abs(K)[free][:, held].sum(axis=1) > 0).astype(float)
    M, K = (sp.csr_array(part[free][:, free]) for part in (M, K))
    A = sp.csr_array(M + K)
    return System(A, rng.standard_normal(A.shape[0]), grid.points[free], near[:, None], (M, K), f"{family.name}, {kind}")


def by_volumes(family: Family, size: int, rng: np.random.Generator) -> System:
    """Finite volumes on a cube of cells; along every axis both sides are Dirichlet or both Neumann."""
    n, dim = max(2, round(size ** (1 / family.dim))), family.dim
    kind, field = coefficient(family, n, rng)
    choice = rng.random(dim) < 0.6
    choice[rng.integers(dim)] = True
    sides = tuple("dirichlet" if held else "neumann" for held in choice)
    K = finite_volumes(field, sides) / float(n) ** 2
    M = sp.diags_array(reaction(family, rng) * field.ravel()).tocsr()
    A = sp.csr_array(K + M)
    points = centres(n, dim)
    near = (((points < 1 / n) | (points > 1 - 1 / n)) & choice).any(axis=1).astype(float)
    name = f"{family.name}, {kind}"
    return System(A, rng.standard_normal(n**dim), points, near[:, None], (M, K), name, (n,) * dim)


def by_stretching(family: Family, size: int, rng: np.random.Generator) -> System:
    """Finite volumes on a cube of cells that grow along every axis."""
    n, dim = max(2, round(size ** (1 / family.dim))), family.dim
    kind, field = coefficient(family, n, rng)
    h = [stretched.widths(n, family.stretch, rng) for _ in range(dim)]
    choice = rng.random(dim) < 0.6
    choice[rng.integers(dim)] = True
    K = stretched.finite_volumes(h, field, ["dirichlet" if held else "neumann" for held in choice])
    sums = np.asarray(K.sum(axis=1)).ravel()  # positive to rounding alone where no face is on a Dirichlet side
    near = (sums > 1e-9 * K.diagonal()).astype(float)
    M, b = sp.csr_array((n**dim, n**dim)), rng.standard_normal(n**dim)
    return System(K, b, stretched.middles(h), near[:, None], (M, K), f"{family.name}, {kind}", (n,) * dim)


def by_obstacles(family: Family, size: int, rng: np.random.Generator) -> System:
    """Finite volumes between solid bodies, on a grid of `size` cells."""
    n, dim = max(4, round(size ** (1 / family.dim))), family.dim
    solid = bodies(n, dim, int(rng.integers(1, family.obstacles + 1)), rng)
    walls = str(rng.choice(WALLS))
    K = poisson(solid, walls)
    free, length = ~solid.ravel(), K.shape[0]
    near = (K.sum(axis=1) > 0.5).astype(float)  # a Dirichlet face or neighbour is what makes a row's sum positive
    M = sp.csr_array((length, length))
    b = rng.standard_normal(length)
    return System(K, b, centres(n, dim)[free], near[:, None], (M, K), f"{family.name}, {walls} walls", (n,) * dim, ~solid)


def coefficient(family: Family, n: int, rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """(its kind, the coefficient on n^dim cells)."""
    kind = str(rng.choice(family.coefficients))
    seed, dim = int(rng.integers(2**31)), family.dim
    if kind == "lognormal":
        # In 3-D the shortest waves cost the most, and coarse grids do not see them.
        length = float(np.exp(rng.uniform(np.log(0.02 if dim == 2 else 0.06), np.log(0.2))))
        return kind, lognormal(n, dim, seed, length, float(rng.uniform(0.3, 2)))
    if kind == "blocks":
        return kind, blocks(n, dim, seed, float(10 ** rng.uniform(0, 4)), int(rng.choice([2, 4, 8])))
    if kind == "inclusions":
        return kind, balls(n, dim, seed, float(10 ** rng.uniform(-3, 3)), int(rng.integers(4, 25)))
    if kind == "noise":
        return kind, blocks(n, dim, seed, float(10 ** rng.uniform(1, 4)), n)
    return kind, np.ones((n,) * dim)


def tensor(family: Family, rng: np.random.Generator) -> np.ndarray:
    """A symmetric matrix (dim, dim), largest eigenvalue 1, turned at random."""
    small = family.anisotropy ** float(rng.uniform())
    Q = np.linalg.qr(rng.standard_normal((family.dim, family.dim)))[0]
    K = Q @ np.diag([1.0] + [small] * (family.dim - 1)) @ Q.T
    return (K + K.T) / 2


def reaction(family: Family, rng: np.random.Generator) -> float:
    return family.reaction * float(10 ** rng.uniform(-3, 0))


def dirichlet_sides(dim: int, rng: np.random.Generator) -> list[bool]:
    """Which of the 2 dim sides are Dirichlet: each with probability 0.6, one at least."""
    chosen = rng.random(2 * dim) < 0.6
    chosen[rng.integers(2 * dim)] = True
    return [bool(held) for held in chosen]


FAMILIES = {
    family.name: family
    for family in (
        Family("fem2d", True, 2, holes=3),
        Family("fem3d", True, 3, holes=2),
        Family("fv2d", False, 2),
        Family("fv3d", False, 3),
        Family("anisotropic2d", True, 2, ("constant", "lognormal"), anisotropy=1e-3, holes=1),
        Family("heat2d", True, 2, holes=3, reaction=1.0),
        Family("rough2d", False, 2, ("blocks", "inclusions", "noise")),
        Family("rough3d", False, 3, ("blocks", "inclusions", "noise")),
        Family("stretched2d", False, 2, stretch=1e-3),
        Family("obstacles2d", False, 2, ("constant",), obstacles=8),
        Family("obstacles3d", False, 3, ("constant",), obstacles=8),
    )
}


class Member(NamedTuple):
    """One system by name: a family, a size and a seed."""

    family: str
    size: int
    seed: int

    def system(self) -> System:
        """Draw it; ValueError if there is no such family."""
        return family(self.family).system(self.size, self.seed)


def family(name: str) -> Family:
    """A family by its name; ValueError, naming those there are, if there is none."""
    if name not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}; got {name!r}")
    return FAMILIES[name]


class Source(Protocol):
    """What gives a system: a Member draws it."""

    def system(self) -> System: ...


@dataclass(frozen=True, slots=True)
class Split:
    """Members to train on, members that choose among checkpoints, members that are held out until the end."""

    training: tuple[Source, ...]
    validation: tuple[Source, ...]
    test: tuple[Source, ...]


def split(
    families: Sequence[str], *, sizes: Sequence[int], unseen_sizes: Sequence[int], test_sizes: Sequence[int] = (),
    unseen_families: Sequence[str] = (), count: int = 64, held_out: int = 4, seed: int = 71_993,
) -> Split:  # fmt: skip
    """Divide by family and size, never by row: no part holds a system of a family and a size that another part holds.

    Training: `count` systems of the families at `sizes`, in turn. Validation: `held_out` of every family at every unseen size.
    Test: `held_out` of every family at every test size, and of every unseen family at all sizes named. A system is known by its
    family, size and seed; seeds of the parts differ as well. Raises ValueError if sizes or families overlap.

    >>> from petrov.learned.families import split
    >>> parts = split(["fem2d"], sizes=[300], unseen_sizes=[1200], test_sizes=[5000], unseen_families=["fv2d"], count=10)
    >>> len(parts.training), len(parts.validation), len(parts.test)
    (10, 4, 16)
    """
    for name in (*families, *unseen_families):
        family(name)
    parts = [set(sizes), set(unseen_sizes), set(test_sizes)]
    if not families or not sizes or not unseen_sizes or parts[0] & parts[1] or (parts[0] | parts[1]) & parts[2]:
        raise ValueError(f"sizes, unseen_sizes and test_sizes must not overlap; got {sizes}, {unseen_sizes} and {test_sizes}")
    if set(families) & set(unseen_families):
        raise ValueError(f"unseen_families must not be among those trained on; got {families} and {unseen_families}")
    pairs = [(name, size) for size in sizes for name in families]
    training = tuple(Member(*pairs[k % len(pairs)], seed + k) for k in range(count))
    first = seed + count

    def every(names: Sequence[str], at: Sequence[int], start: int) -> list[Member]:
        return [Member(name, size, start + k) for name in names for size in at for k in range(held_out)]

    validation = every(families, unseen_sizes, first)
    test = every(families, test_sizes, first + held_out)
    test += every(unseen_families, [*sizes, *unseen_sizes, *test_sizes], first + held_out)
    return Split(training, tuple(validation), tuple(test))
