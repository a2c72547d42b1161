"""A level of a tensor grid with any number of half sweeps and interpolation by weights, fused; fields as in grid.py.

Cells go in pairs in every direction. Going down, the cells of one colour in turn solve their rows, red first; what is left of
the residual stands in the cells of the colour that was not the last: the ends, 2 m + (k + j + sweeps) % 2 in row (k, j). Going
up, the coarse correction is added to the ends alone, since the others solve their rows next, and the sweeps are taken back in
reverse. weights[row, :, 1 + m] is what an end takes from its own aggregate and from the next along x, y, z (directions that are
not there left out). P is no more than that: what the other cells take, their first sweep decides.

Both halves of a cycle go once over memory, in place: each sweep one slab behind the one it depends on. A chunk of slabs leaves
out one slab more at either side with every sweep, and what lies between two chunks follows when both are done: every number is
computed once and from the same ones, whatever the chunks. The two ends of the grid are neighbours like any others.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .borrow import borrowed
from .grid import ONE, TWO, ZERO, _first_red, _gather, _relax, _wrap
from .threads import part, twins


@part
def _left(k, f, u, r, tx, ty, tz, inverse, total, sweeps, nz, ny):
    """r = the residual in the ends of slab k."""
    k = k % nz
    for j in range(ny):
        parity = (j + k + sweeps) % 2
        _gather(total, u, tx, ty, tz, k, j, parity, nz, ny)
        row, q = np.uintp(k * ny + j), np.uintp(parity)
        for m in range(np.uintp(len(total))):  # beyond the grid (inverse = 0) total is zero, and so shall r be
            scale = inverse[row, q, m + ONE]
            total[m] += f[row, q, m + ONE] - u[row, q, m + ONE] / scale if scale > 0 else np.float32(0)
        for m in range(np.uintp(len(total))):
            r[row, m + ONE] = total[m]


@part
def _give(sums, r, weights, row, axis, shift):
    """Add what the ends of a row give along one direction; sums[1 + I] is of the aggregate I of a coarse row."""
    row, axis, shift = np.uintp(row), np.uintp(axis), np.uintp(shift)
    for m in range(np.uintp(len(sums) - 2)):
        sums[m + shift] += weights[row, axis, m + ONE] * r[row, m + ONE]


@part
def _restrict(K, r, weights, sums, coarse, sweeps, nz, ny, starts_z, starts_y):
    """Slab K of the coarse right-hand side, from the residuals of its own slabs and of the one at either side."""
    lines, h = len(starts_y) - 1, len(sums) - 2
    for J in range(lines):
        for m in range(len(sums)):
            sums[m] = 0
        for k in range(starts_z[K], starts_z[K + 1]):
            for j in range(starts_y[J], starts_y[J + 1]):
                _give(sums, r, weights, k * ny + j, 0, 1)
                _give(sums, r, weights, k * ny + j, 1, 2 * ((j + k + sweeps) % 2))
            if ny > 1:  # the next row of the aggregate before this one, if it is not a single one, and of the one after
                south, north = (starts_y[J] - 1) % ny, starts_y[J + 1] % ny
                if south % 2:
                    _give(sums, r, weights, k * ny + south, 2, 1)
                if not north % 2:
                    _give(sums, r, weights, k * ny + north, 2, 1)
        if nz > 1:
            below, above = (starts_z[K] - 1) % nz, starts_z[K + 1] % nz
            for j in range(starts_y[J], starts_y[J + 1]):
                if below % 2:
                    _give(sums, r, weights, below * ny + j, weights.shape[1] - 1, 1)
                if not above % 2:
                    _give(sums, r, weights, above * ny + j, weights.shape[1] - 1, 1)
        sums[1] += sums[h + 1]
        sums[h] += sums[0]
        line = np.uintp(K * lines + J)
        for m in range(np.uintp(h // 2)):
            coarse[line, ZERO, m + ONE] = sums[TWO * m + ONE]
            coarse[line, ONE, m + ONE] = sums[TWO * m + TWO]
        if h % 2:
            coarse[line, ZERO, np.uintp(h // 2 + 1)] = sums[h]


@part
def _down_stage(s, k, f, u, r, tx, ty, tz, inverse, total, sweeps, nz, ny):
    """Half sweep s on slab k; after the last of them the residual."""
    if s == 0:
        _first_red(k, f, u, inverse, nz, ny)
    elif s < sweeps:
        _relax(k % nz, s % 2, f, u, u, tx, ty, tz, inverse, total, nz, ny)
    else:
        _left(k, f, u, r, tx, ty, tz, inverse, total, sweeps, nz, ny)


@part
def _down(low, high, f, u, r, tx, ty, tz, inverse, weights, coarse, room, sweeps, nz, ny, starts_z, starts_y, home_z):
    """The stages that a chunk of slabs can do by itself, and the coarse slabs."""
    f, u, r, inverse, weights, coarse = (
        borrowed(f), borrowed(u), borrowed(r), borrowed(inverse), borrowed(weights), borrowed(coarse)
    )  # fmt: skip
    tx, ty, tz = borrowed(tx), borrowed(ty), borrowed(tz)
    total, sums = borrowed(room[0, :-2]), borrowed(room[1])
    first = home_z[low + sweeps] + 1
    for front in range(low, high):
        for s in range(sweeps + 1):
            k = front - s
            if low + s <= k < high - s:
                _down_stage(s, k, f, u, r, tx, ty, tz, inverse, total, sweeps, nz, ny)
        k = front - sweeps  # its residual is there; if it is the first of its aggregate, the one before is complete
        if low + sweeps <= k < high - sweeps and k == starts_z[home_z[k]] and home_z[k] > first:
            _restrict(home_z[k] - 1, r, weights, sums, coarse, sweeps, nz, ny, starts_z, starts_y)


@part
def _down_between(middle, before, after, f, u, r, tx, ty, tz, inverse, weights, coarse, room, sweeps, nz, ny, starts_z, starts_y):
    """What two chunks that meet at slab `middle` left: stages, and the coarse slabs from `before` until `after`."""
    total, sums = room[0, :-2], room[1]
    for s in range(1, sweeps + 1):
        for k in range(middle - s, middle + s):
            _down_stage(s, k, f, u, r, tx, ty, tz, inverse, total, sweeps, nz, ny)
    planes = len(starts_z) - 1
    for K in range(before, after if after > before else after + planes):
        _restrict(K % planes, r, weights, sums, coarse, sweeps, nz, ny, starts_z, starts_y)


@part
def _cut(chunk, chunks, starts_z):
    """The first slab of a chunk: one that begins an aggregate."""
    return starts_z[(len(starts_z) - 1) * chunk // chunks]


@twins
def down(cells, chunks, f, u, r, tx, ty, tz, inverse, weights, coarse, sweeps, nz, ny, starts_z, starts_y, home_z):
    """u = half sweeps for A u = f from zero; coarse = P^T (f - A u). chunks = 0 for a grid of few slabs."""
    for chunk in prange(chunks):
        room, low, high = np.empty((2, u.shape[2]), u.dtype), _cut(chunk, chunks, starts_z), _cut(chunk + 1, chunks, starts_z)
        _down(low, high, f, u, r, tx, ty, tz, inverse, weights, coarse, room, sweeps, nz, ny, starts_z, starts_y, home_z)
    for chunk in prange(chunks):
        room, low = np.empty((2, u.shape[2]), u.dtype), _cut(chunk, chunks, starts_z)
        end = low if chunk > 0 else nz
        _down_between(
            low, home_z[end - sweeps - 1], home_z[low + sweeps] + 1, f, u, r, tx, ty, tz, inverse, weights, coarse, room,
            sweeps, nz, ny, starts_z, starts_y,
        )  # fmt: skip
    if chunks == 0:
        room = np.empty((2, u.shape[2]), u.dtype)
        _down_plain(f, u, r, tx, ty, tz, inverse, weights, coarse, room, sweeps, nz, ny, starts_z, starts_y)


@part
def _down_plain(f, u, r, tx, ty, tz, inverse, weights, coarse, room, sweeps, nz, ny, starts_z, starts_y):
    """One stage after the other."""
    total, sums = room[0, :-2], room[1]
    for s in range(sweeps + 1):
        for k in range(nz):
            _down_stage(s, k, f, u, r, tx, ty, tz, inverse, total, sweeps, nz, ny)
    for K in range(len(starts_z) - 1):
        _restrict(K, r, weights, sums, coarse, sweeps, nz, ny, starts_z, starts_y)


@part
def _take(u, e, weights, row, parity, axis, shift):
    """Add what the ends of a row take along one direction; e[1 + I] is the correction of the aggregate I of a coarse row."""
    row, p, axis, shift = np.uintp(row), np.uintp(parity), np.uintp(axis), np.uintp(shift)
    for m in range(np.uintp(u.shape[2] - 2)):
        u[row, p, m + ONE] += weights[row, axis, m + ONE] * e[m + shift]


@part
def _coarse_row(e, coarse, line):
    """A coarse row in natural order, with the copies around the torus."""
    line, h = np.uintp(line), len(e) - 2
    for m in range(np.uintp(h // 2)):
        e[TWO * m + ONE] = coarse[line, ZERO, m + ONE]
        e[TWO * m + TWO] = coarse[line, ONE, m + ONE]
    if h % 2:
        e[h] = coarse[line, ZERO, np.uintp(h // 2 + 1)]
    e[0], e[h + 1] = e[h], e[1]


@part
def _beyond(place, planes):
    """The aggregate next to the cell at this place, across the face between aggregates."""
    return (place // 2 - 1 + 2 * (place % 2)) % planes


@part
def _correct(k, u, coarse, weights, e, sweeps, nz, ny):
    """Add the coarse correction to the ends of slab k."""
    planes, lines = (nz + 1) // 2, (ny + 1) // 2
    for j in range(ny):
        row, parity, K, J = k * ny + j, (j + k + sweeps) % 2, k // 2, j // 2
        _coarse_row(e, coarse, K * lines + J)
        _take(u, e, weights, row, parity, 0, 1)
        _take(u, e, weights, row, parity, 1, 2 * parity)
        if ny > 1:
            _coarse_row(e, coarse, K * lines + _beyond(j, lines))
            _take(u, e, weights, row, parity, 2, 1)
        if nz > 1:
            _coarse_row(e, coarse, _beyond(k, planes) * lines + J)
            _take(u, e, weights, row, parity, weights.shape[1] - 1, 1)
        _wrap(u, np.uintp(row), np.uintp(parity))


@part
def _up(low, high, f, u, tx, ty, tz, inverse, weights, coarse, room, sweeps, nz, ny):
    """The stages that a chunk of slabs can do by itself."""
    f, u, inverse, weights, coarse = borrowed(f), borrowed(u), borrowed(inverse), borrowed(weights), borrowed(coarse)
    tx, ty, tz = borrowed(tx), borrowed(ty), borrowed(tz)
    total, e = borrowed(room[0, :-2]), borrowed(room[1])
    for front in range(low, high + sweeps):
        if front < high:
            _correct(front, u, coarse, weights, e, sweeps, nz, ny)
        for s in range(1, sweeps + 1):
            k = front - s
            if low + s <= k < high - s:
                _relax(k, (sweeps - s) % 2, f, u, u, tx, ty, tz, inverse, total, nz, ny)


@part
def _up_between(middle, f, u, tx, ty, tz, inverse, total, sweeps, nz, ny):
    for s in range(1, sweeps + 1):
        for k in range(middle - s, middle + s):
            _relax(k % nz, (sweeps - s) % 2, f, u, u, tx, ty, tz, inverse, total, nz, ny)


@part
def _up_plain(f, u, tx, ty, tz, inverse, weights, coarse, room, sweeps, nz, ny):
    total, e = room[0, :-2], room[1]
    for k in range(nz):
        _correct(k, u, coarse, weights, e, sweeps, nz, ny)
    for s in range(1, sweeps + 1):
        for k in range(nz):
            _relax(k, (sweeps - s) % 2, f, u, u, tx, ty, tz, inverse, total, nz, ny)


@twins
def up(cells, chunks, f, u, tx, ty, tz, inverse, weights, coarse, sweeps, nz, ny, starts_z):
    """u += P coarse, then the half sweeps in reverse. chunks = 0 for a grid of few slabs."""
    for chunk in prange(chunks):
        room, low, high = np.empty((2, u.shape[2]), u.dtype), _cut(chunk, chunks, starts_z), _cut(chunk + 1, chunks, starts_z)
        _up(low, high, f, u, tx, ty, tz, inverse, weights, coarse, room, sweeps, nz, ny)
    for chunk in prange(chunks):
        total = np.empty(u.shape[2] - 2, u.dtype)
        _up_between(_cut(chunk, chunks, starts_z), f, u, tx, ty, tz, inverse, total, sweeps, nz, ny)
    if chunks == 0:
        room = np.empty((2, u.shape[2]), u.dtype)
        _up_plain(f, u, tx, ty, tz, inverse, weights, coarse, room, sweeps, nz, ny)
