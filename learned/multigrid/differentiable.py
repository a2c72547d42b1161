"""The V-cycle in torch, for gradients by the weights: O(nnz) like the compiled one, in double precision.

Patterns (aggregates, products) are found in NumPy and hold no gradient; the values on them do. What the networks read of a coarse
level is taken as given there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from ...solvers.preconditioners.multigrid.matrices import Matrix, offsets
from .coarsening import facts_of, features_of, sparsity_of
from .module import Ladder


@dataclass(frozen=True, eq=False)
class Sparse:
    """A matrix by rows, columns rising; rows and columns of the entries are int64, values (nnz,) a tensor."""

    rows: np.ndarray
    columns: np.ndarray
    shape: tuple[int, int]
    values: Tensor

    @cached_property
    def indptr(self) -> np.ndarray:
        return offsets(np.bincount(self.rows, minlength=self.shape[0]))

    @cached_property
    def indices(self) -> np.ndarray:
        return self.columns.astype(np.uint32)

    @cached_property
    def numbers(self) -> np.ndarray:
        return np.asarray(self.values.detach().numpy())

    @cached_property
    def scipy(self) -> Any:
        return csr_array((self.numbers, self.columns, self.indptr.astype(np.int64)), shape=self.shape)

    @property
    def matrix(self) -> Matrix:
        return Matrix(self.indptr, self.indices, self.numbers, self.shape[1])

    def __matmul__(self, x: Tensor) -> Tensor:
        return _Product.apply(self.values, x, self)

    def times(self, other: Sparse) -> Sparse:
        """The product with another."""
        lengths = np.diff(other.indptr.astype(np.int64))[self.columns]
        first = np.repeat(np.arange(len(self.rows)), lengths)
        second = np.arange(len(first)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        second += other.indptr.astype(np.int64)[self.columns][first]
        values = self.values[first] * other.values[second]
        return gathered(self.rows[first], other.columns[second], (self.shape[0], other.shape[1]), values)

    @property
    def T(self) -> Sparse:
        order = np.lexsort((self.rows, self.columns))
        return Sparse(self.columns[order], self.rows[order], self.shape[::-1], self.values[order])


def gathered(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], values: Tensor) -> Sparse:
    """The matrix with these entries, those of one place added."""
    keys, slots = np.unique(rows * shape[1] + columns, return_inverse=True)
    summed = values.new_zeros(len(keys)).index_add(0, torch.from_numpy(slots), values)
    return Sparse(keys // shape[1], keys % shape[1], shape, summed)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, x: Tensor, A: Sparse) -> Tensor:
        ctx.A, ctx.x = A, x.detach().numpy()
        return torch.from_numpy(A.scipy @ ctx.x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        g = grads[0].contiguous().numpy()
        by_values = outer(ctx.A, g, ctx.x, 0) if ctx.needs_input_grad[0] else None
        return by_values, torch.from_numpy(ctx.A.scipy.T @ g), None


class _Sweep(torch.autograd.Function):
    """(D + lower) u = f for side -1, (D + upper) u = f for side 1, of a symmetric A."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, diagonal: Tensor, f: Tensor, A: Sparse, side: int) -> Tensor:
        ctx.A, ctx.side, ctx.D = A, side, diagonal.detach().numpy()
        ctx.u = solved(A, ctx.D, f.detach().contiguous().numpy(), side)
        return torch.from_numpy(ctx.u)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        w = solved(ctx.A, ctx.D, grads[0].contiguous().numpy(), -ctx.side)
        return -outer(ctx.A, w, ctx.u, ctx.side), torch.from_numpy(-(w * ctx.u).sum(axis=1)), torch.from_numpy(w), None, None


def solved(A: Sparse, diagonal: np.ndarray, f: np.ndarray, side: int) -> np.ndarray:
    from . import compiled

    u = f.copy()
    (compiled.lower_solve if side < 0 else compiled.upper_solve)(A.indptr, A.indices, A.numbers, diagonal, f, u)
    return u


def outer(A: Sparse, x: np.ndarray, y: np.ndarray, side: int) -> Tensor:
    from . import compiled

    values = np.empty(len(A.rows))
    compiled.outer(A.indptr, A.indices, x, y, side, values)
    return torch.from_numpy(values)


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """A, D of the sweeps, P = sqrt(correction) (I - W A_F) T and its transpose."""

    A: Sparse
    D: Tensor
    P: Sparse
    R: Sparse


