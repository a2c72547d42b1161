"""The grammar of coefficient functions: numbers, names, + - * / **, brackets and a table of functions, bound as in Python.

A text becomes a program in postfix form: ("number", value), ("name", name) and ("apply", operation), operands before operations.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from ...solvers import arrays

LONGEST = 10_000  # characters
DEEPEST = 50  # brackets, signs and powers inside one another
SHOWN = 60  # characters of a text that a message repeats
TOKEN = re.compile(
    r"(?P<number>(?:[0-9]++\.?+[0-9]*+|\.[0-9]++)(?:[eE][+-]?+[0-9]++)?+j?+(?![\w.]))|(?P<name>[^\W\d]\w*+)|\*\*|[-+*/(),]"
)


def unary(name: str) -> tuple[int, Callable[..., Any]]:
    return 1, lambda xp, a: getattr(xp, name)(a)


def extreme(name: str) -> tuple[int, Callable[..., Any]]:
    """minimum or maximum; one operand may be a plain number."""

    def rule(xp: Any, a: Any, b: Any) -> Any:
        if any(isinstance(v, complex) or arrays.dtype_name(v).startswith("complex") for v in (a, b) if not isinstance(v, float)):
            raise ValueError(f"{name} orders real numbers; it was given complex ones")
        a = xp.full_like(b, a) if isinstance(a, float) else a
        return getattr(xp, name)(a, xp.full_like(a, b) if isinstance(b, float) else b)

    return 2, rule


FUNCTIONS = {
    **{name: unary(name) for name in ("exp", "sin", "cos", "tan", "sqrt", "log", "abs")},
    **{name: extreme(name) for name in ("minimum", "maximum")},
}
OPERATIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "+": (2, lambda xp, a, b: a + b),
    "-": (2, lambda xp, a, b: a - b),
    "*": (2, lambda xp, a, b: a * b),
    "/": (2, lambda xp, a, b: a / b),
    "**": (2, lambda xp, a, b: a**b),
    "negative": (1, lambda xp, a: -a),
    **FUNCTIONS,
}


class Reader:
    """Recursive descent over the tokens of one text; what it reads goes to `program`, operands before operations."""

    def __init__(self, text: str, names: tuple[str, ...], coordinates: tuple[str, ...]) -> None:
        self.text, self.names, self.coordinates = text, names, coordinates
        self.program: list[tuple[str, Any]] = []
        self.place = self.depth = 0
        self.tokens = self.split()

    def split(self) -> list[re.Match[str]]:
        """The tokens, or an error at the first character that begins none."""
        if len(self.text) > LONGEST:
            self.fail(LONGEST, f"the text is longer than {LONGEST} characters")
        tokens, at = [], 0
        while at < len(self.text):
            if self.text[at] in " \t\r\n":
                at += 1
                continue
            token = TOKEN.match(self.text, at)
            if token is None:
                found = re.compile(r"[\w.]+|.", re.DOTALL).match(self.text, at)[0][:SHOWN]  # type: ignore[index]
                self.fail(at, f"{found!r} is not known" + (" (powers are written **)" if found == "^" else ""))
            tokens.append(token)
            at = token.end()
        return tokens

    def fail(self, at: int, what: str) -> NoReturn:
        text = self.text if len(self.text) <= SHOWN else self.text[:SHOWN] + "..."
        names = ", ".join([*self.names, *(name for name in self.coordinates if name not in self.names), "pi"])
        allowed = f"allowed are numbers, 1j, + - * / ** ( ), the names {names} and the functions {', '.join(FUNCTIONS)}"
        raise ValueError(f"expression {text!r}, column {at + 1}: {what}; {allowed}")

    def next(self) -> str:
        """The next token, not taken; the empty string at the end."""
        return self.tokens[self.place][0] if self.place < len(self.tokens) else ""

    def column(self) -> int:
        return self.tokens[self.place].start() if self.place < len(self.tokens) else len(self.text)

    def take(self, *expected: str) -> str:
        """Take the next token, which must be one of `expected` if there are any."""
        token = self.next()
        if expected and token not in expected:
            found = repr(token[:SHOWN]) if token else "the end"
            self.fail(self.column(), f"{found} where {' or '.join(map(repr, expected))} was expected")
        self.place += 1
        return token

    def read(self) -> tuple[tuple[str, Any], ...]:
        self.sum()
        if self.next():
            self.fail(self.column(), f"{self.next()[:SHOWN]!r} where an operation or the end was expected")
        if self.program[0][0] == "number" and not np.isfinite(self.program[0][1]):
            self.fail(0, "the number is not finite")
        return tuple(self.program)

    def sum(self) -> None:
        self.chain(self.product, "+", "-")

    def product(self) -> None:
        self.chain(self.signed, "*", "/")

    def chain(self, operand: Callable[[], None], *operations: str) -> None:
        """operand {operation operand}, from the left."""
        operand()
        while self.next() in operations:
            at, operation = self.column(), self.take()
            operand()
            self.emit(operation, at)

    def signed(self) -> None:
        """{sign} power: -a**2 is -(a**2). Everything that nests passes here."""
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(self.column(), f"nested deeper than {DEEPEST}")
        if self.next() in ("+", "-"):
            at, sign = self.column(), self.take()
            self.signed()
            if sign == "-":
                self.emit("negative", at)
        else:
            self.power()
        self.depth -= 1

    def power(self) -> None:
        """atom [** signed], from the right."""
        self.atom()
        if self.next() == "**":
            at = self.column()
            self.take()
            self.signed()
            self.emit("**", at)

    def atom(self) -> None:
        """A number, a name, a function of arguments, or a sum in brackets."""
        at, token = self.column(), self.next()
        group = self.tokens[self.place].lastgroup if token else None
        if token == "(":
            self.take()
            self.sum()
            self.take(")")
        elif group == "number":
            self.number(complex(self.take()) if token.endswith("j") else float(self.take()), at)
        elif group == "name":
            self.named(self.take(), at)
        else:
            found = f"{token!r}" if token else "the end"
            self.fail(at, f"{found} where a number, a name or '(' was expected")

    def named(self, name: str, at: int) -> None:
        if name in self.names and (name in self.coordinates or name in FUNCTIONS or name == "pi"):
            self.fail(at, f"{name} is a parameter and has another meaning too: rename the parameter")
        if name in FUNCTIONS:
            self.take("(")
            for _ in range(FUNCTIONS[name][0] - 1):
                self.sum()
                self.take(",")
            self.sum()
            self.take(")")
            self.emit(name, at)
        elif name == "pi":
            self.number(np.pi, at)
        elif name in (*self.names, *self.coordinates):
            self.program.append(("name", name))
        else:
            self.fail(at, f"{name[:SHOWN]} is not known")

    def number(self, value: complex | float, at: int) -> None:
        if not np.isfinite(value):
            self.fail(at, f"this is {value}, which is not finite")
        self.program.append(("number", value))

    def emit(self, operation: str, at: int) -> None:
        """Append an operation; between numbers it is done now."""
        arity, rule = OPERATIONS[operation]
        operands = self.program[-arity:]
        if any(kind != "number" for kind, _ in operands):
            self.program.append(("apply", operation))
            return
        del self.program[-arity:]
        with np.errstate(all="ignore"):
            try:
                value = rule(np, *(np.asarray(value)[()] for _, value in operands))
            except ValueError as error:
                self.fail(at, str(error))
        self.number(value.item(), at)
