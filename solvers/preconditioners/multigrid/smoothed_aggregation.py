"""Algebraic multigrid by smoothed aggregation, from the matrix alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...storage import Resident
from ..entries import symmetric_entries
from .aggregate_level import dense_level, matrix_level
from .aggregates import Aggregation, coarsen, galerkin
from .cycle import Kind
from .hierarchy import Hierarchy, compiled
from .matrices import Matrix, matrix
from .on_gpu import HierarchyOnGPU

FAR = 0.25  # the part of the entries outside their chunk of rows from which the unknowns are put in another order
COARSEST, ON_GPU = 100, 512  # unknowns up to which a level is solved by its dense inverse, by default
DENSE_LIMIT = 4_000  # unknowns up to which a level that cannot be gathered is solved by its dense inverse


@dataclass(frozen=True, slots=True, eq=False)
class SmoothedAggregation:
    """The recipe for algebraic multigrid: aggregates of strongly coupled unknowns, a smoothed prolongator, Galerkin products.

    For a real symmetric positive (semi)definite A whose entries are stored, of any origin.

    Parameters
    ----------
    near_nullspace : (n, k) array, optional
        Vectors that A nearly annihilates, which coarse levels must represent: the constant by default; rigid-body modes for
        elasticity. `bind(near_nullspace=B)` sets it too, as `petrov.solve(..., near_nullspace=B)` does.
    block : int, optional
        Unknowns of one node, which follow each other and are aggregated together; by default told from the zeros of
        near_nullspace, else 1.
    strength : float
        i and j are strongly coupled if |a_ij| > strength sqrt(a_ii a_jj); halved from level to level. 0 for block > 1.
    cycle : 'V', 'W', 'F' or 'K', optional
        By default V, and W where near_nullspace has several vectors: a V-cycle then needs more iterations on finer meshes.
    coarsest : int, optional
        Unknowns up to which a level is solved by its dense (pseudo-)inverse: 100, or 512 on a GPU, where such a product takes
        less time than the start of the kernels of one more level.

    Notes
    -----
    The set-up is in double precision, the cycle in single: Gauss-Seidel within chunks of 8192 rows, Jacobi between them, forward
    before and backward after the correction, which makes M symmetric positive definite (V and W). Unknowns are put in reverse
    Cuthill-McKee order where their own scatters neighbours. Memory: about 3 times that of A's own arrays while set up, 1.5 times
    in use, as much again kept for `update`. M.update(A2) keeps order, aggregates, strength and every pattern. Raises ValueError
    for a matrix that is not symmetric or whose diagonal is not positive, TypeError if it is complex or its entries are not
    stored. For a matrix on a GPU the levels are set up on the host and moved; there, V and W alone, two steps of Chebyshev take
    the place of a sweep of Gauss-Seidel (aggregates_on_gpu.py). Vanek, Mandel and Brezina, Computing 56 (1996).

    Examples
    --------
    >>> from petrov.solvers import cg, problems, SmoothedAggregation
    >>> A, b = problems.poisson(64, rhs="random")[:2]
    >>> M = SmoothedAggregation()(A)
    >>> cg(A, b, M=M).iterations < 20
    True
    """

    near_nullspace: Any = None
    block: int | None = None
    strength: float = 0.04
    cycle: Kind | None = None
    coarsest: int | None = None

    name = "algebraic multigrid"
    on_device = True

    def __post_init__(self) -> None:
        if self.cycle not in (None, "V", "W", "F", "K"):
            raise ValueError(f"cycle must be 'V', 'W', 'F' or 'K'; got {self.cycle!r}")
        if not 0.0 <= self.strength < 1.0:
            raise ValueError(f"strength must be at least 0 and less than 1; got {self.strength!r}")
        if self.block is not None and (self.block != int(self.block) or self.block < 1):
            raise ValueError(f"block must be a positive integer; got {self.block!r}")
        if self.coarsest is not None and (self.coarsest != int(self.coarsest) or self.coarsest < 1):
            raise ValueError(f"coarsest must be a positive integer; got {self.coarsest!r}")

    def bind(self, *, near_nullspace: Any = None, **_: Any) -> SmoothedAggregation:
        """The recipe with a near null space that is known."""
        return self if near_nullspace is None else replace(self, near_nullspace=near_nullspace)

    def __call__(self, A: Any) -> Hierarchy | HierarchyOnGPU:
        if isinstance(A, Resident):
            made: Any = replace(self, coarsest=self.coarsest or ON_GPU)(A.on_host)
            return made.moved(A.move)
        original = symmetric_entries(A, "SmoothedAggregation").tocsr()
        B = candidates(self.near_nullspace, original.shape[0])
        block = block_of(B, original.shape[0]) if self.block is None else int(self.block)
        if original.shape[0] % block:
            raise ValueError(f"block = {block} must divide the number of unknowns; A has shape {original.shape}")
        order = ordering(original) if block == 1 else np.arange(original.shape[0], dtype=np.uint32)
        cycle = self.cycle or ("V" if B.shape[1] == 1 else "W")
        recipe = replace(self, cycle=cycle, coarsest=self.coarsest or COARSEST)
        return hierarchy(recipe, original, order, B[order], block)


def hierarchy(recipe: SmoothedAggregation, original: Any, order: np.ndarray, B: np.ndarray, block: int) -> Hierarchy:
    """Coarsen until the level is small or cannot be gathered any more."""
    scale = power_of_two(original)
    A = permuted(original, order, scale)
    levels: list[Any] = []
    known: list[Aggregation] = []
    strength = recipe.strength if block == 1 and B.shape[1] == 1 else 0.0
    while A.rows > (recipe.coarsest or COARSEST) and (step := coarsen(A, B, block, strength)) is not None:
        aggregation, P, R, coarse, B = step
        known.append(aggregation)
        levels.append(matrix_level(A, P, R, order if not levels else order[:0]))
        A, block, strength = coarse, B.shape[1], strength / 2
    levels.append(last_level(A, order if not levels else order[:0]))
    return assembled(recipe, original, tuple(levels), scale, order, known)


def updated(recipe: SmoothedAggregation, original: Any, order: np.ndarray, known: list[Aggregation]) -> Hierarchy:
    """The same with everything that depends on the pattern alone known."""
    scale = power_of_two(original)
    A = permuted(original, order, scale)
    levels: list[Any] = []
    for aggregation in known:
        P, R, coarse = galerkin(aggregation, A)
        levels.append(matrix_level(A, P, R, order if not levels else order[:0]))
        A = coarse
    levels.append(last_level(A, order if not levels else order[:0]))
    return assembled(recipe, original, tuple(levels), scale, order, known)


def assembled(
    recipe: SmoothedAggregation, original: Any, levels: tuple[Any, ...], scale: float, order: np.ndarray, known: list[Aggregation]
) -> Hierarchy:
    renew = Renewal(recipe, original.indptr, original.indices, order, known)
    return compiled(Hierarchy(levels, original.shape, original.dtype, recipe.name, recipe.cycle or "V", scale, renew))


@dataclass(frozen=True, slots=True, eq=False)
class Renewal:
    """The hierarchy of another matrix with the pattern of the first."""

    recipe: SmoothedAggregation
    indptr: np.ndarray
    indices: np.ndarray
    order: np.ndarray
    known: list[Aggregation]

    def __call__(self, A: Any) -> Hierarchy:
        other = symmetric_entries(A, "SmoothedAggregation").tocsr()
        if not (np.array_equal(other.indptr, self.indptr) and np.array_equal(other.indices, self.indices)):
            raise ValueError("update needs a matrix whose entries stand where the first one's did; set up anew")
        return updated(self.recipe, other, self.order, self.known)


def last_level(A: Matrix, order: np.ndarray) -> Any:
    """A dense inverse; a level of many unknowns that do not couple is smoothed alone."""
    if A.rows <= DENSE_LIMIT:
        return dense_level(A, order)
    raise ValueError(
        f"SmoothedAggregation is left with {A.rows} unknowns that it cannot gather: no strong couplings; use Jacobi, or a "
        "smaller strength"
    )


def candidates(B: Any, n: int) -> np.ndarray:
    """The near null space as (n, k), the constant if none is given."""
    if B is None:
        return np.ones((n, 1))
    B = np.ascontiguousarray(np.asarray(B, float).reshape(len(B), -1))
    if B.shape[0] != n or not 0 < B.shape[1] <= 12 or not np.isfinite(B).all():
        raise ValueError(f"near_nullspace must be finite, of shape ({n}, k) with 1 <= k <= 12; got shape {B.shape}")
    return B


def block_of(B: np.ndarray, n: int) -> int:
    """Unknowns a node: as many as the first candidates have their own places, as translations do."""
    for d in (3, 2):
        if B.shape[1] > 1 and B.shape[1] >= d and n % d == 0:
            place = np.arange(n) % d
            if all(not B[place != c, c].any() and B[place == c, c].any() for c in range(d)):
                return d
    return 1


def ordering(A: Any) -> np.ndarray:
    """Reverse Cuthill-McKee order where many entries are far from the diagonal, else the order as it is."""
    from ...kernels.relaxation import ROWS

    n = A.shape[0]
    order = np.arange(n, dtype=np.uint32)
    some = np.unique(np.linspace(0, n - 1, 2_000).astype(int)) if n > ROWS else order[:0]
    lengths = A.indptr[some + 1] - A.indptr[some]
    places = np.arange(lengths.sum()) + np.repeat(A.indptr[some] - np.cumsum(lengths) + lengths, lengths)
    far = A.indices[places] // ROWS != np.repeat(some, lengths) // ROWS
    if not len(far) or np.mean(far) <= FAR:
        return order
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    return np.ascontiguousarray(reverse_cuthill_mckee(A, symmetric_mode=True)).astype(np.uint32)


def permuted(A: Any, order: np.ndarray, scale: float) -> Matrix:
    """scale A[order][:, order] in double precision."""
    A = matrix(A)
    A = A._replace(values=scale * A.values)
    if np.array_equal(order, np.arange(len(order))):
        return A
    from ...kernels import sparse_product as kernels

    inverse = np.empty(len(order), np.uint32)
    inverse[order] = np.arange(len(order), dtype=np.uint32)
    indptr = np.zeros(len(order) + 1, np.uint32)
    np.cumsum(np.diff(A.indptr)[order], out=indptr[1:])
    indices, values = np.empty_like(A.indices), np.empty_like(A.values)
    kernels.permute(A.rows, *A[:3], order, inverse, indptr, indices, values)
    return Matrix(indptr, indices, values, A.columns)


def power_of_two(A: Any) -> float:
    """What brings the largest entry near one, exactly."""
    largest = float(np.abs(A.data).max(initial=0.0))
    return 2.0 ** -math.frexp(largest)[1] if largest > 0 else 1.0
