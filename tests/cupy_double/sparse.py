"""cupyx.scipy.sparse of the double: CSR alone, products by SciPy."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import scipy.sparse as sp

from .array import ndarray, unwrapped


class csr_matrix:
    """A CSR matrix whose three arrays are of the double."""

    format = "csr"

    def __init__(self, given: Any, shape: tuple[int, int] | None = None) -> None:
        if isinstance(given, tuple):
            self.data, self.indices, self.indptr = given
            self.shape = tuple(shape)  # type: ignore[arg-type]
        else:
            csr = sp.csr_matrix(given)
            self.data, self.indices, self.indptr = (ndarray(part.copy()) for part in (csr.data, csr.indices, csr.indptr))
            self.shape = csr.shape
        if self.data.dtype.char not in "?fdFD":
            raise ValueError("Only bool, float32, float64, complex64 and complex128 are supported")

    dtype = property(lambda self: self.data.dtype)
    nnz = property(lambda self: self.data.size)
    has_canonical_format = True

    @property
    def host(self) -> Any:
        return sp.csr_matrix((self.data.value, self.indices.value, self.indptr.value), shape=self.shape)

    def tocsr(self) -> csr_matrix:
        return self

    def get(self, stream: Any = None) -> Any:
        for part in (self.data, self.indices, self.indptr):
            part.get()
        return self.host

    def __matmul__(self, x: Any) -> Any:
        return ndarray(np.asarray(self.host @ unwrapped(x, "a sparse product")))

    def diagonal(self) -> Any:
        return ndarray(self.host.diagonal())

    def astype(self, dtype: Any) -> csr_matrix:
        return csr_matrix((self.data.astype(dtype), self.indices, self.indptr), self.shape)


class csr_array(csr_matrix):
    pass


class LinearOperator:
    def __init__(self, shape: tuple[int, int], matvec: Any, dtype: Any = None) -> None:
        self.shape, self.matvec, self.dtype = shape, matvec, dtype


def cg(A: Any, b: Any, x0: Any = None, *, rtol: float = 1e-5, atol: float = 0.0, maxiter: Any = None, M: Any = None) -> tuple[Any, int]:
    """That of CuPy by its arguments, the textbook's by its loop."""
    r = b.value.copy()
    x, limit, rho_old, p = np.zeros_like(r), max(atol, rtol * np.linalg.norm(r)), 0.0, r
    for step in range(maxiter or 10 * len(r)):
        z = r if M is None else M.matvec(ndarray(r)).value
        rho = r @ z
        p = z.copy() if step == 0 else z + rho / rho_old * p
        q = (A @ ndarray(p)).value
        alpha, rho_old = rho / (p @ q), rho
        x, r = x + alpha * p, r - alpha * q
        if np.linalg.norm(r) <= limit:
            return ndarray(x), 0
    return ndarray(x), maxiter or 10 * len(r)


def fill(module: types.ModuleType) -> None:
    module.linalg.LinearOperator, module.linalg.cg = LinearOperator, cg
    for kind in (csr_matrix, csr_array):
        setattr(module, kind.__name__, type(kind.__name__, (kind,), {"__module__": "cupyx.scipy.sparse._csr"}))
