"""Implicit methods for stiff local equations: each stage is a linear system of petrov.solvers, or a few of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...solvers.krylov.gmres import gmres
from ...solvers.krylov.minres import minres
from .local_solvers import (
    Flow,
    Linear,
    LocalSolveError,
    Stats,
    as_complex,
    checked,
    eps_of,
    flat,
    length,
    number,
    positive,
    shaped,
    times,
)
from .moving_flow import MovingFlow
from .tensors import is_complex, namespace

GAMMA = 1 - math.sqrt(0.5)
# scheme -> (gamma, stages (c_i, a_ij)): Z_i - gamma h F(t + c_i h, Z_i) = Y + h sum_j a_ij F_j, and the last Z is Y(t + h)
STAGES: dict[str, tuple[float, tuple[tuple[float, tuple[float, ...]], ...]]] = {
    "implicit Euler": (1.0, ((1.0, ()),)),
    "Crank-Nicolson": (0.5, ((1.0, (0.5,)),)),  # F_0 is F at the start
    "SDIRK2": (GAMMA, ((GAMMA, ()), (1.0, (1 - GAMMA,)))),
}
INNER = 1e-3  # of the residual: linear systems of Newton's method
MOST = 20  # Newton steps


@dataclass(frozen=True, slots=True)
class Implicit:
    """Y' = F(t, Y) by an implicit method in `steps` equal parts of h, whatever the size of ||F'|| h.

    Parameters
    ----------
    scheme : "implicit Euler" (order 1), "Crank-Nicolson" (2), "SDIRK2" (2)
        Stiff parts are damped by implicit Euler and SDIRK2, and only reflected by Crank-Nicolson, which keeps norms instead
        (f H skew-Hermitian). SDIRK2 solves two systems a part.
    steps : int
    rtol : float
        Of each stage: ||Z - gamma h F(Z) - right-hand side|| relative to the right-hand side; at least ten rounding units.
    max_iterations : int
        Of each linear system.

    Notes
    -----
    Linear F: (I - gamma h f H) Z = right-hand side by minres if H is Hermitian and f real, else by gmres, from the last Z.
    Other F: Newton's method; derivatives of F along a direction are difference quotients, in real arithmetic (|Y|^2 Y has no
    complex derivative). No preconditioner. F at a stage is taken from the stage's own equation, which does not amplify the
    residuals of stiff parts.

    Stats.applications counts F and H; Stats.substeps the parts. Raises LocalSolveError if a system or Newton's method fails.
    Hairer and Wanner, Solving Ordinary Differential Equations II (1996), IV.3, IV.6; Alexander, SIAM J. Numer. Anal. 14 (1977).

    >>> import numpy as np
    >>> from petrov.rom.ttn.implicit import Implicit
    >>> from petrov.rom.ttn.local_solvers import LinearFlow
    >>> rates = np.array([1.0, 1e6])
    >>> F = LinearFlow(lambda Y: rates * Y, factor=-1.0, hermitian=True)
    >>> Y, stats = Implicit("SDIRK2", steps=100).solve(F, np.ones(2), 0.0, 1.0)
    >>> bool(abs(Y[0] - np.exp(-1)) < 1e-4 and abs(Y[1]) < 1e-8)
    True
    """

    scheme: str = "SDIRK2"
    steps: int = 1
    rtol: float = 1e-10
    max_iterations: int = 2000

    def __post_init__(self) -> None:
        if self.scheme not in STAGES:
            raise ValueError(f"scheme must be one of {', '.join(STAGES)}; got {self.scheme!r}")
        positive(self.steps, "steps", int)
        positive(self.rtol, "rtol")
        positive(self.max_iterations, "max_iterations", int)

    def solve(self, F: Flow, Y: Any, t: float, h: float) -> tuple[Any, Stats]:
        """(Y(t + h), Stats)."""
        t, h, _ = checked(F, Y, t, h)
        part, stats = h / self.steps, Stats()
        for k in range(self.steps if h else 0):
            Y, used = self.step(F, Y, t + k * part, part)
            stats = stats + Stats(used, 1)
        return Y, stats

    def step(self, F: Any, Y: Any, t: float, h: float) -> tuple[Any, int]:
        """(Y(t + h), applications)."""
        gamma, stages = STAGES[self.scheme]
        rates, used, Z = [], 0, Y
        if self.scheme == "Crank-Nicolson":
            rates, used = [F(t, Y)], 1
        for node, weights in stages:
            right = Y
            for a, k in zip(weights, rates, strict=True):
                right = right + (a * h) * k
            solved = self.linear if F.linear else self.newton
            Z, products = solved(F, right, Z, gamma * h, t + node * h)
            rates, used = [*rates, (Z - right) * (1.0 / (gamma * h))], used + products
        return Z, used

    def linear(self, F: Linear, right: Any, guess: Any, c: float, t: float) -> tuple[Any, int]:
        """(Z, products) with Z - c F(Z) = right."""
        F = F.at(t) if isinstance(F, MovingFlow) else F
        f, source = number(F.factor), getattr(F, "source", None)
        right = right if source is None else right + c * source
        right, guess = (as_complex(x) if isinstance(f, complex) else x for x in (right, guess))
        A = Shifted(lambda Z: Z - times(c * f, F.apply(Z)), right)
        method = minres if F.hermitian and not isinstance(f, complex) else gmres
        return self.system(method, A, right, guess, max(self.rtol, 10 * eps_of(right)), t)

    def system(self, method: Callable[..., Any], A: Shifted, right: Any, guess: Any, rtol: float, t: float) -> tuple[Any, int]:
        """(A^-1 right, products), both shaped like `right`."""
        x0 = None if guess is None else flat(guess)
        result = method(A, flat(right), x0=x0, rtol=rtol, max_iterations=self.max_iterations)
        if not result.converged:
            raise LocalSolveError(
                f"Implicit ({self.scheme}): the system at t = {t:g} was not solved to rtol = {rtol:g}: {result.reason}. "
                f"Take more steps, or a larger rtol"
            )
        return shaped(result.x, right.shape), A.products

    def newton(self, F: Flow, right: Any, guess: Any, c: float, t: float) -> tuple[Any, int]:
        """The same for any F, by Newton's method with difference quotients."""
        Z, used, enough = guess, 0, max(self.rtol, 10 * eps_of(right)) * norm(right)
        for _ in range(MOST):
            rate_of_Z = F(t, Z)
            Z = as_complex(Z) if is_complex(rate_of_Z) else Z
            residual, used = Z - c * rate_of_Z - right, used + 1
            size = norm(residual)
            if size <= enough:
                return Z, used
            if not math.isfinite(size):
                break
            A = Shifted(derivative(F, Z, rate_of_Z, c, t), real_parts(residual))
            change, products = self.system(gmres, A, real_parts(-residual), None, INNER, t)
            Z, used = Z + from_real_parts(change, Z), used + products
        raise LocalSolveError(
            f"Implicit ({self.scheme}): Newton's method at t = {t:g} ended with a residual of {size:.2g}, above {enough:.2g}: "
            f"take more steps, or a larger rtol"
        )


