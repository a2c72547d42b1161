"""GCRO-DR against a dense textbook, against SciPy's gcrotmk, and over sequences."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg as la
import scipy.sparse as sp
import scipy.sparse.linalg as sla

from petrov.solvers import Jacobi, RecycleSpace, Status, gcrodr, gmres, problems
from petrov.solvers.recycling.ritz import harmonic
from petrov.solvers.recycling.space import orthonormal
from petrov.solvers.system import right_hand_side

RNG_SEED = 40_961


def smallest(values: np.ndarray, vectors: np.ndarray, k: int, real: bool) -> np.ndarray:
    """Columns that span the eigenvectors of the k smallest values, both of a pair."""
    columns: list[np.ndarray] = []
    for i in np.argsort(np.abs(values), kind="stable"):
        if len(columns) >= k:
            break
        v = vectors[:, i]
        if not real:
            columns.append(v)
        elif abs(values[i].imag) < 1e-12 * abs(values[i]):
            columns.append((v / v[np.argmax(np.abs(v))]).real)
        elif values[i].imag > 0:
            columns += [v.real, v.imag]
    return np.stack(columns, axis=1)


def textbook(A: np.ndarray, b: np.ndarray, m: int, k: int, rtol: float, Y: np.ndarray | None = None):
    """(x, inner steps, Y): Parks et al. (2006), appendix, with dense matrices and columns; no care for speed or breakdown."""
    n, real, steps = len(b), not np.iscomplexobj(A), 0
    x, r = np.zeros(n, A.dtype), b.copy()
    C = U = np.zeros((n, 0), A.dtype)
    if Y is not None:
        C, R = la.qr(A @ Y, mode="economic")
        U = Y @ la.inv(R)
    while la.norm(r) > rtol * la.norm(b):
        x, r = x + U @ (C.conj().T @ r), r - C @ (C.conj().T @ r)
        size, V, H, B = m - min(C.shape[1], k), [r / la.norm(r)], np.zeros((m + 1, m), A.dtype), []
        for j in range(size):
            w = A @ V[j]
            B.append(C.conj().T @ w)
            w = w - C @ B[j]
            for _ in range(2):
                for i in range(j + 1):
                    h = np.vdot(V[i], w)
                    H[i, j] += h
                    w = w - h * V[i]
            H[j + 1, j] = la.norm(w)
            V.append(w / H[j + 1, j])
            steps += 1
            e = np.zeros(j + 2, A.dtype)
            e[0] = la.norm(r)
            y, *_ = la.lstsq(H[: j + 2, : j + 1], e)
            if la.norm(e - H[: j + 2, : j + 1] @ y) <= rtol * la.norm(b):
                break
        Vp, Vm, Bm, Hm = np.stack(V, 1), np.stack(V[:-1], 1), np.stack(B, 1), H[: j + 2, : j + 1]
        x = x + Vm @ y - U @ (Bm @ y)
        r = b - A @ x
        D = np.diag(1 / la.norm(U, axis=0)) if U.size else np.zeros((0, 0))
        G = np.block([[D, Bm], [np.zeros((j + 2, len(D))), Hm]])
        W, Yh = np.hstack([U @ D, Vm]), np.hstack([C, Vp])
        values, vectors = la.eig(G.conj().T @ G, G.conj().T @ (Yh.conj().T @ W))
        P = smallest(values, vectors, min(k, len(values)), real)
        Q, R = la.qr(G @ P, mode="economic")
        C, U = Yh @ Q, W @ P @ la.inv(R)
    return x, steps, U


def family(kind: str, i: int, n: int = 12):
    """System i of a slowly changing sequence."""
    rng = np.random.default_rng(RNG_SEED + i)
    A = problems.convection_diffusion(n).A.toarray() / n**2
    A = A + np.diag(0.01 * rng.random(n * n))
    if kind == "symmetric":
        A = (A + A.T) / 2 - 0.4 * np.eye(n * n)
    b = rng.standard_normal(n * n)
    if kind == "complex":
        return A + 1j * np.diag(0.3 + 0.1 * rng.random(n * n)) - 0.5 * np.eye(n * n), b + 1j * rng.standard_normal(n * n)
    return A, b


@pytest.mark.parametrize("kind", ["general", "symmetric", "complex"])
@pytest.mark.parametrize(("m", "k"), [(20, 6), (12, 9), (8, 1)])
def test_the_steps_are_those_of_the_textbook(kind, m, k):
    space, Y = None, None
    for i in range(3):
        A, b = family(kind, i)
        x, steps, Y = textbook(A, b, m, k, 1e-8, Y)
        result = gcrodr(A, b, restart=m, recycle=k, space=space, max_iterations=5_000)
        assert result.converged and abs(result.iterations - steps) <= 2, (i, result.iterations, steps)
        np.testing.assert_allclose(result.x, x, atol=1e-5 * la.norm(x))
        space = result.space


def test_the_space_satisfies_what_it_is():
    A, b = family("general", 0)
    result = gcrodr(A, b, restart=20, recycle=6)
    U = result.space.basis
    C = (A @ U.T).T
    np.testing.assert_allclose(C @ C.T, np.eye(len(U)), atol=1e-8)
    ritz = 1 / np.abs(la.eigvals(C @ U.T))  # C = A U is orthonormal: (A u)^T (A u - theta u) = 0
    assert len(ritz) == 6 and ritz.min() == pytest.approx(np.abs(la.eigvals(A)).min(), rel=0.02)


def test_no_more_products_than_gcrotmk_with_the_same_memory():
    """40 vectors each, over four systems; SciPy's carries (c, u) pairs as ours carries U."""
    totals, CU, space = np.zeros(2, int), [], None
    for i in range(4):
        A, b = family("general", i, 24)
        count = [0]
        operator = sla.LinearOperator(
            A.shape, matvec=lambda v, A=A, count=count: count.__setitem__(0, count[0] + 1) or A @ v, dtype=float
        )
        CU = [(None, u) for _, u in CU]
        _, info = sla.gcrotmk(operator, b, rtol=1e-8, atol=0, m=20, k=20, CU=CU, maxiter=500)
        result = gcrodr(A, b, restart=40, recycle=20, space=space)
        space = result.space
        assert info == 0 and result.converged
        totals += count[0], result.matvecs
    assert totals[1] <= totals[0], totals


