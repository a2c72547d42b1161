"""CSR matrices as the set-up of multigrid handles them: three arrays, columns of a row in no order."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Matrix(NamedTuple):
    """Rows of a matrix with so many columns; indices and indptr are uint32."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    columns: int

    @property
    def rows(self) -> int:
        return len(self.indptr) - 1

    @property
    def nnz(self) -> int:
        return len(self.indices)

    @property
    def pattern(self) -> tuple[np.ndarray, np.ndarray]:
        return self.indptr, self.indices

    def diagonal(self) -> np.ndarray:
        return np.asarray(self.scipy().diagonal())

    def scipy(self) -> Any:
        from scipy.sparse import csr_array

        return csr_array(
            (self.values, self.indices.view(np.int32), self.indptr.view(np.int32)), shape=(self.rows, self.columns), copy=False
        )


def matrix(A: Any, dtype: Any = np.float64) -> Matrix:
    """A SciPy CSR matrix, shared where its types allow."""
    return Matrix(
        A.indptr.astype(np.uint32), A.indices.astype(np.int32, copy=False).view(np.uint32), A.data.astype(dtype, copy=False),
        A.shape[1],
    )  # fmt: skip


def offsets(counts: np.ndarray) -> np.ndarray:
    """Where rows of so many entries begin."""
    starts = np.zeros(len(counts) + 1, np.uint32)
    np.cumsum(counts, out=starts[1:])
    return starts


def multiply(A: Matrix, B: Matrix, known: tuple[np.ndarray, np.ndarray] | None = None) -> Matrix:
    """A B; `known` is its pattern, where it has been made before."""
    from ...kernels import sparse_product as kernels

    if known is not None:
        values = np.empty(len(known[1]))
        kernels.refill(A.rows, *A[:3], *B[:3], B.columns, *known, values)
        return Matrix(*known, values, B.columns)
    pieces, counts = kernels.pieces(A.rows), np.empty(A.rows, np.uint32)
    starts = np.zeros(pieces + 1, np.int64)
    kernels.room(A.rows, A.indptr, A.indices, B.indptr, starts[1:])
    np.cumsum(starts, out=starts)
    indices, values = np.empty(int(starts[-1]), np.uint32), np.empty(int(starts[-1]))
    kernels.fill(A.rows, *A[:3], *B[:3], B.columns, starts, counts, indices, values)
    indptr = offsets(counts)
    if pieces == 1:
        for array in (indices, values):
            array.resize(int(indptr[-1]), refcheck=False)  # gives back what was not written
        return Matrix(indptr, indices, values, B.columns)
    ends = indptr[A.rows * np.arange(pieces + 1) // pieces].astype(np.int64)
    parts = [slice(start, start + count) for start, count in zip(starts, np.diff(ends), strict=False)]
    return Matrix(indptr, np.concatenate([indices[p] for p in parts]), np.concatenate([values[p] for p in parts]), B.columns)


class Transposed(NamedTuple):
    """The pattern of a transpose, and where each of its values comes from."""

    indptr: np.ndarray
    indices: np.ndarray
    order: np.ndarray

    def of(self, A: Matrix) -> Matrix:
        return Matrix(self.indptr, self.indices, A.values[self.order], A.rows)


def transposed(A: Matrix) -> Transposed:
    from ...kernels import sparse_product as kernels

    indptr, indices, order = np.empty(A.columns + 1, np.uint32), np.empty(A.nnz, np.uint32), np.empty(A.nnz, np.uint32)
    kernels.transpose(A.indptr, A.indices, indptr, indices, order)
    return Transposed(indptr, indices, order)
