"""Blocks of vectors combined with small matrices, tile by tile, for NumPy blocks of float64.

A block of k vectors of n entries is kept by tiles (tiles, k TILE): TILE rows of all vectors side by side, each vector's part
contiguous, filled up with zeros. So a tile is one stream from memory that then stays in the cache, where the products with small
matrices run along contiguous rows, four vectors with four at a time: 53 of 56 Gflop/s of one core (measured, Zen 4), 47 in Gram
matrices. While one tile is computed the next is called from memory: without that all took 1.6 times as long.
"""

from __future__ import annotations

import numpy as np

from .borrow import borrowed, fetch
from .lanes import LANES, fused, load, product, spread, store, summed
from .threads import part

TILE = 128  # rows; of 16 vectors, half of the innermost cache


@part
def room(size):
    """An array of its own cache lines: loads that straddle two take twice as long."""
    room = np.empty(size + 8)
    first = (64 - room.ctypes.data % 64) // 8 % 8
    return room[first : first + size]


@part
def call(ahead, block, blocks):
    """Call part `block` of `blocks` of an array into the cache, while something else is computed."""
    lines = (len(ahead) + 7) // 8
    for line in range(lines * block // blocks, lines * (block + 1) // blocks):
        fetch(ahead, 8 * line)


@part
def add(c, x, y, ahead, also):
    """y_j += sum over k of c[k, j] x_k, for the rows of a tile; x and y are flat. `ahead` and `also` are called into the
    cache."""
    c, x, y, ahead, also = borrowed(c), borrowed(x), borrowed(y), borrowed(ahead), borrowed(also)
    K, J = c.shape
    block, blocks = 0, max(1, ((J + 3) // 4) * ((K + 3) // 4))
    K4 = K - K % 4
    for j in range(0, J - 3, 4):
        out = y[j * TILE : (j + 4) * TILE]
        for k in range(0, K4, 4):
            call(ahead, block, blocks)
            call(also, block, blocks)
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
            call(ahead, block, blocks)
            call(also, block, blocks)
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
def _add_corner(left, right, total, a):
    """The part of `add_gram` where four vectors meet themselves: ten products of sixteen."""
    s00 = s01 = s02 = s03 = s11 = s12 = s13 = s22 = s23 = s33 = spread(0.0)
    for i in range(0, TILE, LANES):
        p, q, r, s = load(left, i), load(left, TILE + i), load(left, 2 * TILE + i), load(left, 3 * TILE + i)
        t, u, v, w = load(right, i), load(right, TILE + i), load(right, 2 * TILE + i), load(right, 3 * TILE + i)
        s00, s01, s02, s03 = fused(p, t, s00), fused(p, u, s01), fused(p, v, s02), fused(p, w, s03)
        s11, s12, s13 = fused(q, u, s11), fused(q, v, s12), fused(q, w, s13)
        s22, s23 = fused(r, v, s22), fused(r, w, s23)
        s33 = fused(s, w, s33)
    total[a, a] += summed(s00)
    total[a, a + 1] += summed(s01)
    total[a, a + 2] += summed(s02)
    total[a, a + 3] += summed(s03)
    total[a + 1, a + 1] += summed(s11)
    total[a + 1, a + 2] += summed(s12)
    total[a + 1, a + 3] += summed(s13)
    total[a + 2, a + 2] += summed(s22)
    total[a + 2, a + 3] += summed(s23)
    total[a + 3, a + 3] += summed(s33)


@part
def _add_sixteen(left, right, total, a, b):
    """The part of `add_gram` where four vectors meet four others."""
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = spread(0.0)
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = spread(0.0)
    for i in range(0, TILE, LANES):
        p, q, r, s = load(left, i), load(left, TILE + i), load(left, 2 * TILE + i), load(left, 3 * TILE + i)
        t, u, v, w = load(right, i), load(right, TILE + i), load(right, 2 * TILE + i), load(right, 3 * TILE + i)
        s00, s01, s02, s03 = fused(p, t, s00), fused(p, u, s01), fused(p, v, s02), fused(p, w, s03)
        s10, s11, s12, s13 = fused(q, t, s10), fused(q, u, s11), fused(q, v, s12), fused(q, w, s13)
        s20, s21, s22, s23 = fused(r, t, s20), fused(r, u, s21), fused(r, v, s22), fused(r, w, s23)
        s30, s31, s32, s33 = fused(s, t, s30), fused(s, u, s31), fused(s, v, s32), fused(s, w, s33)
    total[a, b] += summed(s00)
    total[a, b + 1] += summed(s01)
    total[a, b + 2] += summed(s02)
    total[a, b + 3] += summed(s03)
    total[a + 1, b] += summed(s10)
    total[a + 1, b + 1] += summed(s11)
    total[a + 1, b + 2] += summed(s12)
    total[a + 1, b + 3] += summed(s13)
    total[a + 2, b] += summed(s20)
    total[a + 2, b + 1] += summed(s21)
    total[a + 2, b + 2] += summed(s22)
    total[a + 2, b + 3] += summed(s23)
    total[a + 3, b] += summed(s30)
    total[a + 3, b + 1] += summed(s31)
    total[a + 3, b + 2] += summed(s32)
    total[a + 3, b + 3] += summed(s33)


@part
def _dot(x, first, y, second):
    """The product of two vectors of a tile, which begin at these places."""
    a, b = spread(0.0), spread(0.0)
    for i in range(0, TILE, 2 * LANES):
        a = fused(load(x, first + i), load(y, second + i), a)
        b = fused(load(x, first + i + LANES), load(y, second + i + LANES), b)
    return summed(a) + summed(b)


@part
def add_gram(x, y, k, total, ahead):
    """total[i, j] += x_i^T y_j over the rows of a tile, for j >= i and some more: what is symmetric is made so by its reader.

    Lane by lane, not left to the compiler: where it inlines this it takes the terms of a sum in another order, and then one
    thread and two do not give the same bits.
    """
    x, y, total, ahead = borrowed(x), borrowed(y), borrowed(total), borrowed(ahead)
    k4, block = k - k % 4, 0
    blocks = max(1, (k4 // 4) * (k4 // 4 + 1) // 2)
    for a in range(0, k4, 4):
        left = x[a * TILE : (a + 4) * TILE]
        call(ahead, block, blocks)
        block += 1
        _add_corner(left, y[a * TILE : (a + 4) * TILE], total, a)
        for b in range(a + 4, k4, 4):
            call(ahead, block, blocks)
            block += 1
            _add_sixteen(left, y[b * TILE : (b + 4) * TILE], total, a, b)
    for b in range(k4, k):
        for a in range(b + 1):
            total[a, b] += _dot(x, a * TILE, y, b * TILE)


@part
def add_squares(x, k, total):
    """total[j] += x_j^T x_j over the rows of a tile."""
    x, total = borrowed(x), borrowed(total)
    for j in range(k):
        total[j] += _dot(x, j * TILE, x, j * TILE)


@part
def scaled_and_squares(d, x, k, z, total):
    """z_j = d x_j; total[j] += x_j^T x_j, over the rows of a tile."""
    d, x, z, total = borrowed(d), borrowed(x), borrowed(z), borrowed(total)
    for j in range(k):
        a, b = spread(0.0), spread(0.0)
        for i in range(j * TILE, (j + 1) * TILE, 2 * LANES):
            s, t = load(x, i), load(x, i + LANES)
            store(z, i, product(load(d, i - j * TILE), s))
            store(z, i + LANES, product(load(d, i - j * TILE + LANES), t))
            a, b = fused(s, s, a), fused(t, t, b)
        total[j] += summed(a) + summed(b)


@part
def scaled(d, x, k, z):
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
