"""Blocks of columns, dense or sparse: checked, measured, multiplied and factorised without temporaries of their size."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from ...solvers import arrays
from ...solvers.arrays import WIDE, Space
from ..pod import snapshots

CHUNK = 1 << 18  # entries of a temporary: two megabytes in double precision
INDEPENDENT = 0.1  # the part of a sparse column outside a basis above which it can be had by subtracting squares


def block(E: Any, name: str, rows: int | None, columns: int | None = None) -> Any:
    """E as a finite array (n, s), or a sparse one by columns, of the size that A asks for."""
    if arrays.sparse(E):
        E = E.tocsc()
        values = E.data.astype(arrays.working_dtype(E.dtype.name), copy=False)
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite; it holds NaN or infinity")
        from scipy.sparse import csc_array

        E = csc_array((values, E.indices, E.indptr), shape=E.shape)
    else:
        E = np.asarray(arrays.to_numpy(E) if arrays.namespace(E) is not None else E)
        E = snapshots(E[:, None] if E.ndim == 1 else E, name)
    if 0 in E.shape:
        raise ValueError(f"{name} must not be empty; got the shape {E.shape}")
    for axis, (found, wanted) in enumerate(zip(E.shape, (rows, columns), strict=True)):
        if wanted is not None and found != wanted:
            raise ValueError(f"{name} must have {wanted} {('rows', 'columns')[axis]}, as A has; got the shape {E.shape}")
    return E


def chunks(rows: int, columns: int) -> Iterator[slice]:
    """Slices of rows that keep a temporary of so many columns small."""
    step = max(256, CHUNK // max(columns, 1))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def adjoint_product(A: Any, B: Any) -> np.ndarray:
    """A^H B in double precision, of dense or sparse A (n, k) and B (n, s), without a conjugate copy of either."""
    if arrays.sparse(A) or arrays.sparse(B):
        product = A.conj().T @ B
        return (product.toarray() if arrays.sparse(product) else np.asarray(product)).astype(WIDE[product.dtype.name])
    total = np.zeros((A.shape[1], B.shape[1]), WIDE[np.result_type(A.dtype, B.dtype).name])
    for part in chunks(A.shape[0], A.shape[1] + B.shape[1]):
        total += A[part].conj().T @ B[part]
    return total


def lengths(F: Any, zero: float = 1.0) -> np.ndarray:
    """||f_j|| of each column, `zero` in place of 0."""
    if arrays.sparse(F):
        F = F.tocsc()
        column = columns(F)
        largest = np.zeros(F.shape[1])
        np.maximum.at(largest, column, np.abs(F.data))
        unit = np.where(largest > 0, largest, 1.0)
        norms = largest * np.sqrt(np.bincount(column, (np.abs(F.data) / unit[column]) ** 2, F.shape[1]))
    else:
        norms = np.asarray(arrays.norm(F, Space(np, F.dtype.name, "cpu", F.shape[1])))
    return np.where(norms > 0, norms, zero)


def triangular(R: np.ndarray) -> np.ndarray:
    """The T of R = Q T, with R (n, s), n >= s, overwritten by Q: Householder QR of pieces of the rows that fit the cache.

    TSQR of Demmel, Grigori, Hoemmen and Langou, SIAM J. Sci. Comput. 34 (2012) A206.
    """
    n, s = R.shape
    if s == 1:
        length = np.linalg.norm(R)
        R /= length or 1.0
        return np.array([[length]], WIDE[R.dtype.name])
    from scipy.linalg import qr

    cuts = np.linspace(0, n, max(1, n // max(1024, 4 * s)) + 1).astype(int)
    pieces = [slice(a, b) for a, b in pairwise(cuts)]
    tops = np.empty((len(pieces) * s, s), R.dtype)
    for i, piece in enumerate(pieces):
        R[piece], tops[i * s : (i + 1) * s] = qr(R[piece], mode="economic", check_finite=False)
    if len(pieces) == 1:
        return tops.astype(WIDE[R.dtype.name])
    T = triangular(tops)
    for i, piece in enumerate(pieces):
        R[piece] = R[piece] @ tops[i * s : (i + 1) * s]
    return T


def straightened(R: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """The T of R = Q T, with R overwritten by Q, if the columns of R are almost orthonormal: gram = R^H R = T^H T by Cholesky."""
    T = np.linalg.cholesky(gram).conj().T
    inverse = np.linalg.inv(T).astype(R.dtype)
    for part in chunks(*R.shape):
        R[part] = R[part] @ inverse
    return T


def pivots(H: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(first, rest, T): H[first, first] = T^H T, the columns that are well independent, and the others."""
    from scipy.linalg import get_lapack_funcs

    s = len(H)
    if np.diag(H).real.max(initial=0.0) <= INDEPENDENT**2:
        return np.arange(0), np.arange(s), np.zeros((0, 0), H.dtype)
    (pstrf,) = get_lapack_funcs(("pstrf",), (H,))
    T, order, rank, _ = pstrf(H, tol=INDEPENDENT**2)
    return order[:rank] - 1, np.sort(order[rank:] - 1), np.triu(T[:rank, :rank])


def inserted(A: np.ndarray, at: int, rows: np.ndarray) -> np.ndarray:
    return np.concatenate([A[:at], rows, A[at:]])


def renumbered(F: Any, index: np.ndarray, rows: int) -> Any:
    """A sparse F (by columns) of only the rows that have entries: `index` says which of them an entry is in."""
    from scipy.sparse import csc_array

    return csc_array((F.data, index, F.indptr), shape=(rows, F.shape[1]))


def columns(F: Any) -> np.ndarray:
    """The column that each entry of a sparse F (by columns) is in."""
    return np.repeat(np.arange(F.shape[1]), np.diff(F.indptr))


def divided(F: Any, norms: np.ndarray) -> Any:
    """F diag(norms)^-1 of a sparse F (by columns)."""
    from scipy.sparse import csc_array

    return csc_array((F.data / norms[columns(F)].astype(F.data.real.dtype), F.indices, F.indptr), shape=F.shape)
