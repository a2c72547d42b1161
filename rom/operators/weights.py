"""The weights of the terms of A(mu), b(mu) or L(mu), for many parameters at once: what is evaluated online."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..empirical_interpolation import Interpolation
from ..parameters import Parameters
from .expressions import Expression

SAME = 1e-9  # of the largest value: functions of arrays round otherwise than those of numbers


class Weights(Protocol):
    """weights(mus (m, p)) -> (m, Q), the factors of the Q terms."""

    def __call__(self, mus: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """One term that no parameter changes."""

    def __call__(self, mus: np.ndarray) -> np.ndarray:
        return np.ones((len(mus), 1))


@dataclass(frozen=True, slots=True, eq=False)
class Thetas:
    """Coefficient functions that the user states, called with a mapping name -> values (m,); scalars broadcast."""

    functions: tuple[Callable[[dict[str, np.ndarray]], Any], ...]
    parameters: Parameters

    def __call__(self, mus: np.ndarray) -> np.ndarray:
        columns = self.parameters.columns(mus)
        found = [self.one(q, theta, columns, len(mus)) for q, theta in enumerate(self.functions)]
        table = np.empty((len(mus), len(found)), np.result_type(np.float64, *(value.dtype for value in found)))
        for q, value in enumerate(found):
            table[:, q] = value
        if not np.isfinite(table).all():
            q = int(np.argwhere(~np.isfinite(table))[0][1])
            raise ValueError(f"theta {q} must return finite numbers; it gave NaN or infinity")
        return table

    def one(self, q: int, theta: Callable[[Any], Any], columns: dict[str, np.ndarray], m: int) -> np.ndarray:
        try:
            value = np.asarray(theta(columns))
            if value.shape not in ((), (m,)):
                raise ValueError(f"it returned shape {value.shape}")
            if m > 1 and not agrees(value, theta, columns):
                raise ValueError("single values give something else")
        except (TypeError, ValueError) as error:  # written for one point at a time
            value = self.by_points(q, theta, columns, m, error)
        if value.dtype.kind not in "biufc":
            raise ValueError(f"theta {q} must return numbers, one or ({m},); got {value.dtype} of shape {value.shape}")
        return value

    def by_points(self, q: int, theta: Any, columns: dict[str, np.ndarray], m: int, error: Exception) -> np.ndarray:
        try:
            points = [{name: float(values[i]) for name, values in columns.items()} for i in range(m)]
            return np.array([np.asarray(theta(mu)).reshape(()) for mu in points])
        except (TypeError, ValueError):
            wanted = f"called with name -> array ({m},) it must return ({m},) or a scalar"
            raise ValueError(f"theta {q} failed on arrays and on single values: {wanted} ({error})") from error


def agrees(value: np.ndarray, theta: Callable[[Any], Any], columns: dict[str, np.ndarray]) -> bool:
    """Whether a function gives for the first and the last point alone what it gave among all: np.max([mu["k"], 1]) does not."""
    if isinstance(theta, Expression) or not np.isfinite(value).all():
        return True
    everywhere = np.broadcast_to(value, len(next(iter(columns.values()))))
    for i in (0, -1):
        try:
            alone = np.asarray(theta({name: float(values[i]) for name, values in columns.items()}))
        except (TypeError, ValueError, AttributeError, IndexError):
            continue  # it was written for arrays
        if alone.size != 1 or not abs(alone.reshape(()) - everywhere[i]) <= SAME * np.abs(everywhere).max():
            return False
    return True


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Some of the coefficient functions: those on which the others depend linearly."""

    of: Thetas
    which: np.ndarray

    def __call__(self, mus: np.ndarray) -> np.ndarray:
        return self.of(mus)[:, self.which]


@dataclass(frozen=True, slots=True, eq=False)
class Interpolated:
    """Weights by empirical interpolation: from the values f(x_l, mu) that `sampler` reads for the chosen points x_l."""

    interpolation: Interpolation
    sampler: Callable[[np.ndarray], np.ndarray]  # mus (m, p) -> (d, m)

    def __call__(self, mus: np.ndarray) -> np.ndarray:
        return self.interpolation.coefficients(self.sampler(mus)).T


