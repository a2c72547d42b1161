"""A bound of the error of reduced trajectories: linear problems, implicit Euler, and a known coercivity constant.

With e = u - V a, r^k = b(t_k) - M V (a^k - a^k-1) / dt - A V a^k, and Re v^H A v >= alpha ||v||_X^2, testing the error equation
with e^k gives ||e^k||_M^2 - ||e^k-1||_M^2 + dt alpha ||e^k||_X^2 <= (dt / alpha) ||r^k||_X'^2, hence

    ||e^k||_M^2 + dt alpha sum_j<=k ||e^j||_X^2 <= ||e^0||_M^2 + (dt / alpha) sum_j<=k ||r^j||_X'^2.

Grepl and Patera, M2AN 39 (2005) 157, section 3. u is the solution of the full time steps, not of the differential equation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...solvers.direct.cholesky import Cholesky, cholesky
from ..operators.weights import Thetas
from .problem import Problem
from .reduced import Reduced

EPS = float(np.finfo(np.float64).eps)
ROUNDING = 16  # units of round-off of what the residual is a difference of


@dataclass(frozen=True, slots=True, eq=False)
class ParabolicBound:
    """||r||_X' = ||R c||_2 for the coefficients c of [b_p, M V, A_q V], and the constant alpha, one function of mu.

    start: the triangle S with ||u0 - V a0||_M = ||S [1, -a0]||_2 where u0 is constant, else of V alone. mass: the factors of M,
    None for the identity; needed where u0 depends on mu.
    """

    R: np.ndarray
    start: np.ndarray
    mass: Cholesky | None
    alpha: Thetas

    def values(self, reduced: Reduced, mus: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Bounds (m, K + 1) of ||u(t_k) - V a^k||_M for a (m, K + 1, N), infinite where alpha is not positive."""
        alpha = self.alpha(mus)[:, 0]
        stated, dt = reduced.stated, float(reduced.stated.times[1] - reduced.stated.times[0])
        weights, squares = stated.weights(mus), np.zeros((len(mus), len(stated.times)))
        sizes = np.linalg.norm(self.R, axis=0)
        for k in range(1, len(stated.times)):
            image = (weights[:, :, None] * a[:, k, None, :]).reshape(len(mus), -1)
            c = np.concatenate([stated.b_weights(mus, float(stated.times[k])), (a[:, k - 1] - a[:, k]) / dt, -image], axis=1)
            floor = ROUNDING * EPS * (np.abs(c) @ sizes)
            squares[:, k] = np.maximum(np.linalg.norm(c @ self.R.T, axis=1), floor) ** 2
        first = self.first(reduced, mus, a[:, 0])
        safe = np.where(alpha > 0, alpha, 1.0)
        bound = np.sqrt(first[:, None] ** 2 + dt / safe[:, None] * np.cumsum(squares, axis=1))
        return np.where(alpha[:, None] > 0, bound, np.inf)

    def first(self, reduced: Reduced, mus: np.ndarray, a0: np.ndarray) -> np.ndarray:
        """||u0 - V a0||_M (m,); with n N operations each where u0 depends on mu."""
        start = reduced.stated.start
        if start.constant:
            c = np.concatenate([np.ones((len(a0), 1)), -a0], axis=1)
            floor = ROUNDING * EPS * (np.abs(c) @ np.linalg.norm(self.start, axis=0))
            return np.maximum(np.linalg.norm(c @ self.start.T, axis=1), floor)
        e = np.stack([start(mu) - reduced.V @ a for mu, a in zip(mus, a0, strict=True)], axis=1)
        return np.linalg.norm(e if self.mass is None else self.mass.lower(e), axis=0)


def prepared(problem: Problem, reduced: Reduced, alpha: Thetas, X: Any, mass: Cholesky | None) -> ParabolicBound:
    """The triangles, by Householder; X (n, n) is the energy product in which A is coercive. Memory: n (P + N (Q + 1)) numbers.

    mass: the factors of M, None for the identity.
    """
    V = reduced.V
    MV = V if problem.mass is None else problem.mass @ V
    columns = [problem.b_vectors, MV, *(problem.terms[q] @ V for q in range(len(problem.terms)))]
    R = triangle(cholesky(X).half(np.concatenate(columns, axis=1)))
    u0 = [problem.stated.start(problem.parameters.centre)[:, None]] if problem.stated.start.constant else []
    start = np.concatenate([*u0, V], axis=1)
    return ParabolicBound(R, triangle(start if mass is None else mass.lower(start)), mass, alpha)


def triangle(Y: np.ndarray) -> np.ndarray:
    """R of Y = Q R, by Householder: no decision about rank, and norms keep the relative accuracy of the residual's terms."""
    return np.asarray(np.linalg.qr(Y, mode="r"))
