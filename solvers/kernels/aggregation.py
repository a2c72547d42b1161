"""Strength of coupling, aggregates of nodes, and the tentative prolongator. A node holds `block` unknowns in a row."""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from .borrow import borrowed
from .compiler import njit
from .threads import CHUNK, OPTIONS, part, twins


@part
def _strong_rows(low, high, indptr, indices, values, threshold, diagonal, strong):
    indptr, indices, values, diagonal, strong = (
        borrowed(indptr), borrowed(indices), borrowed(values), borrowed(diagonal), borrowed(strong)
    )  # fmt: skip
    for i in range(low, high):
        bound = threshold * threshold * diagonal[i]
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            strong[k] = j == i or values[k] * values[k] > bound * diagonal[j]


@twins
def strong_rows(n, indptr, indices, values, threshold, diagonal, strong):
    """strong[k]: a_ij^2 > threshold^2 a_ii a_jj, or on the diagonal."""
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = np.int64(chunk) * CHUNK
        _strong_rows(low, min(low + CHUNK, n), indptr, indices, values, threshold, diagonal, strong)


@part
def _filtered(low, high, block, indptr, indices, values, strong, diagonal, counts, lumped, sums):
    indptr, indices, values, strong = borrowed(indptr), borrowed(indices), borrowed(values), borrowed(strong)
    for i in range(low, high):
        kept, found, size, squares, node = 0.0, 0, 0.0, 0.0, np.int64(-1)
        for k in range(indptr[i], indptr[i + 1]):
            found += strong[k]
            if not strong[k] or indices[k] == i:
                kept += values[k]
            elif block == 1:
                size += abs(values[k])
            else:
                other = np.int64(indices[k]) // block
                if other != node:
                    size, squares, node = size + math.sqrt(squares), 0.0, other
                squares += values[k] * values[k]
        lumped[i] = kept if kept > 0.1 * diagonal[i] else diagonal[i]
        counts[i], sums[i] = found, lumped[i] + size + math.sqrt(squares)


@twins
def filtered(n, block, indptr, indices, values, strong, diagonal, counts, lumped, sums):
    """By row of A_F: its entries, its diagonal (a_ii and the weak entries; a_ii alone where these take nearly all of it), and
    the sum of the sizes of its entries, those of one node taken together by their Euclidean norm."""
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = np.int64(chunk) * CHUNK
        _filtered(low, min(low + CHUNK, n), block, indptr, indices, values, strong, diagonal, counts, lumped, sums)


@njit(**OPTIONS)
def complete(indptr, indices, values):
    """Put 1 on a diagonal that is zero."""
    for i in range(len(indptr) - 1):
        for k in range(indptr[i], indptr[i + 1]):
            if indices[k] == i and values[k] == 0:
                values[k] = 1


@njit(**OPTIONS)
def condense(nodes, block, indptr, indices, values, node_indptr, node_indices, node_values):
    """The matrix of nodes: the Frobenius norms of the blocks. Returns its number of entries; rows come in no order."""
    place = np.full(nodes, -1, np.int64)
    filled = 0
    for node in range(nodes):
        first = filled
        node_indptr[node] = first
        for row in range(node * block, (node + 1) * block):
            for k in range(indptr[row], indptr[row + 1]):
                other = np.int64(indices[k]) // block
                if place[other] < first:
                    place[other] = filled
                    node_indices[filled] = other
                    node_values[filled] = 0
                    filled += 1
                node_values[place[other]] += values[k] * values[k]
        for t in range(first, filled):
            node_values[t] = np.sqrt(node_values[t])
    node_indptr[nodes] = filled
    return filled


