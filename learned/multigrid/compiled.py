"""What the set-up of a learned level computes row by row and entry by entry, in one pass each.

Entries go through the network BLOCK at a time, a feature a row of a table that stays in the first cache: the inner loops run
along entries, in single precision, and are vectorised. Columns of a row come in no order; every row has its diagonal.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from ...solvers.kernels.borrow import borrowed
from ...solvers.kernels.compiler import njit
from ...solvers.kernels.threads import IN_SEQUENCE, OPTIONS, part, twins
from .ladder import MOST as _MOST
from .ladder import OF_EDGE, OF_ROW
from .ladder import SPREAD as _SPREAD

ROWS = 2_048  # rows of one chunk
BLOCK = 256  # entries
FACTS = 7
MOST, SPREAD = np.float32(_MOST), np.float32(_SPREAD)
ZERO, ONE = np.float32(0), np.float32(1)
LARGEST = np.float32(1 - 1e-6)  # -a_ij/m_i of the strongest coupling of a row, but for rounding: it is strong always
LEAST = 0.1  # of the diagonal: what damping is divided by at least
STRENGTH, THRESHOLD, WIDTH, POSITIVE, DAMPING, RELAXATION = range(6)


@njit(**IN_SEQUENCE)
def _facts(low, high, indptr, indices, values, sparsity, diagonal, facts):
    indptr, indices, values, diagonal = borrowed(indptr), borrowed(indices), borrowed(values), borrowed(diagonal)
    facts = borrowed(facts)
    for i in range(low, high):
        own, largest, above, below = 0.0, 0.0, 0.0, 0.0
        for k in range(indptr[i], indptr[i + 1]):
            a = values[k]
            if indices[k] == i:
                own += a
            elif a > 0:
                above += a
            else:
                below -= a
                largest = max(largest, -a)
        off, diagonal[i] = above + below, own
        facts[i, 0] = 1.0 / largest if largest > 0 else 0.0
        facts[i, 1] = 1.0 / np.sqrt(own) if own > 0 else 0.0
        facts[i, 2] = above / off if off > 0 else 0.0
        facts[i, 3] = largest / off if off > 0 else 0.0
        facts[i, 4] = (own + above - below) / (own + off) if own > 0 else 0.0
        facts[i, 5] = min(off / own, 4.0) if own > 0 else 0.0
        facts[i, 6] = sparsity


@twins
def facts_of(n, indptr, indices, values, sparsity, diagonal, facts):
    """By row: the diagonal, and 1/m, 1/sqrt(a_ii), p, q, s, t, d of `ladder`."""
    for chunk in prange((n + ROWS - 1) // ROWS):
        low = np.int64(chunk) * ROWS
        _facts(low, min(low + ROWS, n), indptr, indices, values, sparsity, diagonal, facts)


@part
def _network(count, table, first, first_bias, second, second_bias, hidden, out):
    """out[:, :count] = second relu(first table + first_bias) + second_bias."""
    outputs, inputs = second_bias.shape[0], first.shape[1]
    for o in range(outputs):
        for e in range(count):
            out[o, e] = second_bias[o]
    for unit in range(first.shape[0]):
        for e in range(count):
            hidden[e] = first_bias[unit]
        for f in range(inputs):
            w, feature = first[unit, f], table[f]
            for e in range(count):
                hidden[e] += w * feature[e]
        for e in range(count):
            hidden[e] = max(hidden[e], ZERO)
        for o in range(outputs):
            w, target = second[o, unit], out[o]
            for e in range(count):
                target[e] += w * hidden[e]


@part
def _features(i, j, a, own, facts, heard, table, e):
    """Column e of the table: what is known of the entry a = a_ij; own are the facts of row i."""
    table[0, e] = min(max(-a * own[0], -ONE), ONE)
    table[1, e] = min(max(-a * facts[j, 0], -ONE), ONE)
    table[2, e] = min(max(a * own[1] * facts[j, 1], -ONE), ONE)
    table[3, e], table[4, e] = own[2], facts[j, 2]
    table[5, e], table[6, e] = own[3], facts[j, 3]
    table[7, e] = own[4]
    c = heard.shape[1]
    for k in range(c):
        table[OF_EDGE + k, e] = heard[i, k]
        table[OF_EDGE + c + k, e] = heard[j, k]


@part
def _own(facts, i):
    return facts[i, 0], facts[i, 1], facts[i, 2], facts[i, 3], facts[i, 6]


@part
def _listen(low, high, indptr, indices, values, facts, first, bias, heard):
    indptr, indices, values = borrowed(indptr), borrowed(indices), borrowed(values)
    facts, heard = borrowed(facts), borrowed(heard)
    c = bias.shape[0]
    room, no_one = np.empty((OF_EDGE, 1), np.float32), np.empty((facts.shape[0], 0), np.float32)
    table, nothing = borrowed(room), borrowed(no_one)
    for i in range(low, high):
        found, own = 0, _own(facts, i)
        for k in range(indptr[i], indptr[i + 1]):
            j = np.uintp(indices[k])
            if j == i:
                continue
            _features(np.uintp(i), j, np.float32(values[k]), own, facts, nothing, table, np.uintp(0))
            found += 1
            for u in range(c):
                total = bias[u]
                for f in range(OF_EDGE):
                    total += first[u, f] * table[f, 0]
                heard[i, u] += max(total, ZERO)
        for u in range(c):
            heard[i, u] = heard[i, u] / np.float32(max(found, 1))


@twins
def listen(n, indptr, indices, values, facts, first, bias, heard):
    """heard[i] = the mean over the entries of row i, its diagonal left out, of relu(first features + bias); heard comes as 0."""
    for chunk in prange((n + ROWS - 1) // ROWS):
        low = np.int64(chunk) * ROWS
        _listen(low, min(low + ROWS, n), indptr, indices, values, facts, first, bias, heard)


@part
def _rows(low, high, facts, heard, scalars, first, first_bias, second, second_bias, damping, relaxation):
    c = heard.shape[1]
    table, hidden, out = np.empty((OF_ROW + c, BLOCK), np.float32), np.empty(BLOCK, np.float32), np.empty((2, BLOCK), np.float32)
    for start in range(low, high, BLOCK):
        count = min(high - start, BLOCK)
        for e in range(count):
            for f in range(OF_ROW):
                table[f, e] = facts[start + e, 2 + f]
            for k in range(c):
                table[OF_ROW + k, e] = heard[start + e, k]
        _network(count, table, first, first_bias, second, second_bias, hidden, out)
        for e in range(count):
            damping[start + e] = scalars[DAMPING] * np.exp(min(max(out[0, e], -SPREAD), SPREAD))
            # omega / (2 - omega) is multiplied: omega stays between 0 and 2.
            odds = scalars[RELAXATION] / (2 - scalars[RELAXATION]) * np.exp(min(max(out[1, e], -SPREAD), SPREAD))
            relaxation[start + e] = 2 * odds / (1 + odds)


@twins
def rows(n, facts, heard, scalars, first, first_bias, second, second_bias, damping, relaxation):
    """By row: the damping of the prolongator's smoother, and the relaxation of the sweeps, between 0 and 2."""
    for chunk in prange((n + ROWS - 1) // ROWS):
        low = np.int64(chunk) * ROWS
        high = min(low + ROWS, n)
        _rows(low, high, facts, heard, scalars, first, first_bias, second, second_bias, damping, relaxation)


@part
def _decide(start, count, table, out, scalars, strong, near, far):
    """Strength and gates of the entries in the table, of which the first is at start."""
    threshold, opening, positive, least = scalars[THRESHOLD], ONE / scalars[WIDTH], scalars[POSITIVE], scalars[STRENGTH]
    strong, near, far = strong[start : start + count], near[start : start + count], far[start : start + count]
    for e in range(count):
        towards = max(table[0, e], table[1, e]) - least + out[0, e]
        strong[e] = (towards > ZERO) | (table[0, e] > LARGEST)
    for e in range(count):
        size = max(abs(table[0, e]), abs(table[1, e]))
        gate = min(max((size - threshold) * opening, ZERO), ONE)
        gate = gate * positive if table[2, e] > ZERO else gate
        near[e] = min(max(gate + gate * out[1, e], ZERO), MOST)
        far[e] = min(max(gate + gate * out[2, e], ZERO), MOST)


@part
def _edges(low, high, indptr, indices, values, facts, heard, scalars, first, first_bias, second, second_bias, strong, near, far):
    indptr, indices, values = borrowed(indptr), borrowed(indices), borrowed(values)
    facts, heard = borrowed(facts), borrowed(heard)
    strong, near, far = borrowed(strong), borrowed(near), borrowed(far)
    c = heard.shape[1]
    room, hidden = np.zeros((OF_EDGE + 2 * c, BLOCK), np.float32), np.empty(BLOCK, np.float32)
    out, table = np.empty((3, BLOCK), np.float32), borrowed(room)
    e, start = np.uintp(0), np.uintp(indptr[low])
    for i in range(low, high):
        own = _own(facts, i)
        for k in range(np.uintp(indptr[i]), np.uintp(indptr[i + 1])):
            j = np.uintp(indices[k])
            _features(np.uintp(i), j, np.float32(values[k]), own, facts, heard, table, e)
            if j == i:
                table[0, e] = ONE  # the diagonal is strong
            e += np.uintp(1)
            if e == BLOCK:
                _network(BLOCK, table, first, first_bias, second, second_bias, hidden, out)
                _decide(start, BLOCK, table, out, scalars, strong, near, far)
                e, start = np.uintp(0), start + np.uintp(BLOCK)
    _network(np.int64(e), table, first, first_bias, second, second_bias, hidden, out)
    _decide(start, np.int64(e), table, out, scalars, strong, near, far)


@twins
def edges(n, indptr, indices, values, facts, heard, scalars, first, first_bias, second, second_bias, strong, near, far):
    """By entry: whether it is strong (the diagonal is), and its gates, inside of an aggregate and between two."""
    for chunk in prange((n + ROWS - 1) // ROWS):
        low = np.int64(chunk) * ROWS
        _edges(
            low, min(low + ROWS, n), indptr, indices, values, facts, heard, scalars, first, first_bias, second, second_bias,
            strong, near, far,
        )  # fmt: skip


@njit(**IN_SEQUENCE)
def _prolong(low, high, indptr, indices, values, diagonal, damping, near, far, home, kept, known, columns, entries, counts):
    indptr, indices, values, diagonal = borrowed(indptr), borrowed(indices), borrowed(values), borrowed(diagonal)
    near, far, home, kept = borrowed(near), borrowed(far), borrowed(home), borrowed(kept)
    columns, entries, counts = borrowed(columns), borrowed(entries), borrowed(counts)
    for i in range(low, high):
        begin, own = np.uintp(indptr[i]), home[i]
        last, lumped, size, inside = begin, diagonal[i], 0.0, 0.0
        for k in range(begin, np.uintp(indptr[i + 1])):
            j = indices[k]
            if j == i:
                continue
            to = home[j]
            gate = near[k] if to == own else far[k]
            if known:
                gate *= kept[k]
            else:
                kept[k] = gate > 0
            seen = gate * values[k]
            lumped += values[k] - seen
            size += abs(seen)
            if to == own:
                inside += seen
            elif kept[k] and to >= 0:
                place = begin
                while place < last and columns[place] != to:
                    place += np.uintp(1)
                if place == last:
                    columns[place], entries[place] = to, -seen
                    last += np.uintp(1)
                else:
                    entries[place] -= seen
        weight = damping[i] / max(abs(lumped) + size, LEAST * diagonal[i])
        for k in range(begin, last):
            entries[k] *= weight
        if own >= 0:
            columns[last], entries[last] = own, 1.0 - weight * (lumped + inside)
            last += np.uintp(1)
        counts[i] = last - begin


@twins
def prolong(n, indptr, indices, values, diagonal, damping, near, far, home, kept, known, columns, entries, counts):
    """The rows of (I - W A_F) T, T_ij = 1 for j = home[i], with room for as many entries as A's; counts are those used.

    A_F has the entries of A times their gates off the diagonal, and on it what is left of the row; W = damping over the row sums
    of |A_F|. Rows of P sum to one where those of A sum to zero, whatever the gates. kept: which entries have a positive gate; it
    is read if `known`.
    """

    for chunk in prange((n + ROWS - 1) // ROWS):
        low = np.int64(chunk) * ROWS
        _prolong(
            low, min(low + ROWS, n), indptr, indices, values, diagonal, damping, near, far, home, kept, known, columns, entries,
            counts,
        )  # fmt: skip


@twins
def compact(n, begins, columns, entries, indptr, indices, values):
    """Rows that begin at begins, moved together: they begin at indptr."""
    for chunk in prange((n + ROWS - 1) // ROWS):
        low = np.int64(chunk) * ROWS
        for i in range(low, min(low + ROWS, n)):
            source, place = np.int64(begins[i]), np.int64(indptr[i])
            for k in range(np.int64(indptr[i + 1]) - place):
                indices[place + k], values[place + k] = columns[source + k], entries[source + k]


@njit(**OPTIONS)
def lower_solve(indptr, indices, values, diagonal, f, u):
    """(diag(diagonal) + strict lower triangle) u = f for columns f (n, k), u comes as f; columns of a row in any order."""
    for i in range(len(indptr) - 1):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            if j < i:
                for c in range(f.shape[1]):
                    u[i, c] -= values[k] * u[j, c]
        for c in range(f.shape[1]):
            u[i, c] /= diagonal[i]


@njit(**OPTIONS)
def upper_solve(indptr, indices, values, diagonal, f, u):
    """(diag(diagonal) + strict upper triangle) u = f, as `lower_solve`."""
    for i in range(len(indptr) - 2, -1, -1):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            if j > i:
                for c in range(f.shape[1]):
                    u[i, c] -= values[k] * u[j, c]
        for c in range(f.shape[1]):
            u[i, c] /= diagonal[i]


@njit(**OPTIONS)
def outer(indptr, indices, x, y, side, values):
    """values[k] = sum_c x[i, c] y[j, c] for the entry k = (i, j) with (j - i) side > 0, else 0; side 0 takes all."""
    for i in range(len(indptr) - 1):
        for k in range(indptr[i], indptr[i + 1]):
            j = np.int64(indices[k])
            values[k] = 0.0
            if side == 0 or (j - i) * side > 0:
                for c in range(x.shape[1]):
                    values[k] += x[i, c] * y[j, c]
