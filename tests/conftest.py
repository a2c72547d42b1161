"""What all tests share: a clock of their own, and what lets several processes of pytest-xdist run at once (`make test`)."""

import fcntl
import functools
import importlib.util
import os
import time
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # before numpy is imported, and for the processes that tests start
    # Threads that spin while they wait hold the core that the other worker needs. Kernels have as many as ever.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def clock(monkeypatch):
    """Time that passes by `clock.sleep` alone: what is asserted of seconds holds on a busy machine too."""

    class Clock:
        now = 1000.0

        def sleep(self, seconds: float) -> None:
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """A test on ranks that skips where petsc4py is installed has failed: there, nothing that it needs may be missing."""
    report = yield
    if report.skipped and item.get_closest_marker("mpi") and importlib.util.find_spec("petsc4py"):
        report.outcome, report.longrepr = "failed", f"skipped although petsc4py is installed: {report.longrepr}"
    return report


@pytest.fixture(params=["double", pytest.param("cupy", marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    """CuPy: its double on the host always, and itself where tests marked gpu are run. A `devices.Device`."""
    from devices import double, real

    return {"double": double, "cupy": real}[request.param](monkeypatch)


def pytest_configure(config):
    if hasattr(config, "workerinput"):
        share_the_compiler()


def share_the_compiler():
    """A kernel is compiled by one process at a time; the others wait, and find it in numba's cache on disk.

    Without the lock all compile it, and numba's cache can mix up two signatures: processes that save at the same time number
    their files alike (forced by pauses, f(1.5) of x + 1 was 2). numba's own lock is taken first: threads meet both in one order.
    """
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.dispatcher import Dispatcher

    alone = Dispatcher.compile

    @functools.wraps(alone)
    def compile(self, sig):
        folder = self._cache.cache_path
        if folder is None:  # not cached
            return alone(self, sig)
        Path(folder).mkdir(parents=True, exist_ok=True)
        name = f"{self.py_func.__module__}.{self.py_func.__qualname__}.lock"
        with global_compiler_lock, open(os.path.join(folder, name), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return alone(self, sig)

    Dispatcher.compile = compile
