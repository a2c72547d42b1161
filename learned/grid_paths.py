"""What a learned multigrid draws from a grid: what cells take along their paths, and the couplings of the next level.

Every path has one end among the cells that interpolate, 2 m + (k + j + sweeps) % 2 of row (k, j), and is looked at from there, a
row of them at a time. Its features are ratios of couplings near either end; a network gives two factors.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..solvers.kernels.grid import _wrap
from ..solvers.kernels.single_lanes import SINGLES, difference, fused, larger, load, product, quotient, spread, store, total
from ..solvers.kernels.threads import part, twins
from .grid_places import U0, U1, _any, _beside, _bonds, _closed, _cross, _end_places, _keep, _place

FEATURES, HALF = 11, 5
MEMBERS = 3  # couplings in the mean that is a feature, at most
PATH, BOND, THERE, COUPLING, WEIGHT = range(FEATURES, FEATURES + 5)
BUFFERS = FEATURES + 5
TINY, FAR = np.float32(1e-30), np.float32(1e25)  # FAR: a resistance from which on there is no coupling


@part
def _read(buffers, start, places, counts, h, couplings):
    """Features: tanh(log(ratio) / 2) of means of couplings and the path's; of the far end zero where there is none."""
    length = buffers.shape[1]
    flat, full, tiny = buffers.reshape(-1), h - h % SINGLES, spread(TINY)
    for f in range(FEATURES):
        scale, at, there = spread(np.float32(1) / np.float32(counts[f])), f * length + start, THERE * length + start
        for m in range(0, full, SINGLES):
            value = load(couplings, places[f, 0] + m)
            for i in range(1, counts[f]):
                value = total(value, load(couplings, places[f, i] + m))
            value, path = product(value, scale), load(flat, PATH * length + start + m)
            ratio = quotient(difference(value, path), total(total(value, path), tiny))
            if HALF <= f < 2 * HALF:  # there is 0 or at least 1 / FAR: 0 or 1 after this
                end = load(flat, there + m)
                ratio = product(ratio, quotient(end, larger(end, tiny)))
            store(flat, at + m, ratio)
        for m in range(full, h):
            mean, path = np.float32(0), flat[PATH * length + start + m]
            for i in range(counts[f]):
                mean += couplings[places[f, i] + m]
            mean /= np.float32(counts[f])
            ratio = (mean - path) / (mean + path + TINY)
            flat[at + m] = np.float32(0) if HALF <= f < 2 * HALF and not flat[there + m] > 0 else ratio


@part
def _power(y):
    """(1 + y / (1 + |y|))^4, each in place."""
    for m in range(len(y)):
        z = max(1 + y[m] / (1 + abs(y[m])), np.float32(0.01))
        y[m] = z * z * z * z


@part
def _network(buffers, count, inner, inner_bias, outer, outer_bias):
    """The two factors of every path, from its features."""
    coupling, weight = buffers[COUPLING, :count], buffers[WEIGHT, :count]
    for m in range(len(coupling)):
        coupling[m], weight[m] = outer_bias[0], outer_bias[1]
    a, b, c, d, e, f = buffers[0], buffers[1], buffers[2], buffers[3], buffers[4], buffers[5]
    g, h, i, j, k = buffers[6], buffers[7], buffers[8], buffers[9], buffers[10]
    for n in range(len(inner)):
        w, bias, first, second = inner[n], inner_bias[n], outer[0, n], outer[1, n]
        for m in range(len(coupling)):
            x = (
                bias + w[0] * a[m] + w[1] * b[m] + w[2] * c[m] + w[3] * d[m] + w[4] * e[m] + w[5] * f[m] + w[6] * g[m]
                + w[7] * h[m] + w[8] * i[m] + w[9] * j[m] + w[10] * k[m]
            )  # fmt: skip
            x = max(x, np.float32(0))
            coupling[m] += first * x
            weight[m] += second * x
    _power(coupling)
    _power(weight)


@part
def _begin(buffers, start, axis, axes, k, j, q, shape, couplings, inverse, excess, nx, h):
    """The paths along an axis of the ends in row (k, j): the couplings across, shares of the excess where they end at a wall, and
    what ties both ends to their aggregates: bond here, resistance there; zero if there is no other end."""
    length, flat, full = buffers.shape[1], buffers.reshape(-1), h - h % SINGLES
    path, bond, there = PATH * length + start, BOND * length + start, THERE * length + start
    K, J, Q, S = _place(axis, k, j, q, 1, shape, True)
    _bonds(flat, bond, axes, k, j, q, 1, shape, couplings, inverse, nx, h)
    _bonds(flat, there, axes, K, J, Q, S, shape, couplings, inverse, nx, h)
    cross, least = _cross(axis, k, j, q, 1, shape), spread(1 / FAR)
    for m in range(0, full, SINGLES):
        value = load(couplings, cross + m)
        some = quotient(value, larger(value, least))  # one, or zero without a coupling
        store(flat, path + m, value)
        store(flat, there + m, quotient(some, larger(load(flat, there + m), least)))
    for m in range(full, h):
        flat[path + m] = couplings[cross + m]
        flat[there + m] = 1 / max(flat[there + m], 1 / FAR) if couplings[cross + m] > 0 else np.float32(0)
    row = (2 * (k * shape[1] + j) + q) * shape[2] + 1
    for block in range(0, h, 64):
        if _any(excess, row + block, min(64, h - block)):
            for m in range(block, min(block + 64, h)):
                if excess[row + m] > 0 and not flat[path + m] > 0:
                    flat[path + m] = excess[row + m] / np.float32(_closed(axes, k, j, q, m, shape, couplings))


