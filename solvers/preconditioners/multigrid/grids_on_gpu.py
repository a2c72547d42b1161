"""Levels on a tensor grid on a GPU: the algorithm of kernels/grid.py, and so its iterations, by kernels/cuda/grid.cu.

Large levels have a kernel for every half sweep; small ones, unless they are solved, are cycled by one block a column. A V-cycle
moves 16 bytes a cell and direction (a coupling, in four of five kernels) and 35 of vectors and 1 / diagonal: 67 in two
dimensions, 83 in three. A W-cycle visits small levels often: where their time shows, cycle='V' of the recipe may be quicker.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ...kernels.cuda import launch
from ...kernels.cuda.work import Work
from ...storage.resident import Move
from .grid_level import GridLevel, GridTail, Packed, entries
from .on_gpu import HierarchyOnGPU, visits
from .tensor_grid import TensorGrid, starts

ONE_BLOCK = 4_096  # cells below which a level is one block's: its half sweeps take less time than the start of a kernel
ONE_DENSE = 256  # rows up to which it also takes the dense inverse of the last level
MOST = 1_024  # threads of that block
MOST_TASKS = 2**31  # cells times columns that kernels count


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """Right-hand side, iterate and what a second visit keeps: fields a column, `stride` numbers apart."""

    f: Any
    u: Any
    saved: Any
    stride: int


@dataclass(frozen=True, slots=True, eq=False)
class GridGate:
    """The gate of fields; see on_gpu.py."""

    nx: int

    def load(self, kernels: Any, r: Any, sizes: Any, w: Fields, rows: int, columns: int) -> None:
        launch.launch(kernels["load_field"], rows, columns, sizes, self.nx, w.stride, r, w.f)

    def unload(self, kernels: Any, z: Any, sizes: Any, scale: float, w: Fields, rows: int, columns: int) -> None:
        launch.launch(kernels["unload_field"], rows, columns, sizes, scale, self.nx, w.stride, w.u, z)


@dataclass(frozen=True, slots=True, eq=False)
class SweptLevel:
    """A large level: couplings and 1 / diagonal, the next level's grid, and the cells of one in the other."""

    grid: TensorGrid
    coefficients: tuple[Any, ...]
    coarse: TensorGrid
    maps: Any
    twice: bool

    @property
    def size(self) -> int:
        return self.grid.size

    @property
    def half(self) -> int:
        """Cells of one colour, those beyond the grid with them."""
        nz, ny, nx = self.grid.shape
        return nz * ny * ((nx + 1) // 2)

    def work(self, xp: Any, columns: int) -> Fields:
        if self.size * columns >= MOST_TASKS:
            raise ValueError(f"{columns} columns of {self.size} cells are too many for one application; apply M to fewer at once")
        stride = math.prod(self.grid.field)
        f, u, saved = (xp.zeros(stride * columns if yes else 0, dtype=xp.float32) for yes in (True, True, self.twice))
        return Fields(f, u, saved, stride)

    def started(self, name: str, tasks: int, columns: int, w: Fields, *rest: Any) -> None:
        kernel = launch.kernels("grid.cu", V="float32")[name]
        launch.launch(kernel, tasks, columns, *self.grid.shape, *self.coefficients, w.stride, *rest)

    def down(self, w: Fields, below: Any, columns: int) -> None:
        self.started("grid_first", self.half, columns, w, w.f, w.u)
        self.started("grid_restrict", self.coarse.size, columns, w, *self.coarse.shape, self.maps, below.stride, w.u, below.f)

    def up(self, w: Fields, below: Any, columns: int) -> None:
        self.started("grid_correct", self.half, columns, w, *self.coarse.shape, self.maps, below.stride, w.f, below.u, w.u)
        for colour in (1, 0):  # black, red
            self.started("grid_relax", self.half, columns, w, colour, w.f, w.u)

    def again(self, w: Fields, columns: int) -> None:
        self.started("grid_leave", self.half, columns, w, w.u, w.f, w.saved)

    def sum(self, w: Fields, columns: int) -> None:
        launch.launch(launch.kernels("levels.cu", V="float32")["add"], w.stride * columns, 1, w.saved, w.u)


@dataclass(frozen=True, slots=True, eq=False)
class SolvedFields:
    """The last level, solved by its dense inverse on flattened fields: a warp a row."""

    grid: TensorGrid
    inverse: Any

    @property
    def size(self) -> int:
        return self.grid.size

    def work(self, xp: Any, columns: int) -> Fields:
        stride = math.prod(self.grid.field)
        f, u = (xp.zeros(stride * columns, dtype=xp.float32) for _ in range(2))
        return Fields(f, u, None, stride)

    def solve(self, w: Fields, columns: int) -> None:
        kernel, blocks = launch.kernels("grid.cu", V="float32")["grid_dense"], launch.grid(32 * w.stride * columns)
        kernel(blocks, (launch.THREADS,), (w.stride, columns, w.stride, self.inverse, w.f, w.u))


@dataclass(frozen=True, slots=True, eq=False)
class TailWork:
    """f and u of the first of several levels, views of the vectors of all of them."""

    f: Any
    u: Any
    vectors: Any
    stride: int


@dataclass(frozen=True, slots=True, eq=False)
class BlockTail:
    """The small levels, cycled by one block a column; the last is solved by its dense inverse. See the table of grid.cu."""

    size: int
    count: int
    table: Any
    coefficients: Any
    maps: Any
    dense: Any
    stride: int
    places: tuple[int, int]  # of f and u of the first level

    def work(self, xp: Any, columns: int) -> TailWork:
        vectors = xp.zeros(self.stride * columns, dtype=xp.float32)
        return TailWork(vectors[self.places[0] :], vectors[self.places[1] :], vectors, self.stride)

    def solve(self, w: TailWork, columns: int) -> None:
        kernel, threads = launch.kernels("grid.cu", V="float32")["grid_tail"], min(4 * launch.THREADS, MOST)
        kernel((columns,), (threads,), (self.count, self.table, self.coefficients, w.stride, w.vectors, self.maps, self.dense))


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """A level on the host: its grid, its four fields of coefficients, the maps to the next level, whether to visit it twice."""

    grid: TensorGrid
    fields: tuple[np.ndarray, ...]
    maps: np.ndarray
    twice: bool


def grids_on_gpu(M: Any, move: Move) -> HierarchyOnGPU:
    """A hierarchy of tensor grids, level after level."""
    flags = visits([level.size for level in M.levels], M.cycle)
    described = [large(level, again) for level, again in zip(M.levels[:-1], flags, strict=False)] + small(M.levels[-1])
    first = first_of_tail(described, len(M.levels[-1].dense))
    levels = [
        SweptLevel(level.grid, tuple(map(move, level.fields)), after.grid, move(level.maps), level.twice)
        for level, after in pairwise(described[: first + 1])
    ]
    dense = move(np.ascontiguousarray(M.levels[-1].dense))
    alone = first == len(described) - 1
    tail = SolvedFields(described[-1].grid, dense) if alone else block_tail(described[first:], dense, move)
    twice = (*(level.twice for level in levels), False)  # the tail does it by itself

    def renew(A: Any) -> HierarchyOnGPU:
        return grids_on_gpu(M.renew(A), move)

    rows = tuple((level.grid.size, entries(level.grid)) for level in described)
    return HierarchyOnGPU(
        (*levels, tail), twice, GridGate(described[0].grid.shape[2]), rows, M.shape, M.dtype, M.name, M.cycle,
        M.scale, None if M.renew is None else renew, Work(),
    )  # fmt: skip


def first_of_tail(levels: list[Described], dense: int) -> int:
    """From which level on one block a column cycles them all: the last, if its dense inverse is too much for one."""
    last = len(levels) - 1
    return last if dense > ONE_DENSE else next((k for k, level in enumerate(levels) if level.grid.size < ONE_BLOCK), last)


def large(level: GridLevel, twice: bool) -> Described:
    return Described(level.grid, (*level.couplings, level.inverse), maps_of(level.grid, *level.step.homes), twice)


def small(tail: GridTail) -> list[Described]:
    """The levels that the host packs into one."""
    from ...kernels import grid_tail as kernels

    found: list[Described] = []
    for grid, row in zip(tail.grids, tail.table, strict=True):
        numbers = math.prod(grid.field)
        fields = [tail.coefficients[start : start + numbers] for start in row[kernels.TX : kernels.INVERSE + 1]]
        maps = np.zeros(0, np.int32)
        if len(found) < len(tail.grids) - 1:
            lengths = (grid.shape[0], grid.shape[1], int(row[kernels.HOMES_X]))
            places = row[kernels.HOME_Z : kernels.HOME_X + 1]
            maps = maps_of(grid, *(tail.maps[start : start + length] for start, length in zip(places, lengths, strict=True)))
        found.append(Described(grid, tuple(fields), maps, bool(row[kernels.TWICE])))
    return found


def maps_of(grid: TensorGrid, home_z: np.ndarray, home_y: np.ndarray, home_x: np.ndarray) -> np.ndarray:
    """Where the cells of each coarse slab, row and cell begin, then the homes of this level's: see Step in grid.cu."""
    x = np.arange(grid.shape[2])
    x = x // 2 if len(home_x) == 1 < len(x) else x if len(home_x) == 0 else home_x  # as Coarsening writes them
    homes = (home_z, home_y, x)
    return np.concatenate([*map(starts, homes), *homes]).astype(np.int32)


def block_tail(levels: list[Described], dense: Any, move: Move) -> BlockTail:
    coefficients, maps, vectors, table = Packed(np.float32), Packed(np.int32), 0, []
    for level in levels:
        numbers = math.prod(level.grid.field)
        places = [vectors + k * numbers for k in range(3)]
        vectors += (3 if level.twice else 2) * numbers
        table.append([*level.grid.shape, *map(coefficients.put, level.fields), *places, maps.put(level.maps), int(level.twice)])
    return BlockTail(
        levels[0].grid.size, len(levels), move(np.array(table, np.int64)), move(coefficients.array()), move(maps.array()),
        dense, vectors, (table[0][7], table[0][8]),
    )  # fmt: skip
