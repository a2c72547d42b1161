"""The levels of a tensor grid, from the bands of its matrix down; fields are laid out as in grid.py.

A cell's excess is what its diagonal entry exceeds the sum of its couplings by: a Dirichlet side or a reaction.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .threads import part, twins


@part
def _next(after, band, wrapped, first, stride, place, count):
    """Couplings of a row of cells to their next along y or z, the last to the first; how many entries do not fit a grid."""
    wrong = 0
    if place < count - 1:
        for i in range(len(after)):
            after[i] = -band[first + i]
            wrong += not after[i] >= 0
    else:
        home = first - (count - 1) * stride
        for i in range(len(after)):
            wrong += band[first + i] != 0  # across a wall
            after[i] = -wrapped[home + i] if len(wrapped) else 0.0
            wrong += not after[i] >= 0
    if len(wrapped) and place > 0:
        for i in range(len(after)):
            wrong += wrapped[first + i] != 0  # around the torus from inside
    return wrong


@part
def _next_in_row(after, band, wrapped, first):
    """The same along x, where the row itself ends at a wall."""
    nx, wrong = len(after), 0
    for i in range(nx):
        after[i] = -band[first + i]
    wrong += after[nx - 1] != 0
    after[nx - 1] = 0.0
    if len(wrapped):
        after[nx - 1] = -wrapped[first]
        for i in range(1, nx):
            wrong += wrapped[first + i] != 0
    for i in range(nx):
        wrong += not after[i] >= 0
    return wrong


@part
def _keep(field, row, after, scale):
    """The values of a row in the layout of a field."""
    nx = len(after)
    for m in range(nx // 2):
        field[row, 0, m + 1] = scale * after[2 * m]
        field[row, 1, m + 1] = scale * after[2 * m + 1]
    if nx % 2:
        field[row, 0, nx // 2 + 1] = scale * after[nx - 1]


@part
def _finest_row(row, rooms, nz, ny, diagonal, x, y, z, x_wrapped, y_wrapped, z_wrapped, scale, tx, ty, tz, excess):
    after, left = rooms[0], rooms[1]
    nx = len(after)
    k, j, first, wrong = row // ny, row % ny, row * nx, 0
    for i in range(nx):
        left[i] = diagonal[first + i]
    if nx > 1:
        wrong += _next_in_row(after, x, x_wrapped, first)
        for i in range(nx):
            left[i] -= after[i]
        for i in range(1, nx):
            left[i] -= after[i - 1]
        left[0] -= after[nx - 1]
        _keep(tx, row, after, scale)
        tx[row, 1, 0] = tx[row, 1, tx.shape[2] - 2]
    for place, count, stride, band, wrapped, t in (
        (j, ny, nx, y, y_wrapped, ty), (k, nz, nx * ny, z, z_wrapped, tz)
    ):  # fmt: skip
        if count > 1:
            before = first - stride if place > 0 else first + (count - 1) * stride
            wrong += _next(after, band, wrapped, before, stride, place - 1 if place > 0 else count - 1, count)
            for i in range(nx):
                left[i] -= after[i]
            wrong += _next(after, band, wrapped, first, stride, place, count)
            for i in range(nx):
                left[i] -= after[i]
            _keep(t, row, after, scale)
    for i in range(nx):  # what rounding leaves of a row that sums to zero is no excess
        left[i] = left[i] if left[i] > 1e-12 * diagonal[first + i] else 0.0
    _keep(excess, row, left, scale)
    return wrong


@twins
def finest(cells, chunks, nz, ny, nx, diagonal, x, y, z, x_wrapped, y_wrapped, z_wrapped, scale, tx, ty, tz, excess):
    """Couplings and excess of the finest level, times scale; returns how many entries do not fit a tensor grid."""
    wrong = np.zeros(chunks, np.int64)
    rows = nz * ny
    for chunk in prange(chunks):
        rooms = np.empty((2, nx))
        for row in range(rows * chunk // chunks, rows * (chunk + 1) // chunks):
            wrong[chunk] += _finest_row(
                row, rooms, nz, ny, diagonal, x, y, z, x_wrapped, y_wrapped, z_wrapped, scale, tx, ty, tz, excess
            )
    return wrong.sum()


@twins
def misfits(cells, chunks, nz, ny, nx, x, y, z, x_wrapped, y_wrapped, z_wrapped):
    """How many entries of these bands do not fit a tensor grid: across a wall, around the torus from inside, positive."""
    wrong = np.zeros(chunks, np.int64)
    rows = nz * ny
    for chunk in prange(chunks):
        after = np.empty(nx)
        for row in range(rows * chunk // chunks, rows * (chunk + 1) // chunks):
            if nx > 1:
                wrong[chunk] += _next_in_row(after, x, x_wrapped, row * nx)
            if ny > 1:
                wrong[chunk] += _next(after, y, y_wrapped, row * nx, nx, row % ny, ny)
            if nz > 1:
                wrong[chunk] += _next(after, z, z_wrapped, row * nx, nx * ny, row // ny, nz)
    return wrong.sum()


@part
def _invert_row(row, nz, ny, nx, tx, ty, tz, excess, inverse):
    k, j = row // ny, row % ny
    south = row - 1 if j > 0 else row - 1 + ny
    below = row - ny if k > 0 else row - ny + nz * ny
    for i in range(nx):
        p, m = i % 2, 1 + i // 2
        d = excess[row, p, m] + tx[row, p, m] + tx[row, 1 - p, m - 1 + p]
        if ny > 1:
            d += ty[row, p, m] + ty[south, p, m]
        if nz > 1:
            d += tz[row, p, m] + tz[below, p, m]
        inverse[row, p, m] = 1 / d if d > 0 else 0


@twins
def invert(cells, nz, ny, nx, tx, ty, tz, excess, inverse):
    """inverse = 1 / diagonal; zero beyond the grid and in a cell without couplings and excess."""
    for row in prange(nz * ny):
        _invert_row(row, nz, ny, nx, tx, ty, tz, excess, inverse)


@part
def _coarsen_row(row, ny, nx, halves, walls, home_z, home_y, home_x, fine, coarse, home):
    """Add a fine row to its coarse row `home`: couplings of the faces between coarse cells, and the excess."""
    tx, ty, tz, excess = fine
    cx, cy, cz, coarse_excess = coarse
    k, j = row // ny, row % ny
    last_y = j == ny - 1 or home_y[j + 1] != home_y[j]
    last_z = k == len(home_z) - 1 or home_z[k + 1] != home_z[k]
    at_wall = (walls[0] and (k == 0 or k == len(home_z) - 1)) or (walls[1] and (j == 0 or j == ny - 1))
    for i in range(nx):
        p, m = i % 2, 1 + i // 2
        I = i // 2 if len(home_x) == 1 else i if len(home_x) == 0 else home_x[i]
        P, M = I % 2, 1 + I // 2
        if (
            len(home_x) == 0
            or (len(home_x) == 1 and (p == 1 or i == nx - 1))
            or (len(home_x) > 1 and (i == nx - 1 or home_x[i + 1] != home_x[i]))
        ):
            cx[home, P, M] += halves[2] * tx[row, p, m]
        if ny > 1 and last_y:
            cy[home, P, M] += halves[1] * ty[row, p, m]
        if len(home_z) > 1 and last_z:
            cz[home, P, M] += halves[0] * tz[row, p, m]
        wall = at_wall or (walls[2] and (i == 0 or i == nx - 1))
        coarse_excess[home, P, M] += excess[row, p, m] * (excess.dtype.type(0.5) if wall else excess.dtype.type(1))


@twins
def coarsen(cells, nz, ny, nx, halves, walls, starts_z, starts_y, home_z, home_y, home_x, fine, coarse):
    """The couplings and the excess of the coarse level from those of the fine one.

    A coarse coupling is the sum over its fine faces, times halves = 1/2 where the direction is coarsened: cell centres are twice
    as far apart. So is the excess of cells at a wall (walls: directions that have walls and are coarsened), which is taken
    to be a Dirichlet side; elsewhere it is a reaction, which is summed.
    """
    rows = len(starts_y) - 1
    for home in prange((len(starts_z) - 1) * rows):
        for k in range(starts_z[home // rows], starts_z[home // rows + 1]):
            for j in range(starts_y[home % rows], starts_y[home % rows + 1]):
                _coarsen_row(k * ny + j, ny, nx, halves, walls, home_z, home_y, home_x, fine, coarse, home)
        coarse[0][home, 1, 0] = coarse[0][home, 1, coarse[0].shape[2] - 2]
