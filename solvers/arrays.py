"""The only file that knows which array library is in use.

Everything else speaks of `xp` (a namespace of the array API standard) or calls the functions below. Vectors are NumPy
arrays, torch tensors, CuPy arrays or any other array that array-api-compat recognises; the standard calls them alike.
"""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

REAL = {"float32": "float32", "float64": "float64", "complex64": "float32", "complex128": "float64"}
WIDE = {"float32": "float64", "float64": "float64", "complex64": "complex128", "complex128": "complex128"}


@dataclass(frozen=True, slots=True)
class Space:
    """Where the vectors of one solve live: library, precision, device, columns.

    `columns` is None for a vector b (n,) and k for a block b (n, k). `interval` is how many iterations pass between two
    looks at the scalars of the iteration: 1 where reading a scalar is free, more on a device that would have to wait.
    `comm` is None, or the communicator (of mpi4py) of the ranks that hold the rows of every vector, each its own.
    `scratch` is what the sums of a solve on a GPU need (kernels/cuda/launch.py).
    """

    xp: Any
    dtype: str
    device: Any
    columns: int | None
    interval: int = 1
    comm: Any = None
    scratch: Any = None

    @property
    def real(self) -> str:
        return REAL[self.dtype]

    @property
    def eps(self) -> float:
        return float(np.finfo(self.real).eps)

    @property
    def is_numpy(self) -> bool:
        return self.xp is np

    @property
    def is_cupy(self) -> bool:
        return of_cupy(self.xp)


def of_cupy(xp: Any) -> bool:
    """Whether a namespace is CuPy's."""
    return xp is not np and xp is not None and xp.__name__.rpartition(".")[2] == "cupy"


def namespace(x: Any) -> Any | None:
    """The array API namespace of x, or None if x is not an array of a known library."""
    if type(x) is np.ndarray or isinstance(x, np.ndarray):
        return np
    if not hasattr(x, "dtype"):
        return None
    from array_api_compat import array_namespace, is_array_api_obj

    return array_namespace(x) if is_array_api_obj(x) else None


def home(A: Any) -> Any | None:
    """The namespace of the vectors that A multiplies; None if A does not tell."""
    if sparse(A):
        return namespace(A.data) if library(A) == "cupyx" else np
    if hasattr(A, "move"):
        return namespace(A.parts[0])
    return np if hasattr(A, "indptr") else namespace(A)


def mover(like: Any) -> Any:
    """The function that brings an array of the host to where `like` lives."""
    xp, where = namespace(like), device(like)
    return lambda x: xp.asarray(x, device=where)  # type: ignore[union-attr]


def of_host(M: Any) -> bool:
    """Whether an operator is an array or a matrix of the host, or a record with an array of it, itself or in a tuple."""
    fields = [getattr(M, name, None) for name in getattr(type(M), "__dataclass_fields__", ())]
    inside = [part for parts in fields if type(parts) is tuple for part in parts]
    here = any(isinstance(part, np.ndarray) for part in (M, *fields)) or (sparse(M) and library(M) == "scipy")
    return here or any(map(of_host, inside))


def library(x: Any) -> str:
    """A name for messages: which library x comes from (for example 'numpy', 'torch', 'pandas')."""
    return type(x).__module__.partition(".")[0]


def dtype_name(x: Any) -> str:
    """'float64' for numpy.float64, torch.float64, array_api_strict.float64 and for arrays of them."""
    dtype = getattr(x, "dtype", x)
    if isinstance(dtype, np.dtype):
        return numpy_name(dtype)
    try:
        return np.dtype(dtype).name
    except TypeError:
        return str(dtype).rpartition(".")[2]


@cache
def numpy_name(dtype: np.dtype) -> str:
    """dtype.name, which NumPy puts together anew at every call."""
    return dtype.name


def working_dtype(*names: str) -> str:
    """The floating-point type in which operands of these types are solved: integers and booleans become float64."""
    widened = [name if name in REAL else "float64" for name in names]
    return np.result_type(*widened).name


def device(x: Any) -> Any:
    """The device of x as its library names it; 'cpu' for NumPy."""
    if isinstance(x, np.ndarray):
        return "cpu"
    from array_api_compat import device as device_of

    return device_of(x)


def sparse(x: Any) -> bool:
    """True for a SciPy or CuPy sparse array or matrix, without importing either."""
    return type(x).__module__.startswith(("scipy.sparse.", "cupyx.scipy.sparse.")) and hasattr(x, "tocsr")


def compressed(x: Any) -> bool:
    """True for a CSR array or matrix on the host: the one format whose arrays the compiled kernels read in place."""
    return getattr(x, "format", None) == "csr" and type(x).__module__.startswith("scipy.sparse.")


def is_numpy_matrix(x: Any) -> bool:
    return isinstance(x, np.matrix)


