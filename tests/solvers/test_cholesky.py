"""The halves of a Cholesky factorisation, against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.solvers import problems
from petrov.solvers.direct.cholesky import cholesky, is_positive_definite


def hermitian(n: int, dtype: str) -> sp.csr_array:
    rng = np.random.default_rng(8_117)
    B = sp.random_array((n, n), density=3 / n, rng=rng, dtype=np.float64)
    B = (B + 1j * sp.random_array((n, n), density=3 / n, rng=rng)) if dtype == "complex128" else B
    return sp.csr_array(B @ B.conj().T + sp.eye_array(n))


SYSTEMS = {
    "poisson": problems.poisson(13).A, "elasticity": problems.elasticity(5).A, "complex": hermitian(60, "complex128"),
    "diagonal": sp.csr_array(sp.diags_array([4.0, 9.0, 0.25])), "one": sp.csr_array([[9.0]]),
}  # fmt: skip


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", SYSTEMS)
def test_halves(name, dense):
    X = SYSTEMS[name].toarray()
    R = cholesky(X if dense else SYSTEMS[name])
    F = np.random.default_rng(3_301).standard_normal((len(X), 4)) * (1 + (1j if name == "complex" else 0))
    tight = {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(R.half(F).conj().T @ R.half(F), F.conj().T @ np.linalg.solve(X, F), **tight)
    np.testing.assert_allclose(R.lower(F).conj().T @ R.lower(F), F.conj().T @ X @ F, **tight)
    np.testing.assert_allclose(R.lift(R.lower(F)), F, **tight)
    np.testing.assert_allclose(X @ R.solve(F), F, **tight)
    np.testing.assert_allclose(R.half(F[:, 0]), R.half(F)[:, 0], **tight)
    np.testing.assert_allclose(R.norm(F), np.sqrt(np.einsum("ij,ij->j", F.conj(), X @ F).real), **tight)
    np.testing.assert_allclose(R.dual_norm(X @ F), R.norm(F), **tight)


def test_complex_vectors_of_a_real_matrix():
    X = SYSTEMS["poisson"]
    f = np.arange(X.shape[0]) * (1 - 2j)
    np.testing.assert_allclose(cholesky(X).half(f), cholesky(X).half(f.real) + 1j * cholesky(X).half(f.imag), rtol=1e-12)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize(
    ("X", "error", "words"),
    [
        (np.diag([1.0, -1.0]), np.linalg.LinAlgError, "not positive definite"),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), np.linalg.LinAlgError, "not positive definite"),
        (np.array([[1.0, 1.0], [1.0, 1.0 - 1e-3]]), np.linalg.LinAlgError, "not positive definite"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), ValueError, "not symmetric"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), ValueError, "finite"),
        (np.ones((2, 3)), ValueError, "square"),
    ],
)
def test_refusals(X, error, words, dense):
    with pytest.raises(error, match=words):
        cholesky(X if dense else sp.csr_array(X))
    assert words != "not positive definite" or not is_positive_definite(X if dense else sp.csr_array(X))


def test_wrong_length():
    with pytest.raises(ValueError, match="rows"):
        cholesky(SYSTEMS["poisson"]).half(np.ones(3))
