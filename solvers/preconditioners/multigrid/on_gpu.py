"""Hierarchies on a GPU: levels that the host has set up, and the cycle as a queue of kernels that no host waits for.

A V-cycle starts seven kernels a level of a matrix (two steps, residual, restriction, correction, two steps), five a large level
of a grid, and four beside them: sizes, the way in, the smallest level, the way out. All are started in the same order, with the
same arrays, each time: a graph can record them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ... import arrays
from ...kernels.cuda import launch
from ...kernels.cuda.work import Work, applied, reals
from ...storage import compact
from .cycle import Kind, worth_two


class Level(Protocol):
    """A level on a device. Vectors `w` hold at least f and u, for as many columns as they were made for or fewer."""

    size: int
    entries: int

    def work(self, xp: Any, columns: int) -> Any: ...
    def down(self, w: Any, below: Any, columns: int) -> None: ...  # w.u = pre-smoothing from zero; below.f = R (w.f - A w.u)
    def up(self, w: Any, below: Any, columns: int) -> None: ...  # w.u += P below.u, then post-smoothing
    def again(self, w: Any, columns: int) -> None: ...  # w.saved = w.u; w.f -= A w.u
    def sum(self, w: Any, columns: int) -> None: ...  # w.u += w.saved
    def solve(self, w: Any, columns: int) -> None: ...  # w.u = A^-1 w.f; the coarsest alone


class Gate(Protocol):
    """The way in and out: between a caller's vectors and those of the finest level, which are near one in size."""

    def load(self, kernels: Any, r: Any, sizes: Any, w: Any, rows: int, columns: int) -> None: ...
    def unload(self, kernels: Any, z: Any, sizes: Any, scale: float, w: Any, rows: int, columns: int) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The gate of levels whose vectors are (n, k) like the caller's, their rows in the order `order`, or in his (None)."""

    order: Any

    def load(self, kernels: Any, r: Any, sizes: Any, w: Any, rows: int, columns: int) -> None:
        if self.order is None:
            launch.launch(kernels["load"], rows, columns, sizes, r, w.f)
        else:
            launch.launch(kernels["load_ordered"], rows, columns, sizes, self.order, r, w.f)

    def unload(self, kernels: Any, z: Any, sizes: Any, scale: float, w: Any, rows: int, columns: int) -> None:
        if self.order is None:
            launch.launch(kernels["unload"], rows, columns, sizes, scale, w.u, z)
        else:
            launch.launch(kernels["unload_ordered"], rows, columns, sizes, scale, self.order, w.u, z)


@dataclass(frozen=True, slots=True, eq=False)
class HierarchyOnGPU:
    """M = one V- or W-cycle from zero on a GPU, in single precision inside: what `Hierarchy.moved` gives.

    Linear and symmetric positive definite. Vectors (n,) or (n, k) in single or double precision, real or complex (of which both
    parts are multiplied); what they are in size does not matter. An application reads nothing on the host and allocates nothing
    but, with `@`, its answer. `update(A2)` sets up on the host and moves again.
    """

    levels: tuple[Any, ...]
    twice: tuple[bool, ...]  # which levels are visited twice
    gate: Any
    rows: tuple[tuple[int, int], ...]
    shape: tuple[int, int]
    dtype: Any
    name: str
    cycle: Kind
    scale: float
    renew: Callable[[Any], HierarchyOnGPU] | None
    work: Work

    linear = spd = True

    @property
    def H(self) -> HierarchyOnGPU:
        return self

    def __matmul__(self, r: Any) -> Any:
        return applied(self, r)

    def into(self, r: Any, z: Any) -> Any:
        """z = M r, for contiguous r and z (n,) or (n, k) of one type."""
        n, xp, given, answer = self.shape[0], arrays.namespace(r), reals(r), reals(z)
        columns = given.size // max(n, 1)
        if columns > launch.MOST_COLUMNS:  # a thread for each, which a block has not
            z[...] = applied(self, r)
            return z
        sizes, partials, ticket, works = self.work.of(columns, arrays.dtype_name(given), lambda k, _: self.vectors(xp, k))
        kernels = launch.kernels("levels.cu", V=given)
        launch.launch(kernels["sizes"], n, columns, given, sizes, partials, ticket)
        self.gate.load(kernels, given, sizes, works[0], n, columns)
        descend(self.levels, works, 0, self.twice, columns)
        self.gate.unload(kernels, answer, sizes, self.scale, works[0], n, columns)
        return z

    def vectors(self, xp: Any, columns: int) -> tuple[Any, ...]:
        """What an application to so many columns needs."""
        partials = xp.empty(launch.grid(self.shape[0], columns)[0] * columns, dtype=xp.float64)
        works = tuple(level.work(xp, columns) for level in self.levels)
        return xp.empty(columns, dtype=xp.float64), partials, xp.zeros(1, dtype=xp.uint32), works

    def update(self, A: Any) -> HierarchyOnGPU:
        """The hierarchy of A, a matrix with the same pattern (of CuPy, or on the host); self is not changed."""
        if tuple(A.shape) != tuple(self.shape):
            raise ValueError(f"update needs a matrix of the first one's shape, {self.shape}; got {tuple(A.shape)}; set up anew")
        if self.renew is None:
            raise TypeError(f"{self.name} was imported and cannot be updated; set up anew")
        stored = compact(A)
        return self.renew(getattr(stored, "on_host", stored))

    def __repr__(self) -> str:
        lines = [f"{self.name}: {self.cycle}-cycle, {len(self.rows)} levels, on a GPU"]
        lines += [f"{'level':>5} {'unknowns':>12} {'entries':>14}"]
        lines += [f"{k:>5} {size:>12,} {entries:>14,}" for k, (size, entries) in enumerate(self.rows)]
        return "\n".join(lines)


def descend(levels: Sequence[Level], works: Sequence[Any], k: int, twice: Sequence[bool], columns: int) -> None:
    """works[k].u ~ A_k^-1 works[k].f by one cycle from u = 0: that of cycle.py."""
    level, w = levels[k], works[k]
    if k == len(levels) - 1:
        level.solve(w, columns)
        return
    below = works[k + 1]
    level.down(w, below, columns)
    descend(levels, works, k + 1, twice, columns)
    if twice[k + 1]:
        levels[k + 1].again(below, columns)
        descend(levels, works, k + 1, twice, columns)
        levels[k + 1].sum(below, columns)
    level.up(w, below, columns)


def visits(sizes: Sequence[int], cycle: Kind) -> tuple[bool, ...]:
    """Which levels a cycle of cycle.py visits twice. TypeError for cycles that have no form on a GPU."""
    if cycle not in ("V", "W"):
        raise TypeError(f"a {cycle}-cycle has no form on a GPU; use cycle='V' or 'W'")
    flags, going = [False] * len(sizes), cycle == "W"
    for k in range(1, len(sizes) - 1):
        going = going and worth_two(k - 1, sizes[k - 1], sizes[k])
        flags[k] = going
    return tuple(flags)


__all__ = ["HierarchyOnGPU", "Level", "Rows", "descend", "visits"]
