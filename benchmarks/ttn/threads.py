"""What parallel BUG gains from threads: steps on two threads beside the same steps on one, and serial ones with a threaded BLAS.

`python -m petrov.benchmarks.ttn.threads` prints the table. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

from threadpoolctl import threadpool_limits

from ...rom.ttn import RK4, TTN, ParallelBUG, RankAdaptiveBUG, Tree
from ...rom.ttn.right_hand_sides import as_rhs
from ..contests import Contest
from ..document import OK, WRONG, Row
from . import plane_source
from .quench import LONG, UP, hamiltonian

WORK = "threads"
THREADS = 2
FIRST = 20  # steps of rank-adaptive BUG from a product
PLANE_BAR, SPINS_BAR, BLAS_BAR = 1.5, 1.3, 1.0  # seconds on one thread, on one thread, of serial steps with a threaded BLAS


@dataclass(frozen=True, slots=True)
class Case:
    """Steps of `method` by h from the state that `start` gives; one thread must take `bar` times as long as two."""

    name: str
    bar: float
    h: float
    start: Callable[[], tuple[TTN, Any, ParallelBUG]]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Medians of the seconds a step: on one thread, on two, and without workers but with as many threads for BLAS."""

    case: str
    bar: float
    ranks: tuple[int, ...]
    one: float
    two: float
    blas: float
    same: bool  # the cores are the same to the last bit

    @property
    def speedup(self) -> float:
        return self.one / self.two

    @property
    def over_blas(self) -> float:
        return self.blas / self.two

    @property
    def good(self) -> bool:
        return self.same and self.speedup >= self.bar and self.over_blas >= BLAS_BAR


# -- Problems --------------------------------------------------------------------------------------------------------------


def spins(t: float) -> tuple[TTN, Any, ParallelBUG]:
    """The quench of `quench.LONG` with ParallelBUG at t, theta 1e-8."""
    tree, method = Tree.balanced([2] * LONG.d), ParallelBUG(theta=1e-8, max_rank=40, start=0)
    rhs, Y = as_rhs(-1j * hamiltonian(tree, LONG.pairs)), TTN.product(tree, [UP] * LONG.d, rank=2)
    for step in range(round(t / 0.01)):
        Y = method.step(Y, rhs, step * 0.01, 0.01).state
    return Y, rhs, method


def plane(t: float, eps: float = 1e-6) -> tuple[TTN, Any, ParallelBUG]:
    """The published plane source with ParallelBUG at t, its first steps of rank-adaptive BUG."""
    case = plane_source.Case(end=t)
    limits: dict[str, Any] = {"relative": True, "max_rank": 50, "local": RK4()}
    first, method = RankAdaptiveBUG(eps, **limits), ParallelBUG(theta=eps, start=0, **limits)
    rhs, Y = as_rhs(plane_source.operator(case)), plane_source.start(case)
    for step in range(case.steps):
        one: Any = first if step < FIRST else method
        Y = one.step(Y, rhs, step * case.dt, case.dt, span=(0.0, t)).state
    return Y, rhs, method


CASES = (
    Case("plane source, t = 1", PLANE_BAR, 0.0025, partial(plane, 1.0)),
    Case("plane source, t = 2", PLANE_BAR, 0.0025, partial(plane, 2.0)),
    Case("long-range Ising, 16 spins, t = 0.97", SPINS_BAR, 0.01, partial(spins, 0.97)),
)


# -- Measured --------------------------------------------------------------------------------------------------------------


def measured(case: Case, repeat: int = 15) -> Scaling:
    """In turn, so that what else the machine does falls on all alike; the threaded BLAS last, whose threads go on spinning."""
    Y, rhs, method = case.start()
    ways = [replace(method, threads=count) for count in (1, THREADS)]
    seconds: list[list[float]] = [[], [], []]
    with threadpool_limits(1):
        one, two = (way.step(Y, rhs, 0.0, case.h).state for way in ways)
        for _ in range(repeat):
            for way, found in zip(ways, seconds, strict=False):
                found.append(timed(way, Y, rhs, case.h))
    with threadpool_limits(THREADS):
        timed(method, Y, rhs, case.h)
        seconds[2] += [timed(method, Y, rhs, case.h) for _ in range(repeat)]
    same = all(bool((a == b).all()) for a, b in zip(one.cores, two.cores, strict=True))
    one_thread, two_threads, blas = map(median, seconds)
    return Scaling(case.name, case.bar, Y.ranks, one_thread, two_threads, blas, same)


def timed(method: ParallelBUG, Y: TTN, rhs: Any, h: float) -> float:
    begun = time.perf_counter()
    method.step(Y, rhs, 0.0, h)
    return time.perf_counter() - begun


def rows(case: Case, timing: Any = None) -> list[Row]:
    """One thread, two threads, serial with a threaded BLAS; WRONG if the threads changed a bit."""
    found = measured(case)
    status = OK if found.same else WRONG
    said = f"ranks up to {max(found.ranks)}; two threads {found.speedup:.2f} as fast as one, {found.over_blas:.2f} as BLAS"
    names = {"one thread": found.one, f"{THREADS} threads": found.two, f"serial, {THREADS} BLAS threads": found.blas}
    return [
        Row(case.name, WORK, "threads", f"petrov ParallelBUG, {name}", "petrov", status, said, solve_seconds=seconds, work=WORK)
        for name, seconds in names.items()
    ]


def contests(cases: Sequence[Case] = CASES) -> list[Contest]:
    return [Contest(case.name, WORK, partial(rows, case)) for case in cases]


def main() -> None:
    print(f"{'case':40} {'one, ms':>9} {'two, ms':>9} {'speed-up':>9} {'bar':>5} {'BLAS, ms':>9} {'same bits':>10}")
    for case in CASES:
        s = measured(case)
        times = f"{1e3 * s.one:9.2f} {1e3 * s.two:9.2f} {s.speedup:9.2f} {s.bar:5.1f} {1e3 * s.blas:9.2f}"
        print(f"{s.case:40} {times} {'yes' if s.same else 'NO':>10}", flush=True)


if __name__ == "__main__":
    main()
