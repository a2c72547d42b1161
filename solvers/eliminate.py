"""Rows that fix one unknown (Dirichlet conditions enforced without their columns), eliminated exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .operator import name_of
from .storage.csr import CSR, view


@dataclass(frozen=True, slots=True, eq=False)
class Elimination:
    """A x = b as x_D = b_D / a_DD and A_II x_I = b_I - A_ID x_D.

    `fixed` D and `free` I are index arrays; `interior` is A_II, `coupling` A_ID, `pivots` a_DD.
    """

    fixed: np.ndarray
    free: np.ndarray
    pivots: np.ndarray
    interior: Any
    coupling: Any

    def reduce(self, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(x_D, right-hand side of the interior)."""
        pivots = self.pivots if b.ndim == 1 else self.pivots[:, None]
        with np.errstate(over="ignore", invalid="ignore"):  # a b that is not finite, or a quotient: the residual says it
            known = b[self.fixed] / pivots
        return known, b[self.free] - self.coupling @ known

    def expand(self, known: np.ndarray, interior: np.ndarray) -> np.ndarray:
        """x from its two parts."""
        shape = (len(self.fixed) + len(self.free), *interior.shape[1:])
        x = np.empty(shape, np.result_type(known, interior))
        x[self.fixed], x[self.free] = known, interior
        return x


def eliminate(A: Any) -> Elimination | None:
    """The elimination of every row of a CSR matrix whose only nonzero is on the diagonal; None if there is none."""
    if not isinstance(A, CSR) or A.nnz == 0:
        return None
    matrix = A.tocsr()
    rows = np.repeat(np.arange(A.shape[0]), np.diff(matrix.indptr))
    nonzero = A.values != 0
    count = np.bincount(rows[nonzero], minlength=A.shape[0])
    diagonal = matrix.diagonal()
    single = (count == 1) & (diagonal != 0)
    if not single.any():
        return None
    fixed, free = np.flatnonzero(single), np.flatnonzero(~single)
    rest = matrix[free]
    return Elimination(fixed, free, diagonal[fixed], view(rest[:, free].tocsr()), rest[:, fixed].tocsr())


@dataclass(frozen=True, slots=True, eq=False)
class Restricted:
    """The free rows and columns of an applied M that was made for the whole A."""

    M: Any
    free: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return (len(self.free), len(self.free))

    @property
    def dtype(self) -> Any:
        return self.M.dtype

    @property
    def name(self) -> str:
        return name_of(self.M)

    @property
    def linear(self) -> bool:
        return getattr(self.M, "linear", True)

    @property
    def spd(self) -> bool | None:
        return getattr(self.M, "spd", None)

    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        whole = np.zeros((self.M.shape[1], *r.shape[1:]), r.dtype)
        whole[self.free] = r
        return np.asarray(self.M @ whole)[self.free]
