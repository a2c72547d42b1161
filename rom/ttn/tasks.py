"""Independent local solves, one after another or on threads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

from .local_solvers import Flow, Stats

WORK = 1e4  # entries of a core times the sum of its lengths, added over all: below, threads cost more than they save


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Y' = F(t, Y) from `start` over one step, by a solver."""

    solver: Any
    flow: Flow
    start: Any

    @property
    def work(self) -> float:
        """About proportional to the multiplications of one application."""
        return float(math.prod(self.start.shape) * sum(self.start.shape))

    def run(self, t: float, h: float) -> tuple[Any, Stats]:
        return self.solver.solve(self.flow, self.start, t, h)


def solved(tasks: Sequence[Task], t: float, h: float, threads: int | None) -> list[tuple[Any, Stats]]:
    """The results in order. Each is a function of its task alone, so that the number of threads changes no bit.

    None: one after another, with BLAS as it is. A number: BLAS is limited to one thread, and tasks that are worth it are spread
    over so many threads, the longest first (Graham, SIAM J. Appl. Math. 17 (1969) 416: at most 4/3 of the shortest time).
    """
    with one_blas_thread() if threads is not None else nullcontext():
        if threads is None or threads == 1 or len(tasks) < 2 or sum(task.work for task in tasks) < WORK:
            return [task.run(t, h) for task in tasks]
        order = sorted(range(len(tasks)), key=lambda k: -tasks[k].work)
        with ThreadPoolExecutor(min(threads, len(tasks))) as pool:
            futures = {k: pool.submit(tasks[k].run, t, h) for k in order}
            return [futures[k].result() for k in range(len(tasks))]


def one_blas_thread() -> Any:
    return blas().limit(limits=1)


@cache
def blas() -> Any:
    """The BLAS libraries that are loaded; finding them takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