@dataclass(frozen=True, slots=True, eq=False)
class Cycle:
    """R -> M R for columns, as the compiled V-cycle computes it.

    complexity: entries of all levels over those of the finest.
    """

    levels: list[Level]
    last: Tensor
    complexity: float

    def A(self, X: Tensor) -> Tensor:
        return self.levels[0].A @ X

    def __call__(self, R: Tensor, k: int = 0) -> Tensor:
        if k == len(self.levels):
            return self.last @ R
        level = self.levels[k]
        U = _Sweep.apply(level.A.values, level.D, R, level.A, -1)
        U = U + level.P @ self(level.R @ (R - level.A @ U), k + 1)
        return U + _Sweep.apply(level.A.values, level.D, R - level.A @ U, level.A, 1)


def cycle(A: Sparse, module: Ladder, coarsest: int) -> Cycle:
    """The cycle that a module makes of A, whose last level has at most `coarsest` unknowns."""
    levels: list[Level] = []
    root, entries, fine, sparsity = module.values()["correction"].sqrt(), 0, len(A.rows), sparsity_of(A.matrix)
    while A.shape[0] > coarsest and (step := coarsened(A, module, sparsity)) is not None:
        D, P, R, coarse = step
        levels.append(Level(A, D, scaled(P, root), scaled(R, root)))
        entries += len(A.rows)
        A = coarse
    dense = A.values.new_zeros(A.shape).index_put((torch.from_numpy(A.rows), torch.from_numpy(A.columns)), A.values)
    ridge = 1e-12 * dense.diagonal().detach().mean() * torch.eye(len(dense), dtype=dense.dtype)
    last = torch.cholesky_inverse(torch.linalg.cholesky((dense + dense.T) / 2 + ridge))
    return Cycle(levels, last, (entries + len(A.rows)) / fine)


def scaled(P: Sparse, factor: Tensor) -> Sparse:
    return Sparse(P.rows, P.columns, P.shape, factor * P.values)


def coarsened(A: Sparse, module: Ladder, sparsity: float) -> tuple[Tensor, Sparse, Sparse, Sparse] | None:
    """(D, P, R, R A P), or None if nothing is gathered."""
    from ...solvers.kernels import aggregation
    from . import compiled

    n = A.shape[0]
    at = features_of(A.matrix, facts_of(A.matrix, sparsity)[0])
    features, table, i = torch.from_numpy(at.features), torch.from_numpy(at.table), torch.from_numpy(at.rows)
    heard = module.heard(features, i, torch.from_numpy(at.degrees))
    strength, near, far = module.of_edges(features, heard[at.rows], heard[at.columns])
    strong = np.ones(len(A.rows), np.uint8)
    strong[at.off] = (strength.detach().numpy() > 0) | (at.features[:, 0] > compiled.LARGEST)
    home = np.empty(n, np.int32)
    count = int(aggregation.aggregate(A.indptr, A.indices, A.numbers, strong, home))
    if count == 0 or count >= 0.9 * n:
        return None
    damping, relaxation = module.of_rows(table, heard)
    gate = torch.where(torch.from_numpy(home[at.rows] == home[at.columns]), near, far)
    d = A.values[np.flatnonzero(A.rows == A.columns)]
    P = prolongation(A, d, at, gate, damping, home, count)
    R = P.T
    return d / relaxation, P, R, regular(R.times(A.times(P)))


def prolongation(A: Sparse, d: Tensor, at: Any, gate: Tensor, damping: Tensor, home: np.ndarray, count: int) -> Sparse:
    """(I - W A_F) T as `compiled.prolong` has it."""
    from . import compiled

    i, a = torch.from_numpy(at.rows), A.values[at.off]
    lumped, size = d.index_add(0, i, (1 - gate) * a), torch.zeros_like(d).index_add(0, i, gate * a.abs())
    weight = damping / torch.maximum(lumped.abs() + size, compiled.LEAST * d.detach())
    own, kept = np.flatnonzero(home >= 0), np.flatnonzero((gate.detach().numpy() > 0) & (home[at.columns] >= 0))
    rows, columns = np.concatenate([own, at.rows[kept]]), np.concatenate([home[own], home[at.columns[kept]]])
    values = torch.cat([(1 - weight * lumped)[own], (-weight[i] * gate * a)[kept]])
    return gathered(rows, columns, (len(d), count), values)


def regular(A: Sparse) -> Sparse:
    """A with 1 on the diagonal of rows that no entry of P reaches."""
    zero = (A.rows == A.columns) & (A.numbers == 0)
    return A if not zero.any() else Sparse(A.rows, A.columns, A.shape, A.values + torch.from_numpy(zero.astype(float)))
