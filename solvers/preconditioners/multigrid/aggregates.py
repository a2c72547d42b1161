"""One coarsening by smoothed aggregation: what depends on the pattern is made once, what depends on values at every update."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .matrices import Matrix, Transposed, multiply, offsets, transposed

# Of the prolongator's smoother, over the sum of the sizes of a row. Vanek, Mandel and Brezina (1996) take 4/3 over the largest
# eigenvalue of D^-1 A instead: one sliver of a mesh sets it for all rows, and its estimate was a fifth of the set-up (measured);
# 5/3 makes up for the row sums being larger. Entries of one node count by their Euclidean norm: on coarse levels of elasticity
# plain sums are twice the eigenvalue, and iterations grow with the mesh (35 instead of 30 on 24^3 cells).
DAMPING = 5 / 3  # of nodes of one unknown
BLOCK_DAMPING = 3 / 2  # of nodes of several

Pattern = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Aggregation:
    """Which entries of A are strong, the unknowns of a node, the tentative prolongator T, and the patterns of
    P = (I - W A_F) T, of its transpose, of A P and of P^T A P."""

    block: int
    strong: np.ndarray
    tentative: Matrix
    P: Pattern
    R: Transposed
    AP: Pattern
    RAP: Pattern


def coarsen(
    A: Matrix, candidates: np.ndarray, block: int, threshold: float
) -> tuple[Aggregation, Matrix, Matrix, Matrix, np.ndarray] | None:
    """(aggregation, P, R, R A P, candidates of the coarse level); None if there is nothing to gather."""
    home, count = aggregates(A, block, threshold)
    if count == 0 or count * candidates.shape[1] >= 0.9 * A.rows:
        return None
    T, coarse = tentative(home, count, block, candidates)
    strong = strengths(A, threshold if block == 1 else 0.0)
    P = multiply(smoother(A, strong, block), T)
    transpose = transposed(P)
    R, AP = transpose.of(P), multiply(A, P)
    RAP = multiply(R, AP)
    return Aggregation(block, strong, T, P.pattern, transpose, AP.pattern, RAP.pattern), P, R, regular(RAP), coarse


def galerkin(known: Aggregation, A: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """P, R and R A P of another A with the same pattern, on the same aggregates."""
    P = multiply(smoother(A, known.strong, known.block), known.tentative, known.P)
    R = known.R.of(P)
    return P, R, regular(multiply(R, multiply(A, P, known.AP), known.RAP))


def aggregates(A: Matrix, block: int, threshold: float) -> tuple[np.ndarray, int]:
    """home (nodes,) and the number of aggregates of nodes of `block` unknowns each."""
    from ...kernels import aggregation as kernels

    if block > 1:
        n = A.rows // block
        indptr, indices, values = np.empty(n + 1, np.uint32), np.empty(A.nnz, np.uint32), np.empty(A.nnz)
        filled = kernels.condense(n, block, *A[:3], indptr, indices, values)
        A = Matrix(indptr, indices[:filled].copy(), values[:filled].copy(), n)
    home = np.empty(A.rows, np.int64)
    return home, int(kernels.aggregate(*A[:3], strengths(A, threshold), home))


def strengths(A: Matrix, threshold: float) -> np.ndarray:
    """Which entries are strong: |a_ij| > threshold sqrt(a_ii a_jj), and the diagonal."""
    from ...kernels import aggregation as kernels

    strong = np.empty(A.nnz, np.uint8)
    kernels.strong_rows(A.rows, *A[:3], threshold, A.diagonal(), strong)
    return strong


def tentative(home: np.ndarray, count: int, block: int, candidates: np.ndarray) -> tuple[Matrix, np.ndarray]:
    """T, orthonormal on every aggregate, with T B_c = B for the candidates B (n, k) in aggregates; B_c (count k, k)."""
    from ...kernels import aggregation as kernels

    n, k = candidates.shape
    starts, nodes = np.empty(count + 1, np.int64), np.empty(int((home >= 0).sum()), np.int64)
    kernels.members(home, count, starts, nodes)
    values, coarse = np.zeros((n, k)), np.zeros((count * k, k))
    kernels.orthonormalise(n, block, starts, nodes, candidates, values, coarse)
    inside = np.repeat(home >= 0, block)
    columns = (np.repeat(home, block)[inside, None] * k + np.arange(k)).astype(np.uint32)
    return Matrix(offsets(np.where(inside, k, 0)), columns.reshape(-1), values[inside].reshape(-1), count * k), coarse


def smoother(A: Matrix, strong: np.ndarray, block: int) -> Matrix:
    """I - W A_F: A_F is A without its weak entries, which are added to its diagonal; W = damping / row sums of |A_F|, node by
    node."""
    from ...kernels import aggregation as kernels

    counts, lumped, sums = np.empty(A.rows, np.uint32), np.empty(A.rows), np.empty(A.rows)
    kernels.filtered(A.rows, block, *A[:3], strong, A.diagonal(), counts, lumped, sums)
    indptr, damping = offsets(counts), DAMPING if block == 1 else BLOCK_DAMPING
    indices, values = np.empty(int(indptr[-1]), np.uint32), np.empty(int(indptr[-1]))
    kernels.smoother_rows(A.rows, *A[:3], strong, lumped, damping / sums, indptr, indices, values)
    return Matrix(indptr, indices, values, A.columns)


def regular(A: Matrix) -> Matrix:
    """A with 1 on the diagonal of unknowns that no candidate reaches, which are zero rows otherwise."""
    from ...kernels import aggregation as kernels

    kernels.complete(*A[:3])
    return A
