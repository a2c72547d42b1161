"""What can be seen of a matrix before it is solved with: symmetry, definiteness, structure, the shape of its graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import arrays
from .arrays import Space
from .external.petsc.matrix import Distributed
from .kernels.reference import product
from .operator import size_of
from .preconditioners.multigrid.tensor_grid import TensorGrid, tensor_grid
from .storage import Stored
from .storage.csr import same_pattern, unsigned

COMPILED_FROM = 10_000  # rows from which the compiled passes are worth loading
SYMMETRIC = 1e-12  # max |A - A^H| / max |A| up to which a difference counts as rounding of an assembly


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of A. None means unknown, and is never guessed.

    form: 'sparse', 'dense', 'operator' or 'rows of ranks'; symmetric means Hermitian for a complex A; asymmetry is
    max|A - A^H| / max|A| (sampled for an operator); definite: +1 or -1 if the diagonal has one sign (necessary for a definite A),
    0 if not; dominant: the rows are diagonally dominant, so a symmetric A with a positive diagonal is positive semidefinite;
    m_matrix: dominant, with a positive diagonal and nothing positive off it;
    zero_sums: every row sums to zero, so the constant vector is in the null space; width and depth of the graph: the
    largest level of a breadth-first search and the number of levels (separator and diameter of the underlying mesh); grid: the
    tensor grid whose five- or seven-point matrix A is, exactly; on_gpu: A lives on a GPU, and is solved there.
    """

    n: int
    form: str
    dtype: str
    entries: int = 0
    symmetric: bool | None = None
    asymmetry: float = 0.0
    definite: int | None = None
    dominant: bool = False
    m_matrix: bool = False
    zero_sums: bool = False
    empty_row: int | None = None
    width: int = 0
    depth: int = 0
    products: int = 0
    grid: TensorGrid | None = None
    on_gpu: bool = False

    @property
    def positive(self) -> bool:
        """A may be positive definite: symmetric with a positive diagonal."""
        return self.symmetric is True and self.definite != 0 and self.definite != -1


def recognise(A: Any, seed: int, former: tuple[Any, Facts] | None = None) -> Facts:
    """The facts of a compacted A: exact from its entries where they are stored, from two sampled products otherwise. `former`:
    another matrix and its facts, whose graph is taken over if it is the same."""
    if isinstance(A, Distributed):
        return from_ranks(A, seed)
    if isinstance(A, Stored):
        return from_entries(A, former if former is not None and isinstance(former[0], Stored) else None)
    values = arrays.stored_values(A)
    if values is not None and tuple(values.shape) == tuple(A.shape) and arrays.namespace(A) is not None:
        return from_dense(A)
    return from_products(A, seed)


