"""What a reduced model does for a batch of parameters: assemble, solve and measure small systems; one code on NumPy and CuPy.

Arrays of a batch have the parameters last, so that every step is one matrix product or one loop along contiguous numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ...solvers import arrays
from ..operators.decomposition import EPS, ROUNDING

LANES = 64  # parameters that are solved side by side: their triangles stay in the second cache up to N = 60
CHUNK = 4096  # parameters whose small matrices exist at once where LAPACK solves them
COLUMNS = 512  # parameters whose residuals exist at once: they stay in the cache
NUMBERS = 1 << 27  # of these matrices and residuals on a device, a gibibyte: its cores want many at once
THREADED_FROM = 2_000
FEW = 32  # columns below which a triangular product is no quicker than a full one


@dataclass(frozen=True, eq=False)
class Reduced:
    """A Galerkin model of size N: arrays of one library, in double precision.

    A (Q, N, N), b (P, N, k), R (K, P k + N Q) the residual's coordinates, columns b_pk first, then A_q v_j with q fastest;
    L (S, l, N) output rows and RL (K', S l) their coordinates, or None. triangular: R is upper triangular; hermitian: A(mu) is.
    rounded (P k + N Q,): the norms of what rounding made of the vectors behind the columns of R, or None.
    """

    A: Any
    b: Any
    R: Any
    L: Any = None
    RL: Any = None
    hermitian: bool = False
    triangular: bool = False
    rounded: Any = None

    @property
    def size(self) -> int:
        return int(self.A.shape[1])

    @property
    def columns(self) -> int:
        """k, the number of right-hand sides."""
        return int(self.b.shape[2])

    @cached_property
    def triangles(self) -> tuple[np.ndarray, np.ndarray]:
        """NumPy's A and b as `by_lanes` reads them: (N (N + 1) / 2, Q) lower triangles, (N, k, P)."""
        rows, columns = np.tril_indices(self.size)
        return np.ascontiguousarray(self.A[:, rows, columns].T), np.ascontiguousarray(self.b.transpose(1, 2, 0))

    @cached_property
    def lengths(self) -> Any:
        """The norms of the columns of R; more where ROUNDING units of that are less than the rounding of the products themselves,
        as where A_q v_j is next to nothing beside |A_q| |v_j|."""
        xp = arrays.namespace(self.R)
        assert xp is not None
        sizes = norms(self.R, xp)
        return sizes if self.rounded is None else xp.maximum(sizes, self.rounded / (ROUNDING * EPS))

    def truncated(self, N: int) -> Reduced:
        """The model that the first N basis vectors give."""
        Q, P, k = self.A.shape[0], self.b.shape[0], self.columns
        keep = P * k + N * Q
        R = self.R[:keep, :keep] if self.triangular else self.R[:, :keep]
        L, rounded = None if self.L is None else self.L[:, :, :N], None if self.rounded is None else self.rounded[:keep]
        return replace(self, A=self.A[:, :N, :N], b=self.b[:, :N], R=R, L=L, rounded=rounded)

    def on(self, xp: Any, device: Any = None) -> Reduced:
        """The same model with arrays of another library, for example cupy."""
        options = {} if device is None else {"device": device}
        moved: dict[str, Any] = {}
        for name in ("A", "b", "R", "L", "RL", "rounded"):
            if (x := getattr(self, name)) is not None:
                moved[name] = xp.asarray(arrays.to_numpy(x), **options)
        return replace(self, **moved)


def solve(reduced: Reduced, thetas: Any, rhs: Any) -> Any:
    """The coefficients a (N, k, m) of m parameters, from the weights thetas (Q, m) of A and rhs (P, m) of b."""
    N, k, m = reduced.size, reduced.columns, thetas.shape[1]
    xp = arrays.namespace(reduced.A)
    assert xp is not None
    if N == 0 or m == 0:
        return xp.zeros((N, k, m), dtype=reduced.A.dtype)
    if xp is np and reduced.hermitian and not any(np.iscomplexobj(x) for x in (reduced.A, reduced.b, thetas, rhs)):
        return by_lanes(reduced, thetas, rhs)
    size = CHUNK if xp is np else max(1, NUMBERS // (2 * N * (N + k)))
    return in_chunks(lambda part: general(reduced, thetas[:, part], rhs[:, part], xp), m, size, xp)


def general(reduced: Reduced, thetas: Any, rhs: Any, xp: Any) -> Any:
    """By the batched L U of the array library."""
    Q, N, _ = reduced.A.shape
    m, k = thetas.shape[1], reduced.columns
    A = xp.reshape(thetas.T @ xp.reshape(reduced.A, (Q, N * N)), (m, N, N))
    b = xp.reshape(rhs.T @ xp.reshape(reduced.b, (reduced.b.shape[0], N * k)), (m, N, k))
    try:
        x = xp.linalg.solve(A, b)  # CuPy raises nothing: what is singular has answers that are not finite
    except np.linalg.LinAlgError:  # one that is singular is no reason to answer none
        if xp is not np:
            raise
        x = np.stack([solved_or_nan(*one) for one in zip(A, b, strict=True)])
    return xp.permute_dims(x, (1, 2, 0))


def solved_or_nan(A: np.ndarray, b: np.ndarray) -> np.ndarray:
    try:
        return np.linalg.solve(A, b)
    except np.linalg.LinAlgError:
        return np.full(b.shape, np.nan, np.result_type(A, b))


def by_lanes(reduced: Reduced, thetas: np.ndarray, rhs: np.ndarray) -> np.ndarray:
    """By compiled Cholesky, many systems side by side; those that are not positive definite by L U."""
    from ...solvers.kernels import small_systems

    N, (lower, b) = reduced.size, reduced.triangles
    definite = np.ones(thetas.shape[1], np.bool_)

    def batch(part: slice) -> np.ndarray:
        triangles = lower @ thetas[:, part]
        small_systems.factorise(N, triangles, definite[part])
        x = np.ascontiguousarray((b @ rhs[:, part]).transpose(1, 0, 2))
        for column in x:
            small_systems.solve(N, triangles, column)
        return x.transpose(1, 0, 2)

    a = in_chunks(batch, thetas.shape[1], LANES, np)
    if not definite.all():
        a[:, :, ~definite] = general(reduced, thetas[:, ~definite], rhs[:, ~definite], np)
    return a


def in_chunks(work: Callable[[slice], Any], m: int, size: int, xp: Any) -> Any:
    """work(slice) for consecutive slices of m parameters, put together along the last axis; NumPy's on all threads."""
    parts = [slice(start, min(start + size, m)) for start in range(0, m, size)] or [slice(0, 0)]
    if len(parts) == 1:
        return work(parts[0])
    if xp is not np or m < THREADED_FROM:
        return xp.concat([work(part) for part in parts], axis=-1)
    from threadpoolctl import threadpool_limits

    from ...solvers.kernels.threads import threads

    first = work(parts[0])
    found = np.empty((*first.shape[:-1], m), first.dtype)
    found[..., parts[0]] = first

    def fill(mine: list[slice]) -> None:
        for part in mine:
            found[..., part] = work(part)

    count = threads()
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(count) as pool:
        list(pool.map(fill, [parts[1 + i :: count] for i in range(count)]))
    return found


def residual(reduced: Reduced, thetas: Any, rhs: Any, a: Any) -> Any:
    """||r||_{X'} (k, m) of coefficients a (N, k, m)."""
    xp = arrays.namespace(reduced.A)
    assert xp is not None
    size = COLUMNS if xp is np else max(1, NUMBERS // max(1, 2 * sum(reduced.R.shape)))
    return in_chunks(lambda part: residual_of(reduced, thetas[:, part], rhs[:, part], a[:, :, part], xp), a.shape[2], size, xp)


def residual_of(reduced: Reduced, thetas: Any, rhs: Any, a: Any, xp: Any) -> Any:
    found = []
    for column in range(reduced.columns):
        combined = rotated(reduced, coefficients(reduced, thetas, rhs, a, column, xp), xp)
        found.append(norms(combined, xp))
    return xp.stack(found)


def coefficients(reduced: Reduced, thetas: Any, rhs: Any, a: Any, column: int, xp: Any) -> Any:
    """c (P k + N Q, m): the residual of one right-hand side is R c."""
    P, k, m = reduced.b.shape[0], reduced.columns, thetas.shape[1]
    own = xp.zeros((P, k, m), dtype=rhs.dtype)
    own[:, column, :] = rhs
    image = a[:, column, :][:, None, :] * thetas[None, :, :]
    return xp.concat([xp.reshape(own, (P * k, m)), xp.reshape(-image, (reduced.size * thetas.shape[0], m))], axis=0)


def rotated(reduced: Reduced, c: Any, xp: Any) -> Any:
    """R c, half of the flops where R is triangular and c has more than a few columns."""
    plain = xp is np and reduced.R.dtype == c.dtype == np.float64
    if plain and reduced.triangular and reduced.R.size and c.shape[1] >= FEW:
        from scipy.linalg.blas import dtrmm

        return dtrmm(1.0, reduced.R.T, c.T, side=1, lower=1).T if c.flags.c_contiguous else reduced.R @ c
    return reduced.R @ c


def norms(x: Any, xp: Any) -> Any:
    """The Euclidean norm of each column."""
    if xp is np:
        squares = np.einsum("ij,ij->j", x.real, x.real)
        return np.sqrt(squares + np.einsum("ij,ij->j", x.imag, x.imag) if np.iscomplexobj(x) else squares)
    return xp.linalg.vector_norm(x, axis=0)


def rounding(reduced: Reduced, thetas: Any, rhs: Any, a: Any) -> Any:
    """sum_i |c_i| ||R_i|| (k, m): what the residual is a difference of; times a few eps, what rounding may make of it."""
    xp = arrays.namespace(reduced.A)
    assert xp is not None
    P, k = reduced.b.shape[0], reduced.columns
    sizes = reduced.lengths
    of_b, of_A = xp.reshape(sizes[: P * k], (P, k)), xp.reshape(sizes[P * k :], (reduced.size, reduced.A.shape[0]))
    parts = [of_b[:, j] @ xp.abs(rhs) + xp.sum((of_A @ xp.abs(thetas)) * xp.abs(a[:, j, :]), axis=0) for j in range(k)]
    return xp.stack(parts)


def outputs(reduced: Reduced, weights: Any, a: Any) -> Any:
    """s (l, k, m) = L(mu) V a, from the weights (S, m) of L."""
    xp = arrays.namespace(reduced.A)
    assert xp is not None
    S, l, N = reduced.L.shape
    k, m = a.shape[1], a.shape[2]
    flat = xp.reshape(a, (N, k * m))
    parts = [xp.reshape(reduced.L[s, :, :] @ flat, (l, k, m)) * weights[s, :] for s in range(S)]
    return sum(parts[1:], start=parts[0])


def output_norms(reduced: Reduced, weights: Any) -> Any:
    """||L_i(mu)||_{X'} (l, m)."""
    xp = arrays.namespace(reduced.A)
    assert xp is not None
    S, l = reduced.L.shape[:2]
    parts, weights = xp.reshape(reduced.RL, (-1, S, l)), xp.conj(weights)  # L(mu)^H = sum_s conj(weights_s) L_s^H
    return xp.stack([norms(parts[:, :, i] @ weights, xp) for i in range(l)])
