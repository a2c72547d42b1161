"""Losses of factors in torch: how far M is from A^-1, seen in ways that differ in what they weigh.

All of A scaled to a unit diagonal. Vectors are columns: X (n, k). Sums over edges run in one order: the same bits every time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .graph import Graph

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A graph in torch: features, edge (rows[k], columns[k]) with the entry values[k] of S A S, reverse[k] the edge back."""

    size: int
    rows: Tensor
    columns: Tensor
    reverse: Tensor
    values: Tensor
    nodes: Tensor
    edges: Tensor

    @property
    def edge_index(self) -> Tensor:
        """(2, m): sources and targets, as PyG has them."""
        return torch.stack([self.columns, self.rows])

    def A(self, X: Tensor) -> Tensor:
        """S A S X."""
        return X + spread(self.values, self.rows, self.columns, X)

    def dense(self, diagonal: Tensor, off: Tensor) -> Tensor:
        """The matrix (n, n) with these entries on the diagonal and on the edges."""
        return torch.diag(diagonal).index_put((self.rows, self.columns), off)


def sample(known: Graph, device: str = "cpu") -> Sample:
    def tensor(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(device)

    ints, floats = (known.rows, known.columns, known.reverse), (known.values, known.nodes, known.edges)
    return Sample(known.size, *(tensor(part.astype(np.int64)) for part in ints), *(tensor(part) for part in floats))


def spread(values: Tensor, rows: Tensor, columns: Tensor, X: Tensor) -> Tensor:
    """Y_i = sum over the edges (i, j) of value X_j. O(m k)."""
    return torch.zeros_like(X).index_add(0, rows, values[:, None] * X[columns])


def inverse_product(at: Sample, diagonal: Tensor, off: Tensor, epsilon: float) -> Product:
    """R -> (G G^T + epsilon I) R, G with these entries on the diagonal (n,) and on the edges (m,)."""

    def product(R: Tensor) -> Tensor:
        back = diagonal[:, None] * R + spread(off, at.columns, at.rows, R)
        return diagonal[:, None] * back + spread(off, at.rows, at.columns, back) + epsilon * R

    return product


def triangular_product(at: Sample, lower: Tensor) -> Product:
    """R -> (L L^T)^-1 R, L with a unit diagonal and `lower` on the edges. Dense: O(n^2 k)."""
    L = at.dense(lower.new_ones(at.size), lower)

    def product(R: Tensor) -> Tensor:
        forward = torch.linalg.solve_triangular(L, R, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(L.T, forward, upper=True, unitriangular=True)

    return product


def bounded_lower(at: Sample, edges: Tensor, start: Tensor | float = 0.0) -> Tensor:
    """start + the edges averaged over both directions, above the diagonal zero, rows shrunk until sum_j |l_ij| <= 1."""
    lower = torch.where(at.rows > at.columns, 0.5 * (edges + edges[at.reverse]) + start, 0.0)
    size = lower.new_zeros(at.size).index_add(0, at.rows, lower.abs())
    return lower / size.clamp(min=1.0)[at.rows]


def data_weighted(at: Sample, lower: Tensor, X: Tensor, B: Tensor) -> Tensor:
    """Mean over the columns of |L L^T x - b|^2 / |b|^2, where S A S x = b and L has a unit diagonal and `lower` on the edges.

    It is |(L L^T A^-1 - I) b|^2 / |b|^2: what matters is where the b of a family are. Li et al. (ICML 2023), eq. (11).
    """
    Y = X + spread(lower, at.columns, at.rows, X)
    Y = Y + spread(lower, at.rows, at.columns, Y)
    return ((Y - B).square().sum(0) / B.square().sum(0)).mean()


def prediction(X_predicted: Tensor, X: Tensor) -> Tensor:
    """Mean over the columns of |x_predicted - x|^2 / |x|^2."""
    return ((X_predicted - X).square().sum(0) / X.square().sum(0)).mean()


def sai(at: Sample, M: Product, W: Tensor) -> Tensor:
    """Mean over the columns of |A M w - w|^2 / |w|^2: an estimate of |A M - I|_F^2 / n for normal W.

    Yang et al. (NeurIPS 2025) divide A by the mean of its entries; here its diagonal is one. Weighs the largest eigenvalues.
    """
    return ((at.A(M(W)) - W).square().sum(0) / W.square().sum(0)).mean()


def unrolled_cg(at: Sample, M: Product, X: Tensor, steps: int) -> Tensor:
    """Mean over the columns of log(|x - x_K|_A / |x|_A) / K after K steps of preconditioned cg for b = A x from zero.

    The logarithm of the error's reduction a step, which is what an iteration count measures; M is not in the norm.
    """
    E, R = X, at.A(X)
    Z = M(R)
    P, rz = Z, (R * Z).sum(0)
    for step in range(steps):
        Q = at.A(P)
        alpha = rz / (P * Q).sum(0)
        E, R = E - alpha * P, R - alpha * Q
        if step + 1 < steps:
            Z = M(R)
            new = (R * Z).sum(0)
            P, rz = Z + new / rz * P, new
    before, after = (X * at.A(X)).sum(0), (E * at.A(E)).sum(0)
    return (torch.log(after / before) / (2 * steps)).mean()


def kaporin(at: Sample, diagonal: Tensor, off: Tensor, epsilon: float) -> Tensor:
    """log(tr(M A) / n) - log det(M A) / n, at least 0, and 0 where M A is a multiple of I; M = G G^T + epsilon I.

    The logarithm of Kaporin's condition number K(M A)^(1/n); it bounds the iterations of cg (Kaporin, Numer. Linear Algebra Appl.
    1 (1994)). Dense: O(n^3), for n up to a thousand.
    """
    G = at.dense(diagonal, off)
    A = at.dense(torch.ones_like(diagonal), at.values)
    M = G @ G.T + epsilon * torch.eye(at.size, dtype=G.dtype, device=G.device)
    logarithm = torch.linalg.slogdet(M).logabsdet + torch.linalg.slogdet(A).logabsdet
    return torch.log((M * A).sum() / at.size) - logarithm / at.size
