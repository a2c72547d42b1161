"""The successive constraint method: what is known of the stability at a few parameters bounds it at all others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .eigenvalues import confirmed, smallest_eigenvalue, smallest_pair
from .stability import Context, Prepared, hermitian_forms, real
from .terms import Terms

TIGHT = 1e-7  # relative: how far the sides of the box lie outside of the eigenvalues
ACTIVE = 1e-7  # of the width of the box: a constraint this close holds with equality
NEGATIVE = 1e-11  # of the largest multiplier: one that is less negative is zero to rounding
BLOCK = 1 << 22  # numbers in a table of parameters by corners


@dataclass(frozen=True, slots=True)
class SCM:
    """Lower bounds of alpha(mu) = inf_v a(v, v; mu) / ||v||_X^2 by a small linear program for each mu.

    With y_q(v) = v^H A_q,s v / ||v||_X^2, alpha(mu) is the least theta(mu) . y over all v. The y lie in a box, whose sides are
    eigenvalues of each term, and in the half-spaces theta(mu_k) . y >= alpha(mu_k) of the mu_k where alpha is known: the program
    is the least theta(mu) . y over these. Signs of coefficients do not matter. The mu_k are chosen greedily in the training set,
    where the gap (upper - lower) / |upper| to the least theta(mu) . y(v_k) is largest, until it is `tol` everywhere, or there are
    `max_size`. The bound may be zero or negative where the gap has stayed above 1.

    Notes
    -----
    All half-spaces serve all parameters, not only those of near neighbours (the M_alpha of the papers): the bound is the sharper
    for it, and the program is one and the same, so that a corner found for one parameter is optimal for all parameters in its
    cone; only those outside of the known cones cost a program (2 ms). Constraints from bounds of earlier steps (M_+) would then
    follow from the others. Every bound is the value of a dual feasible point, which is a bound whatever the tolerance of the
    program; where it fails, the box alone is taken. Sides and alpha(mu_k) are confirmed by Cholesky factorisations: 2 Q
    eigenvalues and one for each mu_k. Memory: (K + corners) Q numbers. Raises ValueError if tol is not in (0, inf), TypeError if
    the entries of the terms are not known. Huynh, Rozza, Sen and Patera, C. R. Math. 345 (2007) 473; Chen, Hesthaven, Maday and
    Rodriguez, M2AN 43 (2009) 1099.

    Examples
    --------
    >>> from petrov.rom.parameters import Parameters
    >>> from petrov.rom.stability import Context
    >>> from petrov.solvers.direct.cholesky import cholesky
    >>> A, X, P = [np.diag([2.0, 3.0]), np.diag([0.0, 1.0])], np.eye(2), Parameters(k=(-2.0, 3.0))
    >>> context = Context(A, lambda mus: np.hstack([np.ones((len(mus), 1)), mus]), X, cholesky(X), P, P.grid(20))
    >>> SCM(tol=0.1).prepare(context).values([[-2.0], [0.0], [3.0]]).round(2)
    array([1., 2., 2.])
    """

    tol: float = 0.5
    max_size: int = 60
    margin: float = 1e-3

    name = "scm"

    def __post_init__(self) -> None:
        if not (0 < self.tol < np.inf and self.max_size >= 1 and 0 < self.margin < 1):
            raise ValueError(
                f"SCM needs tol > 0, max_size >= 1 and 0 < margin < 1; got {self.tol}, {self.max_size} and {self.margin}"
            )

    def prepare(self, context: Context) -> Prepared:
        forms, doubled = hermitian_forms(context)
        theta = real(context, context.train, doubled)
        low, high = box(forms, context)
        polytope = Polytope(low, high, np.zeros((0, len(low))), np.zeros(0))
        corners, upper = np.zeros((0, len(low)), np.intp), np.full(len(theta), np.inf)
        chosen, gaps = [nearest(context)], []
        while True:
            k = chosen[-1]
            alpha, y = known(forms, theta[k], context, self.margin)
            upper = np.minimum(upper, theta @ y)
            polytope = polytope.cut(theta[k], alpha)
            lower, corners = minima(theta, polytope, polytope.feasible(corners))
            gap = (upper - lower) / np.maximum(abs(upper), np.finfo(float).tiny)
            gap[chosen] = 0.0
            gaps.append(float(gap.max()))
            if gaps[-1] <= self.tol or len(chosen) == min(self.max_size, len(theta)):
                break
            chosen.append(int(np.argmax(gap)))
        held = {"low": low, "high": high, "rows": polytope.rows, "limits": polytope.limits, "corners": corners}
        held |= {"points": context.train[chosen], "gaps": np.array(gaps), "doubled": np.array(doubled)}
        return self.restore(held, context)

    def restore(self, arrays: dict[str, np.ndarray], context: Context) -> Prepared:
        polytope = Polytope(*(arrays[key] for key in ("low", "high", "rows", "limits")))

        def evaluate(mus: np.ndarray) -> np.ndarray:
            return minima(real(context, mus, bool(arrays["doubled"])), polytope, arrays["corners"])[0]

        return Prepared(self.name, True, context.exact, arrays, evaluate)


@dataclass(frozen=True, slots=True, eq=False)
class Polytope:
    """low <= y <= high and rows y >= limits, for y (Q,)."""

    low: np.ndarray
    high: np.ndarray
    rows: np.ndarray
    limits: np.ndarray

    @property
    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        """(G, h) with G t >= h in the coordinates y = low + width t of the unit cube: 2 Q sides of the cube, then the rows."""
        unit = np.eye(len(self.low))
        G = np.vstack([unit, -unit, self.rows * self.width])
        return G, np.concatenate([np.zeros(len(unit)), -np.ones(len(unit)), self.limits - self.rows @ self.low])

    @property
    def width(self) -> np.ndarray:
        return self.high - self.low

    def cut(self, row: np.ndarray, limit: float) -> Polytope:
        return replace(self, rows=np.vstack([self.rows, row]), limits=np.append(self.limits, limit))

    def places(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(t (P, Q), inverses (P, Q, Q)) of corners, each given by its Q sides."""
        G, h = self.sides
        inverse = np.linalg.inv(G[corners])
        return (inverse @ h[corners][..., None])[..., 0], inverse

    def feasible(self, corners: np.ndarray) -> np.ndarray:
        """Those that the last row has not cut off."""
        row, limit = self.sides[0][-1], self.sides[1][-1]
        return corners[self.places(corners)[0] @ row >= limit - ACTIVE * abs(row).max()]

    def dual(self, theta: np.ndarray, multipliers: np.ndarray) -> np.ndarray:
        """The bounds (m,) that multipliers (m, K) >= 0 of the rows give: weak duality, true for any of them."""
        d = theta - multipliers @ self.rows
        return multipliers @ self.limits + np.minimum(d * self.low, d * self.high).sum(axis=1)


