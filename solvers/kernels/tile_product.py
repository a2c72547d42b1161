"""The product of a matrix with a block of vectors, one tile of rows at a time: by bands, or by rows."""

from __future__ import annotations

import numpy as np

from .borrow import borrowed
from .lanes import LANES, earlier, fused, later, load, product, store
from .tall_skinny import TILE
from .threads import part


@part
def _add_band(values, x, y, start, length, first, k):
    """y_j[start + i] += values[i] x_j[first + i] for the first k vectors of two tiles."""
    values, x, y = borrowed(values), borrowed(x), borrowed(y)
    k4 = k - k % 4
    for j in range(0, k4, 4):
        out, source = y[j * TILE + start : (j + 3) * TILE + start + length], x[j * TILE + first : (j + 3) * TILE + first + length]
        for i in range(length):
            v = values[i]
            out[i] += v * source[i]
            out[TILE + i] += v * source[TILE + i]
            out[2 * TILE + i] += v * source[2 * TILE + i]
            out[3 * TILE + i] += v * source[3 * TILE + i]
    for j in range(k4, k):
        out, source = y[j * TILE + start : j * TILE + start + length], x[j * TILE + first : j * TILE + first + length]
        for i in range(length):
            out[i] += values[i] * source[i]


@part
def _add_shifted(band, first, shift, low, n, p, k, q):
    """q_j[i] += band[low + i + first] p_j[low + i + shift] for the rows of the tile at `low` where both are in the matrix."""
    start, stop = max(low, -shift), min(low + TILE, n, n - shift)
    while start < stop:
        row = start + shift
        tile = row // TILE
        length = min(stop - start, (tile + 1) * TILE - row)
        values = band[start + first : start + first + length]
        _add_band(values, p[tile], q, start - low, length, row - tile * TILE, k)
        start += length


@part
def _three_bands(own, after, before, x, x_after, x_before, first, second, third, start, length, k, q):
    """q_j[start + i] = own[i] x_j[first + i] + after[i] x_after_j[second + i] + before[i] x_before_j[third + i]."""
    k4 = k - k % 4
    for j in range(0, k4, 4):
        a, b, c, d = j * TILE + start, j * TILE + first, j * TILE + second, j * TILE + third
        out, s, t, u = q[a : a + 3 * TILE + length], x[b:], x_after[c:], x_before[d:]
        for i in range(length):
            v, w, z = own[i], after[i], before[i]
            out[i] = v * s[i] + w * t[i] + z * u[i]
            out[TILE + i] = v * s[TILE + i] + w * t[TILE + i] + z * u[TILE + i]
            out[2 * TILE + i] = v * s[2 * TILE + i] + w * t[2 * TILE + i] + z * u[2 * TILE + i]
            out[3 * TILE + i] = v * s[3 * TILE + i] + w * t[3 * TILE + i] + z * u[3 * TILE + i]
    for j in range(k4, k):
        a, b, c, d = j * TILE + start, j * TILE + first, j * TILE + second, j * TILE + third
        out, s, t, u = q[a : a + length], x[b:], x_after[c:], x_before[d:]
        for i in range(length):
            out[i] = own[i] * s[i] + after[i] * t[i] + before[i] * u[i]


@part
def _two_bands(after, before, x_after, x_before, second, third, start, length, k, q):
    """q_j[start + i] += after[i] x_after_j[second + i] + before[i] x_before_j[third + i]."""
    k4 = k - k % 4
    for j in range(0, k4, 4):
        a, c, d = j * TILE + start, j * TILE + second, j * TILE + third
        out, t, u = q[a : a + 3 * TILE + length], x_after[c:], x_before[d:]
        for i in range(length):
            w, z = after[i], before[i]
            out[i] += w * t[i] + z * u[i]
            out[TILE + i] += w * t[TILE + i] + z * u[TILE + i]
            out[2 * TILE + i] += w * t[2 * TILE + i] + z * u[2 * TILE + i]
            out[3 * TILE + i] += w * t[3 * TILE + i] + z * u[3 * TILE + i]
    for j in range(k4, k):
        a, c, d = j * TILE + start, j * TILE + second, j * TILE + third
        out, t, u = q[a : a + length], x_after[c:], x_before[d:]
        for i in range(length):
            out[i] += after[i] * t[i] + before[i] * u[i]


