"""One coarsening: what the weights make of a level's matrix, the aggregates, the prolongation and the Galerkin product."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...solvers.preconditioners.multigrid.aggregate_level import MatrixLevel, matrix_level
from ...solvers.preconditioners.multigrid.aggregates import Pattern, regular
from ...solvers.preconditioners.multigrid.matrices import Matrix, Transposed, multiply, offsets, transposed
from .ladder import SCALARS, Packed

CORRECTION = list(SCALARS).index("correction")


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What a network says of a matrix. By row: the diagonal, damping and relaxation; by entry: strong, and the gates near (both
    in one aggregate) and far."""

    diagonal: np.ndarray
    damping: np.ndarray
    relaxation: np.ndarray
    strong: np.ndarray
    near: np.ndarray
    far: np.ndarray


def choose(A: Matrix, weights: Packed, sparsity: float) -> Choice:
    """O(nnz width): one pass over the rows, one over the entries."""
    facts, diagonal = facts_of(A, sparsity)
    return chosen(A, facts, diagonal, weights)


def sparsity_of(A: Matrix) -> float:
    """Rows over entries off the diagonal: 1/6 of triangles, 1/14 of tetrahedra. Of the finest level; all others are told it."""
    return A.rows / max(A.nnz - A.rows, 1)


def facts_of(A: Matrix, sparsity: float) -> tuple[np.ndarray, np.ndarray]:
    """(facts (n, 7) in single precision, diagonal (n,)) of the rows."""
    from . import compiled

    diagonal, facts = np.empty(A.rows), np.empty((A.rows, compiled.FACTS), np.float32)
    compiled.facts_of(A.rows, *A[:3], sparsity, diagonal, facts)
    return facts, diagonal


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """What the networks read, in double precision: of the entries off the diagonal, which are at `off` and in (rows, columns),
    features (m, 8); of the rows, table (n, 4) and degrees (n,)."""

    off: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    features: np.ndarray
    table: np.ndarray
    degrees: np.ndarray


def features_of(A: Matrix, facts: np.ndarray) -> Features:
    """As NumPy computes them: for training and to check the kernels."""
    i, j = np.repeat(np.arange(A.rows), np.diff(A.indptr)), A.indices.astype(np.int64)
    off = np.flatnonzero(i != j)
    i, j, a, f = i[off], j[off], A.values[off], facts.astype(np.float64)
    scaled = [-a * f[i, 0], -a * f[j, 0], a * f[i, 1] * f[j, 1]]
    known = [np.clip(x, -1.0, 1.0) for x in scaled] + [f[i, 2], f[j, 2], f[i, 3], f[j, 3], f[i, 6]]
    degrees = np.maximum(np.bincount(i, minlength=A.rows), 1.0)
    return Features(off, i, j, np.stack(known, axis=1), f[:, 2:6], degrees)


def chosen(A: Matrix, facts: np.ndarray, diagonal: np.ndarray, weights: Packed) -> Choice:
    from . import compiled

    heard = np.zeros((A.rows, weights.channels), np.float32)
    if weights.channels:
        compiled.listen(A.rows, *A[:3], facts, *weights.message, heard)
    damping, relaxation = np.empty(A.rows, np.float32), np.empty(A.rows, np.float32)
    compiled.rows(A.rows, facts, heard, weights.scalars, *weights.row, damping, relaxation)
    strong, near, far = np.empty(A.nnz, np.uint8), np.empty(A.nnz, np.float32), np.empty(A.nnz, np.float32)
    compiled.edges(A.rows, *A[:3], facts, heard, weights.scalars, *weights.edge, strong, near, far)
    return Choice(diagonal, damping, relaxation, strong, near, far)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is kept for another matrix with the same pattern: aggregates, entries with a gate that is open, and patterns."""

    home: np.ndarray
    count: int
    kept: np.ndarray
    P: Pattern
    R: Transposed
    AP: Pattern
    RAP: Pattern


def coarsen(A: Matrix, weights: Packed, sparsity: float) -> tuple[Known, Choice, Matrix, Matrix, Matrix] | None:
    """(what is kept, the choice, P, R, R A P); None if there is nothing to gather."""
    from ...solvers.kernels import aggregation

    choice = choose(A, weights, sparsity)
    home = np.empty(A.rows, np.int32)
    count = int(aggregation.aggregate(*A[:3], choice.strong, home))
    if count == 0 or count >= 0.9 * A.rows:
        return None
    kept = np.empty(A.nnz, np.uint8)
    P = prolongation(A, choice, home, count, kept)
    transpose = transposed(P)
    R, AP = transpose.of(P), multiply(A, P)
    RAP = multiply(R, AP)
    return Known(home, count, kept, P.pattern, transpose, AP.pattern, RAP.pattern), choice, P, R, regular(RAP)


def galerkin(known: Known, A: Matrix, weights: Packed, sparsity: float) -> tuple[Choice, Matrix, Matrix, Matrix]:
    """The choice, P, R and R A P of another A with the same pattern, on the same aggregates."""
    choice = choose(A, weights, sparsity)
    P = prolongation(A, choice, known.home, known.count, known.kept, known.P)
    R = known.R.of(P)
    return choice, P, R, regular(multiply(R, multiply(A, P, known.AP), known.RAP))


def prolongation(
    A: Matrix, choice: Choice, home: np.ndarray, count: int, kept: np.ndarray, pattern: Pattern | None = None
) -> Matrix:
    """(I - W A_F) T, T_ij = 1 for j = home[i]. `kept` is filled, or read if the pattern is known."""
    from . import compiled

    columns, entries, counts = np.empty(A.nnz, np.uint32), np.empty(A.nnz), np.empty(A.rows, np.uint32)
    compiled.prolong(
        A.rows, *A[:3], choice.diagonal, choice.damping, choice.near, choice.far, home, kept, pattern is not None, columns,
        entries, counts,
    )  # fmt: skip
    indptr = offsets(counts) if pattern is None else pattern[0]
    indices, values = np.empty(int(indptr[-1]), np.uint32), np.empty(int(indptr[-1]))
    compiled.compact(A.rows, A.indptr, columns, entries, indptr, indices, values)
    return Matrix(indptr, indices, values, count)


def level(A: Matrix, choice: Choice, P: Matrix, R: Matrix, weights: Packed, order: np.ndarray) -> MatrixLevel:
    """The level of A, its sweeps relaxed by rows and its correction scaled: both are in the numbers, not in the cycle.

    D becomes diag(A)/relaxation plus what bounds the entries between chunks; the square root of the correction goes into P and R.
    """
    plain = matrix_level(A, P, R, order)
    diagonal = choice.diagonal.astype(np.float32)
    D = diagonal / choice.relaxation
    D += plain.extra
    for matrix in (plain.P, plain.R):
        np.multiply(matrix.values, np.float32(weights.scalars[CORRECTION] ** 0.5), out=matrix.values)
    return replace(plain, inverse=1 / D, extra=D - diagonal)
