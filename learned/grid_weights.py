"""Weights of interpolation from what cells take along their paths, and the excess of the next level: see grid_paths.py."""

from __future__ import annotations

import numpy as np
from numba import prange

from ..solvers.kernels.single_lanes import SINGLES, larger, load, product, quotient, spread, store, total
from ..solvers.kernels.threads import part, twins
from .grid_places import _any, _bonds, _closed, _cross, _keep

TINY = np.float32(1e-30)


@part
def _weigh(k, j, axes, level, weights, room, sweeps, slots, shape, nx):
    """From what the ends of a row take to weights whose sum is one, less what goes to walls."""
    couplings, inverse, excess = level
    h, ny, width, q = shape[2] - 2, shape[1], shape[2], (k + j + sweeps) % 2
    first, row, half = (k * ny + j) * slots * width + 1, (2 * (k * ny + j) + q) * width + 1, np.float32(0.5 * axes)
    full, tiny, own = h - h % SINGLES, spread(TINY), room
    _bonds(own, 0, axes, k, j, q, 1, shape, couplings, inverse, nx, h)
    for m in range(np.uintp(h)):
        own[m] *= half
    for block in range(0, h, 64):
        if _any(excess, row + block, min(64, h - block)):
            for m in range(block, min(block + 64, h)):
                if excess[row + m] > 0 and _closed(axes, k, j, q, m, shape, couplings) == 0:
                    own[m] += excess[row + m]  # a reaction
    second, third = first + width, first + axes * width
    for m in range(0, full, SINGLES):
        mine = load(own, m)
        whole = total(mine, total(load(weights, second + m), load(weights, third + m)))
        if axes == 3:
            whole = total(whole, load(weights, second + width + m))
        part_of = quotient(spread(np.float32(1)), larger(whole, tiny))
        store(weights, first + m, product(mine, part_of))
        store(own, m, part_of)
    for m in range(full, h):
        whole = own[m] + weights[second + m] + weights[third + m] + (weights[second + width + m] if axes == 3 else np.float32(0))
        part_of_one = 1 / max(whole, TINY)
        weights[first + m] = own[m] * part_of_one
        own[m] = part_of_one
    for axis in range(axes):
        slot, cross = first + (1 + axis) * width, _cross(axis, k, j, q, 1, shape)
        for m in range(0, full, SINGLES):
            coupling = load(couplings, cross + m)
            some = quotient(coupling, larger(coupling, tiny))  # one, or zero at a wall
            store(weights, slot + m, product(some, product(load(weights, slot + m), load(own, m))))
        for m in range(full, h):
            weights[slot + m] = weights[slot + m] * own[m] if couplings[cross + m] > 0 else np.float32(0)


@part
def _add_excess(sums, k, j, axes, level, factors, room, shape, nx):
    """Add the excess of a row to its aggregates: of a cell at walls in series with what ties it to them, else as it is."""
    couplings, inverse, excess = level
    h = shape[2] - 2
    for q in range(2):
        row, bonds = (2 * (k * shape[1] + j) + q) * shape[2] + 1, False
        for block in range(0, h, 64):
            if _any(excess, row + block, min(64, h - block)):
                if not bonds:
                    _bonds(room, 0, axes, k, j, q, 1, shape, couplings, inverse, nx, h)
                    bonds = True
                for m in range(block, min(block + 64, h)):
                    own = excess[row + m]
                    if own > 0:
                        walls = np.float32(_closed(axes, k, j, q, m, shape, couplings))
                        if walls == 0:
                            sums[m + 1] += factors[0] * own
                        elif room[m] > 0:
                            sums[m + 1] += factors[1] * walls / (1 / room[m] + walls / own)


@twins
def weigh(cells, shape, nx, level, factors, weights, sweeps, slots, starts_z, starts_y, coarse_excess):
    """The weights, once all paths are drawn, and the excess of the next level; factors: of a reaction, of a wall."""
    lines = len(starts_y) - 1
    for line in prange((len(starts_z) - 1) * lines):
        room, sums = np.empty(shape[2], np.float32), np.zeros(shape[2], np.float32)
        for k in range(starts_z[line // lines], starts_z[line // lines + 1]):
            for j in range(starts_y[line % lines], starts_y[line % lines + 1]):
                _weigh(k, j, slots - 1, level, weights, room, sweeps, slots, shape, nx)
                _add_excess(sums, k, j, slots - 1, level, factors, room, shape, nx)
        _keep(coarse_excess, line, sums)
