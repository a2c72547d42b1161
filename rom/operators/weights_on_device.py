"""The weights of the terms at parameters on a device: the functions of `weights`, called with CuPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...solvers import arrays
from ..doubts import Doubts
from ..homes import home, on_device, together
from ..parameters import Parameters
from .expressions import Expression
from .weights import SAME, Chosen, Constant, FunctionSampler, Interpolated, Polynomial, Thetas, name_of

Evaluate = Callable[[Any, Doubts], Any]  # points (m, p) of the device -> (Q, m)
TAKES = "write it with operators, with functions that take CuPy arrays (cupy's, or NumPy's ufuncs), or as an expression in text"
HOST = "or give predict NumPy parameters, cupy.asnumpy(mus): then all is computed on the host"


def points_there(parameters: Parameters, mus: Any, extrapolate: bool, doubts: Doubts) -> Any:
    """`Parameters.points` for arrays (m, p) of CuPy or a mapping to arrays (m,) of CuPy; what is wrong is said at `look`."""
    if isinstance(mus, Mapping):
        if set(mus) != set(parameters.names):
            raise ValueError(f"expected the parameters {', '.join(parameters.names)}; got {', '.join(map(str, mus))}")
        together(**mus)
        xp: Any = arrays.namespace(next(value for value in mus.values() if on_device(value)))
        columns = [xp.reshape(xp.asarray(mus[name], dtype=xp.float64), (-1,)) for name in parameters.names]
        mus = xp.stack(xp.broadcast_arrays(*columns), axis=1)
    xp = arrays.namespace(mus)
    points = xp.asarray(mus, dtype=xp.float64, copy=True)
    if points.ndim == 1 and (points.shape[0] == len(parameters) or len(parameters) == 1):
        points = xp.reshape(points, (-1, len(parameters)))
    if points.ndim != 2 or points.shape[1] != len(parameters):
        wanted = f"(m, {len(parameters)}), columns {', '.join(parameters.names)}"
        raise ValueError(f"parameters must be an array {wanted}; got shape {tuple(mus.shape)}")
    low, high = (xp.asarray(end, device=arrays.device(points)) for end in parameters.limits)
    inside = xp.isfinite(points) if extrapolate else (points >= low) & (points <= high)

    def error() -> Exception:
        try:
            parameters.points(arrays.to_numpy(points), extrapolate=extrapolate)
        except ValueError as wrong:
            return wrong
        return ValueError("parameters outside of the box")

    doubts.add(~xp.all(inside), error)
    return points


def columns_of(parameters: Parameters, mus: Any) -> dict[str, Any]:
    """Points (m, p) as name -> values (m,)."""
    return {name: mus[:, i] for i, name in enumerate(parameters.names)}


def evaluator(weights: Any, like: Any, what: str) -> Evaluate:
    """The weights as a function of points on the device of `like`, with all that it holds moved there once.

    what: of what they are the weights, for messages. TypeError, with the remedy, for those that only the host can find.
    """
    xp: Any = arrays.namespace(like)
    if isinstance(weights, Constant):
        return lambda mus, doubts: xp.ones((1, mus.shape[0]), dtype=xp.float64)
    if isinstance(weights, Thetas):
        return lambda mus, doubts: thetas_at(weights, range(len(weights.functions)), mus, doubts, what)
    if isinstance(weights, Chosen):
        which = [int(q) for q in weights.which]
        return lambda mus, doubts: thetas_at(weights.of, which, mus, doubts, what)
    if isinstance(weights, Interpolated) and isinstance(weights.sampler, FunctionSampler | Polynomial):
        return interpolated(weights, like)
    kind = weights.sampler if isinstance(weights, Interpolated) else weights
    raise TypeError(
        f"the weights of {what} are read off entries or assemblies on the host ({type(kind).__name__}), and the parameters are "
        "CuPy's: give predict NumPy parameters, cupy.asnumpy(mus), or fit with Affine, EIM, or Training that learns polynomials"
    )


def thetas_at(thetas: Thetas, which: Any, mus: Any, doubts: Doubts, what: str) -> Any:
    xp: Any = arrays.namespace(mus)
    columns = columns_of(thetas.parameters, mus)
    rows = [theta_at(thetas, q, columns, mus, doubts, what) for q in which]
    dtype = xp.result_type(xp.float64, *rows)
    table = xp.stack([xp.broadcast_to(xp.astype(row, dtype), (mus.shape[0],)) for row in rows])
    doubts.add(~xp.all(xp.isfinite(table)), lambda: not_finite(thetas, which, table, columns))
    return table


def not_finite(thetas: Thetas, which: Any, table: Any, columns: Any) -> Exception:
    """Which theta was not: in the words of an expression, if it is one."""
    row = int(np.argwhere(~np.isfinite(arrays.to_numpy(table)))[0][0])
    q = [*which][row]
    try:
        if isinstance(thetas.functions[q], Expression):
            thetas.functions[q](columns)
    except ValueError as error:
        return error
    return ValueError(f"theta {q} must return finite numbers; it gave NaN or infinity")


def theta_at(thetas: Thetas, q: int, columns: dict[str, Any], mus: Any, doubts: Doubts, what: str) -> Any:
    """theta q at all points, () or (m,); that it gives the same at single points is a doubt."""
    theta, m, xp = thetas.functions[q], mus.shape[0], arrays.namespace(mus)
    assert xp is not None
    if isinstance(theta, Expression):
        return theta.computed({name: columns[name] for name in theta.names}, None, mus)[0]
    value = called(lambda: theta(columns), f"theta {q} of {what}", mus, ((), (m,)))
    if m < 2:
        return value
    everywhere, scale = xp.broadcast_to(value, (m,)), xp.max(xp.abs(value))
    for i in (0, m - 1):
        try:
            alone = xp.asarray(theta({name: values[i : i + 1] for name, values in columns.items()}))
        except (TypeError, ValueError, IndexError):
            continue  # it needs several
        if alone.size == 1:
            close = xp.abs(xp.reshape(alone, ()) - everywhere[i]) <= SAME * scale
            doubts.add(
                ~(close | ~xp.isfinite(scale)),
                lambda: ValueError(f"theta {q} of {what} gives other values at single points than among all: {TAKES}; {HOST}"),
            )
    return value


def called(function: Callable[[], Any], what: str, mus: Any, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """What a function of the user returns, on the device; TypeError or ValueError with the remedy."""
    xp: Any = arrays.namespace(mus)
    try:
        value = function()
    except (TypeError, ValueError, AttributeError) as error:
        raise TypeError(f"{what} failed on CuPy arrays ({type(error).__name__}: {error}): {TAKES}; {HOST}") from error
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"{what} was given CuPy arrays and returned one of {home(value)}: {TAKES}; {HOST}")
    value = xp.asarray(value, device=arrays.device(mus))
    if tuple(value.shape) not in shapes or value.dtype.kind not in "biufc":
        wanted = " or ".join(map(str, shapes))
        raise ValueError(f"{what} must return numbers of the shape {wanted}; got {tuple(value.shape)} of {value.dtype}")
    return value


# -- Interpolated weights --------------------------------------------------------------------------------------------------


def interpolated(weights: Interpolated, like: Any) -> Evaluate:
    """F beta = f(points, mu) on the device; the values by functions or polynomials."""
    xp: Any = arrays.namespace(like)
    fit, sampler = weights.interpolation.beside(like), weights.sampler
    sample = functions_at(sampler, like) if isinstance(sampler, FunctionSampler) else polynomial_at(sampler, like)  # type: ignore[arg-type]

    def evaluate(mus: Any, doubts: Doubts) -> Any:
        if fit.size == 0:
            return xp.zeros((0, mus.shape[0]), dtype=xp.float64)
        values = sample(mus, doubts)
        doubts.add(~xp.all(xp.isfinite(values)), lambda: ValueError("functions g(x, mu) must return finite numbers; not all are"))
        return fit.weights_of(values)

    return evaluate


def functions_at(sampler: FunctionSampler, like: Any) -> Evaluate:
    """The values (d, m) at the chosen points."""
    xp: Any = arrays.namespace(like)
    device = arrays.device(like)
    used = sorted({*sampler.which.tolist()} - {-1})
    spots = {r: xp.asarray(sampler.of(r), device=device) for r in used}
    rows = {r: xp.asarray(np.flatnonzero(sampler.which == r), device=device) for r in used}

    def sample(mus: Any, doubts: Doubts) -> Any:
        columns = {name: values[:, None] for name, values in columns_of(sampler.parameters, mus).items()}
        values = {r: values_over(sampler.functions[r], spots[r], columns, mus, doubts) for r in used}
        dtype = xp.result_type(xp.float64, *values.values())
        found = xp.ones((len(sampler.which), mus.shape[0]), dtype=dtype)
        for r in used:
            found[rows[r], :] = xp.astype(values[r].T, dtype) / float(sampler.scales[r])
        return found

    return sample


def values_over(g: Any, x: Any, columns: dict[str, Any], mus: Any, doubts: Doubts) -> Any:
    """g(x, mu) (m, n) at points x (n, dim) for name -> values (m, 1)."""
    xp: Any = arrays.namespace(mus)
    m, n = mus.shape[0], x.shape[0]
    if isinstance(g, Expression):
        points = g.located(x)[1]
        return g.computed({**{name: columns[name] for name in g.names}, **points}, (m, n), x)[0]
    shapes = ((), (n,), (1, n), (m, 1), (m, n))
    value = xp.broadcast_to(called(lambda: g(x, columns), f"function {name_of(g)}", mus, shapes), (m, n))
    scale = xp.max(xp.abs(value)) if m and n else xp.asarray(0.0)
    for i in (0, m - 1) if m > 1 else ():
        single = {name: values[i, 0] for name, values in columns.items()}
        alone = called(lambda single=single: g(x, single), f"function {name_of(g)}", mus, ((), (n,), (1, n)))  # type: ignore[misc]
        close = xp.all(xp.abs(alone - value[i, :]) <= SAME * scale)
        doubts.add(
            ~(close | ~xp.isfinite(scale)),
            lambda: ValueError(
                f"function {name_of(g)} gives other values for one mu than for a column of them (m, 1): {TAKES}; {HOST}"
            ),
        )
    return value


def polynomial_at(polynomial: Polynomial, like: Any) -> Evaluate:
    """The values (d, m) of products of Chebyshev polynomials."""
    xp: Any = arrays.namespace(like)
    degrees = xp.asarray(polynomial.degrees.astype(np.float64), device=arrays.device(like))
    coefficients = xp.asarray(polynomial.coefficients, device=arrays.device(like))
    parameters = polynomial.parameters

    def sample(mus: Any, doubts: Doubts) -> Any:
        angles = xp.acos(xp.minimum(xp.maximum(2 * unit_of(parameters, mus) - 1, -1.0), 1.0))  # clip would wait
        terms = xp.prod(xp.cos(angles[:, None, :] * degrees[None, :, :]), axis=2)
        return (terms @ coefficients).T

    return sample


def unit_of(parameters: Parameters, mus: Any) -> Any:
    """`Parameters.unit` on a device: points (m, p) in the unit cube, on the scales of the parameters."""
    xp: Any = arrays.namespace(mus)
    low, high = parameters.on_scale(parameters.low), parameters.on_scale(parameters.high)
    columns = []
    for i, log in enumerate(parameters.log):
        column = xp.log(mus[:, i]) if log else mus[:, i]
        columns.append((column - float(low[i])) / float(high[i] - low[i]))
    return xp.stack(columns, axis=1)
