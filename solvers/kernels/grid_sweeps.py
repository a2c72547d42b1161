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
from .grid import ONE, TWO, ZERO
from .single_lanes import SINGLES, difference, fused, larger, load, product, quotient, spread, store
from .threads import part, twins


@part
def _places(k, j, parity, nz, ny, width):
    """Where, in a flattened field, the cells of one parity in row (k, j) begin, and those of their neighbours.

    Of the cells, of the neighbours in the row before and after, and of the rows next along y and z.
    """
    row, p = k * ny + j, 1 - parity
    here, other = (2 * row + parity) * width + 1, (2 * row + p) * width + parity
    north, south = k * ny + (j + 1) % ny, k * ny + (j - 1) % ny
    above, below = (k + 1) % nz * ny + j, (k - 1) % nz * ny + j
    shift = parity * width + 1
    return here, other, 2 * north * width + shift, 2 * south * width + shift, 2 * above * width + shift, 2 * below * width + shift


@part
def _gather(sums, h, f, u, tx, ty, tz, at, several, nz):
    """sums = f plus, over the faces, coupling times neighbour, for the cells of a row that stand from at[0] on."""
    here, other, north, south, above, below = at
    full = h - h % SINGLES
    for m in range(0, full, SINGLES):
        value = fused(load(tx, other + m), load(u, other + m), load(f, here + m))
        value = fused(load(tx, here + m), load(u, other + m + 1), value)
        if several:
            value = fused(load(ty, here + m), load(u, north + m), value)
            value = fused(load(ty, south + m), load(u, south + m), value)
        if nz > 1:
            value = fused(load(tz, here + m), load(u, above + m), value)
            value = fused(load(tz, below + m), load(u, below + m), value)
        store(sums, m, value)
    for m in range(full, h):
        sums[m] = f[here + m] + tx[other + m] * u[other + m] + tx[here + m] * u[other + m + 1]
        if several:
            sums[m] += ty[here + m] * u[north + m] + ty[south + m] * u[south + m]
        if nz > 1:
            sums[m] += tz[here + m] * u[above + m] + tz[below + m] * u[below + m]


@part
def _relax(k, colour, f, u, tx, ty, tz, inverse, room, nz, ny):
    """The cells of one colour of slab k solve their rows. Fields are flat."""
    k, width = k % nz, len(room)
    h = width - 2
    full = h - h % SINGLES
    for j in range(ny):
        at = _places(k, j, (j + k + colour) % 2, nz, ny, width)
        here = at[0]
        _gather(room, h, f, u, tx, ty, tz, at, ny > 1, nz)
        for m in range(0, full, SINGLES):
            store(u, here + m, product(load(inverse, here + m), load(room, m)))
        for m in range(full, h):
            u[here + m] = inverse[here + m] * room[m]
        u[here - 1], u[here + h] = u[here + h - 1], u[here]


@part
def _left(k, f, u, r, tx, ty, tz, inverse, room, sweeps, nz, ny):
    """r = the residual in the ends of slab k."""
    k, width = k % nz, len(room)
    h, least = width - 2, np.float32(1e-30)
    full = h - h % SINGLES
    for j in range(ny):
        at = _places(k, j, (j + k + sweeps) % 2, nz, ny, width)
        here, there = at[0], (k * ny + j) * width + 1
        _gather(room, h, f, u, tx, ty, tz, at, ny > 1, nz)
        for m in range(0, full, SINGLES):  # beyond the grid, where inverse and u are zero, r shall be
            own = quotient(load(u, here + m), larger(load(inverse, here + m), spread(least)))
            store(r, there + m, difference(load(room, m), own))
        for m in range(full, h):
            r[there + m] = room[m] - u[here + m] / max(inverse[here + m], least)
        r[there - 1], r[there + h] = r[there + h - 1], r[there]


@part
def _give(sums, r, weights, one, first, two, second):
    """sums += weights r for two rows of ends, each by the places where weights and r begin."""
    h = len(sums) - 2
    full = h - h % SINGLES
    for m in range(0, full, SINGLES):
        given = fused(load(weights, one + m), load(r, first + m), load(sums, m + 1))
        store(sums, m + 1, fused(load(weights, two + m), load(r, second + m), given))
    for m in range(full, h):
        sums[m + 1] += weights[one + m] * r[first + m] + weights[two + m] * r[second + m]


