"""Multigrid on a tensor grid: red-black Gauss-Seidel and piecewise-constant transfer, fused and in single precision.

A level is a torus of nz x ny x nx cells; a wall is a face of coupling zero, so no cell is a special case. Cell (k, j, i) of a
field stands at [k ny + j, i % 2, 1 + i // 2]: in a row the cells of one colour are then contiguous, which is what makes the
sweeps vectorise. Column 0 and the last one are copies of the cells around the torus. tx, ty, tz are the couplings of a cell
to its next along x, y, z (minus the entries of A), inverse is 1 / diagonal. Colours: (i + j + k) % 2 = 0 is red. A
direction that is periodic has an even number of cells.

Both halves of a cycle go once over memory: slab after slab (a row in two dimensions, a plane in three), each sweep one slab
behind the one it depends on. Chunks of slabs are independent: the sweeps of two slabs beyond either end are computed by both
neighbours, with the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .borrow import borrowed
from .threads import in_order, part, twins

# Unsigned indices: numba tests signed ones for being negative, which costs the vector units. No slices in the loops: each
# would count a reference, which all threads write to.
ZERO, ONE, TWO = np.uintp(0), np.uintp(1), np.uintp(2)


@part
def _wrap(field, row, p):
    """The copies around the torus of one parity of a row."""
    last = np.uintp(field.shape[2] - 1)
    field[row, p, ZERO] = field[row, p, last - ONE]
    field[row, p, last] = field[row, p, ONE]


@part
def _add_faces(total, u, t, row, after, before, q):
    """Add the two faces of one direction: that of the row itself and that of the row before."""
    for m in range(np.uintp(len(total))):
        total[m] += t[row, q, m + ONE] * u[after, q, m + ONE] + t[before, q, m + ONE] * u[before, q, m + ONE]


@part
def _gather(total, u, tx, ty, tz, k, j, parity, nz, ny):
    """total = sum over faces of coupling times neighbour, for the cells of one parity in row (k, j).

    A loop a direction, each with few enough arrays for the compiler to prove that they do not overlap.
    """
    here = k * ny + j
    row, p, q = np.uintp(here), np.uintp(1 - parity), np.uintp(parity)
    for m in range(np.uintp(len(total))):
        total[m] = tx[row, p, m + q] * u[row, p, m + q] + tx[row, q, m + ONE] * u[row, p, m + ONE + q]
    if ny > 1:
        north = here + 1 if j + 1 < ny else here + 1 - ny
        south = here - 1 if j > 0 else here - 1 + ny
        _add_faces(total, u, ty, row, np.uintp(north), np.uintp(south), q)
    if nz > 1:
        above = here + ny if k + 1 < nz else here + ny - nz * ny
        below = here - ny if k > 0 else here - ny + nz * ny
        _add_faces(total, u, tz, row, np.uintp(above), np.uintp(below), q)


@part
def _first_red(k, f, u, inverse, nz, ny):
    """Red cells of slab k from u = 0."""
    k = k % nz
    h = np.uintp(u.shape[2] - 2)
    for j in range(ny):
        row, p = np.uintp(k * ny + j), np.uintp((j + k) % 2)
        for m in range(h):
            u[row, p, m + ONE] = inverse[row, p, m + ONE] * f[row, p, m + ONE]
        _wrap(u, row, p)


@part
def _relax(k, colour, f, old, new, tx, ty, tz, inverse, total, nz, ny):
    """The cells of one colour of slab k from their neighbours in `old`, into `new`."""
    k = k % nz
    for j in range(ny):
        parity = (j + k + colour) % 2
        _gather(total, old, tx, ty, tz, k, j, parity, nz, ny)
        row, q = np.uintp(k * ny + j), np.uintp(parity)
        for m in range(np.uintp(len(total))):
            new[row, q, m + ONE] = inverse[row, q, m + ONE] * (f[row, q, m + ONE] + total[m])
        _wrap(new, row, q)


@part
def _restrict(k, u, tx, ty, tz, total, coarse, nz, ny, starts, home_z, home_y, home_x):
    """Add the residual of slab k to the right-hand side of its coarse cells.

    After a red and a black sweep from zero the residual is zero in black cells, and in red ones, which solved their rows while
    their neighbours were zero, it is what the neighbours contribute now.
    """
    h, rows = len(total), home_y[ny - 1] + 1
    if k == starts[home_z[k]]:
        for line in range(home_z[k] * rows, (home_z[k] + 1) * rows):
            for side in range(2):
                for place in range(coarse.shape[2]):
                    coarse[line, side, place] = 0
    for j in range(ny):
        parity, home = (j + k) % 2, np.uintp(home_z[k] * rows + home_y[j])
        _gather(total, u, tx, ty, tz, k, j, parity, nz, ny)
        if len(home_x) == 1:  # pairs
            for m in range(np.uintp(h // 2)):
                coarse[home, ZERO, m + ONE] += total[TWO * m]
                coarse[home, ONE, m + ONE] += total[TWO * m + ONE]
            if h % 2:
                coarse[home, ZERO, np.uintp(h // 2 + 1)] += total[h - 1]
        elif len(home_x) == 0:  # x is not coarsened
            p = np.uintp(parity)
            for m in range(np.uintp(h)):
                coarse[home, p, m + ONE] += total[m]
        else:
            for i in range(parity, len(home_x), 2):
                coarse[home, home_x[i] % 2, 1 + home_x[i] // 2] += total[i // 2]


@part
def _down(low, high, total, f, u, tx, ty, tz, inverse, coarse, nz, ny, starts, home_z, home_y, home_x):
    f, u, inverse, coarse = borrowed(f), borrowed(u), borrowed(inverse), borrowed(coarse)
    tx, ty, tz = borrowed(tx), borrowed(ty), borrowed(tz)
    total = borrowed(total)
    for k in range(low - 2, high + 2):
        _first_red(k, f, u, inverse, nz, ny)
        if k > low - 1:
            _relax(k - 1, 1, f, u, u, tx, ty, tz, inverse, total, nz, ny)
        if k > low + 1:
            _restrict(k - 2, u, tx, ty, tz, total, coarse, nz, ny, starts, home_z, home_y, home_x)


@twins
def down(cells, chunks, f, u, tx, ty, tz, inverse, coarse, nz, ny, starts, home_z, home_y, home_x):
    """u = a red and a black sweep for A u = f from zero; coarse = R (f - A u)."""
    slabs = len(starts) - 1
    for chunk in prange(chunks):
        low, high = starts[slabs * chunk // chunks], starts[slabs * (chunk + 1) // chunks]
        total = np.empty(u.shape[2] - 2, u.dtype)
        _down(low, high, total, f, u, tx, ty, tz, inverse, coarse, nz, ny, starts, home_z, home_y, home_x)


@part
def _correct(k, u, coarse, ny, home_z, home_y, home_x):
    """Add the coarse correction to the red cells of slab k; the black ones are about to be overwritten."""
    h, rows = u.shape[2] - 2, home_y[ny - 1] + 1
    for j in range(ny):
        row, parity, home = np.uintp(k * ny + j), (j + k) % 2, np.uintp(home_z[k] * rows + home_y[j])
        p = np.uintp(parity)
        if len(home_x) == 1:
            for m in range(np.uintp(h // 2)):
                u[row, p, TWO * m + ONE] += coarse[home, ZERO, m + ONE]
                u[row, p, TWO * m + TWO] += coarse[home, ONE, m + ONE]
            if h % 2:
                u[row, p, np.uintp(h)] += coarse[home, ZERO, np.uintp(h // 2 + 1)]
        elif len(home_x) == 0:
            for m in range(np.uintp(h)):
                u[row, p, m + ONE] += coarse[home, p, m + ONE]
        else:
            for i in range(parity, len(home_x), 2):
                u[row, p, 1 + i // 2] += coarse[home, home_x[i] % 2, 1 + home_x[i] // 2]
        _wrap(u, row, p)


@twins
def correct(cells, chunks, u, coarse, nz, ny, home_z, home_y, home_x):
    """u += P coarse in the red cells."""
    for chunk in prange(chunks):
        for k in range(nz * chunk // chunks, nz * (chunk + 1) // chunks):
            _correct(k, u, coarse, ny, home_z, home_y, home_x)


@part
def _up(low, high, total, f, u, v, tx, ty, tz, inverse, nz, ny):
    f, u, v, inverse = borrowed(f), borrowed(u), borrowed(v), borrowed(inverse)
    tx, ty, tz = borrowed(tx), borrowed(ty), borrowed(tz)
    total = borrowed(total)
    for k in range(low - 1, high + 1):
        _relax(k, 1, f, u, v, tx, ty, tz, inverse, total, nz, ny)
        if k > low:
            _relax(k - 1, 0, f, v, v, tx, ty, tz, inverse, total, nz, ny)


@twins
def up(cells, chunks, f, u, v, tx, ty, tz, inverse, nz, ny):
    """v = a black and a red sweep for A v = f from u."""
    for chunk in prange(chunks):
        low, high = nz * chunk // chunks, nz * (chunk + 1) // chunks
        total = np.empty(u.shape[2] - 2, u.dtype)
        _up(low, high, total, f, u, v, tx, ty, tz, inverse, nz, ny)


@part
def _residual(low, high, total, f, u, tx, ty, tz, inverse, r, nz, ny):
    f, u, r, inverse = borrowed(f), borrowed(u), borrowed(r), borrowed(inverse)
    tx, ty, tz, total = borrowed(tx), borrowed(ty), borrowed(tz), borrowed(total)
    for line in range(low * ny, high * ny):
        row = np.uintp(line)
        for parity in range(2):
            _gather(total, u, tx, ty, tz, line // ny, line % ny, parity, nz, ny)
            q = np.uintp(parity)
            for m in range(np.uintp(len(total))):  # total = - A u; beyond the grid (inverse = 0) the residual is zero
                scale = inverse[row, q, m + ONE]
                total[m] = total[m] - u[row, q, m + ONE] / scale if scale > 0 else -f[row, q, m + ONE]
            for m in range(np.uintp(len(total))):
                r[row, q, m + ONE] = f[row, q, m + ONE] + total[m]


@twins
def residual(cells, chunks, f, u, tx, ty, tz, inverse, r, nz, ny):
    """r = f - A u; r may be f."""
    for chunk in prange(chunks):
        low, high = nz * chunk // chunks, nz * (chunk + 1) // chunks
        total = np.empty(u.shape[2] - 2, u.dtype)
        _residual(low, high, total, f, u, tx, ty, tz, inverse, r, nz, ny)


@part
def _load(low, high, r, f, factor, nx):
    largest = np.float32(0)
    for line in range(low, high):
        row, first = np.uintp(line), np.uintp(line * nx)
        for m in range(np.uintp(nx // 2)):
            even, odd = np.float32(factor * r[first + TWO * m]), np.float32(factor * r[first + TWO * m + ONE])
            f[row, ZERO, m + ONE] = even
            f[row, ONE, m + ONE] = odd
            largest = max(largest, abs(even), abs(odd))
        if nx % 2:
            even = np.float32(factor * r[line * nx + nx - 1])
            f[row, ZERO, np.uintp(nx // 2 + 1)] = even
            largest = max(largest, abs(even))
    return largest


@twins
def load(cells, chunks, r, f, factor, nx):
    """f = factor r in the layout of a level; max |f|."""
    partial = np.zeros(chunks, np.float32)
    rows = f.shape[0]
    for chunk in prange(chunks):
        partial[chunk] = _load(rows * chunk // chunks, rows * (chunk + 1) // chunks, r, f, factor, nx)
    return partial.max()


@part
def _store(low, high, u, z, factor, r, nx):
    u, z, r = borrowed(u), borrowed(z), borrowed(r)
    along = 0.0
    for line in range(low, high):
        row, first = np.uintp(line), np.uintp(line * nx)
        for m in range(np.uintp(nx // 2)):
            even, odd = factor * u[row, ZERO, m + ONE], factor * u[row, ONE, m + ONE]
            z[first + TWO * m] = even
            z[first + TWO * m + ONE] = odd
            along += r[first + TWO * m] * even + r[first + TWO * m + ONE] * odd
        if nx % 2:
            even = factor * u[row, ZERO, np.uintp(nx // 2 + 1)]
            z[line * nx + nx - 1] = even
            along += r[line * nx + nx - 1] * even
    return along


@twins
def store(cells, pieces, u, z, factor, r, nx):
    """z = factor u, in natural order; r^T z, whose pieces do not depend on the number of threads."""
    partial = np.zeros(pieces)
    rows = u.shape[0]
    for piece in prange(pieces):
        partial[piece] = _store(rows * piece // pieces, rows * (piece + 1) // pieces, u, z, factor, r, nx)
    return in_order(partial)
