"""Stored forms of one matrix, and the choice among them."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import arrays
from .csr import CSR, canonical
from .dia import DIA, by_bands
from .diagonal import Diagonal
from .resident import Placed, Resident, placed, resident
from .sell import SELL, by_slices

Stored = CSR | DIA | SELL  # what the compiled kernels read
FROM = 2_000  # rows from which another form than CSR is worth making


def compact(A: Any, *, like: Any = None) -> Any:
    """A re-stored in the smallest lossless form that the compiled kernels read; what has no entries passes untouched.

    SciPy sparse arrays and matrices of any format become CSR with unsigned indices, duplicates summed, nothing dropped and
    nothing rounded; a CSR matrix in canonical form shares its memory. Compact once and hand the object around: it is its
    own warm cache. A CuPy matrix stays on its device in such a form (`Resident`), with a copy on the host. `like`, a compacted
    matrix, spares the search where A has entries at the same places. Raises ValueError if the index arrays are not those of a
    matrix.

    >>> import scipy.sparse as sp
    >>> from petrov.solvers import compact
    >>> compact(sp.eye_array(3).tocoo())
    CSR 3 x 3, 3 entries, float64, 17 bytes per row
    """
    if isinstance(A, Stored) or not arrays.sparse(A):
        return A
    if arrays.library(A) == "cupyx":
        return resident(compact(A.get(), like=getattr(like, "on_host", None)), arrays.mover(A.data))
    csr = canonical(A)
    return csr if csr.shape[0] < FROM else by_bands(csr, like) or by_slices(csr) or csr


def empty(kind: tuple[str, ...], rows: int) -> Stored:
    """A matrix of this kind (`A.kind`: its form and its types) with so many empty rows: what a kernel is compiled on."""
    form, *types = kind
    if form == "dia":
        return DIA(np.zeros((1, rows), types[0]), (0,), True, None)
    values, indices, indptr = types
    if form == "sell":
        slices, none = -(-rows // 8), CSR(np.zeros(0, values), np.zeros(0, np.uint32), np.zeros(1, np.uint32), (rows, rows), None)
        starts, bases = np.zeros(slices + 1, indptr), np.zeros(slices, np.uint32)
        return SELL(np.zeros(0, values), np.zeros(0, indices), starts, bases, (np.arange(rows) % 64).astype(np.uint8), none)
    return CSR(np.zeros(0, values), np.zeros(0, indices), np.zeros(rows + 1, indptr), (rows, rows), None)


__all__ = [
    "CSR", "DIA", "SELL", "Diagonal", "Placed", "Resident", "Stored", "by_bands", "by_slices", "canonical", "compact", "empty",
    "placed", "resident",
]  # fmt: skip
