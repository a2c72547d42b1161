"""A hierarchy of levels as a preconditioner, whoever set it up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

import numpy as np

from ...storage.resident import Move
from .aggregates_on_gpu import aggregates_on_gpu
from .cycle import Kind, descend
from .grids_on_gpu import grids_on_gpu
from .on_gpu import HierarchyOnGPU

THREADED_FROM = 20_000  # unknowns from which kernels take several threads, which is other code
PORTS: dict[str, Callable[..., HierarchyOnGPU]] = {
    "MatrixLevel": aggregates_on_gpu, "DenseLevel": aggregates_on_gpu, "GridLevel": grids_on_gpu, "GridTail": grids_on_gpu,
}  # fmt: skip
LARGE, SMALL = 1e15, 1e-15  # sizes of a single-precision right-hand side beyond which it is scaled first


class Work(Protocol):
    """The vectors of one application on one level: right-hand side f and iterate u, in the level's precision and layout.

    Entries that belong to no unknown (padding) are zero in f and in u.
    """

    f: np.ndarray
    u: np.ndarray


class Level(Protocol):
    """One level; it holds matrices and no vectors, so that several threads may apply one hierarchy.

    The finest level also loads and stores the caller's vectors; the coarsest has only `work` and `solve`.
    """

    size: int  # unknowns
    entries: int  # of its matrix

    def work(self) -> Work: ...
    def load(self, r: np.ndarray, w: Any, factor: float) -> float: ...  # w.f = factor r; max |w.f|
    def store(self, w: Any, z: np.ndarray, factor: float, r: np.ndarray) -> float: ...  # z = factor w.u; r^T z
    def start(self, w: Any) -> None: ...  # w.u = pre-smoothing of A u = f from zero
    def restrict(self, w: Any, f: np.ndarray) -> None: ...  # f = R (w.f - A w.u)
    def finish(self, w: Any, u: np.ndarray) -> None: ...  # w.u += P u, then post-smoothing, the adjoint of start's
    def residual(self, w: Any, r: np.ndarray) -> None: ...  # r = w.f - A w.u; r may be w.f
    def solve(self, w: Any) -> None: ...  # w.u = A^-1 w.f


@cache
def _compiled(kind: tuple[Any, ...]) -> list[bool]:
    """Empty until a hierarchy of this kind has been applied in this process."""
    return []


def compiled(M: Hierarchy) -> Hierarchy:
    """M, applied once to zero if it is the first of its kind in this process: no solve shall wait for the compiler."""
    kinds = tuple((type(level).__name__, level.size >= THREADED_FROM) for level in M.levels)
    done = _compiled((frozenset(kinds), np.dtype(M.dtype).name))
    if not done:
        M @ np.zeros(M.shape[0], M.dtype)
        done.append(True)
    return M


@dataclass(frozen=True, slots=True, eq=False)
class Hierarchy:
    """M = one multigrid cycle from zero, for the n by n matrix whose levels these are.

    Linear and symmetric positive definite as a V- or W-cycle; an F-cycle is linear but not symmetric and a K-cycle is not
    linear: those are for flexible_cg. Vectors of an application come from a pool and go back to it: one set a concurrent
    caller. `scale` is a power of two by which the matrix was multiplied before it was rounded to the levels' precision.

    `update(A2)` gives the hierarchy of another matrix of the same pattern: what depends on the pattern alone is kept, what
    depends on values is computed anew. Printed, it shows levels, unknowns, entries and complexities.
    """

    levels: tuple[Any, ...]
    shape: tuple[int, int]
    dtype: Any
    name: str
    cycle: Kind = "V"
    scale: float = 1.0
    renew: Callable[[Any], Hierarchy] | None = None
    pool: list[tuple[Any, ...]] = field(default_factory=list, repr=False)

    @property
    def linear(self) -> bool:
        return self.cycle != "K"

    @property
    def spd(self) -> bool:
        return self.cycle in ("V", "W")

    def __matmul__(self, r: Any) -> Any:
        if r.ndim == 2:
            return np.stack([self @ np.ascontiguousarray(r[:, j]) for j in range(r.shape[1])], axis=1) if r.shape[1] else r.copy()
        if r.dtype.kind == "c":
            return (self @ np.ascontiguousarray(r.real)) + 1j * (self @ np.ascontiguousarray(r.imag))
        z = np.empty(self.shape[0], np.result_type(r.dtype, self.dtype))
        self.apply(np.ascontiguousarray(r), z)
        return z

    def apply_dot(self, r: np.ndarray, z: np.ndarray | None = None) -> tuple[np.ndarray, float]:
        """(M r, r^T M r) of a real contiguous r, in one pass less than apart; into z if it is given."""
        z = np.empty(r.shape, np.result_type(r.dtype, self.dtype)) if z is None else z
        return z, self.apply(r, z)

    def apply(self, r: np.ndarray, z: np.ndarray) -> float:
        """z = M r; r^T z. The vectors of the levels come from the pool, and go back to it."""
        try:
            works = self.pool.pop()
        except IndexError:
            works = tuple(level.work() for level in self.levels)
        try:
            return self.cycled(r, z, works)
        finally:
            self.pool.append(works)

    def cycled(self, r: np.ndarray, z: np.ndarray, works: tuple[Any, ...]) -> float:
        """z = M r; r^T z. A right-hand side outside the range of single precision is scaled by a power of two first."""
        finest, factor = self.levels[0], 1.0
        size = finest.load(r, works[0], factor)
        if not SMALL < size < LARGE and (largest := float(np.abs(r).max(initial=0.0))) > 0.0 and math.isfinite(largest):
            factor = 2.0 ** -math.frexp(largest)[1] if largest > 1e-300 else 2.0**990
            finest.load(r, works[0], factor)
        descend(self.levels, works, 0, self.cycle)
        along = finest.store(works[0], z, self.scale, r)
        if factor == 1.0:
            return float(along)
        z /= factor
        return float(np.einsum("i,i->", r, z))

    def moved(self, move: Move, **options: Any) -> HierarchyOnGPU:
        """The same levels on a GPU. Those made from a matrix take `steps` of Chebyshev in place of Gauss-Seidel (default: 2).

        TypeError if the cycle (F, K) or a level has no form there, ValueError if an option is wrong.
        """
        how = PORTS.get(type(self.levels[0]).__name__)
        if how is None:
            raise TypeError(f"the levels of {self.name} have no form on a GPU; use GeometricMultigrid or SmoothedAggregation")
        return how(self, move, **options)

    @property
    def H(self) -> Hierarchy:
        if not self.spd:
            raise TypeError(f"the adjoint of a {self.cycle}-cycle is not available; use cycle='V' or 'W'")
        return self

    def update(self, A: Any) -> Hierarchy:
        """The hierarchy of A, a matrix with the same pattern; self is not changed. ValueError if the shape is another."""
        if tuple(A.shape) != tuple(self.shape):
            raise ValueError(f"update needs a matrix of the first one's shape, {self.shape}; got {tuple(A.shape)}; set up anew")
        if self.renew is None:
            raise TypeError(f"{self.name} was imported and cannot be updated; set up anew")
        return self.renew(A)

    @property
    def rows(self) -> list[tuple[int, int]]:
        """(unknowns, entries) of every level; one that stands for several tells them itself."""
        return [row for level in self.levels for row in getattr(level, "rows", [(level.size, level.entries)])]

    @property
    def operator_complexity(self) -> float:
        """Entries of all levels over those of the finest."""
        return sum(entries for _, entries in self.rows) / max(self.rows[0][1], 1)

    @property
    def grid_complexity(self) -> float:
        """Unknowns of all levels over those of the finest."""
        return sum(size for size, _ in self.rows) / max(self.rows[0][0], 1)

    def __repr__(self) -> str:
        lines = [
            f"{self.name}: {self.cycle}-cycle, {len(self.rows)} levels, operator complexity {self.operator_complexity:.2f}, "
            f"grid complexity {self.grid_complexity:.2f}",
            f"{'level':>5} {'unknowns':>12} {'entries':>14}",
        ]
        lines += [f"{k:>5} {size:>12,} {entries:>14,}" for k, (size, entries) in enumerate(self.rows)]
        return "\n".join(lines)
