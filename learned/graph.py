"""A matrix as a graph: its entries as edges, and what a network reads of them, free of the units of A."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..solvers.preconditioners.entries import symmetric_entries
from ..solvers.storage import canonical


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """The entries of S A S with S = diag(scale), scale_i = a_ii^-1/2, whose diagonal is 1.

    indptr (n + 1,), indices (nnz,): A by rows, columns rising, its pattern symmetric; off (m,), diagonal (n,): where the entries
    off and on the diagonal stand among them. Edge k is the entry (rows[k], columns[k]) off the diagonal, row by row: values[k];
    reverse[k] is the edge (columns[k], rows[k]). nodes (n, f) and edges (m, g) are features.
    """

    indptr: np.ndarray
    indices: np.ndarray
    off: np.ndarray
    diagonal: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    reverse: np.ndarray
    scale: np.ndarray
    nodes: np.ndarray
    edges: np.ndarray
    dtype: np.dtype

    @property
    def size(self) -> int:
        """The number of nodes n."""
        return len(self.scale)

    def __repr__(self) -> str:
        widths = f"{self.nodes.shape[1]} features a node, {self.edges.shape[1]} an edge"
        return f"graph: {self.size} nodes, {len(self.rows)} edges, {widths}"


def graph(A: Any, *, coordinates: Any = None, node_features: Any = None, edge_features: Any = None) -> Graph:
    """The graph of a stored, real, symmetric A with a positive diagonal.

    Parameters
    ----------
    A : (n, n) array or sparse matrix
    coordinates : (n, dim) array, optional
        Of the unknowns. They become features of the nodes, moved and scaled into the unit cube (one scale for all axes), and the
        length of an edge, in units of the mean length, becomes one of its features.
    node_features : (n, k) array, optional
        Further features of the nodes, as they are.
    edge_features : sequence of (n, n) sparse matrices, optional
        Terms of A such as mass and stiffness: each is scaled as A is, and read where A has entries off the diagonal.

    Returns
    -------
    Graph
        Features in this order. Nodes: row sum of S A S, mass of the positive entries off the diagonal, logarithm of the l1 norm
        of the row, its largest entry off the diagonal; coordinates; node_features. Edges: entry of S A S, its part of the
        largest in its row and in its column; length; edge_features. Those of A alone stay as they are under A -> D A D with a
        positive diagonal D, so none depends on units or on a scaling by rows and columns.

    Raises
    ------
    TypeError, ValueError
        If A is not such a matrix, or a feature is not finite or not of A's size.

    Notes
    -----
    O(nnz), one sort of the edges. Of entries that are stored on one side of the diagonal alone, zeros are left out, and what is
    rounding gets its partner.

    Examples
    --------
    >>> from petrov.learned.graph import graph
    >>> from petrov.solvers import problems
    >>> problem = problems.poisson(8)
    >>> graph(problem.A, coordinates=problem.coordinates)
    graph: 64 nodes, 224 edges, 6 features a node, 4 an edge
    """
    csr = symmetric_entries(A, "a learned preconditioner").tocsr()
    parts = pattern(csr)
    if parts is None:
        parts = pattern(csr := canonical((csr + csr.T) / 2).tocsr())
        assert parts is not None
    rows, off, diagonal, reverse = parts
    columns = csr.indices[off].astype(np.int64)
    entries = csr.data.astype(np.float64, copy=False)
    scale = 1.0 / np.sqrt(entries[diagonal])
    values = entries[off] * scale[rows] * scale[columns]
    nodes, edges = features_of(len(scale), rows, columns, values)
    if coordinates is not None:
        points = unit_cube(table("coordinates", coordinates, len(scale)))
        length = np.linalg.norm(points[rows] - points[columns], axis=1)
        nodes, edges = [*nodes, *points.T], [*edges, length / (length.mean() if length.any() else 1.0)]
    if node_features is not None:
        nodes += [*table("node_features", node_features, len(scale)).T]
    for F in terms(edge_features, csr.shape):
        edges.append(read(F, rows, columns) * scale[rows] * scale[columns])
    return Graph(
        csr.indptr, csr.indices, off, diagonal, rows, columns, values, reverse, scale, np.stack(nodes, axis=1),
        np.stack(edges, axis=1), csr.dtype,
    )  # fmt: skip


def pattern(csr: Any) -> tuple[np.ndarray, ...] | None:
    """(rows of the edges, their places, places of the diagonal, reverse edges); None if the pattern is not symmetric."""
    every = row_numbers(csr.indptr)
    on = csr.indices == every
    off, diagonal = np.flatnonzero(~on), np.flatnonzero(on)
    rows, columns = every[off], csr.indices[off]
    reverse = np.lexsort((rows, columns))  # by column and row: the edge (j, i) stands where (i, j) does by row and column
    symmetric = np.array_equal(rows[reverse], columns) and np.array_equal(columns[reverse], rows)
    return (rows, off, diagonal, reverse) if symmetric else None


def row_numbers(indptr: np.ndarray) -> np.ndarray:
    """The row of every entry, int64."""
    starts = indptr.astype(np.int64)
    return np.repeat(np.arange(len(starts) - 1), starts[1:] - starts[:-1])


def features_of(n: int, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What S A S tells of its nodes (4 of (n,)) and its edges (3 of (m,))."""
    size, largest = np.abs(values), np.zeros(n)
    np.maximum.at(largest, rows, size)
    nodes = [1.0 + total(values, rows, n), total(np.maximum(values, 0.0), rows, n), np.log1p(total(size, rows, n)), largest]
    safe = np.where(largest > 0, largest, 1.0)
    return nodes, [values, size / safe[rows], size / safe[columns]]


