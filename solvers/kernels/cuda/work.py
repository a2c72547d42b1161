"""What an operator on a GPU needs while it is applied, and how it is applied."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ... import arrays
from . import launch


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
    """M r by M.into for r (n,) or (n, k) on M's device, in the precision of both.

    TypeError if r is elsewhere, ValueError if its shape does not fit.
    """
    xp = arrays.namespace(r)
    if xp is None or arrays.library(r) != "cupy":
        raise TypeError(f"M ({M.name}) is on a GPU and r is not ({arrays.library(r)}): move it there, cupy.asarray(r)")
    if r.ndim not in (1, 2) or r.shape[0] != M.shape[0]:
        raise ValueError(f"M {tuple(M.shape)} takes r of shape ({M.shape[0]},) or ({M.shape[0]}, k); got {tuple(r.shape)}")
    wanted = arrays.working_dtype(arrays.dtype_name(M), arrays.dtype_name(r))
    r = xp.ascontiguousarray(r.astype(wanted, copy=False))
    z = xp.empty_like(r)
    most = launch.MOST_COLUMNS // (2 if wanted.startswith("complex") else 1)
    if r.ndim == 1 or 0 < r.shape[1] <= most:
        return M.into(r, z)
    for low in range(0, r.shape[1], most):
        part = slice(low, low + most)
        z[:, part] = applied(M, r[:, part])
    return z


__all__ = ["Work", "applied", "reals"]
