"""torch on a GPU: its matrices and vectors as CuPy's, over the same memory, and back."""

from __future__ import annotations

import importlib.util
from typing import Any

from .. import arrays


def on_gpu(x: Any) -> bool:
    """Whether x is a tensor of torch on a GPU that CuPy can reach."""
    return arrays.library(x) == "torch" and bool(getattr(x, "is_cuda", False)) and importlib.util.find_spec("cupy") is not None


def matrix(A: Any) -> Any:
    """A sparse tensor of torch on a GPU as a CSR matrix of CuPy, its values shared, its indices in 32 bits where they fit;
    anything else as it is."""
    if not on_gpu(A) or str(A.layout) == "torch.strided":
        return A
    import cupy
    from cupyx.scipy import sparse

    A = A.detach()
    if str(A.layout) == "torch.sparse_csr":
        values, columns, starts = (cupy.from_dlpack(part) for part in (A.values(), A.col_indices(), A.crow_indices()))
    else:
        entries = A.to_sparse_coo().coalesce()  # row after row
        values, (rows, columns) = cupy.from_dlpack(entries.values()), map(cupy.from_dlpack, entries.indices().unbind())
        counts = cupy.bincount(rows, minlength=A.shape[0])
        starts = cupy.concatenate([cupy.zeros(1, counts.dtype), cupy.cumsum(counts)])
    index = cupy.int32 if max(values.shape[0], *A.shape) < 2**31 else cupy.int64
    return sparse.csr_matrix((values, columns.astype(index), starts.astype(index)), shape=tuple(A.shape))


def vector(x: Any) -> Any:
    """A tensor of torch on a GPU as an array of CuPy, its memory shared; anything else as it is."""
    if not on_gpu(x):
        return x
    import cupy

    return cupy.from_dlpack(x.detach())


def like(b: Any, x: Any) -> Any:
    """x as b is: a tensor of torch, its memory shared, where b is one and x is CuPy's."""
    if not (arrays.library(b) == "torch" and arrays.library(x) == "cupy"):
        return x
    import torch

    return torch.from_dlpack(x)


__all__ = ["like", "matrix", "on_gpu", "vector"]
