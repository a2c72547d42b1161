"""How one matrix is related to another: equal, or up to a scaling of rows and columns, or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import arrays
from ..arrays import Space
from ..external.petsc import Distributed, adopt, csr_of, is_petsc, ranks_of
from ..storage.csr import same_pattern

EXACT = 1e-13  # of the largest entry of a column: deviations up to it are the rounding of products
NEAR = 1.0  # a deviation beyond which one matrix tells nothing of another
SKEW = 10.0  # times a smaller deviation that a scaling of rows or columns alone must have
SAMPLED = 500  # entries that are looked at first
SYMMETRIC = ("A0", "diag(d) A0 diag(d)")  # the kinds of scaling that keep the symmetry of A
COMPILED_FROM = 5_000  # rows


@dataclass(frozen=True, slots=True, eq=False)
class Relation:
    """A ~ diag(left) R diag(right), a factor of None being ones; deviation: the largest of an entry, by the one that its
    column is scaled by; of a sample of entries where it is not rounding. symmetric: left is right, which keeps A's symmetry."""

    left: np.ndarray | None
    right: np.ndarray | None
    deviation: float
    kind: str

    @property
    def same(self) -> bool:
        return self.kind == "the same" and self.deviation == 0.0

    @property
    def plain(self) -> bool:
        """Not scaled."""
        return self.left is None and self.right is None

    @property
    def exact(self) -> bool:
        return self.deviation <= EXACT

    @property
    def symmetric(self) -> bool:
        return self.left is self.right

    def inverse(self, M: Any) -> Any:
        """The inverse of A from M ~ R^-1."""
        return M if self.plain else Rescaled(M, self)


SAME = Relation(None, None, 0.0, "the same")


class Reference:
    """A matrix that others are held against; what is stored is kept as a copy, for callers who change theirs in place."""

    def __init__(self, A: Any, former: Reference | None = None) -> None:
        """`former` lends its pattern where A has the same."""
        self.A, self.csr, self.home = A, entries(A), Space(np, "float64", "cpu", None, comm=ranks_of(A))
        self.largest: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # places by column and row, row of every entry
        if self.csr is None:
            return
        if former is not None and former.csr is not None and same_pattern(self.csr, former.csr):
            pattern, self.largest = (former.csr.indices, former.csr.indptr), former.largest
            if self.largest is not None and not self.csr.data[self.largest[0]].all():
                self.largest = None
            self.csr = type(self.csr)((self.csr.data.copy(), *pattern), shape=self.csr.shape)
        else:
            self.csr = self.csr.copy()

    def same(self, A: Any) -> bool:
        """Whether A is this matrix, entry by entry where those are at hand."""
        if dealt(self.A) != dealt(A) or (self.home.comm is None) != (ranks_of(A) is None):
            return False
        other, mine = entries(A), self.csr
        if dealt(A):
            return arrays.everywhere(A is self.A if mine is None else self.off(other) == 0.0, self.home)
        if other is not None and mine is not None:
            return other.dtype == mine.dtype and same_pattern(other, mine) and np.array_equal(other.data, mine.data)
        if isinstance(A, np.ndarray) and isinstance(self.A, np.ndarray):
            return A.shape == self.A.shape and np.array_equal(A, self.A)
        return A is self.A and not isinstance(A, np.ndarray)

    def relation(self, A: Any) -> Relation | None:
        """How A is related to this one; None if it is not, or that cannot be told."""
        if self.same(A):
            return SAME
        other, mine = entries(A), self.csr
        if dealt(self.A) or dealt(A):  # no scaling is looked for, on one rank neither
            alike = dealt(self.A) == dealt(A) and (self.home.comm is None) == (ranks_of(A) is None)
            off = arrays.largest(self.off(other), self.home) if alike else np.inf
            return Relation(None, None, off, "A0") if off < NEAR else None
        if other is None or mine is None or other.dtype != mine.dtype or not same_pattern(other, mine):
            return None
        return self.scaling(other.data)

    def off(self, other: Any) -> float:
        """The largest difference of an entry on this rank, by the largest of its row; infinite where that tells nothing."""
        mine = self.csr
        if other is None or mine is None or not same_pattern(other, mine):
            return np.inf
        rows, largest = np.repeat(np.arange(mine.shape[0]), np.diff(mine.indptr)), np.zeros(mine.shape[0])
        np.maximum.at(largest, rows, np.abs(mine.data))
        with np.errstate(all="ignore"):
            off = np.where(other.data == mine.data, 0.0, np.abs(other.data - mine.data) / largest[rows])
        return float(np.max(off, initial=0.0)) if np.isfinite(off).all() else np.inf

    def scaling(self, values: np.ndarray) -> Relation | None:
        """The scaling that a sample of the entries favours, held against all of them where it is exact on the sample."""
        mine = self.csr
        if mine is None or mine.nnz == 0 or mine.shape[0] != mine.shape[1] or values.dtype.kind == "c":
            return None
        if self.largest is None:
            self.largest = places(mine)
        some = np.linspace(0, mine.nnz - 1, min(SAMPLED, mine.nnz)).astype(np.int64)
        column, row, rows = self.largest
        i, j = rows[some], mine.indices[some]
        with np.errstate(all="ignore"):  # a zero or a change of sign makes NaN, which is no scaling
            down, across = values[column[j]] / mine.data[column[j]], values[row[i]] / mine.data[row[i]]
            both = np.sqrt(down * values[column[i]] / mine.data[column[i]])
            factors = {"A0": np.ones(len(some)), "diag(d) A0 diag(d)": both, "A0 diag(d)": down, "diag(d) A0": across}
            size = np.abs(mine.data[column[j]])
            # A scaling that breaks the symmetry of A has to be worth it.
            off = {
                kind: (1.0 if kind in SYMMETRIC else SKEW) * float(np.max(np.abs(values[some] / factor - mine.data[some]) / size))
                for kind, factor in factors.items()
            }
        for kind in sorted(off, key=lambda kind: np.inf if np.isnan(off[kind]) else off[kind]):
            if not off[kind] < NEAR:
                return None
            if (scales := self.scales(kind, values)) is not None:
                found = self.whole(values, *scales) if off[kind] <= EXACT else off[kind]  # a sample proves nothing
                return Relation(*scales, found, kind) if found < NEAR else None
        return None

    def scales(self, kind: str, values: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None] | None:
        """(left, right) of a kind of scaling; None if it has a zero, or a sign where there can be none."""
        assert self.csr is not None and self.largest is not None
        if kind == "A0":
            return None, None
        place = self.largest[1 if kind == "diag(d) A0" else 0]
        with np.errstate(all="ignore"):
            d = values[place] / self.csr.data[place]
        if kind in SYMMETRIC:
            d = np.sqrt(d) if (d > 0).all() else np.zeros(1)
        if not (np.isfinite(d).all() and d.all()):
            return None
        return (d, d) if kind in SYMMETRIC else (None, d) if kind == "A0 diag(d)" else (d, None)

    def whole(self, values: np.ndarray, left: Any, right: Any) -> float:
        """The largest |a_ij - l_i r_ij d_j| by the entry that its column is scaled by; compiled where that is worth loading the
        compiler."""
        mine = self.csr
        assert mine is not None and self.largest is not None
        column, _, rows = self.largest
        if mine.shape[0] < COMPILED_FROM:
            factor = np.ones(mine.nnz) if left is None else left[rows]
            factor = factor if right is None else factor * right[mine.indices]
            with np.errstate(all="ignore"):
                off = np.abs(values / factor - mine.data) / np.abs(mine.data[column[mine.indices]])
            return float(np.max(off)) if np.isfinite(off).all() else np.inf
        from ..kernels import scaling as kernels

        ones = np.ones(mine.shape[0]) if left is None or right is None else left
        arrays = mine.indptr, mine.indices, mine.data, values, ones if left is None else left, ones if right is None else right
        return float(kernels.deviation(mine.shape[0], *arrays, mine.data[column]).max(initial=0.0))


