"""A level on a tensor grid with weights of interpolation, by the kernels of kernels/grid_sweeps.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .grid_level import SLABS, entries
from .grid_level import GridLevel as PlainLevel
from .tensor_grid import Coarsening, TensorGrid


@dataclass(slots=True, eq=False)
class InterpolatedWork:
    """Right-hand side and iterate in the layout of kernels/grid.py, and the residual of the ends: half a field."""

    f: np.ndarray
    u: np.ndarray
    r: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class InterpolatedLevel:
    """A level whose cells go in pairs in every direction; `sweeps` half sweeps before the coarse levels and as many after.

    weights (rows, 1 + directions, width): what an end takes from its own aggregate and from the next ones.
    """

    grid: TensorGrid
    inverse: np.ndarray
    couplings: tuple[np.ndarray, np.ndarray, np.ndarray]
    step: Coarsening
    weights: np.ndarray
    sweeps: int

    @property
    def size(self) -> int:
        return self.grid.size

    @property
    def entries(self) -> int:
        return entries(self.grid)

    @property
    def nbytes(self) -> int:
        return self.inverse.nbytes + self.weights.nbytes + sum(t.nbytes for t in self.couplings)

    @property
    def plain(self) -> PlainLevel:
        """The same couplings without weights: for what does not use them."""
        return PlainLevel(self.grid, self.inverse, self.couplings, self.step)

    @property
    def chunks(self) -> int:
        """Zero where sweep after sweep is as good: the slabs that chunks leave to each other must not meet."""
        most = self.grid.shape[0] // max(SLABS, 4 * (self.sweeps + 2))
        return min(self.plain.chunks, most)

    def work(self) -> InterpolatedWork:
        rows, _, width = self.grid.field
        f, u = (np.zeros(self.grid.field, np.float32) for _ in range(2))
        return InterpolatedWork(f, u, np.zeros((rows, width), np.float32))

    def load(self, r: np.ndarray, w: InterpolatedWork, factor: float) -> float:
        from ...kernels import grid as kernels

        return float(kernels.load(self.size, max(self.chunks, 1), r, w.f, factor, self.grid.shape[2]))

    def store(self, w: InterpolatedWork, z: np.ndarray, factor: float, r: np.ndarray) -> float:
        from ...kernels import grid as kernels

        return float(kernels.store(self.size, self.grid.pieces, w.u, z, factor, r, self.grid.shape[2]))

    def start(self, w: InterpolatedWork) -> None:
        """Nothing: `restrict` does both in one sweep over memory."""

    def restrict(self, w: InterpolatedWork, f: np.ndarray) -> None:
        from ...kernels import grid_sweeps as kernels

        (nz, ny, _), step = self.grid.shape, self.step
        kernels.down(
            self.size, self.chunks, w.f, w.u, w.r, *self.couplings, self.inverse, self.weights, f, self.sweeps, nz, ny,
            step.starts_z, step.starts_y,
        )  # fmt: skip

    def finish(self, w: InterpolatedWork, u: np.ndarray) -> None:
        from ...kernels import grid_sweeps as kernels

        nz, ny, _ = self.grid.shape
        kernels.up(
            self.size, self.chunks, w.f, w.u, *self.couplings, self.inverse, self.weights, u, self.sweeps, nz, ny,
            self.step.starts_z,
        )  # fmt: skip

    def residual(self, w: InterpolatedWork, r: np.ndarray) -> None:
        from ...kernels import grid as kernels

        nz, ny, _ = self.grid.shape
        kernels.residual(self.size, max(self.chunks, 1), w.f, w.u, *self.couplings, self.inverse, r, nz, ny)


def in_pairs(grid: TensorGrid, step: Coarsening) -> bool:
    """Whether a step puts cells together by two in every direction, two at least: what an InterpolatedLevel can take."""
    return grid.shape[0] > 1 and all(
        count == 1 or (yes and home[-1] == (count - 1) // 2 and home[min(2, count - 1)] == 1)
        for count, yes, home in zip(grid.shape, step.coarsened, pairs(grid, step), strict=True)
    )


def pairs(grid: TensorGrid, step: Coarsening) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = np.arange(grid.shape[2]) // 2 if len(step.home_x) == 1 else step.home_x
    return step.home_z, step.home_y, x if len(x) else np.arange(grid.shape[2])
