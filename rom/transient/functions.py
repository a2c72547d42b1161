"""The functions that the user of a transient model states: weights theta(mu, t), and entries of f(u, mu) and b(mu, t).

A function of entries is called for one parameter with u (n,) and mu: name -> number, or, where it was seen to take them, for m at
once with u (m, n) and mu: name -> array (m, 1). Then u[..., indices] is (m, d) and broadcasts with mu["a"] (m, 1) and with
weights w[indices] (d,), so that one text serves both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..operators.expressions import Expression, expression
from ..operators.weights import Thetas
from ..parameters import Parameters
from .time_stepping import Scheme

SAME = 1e-12  # relative: where answers for many parameters must agree with those for one


@dataclass(frozen=True, slots=True, eq=False)
class TimeThetas:
    """theta_p(mu, t), p = 1, ..., P: callables of a mapping and a time, or texts in which t is known."""

    functions: tuple[Any, ...]
    parameters: Parameters

    def __call__(self, mus: np.ndarray, t: float) -> np.ndarray:
        """(m, P)."""
        return Thetas(tuple(at_time(theta, t) for theta in self.functions), self.parameters)(mus)


def at_time(theta: Any, t: float) -> Callable[[Mapping[str, Any]], Any]:
    """theta(., t)."""
    if isinstance(theta, Expression):
        return lambda mu: theta({**mu, "t": t})
    return lambda mu: theta(mu, t)


def as_theta(theta: Any, names: tuple[str, ...], place: str, time: bool) -> Any:
    """A weight as a callable: the expression of a text or a number, or the callable that it is."""
    if isinstance(theta, int | float) and not isinstance(theta, bool):
        theta = repr(float(theta))
    if isinstance(theta, str):
        return expression(theta, (*names, "t") if time else names, coordinates=())
    if not callable(theta):
        called = "theta(mu, t)" if time else "theta(mu)"
        raise TypeError(f"{place} must be {called}, a text such as '1 + a', or a number; got {type(theta).__name__}")
    return theta


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """nonlinear(u, mu, indices) -> f_indices(u, mu), or rhs(mu, t, indices) -> b_indices(mu, t), and its answers checked.

    many: it was seen to answer for many parameters at once.
    """

    function: Callable[..., Any]
    parameters: Parameters
    what: str  # "nonlinear" or "rhs"
    many: bool = False

    def call(self, state: Any, mu: Mapping[str, Any], rows: np.ndarray) -> Any:
        """state: u, or t."""
        return self.function(state, mu, rows) if self.what == "nonlinear" else self.function(mu, state, rows)

    def one(self, state: Any, mu: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(d,) at one parameter (p,)."""
        return self.checked(self.call(state, self.parameters.mapping(mu), rows), (len(rows),))

    def checked(self, answer: Any, shape: tuple[int, ...]) -> np.ndarray:
        """An answer as double-precision numbers of this shape; it may have been one number."""
        values = np.asarray(answer)
        if values.dtype.kind not in "biufc":
            raise TypeError(f"{self.what} must return numbers; got {values.dtype}")
        if values.shape not in (shape, ()):
            raise ValueError(f"{self.what} was asked for {shape[-1]} entries and must return {shape}; got {values.shape}")
        return np.broadcast_to(values.astype(np.result_type(values, np.float64), copy=False), shape)

    def batch(self, state: Any, mus: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """(m, d) at parameters (m, p); state is u (m, n), or t."""
        if self.many:
            mu = {name: mus[:, i : i + 1] for i, name in enumerate(self.parameters.names)}
            return self.checked(self.call(state, mu, rows), (len(mus), len(rows)))
        states = state if self.what == "nonlinear" else [state] * len(mus)
        return np.stack([self.one(u, mu, rows) for u, mu in zip(states, mus, strict=True)])

    def tried(self, state: Any, mus: np.ndarray, rows: np.ndarray) -> Entries:
        """With `many` as a trial at a few parameters shows: it must agree with the answers one by one, also in being NaN."""
        single = replace(self, many=False).batch(state, mus, rows)
        try:
            with np.errstate(all="ignore"):
                together = replace(self, many=True).batch(state, mus, rows)
        except (TypeError, ValueError, IndexError):  # written for one
            return replace(self, many=False)
        scale = np.abs(np.where(np.isfinite(single), single, 0.0)).max(initial=0.0)
        return replace(self, many=bool(np.allclose(together, single, rtol=SAME, atol=SAME * scale, equal_nan=True)))


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """u0: a number, an array (n,), or u0(mu) -> (n,) or a number."""

    value: Any
    parameters: Parameters
    n: int

    @property
    def constant(self) -> bool:
        return not callable(self.value)

    def __call__(self, mu: np.ndarray) -> np.ndarray:
        given = self.value if self.constant else self.value(self.parameters.mapping(mu))
        u = np.asarray(given)
        where = "" if self.constant else f" at {self.parameters.said(mu)}"
        if u.dtype.kind not in "biufc" or u.shape not in ((), (self.n,)):
            raise ValueError(f"u0{where} must be a number or an array ({self.n},); got {u.dtype} of shape {u.shape}")
        if not np.isfinite(u).all():
            raise ValueError(f"u0{where} holds NaN or infinity")
        return np.array(np.broadcast_to(u, (self.n,)), dtype=np.result_type(u, np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Stated:
    """What full and reduced problem have in common: M du/dt + sum_q theta_q(mu) A_q u + f(u, mu) = sum_p theta_p(mu, t) b_p.

    f, b: None where there is no f, and where b is a sum of vectors.
    """

    parameters: Parameters
    weights: Thetas
    f: Entries | None
    b: Entries | None
    b_weights: TimeThetas
    start: Start
    times: np.ndarray
    scheme: Scheme
    tol: float
