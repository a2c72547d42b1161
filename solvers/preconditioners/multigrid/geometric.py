"""Geometric multigrid for tensor grids: five- and seven-point matrices with any positive couplings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ...operator import checked
from ...storage import DIA, Resident, by_bands, canonical
from .cycle import Kind, worth_two
from .grid_level import GridLevel, dense_inverse, tail
from .hierarchy import Hierarchy, compiled
from .on_gpu import HierarchyOnGPU
from .tensor_grid import Coarsening, TensorGrid, bands, coarsening, grids

THREADED = 20_000  # cells from which a level is worth several threads, and calls of its own
DENSE, ON_GPU = 100, 512  # cells up to which a level is solved by its inverse, by default

Fields = tuple[np.ndarray, np.ndarray, np.ndarray]  # couplings along x, y, z


@dataclass(frozen=True, slots=True, eq=False)
class GeometricMultigrid:
    """The recipe for multigrid on a tensor grid, told from the matrix alone.

    For a symmetric A with positive diagonal whose entries off it are not positive and couple each cell of an nz x ny x nx
    grid to its next along an axis (finite volumes, finite differences, low-order finite elements on rectangles): Dirichlet,
    Neumann, periodic and mixed sides, any coefficients, any size (a periodic direction needs an even number of cells). Red-black
    Gauss-Seidel and piecewise-constant transfer in single precision, the coarse coupling half the sum of the fine ones across
    its face.

    Parameters
    ----------
    cycle : 'V', 'W', 'F' or 'K'
        W is the default: its iterations hardly depend on jumps of the coefficient, and cost little more than a V-cycle's.
    grid : tuple of int, optional
        Cells by direction, the fastest last, where the matrix should not be asked.
    coarsest : int, optional
        Cells up to which a level is solved by its dense (pseudo-)inverse: 100, or 512 on a GPU, where such a product takes less
        time than the start of the kernels of one more level.

    Notes
    -----
    Directions whose couplings are weaker than a quarter of the strongest are coarsened only when the others have caught up. M
    is linear and symmetric positive definite with 'V' and 'W'. Memory: about 50 bytes a cell in two dimensions and 45 in three,
    vectors included; set-up and one application cost about ten products with A. Raises ValueError if A is not such a matrix:
    SmoothedAggregation takes any. `M.update(A2)` spares telling the grid. For a matrix on a GPU the levels are set up on the host
    and moved; the cycle there, V or W, is the same. Trottenberg, Oosterlee and Schueller, Multigrid
    (2001), chapters 4-5 and 7; the halved coupling: Braess, Computing 55 (1995).

    Examples
    --------
    >>> from petrov.solvers import cg, problems, GeometricMultigrid
    >>> A, b = problems.poisson(64, rhs="random")[:2]
    >>> M = GeometricMultigrid()(A)
    >>> cg(A, b, M=M).iterations < 15
    True
    """

    cycle: Kind = "W"
    grid: tuple[int, ...] | None = None
    coarsest: int | None = None

    name = "geometric multigrid"
    on_device = True

    def __post_init__(self) -> None:
        if self.cycle not in ("V", "W", "F", "K"):
            raise ValueError(f"cycle must be 'V', 'W', 'F' or 'K'; got {self.cycle!r}")
        if self.grid is not None and (not 1 <= len(self.grid) <= 3 or any(int(n) != n or n < 1 for n in self.grid)):
            raise ValueError(f"grid must be one to three numbers of cells; got {self.grid!r}")

        if self.coarsest is not None and (self.coarsest != int(self.coarsest) or self.coarsest < 1):
            raise ValueError(f"coarsest must be a positive integer; got {self.coarsest!r}")

    def bind(self, *, grid: Any = None, **_: Any) -> GeometricMultigrid:
        """The recipe for a grid that is known."""
        return self if grid is None else replace(self, grid=tuple(int(n) for n in grid))

    def __call__(self, A: Any) -> Hierarchy | HierarchyOnGPU:
        if isinstance(A, Resident):
            made: Any = replace(self, coarsest=self.coarsest or ON_GPU)(A.on_host)
            return made.moved(A.move)
        return hierarchy(self, A)


def hierarchy(recipe: GeometricMultigrid, A: Any, known: TensorGrid | None = None) -> Hierarchy:
    """The levels of A, on the grid that is known or else told from it."""
    A = banded(A)
    scale = power_of_two(A)
    grid, couplings, excess = finest_level(A, candidates(recipe, A) if known is None else [known], scale)
    finest, levels, strength = grid, [], strengths(grid, couplings)
    while True:
        step = coarsening(grid, strength) if grid.size > (recipe.coarsest or DENSE) else None
        levels.append((grid, inverted(grid, couplings, excess), couplings, step))
        if step is None:
            break
        couplings, excess = coarser(grid, couplings, excess, step)
        strength, grid = weaker(strength, step), step.coarse
    parts = assembled(levels, dense_inverse(grid, couplings, excess), recipe.cycle)
    renew = partial(hierarchy, recipe, known=finest)
    return compiled(Hierarchy(parts, A.shape, A.dtype, GeometricMultigrid.name, recipe.cycle, scale, renew))


def assembled(levels: list[tuple[Any, ...]], dense: np.ndarray, cycle: Kind) -> tuple[Any, ...]:
    """The large levels one by one, and the small ones together."""
    sizes = [level[0].size for level in levels]
    first = next((k for k, size in enumerate(sizes) if size < THREADED), len(sizes) - 1)
    twice = [cycle != "V" and 0 < k < len(sizes) - 1 and worth_two(k - 1, sizes[k - 1], sizes[k]) for k in range(len(sizes))]
    return (*(GridLevel(*level) for level in levels[:first]), tail(levels[first:], dense, twice[first:]))


def banded(A: Any) -> DIA:
    """A by its bands, symmetric and real; ValueError or TypeError if it cannot be a grid's matrix."""
    A = checked(A)
    A = by_bands(canonical(A.tocsr())) if hasattr(A, "tocsr") and not isinstance(A, DIA) else A
    if not isinstance(A, DIA) or not A.hermitian or A.dtype.kind != "f":
        raise ValueError("GeometricMultigrid needs the real symmetric matrix of a tensor grid; use SmoothedAggregation()")
    return A


