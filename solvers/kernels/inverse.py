"""Factorised sparse inverses: the rows of G with G A G^H ~ I, each on a pattern of its own, and products with G and G^H.

S A S with S = diag(scale) has ones on its diagonal; row i of G minimises the Kaporin number psi = g S A S g^H over the rows g
that are 1 in column i and zero outside a pattern P of earlier columns: g_P = -conj(C^-H w) with C C^H = (S A S)_PP and
C w = (S A S)_Pi, and psi = 1 - |w|^2. C and w grow by one row when P grows by one column, so a pattern can be grown cheaply.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .borrow import borrowed
from .threads import CHUNK, in_order, part, twins

PIECES = 64  # of the rows, each with scratch memory of its own; many, because rows near the end of A may cost more


@part
def _reach(i, power, indptr, indices, values, scale, drop, seen, queue):
    """The columns that row i reaches in `power` steps over the couplings above `drop`, i first, in queue; their number."""
    queue[0], seen[i] = i, i + 1
    first, last = 0, 1
    for _ in range(power):
        end = last
        for q in range(first, end):
            row = queue[q]
            for k in range(indptr[row], indptr[row + 1]):
                j = indices[k]
                if seen[j] != i + 1 and abs(values[k]) * scale[row] * scale[j] > drop:
                    seen[j], queue[last] = i + 1, j
                    last += 1
        first = end
    return last


@part
def _count(low, high, power, indptr, indices, values, scale, drop, seen, queue, counts):
    indptr, indices, values, scale = borrowed(indptr), borrowed(indices), borrowed(values), borrowed(scale)
    seen, queue, counts = borrowed(seen), borrowed(queue), borrowed(counts)
    for i in range(low, high):
        found = 0
        for q in range(_reach(i, power, indptr, indices, values, scale, drop, seen, queue)):
            found += queue[q] < i
        counts[i] = found


@twins
def count(n, power, indptr, indices, values, scale, drop, counts):
    """counts[i] = entries of row i in the strict lower triangle of A^power, its couplings up to `drop` left out."""
    for piece in prange(PIECES):
        low, high = n * np.int64(piece) // PIECES, n * (np.int64(piece) + 1) // PIECES
        seen, queue = np.zeros(n, np.uint32), np.empty(n, np.uint32)
        _count(low, high, power, indptr, indices, values, scale, drop, seen, queue, counts)


@part
def _append(j, i, m, psi, smallest, indptr, indices, values, scale, place, C, w):
    """Column j joins the m columns of the pattern: row m of C and of w. Returns the new psi, -1 if a pivot is too small."""
    for t in range(m):
        C[m, t] = 0
    w[m] = 0
    for k in range(indptr[j], indptr[j + 1]):
        column = indices[k]
        if place[column] > 0:
            C[m, place[column] - 1] = values[k] * scale[j] * scale[column]
        elif column == i:
            w[m] = values[k] * scale[j] * scale[column]
    pivot = 1.0
    for t in range(m):
        entry = C[m, t]
        for s in range(t):
            entry -= C[m, s] * np.conj(C[t, s])
        entry /= C[t, t].real
        C[m, t] = entry
        pivot -= (entry * np.conj(entry)).real
        w[m] -= entry * w[t]
    if not pivot > smallest:
        return -1.0
    C[m, m] = np.sqrt(pivot)
    w[m] /= C[m, m].real
    psi -= (w[m] * np.conj(w[m])).real
    place[j] = m + 1
    return psi if psi > smallest else -1.0


@part
def _back(m, C, w, g):
    """g = -conj(C^-H w)."""
    for t in range(m - 1, -1, -1):
        entry = -np.conj(w[t])
        for s in range(t + 1, m):
            entry -= C[s, t] * g[s]
        g[t] = entry / C[t, t].real


@part
def _slopes(i, m, indptr, indices, values, scale, place, columns, g, found, slopes):
    """g S A S in the columns before i outside the pattern, half the derivatives of psi; their number."""
    number = 0
    for t in range(m + 1):
        # One in the type of the entries; g[0] times 0 would be NaN where nothing has been written there yet.
        row, weight = (columns[t], g[t]) if t < m else (np.uint32(i), values[0] * 0 + 1)
        for k in range(indptr[row], indptr[row + 1]):
            column = indices[k]
            if column >= i or place[column] > 0:
                continue
            if place[column] == 0:
                found[number], slopes[number] = column, 0
                number += 1
                place[column] = -number
            slopes[-place[column] - 1] += weight * values[k] * scale[row] * scale[column]
    for t in range(number):
        place[found[t]] = 0
    return number


@part
def _store(i, m, psi, scale, place, columns, g, entries):
    """Row i of G in columns and entries, columns rising, its diagonal last; the marks in place are taken back."""
    for t in range(m):
        column, value = columns[t], g[t]
        place[column] = 0
        s = t
        while s > 0 and columns[s - 1] > column:
            columns[s], entries[s] = columns[s - 1], entries[s - 1]
            s -= 1
        columns[s], entries[s] = column, value * scale[column] / np.sqrt(psi)
    columns[m], entries[m] = i, scale[i] / np.sqrt(psi)


@part
def _steepest(number, slopes):
    best = 0
    for t in range(1, number):
        if abs(slopes[t]) > abs(slopes[best]):
            best = t
    return best


@part
def _row(
    i, power, drop, steps, added, tolerance, smallest, indptr, indices, values, scale, seen, queue, place, C, w, g, slopes,
    columns, entries,
):  # fmt: skip
    """Row i of G; the number of its entries left of the diagonal, -1 if a pivot is not above `smallest`."""
    m, psi = 0, 1.0
    for q in range(_reach(i, power, indptr, indices, values, scale, drop, seen, queue)):
        if queue[q] < i:
            columns[m] = queue[q]
            psi = _append(queue[q], i, m, psi, smallest, indptr, indices, values, scale, place, C, w)
            if psi < 0:
                return -1
            m += 1
    _back(m, C, w, g)
    for _ in range(steps):
        number = _slopes(i, m, indptr, indices, values, scale, place, columns, g, queue, slopes)
        before = m
        for _ in range(min(added, number)):
            best = _steepest(number, slopes)
            if not abs(slopes[best]) ** 2 > tolerance * psi:
                break
            columns[m] = queue[best]
            psi = _append(queue[best], i, m, psi, smallest, indptr, indices, values, scale, place, C, w)
            if psi < 0:
                return -1
            slopes[best] = 0
            m += 1
        if m == before:
            break
        _back(m, C, w, g)
    _store(i, m, psi, scale, place, columns, g, entries)
    return m


@part
def _rows(
    low, high, power, drop, steps, added, tolerance, smallest, indptr, indices, values, scale, seen, queue, place, C, w, g,
    slopes, starts, counts, columns, entries,
):  # fmt: skip
    indptr, indices, values, scale = borrowed(indptr), borrowed(indices), borrowed(values), borrowed(scale)
    seen, queue, place, slopes = borrowed(seen), borrowed(queue), borrowed(place), borrowed(slopes)
    C, w, g = borrowed(C), borrowed(w), borrowed(g)
    columns, entries = borrowed(columns), borrowed(entries)
    for i in range(low, high):
        first, last = starts[i], starts[i + 1]
        m = _row(
            i, power, drop, steps, added, tolerance, smallest, indptr, indices, values, scale, seen, queue, place, C, w, g,
            slopes, columns[first:last], entries[first:last],
        )  # fmt: skip
        counts[i] = m + 1
        if m < 0:
            break


@twins
def rows(
    n, power, drop, steps, added, tolerance, smallest, indptr, indices, values, scale, widest, starts, counts, columns, entries
):  # fmt: skip
    """Row i of G from starts[i] on, counts[i] entries of it; a count of 0 where a pivot was not above `smallest`.

    The pattern is that of `count`; `steps` times it grows by the `added` columns in which psi falls fastest, one only if it alone
    lowers psi by more than `tolerance` of it. `widest`: the most entries of a row.
    """
    for piece in prange(PIECES):
        low, high = n * np.int64(piece) // PIECES, n * (np.int64(piece) + 1) // PIECES
        seen, queue, place = np.zeros(n, np.uint32), np.empty(n, np.uint32), np.zeros(n, np.int32)
        C, w, g = np.empty((widest, widest), values.dtype), np.empty(widest, values.dtype), np.empty(widest, values.dtype)
        slopes = np.empty(n, values.dtype)
        counts[low:high] = 1
        _rows(
            low, high, power, drop, steps, added, tolerance, smallest, indptr, indices, values, scale, seen, queue, place, C, w,
            g, slopes, starts, counts, columns, entries,
        )  # fmt: skip


@twins
def squeeze(n, starts, columns, entries, indptr, indices, values):
    """The first entries of every row, as many as indptr has room for."""
    for i in prange(n):
        shift = starts[i] - np.int64(indptr[i])
        for k in range(indptr[i], indptr[i + 1]):
            indices[k], values[k] = columns[np.int64(k) + shift], entries[np.int64(k) + shift]


@part
def _product_part(low, high, values, indices, indptr, x, y):
    values, indices, indptr, x, y = borrowed(values), borrowed(indices), borrowed(indptr), borrowed(x), borrowed(y)
    total = 0.0
    for i in range(low, high):
        entry = y[i] * 0
        for k in range(indptr[i], indptr[i + 1]):
            entry += values[k] * x[indices[k]]
        y[i] = entry
        total += (entry * np.conj(entry)).real
    return total


@twins
def product(rows, values, indices, indptr, x, y):
    """y = G x; returns ||y||^2."""
    chunks = (rows + CHUNK - 1) // CHUNK
    partial = np.zeros(chunks)
    for chunk in prange(chunks):
        low = np.int64(chunk) * CHUNK
        partial[chunk] = _product_part(low, min(low + CHUNK, rows), values, indices, indptr, x, y)
    return in_order(partial)


@part
def _block_part(low, high, values, indices, indptr, x, y):
    values, indices, indptr, x, y = borrowed(values), borrowed(indices), borrowed(indptr), borrowed(x), borrowed(y)
    for i in range(low, high):
        for c in range(x.shape[1]):
            y[i, c] = 0
        for k in range(indptr[i], indptr[i + 1]):
            j, entry = indices[k], values[k]
            for c in range(x.shape[1]):
                y[i, c] += entry * x[j, c]


@twins
def block_product(rows, values, indices, indptr, x, y):
    """y = G x for x (n, k)."""
    for chunk in prange((rows + CHUNK - 1) // CHUNK):
        low = np.int64(chunk) * CHUNK
        _block_part(low, min(low + CHUNK, rows), values, indices, indptr, x, y)
