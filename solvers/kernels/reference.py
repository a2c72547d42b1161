"""The verbs in the array API: any library, any number of columns, written to be read."""

from __future__ import annotations

from typing import Any

from .. import arrays
from ..arrays import Space
from ..storage import Stored


def product(A: Any, x: Any, space: Space, what: str = "A") -> Any:
    """A x. ValueError if the shape is wrong, TypeError if a real system comes back complex or from another library."""
    y = A @ (x if trusted(A) else arrays.copy(x, space))
    if type(y) is not type(x):
        y = arrays.asarray(y, space, arrays.dtype_name(y))
    if y.shape != x.shape:
        if y.shape == (*x.shape, 1) or (y.shape == () and x.shape == (1,)):  # SciPy's coo_array (1, 1) returns a scalar
            return space.xp.reshape(y, x.shape)
        raise ValueError(
            f"{what} @ x must have the shape {tuple(x.shape)} of x; {type(A).__name__} returned {tuple(y.shape)}; correct its @"
        )
    if y.dtype != x.dtype:
        name = arrays.dtype_name(y)
        if name.startswith("complex") and not arrays.dtype_name(x).startswith("complex"):
            raise TypeError(
                f"{what} returned {name} for a real {arrays.dtype_name(x)} vector; give {what} its true dtype, or a complex b"
            )
        y = arrays.asarray(y, space, arrays.dtype_name(x))
    return y


def trusted(A: Any) -> bool:
    """False for a user's own operator, which might write to the vector it is given: it gets a copy."""
    home = type(A).__module__.partition(".")[0]
    return home in ("petrov", "numpy", "torch", "cupy") or arrays.sparse(A)


def residual(A: Any, b: Any, x: Any, space: Space) -> Any:
    """b - A x in double precision where A's entries can be read or its products are, else in the precision of its products."""
    wide = arrays.WIDE[space.dtype]
    if wide == space.dtype:
        return b - arrays.asarray(product(A, x, space), space, wide)
    if arrays.stored_values(A) is None:
        x = arrays.asarray(x, space, wide) if answers_in_double(A, space) else x
        return b - arrays.asarray(product(A, x, space), space, wide)
    wide_A = A.tocsr() if isinstance(A, Stored) else A
    wide_A = wide_A.astype(wide) if space.is_numpy else arrays.asarray(wide_A, space, wide)
    return b - wide_A @ arrays.asarray(x, space, wide)


def answers_in_double(A: Any, space: Space) -> bool:
    """True if an operator in single precision, known by products only, multiplies double-precision vectors in that."""
    probe = arrays.zeros((A.shape[1],), space, arrays.WIDE[space.dtype])
    try:
        return arrays.dtype_name(A @ probe) == arrays.WIDE[space.dtype]
    except (TypeError, ValueError, RuntimeError):  # it takes nothing but its own precision
        return False


def ratio(numerator: Any, denominator: Any, active: Any, space: Space) -> Any:
    """numerator / denominator where that is finite, the denominator positive and the column active, else 0."""
    xp = space.xp
    usable = (denominator > 0) & xp.isfinite(denominator) & xp.isfinite(numerator)
    if active is not None:
        usable = usable & active
    one, zero = xp.ones_like(denominator), xp.zeros_like(denominator)
    return xp.where(usable, xp.where(usable, numerator, zero) / xp.where(usable, denominator, one), zero)


def cast(scalar: Any, space: Space) -> Any:
    """A scalar in the real precision of the vectors, so that products keep their dtype."""
    return space.xp.astype(scalar, getattr(space.xp, space.real)) if hasattr(scalar, "dtype") else scalar


def dot(x: Any, y: Any, space: Space) -> Any:
    """Re(x^H y) per column, of the rows of this process: `arrays.reduce` finishes it."""
    return space.xp.asarray(arrays.real(arrays.local_inner(x, y, space), space))


def apply_dot(A: Any, p: Any, q: Any, space: Space) -> tuple[Any, Any]:
    q = product(A, p, space)
    return q, dot(p, q, space)


def precondition(M: Any, r: Any, z: Any, space: Space) -> tuple[Any, Any]:
    z = r if M is None else product(M, r, space, "M")
    return z, dot(r, z, space)


def step(M: Any, rz: Any, pq: Any, p: Any, q: Any, x: Any, r: Any, z: Any, active: Any, space: Space) -> tuple[Any, ...]:
    alpha = cast(ratio(rz, pq, active, space), space)
    moves = alpha != 0
    x = x + alpha * p
    r = space.xp.where(moves, r - alpha * q, r)
    z, rz = precondition(M, r, z, space)
    return x, r, z, (rz if M is None else dot(r, r, space)), rz


def combine(M: Any, rz: Any, rz_old: Any, z: Any, p: Any, space: Space) -> Any:
    return z + cast(ratio(rz, rz_old, None, space), space) * p


def compile_for(A: Any, M: Any, space: Space) -> float:
    """The seconds spent compiling: none."""
    return 0.0
