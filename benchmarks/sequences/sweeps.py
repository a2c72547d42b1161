"""Two classical preconditioners that PETSc has and petrov has not, for a comparison with a paper: SSOR and ILU(0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True, slots=True, eq=False)
class Triangles:
    """M = (L U)^-1 for a unit lower and an upper triangle in one CSR matrix with sorted indices; `places` are its diagonal's."""

    name: str
    values: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    places: np.ndarray
    spd: bool | None = None
    linear: bool = True

    @property
    def shape(self) -> tuple[int, int]:
        return (len(self.places), len(self.places))

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        z = r.astype(float)
        substitute(self.values, self.indices, self.indptr, self.places, z)
        return z


def ssor(A: Any) -> Triangles:
    """(D + L) D^-1 (D + U): one symmetric Gauss-Seidel sweep."""
    A = csr(A)
    values = A.data.copy()
    row = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    lower = A.indices < row
    values[lower] /= A.diagonal()[A.indices[lower]]
    return Triangles("ssor", values, A.indices, A.indptr, diagonal_places(A))


def ilu0(A: Any) -> Triangles:
    """The incomplete factorisation with the entries of A and no others (Saad, Iterative Methods, Algorithm 10.4)."""
    A = csr(A)
    values, places = A.data.copy(), diagonal_places(A)
    factorise(values, A.indices, A.indptr, places)
    return Triangles("ilu(0)", values, A.indices, A.indptr, places)


def csr(A: Any) -> sp.csr_array:
    A = sp.csr_array(A.tocsr() if hasattr(A, "tocsr") else A)
    A.sort_indices()
    return A


def diagonal_places(A: sp.csr_array) -> np.ndarray:
    row = np.repeat(np.arange(A.shape[0]), np.diff(A.indptr))
    return np.flatnonzero(A.indices == row)


@numba.njit(cache=True)
def factorise(values, indices, indptr, places):
    position = np.full(len(places), -1)
    for i in range(len(places)):
        for entry in range(indptr[i], indptr[i + 1]):
            position[indices[entry]] = entry
        for entry in range(indptr[i], places[i]):
            k = indices[entry]
            values[entry] /= values[places[k]]
            for other in range(places[k] + 1, indptr[k + 1]):
                at = position[indices[other]]
                if at >= 0:
                    values[at] -= values[entry] * values[other]
        for entry in range(indptr[i], indptr[i + 1]):
            position[indices[entry]] = -1


@numba.njit(cache=True)
def substitute(values, indices, indptr, places, z):
    """z = U^-1 L^-1 z."""
    for i in range(len(z)):
        total = z[i]
        for entry in range(indptr[i], places[i]):
            total -= values[entry] * z[indices[entry]]
        z[i] = total
    for i in range(len(z) - 1, -1, -1):
        total = z[i]
        for entry in range(places[i] + 1, indptr[i + 1]):
            total -= values[entry] * z[indices[entry]]
        z[i] = total / values[places[i]]


# -- As PETSc shares a matrix out among ranks ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """Restricted additive Schwarz: r on overlapping pieces, each solved for by its own factors, each row taken from its owner."""

    factors: Triangles
    rows: np.ndarray
    owned: np.ndarray
    shape: tuple[int, int]
    name: str = "asm"
    spd: bool | None = None
    linear: bool = True

    @property
    def dtype(self) -> Any:
        return self.factors.dtype

    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        z = np.empty(len(r))
        z[self.rows[self.owned]] = (self.factors @ r[self.rows])[self.owned]
        return z


def local_ssor(A: Any, ranks: int = 72) -> Triangles:
    """`ssor` of what A couples within each of the ranks' rows."""
    A = csr(A).tocoo()
    owner = np.arange(A.shape[0]) * ranks // A.shape[0]
    own = owner[A.row] == owner[A.col]
    return ssor(sp.csr_array((A.data[own], (A.row[own], A.col[own])), shape=A.shape))


def asm(A: Any, ranks: int = 72) -> Shared:
    """Rows of each rank and their neighbours, ILU(0) in each piece."""
    A, n = csr(A), A.shape[0]
    pieces, owned = [], []
    for own in np.array_split(np.arange(n), ranks):
        rows = np.unique(A[own].indices)
        pieces.append(rows)
        owned.append(np.isin(rows, own))
    blocks = sp.block_diag([A[rows][:, rows] for rows in pieces], format="csr")
    return Shared(ilu0(blocks), np.concatenate(pieces), np.concatenate(owned), (n, n))
