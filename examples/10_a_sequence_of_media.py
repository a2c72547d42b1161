"""A sequence of systems, each solved with what the ones before it have left.

A parameter study solves -div(a grad u) = f for many a. `petrov.Sequence` looks at how each matrix is related to those it has
seen, and takes the cheapest way it knows: `print(sequence.summary)` says which. Here a changes step by step from one random
medium to another (an old factorisation still is a good preconditioner), then is multiplied by functions of x (nothing has to be
solved that is not known already), then f alone changes (few directions among many right-hand sides).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

import petrov
from petrov.solvers import problems


class Study(NamedTuple):
    """Seconds as a sequence and one by one, the largest relative residual, and what was done how often."""

    together: float
    apart: float
    residual: float
    ways: dict[str, int]


def systems(n: int, count: int) -> Iterator[tuple[Any, np.ndarray]]:
    """(A, b), three times `count` of them."""
    rng = np.random.default_rng(314)
    first, second = (problems.darcy(n, seed=seed) for seed in (1, 2))
    for t in np.linspace(0, 1e-3, count):  # a drift
        yield sp.csr_array((1 - t) * first.A + t * second.A), first.b
    for _ in range(count):  # A diag(d): the unknown changes its units from cell to cell
        yield sp.csr_array(second.A @ sp.diags_array(np.exp(rng.standard_normal(n * n)))), second.b
    sources = rng.standard_normal((3, n * n))
    for _ in range(count):  # three sources, mixed anew each time
        yield second.A, rng.standard_normal(3) @ sources


def main(n: int = 64, count: int = 20) -> Study:
    given = list(systems(n, count))
    begin = time.perf_counter()
    for A, b in given:
        petrov.solve(A, b)
    apart = time.perf_counter() - begin
    print(f"one by one: {apart:.3g} s")
    sequence = petrov.Sequence()
    results = sequence.solve(given)
    print(sequence.summary)
    residual = max(np.linalg.norm(b - A @ r.x) / np.linalg.norm(b) for (A, b), r in zip(given, results, strict=True))
    ways = {way: times for way, times, _ in sequence.summary.ways}
    return Study(sequence.summary.seconds, apart, float(residual), ways)


if __name__ == "__main__":
    main()
