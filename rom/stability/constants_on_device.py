"""Stability constants at parameters on a device: of the recipes whose online part is a formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...solvers import arrays
from ..doubts import Doubts
from ..operators.weights import Thetas
from ..operators.weights_on_device import Evaluate, columns_of, evaluator, unit_of, values_over
from ..parameters import Parameters
from .context import INSTEAD, Prepared, User
from .inf_sup import InfSup
from .min_theta import MinTheta, Pointwise

Constants = Callable[[Any, Any, Doubts], Any]  # points (m, p), weights (Q, m) of A, doubts -> (m,)


def constants_at(
    prepared: Prepared | None, recipe: Any, parameters: Parameters, functions: Sequence[Any], like: Any
) -> Constants:
    """The constants as a function of points on the device of `like`; functions: those of EIM, which Pointwise may need.

    TypeError, with the remedy, for SCM and Eigenvalue, whose linear programs and eigenvalues only the host solves.
    """
    xp: Any = arrays.namespace(like)
    if prepared is None:
        return lambda mus, weights, doubts: xp.full(mus.shape[0], xp.nan)
    if isinstance(recipe, User):
        return stated(recipe, parameters, like)
    if isinstance(recipe, MinTheta):
        return least_ratio(prepared, like)
    if isinstance(recipe, Pointwise):
        return pointwise(prepared, functions if recipe.functions is None else recipe.functions, recipe.constant, parameters, like)
    if isinstance(recipe, InfSup):
        return between_points(prepared, parameters, like)
    raise TypeError(
        f"stability constants by {prepared.name} are found on the host, and the parameters are CuPy's: give predict NumPy "
        "parameters, cupy.asnumpy(mus), or fit with stability= a number, a function, MinTheta(), Pointwise() or None"
    )


def stated(recipe: User, parameters: Parameters, like: Any) -> Constants:
    xp: Any = arrays.namespace(like)
    given = recipe.function
    if not callable(given):
        return lambda mus, weights, doubts: xp.full(mus.shape[0], float(given))
    evaluate: Evaluate = evaluator(Thetas((given,), parameters), like, "the stability constant")

    def constants(mus: Any, weights: Any, doubts: Doubts) -> Any:
        alpha = evaluate(mus, doubts)[0, :]
        if alpha.dtype.kind == "c":
            raise ValueError(f"alpha(mu) must be real; got {alpha.dtype}")
        return alpha

    return constants


def least_ratio(prepared: Prepared, like: Any) -> Constants:
    """See `MinTheta`: alpha(mu_bar) min_q theta_q / bar_q, less the slack of the terms."""
    xp: Any = arrays.namespace(like)
    bar, free, slack, alpha = (prepared.arrays[key] for key in ("theta", "free", "slack", "alpha"))
    positive = xp.asarray(np.flatnonzero(~free & (bar > 0)), device=arrays.device(like))
    bound = xp.asarray(np.flatnonzero(~free), device=arrays.device(like))
    bars, lost = (xp.asarray(x, dtype=xp.float64, device=arrays.device(like))[:, None] for x in (bar, slack))
    doubled = bool(prepared.arrays["doubled"])

    def constants(mus: Any, weights: Any, doubts: Doubts) -> Any:
        if weights.dtype.kind == "c":
            theta = xp.concat([xp.real(weights), -xp.imag(weights)]) if doubled else xp.real(weights)
        else:
            theta = xp.concat([weights, xp.zeros_like(weights)]) if doubled else weights
        said = f"MinTheta needs theta_q(mu) >= 0, and one is negative at a parameter of CuPy's; {INSTEAD}"
        doubts.add(xp.any(xp.take(theta, bound, axis=0) < 0), lambda: ValueError(said))
        ratio = xp.min(xp.take(theta, positive, axis=0) / xp.take(bars, positive, axis=0), axis=0)
        return ratio * float(alpha) - xp.sum(xp.abs(theta - ratio * bars) * lost, axis=0)

    return constants


def pointwise(prepared: Prepared, functions: Sequence[Any], constant: bool, parameters: Parameters, like: Any) -> Constants:
    """See `Pointwise`: alpha(mu_bar) min over r and x of g_r(x, mu) / g_r(x, mu_bar)."""
    xp: Any = arrays.namespace(like)
    bars = [xp.asarray(prepared.arrays[f"g{r}"], device=arrays.device(like)) for r in range(len(functions))]
    points = [xp.asarray(prepared.arrays[f"x{r}"], device=arrays.device(like)) for r in range(len(functions))]
    alpha = float(prepared.arrays["alpha"])

    def constants(mus: Any, weights: Any, doubts: Doubts) -> Any:
        columns = {name: values[:, None] for name, values in columns_of(parameters, mus).items()}
        found = [xp.ones(mus.shape[0])] if constant else []
        for r, (g, x, bar) in enumerate(zip(functions, points, bars, strict=True)):
            values = values_over(g, x, columns, mus, doubts)
            said = f"g_{r} is negative, complex or not finite at a parameter of CuPy's; use SCM() or Eigenvalue() instead"
            if values.dtype.kind == "c":
                raise ValueError(said)
            doubts.add(~xp.all(xp.isfinite(values) & (values >= 0)), lambda said=said: ValueError(said))  # type: ignore[misc]
            found.append(xp.min(values / bar, axis=1))
        return alpha * xp.min(xp.stack(found), axis=0)

    return constants


def between_points(prepared: Prepared, parameters: Parameters, like: Any) -> Constants:
    """See `InfSup`: log beta by -|x - x_k| and a constant through its values at the x_k, whose coefficients are found here."""
    xp: Any = arrays.namespace(like)
    unit, log = parameters.unit(prepared.arrays["points"]), np.log(prepared.arrays["beta"])
    n = len(unit)
    bordered = np.ones((n + 1, n + 1))
    bordered[:n, :n], bordered[n, n] = -np.linalg.norm(unit[:, None] - unit, axis=2), 0.0
    solution = np.linalg.solve(bordered, np.append(log, 0.0))
    centres, coefficients = (xp.asarray(x, device=arrays.device(like)) for x in (unit, solution))

    def constants(mus: Any, weights: Any, doubts: Doubts) -> Any:
        at = unit_of(parameters, mus)
        squares = sum((at[:, i, None] - centres[:, i]) ** 2 for i in range(len(parameters)))
        return xp.exp(coefficients[n] - xp.sqrt(squares) @ coefficients[:n])

    return constants
