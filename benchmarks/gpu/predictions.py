"""Predictions with bounds of a reduced model, the heat in a plate of four materials: a batch on the GPU, the same on the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import sparse

from ... import rom
from ..contests import Contest
from ..document import OK, WRONG, Row
from .timing import Timing, median, rounds

WORK = "predictions"
GPU, HOST = "petrov.rom, GPU", "petrov.rom, host"
CELLS, TRAIN = 48, 200
AGREE = 1e-9  # of the largest answer; the bound is the square root of a difference, and has half the digits
AGREE_BOUND = 1e-5


def plate(n: int = CELLS) -> tuple[list[Any], np.ndarray]:
    """The stiffness of each quarter, conductivity one, on (n - 1)^2 inner nodes of a square, and a uniform load."""
    d, one = sparse.diags_array([1.0, -1.0], offsets=[0, -1], shape=(n, n - 1)).tocsr(), sparse.eye_array(n - 1)
    middle, node = (np.arange(n) + 0.5) / n, np.arange(1, n) / n
    faces = (
        (sparse.kron(one, d).tocsr(), np.tile(middle, n - 1), np.repeat(node, n)),
        (sparse.kron(d, one).tocsr(), np.tile(node, n), np.repeat(middle, n - 1)),
    )
    quarter = [[sparse.diags_array(1.0 * ((x > 0.5) + 2 * (y > 0.5) == q)) for _, x, y in faces] for q in range(4)]
    terms = [sum(G.T @ mask @ G for (G, *_), mask in zip(faces, masks, strict=True)).tocsr() for masks in quarter]
    return terms, np.full((n - 1) ** 2, 1 / n**2)


def fitted() -> rom.ReducedModel:
    terms, b = plate()

    def assemble(mu: Mapping[str, float]) -> tuple[Any, np.ndarray]:
        return sum(mu[f"k{q}"] * term for q, term in enumerate(terms)).tocsr(), b

    box = rom.Parameters(**{f"k{q}": (0.2, 5.0, "log") for q in range(4)})
    recipe = rom.Greedy(tol=1e-4, relative=True)
    return rom.ReducedModel(assemble, box, operator=rom.Affine(["k0", "k1", "k2", "k3"]), basis=recipe, output=b).fit(TRAIN)


def contests(timing: Timing) -> list[Contest]:
    name = f"{WORK}: {timing.predictions:,} of a plate of four materials"
    return [Contest(name, WORK, lambda settings: [replace(row, problem=name) for row in measure(timing)])]


def measure(timing: Timing) -> list[Row]:
    """Both batches, whose answers must agree."""
    import cupy

    model = fitted()
    mus = model.parameters.random(timing.predictions, seed=5)
    there = cupy.asarray(mus)
    times = rounds({GPU: lambda: model.predict(there), HOST: lambda: model.predict(mus)}, timing.rounds)
    mine, other = model.predict(there), model.predict(mus)
    off = largest(mine.outputs.get() - other.outputs, other.outputs), largest(mine.bound.get() - other.bound, other.bound)
    right = off[0] <= AGREE and off[1] <= AGREE_BOUND
    reason = f"outputs apart by {off[0]:.1e}, bounds by {off[1]:.1e} of the largest"
    return [
        Row(
            "", WORK, "spd", name, library, OK if right else WRONG, reason, rows=model.size, iterations=len(mus),
            setup_seconds=0.0, solve_seconds=median(times[name]) if right else None, relative_residual=off[0],
            runs=timing.rounds, work=WORK,
        )
        for name, library in ((GPU, "petrov"), (HOST, HOST))
    ]  # fmt: skip


def largest(difference: Any, scale: Any) -> float:
    return float(np.abs(difference).max() / np.abs(scale).max())
