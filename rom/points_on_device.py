"""Empirical interpolation of tables on a device: nodes and points are chosen there, and the host looks at one number a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..solvers import arrays

TIE = 1e-8  # candidates this close to the largest, relative, count as equal: the lowest index is taken
ROUND_OFF = 32  # units of round-off of the scale of f: a residual below it is noise
BLOCK = 1 << 22  # entries of the residual that are looked at in one go


@dataclass(frozen=True, slots=True, eq=False)
class Triangles:
    """What an elimination leaves, see `empirical_interpolation.Interpolation`: on the device, but for the errors."""

    nodes: Any
    points: Any
    lower: Any
    upper: Any
    errors: np.ndarray


def eliminated(f: Any, *, tol: float, limit: int, first: int | None) -> Triangles:
    """`eim` of a table f (n_x, n_mu) of CuPy. Memory: a copy of f, and d (n_x + n_mu) numbers. A read a step: is it the last?

    ValueError if f is not finite, or its row `first` zero.
    """
    xp, dtype = namespace(f), arrays.working_dtype(f.dtype.name)
    residual = xp.asarray(f.T, dtype=np.dtype(arrays.WIDE[dtype]), order="C", copy=True)
    sups = xp.concat([xp.max(xp.abs(part), axis=1) for _, part in blocks(residual)])
    errors = [arrays.host(xp.max(sups))]
    if not np.isfinite(errors[0]):
        column = int(arrays.host(xp.argmax(~xp.isfinite(sups))))
        raise ValueError(f"f must be finite; got NaN or infinity in column {column}")
    floor = max(tol, ROUND_OFF * float(np.finfo(dtype).eps)) * errors[0]
    nodes: list[Any] = []
    points: list[Any] = []
    columns: list[Any] = []
    rows: list[Any] = []
    while len(nodes) < limit and errors[-1] > floor:
        node, point = forced(residual, sups, first, xp) if first is not None and not nodes else largest(residual, sups, xp)
        row = xp.asarray(residual[:, point], copy=True)
        column = residual[node] / residual[node, point]
        for part, values in blocks(residual):
            values -= row[part, None] * column
            sups[part] = xp.max(xp.abs(values), axis=1)
        residual[node], residual[:, point], sups[node] = 0.0, 0.0, 0.0  # what they are but for rounding
        nodes.append(node)
        points.append(point)
        columns.append(column)
        rows.append(row)
        errors.append(arrays.host(xp.max(sups)))
    if not nodes:
        none, square = xp.zeros(0, dtype=xp.int64), xp.zeros((0, 0), dtype=residual.dtype)
        return Triangles(none, none, square, square, np.array(errors))
    which, where = xp.stack(nodes), xp.stack(points)
    lower = xp.tril(xp.stack(columns)[:, where].T, k=-1) + xp.eye(len(nodes), dtype=residual.dtype)
    return Triangles(which, where, lower, xp.triu(xp.stack(rows)[:, which]), np.array(errors))


def namespace(x: Any) -> Any:
    return arrays.namespace(x)


def blocks(table: Any) -> Iterator[tuple[slice, Any]]:
    """The rows in parts, so that nothing of the table's size is made beside it."""
    step = max(1, BLOCK // table.shape[1])
    for start in range(0, table.shape[0], step):
        yield slice(start, start + step), table[start : start + step, :]


def leading(values: Any, xp: Any) -> Any:
    """The lowest index whose value is the largest, up to a tie; a 0-d array."""
    return xp.argmax(values >= (1.0 - TIE) * xp.max(values))


def largest(residual: Any, sups: Any, xp: Any) -> tuple[Any, Any]:
    """The column with the largest residual, and the row where it is largest."""
    node = leading(sups, xp)
    return node, leading(xp.abs(residual[node]), xp)


def forced(residual: Any, sups: Any, point: int, xp: Any) -> tuple[Any, Any]:
    """The given point, with the worst column of those where it is largest."""
    values = xp.abs(residual[:, point])
    peak = xp.max(values)
    if not arrays.host(peak) > 0:
        raise ValueError(f"row first={point} of f is zero: it cannot be an interpolation point; leave first out")
    return leading(xp.where(values >= (1.0 - TIE) * peak, sups, -1.0), xp), xp.asarray(point)


def solved(lower: Any, upper: Any, values: Any) -> Any:
    """(lower upper)^-1 values: L U of matrices that are triangular already, d^3/3 more than a triangular solve."""
    xp = namespace(lower)
    right = values[:, None] if values.ndim == 1 else values
    return xp.reshape(xp.linalg.solve(upper, xp.linalg.solve(lower, right)), values.shape)


def deim_points(U: Any) -> Any:
    """`deim` of a basis of CuPy; one read, at the end: whether the columns are independent."""
    xp, dtype = namespace(U), arrays.working_dtype(U.dtype.name)
    rest = xp.asarray(U, dtype=np.dtype(arrays.WIDE[dtype]), copy=True)
    noise = ROUND_OFF * float(np.finfo(dtype).eps) * xp.max(xp.abs(rest), axis=0)
    points, pivots = [], []
    for k in range(rest.shape[1]):
        point = leading(xp.abs(rest[:, k]), xp)
        points.append(point)
        pivots.append(rest[point, k])
        rest[:, k + 1 :] -= (rest[:, k] / pivots[k])[:, None] * rest[point, k + 1 :]
        rest[point, k + 1 :] = 0.0
    good = arrays.to_numpy(xp.abs(xp.stack(pivots)) > noise)
    if not good.all():  # so that NaN fails
        column = int(np.argmin(good))
        raise ValueError(f"the columns of U must be independent and finite; column {column} is a combination of those before it")
    return xp.stack(points)


def qdeim_points(U: Any) -> Any:
    """`qdeim` of a basis of CuPy, which has no QR with pivots: the rows of U, the longest first, each taken out of the others.

    Gram-Schmidt of the rows, each twice; one read, at the end.
    """
    xp, dtype = namespace(U), arrays.working_dtype(U.dtype.name)
    rest = xp.asarray(U, dtype=np.dtype(arrays.WIDE[dtype]), copy=True)
    points, found = [], []
    for _ in range(min(rest.shape)):
        lengths = xp.linalg.vector_norm(rest, axis=1)
        point = xp.argmax(lengths)
        q = rest[point] / lengths[point]
        for _ in range(2):
            rest = rest - (rest @ xp.conj(q))[:, None] * q
        points.append(point)
        found.append(lengths[point])
    sizes = arrays.to_numpy(xp.stack(found))
    if len(sizes) < U.shape[1] or not (sizes > ROUND_OFF * float(np.finfo(dtype).eps) * sizes[0]).all():
        raise ValueError(f"the columns of U must be independent and finite; of {U.shape[1]} in {U.shape[0]} rows they are not")
    return xp.stack(points)