@part
def _of_five(own, after, before, above, below, x_before, x, x_after, x_above, x_below):
    """A row's five products for eight rows: x, its neighbours in memory, and those a line of the grid away."""
    total = fused(below, x_below, fused(above, x_above, product(own, x)))
    return fused(before, earlier(x_before, x), fused(after, later(x, x_after), total))


@part
def _four_columns(low, bands, far, p, at, q, j):
    """q_j .. q_j+3 of `_five_bands`; at is where vector j of the tile is in p. All that is used twice stays in registers."""
    n, stride = bands.shape[1], p.shape[1]
    before, x = at - stride + TILE - LANES, at
    a, b, c, d = load(p, before), load(p, before + TILE), load(p, before + 2 * TILE), load(p, before + 3 * TILE)
    e, f, g, h = load(p, x), load(p, x + TILE), load(p, x + 2 * TILE), load(p, x + 3 * TILE)
    for i in range(0, TILE, LANES):
        row = low + i
        own, after, behind = load(bands, row), load(bands, n + row), load(bands, n + row - 1)
        above, below = load(bands, 2 * n + row), load(bands, 2 * n + row - far)
        front = at + ((row + far) // TILE - low // TILE) * stride + (row + far) % TILE
        back = at + ((row - far) // TILE - low // TILE) * stride + (row - far) % TILE
        x = at + (i + LANES if i + LANES < TILE else stride)
        s, t, u, v = load(p, x), load(p, x + TILE), load(p, x + 2 * TILE), load(p, x + 3 * TILE)
        out = j * TILE + i
        store(q, out, _of_five(own, after, behind, above, below, a, e, s, load(p, front), load(p, back)))
        front, back, out = front + TILE, back + TILE, out + TILE
        store(q, out, _of_five(own, after, behind, above, below, b, f, t, load(p, front), load(p, back)))
        front, back, out = front + TILE, back + TILE, out + TILE
        store(q, out, _of_five(own, after, behind, above, below, c, g, u, load(p, front), load(p, back)))
        front, back, out = front + TILE, back + TILE, out + TILE
        store(q, out, _of_five(own, after, behind, above, below, d, h, v, load(p, front), load(p, back)))
        a, b, c, d = e, f, g, h
        e, f, g, h = s, t, u, v


@part
def _one_column(low, bands, far, p, at, q, j):
    """q_j of `_five_bands`."""
    n, stride = bands.shape[1], p.shape[1]
    a, e = load(p, at - stride + TILE - LANES), load(p, at)
    for i in range(0, TILE, LANES):
        row = low + i
        own, after, behind = load(bands, row), load(bands, n + row), load(bands, n + row - 1)
        above, below = load(bands, 2 * n + row), load(bands, 2 * n + row - far)
        front = at + ((row + far) // TILE - low // TILE) * stride + (row + far) % TILE
        back = at + ((row - far) // TILE - low // TILE) * stride + (row - far) % TILE
        s = load(p, at + (i + LANES if i + LANES < TILE else stride))
        store(q, j * TILE + i, _of_five(own, after, behind, above, below, a, e, s, load(p, front), load(p, back)))
        a, e = e, s


@part
def _five_bands(low, bands, far, p, k, q):
    """q = the tile at row `low` of A P as far as the bands 0, +-1 and +-far go, in one pass: 1.7 times as fast as in two, by
    loops that the compiler vectorises (measured). far is a multiple of LANES: no eight rows are in two tiles."""
    at, k4 = low // TILE * p.shape[1], k - k % 4
    for j in range(0, k4, 4):
        _four_columns(low, bands, far, p, at + j * TILE, q, j)
    for j in range(k4, k):
        _one_column(low, bands, far, p, at + j * TILE, q, j)


@part
def _inner_tile(low, bands, offsets, p, k, q):
    """q = the tile at row `low` of A P where A is Hermitian and no band ends: a band and its mirror in one pass."""
    x, first = p[low // TILE], 1
    if len(offsets) > 2 and offsets[1] == 1 and offsets[2] % LANES == 0:
        _five_bands(low, bands, offsets[2], p, k, q)
        first = 3
    for d in range(first, len(offsets)):
        o, i = offsets[d], 0
        while i < TILE:
            front, back = low + i + o, low + i - o
            after, before = front // TILE, back // TILE
            length = min(TILE - i, (after + 1) * TILE - front, (before + 1) * TILE - back)
            own, upper, lower = bands[0, low + i : low + i + length], bands[d, low + i :], bands[d, back:]
            second, third = front - after * TILE, back - before * TILE
            if d == 1:
                _three_bands(own, upper, lower, x, p[after], p[before], i, second, third, i, length, k, q)
            else:
                _two_bands(upper, lower, p[after], p[before], second, third, i, length, k, q)
            i += length


@part
def bands_tile(low, n, bands, offsets, hermitian, p, k, q):
    """q = the tile at row `low` of A P for the first k vectors."""
    bands, offsets, p, q = borrowed(bands), borrowed(offsets), borrowed(p), borrowed(q)
    reach = offsets[len(offsets) - 1]
    if hermitian and len(offsets) > 1 and low >= reach and low + TILE + reach <= n:
        _inner_tile(low, bands, offsets, p, k, q)
        return
    for i in range(k * TILE):
        q[i] = 0.0
    for d in range(len(offsets)):
        o = offsets[d]
        _add_shifted(bands[d], 0, o, low, n, p, k, q)
        if hermitian and o > 0:
            _add_shifted(bands[d], -o, -o, low, n, p, k, q)


@part
def _eight_of_row(low, high, values, indices, source, first, width, sums):
    """sums[0..7] = a row of A times eight columns of the rows of P, from the one at `first` on."""
    a = b = c = d = e = f = g = h = 0.0
    for entry in range(low, high):
        value, at = values[entry], np.uintp(indices[entry]) * np.uintp(width) + np.uintp(first)
        a += value * source[at]
        b += value * source[at + np.uintp(1)]
        c += value * source[at + np.uintp(2)]
        d += value * source[at + np.uintp(3)]
        e += value * source[at + np.uintp(4)]
        f += value * source[at + np.uintp(5)]
        g += value * source[at + np.uintp(6)]
        h += value * source[at + np.uintp(7)]
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7] = a, b, c, d, e, f, g, h


@part
def rows_tile(low, n, values, indices, indptr, source, k, q, sums):
    """q = the tile at row `low` of A P for the first k vectors, whose rows, filled up to `width`, are in source."""
    values, indices, indptr, source = borrowed(values), borrowed(indices), borrowed(indptr), borrowed(source)
    q, sums, width = borrowed(q), borrowed(sums), padded(k)
    for i in range(min(TILE, n - low)):
        for first in range(0, k, 8):
            _eight_of_row(indptr[low + i], indptr[low + i + 1], values, indices, source, first, width, sums)
            for j in range(first, min(first + 8, k)):
                q[j * TILE + i] = sums[j - first]
    for j in range(k):
        for i in range(n - low, TILE):
            q[j * TILE + i] = 0.0


@part
def padded(k):
    """The width of rows of k numbers, whole vectors of the processor."""
    return (k + 7) // 8 * 8


@part
def write_rows(low, n, p, k, rows):
    """The first k vectors of a tile as rows."""
    p, rows, width = borrowed(p), borrowed(rows), padded(k)
    for i in range(min(TILE, n - low)):
        at = (low + i) * width
        for j in range(k):
            rows[at + j] = p[j * TILE + i]
        for j in range(k, width):
            rows[at + j] = 0.0
