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

WORK, BLOCKS = "recycling", "blocks"
RTOL, MOST = 1e-8, 100_000
DIRECTIONS, RHS = 20, 16
CG, DEFLATED, ALONE, TOGETHER = "cg + Jacobi", "cg + Jacobi, 20 directions carried on", "cg, one after another", "block_cg"
GMRES, GCRODR = "GMRES(40) + Jacobi", "GCRO-DR(40, 20) + Jacobi, space carried on"

Systems = list[tuple[Any, np.ndarray]]


class Bar(NamedTuple):
    """The share of what the plain method takes that is left at most; `make(n, seed)` gives the systems, of which `last` alone is
    counted or all. For blocks: the matrix of `make(n)`."""

    problem: str
    work: str
    ours: str
    plain: str
    share: float
    make: Callable[..., Any]
    last: bool = False


def media(n: int, seed: int, count: int) -> Systems:
    """Independent samples, random right-hand sides."""
    rng = np.random.default_rng(seed)
    return [(problems.darcy(n, seed=100 * seed + k).A, rng.standard_normal(n * n)) for k in range(count)]


def sources(n: int, seed: int, count: int) -> Systems:
    A, rng = problems.darcy(n, seed=seed).A, np.random.default_rng(seed)
    return [(A, rng.standard_normal(n * n)) for _ in range(count)]


TABLE = (
    Bar("log-normal media, the last of 6", WORK, DEFLATED, CG, 0.48, lambda n, seed: media(n, seed, 6), True),
    Bar("one medium, the last of 12 right-hand sides", WORK, DEFLATED, CG, 0.45, lambda n, seed: sources(n, seed, 12), True),
    Bar("log-normal media, all 8", WORK, GCRODR, GMRES, 0.40, lambda n, seed: media(n, seed, 8)),
    Bar("16 right-hand sides, Poisson", BLOCKS, TOGETHER, ALONE, 0.5, problems.poisson),
    Bar("16 right-hand sides, log-normal", BLOCKS, TOGETHER, ALONE, 0.5, problems.darcy),
)
BARS = {bar.problem: bar for bar in TABLE}


class Shared(NamedTuple):
    """Two rows of one problem: ours and the plain one."""

    bar: Bar
    ours: Row
    plain: Row

    @property
    def share(self) -> float | None:
        """The median over seeds of ours / plain, in iterations; of blocks in seconds. None if an answer was wrong; less than this
        where the plain method has given up."""
        if self.ours.status != OK or self.plain.status not in (OK, NOT_CONVERGED):
            return None
        if self.ours.solve_seconds and self.plain.solve_seconds:
            return self.ours.solve_seconds / self.plain.solve_seconds
        return float(np.median([a / b for (_, a), (_, b) in zip(self.ours.history, self.plain.history, strict=True)]))


def shares(rows: Iterable[Row]) -> list[Shared]:
    groups: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.work in (WORK, BLOCKS):
            groups.setdefault(row.problem, {})[row.method] = row
    bars = [(bar, groups.get(bar.problem, {})) for bar in TABLE]
    return [Shared(bar, of[bar.ours], of[bar.plain]) for bar, of in bars if bar.ours in of and bar.plain in of]


# -- Iterations ------------------------------------------------------------------------------------------------------------


def deflated(systems: Systems) -> list[Any]:
    """cg with the directions of one system handed to the next."""
    results: list[Any] = []
    for A, b in systems:
        M = Deflation(results[-1].space, Jacobi()) if results else Jacobi()
        results.append(cg(A, b, M=M, recycle=DIRECTIONS, rtol=RTOL))
    return results


def carried(systems: Systems) -> list[Any]:
    results: list[Any] = []
    for A, b in systems:
        space = results[-1].space if results else None
        results.append(gcrodr(A, b, M=Jacobi(), recycle=DIRECTIONS, space=space, rtol=RTOL))
    return results


