"""The small levels of a tensor grid in one compiled call: a cycle there is shorter than a call from Python.

All fields of all levels stand in one array of coefficients and one of vectors; a row of `table` says where.
"""

from __future__ import annotations

import numpy as np

from .grid import _correct, _down, _residual, _up
from .threads import part

# Columns of the table: the grid, the width of a field's rows, where fields and maps begin, and whether to visit twice.
NZ, NY, WIDTH, TX, TY, TZ, INVERSE, F, U, V, SAVED, STARTS, HOME_Z, HOME_Y, HOME_X, HOMES_X, COARSE_Z, TWICE = range(18)
COLUMNS = 18


@part
def _field(fields, start, level):
    rows, width = level[NZ] * level[NY], level[WIDTH]
    return fields[start : start + rows * 2 * width].reshape((rows, 2, width))


@part
def _matrix(level, coefficients):
    """Couplings and 1 / diagonal of a level; tx stands for the directions that are not there."""
    tx, inverse = _field(coefficients, level[TX], level), _field(coefficients, level[INVERSE], level)
    ty = _field(coefficients, level[TY], level) if level[NY] > 1 else tx
    tz = _field(coefficients, level[TZ], level) if level[NZ] > 1 else tx
    return tx, ty, tz, inverse


@part
def _homes(level, maps):
    """Where the slabs, rows and cells of a level go on the next."""
    home_z, home_y = maps[level[HOME_Z] : level[HOME_Z] + level[NZ]], maps[level[HOME_Y] : level[HOME_Y] + level[NY]]
    return home_z, home_y, maps[level[HOME_X] : level[HOME_X] + level[HOMES_X]]


@part
def _down_level(level, below, coefficients, vectors, maps):
    tx, ty, tz, inverse = _matrix(level, coefficients)
    home_z, home_y, home_x = _homes(level, maps)
    starts = maps[level[STARTS] : level[STARTS] + level[COARSE_Z] + 1]
    f, u, coarse = _field(vectors, level[F], level), _field(vectors, level[U], level), _field(vectors, below[F], below)
    total = np.empty(u.shape[2] - 2, u.dtype)
    _down(0, level[NZ], total, f, u, tx, ty, tz, inverse, coarse, level[NZ], level[NY], starts, home_z, home_y, home_x)


@part
def _up_level(level, below, coefficients, vectors, maps):
    tx, ty, tz, inverse = _matrix(level, coefficients)
    home_z, home_y, home_x = _homes(level, maps)
    f, u, v = _field(vectors, level[F], level), _field(vectors, level[U], level), _field(vectors, level[V], level)
    correction = _field(vectors, below[V], below)
    for k in range(level[NZ]):
        _correct(k, u, correction, level[NY], home_z, home_y, home_x)
    total = np.empty(u.shape[2] - 2, u.dtype)
    _up(0, level[NZ], total, f, u, v, tx, ty, tz, inverse, level[NZ], level[NY])


@part
def _solve(level, vectors, dense):
    f, v = _field(vectors, level[F], level).reshape(-1), _field(vectors, level[V], level).reshape(-1)
    for i in range(len(v)):
        total = vectors.dtype.type(0)
        for j in range(len(f)):
            total += dense[i, j] * f[j]
        v[i] = total


@part
def _add(keep, x, y):
    """y = x, or y += x if keep. A loop, because numba compiles array expressions slowly."""
    for i in range(len(y)):
        y[i] = x[i] + y[i] if keep else x[i]


@part
def _again(level, coefficients, vectors):
    """Keep V, and put the residual it leaves in F's place."""
    tx, ty, tz, inverse = _matrix(level, coefficients)
    f, v, saved = _field(vectors, level[F], level), _field(vectors, level[V], level), _field(vectors, level[SAVED], level)
    _add(0, v.reshape(-1), saved.reshape(-1))
    total = np.empty(v.shape[2] - 2, v.dtype)
    _residual(0, level[NZ], total, f, v, tx, ty, tz, inverse, f, level[NZ], level[NY])


@part
def _sum(level, vectors):
    _add(1, _field(vectors, level[SAVED], level).reshape(-1), _field(vectors, level[V], level).reshape(-1))


@part
def cycle(table, coefficients, vectors, maps, dense):
    """V of the first level = its approximate solution for F. A loop: numba cannot keep recursive functions in its cache."""
    last, l = len(table) - 1, 0
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
            if l == 0:
                return
            l -= 1
            _up_level(table[l], table[l + 1], coefficients, vectors, maps)
        second[l] = True
        _again(table[l], coefficients, vectors)
