"""What recycled directions save in iterations, and what a block of right-hand sides saves in seconds: petrov against petrov."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ...solvers import Deflation, Jacobi, block_cg, cg, compact, gcrodr, gmres, problems
from ..document import NOT_CONVERGED, OK, WRONG, Row

DIRECTIONS, BLOCK, RHS, BLOCKS = 20, "block_cg", 16, "blocks"
RTOL = 1e-8
WORK = "recycling"


class Bar(NamedTuple):
    """The share of what the plain method takes that is left at most."""

    problem: str
    ours: str
    plain: str
    share: float


BARS = {
    bar.problem: bar
    for bar in (
        Bar("log-normal media, the last of 6", "cg + Jacobi, 20 directions carried on", "cg + Jacobi", 0.48),
        Bar("one medium, the last of 12 right-hand sides", "cg + Jacobi, 20 directions carried on", "cg + Jacobi", 0.45),
        Bar("log-normal media, all 8", "GCRO-DR(40, 20) + Jacobi, space carried on", "GMRES(40) + Jacobi", 0.40),
        Bar("16 right-hand sides, Poisson", BLOCK, "cg, one after another", 0.5),
        Bar("16 right-hand sides, log-normal", BLOCK, "cg, one after another", 0.5),
    )
}


class Shared(NamedTuple):
    """Two rows of one problem: medians over the seeds (or runs) of ours / plain."""

    bar: Bar
    ours: Row
    plain: Row

    @property
    def share(self) -> float | None:
        """Iterations, or seconds where both have them; None if an answer was wrong."""
        if not self.ours.status == self.plain.status == OK:
            return None
        if self.ours.solve_seconds and self.plain.solve_seconds:
            return self.ours.solve_seconds / self.plain.solve_seconds
        return float(np.median([a / b for (_, a), (_, b) in zip(self.ours.history, self.plain.history, strict=True)]))


def shares(rows: Iterable[Row]) -> list[Shared]:
    groups: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.work in (WORK, BLOCKS):
            groups.setdefault(row.problem, {})[row.method] = row
    bars = [(bar, groups.get(bar.problem, {})) for bar in BARS.values()]
    return [Shared(bar, of[bar.ours], of[bar.plain]) for bar, of in bars if bar.ours in of and bar.plain in of]


# -- Iterations ------------------------------------------------------------------------------------------------------------


def deflated(systems: list[tuple[Any, np.ndarray]]) -> list[Any]:
    """cg with the directions of one system handed to the next."""
    results: list[Any] = []
    for A, b in systems:
        M = Deflation(results[-1].space, Jacobi()) if results else Jacobi()
        results.append(cg(A, b, M=M, recycle=DIRECTIONS, rtol=RTOL))
    return results


def carried(systems: list[tuple[Any, np.ndarray]]) -> list[Any]:
    results: list[Any] = []
    for A, b in systems:
        space = results[-1].space if results else None
        results.append(gcrodr(A, b, M=Jacobi(), recycle=DIRECTIONS, space=space, rtol=RTOL))
    return results


def media(n: int, seed: int, count: int) -> list[tuple[Any, np.ndarray]]:
    """Independent samples, random right-hand sides."""
    rng = np.random.default_rng(seed)
    return [(problems.darcy(n, seed=100 * seed + k).A, rng.standard_normal(n * n)) for k in range(count)]


def sources(n: int, seed: int, count: int) -> list[tuple[Any, np.ndarray]]:
    A, rng = problems.darcy(n, seed=seed).A, np.random.default_rng(seed)
    return [(A, rng.standard_normal(n * n)) for _ in range(count)]


def counts(problem: str, n: int, seeds: int) -> list[Row]:
    """The rows of one of the first three bars; history: [seed, iterations (products for GCRO-DR)]."""
    bar = BARS[problem]
    ours, plain = [], []
    for seed in range(seeds):
        if problem == "log-normal media, all 8":
            systems = media(n, seed, 8)
            ours.append((systems, carried(systems), sum_of_products))
            plain.append((systems, [gmres(A, b, M=Jacobi(), rtol=RTOL) for A, b in systems], sum_of_products))
        else:
            systems = media(n, seed, 6) if problem == "log-normal media, the last of 6" else sources(n, seed, 12)
            last = systems[-1:]
            ours.append((systems, deflated(systems), last_iterations))
            plain.append((last, [cg(*last[0], M=Jacobi(), rtol=RTOL)], last_iterations))
    return [counted(problem, name, n, runs) for name, runs in ((bar.ours, ours), (bar.plain, plain))]


def sum_of_products(results: list[Any]) -> int:
    return sum(result.matvecs for result in results)


def last_iterations(results: list[Any]) -> int:
    return int(results[-1].iterations)


def counted(problem: str, method: str, n: int, runs: list[tuple[list[Any], list[Any], Callable[[list[Any]], int]]]) -> Row:
    worst = max(true(A, b, result.x) for systems, results, _ in runs for (A, b), result in zip(systems, results, strict=True))
    numbers = [tell(results) for _, results, tell in runs]
    row = Row(
        problem, f"darcy {n}^2", "spd", method, "petrov", OK, rows=n * n, rtol=RTOL, relative_residual=worst, runs=len(runs),
        iterations=round(float(np.median(numbers))), history=[[float(k), float(count)] for k, count in enumerate(numbers)], work=WORK,
    )  # fmt: skip
    claimed = all(result.converged for _, results, _ in runs for result in results)
    return row if worst <= RTOL * (1 + 1e-3) else replace(row, status=WRONG if claimed else NOT_CONVERGED)


def true(A: Any, b: np.ndarray, x: np.ndarray) -> float:
    """The largest relative residual of the columns."""
    return float(np.max(np.linalg.norm(b - A @ x, axis=0) / np.linalg.norm(b, axis=0)))


# -- Seconds ---------------------------------------------------------------------------------------------------------------


def blocks(problem: str, n: int, rounds: int) -> list[Row]:
    """16 right-hand sides together, side by side and one after another, with Jacobi: medians of interleaved runs."""
    make = problems.poisson if problem.endswith("Poisson") else problems.darcy
    A = make(n).A
    B, form, M = np.random.default_rng(n).standard_normal((n * n, RHS)), compact(A), Jacobi()(A)
    ways: dict[str, Callable[[], list[Any]]] = {
        BARS[problem].ours: lambda: [block_cg(form, B, M=M, rtol=RTOL)],
        "cg, side by side": lambda: [cg(form, B, M=M, rtol=RTOL)],
        BARS[problem].plain: lambda: [cg(form, b.copy(), M=M, rtol=RTOL) for b in B.T],
    }
    judged, seconds = {name: way() for name, way in ways.items()}, {name: list[float]() for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()
            begin = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - begin)
    rows = []
    for name, results in judged.items():
        X = results[0].x if len(results) == 1 else np.stack([result.x for result in results], axis=1)
        worst = true(A, B, X)
        steps = round(float(np.mean([np.max(result.iterations) for result in results])))
        status = OK if worst <= RTOL * (1 + 1e-3) else WRONG
        rows.append(Row(
            problem, f"{make.__name__} {n}^2", "spd", name, "petrov", status, rows=n * n, entries=int(A.nnz), rtol=RTOL,
            relative_residual=worst, iterations=steps, setup_seconds=0.0, solve_seconds=float(np.median(seconds[name])),
            fastest_seconds=min(seconds[name]), slowest_seconds=max(seconds[name]), runs=rounds, work=BLOCKS,
        ))  # fmt: skip
    return rows
