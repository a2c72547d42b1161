"""Stored forms of one matrix, and the choice among them."""

from __future__ import annotations

from typing import Any

from .. import arrays
from .csr import CSR, check_indices, view
from .diagonal import Diagonal


def compact(A: Any) -> Any:
    """A re-stored in the smallest lossless form that the compiled kernels read; what has no entries passes untouched.

    SciPy sparse arrays and matrices of any format become CSR with unsigned indices, duplicates summed, nothing dropped and
    nothing rounded; a CSR matrix in canonical form shares its memory. Compact once and hand the object around: it is its
    own warm cache. Raises ValueError if the index arrays are not those of a matrix.

    >>> import scipy.sparse as sp
    >>> from petrov.solvers import compact
    >>> compact(sp.eye_array(3).tocoo())
    CSR 3 x 3, 3 entries, float64, 17 bytes per row
    """
    if isinstance(A, CSR) or not arrays.sparse(A):
        return A
    if not arrays.compressed(A):
        check_indices(A)
    csr = A.tocsr()
    checked = view(csr)  # before SciPy's own C++ walks the indices
    if csr.has_canonical_format:
        return checked
    csr = csr.copy()
    csr.sum_duplicates()
    return view(csr)


__all__ = ["CSR", "Diagonal", "compact"]
