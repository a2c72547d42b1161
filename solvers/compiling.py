"""How long the compiler of the kernels works within a solve: seconds that only the first solve of a process pays."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Any

from .preconditioners import GeometricMultigrid, IncompleteCholesky, SmoothedAggregation


class Compiling:
    """The seconds that numba spends compiling while this is open, in any thread; none before it is loaded."""

    def __init__(self) -> None:
        self.done = 0.0
        self.timer: Any = None

    def __enter__(self) -> Compiling:
        if "numba" in sys.modules:
            event = importlib.import_module("numba.core.event")
            self.timer = event.install_timer("numba:compile", self.add)
            self.timer.__enter__()
        return self

    def add(self, seconds: float) -> None:
        self.done += seconds

    def __exit__(self, *failure: object) -> None:
        if self.timer is not None:
            self.timer.__exit__(*failure)


def compiler_seconds(M: Any) -> float:
    """The seconds it took to load the compiler, if M is the first thing of this process to need it."""
    if not isinstance(M, (IncompleteCholesky, GeometricMultigrid, SmoothedAggregation)) or "numba" in sys.modules:
        return 0.0
    start = time.perf_counter()
    importlib.import_module("numba")
    return time.perf_counter() - start
