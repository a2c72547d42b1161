"""The array of the double: NumPy's inside, and every read on the host counted."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import graphs

TRAFFIC: list[int] = []  # entries of each array that was read on the host, in order
SIZED = ("nonzero", "flatnonzero", "argwhere", "unique", "compress", "extract")
FROM_HOST = (bool, int, float, complex, np.generic, str, type(None), slice, type(Ellipsis), np.dtype, type)


class ndarray:
    """What cupy.ndarray offers of NumPy's; `value` is where the entries are."""

    __slots__ = ("value",)
    __array_priority__ = 100

    def __init__(self, value: np.ndarray) -> None:
        self.value = value

    shape = property(lambda self: self.value.shape)
    dtype = property(lambda self: self.value.dtype)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    nbytes = property(lambda self: self.value.nbytes)
    itemsize = property(lambda self: self.value.itemsize)
    strides = property(lambda self: self.value.strides)
    flags = property(lambda self: self.value.flags)
    T = property(lambda self: ndarray(self.value.T))
    mT = property(lambda self: ndarray(self.value.mT))
    real = property(lambda self: ndarray(self.value.real))
    imag = property(lambda self: ndarray(self.value.imag))
    device = property(lambda self: graphs.Device(0))

    def get(self, stream: Any = None, order: str = "C", out: Any = None, blocking: bool = True) -> np.ndarray:
        graphs.refuse("get")
        TRAFFIC.append(self.size)
        if out is not None:
            out[...] = self.value
            return out
        return self.value.copy()

    def read(self, kind: Any) -> Any:
        graphs.refuse("a read on the host")
        TRAFFIC.append(self.size)
        return kind(self.value)

    def __float__(self) -> float:
        return self.read(float)

    def __int__(self) -> int:
        return self.read(int)

    __index__ = __int__

    def __bool__(self) -> bool:
        return self.read(bool)

    def __complex__(self) -> complex:
        return self.read(complex)

    def item(self) -> Any:
        return self.read(lambda value: value.item())

    def tolist(self) -> Any:
        return self.read(lambda value: value.tolist())

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly.")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        """CuPy takes a ufunc of NumPy called on its arrays; an array of NumPy beside them it refuses."""
        if method != "__call__":
            return NotImplemented
        graphs.refuse(ufunc.__name__)
        return wrapped(ufunc(*(unwrapped(a, ufunc.__name__) for a in inputs), **{k: unwrapped(v, "ufunc") for k, v in keywords.items()}))

    def __iter__(self) -> Any:
        raise AssertionError("a loop over the entries of a device array: each would be a kernel of its own")

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, key: Any) -> Any:
        if any(str(getattr(part, "dtype", "")) == "bool" and part.ndim for part in (key if isinstance(key, tuple) else (key,))):
            waited("a selection by a mask")
        found = self.value[place(key)]
        if isinstance(found, np.generic):  # CuPy gives a view of the one entry
            key = place(key)
            found = self.value[(*key, ...) if isinstance(key, tuple) else (key, ...)]
        return wrapped(found)

    def __setitem__(self, key: Any, value: Any) -> None:
        graphs.refuse("setting entries")
        self.value[place(key)] = unwrapped(value, "setting entries")

    def __dlpack__(self, **keywords: Any) -> Any:
        return self.value.__dlpack__()

    def __dlpack_device__(self) -> Any:
        return self.value.__dlpack_device__()

    def astype(self, dtype: Any, copy: bool = True, **keywords: Any) -> ndarray:
        graphs.refuse("astype")
        return self if not copy and self.dtype == dtype else ndarray(self.value.astype(dtype))

    def __repr__(self) -> str:
        return f"cupy double {self.value!r}"


def waited(what: str) -> None:
    """CuPy waits for how many entries a result has, where the device alone knows that."""
    graphs.refuse(what)
    TRAFFIC.append(1)


def place(key: Any) -> Any:
    """An index: of the device, or numbers and slices."""
    if isinstance(key, tuple):
        return tuple(place(part) for part in key)
    return unwrapped(key, "an index", host=isinstance(key, np.ndarray | list))


def unwrapped(x: Any, where: str, host: bool = False) -> Any:
    if isinstance(x, ndarray):
        if where in SIZED:
            waited(where)
        return x.value
    if isinstance(x, list | tuple):
        return type(x)(unwrapped(part, where, host) for part in x)
    if isinstance(x, np.ndarray) and not host:
        raise TypeError(f"Unsupported type {type(x)} in {where}: an array of the host beside one of the device")
    return x


def wrapped(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return ndarray(x)
    if isinstance(x, np.generic):
        return ndarray(np.array(x))
    if isinstance(x, tuple) and any(isinstance(part, np.ndarray | np.generic) for part in x):
        parts = [wrapped(part) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    return [wrapped(part) for part in x] if isinstance(x, list) else x


def operator(name: str) -> Any:
    def method(self: ndarray, *others: Any) -> Any:
        graphs.refuse(name)
        if any(not isinstance(other, (ndarray, *FROM_HOST, np.ndarray)) for other in others):
            return NotImplemented
        with np.errstate(all="ignore"):  # a device warns of no division by zero
            result = getattr(self.value, name)(*(unwrapped(other, name) for other in others))
        if name.startswith("__i") and others:
            return self if result is self.value else NotImplemented
        return wrapped(result)

    return method


def method_of(name: str) -> Any:
    def method(self: ndarray, *arguments: Any, **keywords: Any) -> Any:
        if name != "view":  # starts nothing
            graphs.refuse(name)
        out = keywords.pop("out", None)
        result = getattr(self.value, name)(*(unwrapped(a, name) for a in arguments), **{k: unwrapped(v, name) for k, v in keywords.items()})
        if out is not None:
            out.value[...] = result
            return out
        return wrapped(result)

    return method


BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
for _name in (*BINARY, *(f"r{n}" for n in BINARY), "lt", "le", "gt", "ge", "eq", "ne", "neg", "pos", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", operator(f"__{_name}__"))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "pow", "and", "or", "xor"):
    setattr(ndarray, f"__i{_name}__", operator(f"__i{_name}__"))
for _name in (
    "all", "any", "argmax", "argmin", "argsort", "clip", "conj", "conjugate", "copy", "cumsum", "cumprod", "diagonal", "dot", "fill",
    "flatten", "max", "mean", "min", "nonzero", "prod", "ravel", "repeat", "reshape", "round", "searchsorted", "sort", "squeeze", "std", "sum",
    "swapaxes", "take", "trace", "transpose", "var", "view",
):  # fmt: skip
    setattr(ndarray, _name, method_of(_name))
ndarray.__module__ = "cupy"
ndarray.__hash__ = None  # type: ignore[assignment]
