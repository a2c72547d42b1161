"""Tensor grids on the unit cube: points, finite volumes, finite differences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

SIDES = ("dirichlet", "neumann", "periodic")


def centres(n: int, dim: int) -> np.ndarray:
    """The cell centres (n^dim, dim), last axis fastest."""
    return mesh((np.arange(n) + 0.5) / n, dim)


def nodes(n: int, dim: int) -> np.ndarray:
    """The n^dim interior nodes of a grid with spacing 1 / (n + 1)."""
    return mesh(np.arange(1, n + 1) / (n + 1), dim)


def mesh(points: np.ndarray, dim: int) -> np.ndarray:
    return np.stack(np.meshgrid(*[points] * dim, indexing="ij"), axis=-1).reshape(-1, dim)


def finite_volumes(coefficient: np.ndarray, boundary: tuple[str, ...]) -> sp.csr_array:
    """-div(a grad u) by cell-centred finite volumes, divided by the cell's volume: (N, N), N = coefficient.size.

    a is constant on each cell of the unit cube; a face carries the harmonic mean of its two cells, a Dirichlet face twice
    the a of its cell, a Neumann face nothing. Symmetric, second order. Versteeg and Malalasekera (2007), section 4.2.
    """
    shape, dim = coefficient.shape, coefficient.ndim
    index = np.arange(coefficient.size).reshape(shape)
    diagonal = np.zeros(shape)
    rows, columns, values = [], [], []
    for axis in range(dim):
        n = shape[axis]
        a, i = np.moveaxis(coefficient, axis, 0) * float(n) ** 2, np.moveaxis(index, axis, 0)
        d = np.moveaxis(diagonal, axis, 0)
        periodic = boundary[axis] == "periodic" and n > 1
        low, high = (np.arange(n), np.roll(np.arange(n), -1)) if periodic else (np.arange(n - 1), np.arange(1, n))
        face = 2 * a[low] * a[high] / (a[low] + a[high])
        np.add.at(d, low, face)
        np.add.at(d, high, face)
        if boundary[axis] == "dirichlet":
            d[0] += 2 * a[0]
            d[-1] += 2 * a[-1]
        rows += [i[low].ravel(), i[high].ravel()]
        columns += [i[high].ravel(), i[low].ravel()]
        values += [-face.ravel()] * 2
    rows.append(index.ravel())
    columns.append(index.ravel())
    values.append(diagonal.ravel())
    return assemble(coefficient.size, rows, columns, values)


def stencil(n: int, entries: Mapping[tuple[int, ...], float | np.ndarray]) -> sp.csr_array:
    """The operator u_i -> sum over offsets o of entries[o] u_(i + o) on n^dim nodes, zero outside (Dirichlet).

    An entry is a number or an array of one value a node.
    """
    dim = len(next(iter(entries)))
    shape = (n,) * dim
    index = np.arange(n**dim).reshape(shape)
    rows, columns, values = [], [], []
    for offset, value in entries.items():
        here = tuple(slice(max(0, -o), n - max(0, o)) for o in offset)
        there = tuple(slice(max(0, o), n - max(0, -o)) for o in offset)
        rows.append(index[here].ravel())
        columns.append(index[there].ravel())
        field = np.asarray(value, float).reshape(shape if np.size(value) > 1 else (1,) * dim)
        values.append(np.broadcast_to(field, shape)[here].ravel())
    return assemble(n**dim, rows, columns, values)


def assemble(size: int, rows: list[np.ndarray], columns: list[np.ndarray], values: list[np.ndarray]) -> sp.csr_array:
    """The CSR matrix of triplets, duplicates summed, with 32-bit indices where they suffice."""
    kind = np.int32 if size < 2**31 else np.int64
    i, j = (np.concatenate(part).astype(kind, copy=False) for part in (rows, columns))
    A = sp.coo_array((np.concatenate(values), (i, j)), shape=(size, size)).tocsr()
    A.sum_duplicates()
    return A


def offset(dim: int, **steps: int) -> tuple[int, ...]:
    """offset(3, axis0=1) is (1, 0, 0)."""
    return tuple(steps.get(f"axis{axis}", 0) for axis in range(dim))


def laplacian(n: int, dim: int) -> dict[tuple[int, ...], float]:
    """The stencil of -Laplace on n^dim nodes with spacing 1 / (n + 1)."""
    entries = {(0,) * dim: 2.0 * dim * (n + 1) ** 2}
    for axis in range(dim):
        for step in (-1, 1):
            entries[offset(dim, **{f"axis{axis}": step})] = -(float(n + 1) ** 2)
    return entries


def sine(points: np.ndarray) -> np.ndarray:
    """prod sin(pi x_i): the first mode, zero on the boundary."""
    return np.prod(np.sin(np.pi * points), axis=1)
