"""Rows that fix one unknown (Dirichlet conditions enforced without their columns), eliminated exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import arrays
from .operator import name_of
from .recognise import COMPILED_FROM
from .storage import Stored, canonical, compact, resident
from .storage.csr import unsigned


@dataclass(frozen=True, slots=True, eq=False)
class Elimination:
    """A x = b as x_D = b_D / a_DD and A_II x_I = b_I - A_ID x_D.

    `fixed` D and `free` I are index arrays; `interior` is A_II, `coupling` A_ID, `pivots` a_DD.
    """

    fixed: Any
    free: Any
    pivots: Any
    interior: Any
    coupling: Any

    def reduce(self, b: Any) -> tuple[Any, Any]:
        """(x_D, right-hand side of the interior)."""
        pivots = self.pivots if b.ndim == 1 else self.pivots[:, None]
        with np.errstate(over="ignore", invalid="ignore"):  # a b that is not finite, or a quotient: the residual says it
            known = b[self.fixed] / pivots
        return known, b[self.free] - self.coupling @ known

    def expand(self, known: Any, interior: Any) -> Any:
        """x from its two parts."""
        shape = (len(self.fixed) + len(self.free), *interior.shape[1:])
        x = arrays.namespace(interior).empty(shape, dtype=np.result_type(known.dtype, interior.dtype))  # type: ignore[union-attr]
        x[self.fixed], x[self.free] = known, interior
        return x

    def moved(self, move: Callable[[np.ndarray], Any]) -> Elimination:
        """The same for vectors of a GPU."""
        fixed, free, pivots = map(move, (self.fixed, self.free, self.pivots))
        return Elimination(fixed, free, pivots, None, resident(canonical(self.coupling), move))


def eliminate(A: Any) -> Elimination | None:
    """The elimination of every row of a CSR matrix whose only nonzero is on the diagonal; None if there is none."""
    if not isinstance(A, Stored) or A.nnz == 0:
        return None
    matrix = A.tocsr()
    single = alone(matrix)
    if not single.any():
        return None
    diagonal = matrix.diagonal()
    fixed, free = np.flatnonzero(single), np.flatnonzero(~single)
    rest = matrix[free]
    return Elimination(fixed, free, diagonal[fixed], compact(rest[:, free].tocsr()), rest[:, fixed].tocsr())


def alone(matrix: Any) -> np.ndarray:
    """Whether the diagonal holds the only nonzero of a row, (n,) of bool."""
    n = matrix.shape[0]
    single = np.zeros(n, bool)
    if n >= COMPILED_FROM:
        from .kernels import facts

        facts.alone(n, unsigned(matrix.indptr), unsigned(matrix.indices), matrix.data, single)
        return single
    rows = np.repeat(np.arange(n), np.diff(matrix.indptr))
    count = np.bincount(rows[matrix.data != 0], minlength=n)
    np.logical_and(count == 1, matrix.diagonal() != 0, out=single)
    return single


@dataclass(frozen=True, slots=True, eq=False)
class Restricted:
    """The free rows and columns of an applied M that was made for the whole A."""

    M: Any
    free: Any

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

    def __matmul__(self, r: Any) -> Any:
        whole = arrays.namespace(r).zeros((self.M.shape[1], *r.shape[1:]), dtype=r.dtype)  # type: ignore[union-attr]
        whole[self.free] = r
        z = self.M @ whole
        return (np.asarray(z) if isinstance(r, np.ndarray) else z)[self.free]


@dataclass(frozen=True, slots=True, eq=False)
class Extended:
    """An M of the free rows as one of the whole A: rows that fix one unknown are divided by their pivot."""

    M: Any
    elimination: Elimination

    @property
    def shape(self) -> tuple[int, int]:
        n = len(self.elimination.free) + len(self.elimination.fixed)
        return (n, n)

    @property
    def dtype(self) -> Any:
        return self.M.dtype

    def __matmul__(self, r: np.ndarray) -> np.ndarray:
        known, inner = self.elimination.reduce(r)
        return self.elimination.expand(known, np.asarray(self.M @ inner))
