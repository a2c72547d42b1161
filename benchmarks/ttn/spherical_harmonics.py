"""Directions as matrices between spherical harmonics: the P_N equations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import scipy.sparse as sp


def orders(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """(l, m) of all spherical harmonics up to a degree; m < 0 are sines. Number l^2 + l + m."""
    l = np.repeat(np.arange(degree + 1), 2 * np.arange(degree + 1) + 1)
    return l, np.arange(len(l)) - l * l - l


def flux_matrices(degree: int) -> tuple[Any, Any]:
    """(A_x, A_y): multiplication by the components of the direction, between real orthonormal spherical harmonics.

    The polar axis is y, which leaves two entries a row of A_y, and four of A_x. Recurrences of the associated Legendre functions,
    DLMF 14.10.
    """
    l, m = orders(degree)
    k, here, size = abs(m), np.arange(len(m)), len(m)
    side = np.where(m < 0, -1, 1)  # in the direction of larger |m|
    half = np.where(m == 0, math.sqrt(0.5), 0.5)  # cos(phi) times sqrt(2) cos(m phi), or 1 for m = 0
    rise = half * np.sqrt((l + k + 1) * (l + k + 2) / ((2 * l + 1) * (2 * l + 3)))  # to (l + 1, |m| + 1)
    fall = -half * np.sqrt((l - k) * (l - k - 1) / ((2 * l + 1) * abs(2 * l - 1)))  # to (l - 1, |m| + 1)
    keep = np.sqrt(((l + 1) ** 2 - k**2) / ((2 * l + 1) * (2 * l + 3)))  # to (l + 1, m)
    above, below = l < degree, k < l - 1

    def symmetric(*parts: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Any:
        values, rows, columns = (np.concatenate(column) for column in zip(*parts, strict=True))
        A = sp.csr_array((values, (rows, columns)), shape=(size, size))
        return (A + A.T).tocsr()

    over, under = (l + 1) * (l + 2) + m, l * (l - 1) + m
    A_x = symmetric(
        (rise[above], (over + side)[above], here[above]), (fall[below], (under + side)[below], here[below])
    )  # fmt: skip
    return A_x, symmetric((keep[above], over[above], here[above]))


def absolute(A: Any) -> Any:
    """|A| = V |Lambda| V^T of a sparse symmetric matrix, part by part that A connects; sparse, without rounding zeros."""
    count, part = sp.csgraph.connected_components(A, directed=False)
    rows, columns, values = [], [], []
    for k in range(count):
        chosen = np.flatnonzero(part == k)
        speeds, V = np.linalg.eigh(A[np.ix_(chosen, chosen)].toarray())
        block = (V * abs(speeds)) @ V.T
        i, j = np.nonzero(abs(block) > 1e-14)
        rows.append(chosen[i])
        columns.append(chosen[j])
        values.append(block[i, j])
    where = np.concatenate(rows), np.concatenate(columns)
    return sp.csr_array((np.concatenate(values), where), shape=A.shape)
