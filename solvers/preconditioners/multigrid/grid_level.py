"""A level on a tensor grid: its couplings, and the verbs of a cycle by the kernels of kernels/grid.py."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .aggregate_level import inverse_of
from .tensor_grid import Coarsening, TensorGrid

FIRST_F, FIRST_V = 7, 9  # columns of kernels/grid_tail.py's table
SLABS = 8  # fewer slabs than these in a chunk would mostly repeat the work of its neighbours


@dataclass(slots=True, eq=False)
class GridWork:
    """Right-hand side, iterate and a second iterate, in the layout of kernels/grid.py."""

    f: np.ndarray
    u: np.ndarray
    v: np.ndarray


@dataclass(slots=True, eq=False)
class TailWork:
    """f and u of the first of several levels, views of the vectors of all of them."""

    f: np.ndarray
    u: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class GridLevel:
    """Couplings tx, ty, tz to the next cell and 1 / diagonal, and where each cell goes on the next level."""

    grid: TensorGrid
    inverse: np.ndarray
    couplings: tuple[np.ndarray, np.ndarray, np.ndarray]
    step: Coarsening

    @property
    def size(self) -> int:
        return self.grid.size

    @property
    def entries(self) -> int:
        return entries(self.grid)

    @property
    def chunks(self) -> int:
        from ...kernels.threads import threads

        return max(1, min(2 * threads(), self.grid.shape[0] // SLABS, len(self.step.starts_z) - 1))

    def work(self) -> GridWork:
        return GridWork(*(np.zeros(self.grid.field, np.float32) for _ in range(3)))

    def load(self, r: np.ndarray, w: GridWork, factor: float) -> float:
        from ...kernels import grid as kernels

        return float(kernels.load(self.size, self.chunks, r, w.f, factor, self.grid.shape[2]))

    def store(self, w: GridWork, z: np.ndarray, factor: float, r: np.ndarray) -> float:
        from ...kernels import grid as kernels

        return float(kernels.store(self.size, self.grid.pieces, w.u, z, factor, r, self.grid.shape[2]))

    def start(self, w: GridWork) -> None:
        """Nothing: `restrict` does both in one sweep over memory."""

    def restrict(self, w: GridWork, f: np.ndarray) -> None:
        from ...kernels import grid as kernels

        nz, ny, _ = self.grid.shape
        kernels.down(
            self.size, self.chunks, w.f, w.u, *self.couplings, self.inverse, f, nz, ny, self.step.starts_z, *self.step.homes
        )

    def finish(self, w: GridWork, u: np.ndarray) -> None:
        from ...kernels import grid as kernels

        nz, ny, _ = self.grid.shape
        kernels.correct(self.size, self.chunks, w.u, u, nz, ny, *self.step.homes)
        kernels.up(self.size, self.chunks, w.f, w.u, w.v, *self.couplings, self.inverse, nz, ny)
        w.u, w.v = w.v, w.u

    def residual(self, w: GridWork, r: np.ndarray) -> None:
        from ...kernels import grid as kernels

        nz, ny, _ = self.grid.shape
        kernels.residual(self.size, self.chunks, w.f, w.u, *self.couplings, self.inverse, r, nz, ny)


@dataclass(frozen=True, slots=True, eq=False)
class GridTail:
    """The small levels, cycled in one compiled call; the last is solved by its dense inverse.

    It holds what several levels hold, in one array: see kernels/grid_tail.py. Visits its levels twice if the cycle is not V.
    """

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

    def work(self) -> TailWork:
        vectors = np.zeros(self.vectors, np.float32)
        f, v = (self.view(vectors, int(start)) for start in self.table[0, [FIRST_F, FIRST_V]])
        return TailWork(f, v, vectors)

    def view(self, vectors: np.ndarray, start: int) -> np.ndarray:
        return vectors[start : start + math.prod(self.grid.field)].reshape(self.grid.field)

    def load(self, r: np.ndarray, w: TailWork, factor: float) -> float:
        from ...kernels import grid as kernels

        return float(kernels.load(self.size, 1, r, w.f, factor, self.grid.shape[2]))

    def store(self, w: TailWork, z: np.ndarray, factor: float, r: np.ndarray) -> float:
        from ...kernels import grid as kernels

        return float(kernels.store(self.size, 1, w.u, z, factor, r, self.grid.shape[2]))

    def solve(self, w: TailWork) -> None:
        from ...kernels import grid_tail as kernels

        kernels.cycle(self.table, self.coefficients, w.vectors, self.maps, self.dense)


def tail(levels: list[tuple[Any, ...]], dense: np.ndarray, twice: list[bool]) -> GridTail:
    """Pack levels (grid, inverse, couplings, step); the step of the last is None."""
    from ...kernels import grid_tail as kernels

    table = np.zeros((len(levels), kernels.COLUMNS), np.int64)
    coefficients, maps, vectors = Packed(np.float32), Packed(np.int64), 0
    for row, (grid, inverse, (tx, ty, tz), step), again in zip(table, levels, twice, strict=True):
        nz, ny, _ = grid.shape
        row[:3] = nz, ny, grid.field[2]
        row[kernels.TX : kernels.INVERSE + 1] = [coefficients.put(part) for part in (tx, ty, tz, inverse)]
        numbers = math.prod(grid.field)
        row[kernels.F : kernels.SAVED + 1] = [vectors + k * numbers for k in range(4)]
        vectors += 4 * numbers
        if step is not None:
            row[kernels.STARTS] = maps.put(step.starts_z)
            row[kernels.HOME_Z : kernels.HOME_X + 1] = [maps.put(home) for home in step.homes]
            row[kernels.HOMES_X], row[kernels.COARSE_Z] = len(step.home_x), len(step.starts_z) - 1
        row[kernels.TWICE] = again
    grids = tuple(level[0] for level in levels)
    return GridTail(grids, table, coefficients.array(), maps.array(), dense, vectors)


class Packed:
    """Arrays one after the other in one."""

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.parts, self.length = dtype, [np.zeros(0, dtype)], 0

    def put(self, part: np.ndarray) -> int:
        start = self.length
        self.parts.append(part.reshape(-1))
        self.length += part.size
        return start

    def array(self) -> np.ndarray:
        return np.concatenate(self.parts).astype(self.dtype, copy=False)


def entries(grid: TensorGrid) -> int:
    """Entries of the matrix of a grid: one a cell, two a face."""
    faces = sum(
        grid.size // count * (count if wrap else count - 1) for count, wrap in zip(grid.shape, grid.periodic, strict=True)
    )
    return grid.size + 2 * faces


def dense_inverse(grid: TensorGrid, couplings: tuple[np.ndarray, ...], excess: np.ndarray) -> np.ndarray:
    """The pseudo-inverse of a small level's matrix, on flattened fields."""
    index, size = grid.index(), grid.size
    number = np.arange(size).reshape(grid.shape)
    A = np.diag(excess.reshape(-1)[index.reshape(-1)].astype(float))
    for axis, t in zip((2, 1, 0), couplings, strict=True):
        if grid.shape[axis] == 1:
            continue
        here, there = number.reshape(-1), np.roll(number, -1, axis).reshape(-1)
        value = t.reshape(-1)[index.reshape(-1)].astype(float)
        np.add.at(A, (here, here), value)
        np.add.at(A, (there, there), value)
        np.add.at(A, (here, there), -value)
        np.add.at(A, (there, here), -value)
    padded = np.zeros((int(np.prod(grid.field)),) * 2, np.float32)
    inside = index.reshape(-1)
    padded[np.ix_(inside, inside)] = inverse_of(A)
    return padded