METHODS: dict[str, Callable[[Systems], list[Any]]] = {
    DEFLATED: deflated, GCRODR: carried,
    CG: lambda systems: [cg(A, b, M=Jacobi(), rtol=RTOL) for A, b in systems],
    GMRES: lambda systems: [gmres(A, b, M=Jacobi(), rtol=RTOL, max_iterations=MOST) for A, b in systems],
}  # fmt: skip


def counts(bar: Bar, n: int, seeds: int) -> list[Row]:
    """The rows of a bar on iterations: products, which a set-up of recycled directions takes as well, where all systems count."""
    found: dict[str, list[tuple[int, float, bool]]] = {bar.ours: [], bar.plain: []}
    for seed in range(seeds):
        systems = bar.make(n, seed)
        for method in found:
            solved = systems[-1:] if bar.last and method == bar.plain else systems
            results = METHODS[method](solved)
            count = results[-1].iterations if bar.last else sum(result.matvecs for result in results)
            worst = max(true(A, b, result.x) for (A, b), result in zip(solved, results, strict=True))
            found[method].append((int(count), worst, all(result.converged for result in results)))
    return [counted(bar.problem, method, n, runs) for method, runs in found.items()]


def counted(problem: str, method: str, n: int, runs: list[tuple[int, float, bool]]) -> Row:
    worst, claimed = max(residual for _, residual, _ in runs), all(converged for *_, converged in runs)
    status = OK if worst <= RTOL * (1 + 1e-3) else WRONG if claimed else NOT_CONVERGED
    return Row(
        problem, f"darcy {n}^2", "spd", method, "petrov", status, rows=n * n, rtol=RTOL, relative_residual=worst, runs=len(runs),
        iterations=round(float(np.median([count for count, *_ in runs]))), work=WORK,
        history=[[float(seed), float(count)] for seed, (count, *_) in enumerate(runs)],
    )  # fmt: skip


def true(A: Any, b: np.ndarray, x: np.ndarray) -> float:
    """The largest relative residual of the columns."""
    return float(np.max(np.linalg.norm(b - A @ x, axis=0) / np.linalg.norm(b, axis=0)))


# -- Seconds ---------------------------------------------------------------------------------------------------------------


def blocks(bar: Bar, n: int, rounds: int) -> list[Row]:
    """16 right-hand sides together, side by side and one after another, with Jacobi: medians of interleaved runs."""
    A = bar.make(n).A
    B, form, M = np.random.default_rng(n).standard_normal((n * n, RHS)), compact(A), Jacobi()(A)
    ways: dict[str, Callable[[], list[Any]]] = {
        TOGETHER: lambda: [block_cg(form, B, M=M, rtol=RTOL)],
        "cg, side by side": lambda: [cg(form, B, M=M, rtol=RTOL)],
        ALONE: lambda: [cg(form, b.copy(), M=M, rtol=RTOL) for b in B.T],
    }
    judged, took = {name: way() for name, way in ways.items()}, {name: list[float]() for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()
            begin = time.perf_counter()
            way()
            took[name].append(time.perf_counter() - begin)
    row = Row(
        bar.problem, f"{bar.make.__name__} {n}^2", "spd", "", "petrov", OK, rows=n * n, entries=int(A.nnz), rtol=RTOL,
        setup_seconds=0.0, runs=rounds, work=BLOCKS,
    )  # fmt: skip
    return [timed(row, name, true(A, B, columns(judged[name])), judged[name], took[name]) for name in ways]


def columns(results: list[Any]) -> np.ndarray:
    return results[0].x if len(results) == 1 else np.stack([result.x for result in results], axis=1)


def timed(row: Row, method: str, worst: float, results: list[Any], took: list[float]) -> Row:
    return replace(
        row, method=method, status=OK if worst <= RTOL * (1 + 1e-3) else WRONG, relative_residual=worst,
        iterations=round(float(np.mean([np.max(result.iterations) for result in results]))),
        solve_seconds=float(np.median(took)), fastest_seconds=min(took), slowest_seconds=max(took),
    )  # fmt: skip