def minima(theta: np.ndarray, polytope: Polytope, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(lower bounds (m,) of the least theta y over the polytope, the corners (P, Q) that are known now)."""
    weights, multipliers = theta * polytope.width, np.zeros((len(theta), len(polytope.limits)))
    left = np.ones(len(theta), bool)
    if len(corners):
        t, inverse = polytope.places(corners)
        step = max(1, BLOCK // len(corners))
        best = np.concatenate([np.argmin(weights[i : i + step] @ t.T, axis=1) for i in range(0, len(theta), step)])
        for corner in np.unique(best):
            at = np.flatnonzero(best == corner)
            inside(weights, at, inverse[corner], corners[corner], multipliers, left)
    while left.any():
        first = int(np.argmax(left))
        multipliers[first], corner = program(weights[first], polytope)
        left[first] = False
        if corner is not None:
            corners = np.vstack([corners, corner])
            inside(weights, np.flatnonzero(left), np.linalg.inv(polytope.sides[0][corner]), corner, multipliers, left)
    return polytope.dual(theta, multipliers), corners


def inside(
    weights: np.ndarray, at: np.ndarray, inverse: np.ndarray, corner: np.ndarray, multipliers: np.ndarray, left: np.ndarray
) -> None:
    """Enter the multipliers of the parameters `at` for which a corner is optimal: all are >= 0 in w = sum_i lambda_i G_i."""
    found = weights[at] @ inverse
    good = found.min(axis=1, initial=0.0) >= -NEGATIVE * abs(found).max(axis=1, initial=0.0)
    cuts = corner >= 2 * weights.shape[1]
    multipliers[np.ix_(at[good], corner[cuts] - 2 * weights.shape[1])] = np.maximum(found[good][:, cuts], 0.0)
    left[at[good]] = False


def program(weights: np.ndarray, polytope: Polytope) -> tuple[np.ndarray, np.ndarray | None]:
    """(multipliers (K,) of the rows, the corner by its sides or None) of the least weights t over the polytope."""
    from scipy.optimize import linprog

    G, h = polytope.sides
    Q, size = len(weights), max(abs(weights).max(initial=0.0), np.finfo(float).tiny)
    scale = np.maximum(abs(G).max(axis=1, initial=0.0), np.finfo(float).tiny)
    rows, limits = (G / scale[:, None])[2 * Q :], (h / scale)[2 * Q :]
    found = linprog(weights / size, A_ub=-rows, b_ub=-limits, bounds=(0.0, 1.0), method="highs")
    if found.status != 0:
        return np.zeros(len(limits)), None
    multipliers = -found.ineqlin.marginals * size / scale[2 * Q :]
    order = np.concatenate([found.lower.marginals, -found.upper.marginals, -found.ineqlin.marginals])
    return np.maximum(multipliers, 0.0), corner_of(G / scale[:, None], h / scale, found.x, order)


def corner_of(G: np.ndarray, h: np.ndarray, t: np.ndarray, multipliers: np.ndarray) -> np.ndarray | None:
    """Q independent sides that meet in t, those with large multipliers first; None if there are fewer."""
    active = np.flatnonzero(G @ t - h <= ACTIVE)
    active = active[np.argsort(-multipliers[active], kind="stable")]
    Q, basis, sides = len(t), np.zeros((0, len(t))), []
    for side in active:
        rest = G[side] - basis.T @ (basis @ G[side])
        rest = rest - basis.T @ (basis @ rest)
        if np.linalg.norm(rest) > 1e-6 * np.linalg.norm(G[side]):
            basis, sides = np.vstack([basis, rest / np.linalg.norm(rest)]), [*sides, side]
        if len(sides) == Q:
            return np.array(sides, np.intp)
    return None


def box(forms: Terms, context: Context) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) (Q,): bounds of the eigenvalues of each term."""

    def least(H: Any) -> float:
        return confirmed(H, context.X, smallest_eigenvalue(H, context.X, context.factor, tol=1e-9), margin=TIGHT)

    return np.array([least(H) for H in forms]), np.array([-least(-H) for H in forms])


def known(forms: Terms, theta: np.ndarray, context: Context, margin: float) -> tuple[float, np.ndarray]:
    """(a confirmed lower bound of alpha, y(v) of the eigenvector) at one parameter."""
    H = forms.combined(theta)
    value, v = smallest_pair(H, context.X, context.factor)
    y = np.array([np.vdot(v, form @ v).real for form in forms])
    return confirmed(H, context.X, value, margin=margin), y


def nearest(context: Context) -> int:
    """The training point nearest to the middle of the box."""
    return int(np.argmin(((context.parameters.unit(context.train) - 0.5) ** 2).sum(axis=1)))
