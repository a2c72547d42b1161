"""Where the couplings along paths between aggregates stand; what rows of cells have in common.

A path leads from a cell across the face of its aggregate to the next cell. Fields are laid out as in solvers/kernels/grid.py; the
couplings of all directions stand one after the other in one flat array, so that a place in it tells direction, row, parity
and cell. Axes: x, then those of y and z that are there.
"""

from __future__ import annotations

import numpy as np

from ..solvers.kernels.single_lanes import SINGLES, load, product, spread, store, total
from ..solvers.kernels.threads import part

U0, U1 = np.uintp(0), np.uintp(1)


@part
def _place(axis, k, j, q, s, shape, across):
    """(k, j, parity, shift) of the next cell along an axis: the one of another aggregate (across), or of the same."""
    nz, ny = shape[0], shape[1]
    if axis == 0:
        return k, j, 1 - q, (s - 1 + 2 * q if across else s)
    if axis == 1 and ny > 1:
        if across:
            return k, (j - 1 + 2 * (j % 2)) % ny, q, s
        return k, min(j + 1 - 2 * (j % 2), ny - 1), q, s  # of a single cell: itself
    if across:
        return (k - 1 + 2 * (k % 2)) % nz, j, q, s
    return min(k + 1 - 2 * (k % 2), nz - 1), j, q, s


@part
def _inner(axis, k, j, q, s, shape):
    """Where the couplings along an axis within the aggregate begin. Axes: x, then those of y and z that are there."""
    nz, ny, width = shape
    if axis == 0:
        return 2 * (k * ny + j) * width + s
    if axis == 1 and ny > 1:
        return 2 * nz * ny * width + (2 * (k * ny + j - j % 2) + q) * width + s
    return axis * 2 * nz * ny * width + (2 * ((k - k % 2) * ny + j) + q) * width + s


@part
def _cross(axis, k, j, q, s, shape):
    """Where the couplings along an axis to the next aggregate begin."""
    nz, ny, width = shape
    if axis == 0:
        return (2 * (k * ny + j) + 1) * width + s - 1 + q
    if axis == 1 and ny > 1:
        return 2 * nz * ny * width + (2 * (k * ny + (j if j % 2 else (j - 1) % ny)) + q) * width + s
    return axis * 2 * nz * ny * width + (2 * ((k if k % 2 else (k - 1) % nz) * ny + j) + q) * width + s


@part
def _beside(places, inner, axis, axes, k, j, q, s, shape):
    """The couplings of the other cells of this face of the aggregate, along the axis: within it, or across the face."""
    count = 0
    for first in range(axes):
        if first != axis:
            K, J, Q, S = _place(first, k, j, q, s, shape, False)
            places[count] = _inner(axis, K, J, Q, S, shape) if inner else _cross(axis, K, J, Q, S, shape)
            count += 1
            for second in range(first + 1, axes):
                if second != axis:
                    L, I, P, T = _place(second, K, J, Q, S, shape, False)
                    places[count] = _inner(axis, L, I, P, T, shape) if inner else _cross(axis, L, I, P, T, shape)
                    count += 1
    return count


@part
def _end_places(places, counts, axis, axes, k, j, q, s, shape):
    """Where the five features of one end are: couplings within the aggregate along the path, across it here and at the far end,
    beside it along the path; couplings to other aggregates across it."""
    K, J, Q, S = _place(axis, k, j, q, s, shape, False)
    counts[0], counts[1], counts[2], counts[4] = 1, axes - 1, axes - 1, axes - 1
    places[0, 0], at = _inner(axis, k, j, q, s, shape), 0
    for other in range(axes):
        if other != axis:
            places[1, at], places[2, at] = _inner(other, k, j, q, s, shape), _inner(other, K, J, Q, S, shape)
            places[4, at] = _cross(other, k, j, q, s, shape)
            at += 1
    counts[3] = _beside(places[3], True, axis, axes, k, j, q, s, shape)


@part
def _bonds(flat, at, axes, k, j, q, s, shape, couplings, inverse, nx, h):
    """What ties cells to their aggregates, 2 / axes times the couplings within, and the diagonal where there is no next cell."""
    nz, ny, width = shape
    full, scale = h - h % SINGLES, np.float32(2) / np.float32(axes)
    x, y, z, factor = _inner(0, k, j, q, s, shape), _inner(1, k, j, q, s, shape), 0, spread(scale)
    if axes > 2:
        z = _inner(2, k, j, q, s, shape)
    for m in range(0, full, SINGLES):
        value = total(load(couplings, x + m), load(couplings, y + m))
        if axes > 2:
            value = total(value, load(couplings, z + m))
        store(flat, at + m, product(value, factor))
    for m in range(full, h):
        value = couplings[x + m] + couplings[y + m]
        if axes > 2:
            value += couplings[z + m]
        flat[at + m] = scale * value
    here, last = (2 * (k * ny + j) + q) * width, h - s
    if (ny > 1 and j == ny - 1 and ny % 2) or (nz > 1 and k == nz - 1 and nz % 2):
        for m in range(h):
            if inverse[here + s + m] > 0:
                flat[at + m] += 1 / inverse[here + s + m]
    elif nx % 2 and q == 0 and 0 <= last < h and inverse[here + h] > 0:
        flat[at + last] += 1 / inverse[here + h]


@part
def _closed(axes, k, j, q, m, shape, couplings):
    """How many paths of the cell m of a row end at a wall."""
    count = 0
    for axis in range(axes):
        count += 0 if couplings[_cross(axis, k, j, q, 1, shape) + m] > 0 else 1
    return count


@part
def _any(field, first, count):
    """Whether one of these numbers is positive."""
    largest = np.float32(0)
    for m in range(np.uintp(first), np.uintp(first + count)):
        largest = max(largest, field[m])
    return largest > 0


@part
def _keep(field, line, sums):
    """The values of a coarse row in the layout of a field, and the copy around the torus; sums is cleared."""
    h, line = len(sums) - 2, np.uintp(line)
    for m in range(np.uintp(h // 2)):
        field[line, U0, m + U1] = sums[m + m + U1]
        field[line, U1, m + U1] = sums[m + m + U1 + U1]
    if h % 2:
        field[line, U0, np.uintp(h // 2 + 1)] = sums[h]
    for m in range(np.uintp(h + 2)):
        sums[m] = 0
