"""Multigrid on a tensor grid whose interpolation and coarse couplings a small network draws, from the matrix alone."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ..solvers.preconditioners.multigrid import GeometricMultigrid, Hierarchy, SmoothedAggregation
from ..solvers.preconditioners.multigrid.geometric import (
    DENSE,
    banded,
    candidates,
    coarser,
    fields,
    finest_level,
    inverted,
    power_of_two,
    strengths,
    weaker,
)  # fmt: skip
from ..solvers.preconditioners.multigrid.grid_level import GridLevel, dense_inverse
from ..solvers.preconditioners.multigrid.hierarchy import compiled
from ..solvers.preconditioners.multigrid.interpolated_level import InterpolatedLevel, in_pairs
from ..solvers.preconditioners.multigrid.interpolated_tail import interpolated_tail
from ..solvers.preconditioners.multigrid.tensor_grid import TensorGrid, coarsening
from .families import family
from .networks.checks import check_weights
from .probe import defect

FEATURES = 11  # of a path: see grid_paths
PROBED = 5_000  # cells below which a level is probed
TAIL = 70_000  # cells below which levels are cycled in one call, on one thread
TWICE = 0.02  # the part of the finest level's cells up to which a level may be visited twice
LARGEST = 16.0  # of a factor, which the network gives between 1e-8 and this


@dataclass(frozen=True, slots=True, eq=False)
class GridMultigrid:
    """The recipe for multigrid on a tensor grid with learned interpolation and coarse couplings.

    For the matrices that GeometricMultigrid takes. Cells go in pairs; the coupling of two aggregates is a sum over the paths
    between them, each the couplings of its two ends to their aggregates and that of the face in series, times a factor; a cell
    interpolates from its own aggregate and from the next along each axis, in proportion to such couplings, times another
    factor. A network of one hidden layer reads eleven ratios of couplings near a path and gives the two factors: the same network
    on every level and in all directions. Half sweeps of red-black Gauss-Seidel, V-cycle, single precision.

    M is linear, symmetric and positive definite whatever the weights: the half sweeps B after the coarse levels are the
    adjoint of those before, and M = B_symmetric + (I - B A) P M_c P^T (I - A B^T), where B_symmetric, symmetric Gauss-Seidel,
    is positive definite for every A, and M_c, by induction, for every P and every positive coarse couplings, which bounded
    factors keep positive.

    Parameters
    ----------
    dim : 2 or 3
        What the weights were trained for; others run, but not as well.
    weights : mapping of arrays
        outer_bias (2,), excess (2,) and, where there is a hidden layer, inner (hidden, 11), inner_bias (hidden,) and outer
        (2, hidden): float64. Without one the two factors are learned numbers: the scalars of an ablation.
    sweeps : tuple of int
        Half sweeps on the finest level and on all others.
    grid : tuple of int, optional
        Cells by direction, the fastest last, where the matrix should not be asked.

    Notes
    -----
    Solid cells, rows of A with a diagonal alone, are left out of coarse levels. Levels whose cells cannot go in pairs (weakly
    coupled directions, a torus of 2 (2 m + 1) cells) are those of GeometricMultigrid. M is probed from the first level of less
    than 5,000 cells on; if it is not symmetric or not positive GeometricMultigrid, and if A is not the matrix of a grid
    SmoothedAggregation is returned instead, with a RuntimeWarning that says why. Memory: about 50 bytes a cell. Set-up: the
    network costs 17 multiply-adds a hidden unit and cell in two dimensions, 26 in three. `M.update(A2)` spares telling the grid.
    Interpolation from couplings: Alcouffe, Brandt, Dendy and Painter, SIAM J. Sci. Stat. Comput. 2 (1981); a network for it:
    Greenfeld et al., Learning to optimize multigrid PDE solvers (ICML 2019).

    Examples
    --------
    >>> from petrov.learned import GridMultigrid
    >>> from petrov.solvers import cg, problems
    >>> problem = problems.jump(64, contrast=1e4)
    >>> cg(problem.A, problem.b, M=GridMultigrid.untrained(2)).iterations < 15
    True
    """

    dim: int
    weights: Mapping[str, np.ndarray]
    sweeps: tuple[int, ...] = (3, 4)
    grid: tuple[int, ...] | None = None

    name = "grid multigrid"
    kind = "grid-multigrid"

    def __post_init__(self) -> None:
        if self.dim not in (2, 3):
            raise ValueError(f"dim must be 2 or 3; got {self.dim!r}")
        if not self.sweeps or any(isinstance(s, bool) or not isinstance(s, int) or not 2 <= s <= 8 for s in self.sweeps):
            raise ValueError(f"sweeps must be integers from 2 to 8, one or more; got {self.sweeps!r}")
        check_weights(self.weights, shapes_of(len(self.weights.get("inner", ()))), "this recipe")

    @classmethod
    def untrained(cls, dim: int = 2, *, hidden: int = 12, sweeps: tuple[int, ...] = (3, 4), seed: int = 24_499) -> GridMultigrid:
        """Before training: all factors are one; hidden=0 for the scalars of an ablation."""
        rng, shapes = np.random.default_rng(seed), shapes_of(hidden)
        weights = {name: np.zeros(shape) for name, shape in shapes.items()}
        for name, size in (("inner", 0.5), ("inner_bias", 0.3)):
            if name in weights:
                weights[name] = size * rng.standard_normal(shapes[name])
        return cls(dim, weights, sweeps)

    def in_space(self) -> GridMultigrid:
        """The same weights for three dimensions: a network reads means over what is beside a path, so they fit."""
        return replace(self, dim=3)

    @property
    def hidden(self) -> int:
        return len(self.weights.get("inner", ()))

    def half_sweeps(self, level: int) -> int:
        return self.sweeps[min(level, len(self.sweeps) - 1)]

    def with_weights(self, weights: Mapping[str, np.ndarray]) -> GridMultigrid:
        return replace(self, weights=weights)

    def description(self) -> dict[str, Any]:
        return {"dim": self.dim, "sweeps": list(self.sweeps), "hidden": self.hidden, "bounds": {"factor": LARGEST}}

    @classmethod
    def described(cls, description: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> GridMultigrid:
        if description["bounds"] != {"factor": LARGEST}:
            raise ValueError(f"the bounds are {description['bounds']!r}; this petrov knows a factor up to {LARGEST}")
        return cls(description["dim"], weights, tuple(description["sweeps"]))

    def bind(self, *, grid: Any = None, **_: Any) -> GridMultigrid:
        """The recipe for a grid that is known."""
        return self if grid is None else replace(self, grid=tuple(int(n) for n in grid))

    @property
    def module(self) -> Any:
        """The network as a torch module, its weights copied; needs torch."""
        from .networks.path_network import PathNetwork

        return PathNetwork(self.weights)

    def small(self) -> Any:
        """Applied to a small system: for the probe of a file."""
        return hierarchy(self, family(f"fv{self.dim}d").system(512, 11).A.astype(np.float32))

    def __call__(self, A: Any) -> Any:
        try:
            M = hierarchy(self, A)
        except ValueError as error:
            return instead(SmoothedAggregation(), A, str(error))
        small = M.levels[-1].below(PROBED)
        below = replace(M, levels=(small,), shape=(small.size,) * 2, pool=[])
        found = defect(below, pairs=1, dtype=np.float32)
        return instead(GeometricMultigrid(grid=self.grid), A, found) if found else M


def instead(recipe: Any, A: Any, found: str) -> Any:
    """Another method's M, with a warning that says why."""
    told = f"grid multigrid cannot be used on this matrix: {found}; {recipe.name} is used instead"
    warnings.warn(told, RuntimeWarning, stacklevel=3)
    return recipe(A)


