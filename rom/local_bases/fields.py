"""Snapshots and parameters as they are given: checked, in small coordinates, and projected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .dissimilarities import checked_columns


def checked_fields(snapshots: Any) -> list[np.ndarray]:
    """Snapshots (n, m), or m arrays (n, r_i), as checked arrays (n, r_i); ValueError if there are none or their n differ."""
    if isinstance(snapshots, list | tuple):
        fields = [checked_columns(field) for field in snapshots]
    else:
        fields = [field[:, None] for field in checked_columns(snapshots).T]
    if not fields:
        raise ValueError("there are no snapshots; give an array (n, m), or a list of m arrays (n, r_i), with m at least 1")
    if len({len(field) for field in fields}) != 1 or not all(field.shape[1] for field in fields):
        raise ValueError(f"a list of snapshots holds arrays (n, r_i) of one n; got {[field.shape for field in fields[:5]]} ...")
    return fields


def checked_parameters(mus: Any, count: int | None, width: int | None = None) -> np.ndarray:
    """mus as a checked array (count, width) in double precision; None: any number."""
    mus = np.asarray(mus)
    asked = f"({'q' if count is None else count}, {'p' if width is None else width})"
    if mus.ndim != 2 or count not in (None, len(mus)) or width not in (None, mus.shape[1]) or mus.dtype.kind not in "fiub":
        raise ValueError(f"mus must be an array {asked} of real numbers, a parameter a row; got shape {mus.shape}, {mus.dtype}")
    if not np.isfinite(mus).all():
        raise ValueError("mus must be finite; it holds NaN or infinity")
    return np.array(mus, dtype=np.float64)


def evaluated(features: Callable[[np.ndarray], Any], mus: np.ndarray, width: int | None = None) -> np.ndarray:
    """features(mu) of each parameter, flattened: (q, d)."""
    found = [np.ravel(features(mu.copy())) for mu in mus]
    sizes = {len(row) for row in found} | ({width} if width else set())
    if found and (len(sizes) != 1 or max(sizes) < 2):
        raise ValueError(f"features(mu) must give at least 2 numbers, as many for each mu; got {sorted(sizes)}")
    return checked_columns(np.array(found).T).T if found else np.zeros((0, width or 2))


def length(field: np.ndarray, i: int) -> float:
    """The norm of a field or trajectory, at any scale; ValueError if number i is zero."""
    largest = float(np.abs(field).max())
    if largest == 0:
        raise ValueError(f"snapshot {i} is zero: it has no direction and no relative error; leave it out")
    return largest * float(np.linalg.norm(field / largest))


def compressed(items: list[np.ndarray]) -> tuple[Any, list[np.ndarray]]:
    """(Q, items Q^H) with few rows: Q has orthonormal columns that span the items."""
    E = np.hstack(items)
    if E.shape[0] <= E.shape[1]:
        return np.eye(E.shape[0], dtype=E.dtype), items
    Q, R = np.linalg.qr(E)
    return Q, np.split(R, np.cumsum([item.shape[1] for item in items])[:-1], axis=1)


def projection_errors(items: list[np.ndarray], bases: list[np.ndarray]) -> np.ndarray:
    """Relative errors (k, m) of projecting items of length one on orthonormal bases."""
    E = np.hstack(items)
    starts = np.cumsum([0] + [item.shape[1] for item in items[:-1]])
    squares = [(np.abs(E - U @ (U.conj().T @ E)) ** 2).sum(axis=0) for U in bases]
    return np.sqrt([np.add.reduceat(square, starts) for square in squares])
