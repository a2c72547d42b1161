"""The verbs on a GPU: raw kernels, each one sweep over memory; scalars stay on the device, as float64 () or (k,).

Traffic of one cg iteration with Jacobi on a seven-point matrix in double precision: as kernels/cpu.py counts, matrix and p, q
(apply_dot), x, r, p, q, d (step), r, d, p (combine); nothing else reads or writes a vector, and nothing waits for the host.
"""

from __future__ import annotations

import time
from typing import Any

from ... import arrays
from ...arrays import Space
from ...storage import Diagonal
from ...storage.resident import Resident
from .. import reference
from . import launch
from .matrix import in_place, of_form


def columns(space: Space) -> int:
    return space.columns or 1


def scalars(space: Space) -> Any:
    """Room for one scalar of the iteration, a column each."""
    if space.scratch.board is not None:
        return space.scratch.board.take()
    return space.xp.empty(() if space.columns is None else (space.columns,), dtype=space.xp.float64)


def suits(x: Any) -> bool:
    return x.flags.c_contiguous and (x.ndim == 1 or 0 < x.shape[1] <= launch.MOST_COLUMNS)


def product(A: Any, x: Any, space: Space, what: str = "A") -> Any:
    y = reference.product(A, x, space, what)
    return y if y.flags.c_contiguous else space.xp.ascontiguousarray(y)  # our kernels count in rows


def residual(A: Any, b: Any, x: Any, space: Space) -> Any:
    if not isinstance(A, Resident) or not suits(b):
        return reference.residual(A, b, x, space)
    r = space.xp.empty_like(b)
    return in_place("residual", A, arrays.asarray(x, space, arrays.dtype_name(b)), b, r)


def summed(function: Any, x: Any, space: Space, *arguments: Any, sums: int = 1) -> tuple[Any, ...]:
    """Start a kernel that ends in `total`; its sums, each ready for `reduce`."""
    out, own = tuple(scalars(space) for _ in range(sums)), space.scratch
    launch.launch(function, x.shape[0], columns(space), *arguments, *out, own.partials, own.ticket)
    return out


def dot(x: Any, y: Any, space: Space) -> Any:
    """Re(x^H y)."""
    if not (suits(x) and suits(y) and x.dtype == y.dtype):
        return reference.dot(x, y, space)
    return summed(launch.kernels("vectors.cu", V=x, D=x)["dot"], x, space, x, y)[0]


def apply_dot(A: Any, p: Any, q: Any, space: Space) -> tuple[Any, Any]:
    if not isinstance(A, Resident) or not suits(p):
        q = product(A, p, space)
        return q, dot(p, q, space)
    q = space.xp.empty_like(p) if q is None else q
    return q, summed(of_form(A, p)["apply_dot"], p, space, *A.parts, p, q)[0]


def apply(M: Any, r: Any, z: Any, space: Space) -> Any:
    """M r, into z where M can: an operator with `into(r, z)` takes no memory."""
    if hasattr(M, "into") and z is not None and suits(r) and z.dtype == r.dtype:
        return M.into(r, z)
    return product(M, r, space, "M")


def precondition(M: Any, r: Any, z: Any, space: Space) -> tuple[Any, Any]:
    if M is None:
        return r, dot(r, r, space)
    z = apply(M, r, None if z is r else z, space)
    return z, dot(r, z, space)


def step(M: Any, rz: Any, pq: Any, p: Any, q: Any, x: Any, r: Any, z: Any, active: Any, space: Space) -> tuple[Any, ...]:
    own, fused = space.scratch, fusible(M, r)
    moves = own.active if active is None else active, own.rr, own.floor
    rz, pq = (arrays.asarray(scalar, space, "float64") for scalar in (rz, pq))
    kernels = launch.kernels("vectors.cu", V=r, D=M.values if fused else r)
    if fused:
        rr, rz = summed(kernels["step_diagonal"], r, space, rz, pq, *moves, M.values, p, q, x, r, sums=2)
        own.rr = rr
        return x, r, r, rr, rz  # combine makes z on the way
    rr = summed(kernels["step"], r, space, rz, pq, *moves, p, q, x, r)[0]
    own.rr = rr
    if M is None:
        return x, r, r, rr, rr
    z, rz = precondition(M, r, z, space)
    return x, r, z, rr, rz


def fusible(M: Any, r: Any) -> bool:
    return type(M) is Diagonal and (not arrays.dtype_name(M).startswith("complex") or M.dtype == r.dtype)


def combine(M: Any, rz: Any, rz_old: Any, z: Any, p: Any, space: Space) -> Any:
    rz, rz_old = (arrays.asarray(scalar, space, "float64") for scalar in (rz, rz_old))
    if fusible(M, p):
        kernel = launch.kernels("vectors.cu", V=p, D=M.values)["combine_diagonal"]
        launch.launch(kernel, p.shape[0], columns(space), rz, rz_old, M.values, z, p)
    else:
        kernel = launch.kernels("vectors.cu", V=p, D=p)["combine"]
        launch.launch(kernel, p.shape[0], columns(space), rz, rz_old, z, p)
    return p


def compile_for(A: Any, M: Any, space: Space) -> float:
    """Compile (or load from CuPy's cache) the kernels that a cg solve with A and M needs; the seconds it took."""
    start = time.perf_counter()
    none = space.xp.empty((0,) if space.columns is None else (0, space.columns), dtype=getattr(space.xp, space.dtype))
    if isinstance(A, Resident):
        kernels = of_form(A, none)
        kernels["apply_dot"], kernels["residual"]
    fused = fusible(M, none)
    kernels = launch.kernels("vectors.cu", V=none, D=M.values if fused else none)
    for name in ("step_diagonal", "combine_diagonal") if fused else ("step", "combine"):
        kernels[name]
    space.xp.sum(none)  # the library itself, when first used
    return time.perf_counter() - start