@dataclass(slots=True, eq=False)
class Shifted:
    """A map of arrays like `like` as a matrix, with a count of its products."""

    apply: Callable[[Any], Any]
    like: Any
    products: int = field(default=0)

    @property
    def shape(self) -> tuple[int, int]:
        return (math.prod(self.like.shape),) * 2

    @property
    def dtype(self) -> Any:
        return self.like.dtype

    def __matmul__(self, x: Any) -> Any:
        self.products += 1
        return flat(self.apply(shaped(x, self.like.shape)))


def derivative(F: Flow, Z: Any, rate_of_Z: Any, c: float, t: float) -> Callable[[Any], Any]:
    """v -> v - c F'(Z) v for real parts v, by a forward difference."""
    size, unit = norm(Z), math.sqrt(eps_of(Z))

    def along(v: Any) -> Any:
        direction = from_real_parts(v, Z)
        step = unit * max(size, 1e-3) / norm(direction)
        return real_parts(direction - (c / step) * (F(t, Z + step * direction) - rate_of_Z))

    return along


def real_parts(Z: Any) -> Any:
    """A complex Z as one real array with one more axis; a real one as it is."""
    xp = namespace(Z)
    return xp.stack((xp.real(Z), xp.imag(Z))) if is_complex(Z) else Z


def from_real_parts(v: Any, like: Any) -> Any:
    return as_complex(v[0, ...]) + 1j * as_complex(v[1, ...]) if is_complex(like) else v


def norm(Z: Any) -> float:
    return length(flat(Z))
