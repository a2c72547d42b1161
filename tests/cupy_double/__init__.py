"""CuPy on the host: arrays that refuse to be read by accident, and raw kernels compiled from the same source as host C++.

`install(monkeypatch)` puts it in the place of cupy and cupyx. What it has is what CuPy 14.2 has (names.txt), done by NumPy; what
leaves the device is counted in `TRAFFIC`. It stands for a device only as far as a program can see: nothing runs in parallel,
and a kernel's memory errors are the host's.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

from . import graphs, kernels, sparse
from .array import TRAFFIC, ndarray, unwrapped, wrapped

NAMES = {
    part.split(maxsplit=1)[0]: part.split()[1:]
    for part in Path(__file__).with_name("names.txt").read_text(encoding="utf-8").partition("\n")[2].replace("\nlinalg:", "\0linalg:")
    .replace("\nfft:", "\0fft:").split("\0")
}  # fmt: skip
MODULES = ("cupy", "cupy.linalg", "cupy.fft", "cupy.cuda", "cupy.cuda.device", "cupyx", "cupyx.scipy", "cupyx.scipy.sparse", "cupyx.scipy.sparse.linalg")
TAKES_HOST = {"array", "asarray", "ascontiguousarray", "asanyarray"}


def install(monkeypatch: Any) -> types.ModuleType:
    """The double as sys.modules["cupy"] until the test ends; array-api-compat's wrapper of CuPy is made anew for it."""
    made = {name: types.ModuleType(name) for name in MODULES}
    cupy = made["cupy"]
    fill(cupy, np, NAMES["cupy:"])
    fill(made["cupy.linalg"], np.linalg, NAMES["linalg:"])
    for name, answer in (("solve", singular), ("cholesky", indefinite)):
        setattr(made["cupy.linalg"], name, silent(getattr(made["cupy.linalg"], name), answer))
    fill(made["cupy.fft"], np.fft, NAMES["fft:"])
    cupy.ndarray, cupy.asnumpy, cupy.RawModule, cupy.__version__ = ndarray, lambda x: x.get(), kernels.RawModule, "14.2.0"
    cupy.from_dlpack = lambda x: wrapped(np.from_dlpack(x))
    for name in ("bool", "max", "min", "abs", "round"):
        setattr(cupy, name, getattr(cupy, f"{name}_" if name == "bool" else name))
    cupy.linalg, cupy.fft, cupy.cuda = made["cupy.linalg"], made["cupy.fft"], made["cupy.cuda"]
    graphs.fill(made["cupy.cuda"])
    made["cupy.cuda.device"].Device = graphs.Device
    made["cupy.cuda"].device = made["cupy.cuda.device"]
    cupy.get_default_memory_pool = graphs.Pool
    made["cupyx"].empty_pinned = lambda shape, dtype=float: np.empty(shape, dtype)
    made["cupyx"].scipy, made["cupyx.scipy"].sparse = made["cupyx.scipy"], made["cupyx.scipy.sparse"]
    made["cupyx.scipy.sparse"].linalg = made["cupyx.scipy.sparse.linalg"]
    sparse.fill(made["cupyx.scipy.sparse"])
    for name in list(sys.modules):
        if name.startswith("array_api_compat.cupy"):
            monkeypatch.delitem(sys.modules, name)
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    forget_classes()
    TRAFFIC.clear()
    return cupy


def silent(function: Any, answer: Any) -> Any:
    """CuPy raises nothing where a matrix cannot be factorised: the results are not those that one wants."""

    def call(A: Any, *others: Any) -> Any:
        try:
            return function(A, *others)
        except np.linalg.LinAlgError:
            return ndarray(answer(A.value, *(other.value for other in others)))

    return call


def singular(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The solutions of a batch, NaN for the matrices that are singular."""
    return np.where(np.linalg.matrix_rank(A)[..., None, None] == A.shape[-1], np.linalg.pinv(A) @ b, np.nan)


def indefinite(A: np.ndarray) -> np.ndarray:
    """As it was: the factorisation got nowhere."""
    return np.tril(A)


def forget_classes() -> None:
    """array-api-compat remembers which classes are CuPy's."""
    from array_api_compat.common import _helpers

    for found in vars(_helpers).values():
        if hasattr(found, "cache_clear"):
            found.cache_clear()


def fill(module: types.ModuleType, source: Any, names: list[str]) -> None:
    for name in names:
        found = getattr(source, name)
        plain = isinstance(found, type) or not callable(found)
        setattr(module, name, found if plain else on_device(found, name))
    module.__all__ = [name for name in names if name not in ("abs", "max", "min", "round", "bool", "lstsq")]


def on_device(function: Any, name: str) -> Any:
    """A function of NumPy for arrays of the double; it takes no array of the host, as CuPy does not."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        graphs.refuse(name)
        out = keywords.pop("out", None)
        host = name in TAKES_HOST
        with np.errstate(all="ignore"):  # a device warns of no division by zero
            result = function(*(unwrapped(a, name, host) for a in arguments), **{k: unwrapped(v, name, host) for k, v in keywords.items()})
        if out is not None:
            out.value[...] = result
            return out
        return wrapped(np.array(result) if name == "array" and result is unwrapped(arguments[0], name, True) else result)

    call.__name__ = name
    return call


__all__ = ["TRAFFIC", "install", "ndarray"]
