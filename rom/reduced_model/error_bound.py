"""The dual norm of the residual of a reduced solution, from quantities of the size of the reduced model.

r(mu) = sum_p theta_p b_p - sum_q,j theta_q a_j A_q v_j is a combination R c(mu) of fixed vectors in orthonormal coordinates (form
E4: Buhr, Engwer, Ohlberger and Rave, arXiv 1407.8005; why: Casenave, Ern and Lelievre, arXiv 1212.0970). ||r||_{X'} = ||R c||_2
keeps all digits, where the expanded square c^H G c keeps half of them and its root stops at 1e-8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..empirical_interpolation import Interpolation, eim

ORTHOGONAL = 1e-14  # entries of Y^H Q of a good new block, times the square root of its size
PASSES = 6
LOST = 1e-8  # of a column of length one
SEED = 77_101


def append_orthonormal(Y: np.ndarray, F: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(Q, C, T) with F = Y C + Q T and [Y, Q] orthonormal, for orthonormal Y (n, K) and any F (n, p), K + p <= n.

    No rank is decided: of columns that depend on Y or on each other, Q holds some orthonormal completion, T next to nothing.
    Block Gram-Schmidt twice, then Householder, and the new block against Y again until it is orthogonal: a column of Q that is
    normalised round-off need not be, and everything after it would be wrong. 8 n K p flops.
    """
    rng = np.random.default_rng(SEED)
    C = Y.conj().T @ F
    rest = F - Y @ C
    again = Y.conj().T @ rest
    rest, C = rest - Y @ again, C + again
    Q, T = np.linalg.qr(rest)
    for _ in range(PASSES):
        overlap = Y.conj().T @ Q
        if np.abs(overlap).max(initial=0.0) <= ORTHOGONAL * np.sqrt(len(F)):
            break
        C, rest = C + overlap @ T, Q - Y @ overlap
        lost = np.linalg.norm(rest, axis=0) < LOST  # it was round-off that lay in Y: any other direction, with no part of F
        rest[:, lost] = rng.standard_normal((len(F), int(lost.sum())))
        T[lost] = 0.0
        Q, S = np.linalg.qr(rest)
        T = S @ T
    return Q, C, T


class Growing:
    """An array (n, K) that columns are appended to, with room to spare: amortised, each is copied twice."""

    def __init__(self, rows: int, dtype: Any):
        self.room = np.empty((rows, 8), dtype, order="F")
        self.size = 0

    @property
    def columns(self) -> np.ndarray:
        return self.room[:, : self.size]

    def append(self, block: np.ndarray) -> None:
        needed, dtype = self.size + block.shape[1], np.result_type(self.room, block)
        if needed > self.room.shape[1] or dtype != self.room.dtype:
            room = np.empty((self.room.shape[0], max(needed, self.room.shape[1] * 3 // 2)), dtype, order="F")
            room[:, : self.size] = self.columns
            self.room = room
        self.room[:, self.size : needed] = block
        self.size = needed


class Coordinates:
    """Vectors F in orthonormal coordinates R that grow with them: F = Y R with Y^H Y = I.

    `append(F)` adds columns. Memory: Y, (n, columns); where that would be square, F itself and Y = I.
    """

    def __init__(self, rows: int, dtype: Any):
        self.Y: Growing | None = Growing(rows, dtype)
        self.R = np.zeros((0, 0), dtype)
        self.rows = rows

    @property
    def triangular(self) -> bool:
        return self.Y is not None

    def append(self, F: np.ndarray) -> None:
        if self.Y is not None and self.Y.size + F.shape[1] > self.rows:
            self.R, self.Y = self.Y.columns @ self.R, None
        if self.Y is None:
            self.R = np.concatenate([self.R, F], axis=1)
            return
        Q, C, T = append_orthonormal(self.Y.columns, F)
        below = np.zeros((len(T), self.R.shape[1]), T.dtype)
        R = np.block([[self.R, C], [below, T]])
        self.Y.append(Q)
        self.R = R

    def along(self, W: np.ndarray) -> np.ndarray:
        """Y^H W."""
        return W if self.Y is None else self.Y.columns.conj().T @ W


# -- Form E3: where only norms of residuals can be had -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class NormInterpolation:
    """||r(mu)||^2 ~ sum_l lambda_l(mu) ||r(mu_l)||^2, an *estimate*: form E3, by EIM of the products of coefficients.

    The square is linear in the products X_p(mu) of pairs of coefficients c_i(mu) conj(c_j(mu)); their EIM over training
    parameters chooses mu_l and gives lambda. Only the d residuals at the mu_l are evaluated with care, in high dimension, where
    the expanded square would need all products of Riesz representers. Casenave, Ern and Lelievre, arXiv 1212.0970, section 3.
    """

    interpolation: Interpolation
    squares: np.ndarray  # (d,) of ||r(mu_l)||

    def __call__(self, c: np.ndarray) -> np.ndarray:
        """The estimates (m,) for coefficients c (K, m)."""
        weights = self.interpolation.coefficients(products(c)[self.interpolation.points])
        return np.sqrt(np.maximum(self.squares @ weights, 0.0).real)


def products(c: np.ndarray) -> np.ndarray:
    """Re and Im of c_i conj(c_j), i <= j, of each column of c (K, m)."""
    i, j = np.triu_indices(len(c))
    pairs = c[i] * c[j].conj()
    return np.concatenate([pairs.real, pairs.imag]) if np.iscomplexobj(c) else pairs


def interpolate_norms(c: np.ndarray, norm: Any, *, tol: float = 1e-15) -> NormInterpolation:
    """The interpolation for coefficients c (K, m) of m training parameters; norm(l) -> ||r|| at training parameter l, evaluated
    at the d that are chosen. Memory: K^2 m / 2 numbers.

    >>> import numpy as np
    >>> from petrov.rom.reduced_model.error_bound import interpolate_norms
    >>> F, c = np.random.default_rng(7).standard_normal((50, 3)), np.vander(np.linspace(0, 1, 20), 3).T
    >>> estimate = interpolate_norms(c, lambda l: np.linalg.norm(F @ c[:, l]))
    >>> bool(abs(estimate(c) - np.linalg.norm(F @ c, axis=0)).max() < 1e-12)
    True
    """
    table = products(c)
    scale = np.abs(table).max(axis=0)  # every column of size one: small residuals count as much as large ones
    found = eim(table / np.where(scale > 0, scale, 1.0), tol=tol)
    squares = np.array([norm(int(node)) ** 2 / (scale[node] or 1.0) for node in found.nodes])
    return NormInterpolation(found, squares)
