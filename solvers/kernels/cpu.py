"""The verbs compiled for NumPy vectors: every kernel is one sweep over memory.

Traffic of one cg iteration on a five-point matrix in double precision: matrix 64 B as CSR, 24 B by bands, 12 B where these fit
single precision; p, q 16 B (apply_dot), x, r, p, q read and x, r written 48 B (step), r, p read and p written 24 B (combine):
152, 112 or 100 B a row, against about 250 B in SciPy. Jacobi adds 16 B: its z is never stored.
"""

from __future__ import annotations

import math
import time
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numba import prange

from .. import arrays
from ..arrays import Space
from ..storage import CSR, DIA, SELL, Diagonal, Stored, empty
from . import csr, dia, reference, sell
from .reference import product
from .threads import CHUNK, THREADED_FROM, in_order, part, twins


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
def _step_diagonal_part(alpha, d, p, q, x, r):
    rr = 0.0
    rz = 0.0
    for i in range(len(x)):
        x[i] += alpha * p[i]
        entry = r[i] - alpha * q[i]
        r[i] = entry
        rr += (np.conj(entry) * entry).real
        rz += (np.conj(entry) * (d[i] * entry)).real
    return rr, rz


@twins
def _step_diagonal(rows, alpha, d, p, q, x, r):
    """x += alpha p, r -= alpha q; r^H r and r^H d r."""
    chunks = (rows + CHUNK - 1) // CHUNK
    rr, rz = np.zeros(chunks), np.zeros(chunks)
    for chunk in prange(chunks):
        low, high = chunk * CHUNK, min(chunk * CHUNK + CHUNK, rows)
        rr[chunk], rz[chunk] = _step_diagonal_part(alpha, d[low:high], p[low:high], q[low:high], x[low:high], r[low:high])
    return in_order(rr), in_order(rz)


@part
def _combine_diagonal_part(beta, d, r, p):
    for i in range(len(p)):
        p[i] = d[i] * r[i] + beta * p[i]


@twins
def _combine_diagonal(rows, beta, d, r, p):
    """p = d r + beta p."""
    for chunk in prange((rows + CHUNK - 1) // CHUNK):
        low, high = chunk * CHUNK, min(chunk * CHUNK + CHUNK, rows)
        _combine_diagonal_part(beta, d[low:high], r[low:high], p[low:high])


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
    if not isinstance(A, Stored):
        return reference.residual(A, b, x, space)
    r = np.empty_like(b)
    form(A).residual(A, b, arrays.asarray(x, space, b.dtype.name), r)
    return r


def apply_dot(A: Any, p: Any, q: Any, space: Space) -> tuple[Any, float]:
    if not isinstance(A, Stored):
        q = product(A, p, space)
        return q, dot(p, q, space)
    if q is None:
        q = np.empty_like(p)
    return q, form(A).apply_dot(A, p, q)


def form(A: Any) -> ModuleType:
    """The kernels for the form in which A is stored."""
    return {CSR: csr, DIA: dia, SELL: sell}[type(A)]


def precondition(M: Any, r: Any, z: Any, space: Space) -> tuple[Any, float]:
    if M is None:
        return r, dot(r, r, space)
    if hasattr(M, "apply_dot") and r.dtype == M.dtype and r.dtype.kind == "f":
        return M.apply_dot(r, None if z is r else z)  # z is ours to write to
    z = product(M, r, space, "M")
    return z, dot(r, z, space)


def step(M: Any, rz: float, pq: float, p: Any, q: Any, x: Any, r: Any, z: Any, active: Any, space: Space) -> tuple[Any, ...]:
    alpha = quotient(rz, pq)
    if alpha == 0.0:
        return x, r, r if type(M) is Diagonal else z, dot(r, r, space), rz
    if M is None:
        rr = _step(len(x), alpha, p, q, x, r)
        return x, r, r, rr, rr
    if type(M) is Diagonal:
        rr, rz = _step_diagonal(len(x), alpha, M.values, p, q, x, r)
        return x, r, r, rr, rz
    rr = _step(len(x), alpha, p, q, x, r)
    z, rz = precondition(M, r, z, space)
    return x, r, z, rr, rz


def combine(M: Any, rz: float, rz_old: float, z: Any, p: Any, space: Space) -> Any:
    beta = quotient(rz, rz_old)
    if type(M) is Diagonal:
        _combine_diagonal(len(p), beta, M.values, z, p)
    else:
        _combine(len(p), beta, z, p)
    return p


def compile_for(A: Any, M: Any, space: Space) -> float:
    """Compile (or load from the cache) the kernels that a cg solve with A and M needs; the seconds it took."""
    start = time.perf_counter()
    if isinstance(A, Stored):
        scaled = M.values.dtype.name if type(M) is Diagonal else None
        _compile(A.kind, space.dtype, scaled, THREADED_FROM if A.shape[0] >= THREADED_FROM else 1)
    return time.perf_counter() - start


@cache
def _compile(kind: tuple[str, ...], vectors: str, scaled: str | None, rows: int) -> None:
    """Run every kernel of these types once on empty rows, so that no solve waits for the compiler."""
    A = empty(kind, rows)
    kernels = form(A)
    x, y = np.zeros(rows, vectors), np.zeros(rows, vectors)
    wide = np.zeros(rows, arrays.WIDE[vectors])
    kernels.apply_dot(A, x, y)
    kernels.residual(A, wide, wide, wide.copy())
    if scaled is None:
        _step(rows, 1.0, x, x, y, y.copy())
        _combine(rows, 1.0, x, y)
    else:
        d = np.zeros(rows, scaled)
        _step_diagonal(rows, 1.0, d, x, x, y, y.copy())
        _combine_diagonal(rows, 1.0, d, x, y)
    _dot(rows, x, y)
