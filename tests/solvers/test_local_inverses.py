"""FSAI and Schwarz: against dense oracles, and as every preconditioner must be."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from conformance import SPD_CASES, PreconditionerConformance

from petrov.solvers import Schwarz, SparseInverse, bicgstab, cg, gmres, problems

SEED = 47_251


def fsai(A: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """G row by row: A[J, J] y = e_last, g = y / sqrt(y_last)."""
    G = np.zeros_like(A)
    for i in range(len(A)):
        J = np.flatnonzero(pattern[i, : i + 1])
        y = np.linalg.solve(A[np.ix_(J, J)], np.eye(len(J))[-1])
        G[i, J] = y.conj() / np.sqrt(y[-1].real)
    return G


def stored(M) -> sp.csr_array:
    """G of an applied M."""
    values, indices, indptr = M.lower
    return sp.csr_array((values, indices.astype(np.int64), indptr.astype(np.int64)), shape=M.shape)


class TestSparseInverse(PreconditionerConformance):
    def create(self):
        return SparseInverse()

    def dense(self, M, A):
        G = fsai(A, A != 0)
        return G.conj().T @ G


class TestSchwarz(PreconditionerConformance):
    pickles = False  # factorisations are SuperLU's

    def create(self):
        return Schwarz(size=7, overlap=1)

    def dense(self, M, A):
        total = np.zeros_like(A)
        for piece in M.pieces:
            total[np.ix_(piece, piece)] += np.linalg.inv(A[np.ix_(piece, piece)])
        return total


@pytest.mark.parametrize("power", [0, 1, 2, 3])
def test_the_pattern_is_that_of_a_power(power):
    A = problems.darcy(7, seed=SEED).A.toarray()
    G = stored(SparseInverse(power=power)(A)).toarray()
    pattern = np.linalg.matrix_power((A != 0).astype(int), power) != 0
    np.testing.assert_allclose(G, fsai(A, pattern), rtol=0, atol=1e-10 * np.abs(G).max())


def test_the_whole_lower_triangle_is_the_inverse_of_cholesky():
    A = SPD_CASES["dense"]("float64")
    M = SparseInverse()(A)
    np.testing.assert_allclose(M @ A, np.eye(len(A)), atol=1e-9)


def test_growth_lowers_the_kaporin_number():
    A = problems.jump(14, contrast=1e4, seed=SEED).A
    numbers = []
    for steps in range(5):
        M = SparseInverse(power=0, steps=steps)(A)
        G = stored(M).toarray()
        n = len(G)
        numbers.append(np.trace(G @ A.toarray() @ G.T) / n / np.exp((np.linalg.slogdet(G @ A.toarray() @ G.T)[1]) / n))
        assert (np.diff(stored(M).indptr) <= 1 + steps).all()
    assert all(later < before for before, later in pairwise(numbers))


def test_growth_takes_the_steepest_column():
    """The first column that a row gains is the one a dense search over all of them finds."""
    A = problems.noise(9, seed=SEED).A.toarray()
    G = stored(SparseInverse(power=0, steps=1, tolerance=0.0)(A))
    for i in range(1, len(A)):
        gain = A[i, :i] ** 2 / np.diag(A)[:i]
        if gain.max() > 0:
            assert G[[i]].indices.min() == np.argmax(gain)


@pytest.mark.parametrize("recipe", [SparseInverse(), SparseInverse(power=0, steps=3), Schwarz(size=300)], ids=str)
def test_cg_takes_fewer_iterations(recipe):
    A = problems.jump(64, contrast=1e3, seed=SEED).A
    b = np.random.default_rng(SEED).standard_normal(A.shape[0])
    plain, result = (cg(A, b, M=M) for M in (problems_jacobi(A), recipe))
    assert result.converged and result.iterations < 0.75 * plain.iterations


def problems_jacobi(A):
    from petrov.solvers import Jacobi

    return Jacobi()(A)


def test_a_restricted_schwarz_serves_gmres_and_bicgstab():
    problem = problems.convection_diffusion(30)
    for method in (gmres, bicgstab):
        M = Schwarz(size=100, restricted=True)(problem.A)
        assert M.spd is False and "restricted" in repr(M)
        assert method(problem.A, problem.b, M=M).converged


def test_pieces_cover_and_overlap():
    A = problems.poisson(40).A
    M = Schwarz(size=150, overlap=2)(A)
    own = Schwarz(size=150, overlap=0)(A)
    assert sorted(np.concatenate(own.pieces)) == list(range(1600)) and max(map(len, own.pieces)) <= 150
    assert sum(map(len, M.pieces)) > 1.3 * 1600
    split = sp.block_diag([problems.poisson(12).A, problems.poisson(9).A]).tocsr()  # a graph in two parts
    assert sorted(np.concatenate(Schwarz(size=20, overlap=0)(split).pieces)) == list(range(225))


BAD = {
    "not symmetric": (lambda: SparseInverse()(np.array([[2.0, 1.0], [0.0, 2.0]])), ValueError, "symmetric"),
    "not definite": (lambda: SparseInverse()(np.array([[1.0, 2.0], [2.0, 1.0]])), ValueError, "row 1"),
    "negative diagonal": (lambda: SparseInverse()(np.diag([1.0, -2.0])), ValueError, "-2 in row 1"),
    "products alone": (lambda: SparseInverse()(sp.linalg.aslinearoperator(np.eye(2))), TypeError, "entries"),
    "power": (lambda: SparseInverse(power=-1), ValueError, "power"),
    "drop": (lambda: SparseInverse(drop=1.0), ValueError, "drop"),
    "size": (lambda: Schwarz(size=0), ValueError, "size"),
    "not covered": (lambda: Schwarz(pieces=[[0, 1]])(np.eye(4)), ValueError, "2 are in none, the first is 2"),
    "outside": (lambda: Schwarz(pieces=[[0, 9]])(np.eye(4)), ValueError, "outside 0..3"),
    "singular block": (lambda: Schwarz()(np.array([[1.0, 1.0], [1.0, 1.0]])), np.linalg.LinAlgError, "singular"),
}


@pytest.mark.parametrize("name", BAD)
def test_refusals(name):
    call, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        call()
