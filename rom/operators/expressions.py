"""Coefficient functions as text: "exp(-(x0 - m1)**2 / 0.02) * k", read by a grammar of our own and never by Python.

A file may hold such a text, and a stranger may have written the file. So nothing is evaluated or compiled: the text becomes a
program in postfix form whose only instructions are numbers, names and the operations in the table below. Numbers are floating
point, so 9**9**9**9 overflows and is refused; length and depth are limited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ...solvers import arrays
from ...solvers.arrays import Space
from .grammar import OPERATIONS, Reader

COORDINATES = ("x", "x0", "x1", "x2")


@dataclass(frozen=True, slots=True, repr=False)
class Expression:
    """A function of parameters, or of points and parameters, made by `expression`. Equal texts over equal names are equal.

    Called as theta(mu): mu maps each name to a number or an array; the result has the shape to which all of them broadcast.
    Called as g(x, mu): x (n, dim) holds points, mu maps each name to one number; the result is (n,). The coordinates are x0, x1,
    x2, and x where dim is 1. Arrays may come from NumPy or any array API library, and the result is of the same; single
    precision stays single, integers become double, complex values and `1j` give complex results.

    Raises ValueError if a name has no value, shapes do not fit, or the result is not finite somewhere (a pole, the root or the
    logarithm of a negative number): the message gives the first such place. Memory: a few arrays of the result's size.
    """

    text: str
    names: tuple[str, ...]
    coordinates: tuple[str, ...]
    program: tuple[tuple[str, Any], ...]  # postfix: ("number", value), ("name", name), ("apply", operation)

    def __repr__(self) -> str:
        return f"expression({self.text!r}, {list(self.names)})"

    def __call__(self, *where: Any) -> Any:
        if len(where) not in (1, 2) or not isinstance(where[-1], Mapping):
            raise TypeError(f"{self!r} is called as theta(mu) or g(x, mu), mu a mapping from names to values")
        mu = where[-1]
        values = {name: mu[name] for name in self.names if name in mu}
        missing = sorted(self.used() - {*values, *self.coordinates})
        if missing:
            raise ValueError(f"{self!r} needs a value of {missing[0]}; mu holds {', '.join(map(str, mu)) or 'none'}")
        if len(where) == 2:
            return self.at_points(where[0], values)
        if at := sorted(self.used() & {*self.coordinates}):
            raise ValueError(f"{self!r} depends on the coordinate {at[0]}: call it as g(x, mu)")
        return self.value(values)

    def used(self) -> set[str]:
        """The names and coordinates that the text mentions."""
        return {what for kind, what in self.program if kind == "name"}

    def at_points(self, x: Any, mu: dict[str, Any]) -> Any:
        """The values (n,) at the points x (n, dim) for one mu."""
        x, points = self.located(x)
        for name, value in mu.items():
            if np.shape(value) != ():
                raise ValueError(f"g(x, mu) takes one number for each parameter; {name} has shape {np.shape(value)}")
        return self.value({**mu, **points}, (x.shape[0],), x)

    def located(self, x: Any) -> tuple[Any, dict[str, Any]]:
        """The points x (n, dim) as an array, and name -> values (n,) of the coordinates that may be used."""
        x = x if arrays.namespace(x) is not None else np.asarray(x)
        if x.ndim != 2:
            raise ValueError(f"{self!r} needs points x (n, dim); got shape {tuple(x.shape)}")
        there = {f"x{i}": x[:, i] for i in range(min(x.shape[1], 3))} | ({"x": x[:, 0]} if x.shape[1] == 1 else {})
        if absent := sorted(self.used() & {*self.coordinates} - {*there}):
            raise ValueError(f"{self!r} uses {absent[0]}; points of dimension {x.shape[1]} have {', '.join(there) or 'none'}")
        return x, {name: values for name, values in there.items() if name in self.coordinates}

    def value(self, values: dict[str, Any], shape: tuple[int, ...] | None = None, like: Any = None) -> Any:
        """The program run on these values, broadcast to `shape` (None: the shape of them all) and finite."""
        result, values, xp = self.computed(values, shape, like)
        if not arrays.to_numpy(xp.all(xp.isfinite(result))):
            self.refuse(result, values)
        return result

    def computed(
        self, values: dict[str, Any], shape: tuple[int, ...] | None = None, like: Any = None
    ) -> tuple[Any, dict[str, Any], Any]:
        """(the same, finite or not; the values as arrays; the namespace)."""
        values, space = alike(values, like, any(isinstance(what, complex) for _, what in self.program))
        if shape is None:
            try:
                shape = np.broadcast_shapes(*(tuple(value.shape) for value in values.values()))
            except ValueError as error:
                raise ValueError(f"the values of {', '.join(values)} do not broadcast together: {error}") from error
        with np.errstate(all="ignore"):
            result = run(self.program, values, space)
        if isinstance(result, float) or tuple(result.shape) != shape:
            result = arrays.zeros(shape, space, space.real) + result
        return (np.asarray(result) if space.is_numpy else result), values, space.xp

    def refuse(self, result: Any, values: dict[str, Any]) -> NoReturn:
        """Say where a result is not finite."""
        at = arrays.first_nonfinite(result) or ()
        places = {name: np.broadcast_to(arrays.to_numpy(value), result.shape)[at] for name, value in values.items()}
        place = ", ".join(f"{name} = {places[name]:.6g}" for name in places if name in self.used())
        raise ValueError(f"{self!r} is {arrays.to_numpy(result)[at]} at {place}; a model's functions are finite where it is used")


def alike(values: dict[str, Any], like: Any, imaginary: bool) -> tuple[dict[str, Any], Space]:
    """The values as floating-point arrays of one library, device and precision; plain numbers follow the arrays."""
    plain = {name for name, value in values.items() if isinstance(value, (int, float, complex, np.integer))}
    values = {name: value if arrays.namespace(value) is not None else np.asarray(value) for name, value in values.items()}
    dtypes = {name: arrays.dtype_name(value) for name, value in values.items()}
    for name, dtype in dtypes.items():
        if not dtype.startswith(("int", "uint", "float", "complex")):
            raise ValueError(f"{name} must be a number or an array of numbers; got {dtype}")
    homes = [value for name, value in values.items() if name not in plain] + ([] if like is None else [like])
    home = next((value for value in homes if not isinstance(value, (np.ndarray, np.generic))), np.zeros(()))
    wide = [arrays.dtype_name(value) for value in homes] or ["float64"]
    if imaginary or any(dtype.startswith("complex") for dtype in dtypes.values()):
        wide.append("complex64")
    space = Space(arrays.namespace(home), arrays.working_dtype(*wide), arrays.device(home), None)
    target = {name: space.dtype if dtype.startswith("complex") else space.real for name, dtype in dtypes.items()}
    return {name: arrays.asarray(value, space, target[name]) for name, value in values.items()}, space


def run(program: Iterable[tuple[str, Any]], values: Mapping[str, Any], space: Space) -> Any:
    """The value of a postfix program: an array, or a float if it is one real number."""
    stack: list[Any] = []
    for kind, what in program:
        if kind == "apply":
            arity, rule = OPERATIONS[what]
            operands = stack[-arity:]
            del stack[-arity:]
            stack.append(rule(space.xp, *operands))
        elif kind == "name":
            stack.append(values[what])
        else:
            stack.append(arrays.asarray(what, space) if isinstance(what, complex) else what)
    return stack[0]


def expression(text: str, names: Iterable[str], *, coordinates: tuple[str, ...] = COORDINATES) -> Expression:
    """The function that a text describes, of the parameters `names` and of the coordinates x, x0, x1, x2 of points.

    The text may hold numbers, `1j`, pi, names, brackets, + - * / **, and the functions exp, sin, cos, tan, sqrt, log, abs of one
    argument and minimum, maximum of two; they bind as in Python. At most 10 000 characters, nested at most 50 deep. What is
    constant is computed once. Linear in the length; nothing of the text is run.

    Raises ValueError with the column and what is allowed for anything else, for a constant that is not finite, and for a name
    that is both a parameter and a coordinate.

    >>> import numpy as np
    >>> from petrov.rom.operators.expressions import expression
    >>> theta = expression("1 + k**2 / 2", ["k"])
    >>> theta({"k": np.array([0.0, 2.0])})
    array([1., 3.])
    >>> g = expression("exp(-(x0 - m)**2) * x1", ["m"])
    >>> g(np.array([[0.5, 2.0], [0.5, 3.0]]), {"m": 0.5})
    array([2., 3.])
    >>> expression("1 + open(k)", ["k"])
    Traceback (most recent call last):
    ValueError: expression '1 + open(k)', column 5: open is not known; allowed are ...
    """
    if isinstance(names, str):
        raise TypeError(f"names must be a sequence of names; got the text {names!r}")
    names = tuple(names)
    if not isinstance(text, str):
        raise TypeError(f"an expression is a text; got {type(text).__name__}")
    for name in names:
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"a parameter's name is letters, digits and _; got {name!r}")
    reader = Reader(text, names, coordinates)
    return Expression(text, names, coordinates, reader.read())


def as_theta(f: Any, names: Iterable[str]) -> Callable[..., Any]:
    """theta(mu): a Python callable as it is, or the expression that a text describes; no coordinates are known in it."""
    return f if callable(f) else expression(f, names, coordinates=())


def as_function(f: Any, names: Iterable[str]) -> Callable[..., Any]:
    """g(x, mu): a Python callable as it is, or the expression that a text describes."""
    return f if callable(f) else expression(f, names)
