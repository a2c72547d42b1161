"""The small differential equations inside a step of an integrator on trees: what a right-hand side is and what every solver does.

A solver is a frozen recipe: `solver.solve(F, Y, t, h)` -> (Y(t + h), Stats) for Y' = F(t, Y) and an array Y of any shape, in any
array library. h < 0 goes back in time. Recipes: `Krylov` (linear, the default), `RK4`, `AdaptiveRK` (any), `Implicit` (stiff).
All keep the precision of Y; a real Y stays real if F is real.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...solvers import arrays
from .tensors import is_complex, namespace, norm, read, vector_norm

EPS = {name: float(np.finfo(name).eps) for name in arrays.REAL}


class Flow(Protocol):
    """The right-hand side: F(t, Y) is dY/dt, an array like Y. `linear` says that it is a `Linear` one."""

    @property
    def linear(self) -> bool: ...
    def __call__(self, t: float, Y: Any, /) -> Any: ...


class Linear(Flow, Protocol):
    """F(t, Y) = factor H(Y) + source, the same at all times.

    apply(Y) is H(Y); it leaves Y as it is, and may return a view of it. hermitian: H is Hermitian (if real, symmetric) in the
    inner product sum conj(X) Y; None: not known. source: an array like Y, or None.
    """

    @property
    def factor(self) -> complex: ...
    @property
    def hermitian(self) -> bool | None: ...
    @property
    def source(self) -> Any: ...
    def apply(self, Y: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True, eq=False)
class LinearFlow:
    """Y' = factor H(Y) + source.

    >>> import numpy as np
    >>> from petrov.rom.ttn.local_solvers import LinearFlow
    >>> LinearFlow(lambda Y: 2 * Y, factor=-1.0, source=np.ones(2))(0.0, np.array([1.0, 2.0]))
    array([-1., -3.])
    """

    apply: Callable[[Any], Any]
    factor: complex = 1.0
    hermitian: bool | None = None
    source: Any = None

    linear = True

    def __call__(self, t: float, Y: Any) -> Any:
        return rate(self, Y)


@dataclass(frozen=True, slots=True, eq=False)
class FunctionFlow:
    """Y' = function(t, Y)."""

    function: Callable[[float, Any], Any]

    linear = False

    def __call__(self, t: float, Y: Any) -> Any:
        return self.function(t, Y)


@dataclass(frozen=True, slots=True)
class Stats:
    """What a solve cost: applications of F or H, and the steps into which h was divided. Stats add up."""

    applications: int = 0
    substeps: int = 0

    def __add__(self, other: Stats) -> Stats:
        return Stats(self.applications + other.applications, self.substeps + other.substeps)


class LocalSolveError(ArithmeticError):
    """A local differential equation that was not solved; the message says where and what to try."""


def rate(F: Linear, Y: Any) -> Any:
    """factor H(Y) + source."""
    change = times(number(F.factor), F.apply(Y))
    source = getattr(F, "source", None)
    return change if source is None else change + source


def number(x: Any) -> Any:
    """A scalar as a Python float, or complex if it has an imaginary part: these leave the precision of arrays alone."""
    x = complex(x)
    return x.real if x.imag == 0.0 else x


def times(c: Any, X: Any) -> Any:
    """c X for a Python number c."""
    if c == 1.0:
        return X
    return c * (as_complex(X) if isinstance(c, complex) and type(X) is not np.ndarray else X)


def as_complex(X: Any) -> Any:
    """X in the complex type of its precision."""
    if is_complex(X):
        return X
    name = {"float32": "complex64", "float64": "complex128"}[arrays.dtype_name(X)]
    return X.astype(name) if type(X) is np.ndarray else namespace(X).astype(X, getattr(namespace(X), name))


def length(w: Any) -> float:
    """The 2-norm of a vector (n,), in one pass."""
    return norm(w)


def lengths(*vectors: Any) -> list[float]:
    """The 2-norms of vectors of one type; on a device by one read."""
    if type(vectors[0]) is np.ndarray:
        return [norm(w) for w in vectors]
    sizes = read([vector_norm(w) for w in vectors])
    return [float(size) if 1e-18 < size < 1e18 else norm(w) for size, w in zip(sizes, vectors, strict=True)]


def flat(X: Any) -> Any:
    """All entries of X (n,)."""
    return X.reshape(-1) if type(X) is np.ndarray else namespace(X).reshape(X, (-1,))


def shaped(x: Any, shape: tuple[int, ...]) -> Any:
    return x.reshape(shape) if type(x) is np.ndarray else namespace(x).reshape(x, shape)


def eps_of(Y: Any) -> float:
    """The rounding unit of the precision of Y."""
    return EPS[arrays.dtype_name(Y)]


def checked(F: Any, Y: Any, t: float, h: float) -> tuple[float, float, float]:
    """(t, h, ||Y||) as Python numbers; TypeError or ValueError for what no solver can start from."""
    if arrays.namespace(Y) is None or arrays.dtype_name(Y) not in EPS:
        came = getattr(Y, "dtype", type(Y).__name__)
        raise TypeError(f"Y must be an array of float32, float64, complex64 or complex128; got {came}")
    if not callable(F) or not hasattr(F, "linear"):
        raise TypeError(f"F must be a Flow, as LinearFlow(apply) and FunctionFlow(f) are; got {type(F).__name__}")
    t, h, size = float(t), float(h), length(flat(Y))
    if not math.isfinite(t + h):
        raise ValueError(f"t and h must be finite; got t = {t}, h = {h}")
    if not math.isfinite(size):
        raise ValueError(f"Y at t = {t:g} holds NaN or infinity, or numbers whose squares overflow: look at the step before")
    return t, h, size


def linear_only(F: Any, solver: str) -> None:
    if not F.linear:
        raise TypeError(f"{solver} needs a linear F, with factor and apply; got {type(F).__name__} with linear=False: use RK4")


def positive(value: Any, what: str, kind: type = float) -> None:
    """TypeError or ValueError for a parameter that is not a positive number (of the kind int: a whole one)."""
    good = (int, np.integer) if kind is int else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, good):
        raise TypeError(f"{what} must be a positive {'integer' if kind is int else 'number'}; got {value!r}")
    if not 0 < value < math.inf:
        raise ValueError(f"{what} must be positive and finite; got {value!r}")
