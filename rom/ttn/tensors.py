"""Matrices along one axis of a tensor, in any array library: the only products that trees need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...solvers import arrays

COMPILED = ("float64", "complex128")  # types that there are kernels for: compiling them takes seconds each


def namespace(x: Any) -> Any:
    """The array namespace of x; NumPy for what is no array."""
    return np if type(x) is np.ndarray else arrays.namespace(x) or np


def is_complex(x: Any) -> bool:
    return x.dtype.kind == "c" if type(x) is np.ndarray else arrays.dtype_name(x).startswith("complex")


def conjugate(x: Any) -> Any:
    """The complex conjugate; x itself if it is real."""
    return namespace(x).conj(x) if is_complex(x) else x


def adjoint(M: Any) -> Any:
    """M^H."""
    return conjugate(M).T


def matrix(core: Any) -> Any:
    """The core (..., r) as a matrix (all other axes, r): a view."""
    return namespace(core).reshape(core, (-1, core.shape[-1]))


def along(M: Any, X: Any, axis: int) -> Any:
    """M (m', m) times the given axis, of length m, of X."""
    xp, shape = namespace(X), tuple(X.shape)
    if axis == len(shape) - 1:
        return xp.reshape(xp.reshape(X, (-1, shape[-1])) @ M.T, (*shape[:-1], M.shape[0]))
    before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    product = M @ xp.reshape(X, (before, shape[axis], after) if before > 1 else (shape[axis], after))
    return xp.reshape(product, (*shape[:axis], M.shape[0], *shape[axis + 1 :]))


def unfolding(X: Any, axis: int) -> Any:
    """X as a matrix (all other axes in order, the given axis)."""
    if axis != X.ndim - 1:
        order = (*range(axis), *range(axis + 1, X.ndim), axis)
        X = X.transpose(order) if type(X) is np.ndarray else namespace(X).permute_dims(X, order)
    return X.reshape(-1, X.shape[-1]) if type(X) is np.ndarray else namespace(X).reshape(X, (-1, X.shape[-1]))


def compilable(*matrices: Any) -> bool:
    """Whether compiled code takes them: NumPy matrices of one type in COMPILED."""
    first = matrices[0].dtype
    return all(type(M) is np.ndarray and M.dtype == first and M.size for M in matrices) and first.name in COMPILED


def qr(M: Any) -> tuple[Any, Any]:
    """(Q, R), thin."""
    if not compilable(M):
        return namespace(M).linalg.qr(M)
    from . import compiled_factors

    return compiled_factors.qr(np.ascontiguousarray(M))


def eye(n: int, like: Any) -> Any:
    """The identity matrix of the library, type and device of `like`."""
    if type(like) is np.ndarray:
        return np.eye(n, dtype=like.dtype)
    return namespace(like).eye(n, dtype=like.dtype, device=arrays.device(like))


def placed(x: Any, like: Any) -> Any:
    """The host array x in the library and on the device of `like`, and of its precision: complex if one of them is."""
    dtype = like.dtype.name if type(like) is np.ndarray else arrays.dtype_name(like)
    if x.dtype.kind == "c" and not dtype.startswith("complex"):
        dtype = {"float32": "complex64", "float64": "complex128"}[dtype]
    x = np.ascontiguousarray(x, dtype=dtype)
    return x if type(like) is np.ndarray else namespace(like).asarray(x, device=arrays.device(like))


def norm(x: Any) -> float:
    """The 2-norm of all entries, read on the host; also of entries whose squares overflow or vanish."""
    size = plain_norm(x)
    if 1e-18 < size < 1e18:  # in single precision squares end at 1e-38 and 1e38
        return size
    xp = namespace(x)
    peak = arrays.host(xp.max(xp.abs(x))) if math.prod(x.shape) else 0.0
    return peak * plain_norm(x / peak) if 0.0 < peak < math.inf else peak


def plain_norm(x: Any) -> float:
    if type(x) is np.ndarray:
        with np.errstate(over="ignore"):
            return math.sqrt(np.vdot(x, x).real)
    return arrays.host(vector_norm(x))


def all_finite(*cores: Any) -> bool:
    """Whether all numbers are; by one read."""
    return bool(np.all(read([namespace(core).all(namespace(core).isfinite(core)) for core in cores])))


def vector_norm(x: Any) -> Any:
    """The 2-norm of all entries, where x is."""
    xp = namespace(x)
    return xp.linalg.vector_norm(xp.reshape(x, (-1,)))


def read(numbers: Sequence[Any]) -> np.ndarray:
    """0-d arrays of one library and kind (real) on the host, by one read."""
    if isinstance(numbers[0], np.ndarray | np.generic):
        return np.array(numbers)
    return arrays.to_numpy(namespace(numbers[0]).stack([*numbers]))
