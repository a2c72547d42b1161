"""Products with a matrix in sorted slices (SELL-C-sigma), and the making of the slices.

Eight rows of like length are summed side by side: eight chains of additions instead of one, and one branch for eight rows.
Measured on two threads, 2 10^6 rows of linear triangles and 10^6 of tetrahedra: with 16-bit columns 0.85 and 0.93 of the time of
CSR, 0.7 and 0.77 where single precision holds the entries too; the making costs 15 products.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .borrow import borrowed
from .compiler import njit
from .threads import CHUNK, IN_SEQUENCE, in_order, part, twins

LANES = 8  # C: rows of a slice
WINDOW = 64  # sigma: rows that are sorted by length among themselves; divides BLOCK and CHUNK
BLOCK = 2_048  # rows whose sums stay in the innermost cache
SPAN, SHORTEST = range(2)  # columns of what `slices` has seen


@njit(**IN_SEQUENCE)
def _sums(low, high, values, columns, starts, bases, x, total):
    """total = the sums of lanes low..high; low and the lanes of total are whole slices."""
    one, two, three, four = np.uintp(1), np.uintp(2), np.uintp(3), np.uintp(4)
    five, six, seven, eight = np.uintp(5), np.uintp(6), np.uintp(7), np.uintp(8)
    zero = total.dtype.type(0)
    for s in range(low // LANES, (high + LANES - 1) // LANES):
        a = b = c = d = e = f = g = h = zero
        source = x[np.uintp(bases[s]) :]
        k, end = np.uintp(starts[s]), np.uintp(starts[s + 1])
        while k < end:
            a += values[k] * source[np.uintp(columns[k])]
            b += values[k + one] * source[np.uintp(columns[k + one])]
            c += values[k + two] * source[np.uintp(columns[k + two])]
            d += values[k + three] * source[np.uintp(columns[k + three])]
            e += values[k + four] * source[np.uintp(columns[k + four])]
            f += values[k + five] * source[np.uintp(columns[k + five])]
            g += values[k + six] * source[np.uintp(columns[k + six])]
            h += values[k + seven] * source[np.uintp(columns[k + seven])]
            k += eight
        at = s * LANES - low
        total[at], total[at + 1], total[at + 2], total[at + 3] = a, b, c, d
        total[at + 4], total[at + 5], total[at + 6], total[at + 7] = e, f, g, h


@part
def _apply_dot_part(low, high, values, columns, starts, bases, places, p, q, total):
    values, columns, starts, bases = borrowed(values), borrowed(columns), borrowed(starts), borrowed(bases)
    places, p, q, total = borrowed(places), borrowed(p), borrowed(q), borrowed(total)
    dot = 0.0
    for first in range(low, high, BLOCK):
        last = min(first + BLOCK, high)
        _sums(first, last, values, columns, starts, bases, p, total)
        for j in range(first, last):
            i = np.uintp(j - j % WINDOW + places[j])
            q[i] = total[j - first]
            dot += (np.conj(p[i]) * total[j - first]).real
    return dot


@part
def _room(x):
    """A block of sums in double precision, real or complex as x."""
    return np.empty(BLOCK, (x[:1] * np.ones(1)).dtype)


@twins
def _apply_dot(n, values, columns, starts, bases, places, p, q):
    """q = A p and Re(p^H q)."""
    chunks = (n + CHUNK - 1) // CHUNK
    partial = np.zeros(chunks)
    for chunk in prange(chunks):
        low, high = np.int64(chunk) * CHUNK, min(np.int64(chunk) * CHUNK + CHUNK, n)
        partial[chunk] = _apply_dot_part(low, high, values, columns, starts, bases, places, p, q, _room(p))
    return in_order(partial)


@part
def _combine_part(low, high, values, columns, starts, bases, places, x, b, r, total):
    values, columns, starts, bases = borrowed(values), borrowed(columns), borrowed(starts), borrowed(bases)
    places, x, b, r, total = borrowed(places), borrowed(x), borrowed(b), borrowed(r), borrowed(total)
    for first in range(low, high, BLOCK):
        last = min(first + BLOCK, high)
        _sums(first, last, values, columns, starts, bases, x, total)
        for j in range(first, last):
            i = np.uintp(j - j % WINDOW + places[j])
            r[i] = b[i] - total[j - first] if len(b) else total[j - first]


@twins
def _combine(n, values, columns, starts, bases, places, x, b, r):
    """r = b - A x, or A x if b is empty."""
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low, high = np.int64(chunk) * CHUNK, min(np.int64(chunk) * CHUNK + CHUNK, n)
        _combine_part(low, high, values, columns, starts, bases, places, x, b, r, _room(x))


def arrays_of(A: Any) -> tuple[np.ndarray, ...]:
    """What the kernels take of a matrix in slices."""
    return A.stored, A.columns, A.starts, A.bases, A.places


def apply_dot(A: Any, p: np.ndarray, q: np.ndarray) -> float:
    """q = A p and Re(p^H q)."""
    return float(_apply_dot(len(p), *arrays_of(A), p, q))


def residual(A: Any, b: np.ndarray, x: np.ndarray, r: np.ndarray) -> None:
    """r = b - A x, summed in double precision."""
    _combine(len(b), *arrays_of(A), x, b, r)


def product(A: Any, x: np.ndarray) -> np.ndarray:
    """A x for a contiguous x (n,) of A's type."""
    y = np.empty(A.shape[0], x.dtype)
    _combine(len(y), *arrays_of(A), x, x[:0], y)
    return y


