"""What a learned multigrid reads of a grid and draws from it: weights of interpolation, couplings of the next level.

A path leads from a cell across the face of its aggregate to the next cell. Every path has one end among the cells that
interpolate, 2 m + (k + j + sweeps) % 2 of row (k, j), and is looked at from there, a row of them at a time: buffers[., m] is of
the end m. Fields are laid out as in solvers/kernels/grid.py.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ..solvers.kernels.grid import ONE, ZERO, _wrap
from ..solvers.kernels.threads import part, twins

X, Y, Z = 0, 1, 2
FEATURES = 11
FAR = np.float32(1e25)  # a resistance from which on there is no coupling
PATH, BOND, THERE, ROOT, SUM, COUPLING, WEIGHT = range(FEATURES, FEATURES + 7)
BUFFERS = FEATURES + 7


@part
def _place(axis, k, j, q, s, nz, ny, across):
    """(k, j, parity, shift) of the next cell along an axis: the one of another aggregate (across), or of the same."""
    if axis == X:
        return k, j, 1 - q, (s - 1 + 2 * q if across else s)
    if axis == Y:
        if across:
            return k, (j - 1 + 2 * (j % 2)) % ny, q, s
        return k, min(j + 1 - 2 * (j % 2), ny - 1), q, s  # of a single cell: itself
    if across:
        return (k - 1 + 2 * (k % 2)) % nz, j, q, s
    return min(k + 1 - 2 * (k % 2), nz - 1), j, q, s


@part
def _add(buffer, scale, field, row, q, s):
    row, q, s = np.uintp(row), np.uintp(q), np.uintp(s)
    for m in range(np.uintp(len(buffer))):
        buffer[m] += scale * field[row, q, m + s]


@part
def _zero(buffer):
    for m in range(len(buffer)):
        buffer[m] = 0


@part
def _add_inner(buffer, scale, axis, tx, ty, tz, k, j, q, s, ny):
    """The coupling along an axis within the aggregate."""
    if axis == X:
        _add(buffer, scale, tx, k * ny + j, 0, s)
    elif axis == Y:
        _add(buffer, scale, ty, k * ny + j - j % 2, q, s)
    else:
        _add(buffer, scale, tz, (k - k % 2) * ny + j, q, s)


@part
def _add_cross(buffer, scale, axis, tx, ty, tz, k, j, q, s, nz, ny):
    """The coupling along an axis to the next aggregate."""
    if axis == X:
        _add(buffer, scale, tx, k * ny + j, 1, s - 1 + q)
    elif axis == Y:
        _add(buffer, scale, ty, k * ny + (j if j % 2 else (j - 1) % ny), q, s)
    else:
        _add(buffer, scale, tz, (k if k % 2 else (k - 1) % nz) * ny + j, q, s)


@part
def _present(axis, nz, ny):
    return axis == X or (axis == Y and ny > 1) or (axis == Z and nz > 1)


@part
def _add_near(buffer, inner, axis, tx, ty, tz, k, j, q, s, nz, ny):
    """The mean along the other axes of the couplings of a cell within its aggregate, or to others."""
    scale = np.float32(1 / max(1, (ny > 1) + (nz > 1)))
    for other in range(3):
        if other != axis and _present(other, nz, ny):
            if inner:
                _add_inner(buffer, scale, other, tx, ty, tz, k, j, q, s, ny)
            else:
                _add_cross(buffer, scale, other, tx, ty, tz, k, j, q, s, nz, ny)


@part
def _add_beside(buffer, inner, axis, tx, ty, tz, k, j, q, s, nz, ny):
    """The mean over the other cells of this face of the aggregate: of the couplings along the axis within it, or across it."""
    others = (ny > 1) + (nz > 1)
    scale = np.float32(1 / 3 if others == 2 else 1)
    for first in range(3):
        if first != axis and _present(first, nz, ny):
            K, J, Q, S = _place(first, k, j, q, s, nz, ny, False)
            for second in range(first, 3):  # the next along one axis; the next along both
                if second != axis and _present(second, nz, ny):
                    if second > first:
                        L, I, P, T = _place(second, K, J, Q, S, nz, ny, False)
                    else:
                        L, I, P, T = K, J, Q, S
                    if inner:
                        _add_inner(buffer, scale, axis, tx, ty, tz, L, I, P, T, ny)
                    else:
                        _add_cross(buffer, scale, axis, tx, ty, tz, L, I, P, T, nz, ny)


@part
def _ratio(feature, buffer, root):
    """tanh(log(ratio) / 4) of a coupling and the path's."""
    for m in range(len(feature)):
        own = np.sqrt(buffer[m])
        feature[m] = (own - root[m]) / (own + root[m] + np.float32(1e-30))
    _zero(buffer)


