"""Factorisations of small matrices as single calls, which leave the interpreter free for other threads."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...solvers.kernels.compiler import njit

OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


@njit(**OPTIONS)
def qr(M):
    """(Q, R), thin."""
    Q, R = np.linalg.qr(M)
    return np.ascontiguousarray(Q), np.ascontiguousarray(R)


@njit(**OPTIONS)
def svd(M):
    """(P, sigma): left singular vectors and singular values of M (m, n); M^H is reduced by QR first if M is wide."""
    if M.shape[1] > M.shape[0]:
        R = np.linalg.qr(np.ascontiguousarray(np.conj(M.T)))[1]
        M = np.ascontiguousarray(np.conj(R.T))
    P, sigma, _ = np.linalg.svd(M, False)
    return np.ascontiguousarray(P), sigma


@njit(**OPTIONS)
def rejected(old, candidates):
    """What the orthonormal columns old leave of the candidates."""
    return candidates - np.dot(old, np.dot(np.ascontiguousarray(np.conj(old.T)), candidates))


@njit(**OPTIONS)
def new_columns(old, candidates, drop, noise):
    """As `augmentation.new_columns`; noise: of the norm of the candidates."""
    Q, R = qr(rejected(old, candidates))
    P, sigma = svd(R)
    limit = max(drop, noise * np.sqrt(np.sum(np.abs(candidates) ** 2)))
    count = min(np.sum(sigma > limit), old.shape[0] - old.shape[1])
    if count == 0:
        return np.empty((old.shape[0], 0), old.dtype)
    return qr(rejected(old, np.dot(Q, np.ascontiguousarray(P[:, :count]))))[0]
