"""What of the shipped weights the automatic choice may take, and where: only where it was measured to win.

Light on purpose: `petrov.solve` asks what a candidate costs at every choice, and loads weights only where one is taken.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from ..solvers.preconditioners.multigrid.tensor_grid import TensorGrid, tensor_grid
from ..solvers.recognise import Facts

CELLS = 200_000  # of a grid in two or three dimensions, from which the learned levels pay on the first right-hand side
# Seconds an entry and besides, of set-up with one solve and of another solve; GeometricMultigrid's are 2e-8 each there.
ONCE, MORE = (1.9e-8, 1.9e-3), (1.6e-8, 8e-4)


@dataclass(frozen=True, slots=True)
class GridWeights:
    """grid-multigrid-2d and -3d on large five- and seven-point grids.

    Measured beside the better of GeometricMultigrid's cycles on constant, log-normal and block coefficients, two threads: one
    right-hand side takes 0.80 to 0.97 of its time, ten 0.65 to 0.80 (512^2, 1024^2, 64^3, 100^3).
    """

    name = "learned grid multigrid"
    trained = True

    def estimate(self, facts: Facts) -> tuple[float, float] | None:
        """Seconds of set-up and one solve, and of another solve; None but for large grids."""
        if facts.grid is None or facts.n < CELLS or directions(facts.grid) < 2:
            return None
        return ONCE[0] * facts.entries + ONCE[1], MORE[0] * facts.entries + MORE[1]

    def __call__(self, A: Any) -> Any:
        grid = tensor_grid(A)
        load = importlib.import_module(".checkpoint", __package__).load
        return load("grid-multigrid-3d" if grid is not None and directions(grid) == 3 else "grid-multigrid-2d")(A)


def directions(grid: TensorGrid) -> int:
    """In how many the grid has more than one cell."""
    return sum(count > 1 for count in grid.shape)


SHIPPED = (GridWeights(),)