@part
def _finish(buffers, start, weights, slot, sums, shift, h):
    """What the ends take along their paths, not yet weighed; into sums the couplings of the aggregates."""
    length, flat, full = buffers.shape[1], buffers.reshape(-1), h - h % SINGLES
    path, bond, there = PATH * length + start, BOND * length + start, THERE * length + start
    coupling, weight = COUPLING * length + start, WEIGHT * length + start
    one, half, scale, least = spread(np.float32(1)), spread(np.float32(0.5)), spread(np.float32(1.25)), spread(1 / FAR)
    for m in range(0, full, SINGLES):
        along, end = quotient(one, larger(load(flat, path + m), least)), load(flat, there + m)
        taken = quotient(product(scale, load(flat, weight + m)), fused(half, end, along))
        store(weights, slot + m, taken)
        whole = total(total(along, end), quotient(one, larger(load(flat, bond + m), least)))
        some = quotient(end, larger(end, spread(TINY)))  # one, or zero at a wall
        tied = larger(difference(spread(FAR), whole), spread(np.float32(0)))
        some = product(some, quotient(tied, larger(tied, spread(TINY))))  # nor where an end is not tied to its aggregate
        given = quotient(product(some, load(flat, coupling + m)), whole)
        store(sums, shift + m, total(load(sums, shift + m), given))
    for m in range(full, h):
        along, end = 1 / max(flat[path + m], 1 / FAR), flat[there + m]
        weights[slot + m] = np.float32(1.25) * flat[weight + m] / (along + np.float32(0.5) * end)
        whole = along + end + 1 / max(flat[bond + m], 1 / FAR)
        if end > 0 and whole < FAR:
            sums[shift + m] += flat[coupling + m] / whole


@part
def _draw(axis, axes, rows, count, level, net, buffers, weights, sums, sweeps, slots, shape, nx):
    """The paths along an axis of the ends in these rows (k, j): see `paths`."""
    couplings, inverse, excess = level
    inner, inner_bias, outer, outer_bias = net
    h, ny, width = shape[2] - 2, shape[1], shape[2]
    places, counts = np.empty((FEATURES, MEMBERS), np.int64), np.ones(FEATURES, np.int64)
    for i in range(count):
        k, j = rows[i, 0], rows[i, 1]
        q = (k + j + sweeps) % 2
        _begin(buffers, i * h, axis, axes, k, j, q, shape, couplings, inverse, excess, nx, h)
        if len(inner):
            K, J, Q, S = _place(axis, k, j, q, 1, shape, True)
            _end_places(places[:HALF], counts[:HALF], axis, axes, k, j, q, 1, shape)
            _end_places(places[HALF : 2 * HALF], counts[HALF : 2 * HALF], axis, axes, K, J, Q, S, shape)
            counts[2 * HALF] = _beside(places[2 * HALF], False, axis, axes, k, j, q, 1, shape)
            _read(buffers, i * h, places, counts, h, couplings)
    _network(buffers, count * h, inner, inner_bias, outer, outer_bias)
    for i in range(count):
        k, j = rows[i, 0], rows[i, 1]
        slot = ((k * ny + j) * slots + 1 + axis) * width + 1
        _finish(buffers, i * h, weights, slot, sums, (k + j + sweeps) % 2 if axis == 0 else 1, h)


@part
def _rows_at_face(rows, axis, axes, K, J, starts_z, starts_y, nz, ny):
    """The rows whose ends' paths along an axis lie in the coarse row (K, J), or cross the face after it; how many."""
    count = 0
    low_z, high_z, low_y, high_y = starts_z[K], starts_z[K + 1], starts_y[J], starts_y[J + 1]
    for k in range(low_z, high_z + 1):
        for j in range(low_y, high_y + 1):
            along_z, along_y = axis == axes - 1 and axis > 0, axis == 1 and axes == 3
            if along_z:  # the last slab, unless it is a single one, and the first of the next aggregate
                wanted = j < high_y and ((k == high_z - 1 and k % 2 == 1) or k == high_z)
            elif along_y:
                wanted = k < high_z and ((j == high_y - 1 and j % 2 == 1) or j == high_y)
            else:
                wanted = k < high_z and j < high_y
            if wanted:
                rows[count, 0], rows[count, 1] = k % nz, j % ny
                count += 1
    return count


@twins
def paths(cells, shape, nx, level, net, weights, sweeps, slots, starts_z, starts_y, below):
    """Draw all paths: what ends take along each, not yet weighed, into weights; into below the couplings of the next level.

    shape: nz, ny and the width of rows; level: couplings, inverse, excess, all flat; net: inner (hidden, 11), inner_bias, outer
    (2, hidden), outer_bias (2,), all single; below: fields x, y, z.
    """
    lines, axes = len(starts_y) - 1, slots - 1
    for line in prange((len(starts_z) - 1) * lines):
        buffers, sums = np.empty((BUFFERS, 4 * (shape[2] - 2)), np.float32), np.zeros(shape[2], np.float32)
        rows = np.empty((4, 2), np.int64)
        for axis in range(axes):
            count = _rows_at_face(rows, axis, axes, line // lines, line % lines, starts_z, starts_y, shape[0], shape[1])
            _draw(axis, axes, rows, count, level, net, buffers, weights, sums, sweeps, slots, shape, nx)
            if axis == 0:
                sums[len(sums) - 2] += sums[0]
                _keep(below[0], line, sums)
            elif axis == 1 and axes == 3:
                _keep(below[1], line, sums)
            else:
                _keep(below[2], line, sums)


@twins
def wrap(cells, rows, field):
    """The copies around the torus of every row of a field."""
    for row in prange(rows):
        _wrap(field, np.uintp(row), U0)
        _wrap(field, np.uintp(row), U1)
