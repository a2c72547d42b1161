"""Bases that grow: what integrators add to the bases of a state before they compute in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...solvers import arrays
from .tensors import adjoint, compilable, matrix, namespace

NOISE = 30.0  # rounding units of the candidates: directions shorter than that are rounding


def new_columns(old: Any, candidates: Any, drop: float, eps: float) -> Any:
    """Orthonormal columns (m, k), orthogonal to the orthonormal `old` (m, r), for the range of the candidates (m, k').

    Directions in which what old leaves of the candidates is at most `drop` long are left out, so candidates should carry their
    weights. Two projections: the second on directions of length one, which keeps short candidates orthogonal to rounding.
    """
    if compilable(old, candidates):
        from . import compiled_factors

        pair = np.ascontiguousarray(old), np.ascontiguousarray(candidates)
        return compiled_factors.new_columns(*pair, drop, NOISE * eps)
    xp = namespace(old)
    left = candidates - old @ (adjoint(old) @ candidates)
    Q, R = xp.linalg.qr(left)
    P, sigma, _ = xp.linalg.svd(R)
    seen = arrays.to_numpy(xp.concat([sigma, xp.linalg.matrix_norm(candidates)[None]]))  # one read
    sigma, limit = seen[:-1], max(drop, NOISE * eps * float(seen[-1]))
    count = min(int(np.sum(sigma > limit)), old.shape[0] - old.shape[1])
    if count == 0:
        return old[:, :0]
    U = Q @ P[:, :count]
    return xp.linalg.qr(U - old @ (adjoint(old) @ U))[0]


def padded(core: Any, shape: Sequence[int]) -> Any:
    """The core as the first block of zeros of that shape: the same tensor in bases that grew; itself if none did."""
    if tuple(core.shape) == tuple(shape):
        return core
    xp = namespace(core)
    wide = xp.zeros(tuple(shape), dtype=core.dtype, device=arrays.device(core))
    wide[tuple(slice(0, n) for n in core.shape)] = core
    return wide


def extended(core: Any, columns: Any) -> Any:
    """The core with further columns (all other axes, k) at its parent axis."""
    if columns.shape[1] == 0:
        return core
    xp = namespace(core)
    return xp.concat([core, xp.reshape(columns, (*core.shape[:-1], -1))], axis=core.ndim - 1)


def grown_core(core: Any, below: Sequence[int], candidates: Any, drop: float, eps: float) -> Any:
    """The orthonormal core of a node in the grown bases of its children, with new columns from the candidates.

    `below`: the new ranks of the children; `candidates`: cores in those bases, side by side along the parent axis.
    """
    wide = padded(core, (*below, *core.shape[len(below) :]))
    return extended(wide, new_columns(matrix(wide), matrix(candidates), drop, eps))
