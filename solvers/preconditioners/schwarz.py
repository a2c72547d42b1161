"""Additive Schwarz: direct solves on overlapping pieces of the graph, added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..direct import factorize
from .entries import stored_entries

ASYMMETRY = {"float64": 1e-10, "complex128": 1e-10, "float32": 1e-5, "complex64": 1e-5}


@dataclass(frozen=True, slots=True, eq=False)
class Schwarz:
    """The recipe for M = sum_i R_i^T A_i^-1 R_i, A_i the block of A on piece i and what lies within `overlap` steps of it.

    For any square A whose entries are stored; symmetric positive definite if A is (with restricted=False).

    Parameters
    ----------
    size : int
        Unknowns of a piece before the overlap is added, at most.
    overlap : int
        Layers of neighbours that are added to every piece.
    pieces : sequence of index arrays, optional
        The pieces themselves, where a mesh partition is at hand; together they must hold every unknown.
    restricted : bool
        Keep of each local solution only what belongs to the piece itself: often fewer iterations, but M is not symmetric, so for
        gmres and bicgstab (Cai and Sarkis, SIAM J. Sci. Comput. 21 (1999)).

    Notes
    -----
    Without a coarse space: iterations grow with the number of pieces, so this suits problems whose couplings decay (a heat step,
    a local refinement), or few large pieces. Pieces come from halving the graph again and again along breadth-first levels. Local
    solves are sparse factorisations in double precision, one after another. Raises TypeError if the entries of A are not stored,
    numpy.linalg.LinAlgError if a block is singular, ValueError if `pieces` do not cover the unknowns. Toselli and Widlund, Domain
    Decomposition Methods (2005), chapter 3.

    Examples
    --------
    >>> from petrov.solvers import cg, problems, Schwarz
    >>> A, b = problems.poisson(48, rhs="random")[:2]
    >>> M = Schwarz(size=600)(A)
    >>> int(cg(A, b, M=M).iterations) < int(cg(A, b).iterations) // 2
    True
    """

    size: int = 2_000
    overlap: int = 1
    pieces: Sequence[Any] | None = None
    restricted: bool = False

    name = "schwarz"

    def __post_init__(self) -> None:
        for what, least in (("size", 1), ("overlap", 0)):
            value = getattr(self, what)
            if isinstance(value, bool) or value != int(value) or value < least:
                raise ValueError(f"{what} must be an integer of at least {least}; got {value!r}")

    def __call__(self, A: Any) -> Pieces:
        A = stored_entries(A, self.name).tocsr()
        own = halves(A, self.size) if self.pieces is None else given(self.pieces, A.shape[0])
        whole = [grown(A, piece, self.overlap) for piece in own]
        symmetric = hermitian(A)
        spd = symmetric and bool((A.diagonal().real > 0).all())
        solves = [factorize(A[piece][:, piece].tocsr(), spd=True if spd else None) for piece in whole]
        kept = [np.isin(large, small) if self.restricted else None for large, small in zip(whole, own, strict=True)]
        return Pieces(tuple(whole), tuple(solves), tuple(kept), A.shape, A.dtype, (spd or None) if not self.restricted else False)


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """The applied M: index arrays, local inverses, and which of each solution is kept (None: all)."""

    pieces: tuple[np.ndarray, ...]
    solves: tuple[Any, ...]
    kept: tuple[np.ndarray | None, ...]
    shape: tuple[int, int]
    dtype: Any
    spd: bool | None
    name: str = "schwarz"
    linear: bool = True

    def __matmul__(self, r: Any) -> Any:
        z = np.zeros(r.shape, np.result_type(self.dtype, r.dtype))
        for piece, solve, kept in zip(self.pieces, self.solves, self.kept, strict=True):
            local = solve @ r[piece]
            if kept is None:
                z[piece] += local
            else:
                z[piece[kept]] += local[kept]
        return z

    def __repr__(self) -> str:
        sizes = [len(piece) for piece in self.pieces]
        form = "restricted, " if any(kept is not None for kept in self.kept) else ""
        return (
            f"{self.name}: {self.shape[0]} x {self.shape[1]}, {form}{len(sizes)} pieces of {min(sizes, default=0)} to "
            f"{max(sizes, default=0)} unknowns, {self.dtype}"
        )


def hermitian(A: Any) -> bool:
    difference = A - A.conj().T
    largest = np.abs(A.data).max(initial=0.0)
    return bool(np.abs(difference.data).max(initial=0.0) <= ASYMMETRY[A.dtype.name] * largest)


def given(pieces: Sequence[Any], n: int) -> list[np.ndarray]:
    """The caller's pieces as index arrays; ValueError if an index is outside or an unknown is in none."""
    arrays_ = [np.unique(np.asarray(piece, np.int64)) for piece in pieces]
    seen = np.zeros(n, bool)
    for number, piece in enumerate(arrays_):
        if len(piece) and (piece[0] < 0 or piece[-1] >= n):
            raise ValueError(f"pieces[{number}] has an index outside 0..{n - 1}")
        seen[piece] = True
    if not seen.all():
        raise ValueError(f"pieces must hold every unknown; {int((~seen).sum())} are in none, the first is {int(np.argmin(seen))}")
    return [piece for piece in arrays_ if len(piece)]


def halves(A: Any, size: int) -> list[np.ndarray]:
    """Index arrays of at most `size` unknowns: the graph of A cut in two along a breadth-first order, again and again."""
    pattern = type(A)((np.ones(A.nnz, np.int8), A.indices, A.indptr), shape=A.shape)
    todo, done = [(np.arange(A.shape[0]), pattern)], []
    while todo:
        piece, graph = todo.pop()
        if len(piece) <= size:
            done.append(np.sort(piece))
            continue
        order = breadth_first(graph)
        middle = len(piece) // 2
        for part in (order[:middle], order[middle:]):
            todo.append((piece[part], graph[part][:, part].tocsr()))
    return [piece for piece in done if len(piece)]


def breadth_first(graph: Any) -> np.ndarray:
    """All nodes, in breadth-first order from an end of the first component, the others after it as they come."""
    from scipy.sparse.csgraph import breadth_first_order

    far = int(breadth_first_order(graph, 0, directed=False, return_predecessors=False)[-1])
    order = breadth_first_order(graph, far, directed=False, return_predecessors=False)
    rest = np.ones(graph.shape[0], bool)
    rest[order] = False
    return np.concatenate([order, np.flatnonzero(rest)])


def grown(A: Any, piece: np.ndarray, layers: int) -> np.ndarray:
    """The piece with so many layers of neighbours, rising."""
    inside = np.zeros(A.shape[0], bool)
    inside[piece] = True
    for _ in range(layers):
        inside[A[np.flatnonzero(inside)].indices] = True
    return np.flatnonzero(inside)
