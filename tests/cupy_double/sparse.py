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


def fill(module: types.ModuleType) -> None:
    for kind in (csr_matrix, csr_array):
        setattr(module, kind.__name__, type(kind.__name__, (kind,), {"__module__": "cupyx.scipy.sparse._csr"}))