def shapes_of(hidden: int) -> dict[str, tuple[int, ...]]:
    """name -> shape of every array of weights, as torch names them."""
    network = {"inner": (hidden, FEATURES), "inner_bias": (hidden,), "outer": (2, hidden)} if hidden else {}
    return {"outer_bias": (2,), "excess": (2,), **network}


def hierarchy(recipe: GridMultigrid, A: Any, known: TensorGrid | None = None) -> Hierarchy:
    """The levels of A, on the grid that is known or else told from it."""
    A = banded(A)
    scale = power_of_two(A)
    asked = GeometricMultigrid(grid=recipe.grid)
    grid, couplings, excess = finest_level(A, candidates(asked, A) if known is None else [known], scale)
    finest, strength = grid, strengths(grid, couplings)
    levels: list[Any] = []
    while grid.size > DENSE and (step := coarsening(grid, strength)) is not None:
        inverse = inverted(grid, couplings, excess)
        if in_pairs(grid, step):
            sweeps = recipe.half_sweeps(len(levels))
            weights, couplings_below, excess_below = drawn(recipe, grid, step, (*couplings, inverse, excess), sweeps)
            levels.append(InterpolatedLevel(grid, inverse, couplings, step, weights, sweeps))
        else:
            couplings_below, excess_below = coarser(grid, couplings, excess, step)
            levels.append(GridLevel(grid, inverse, couplings, step))
        couplings, excess = couplings_below, excess_below
        strength, grid = weaker(strength, step), step.coarse
    first = len(levels)  # of the tail
    while first > 0 and isinstance(levels[first - 1], InterpolatedLevel) and levels[first - 1].size < TAIL:
        first -= 1
    dense = dense_inverse(grid, couplings, excess)
    last = interpolated_tail(levels[first:], grid, couplings, inverted(grid, couplings, excess), dense, finest.size * TWICE)
    renew = partial(hierarchy, recipe, known=finest)
    return compiled(Hierarchy((*levels[:first], last), A.shape, A.dtype, GridMultigrid.name, "V", scale, renew))


