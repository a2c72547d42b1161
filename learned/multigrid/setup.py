"""The hierarchy of a learned multigrid, and that of another matrix with the same pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...solvers.preconditioners.entries import symmetric_entries
from ...solvers.preconditioners.multigrid.aggregate_level import dense_level
from ...solvers.preconditioners.multigrid.cycle import descend
from ...solvers.preconditioners.multigrid.hierarchy import Hierarchy, compiled
from ...solvers.preconditioners.multigrid.matrices import Matrix
from ...solvers.preconditioners.multigrid.smoothed_aggregation import ordering, permuted, power_of_two
from ..probe import defect
from .coarsening import Known, coarsen, galerkin, level, sparsity_of
from .ladder import Packed

DENSE_LIMIT = 4_000  # unknowns up to which a level that cannot be gathered is solved by its dense inverse


@dataclass(frozen=True, slots=True, eq=False)
class Below:
    """The cycle of a hierarchy from its second level on, in single precision."""

    M: Hierarchy
    works: tuple[Any, ...]
    dtype: Any = np.float32

    @property
    def shape(self) -> tuple[int, int]:
        return (self.M.levels[1].size,) * 2

    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        self.works[1].f[:] = r
        descend(self.M.levels, self.works, 1, "V")
        return np.array(self.works[1].u)


def defect_of(M: Hierarchy) -> str:
    """What is wrong with a hierarchy, in words; the empty string if nothing.

    M is definite if the cycle below its finest level is, and there sweeps divide by positive numbers and prolongation is finite.
    The numbers of all levels are looked at, and the cycle below the finest is probed, at half the cost of an application.
    """
    if len(M.levels) == 1:
        return defect(M, pairs=1, dtype=np.float32)
    for one in M.levels[:-1]:
        if not ((one.inverse > 0).all() and np.isfinite(one.inverse).all() and np.isfinite(one.P.values).all()):
            return "sweeps divide by what is not positive, or a prolongation is not finite"
    return defect(Below(M, tuple(level.work() for level in M.levels)), pairs=1)


class NotGathered(ValueError):
    """A level of many unknowns has nothing left to gather."""


def hierarchy(A: Any, weights: Packed, coarsest: int, name: str) -> Hierarchy:
    """Coarsen until the level is small; NotGathered if a large level has no strong couplings left.

    Raises TypeError or ValueError if A is not stored, real, symmetric, with a positive diagonal.
    """
    original = symmetric_entries(A, name).tocsr()
    order = ordering(original)
    scale = power_of_two(original)
    fine, none = permuted(original, order, scale), order[:0]
    sparsity = sparsity_of(fine)
    levels: list[Any] = []
    known: list[Known] = []
    while fine.rows > coarsest and (step := coarsen(fine, weights, sparsity)) is not None:
        kept, choice, P, R, coarse = step
        known.append(kept)
        levels.append(level(fine, choice, P, R, weights, none if levels else order))
        fine = coarse
    levels.append(last(fine, none if levels else order, name))
    return assembled(Renewal(weights, name, original.indptr, original.indices, order, known), original, levels, scale)


def last(A: Matrix, order: np.ndarray, name: str) -> Any:
    if A.rows > DENSE_LIMIT:
        raise NotGathered(f"{name} is left with {A.rows} unknowns that it cannot gather: no strong couplings")
    return dense_level(A, order)


def assembled(renewal: Renewal, original: Any, levels: list[Any], scale: float) -> Hierarchy:
    return compiled(Hierarchy(tuple(levels), original.shape, original.dtype, renewal.name, "V", scale, renewal))


@dataclass(frozen=True, slots=True, eq=False)
class Renewal:
    """The hierarchy of another matrix with the pattern of the first: the same order, aggregates and patterns, new numbers."""

    weights: Packed
    name: str
    indptr: np.ndarray
    indices: np.ndarray
    order: np.ndarray
    known: list[Known]

    def __call__(self, A: Any) -> Hierarchy:
        other = symmetric_entries(A, self.name).tocsr()
        if not (np.array_equal(other.indptr, self.indptr) and np.array_equal(other.indices, self.indices)):
            raise ValueError("update needs a matrix whose entries stand where the first one's did; set up anew")
        scale = power_of_two(other)
        fine, none = permuted(other, self.order, scale), self.order[:0]
        sparsity = sparsity_of(fine)
        levels: list[Any] = []
        for known in self.known:
            choice, P, R, coarse = galerkin(known, fine, self.weights, sparsity)
            levels.append(level(fine, choice, P, R, self.weights, none if levels else self.order))
            fine = coarse
        levels.append(dense_level(fine, none if levels else self.order))
        return assembled(self, other, levels, scale)