@part
def _read_end(buffers, first, axis, tx, ty, tz, k, j, q, s, nz, ny):
    """Five features of one end: couplings within the aggregate along the path, across it here and at the far end, beside it along
    the path; couplings to other aggregates across it."""
    total, root, one = buffers[SUM], buffers[ROOT], np.float32(1)
    _zero(total)
    _add_inner(total, one, axis, tx, ty, tz, k, j, q, s, ny)
    _ratio(buffers[first], total, root)
    _add_near(total, True, axis, tx, ty, tz, k, j, q, s, nz, ny)
    _ratio(buffers[first + 1], total, root)
    K, J, Q, S = _place(axis, k, j, q, s, nz, ny, False)
    _add_near(total, True, axis, tx, ty, tz, K, J, Q, S, nz, ny)
    _ratio(buffers[first + 2], total, root)
    _add_beside(total, True, axis, tx, ty, tz, k, j, q, s, nz, ny)
    _ratio(buffers[first + 3], total, root)
    _add_near(total, False, axis, tx, ty, tz, k, j, q, s, nz, ny)
    _ratio(buffers[first + 4], total, root)


@part
def _read(buffers, axis, tx, ty, tz, k, j, q, nz, ny):
    """All features of the paths of a row of ends: of the end, of the end across where there is one, and the paths beside."""
    path, root, half = buffers[PATH], buffers[ROOT], FEATURES // 2
    for m in range(len(root)):
        root[m] = np.sqrt(path[m])
    _read_end(buffers, 0, axis, tx, ty, tz, k, j, q, 1, nz, ny)
    K, J, Q, S = _place(axis, k, j, q, 1, nz, ny, True)
    _read_end(buffers, half, axis, tx, ty, tz, K, J, Q, S, nz, ny)
    for f in range(half, 2 * half):
        feature, there = buffers[f], buffers[THERE]
        for m in range(len(feature)):
            feature[m] = feature[m] if there[m] > 0 else np.float32(0)
    _add_beside(buffers[SUM], False, axis, tx, ty, tz, k, j, q, 1, nz, ny)
    _ratio(buffers[2 * half], buffers[SUM], root)


@part
def _power(y):
    """(1 + y / (1 + |y|))^4, each in place."""
    for m in range(len(y)):
        z = 1 + y[m] / (1 + abs(y[m]))
        z = max(z, np.float32(0.01))
        y[m] = z * z * z * z


@part
def _network(buffers, inner, inner_bias, outer, outer_bias):
    """The two factors of every path, from its features."""
    coupling, weight = buffers[COUPLING], buffers[WEIGHT]
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
def _add_bond(bond, tx, ty, tz, inverse, k, j, q, s, nz, ny, nx):
    """What ties a cell to its aggregate: 2 / dim times the couplings within it, and the diagonal where it has no next cell."""
    scale = np.float32(2 / (1 + (ny > 1) + (nz > 1)))
    for axis in range(3):
        if _present(axis, nz, ny):
            _add_inner(bond, scale, axis, tx, ty, tz, k, j, q, s, ny)
    row, last = np.uintp(k * ny + j), len(bond) - s
    if (ny > 1 and j == ny - 1 and ny % 2) or (nz > 1 and k == nz - 1 and nz % 2):
        for m in range(np.uintp(len(bond))):
            scale = inverse[row, np.uintp(q), m + np.uintp(s)]
            bond[m] += 1 / scale if scale > 0 else 0
    elif nx % 2 and q == 0 and 0 <= last < len(bond):
        scale = inverse[row, np.uintp(q), np.uintp(last + s)]
        bond[last] += 1 / scale if scale > 0 else 0


@part
def _held(buffers, excess, tx, ty, tz, k, j, q, nz, ny):
    """Add the excess of the ends to the paths that end at a wall, shared between those of a cell."""
    row, h, any_excess = k * ny + j, buffers.shape[1], np.float32(0)
    for m in range(h):
        any_excess = max(any_excess, excess[row, q, m + 1])
    if not any_excess > 0:
        return
    for m in range(h):
        if excess[row, q, m + 1] > 0 and not buffers[PATH, m] > 0:
            buffers[PATH, m] = excess[row, q, m + 1] / _closed(tx, ty, tz, k, j, q, m + 1, nz, ny)