# -- Samplers: the values at the interpolation points ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class FunctionSampler:
    """Known functions g_r(x, mu), divided by scales_r, at chosen points; r = -1 is the constant 1. x[l]: (dim,) of point l."""

    functions: tuple[Callable[[np.ndarray, Any], Any], ...]
    which: np.ndarray
    x: tuple[np.ndarray, ...]
    scales: np.ndarray
    parameters: Parameters

    def __call__(self, mus: np.ndarray) -> np.ndarray:
        kinds = [values_at(self.functions[r], self.of(r), mus, self.parameters) for r in sorted({*self.which.tolist()} - {-1})]
        dtype = np.result_type(np.float64, *(values.dtype for values in kinds))
        found = np.ones((len(self.which), len(mus)), dtype)
        for r, values in zip(sorted({*self.which.tolist()} - {-1}), kinds, strict=True):
            found[self.which == r] = values / self.scales[r]
        return found

    def of(self, r: int) -> np.ndarray:
        """The chosen points (n, dim) of function r."""
        return np.stack([x for x, which in zip(self.x, self.which, strict=True) if which == r])


def values_at(g: Callable[[Any, Any], Any], x: np.ndarray, mus: np.ndarray, parameters: Parameters) -> np.ndarray:
    """g(x, mu) for points x (n, dim) and mus (m, p), as (n, m).

    Called once with a mapping name -> values (m, 1) where that gives what single values give, else once a parameter.
    """
    n, m = len(x), len(mus)
    single = [column(g, x, parameters.mapping(mus[i]), n) for i in sorted({0, m - 1})] if m else []
    if m > 2:
        try:
            columns = {name: values[:, None] for name, values in parameters.columns(mus).items()}
            together = np.broadcast_to(np.asarray(g(x, columns)), (m, n))
            if all(np.allclose(together[i], one, rtol=1e-13, atol=0) for i, one in zip((0, m - 1), single, strict=True)):
                return checked(together.T, g)
        except (TypeError, ValueError):
            pass  # it was written for one parameter at a time
    return checked(np.stack([column(g, x, parameters.mapping(mu), n) for mu in mus], axis=1) if m else np.empty((n, 0)), g)


def column(g: Callable[[Any, Any], Any], x: np.ndarray, mu: dict[str, float], n: int) -> np.ndarray:
    value = np.asarray(g(x, mu))
    if value.shape not in ((), (n,)):
        raise ValueError(f"function {name_of(g)} must return ({n},) or a scalar for x of shape {x.shape}; got {value.shape}")
    return np.broadcast_to(value, (n,))


def checked(values: np.ndarray, g: Any) -> np.ndarray:
    if values.dtype.kind not in "biufc" or not np.isfinite(values).all():
        raise ValueError(f"function {name_of(g)} must return finite numbers; got {values.dtype} with NaN or infinity")
    return values


def name_of(g: Any) -> str:
    return getattr(g, "__name__", repr(g))


@dataclass(frozen=True, slots=True, eq=False)
class EntrySampler:
    """A few entries of A(mu) or b(mu), by a function of the user: entries(mu, *places) -> values.

    places: (rows, cols) or (rows,) of the points that are entries; the point `ones`, if any, is the constant 1 before them.
    """

    entries: Callable[..., Any]
    places: tuple[np.ndarray, ...]
    scale: float
    ones: bool
    parameters: Parameters

    def __call__(self, mus: np.ndarray) -> np.ndarray:
        count = len(self.places[0])
        found = [self.one(mu, count) for mu in mus]
        values = np.stack(found, axis=1) / self.scale if found else np.empty((count, 0))
        return np.concatenate([np.ones((1, len(mus))), values]) if self.ones else values

    def one(self, mu: np.ndarray, count: int) -> np.ndarray:
        value = np.asarray(self.entries(self.parameters.mapping(mu), *self.places))
        if value.shape != (count,) or not np.isfinite(value).all():
            raise ValueError(
                f"entries at {self.parameters.said(mu)} must return {count} finite values, one a place; got shape {value.shape}"
            )
        return value


@dataclass(frozen=True, slots=True, eq=False)
class Polynomial:
    """Products of Chebyshev polynomials in the unit box, fitted to training values: (terms, d) coefficients.

    parameters: those of the model, or their box with linear scales.
    """

    degrees: np.ndarray  # (terms, p)
    coefficients: np.ndarray
    parameters: Parameters

    def __call__(self, mus: np.ndarray) -> np.ndarray:
        return (chebyshev(self.parameters.unit(mus), self.degrees) @ self.coefficients).T


