"""What recognise.py asks of the entries of a real CSR matrix, one pass each; its NumPy form is the readable twin."""

from __future__ import annotations

import numpy as np
from numba import prange

from .borrow import borrowed
from .compiler import njit
from .threads import CHUNK, OPTIONS, part, twins

LARGEST, LEAST, MOST, EXCESS, POSITIVE, SUMS, EMPTY = range(7)  # columns of `rows`' answer


@part
def _rows(low, high, indptr, indices, values, eps, answer):
    """Fold the facts of rows low..high into one line of answers."""
    indptr, indices, values = borrowed(indptr), borrowed(indices), borrowed(values)
    for i in range(low, high):
        d, size, total = 0.0, 0.0, 0.0
        for k in range(indptr[i], indptr[i + 1]):
            value = np.float64(values[k])
            size += abs(value)
            total += value
            answer[LARGEST] = max(answer[LARGEST], abs(value))
            if indices[k] == i:
                d = value
            elif value > 0:
                answer[POSITIVE] += 1
        answer[LEAST], answer[MOST] = min(answer[LEAST], d), max(answer[MOST], d)
        answer[EXCESS] = min(answer[EXCESS], 2 * abs(d) - size * (1 - 1e-12))
        answer[SUMS] = max(answer[SUMS], abs(total) - 64 * eps * size)
        if size == 0.0:
            answer[EMPTY] = min(answer[EMPTY], i)


@twins
def rows(n, indptr, indices, values, eps):
    """By column: max |a_ij|; least and most a_ii; min of 2 |a_ii| - sum_j |a_ij|, below zero where A is not diagonally dominant;
    positive entries off the diagonal; max of |sum_j a_ij| beyond its rounding; the first row without a nonzero (else n)."""
    chunks = (n + CHUNK - 1) // CHUNK
    answers = np.zeros((chunks, 7))
    for chunk in prange(chunks):
        answers[chunk, LEAST], answers[chunk, MOST] = np.inf, -np.inf
        answers[chunk, EXCESS], answers[chunk, SUMS], answers[chunk, EMPTY] = np.inf, -np.inf, n
        _rows(chunk * CHUNK, min(chunk * CHUNK + CHUNK, n), indptr, indices, values, eps, answers[chunk])
    return answers


@njit(**OPTIONS)
def asymmetry(indptr, indices, values):
    """max |a_ij - a_ji|, rows sorted. Rows are met in order, so the partners of a row's entries beyond the diagonal are met in
    the order of that row: one pointer a row finds them all, and nothing is transposed."""
    n = len(indptr) - 1
    beyond = np.empty(n, indptr.dtype)  # the first entry of row j beyond the diagonal without a partner yet
    deviation = 0.0
    for i in range(n):
        beyond[i] = indptr[i + 1]
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            if j > i:
                beyond[i] = k
                break
            if j == i:
                continue
            partner = values[k] * 0
            while beyond[j] < indptr[j + 1] and indices[beyond[j]] <= i:
                if indices[beyond[j]] == i:
                    partner = values[beyond[j]]
                else:  # an entry beyond the diagonal that has none before it
                    deviation = max(deviation, abs(values[beyond[j]]))
                beyond[j] += 1
            deviation = max(deviation, abs(values[k] - partner))
    for j in range(n):
        for k in range(beyond[j], indptr[j + 1]):
            deviation = max(deviation, abs(values[k]))
    return deviation


@twins
def alone(n, indptr, indices, values, single):
    """single[i]: the diagonal holds the only nonzero of row i."""
    for i in prange(n):
        others, own = 0, False
        for k in range(indptr[i], indptr[i + 1]):
            if values[k] != 0:
                if indices[k] == i:
                    own = True
                else:
                    others += 1
        single[i] = own and others == 0