@part
def _closed(tx, ty, tz, k, j, q, m, nz, ny):
    """How many of a cell's paths end at a wall."""
    row = k * ny + j
    count = 0 if tx[row, 1, m - 1 + q] > 0 else 1
    if ny > 1:
        count += 0 if ty[k * ny + (j if j % 2 else (j - 1) % ny), q, m] > 0 else 1
    if nz > 1:
        count += 0 if tz[(k if k % 2 else (k - 1) % nz) * ny + j, q, m] > 0 else 1
    return count


@part
def _draw(axis, k, j, level, net, buffers, weights, sums, sweeps, nz, ny, nx):
    """The paths along an axis of the ends in row (k, j): what they take, not yet weighed; into sums the coarse couplings."""
    tx, ty, tz, inverse, excess = level
    inner, inner_bias, outer, outer_bias = net
    q, slot = (k + j + sweeps) % 2, np.uintp(weights.shape[1] - 1 if axis == Z else 1 + axis)
    path, bond, there, coupling, weight = buffers[PATH], buffers[BOND], buffers[THERE], buffers[COUPLING], buffers[WEIGHT]
    for buffer in (path, bond, there):
        _zero(buffer)
    _add_cross(path, np.float32(1), axis, tx, ty, tz, k, j, q, 1, nz, ny)
    K, J, Q, S = _place(axis, k, j, q, 1, nz, ny, True)
    _add_bond(bond, tx, ty, tz, inverse, k, j, q, 1, nz, ny, nx)
    _add_bond(there, tx, ty, tz, inverse, K, J, Q, S, nz, ny, nx)
    for m in range(len(path)):  # the resistance of the far end; zero: there is none
        there[m] = (1 / there[m] if there[m] > 1 / FAR else FAR) if path[m] > 0 else np.float32(0)
    _held(buffers, excess, tx, ty, tz, k, j, q, nz, ny)
    if len(inner):
        _read(buffers, axis, tx, ty, tz, k, j, q, nz, ny)
        _network(buffers, inner, inner_bias, outer, outer_bias)
    else:
        for m in range(len(coupling)):
            coupling[m], weight[m] = outer_bias[0], outer_bias[1]
        _power(coupling)
        _power(weight)
    row, shift = np.uintp(k * ny + j), np.uintp(q if axis == X else 1)
    for m in range(np.uintp(len(path))):
        along = 1 / path[m] if path[m] > 1 / FAR else FAR
        whole = along + there[m] + (1 / bond[m] if bond[m] > 1 / FAR else FAR)
        weights[row, slot, m + ONE] = np.float32(1.25) * weight[m] / (along + np.float32(0.5) * there[m])
        coupling[m] = coupling[m] / whole if there[m] > 0 and whole < FAR else np.float32(0)
    for m in range(np.uintp(len(path))):
        sums[m + shift] += coupling[m]