def total(values: np.ndarray, rows: np.ndarray, n: int) -> np.ndarray:
    """The sum of the values of the edges of each node (n,)."""
    return np.bincount(rows, values, minlength=n).astype(np.float64)


def unit_cube(points: np.ndarray) -> np.ndarray:
    """Points moved and scaled, one scale for all axes, so that the smallest box around them has its longest side [0, 1]."""
    low = points.min(axis=0, initial=np.inf)
    reach = float((points - low).max(initial=0.0))
    return (points - low) / (reach or 1.0)


def table(what: str, given: Any, n: int) -> np.ndarray:
    """An array (n, k) of finite numbers in double precision; ValueError naming `what` otherwise."""
    values = np.asarray(given, dtype=np.float64)
    if values.ndim != 2 or len(values) != n:
        raise ValueError(f"{what} must have shape ({n}, k), a row an unknown of A; got {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{what} must be finite; got NaN or infinity in row {int(np.argmin(np.isfinite(values).all(axis=1)))}")
    return values


def terms(given: Any, shape: tuple[int, int]) -> list[Any]:
    """The edge features as CSR matrices; TypeError or ValueError if they are not sparse matrices of A's shape."""
    if given is None:
        return []
    if not isinstance(given, Sequence):
        raise TypeError(f"edge_features must be a list of sparse matrices of A's shape; got {type(given).__name__}")
    found = []
    for k, F in enumerate(given):
        if not hasattr(F, "tocsr"):
            raise TypeError(f"edge_features[{k}] must be a sparse matrix; got {type(F).__name__}")
        if tuple(F.shape) != tuple(shape):
            raise ValueError(f"edge_features[{k}] must have A's shape {tuple(shape)}; got {tuple(F.shape)}")
        csr = canonical(F).tocsr()
        if not np.isfinite(csr.data).all():
            raise ValueError(f"edge_features[{k}] must be finite; it holds NaN or infinity")
        found.append(csr)
    return found


def read(F: Any, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The entries of F (canonical CSR) at (rows, columns), zero where it stores none."""
    n = F.shape[0]
    keys = row_numbers(F.indptr) * n + F.indices
    wanted = rows * n + columns
    at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    return np.where(keys[at] == wanted, F.data[at], 0.0) if len(keys) else np.zeros(len(rows))