@part
def _restrict(K, r, weights, sums, coarse, sweeps, slots, nz, ny, starts_z, starts_y):
    """Slab K of the coarse right-hand side, from the residuals of its own slabs and of the one at either side.

    sums[1 + I] is of the aggregate I of a coarse row. An end whose row is that of another aggregate gives along y or z; a row
    before this aggregate does if it is not a single one.
    """
    lines, h, width = len(starts_y) - 1, len(sums) - 2, len(sums)
    for J in range(lines):
        for m in range(np.uintp(width)):
            sums[m] = 0
        for k in range(starts_z[K], starts_z[K + 1]):
            for j in range(starts_y[J], starts_y[J + 1]):
                row = k * ny + j
                own, beside = row * slots * width + 1, 2 - 2 * ((j + k + sweeps) % 2)  # from the left or from the right
                _give(sums, r, weights, own, row * width + 1, own + width - 1 + beside, row * width + beside)
            if ny > 1:
                rows = (k * ny + (starts_y[J] - 1) % ny, k * ny + starts_y[J + 1] % ny)
                _give_beyond(sums, r, weights, rows, starts_y[J] > 0 or ny % 2 == 0, 2, slots, width)
        if nz > 1:
            for j in range(starts_y[J], starts_y[J + 1]):
                rows = ((starts_z[K] - 1) % nz * ny + j, starts_z[K + 1] % nz * ny + j)
                _give_beyond(sums, r, weights, rows, starts_z[K] > 0 or nz % 2 == 0, slots - 1, slots, width)
        line = np.uintp(K * lines + J)
        for m in range(np.uintp(h // 2)):
            coarse[line, ZERO, m + ONE] = sums[TWO * m + ONE]
            coarse[line, ONE, m + ONE] = sums[TWO * m + TWO]
        if h % 2:
            coarse[line, ZERO, np.uintp(h // 2 + 1)] = sums[h]


@part
def _give_beyond(sums, r, weights, rows, both, slot, slots, width):
    """What the rows before and after an aggregate give to it, the first if it is not a single one (both)."""
    before, after = rows if both else (rows[1], rows[1])
    one, two = (before * slots + slot) * width + 1, (after * slots + slot) * width + 1
    if both:
        _give(sums, r, weights, one, before * width + 1, two, after * width + 1)
    else:
        for m in range(width - 2):
            sums[m + 1] += weights[two + m] * r[after * width + 1 + m]


@part
def _down_stage(s, k, f, u, r, tx, ty, tz, inverse, room, sweeps, nz, ny):
    """Half sweep s on slab k; after the last of them the residual."""
    if s == 0:
        k, width = k % nz, len(room)
        h = width - 2
        full = h - h % SINGLES
        for j in range(ny):
            here = (2 * (k * ny + j) + (k + j) % 2) * width + 1
            for m in range(0, full, SINGLES):
                store(u, here + m, product(load(inverse, here + m), load(f, here + m)))
            for m in range(full, h):
                u[here + m] = inverse[here + m] * f[here + m]
            u[here - 1], u[here + h] = u[here + h - 1], u[here]
    elif s < sweeps:
        _relax(k, s % 2, f, u, tx, ty, tz, inverse, room, nz, ny)
    else:
        _left(k, f, u, r, tx, ty, tz, inverse, room, sweeps, nz, ny)


@part
def _down(low, high, f, u, r, tx, ty, tz, inverse, weights, coarse, sums, sweeps, slots, nz, ny, starts_z, starts_y):
    """The stages that a chunk of slabs can do by itself, and the coarse slabs."""
    f, u, inverse, tx, ty, tz = borrowed(f), borrowed(u), borrowed(inverse), borrowed(tx), borrowed(ty), borrowed(tz)
    r, weights, coarse, sums = borrowed(r), borrowed(weights), borrowed(coarse), borrowed(sums)
    first = (low + sweeps) // 2 + 1
    for front in range(low, high):
        for s in range(sweeps + 1):
            k = front - s
            if low + s <= k < high - s:
                _down_stage(s, k, f, u, r, tx, ty, tz, inverse, sums, sweeps, nz, ny)
        k = front - sweeps  # its residual is there; if it is the first of its aggregate, the aggregate before is complete
        if low + sweeps <= k < high - sweeps and k % 2 == 0 and k // 2 > first:
            _restrict(k // 2 - 1, r, weights, sums, coarse, sweeps, slots, nz, ny, starts_z, starts_y)


@part
def _down_between(
    middle, before, after, f, u, r, tx, ty, tz, inverse, weights, coarse, sums, sweeps, slots, nz, ny, starts_z, starts_y
):  # fmt: skip
    """What two chunks that meet at slab `middle` left: stages, and the coarse slabs from `before` until `after`."""
    f, u, inverse, tx, ty, tz = borrowed(f), borrowed(u), borrowed(inverse), borrowed(tx), borrowed(ty), borrowed(tz)
    r, weights, coarse, sums = borrowed(r), borrowed(weights), borrowed(coarse), borrowed(sums)
    for s in range(1, sweeps + 1):
        for k in range(middle - s, middle + s):
            _down_stage(s, k, f, u, r, tx, ty, tz, inverse, sums, sweeps, nz, ny)
    planes = len(starts_z) - 1
    for K in range(before, after if after > before else after + planes):
        _restrict(K % planes, r, weights, sums, coarse, sweeps, slots, nz, ny, starts_z, starts_y)


@part
def _down_plain(f, u, r, tx, ty, tz, inverse, weights, coarse, sums, sweeps, slots, nz, ny, starts_z, starts_y):
    """One stage after the other."""
    f, u, inverse, tx, ty, tz = borrowed(f), borrowed(u), borrowed(inverse), borrowed(tx), borrowed(ty), borrowed(tz)
    r, weights, coarse, sums = borrowed(r), borrowed(weights), borrowed(coarse), borrowed(sums)
    for s in range(sweeps + 1):
        for k in range(nz):
            _down_stage(s, k, f, u, r, tx, ty, tz, inverse, sums, sweeps, nz, ny)
    for K in range(len(starts_z) - 1):
        _restrict(K, r, weights, sums, coarse, sweeps, slots, nz, ny, starts_z, starts_y)


@part
def _cut(chunk, chunks, starts_z):
    """The first slab of a chunk: one that begins an aggregate."""
    return starts_z[(len(starts_z) - 1) * chunk // chunks]


@twins
def down(cells, chunks, f, u, r, tx, ty, tz, inverse, weights, coarse, sweeps, nz, ny, starts_z, starts_y):
    """u = half sweeps for A u = f from zero; coarse = P^T (f - A u). chunks = 0 for a grid of few slabs."""
    slots, width = weights.shape[1], u.shape[2]
    f1, u1, r1, tx1, ty1, tz1, inverse1, weights1 = (
        f.reshape(-1), u.reshape(-1), r.reshape(-1), tx.reshape(-1), ty.reshape(-1), tz.reshape(-1), inverse.reshape(-1),
        weights.reshape(-1),
    )  # fmt: skip
    for chunk in prange(chunks):
        sums, low, high = np.empty(width, u.dtype), _cut(chunk, chunks, starts_z), _cut(chunk + 1, chunks, starts_z)
        _down(
            low, high, f1, u1, r1, tx1, ty1, tz1, inverse1, weights1, coarse, sums, sweeps, slots, nz, ny, starts_z, starts_y
        )  # fmt: skip
    for chunk in prange(chunks):
        sums, low = np.empty(width, u.dtype), _cut(chunk, chunks, starts_z)
        end = low if chunk > 0 else nz
        _down_between(
            low, (end - sweeps - 1) // 2, (low + sweeps) // 2 + 1, f1, u1, r1, tx1, ty1, tz1, inverse1, weights1, coarse,
            sums, sweeps, slots, nz, ny, starts_z, starts_y,
        )  # fmt: skip
    if chunks == 0:
        sums = np.empty(width, u.dtype)
        _down_plain(f1, u1, r1, tx1, ty1, tz1, inverse1, weights1, coarse, sums, sweeps, slots, nz, ny, starts_z, starts_y)


@part
def _coarse_row(e, coarse, line):
    """A coarse row in natural order, with the copies around the torus; e[1 + I] is the correction of the aggregate I."""
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
def _correct(k, u, coarse, weights, e, sweeps, slots, nz, ny):
    """Add the coarse correction to the ends of slab k. e: room for the coarse rows of a cell, and next to it along y and z."""
    planes, lines, width = (nz + 1) // 2, (ny + 1) // 2, e.shape[1]
    h = width - 2
    full, rows = h - h % SINGLES, e.reshape(-1)
    for j in range(ny):
        row, parity, K, J = k * ny + j, (j + k + sweeps) % 2, k // 2, j // 2
        here, there = (2 * row + parity) * width + 1, row * slots * width + 1
        if j % 2 == 0:
            _coarse_row(e[0], coarse, K * lines + J)
            if nz > 1:
                _coarse_row(e[1], coarse, _beyond(k, planes) * lines + J)
        if ny > 1:
            _coarse_row(e[2], coarse, K * lines + _beyond(j, lines))
        last = there + (slots - 1) * width
        for m in range(0, full, SINGLES):
            taken = fused(load(weights, there + m), load(rows, m + 1), load(u, here + m))
            taken = fused(load(weights, there + width + m), load(rows, m + 2 * parity), taken)
            if nz > 1:
                taken = fused(load(weights, last + m), load(rows, width + m + 1), taken)
            if ny > 1:
                taken = fused(load(weights, there + 2 * width + m), load(rows, 2 * width + m + 1), taken)
            store(u, here + m, taken)
        for m in range(full, h):
            taken = weights[there + m] * rows[m + 1] + weights[there + width + m] * rows[m + 2 * parity]
            if nz > 1:
                taken += weights[last + m] * rows[width + m + 1]
            if ny > 1:
                taken += weights[there + 2 * width + m] * rows[2 * width + m + 1]
            u[here + m] += taken
        u[here - 1], u[here + h] = u[here + h - 1], u[here]


@part
def _up(low, high, f, u, tx, ty, tz, inverse, weights, coarse, e, sweeps, slots, nz, ny):
    """The stages that a chunk of slabs can do by itself."""
    f, u, inverse, tx, ty, tz = borrowed(f), borrowed(u), borrowed(inverse), borrowed(tx), borrowed(ty), borrowed(tz)
    weights, coarse, e = borrowed(weights), borrowed(coarse), borrowed(e)
    for front in range(low, high + sweeps):
        if front < high:
            _correct(front, u, coarse, weights, e, sweeps, slots, nz, ny)
        for s in range(1, sweeps + 1):
            k = front - s
            if low + s <= k < high - s:
                _relax(k, (sweeps - s) % 2, f, u, tx, ty, tz, inverse, e[0], nz, ny)


@part
def _up_between(middle, f, u, tx, ty, tz, inverse, room, sweeps, nz, ny):
    """What two chunks that meet at slab `middle` left."""
    f, u, inverse, tx, ty, tz = borrowed(f), borrowed(u), borrowed(inverse), borrowed(tx), borrowed(ty), borrowed(tz)
    room = borrowed(room)
    for s in range(1, sweeps + 1):
        for k in range(middle - s, middle + s):
            _relax(k, (sweeps - s) % 2, f, u, tx, ty, tz, inverse, room, nz, ny)


@part
def _up_plain(f, u, tx, ty, tz, inverse, weights, coarse, e, sweeps, slots, nz, ny):
    """One stage after the other."""
    f, u, inverse, tx, ty, tz = borrowed(f), borrowed(u), borrowed(inverse), borrowed(tx), borrowed(ty), borrowed(tz)
    weights, coarse, e = borrowed(weights), borrowed(coarse), borrowed(e)
    for k in range(nz):
        _correct(k, u, coarse, weights, e, sweeps, slots, nz, ny)
    for s in range(1, sweeps + 1):
        for k in range(nz):
            _relax(k, (sweeps - s) % 2, f, u, tx, ty, tz, inverse, e[0], nz, ny)


@twins
def up(cells, chunks, f, u, tx, ty, tz, inverse, weights, coarse, sweeps, nz, ny, starts_z):
    """u += P coarse, then the half sweeps in reverse. chunks = 0 for a grid of few slabs."""
    slots, width = weights.shape[1], u.shape[2]
    f1, u1, tx1, ty1, tz1, inverse1, weights1 = (
        f.reshape(-1), u.reshape(-1), tx.reshape(-1), ty.reshape(-1), tz.reshape(-1), inverse.reshape(-1), weights.reshape(-1)
    )  # fmt: skip
    for chunk in prange(chunks):
        e, low, high = np.empty((3, width), u.dtype), _cut(chunk, chunks, starts_z), _cut(chunk + 1, chunks, starts_z)
        _up(low, high, f1, u1, tx1, ty1, tz1, inverse1, weights1, coarse, e, sweeps, slots, nz, ny)
    for chunk in prange(chunks):
        room = np.empty(width, u.dtype)
        _up_between(_cut(chunk, chunks, starts_z), f1, u1, tx1, ty1, tz1, inverse1, room, sweeps, nz, ny)
    if chunks == 0:
        e = np.empty((3, width), u.dtype)
        _up_plain(f1, u1, tx1, ty1, tz1, inverse1, weights1, coarse, e, sweeps, slots, nz, ny)