def stored_values(A: Any) -> Any | None:
    """The stored entries of A as one array (any shape) if A is a matrix of a known library, else None."""
    if isinstance(A, np.ndarray):
        return A
    A = getattr(A, "on_host", A)
    if sparse(A):
        return getattr(A, "data", None) if A.format in ("csr", "csc", "coo", "bsr", "dia") else A.tocsr().data
    if "torch" in sys.modules and library(A) == "torch":
        if A.is_sparse:
            return A.coalesce().values()
        return A.values() if str(A.layout) in ("torch.sparse_csr", "torch.sparse_csc", "torch.sparse_bsr") else A
    if getattr(A, "values", None) is not None and getattr(A, "indptr", None) is not None:
        return A.values
    return A if namespace(A) is not None else None


def asarray(x: Any, space: Space, dtype: str | None = None) -> Any:
    """x as an array of the space, in `dtype` (default: the space's); a copy only when something has to change."""
    target = getattr(space.xp, dtype or space.dtype)
    if space.is_numpy:
        return np.asarray(x, dtype=target)
    if namespace(x) is None:
        x = np.asarray(x)
    if namespace(x) is np:
        return space.xp.asarray(x, dtype=target, device=space.device)
    return x if x.dtype == target else space.xp.astype(x, target)


def zeros(shape: tuple[int, ...], space: Space, dtype: str | None = None) -> Any:
    return space.xp.zeros(shape, dtype=getattr(space.xp, dtype or space.dtype), device=space.device)


def copy(x: Any, space: Space) -> Any:
    """A contiguous copy of x that the loops may write to."""
    if space.is_numpy:
        return np.array(x, order="C")
    return space.xp.asarray(x, copy=True, order="C") if space.is_cupy else space.xp.asarray(x, copy=True)


def detach(x: Any) -> Any:
    """x without its autograd graph: a solver's loop must not grow one."""
    return x.detach() if getattr(x, "requires_grad", False) else x


def to_numpy(x: Any) -> np.ndarray:
    """x on the host; the one conversion that is allowed to leave a device."""
    if isinstance(x, np.ndarray):
        return x
    if library(x) == "torch":
        return x.detach().cpu().resolve_conj().numpy()
    if library(x) == "cupy":
        return x.get()
    return np.asarray(x)


def scalar(x: Any) -> Any:
    """A 0-d result read on the host as a Python float or complex number."""
    if isinstance(x, (float, complex)):
        return x
    return complex(x) if dtype_name(x).startswith("complex") else float(x)


def host(x: Any) -> Any:
    """A scalar or a (k,) array of an iteration, read on the host: a Python float, or float64 (k,)."""
    if isinstance(x, float):
        return float(x)
    if getattr(x, "shape", ()) == ():
        return float(scalar(x).real)
    return np.real(to_numpy(x)).astype(np.float64)


def fetch(x: Any, out: np.ndarray) -> Any:
    """Start to copy a CuPy array to the host, behind what its device has to do; the event at which it is there."""
    import cupy

    x.get(out=out, blocking=False)
    event = cupy.cuda.Event(disable_timing=True)
    event.record()
    return event


def landed(event: Any, out: np.ndarray) -> np.ndarray:
    """What was fetched, once it is there."""
    event.synchronize()
    return out


def gathered(local: Any, space: Space) -> np.ndarray:
    """What every rank has of a number or a small array on the host, in the order of the ranks: the same bits on all of them."""
    mine = np.asarray(local, order="C")
    every = np.empty((space.comm.Get_size(), *mine.shape), mine.dtype)
    space.comm.Allgather(mine, every)
    return every


def across(local: Any, space: Space) -> Any:
    """The sum over all ranks of a number or a small array, which every rank has on the host; itself where there is one process.

    Summed in the order of the ranks, so that all of them get the same bits: what they decide by it, they decide alike.
    """
    return local if space.comm is None else gathered(local, space).sum(axis=0)[()]


def reduce(partial: Any, space: Space) -> Any:
    """The sum of all partial sums: over the blocks of a device, and over the ranks.

    Verbs return either a finished scalar (or (k,) row) of this process, or an array with one more leading axis of
    partial sums, marked by being one dimension larger than the space's scalars.
    """
    expected = 0 if space.columns is None else 1
    if getattr(partial, "ndim", 0) > expected:
        partial = space.xp.sum(partial, axis=0)
    return across(partial, space)


def reduced(space: Space, *partials: Any) -> tuple[Any, ...]:
    """`reduce` of each, which ranks do in one sum."""
    if space.comm is None:
        return tuple([reduce(partial, space) for partial in partials])  # a list is quicker than a generator
    here = replace(space, comm=None)
    return tuple(across(np.stack([np.asarray(reduce(partial, here)) for partial in partials]), space))


def inner(x: Any, y: Any, space: Space) -> Any:
    """x^H y per column, over all ranks: a scalar for (n,), (k,) for (n, k)."""
    return across(local_inner(x, y, space), space)


def local_inner(x: Any, y: Any, space: Space) -> Any:
    """The same of the rows of this process: a partial sum, which `reduce` finishes."""
    if space.is_numpy:
        return np.vdot(x, y) if x.ndim == 1 else np.einsum("ij,ij->j", np.conj(x), y)
    return space.xp.vecdot(x, y, axis=-x.ndim)


