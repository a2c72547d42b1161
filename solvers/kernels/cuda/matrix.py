"""Products with matrices that live on a GPU, in the form that `compact` gave them."""

from __future__ import annotations

from typing import Any

from ... import arrays
from . import launch

LETTERS = {"csr": ("S", "I", "P"), "dia": ("S",), "sell": ("S", "I", "P")}


def of_form(A: Any, x: Any) -> dict[str, Any]:
    """The kernels of products.cu for A's form and the types of A and x."""
    types = dict(zip(LETTERS[A.form], A.parts, strict=False))
    return launch.kernels(f"{A.form}.cuh", "products.cu", V=x, **types)


def in_place(name: str, A: Any, *vectors: Any) -> Any:
    """Start a kernel of products.cu on vectors (n,) or (n, k) of one type; the last of them, which it has written to."""
    rows, columns = A.shape[0], 1 if vectors[0].ndim == 1 else vectors[0].shape[1]
    launch.launch(of_form(A, vectors[0])[name], rows, columns, *A.parts, *vectors)
    return vectors[-1]


def product(A: Any, x: Any) -> Any:
    """A x for x (m,) or (m, k) on A's device. TypeError if x is elsewhere, ValueError if its shape does not fit."""
    xp = arrays.namespace(x)
    if xp is None or arrays.library(x) != "cupy":
        raise TypeError(f"A is on a GPU and x is not ({arrays.library(x)}): move it there, cupy.asarray(x)")
    if x.ndim not in (1, 2) or x.shape[0] != A.shape[1]:
        raise ValueError(f"A {tuple(A.shape)} takes x of shape ({A.shape[1]},) or ({A.shape[1]}, k); got {tuple(x.shape)}")
    wanted = arrays.working_dtype(arrays.dtype_name(A), arrays.dtype_name(x))
    x = xp.ascontiguousarray(x.astype(wanted, copy=False))
    y = xp.empty((A.shape[0], *x.shape[1:]), dtype=wanted)
    if x.ndim == 1 or 0 < x.shape[1] <= launch.MOST_COLUMNS:
        return in_place("product", A, x, y)
    for low in range(0, x.shape[1], launch.MOST_COLUMNS):
        part = slice(low, low + launch.MOST_COLUMNS)
        y[:, part] = product(A, xp.ascontiguousarray(x[:, part]))
    return y


def scaled(d: Any, r: Any, z: Any) -> Any:
    """z = d r for a diagonal d (n,) and r, z (n,) or (n, k) of one type. TypeError for a complex d beside a real r."""
    if arrays.dtype_name(d).startswith("complex") and not arrays.dtype_name(r).startswith("complex"):
        raise TypeError(f"the diagonal is {arrays.dtype_name(d)} and r {arrays.dtype_name(r)}: give a complex r")
    launch.launch(launch.kernels("vectors.cu", V=r, D=d)["scale"], r.shape[0], 1 if r.ndim == 1 else r.shape[1], d, r, z)
    return z
