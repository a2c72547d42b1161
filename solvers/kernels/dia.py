"""Products with a matrix kept by its bands, and the making of the bands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .borrow import borrowed
from .threads import CHUNK, in_order, part, twins

ABOVE, MISSING, WITHOUT, ROUNDED = range(4)  # columns of what `fill` has seen
BLOCK = 2_048  # rows whose sums stay in the innermost cache while band after band is added


@part
def _grid_rows(low, high, bands, offsets, x, total):
    """total = rows low..high of A x for a Hermitian matrix with three bands or more, none of which ends in these rows."""
    a, b = offsets[1], offsets[2]
    out, own = total[: high - low], bands[0, low:high]
    after, before = bands[1, low:high], bands[1, low - a : high - a]
    above, below = bands[2, low:high], bands[2, low - b : high - b]
    x_own, x_after, x_before = x[low:high], x[low + a : high + a], x[low - a : high - a]
    x_above, x_below = x[low + b : high + b], x[low - b : high - b]
    for i in range(len(out)):
        out[i] = (
            own[i] * x_own[i] + after[i] * x_after[i] + np.conj(before[i]) * x_before[i]
            + above[i] * x_above[i] + np.conj(below[i]) * x_below[i]
        )  # fmt: skip
    for d in range(3, len(offsets)):
        c = offsets[d]
        behind, front = bands[d, low:high], bands[d, low - c : high - c]
        x_behind, x_front = x[low + c : high + c], x[low - c : high - c]
        for i in range(len(out)):
            out[i] += behind[i] * x_behind[i] + np.conj(front[i]) * x_front[i]


@part
def _rows(low, high, bands, offsets, hermitian, x, total):
    """total = rows low..high of A x."""
    n, reach = len(x), offsets[len(offsets) - 1]
    if hermitian and len(offsets) > 2 and low >= reach and high + reach <= n:
        _grid_rows(low, high, bands, offsets, x, total)
        return
    for i in range(high - low):
        total[i] = 0
    for d in range(len(offsets)):
        o = offsets[d]
        start, stop = max(low, -o), min(high, n - o)
        if stop > start:
            values, source, out = bands[d, start:stop], x[start + o : stop + o], total[start - low : stop - low]
            for i in range(len(values)):
                out[i] += values[i] * source[i]
        start = max(low, o)
        if hermitian and o > 0 and high > start:
            values, source, out = bands[d, start - o : high - o], x[start - o : high - o], total[start - low : high - low]
            for i in range(len(values)):
                out[i] += np.conj(values[i]) * source[i]


@part
def _apply_dot_part(low, high, bands, offsets, hermitian, p, q, total):
    bands, offsets, p, q, total = borrowed(bands), borrowed(offsets), borrowed(p), borrowed(q), borrowed(total)
    dot = 0.0
    for first in range(low, high, BLOCK):
        last = min(first + BLOCK, high)
        _rows(first, last, bands, offsets, hermitian, p, total)
        own, out = p[first:last], q[first:last]
        for i in range(last - first):
            out[i] = total[i]
            dot += (np.conj(own[i]) * total[i]).real
    return dot


@part
def _room(x):
    """A block of sums in double precision, real or complex as x."""
    return np.empty(BLOCK, (x[:1] * np.ones(1)).dtype)


@twins
def _apply_dot(n, bands, offsets, hermitian, p, q):
    """q = A p and Re(p^H q)."""
    chunks = (n + CHUNK - 1) // CHUNK
    partial = np.zeros(chunks)
    for chunk in prange(chunks):
        total = _room(p)
        partial[chunk] = _apply_dot_part(chunk * CHUNK, min(chunk * CHUNK + CHUNK, n), bands, offsets, hermitian, p, q, total)
    return in_order(partial)


@part
def _combine_part(low, high, bands, offsets, hermitian, x, b, r, total):
    bands, offsets, x, b, r, total = borrowed(bands), borrowed(offsets), borrowed(x), borrowed(b), borrowed(r), borrowed(total)
    for first in range(low, high, BLOCK):
        last = min(first + BLOCK, high)
        _rows(first, last, bands, offsets, hermitian, x, total)
        out = r[first:last]
        if len(b):
            own = b[first:last]
            for i in range(last - first):
                out[i] = own[i] - total[i]
        else:
            for i in range(last - first):
                out[i] = total[i]


@twins
def _combine(n, bands, offsets, hermitian, x, b, r):
    """r = b - A x, or A x if b is empty."""
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        total = _room(x)
        _combine_part(chunk * CHUNK, min(chunk * CHUNK + CHUNK, n), bands, offsets, hermitian, x, b, r, total)


@part
def _add_block(out, values, conjugate, source):
    for i in range(len(values)):
        value = np.conj(values[i]) if conjugate else values[i]
        for c in range(out.shape[1]):
            out[i, c] += value * source[i, c]


@twins
def _product_block(n, bands, offsets, hermitian, x, y):
    """y = A x for the columns of x (n, k), which are read once for each band."""
    columns = len(x)
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        for low in range(chunk * CHUNK, min(chunk * CHUNK + CHUNK, n), BLOCK):
            high = min(low + BLOCK, n)
            y[low:high] = 0
            for d in range(len(offsets)):
                o = offsets[d]
                start, stop = max(low, -o), min(high, columns - o)
                if stop > start:
                    _add_block(y[start:stop], bands[d, start:stop], False, x[start + o : stop + o])
                start = max(low, o)
                if hermitian and o > 0 and high > start:
                    _add_block(y[start:high], bands[d, start - o : high - o], True, x[start - o : high - o])


def places(A: Any) -> tuple[Any, ...]:
    """What the kernels take of a DIA matrix."""
    return A.bands, np.array(A.offsets, np.int64), A.hermitian


def apply_dot(A: Any, p: np.ndarray, q: np.ndarray) -> float:
    """q = A p and Re(p^H q)."""
    return float(_apply_dot(len(p), *places(A), p, q))


def residual(A: Any, b: np.ndarray, x: np.ndarray, r: np.ndarray) -> None:
    """r = b - A x, summed in double precision."""
    _combine(len(b), *places(A), x, b, r)


def product(A: Any, x: Any) -> np.ndarray:
    """A x for x (n,) or (n, k)."""
    x = np.ascontiguousarray(x)
    if x.shape[0] != A.shape[1]:
        raise ValueError(f"A {A.shape} cannot multiply an array of shape {x.shape}")
    y = np.empty((A.shape[0], *x.shape[1:]), np.result_type(A.dtype, x.dtype))
    if x.dtype.kind not in "fc":
        x = x.astype(y.dtype)
    if x.ndim == 1:
        _combine(len(y), *places(A), x, x[:0], y)
    else:
        _product_block(len(y), *places(A), x, y)
    return y


@part
def _fill(low, high, indptr, indices, values, offsets, bands, seen):
    """Put the entries of these rows, sorted by column, in their bands."""
    indptr, indices, values = borrowed(indptr), borrowed(indices), borrowed(values)
    offsets, bands = borrowed(offsets), borrowed(bands)
    for i in range(low, high):
        d = 0
        for k in range(indptr[i], indptr[i + 1]):
            o = np.int64(indices[k]) - i
            seen[ABOVE] += o > 0
            while d < len(offsets) and offsets[d] < o:
                d += 1
            if d < len(offsets) and offsets[d] == o:
                bands[d, i] = values[k]
                seen[ROUNDED] += bands[d, i] != values[k]
            elif o >= offsets[0]:
                seen[MISSING] += 1
                seen[WITHOUT] = o


@twins
def fill(n, indptr, indices, values, offsets, bands):
    """Bands of a CSR matrix at these offsets; those before the first are left out. By chunk: entries above the diagonal, entries
    whose offset is not among these, the last such offset, entries that the bands' precision has rounded (NaN is one)."""
    chunks = (n + CHUNK - 1) // CHUNK
    seen = np.zeros((chunks, 4), np.int64)
    for chunk in prange(chunks):
        low, high = chunk * CHUNK, min(chunk * CHUNK + CHUNK, n)
        bands[:, low:high] = 0
        _fill(low, high, indptr, indices, values, offsets, bands, seen[chunk])
    return seen


@part
def _mirrored(low, high, indptr, indices, values, offsets, bands):
    """How many entries below the diagonal of these rows are the conjugates of those above it, bit for bit; -1 if one is not."""
    found = 0
    for i in range(low, high):
        d = len(offsets) - 1
        for k in range(indptr[i], indptr[i + 1]):
            o = i - np.int64(indices[k])
            if o <= 0:
                break
            while d > 0 and offsets[d] > o:
                d -= 1
            if offsets[d] != o or np.conj(bands[d, i - o]) != values[k]:
                return -1
            found += 1
    return found


@twins
def mirrored(n, indptr, indices, values, offsets, bands):
    """Entries below the diagonal that mirror the bands above it; -1 if one does not."""
    chunks = (n + CHUNK - 1) // CHUNK
    found = np.zeros(chunks, np.int64)
    for chunk in prange(chunks):
        found[chunk] = _mirrored(chunk * CHUNK, min(chunk * CHUNK + CHUNK, n), indptr, indices, values, offsets, bands)
    return -1 if found.min() < 0 else found.sum()