def from_entries(A: Any, former: tuple[Any, Facts] | None = None) -> Facts:
    n = A.shape[0]
    if A.nnz == 0:
        return Facts(n, "sparse", A.dtype.name, symmetric=True, definite=0, zero_sums=True, empty_row=0 if n else None)
    seen = compiled_rows(A) if n >= COMPILED_FROM and A.dtype.kind == "f" else rows(A)
    grid = tensor_grid(A) if seen.asymmetry == 0.0 and seen.definite == 1 and seen.positive == 0 else None
    if grid is not None:
        width, depth = grid.size // max(grid.shape), sum(grid.shape) - 2
    elif former is not None and former[1].grid is None and former[1].depth and same_pattern(A.tocsr(), former[0].tocsr()):
        width, depth = former[1].width, former[1].depth
    else:
        width, depth = levels(A.tocsr())
    return Facts(
        n, "sparse", A.dtype.name, A.nnz, seen.asymmetry <= SYMMETRIC, seen.asymmetry, seen.definite, seen.dominant,
        seen.dominant and seen.definite == 1 and seen.positive == 0, seen.zero_sums, seen.empty_row, width, depth, grid=grid,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rows:
    """What the rows of a matrix tell: max|A - A^H| / max|A|, the sign of the diagonal, ...; see Facts."""

    asymmetry: float
    definite: int
    dominant: bool
    positive: int  # entries off the diagonal that are positive (all that are not real)
    zero_sums: bool
    empty_row: int | None


def rows(A: Any) -> Rows:
    matrix, diagonal = A.tocsr(), A.diagonal()
    values = matrix.data
    largest = np.abs(values).max()
    difference = matrix - matrix.conj().T
    asymmetry = float(np.abs(difference.data).max() / largest) if difference.nnz and largest > 0 else 0.0
    sizes = type(matrix)((np.abs(values), matrix.indices, matrix.indptr), shape=A.shape)
    row_sizes = np.asarray(sizes.sum(axis=1)).ravel()
    empty = np.flatnonzero(row_sizes == 0)
    sums = np.abs(np.asarray(matrix.sum(axis=1)).ravel())
    return Rows(
        asymmetry, sign(diagonal), bool((2 * np.abs(diagonal) >= row_sizes * (1 - 1e-12)).all()),
        A.nnz if A.dtype.kind == "c" else int(np.count_nonzero(values > 0)) - int(np.count_nonzero(diagonal > 0)),
        bool((sums <= 64 * np.finfo(A.dtype).eps * row_sizes).all()), int(empty[0]) if len(empty) else None,
    )  # fmt: skip


def compiled_rows(A: Any) -> Rows:
    """The same for a real matrix, in one pass over its entries or two."""
    from .kernels import facts as kernels

    matrix, n = A.tocsr(), A.shape[0]
    entries = unsigned(matrix.indptr), unsigned(matrix.indices), matrix.data
    answers = kernels.rows(n, *entries, float(np.finfo(A.dtype).eps))
    largest = float(answers[:, kernels.LARGEST].max())
    deviation = 0.0 if getattr(A, "hermitian", False) else kernels.asymmetry(*entries)
    least, most = answers[:, kernels.LEAST].min(), answers[:, kernels.MOST].max()
    empty = int(answers[:, kernels.EMPTY].min())
    return Rows(
        float(deviation / largest) if largest > 0 else 0.0, 1 if least > 0 else -1 if most < 0 else 0,
        bool(answers[:, kernels.EXCESS].min() >= 0), int(answers[:, kernels.POSITIVE].sum()),
        bool(answers[:, kernels.SUMS].max() <= 0), empty if empty < n else None,
    )  # fmt: skip


def from_dense(A: Any) -> Facts:
    xp = arrays.namespace(A)
    assert xp is not None
    n, largest = A.shape[0], arrays.host(xp.max(xp.abs(A))) if A.shape[0] else 0.0
    difference = arrays.host(xp.max(xp.abs(A - xp.conj(A.T)))) if largest > 0 else 0.0
    asymmetry = difference / largest if largest > 0 else 0.0
    diagonal = arrays.to_numpy(A).diagonal()
    return Facts(n, "dense", arrays.dtype_name(A), n * n, asymmetry <= SYMMETRIC, asymmetry, sign(diagonal), width=n, depth=1)


def from_ranks(A: Distributed, seed: int) -> Facts:
    """Symmetric by two sampled products; the signs of the diagonal where it is stored, over all ranks."""
    facts, space = from_products(A, seed), Space(np, "float64", "cpu", None, comm=A.comm)
    signs = sign(A.diagonal()) if A.assembled else 0
    definite = next((s for s in (1, -1) if arrays.everywhere(signs == s or not A.shape[0], space)), 0)
    return replace(facts, form="rows of ranks", definite=definite)


def from_products(A: Any, seed: int) -> Facts:
    """y^H A z against (z^H A y)^* for one random pair: equal for a symmetric A, different almost surely for another."""
    rng, n = np.random.default_rng(seed), A.shape[0]
    name = arrays.working_dtype(arrays.dtype_name(A)) if A.dtype is not None else "float64"
    if size_of(A) == 0:
        return Facts(0, "operator", name, symmetric=True)
    y, z = (rng.standard_normal(n) for _ in range(2))
    if name.startswith("complex"):
        y, z = y + 1j * rng.standard_normal(n), z + 1j * rng.standard_normal(n)
    y, z = y.astype(name), z.astype(name)
    space = Space(np, name, "cpu", None, comm=getattr(A, "comm", None))
    Ay, Az = (apply_like(A, v) for v in (y, z))
    largest = arrays.largest(max(np.abs(Ay).max(initial=0.0), np.abs(Az).max(initial=0.0)), space)
    if not np.finfo(name).tiny < largest < np.inf:  # a zero operator is symmetric; one that is not finite says so later
        return Facts(n, "operator", name, symmetric=True, products=2)
    Ay, Az = Ay / largest, Az / largest
    norms = [arrays.norm(v, space) for v in (y, Az, z, Ay)]
    scale = norms[0] * norms[1] + norms[2] * norms[3]
    asymmetry = float(abs(arrays.inner(y, Az, space) - np.conj(arrays.inner(z, Ay, space))) / scale)
    tolerance = 100 * float(np.finfo(name).eps)
    return Facts(n, "operator", name, symmetric=bool(asymmetry <= tolerance), asymmetry=asymmetry, products=2)


def apply_like(A: Any, v: np.ndarray) -> np.ndarray:
    """A v for an A that may live in another library than NumPy."""
    if arrays.library(A) == "torch":
        import torch

        return arrays.to_numpy(A @ torch.as_tensor(v, device=A.device))
    if arrays.library(A) in ("cupy", "cupyx"):
        import cupy

        return arrays.to_numpy(A @ cupy.asarray(v))
    return product(A, v, Space(np, v.dtype.name, "cpu", None))


def sign(diagonal: np.ndarray) -> int:
    """+1 or -1 if every entry is real and of that sign, else 0."""
    if np.iscomplexobj(diagonal) and np.abs(diagonal.imag).max(initial=0.0) > SYMMETRIC * np.abs(diagonal).max(initial=0.0):
        return 0
    return 1 if (diagonal.real > 0).all() else -1 if (diagonal.real < 0).all() else 0


def levels(matrix: Any) -> tuple[int, int]:
    """(largest level, number of levels) of a breadth-first search from the end of another one, over the first component."""
    from scipy.sparse.csgraph import breadth_first_order

    pattern = type(matrix)((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
    start = 0
    for _ in range(2):
        order, parent = breadth_first_order(pattern, start, directed=False)
        start = int(order[-1])
    # A level ends where the parents of the next one begin: the position of a node's parent never decreases.
    position = np.zeros(matrix.shape[0], np.int64)
    position[order] = np.arange(len(order))
    parents = position[parent[order[1:]]]
    width, depth, high = 1, 1, 1
    while high < len(order):
        end = 1 + int(np.searchsorted(parents, high))
        width, depth, high = max(width, end - high), depth + 1, end
    return width, depth