@njit(**OPTIONS)
def aggregate(indptr, indices, values, strong, home):
    """home[i] = the aggregate of node i, -1 for a node without strong neighbours; returns the number of aggregates.

    Three passes over the nodes in order: a node none of whose strong neighbours is taken takes them all; one that is left joins
    the aggregate of its strongest neighbour; what is still left gathers what is left around it. Vanek, Mandel and Brezina,
    Computing 56 (1996), Algorithm 5.1.
    """
    n = len(home)
    home[:] = -1
    count = 0
    for i in range(n):
        if home[i] >= 0:
            continue
        free, alone = True, True
        for k in range(indptr[i], indptr[i + 1]):
            if strong[k] and indices[k] != i:
                alone = False
                if home[indices[k]] >= 0:
                    free = False
                    break
        if alone:
            home[i] = -2
        elif free:
            home[i] = count
            for k in range(indptr[i], indptr[i + 1]):
                if strong[k]:
                    home[indices[k]] = count
            count += 1
    taken = home.copy()
    for i in range(n):
        if taken[i] == -1:
            most = 0.0
            for k in range(indptr[i], indptr[i + 1]):
                if strong[k] and taken[indices[k]] >= 0 and abs(values[k]) > most:
                    most = abs(values[k])
                    home[i] = taken[indices[k]]
    for i in range(n):
        if home[i] == -1:
            home[i] = count
            for k in range(indptr[i], indptr[i + 1]):
                if strong[k] and home[indices[k]] == -1:
                    home[indices[k]] = count
            count += 1
    for i in range(n):
        home[i] = max(home[i], -1)
    return count


@njit(**OPTIONS)
def members(home, count, starts, nodes):
    """The nodes of every aggregate, in order: those of aggregate a stand at starts[a] to starts[a + 1]."""
    starts[:] = 0
    for i in range(len(home)):
        if home[i] >= 0:
            starts[home[i] + 1] += 1
    for a in range(count):
        starts[a + 1] += starts[a]
    place = starts[:count].copy()
    for i in range(len(home)):
        if home[i] >= 0:
            nodes[place[home[i]]] = i
            place[home[i]] += 1


@twins
def orthonormalise(n, block, starts, nodes, candidates, tentative, coarse):
    """On every aggregate, candidates = Q R by modified Gram-Schmidt: Q into `tentative`, R into `coarse` (aggregates k, k).

    A column that depends on those before it (its remainder below 1e-8 of it) becomes zero.
    """
    k = candidates.shape[1]
    for a in prange(len(starts) - 1):
        for column in range(k):
            before = 0.0
            for m in range(starts[a], starts[a + 1]):
                for row in range(nodes[m] * block, (nodes[m] + 1) * block):
                    tentative[row, column] = candidates[row, column]
                    before += candidates[row, column] ** 2
            for other in range(column):
                along = 0.0
                for m in range(starts[a], starts[a + 1]):
                    for row in range(nodes[m] * block, (nodes[m] + 1) * block):
                        along += tentative[row, other] * tentative[row, column]
                for m in range(starts[a], starts[a + 1]):
                    for row in range(nodes[m] * block, (nodes[m] + 1) * block):
                        tentative[row, column] -= along * tentative[row, other]
                coarse[a * k + other, column] = along
            left = 0.0
            for m in range(starts[a], starts[a + 1]):
                for row in range(nodes[m] * block, (nodes[m] + 1) * block):
                    left += tentative[row, column] ** 2
            length = np.sqrt(left) if left > 1e-16 * before else 0.0
            for m in range(starts[a], starts[a + 1]):
                for row in range(nodes[m] * block, (nodes[m] + 1) * block):
                    tentative[row, column] = tentative[row, column] / length if length > 0 else 0.0
            coarse[a * k + column, column] = length


@twins
def smoother_rows(n, indptr, indices, values, strong, lumped, weights, starts, columns, entries):
    """I - W A_F, A_F what is strong of A with the diagonal `lumped`, W = diag(weights), rows beginning at starts."""
    for i in prange(n):
        place = starts[i]
        for k in range(indptr[i], indptr[i + 1]):
            if strong[k]:
                columns[place] = indices[k]
                entries[place] = 1.0 - weights[i] * lumped[i] if indices[k] == i else -weights[i] * values[k]
                place += 1
