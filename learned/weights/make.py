"""How the weights that come with petrov were made: `python -m petrov.learned.weights.make NAME ...`, or --all.

On one machine the same seeds give the same bits. A run that was stopped is gone on with by the same command.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ..checkpoint import SHIPPED, SUFFIX, describe, load
from ..conjugate_directions import ConjugateDirections
from ..graph_multigrid import GraphMultigrid
from ..grid_multigrid import GridMultigrid
from ..multigrid.ladder import SCALARS, raw
from ..preconditioner import GraphFactor, SparseInverseNetwork
from ..runs import Run

FACTORS: dict[str, Any] = {"families": ("fem2d",), "sizes": (300, 600), "unseen_sizes": (3000,), "count": 256}
SLOWLY = {"loss": "unrolled-cg", "columns": 6, "decay": 0.998}
# Mostly small grids, on which a step takes a quarter of the time.
OBSTACLES: dict[str, Any] = {
    "families": ("obstacles2d",), "sizes": (1024, 1024, 1024, 4096), "unseen_sizes": (3969,), "count": 48, "held_out": 3,
}  # fmt: skip
# From the network of the paper, on grids of many sizes, so that what has as many levels learns to have one more.
DEEP: dict[str, Any] = {
    "families": ("obstacles2d",), "sizes": (*(1024, 4096) * 3, 16384), "unseen_sizes": (3969, 9216), "count": 42, "held_out": 2,
}  # fmt: skip
MULTIGRID: dict[str, Any] = {
    "families": ("fem2d", "anisotropic2d", "fem3d", "stretched2d", "anisotropic2d", "fv2d", "fem3d", "heat2d"),
    "sizes": (1000, 3500), "unseen_sizes": (12_000,), "count": 96, "held_out": 2,
    "options": {"steps": 240, "batch": 3, "columns": 2, "unrolled": 10, "rate": 0.01, "decay": 0.99, "clip": 5.0, "every": 40},
}  # fmt: skip
PLANE: dict[str, Any] = {
    "families": ("fv2d", "rough2d"), "sizes": (1024, 1024, 4096), "unseen_sizes": (9216,), "count": 192, "held_out": 8,
    "options": {"columns": 4, "unrolled": 7, "rate": 1e-2, "decay": 0.995, "every": 100, "steps": 800},
}  # fmt: skip
# What was learned in the plane holds in space, and costs a tenth there: it is where space starts.
SPACE: dict[str, Any] = {
    "families": ("fv3d", "rough3d"), "sizes": (4096,), "unseen_sizes": (8000,), "count": 96, "held_out": 6,
    "options": {"columns": 4, "unrolled": 7, "rate": 3e-3, "decay": 0.985, "every": 40, "steps": 200},
}  # fmt: skip
DESCENT = {"loss": "energy", "rate": 1e-3, "decay": 0.998, "rtol": 1e-4, "every": 250}


def gathering(rung: str) -> GraphMultigrid:
    """Where training a multigrid starts, found by hand: scalars for aggregates that hold up rotated anisotropy, and, with a
    network, larger ones for tetrahedra, whose coarse levels are dear: of the strong is asked 0.36 - 8 max(0, 0.1 - d)."""
    start = GraphMultigrid.untrained(rung=rung)
    weights = {name: value.copy() for name, value in start.weights.items()}
    for name, value in (("strength", 0.36), ("threshold", 0.1)):
        weights["scalars"][list(SCALARS).index(name)] = raw(name, value)
    if rung != "scalars":
        weights["edge.0.weight"][8], weights["edge.0.bias"][8] = -np.eye(8)[7], 0.1
        weights["edge.2.weight"][0, 8] = 8.0
    return start.with_weights(weights)


RUNS: dict[str, Run] = {
    "conjugate-directions-2d": Run(ConjugateDirections.untrained, **OBSTACLES, options={**DESCENT, "steps": 1500}),
    "conjugate-directions-2d-deep": Run(
        lambda: load("conjugate-directions-2d").deeper(16), **DEEP,
        options={**DESCENT, "steps": 400, "decay": 0.992, "every": 50},
    ),
    "grid-multigrid-2d": Run(GridMultigrid.untrained, **PLANE),
    "grid-multigrid-2d-scalars": Run(partial(GridMultigrid.untrained, hidden=0), **PLANE),
    "grid-multigrid-3d": Run(lambda: load("grid-multigrid-2d").in_space(), **SPACE),
    "grid-multigrid-3d-scalars": Run(lambda: load("grid-multigrid-2d-scalars").in_space(), **SPACE),
    "graph-multigrid": Run(partial(gathering, "mlp"), **MULTIGRID),
    "graph-multigrid-scalars": Run(partial(gathering, "scalars"), **MULTIGRID),
    "graph-factor-2d": Run(GraphFactor.untrained, **FACTORS, options={**SLOWLY, "steps": 1500, "unrolled": 16}),
    "sparse-inverse-2d": Run(SparseInverseNetwork.untrained, **FACTORS, options={**SLOWLY, "steps": 2000, "unrolled": 16}),
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m petrov.learned.weights.make", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RUNS))
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--device", default="cpu", help="of torch (default: cpu, on which the bits are promised)")
    arguments = parser.parse_args(argv)
    names = list(RUNS) if arguments.all else arguments.names
    if unknown := [name for name in names if name not in RUNS]:
        parser.error(f"no weights are named {', '.join(unknown)}; there are {', '.join(RUNS)}")
    for name in names:
        path = SHIPPED / (name + SUFFIX)
        RUNS[name].perform(path, device=arguments.device)
        facts = describe(path)["facts"]
        print(f"{name}: {facts['iterations_before']:.1f} -> {facts['iterations']:.1f} iterations, {facts['seconds']:.0f} s")


if __name__ == "__main__":
    main()