def dealt(A: Any) -> bool:
    """Whether A is a matrix of PETSc, whose rows may be dealt over ranks: what is done with it shall not depend on how many."""
    return is_petsc(A) or isinstance(A, Distributed)


def entries(A: Any) -> Any:
    """A as CSR with entries in place, on ranks the rows of this one; None if they are not stored so; nothing is copied from a CSR
    matrix, all from one of PETSc."""
    original = adopt(getattr(A, "original", A))
    if isinstance(original, Distributed):
        return csr_of(original.mat) if original.assembled else None
    on_host = arrays.sparse(original) and type(original).__module__.startswith("scipy.")
    return original.tocsr() if on_host else None


def places(A: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where an entry stands by which a column can be scaled, and a row, and the row of every entry: on the diagonal where that is
    full, else the largest."""
    n = A.shape[0]
    rows = np.repeat(np.arange(n), np.diff(A.indptr))
    diagonal = np.flatnonzero((rows == A.indices) & (A.data != 0))
    if len(diagonal) == n and np.array_equal(rows[diagonal], np.arange(n)):
        return diagonal, diagonal, rows
    order = np.argsort(np.abs(A.data), kind="stable")
    column, row = np.zeros(n, np.int64), np.zeros(n, np.int64)
    column[A.indices[order]], row[rows[order]] = order, order
    return column, row, rows


@dataclass(frozen=True, slots=True, eq=False)
class Rescaled:
    """diag(right)^-1 M diag(left)^-1: the inverse of diag(left) R diag(right) from M ~ R^-1."""

    M: Any
    relation: Relation

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.M.shape)

    @property
    def dtype(self) -> Any:
        return self.M.dtype

    @property
    def linear(self) -> bool:
        return getattr(self.M, "linear", True)

    @property
    def spd(self) -> bool | None:
        return getattr(self.M, "spd", None) if self.relation.symmetric else None

    @property
    def name(self) -> str:
        return f"{getattr(self.M, 'name', 'M')}, rescaled"

    def __matmul__(self, r: Any) -> Any:
        shape = (-1,) + (1,) * (r.ndim - 1)
        left, right = self.relation.left, self.relation.right
        z = self.M @ (r if left is None else r / left.reshape(shape))
        return z if right is None else z / right.reshape(shape)