def test_a_sequence_of_diffusion_problems():
    """The bar of the project: at most 0.4 of the products of GMRES(40) over 8 independent media."""
    space, products = None, np.zeros(2, int)
    for seed in range(8):
        A, b = problems.darcy(40, seed=seed).A, np.random.default_rng(seed).standard_normal(1_600)
        result = gcrodr(A, b, M=Jacobi(), space=space)
        space = result.space
        products += result.matvecs, gmres(A, b, M=Jacobi()).matvecs
        assert result.converged and space.source is not None and 20 <= space.size <= 21
    assert products[0] <= 0.4 * products[1], products


def test_cycles_without_progress_are_waited_for():
    """An indefinite matrix on which two cycles gain less than a thousandth before the space is good enough."""
    A = sp.csr_array(problems.poisson(24).A - 50 * sp.eye_array(576))
    b = np.random.default_rng(1).standard_normal(576)
    assert gcrodr(A, b, restart=12, recycle=9, max_iterations=500).converged
    assert not gmres(A, b, restart=12, max_iterations=500).converged


def test_an_m_that_changes():
    A, b = family("general", 0)
    calls = [0]

    def changing(r):
        calls[0] += 1
        return r / np.diag(A) * (1 + 0.2 * (calls[0] % 3))

    M = sla.LinearOperator(A.shape, matvec=changing, dtype=float)
    M.linear = False
    assert gcrodr(A, b, M=M, restart=15, recycle=5).converged


def test_columns_hand_the_space_on():
    A, _ = family("general", 0)
    b = np.random.default_rng(1).standard_normal((144, 3))
    result = gcrodr(A, b, restart=15, recycle=6)
    assert result.converged and result.space.size >= 6 and (np.diff(result.iterations[[0, 2]]) < 0).all()


