"""Diagonal sweeps bounded by l1 row sums: a polynomial in A that is positive definite without an estimate of an eigenvalue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..solvers import arrays
from ..solvers.preconditioners.entries import stored_entries
from ..solvers.preconditioners.incomplete import lower_triangle
from ..solvers.storage import CSR
from .graph import row_numbers


@dataclass(frozen=True, slots=True)
class DiagonalSweeps:
    """The recipe for M of the sweeps z <- z + s_k (D l)^-1 (r - A z) from z = 0, k = 1, ..., K.

    D = diag(A), l_i = sum_j |a_ij| / sqrt(a_ii a_jj). By Gershgorin no eigenvalue of (D l)^-1 A exceeds 1, so 0 < s_k < 2 makes
    every sweep a contraction in the norm of A. M is a polynomial in one matrix, so it is Hermitian whatever the order of the
    s_k, and it is positive definite: I - M A is the product of the contractions.

    Parameters
    ----------
    weights : tuple of floats
        s_1, ..., s_K, each in (0, 2).

    Notes
    -----
    A: stored, NumPy or SciPy (any format); real or complex, Hermitian with a positive diagonal. K - 1 products with A an
    application; memory: a vector beside A, which is kept. Raises ValueError if A is not Hermitian or its diagonal not positive,
    TypeError if its entries are not stored. Baker, Falgout, Kolev and Yang, SIAM J. Sci. Comput. 33 (2011) (l1-Jacobi), here of
    A scaled to a unit diagonal.

    Examples
    --------
    >>> from petrov.learned import DiagonalSweeps
    >>> from petrov.solvers import cg, problems
    >>> A, b = problems.poisson(32, rhs="random")[:2]
    >>> cg(A, b, M=DiagonalSweeps()).iterations < 0.7 * cg(A, b).iterations
    True
    """

    weights: tuple[float, ...] = (1.5, 1.9)

    name = "diagonal sweeps"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(float(s) for s in self.weights))
        if not self.weights or not all(0.0 < s < 2.0 for s in self.weights):
            raise ValueError(f"weights must be one or more numbers between 0 and 2; got {self.weights!r}")

    def __call__(self, A: Any) -> Sweeps:
        csr = stored_entries(A, self.name)
        d = lower_triangle(csr, arrays.WIDE[csr.dtype.name], self.name)[3]
        inverse = 1.0 / (d * row_sums(csr, 1.0 / np.sqrt(d)))
        return Sweeps(csr, inverse.astype(arrays.REAL[csr.dtype.name]), self.weights)


def row_sums(csr: CSR, scale: np.ndarray) -> np.ndarray:
    """l_i = sum_j |a_ij| scale_i scale_j (n,), at least 1 where the diagonal of the scaled matrix is 1."""
    rows = row_numbers(csr.indptr)
    return np.bincount(rows, np.abs(csr.values) * scale[rows] * scale[csr.indices], minlength=csr.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Sweeps:
    """The sweeps z <- z + s inverse (r - A z), one for each of `weights`, from z = 0."""

    A: CSR
    inverse: np.ndarray
    weights: tuple[float, ...]
    linear: bool = True
    spd: bool | None = True

    name = "diagonal sweeps"

    @property
    def shape(self) -> tuple[int, int]:
        return self.A.shape

    @property
    def dtype(self) -> np.dtype:
        return self.A.dtype

    @property
    def H(self) -> Sweeps:
        return self

    @property
    def nbytes(self) -> int:
        return self.inverse.nbytes

    def __matmul__(self, r: Any) -> np.ndarray:
        r = np.asarray(r)
        inverse = self.inverse if r.ndim == 1 else self.inverse[:, None]
        first, *others = (np.float32(s) if self.inverse.dtype == np.float32 else s for s in self.weights)
        z = first * inverse * r
        for s in others:
            z = z + s * inverse * (r - self.A @ z)
        return z

    def __repr__(self) -> str:
        return f"{self.name}: {self.shape[0]} x {self.shape[1]}, {len(self.weights)} sweeps, {self.dtype}, {self.nbytes} bytes"
