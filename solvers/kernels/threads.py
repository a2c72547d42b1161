"""Twins of a kernel: the same source compiled once for one thread and once for all, and the rule that picks one.

Measured: numba's `omp` layer kills a forked child that enters a parallel kernel, and its `workqueue` layer aborts the
process when two Python threads are inside parallel kernels at once. So the serial twin runs on short vectors, with one
thread, in a forked child, and whenever another Python thread is inside a kernel.

PETROV_NUM_THREADS sets the number of threads (default: what numba was given, which is the number of cores).
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba

from .compiler import njit

THREADED_FROM = 20_000  # rows below which entering a parallel kernel costs more than it saves
CHUNK = 8_192  # rows of one partial sum: fixed, so that sums have the same bits for every number of threads

# Sums may be reordered and multiply-adds fused; NaN and infinity keep their meaning.
OPTIONS: dict[str, Any] = {
    "cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz", "arcp"}
}  # fmt: skip
# Of the rows of a matrix, which are short: there the compiler, allowed to reorder, vectorises along the row, and products with
# linear triangles and tetrahedra took 1.15 to 1.3 times as long (measured).
IN_SEQUENCE: dict[str, Any] = {**OPTIONS, "fastmath": {"contract"}}


WAITING = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "1000"}  # the second is GCC's, and comes first there


def patient() -> None:
    """Load the OpenMP layer so that its threads spin for some ten microseconds when they wait, and then sleep, unless the user
    has said how they should wait.

    To wake a thread may take 80 us (a virtual machine, measured); from kernel to kernel of one iteration it is 10. Two threads on
    two cores, us an iteration of cg with Jacobi at 160^2, 256^2, 512^2: 275, 321, 512 if they sleep at once, 49, 86, 308 so,
    47, 86, 296 if they spin on. With one other busy process it is 103, 174, 494 asleep, 66, 412, 688 so; the library's own
    300,000 turns cost 18 to 77 ms an iteration in place of 2 then: the spinner holds the core that the thread it waits for
    needs. The library reads the variables once, when it is loaded; they are taken back at once.
    """
    if not WAITING.keys().isdisjoint(os.environ):
        return
    os.environ.update(WAITING)
    try:
        importlib.import_module("numba.np.ufunc.omppool")
    except ImportError:
        return  # built without OpenMP: numba takes another layer
    finally:
        for name in WAITING:
            del os.environ[name]


patient()


class _Entry:
    """Who is inside a parallel kernel: one lock a process, renewed in a forked child, which never enters one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.forked = False
        if hasattr(os, "register_at_fork"):  # where there is no fork, there is no forked child
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self.lock = threading.Lock()
        self.forked = True


ENTRY = _Entry()


def threads() -> int:
    """The number of threads that kernels use; ValueError if PETROV_NUM_THREADS is no positive integer."""
    asked = os.environ.get("PETROV_NUM_THREADS", "")
    if not asked:
        return numba.get_num_threads()
    if not asked.isdecimal() or int(asked) < 1:
        raise ValueError(f"PETROV_NUM_THREADS must be a positive integer; got {asked!r}")
    return min(int(asked), int(getattr(numba.config, "NUMBA_NUM_THREADS")))  # noqa: B009  (set at run time)


def part(function: Callable[..., Any]) -> Callable[..., Any]:
    """The work on one chunk, compiled once: both twins of a kernel call it, so that both give the same bits."""
    return njit(**OPTIONS)(function)


@njit(cache=True, nogil=True)
def in_order(partial):
    """The sum of partial sums, first to last: the same bits for every number of threads."""
    total = 0.0
    for value in partial:
        total += value
    return total


def twins(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """kernel(rows, ...) compiled lazily in two forms; the first argument is the number of rows, which decides.

    The threaded twin gets a name of its own because numba's cache on disk tells functions apart by name only.
    """
    serial = njit(**OPTIONS)(kernel)
    assert isinstance(kernel, FunctionType)
    twin = FunctionType(
        kernel.__code__.replace(co_name=f"{kernel.__name__}_threaded"), kernel.__globals__, f"{kernel.__name__}_threaded",
        kernel.__defaults__, kernel.__closure__,
    )  # fmt: skip
    twin.__qualname__ = f"{kernel.__qualname__}_threaded"
    twin.__module__ = kernel.__module__
    threaded = njit(parallel=True, **OPTIONS)(twin)

    def call(rows: int, *operands: Any) -> Any:
        if rows < THREADED_FROM or ENTRY.forked or not ENTRY.lock.acquire(blocking=False):
            return serial(rows, *operands)
        try:
            count = threads()
            if count == 1:
                return serial(rows, *operands)
            if count != numba.get_num_threads():
                numba.set_num_threads(count)
            return threaded(rows, *operands)
        finally:
            ENTRY.lock.release()

    call.__name__, call.__doc__ = kernel.__name__, kernel.__doc__
    call.serial, call.threaded = serial, threaded  # type: ignore[attr-defined]
    return call
