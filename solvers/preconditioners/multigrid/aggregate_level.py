"""A level of a hierarchy made from a matrix: its rows split for the sweeps, and the transfer to the next level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .matrices import Matrix


@dataclass(slots=True, eq=False)
class MatrixWork:
    """Right-hand side, iterate, a second iterate and a residual."""

    f: np.ndarray
    u: np.ndarray
    v: np.ndarray
    r: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class MatrixLevel:
    """A in the order of `order` (finest level; None for the others), split as kernels/relaxation.py says; P and R = P^T."""

    size: int
    entries: int
    rows_split: tuple[np.ndarray, ...]  # indptr, outer, upper, indices, values
    inverse: np.ndarray
    extra: np.ndarray
    P: Matrix
    R: Matrix
    order: np.ndarray

    def work(self) -> MatrixWork:
        return MatrixWork(*(np.zeros(self.size, np.float32) for _ in range(4)))

    def load(self, r: np.ndarray, w: MatrixWork, factor: float) -> float:
        from ...kernels import relaxation as kernels

        return float(kernels.load(self.size, self.order, r, w.f, factor))

    def store(self, w: MatrixWork, z: np.ndarray, factor: float, r: np.ndarray) -> float:
        from ...kernels import relaxation as kernels

        return float(kernels.store(self.size, self.order, w.u, z, factor, r))

    def start(self, w: MatrixWork) -> None:
        """Nothing: `restrict` does both."""

    def restrict(self, w: MatrixWork, f: np.ndarray) -> None:
        from ...kernels import relaxation as kernels

        indptr, outer, _, indices, values = self.rows_split
        kernels.down(self.size, indptr, outer, indices, values, self.inverse, self.extra, w.f, w.u, w.r, *self.R[:3], f)

    def finish(self, w: MatrixWork, u: np.ndarray) -> None:
        from ...kernels import relaxation as kernels

        indptr, _, upper, indices, values = self.rows_split
        kernels.up(self.size, indptr, upper, indices, values, self.inverse, self.extra, w.f, w.u, w.v, *self.P[:3], u)
        w.u, w.v = w.v, w.u

    def residual(self, w: MatrixWork, r: np.ndarray) -> None:
        from ...kernels import relaxation as kernels

        indptr, _, _, indices, values = self.rows_split
        kernels.residual(self.size, indptr, indices, values, self.inverse, self.extra, w.f, w.u, r)


@dataclass(frozen=True, slots=True, eq=False)
class DenseLevel:
    """The last level, solved by its pseudo-inverse (n, n)."""

    inverse: np.ndarray
    entries: int
    order: np.ndarray

    @property
    def size(self) -> int:
        return len(self.inverse)

    def work(self) -> MatrixWork:
        return MatrixWork(*(np.zeros(self.size, np.float32) for _ in range(4)))

    def load(self, r: np.ndarray, w: MatrixWork, factor: float) -> float:
        w.f[:] = factor * r[self.order]
        return float(np.abs(w.f).max(initial=0.0))

    def store(self, w: MatrixWork, z: np.ndarray, factor: float, r: np.ndarray) -> float:
        z[self.order] = factor * w.u.astype(z.dtype)
        return float(np.einsum("i,i->", r, z))

    def solve(self, w: MatrixWork) -> None:
        np.matmul(self.inverse, w.f, out=w.u)


def matrix_level(A: Matrix, P: Matrix, R: Matrix, order: np.ndarray) -> MatrixLevel:
    """The level of A in single precision."""
    from ...kernels import relaxation as kernels

    n, off = A.rows, A.nnz - A.rows
    indptr = A.indptr - np.arange(n + 1, dtype=np.uint32)  # without the diagonal, which every row has
    outer, upper = np.empty(n, np.uint32), np.empty(n, np.uint32)
    indices, values = np.empty(off, np.uint32), np.empty(off, np.float32)
    inverse, extra = np.empty(n, np.float32), np.empty(n, np.float32)
    kernels.split(n, *A[:3], indptr, outer, upper, indices, values, inverse, extra)
    return MatrixLevel(n, A.nnz, (indptr, outer, upper, indices, values), inverse, extra, single(P), single(R), order)


def dense_level(A: Matrix, order: np.ndarray) -> DenseLevel:
    dense = A.scipy().toarray()
    return DenseLevel(inverse_of((dense + dense.T) / 2).astype(np.float32), A.nnz, order)


def inverse_of(A: np.ndarray) -> np.ndarray:
    """The inverse of a symmetric matrix, its pseudo-inverse if it is singular to rounding."""
    try:
        pivots = np.diag(np.linalg.cholesky(A))
        if pivots.min(initial=1.0) > 1e-5 * pivots.max(initial=0.0):
            inverse = np.linalg.inv(A)
            return (inverse + inverse.T) / 2
    except np.linalg.LinAlgError:
        pass  # not definite to rounding: what follows does not ask for it
    return np.linalg.pinv(A, rcond=1e-10, hermitian=True)


def single(A: Matrix) -> Any:
    return A._replace(values=A.values.astype(np.float32))
