"""Training data for a neural operator: coefficients and solutions, written so that nothing is lost when the run is stopped.

`dataset.generate` calls `system(i)` for the samples that the folder does not hold, solves them as a sequence, and writes a and u
in shards of .npy with a manifest. Kill it at any time and run it again: it goes on. On the command line:
`petrov generate darcy --samples 1000 --grid 128 --out data/`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from petrov.solvers import dataset, problems

GRID = 32


class Written(NamedTuple):
    """The shape of the data, how many samples each of two runs solved, and how far A u is from b at the worst."""

    shape: tuple[int, ...]
    solved: tuple[int, int]
    residual: float


def system(i: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """Sample i: A, b and the coefficient that is to be learned from; always the same for an i."""
    problem = problems.darcy(GRID, coefficient="two-phase", seed=i)
    return problem.A, problem.b, problem.coefficient


def main(samples: int = 50) -> Written:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "two-phase"
        wanted = dataset.Wanted(samples, (GRID, GRID), {"problem": "darcy, two-phase"}, dtype="float64", shard=20)
        first = dataset.generate(system, wanted, path)
        again = dataset.generate(system, wanted, path)  # finds everything there
        a, u = dataset.read(path, verify=True)
    print(first)
    print(f"a and u: {a.shape}; a second run had {again.systems} samples left to solve")
    worst = max(np.linalg.norm(system(i)[1] - system(i)[0] @ u[i].ravel()) / GRID for i in range(samples))
    return Written(u.shape, (first.systems, again.systems), float(worst))


if __name__ == "__main__":
    main()
