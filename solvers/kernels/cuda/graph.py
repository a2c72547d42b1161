"""Several iterations as one CUDA graph: started by one call, with no work of Python's between their kernels.

What is captured must be raw kernels on arrays that stay where they are; CuPy's own calls into cuBLAS and cuSPARSE may not be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...arrays import Space
from ...storage.resident import Resident
from . import launch
from .verbs import columns, fusible

Scalars = tuple[Any, Any, Any]  # ||r||^2, p^H A p, r^H M r


def capturable(A: Any, M: Any, vectors: Any) -> bool:
    """Whether an iteration with A and M is raw kernels alone."""
    return isinstance(A, Resident) and (M is None or fusible(M, vectors) or hasattr(M, "into"))


class Batch:
    """`space.interval` iterations from r^H M r = rz: `turn(rz)` is one of them and returns its scalars, vectors in place.

    `run()` starts them and returns the scalars of each, whose numbers are on the space's board once the device has come so far;
    `rz` is what the iteration after them begins with. The graph is captured on a stream of its own and runs on the caller's.
    """

    def __init__(self, turn: Callable[[Any], Scalars], rz: Any, space: Space) -> None:
        import cupy

        own = space.scratch
        self.own, self.rz, self.rr = own, rz.copy(), own.rr.copy()
        kernel = launch.kernels("vectors.cu", V=space.dtype, D=space.dtype)["carry"]  # compiled before anything is captured
        caller, stream = cupy.cuda.get_current_stream(), cupy.cuda.Stream(non_blocking=True)
        stream.wait_event(caller.record())
        with stream:
            stream.begin_capture()
            try:
                self.scalars = self.captured(turn, space)
                last = self.scalars[-1]
                launch.launch(kernel, 1, columns(space), last[2], last[0], self.rz, self.rr)
            finally:
                self.graph = stream.end_capture()
        own.rr = self.rr

    def captured(self, turn: Callable[[Any], Scalars], space: Space) -> list[Scalars]:
        self.own.rr, rz, found = self.rr, self.rz, []
        for _ in range(space.interval):
            found.append(turn(rz))
            rz = found[-1][2]
        return found

    def run(self) -> list[Scalars]:
        self.graph.launch()
        self.own.rr = self.rr
        return self.scalars