SPACES = {
    "zeros": lambda n: np.zeros((4, n)),
    "twice the same": lambda n: np.ones((3, n)),
    "more than are kept": lambda n: np.eye(n)[:50],
    "everything": lambda n: np.eye(n),
    "huge": lambda n: np.eye(n)[:3] * 1e200,
    "tiny": lambda n: np.eye(n)[:3] * 1e-200,
    "infinite": lambda n: np.full((2, n), np.inf),
    "single precision": lambda n: np.eye(n, dtype=np.float32)[:5],
}


@pytest.mark.parametrize("name", SPACES)
def test_any_space_gives_a_right_answer(name):
    A, b = family("general", 0)
    before = (basis := SPACES[name](144)).copy()
    result = gcrodr(A, b, restart=20, recycle=6, space=RecycleSpace(basis), max_iterations=1_000)
    assert result.converged and la.norm(b - A @ result.x) <= 1e-8 * la.norm(b) and np.array_equal(basis, before)
    assert name != "everything" or result.iterations == 0


def test_zero_and_singular_right_hand_sides():
    A, b = family("general", 0)
    space = gcrodr(A, b, restart=20, recycle=6).space
    zero = gcrodr(A, 0 * b, space=space)
    assert zero.converged and zero.matvecs == 0 and zero.space is space
    assert gcrodr(np.diag([1.0, 2.0, 0.0]), np.ones(3), restart=2, recycle=1).status in (Status.BREAKDOWN, Status.STAGNATED)


@pytest.mark.parametrize(
    ("keywords", "error", "says"),
    [
        ({"restart": 1}, ValueError, "restart must"), ({"recycle": 0}, ValueError, "recycle must"),
        ({"restart": 5, "recycle": 5}, ValueError, "less than restart"), ({"restart": 2.5}, ValueError, "restart must"),
        ({"space": np.eye(3)}, TypeError, "RecycleSpace"), ({"space": RecycleSpace(np.eye(3))}, ValueError, "3 unknowns"),
    ],
)  # fmt: skip
def test_bad_arguments(keywords, error, says):
    with pytest.raises(error, match=says):
        gcrodr(*family("general", 0), **keywords)


def test_a_space_is_rows():
    with pytest.raises(TypeError, match="a direction a row"):
        RecycleSpace(np.ones(4))
    with pytest.raises(ValueError, match="source must"):
        RecycleSpace(np.ones((2, 4)), np.ones((3, 4)))
    assert RecycleSpace(np.ones((2, 4)), np.ones((2, 4))).nbytes == 128


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32"])
def test_orthonormal_rows(dtype):
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((5, 40)) + (1j * rng.standard_normal((5, 40)) if dtype == "complex128" else 0)
    rows = rows.astype(dtype) * np.array([1e-3, 1, 1e3, 1, 1]).astype(dtype)[:, None]
    rows[4] = rows[1] - rows[3]
    space = right_hand_side(sp.eye_array(40, dtype=dtype), rows[0])[1]
    Q, T = orthonormal(rows, space)
    eps = np.finfo(dtype).eps
    assert Q.shape == (4, 40) and np.abs(Q.conj() @ Q.T - np.eye(4)).max() < 50 * eps
    np.testing.assert_allclose(T @ rows, Q, atol=1e4 * eps)


def test_harmonic_values_come_from_the_smallest_end():
    d = np.arange(1.0, 9.0)
    Q, R, T = harmonic(np.vstack([np.diag(d), np.zeros(8)]), np.vstack([np.eye(8), np.zeros(8)]), 3)
    assert np.count_nonzero(np.abs(T).max(axis=1) > 1e-12) == 3 and np.abs(T[3:]).max() < 1e-12
    np.testing.assert_allclose(Q @ R, np.vstack([np.diag(d), np.zeros(8)]) @ T, atol=1e-12)
    assert harmonic(np.full((3, 2), np.nan), np.ones((3, 2)), 1) is None
