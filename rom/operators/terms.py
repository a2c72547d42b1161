"""A matrix as a sum of terms, A(mu) = sum_q c_q(mu) A_q, whichever way the terms are known: sparse, dense, or by products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...solvers import arrays

NOISE = 8 * float(np.finfo(np.float64).eps)  # of the sizes of what is added up: what counts as nothing but rounding


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """The terms A_q of a sum, q = 0, ..., Q - 1, all (n, n).

    values: (Q, entries) on one pattern, the union of those of the terms; (Q, n, n) where they are dense; else None, and
    `operators` holds Q objects with shape, dtype and @. pattern: (indices, indptr) of the rows. Memory: Q times one matrix.
    """

    shape: tuple[int, int]
    dtype: np.dtype
    values: np.ndarray | None
    pattern: tuple[np.ndarray, np.ndarray] | None = None
    operators: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.operators) if self.values is None else len(self.values)

    @property
    def stored(self) -> bool:
        """Whether entries are at hand, not products alone."""
        return self.values is not None

    def __getitem__(self, q: int) -> Any:
        return self.operators[q] if self.values is None else self.made(self.values[q])

    def made(self, values: np.ndarray) -> Any:
        """The matrix with these values."""
        if self.pattern is None:
            return values
        from scipy.sparse import csr_array

        return csr_array((values, *self.pattern), shape=self.shape)

    def combined(self, weights: np.ndarray) -> Any:
        """sum_q weights_q A_q, for weights (Q,): a matrix, or a combination that knows products."""
        if self.values is None:
            return Combination(self.operators, np.asarray(weights), self.shape, np.result_type(self.dtype, weights))
        return self.made(np.tensordot(weights, self.values, axes=1))

    def recombined(self, T: np.ndarray) -> Terms:
        """The terms sum_m T[q, m] A_m, for T (Q', Q)."""
        if self.values is None:
            made = tuple(self.combined(row) for row in T)
            return Terms(self.shape, np.result_type(self.dtype, T), None, None, made)
        values = np.tensordot(T, self.values, axes=1)
        for q in range(len(T)):  # what is left where everything cancels is no entry: times a large coefficient, it would count
            values[q][abs(values[q]) <= NOISE * np.tensordot(abs(T[q]), abs(self.values), axes=1)] = 0.0
        return Terms(self.shape, values.dtype, values, self.pattern)

    def adjoint(self) -> Terms:
        """The terms A_q^H; TypeError if their entries are not known."""
        if self.values is None:
            raise TypeError("the adjoint of A is needed, and A is known by products alone; give its entries")
        return terms([self[q].conj().T.tocsr() if self.pattern is not None else self[q].conj().T for q in range(len(self))])

    @property
    def hermitian(self) -> bool | None:
        """Whether every term is Hermitian to rounding; None if their entries are not known."""
        return None if self.values is None else all(hermitian(self[q]) for q in range(len(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Combination:
    """sum_q weights_q A_q, by products."""

    operators: tuple[Any, ...]
    weights: np.ndarray
    shape: tuple[int, int]
    dtype: Any

    def __matmul__(self, x: Any) -> Any:
        return sum(weight * (A @ x) for weight, A in zip(self.weights, self.operators, strict=True) if weight != 0)


def deviation(A: Any) -> float:
    """max |A - A^H|."""
    difference = A - A.conj().T
    return float(abs(difference).max()) if min(difference.shape) and getattr(difference, "nnz", 1) else 0.0


def hermitian(A: Any) -> bool:
    """Whether |A - A^H|_ij <= 1e-12 s_i s_j, s_i^2 the largest entry of row and column i: also where unknowns differ in scale."""
    size, wrong = abs(A), abs(A - A.conj().T)
    largest = [x.toarray() if arrays.sparse(x) else x for x in (size.max(axis=0), size.max(axis=1))]
    s = np.sqrt(np.maximum(*(np.ravel(x) for x in largest)))
    if isinstance(A, np.ndarray):
        return bool((wrong <= 1e-12 * s[:, None] * s).all())
    entries = wrong.tocoo()
    return bool((entries.data <= 1e-12 * s[entries.row] * s[entries.col]).all())


def terms(matrices: Sequence[Any]) -> Terms:
    """The terms of a list of matrices of one size: all sparse (patterns may differ), all dense, or anything with shape, dtype, @.

    >>> import numpy as np
    >>> from petrov.rom.operators.terms import terms
    >>> terms([np.eye(2), np.ones((2, 2))]).combined(np.array([2.0, 1.0]))
    array([[3., 1.],
           [1., 3.]])
    """
    shape = tuple(matrices[0].shape)
    dtype = np.result_type(*(np.dtype(arrays.dtype_name(A)) for A in matrices), np.float64)
    if all(arrays.sparse(A) for A in matrices):
        pattern = union([A.tocsr() for A in matrices])
        return Terms(shape, dtype, np.stack([on_pattern(A.tocsr(), pattern) for A in matrices]).astype(dtype), pattern)
    if all(isinstance(A, np.ndarray) for A in matrices):
        return Terms(shape, dtype, np.stack(matrices).astype(dtype))
    return Terms(shape, dtype, None, None, tuple(matrices))


def union(matrices: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """(indices, indptr) of the places where any of these canonical CSR matrices has an entry, rows sorted."""
    first = matrices[0]
    if all(same_pattern(A, first) for A in matrices[1:]):
        return first.indices.copy(), first.indptr.copy()
    from scipy.sparse import csr_array

    total = csr_array(first.shape, dtype=np.float64)
    for A in matrices:
        total = total + csr_array((np.ones(A.nnz), A.indices, A.indptr), shape=A.shape)
    total.sort_indices()
    return total.indices, total.indptr


def same_pattern(A: Any, B: Any) -> bool:
    return A.nnz == B.nnz and np.array_equal(A.indptr, B.indptr) and np.array_equal(A.indices, B.indices)


def on_pattern(A: Any, pattern: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The values of a canonical CSR matrix at the places of a pattern that holds its own; zero elsewhere.

    Raises ValueError if A has an entry outside the pattern.
    """
    indices, indptr = pattern
    if A.nnz == len(indices) and np.array_equal(A.indptr, indptr) and np.array_equal(A.indices, indices):
        return A.data
    keys, own = places(indices, indptr, A.shape[1]), places(A.indices, A.indptr, A.shape[1])
    at = np.searchsorted(keys, own)
    inside = at < len(keys)
    inside[inside] = keys[at[inside]] == own[inside]
    if not inside.all() and np.any(A.data[~inside]):
        raise ValueError("a matrix has entries where none of the training matrices had one; train on more parameters")
    values = np.zeros(len(indices), A.dtype)
    values[at[inside]] = A.data[inside]
    return values


def entries(A: Any, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """The entries of a dense or canonical CSR matrix at some places."""
    if isinstance(A, np.ndarray):
        return A[rows, cols]
    keys, wanted = places(A.indices, A.indptr, A.shape[1]), rows * A.shape[1] + cols
    at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    return np.where(keys[at] == wanted, A.data[at], 0.0) if len(keys) else np.zeros(len(wanted))


def places(indices: np.ndarray, indptr: np.ndarray, columns: int) -> np.ndarray:
    """row * columns + column of every entry, rising."""
    rows = np.repeat(np.arange(len(indptr) - 1, dtype=np.int64), np.diff(indptr))
    return rows * columns + indices
