"""Any preconditioner of one process over ranks: set up on overlapping pieces, one a rank, with a coarse space between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from ... import arrays
from ...arrays import Space
from ...direct import factorize
from ...operator import name_of
from ...preconditioners import SmoothedAggregation
from ...preconditioners.multigrid.smoothed_aggregation import candidates
from .aggregation import Gathered, Transfer, coarsened, smoothed
from .library import library
from .matrix import Distributed, applied, csr_of, petsc_matrix

ROWS = ("near_nullspace", "coordinates", "node_features", "mask")  # what `bind` may bring, a row for every unknown
RANKS = "ranks"
SHIFT = 1e-13  # of the largest diagonal entry of Z^T A Z; M is definite with any symmetric Q that is not negative
STRENGTH = 0.04  # of couplings along which the coarse functions are gathered, halved from level to level


@dataclass(frozen=True, slots=True, eq=False)
class DistributedSchwarz:
    """The recipe for additive Schwarz over ranks, each with a preconditioner of one process on its rows and some beyond, and a
    coarse space between them.

    M = Q + (I - Q A) S (I - A Q) with S = sum_i R_i^T W_i B_i W_i R_i, where B_i ~ (R_i A R_i^T)^-1 is what `local` makes,
    W_i^2 a partition of unity that falls to zero over the overlap, and Q = Z (Z^T A Z)^-1 Z^T.

    Parameters
    ----------
    local : recipe
        Anything that takes a SciPy CSR matrix: `SmoothedAggregation()`, `IncompleteCholesky()`, `petrov.learned.load(name)`.
    overlap : int
        Layers of neighbours that are added to the rows of every rank.
    coarse : int, 'ranks' or None
        Z: products of smoothed aggregation over ranks until they are at most so many; 'ranks': one vector a rank, or its rows of
        near_nullspace (m, k), smoothed once; None: no Q, and iterations that grow with the ranks.
    bound : mapping
        What `bind` was given of the rows of this rank; `local` gets it for its overlapping rows.

    Notes
    -----
    A: `Distributed`, or stored entries on this rank; real, symmetric positive definite where M shall be. Every rank has to make
    and apply it; a set-up that fails on one raises ValueError on all. M is symmetric positive definite if every B_i is. An
    application: two products with A, two exact coarse solves on every rank (by factors of Z^T A Z there) and one exchange of the
    overlap each way. Iterations with SmoothedAggregation on 1, 2 and 4 ranks: Poisson at 256^2 10, 11, 11, at 40^3 9, 10, 10;
    with 'ranks' and 32 layers 12, 13, 14 and 10, 10, 10, with two layers 33 and 44: one vector a rank needs a wide overlap.
    Toselli and Widlund, Domain Decomposition Methods (2005), chapters 2 and 3; Mandel, Comm. Numer. Methods Engrg. 9 (1993), for
    the balanced form; Efstathiou and Gander, BIT 43 (2003), for weights.

    Examples
    --------
    >>> from petrov.solvers import IncompleteCholesky
    >>> from petrov.solvers.external.petsc import DistributedSchwarz
    >>> DistributedSchwarz(IncompleteCholesky(), overlap=4).overlap
    4
    """

    local: Any = field(default_factory=SmoothedAggregation)
    overlap: int = 2
    coarse: int | str | None = 2_000
    bound: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.overlap, bool) or self.overlap != int(self.overlap) or self.overlap < 0:
            raise ValueError(f"overlap must be an integer of at least 0; got {self.overlap!r}")
        known = self.coarse is None or self.coarse == RANKS
        if not known and (isinstance(self.coarse, bool) or not isinstance(self.coarse, int) or self.coarse < 1):
            raise ValueError(f"coarse must be a number of functions, 'ranks' or None; got {self.coarse!r}")
        if not callable(self.local) or hasattr(self.local, "shape"):
            raise TypeError(f"local must be a recipe, which is set up on every rank; got {name_of(self.local)}")

    @property
    def name(self) -> str:
        return f"schwarz over ranks of {name_of(self.local)}"

    def bind(self, **known: Any) -> DistributedSchwarz:
        """The recipe with what is known of the rows of this rank: near_nullspace, coordinates, node_features, mask."""
        rows = {name: np.asarray(known[name]) for name in ROWS if known.get(name) is not None}
        return replace(self, bound={**self.bound, **rows}) if rows else self

    def __call__(self, A: Any) -> Any:
        A = A if isinstance(A, Distributed) else Distributed.of(petsc_matrix(A))
        if not A.assembled:
            raise TypeError(f"{self.name} needs the entries of A; got a Mat of type {A.mat.getType()}")
        piece = Piece.of(A, self.overlap)
        known = {name: piece.values(rows) for name, rows in self.bound.items()}
        B = arrays.agreed(lambda: told(self.local, known)(piece.matrix), A.comm, f"{name_of(self.local)} on the rows of")
        space = Space(np, "float64", "cpu", None, comm=A.comm)
        linear = arrays.everywhere(getattr(B, "linear", True), space)
        spd = arrays.everywhere(linear and bool(getattr(B, "spd", None)), space) or None
        Q = None if self.coarse is None else Coarse.of(A, self.bound.get("near_nullspace"), self.coarse)
        return Schwarz(A, piece, B, Q, self.name, linear, spd)


def told(recipe: Any, known: Mapping[str, Any]) -> Any:
    """The recipe bound to what is known, where it can be."""
    return recipe.bind(**known) if known and hasattr(recipe, "bind") else recipe


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The rows of a rank and those within the overlap: their matrix, their weights, and the way there and back."""

    matrix: sp.csr_array
    weights: np.ndarray
    scatter: Any
    here: Any
    there: Any

    @classmethod
    def of(cls, A: Distributed, overlap: int) -> Piece:
        PETSc = library()
        mat = A.mat.convert("aij") if "baij" in A.mat.getType() else A.mat
        first, last = mat.getOwnershipRange()
        own = np.arange(first, last, dtype=PETSc.IntType)
        inside, wide = (indices(mat, own, layers) for layers in (overlap, overlap + 1))
        with_ring = csr_of(mat.createSubMatrices(wide, wide)[0])
        kept = np.isin(wide.getIndices(), inside.getIndices())
        there = PETSc.Vec().createSeq(inside.getLocalSize(), comm=PETSc.COMM_SELF)
        scatter = PETSc.Scatter().create(A.x, inside, there, None)
        matrix = sp.csr_array(with_ring[kept][:, kept])
        matrix.sort_indices()
        bare = cls(matrix, np.ones(matrix.shape[0]), scatter, A.x, there)
        fall = depths(with_ring, kept, 2 * overlap + 1)
        return replace(bare, weights=np.sqrt(fall / bare.down(bare.up(fall))))

    def down(self, r: np.ndarray) -> np.ndarray:
        """R r: the entries at the rows of this piece."""
        return applied(self.scatter.scatter, self.here, self.there, r)

    def up(self, z: np.ndarray) -> np.ndarray:
        """R^T z, added up over the pieces."""
        modes = library().InsertMode.ADD_VALUES, library().ScatterMode.REVERSE

        def added(source: Any, target: Any) -> None:
            target.set(0.0)
            self.scatter.scatter(source, target, *modes)

        return applied(added, self.there, self.here, z)

    def values(self, rows: np.ndarray) -> np.ndarray:
        """An array (m, ...) of the rows of this rank as one of the rows of this piece, in its type."""
        flat = rows.reshape(len(rows), -1)
        columns = [self.down(np.ascontiguousarray(column, dtype=float)) for column in flat.T]
        return np.stack(columns, axis=1).reshape(-1, *rows.shape[1:]).astype(rows.dtype)


