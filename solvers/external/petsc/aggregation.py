"""Smoothed aggregation over ranks: aggregates within a rank, products by PETSc, the coarse problem on every rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from ... import arrays
from ...arrays import Space
from ...preconditioners.chebyshev import Polynomial
from ...preconditioners.multigrid.aggregates import DAMPING, aggregates, tentative
from ...preconditioners.multigrid.matrices import matrix
from ...preconditioners.multigrid.smoothed_aggregation import SmoothedAggregation, candidates
from .library import library
from .matrix import Distributed, applied, csr_of

LOWER = 1 / 6  # of the largest eigenvalue: what the smoother sees of the spectrum


@dataclass(frozen=True, slots=True, eq=False)
class DistributedAggregation:
    """The recipe for a V-cycle of smoothed aggregation of a matrix whose rows are dealt over ranks.

    Parameters
    ----------
    strength : float
        As in `SmoothedAggregation`; halved from level to level.
    degree : int
        Of the Chebyshev polynomials that smooth before and after; even, so that M is definite whatever the spectrum.
    gathered : int
        Unknowns, of all ranks together, up to which a level is copied to every rank and solved by one V-cycle of
        `SmoothedAggregation` there: communication of one vector of that size a cycle.
    near_nullspace : (m,) or (m, 1) array, optional
        The rows of this rank; the constant by default. `bind` sets it.

    Notes
    -----
    A: `Distributed`, real, symmetric positive definite, with rows of every rank. Aggregates do not cross ranks, so their number
    hardly depends on the number of ranks, nor do iterations. In double precision. M is linear and symmetric positive definite.
    ValueError for a diagonal that is not positive. Every rank has to make and apply it. Vanek, Mandel and Brezina, Computing 56
    (1996); Tuminaro and Tong, Parallel smoothed aggregation multigrid (SC 2000).
    """

    strength: float = 0.04
    degree: int = 2
    gathered: int = 20_000
    near_nullspace: Any = None

    name = "aggregation over ranks"

    def __post_init__(self) -> None:
        if self.degree < 0 or self.degree % 2:
            raise ValueError(f"degree must be even and at least 0; got {self.degree!r}")

    def bind(self, *, near_nullspace: Any = None, **_: Any) -> DistributedAggregation:
        """The recipe with a near null space that is known."""
        if near_nullspace is None:
            return self
        return DistributedAggregation(self.strength, self.degree, self.gathered, near_nullspace)

    def __call__(self, A: Any) -> Levels:
        if not isinstance(A, Distributed):
            raise TypeError(f"{self.name} is for the rows of a PETSc matrix on several ranks; use SmoothedAggregation")
        levels: list[Level] = []
        B, strength = candidates(self.near_nullspace, A.shape[0]), self.strength
        while A.global_size > self.gathered and (step := coarsened(A, B, strength)) is not None:
            P, coarse, B = step
            levels.append(Level(A, smoother(A, self.degree), P))
            A, strength = coarse, strength / 2
        return Levels(tuple(levels), Gathered.of(A), self.name)


def coarsened(A: Distributed, B: np.ndarray, strength: float) -> tuple[Transfer, Distributed, np.ndarray] | None:
    """(P, P^T A P, near null space below); None if nothing can be gathered."""
    block = matrix(sp.csr_array(A.block()))
    home, count = aggregates(block, 1, strength)
    T, below = tentative(home, count, 1, B)
    space = Space(np, "float64", "cpu", None, comm=A.comm)
    if float(arrays.across(np.float64(count), space)) >= 0.9 * A.global_size:
        return None
    P = smoothed(A, T.scipy(), strength)
    coarse = A.mat.ptap(P)
    return Transfer.of(P), Distributed.of(coarse), below


def smoothed(A: Distributed, T: Any, strength: float) -> Any:
    """(I - W A_F) T as a Mat: A_F is A without its weak entries, which are added to its diagonal."""
    comm = A.mat.getComm()
    tentative = assembled(T, T.shape, comm)
    filtered, damping = weights(A, strength)
    change = assembled(sp.diags_array(damping) @ filtered, A.shape, comm, whole=True)
    P = change.matMult(tentative)
    P.scale(-1.0)
    P.axpy(1.0, tentative, structure=library().Mat.Structure.DIFFERENT)
    return P


def weights(A: Distributed, strength: float) -> tuple[Any, np.ndarray]:
    """(the rows of A_F with global columns, damping over the sums of their sizes)."""
    own = csr_of(A.mat)
    d, first = A.diagonal(), A.mat.getOwnershipRange()[0]
    if not arrays.everywhere(bool((d > 0).all()), Space(np, "float64", "cpu", None, comm=A.comm)):  # all ranks raise, or none
        raise ValueError("aggregation over ranks needs a positive diagonal")
    everywhere = ghosts(A, own.indices)
    rows = np.repeat(np.arange(len(d)), np.diff(own.indptr))
    diagonal = own.indices == rows + first
    strong = diagonal | (own.data**2 > strength**2 * d[rows] * everywhere)
    lumped = np.bincount(rows, np.where(strong & ~diagonal, 0.0, own.data), minlength=len(d))
    lumped = np.where(lumped > 0.1 * d, lumped, d)
    values = np.where(diagonal, lumped[rows], own.data) * strong
    sums = np.bincount(rows, np.abs(values), minlength=len(d))  # before zeros are dropped, which moves the values
    filtered = sp.csr_array((values, own.indices, own.indptr), shape=own.shape)
    filtered.eliminate_zeros()
    return filtered, DAMPING / sums


def ghosts(A: Distributed, columns: np.ndarray) -> np.ndarray:
    """The diagonal entries of A at these global columns, from the ranks that own them."""
    PETSc = library()
    wanted, places = np.unique(columns, return_inverse=True)
    source = A.mat.getDiagonal()
    index = PETSc.IS().createGeneral(wanted.astype(PETSc.IntType), comm=PETSc.COMM_SELF)
    target = PETSc.Vec().createSeq(len(wanted), comm=PETSc.COMM_SELF)
    scatter = PETSc.Scatter().create(source, index, target, None)
    scatter.scatter(source, target)
    return target.getArray()[places]


def assembled(entries: Any, shape: tuple[int, int], comm: Any, whole: bool = False) -> Any:
    """A Mat of these local rows and columns from entries (rows local; columns local, or global if `whole`)."""
    PETSc = library()
    csr = sp.csr_array(entries)
    mat = PETSc.Mat().create(comm=comm)
    mat.setSizes(((shape[0], None), (shape[1], None)))
    mat.setType("aij")
    mat.setUp()
    first = 0 if whole else mat.getOwnershipRangeColumn()[0]
    index = PETSc.IntType
    mat.setPreallocationCSR((csr.indptr.astype(index), (csr.indices + first).astype(index), csr.data.astype(PETSc.ScalarType)))
    mat.assemble()
    return mat


def smoother(A: Distributed, degree: int) -> Polynomial:
    """A Chebyshev polynomial in D^-1 A with D the sums of the sizes of the rows: no eigenvalue exceeds 1 (Gershgorin)."""
    own = csr_of(A.mat)
    sums = np.bincount(np.repeat(np.arange(A.shape[0]), np.diff(own.indptr)), np.abs(own.data), minlength=A.shape[0])
    return Polynomial(A, 1.0 / sums, degree, LOWER, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Transfer:
    """P between the vectors of two levels, local arrays."""

    mat: Any
    coarse: Any
    fine: Any

    @classmethod
    def of(cls, mat: Any) -> Transfer:
        return cls(mat, *mat.createVecs())

    def up(self, u: np.ndarray) -> np.ndarray:
        """P u."""
        return applied(self.mat.mult, self.coarse, self.fine, u)

    def down(self, r: np.ndarray) -> np.ndarray:
        """P^T r."""
        return applied(self.mat.multTranspose, self.fine, self.coarse, r)


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    A: Distributed
    S: Polynomial
    P: Transfer


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """A level that every rank has whole: M there, and where this rank's rows are."""

    M: Any
    comm: Any
    counts: np.ndarray
    first: int
    rows: int

    @classmethod
    def of(cls, A: Distributed, recipe: Callable[[Any], Any] | None = None) -> Gathered:
        """recipe: what M is made by, `SmoothedAggregation()` by default."""
        own, comm = csr_of(A.mat), A.comm
        parts = [own] if comm is None else comm.allgather(own)
        counts = np.array([part.shape[0] for part in parts])
        first = A.mat.getOwnershipRange()[0]
        whole = sp.csr_array(sp.vstack(parts, format="csr"))
        return cls((recipe or SmoothedAggregation())(whole), comm, counts, first, own.shape[0])

    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        if self.comm is None:
            return self.M @ r
        whole = np.empty(int(self.counts.sum()))
        starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])
        self.comm.Allgatherv(np.ascontiguousarray(r), [whole, self.counts, starts, _double()])
        return (self.M @ whole)[self.first : self.first + self.rows]


