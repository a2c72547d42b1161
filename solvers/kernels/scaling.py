"""How far one matrix is from another whose rows and columns are scaled, in one pass over the entries of both."""

from __future__ import annotations

import numpy as np
from numba import prange

from .borrow import borrowed
from .threads import CHUNK, part, twins


@part
def _deviation(low, high, indptr, indices, known, values, left, right, sizes):
    indptr, indices, known, values = borrowed(indptr), borrowed(indices), borrowed(known), borrowed(values)
    left, right, sizes = borrowed(left), borrowed(right), borrowed(sizes)
    worst = 0.0
    for i in range(low, high):
        for k in range(indptr[i], indptr[i + 1]):
            j = indices[k]
            factor = left[i] * right[j]
            off = abs(values[k] - known[k] * factor) / abs(sizes[j] * factor)
            if not off <= worst:
                worst = off if off == off else np.inf
    return worst


@twins
def deviation(n, indptr, indices, known, values, left, right, sizes):
    """max |values_ij - l_i known_ij r_j| / |l_i sizes_j r_j| by chunk of rows; infinity for what is no number."""
    chunks = (n + CHUNK - 1) // CHUNK
    worst = np.zeros(chunks)
    for chunk in prange(chunks):
        low = np.int64(chunk) * CHUNK
        worst[chunk] = _deviation(low, min(low + CHUNK, n), indptr, indices, known, values, left, right, sizes)
    return worst