def real(x: Any, space: Space) -> Any:
    return space.xp.real(x) if space.dtype.startswith("complex") else x


def norm(x: Any, space: Space) -> Any:
    """||x||_2 per column, over all ranks, read on the host, in at least double precision, without overflow or underflow.

    A float for (n,), float64 (k,) for (n, k); NaN or inf where x is not finite.
    """
    mine = local_norm(x, space)
    if space.comm is None:
        return mine
    every = gathered(np.asarray(mine, np.float64), space)
    largest = every.max(axis=0)
    usable = (largest > 0) & np.isfinite(largest)
    scaled = every / np.where(usable, largest, 1.0)
    whole = np.where(usable, largest * np.sqrt((scaled * scaled).sum(axis=0)), largest)
    return float(whole) if x.ndim == 1 else whole


def local_norm(x: Any, space: Space) -> Any:
    """The same of the rows of this process.

    The entries are divided by the largest of their column before they are squared, so 1e-310 and 1e300 are safe.
    """
    xp, rows = space.xp, x.shape[0]
    if rows == 0:
        return 0.0 if x.ndim == 1 else np.zeros(x.shape[1])
    wide = x if WIDE[dtype_name(x)] == dtype_name(x) else xp.astype(x, getattr(xp, WIDE[dtype_name(x)]))
    if space.is_numpy and x.ndim == 1 and rows >= LONG:
        squares = sum_of_squares(wide)
        if SAFE_SQUARES[0] < squares < SAFE_SQUARES[1]:
            return math.sqrt(squares)
    if space.is_numpy and x.ndim == 2 and rows * x.shape[1] >= LONG:
        columns = columns_of_squares(wide)
        if ((SAFE_SQUARES[0] < columns) & (columns < SAFE_SQUARES[1])).all():
            return np.sqrt(columns)
    magnitude = xp.abs(wide)
    largest = host(xp.max(magnitude, axis=0))
    if x.ndim == 1:
        if not 0.0 < largest < math.inf:
            return largest
        scaled = magnitude / largest if not 1e-100 < largest < 1e100 else magnitude
        factor = largest if scaled is not magnitude else 1.0
        return factor * math.sqrt(host(xp.sum(scaled * scaled, axis=0)))
    usable = (largest > 0) & np.isfinite(largest)
    divisor = np.where(usable, largest, math.inf)  # a column that is not usable becomes 0 or NaN, and is not looked at
    with np.errstate(invalid="ignore"):
        scaled = magnitude / xp.asarray(divisor, dtype=magnitude.dtype, device=space.device)
    return np.where(usable, np.where(usable, largest, 1.0) * np.sqrt(host(xp.sum(scaled * scaled, axis=0))), largest)


LONG = 10_000  # entries from which passes over memory cost more than care
SAFE_SQUARES = (1e-200, 1e200)  # sums of squares that have neither lost a small entry nor come near overflow


def sum_of_squares(x: np.ndarray) -> float:
    """In one pass; by einsum, because BLAS would wake threads of its own."""
    parts = np.ascontiguousarray(x).view(x.real.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.einsum("i,i->", parts, parts))


def columns_of_squares(x: Any) -> Any:
    """The sums of squares of the columns of x (n, k), in one pass."""
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->j", x.real, x.real)
        return squares + np.einsum("ij,ij->j", x.imag, x.imag) if x.dtype.kind == "c" else squares


def largest(local: float, space: Space) -> float:
    """The largest of what the ranks have."""
    return float(local if space.comm is None else gathered(np.float64(local), space).max())


def everywhere(yes: bool, space: Space) -> bool:
    """Whether it is so on every rank."""
    return bool(yes) if space.comm is None else bool(across(np.int64(not yes), space) == 0)


class RankError(ValueError):
    """What failed on one rank, raised on all of them."""


def agreed(work: Callable[[], Any], comm: Any, what: str) -> Any:
    """work() on every rank; RankError on all of them, naming the first, if it raised on one, so that none waits for it.

    `work` may not communicate; without ranks (None) it raises what it raises. what: for the message, '... the rows of rank 1'.
    """
    if comm is None:
        return work()
    found, wrong = None, None
    try:
        found = work()
    except Exception as error:
        wrong = error
    for rank, said in enumerate(comm.allgather(None if wrong is None else f"{type(wrong).__name__}: {wrong}")):
        if said is not None:
            raise RankError(f"{what} rank {rank} failed: {said}") from wrong
    return found


def bring_down(comm: Any, error: BaseException) -> None:
    """End the job of all ranks with this error on stderr: the others wait for this one in a sum, and would wait for ever."""
    traceback.print_exception(error)
    sys.stderr.flush()
    comm.Abort(1)


def first_nonfinite(x: Any) -> tuple[int, ...] | None:
    """The index of the first NaN or infinity of x, or None."""
    values = to_numpy(x)
    bad = ~np.isfinite(values)
    return tuple(int(i) for i in np.argwhere(bad)[0]) if bad.any() else None
