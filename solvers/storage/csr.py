"""Compressed sparse rows with unsigned indices: the arrays of a SciPy CSR matrix, seen by the compiled kernels.

Unsigned indices spare the kernels numba's test for negative (wrap-around) indices on every gather, which makes them as
fast as a C extension. A view shares all three arrays with the matrix it was made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import arrays

THREADED_FROM = 20_000  # rows from which two threads beat SciPy's one


@dataclass(frozen=True, slots=True, eq=False)
class CSR:
    """A sparse matrix by rows: row i holds values[indptr[i]:indptr[i+1]] in columns indices[...].

    shape (m, n), dtype of the values, nnz; `A @ x` with x (n,) or (n, k). Bytes moved by one product: those of the three
    arrays plus x and the result.
    """

    values: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    shape: tuple[int, int]
    original: Any

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    @property
    def kind(self) -> tuple[str, ...]:
        """The types that kernels are compiled for."""
        return "csr", self.values.dtype.name, self.indices.dtype.name, self.indptr.dtype.name

    @property
    def nnz(self) -> int:
        return len(self.values)

    def __matmul__(self, x: Any) -> Any:
        plain = type(x) is np.ndarray and x.dtype == self.dtype and x.shape == self.shape[1:] and x.flags.c_contiguous
        if not plain or self.shape[0] < THREADED_FROM:
            return self.original @ x  # SciPy checks what is not plain, and takes blocks
        from ..kernels.csr import product

        return product(self, x)

    @property
    def H(self) -> Any:
        return self.original.conj().T

    def diagonal(self) -> np.ndarray:
        return self.original.diagonal()

    def tocsr(self) -> Any:
        return self.original

    @property
    def bytes_per_row(self) -> float:
        """What one product moves of the matrix itself."""
        return sum(part.nbytes for part in (self.values, self.indices, self.indptr)) / max(self.shape[0], 1)

    def __repr__(self) -> str:
        return f"CSR {self.shape[0]} x {self.shape[1]}, {self.nnz} entries, {self.dtype}, {self.bytes_per_row:.0f} bytes per row"


def view(A: Any) -> CSR:
    """The CSR view of a SciPy CSR array or matrix: no entry is copied (values of integer type are widened once).

    Raises ValueError if the index arrays are not those of a matrix: an index outside it would read foreign memory.
    """
    if A.dtype.kind not in "biufc" or (A.dtype.kind in "fc" and A.dtype.name not in arrays.REAL):
        raise TypeError(f"A has dtype {A.dtype}; use float32, float64, complex64 or complex128 (A.astype(float))")
    rows, columns = A.shape
    indptr, indices, values = A.indptr, A.indices, A.data
    if len(indptr) != rows + 1 or indptr[0] != 0 or (rows and (np.diff(indptr) < 0).any()):
        raise ValueError(f"A.indptr must rise from 0 over {rows + 1} entries; got {len(indptr)} entries; rebuild the CSR matrix")
    if indptr[-1] > len(indices) or indptr[-1] > len(values):
        held = min(len(indices), len(values))
        raise ValueError(f"A.indptr ends at {indptr[-1]} but only {held} entries are stored; rebuild the CSR matrix")
    count = int(indptr[-1])
    indices, values = indices[:count], values[:count]
    if count and (indices.min() < 0 or indices.max() >= columns):
        bad = int(np.flatnonzero((indices < 0) | (indices >= columns))[0])
        row = int(np.searchsorted(indptr, bad, side="right")) - 1
        raise ValueError(f"A has column index {indices[bad]} in row {row}, outside 0..{columns - 1}; rebuild the CSR matrix")
    if values.dtype.name not in arrays.REAL or not values.dtype.isnative:
        values = values.astype(arrays.working_dtype(values.dtype.name))
        A = type(A)((values, indices, indptr), shape=A.shape, copy=False)
    return CSR(values, unsigned(indices), unsigned(indptr), (rows, columns), A)


def canonical(A: Any) -> CSR:
    """A SciPy sparse matrix as CSR, columns rising in every row, duplicates summed; shares memory where it already is."""
    if not arrays.compressed(A):
        check_indices(A)
    csr = A.tocsr()
    checked = view(csr)  # before SciPy's own C++ walks the indices
    if csr.has_canonical_format:
        return checked
    csr = csr.copy()
    csr.sum_duplicates()
    return view(csr)


def same_pattern(A: Any, B: Any) -> bool:
    """Whether two CSR matrices of SciPy have entries at the same places."""
    same = A.shape == B.shape and A.nnz == B.nnz
    return same and np.array_equal(A.indptr, B.indptr) and np.array_equal(A.indices, B.indices)


def unsigned(index: np.ndarray) -> np.ndarray:
    """The same integers as uint32 (or uint64), without a copy."""
    return np.ascontiguousarray(index).view(np.uint32 if index.itemsize == 4 else np.uint64)


def check_indices(A: Any) -> None:
    """Refuse index arrays that would read outside the matrix; SciPy itself does not look before a product."""
    if A.format in ("csc", "bsr"):
        A.check_format(full_check=True)
        return
    indices = {
        "coo": lambda: A.coords if hasattr(A, "coords") else (A.row, A.col),
        "lil": lambda: (np.concatenate([np.asarray(row, np.int64) for row in A.rows] or [np.zeros(0, np.int64)]),) * 2,
        "dok": lambda: tuple(np.array(list(A.keys()), np.int64).reshape(-1, 2).T),
    }.get(A.format, lambda: ())()
    axes = ("column", "column") if A.format == "lil" else ("row", "column")
    for index, axis in zip(indices, axes, strict=False):
        size = A.shape[0 if axis == "row" else 1]
        if len(index) and (index.min() < 0 or index.max() >= size):
            raise ValueError(f"A has a {axis} index outside 0..{size - 1}; rebuild the matrix from checked triplets")
