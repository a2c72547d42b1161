"""Where arrays are: all of a call on the host, or all on one device; and what is computed where it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..solvers import arrays


def on_device(x: Any) -> bool:
    """Whether x is CuPy's: computed where it is, and answered with CuPy arrays. Other libraries' arrays are read on the host."""
    return type(x) is not np.ndarray and arrays.library(x) == "cupy"


def home(x: Any) -> str:
    """The library of an array and its device, in words; those of one home go together."""
    if arrays.sparse(x):
        return home(x.data) if arrays.library(x) == "cupyx" else "NumPy (cpu)"
    if isinstance(x, np.ndarray | np.generic):
        return "NumPy (cpu)"
    name, device = arrays.library(x), arrays.device(x) if arrays.namespace(x) is not None else "?"
    said = {"cupy": "CuPy", "torch": "torch"}.get(name, name)
    return f"{said} (device {device.id})" if hasattr(device, "id") else f"{said} ({device})"


def together(**named: Any) -> None:
    """TypeError, with the remedy, if the arrays given live in different places. None, numbers and lists go with anything."""
    found = {name: home(x) for name, x in named.items() if arrays.sparse(x) or arrays.namespace(x) is not None}
    if len({*found.values()}) > 1:
        where = ", ".join(f"{name} is {place}" for name, place in found.items())
        raise TypeError(
            f"all arrays of one call must be in one place; {where}. Move one of them: cupy.asarray(x) onto the device, "
            "cupy.asnumpy(x) to the host"
        )
