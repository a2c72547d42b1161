"""Operators on one leg: dense, sparse, a diagonal, a callable; None is the identity."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...solvers import arrays
from ..homes import home, on_device
from .tensors import eye, namespace, placed

SMALL = 32  # legs up to this length hold their operators as dense matrices


def checked(op: Any, n: int, leaf: int) -> Any:
    """op, if it can act on a leg of length n (a LinearOperator: its product); TypeError or ValueError if not. CuPy's are read."""
    if op is None or is_function(op):
        return op
    by_products = callable(op)
    if arrays.library(op) in ("cupy", "cupyx"):
        op = op.get()
    if arrays.sparse(op):
        op = op.tocsr() if op.format in ("lil", "dok") else op  # the others have their numbers in `data`
    elif not by_products:
        op = np.asarray(op)
        if op.dtype.kind not in "biufc":
            raise TypeError(f"the operator of leaf {leaf} must hold numbers, or be sparse or callable; got {op.dtype}")
    if tuple(op.shape) not in ((n, n), (n,)):
        raise ValueError(f"the operator of leaf {leaf} must have the shape ({n}, {n}), or ({n},) for a diagonal; got {op.shape}")
    if by_products:
        return op.__matmul__
    if not np.isfinite(op.data if arrays.sparse(op) else op).all():
        raise ValueError(f"the operator of leaf {leaf} holds NaN or infinity")
    return op


def dense(op: Any, n: int) -> np.ndarray:
    """The matrix (n, n) on the host."""
    if op is None:
        return np.eye(n)
    if is_function(op):
        return np.asarray(op(np.eye(n)))
    if arrays.sparse(op):
        return np.asarray(op.toarray())
    return np.diag(op) if op.ndim == 1 else op


def stackable(ops: Sequence[Any], n: int) -> bool:
    """Whether the operators are held as one dense stack: all are dense, or the leg is short."""
    return n <= SMALL or all(op is None or (not arrays.sparse(op) and getattr(op, "ndim", 0) == 2) for op in ops)


def stacked(ops: Sequence[Any], n: int, like: Any) -> Any:
    """All as dense matrices (len(ops), n, n) in the library of `like`; functions are called with its arrays."""
    if not on_device(like):
        return placed(np.stack([dense(op, n) for op in ops]), like)
    xp = namespace(like)
    found = [guarded(op)(eye(n, like)) if is_function(op) else placed(dense(op, n), like) for op in ops]
    dtype = xp.result_type(*found)
    return xp.stack([xp.astype(M, dtype, copy=False) for M in found])


def is_function(op: Any) -> bool:
    return callable(op) and not hasattr(op, "shape")


def guarded(op: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of the user for arrays of CuPy; TypeError, with the remedy, if it takes or gives others."""
    remedy = "a leg operator that is a function gets the arrays of the state, here CuPy's, and must return such"

    def product(X: Any) -> Any:
        try:
            result = op(X)
        except TypeError as error:
            raise TypeError(f"{remedy}: {error}. Write it for them, or give a matrix, sparse or dense, or a diagonal") from error
        if not on_device(result):
            raise TypeError(f"{remedy}; it returned {home(result)}")
        return result

    return product


def action(op: Any, like: Any) -> Callable[[Any], Any]:
    """The function X (pre, n, post) -> op along the middle axis, with what op holds in the library of `like`."""
    xp = namespace(like)
    if op is None:
        return lambda X: X
    if isinstance(op, np.ndarray):
        moved = placed(op, like) if op.ndim == 2 else placed(op, like)[:, None]
        return (lambda X: moved @ X) if op.ndim == 2 else (lambda X: moved * X)
    if is_function(op):
        product = guarded(op) if on_device(like) else op
    else:
        matrix = sparse_of_library(op, like)

        def product(X: Any) -> Any:
            return matrix @ X

    def along_middle(X: Any) -> Any:
        pre, n, post = X.shape
        if pre == 1:
            return xp.reshape(product(xp.reshape(X, (n, post))), (1, -1, post))
        rows = product(xp.reshape(xp.permute_dims(X, (1, 0, 2)), (n, pre * post)))
        return xp.permute_dims(xp.reshape(rows, (-1, pre, post)), (1, 0, 2))

    return along_middle


def sparse_of_library(op: Any, like: Any) -> Any:
    """A SciPy matrix as it is for NumPy, on the device for CuPy; TypeError for a library without a sparse product."""
    if type(like) is np.ndarray:
        return op
    if arrays.library(like) == "cupy":
        import cupyx.scipy.sparse

        return cupyx.scipy.sparse.csr_matrix(op)
    raise TypeError(f"no sparse operators with arrays of {arrays.library(like)}: hand over dense ones, diagonals or callables")


def scale(op: Any, n: int) -> float:
    """A size of op, to weigh terms by: the Frobenius norm over sqrt(n), 1 for the identity and for callables."""
    if op is None or is_function(op):
        return 1.0
    values = op.data if arrays.sparse(op) else op
    return float(np.linalg.norm(np.ravel(values))) / math.sqrt(n)
