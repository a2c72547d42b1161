"""The small levels of grid_sweeps.py in one compiled call: a cycle there is shorter than a call from Python.

All coefficients of all levels stand in one array, all vectors in another, and a row of `table` says where. A level may be
visited twice: a cycle from zero, then one for the residual that it leaves.
"""

from __future__ import annotations

import numpy as np

from .grid import _residual
from .grid_sweeps import _down, _down_between, _down_plain, _up, _up_between, _up_plain
from .threads import part

# Columns of the table: the grid, the width of a field's rows, slots of the weights, half sweeps, whether to visit twice; where
# coefficients, vectors and the first slabs and rows of aggregates begin, and how many these are.
NZ, NY, WIDTH, SLOTS, SWEEPS, TWICE, TX, TY, TZ, INVERSE, WEIGHTS, F, U, R, SAVED, STARTS_Z, STARTS_Y, PLANES, LINES = range(19)
COLUMNS = 19
FUSED = 100  # slabs from which the sweeps of a level go over memory together
CONVERGED = 1e-8  # a part of r^T M r at the start that tells no more than rounding


@part
def _length(level):
    return level[NZ] * level[NY] * 2 * level[WIDTH]


@part
def _field(fields, start, level):
    return fields[start : start + _length(level)]


@part
def _shaped(field, level):
    return field.reshape((level[NZ] * level[NY], 2, level[WIDTH]))


@part
def _matrix(level, coefficients):
    """Couplings and 1 / diagonal of a level; tx stands for the directions that are not there."""
    tx, inverse = _field(coefficients, level[TX], level), _field(coefficients, level[INVERSE], level)
    ty = _field(coefficients, level[TY], level) if level[NY] > 1 else tx
    tz = _field(coefficients, level[TZ], level) if level[NZ] > 1 else tx
    return tx, ty, tz, inverse


@part
def _weights(level, coefficients):
    return coefficients[level[WEIGHTS] : level[WEIGHTS] + level[NZ] * level[NY] * level[SLOTS] * level[WIDTH]]


