"""What an operator on a GPU needs while it is applied, and how it is applied."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ... import arrays
from . import launch
from .matrix import multiplied


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """Vectors of an operator, made when a number of columns or a type first asks for them, and kept: a graph may point to them.

    A set serves fewer columns too. Every thread of the host has sets of its own; applications that one thread starts on two
    streams must not overlap.
    """

    sets: dict[tuple[int, str], list[tuple[int, Any]]] = field(default_factory=dict)

    def of(self, columns: int, dtype: str, make: Callable[[int, str], Any]) -> Any:
        """make(columns, dtype), or what it once made for as many columns or more."""
        known = self.sets.setdefault((threading.get_ident(), dtype), [])
        for most, made in known:
            if columns <= most:
                return made
        known.append((columns, make(columns, dtype)))
        return known[-1][1]


def reals(x: Any) -> Any:
    """x as a real operator takes it, without a copy: the parts of a complex one are columns side by side."""
    name = arrays.dtype_name(x)
    return x.view(arrays.REAL[name]) if name.startswith("complex") else x


def applied(M: Any, r: Any) -> Any:
    """M r by M.into for r (n,) or (n, k) on M's device; errors as of `multiplied`."""
    complex_ = any(arrays.dtype_name(part).startswith("complex") for part in (M, r))
    return multiplied(f"M ({M.name})", M, "r", r, M.into, launch.MOST_COLUMNS // (2 if complex_ else 1))


__all__ = ["Work", "applied", "reals"]