def indices(mat: Any, own: np.ndarray, layers: int) -> Any:
    """The rows of a rank and so many layers of neighbours, as a sorted index set."""
    found = library().IS().createGeneral(own, comm=library().COMM_SELF)
    if layers:
        mat.increaseOverlap(found, layers)
        found.sort()
    return found


def depths(graph: sp.csr_array, kept: np.ndarray, most: int) -> np.ndarray:
    """Steps from outside, which is where `kept` is False, to every kept node; at most `most`."""
    pattern = sp.csr_array((np.ones(graph.nnz), graph.indices, graph.indptr), shape=graph.shape)
    depth, reached = np.full(len(kept), float(most)), ~kept
    for step in range(1, most):
        new = (pattern @ reached.astype(float) > 0) & ~reached
        depth[new], reached = step, reached | new
    return depth[kept]


@dataclass(frozen=True, slots=True, eq=False)
class Coarse:
    """Q = Z (Z^T A Z)^-1 Z^T with Z the product of transfers, solved exactly on every rank."""

    transfers: tuple[Transfer, ...]
    last: Gathered

    @classmethod
    def of(cls, A: Distributed, near: Any, most: int | str) -> Coarse:
        if most == RANKS:
            P = smoothed(A, by_rank(near, A.shape[0]), STRENGTH)
            return cls((Transfer.of(P),), Gathered.of(Distributed.of(A.mat.ptap(P)), exact))
        B, strength, transfers = candidates(near, A.shape[0]), STRENGTH, []
        if B.shape[1] > 1:
            raise ValueError(f"several near null vectors need coarse='ranks'; got coarse={most} and {B.shape[1]} vectors")
        while A.global_size > int(most) and (step := coarsened(A, B, strength)) is not None:
            P, A, B = step
            transfers.append(P)
            strength /= 2
        return cls(tuple(transfers), Gathered.of(A, exact))

    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        for P in self.transfers:
            r = P.down(r)
        u = self.last @ r
        for P in reversed(self.transfers):
            u = P.up(u)
        return u