def drawn(recipe: GridMultigrid, grid: TensorGrid, step: Any, level: tuple[np.ndarray, ...], sweeps: int) -> tuple[Any, ...]:
    """Weights of interpolation of a level, couplings and excess of the next."""
    from . import grid_paths as kernels
    from . import grid_weights

    rows, _, width = grid.field
    slots, (tx, ty, tz, inverse, excess) = 1 + sum(count > 1 for count in grid.shape), level
    couplings = together([t for t in (tx, ty, tz) if t.shape == grid.field])
    kernels.wrap(grid.size, len(couplings), couplings)
    kernels.wrap(grid.size, rows, inverse)
    weights, below, coarse_excess = np.zeros((rows, slots, width), np.float32), fields(step.coarse), fields(step.coarse)[0]
    flat, shape = (couplings.reshape(-1), inverse.reshape(-1), excess.reshape(-1)), (grid.shape[0], grid.shape[1], width)
    where = (weights.reshape(-1), sweeps, slots, step.starts_z, step.starts_y)
    kernels.paths(grid.size, shape, grid.shape[2], flat, network(recipe.weights), *where, below)
    grid_weights.weigh(grid.size, shape, grid.shape[2], flat, factors(recipe.weights["excess"]), *where, coarse_excess)
    weights[:, 1, 0], weights[:, 1, -1] = weights[:, 1, -2], weights[:, 1, 1]  # around the torus, for the kernels
    return weights, below, coarse_excess


def together(parts: list[np.ndarray]) -> np.ndarray:
    """These fields one after the other in one array: that which they are views of, if there is one."""
    whole = parts[0].base
    return whole if whole is not None and whole.size == sum(part.size for part in parts) else np.concatenate(parts)


def network(weights: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """The network's arrays in single precision."""
    single = {name: np.ascontiguousarray(value, np.float32) for name, value in weights.items()}
    none = np.zeros((0, FEATURES), np.float32)
    inner, bias, outer = (single.get(name, none) for name in ("inner", "inner_bias", "outer"))
    return inner, bias.reshape(-1), outer, single["outer_bias"]


def factors(y: np.ndarray) -> np.ndarray:
    """(1 + y / (1 + |y|))^4, as the kernels have it."""
    return np.asarray(np.maximum(1.0 + y / (1.0 + np.abs(y)), 0.01) ** 4, np.float32)
