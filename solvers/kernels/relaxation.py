"""Gauss-Seidel within chunks of rows and Jacobi between them, fused with residual and transfer, in single precision.

The rows of a level are dealt into chunks. An entry of row i is *lower* or *upper* if its column is in the same chunk, before or
after i, and *outer* if it is in another. A row holds its lower entries first, then the outer, then the upper ones: `indptr`,
`outer` and `upper` say where each begins; a sweep meets the row it has just left last. With D the diagonal plus half the sum of
the outer entries' sizes, D + lower smooths forward and D + upper backward, and M + M^T - A is positive definite for every
symmetric positive definite A: Baker, Falgout, Kolev and Yang, SIAM J. Sci. Comput. 33 (2011), section 6. Chunks do not depend on
the number of threads, so neither do the bits.

From u = 0 the forward sweep reads the lower entries alone, and the residual it leaves the others alone: smoothing and residual
read the matrix once, the backward sweep once more.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .borrow import borrowed
from .compiler import njit
from .threads import IN_SEQUENCE, in_order, part, twins

ROWS = 8_192  # rows of one chunk


@part
def _split(low, high, A_indptr, A_indices, A_values, indptr, outer, upper, indices, values, inverse, extra):
    A_indptr, A_indices, A_values = borrowed(A_indptr), borrowed(A_indices), borrowed(A_values)
    indptr, upper, outer = borrowed(indptr), borrowed(upper), borrowed(outer)
    indices, values = borrowed(indices), borrowed(values)
    for i in range(low, high):
        place, diagonal, outside = indptr[i], 0.0, 0.0
        for kind in range(3):
            for k in range(A_indptr[i], A_indptr[i + 1]):
                j = np.int64(A_indices[k])
                if j == i:
                    if kind == 0:
                        diagonal += A_values[k]
                    continue
                own = 1 if j < low or j >= high else 0 if j < i else 2
                if own == kind:
                    indices[place], values[place] = j, A_values[k]
                    place += 1
                    if kind == 1:
                        outside += abs(A_values[k])
            if kind == 0:
                outer[i] = place
            elif kind == 1:
                upper[i] = place
        inverse[i] = 1.0 / (diagonal + 0.5 * outside) if diagonal > 0 else 0.0
        extra[i] = 0.5 * outside


@twins
def split(n, A_indptr, A_indices, A_values, indptr, outer, upper, indices, values, inverse, extra):
    """The parts of A, each row beginning at indptr[i]; inverse = 1 / D, extra = D - diagonal."""
    for chunk in prange((n + ROWS - 1) // ROWS):
        low, high = np.int64(chunk) * ROWS, min(np.int64(chunk) * ROWS + ROWS, n)
        _split(low, high, A_indptr, A_indices, A_values, indptr, outer, upper, indices, values, inverse, extra)


@njit(**IN_SEQUENCE)
def _forward(low, high, indptr, outer, indices, values, inverse, f, u):
    indptr, outer, indices, values = borrowed(indptr), borrowed(outer), borrowed(indices), borrowed(values)
    inverse, f, u = borrowed(inverse), borrowed(f), borrowed(u)
    for i in range(low, high):
        total = f[i]
        for k in range(indptr[i], outer[i]):
            total -= values[k] * u[indices[k]]
        u[i] = total * inverse[i]


@njit(**IN_SEQUENCE)
def _left(low, high, indptr, outer, indices, values, extra, u, r):
    """The residual that the forward sweep from zero leaves: extra u - (upper + outer) u."""
    indptr, outer, indices, values = borrowed(indptr), borrowed(outer), borrowed(indices), borrowed(values)
    extra, u, r = borrowed(extra), borrowed(u), borrowed(r)
    for i in range(low, high):
        total = extra[i] * u[i]
        for k in range(outer[i], indptr[i + 1]):
            total -= values[k] * u[indices[k]]
        r[i] = total


@njit(**IN_SEQUENCE)
def _gather(low, high, indptr, indices, values, x, y, add):
    """y = B x, or y += B x, for rows low..high of a CSR matrix."""
    indptr, indices, values, x, y = borrowed(indptr), borrowed(indices), borrowed(values), borrowed(x), borrowed(y)
    for i in range(low, high):
        total = y[i] if add else y[i] * 0
        for k in range(indptr[i], indptr[i + 1]):
            total += values[k] * x[indices[k]]
        y[i] = total


@twins
def down(n, indptr, outer, indices, values, inverse, extra, f, u, r, R_indptr, R_indices, R_values, coarse):
    """u = a forward sweep for A u = f from zero; coarse = R (f - A u)."""
    chunks, m = (n + ROWS - 1) // ROWS, len(coarse)
    for chunk in prange(chunks):
        low, high = np.int64(chunk) * ROWS, min(np.int64(chunk) * ROWS + ROWS, n)
        _forward(low, high, indptr, outer, indices, values, inverse, f, u)
    for chunk in prange(chunks):
        low, high = np.int64(chunk) * ROWS, min(np.int64(chunk) * ROWS + ROWS, n)
        _left(low, high, indptr, outer, indices, values, extra, u, r)
    for chunk in prange((m + 1023) // 1024):
        low, high = np.int64(chunk) * 1024, min(np.int64(chunk) * 1024 + 1024, m)
        coarse[low:high] = 0
        _gather(low, high, R_indptr, R_indices, R_values, r, coarse, False)


@njit(**IN_SEQUENCE)
def _backward(low, high, indptr, upper, indices, values, inverse, extra, f, u, v):
    """v = a backward sweep from u: upper entries meet the new values, all others the old ones."""
    indptr, upper, indices, values = borrowed(indptr), borrowed(upper), borrowed(indices), borrowed(values)
    inverse, extra, f, u, v = borrowed(inverse), borrowed(extra), borrowed(f), borrowed(u), borrowed(v)
    for i in range(high - 1, low - 1, -1):
        total = f[i] + extra[i] * u[i]
        for k in range(indptr[i], upper[i]):
            total -= values[k] * u[indices[k]]
        for k in range(np.int64(indptr[i + 1]) - 1, np.int64(upper[i]) - 1, -1):
            total -= values[np.uintp(k)] * v[indices[np.uintp(k)]]
        v[i] = total * inverse[i]


@twins
def up(n, indptr, upper, indices, values, inverse, extra, f, u, v, P_indptr, P_indices, P_values, coarse):
    """u += P coarse; v = a backward sweep for A v = f from u."""
    chunks = (n + ROWS - 1) // ROWS
    for chunk in prange(chunks):
        low, high = np.int64(chunk) * ROWS, min(np.int64(chunk) * ROWS + ROWS, n)
        _gather(low, high, P_indptr, P_indices, P_values, coarse, u, True)
    for chunk in prange(chunks):
        low, high = np.int64(chunk) * ROWS, min(np.int64(chunk) * ROWS + ROWS, n)
        _backward(low, high, indptr, upper, indices, values, inverse, extra, f, u, v)


@njit(**IN_SEQUENCE)
def _residual(low, high, indptr, indices, values, inverse, extra, f, u, r):
    indptr, indices, values = borrowed(indptr), borrowed(indices), borrowed(values)
    inverse, extra, f, u, r = borrowed(inverse), borrowed(extra), borrowed(f), borrowed(u), borrowed(r)
    for i in range(low, high):
        total = f[i] - (u[i] / inverse[i] - extra[i] * u[i] if inverse[i] > 0 else u[i] * 0)
        for k in range(indptr[i], indptr[i + 1]):
            total -= values[k] * u[indices[k]]
        r[i] = total


@twins
def residual(n, indptr, indices, values, inverse, extra, f, u, r):
    """r = f - A u; r may be f."""
    for chunk in prange((n + ROWS - 1) // ROWS):
        low, high = np.int64(chunk) * ROWS, min(np.int64(chunk) * ROWS + ROWS, n)
        _residual(low, high, indptr, indices, values, inverse, extra, f, u, r)


@part
def _load(low, high, order, r, f, factor):
    order, r, f = borrowed(order), borrowed(r), borrowed(f)
    largest = np.float32(0)
    for i in range(low, high):
        value = np.float32(factor * r[order[i]])
        f[i] = value
        largest = max(largest, abs(value))
    return largest


@twins
def load(n, order, r, f, factor):
    """f = factor r in the level's order; max |f|."""
    chunks = (n + ROWS - 1) // ROWS
    partial = np.zeros(max(chunks, 1), np.float32)
    for chunk in prange(chunks):
        low, high = np.int64(chunk) * ROWS, min(np.int64(chunk) * ROWS + ROWS, n)
        partial[chunk] = _load(low, high, order, r, f, factor)
    return partial.max()


@twins
def store(n, order, u, z, factor, r):
    """z = factor u in the caller's order; r^T z."""
    chunks = (n + ROWS - 1) // ROWS
    partial = np.zeros(chunks)
    for chunk in prange(chunks):
        along = 0.0
        for i in range(np.int64(chunk) * ROWS, min(np.int64(chunk) * ROWS + ROWS, n)):
            z[order[i]] = factor * u[i]
            along += r[order[i]] * z[order[i]]
        partial[chunk] = along
    return in_order(partial)
