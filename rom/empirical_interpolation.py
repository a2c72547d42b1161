"""Empirical interpolation: a few columns of a table, and the few rows that tell their weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..solvers import arrays
from ..solvers.arrays import WIDE, working_dtype
from .homes import on_device, together
from .points_on_device import ROUND_OFF, TIE, deim_points, eliminated, qdeim_points, solved

BLOCK = 1 << 16  # entries of the residual that are looked at in one go


@dataclass(frozen=True, slots=True, eq=False)
class Interpolation:
    """f(x, mu) ~ sum_m beta_m(mu) f(x, mu_m), exact at the points x_l and for the nodes mu_m, of a table f (n_x, n_mu).

    With F = f(points, nodes) the weights solve F beta(mu) = f(points, mu): the symmetric form of Casenave, Ern and Lelievre,
    arXiv 1508.05330. They are found from the triangles that the greedy leaves, which keep small weights right where F has a
    condition of 1e13.

    Attributes
    ----------
    nodes, points : ndarray (d,) of int
        Columns and rows of f in the order in which they were chosen; the first k of them are the interpolation of size k.
    lower, upper : ndarray (d, d)
        F = lower @ upper, lower with a unit diagonal; in double precision.
    errors : ndarray (d + 1,)
        The largest |f - interpolation| over the table before step 0, 1, ..., d.

    Of a table of CuPy, all but the errors are CuPy arrays, and so are the values and weights of `coefficients`.
    """

    nodes: Any
    points: Any
    lower: Any
    upper: Any
    errors: np.ndarray

    @property
    def size(self) -> int:
        return len(self.nodes)

    @property
    def condition(self) -> float:
        """The condition of F in the spectral norm; 1 for an empty one."""
        return float(np.linalg.cond(arrays.to_numpy(self.lower @ self.upper))) if self.size else 1.0

    def beside(self, like: Any) -> Interpolation:
        """The same on the device of an array of CuPy, or on the host."""
        if on_device(like) == on_device(self.lower):
            return self
        move = arrays.mover(like) if on_device(like) else arrays.to_numpy
        return replace(self, **{name: move(getattr(self, name)) for name in ("nodes", "points", "lower", "upper")})

    def coefficients(self, values: Any) -> Any:
        """beta (d,) or (d, m) from values = f(points, mu), of the same shape: two triangular solves, 2 d^2 flops a column.

        Raises ValueError if the values are not d rows of finite numbers; TypeError if they are not where the triangles are.
        """
        together(values=values, interpolation=self.lower)
        if on_device(self.lower):
            return self.coefficients_there(values)
        values = np.asarray(values)
        if values.ndim not in (1, 2) or values.shape[0] != self.size:
            raise ValueError(f"values must be ({self.size},) or ({self.size}, m), f at the points; got shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError("values must be finite; got NaN or infinity: look at f at the points for these parameters")
        if values.size == 0:
            return np.zeros(values.shape, np.result_type(values, self.lower))
        from scipy.linalg import solve_triangular

        forward = solve_triangular(self.lower, values, lower=True, unit_diagonal=True, check_finite=False)
        return solve_triangular(self.upper, forward, check_finite=False)

    def coefficients_there(self, values: Any) -> Any:
        """The same on a device; one read: whether the values are finite."""
        xp: Any = arrays.namespace(self.lower)
        values = xp.asarray(values)
        if values.ndim not in (1, 2) or values.shape[0] != self.size:
            raise ValueError(f"values must be ({self.size},) or ({self.size}, m), f at the points; got shape {values.shape}")
        if values.size == 0:
            return xp.zeros(values.shape, dtype=xp.result_type(values, self.lower))
        if not arrays.to_numpy(xp.all(xp.isfinite(values))):
            raise ValueError("values must be finite; got NaN or infinity: look at f at the points for these parameters")
        return self.weights_of(values)

    def weights_of(self, values: Any) -> Any:
        """`coefficients` on a device, of values (d,) or (d, m) there that nothing is asked of: NaN gives NaN."""
        return solved(self.lower, self.upper, values)

    def truncated(self, size: int) -> Interpolation:
        """The interpolation that the greedy had after `size` steps."""
        if not 0 <= size <= self.size:
            raise ValueError(f"size must be from 0 to {self.size}; got {size}")
        k = int(size)
        return Interpolation(self.nodes[:k], self.points[:k], self.lower[:k, :k], self.upper[:k, :k], self.errors[: k + 1])

    def lebesgue(self, f: Any) -> float:
        """max over x of sum_l |h_l(x)| with h_l(x_k) = 1 if l = k, else 0, in the span of f(., nodes); f is the table.

        The interpolation error is at most 1 + this times the best one from that span.
        """
        if self.size == 0:
            return 0.0
        together(f=f, interpolation=self.lower)
        if on_device(self.lower):
            xp: Any = arrays.namespace(self.lower)
            cardinal = solved(self.upper.T, self.lower.T, f[:, self.nodes].T)
            return float(arrays.host(xp.max(xp.sum(xp.abs(cardinal), axis=0))))
        from scipy.linalg import solve_triangular

        columns = np.asarray(f)[:, self.nodes].T
        forward = solve_triangular(self.upper, columns, trans="T", check_finite=False)
        cardinal = solve_triangular(self.lower, forward, trans="T", lower=True, unit_diagonal=True, check_finite=False)
        return float(np.abs(cardinal).sum(axis=0).max())


def eim(f: Any, *, tol: float = 1e-12, max_size: int | None = None, first: int | None = None) -> Interpolation:
    """Empirical interpolation of the columns of f by some of themselves, chosen greedily.

    Every step takes the column with the largest residual, and in it the row with the largest: Gaussian elimination with full
    pivoting. It stops at a residual of at most `tol` times the largest |f|, at `max_size`, or where the residual is round-off
    (32 eps of f's type), so that it never divides by noise. Ties within 1e-8 go to the lowest index, on every machine the same.

    Parameters
    ----------
    f : array_like (n_x, n_mu)
        Real or complex: a row per point x, a column per training parameter. An array of CuPy is worked on where it is.
    tol : float
        Relative to the largest |f|.
    max_size : int, optional
        At most so many nodes.
    first : int, optional
        This row is the first point. With a row of ones there, sum_m beta_m(mu) = 1 holds for every mu.

    Returns
    -------
    Interpolation
        Of size 0 if f = 0.

    Notes
    -----
    Raises ValueError if f is empty, not finite or not two-dimensional, if its row `first` is zero, or for a negative tol.
    Memory: one copy of f in double precision. Cost: d passes over it. On a device the host reads one number a step. Barrault,
    Maday, Nguyen and Patera, C. R. Math. 339 (2004) 667, with the greedy of Grepl, Maday, Nguyen and Patera, M2AN 41
    (2007) 575, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.rom.empirical_interpolation import eim
    >>> x, mu = np.linspace(0, 1, 50), np.linspace(1, 2, 40)
    >>> fit = eim(np.exp(-np.outer(x, mu)), tol=1e-8)
    >>> beta = fit.coefficients(np.exp(-x[fit.points] * 1.234))
    >>> fit.size, bool(abs(np.exp(-np.outer(x, mu[fit.nodes])) @ beta - np.exp(-1.234 * x)).max() < 1e-7)
    (6, True)
    """
    f = checked_table(f, "f")
    n_x, n_mu = f.shape
    if first is not None and not 0 <= first < n_x:
        raise ValueError(f"first must be a row of f, from 0 to {n_x - 1}; got {first}")
    if not tol >= 0 or (max_size is not None and max_size < 0):
        raise ValueError(f"tol and max_size must be at least 0; got tol={tol} and max_size={max_size}")
    limit = min(n_x, n_mu) if max_size is None else min(max_size, n_x, n_mu)
    if on_device(f):
        made = eliminated(f, tol=tol, limit=limit, first=first)
        return Interpolation(made.nodes, made.points, made.lower, made.upper, made.errors)
    dtype = working_dtype(f.dtype.name)
    residual = np.array(f.T, WIDE[dtype], order="C")  # a row per parameter
    sups = np.concatenate([abs(part).max(axis=1) for _, part in blocks(residual)])
    errors = [float(sups.max())]
    nodes: list[int] = []
    points: list[int] = []
    lower: list[np.ndarray] = []
    upper: list[np.ndarray] = []
    floor = max(tol, ROUND_OFF * float(np.finfo(dtype).eps)) * errors[0]
    while len(nodes) < limit and errors[-1] > floor:
        node, point = forced(residual, sups, first) if first is not None and not nodes else largest(residual, sups)
        pivot, row = residual[node, point], residual[:, point].copy()
        column = residual[node] / pivot
        eliminate(residual, column, row, sups)
        residual[node], residual[:, point], sups[node] = 0.0, 0.0, 0.0  # what they are but for rounding
        nodes.append(node)
        points.append(point)
        lower.append(column)
        upper.append(row)
        errors.append(float(sups.max()))
    return gathered(nodes, points, lower, upper, errors, residual.dtype)


def checked_table(f: Any, name: str) -> Any:
    """f as a finite, two-dimensional array that is not empty, or an error that says what it is; of CuPy, finite or not."""
    f = f if on_device(f) else np.asarray(f)
    if f.ndim != 2 or 0 in f.shape:
        raise ValueError(f"{name} must be a table with rows and columns; got shape {f.shape}")
    if f.dtype.kind not in "biufc":
        raise TypeError(f"{name} must hold numbers; got dtype {f.dtype}")
    if on_device(f):
        return f
    if not np.isfinite(f).all():
        raise ValueError(f"{name} must be finite; got NaN or infinity in column {int(np.argmin(np.isfinite(f).all(axis=0)))}")
    return f


def blocks(table: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The rows in parts, so that nothing of the table's size is made beside it."""
    step = max(1, BLOCK // table.shape[1])
    for start in range(0, len(table), step):
        yield slice(start, start + step), table[start : start + step]


def eliminate(residual: np.ndarray, column: np.ndarray, row: np.ndarray, sups: np.ndarray) -> None:
    """residual -= row column^T in place, and the largest modulus of each of its rows."""
    for part, values in blocks(residual):
        values -= row[part, None] * column
        sups[part] = abs(values).max(axis=1)


def leading(values: np.ndarray) -> int:
    """The lowest index whose value is the largest, up to a tie."""
    return int(np.argmax(values >= (1.0 - TIE) * values.max()))


def largest(residual: np.ndarray, sups: np.ndarray) -> tuple[int, int]:
    """The column with the largest residual, and the row where it is largest."""
    node = leading(sups)
    return node, leading(abs(residual[node]))


def forced(residual: np.ndarray, sups: np.ndarray, point: int) -> tuple[int, int]:
    """The given point, with the worst column of those where it is largest."""
    values = abs(residual[:, point])
    if not values.max() > 0:
        raise ValueError(f"row first={point} of f is zero: it cannot be an interpolation point; leave first out")
    return leading(np.where(values >= (1.0 - TIE) * values.max(), sups, -1.0)), point


def gathered(nodes: list, points: list, columns: list, rows: list, errors: list, dtype: Any) -> Interpolation:
    """The record, with the triangles cut out of the vectors of each step."""
    d = len(nodes)
    where, which = np.array(points, np.intp), np.array(nodes, np.intp)
    lower, upper = np.eye(d, dtype=dtype), np.zeros((d, d), dtype)
    for k in range(d):
        lower[k + 1 :, k] = columns[k][where[k + 1 :]]
        upper[k, k:] = rows[k][which[k:]]
    return Interpolation(which, where, lower, upper, np.array(errors))


def deim(U: Any) -> Any:
    """Interpolation points (d,) for the columns of a basis U (n, d): the point of column k is where it is worst interpolated.

    That is Gaussian elimination with row pivoting. Raises ValueError if the columns are dependent to round-off. Chaturantabut
    and Sorensen, SIAM J. Sci. Comput. 32 (2010), Algorithm 1. Memory: a copy of U; cost n d^2. Points of a U of CuPy
    are CuPy's, and the host reads once.

    >>> import numpy as np
    >>> deim(np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]]))
    array([1, 2])
    """
    U = checked_table(U, "U")
    if on_device(U):
        return deim_points(U)
    dtype = working_dtype(U.dtype.name)
    rest, points = np.array(U, WIDE[dtype]), []
    noise = ROUND_OFF * float(np.finfo(dtype).eps) * abs(rest).max(axis=0)
    for k in range(rest.shape[1]):
        point = leading(abs(rest[:, k]))
        pivot = rest[point, k]
        if not abs(pivot) > noise[k]:
            raise ValueError(f"the columns of U must be independent; column {k} is a combination of those before it")
        points.append(point)
        rest[:, k + 1 :] -= np.outer(rest[:, k] / pivot, rest[point, k + 1 :])
        rest[point, k + 1 :] = 0.0
    return np.array(points, np.intp)


def qdeim(U: Any) -> Any:
    """Interpolation points (d,) for the columns of an orthonormal basis U (n, d): the pivots of a QR factorisation of U^H.

    They do not depend on the basis of the space and keep the error factor smaller than `deim`. Raises ValueError if the columns
    are dependent to round-off. Drmac and Gugercin, SIAM J. Sci. Comput. 38 (2016), A631. Memory: a copy of U; cost n d^2.
    Points of a U of CuPy are CuPy's, found by Gram-Schmidt with pivots, and the host reads once.

    >>> import numpy as np
    >>> qdeim(np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]]))
    array([2, 1])
    """
    U = checked_table(U, "U")
    if on_device(U):
        return qdeim_points(U)
    from scipy.linalg import qr

    dtype = working_dtype(U.dtype.name)
    R, order = qr(U.astype(WIDE[dtype]).conj().T, mode="r", pivoting=True, check_finite=False)
    d, diagonal = U.shape[1], abs(np.diagonal(R))
    if len(diagonal) < d or not diagonal[-1] > ROUND_OFF * float(np.finfo(dtype).eps) * diagonal[0]:
        raise ValueError(f"the columns of U must be independent; got {d} columns in {U.shape[0]} rows that are not")
    return order[:d].astype(np.intp)
