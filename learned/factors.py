"""Factors on the pattern of A as preconditioners: (L L^T)^-1 by two triangular sweeps, G G^T + epsilon I by two products."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..solvers import arrays
from ..solvers.preconditioners.coloured_blocks import one_block
from ..solvers.preconditioners.entries import stored_entries
from ..solvers.preconditioners.incomplete import IncompleteFactors, lower_triangle
from ..solvers.preconditioners.sparse_inverse import InverseFactors, index_type
from ..solvers.storage.csr import unsigned
from .graph import Graph, row_numbers, total

EPSILON = 1e-4  # Yang et al., Table 11: 197 to 222 iterations for 3e-5 to 3e-2


@dataclass(frozen=True, slots=True)
class NeumannFactor:
    """The recipe for M = S (G G^T + epsilon I) S, G = I - E/2, where S A S = I + E has a unit diagonal; nothing is trained.

    G is the first two terms of the Neumann (binomial) series of (I + E)^-1/2, so M A ~ I where E is small. On five-point and
    linear finite-element matrices it halves the iterations of Jacobi at about three times the cost of one.

    Parameters
    ----------
    epsilon : float
        Positive: keeps M definite where S A S has the eigenvalue 3, at which G is singular.

    Notes
    -----
    A: stored, NumPy or SciPy (any format); real or complex, Hermitian with a positive diagonal. Applied as two products with
    matrices on the pattern of A, in its precision; memory: two copies of A. Raises ValueError if A is not Hermitian or its
    diagonal not positive, TypeError if its entries are not stored. It is where the network of Yang et al., Learning sparse
    approximate inverse preconditioners for conjugate gradient solvers (NeurIPS 2025), starts from here; that E/2 is a good
    start is our measurement.

    Examples
    --------
    >>> from petrov.learned import NeumannFactor
    >>> from petrov.solvers import Jacobi, cg, problems
    >>> A, b = problems.poisson(64, rhs="random")[:2]
    >>> 0.4 < cg(A, b, M=NeumannFactor()).iterations / cg(A, b, M=Jacobi()).iterations < 0.52
    True
    """

    epsilon: float = EPSILON

    name = "neumann factor"

    def __post_init__(self) -> None:
        check_epsilon(self.epsilon)

    def __call__(self, A: Any) -> SparseProduct:
        csr = stored_entries(A, self.name)
        wide = arrays.WIDE[csr.dtype.name]
        scale = 1.0 / np.sqrt(lower_triangle(csr, wide, self.name)[3])
        rows = row_numbers(csr.indptr)
        E = csr.values * scale[rows] * scale[csr.indices]
        diagonal = np.flatnonzero(rows == csr.indices)
        G = (-0.5 * E).astype(wide, copy=False)
        G[diagonal] = 1.0
        return product_of(G * scale[csr.indices], G * scale[rows], csr, self.epsilon * scale**2, self.name)


def check_epsilon(epsilon: float) -> None:
    if not 0.0 < epsilon < math.inf:
        raise ValueError(f"epsilon must be positive and finite: it keeps M definite; got {epsilon!r}")


def product_of(first: np.ndarray, second: np.ndarray, csr: Any, shift: np.ndarray, name: str) -> SparseProduct:
    """second first + diag(shift), second = first^H, both by rows on the pattern of csr; in its precision."""
    with np.errstate(over="ignore", under="ignore"):
        lower, upper = first.astype(csr.dtype, copy=False), second.astype(csr.dtype, copy=False)
        kept = shift.astype(arrays.REAL[csr.dtype.name])
    if not (np.isfinite(lower).all() and np.isfinite(upper).all() and (kept >= np.finfo(kept.dtype).smallest_normal).all()):
        raise ValueError(
            f"{name} cannot keep its factor in {csr.dtype}: entries up to {np.abs(first).max():.3g}, epsilon / a_ii down to "
            f"{shift.min():.3g}; scale A to a unit diagonal"
        )
    indptr, indices = csr.indptr.astype(index_type(len(csr.indices)), copy=False), unsigned(csr.indices)
    return SparseProduct(InverseFactors((lower, indices, indptr), (upper, indices, indptr), csr.dtype), kept, name)


def sparse_inverse(graph: Graph, diagonal: np.ndarray, off: np.ndarray, epsilon: float, name: str) -> SparseProduct:
    """M = S (G G^T + epsilon I) S with G_ii = diagonal (n,), G_ij = off (m,) on the edges (i, j); SPD for any finite G.

    O(nnz); ValueError if G is not finite or epsilon not positive.
    """
    check_epsilon(epsilon)
    if not (np.isfinite(diagonal).all() and np.isfinite(off).all()):
        raise ValueError(f"{name} needs finite factors; G holds NaN or infinity")
    first, second = np.empty(len(graph.indices)), np.empty(len(graph.indices))
    first[graph.off], second[graph.off] = off[graph.reverse] * graph.scale[graph.columns], off * graph.scale[graph.rows]
    first[graph.diagonal] = second[graph.diagonal] = diagonal * graph.scale
    return product_of(first, second, graph, epsilon * graph.scale**2, name)


@dataclass(frozen=True, slots=True, eq=False)
class SparseProduct:
    """M = B^H B + diag(shift): two products with matrices on the pattern of A."""

    product: InverseFactors
    shift: np.ndarray
    name: str
    linear: bool = True
    spd: bool | None = True

    @property
    def shape(self) -> tuple[int, int]:
        return self.product.shape

    @property
    def dtype(self) -> np.dtype:
        return self.product.dtype

    @property
    def H(self) -> SparseProduct:
        return self

    @property
    def nbytes(self) -> int:
        return self.product.nbytes + self.shift.nbytes

    def __matmul__(self, r: Any) -> np.ndarray:
        r = np.asarray(r)
        return self.product @ r + (self.shift if r.ndim == 1 else self.shift[:, None]) * r

    def apply_dot(self, r: np.ndarray, z: np.ndarray | None = None) -> tuple[np.ndarray, float]:
        """z = M r (written into z if given) and r^T z."""
        z, rz = self.product.apply_dot(r, z)
        added = self.shift * r
        z += added
        return z, rz + float(added @ r)

    def __repr__(self) -> str:
        n, entries = self.shape[0], len(self.product.lower[0])
        return (
            f"{self.name}: {n} x {n}, {entries} entries in G ({entries / max(n, 1):.1f} a row), {self.dtype}, {self.nbytes} bytes"
        )


def bounded_rows(graph: Graph, off: np.ndarray) -> np.ndarray:
    """Entries (m,) on the edges, those of the strict lower triangle shrunk row by row until sum_j |l_ij| <= 1, others zero.

    The rows of a unit lower triangular L so bounded let no substitution grow: |L^-1 r|_i <= |r_i| + max_{j<i} |L^-1 r|_j.
    """
    lower = np.where(graph.rows > graph.columns, off, 0.0)
    return lower / np.maximum(total(np.abs(lower), graph.rows, graph.size), 1.0)[graph.rows]


def triangular(graph: Graph, off: np.ndarray, name: str) -> TriangularFactors:
    """M = (L L^T)^-1, L_ii = sqrt(a_ii), L_ij = sqrt(a_ii) l_ij with l = bounded_rows(off (m,)); SPD for any finite off.

    O(nnz); ValueError if an entry is not finite.
    """
    with np.errstate(invalid="ignore"):  # refused below
        lower = bounded_rows(graph, off)
    return substitutions(graph, lower, name)


def substitutions(graph: Graph, off: np.ndarray, name: str) -> TriangularFactors:
    """The same with rows as they are: l_ij = off on the edges below the diagonal. SPD, however much a substitution may grow.

    Kept as L = L1 D^1/2 with L1 unit lower triangular and D = diag(A), for the sweeps of the incomplete factors.
    """
    from ..solvers.kernels import triangular as kernels

    if not np.isfinite(off).all():
        raise ValueError(f"{name} needs finite factors; L holds NaN or infinity")
    lower = graph.rows > graph.columns
    rows, columns = graph.rows[lower], graph.columns[lower]
    factor = off[lower] * graph.scale[columns] / graph.scale[rows]
    starts = np.zeros(graph.size + 1, np.uint32)
    np.cumsum(np.bincount(rows, minlength=graph.size), out=starts[1:])
    columns = columns.astype(np.uint32)
    seconds = kernels.compile_for(graph.dtype.name, "float64", "uint32", "uint32", threaded=False)
    upper_starts, upper_columns, upper = np.empty_like(starts), np.empty_like(columns), np.empty_like(factor)
    kernels.adjoint(starts, columns, factor, upper_starts, upper_columns, upper)
    factor, upper, inverse = (part.astype(graph.dtype, copy=False) for part in (factor, upper, graph.scale**2))
    block = one_block(graph.size)
    factors = IncompleteFactors(starts, columns, factor, inverse, upper_starts, upper_columns, upper, block, 0.0, 1, seconds)
    return TriangularFactors(factors, name)


@dataclass(frozen=True, slots=True, eq=False)
class TriangularFactors:
    """M = (L L^T)^-1 on the pattern of the lower triangle of A: two triangular sweeps."""

    factors: IncompleteFactors
    name: str
    linear: bool = True
    spd: bool | None = True

    @property
    def shape(self) -> tuple[int, int]:
        return self.factors.shape

    @property
    def dtype(self) -> np.dtype:
        return self.factors.dtype

    @property
    def H(self) -> TriangularFactors:
        return self

    @property
    def nbytes(self) -> int:
        return self.factors.nbytes

    @property
    def compile_seconds(self) -> float:
        """In the set-up."""
        return self.factors.compile_seconds

    def __matmul__(self, r: Any) -> np.ndarray:
        return self.factors @ r

    def __repr__(self) -> str:
        n, entries = self.shape[0], len(self.factors.factor)
        return f"{self.name}: {n} x {n}, {entries} entries below the diagonal, {self.dtype}, {self.nbytes} bytes"
