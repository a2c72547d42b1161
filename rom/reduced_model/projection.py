"""Galerkin projection onto a basis that grows: reduced matrices and residual coordinates from one set of numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...solvers.direct.cholesky import Cholesky
from ..operators.terms import Terms
from .error_bound import Coordinates, Growing
from .online import EPS, Reduced

DEPENDENT = 1e-11  # of the length of a snapshot: what is left of it beside the basis that counts as round-off
SEED = 20_129


class Projection:
    """A basis V (n, N), orthonormal in X, and what the sums A(mu) = sum theta_q A_q and b(mu) are on it.

    With X = (L d) (L d)^H, W = lower(V) and F = half of the columns b_p, A_q v_j, which are Y R in orthonormal coordinates: every
    product v_i^H f_j is w_i^H half(f_j), an entry of G^H R with G = Y^H W. So the reduced matrices and the residual come from the
    same R. Memory: V, W and Y, (n, 2 N + P k + N Q) numbers, and the terms once more.
    """

    def __init__(self, A: Terms, b: np.ndarray, factor: Cholesky, *, L: np.ndarray | None = None):
        self.terms, self.b, self.factor, self.L = A, b, factor, L
        n = A.shape[0]
        dtype = np.result_type(A.dtype, b.dtype, *([] if L is None else [L.dtype]))
        self.V, self.W = Growing(n, dtype), Growing(n, dtype)
        self.coordinates = Coordinates(n, dtype)
        self.coordinates.append(factor.half(b.transpose(1, 0, 2).reshape(n, -1)))  # p first, then k
        self.RL = None if L is None else triangle(factor.half(L.conj().transpose(2, 0, 1).reshape(n, -1)))
        self.hermitian = bool(A.hermitian)
        values = A.values
        self.magnitudes = None if values is None else replace(A, values=np.abs(values))
        self.rounded = np.zeros(self.coordinates.R.shape[1])

    @property
    def size(self) -> int:
        return self.V.size

    def append(self, snapshots: np.ndarray) -> int:
        """Add what is new in the snapshots (n, k), column by column; returns how many directions that was."""
        found: list[np.ndarray] = []
        for u in snapshots.T:
            w = self.factor.lower(u)
            length = np.linalg.norm(w)
            if length == 0:
                continue
            w = w / length
            for _ in range(3):  # Gram-Schmidt: twice is enough, a third time where little is left
                w = w - self.W.columns @ (self.W.columns.conj().T @ w)
                for y in found:
                    w = w - np.vdot(y, w) * y
                if (left := np.linalg.norm(w)) <= DEPENDENT:
                    break
            if left > DEPENDENT:
                found.append(w / left)
        if found:
            W = np.stack(found, axis=1)
            V = self.factor.lift(W)
            images = np.stack([np.asarray(self.terms[q] @ V) for q in range(len(self.terms))], axis=2)  # (n, new, Q)
            rounded = self.product_rounding(V)
            self.coordinates.append(self.factor.half(images.reshape(len(V), -1)))  # all else at the end: Ctrl-C leaves what was
            self.rounded = np.concatenate([self.rounded, rounded])
            self.W.append(W)
            self.V.append(V)
        return len(found)

    def product_rounding(self, V: np.ndarray) -> np.ndarray:
        """||e||_{X'} (new Q,) of each A_q v_j for an e of the size of its rounding, eps/2 |A_q| |v_j|, with random signs."""
        if self.magnitudes is None:
            return np.zeros(V.shape[1] * len(self.terms))
        sizes = abs(V)
        images = np.stack([self.magnitudes[q] @ sizes for q in range(len(self.terms))], axis=2)  # (n, new, Q)
        return self.factor.dual_norm(like_rounding(images.reshape(len(V), -1)))

    def half_terms(self) -> np.ndarray:
        """half of [b_p, A_q v_j], (n, P k + N Q)."""
        Y, R = self.coordinates.Y, self.coordinates.R
        return R if Y is None else Y.columns @ R

    def reduced(self) -> Reduced:
        """The arrays that answer for the basis as it is."""
        N, Q, (P, _, k) = self.size, len(self.terms), self.b.shape
        R = self.coordinates.R
        projected = self.coordinates.along(self.W.columns).conj().T @ R  # V^H [b_p, A_q v_j]
        b = projected[:, : P * k].reshape(N, P, k).transpose(1, 0, 2)
        A = projected[:, P * k :].reshape(N, N, Q).transpose(2, 0, 1)
        if self.hermitian:
            A = (A + A.conj().transpose(0, 2, 1)) / 2
        L = None if self.L is None else np.ascontiguousarray(self.L @ self.V.columns)
        triangular = self.coordinates.triangular
        layout = np.asfortranarray if triangular else np.ascontiguousarray
        return Reduced(
            np.ascontiguousarray(A), np.ascontiguousarray(b), layout(R), L, self.RL, self.hermitian, triangular, self.rounded
        )  # fmt: skip


def like_rounding(sizes: np.ndarray) -> np.ndarray:
    """eps/2 of sums of magnitudes (n, k), with random signs: an error that rounding may have made of the sums."""
    return np.random.default_rng(SEED).choice([-EPS / 2, EPS / 2], (len(sizes), 1)) * sizes


def triangle(F: np.ndarray) -> np.ndarray:
    """The factor R of F = Q R."""
    return np.asarray(np.linalg.qr(F, mode="r"))
