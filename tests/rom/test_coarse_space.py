"""A reduced basis inside of cg and gmres: fewer iterations, whatever the basis is like."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator, spsolve

from petrov.rom.coarse_space import CoarseSpace
from petrov.solvers import Jacobi, cg, gmres, minres

CELLS = 40


@pytest.fixture(scope="module")
def blocks():
    """(the stiffness matrices of four blocks of the square, b, a POD basis of 60 solutions)."""

    def line(on):
        K = sp.diags_array([-on, np.r_[on, 0] + np.r_[0, on], -on], offsets=[-1, 0, 1]) * CELLS
        M = sp.diags_array([on, 2 * (np.r_[on, 0] + np.r_[0, on]), on], offsets=[-1, 0, 1]) / (6 * CELLS)
        return sp.csr_array(K)[1:-1][:, 1:-1], sp.csr_array(M)[1:-1][:, 1:-1]

    halves = [line(1.0 * side) for side in (np.arange(CELLS) < CELLS / 2, np.arange(CELLS) >= CELLS / 2)]
    terms = [sp.csr_array(sp.kron(K1, M2) + sp.kron(M1, K2)) for K1, M1 in halves for K2, M2 in halves]
    b = np.full((CELLS - 1) ** 2, 1 / CELLS**2)
    solutions = [spsolve(matrix(terms, mu).tocsc(), b) for mu in points(60, seed=5)]
    return terms, b, np.linalg.svd(np.stack(solutions, axis=1), full_matrices=False)[0]


def points(count, seed):
    return 10.0 ** np.random.default_rng(seed).uniform(-1, 1, (count, 4))


def matrix(terms, mu):
    return sp.csr_array(sum(c * A for c, A in zip(mu, terms, strict=True)))


def iterations(result):
    assert result.converged
    return result.iterations


def test_cg_takes_less_than_half_and_fewer_the_more_the_model_has_learned(blocks):
    terms, b, V = blocks
    systems = [matrix(terms, mu) for mu in points(4, seed=7)]
    plain = np.mean([iterations(cg(A, b, M=Jacobi())) for A in systems])

    def mean(N, form):
        return np.mean([iterations(cg(A, b, M=CoarseSpace(V[:, :N], M=Jacobi(), form=form))) for A in systems])

    ladder = [plain] + [mean(N, "balanced") for N in (5, 10, 20, 40)]
    assert all(later < earlier for earlier, later in pairwise(ladder)), ladder
    assert ladder[3] < 0.25 * plain and ladder[4] <= 3
    assert mean(0, "balanced") == plain
    assert mean(15, "additive") <= 0.6 * plain
    started = np.mean([iterations(cg(A, b, M=Jacobi(), x0=CoarseSpace(V[:, :20]).guess(A, b))) for A in systems])
    assert started < 0.6 * plain
    C = CoarseSpace(V[:, :20], M=Jacobi(), form="balanced")
    assert np.mean([iterations(cg(A, b, M=C, x0=C.guess(A, b))) for A in systems]) <= 0.2 * plain


def convection(n=30, complex_=False):
    """Diffusion with a wind, the eigenvalue of the wind on the imaginary axis; or a damped Helmholtz operator."""
    D = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    W = sp.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1])
    eye = sp.eye_array(n)
    laplace = sp.kron(D, eye) + sp.kron(eye, D)
    return sp.csr_array(laplace + (0.05j * sp.eye_array(n * n) if complex_ else 0.3 * sp.kron(W, eye)))


@pytest.mark.parametrize("form", ["additive", "balanced"])
@pytest.mark.parametrize("complex_", [False, True])
def test_gmres_gets_fewer_iterations_for_a_matrix_that_is_not_hermitian(form, complex_):
    A = convection(complex_=complex_)
    rng = np.random.default_rng(3)
    b = rng.standard_normal(A.shape[0])
    V = np.stack([spsolve(A.tocsc(), spsolve(A.tocsc(), rng.standard_normal(len(b)))) for _ in range(25)], axis=1)
    C = CoarseSpace(V, M=Jacobi(), form=form)
    M = C(A)
    assert M.linear and M.spd is None and "25 directions" in repr(M) and M.nbytes == 2 * V.nbytes
    plain, quick = gmres(A, b, M=Jacobi()), gmres(A, b, M=M)
    assert iterations(quick) < 0.8 * iterations(plain)
    assert np.linalg.norm(b - A @ quick.x) <= 1e-8 * np.linalg.norm(b)
    dense, Q = A.toarray(), np.linalg.qr(V)[0]
    coarse = Q @ np.linalg.solve(Q.conj().T @ dense @ Q, Q.conj().T)
    smooth = np.diag(1 / dense.diagonal())
    if form == "balanced":
        assert M @ b == pytest.approx(smooth @ (b - dense @ coarse @ b) + coarse @ b, rel=1e-9)
    else:
        assert M @ b == pytest.approx(smooth @ b + M.weight * coarse @ b, rel=1e-9)


@pytest.mark.parametrize("complex_", [False, True])
def test_the_guess_is_the_galerkin_solution(blocks, complex_):
    terms, b, V = blocks
    A, V = matrix(terms, points(1, seed=8)[0]), V[:, :7]
    if complex_:
        phase = np.exp(1j * np.arange(len(b)))
        A, V = sp.csr_array(phase[:, None] * A.tocsr().multiply(phase.conj())), phase[:, None] * V
    B = np.stack([b, b**2 + np.arange(len(b)) * 1e-6], axis=1)
    X = CoarseSpace(V * np.arange(1, 8) * 1e3).guess(A, B)
    assert abs(V.conj().T @ (B - A @ X)).max() < 1e-12
    assert CoarseSpace(V).guess(A, B[:, 0]) == pytest.approx(X[:, 0], rel=1e-9)
    assert CoarseSpace(V).guess(aslinearoperator(A), b) == pytest.approx(X[:, 0], rel=1e-9)


def test_a_basis_with_zero_dependent_and_badly_scaled_columns_is_as_good_as_its_span(blocks):
    terms, b, V = blocks
    A = matrix(terms, points(1, seed=8)[0])
    poor = np.column_stack([V[:, :10] * 1e-9, np.zeros(len(b)), V[:, :3] @ np.ones(3), V[:, 2] * 1e9])
    clean, bad = CoarseSpace(V[:, :10], M=Jacobi(), form="balanced"), CoarseSpace(poor, M=Jacobi(), form="balanced")
    assert bad.guess(A, b) == pytest.approx(clean.guess(A, b), rel=1e-7)
    assert abs(iterations(cg(A, b, M=bad)) - iterations(cg(A, b, M=clean))) <= 2
    for nothing in (V[:, :0], np.zeros((len(b), 2))):
        C = CoarseSpace(nothing, M=Jacobi())
        assert not C.guess(A, b).any() and iterations(cg(A, b, M=C)) == iterations(cg(A, b, M=Jacobi()))
    skew = convection(CELLS - 1)
    assert not CoarseSpace(V[:, :0]).guess(skew, b).any() and iterations(gmres(skew, b, M=CoarseSpace(V[:, :0]))) > 0


def test_an_indefinite_hermitian_matrix_keeps_a_positive_preconditioner(blocks):
    terms, b, V = blocks
    A = sp.csr_array(matrix(terms, np.ones(4)) - 0.02 * sp.eye_array(len(b)))
    assert np.linalg.eigvalsh(V[:, :5].T @ (A @ V[:, :5]))[0] < 0
    M = CoarseSpace(V[:, :5])(A)
    assert M.spd and (np.linalg.eigvalsh(M @ np.eye(len(b))) > 0).all()
    assert iterations(minres(A, b, M=M)) > 0


def test_errors_say_what_came(blocks):
    terms, b, V = blocks
    for basis, says in [(b, "shape"), (np.full((3, 2), np.nan), "NaN"), (np.array([["a"]]), "numbers")]:
        with pytest.raises(ValueError, match=says):
            CoarseSpace(basis)
    with pytest.raises(ValueError, match="additive, balanced"):
        CoarseSpace(V, form="sum")
    with pytest.raises(ValueError, match="9 unknowns; A has 1521"):
        CoarseSpace(np.ones((9, 2)))(terms[0])
    with pytest.raises(ValueError, match="b must have shape"):
        CoarseSpace(V).guess(terms[0], b[:-1])
