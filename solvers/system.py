"""The linear system as the methods see it: every input checked once, in one place, and brought into range.

Nothing is written to: A is viewed, b copied only when its type, order or scale has to change.
"""

from __future__ import annotations

import math
import numbers
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import arrays
from .arrays import Space
from .device import check_home, made, on_gpu
from .operator import Scaled, checked, largest_entry, name_of, size_of

SAFE = {"float64": 1e60, "float32": 1e8}  # norms within 1/SAFE..SAFE are squared without a second thought


@dataclass(frozen=True, slots=True)
class System:
    """A x = b, ready for a method: A, M applied operators; b in the working precision; x0 or None for zero.

    `scale` (float, or (k,)) is the power of two by which b and x0 were divided: x = scale * (the method's x). `A_scale`
    is the power of two by which A was multiplied. `defect` names the first non-finite input, or is None.
    """

    A: Any
    b: Any
    b_wide: Any
    M: Any
    x0: Any
    space: Space
    scale: Any
    A_scale: float
    b_norm: np.ndarray
    limit: np.ndarray
    rtol: float
    max_iterations: int
    deadline: float
    callback: Callable[[Any], Any] | None
    exact_entries: bool
    setup_seconds: float
    defect: str | None
    size: int  # unknowns, of all ranks together


def system(
    A: Any, b: Any, *, M: Any, x0: Any, rtol: float | None, atol: float, max_iterations: int | None,
    time_limit: float | None, callback: Callable[[Any], Any] | None,
) -> System:  # fmt: skip
    """Check every argument of a method and put the system together.

    Raises TypeError or ValueError, naming the argument, what came and what to do, for anything that is not a system.
    """
    original, A = A, checked(A)
    b, space = right_hand_side(A, b)
    rtol, atol, count = tolerances(rtol, atol, space), nonnegative(atol, "atol"), iteration_limit(max_iterations, size_of(A))
    deadline = math.inf if time_limit is None else time.perf_counter() + nonnegative(time_limit, "time_limit")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, callback(state) -> True to stop; got {type(callback).__name__}")
    x0 = None if x0 is None else initial_guess(x0, b, space)
    defect, A, A_scale = matrix_in_range(A)
    start = time.perf_counter()
    M = preconditioner(None if defect else M, original)
    setup_seconds = time.perf_counter() - start
    space = on_gpu(space, M) if space.is_cupy else space
    M = M if M is None or A_scale == 1.0 else Scaled(M, 1 / A_scale)  # M ~ A^-1 turns with A
    b_norm = np.atleast_1d(arrays.norm(b, space))
    x0_norm = None if x0 is None else arrays.norm(x0, space)
    defect = defect or nonfinite("b", b, b_norm) or (None if x0 is None else nonfinite("x0", x0, x0_norm))
    x0 = None if x0 is None or not np.any(x0_norm) else x0  # zero costs no product; NaN is not zero
    b, x0, scale = in_range(b, x0, b_norm, space)
    b_norm = b_norm / np.atleast_1d(scale)
    limit = np.maximum(rtol * b_norm, atol / np.atleast_1d(scale))
    wide = arrays.WIDE[space.dtype]
    exact = wide == space.dtype or arrays.stored_values(A) is not None
    return System(
        A, b, b if wide == space.dtype else arrays.asarray(b, space, wide), M, x0, space, scale, A_scale, b_norm, limit,
        rtol, count, deadline, callback, exact, setup_seconds, defect, size_of(A),
    )  # fmt: skip


def right_hand_side(A: Any, b: Any) -> tuple[Any, Space]:
    """b as a floating-point array beside A, and the space of the solve. TypeError or ValueError for what is no vector."""
    home = arrays.home(A)
    b = vector(b, "b", home or np)
    xp = arrays.namespace(b)
    if home is not None and home is not xp:
        raise TypeError(
            f"A and b must come from one array library; got A from {arrays.library(origin(A))} and b from {arrays.library(b)}; "
            "convert b with that library's asarray"
        )
    n = A.shape[0]
    if b.ndim not in (1, 2) or b.shape[0] != n:
        raise ValueError(f"b must have shape ({n},) or ({n}, k) beside A {tuple(A.shape)}; got {tuple(b.shape)}")
    A_dtype = arrays.dtype_name(b) if A.dtype is None else arrays.dtype_name(A)
    dtype = arrays.working_dtype(A_dtype, arrays.dtype_name(b))
    space = Space(xp, dtype, arrays.device(b), None if b.ndim == 1 else b.shape[1], comm=getattr(A, "comm", None))
    b = arrays.asarray(b, space)
    return (xp.ascontiguousarray(b) if space.is_numpy or space.is_cupy else b), space  # type: ignore[union-attr]


def origin(A: Any) -> Any:
    """What the user gave of A, to name its library by."""
    return A.parts[0] if hasattr(A, "move") else getattr(A, "original", A)


def vector(x: Any, what: str, home: Any) -> Any:
    """x as an array with a numeric dtype that petrov solves in; lists and tuples become arrays of the library `home`."""
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(f"{what} is a masked array, whose masked entries have no value; fill it first ({what}.filled(0.0))")
    if arrays.is_numpy_matrix(x):
        x = np.asarray(x)
    if arrays.sparse(x):
        raise TypeError(f"{what} is sparse; a right-hand side must be dense ({what}.toarray())")
    if isinstance(x, (list, tuple)):
        host = np.asarray(x)
        x = host if home is np or host.dtype.kind not in "biufc" else home.asarray(host)
    if arrays.namespace(x) is None:
        raise TypeError(
            f"{what} must be an array; got {type(x).__name__} from {arrays.library(x)}; pass its values as a NumPy array"
        )
    name = arrays.dtype_name(x)
    if isinstance(x, np.ndarray) and x.dtype.kind not in "biufc":
        raise TypeError(f"{what} has dtype {name}, which holds no numbers; pass {what}.astype(float)")
    if name not in arrays.REAL and np.dtype(name).kind not in "biu":
        raise TypeError(f"{what} has dtype {name}; use float32, float64, complex64 or complex128 ({what}.astype(float))")
    return arrays.detach(x)


