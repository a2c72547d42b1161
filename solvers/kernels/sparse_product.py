"""Products of CSR matrices and their transposes: what a Galerkin product is made of. Columns of a row come in no order.

A product is one pass, into memory for as many entries as it can have, of which the system hands out what is written; for new
values on an old pattern there is a pass of its own. Rows are dealt out in pieces, each with a marker a column of its own.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from .borrow import borrowed
from .compiler import njit
from .threads import OPTIONS, THREADED_FROM, part, threads, twins

PIECES = 16


def pieces(rows: int) -> int:
    """Into how many the rows are dealt: one for one thread, which then writes without gaps; the product has the same bits."""
    return PIECES if rows >= THREADED_FROM and threads() > 1 else 1


@part
def _room(low, high, A_indptr, A_indices, B_indptr):
    A_indptr, A_indices, B_indptr = borrowed(A_indptr), borrowed(A_indices), borrowed(B_indptr)
    most = np.int64(0)
    for k in range(A_indptr[low], A_indptr[high]):
        j = A_indices[k]
        most += np.int64(B_indptr[j + np.uint32(1)]) - np.int64(B_indptr[j])
    return most


@twins
def room(n, A_indptr, A_indices, B_indptr, most):
    """most[piece] = products of two entries in the piece's rows of A B, dealt out evenly: it has no more entries than that."""
    pieces = len(most)
    for piece in prange(pieces):
        most[piece] = _room(n * piece // pieces, n * (piece + 1) // pieces, A_indptr, A_indices, B_indptr)


@part
def _fill(low, high, last, A_indptr, A_indices, A_values, B_indptr, B_indices, B_values, marker, counts, indices, values):
    A_indptr, A_indices, A_values = borrowed(A_indptr), borrowed(A_indices), borrowed(A_values)
    B_indptr, B_indices, B_values = borrowed(B_indptr), borrowed(B_indices), borrowed(B_values)
    marker, indices, values = borrowed(marker), borrowed(indices), borrowed(values)
    for i in range(low, high):
        first = last
        for k in range(A_indptr[i], A_indptr[i + 1]):
            j, a = A_indices[k], A_values[k]
            for l in range(B_indptr[j], B_indptr[j + 1]):
                column = B_indices[l]
                place = marker[column]
                if place < first:  # not met in this row
                    marker[column] = last
                    indices[last] = column
                    values[last] = a * B_values[l]
                    last += 1
                else:
                    values[place] += a * B_values[l]
        counts[i] = last - first


@twins
def fill(n, A_indptr, A_indices, A_values, B_indptr, B_indices, B_values, columns, starts, counts, indices, values):
    """Columns and values of A B, row after row from starts[piece] for the rows of each piece; counts[i] = entries in row i."""
    pieces = len(starts) - 1
    for piece in prange(pieces):
        marker = np.full(columns, -1, np.int64)
        low, high, start = n * piece // pieces, n * (piece + 1) // pieces, starts[piece]
        _fill(low, high, start, A_indptr, A_indices, A_values, B_indptr, B_indices, B_values, marker, counts, indices, values)


@part
def _refill(low, high, A_indptr, A_indices, A_values, B_indptr, B_indices, B_values, marker, indptr, indices, values):
    A_indptr, A_indices, A_values = borrowed(A_indptr), borrowed(A_indices), borrowed(A_values)
    B_indptr, B_indices, B_values = borrowed(B_indptr), borrowed(B_indices), borrowed(B_values)
    for i in range(low, high):
        for place in range(indptr[i], indptr[i + 1]):
            marker[indices[place]] = place
            values[place] = 0
        for k in range(A_indptr[i], A_indptr[i + 1]):
            j, a = A_indices[k], A_values[k]
            for l in range(B_indptr[j], B_indptr[j + 1]):
                values[marker[B_indices[l]]] += a * B_values[l]


@twins
def refill(n, A_indptr, A_indices, A_values, B_indptr, B_indices, B_values, columns, indptr, indices, values):
    """Values of A B on a pattern that is known."""
    for piece in prange(PIECES):
        marker = np.zeros(columns, np.uint32)
        low, high = n * piece // PIECES, n * (piece + 1) // PIECES
        _refill(low, high, A_indptr, A_indices, A_values, B_indptr, B_indices, B_values, marker, indptr, indices, values)


@njit(**OPTIONS)
def transpose(indptr, indices, starts, columns, order):
    """The transpose's rows begin at starts and hold columns; its entry t is entry order[t] of the matrix."""
    n, m = len(indptr) - 1, len(starts) - 1
    starts[:] = 0
    for k in range(len(indices)):
        starts[indices[k] + 1] += 1
    for j in range(m):
        starts[j + 1] += starts[j]
    place = starts[:m].copy()
    for i in range(n):
        for k in range(indptr[i], indptr[i + 1]):
            t = place[indices[k]]
            place[indices[k]] = t + 1
            columns[t], order[t] = i, k


@twins
def permute(n, A_indptr, A_indices, A_values, order, inverse, indptr, indices, values):
    """Row i is row order[i] of A, its columns renumbered by inverse."""
    for i in prange(n):
        place = np.int64(indptr[i])
        for k in range(A_indptr[order[i]], A_indptr[order[i] + 1]):
            indices[place], values[place] = inverse[A_indices[k]], A_values[k]
            place += 1
