"""Raw kernels of the double: the source that NVRTC would get, compiled as C++ behind host.h and kept by its hash."""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from . import graphs
from .array import ndarray

HOST = Path(__file__).with_name("host.h")
KEPT = Path(tempfile.gettempdir()) / f"petrov-cupy-double-{os.getuid()}"
KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^)]*\)\s*)?(\w+)\s*\(")


@cache
def compiled(code: str, options: tuple[str, ...]) -> ctypes.CDLL:
    """The shared object of a source; processes that make the same one at once each write their own and rename it."""
    definitions = [option for option in options if option.startswith("-D")]
    text = f'#include "{HOST}"\n{code}\n' + "".join(f"LAUNCHER({name})\n" for name in KERNEL.findall(code))
    key = hashlib.sha256("\0".join([text, HOST.read_text(encoding="utf-8"), *definitions]).encode()).hexdigest()[:24]
    KEPT.mkdir(exist_ok=True)
    library = KEPT / f"{key}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=KEPT) as folder:
            source, made = Path(folder) / "kernels.cpp", Path(folder) / "kernels.so"
            source.write_text(text, encoding="utf-8")
            command = ["g++", "-std=c++17", "-O1", "-shared", "-fPIC", "-Wl,-Bsymbolic", "-fno-gnu-unique", "-U_FORTIFY_SOURCE", "-w", *definitions, str(source), "-o", str(made)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"device code does not compile on the host:\n{done.stderr[:4000]}")
            made.rename(library)
    return ctypes.CDLL(str(library))


class RawModule:
    def __init__(self, *, code: str, options: tuple[str, ...] = (), backend: str = "nvrtc", name_expressions: Any = None) -> None:
        self.code, self.options = code, tuple(options)

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(compiled(self.code, self.options), name)


class RawKernel:
    """Called as kernel((blocks,), (threads,), arguments); what an argument is must be what the kernel takes, to the type."""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        text = ctypes.create_string_buffer(1024)
        getattr(library, f"describe_{name}")(text)
        self.name, self.takes = name, text.value.decode().split()
        self.entry = getattr(library, f"launch_{name}")

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple[Any, ...], *, shared_mem: int = 0) -> None:
        assert shared_mem == 0 and len(grid) == len(block) == 1 and 0 < block[0] <= 1024 and 0 < grid[0] < 2**31
        if len(arguments) != len(self.takes):
            raise AssertionError(f"{self.name} takes {len(self.takes)} arguments; got {len(arguments)}")
        held = [self.argument(*pair) for pair in zip(arguments, self.takes, strict=True)]

        def launch() -> None:
            values = (ctypes.c_void_p * len(held))(*(ctypes.cast(ctypes.byref(value), ctypes.c_void_p) for value, _ in held))
            self.entry(ctypes.c_uint(grid[0]), ctypes.c_uint(block[0]), values)

        recording = graphs.RECORDING[0]
        recording.append(launch) if recording is not None else launch()

    def argument(self, value: Any, takes: str) -> tuple[Any, Any]:
        """(a C value, what keeps it alive)."""
        if takes.endswith("*"):
            assert isinstance(value, ndarray), f"{self.name} takes a pointer where it got {type(value).__name__}"
            assert value.value.flags.c_contiguous, f"{self.name} got an array that is not contiguous"
            letter = value.dtype.char.replace("l", "q").replace("L", "Q")
            assert letter == takes[0], f"{self.name} takes {takes} where it got an array of {value.dtype}"
            return ctypes.c_void_p(value.value.ctypes.data), value
        kinds = {"q": (ctypes.c_longlong, np.int64), "d": (ctypes.c_double, np.float64), "i": (ctypes.c_int, np.int32), "f": (ctypes.c_float, np.float32)}
        number, expected = kinds[takes]
        plain = {np.int64: int, np.float64: float}.get(expected)  # what CuPy passes a Python number as
        assert type(value) in (expected, plain), f"{self.name} takes {takes} where it got {type(value).__name__}"
        return number(value), None
