"""Implicit time steps of M du/dt + A u + f(u) = b(t), for one large system or for many small ones at once.

What is stepped is anything with the five methods of `System`. Sizes are one number for one system, an array (m,) for m systems.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...solvers import SolveError

EPS = float(np.finfo(np.float64).eps)
ROUNDING = 64  # units of round-off of M, A times u below which no residual can be brought
SLOW = 0.1  # a Newton step that leaves more than this of the residual asks for the derivative anew
LIMIT = 25  # Newton steps in one time step


class NewtonError(ArithmeticError):
    """A time step whose equation was not solved.

    step, time : of the step's end;  residual : relative to its terms, NaN if a linear system was not solved
    which : the number of the parameter among those of the call
    """

    def __init__(self, said: str, step: int, time: float, residual: float, which: int) -> None:
        super().__init__(said)
        self.step, self.time, self.residual, self.which = step, time, residual, which


class System(Protocol):
    """M du/dt + A u + f(u) = b(t). `linear`: f is not there."""

    @property
    def linear(self) -> bool: ...

    def mass(self, u: np.ndarray) -> np.ndarray:
        """M u."""

    def rate(self, u: np.ndarray, k: int) -> np.ndarray:
        """A u - b(t_k)."""

    def force(self, u: np.ndarray) -> np.ndarray:
        """f(u)."""

    def factor(self, c: float, theta: float, u: np.ndarray | None) -> Callable[[np.ndarray], np.ndarray]:
        """r -> (c M + theta (A + f'(u)))^-1 r; without f' where u is None."""

    def size(self, u: np.ndarray) -> Any:
        """The norm of each system's vector."""

    def magnitude(self, c: float, theta: float) -> Any:
        """The norm of c M + theta A of each system, up to a small factor."""

    def said(self, which: int) -> str:
        """The parameters of system `which` in words."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """M (a_0 u_k+1 + a_1 u_k + a_2 u_k-1) / dt + theta F(u_k+1, t_k+1) + (1 - theta) F(u_k, t_k) = 0, F = A u + f(u) - b.

    explicit: f is taken at u_k, so that every step is linear. Hairer and Wanner, Solving Ordinary Differential Equations II
    (1996), sections IV.3 and V.1; Ascher, Ruuth and Wetton, SIAM J. Numer. Anal. 32 (1995) 797, for the explicit f.
    """

    name: str
    order: int
    a: tuple[float, float, float]
    theta: float = 1.0
    explicit: bool = False


EULER = Scheme("implicit Euler", 1, (1.0, -1.0, 0.0))
SCHEMES = {
    scheme.name: scheme
    for scheme in (
        EULER,
        Scheme("Crank-Nicolson", 2, (1.0, -1.0, 0.0), 0.5),
        Scheme("BDF2", 2, (1.5, -2.0, 0.5)),
        Scheme("IMEX Euler", 1, (1.0, -1.0, 0.0), explicit=True),
    )
}


def scheme_named(name: Any) -> Scheme:
    """One of SCHEMES; ValueError with their names for another."""
    if not isinstance(name, str) or name not in SCHEMES:
        raise ValueError(f"method must be one of {', '.join(SCHEMES)}; got {name!r}")
    return SCHEMES[name]


def time_grid(t: Any, dt: float) -> np.ndarray:
    """t0, t0 + dt, ..., t1, as many steps as dt goes into the interval; ValueError if it does not."""
    try:
        t0, t1 = (float(value) for value in t)
    except (TypeError, ValueError) as error:
        raise ValueError(f"t must be (t0, t1), two times; got {t!r}") from error
    if not (np.isfinite([t0, t1, dt]).all() and t0 < t1 and dt > 0):
        raise ValueError(f"times must be finite with t0 < t1 and dt > 0; got t = ({t0:g}, {t1:g}), dt = {dt:g}")
    steps = round((t1 - t0) / dt)
    if steps < 1 or abs(steps * dt - (t1 - t0)) > 1e-6 * dt:
        near = (t1 - t0) / max(steps, 1)
        raise ValueError(f"dt must divide the interval: {t1 - t0:g} / {dt:g} is no whole number; try dt={near!r}")
    return np.linspace(t0, t1, steps + 1)


@dataclass(slots=True)
class Derivative:
    """(c M + theta (A + f'))^-1, kept over steps and Newton steps as long as it serves."""

    key: tuple[float, float] | None = None
    solve: Callable[[np.ndarray], np.ndarray] | None = None

    def at(self, system: System, key: tuple[float, float], u: np.ndarray | None, anew: bool) -> Any:
        """The one that is kept, if it is for the same key = (c, theta) and not wanted anew; else that at u."""
        if self.solve is None or self.key != key or anew:
            self.key, self.solve = key, system.factor(*key, u)
        return self.solve


def march(
    system: System, scheme: Scheme, times: np.ndarray, u: np.ndarray, *, tol: float, keep: Callable[[int, np.ndarray], None]
) -> None:  # fmt: skip
    """The states at all times, from u at times[0]; keep(k, u_k) is called with each, also with the first.

    A step is solved when ||residual|| <= tol times the sum of the sizes of its terms, or when it is below the rounding of
    products with M and A. Raises NewtonError where LIMIT Newton steps do not get there, or a value is not finite. BDF2 starts
    with a step of implicit Euler, which keeps order 2. Memory: a few states.
    """
    dt, derivative, before = float(times[1] - times[0]), Derivative(), u
    keep(0, u)
    for k in range(1, len(times)):
        now = EULER if scheme.a[2] and k == 1 else scheme
        known = system.mass(now.a[1] * u + now.a[2] * before) / dt
        if now.theta < 1:
            known = known + (1 - now.theta) * (system.rate(u, k - 1) + (0.0 if system.linear else system.force(u)))
        if now.explicit and not system.linear:
            known = known + system.force(u)
        step = Step(system, now, k, float(times[k]), now.a[0] / dt, known, tol)
        before, u = u, step.solved(u if k == 1 else 2 * u - before, derivative)
        keep(k, u)


@dataclass(frozen=True, slots=True)
class Step:
    """c M u + theta (A u + f(u) - b(t_k)) + known = 0."""

    system: System
    scheme: Scheme
    k: int
    time: float
    c: float
    known: np.ndarray
    tol: float

    @property
    def linear(self) -> bool:
        return self.system.linear or self.scheme.explicit

    def residual(self, u: np.ndarray) -> tuple[np.ndarray, Any]:
        """(r, the size that counts as solved)."""
        system, theta = self.system, self.scheme.theta
        terms = [self.c * system.mass(u), theta * system.rate(u, self.k)]
        if not self.linear:
            terms.append(theta * system.force(u))
        floor = ROUNDING * EPS * system.magnitude(self.c, theta) * system.size(u)
        scale = sum((system.size(term) for term in terms), start=system.size(self.known))
        return sum(terms, start=self.known), np.maximum(self.tol * scale, floor)

    def solved(self, u: np.ndarray, derivative: Derivative) -> np.ndarray:
        """Newton's method, with the derivative of an earlier point while that is good enough (Kelley, Solving Nonlinear Equations
        with Newton's Method, 2003, chapter 2)."""
        key, last = (self.c, self.scheme.theta), None
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for _ in range(LIMIT):
                r, enough = self.residual(u)
                size = self.system.size(r)
                if not np.isfinite(size).all():
                    break
                if (size <= enough).all():
                    return u
                slow = last is not None and not self.linear and bool(((size > SLOW * last) & (size > enough)).any())
                try:
                    u = u - derivative.at(self.system, key, None if self.linear else u, slow)(r)
                except (np.linalg.LinAlgError, SolveError) as error:
                    raise self.unsolved(error) from error
                last = size
            r, enough = self.residual(u)
        size = np.atleast_1d(self.system.size(r))
        if (size <= enough).all():
            return u
        raise self.failed(size, np.atleast_1d(enough))

    def unsolved(self, error: Exception) -> NewtonError:
        said = f"step {self.k} to t = {self.time:.6g} at {self.system.said(0)}: the linear system was not solved: {error}"
        return NewtonError(said, self.k, self.time, float("nan"), 0)

    def failed(self, size: np.ndarray, enough: np.ndarray) -> NewtonError:
        excess = np.where(np.isfinite(size), size / np.maximum(enough, np.finfo(float).tiny), np.inf)
        which = int(np.argmax(excess))
        relative, others = float(excess[which] * self.tol), int((excess > 1).sum()) - 1
        state = "is not finite" if not np.isfinite(relative) else f"is {relative:.1e} of its terms after {LIMIT} Newton steps"
        also = f", and at {others} other parameters" if others else ""
        said = (
            f"step {self.k} to t = {self.time:.6g} at {self.system.said(which)}{also}: the residual {state}, asked for was "
            f"{self.tol:.1e}. Take a smaller dt; see that nonlinear is finite there, and that jacobian is its derivative"
        )
        return NewtonError(said, self.k, self.time, relative, which)
