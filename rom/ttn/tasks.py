"""Work on the nodes of a tree that may go on at the same time, one after another or on threads."""

from __future__ import annotations

import importlib
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from .tree import Tree

WORK = 2e4  # `work_of` all cores: below, threads cost more than they save
HEAVY = 1e8  # the same: from here on BLAS may use several threads


@dataclass(frozen=True, slots=True, eq=False)
class Workers:
    """Visits of nodes: on the threads of a pool, or in order without one.

    Every visit is a function of what the visits before it in the tree have made, so that the number of threads changes no bit.
    `branches`: disjoint subtrees, a list of nodes in post-order each, of which one is visited by one thread; `top`: the other
    nodes, in post-order.
    """

    work: Sequence[float]
    branches: Sequence[Sequence[int]]
    top: Sequence[int]
    threads: int = 1
    pool: Executor | None = None  # of all threads but the one that calls

    def up(self, visit: Callable[[int], None]) -> None:
        """visit(node) for all nodes, children before parents."""
        self.each([partial(walk, visit, branch) for branch in self.branches])
        walk(visit, self.top)

    def down(self, visit: Callable[[int], None]) -> None:
        """visit(node) for all nodes, parents before children."""
        walk(visit, self.top[::-1])
        self.each([partial(walk, visit, branch[::-1]) for branch in self.branches])

    def independent(self, nodes: Sequence[int], visit: Callable[[int], Any]) -> list[Any]:
        """[visit(node) for node in nodes]; on threads the longest first (Graham, SIAM J. Appl. Math. 17 (1969) 416)."""
        found: dict[int, Any] = {}

        def take(node: int) -> None:
            found[node] = visit(node)

        order = nodes if self.pool is None else sorted(nodes, key=lambda node: -self.work[node])
        self.each([partial(take, node) for node in order])
        return [found[node] for node in nodes]

    def each(self, calls: Sequence[Callable[[], None]]) -> None:
        """All calls; every thread takes the next one when it is free."""
        waiting = deque(calls)

        def work() -> None:
            while waiting:
                try:
                    call = waiting.popleft()
                except IndexError:  # another thread was faster
                    return
                call()

        others = min(self.threads, len(calls)) - 1
        futures = [self.pool.submit(work) for _ in range(others)] if self.pool is not None else []
        try:
            work()
        finally:
            errors = [future.exception() for future in futures]  # waits
        for error in errors:
            if error is not None:
                raise error


def walk(visit: Callable[[int], None], nodes: Sequence[int]) -> None:
    for node in nodes:
        visit(node)


def serial(tree: Tree) -> Workers:
    return Workers([], [], tree.nodes)


@contextmanager
def workers(tree: Tree, shapes: Sequence[Sequence[int]], threads: int | None) -> Iterator[Workers]:
    """For cores of these shapes. threads=None: in order, in `few_blas_threads`; else BLAS is limited to one thread each.

    All of a step belongs inside: a BLAS that may use more threads leaves them spinning for some 30 ms after each large product,
    on the cores that the workers need.
    """
    work = [work_of(shape) for shape in shapes]
    if threads is None:
        with few_blas_threads(shapes):
            yield serial(tree)
        return
    with blas().limit(limits=1):
        if threads == 1 or sum(work) < WORK:
            yield serial(tree)
            return
        branches, top = divided(tree, work, threads)
        yield Workers(work, branches, top, threads, helpers(threads - 1))


@contextmanager
def few_blas_threads(shapes: Sequence[Sequence[int]]) -> Iterator[None]:
    """BLAS limited to one thread if the cores are small: there more threads save nothing.

    And they cost much: NumPy's and SciPy's BLAS, which compiled code uses, have threads of their own, and those of one spin on
    the cores that those of the other wait for.
    """
    if sum(map(work_of, shapes)) >= HEAVY:
        yield
        return
    with blas().limit(limits=1):
        yield


def work_of(shape: Sequence[int]) -> float:
    """About proportional to the multiplications of one application of an effective operator."""
    return float(math.prod(shape) * sum(shape))


def divided(tree: Tree, work: Sequence[float], threads: int) -> tuple[list[list[int]], list[int]]:
    """(disjoint subtrees, the longest first; the nodes above them), where a sweep is expected to end soonest.

    The subtree with most work is split into those of its children again and again; the best of all these divisions is taken.
    """
    nodes_of: list[list[int]] = []
    for node in tree.nodes:
        nodes_of.append([t for child in tree.children[node] for t in nodes_of[child]] + [node])
    load = [sum(work[t] for t in nodes) for nodes in nodes_of]
    roots, best = [tree.root], (math.inf, [tree.root])
    while any(tree.children[node] for node in roots):
        heaviest = max((node for node in roots if tree.children[node]), key=load.__getitem__)
        roots = [node for node in roots if node != heaviest] + [*tree.children[heaviest]]
        above = load[tree.root] - sum(load[node] for node in roots)
        best = min(best, (above + makespan([load[node] for node in roots], threads), roots))
    branches = [nodes_of[node] for node in sorted(best[1], key=lambda node: -load[node])]
    inside = {node for branch in branches for node in branch}
    return branches, [node for node in tree.nodes if node not in inside]


def makespan(loads: Sequence[float], threads: int) -> float:
    """The time that so many threads need if each takes the longest that is left."""
    busy = [0.0] * threads
    for load in sorted(loads, reverse=True):
        busy[busy.index(min(busy))] += load
    return max(busy)


@cache
def helpers(count: int) -> Executor:
    """So many threads that wait for work; starting them at every step took half a millisecond."""
    return ThreadPoolExecutor(count)


if hasattr(os, "register_at_fork"):  # threads do not live on in a forked child, which makes its own
    os.register_at_fork(after_in_child=helpers.cache_clear)


@cache
def blas() -> Any:
    """The BLAS libraries that NumPy and compiled code use; finding them takes milliseconds."""
    importlib.import_module("scipy.linalg.cython_blas")
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
