"""Products with a CSR matrix; 12 bytes an entry in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .borrow import borrowed
from .compiler import njit
from .threads import CHUNK, IN_SEQUENCE, in_order, twins


@njit(**IN_SEQUENCE)
def _apply_dot_part(values, indices, starts, p, p_part, q_part):
    total = 0.0
    for i in range(len(q_part)):
        entry = p.dtype.type(0) * 1.0  # double precision for every p
        for k in range(starts[i], starts[i + 1]):
            entry += values[k] * p[indices[k]]
        q_part[i] = entry
        total += (np.conj(p_part[i]) * entry).real
    return total


@twins
def _apply_dot(rows, values, indices, indptr, p, q):
    """q = A p and Re(p^H q)."""
    chunks = (rows + CHUNK - 1) // CHUNK
    partial = np.zeros(chunks)
    for chunk in prange(chunks):
        low, high = chunk * CHUNK, min(chunk * CHUNK + CHUNK, rows)
        partial[chunk] = _apply_dot_part(values, indices, indptr[low : high + 1], p, p[low:high], q[low:high])
    return in_order(partial)


@njit(**IN_SEQUENCE)
def _residual_part(low, high, values, indices, indptr, x, b, r):
    values, indices, indptr = borrowed(values), borrowed(indices), borrowed(indptr)
    x, b, r = borrowed(x), borrowed(b), borrowed(r)
    for i in range(low, high):
        entry = b[i]
        for k in range(indptr[i], indptr[i + 1]):
            entry -= values[k] * x[indices[k]]
        r[i] = entry


@twins
def _residual(rows, values, indices, indptr, x, b, r):
    """r = b - A x; x, b and r are double precision even where the values are not."""
    for chunk in prange((rows + CHUNK - 1) // CHUNK):
        _residual_part(chunk * CHUNK, min(chunk * CHUNK + CHUNK, rows), values, indices, indptr, x, b, r)


@njit(**IN_SEQUENCE)
def _product_part(low, high, values, indices, indptr, x, y):
    values, indices, indptr, x, y = borrowed(values), borrowed(indices), borrowed(indptr), borrowed(x), borrowed(y)
    for i in range(low, high):
        entry = y[i] * 0
        for k in range(indptr[i], indptr[i + 1]):
            entry += values[k] * x[indices[k]]
        y[i] = entry


@twins
def _product(rows, values, indices, indptr, x, y):
    """y = A x."""
    for chunk in prange((rows + CHUNK - 1) // CHUNK):
        _product_part(chunk * CHUNK, min(chunk * CHUNK + CHUNK, rows), values, indices, indptr, x, y)


def product(A: Any, x: np.ndarray) -> np.ndarray:
    """A x for a contiguous x (n,) of A's type."""
    y = np.zeros(A.shape[0], x.dtype)
    _product(len(y), A.values, A.indices, A.indptr, x, y)
    return y


def apply_dot(A: Any, p: np.ndarray, q: np.ndarray) -> float:
    """q = A p and Re(p^H q)."""
    return float(_apply_dot(len(p), A.values, A.indices, A.indptr, p, q))


def residual(A: Any, b: np.ndarray, x: np.ndarray, r: np.ndarray) -> None:
    """r = b - A x, summed in the precision of b."""
    _residual(len(b), A.values, A.indices, A.indptr, x, b, r)
