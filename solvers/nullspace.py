"""Singular systems with a known null space: what is projected, and the operators that do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import arrays
from .arrays import Space
from .direct import factorize
from .operator import largest_entry, name_of, size_of
from .recycling.space import orthonormal as across_ranks


@dataclass(frozen=True, slots=True, eq=False)
class Nullspace:
    """Orthonormal bases (n, d) of the null space N of A and the left null space W of A (N itself if A is symmetric)."""

    right: Any
    left: Any
    space: Space

    def moved(self, move: Callable[[np.ndarray], Any]) -> Nullspace:
        """The same for vectors of a GPU."""
        right = move(self.right)
        return Nullspace(right, right if self.left is self.right else move(self.left), self.space)

    def off_range(self, x: Any) -> Any:
        """P x: x without its part in the left null space."""
        return without(x, self.left, self.space)

    def off_kernel(self, x: Any) -> Any:
        """x without its part in the null space."""
        return without(x, self.right, self.space)


def without(x: Any, Q: Any, space: Space) -> Any:
    """x - Q Q^H x for a few orthonormal columns Q (n, d). Not by BLAS on the host, whose threads wait for a busy core."""
    if not isinstance(x, np.ndarray):
        return x - Q @ (Q.conj().T @ x)
    along = arrays.across(np.einsum("nd,n...->d...", Q.conj(), x), space)
    return x - np.einsum("nd,d...->n...", Q, along)


@dataclass(frozen=True, slots=True, eq=False)
class Projected:
    """P A: products that stay in the range of A in spite of rounding."""

    A: Any
    nullspace: Nullspace

    @property
    def shape(self) -> tuple[int, int]:
        return self.A.shape

    @property
    def dtype(self) -> Any:
        return self.A.dtype

    @property
    def comm(self) -> Any:
        return self.nullspace.space.comm

    @property
    def global_size(self) -> int:
        return size_of(self.A)

    def __matmul__(self, x: Any) -> Any:
        return self.nullspace.off_range(self.A @ x)


@dataclass(frozen=True, slots=True, eq=False)
class ProjectedPreconditioner:
    """Q M P for symmetric and general M: what comes in is projected onto the range, what goes out off the null space."""

    M: Any
    nullspace: Nullspace

    @property
    def shape(self) -> tuple[int, int]:
        return self.M.shape

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
        return self.nullspace.off_kernel(self.M @ self.nullspace.off_range(r))


def basis(nullspace: Any, A: Any, symmetric: bool | None) -> Nullspace:
    """The Nullspace of the argument `nullspace`: 'constant', an array (n,) or (n, d), or a pair (right, left).

    Raises ValueError if A does not map it to zero, or if A is not symmetric and no left null space can be found.
    """
    space = Space(np, "float64", "cpu", None, comm=getattr(A, "comm", None))
    left = None
    if isinstance(nullspace, tuple):
        nullspace, left = nullspace
    right = orthonormal(nullspace, A, "nullspace", space)
    verify(A, right, "nullspace")
    if left is not None:
        left = orthonormal(left, A, "the left null space", space)
        verify(A.tocsr().conj().T if hasattr(A, "tocsr") else np.asarray(A).conj().T, left, "the left null space")
    elif symmetric:
        left = right
    else:
        left = left_kernel(A, right)
    return Nullspace(right, left, space)


def orthonormal(N: Any, A: Any, what: str, space: Space) -> np.ndarray:
    n = A.shape[0]
    if isinstance(N, str):
        if N != "constant":
            raise ValueError(f"{what} must be 'constant', an array ({n},) or ({n}, d), or a pair of them; got {N!r}")
        return np.full((n, 1), 1 / np.sqrt(size_of(A)))
    N = np.asarray(N)
    N = N[:, None] if N.ndim == 1 else N
    if N.ndim != 2 or N.shape[0] != n or not 0 < N.shape[1] < max(n, 2):
        raise ValueError(f"{what} must be 'constant', an array ({n},) or ({n}, d), or a pair of them; got shape {N.shape}")
    if space.comm is not None:
        rows, kept = across_ranks(np.ascontiguousarray(N.T, float), space)
        if len(kept) < N.shape[1]:
            raise ValueError(f"the columns of {what} must be linearly independent and finite; {N.shape[1] - len(kept)} are not")
        return np.ascontiguousarray(rows.T)
    Q, R = np.linalg.qr(N if N.dtype.kind in "fc" else N.astype(float))
    diagonal = np.abs(np.diag(R))
    if not diagonal.min() > 1e-10 * diagonal.max():
        raise ValueError(f"the columns of {what} must be linearly independent and finite; remove column {int(diagonal.argmin())}")
    return Q


def verify(A: Any, N: np.ndarray, what: str) -> None:
    size = largest_entry(A)
    image = np.abs(A @ N).max() / np.abs(N).max()
    if size and not image <= 1e-8 * size:
        raise ValueError(f"{what} is not one of A: max|A N| = {image:.2e} beside max|A| = {size:.2e}; pass a basis with A N = 0")


def bordered(A: Any, border: np.ndarray, right: np.ndarray) -> Any:
    """[[A, B], [N^H, 0]]: regular if A is singular with null space N and B spans a complement of its range."""
    import scipy.sparse as sp

    matrix = A.tocsr() if hasattr(A, "tocsr") else sp.csr_array(A)
    return sp.block_array([[matrix, sp.csr_array(border)], [sp.csr_array(right.conj().T), None]], format="csc")


def left_kernel(A: Any, right: np.ndarray) -> np.ndarray:
    """A basis of the null space of A^H, by one solve with the bordered matrix (whose border is a fixed random one)."""
    from scipy.sparse.linalg import splu

    if not (hasattr(A, "tocsr") or isinstance(A, np.ndarray)):
        raise ValueError("A is not symmetric and its entries are not stored; pass nullspace=(right, left) with both null spaces")
    n, d = right.shape
    border = np.random.default_rng(20_260_101).standard_normal((n, d))
    unit = np.zeros((n + d, d), np.result_type(A.dtype, float))
    unit[n:] = np.eye(d)
    W = splu(bordered(A, border, right)).solve(unit, trans="H")[:n]
    return np.linalg.qr(W)[0]


@dataclass(frozen=True, slots=True, eq=False)
class BorderedFactor:
    """The pseudo-inverse of a singular A with known null spaces, by a factorisation of the bordered matrix."""

    factor: Any
    shape: tuple[int, int]
    dtype: Any
    name: str = "bordered superlu"
    linear: bool = True
    spd: bool | None = None

    def __matmul__(self, r: Any) -> Any:
        extra = self.factor.shape[0] - self.shape[0]
        padded = np.concatenate([r, np.zeros((extra, *r.shape[1:]), r.dtype)])
        return (self.factor @ padded)[: self.shape[0]].astype(r.dtype, copy=False)


def bordered_factor(A: Any, nullspace: Nullspace) -> BorderedFactor:
    """The factorised bordered matrix of A as an operator of A's shape."""
    return BorderedFactor(factorize(bordered(A, nullspace.left, nullspace.right)), tuple(A.shape), A.dtype)