def exact(E: Any) -> Any:
    """E^-1; where A is singular, and its null space in Z, as good as the pseudo-inverse for a consistent right-hand side."""
    shift = SHIFT * float(E.diagonal().max(initial=0.0))
    return factorize(sp.csr_array(E + shift * sp.eye_array(E.shape[0])), spd=True)


def by_rank(near: Any, rows: int) -> sp.csr_array:
    """Orthonormal columns that span the near null space on the rows of this rank."""
    B = np.ones((rows, 1)) if near is None else np.asarray(near, float).reshape(rows, -1)
    Q, R = np.linalg.qr(B)
    sizes = np.abs(np.diag(R))
    return sp.csr_array(Q[:, sizes > 1e-12 * sizes.max(initial=0.0)])


@dataclass(frozen=True, slots=True, eq=False)
class Schwarz:
    """The applied M, of this rank: A, its piece with B there, and Q or None."""

    A: Distributed
    piece: Piece
    B: Any
    Q: Coarse | None
    name: str
    linear: bool
    spd: bool | None

    @property
    def shape(self) -> tuple[int, int]:
        return self.A.shape

    @property
    def dtype(self) -> np.dtype:
        return self.A.dtype

    @property
    def H(self) -> Schwarz:
        if not self.spd:
            raise TypeError(f"the adjoint of {self.name} is not known")
        return self

    def __matmul__(self, r: Any) -> np.ndarray:
        if r.ndim == 2:
            return np.stack([self @ np.ascontiguousarray(r[:, k]) for k in range(r.shape[1])], axis=1) if r.shape[1] else r.copy()
        if self.Q is None:
            return self.pieces(r)
        q = self.Q @ r
        z = self.pieces(r - self.A @ q)
        return q + z - self.Q @ (self.A @ z)

    def pieces(self, r: np.ndarray) -> np.ndarray:
        """S r."""
        piece = self.piece
        return piece.up(piece.weights * np.asarray(self.B @ (piece.weights * piece.down(r))))

    def __repr__(self) -> str:
        coarse = "no coarse space" if self.Q is None else f"{int(self.Q.last.counts.sum()):,} coarse functions"
        around = len(self.piece.weights) - self.A.shape[0]
        return f"{self.name}: {self.A.shape[0]:,} unknowns and {around:,} around them, {coarse}"
