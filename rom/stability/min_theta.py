"""Bounds of the coercivity constant by comparison with one parameter: term by term, or point by point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .context import INSTEAD, ROUNDING, Context, Prepared, at_reference, hermitian_forms, real, reference, stored
from .eigenvalues import hermitian_part, semidefinite


@dataclass(frozen=True, slots=True)
class MinTheta:
    """alpha(mu) >= alpha(mu_bar) min_q theta_q(mu) / theta_q(mu_bar), where every theta_q >= 0 and every A_q,s >= 0.

    Both are checked: the coefficients at every point, the terms by Cholesky of A_q,s + delta X with a delta of 1e-12 of the term
    (more where rounding needs it, up to 1e-7), which is taken off the bound. A term without Hermitian part (convection) may have
    any sign. alpha(mu_bar) is 1 if X is A_s(mu_bar), else a confirmed eigenvalue. `reference` is mu_bar, by default the middle of
    the box.

    Raises ValueError, which names term and point, for a negative coefficient: those of empirical interpolation change sign.
    Cost: a factorisation a term, once; then nothing but the coefficients. Prud'homme et al., J. Fluids Eng. 124 (2002) 70.

    >>> import numpy as np
    >>> from petrov.rom.parameters import Parameters
    >>> from petrov.solvers.direct.cholesky import cholesky
    >>> A, P = [np.eye(2), np.diag([0.0, 1.0])], Parameters(k=(0.0, 3.0))
    >>> context = Context(A, lambda mus: np.hstack([np.ones((len(mus), 1)), mus]), A[0], cholesky(A[0]), P, P.grid(5))
    >>> MinTheta(reference=(0.0,)).prepare(context).values([[1.0], [3.0]]).round(6)
    array([1., 1.])
    """

    reference: Any = None

    name = "min-theta"

    def prepare(self, context: Context) -> Prepared:
        mu = reference(self, context)
        forms, doubled = hermitian_forms(context)
        theta = real(context, mu[None], doubled)[0]
        free, slack = np.zeros(len(forms), bool), np.zeros(len(forms))
        for q in range(len(forms)):
            free[q], slack[q] = self.judged(q % len(stored(context.matrices)), forms[q], context)
        self.refused(theta[None], free, mu[None], context)
        if not (theta[~free] > 0).any():
            raise ValueError(f"MinTheta needs a term with a positive coefficient at the reference; got {theta}; {INSTEAD}")
        alpha = np.array(at_reference(forms.combined(theta), context))
        held = {"theta": theta, "free": free, "slack": slack, "alpha": alpha, "doubled": np.array(doubled)}
        made = self.restore(held, context)
        made.values(context.train)  # a negative coefficient is better known now than later
        return made

    def restore(self, arrays: dict[str, np.ndarray], context: Context) -> Prepared:
        bar, free, slack, alpha = (arrays[key] for key in ("theta", "free", "slack", "alpha"))
        positive = ~free & (bar > 0)

        def evaluate(mus: np.ndarray) -> np.ndarray:
            theta = real(context, mus, bool(arrays["doubled"]))
            self.refused(theta, free, mus, context)
            ratio = (theta[:, positive] / bar[positive]).min(axis=1)
            return ratio * alpha - abs(theta - ratio[:, None] * bar) @ slack

        return Prepared(self.name, True, context.exact, arrays, evaluate)

    def judged(self, q: int, H: Any, context: Context) -> tuple[bool, float]:
        """(whether the term has no Hermitian part, the delta for which H + delta X >= 0, and -H too if it has none)."""
        A = stored(context.matrices)[q]
        scale = float((abs(A).sum(axis=1) / context.X.diagonal().real).max())
        delta = semidefinite(H, context.X, scale)
        if delta is None:
            raise ValueError(f"MinTheta needs terms whose Hermitian part is positive semidefinite; term {q} is not; {INSTEAD}")
        if abs(H).max() <= ROUNDING * abs(A).max():
            opposite = semidefinite(-H, context.X, scale)
            if opposite is not None:
                return True, max(delta, opposite)
        return False, delta

    def refused(self, theta: np.ndarray, free: np.ndarray, mus: np.ndarray, context: Context) -> None:
        bad = (theta < 0) & ~free
        if bad.any():
            row, q = np.argwhere(bad)[0]
            raise ValueError(
                f"MinTheta needs theta_q(mu) >= 0; term {q} has {theta[row, q]:.3g} at {context.parameters.said(mus[row])}, "
                f"where min-theta bounds nothing; {INSTEAD}"
            )


@dataclass(frozen=True, slots=True)
class Pointwise:
    """alpha(mu) >= alpha(mu_bar) min over r and x of g_r(x, mu) / g_r(x, mu_bar), for A(mu) = A^0 + sum_r int g_r(x, mu) psi_r.

    It is the user's word that A^0 and every psi_r are positive semidefinite (or skew), and that the assembly evaluates g_r at
    `points` and nowhere else. Then the bound holds for the assembled operator, whatever the signs of interpolation coefficients;
    for sum_q c_q A_q only if that is exact. functions: g_r(x (n_r, dim), mu mapping) -> (n_r,) or a number; points: x_r
    (n_r, dim); both by default those of EIM. constant: whether there is an A^0, which counts as g = 1. reference: mu_bar.

    Raises ValueError if a g_r is not positive at mu_bar, or negative anywhere. Cost: the g_r at all points for each mu.

    >>> import numpy as np
    >>> from petrov.rom.parameters import Parameters
    >>> from petrov.rom.stability.context import Context
    >>> from petrov.solvers.direct.cholesky import cholesky
    >>> A, P, x = [np.eye(2)], Parameters(k=(1.0, 3.0)), np.linspace(0, 1, 5)[:, None]
    >>> context = Context(A, lambda mus: mus, A[0], cholesky(A[0]), P, P.grid(5))
    >>> Pointwise([lambda x, mu: mu["k"] + x[:, 0]], [x], reference=(1.0,)).prepare(context).values([[1.0], [3.0]]).round(6)
    array([1., 1.])
    """

    functions: Any = None
    points: Any = None
    reference: Any = None
    constant: bool = True

    name = "pointwise"

    def prepare(self, context: Context) -> Prepared:
        mu = reference(self, context)
        functions, points = self.given(context)
        A = hermitian_part(context.operator(mu))
        g = [self.at(f, x, mu, context) for f, x in zip(functions, points, strict=True)]
        held = {f"g{r}": values for r, values in enumerate(g)} | {f"x{r}": np.asarray(x) for r, x in enumerate(points)}
        return self.restore(held | {"alpha": np.array(at_reference(A, context))}, context)

    def given(self, context: Context) -> tuple[Any, Any]:
        functions = context.functions if self.functions is None else self.functions
        points = context.points if self.points is None else self.points
        if len(functions) == 0 or len(functions) != len(points):
            raise ValueError(
                f"Pointwise needs functions g_r(x, mu) and one array of points for each; got {len(functions)} and {len(points)}; "
                "pass Pointwise(functions=[...], points=[...])"
            )
        return functions, points

    def restore(self, arrays: dict[str, np.ndarray], context: Context) -> Prepared:
        functions = context.functions if self.functions is None else self.functions
        bars = [arrays[f"g{r}"] for r in range(len(functions))]
        points = [arrays[f"x{r}"] for r in range(len(functions))]
        for r, bar in enumerate(bars):
            if not (bar > 0).all():
                raise ValueError(f"Pointwise divides by g_{r} at the reference, where it is {bar.min():.3g}; choose another one")

        def least(mu: np.ndarray) -> float:
            g = [self.at(f, x, mu, context) for f, x in zip(functions, points, strict=True)]
            bad = [r for r, values in enumerate(g) if values.min() < 0]
            if bad:
                raise ValueError(f"g_{bad[0]} is negative at {context.parameters.said(mu)}; use SCM() or Eigenvalue() instead")
            return min([float((values / bar).min()) for values, bar in zip(g, bars, strict=True)] + [1.0] * self.constant)

        return Prepared(
            self.name, context.exact, True, arrays, lambda mus: float(arrays["alpha"]) * np.array([least(mu) for mu in mus])
        )

    def at(self, function: Callable[..., Any], x: np.ndarray, mu: np.ndarray, context: Context) -> np.ndarray:
        g = np.asarray(function(x, context.parameters.mapping(mu)))
        if np.iscomplexobj(g) or not np.isfinite(g).all():
            raise ValueError(f"Pointwise needs real, finite g(x, mu); got {g.dtype} at {context.parameters.said(mu)}")
        return np.broadcast_to(g, len(x)).astype(np.float64)
