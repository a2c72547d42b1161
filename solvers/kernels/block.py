"""The verbs compiled for NumPy blocks (n, k): one sweep serves all columns, each with its own scalars."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np
from numba import prange

from ..arrays import Space
from ..storage import CSR, SELL, Diagonal
from . import reference
from .compiler import njit
from .reference import product, residual
from .threads import CHUNK, THREADED_FROM, twins

__all__ = ["apply_dot", "combine", "compile_for", "dot", "precondition", "product", "residual", "step"]


@njit(cache=True, nogil=True)
def in_order(partial):
    """The sums of partial sums (chunks, k), first to last: the same bits for every number of threads."""
    total = np.zeros(partial.shape[1])
    for chunk in range(partial.shape[0]):
        for j in range(partial.shape[1]):
            total[j] += partial[chunk, j]
    return total


@twins
def _apply_dot(rows, values, indices, indptr, p, q):
    """Q = A P and Re(p_j^H q_j) for every column j."""
    chunks, k = (rows + CHUNK - 1) // CHUNK, p.shape[1]
    partial = np.zeros((chunks, k))
    for chunk in prange(chunks):
        low = chunk * CHUNK
        for i in range(low, min(low + CHUNK, rows)):
            for j in range(k):
                q[i, j] = 0
            for entry in range(indptr[i], indptr[i + 1]):
                value, column = values[entry], indices[entry]
                for j in range(k):
                    q[i, j] += value * p[column, j]
            for j in range(k):
                partial[chunk, j] += (np.conj(p[i, j]) * q[i, j]).real
    return in_order(partial)


@twins
def _step(rows, alpha, p, q, x, r):
    """x_j += alpha_j p_j, r_j -= alpha_j q_j where alpha_j is not zero; r_j^H r_j."""
    chunks, k = (rows + CHUNK - 1) // CHUNK, x.shape[1]
    partial = np.zeros((chunks, k))
    for chunk in prange(chunks):
        low = chunk * CHUNK
        for i in range(low, min(low + CHUNK, rows)):
            for j in range(k):
                if alpha[j] != 0.0:  # a column that has ended may hold anything in q
                    x[i, j] += alpha[j] * p[i, j]
                    r[i, j] -= alpha[j] * q[i, j]
                partial[chunk, j] += (np.conj(r[i, j]) * r[i, j]).real
    return in_order(partial)


@twins
def _step_diagonal(rows, alpha, d, p, q, x, r):
    """The same, and Re(r_j^H d r_j)."""
    chunks, k = (rows + CHUNK - 1) // CHUNK, x.shape[1]
    rr, rz = np.zeros((chunks, k)), np.zeros((chunks, k))
    for chunk in prange(chunks):
        low = chunk * CHUNK
        for i in range(low, min(low + CHUNK, rows)):
            scale = d[i]
            for j in range(k):
                if alpha[j] != 0.0:
                    x[i, j] += alpha[j] * p[i, j]
                    r[i, j] -= alpha[j] * q[i, j]
                rr[chunk, j] += (np.conj(r[i, j]) * r[i, j]).real
                rz[chunk, j] += (np.conj(r[i, j]) * (scale * r[i, j])).real
    return in_order(rr), in_order(rz)


@twins
def _dot(rows, x, y):
    """Re(x_j^H y_j)."""
    chunks, k = (rows + CHUNK - 1) // CHUNK, x.shape[1]
    partial = np.zeros((chunks, k))
    for chunk in prange(chunks):
        low = chunk * CHUNK
        for i in range(low, min(low + CHUNK, rows)):
            for j in range(k):
                partial[chunk, j] += (np.conj(x[i, j]) * y[i, j]).real
    return in_order(partial)


@twins
def _combine_diagonal(rows, beta, d, r, p):
    """p_j = d r_j + beta_j p_j."""
    for chunk in prange((rows + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        for i in range(low, min(low + CHUNK, rows)):
            scale = d[i]
            for j in range(p.shape[1]):
                p[i, j] = scale * r[i, j] + beta[j] * p[i, j]


@twins
def _combine(rows, beta, z, p):
    """p_j = z_j + beta_j p_j."""
    for chunk in prange((rows + CHUNK - 1) // CHUNK):
        low = chunk * CHUNK
        for i in range(low, min(low + CHUNK, rows)):
            for j in range(p.shape[1]):
                p[i, j] = z[i, j] + beta[j] * p[i, j]


def dot(x: Any, y: Any, space: Space) -> Any:
    """Re(x_j^H y_j) for every column j."""
    return _dot(len(x), np.ascontiguousarray(x), np.ascontiguousarray(y))


def apply_dot(A: Any, p: Any, q: Any, space: Space) -> tuple[Any, Any]:
    A = A.rows if isinstance(A, SELL) else A
    if not isinstance(A, CSR):
        q = product(A, p, space)
        return q, dot(p, q, space)
    if q is None:
        q = np.empty_like(p)
    return q, _apply_dot(len(p), A.values, A.indices, A.indptr, p, q)


def precondition(M: Any, r: Any, z: Any, space: Space) -> tuple[Any, Any]:
    z = r if M is None else product(M, r, space, "M")
    return z, dot(r, z, space)


def step(M: Any, rz: Any, pq: Any, p: Any, q: Any, x: Any, r: Any, z: Any, active: Any, space: Space) -> tuple[Any, ...]:
    alpha = reference.ratio(rz, pq, active, space)
    if type(M) is Diagonal:  # z = M r is not stored: combine makes it on the way
        rr, rz = _step_diagonal(len(x), alpha, M.values, p, q, x, r)
        return x, r, r, rr, rz
    rr = _step(len(x), alpha, p, q, x, r)
    if M is None:
        return x, r, r, rr, rr
    z, rz = precondition(M, r, z, space)
    return x, r, z, rr, rz


def combine(M: Any, rz: Any, rz_old: Any, z: Any, p: Any, space: Space) -> Any:
    beta = reference.ratio(rz, rz_old, None, space)
    if type(M) is Diagonal:
        _combine_diagonal(len(p), beta, M.values, z, p)
    else:
        _combine(len(p), beta, z, p)
    return p


@cache
def _compile(vectors: str, scaled: str | None, rows: int) -> None:
    x, y, scalars = np.zeros((rows, 1), vectors), np.zeros((rows, 1), vectors), np.ones(1)
    _dot(rows, x, y)
    if scaled is None:
        _step(rows, scalars, x, x, y, y.copy())
        _combine(rows, scalars, x, y)
    else:
        d = np.zeros(rows, scaled)
        _step_diagonal(rows, scalars, d, x, x, y, y.copy())
        _combine_diagonal(rows, scalars, d, x, y)


@cache
def _compile_product(values: str, indices: str, indptr: str, vectors: str, rows: int) -> None:
    x = np.zeros((rows, 1), vectors)
    _apply_dot(rows, np.zeros(0, values), np.zeros(0, indices), np.zeros(rows + 1, indptr), x, x.copy())


def compile_for(A: Any, M: Any, space: Space) -> float:
    """Compile (or load from the cache) what a cg solve with this A needs; the seconds it took."""
    start = time.perf_counter()
    rows = THREADED_FROM if A.shape[0] >= THREADED_FROM else 1
    _compile(space.dtype, M.values.dtype.name if type(M) is Diagonal else None, rows)
    A = A.rows if isinstance(A, SELL) else A
    if isinstance(A, CSR):
        _compile_product(A.values.dtype.name, A.indices.dtype.name, A.indptr.dtype.name, space.dtype, rows)
    return time.perf_counter() - start