def chebyshev(unit: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """prod_i T_{degrees[t, i]}(2 unit_i - 1), (m, terms)."""
    angles = np.arccos(np.clip(2 * unit - 1, -1.0, 1.0))
    return np.prod(np.cos(angles[:, None, :] * degrees[None]), axis=2)


def fitted(mus: np.ndarray, values: np.ndarray, parameters: Parameters, tol: float) -> tuple[Polynomial, float] | None:
    """(polynomial, its relative error on held-out points) for values (m, d) at mus (m, p); None if none reaches `tol`.

    On the scales of the parameters and on linear ones, where these differ; the one with fewer terms.
    """
    scales = [parameters, parameters.linear()] if parameters.log.any() else [parameters]
    found = [one for scale in scales if (one := fitted_on(mus, values, scale, tol)) is not None]
    return min(found, key=lambda one: len(one[0].degrees), default=None)


def fitted_on(mus: np.ndarray, values: np.ndarray, parameters: Parameters, tol: float) -> tuple[Polynomial, float] | None:
    """`fitted` on the scales of these parameters.

    Products of degrees k with sum_i k_i / d_i <= 1: the d_i grow one at a time, the one that lowers the error most, while there
    are two points for each term, and two values of each parameter for each degree. Every fourth point is held out.
    """
    held = np.arange(len(mus)) % 4 == 3
    unit, scale = parameters.unit(mus), np.abs(values).max(initial=0.0) or 1.0

    distinct = np.array([len(np.unique(column)) for column in unit[~held].T])

    def attempt(limits: tuple[int, ...]) -> tuple[float, Polynomial] | None:
        degrees = below(limits)
        if 2 * len(degrees) > (~held).sum() or (2 * np.array(limits) > distinct).any():
            return None  # a grid has few values of each parameter, however many points it has
        solution = np.linalg.lstsq(chebyshev(unit[~held], degrees), values[~held], rcond=None)[0]
        error = float(np.abs(chebyshev(unit[held], degrees) @ solution - values[held]).max(initial=0.0) / scale)
        return error, Polynomial(degrees, solution, parameters)

    limits: tuple[int, ...] = (0,) * unit.shape[1]
    best = attempt(limits)
    while best is not None and best[0] > tol:
        longer = [limits[:i] + (limits[i] + 1,) + limits[i + 1 :] for i in range(len(limits))]
        tried = [(found, more) for more in longer if (found := attempt(more)) is not None]
        if not tried:
            return None
        best, limits = min(tried, key=lambda one: one[0][0])
    return None if best is None else (best[1], best[0])


def below(limits: tuple[int, ...]) -> np.ndarray:
    """The exponents k (terms, p) with sum_i k_i / d_i <= 1; k_i = 0 where d_i = 0."""
    rows: list[tuple[int, ...]] = [()]
    for i, limit in enumerate(limits):
        left = [1.0 - sum(k / d for k, d in zip(row, limits[:i], strict=False) if d) for row in rows]
        rows = [(*row, k) for row, room in zip(rows, left, strict=True) for k in range(int(limit * room + 1e-9) + 1)]
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(limits))


@dataclass(frozen=True, slots=True, eq=False)
class AssemblySampler:
    """A few entries read off a whole assembly at each parameter: where nothing is known, and nothing was learned.

    read(mu (p,), *places) -> values at the places, (rows, cols) of A or (indices,) of a vector; the constant 1 stands before them
    if `ones`.
    """

    read: Callable[..., np.ndarray]
    places: tuple[np.ndarray, ...]
    scale: float
    ones: bool

    def __call__(self, mus: np.ndarray) -> np.ndarray:
        found = [self.read(mu, *self.places) for mu in mus]
        values = np.stack(found, axis=1) / self.scale if found else np.empty((len(self.places[0]), 0))
        return np.concatenate([np.ones((1, len(mus))), values]) if self.ones else values


def padded(ones: bool, points: Sequence[int] | np.ndarray) -> np.ndarray:
    """Rows of the table that are entries, counted from 0: without the row of ones that may stand before them."""
    points = np.asarray(points)
    return points[1:] - 1 if ones else points
