"""Operators on one leg: dense, sparse, a diagonal, a callable; None is the identity."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...solvers import arrays
from .tensors import namespace, placed

SMALL = 32  # legs up to this length hold their operators as dense matrices


def checked(op: Any, n: int, leaf: int) -> Any:
    """op, if it can act on a leg of length n (a LinearOperator: its product); TypeError or ValueError if not. CuPy's are read."""
    if op is None or (callable(op) and not hasattr(op, "shape")):
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
    if callable(op) and not hasattr(op, "shape"):
        return np.asarray(op(np.eye(n)))
    if arrays.sparse(op):
        return np.asarray(op.toarray())
    return np.diag(op) if op.ndim == 1 else op


def stackable(ops: Sequence[Any], n: int) -> bool:
    """Whether the operators are held as one dense stack: all are dense, or the leg is short."""
    return n <= SMALL or all(op is None or (not arrays.sparse(op) and getattr(op, "ndim", 0) == 2) for op in ops)


def stacked(ops: Sequence[Any], n: int, like: Any) -> Any:
    """All as dense matrices (len(ops), n, n) in the library of `like`."""
    return placed(np.stack([dense(op, n) for op in ops]), like)


def action(op: Any, like: Any) -> Callable[[Any], Any]:
    """The function X (pre, n, post) -> op along the middle axis, with what op holds in the library of `like`."""
    xp = namespace(like)
    if op is None:
        return lambda X: X
    if isinstance(op, np.ndarray):
        moved = placed(op, like) if op.ndim == 2 else placed(op, like)[:, None]
        return (lambda X: moved @ X) if op.ndim == 2 else (lambda X: moved * X)
    matrix = op if callable(op) and not hasattr(op, "shape") else sparse_of_library(op, like)
    product = matrix if matrix is op and callable(op) else lambda X: matrix @ X

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
    if op is None or (callable(op) and not hasattr(op, "shape")):
        return 1.0
    values = op.data if arrays.sparse(op) else op
    return float(np.linalg.norm(np.ravel(values))) / math.sqrt(n)