@part
def _keep(field, line, sums):
    """The values of a coarse row in the layout of a field, and the copy around the torus."""
    h = len(sums) - 2
    for m in range(h // 2):
        field[line, 0, m + 1] = sums[2 * m + 1]
        field[line, 1, m + 1] = sums[2 * m + 2]
    if h % 2:
        field[line, 0, h // 2 + 1] = sums[h]


@twins
def paths(cells, nz, ny, nx, level, net, weights, sweeps, starts_z, starts_y, cx, cy, cz):
    """Draw all paths: what ends take along each, not yet weighed, into weights; the couplings of the next level.

    level: tx, ty, tz, inverse, excess; net: inner (hidden, 11), inner_bias, outer (2, hidden), outer_bias (2,), all single.
    """
    lines = len(starts_y) - 1
    for line in prange((len(starts_z) - 1) * lines):
        buffers, sums = np.empty((BUFFERS, weights.shape[2] - 2), np.float32), np.zeros(weights.shape[2], np.float32)
        K, J = line // lines, line % lines
        for k in range(starts_z[K], starts_z[K + 1]):
            for j in range(starts_y[J], starts_y[J + 1]):
                _draw(X, k, j, level, net, buffers, weights, sums, sweeps, nz, ny, nx)
        sums[len(sums) - 2] += sums[0]
        _keep(cx, line, sums)
        if ny > 1:
            sums[:] = 0
            for k in range(starts_z[K], starts_z[K + 1]):
                for j in (starts_y[J + 1] - 1, starts_y[J + 1] % ny):
                    if j % 2 or j == starts_y[J + 1] % ny:  # the last row of this aggregate, unless it is a single one
                        _draw(Y, k, j, level, net, buffers, weights, sums, sweeps, nz, ny, nx)
            _keep(cy, line, sums)
        if nz > 1:
            sums[:] = 0
            for k in (starts_z[K + 1] - 1, starts_z[K + 1] % nz):
                if k % 2 or k == starts_z[K + 1] % nz:
                    for j in range(starts_y[J], starts_y[J + 1]):
                        _draw(Z, k, j, level, net, buffers, weights, sums, sweeps, nz, ny, nx)
            _keep(cz, line, sums)


@part
def _weigh(k, j, level, weights, room, sweeps, nz, ny, nx):
    """From what the ends of a row take to weights whose sum is one, less what goes to walls."""
    tx, ty, tz, inverse, excess = level
    q, row, count, one = (k + j + sweeps) % 2, np.uintp(k * ny + j), weights.shape[1], np.float32(1)
    own, cross = room[0], room[1]
    _zero(own)
    _add_bond(own, tx, ty, tz, inverse, k, j, q, 1, nz, ny, nx)
    half = np.float32(0.5 * (count - 1))
    for m in range(len(own)):
        own[m] *= half
        if excess[row, q, m + 1] > 0 and _closed(tx, ty, tz, k, j, q, m + 1, nz, ny) == 0:
            own[m] += excess[row, q, m + 1]  # a reaction
    for m in range(np.uintp(len(own))):
        total = own[m]
        for a in range(ONE, np.uintp(count)):
            total += weights[row, a, m + ONE]
        own[m] = own[m] / total if total > 0 else np.float32(0)
        for a in range(ONE, np.uintp(count)):
            weights[row, a, m + ONE] = weights[row, a, m + ONE] / total if total > 0 else np.float32(0)
        weights[row, ZERO, m + ONE] = own[m]
    for axis in range(3):
        if _present(axis, nz, ny):
            _zero(cross)
            _add_cross(cross, one, axis, tx, ty, tz, k, j, q, 1, nz, ny)
            slot = np.uintp(count - 1 if axis == Z else 1 + axis)
            for m in range(np.uintp(len(own))):
                weights[row, slot, m + ONE] = weights[row, slot, m + ONE] if cross[m] > 0 else np.float32(0)


@part
def _add_excess(sums, k, j, level, factors, room, nz, ny, nx):
    """Add the excess of a row to its aggregates: of a cell at walls in series with what ties it to them, else as it is."""
    tx, ty, tz, inverse, excess = level
    row, bond = k * ny + j, room[0]
    for q in range(2):
        largest = np.float32(0)
        for m in range(len(bond)):
            largest = max(largest, excess[row, q, m + 1])
        if largest > 0:
            _zero(bond)
            _add_bond(bond, tx, ty, tz, inverse, k, j, q, 1, nz, ny, nx)
            for m in range(len(bond)):
                own = excess[row, q, m + 1]
                if own > 0:
                    walls = _closed(tx, ty, tz, k, j, q, m + 1, nz, ny)
                    if walls == 0:
                        sums[m + 1] += factors[0] * own
                    elif bond[m] > 0:
                        sums[m + 1] += factors[1] * walls / (1 / bond[m] + walls / own)


@twins
def weigh(cells, nz, ny, nx, level, factors, weights, sweeps, starts_z, starts_y, coarse_excess):
    """The weights, once all paths are drawn, and the excess of the next level; factors: of a reaction, of a wall."""
    lines = len(starts_y) - 1
    for line in prange((len(starts_z) - 1) * lines):
        room, sums = np.empty((2, weights.shape[2] - 2), np.float32), np.zeros(weights.shape[2], np.float32)
        for k in range(starts_z[line // lines], starts_z[line // lines + 1]):
            for j in range(starts_y[line % lines], starts_y[line % lines + 1]):
                _weigh(k, j, level, weights, room, sweeps, nz, ny, nx)
                _add_excess(sums, k, j, level, factors, room, nz, ny, nx)
        _keep(coarse_excess, line, sums)


@twins
def wrap(cells, rows, fields):
    """The copies around the torus of every row of these fields."""
    for row in prange(rows):
        for field in fields:
            if len(field) == rows:
                _wrap(field, np.uintp(row), ZERO)
                _wrap(field, np.uintp(row), ONE)
