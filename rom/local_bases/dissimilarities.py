"""How unlike snapshots are, whatever their lengths and signs: sines and principal angles of the lines or spaces they span."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

RANK = 1.5e-8  # of the largest singular value of a trajectory: directions below it are not part of its subspace


def sine_distances(U: Any, V: Any = None) -> np.ndarray:
    """sin of the angle between the lines of two vectors, sqrt(1 - |<u, v>|^2 / (|u| |v|)^2): (m, q) for the columns of U and V.

    It is the relative error of projecting v on u: no scaling, sign or phase changes it. V=None: U with itself. The Gram matrix
    gives it to eps/sine only, eps that of the type: sines below eps^(1/4) are computed as the length of v - u <u, v> instead. So
    the absolute error is some eps^(3/4) (2e-12) at most and some eps for the smallest: more than enough to sort by. float64.
    n m q multiply-adds, and as many slower ones if all vectors are nearly parallel. Raises ValueError for a zero vector and NaN.
    Daniel, Casenave, Akkari and Ryckelynck, arXiv:2108.12291.

    >>> import numpy as np
    >>> from petrov.rom.local_bases.dissimilarities import sine_distances
    >>> sine_distances(np.array([[1.0, -2.0, 1.0], [0.0, 0.0, 1e-12]]))[0]
    array([0.e+00, 0.e+00, 1.e-12])
    """
    U, W = checked_columns(U), checked_columns(U if V is None else V)
    dtype = np.result_type(U, W)
    U, W = normalised_columns(U.astype(dtype, copy=False)), normalised_columns(W.astype(dtype, copy=False))
    C = U.conj().T @ W
    D = np.sqrt(np.maximum((1 - np.abs(C)) * (1 + np.abs(C)), 0)).astype(np.float64)
    limit = float(np.finfo(C.dtype).eps) ** 0.25
    for i in range(len(D)):
        close = np.flatnonzero(D[i, i + 1 :] < limit) + i + 1 if V is None else np.flatnonzero(D[i] < limit)
        if close.size:
            D[i, close] = np.linalg.norm(W[:, close] - U[:, [i]] * C[i, close], axis=0)
    if V is None:
        D = np.triu(D, 1)
        D = D + D.T
    return D


def subspace_distances(blocks: list[np.ndarray], kind: str = "grassmann", directions: int | None = None) -> np.ndarray:
    """Distances (m, m) of the ranges of m arrays (n, r_i), from their principal angles t_1, t_2, ...

    kind 'grassmann': sqrt(sum t^2); 'sine': sqrt(sum sin^2 t). Between subspaces of dimensions p and q the missing |p - q|
    angles count as right ones, which keeps a metric: Ye and Lim, SIAM J. Matrix Anal. Appl. 37 (2016) 1176. A range is spanned by
    the left singular vectors above 1.5e-8 of the largest singular value, or by the leading `directions` of them at most: every
    angle counts alike, so directions of noise must be left out. Distances below eps^(1/4) are computed once more from sines
    (Bjorck and Golub, Math. Comp. 27 (1973) 579): errors as those of `sine_distances`. float64; memory: 2 m n max(r) numbers.

    >>> import numpy as np
    >>> from petrov.rom.local_bases.dissimilarities import subspace_distances
    >>> I = np.eye(3)
    >>> subspace_distances([I[:, :1], I[:, 1:]], "sine").round(6).tolist()
    [[0.0, 1.414214], [1.414214, 0.0]]
    """
    right = {"grassmann": math.pi / 2, "sine": 1.0}[kind] ** 2
    bases = [subspace(block, directions) for block in blocks]
    sizes = np.array([basis.shape[1] for basis in bases])
    stacked = np.zeros((len(bases), len(bases[0]), sizes.max()), np.result_type(*bases))
    for place, basis in zip(stacked, bases, strict=True):
        place[:, : basis.shape[1]] = basis
    eps = float(np.finfo(stacked.dtype).eps)
    D = np.zeros((len(bases), len(bases)))
    for i, Q in enumerate(bases):
        cosines = np.linalg.svd(Q.conj().T @ stacked[:i], compute_uv=False) if i else np.zeros((0, sizes[i]))
        real = np.arange(cosines.shape[1]) < sizes[:i, None]  # the others are zero columns
        total = np.where(real, squared_angles(np.arccos(np.minimum(cosines, 1)), kind), 0).sum(axis=1)
        D[i, :i] = np.sqrt(total + right * np.abs(sizes[:i] - sizes[i]))
        for j in np.flatnonzero(D[i, :i] < eps**0.25):
            sines = np.linalg.svd(bases[j] - Q @ (Q.conj().T @ bases[j]), compute_uv=False)
            D[i, j] = math.sqrt(squared_angles(np.arcsin(np.minimum(sines, 1)), kind).sum())
    return D + D.T


def subspace(block: np.ndarray, directions: int | None) -> np.ndarray:
    """An orthonormal basis of the range of (n, r)."""
    U, s, _ = np.linalg.svd(checked_columns(block), full_matrices=False)
    if s.max(initial=0.0) == 0:
        raise ValueError("a snapshot is zero: it has no direction; leave it out")
    return U[:, : min(int((s > RANK * s[0]).sum()), directions or len(s))]


def squared_angles(angles: np.ndarray, kind: str) -> np.ndarray:
    """What each principal angle adds to the square of a distance."""
    return angles**2 if kind == "grassmann" else np.sin(angles) ** 2


def pairwise(function: Callable[[np.ndarray, np.ndarray], Any], given: list[np.ndarray]) -> np.ndarray:
    """function(u_i, u_j) for i < j, as a symmetric matrix; single fields go in as (n,)."""
    flat = [item[:, 0] if item.ndim == 2 and item.shape[1] == 1 else item for item in given]
    D = np.zeros((len(flat), len(flat)))
    for i, u in enumerate(flat):
        D[i, i + 1 :] = [float(function(u, v)) for v in flat[i + 1 :]]
    return D + D.T


def checked_dissimilarities(D: Any) -> np.ndarray:
    """D as a checked array (m, m)."""
    D = np.asarray(D)
    if D.ndim != 2 or D.shape[0] != D.shape[1] or D.dtype.kind not in "fiub":
        raise ValueError(f"dissimilarities must be a square array of real numbers (m, m); got shape {D.shape}, {D.dtype}")
    D = D.astype(np.float64)
    if not np.isfinite(D).all() or (D < 0).any():
        raise ValueError("dissimilarities must be finite and nonnegative")
    largest = D.max(initial=0.0)
    if np.abs(D - D.T).max(initial=0.0) > 1e-8 * largest or np.abs(D.diagonal()).max(initial=0.0) > 1e-8 * largest:
        raise ValueError("dissimilarities must be symmetric with a zero diagonal; give (D + D.T) / 2 less its diagonal")
    return D


def checked_columns(U: Any) -> np.ndarray:
    """U as a checked array (n, m) of floating-point numbers."""
    U = np.asarray(U)
    if U.ndim != 2 or U.shape[0] == 0 or U.dtype.kind not in "fciub":
        raise ValueError(f"expected an array (n, m) of numbers, a vector a column; got shape {U.shape}, {U.dtype}")
    U = U if U.dtype.kind in "fc" else U.astype(np.float64)
    if not np.isfinite(U).all():
        raise ValueError("the vectors must be finite; they hold NaN or infinity")
    return U


def normalised_columns(U: np.ndarray) -> np.ndarray:
    """The columns divided by their lengths, at any scale; ValueError if one is zero."""
    largest = np.abs(U).max(axis=0)
    if (largest == 0).any():
        zero = np.flatnonzero(largest == 0)
        raise ValueError(f"column {zero[0]} is zero ({zero.size} of {largest.size} are): it has no direction; leave it out")
    U = U / largest
    return U / np.linalg.norm(U, axis=0)
