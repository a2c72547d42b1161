"""Sweeps over blocks of vectors that are combined with small matrices, for NumPy blocks of float64.

A block of k vectors of n entries is kept by tiles (tiles, k, TILE): TILE rows of all vectors side by side, each vector's part
contiguous, filled up with zeros. So a tile is one stream from memory that then stays in the cache, where the products with small
matrices run along contiguous rows, four vectors with four at a time. Sums are kept by chunks of CHUNK rows and added in order:
the same bits for every number of threads.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange

from .borrow import borrowed, fetch
from .threads import CHUNK, IN_SEQUENCE, part, twins

TILE = 128  # rows; of 16 vectors, half of the innermost cache
TILES = CHUNK // TILE


@part
def _room(size):
    """An array of its own cache lines: loads that straddle two take twice as long."""
    room = np.empty(size + 8)
    first = (64 - room.ctypes.data % 64) // 8 % 8
    return room[first : first + size]


@part
def _fetch(ahead, block, blocks):
    """Call part `block` of `blocks` of an array into the cache, while something else is computed."""
    lines = (len(ahead) + 7) // 8
    for line in range(lines * block // blocks, lines * (block + 1) // blocks):
        fetch(ahead, 8 * line)


@part
def _add(c, x, y, ahead, also):
    """y_j += sum over k of c[k, j] x_k, for the rows of a tile; x and y are flat. `ahead` and `also` are called into the
    cache."""
    c, x, y, ahead, also = borrowed(c), borrowed(x), borrowed(y), borrowed(ahead), borrowed(also)
    K, J = c.shape
    block, blocks = 0, max(1, ((J + 3) // 4) * ((K + 3) // 4))
    K4 = K - K % 4
    for j in range(0, J - 3, 4):
        out = y[j * TILE : (j + 4) * TILE]
        for k in range(0, K4, 4):
            _fetch(ahead, block, blocks)
            _fetch(also, block, blocks)
            block += 1
            source = x[k * TILE : (k + 4) * TILE]
            a0, a1, a2, a3 = c[k, j], c[k, j + 1], c[k, j + 2], c[k, j + 3]
            b0, b1, b2, b3 = c[k + 1, j], c[k + 1, j + 1], c[k + 1, j + 2], c[k + 1, j + 3]
            c0, c1, c2, c3 = c[k + 2, j], c[k + 2, j + 1], c[k + 2, j + 2], c[k + 2, j + 3]
            d0, d1, d2, d3 = c[k + 3, j], c[k + 3, j + 1], c[k + 3, j + 2], c[k + 3, j + 3]
            for i in range(TILE):
                s, t, u, v = source[i], source[TILE + i], source[2 * TILE + i], source[3 * TILE + i]
                out[i] += a0 * s + b0 * t + c0 * u + d0 * v
                out[TILE + i] += a1 * s + b1 * t + c1 * u + d1 * v
                out[2 * TILE + i] += a2 * s + b2 * t + c2 * u + d2 * v
                out[3 * TILE + i] += a3 * s + b3 * t + c3 * u + d3 * v
        for k in range(K4, K):
            source = x[k * TILE : (k + 1) * TILE]
            a0, a1, a2, a3 = c[k, j], c[k, j + 1], c[k, j + 2], c[k, j + 3]
            for i in range(TILE):
                s = source[i]
                out[i] += a0 * s
                out[TILE + i] += a1 * s
                out[2 * TILE + i] += a2 * s
                out[3 * TILE + i] += a3 * s
    for j in range(J - J % 4, J):
        out = y[j * TILE : (j + 1) * TILE]
        for k in range(0, K4, 4):
            _fetch(ahead, block, blocks)
            _fetch(also, block, blocks)
            block += 1
            source = x[k * TILE : (k + 4) * TILE]
            a0, b0, c0, d0 = c[k, j], c[k + 1, j], c[k + 2, j], c[k + 3, j]
            for i in range(TILE):
                out[i] += a0 * source[i] + b0 * source[TILE + i] + c0 * source[2 * TILE + i] + d0 * source[3 * TILE + i]
        for k in range(K4, K):
            source = x[k * TILE : (k + 1) * TILE]
            a0 = c[k, j]
            for i in range(TILE):
                out[i] += a0 * source[i]


@part
def _gram(x, y, k, total, ahead):
    """total[i, j] += x_i^T y_j over the rows of a tile, for j >= i and some more: what is symmetric is made so by its reader."""
    x, y, total, ahead = borrowed(x), borrowed(y), borrowed(total), borrowed(ahead)
    k4, block = k - k % 4, 0
    blocks = max(1, (k4 // 4) * (k4 // 4 + 1) // 2)
    for a in range(0, k4, 4):
        left = x[a * TILE : (a + 4) * TILE]
        for b in range(a, k4, 4):
            _fetch(ahead, block, blocks)
            block += 1
            right = y[b * TILE : (b + 4) * TILE]
            s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
            s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
            for i in range(TILE):
                p, q, r, s = left[i], left[TILE + i], left[2 * TILE + i], left[3 * TILE + i]
                t, u, v, w = right[i], right[TILE + i], right[2 * TILE + i], right[3 * TILE + i]
                s00 += p * t
                s01 += p * u
                s02 += p * v
                s03 += p * w
                s10 += q * t
                s11 += q * u
                s12 += q * v
                s13 += q * w
                s20 += r * t
                s21 += r * u
                s22 += r * v
                s23 += r * w
                s30 += s * t
                s31 += s * u
                s32 += s * v
                s33 += s * w
            total[a, b] += s00
            total[a, b + 1] += s01
            total[a, b + 2] += s02
            total[a, b + 3] += s03
            total[a + 1, b] += s10
            total[a + 1, b + 1] += s11
            total[a + 1, b + 2] += s12
            total[a + 1, b + 3] += s13
            total[a + 2, b] += s20
            total[a + 2, b + 1] += s21
            total[a + 2, b + 2] += s22
            total[a + 2, b + 3] += s23
            total[a + 3, b] += s30
            total[a + 3, b + 1] += s31
            total[a + 3, b + 2] += s32
            total[a + 3, b + 3] += s33
    for b in range(k4, k):
        right = y[b * TILE : (b + 1) * TILE]
        for a in range(b + 1):
            left = x[a * TILE : (a + 1) * TILE]
            sum_ = 0.0
            for i in range(TILE):
                sum_ += left[i] * right[i]
            total[a, b] += sum_


@part
def _squares(x, k, total):
    """total[j] += x_j^T x_j over the rows of a tile."""
    x, total = borrowed(x), borrowed(total)
    for j in range(k):
        own = x[j * TILE : (j + 1) * TILE]
        sum_ = 0.0
        for i in range(TILE):
            sum_ += own[i] * own[i]
        total[j] += sum_


@part
def _scaled(d, x, k, z):
    """z_j = d x_j over the rows of a tile, or x_j if d is empty."""
    d, x, z = borrowed(d), borrowed(x), borrowed(z)
    for j in range(k):
        own, out = x[j * TILE : (j + 1) * TILE], z[j * TILE : (j + 1) * TILE]
        if len(d):
            for i in range(TILE):
                out[i] = d[i] * own[i]
        else:
            for i in range(TILE):
                out[i] = own[i]


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
def _inner_tile(low, bands, offsets, p, k, q):
    """q = the tile at row `low` of A P where A is Hermitian and no band ends: a band and its mirror in one pass."""
    x = p[low // TILE]
    for d in range(1, len(offsets)):
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
def _bands_tile(low, n, bands, offsets, hermitian, p, k, q):
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


@numba.njit(**IN_SEQUENCE)
def _rows_tile(low, n, values, indices, indptr, p, k, q):
    """q = the tile at row `low` of A P for the first k vectors."""
    values, indices, indptr, p, q = borrowed(values), borrowed(indices), borrowed(indptr), borrowed(p), borrowed(q)
    for i in range(k * TILE):
        q[i] = 0.0
    for i in range(min(TILE, n - low)):
        for entry in range(indptr[low + i], indptr[low + i + 1]):
            value, column = values[entry], np.int64(indices[entry])
            source, at = p[column // TILE], column % TILE
            for j in range(k):
                q[j * TILE + i] += value * source[j * TILE + at]


@twins
def _gram_bands(n, bands, offsets, hermitian, p, k):
    """P^T A P of the first k vectors, by chunks."""
    lead = offsets[len(offsets) - 1] // TILE + 2
    chunks = (n + CHUNK - 1) // CHUNK
    partial = np.zeros((chunks, k, k))
    for chunk in prange(chunks):
        q = _room(k * TILE)
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(p))):
            _bands_tile(tile * TILE, n, bands, offsets, hermitian, p, k, q)
            _gram(p[tile], q, k, partial[chunk], p[min(tile + lead, len(p) - 1)][: k * TILE])
    return partial


@twins
def _gram_rows(n, values, indices, indptr, p, k):
    """P^T A P of the first k vectors, by chunks."""
    chunks = (n + CHUNK - 1) // CHUNK
    partial = np.zeros((chunks, k, k))
    for chunk in prange(chunks):
        q = _room(k * TILE)
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(p))):
            _rows_tile(tile * TILE, n, values, indices, indptr, p, k, q)
            _gram(p[tile], q, k, partial[chunk], p[min(tile + 1, len(p) - 1)])
    return partial


@part
def _advance_tile(tile, far, alpha, minus, p, q, d, x, r, z, w, gram, squares):
    """x_j += P alpha_j, r_j -= Q alpha_j; R^T D R and r_j^T r_j; of one tile. The next are called meanwhile."""
    after = min(tile + 1, len(p) - 1)
    half, ahead = w * TILE // 2, p[min(tile + far, len(p) - 1)][: alpha.shape[0] * TILE]
    _add(alpha, p[tile], x[tile], x[after][: 2 * half], r[after][:half])
    _add(minus, q, r[tile], r[after][half : 2 * half], ahead[: len(ahead) // 2])
    _squares(r[tile], w, squares)
    if len(z):
        _scaled(d[tile * TILE : min((tile + 1) * TILE, len(d))], r[tile], w, z)
        _gram(r[tile], z, w, gram, ahead[len(ahead) // 2 :])


@twins
def _advance_bands(n, bands, offsets, hermitian, alpha, d, inside, p, x, r):
    """X += P alpha, R -= A P alpha; R^T D R if `inside`, and R^T R on the diagonal: by chunks."""
    lead = offsets[len(offsets) - 1] // TILE + 2
    chunks, (k, w) = (n + CHUNK - 1) // CHUNK, alpha.shape
    gram, squares, minus = np.zeros((chunks, w, w)), np.zeros((chunks, w)), -alpha
    for chunk in prange(chunks):
        q, z = _room(k * TILE), _room(w * TILE if inside else 0)
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(p))):
            _bands_tile(tile * TILE, n, bands, offsets, hermitian, p, k, q)
            _advance_tile(tile, lead, alpha, minus, p, q, d, x, r, z, w, gram[chunk], squares[chunk])
    return gram, squares


@twins
def _advance_rows(n, values, indices, indptr, alpha, d, inside, p, x, r):
    """X += P alpha, R -= A P alpha; R^T D R if `inside`, and R^T R on the diagonal: by chunks."""
    chunks, (k, w) = (n + CHUNK - 1) // CHUNK, alpha.shape
    gram, squares, minus = np.zeros((chunks, w, w)), np.zeros((chunks, w)), -alpha
    for chunk in prange(chunks):
        q, z = _room(k * TILE), _room(w * TILE if inside else 0)
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(p))):
            _rows_tile(tile * TILE, n, values, indices, indptr, p, k, q)
            _advance_tile(tile, 1, alpha, minus, p, q, d, x, r, z, w, gram[chunk], squares[chunk])
    return gram, squares


@twins
def _combine(n, beta, chosen, d, r, p):
    """p_j = d r_chosen[j] + P beta_j, with the old P as far as beta has rows; d empty stands for ones."""
    s = beta.shape[1]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        new = _room(s * TILE)
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(p))):
            own, source, out = d[tile * TILE : min((tile + 1) * TILE, len(d))], r[tile], p[tile]
            after = min(tile + 1, len(p) - 1)
            for j in range(s):
                _scaled(own, source[chosen[j] * TILE : (chosen[j] + 1) * TILE], 1, new[j * TILE : (j + 1) * TILE])
            _add(beta, out, new, r[after], p[after])
            for i in range(s * TILE):
                out[i] = new[i]


@twins
def _gram_of(n, x, y, k):
    """X^T Y of the first k vectors, by chunks."""
    chunks = (n + CHUNK - 1) // CHUNK
    partial = np.zeros((chunks, k, k))
    for chunk in prange(chunks):
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(x))):
            _gram(x[tile], y[tile], k, partial[chunk], y[min(tile + 1, len(y) - 1)])
    return partial


@twins
def _tiled(n, x, tiles):
    """The columns of x (n, k) by tiles, from the first place on; zeros below."""
    k = x.shape[1]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(tiles))):
            out, rows = tiles[tile], min(TILE, n - tile * TILE)
            for j in range(k):
                for i in range(TILE):
                    out[j * TILE + i] = x[tile * TILE + i, j] if i < rows else 0.0


@twins
def _untiled(n, tiles, order, x):
    """The columns of x (n, k) from tiles: column order[j] is vector j."""
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(tiles))):
            source, rows = tiles[tile], min(TILE, n - tile * TILE)
            for i in range(rows):
                for j in range(len(order)):
                    x[tile * TILE + i, order[j]] = source[j * TILE + i]


@twins
def _reorder(n, order, x):
    """x_j = x_order[j] for every j at once."""
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        new = np.empty(len(order) * TILE)
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(x))):
            own = x[tile]
            for j in range(len(order)):
                for i in range(TILE):
                    new[j * TILE + i] = own[order[j] * TILE + i]
            for i in range(len(order) * TILE):
                own[i] = new[i]
