"""CuPy as tests see it: its double on the host, or itself on a GPU; what the host reads is counted on both."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cupy_double
import numpy as np
import pytest

from petrov.solvers import arrays


@dataclass(frozen=True)
class Device:
    """`cupy` is CuPy or its double; `reads` holds the entries of each array that the host read, in order."""

    cupy: Any
    reads: list[int]
    forbidden: Callable[[], Any]  # a context in which any other read is an error

    def put(self, x: Any) -> Any:
        return self.cupy.asarray(x)

    def get(self, x: Any) -> np.ndarray:
        """x on the host; it must be an array of the device."""
        assert isinstance(x, self.cupy.ndarray), f"expected an array of CuPy; got {type(x).__name__}"
        return x.get()

    @contextmanager
    def counted(self) -> Iterator[list[int]]:
        """The reads inside of the block, in the list that it gives, when it ends."""
        found: list[int] = []
        before = len(self.reads)
        with self.forbidden():
            yield found
        found += self.reads[before:]


def double(monkeypatch: pytest.MonkeyPatch) -> Device:
    if shutil.which("g++") is None:
        pytest.skip("the double compiles device code with g++, which is not installed")
    cupy = cupy_double.install(monkeypatch)
    return Device(cupy, cupy_double.TRAFFIC, lambda: silent(None))


@contextmanager
def silent(cupyx: Any, allow: bool = False) -> Iterator[None]:
    """CuPy raises in it where it waits for the device, or, with `allow`, does not."""
    if cupyx is None:
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # allow_synchronize says at every call that it may go
        guard = cupyx.allow_synchronize(allow)
        guard.__enter__()
    try:
        yield
    finally:
        guard.__exit__(None, None, None)


def real(monkeypatch: pytest.MonkeyPatch) -> Device:
    """CuPy on a GPU. The functions by which the package reads are counted; CuPy raises where anything else waits."""
    cupy, cupyx = pytest.importorskip("cupy"), pytest.importorskip("cupyx")
    if not cupy.cuda.is_available():
        pytest.skip("CuPy finds no GPU")
    reads: list[int] = []
    inside = [False]  # one reader calls another: what is read, is read once

    def counted(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def reader(x: Any) -> Any:
            if inside[0] or not isinstance(x, cupy.ndarray):
                return read(x)
            inside[0] = True
            try:
                reads.append(int(x.size))
                with silent(cupyx, allow=True):
                    return read(x)
            finally:
                inside[0] = False

        return reader

    for name in ("to_numpy", "scalar", "host"):
        monkeypatch.setattr(arrays, name, counted(getattr(arrays, name)))
    wait = arrays.landed

    def landed(event: Any, out: np.ndarray) -> np.ndarray:
        reads.append(int(out.size))
        with silent(cupyx, allow=True):
            return wait(event, out)

    monkeypatch.setattr(arrays, "landed", landed)
    return Device(cupy, reads, lambda: silent(cupyx))
