"""The small levels with weights of interpolation, cycled in one compiled call; some of them are visited twice."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .grid_level import Packed, TailWork, entries
from .interpolated_level import InterpolatedLevel
from .tensor_grid import TensorGrid

STEPS = 6  # of Lanczos
SAFE = 1.7  # estimates of the largest eigenvalue of M A up to which two visits are sure to be definite: they are below two


@dataclass(frozen=True, slots=True, eq=False)
class InterpolatedTail:
    """Levels from the first small one on, the last solved by its dense inverse: see kernels/grid_sweeps_tail.py."""

    grids: tuple[TensorGrid, ...]
    table: np.ndarray
    coefficients: np.ndarray
    maps: np.ndarray
    dense: np.ndarray
    vectors: int  # numbers in the vectors of all levels

    @property
    def grid(self) -> TensorGrid:
        return self.grids[0]

    @property
    def size(self) -> int:
        return self.grid.size

    @property
    def entries(self) -> int:
        return entries(self.grid)

    @property
    def rows(self) -> list[tuple[int, int]]:
        return [(grid.size, entries(grid)) for grid in self.grids]

    @property
    def nbytes(self) -> int:
        return self.coefficients.nbytes + self.dense.nbytes

    def below(self, cells: int) -> InterpolatedTail:
        """The levels from the first of less than so many cells on, or the last alone."""
        first = next((k for k, grid in enumerate(self.grids) if grid.size < cells), len(self.grids) - 1)
        return replace(self, grids=self.grids[first:], table=self.table[first:])

    def work(self) -> TailWork:
        from ...kernels import grid_sweeps_tail as kernels

        vectors, count = np.zeros(self.vectors, np.float32), math.prod(self.grid.field)
        f, u = (vectors[start : start + count].reshape(self.grid.field) for start in self.table[0, [kernels.F, kernels.U]])
        return TailWork(f, u, vectors)

    def load(self, r: np.ndarray, w: TailWork, factor: float) -> float:
        from ...kernels import grid as kernels

        return float(kernels.load(self.size, 1, r, w.f, factor, self.grid.shape[2]))

    def store(self, w: TailWork, z: np.ndarray, factor: float, r: np.ndarray) -> float:
        from ...kernels import grid as kernels

        return float(kernels.store(self.size, 1, w.u, z, factor, r, self.grid.shape[2]))

    def solve(self, w: TailWork) -> None:
        from ...kernels import grid_sweeps_tail as kernels

        kernels.cycle(0, self.table, self.coefficients, w.vectors, self.maps, self.dense)


def interpolated_tail(
    levels: list[InterpolatedLevel], last: TensorGrid, couplings: tuple[np.ndarray, ...], inverse: np.ndarray, dense: np.ndarray,
    most: float,
) -> InterpolatedTail:  # fmt: skip
    """Pack levels and the last one; those of at most `most` cells are visited twice where that is sure to be definite.

    Two visits are the polynomial 2 M - M A M, definite while the eigenvalues of M A stay below two, which is estimated from
    the smallest level up, each with the visits of those below it.
    """
    from ...kernels import grid_sweeps_tail as kernels

    table = np.zeros((len(levels) + 1, kernels.COLUMNS), np.int64)
    coefficients, maps, vectors = Packed(np.float32), Packed(np.int64), 0
    fields = [(level.grid, level.couplings, level.inverse) for level in levels] + [(last, couplings, inverse)]
    for row, (grid, (tx, ty, tz), inverted) in zip(table, fields, strict=True):
        row[:3] = grid.shape[0], grid.shape[1], grid.field[2]
        row[kernels.TX : kernels.INVERSE + 1] = [coefficients.put(part) for part in (tx, ty, tz, inverted)]
        numbers = math.prod(grid.field)
        row[kernels.F : kernels.SAVED + 1] = [vectors + k * numbers for k in range(4)]
        vectors += 4 * numbers
    for row, level in zip(table, levels, strict=False):
        row[kernels.SLOTS], row[kernels.SWEEPS] = level.weights.shape[1], level.sweeps
        row[kernels.WEIGHTS] = coefficients.put(level.weights)
        row[kernels.STARTS_Z], row[kernels.STARTS_Y] = maps.put(level.step.starts_z), maps.put(level.step.starts_y)
        row[kernels.PLANES], row[kernels.LINES] = len(level.step.starts_z) - 1, len(level.step.starts_y) - 1
    grids = (*(level.grid for level in levels), last)
    made = InterpolatedTail(grids, table, coefficients.array(), maps.array(), dense, vectors)
    room = np.zeros(vectors, np.float32)
    for k in reversed(range(len(levels))):
        if levels[k].size > most:
            break
        estimate = kernels.largest(k, STEPS, table, made.coefficients, room, made.maps, dense)
        table[k, kernels.TWICE] = estimate <= SAFE
    return made