def candidates(recipe: GeometricMultigrid, A: DIA) -> list[TensorGrid]:
    found = grids(A.shape[0], [offset for offset in A.offsets if offset > 0])
    if recipe.grid is not None:
        asked = (1,) * (3 - len(recipe.grid)) + recipe.grid
        asked = (asked[1], 1, asked[2]) if asked[0] == 1 else asked  # the slabs of two dimensions are its rows
        found = [grid for grid in found if grid.shape == asked]
    return found


def finest_level(A: DIA, found: list[TensorGrid], scale: float) -> tuple[TensorGrid, Fields, np.ndarray]:
    """Couplings and excess on the first of these grids that the entries of A fit exactly."""
    from ...kernels import grid_setup as kernels

    for grid in found:
        if grid.two_colours:
            couplings, excess = fields(grid), np.zeros(grid.field, np.float32)
            if not kernels.finest(
                grid.size, grid.pieces, *grid.shape, A.band(0), *bands(grid, A.band), scale, *couplings, excess
            ):
                return grid, couplings, excess
    raise ValueError(
        "GeometricMultigrid needs the matrix of a tensor grid: couplings of one sign between next cells, an even number of "
        f"cells in a periodic direction; the bands of A are at {[int(o) for o in A.offsets]}, which fits "
        f"{', '.join(map(str, found)) or 'none'}; use SmoothedAggregation()"
    )


def fields(grid: TensorGrid) -> Fields:
    """Room for the couplings, views of one array; one number for a direction that is not there."""
    absent, there = np.zeros((1, 2, 1), np.float32), (True, grid.shape[1] > 1, grid.shape[0] > 1)
    whole = iter(np.zeros((sum(there), *grid.field), np.float32))
    tx, ty, tz = (next(whole) if yes else absent for yes in there)
    return tx, ty, tz


def inverted(grid: TensorGrid, couplings: Fields, excess: np.ndarray) -> np.ndarray:
    """1 / diagonal of a level."""
    from ...kernels import grid_setup as kernels

    inverse = np.zeros(grid.field, np.float32)
    kernels.invert(grid.size, *grid.shape, *couplings, excess, inverse)
    return inverse


def coarser(grid: TensorGrid, couplings: Fields, excess: np.ndarray, step: Coarsening) -> tuple[Fields, np.ndarray]:
    """Couplings and excess of the next level."""
    from ...kernels import grid_setup as kernels

    below, coarse_excess = fields(step.coarse), np.zeros(step.coarse.field, np.float32)
    halves = np.array([0.5 if yes else 1.0 for yes in step.coarsened], np.float32)
    walls = np.array([yes and not wrap and n > 1 for yes, wrap, n in zip(step.coarsened, grid.periodic, grid.shape, strict=True)])
    kernels.coarsen(
        grid.size, *grid.shape, halves, walls, step.starts_z, step.starts_y, *step.homes,
        (*couplings, excess), (*below, coarse_excess),
    )  # fmt: skip
    return below, coarse_excess


def strengths(grid: TensorGrid, couplings: Fields) -> tuple[float, float, float]:
    """The mean coupling by direction (z, y, x)."""
    tz, ty, tx = (float(np.sum(t, dtype=np.float64)) / grid.size for t in reversed(couplings))
    return tz, ty, tx


def weaker(strength: tuple[float, float, float], step: Coarsening) -> tuple[float, float, float]:
    """The mean couplings of the next level: halved along a coarsened direction, doubled across it."""
    doubled = 2.0 ** sum(step.coarsened)
    tz, ty, tx = (s * doubled / (4.0 if yes else 1.0) for s, yes in zip(strength, step.coarsened, strict=True))
    return tz, ty, tx


def power_of_two(A: DIA) -> float:
    """What brings the largest diagonal entry near one, exactly."""
    largest = float(A.band(0).max(initial=0.0))
    return 2.0 ** -math.frexp(largest)[1] if 0.0 < largest < math.inf else 1.0
