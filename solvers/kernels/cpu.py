"""The verbs compiled for NumPy vectors: every kernel is one sweep over memory.

Traffic of one cg iteration on a five-point CSR matrix in double precision: matrix 64 B, p, q 16 B (apply_dot), x, r, p, q
read and x, r written 48 B (step), z, p read and p written 24 B (combine): 152 B a row, against about 250 B in SciPy.
"""

from __future__ import annotations

import math
import time
from functools import cache
from typing import Any

import numpy as np
from numba import prange

from .. import arrays
from ..arrays import Space
from ..storage.csr import CSR
from ..storage.diagonal import Diagonal
from . import reference
from .reference import product
from .threads import CHUNK, THREADED_FROM, in_order, part, twins


@part
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


@twins
def _residual(rows, values, indices, indptr, x, b, r):
    """r = b - A x; x, b and r are double precision even where the values are not."""
    for chunk in prange((rows + CHUNK - 1) // CHUNK):
        for i in range(chunk * CHUNK, min(chunk * CHUNK + CHUNK, rows)):
            entry = b[i]
            for k in range(indptr[i], indptr[i + 1]):
                entry -= values[k] * x[indices[k]]
            r[i] = entry


@part
def _step_part(alpha, p, q, x, r):
    total = 0.0
    for i in range(len(x)):
        x[i] += alpha * p[i]
        entry = r[i] - alpha * q[i]
        r[i] = entry
        total += (np.conj(entry) * entry).real
    return total


@twins
def _step(rows, alpha, p, q, x, r):
    """x += alpha p, r -= alpha q; r^H r."""
    chunks = (rows + CHUNK - 1) // CHUNK
    partial = np.zeros(chunks)
    for chunk in prange(chunks):
        low, high = chunk * CHUNK, min(chunk * CHUNK + CHUNK, rows)
        partial[chunk] = _step_part(alpha, p[low:high], q[low:high], x[low:high], r[low:high])
    return in_order(partial)


@part
def _step_diagonal_part(alpha, d, p, q, x, r, z):
    rr = 0.0
    rz = 0.0
    for i in range(len(x)):
        x[i] += alpha * p[i]
        entry = r[i] - alpha * q[i]
        r[i] = entry
        scaled = d[i] * entry
        z[i] = scaled
        rr += (np.conj(entry) * entry).real
        rz += (np.conj(entry) * scaled).real
    return rr, rz


@twins
def _step_diagonal(rows, alpha, d, p, q, x, r, z):
    """x += alpha p, r -= alpha q, z = d r; r^H r and r^H z."""
    chunks = (rows + CHUNK - 1) // CHUNK
    rr, rz = np.zeros(chunks), np.zeros(chunks)
    for chunk in prange(chunks):
        low, high = chunk * CHUNK, min(chunk * CHUNK + CHUNK, rows)
        rr[chunk], rz[chunk] = _step_diagonal_part(
            alpha, d[low:high], p[low:high], q[low:high], x[low:high], r[low:high], z[low:high]
        )
    return in_order(rr), in_order(rz)


@twins
def _combine(rows, beta, z, p):
    """p = z + beta p."""
    for chunk in prange((rows + CHUNK - 1) // CHUNK):
        low, high = chunk * CHUNK, min(chunk * CHUNK + CHUNK, rows)
        _combine_part(beta, z[low:high], p[low:high])


@part
def _combine_part(beta, z, p):
    for i in range(len(p)):
        p[i] = z[i] + beta * p[i]


def quotient(numerator: float, denominator: float) -> float:
    """numerator / denominator where that is finite and the denominator positive, else 0."""
    return numerator / denominator if 0.0 < denominator < math.inf and -math.inf < numerator < math.inf else 0.0


@part
def _dot_part(x, y):
    total = 0.0
    for i in range(len(x)):
        total += (np.conj(x[i]) * y[i]).real
    return total


@twins
def _dot(rows, x, y):
    """Re(x^H y)."""
    chunks = (rows + CHUNK - 1) // CHUNK
    partial = np.zeros(chunks)
    for chunk in prange(chunks):
        low, high = chunk * CHUNK, min(chunk * CHUNK + CHUNK, rows)
        partial[chunk] = _dot_part(x[low:high], y[low:high])
    return in_order(partial)


def dot(x: Any, y: Any, space: Space) -> float:
    """Re(x^H y). Not by BLAS, whose own threads would wait for ours."""
    return _dot(len(x), x, np.ascontiguousarray(y))


def residual(A: Any, b: Any, x: Any, space: Space) -> Any:
    if not isinstance(A, CSR):
        return reference.residual(A, b, x, space)
    r = np.empty_like(b)
    _residual(len(b), A.values, A.indices, A.indptr, arrays.asarray(x, space, b.dtype.name), b, r)
    return r


def apply_dot(A: Any, p: Any, q: Any, space: Space) -> tuple[Any, float]:
    if not isinstance(A, CSR):
        q = product(A, p, space)
        return q, dot(p, q, space)
    if q is None:
        q = np.empty_like(p)
    return q, _apply_dot(len(p), A.values, A.indices, A.indptr, p, q)


def precondition(M: Any, r: Any, z: Any, space: Space) -> tuple[Any, float]:
    z = r if M is None else product(M, r, space, "M")
    return z, dot(r, z, space)


def step(M: Any, rz: float, pq: float, p: Any, q: Any, x: Any, r: Any, z: Any, active: Any, space: Space) -> tuple[Any, ...]:
    alpha = quotient(rz, pq)
    if alpha == 0.0:
        return x, r, z, dot(r, r, space), rz
    if M is None:
        rr = _step(len(x), alpha, p, q, x, r)
        return x, r, r, rr, rr
    if type(M) is Diagonal:
        rr, rz = _step_diagonal(len(x), alpha, M.values, p, q, x, r, z)
        return x, r, z, rr, rz
    rr = _step(len(x), alpha, p, q, x, r)
    z, rz = precondition(M, r, z, space)
    return x, r, z, rr, rz


def combine(rz: float, rz_old: float, z: Any, p: Any, space: Space) -> Any:
    _combine(len(p), quotient(rz, rz_old), z, p)
    return p


@cache
def _compile(values: str, indices: str, indptr: str, vectors: str, scaled: str | None, rows: int) -> None:
    """Run every kernel of these types once on `rows` empty rows, so that no solve waits for the compiler."""
    A = (np.zeros(0, values), np.zeros(0, indices), np.zeros(rows + 1, indptr))
    x, y = np.zeros(rows, vectors), np.zeros(rows, vectors)
    wide = np.zeros(rows, arrays.WIDE[vectors])
    _apply_dot(rows, *A, x, y)
    _residual(rows, *A, wide, wide, wide.copy())
    if scaled is None:
        _step(rows, 1.0, x, x, y, y.copy())
    else:
        _step_diagonal(rows, 1.0, np.zeros(rows, scaled), x, x, y, y.copy(), y.copy())
    _combine(rows, 1.0, x, y)
    _dot(rows, x, y)


def compile_for(A: Any, M: Any, space: Space) -> float:
    """Compile (or load from the cache) the kernels that a cg solve with A and M needs; the seconds it took."""
    start = time.perf_counter()
    if isinstance(A, CSR):
        rows = THREADED_FROM if A.shape[0] >= THREADED_FROM else 1
        scaled = M.values.dtype.name if type(M) is Diagonal else None
        _compile(A.values.dtype.name, A.indices.dtype.name, A.indptr.dtype.name, space.dtype, scaled, rows)
    return time.perf_counter() - start