@part
def _down_level(level, below, coefficients, vectors, maps):
    tx, ty, tz, inverse = _matrix(level, coefficients)
    f, u, coarse = _field(vectors, level[F], level), _field(vectors, level[U], level), _field(vectors, below[F], below)
    r = vectors[level[R] : level[R] + _length(level) // 2]
    starts_z = maps[level[STARTS_Z] : level[STARTS_Z] + level[PLANES] + 1]
    starts_y = maps[level[STARTS_Y] : level[STARTS_Y] + level[LINES] + 1]
    weights, coarse_f, sums = _weights(level, coefficients), _shaped(coarse, below), np.empty(level[WIDTH], f.dtype)
    sweeps, slots, nz, ny = level[SWEEPS], level[SLOTS], level[NZ], level[NY]
    if nz < FUSED:
        _down_plain(f, u, r, tx, ty, tz, inverse, weights, coarse_f, sums, sweeps, slots, nz, ny, starts_z, starts_y)
        return
    _down(0, nz, f, u, r, tx, ty, tz, inverse, weights, coarse_f, sums, sweeps, slots, nz, ny, starts_z, starts_y)
    before, after = (nz - sweeps - 1) // 2, sweeps // 2 + 1
    _down_between(
        0, before, after, f, u, r, tx, ty, tz, inverse, weights, coarse_f, sums, sweeps, slots, nz, ny, starts_z, starts_y
    )


@part
def _up_level(level, below, coefficients, vectors):
    tx, ty, tz, inverse = _matrix(level, coefficients)
    f, u, coarse = _field(vectors, level[F], level), _field(vectors, level[U], level), _field(vectors, below[U], below)
    weights, coarse_u, e = _weights(level, coefficients), _shaped(coarse, below), np.empty((3, level[WIDTH]), f.dtype)
    sweeps, slots, nz, ny = level[SWEEPS], level[SLOTS], level[NZ], level[NY]
    if nz < FUSED:
        _up_plain(f, u, tx, ty, tz, inverse, weights, coarse_u, e, sweeps, slots, nz, ny)
        return
    _up(0, nz, f, u, tx, ty, tz, inverse, weights, coarse_u, e, sweeps, slots, nz, ny)
    _up_between(0, f, u, tx, ty, tz, inverse, e[0], sweeps, nz, ny)


@part
def _solve(level, vectors, dense):
    f, u = _field(vectors, level[F], level), _field(vectors, level[U], level)
    for i in range(len(u)):
        total = vectors.dtype.type(0)
        for j in range(len(f)):
            total += dense[i, j] * f[j]
        u[i] = total


@part
def _again(level, coefficients, vectors):
    """Keep U, and put the residual it leaves in F's place."""
    tx, ty, tz, inverse = _matrix(level, coefficients)
    f, u, saved = _field(vectors, level[F], level), _field(vectors, level[U], level), _field(vectors, level[SAVED], level)
    for i in range(len(u)):
        saved[i] = u[i]
    fields = (_shaped(f, level), _shaped(u, level), _shaped(tx, level), _shaped(ty, level), _shaped(tz, level))
    room = np.empty(level[WIDTH] - 2, u.dtype)
    _residual(0, level[NZ], room, *fields, _shaped(inverse, level), fields[0], level[NZ], level[NY])


@part
def _sum(level, vectors):
    u, saved = _field(vectors, level[U], level), _field(vectors, level[SAVED], level)
    for i in range(len(u)):
        u[i] += saved[i]


@part
def cycle(first, table, coefficients, vectors, maps, dense):
    """U of level `first` = its approximate solution for F, which second visits overwrite. A loop: numba caches no recursion."""
    last, l = len(table) - 1, first
    second = np.zeros(len(table), np.bool_)  # whether this is a level's second visit in a row
    while True:
        while l < last:
            _down_level(table[l], table[l + 1], coefficients, vectors, maps)
            l += 1
            second[l] = False
        _solve(table[last], vectors, dense)
        while second[l] or not table[l, TWICE]:
            if second[l]:
                _sum(table[l], vectors)
            if l == first:
                return
            l -= 1
            _up_level(table[l], table[l + 1], coefficients, vectors)
        second[l] = True
        _again(table[l], coefficients, vectors)


@part
def largest(first, steps, table, coefficients, vectors, maps, dense):
    """An estimate from below of the largest eigenvalue of M A, M the cycle from level `first`: so many steps of Lanczos.

    Those of cg with M, started from alternating ones: the largest eigenvalue of its tridiagonal matrix, by bisection.
    """
    level = table[first]
    tx, ty, tz, inverse = _matrix(level, coefficients)
    n = _length(level)
    f, u, saved = _field(vectors, level[F], level), _field(vectors, level[U], level), _field(vectors, level[SAVED], level)
    r, p, q, state = np.zeros(n, f.dtype), np.zeros(n, f.dtype), np.zeros(n, f.dtype), np.uint32(2463534242)
    for i in range(n):  # xorshift, scaled like A u: anything to which no mode is orthogonal
        state ^= state << np.uint32(13)
        state ^= state >> np.uint32(17)
        state ^= state << np.uint32(5)
        inside = inverse[i] > 0 and 0 < i % level[WIDTH] < level[WIDTH] - 1  # no copy around the torus
        r[i] = (np.float32(state) / np.float32(2147483648) - 1) / np.sqrt(inverse[i]) if inside else 0
    alphas, betas = np.zeros(steps), np.zeros(steps)
    along, start, done = 0.0, 0.0, 0
    shape = (level[NZ] * level[NY], 2, level[WIDTH])
    room = np.empty(level[WIDTH] - 2, f.dtype)
    for step in range(steps):
        for i in range(n):
            f[i] = r[i]
        cycle(first, table, coefficients, vectors, maps, dense)
        before, along = along, 0.0
        for i in range(n):
            along += np.float64(r[i]) * np.float64(u[i])
        start = along if step == 0 else start
        if not along > CONVERGED * start:
            if not abs(along) <= CONVERGED * start:
                return np.inf  # M is indefinite
            break
        beta = along / before if step else 0.0
        betas[step] = beta
        for i in range(n):
            p[i] = u[i] + np.float32(beta) * p[i]
            saved[i] = 0
        for row in range(shape[0]):
            for side in range(2):
                end = (2 * row + side + 1) * shape[2]
                p[end - shape[2]], p[end - 1] = p[end - 2], p[end - shape[2] + 1]
        _residual(
            0, level[NZ], room, saved.reshape(shape), p.reshape(shape), tx.reshape(shape), ty.reshape(shape), tz.reshape(shape),
            inverse.reshape(shape), q.reshape(shape), level[NZ], level[NY],
        )  # fmt: skip
        curvature = 0.0
        for i in range(n):
            curvature -= np.float64(p[i]) * np.float64(q[i])
        if not curvature > 0:
            break
        alpha = along / curvature
        alphas[step] = alpha
        for i in range(n):
            r[i] += np.float32(alpha) * q[i]
        done = step + 1
    return found(alphas, betas, done)


@part
def found(alphas, betas, count):
    """The largest eigenvalue of the tridiagonal matrix of cg's coefficients."""
    if count == 0:
        return np.inf
    diagonal, off = np.zeros(count), np.zeros(count)
    high = 0.0
    for i in range(count):
        diagonal[i] = 1 / alphas[i] + (betas[i] / alphas[i - 1] if i > 0 else 0.0)
        off[i] = np.sqrt(betas[i]) / alphas[i - 1] if i > 0 else 0.0
    for i in range(count):
        high = max(high, diagonal[i] + off[i] + (off[i + 1] if i + 1 < count else 0.0))
    low = 0.0
    for _ in range(40):
        middle, pivot, below = 0.5 * (low + high), 1.0, 0
        for i in range(count):
            pivot = diagonal[i] - middle - (off[i] ** 2 / pivot if i > 0 else 0.0)
            pivot = pivot if pivot != 0 else 1e-300
            below += pivot < 0
        low, high = (low, middle) if below == count else (middle, high)
    return high