def initial_guess(x0: Any, b: Any, space: Space) -> Any:
    x0 = vector(x0, "x0", space.xp)
    if arrays.namespace(x0) is not space.xp or arrays.device(x0) != space.device:
        raise TypeError(
            f"x0 must live where b lives ({arrays.library(b)} on {space.device}); got {arrays.library(x0)} on {arrays.device(x0)}"
        )
    if tuple(x0.shape) != tuple(b.shape):
        raise ValueError(f"x0 must have the shape {tuple(b.shape)} of b; got {tuple(x0.shape)}")
    if arrays.dtype_name(x0).startswith("complex") and not space.dtype.startswith("complex"):
        raise TypeError("x0 is complex but A and b are real; pass x0.real")
    return arrays.asarray(x0, space)


def preconditioner(M: Any, A: Any) -> Any:
    """M as an applied operator: what has a shape is one, what is callable is a recipe that makes one."""
    if M is None:
        return None
    recipe = M
    if not hasattr(M, "shape"):
        if not callable(M):
            raise TypeError(f"M must be an operator (shape, dtype, @) or a recipe M(A) that returns one; got {type(M).__name__}")
        M = made(recipe, A)
        if not hasattr(M, "shape"):
            raise TypeError(
                f"M(A) must return an operator with A's shape; {name_of(recipe)} returned {type(M).__name__}; if M is a "
                "function r -> z, wrap it: scipy.sparse.linalg.LinearOperator(A.shape, matvec=M, dtype=A.dtype)"
            )
    check_home(M, A)
    if tuple(M.shape) != tuple(A.shape):
        raise ValueError(f"M must have the shape {tuple(A.shape)} of A; got {tuple(M.shape)} from {name_of(recipe)}")
    return M


def tolerances(rtol: float | None, atol: float, space: Space) -> float:
    if rtol is None:
        return 1e-8 if space.real == "float64" else 1e-5
    return nonnegative(rtol, "rtol")


def nonnegative(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0.0 <= float(value) < math.inf:
        raise ValueError(f"{what} must be a finite number >= 0; got {value!r}")
    return float(value)


def iteration_limit(value: Any, n: int) -> int:
    if value is None:
        return min(10 * n, 10_000)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"max_iterations must be an integer >= 0; got {value!r}")
    if value < 0:
        raise ValueError(f"max_iterations must be an integer >= 0; got {value!r}")
    return int(value)


def nonfinite(what: str, x: Any, norms: Any) -> str | None:
    """'b is nan at index 3' if x holds a NaN or infinity, else None. `norms` is known already and cheap to test."""
    if np.isfinite(norms).all():
        return None
    index = arrays.first_nonfinite(x)
    if index is None:
        return f"{what} is not finite"  # on another rank
    value = arrays.to_numpy(x)[index]
    return f"{what} is {value} at index {index[0] if len(index) == 1 else index}"


def matrix_in_range(A: Any) -> tuple[str | None, Any, float]:
    """(defect, A or 2^k A, 2^k): names a NaN or infinity among the stored entries; rescales what would not square."""
    largest = largest_entry(A)
    if largest is None or largest == 0.0 or 1e-60 < largest < 1e60:
        return None, A, 1.0
    if not math.isfinite(largest):
        return nonfinite_entry(A), A, 1.0
    A_scale = 2.0 ** min(1000, -math.floor(math.log2(largest)))
    return None, Scaled(A, A_scale), A_scale


def nonfinite_entry(A: Any) -> str:
    A = getattr(A, "on_host", A)
    if arrays.sparse(A) or hasattr(A, "tocsr"):
        entries = A.tocsr().tocoo()
        bad = int(np.flatnonzero(~np.isfinite(entries.data))[0])
        return f"A is {entries.data[bad]} in row {int(entries.row[bad])}, column {int(entries.col[bad])}"
    index = arrays.first_nonfinite(arrays.stored_values(A))
    return f"A is not finite in row {index[0]}, column {index[1]}" if index and len(index) == 2 else "A is not finite"


def in_range(b: Any, x0: Any, b_norm: np.ndarray, space: Space) -> tuple[Any, Any, Any]:
    """(b / scale, x0 / scale, scale): a power of two a column that brings norms near 1 where squares would not fit."""
    safe = SAFE[space.real]
    extreme = (b_norm > 0) & np.isfinite(b_norm) & ((b_norm < 1 / safe) | (b_norm > safe))
    if not extreme.any():
        return b, x0, 1.0
    exponent = np.where(extreme, np.floor(np.log2(np.where(extreme, b_norm, 1.0))), 0.0)
    scale = np.exp2(exponent)
    if space.columns is None:
        return times(b, -exponent[0], space), None if x0 is None else times(x0, -exponent[0], space), float(scale[0])
    return times(b, -exponent, space), None if x0 is None else times(x0, -exponent, space), scale


def times(x: Any, exponent: Any, space: Space) -> Any:
    """2^exponent x, in two exact factors because one alone may be out of range."""
    half = np.trunc(np.asarray(exponent) / 2)
    for part in (half, exponent - half):
        with np.errstate(over="ignore", invalid="ignore"):  # whoever needs x looks at what came of it
            x = x * space.xp.asarray(np.exp2(part), dtype=getattr(space.xp, space.real), device=space.device)
    return x
