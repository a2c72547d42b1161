"""The directions that a solve leaves for the next one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import arrays
from ..arrays import Space

DEPENDENT = 1e-10  # of the largest eigenvalue of a Gram matrix: what lies below counts as dependent


@dataclass(frozen=True, slots=True, eq=False)
class RecycleSpace:
    """Directions of x that were slow to converge: the rows of `basis` (k, n), in no order and of any length.

    Any rows give a right answer, good ones give it sooner; a space of one system serves every other of its size. `source` (k, n),
    or None, holds what the preconditioner of that solve made the rows from: basis = M source, row by row. `weighted`: the longer
    a row is, the slower it was, over all systems so far. Of the array library, device and type of the solve. Memory: k n numbers,
    twice that with a source.

    >>> import numpy as np
    >>> from petrov.solvers import RecycleSpace
    >>> RecycleSpace(np.eye(5)[:2])
    RecycleSpace: 2 directions of 5 unknowns, float64
    """

    basis: Any
    source: Any = None
    weighted: bool = False

    def __post_init__(self) -> None:
        shape = getattr(self.basis, "shape", ())
        if len(shape) != 2 or arrays.namespace(self.basis) is None:
            raise TypeError(f"basis must be an array (k, n), a direction a row; got {type(self.basis).__name__} of shape {shape}")
        if self.source is not None and tuple(self.source.shape) != tuple(shape):
            raise ValueError(f"source must have the shape {tuple(shape)} of basis; got {tuple(self.source.shape)}")

    @property
    def size(self) -> int:
        return int(self.basis.shape[0])

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        parts = [self.basis] if self.source is None else [self.basis, self.source]
        return sum(int(part.shape[0] * part.shape[1]) * np.dtype(arrays.dtype_name(part)).itemsize for part in parts)

    def __repr__(self) -> str:
        k, n = self.basis.shape
        return f"{type(self).__name__}: {k} directions of {n} unknowns, {arrays.dtype_name(self.basis)}"


def orthonormal(rows: Any, space: Space) -> tuple[Any, np.ndarray]:
    """(Q, T): orthonormal rows Q = T rows that span the rows (k, n) but for what is dependent to rounding.

    From the Gram matrix, twice: Stathopoulos and Wu, SIAM J. Sci. Comput. 23 (2002) 2165. Two sweeps over the rows each.
    """
    lengths = np.asarray(arrays.norm(transposed(rows, space), space))
    total = np.diag(np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)).astype(arrays.WIDE[space.dtype])
    rows = combined(total, rows, space)  # of length one before anything is squared
    for _ in range(2):
        gram = products(conjugate(rows, space), rows, space).astype(total.dtype)
        values, vectors = np.linalg.eigh(gram)
        good = values > max(DEPENDENT, len(values) * space.eps) * values.max(initial=0.0)
        T = (vectors[:, good] / np.sqrt(values[good])).T
        rows, total = combined(T, rows, space), T @ total
    return rows, total


def finite(rows: Any, space: Space) -> bool:
    """Whether every entry is."""
    return math.isfinite(float(arrays.norm(space.xp.reshape(rows, (-1,)), space)))


def products(left: Any, right: Any, space: Space) -> np.ndarray:
    """left right^T of rows, over all ranks, on the host."""
    return arrays.across(arrays.to_numpy(left @ transposed(right, space)), space)


def combined(T: np.ndarray, rows: Any, space: Space) -> Any:
    """T rows, with T (i, k) on the host."""
    return arrays.asarray(T, space) @ rows


def conjugate(rows: Any, space: Space) -> Any:
    return space.xp.conj(rows) if arrays.dtype_name(rows).startswith("complex") else rows


def transposed(rows: Any, space: Space) -> Any:
    return space.xp.permute_dims(rows, (1, 0))
