"""Work on the nodes of a tree that may go on at the same time, one after another or on threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from .tree import Tree

WORK = 2e4  # `work_of` all cores: below, threads cost more than they save


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
    pool: Executor | None = None

    def up(self, visit: Callable[[int], None]) -> None:
        """visit(node) for all nodes, children before parents."""
        self.each(visit, self.branches)
        for node in self.top:
            visit(node)

    def down(self, visit: Callable[[int], None]) -> None:
        """visit(node) for all nodes, parents before children."""
        for node in reversed(self.top):
            visit(node)
        self.each(visit, [branch[::-1] for branch in self.branches])

    def each(self, visit: Callable[[int], None], branches: Sequence[Sequence[int]]) -> None:
        """Of every branch all nodes in order."""

        def walk(branch: Sequence[int]) -> None:
            for node in branch:
                visit(node)

        if self.pool is None:
            for branch in branches:
                walk(branch)
            return
        futures = [self.pool.submit(walk, branch) for branch in branches]
        wait(futures)
        for future in futures:
            future.result()

    def independent(self, nodes: Sequence[int], visit: Callable[[int], Any]) -> list[Any]:
        """[visit(node) for node in nodes]; on threads the longest first (Graham, SIAM J. Appl. Math. 17 (1969) 416)."""
        if self.pool is None:
            return [visit(node) for node in nodes]
        order = sorted(nodes, key=lambda node: -self.work[node])
        futures = {node: self.pool.submit(visit, node) for node in order}
        return [futures[node].result() for node in nodes]


def serial(tree: Tree) -> Workers:
    return Workers([], [], tree.nodes)


@contextmanager
def workers(tree: Tree, shapes: Sequence[Sequence[int]], threads: int | None) -> Iterator[Workers]:
    """For cores of these shapes. threads=None: in order, with BLAS as it is; else BLAS is limited to one thread each."""
    work = [work_of(shape) for shape in shapes]
    if threads is None:
        yield serial(tree)
        return
    with blas().limit(limits=1):
        if threads == 1 or sum(work) < WORK:
            yield serial(tree)
            return
        branches = subtrees(tree, work, threads)
        inside = {node for branch in branches for node in branch}
        with ThreadPoolExecutor(threads) as pool:
            yield Workers(work, branches, [node for node in tree.nodes if node not in inside], pool)


def work_of(shape: Sequence[int]) -> float:
    """About proportional to the multiplications of one application of an effective operator."""
    return float(math.prod(shape) * sum(shape))


def subtrees(tree: Tree, work: Sequence[float], count: int) -> list[list[int]]:
    """Disjoint subtrees, `count` or more if the tree has them, the longest first: that with most work is split by children."""
    nodes_of: list[list[int]] = []
    for node in tree.nodes:
        nodes_of.append([t for child in tree.children[node] for t in nodes_of[child]] + [node])
    load = [sum(work[t] for t in nodes) for nodes in nodes_of]
    roots = [tree.root]
    while len(roots) < count or roots == [tree.root]:
        splittable = [node for node in roots if tree.children[node]]
        if not splittable:
            break
        heaviest = max(splittable, key=load.__getitem__)
        roots = [node for node in roots if node != heaviest] + [*tree.children[heaviest]]
    return [nodes_of[node] for node in sorted(roots, key=lambda node: -load[node])]


@cache
def blas() -> Any:
    """The BLAS libraries that are loaded; finding them takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