@part
def _slices(low, high, indptr, indices, places, widths, bases, seen):
    """Sort the rows of every window of low..high by falling length, in their order where alike; shape the slices."""
    indptr, indices, places, widths = borrowed(indptr), borrowed(indices), borrowed(places), borrowed(widths)
    for first in range(low, high, WINDOW):
        last = min(first + WINDOW, high)
        for i in range(first, last):
            length, j = indptr[i + 1] - indptr[i], i
            while j > first:
                before = first + np.int64(places[j - 1])
                if indptr[before + 1] - indptr[before] >= length:
                    break
                places[j] = places[j - 1]
                j -= 1
            places[j] = i - first
        for lane in range(first, last, LANES):
            s, row = lane // LANES, first + np.int64(places[lane])
            widths[s] = indptr[row + 1] - indptr[row]
            least, most = np.int64(indices[indptr[row]]), np.int64(0)
            for j in range(lane, min(lane + LANES, last)):
                row = first + np.int64(places[j])
                length = np.int64(indptr[row + 1] - indptr[row])
                seen[SHORTEST] = min(seen[SHORTEST], length)
                if length == 0:
                    return
                least = min(least, np.int64(indices[indptr[row]]))
                most = max(most, np.int64(indices[indptr[row + 1] - 1]))
            bases[s] = least
            seen[SPAN] = max(seen[SPAN], most - least)


@twins
def slices(n, indptr, indices, places, widths, bases):
    """The slices of a CSR matrix, columns rising in its rows: place of every lane in its window, width and least column of every
    slice. By chunk: the widest range of columns in a slice, the length of the shortest row (at 0 the rest is not done)."""
    chunks = (n + CHUNK - 1) // CHUNK
    seen = np.zeros((chunks, 2), np.int64)
    for chunk in prange(chunks):
        low, high = np.int64(chunk) * CHUNK, min(np.int64(chunk) * CHUNK + CHUNK, n)
        seen[chunk, SHORTEST] = n
        _slices(low, high, indptr, indices, places, widths, bases, seen[chunk])
    return seen


@part
def _fill(low, high, indptr, indices, values, places, starts, bases, columns, stored):
    indptr, indices, values, places = borrowed(indptr), borrowed(indices), borrowed(values), borrowed(places)
    starts, bases, columns, stored = borrowed(starts), borrowed(bases), borrowed(columns), borrowed(stored)
    rounded = 0
    for s in range(low // LANES, (high + LANES - 1) // LANES):
        base, width = np.int64(bases[s]), np.int64(starts[s + 1] - starts[s]) // LANES
        for lane in range(LANES):
            j, length, first, column = s * LANES + lane, np.int64(0), np.int64(0), np.int64(0)
            if j < high:
                row = j - j % WINDOW + np.int64(places[j])
                first, length = np.int64(indptr[row]), np.int64(indptr[row + 1]) - np.int64(indptr[row])
            for k in range(width):
                at = np.int64(starts[s]) + k * LANES + lane
                if k < length:
                    column = np.int64(indices[first + k]) - base
                    stored[at] = values[first + k]
                    rounded += stored[at] != values[first + k]
                else:
                    stored[at] = 0
                columns[at] = column  # of an empty place: that of the last entry, so that it reads what its row reads
    return rounded


@twins
def fill(n, indptr, indices, values, places, starts, bases, columns, stored):
    """Put the entries into the slices; by chunk: how many the precision of `stored` has rounded (NaN counts)."""
    chunks = (n + CHUNK - 1) // CHUNK
    rounded = np.zeros(chunks, np.int64)
    for chunk in prange(chunks):
        low, high = np.int64(chunk) * CHUNK, min(np.int64(chunk) * CHUNK + CHUNK, n)
        rounded[chunk] = _fill(low, high, indptr, indices, values, places, starts, bases, columns, stored)
    return rounded
