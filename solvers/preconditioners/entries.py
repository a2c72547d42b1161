"""The entries of a matrix as a set-up needs them: stored, in canonical form; for some, of a real symmetric matrix."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import arrays
from ..operator import checked
from ..storage import CSR, canonical

ASYMMETRY = {"float64": 1e-10, "float32": 1e-5}  # max|A - A^T| / max|A| that counts as rounding


def stored_entries(A: Any, name: str) -> CSR:
    """A as a canonical CSR view; TypeError if its entries are not stored on the host. `name` is whose set-up asks."""
    A = checked(A)
    if isinstance(A, np.ndarray):
        from scipy.sparse import csr_array

        A = csr_array(A.astype(arrays.working_dtype(A.dtype.name), copy=False))
    if not hasattr(A, "tocsr"):
        raise TypeError(
            f"{name} needs the entries of A in a NumPy array or a SciPy sparse matrix; got {type(A).__name__} from "
            f"{arrays.library(A)}; use Chebyshev, which needs products alone"
        )
    return canonical(A.tocsr())


def symmetric_entries(A: Any, name: str) -> CSR:
    """The same for a real, symmetric A with a positive diagonal.

    Raises TypeError if the entries are not stored on the host or not real, ValueError if one is not finite, if A is not symmetric
    or if its diagonal is not positive.
    """
    view = stored_entries(A, name)
    csr, d = view.tocsr(), view.diagonal()
    if view.dtype.kind != "f":
        raise TypeError(f"{name} needs a real matrix; got {view.dtype}; use IncompleteCholesky or a direct solve")
    if not (d > 0).all():
        row = int(np.flatnonzero(~(d > 0))[0])
        raise ValueError(
            f"{name} needs a positive diagonal; got {d[row]:g} in row {row}, so A is not positive definite; use minres or a "
            "direct solve"
        )
    largest = max(float(csr.data.max(initial=0.0)), -float(csr.data.min(initial=0.0)))
    if not np.isfinite(largest):
        raise ValueError(f"{name} needs finite entries; A holds a NaN or infinity")
    if getattr(A, "hermitian", False):
        return view
    from ..kernels.facts import asymmetry

    deviation = float(asymmetry(view.indptr, view.indices, csr.data))
    if deviation > ASYMMETRY[view.dtype.name] * largest:
        raise ValueError(
            f"{name} needs a symmetric A; got max|A - A^T| = {deviation:.3g} beside max|A| = {largest:.3g}; use IncompleteLU "
            "with gmres"
        )
    return view
