"""Operators: anything with shape, dtype and @. Wrappers that scale, count and invert, and the checks of what comes in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from . import arrays
from .storage.csr import CSR, check_indices, view
from .storage.diagonal import Diagonal


@runtime_checkable
class Operator(Protocol):
    """A linear map: ndarray, SciPy and CuPy sparse, LinearOperator, torch tensors and user classes already fit.

    Optional: `.H`, `.diagonal()`, `.update(A2)`, `.guess(b)`, `linear` (default True), `spd` (default None: unknown);
    `.moved(move)`, the same on a GPU, with move(array of the host), and there `.into(r, z)`, which writes A r to z. Where the
    rows are distributed over ranks, `shape` and vectors are those of the rank, `comm` is the communicator and `global_size` the
    number of all unknowns.
    """

    shape: tuple[int, int]
    dtype: Any

    def __matmul__(self, x: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Scaled:
    """factor * A, for a power of two that keeps squares of entries in range."""

    A: Any
    factor: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.A.shape

    @property
    def dtype(self) -> Any:
        return self.A.dtype

    @property
    def comm(self) -> Any:
        return getattr(self.A, "comm", None)

    @property
    def global_size(self) -> int:
        return size_of(self.A)

    @property
    def name(self) -> str:
        return name_of(self.A)

    @property
    def linear(self) -> bool:
        return getattr(self.A, "linear", True)

    @property
    def spd(self) -> bool | None:
        return getattr(self.A, "spd", None)

    def __matmul__(self, x: Any) -> Any:
        return (self.A @ x) * self.factor


@dataclass(slots=True, eq=False)
class Counted:
    """A with a count of the columns it was applied to.

    >>> import numpy as np
    >>> from petrov.solvers.operator import Counted
    >>> A = Counted(np.eye(3)); _ = A @ np.ones((3, 2)); A.products
    2
    """

    A: Any
    products: int = field(default=0)

    @property
    def shape(self) -> tuple[int, int]:
        return self.A.shape

    @property
    def dtype(self) -> Any:
        return self.A.dtype

    def __matmul__(self, x: Any) -> Any:
        self.products += 1 if x.ndim == 1 else x.shape[1]
        return self.A @ x


def checked(A: Any, what: str = "A") -> Any:
    """A as the methods use it: square, two-dimensional, its stored indices proved in range; arrays are viewed, not copied.

    Raises TypeError if A is no operator, ValueError if it is not square or its index arrays are not those of a matrix.
    """
    if arrays.is_numpy_matrix(A):
        A = np.asarray(A)
    if not hasattr(A, "shape") or not hasattr(A, "dtype") or not hasattr(type(A), "__matmul__"):
        raise TypeError(
            f"{what} must have shape, dtype and @ (an array, a sparse matrix, a LinearOperator); got {type(A).__name__}"
        )
    if len(A.shape) != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"{what} must be square; got shape {tuple(A.shape)}; for least squares use method='lsmr'")
    name = arrays.dtype_name(A)
    if A.dtype is not None and name not in arrays.REAL and np.dtype(name).kind not in "biu":
        raise TypeError(f"{what} has dtype {name}; use float32, float64, complex64 or complex128 (A.astype(float))")
    A = arrays.detach(A)
    if arrays.compressed(A):
        return view(A)
    if arrays.sparse(A):
        check_indices(A)
    return A


def largest_entry(A: Any) -> float | None:
    """max |a_ij| (NaN or inf if A holds one), or None if A is known only by products. One pass, no temporaries for reals."""
    values = arrays.stored_values(A)
    if values is None:
        return None
    if 0 in values.shape:
        return 0.0
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        return float(max(values.max(), -float(values.min())))
    if isinstance(values, np.ndarray) and values.dtype.kind == "b":
        return float(values.any())
    xp = arrays.namespace(values)
    assert xp is not None
    return arrays.host(xp.max(xp.abs(values)))


def size_of(A: Any) -> int:
    """The unknowns of A; where ranks hold rows of it, which A.shape counts, those of all together."""
    return int(getattr(A, "global_size", A.shape[0]))


def name_of(M: Any) -> str:
    """What to call a preconditioner in a message: its own name, else its type."""
    if M is None:
        return "none"
    return str(getattr(M, "name", type(M).__name__))


__all__ = ["CSR", "Counted", "Diagonal", "Operator", "Scaled", "checked", "largest_entry", "name_of", "size_of"]