def _double() -> Any:
    from mpi4py import MPI

    return MPI.DOUBLE


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """M = one V-cycle from zero."""

    levels: tuple[Level, ...]
    last: Gathered
    name: str
    linear: bool = True
    spd: bool | None = True

    @property
    def shape(self) -> tuple[int, int]:
        return self.levels[0].A.shape if self.levels else (self.last.rows, self.last.rows)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float64)

    @property
    def H(self) -> Levels:
        return self

    def __matmul__(self, r: Any) -> np.ndarray:
        if r.ndim == 2:
            return np.stack([self @ np.ascontiguousarray(r[:, k]) for k in range(r.shape[1])], axis=1) if r.shape[1] else r.copy()
        return self.cycle(0, r)

    def cycle(self, k: int, f: np.ndarray) -> np.ndarray:
        if k == len(self.levels):
            return self.last @ f
        level = self.levels[k]
        u = level.S @ f
        u = u + level.P.up(self.cycle(k + 1, level.P.down(f - level.A @ u)))
        return u + level.S @ (f - level.A @ u)

    def __repr__(self) -> str:
        sizes = [level.A.global_size for level in self.levels] + [int(self.last.counts.sum())]
        return f"{self.name}: {' > '.join(f'{n:,}' for n in sizes)} unknowns, the last on every rank"
