"""Products with matrices that live on a GPU, in the form that `compact` gave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ... import arrays
from . import launch

LETTERS = {"csr": ("S", "I", "P"), "dia": ("S",), "sell": ("S", "I", "P")}


def of_form(A: Any, x: Any) -> dict[str, Any]:
    """The kernels of products.cu for A's form and the types of A and x."""
    types = dict(zip(LETTERS[A.form], A.parts, strict=False))
    return launch.kernels(f"{A.form}.cuh", "products.cu", V=x, **types)


def start(name: str, A: Any, columns: int, *vectors: Any) -> None:
    """Start a kernel of products.cu on so many columns of vectors of one type, the last of which it writes to."""
    launch.launch(of_form(A, vectors[0])[name], A.shape[0], columns, *A.parts, *vectors)


def in_place(name: str, A: Any, *vectors: Any) -> Any:
    """The same on all columns of vectors (n,) or (n, k); the last of them."""
    start(name, A, launch.columns_of(vectors[0]), *vectors)
    return vectors[-1]


def product(A: Any, x: Any) -> Any:
    """A x for x (m,) or (m, k) on A's device; errors as of `multiplied`."""
    return multiplied("A", A, "x", x, lambda x, y: in_place("product", A, x, y), launch.MOST_COLUMNS)


def multiplied(name: str, A: Any, letter: str, x: Any, into: Callable[[Any, Any], Any], most: int) -> Any:
    """A x in the precision of both, by `into(x, y)`, which takes contiguous vectors of at most so many columns; messages call A
    and x by `name` and `letter`. TypeError if x is not on A's device, ValueError if its shape does not fit.
    """
    xp = arrays.namespace(x)
    if xp is None or arrays.library(x) != "cupy":
        raise TypeError(f"{name} is on a GPU and {letter} is not ({arrays.library(x)}): move it there, cupy.asarray({letter})")
    if x.ndim not in (1, 2) or x.shape[0] != A.shape[1]:
        wanted = f"({A.shape[1]},) or ({A.shape[1]}, k)"
        raise ValueError(f"{name} {tuple(A.shape)} takes {letter} of shape {wanted}; got {tuple(x.shape)}")
    dtype = arrays.working_dtype(arrays.dtype_name(A), arrays.dtype_name(x))
    x = x.astype(dtype, copy=False)
    y = xp.empty((A.shape[0], *x.shape[1:]), dtype=dtype)
    if x.ndim == 1 or 0 < x.shape[1] <= most:
        return into(xp.ascontiguousarray(x), y)
    for low in range(0, x.shape[1], most):
        part = xp.ascontiguousarray(x[:, low : low + most])
        y[:, low : low + most] = into(part, xp.empty((A.shape[0], part.shape[1]), dtype=dtype))
    return y


def scaled(d: Any, r: Any, z: Any) -> Any:
    """z = d r for a diagonal d (n,) and r, z (n,) or (n, k) of one type. TypeError for a complex d beside a real r."""
    if arrays.dtype_name(d).startswith("complex") and not arrays.dtype_name(r).startswith("complex"):
        raise TypeError(f"the diagonal is {arrays.dtype_name(d)} and r {arrays.dtype_name(r)}: give a complex r")
    launch.launch(launch.kernels("vectors.cu", V=r, D=d)["scale"], r.shape[0], launch.columns_of(r), d, r, z)
    return z
