"""The kernels of incomplete factorisations and sparse inverses against dense matrices; small enough to run uncompiled."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.solvers.kernels import inverse as inverses
from petrov.solvers.kernels import triangular as kernels
from petrov.solvers.preconditioners import SparseInverse
from petrov.solvers.preconditioners.coloured_blocks import coloured, greedy_colours
from petrov.solvers.storage import canonical

SEED = 90_173
N = 20


def hermitian(dtype: str, seed: int = SEED) -> np.ndarray:
    """Diagonally dominant, couplings at distances 1 and 3 of random size."""
    rng = np.random.default_rng(seed)
    A = np.zeros((N, N), dtype)
    for distance in (1, 3):
        entries = rng.uniform(-1, 1, N - distance) + (1j * rng.uniform(-1, 1, N - distance) if dtype == "complex128" else 0)
        A += np.diag(entries, distance) + np.diag(entries.conj(), -distance)
    return A + 5 * np.eye(N)


def factors(A: np.ndarray, rows: int = 0):
    """(L, D, arrays for the sweeps, blocks) of the matrix in the order of its blocks."""
    csr, blocks = coloured(canonical(sp.csr_array(A)), rows)
    starts, diagonal = np.empty(N + 1, csr.indptr.dtype), np.zeros(N)
    size = kernels.count_lower(csr.indptr, csr.indices, starts)
    columns, lower = np.empty(size, csr.indices.dtype), np.empty(size, A.dtype)
    assert kernels.split(csr.indptr, csr.indices, csr.values, columns, lower, diagonal) == 0.0
    scale, factor, inverse = 1 / np.sqrt(diagonal), np.empty_like(lower), np.empty_like(diagonal)
    assert kernels.factorise(starts, columns, lower, scale, 0.0, 1e-14, factor, inverse) == N
    kernels.unscale(starts, columns, scale, factor, inverse)
    upper = (np.empty_like(starts), np.empty_like(columns), np.empty_like(factor))
    kernels.adjoint(starts, columns, factor, *upper)
    L = sp.csr_array((factor, columns.view(np.int32), starts.view(np.int32)), shape=(N, N)).toarray() + np.eye(N)
    return L, 1 / inverse, (starts, columns, factor, inverse, *upper), blocks


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("rows", [0, 5])
def test_factors_and_sweeps(dtype, rows):
    A = hermitian(dtype)
    L, D, arrays, blocks = factors(A, rows)
    assert blocks.count == (4 if rows else 1)
    order = np.array([blocks.original(row) for row in range(N)])
    B = A[np.ix_(order, order)]
    product = L * D @ L.conj().T
    np.testing.assert_allclose(product[B != 0], B[B != 0], atol=1e-12)
    assert not L[(B == 0) & ~np.eye(N, dtype=bool)].any()
    r = np.random.default_rng(SEED).standard_normal((N, 3)).astype(dtype)
    expected = np.empty_like(r)
    expected[order] = np.linalg.solve(product, r[order])
    place = (blocks.colours, blocks.starts, blocks.shifts)
    z, x = np.empty_like(r), np.empty_like(r)
    kernels.solve_block(N, *place, *arrays, r, x, z)
    np.testing.assert_allclose(z, expected, atol=1e-12)
    kernels.solve(N, *place, *arrays, r[:, 0].copy(), x := np.empty(N, dtype), x if not rows else (z := np.empty(N, dtype)))
    np.testing.assert_allclose(z if rows else x, expected[:, 0], atol=1e-12)


def test_a_pivot_that_is_not_positive_is_named():
    A = hermitian("float64")
    A[8, 7] = A[7, 8] = 6.0
    csr = canonical(sp.csr_array(A))
    starts, diagonal = np.empty(N + 1, csr.indptr.dtype), np.zeros(N)
    size = kernels.count_lower(csr.indptr, csr.indices, starts)
    columns, lower, inverse = np.empty(size, csr.indices.dtype), np.empty(size), np.empty(N)
    kernels.split(csr.indptr, csr.indices, csr.values, columns, lower, diagonal)
    assert kernels.factorise(starts, columns, lower, 1 / np.sqrt(diagonal), 0.0, 1e-14, lower.copy(), inverse) == 8


@pytest.mark.parametrize("place", [(4, 9), (9, 4), (6, 6)])
def test_the_deviation_from_a_hermitian_matrix(place):
    A = hermitian("complex128")
    A[place] += 0.25j
    csr = canonical(sp.csr_array(A))
    starts = np.empty(N + 1, csr.indptr.dtype)
    size = kernels.count_lower(csr.indptr, csr.indices, starts)
    got = kernels.split(csr.indptr, csr.indices, csr.values, np.empty(size, np.uint32), np.empty(size, complex), np.zeros(N))
    assert got == pytest.approx(0.25)


def test_colours_of_blocks():
    path = np.eye(5, k=1, dtype=bool) | np.eye(5, k=-1, dtype=bool)
    assert greedy_colours(path | np.eye(5, dtype=bool)).tolist() == [0, 1, 0, 1, 0]
    assert greedy_colours(np.ones((3, 3), bool)).tolist() == [0, 1, 2]
    csr, blocks = coloured(canonical(sp.csr_array(hermitian("float64"))), 5)
    assert blocks.colours.tolist() == [0, 2, 4] and blocks.starts.tolist() == [0, 5, 10, 15, 20]
    assert all(np.all(np.diff(csr.indices[csr.indptr[i] : csr.indptr[i + 1]].astype(int)) > 0) for i in range(N))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("parameters", [{"power": 2}, {"power": 1, "drop": 0.1}, {"power": 0, "steps": 3, "added": 2}], ids=str)
def test_rows_of_a_sparse_inverse(dtype, parameters):
    """On its own pattern, (A G^H)_i is zero but for the diagonal, and G A G^H has ones on its diagonal."""
    A = hermitian(dtype)
    M = SparseInverse(**parameters)(A)
    values, indices, indptr = M.lower
    G = sp.csr_array((values, indices.astype(int), indptr.astype(int)), shape=(N, N)).toarray()
    assert np.array_equal(G, np.tril(G)) and np.count_nonzero(G) == len(values) > 1.5 * N
    np.testing.assert_allclose(np.diag(G @ A @ G.conj().T), 1.0, atol=1e-13)
    np.testing.assert_allclose((G @ A)[(G != 0) & ~np.eye(N, dtype=bool)], 0.0, atol=1e-13)
    x = np.random.default_rng(SEED).standard_normal((N, 2)).astype(dtype)
    np.testing.assert_allclose(M @ x, G.conj().T @ (G @ x), atol=1e-13)
    z, rz = M.apply_dot(x[:, 0].copy())
    np.testing.assert_allclose(z, (M @ x)[:, 0], atol=1e-13)
    assert rz == pytest.approx(np.vdot(x[:, 0], z).real)


def test_a_dropped_coupling_is_not_in_the_pattern():
    A = hermitian("float64")
    csr, scale, counts = canonical(sp.csr_array(A)), np.full(N, 5.0**-0.5), np.empty(N, np.int64)
    inverses.count(N, 1, csr.indptr, csr.indices, csr.values, scale, 0.1, counts)
    assert np.array_equal(counts, np.count_nonzero(np.tril(np.abs(A) > 0.5, -1), axis=1))
    inverses.count(N, 2, csr.indptr, csr.indices, csr.values, scale, 0.0, counts)
    assert np.array_equal(counts, np.count_nonzero(np.tril(np.abs(A) @ np.abs(A), -1), axis=1))
