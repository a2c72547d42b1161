"""Explicit Runge-Kutta methods for the local equations of a step on a tree: any F(t, Y), linear or not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...solvers import arrays
from .local_solvers import (
    Flow,
    LocalSolveError,
    Stats,
    as_complex,
    checked,
    eps_of,
    flat,
    length,
    lengths,
    number,
    positive,
    shaped,
)
from .machine import Machine
from .tensors import is_complex, namespace, placed

# Dormand and Prince, J. Comput. Appl. Math. 6 (1980), Table 2: the last stage is F at the result of fifth order.
NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
WEIGHTS = np.array([
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [1 / 5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [3 / 40, 9 / 40, 0.0, 0.0, 0.0, 0.0, 0.0],
    [44 / 45, -56 / 15, 32 / 9, 0.0, 0.0, 0.0, 0.0],
    [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0.0, 0.0, 0.0],
    [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0.0, 0.0],
    [35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0],
    [71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40],  # fifth order minus fourth
])  # fmt: skip
SAFETY, SMALLEST, LARGEST = 0.9, 0.2, 5.0  # of a new step, relative to the last


@dataclass(frozen=True, slots=True)
class RK4:
    """The classical method of order four, in `steps` equal parts of h: 4 applications each, no error control.

    Stable for |h lambda| < 2.7 about; for linear F `Krylov` is exact and rarely dearer. Holds 5 arrays. Raises LocalSolveError if
    the result is not finite.

    >>> import numpy as np
    >>> from petrov.rom.ttn.local_solvers import FunctionFlow
    >>> from petrov.rom.ttn.runge_kutta import RK4
    >>> Y, stats = RK4(steps=10).solve(FunctionFlow(lambda t, Y: t * Y), np.array([1.0]), 0.0, 1.0)
    >>> Y.round(5), stats.applications  # exp(1 / 2)
    (array([1.64872]), 40)
    """

    steps: int = 1

    def __post_init__(self) -> None:
        positive(self.steps, "steps", int)

    def solve(self, F: Flow, Y: Any, t: float, h: float) -> tuple[Any, Stats]:
        """(Y(t + h), Stats)."""
        t, h, _ = checked(F, Y, t, h)
        part = h / self.steps
        if is_compiled(F, Y):
            Y = compiled_steps(F, Y, part, self.steps)
        else:
            for k in range(self.steps):
                Y = rk4_step(F, Y, t + k * part, part)
        if not math.isfinite(length(flat(Y))):
            raise LocalSolveError(f"RK4 from t = {t:g} with h = {part:g} left the finite numbers: take more steps, or Implicit")
        return Y, Stats(4 * self.steps, self.steps)


def is_compiled(F: Any, Y: Any) -> bool:
    """Whether F is linear, its operator a compiled contraction, and nothing changes the type of Y."""
    if not (F.linear and isinstance(F.apply, Machine) and F.apply.fits(Y)):
        return False
    source = getattr(F, "source", None)
    same = source is None or (type(source) is np.ndarray and source.dtype == Y.dtype)
    return same and not (isinstance(number(F.factor), complex) and Y.dtype.kind != "c")


def compiled_steps(F: Any, Y: Any, h: float, steps: int) -> Any:
    """`rk4_step` so many times, without the interpreter."""
    from .compiled import classical

    source = getattr(F, "source", None)
    source = np.zeros(0, Y.dtype) if source is None else np.ascontiguousarray(source).reshape(-1)
    weights = np.array([F.factor, h, h / 2, h / 6, 2.0])
    weights = (weights if Y.dtype.kind == "c" else weights.real).astype(Y.dtype)
    place = F.apply.layout.place
    return classical(*F.apply.arguments, place, np.ascontiguousarray(Y).reshape(-1), source, weights, steps).reshape(Y.shape)


def rk4_step(F: Flow, Y: Any, t: float, h: float) -> Any:
    k1 = F(t, Y)
    k2 = F(t + h / 2, Y + (h / 2) * k1)
    k3 = F(t + h / 2, Y + (h / 2) * k2)
    k4 = F(t + h, Y + h * k3)
    return Y + (h / 6) * (k1 + 2.0 * (k2 + k3) + k4)


@dataclass(frozen=True, slots=True)
class AdaptiveRK:
    """Dormand-Prince 5(4) with steps chosen so that the estimated error of each is at most atol + rtol ||Y||.

    Norms are taken over all entries: a core says the same in other bases. rtol is at least four rounding units of Y.
    `max_steps` counts refused steps too.

    6 applications a step, 2 more at the start. Holds 9 arrays. Raises LocalSolveError, with t, if steps get too short to change t
    (F is not finite, or singular), or after max_steps (F is stiff: not the error limits the steps, but stability).

    Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I (1993), II.4 (first step, control), II.5 (the pair).

    >>> import numpy as np
    >>> from petrov.rom.ttn.local_solvers import FunctionFlow
    >>> from petrov.rom.ttn.runge_kutta import AdaptiveRK
    >>> Y, stats = AdaptiveRK().solve(FunctionFlow(lambda t, Y: Y * Y), np.array([1.0]), 0.0, 0.5)
    >>> Y.round(6)  # 1 / (1 - t)
    array([2.])
    """

    rtol: float = 1e-8
    atol: float = 1e-12
    max_steps: int = 10_000

    def __post_init__(self) -> None:
        positive(self.rtol, "rtol")
        positive(self.atol, "atol")
        positive(self.max_steps, "max_steps", int)

    def solve(self, F: Flow, Y: Any, t: float, h: float) -> tuple[Any, Stats]:
        """(Y(t + h), Stats)."""
        t, h, size = checked(F, Y, t, h)
        if h == 0.0:
            return Y, Stats()
        end, k1 = t + h, F(t, Y)
        Y = as_complex(Y) if is_complex(k1) else Y
        rtol, atol = max(self.rtol, 4 * eps_of(Y)), self.atol
        step, stats, weights = first_step(F, Y, k1, t, h, atol + rtol * size), Stats(2, 0), placed(WEIGHTS, Y)
        while abs(step) > 0.0:
            if stats.applications >= 6 * self.max_steps + 2:
                raise LocalSolveError(f"AdaptiveRK: {self.max_steps} steps led to t = {t:g} only, not to {end:g}: {ADVICE}")
            if t + step / 10 == t:
                raise LocalSolveError(f"AdaptiveRK: at t = {t:g} a step of {step:.2g} does not reach rtol = {rtol:g}: {ADVICE}")
            after, last, wrong = dormand_prince(F, Y, k1, t, step, weights)
            new_size, error = lengths(flat(after), wrong)
            error *= abs(step)
            excess = error / (atol + rtol * max(size, new_size))
            factor = SMALLEST if not math.isfinite(excess) else SAFETY * max(excess, 1e-10) ** (-1 / 5)
            stats = stats + Stats(6, int(excess <= 1.0))
            if excess <= 1.0:
                Y, k1, size, t = after, last, new_size, end if step == end - t else t + step
            step = step * min(LARGEST, max(SMALLEST, factor))
            step = end - t if abs(step) > 0.999 * abs(end - t) else step
        return Y, stats


ADVICE = "F may be stiff (take Implicit), singular or not finite there; or loosen rtol"


def dormand_prince(F: Flow, Y: Any, k1: Any, t: float, h: float, weights: Any) -> tuple[Any, Any, Any]:
    """(Y(t + h) of order five, F there, the difference to order four divided by h (n,))."""
    K = namespace(Y).empty((7, flat(Y).shape[0]), dtype=Y.dtype, device=arrays.device(Y))
    K[0, :] = flat(k1)
    for i in range(1, 7):
        stage = Y + h * shaped(weights[i, :i] @ K[:i, :], Y.shape)
        K[i, :] = flat(F(t + NODES[i] * h, stage))
    return stage, shaped(K[6, :], Y.shape), weights[7, :] @ K


def first_step(F: Flow, Y: Any, k1: Any, t: float, h: float, tol: float) -> float:
    """A first step from Y' and a difference quotient of it (Hairer et al., p. 169), not longer than h."""
    size, slope = length(flat(Y)), length(flat(k1))
    if not math.isfinite(slope):
        raise LocalSolveError(f"F at t = {t:g} gave NaN or infinity, or numbers whose squares overflow")
    guess = min(0.01 * size / slope if size > 1e-5 * tol and slope > 1e-5 * tol else 1e-6, abs(h))
    signed = math.copysign(guess, h)
    bend = length(flat(F(t + signed, Y + signed * k1) - k1)) / guess
    most = max(bend, slope) / tol
    better = (0.01 / most) ** (1 / 5) if most > 1e-15 and math.isfinite(most) else max(1e-6, 1e-3 * guess)
    return math.copysign(min(100 * guess, better, abs(h)), h)
