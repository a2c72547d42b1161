"""Tensor grids: told from the bands of a matrix, and coarsened."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from ...storage import DIA

PARTLY = 0.25  # a direction whose couplings are weaker than this part of the strongest is left as it is
SMALLEST = 4  # cells below which a direction is not coarsened


@dataclass(frozen=True, slots=True)
class TensorGrid:
    """nz x ny x nx cells, x fastest; ny = 1 in two dimensions, nz = ny = 1 in one; periodic by direction (z, y, x)."""

    shape: tuple[int, int, int]
    periodic: tuple[bool, bool, bool] = (False, False, False)

    @property
    def size(self) -> int:
        nz, ny, nx = self.shape
        return nz * ny * nx

    @property
    def strides(self) -> tuple[int, int, int]:
        _, ny, nx = self.shape
        return ny * nx, nx, 1

    @property
    def two_colours(self) -> bool:
        """Whether next cells can always have different colours."""
        return not any(wrap and count % 2 for count, wrap in zip(self.shape, self.periodic, strict=True))

    @property
    def pieces(self) -> int:
        """Into how many pieces the rows are dealt where any number will do."""
        return max(1, min(64, self.shape[0] * self.shape[1]))

    @property
    def offsets(self) -> dict[int, tuple[int, bool]]:
        """Offset of a band above the diagonal -> (direction, whether it goes around the torus)."""
        found = {}
        for axis, (count, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            if count > 1:
                found[stride] = (axis, False)
                if self.periodic[axis]:
                    found[(count - 1) * stride] = (axis, True)
        return found

    @property
    def field(self) -> tuple[int, int, int]:
        """The shape of a field's array: see kernels/grid.py."""
        nz, ny, nx = self.shape
        return nz * ny, 2, (nx + 1) // 2 + 2

    def index(self) -> np.ndarray:
        """Where cell (k, j, i) stands in the flattened array of a field: (nz, ny, nx)."""
        rows, _, width = self.field
        i = np.arange(self.shape[2])
        return (np.arange(rows)[:, None] * 2 * width + (i % 2) * width + 1 + i // 2).reshape(self.shape)

    def __str__(self) -> str:
        sides = [str(count) + " periodic" * wrap for count, wrap in zip(self.shape, self.periodic, strict=True) if count > 1]
        return " x ".join(sides) or "1"


def grids(size: int, offsets: list[int]) -> list[TensorGrid]:
    """The tensor grids whose bands above the diagonal stand at just these offsets; the values decide which it is."""
    if not offsets or offsets[0] != 1 or len(offsets) > 6:
        return []
    found = []
    for nx in [step for step in offsets if step > 2 and size % step == 0] + [size]:
        # In two dimensions the rows are slabs; in three, ny comes from the offset of the planes.
        planes = [step // nx for step in offsets if step > 2 * nx and step % nx == 0 and size % step == 0]
        for ny, *wraps in product([1, *planes], *[(False, True)] * 3):
            grid = TensorGrid((size // (nx * ny), ny, nx), (bool(wraps[0]), bool(wraps[1]), bool(wraps[2])))
            # Around a torus of two cells the first neighbour is the last one too.
            possible = all(count > 2 or not wrap for count, wrap in zip(grid.shape, wraps, strict=True))
            if possible and sorted(grid.offsets) == offsets:
                found.append(grid)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Coarsening:
    """From the cells of a grid to those of the next: home_z[k] is the coarse slab of slab k, starts_z its first slab.

    home_x is empty where x is left as it is and has length one where cells go in pairs, which is what the kernels do best.
    """

    coarse: TensorGrid
    coarsened: tuple[bool, bool, bool]
    starts_z: np.ndarray
    starts_y: np.ndarray
    home_z: np.ndarray
    home_y: np.ndarray
    home_x: np.ndarray

    @property
    def homes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.home_z, self.home_y, self.home_x


def coarsening(grid: TensorGrid, strength: tuple[float, float, float]) -> Coarsening | None:
    """Pairs of cells along the directions of strong coupling; None if no direction can be coarsened.

    A periodic direction keeps an even number of cells, so that two colours do: where pairs would leave an odd number, two
    cells go three to one. Weak directions are left alone (semi-coarsening), or anisotropy would defeat pointwise smoothing.
    """
    able = [count >= SMALLEST for count in grid.shape]
    strongest = max([s for s, a in zip(strength, able, strict=True) if a], default=0.0)
    chosen = tuple(a and s >= PARTLY * strongest for s, a in zip(strength, able, strict=True))
    if not any(chosen):
        return None
    homes = [
        home_of(count, wrap) if yes else np.arange(count)
        for count, wrap, yes in zip(grid.shape, grid.periodic, chosen, strict=True)
    ]
    counts = [int(home[-1]) + 1 for home in homes]
    # A torus of two cells has one face where a pair of cells has two; both couplings are kept, at either end.
    coarse = TensorGrid((counts[0], counts[1], counts[2]), grid.periodic)
    x = homes[2] if not np.array_equal(homes[2], np.arange(grid.shape[2]) // 2) else np.zeros(1, np.int64)
    return Coarsening(
        coarse, (chosen[0], chosen[1], chosen[2]), starts(homes[0]), starts(homes[1]), homes[0], homes[1],
        x if chosen[2] else np.zeros(0, np.int64),
    )  # fmt: skip


def home_of(count: int, periodic: bool) -> np.ndarray:
    """The coarse cell of each cell along one direction."""
    home = np.arange(count) // 2
    if periodic and count % 4 == 2:
        triple = 3 * (np.arange(6) // 3)
        home = np.concatenate([triple // 3, 2 + np.arange(count - 6) // 2])
    return home


def starts(home: np.ndarray) -> np.ndarray:
    """The first cell of every coarse cell, and the number of cells."""
    return np.flatnonzero(np.diff(home, prepend=-1, append=home[-1] + 1))


def bands(grid: TensorGrid, band: Any) -> list[Any]:
    """The bands that kernels/grid_setup.py reads: to the next along x, y, z, then around the torus; empty if there is none."""
    found: dict[tuple[int, bool], Any] = {where: band(offset) for offset, where in grid.offsets.items()}
    empty = band(0)[:0]
    return [found.get((axis, wrap), empty) for wrap in (False, True) for axis in (2, 1, 0)]


def tensor_grid(A: Any) -> TensorGrid | None:
    """The grid whose matrix A is, by its bands and, exactly, by its entries; None if there is none that red and black suit.

    A is a DIA matrix, real and symmetric.
    """
    from ...kernels import grid_setup as kernels

    if not isinstance(A, DIA) or not A.hermitian or A.dtype.kind != "f":
        return None
    for grid in grids(A.shape[0], [offset for offset in A.offsets if offset > 0]):
        if grid.two_colours and not kernels.misfits(grid.size, grid.pieces, *grid.shape, *bands(grid, A.band)):
            return grid
    return None
