"""The sweeps of block conjugate gradients over tiles (tall_skinny.py), every one a pass over memory.

Traffic of an iteration for k columns and a matrix by bands: P, R read, P written (turn, which reads the ends of every chunk of
P once more), P, R read, R written, and every second time X read and written (advance): 56 k bytes a row, and the matrix twice;
A P is made twice and never stored, which would cost 32 k bytes more. By rows P is written twice and read four times more: 88 k.
Sums are kept by chunks of CHUNK rows and added in order: the same bits for every number of threads.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .tall_skinny import TILE, add, add_gram, add_squares, room, scaled, scaled_and_squares
from .threads import CHUNK, part, twins
from .tile_product import bands_tile, rows_tile, write_rows

TILES = CHUNK // TILE


@part
def _combine_tile(tile, beta, chosen, d, r, p, new, also):
    """p_j = d r_chosen[j] + P beta_j, of one tile, with the old P as far as beta has rows; d empty stands for ones."""
    own, source, out = d[tile * TILE : min((tile + 1) * TILE, len(d))], r[tile], p[tile]
    for j in range(beta.shape[1]):
        scaled(own, source[chosen[j] * TILE : (chosen[j] + 1) * TILE], 1, new[j * TILE : (j + 1) * TILE])
    add(beta, out, new, r[min(tile + 1, len(p) - 1)], also)
    for i in range(len(new)):
        out[i] = new[i]


@part
def _gram_tile(tile, n, bands, offsets, hermitian, p, q, k, total, ahead):
    """P^T A P of one tile."""
    bands_tile(tile * TILE, n, bands, offsets, hermitian, p, k, q)
    add_gram(p[tile], q, k, total, ahead)


@twins
def turn_bands(n, bands, offsets, hermitian, beta, chosen, d, r, p):
    """p_j = d r_chosen[j] + P beta_j as by `combine`; P^T A P, by chunks.

    A tile is multiplied with A as soon as those it meets there are made, while all are in the cache; at the ends of a chunk,
    whose neighbours another thread may be making, once all are.
    """
    k, chunks = beta.shape[1], (n + CHUNK - 1) // CHUNK
    reach = (offsets[len(offsets) - 1] + TILE - 1) // TILE
    partial = np.zeros((chunks, k, k))
    for chunk in prange(chunks):
        new, q = room(k * TILE), room(k * TILE)
        low, high = chunk * TILES, min(chunk * TILES + TILES, len(p))
        for tile in range(low, high):
            ahead, ready = p[min(tile + 1, len(p) - 1)][: len(beta) * TILE], tile - reach
            inside = ready >= low + reach
            _combine_tile(tile, beta, chosen, d, r, p, new, ahead[: 0 if inside else len(ahead)])
            if inside:
                _gram_tile(ready, n, bands, offsets, hermitian, p, q, k, partial[chunk], ahead)
    for chunk in prange(chunks):
        q = room(k * TILE)
        low, high = chunk * TILES, min(chunk * TILES + TILES, len(p))
        for tile in range(low, high):
            if tile < low + reach or tile >= high - reach:
                ahead = p[min(tile + reach + 1, len(p) - 1)][: k * TILE]
                _gram_tile(tile, n, bands, offsets, hermitian, p, q, k, partial[chunk], ahead)
    return partial


@twins
def gram_rows(n, values, indices, indptr, source, p, k):
    """P^T A P of the first k vectors, by chunks."""
    chunks = (n + CHUNK - 1) // CHUNK
    partial = np.zeros((chunks, k, k))
    for chunk in prange(chunks):
        q, sums = room(k * TILE), room(8)
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(p))):
            rows_tile(tile * TILE, n, values, indices, indptr, source, k, q, sums)
            add_gram(p[tile], q, k, partial[chunk], p[min(tile + 1, len(p) - 1)])
    return partial


@part
def _advance_tile(tile, far, steps, less, minus, p, q, d, x, r, z, inside, gram, squares):
    """x_j += P steps_j + D R less_j, r_j += Q minus_j; R^T D R and r_j^T r_j; of one tile. The next are called meanwhile."""
    w, after, own = minus.shape[1], min(tile + 1, len(p) - 1), d[tile * TILE : min((tile + 1) * TILE, len(d))]
    next_r, ahead = r[after][: w * TILE], p[min(tile + far, len(p) - 1)][: len(minus) * TILE]
    if len(steps):
        add(steps, p[tile], x[tile], x[after][: w * TILE], ahead[:0])
    if len(less):
        if len(d):
            scaled(own, r[tile], w, z)
        add(less, z if len(d) else r[tile], x[tile], next_r, ahead[:0])
    add(minus, q, r[tile], next_r[: 0 if len(less) else w * TILE], ahead[: len(ahead) // 2])
    if len(d):
        scaled_and_squares(own, r[tile], w, z, squares)
    elif not inside:
        add_squares(r[tile], w, squares)
    if inside:
        add_gram(r[tile], z if len(d) else r[tile], w, gram, ahead[len(ahead) // 2 :])


@twins
def advance_bands(n, bands, offsets, hermitian, steps, less, alpha, d, inside, p, x, r):
    """X += P steps + D R less, R -= A P alpha; R^T D R if `inside`, R^T R on the diagonal if that is something else: by chunks.
    d empty stands for ones; where steps or less have no rows, nothing is done with them."""
    lead = offsets[len(offsets) - 1] // TILE + 2
    chunks, (k, w) = (n + CHUNK - 1) // CHUNK, alpha.shape
    gram, squares, minus = np.zeros((chunks, w, w)), np.zeros((chunks, w)), -alpha
    for chunk in prange(chunks):
        q, z = room(k * TILE), room(w * TILE)
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(p))):
            bands_tile(tile * TILE, n, bands, offsets, hermitian, p, k, q)
            _advance_tile(tile, lead, steps, less, minus, p, q, d, x, r, z, inside, gram[chunk], squares[chunk])
    return gram, squares


@twins
def advance_rows(n, values, indices, indptr, source, steps, less, alpha, d, inside, p, x, r):
    """The same for a matrix by rows; source has the rows of P."""
    chunks, (k, w) = (n + CHUNK - 1) // CHUNK, alpha.shape
    gram, squares, minus = np.zeros((chunks, w, w)), np.zeros((chunks, w)), -alpha
    for chunk in prange(chunks):
        q, z, sums = room(k * TILE), room(w * TILE), room(8)
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(p))):
            rows_tile(tile * TILE, n, values, indices, indptr, source, k, q, sums)
            _advance_tile(tile, 1, steps, less, minus, p, q, d, x, r, z, inside, gram[chunk], squares[chunk])
    return gram, squares


@twins
def settle(n, steps, less, d, p, x, r):
    """X += P steps + D R less, as by `advance_bands`."""
    w = steps.shape[1]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        z = room(w * TILE)
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(p))):
            after = min(tile + 1, len(p) - 1)
            add(steps, p[tile], x[tile], x[after], p[after])
            if len(less):
                scaled(d[tile * TILE : min((tile + 1) * TILE, len(d))], r[tile], w, z)
                add(less, z, x[tile], r[after], x[after][:0])


@twins
def combine(n, beta, chosen, d, r, p, rows):
    """p_j = d r_chosen[j] + P beta_j, with the old P as far as beta has rows; d empty stands for ones. `rows` gets the rows of
    P."""
    s = beta.shape[1]
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        new = room(s * TILE)
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(p))):
            _combine_tile(tile, beta, chosen, d, r, p, new, p[min(tile + 1, len(p) - 1)])
            write_rows(tile * TILE, n, new, s, rows)


@twins
def gram_of(n, x, y, k):
    """X^T Y of the first k vectors, by chunks."""
    chunks = (n + CHUNK - 1) // CHUNK
    partial = np.zeros((chunks, k, k))
    for chunk in prange(chunks):
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(x))):
            add_gram(x[tile], y[tile], k, partial[chunk], y[min(tile + 1, len(y) - 1)])
    return partial


@part
def whole(partial):
    """The symmetric matrix of which the chunks hold the upper half, summed first to last."""
    total = np.zeros(partial.shape[1:])
    for chunk in range(len(partial)):
        for i in range(len(total)):
            for j in range(i, len(total)):
                total[i, j] += partial[chunk, i, j]
    for i in range(len(total)):
        for j in range(i):
            total[i, j] = total[j, i]
    return total


@twins
def tiled(n, x, order, tiles):
    """The columns of x (n, k) by tiles: vector j is column order[j]; zeros below."""
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(tiles))):
            out, rows = tiles[tile], min(TILE, n - tile * TILE)
            for j in range(len(order)):
                for i in range(TILE):
                    out[j * TILE + i] = x[tile * TILE + i, order[j]] if i < rows else 0.0


@twins
def untiled(n, tiles, order, x):
    """The columns of x (n, k) from tiles: column order[j] is vector j."""
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        for tile in range(chunk * TILES, min(chunk * TILES + TILES, len(tiles))):
            source, rows = tiles[tile], min(TILE, n - tile * TILE)
            for i in range(rows):
                for j in range(len(order)):
                    x[tile * TILE + i, order[j]] = source[j * TILE + i]


@twins
def reorder(n, order, x):
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
