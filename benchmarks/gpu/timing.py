"""Seconds on a GPU: from a call to the end of what it has started there, each way taking its turn in rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Timing:
    """What a run is measured with: rounds, and the sizes of its problems."""

    rounds: int
    side_2d: int
    side_3d: int
    side_million: int
    predictions: int


def rounds(ways: Mapping[str, Callable[[], Any]], count: int) -> dict[str, list[float]]:
    """Seconds of each way in each round, after one that warms up."""
    import cupy

    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(count + 1):
        for name, way in ways.items():
            cupy.cuda.get_current_stream().synchronize()
            start = time.perf_counter()
            way()
            cupy.cuda.get_current_stream().synchronize()
            if turn:
                found[name].append(time.perf_counter() - start)
    return found


def median(seconds: list[float]) -> float:
    return float(np.median(seconds))


def device_name() -> str:
    """The name of the GPU, as its driver has it."""
    import cupy

    name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"]
    return name.decode() if isinstance(name, bytes) else str(name)


def require() -> None:
    """Raise ImportError, saying what brings it, where there is no CuPy or no GPU."""
    try:
        import cupy
    except ImportError as error:
        raise ImportError('CuPy is not installed: pip install "petrov[cuda]" on a machine with a GPU') from error
    if not cupy.cuda.is_available():
        raise ImportError("CuPy finds no GPU here, so nothing can be measured; run this where there is one")
