"""The batched small systems and the residual, against dense algebra, on several array libraries; the orthonormal coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from petrov.rom.operators.terms import terms
from petrov.rom.reduced_model import online
from petrov.rom.reduced_model.error_bound import Coordinates, interpolate_norms
from petrov.rom.reduced_model.projection import Projection
from petrov.solvers.direct.cholesky import cholesky


def problem(dtype: str = "float64", spd: bool = True, N: int = 7, k: int = 2, n: int = 60) -> tuple[Projection, np.ndarray, np.ndarray]:
    """(a projection of size N, thetas (3, m), rhs (2, m)) with dense random terms."""
    rng = np.random.default_rng(6_203)
    random = lambda *shape: (  # noqa: E731
        rng.standard_normal(shape) + 1j * rng.standard_normal(shape) if dtype == "complex128" else rng.standard_normal(shape)
    )
    A = [B @ B.conj().T / n + np.eye(n) if spd else B / n**0.5 + 3 * np.eye(n) for B in (random(n, n) for _ in range(3))]
    projection = Projection(terms(A), random(2, n, k), cholesky(A[0]) if spd else cholesky(np.eye(n)), L=random(1, 4, n))
    projection.append(random(n, N))
    return projection, rng.uniform(0.5, 2.0, (3, 150)), rng.uniform(-1.0, 1.0, (2, 150))


def dense(projection: Projection, thetas: np.ndarray, rhs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(a, residual norms) one parameter at a time, from the matrices themselves."""
    V, a, norms = projection.V.columns, [], []
    for theta, weight in zip(thetas.T, rhs.T, strict=True):
        A, b = projection.terms.combined(theta), np.tensordot(weight, projection.b, axes=1)
        a.append(np.linalg.solve(V.conj().T @ A @ V, V.conj().T @ b))
        norms.append(projection.factor.dual_norm(b - A @ V @ a[-1]))
    return np.stack(a, axis=2), np.stack(norms, axis=1)


@pytest.mark.parametrize("spd", [True, False])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("library", ["numpy", "torch", "array_api_strict"])
def test_solve_and_residual(library, dtype, spd):
    projection, thetas, rhs = problem(dtype, spd)
    a, norms = dense(projection, thetas, rhs)
    reduced = projection.reduced()
    assert reduced.hermitian == spd and reduced.triangular
    if library != "numpy":
        pytest.importorskip(library)
        from array_api_compat import torch as compat

        xp = compat if library == "torch" else pytest.importorskip(library)
        reduced = reduced.on(xp)
        thetas, rhs = (xp.asarray(x.astype(dtype)) for x in (thetas, rhs))
    found = online.solve(reduced, thetas, rhs)
    np.testing.assert_allclose(np.asarray(found), a, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(np.asarray(online.residual(reduced, thetas, rhs, found)), norms, rtol=1e-9, atol=1e-11)
    outputs = online.outputs(reduced, thetas[:1, :], found)
    np.testing.assert_allclose(
        np.asarray(outputs)[:, 1, 5], np.asarray(thetas)[0, 5] * projection.L[0] @ projection.V.columns @ a[:, 1, 5], rtol=1e-9, atol=1e-11
    )  # fmt: skip


@pytest.mark.parametrize("m", [1, 3, 63, 64, 65, 2_500])
def test_any_number_of_parameters(m):
    projection, thetas, rhs = problem(k=1)
    thetas, rhs = np.tile(thetas, 17)[:, :m], np.tile(rhs, 17)[:, :m]
    a, norms = dense(projection, thetas[:, :150], rhs[:, :150])
    reduced = projection.reduced()
    found = online.solve(reduced, thetas, rhs)
    np.testing.assert_allclose(found[:, :, :150], a, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(online.residual(reduced, thetas, rhs, found)[:, :150], norms, rtol=1e-9)
    np.testing.assert_array_equal(found[:, :, 150:300], found[:, :, : max(0, min(m - 150, 150))])


def test_indefinite_among_definite():
    """A parameter where A is not positive definite is solved too."""
    projection, thetas, rhs = problem(k=1)
    thetas[:, 40] *= -1.0
    thetas[:, 41] = [1.0, -0.9, 0.2]
    np.testing.assert_allclose(online.solve(projection.reduced(), thetas, rhs), dense(projection, thetas, rhs)[0], rtol=1e-8, atol=1e-10)


def test_truncated_is_what_it_was():
    projection, thetas, rhs = problem(N=4)
    small = projection.reduced()
    projection.append(np.random.default_rng(11).standard_normal((60, 3)))
    cut = projection.reduced().truncated(4)
    a = online.solve(small, thetas, rhs)
    np.testing.assert_allclose(online.solve(cut, thetas, rhs), a, rtol=1e-10)
    np.testing.assert_allclose(online.residual(cut, thetas, rhs, a), online.residual(small, thetas, rhs, a), rtol=1e-10)


# -- Coordinates -----------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.lists(st.sampled_from(["new", "old", "sum", "zero", "tiny", "huge"]), min_size=1, max_size=4), min_size=1, max_size=8),
    st.integers(0, 10**6),
)
def test_coordinates_keep_every_vector(blocks, seed):
    """F = Y R with orthonormal Y, whatever depends on whatever: trap 4 of Gram-Schmidt with a tolerance."""
    rng = np.random.default_rng(seed)
    coordinates, F = Coordinates(24, np.dtype(float)), np.zeros((24, 0))
    for block in blocks:
        columns = []
        for kind in block:
            u = rng.standard_normal(24)
            if kind == "old" and F.shape[1]:
                u = F[:, -1].copy()
            elif kind == "sum" and F.shape[1]:
                u = F @ rng.standard_normal(F.shape[1])
            elif kind in ("zero", "tiny", "huge"):
                u = u * {"zero": 0.0, "tiny": 1e-14, "huge": 1e8}[kind]
            columns.append(u)
        coordinates.append(np.stack(columns, axis=1))
        F = np.concatenate([F, np.stack(columns, axis=1)], axis=1)
    Y = np.eye(24) if coordinates.Y is None else coordinates.Y.columns
    np.testing.assert_allclose(Y.T @ Y, np.eye(Y.shape[1]), atol=1e-13)
    error = np.abs(Y @ coordinates.R - F).max(axis=0)
    assert (error <= 1e-13 * np.maximum(np.abs(F).max(), 1e-300)).all()


def test_residuals_of_dependent_columns():
    """A u = b exactly once a step: the residual of u is round-off, and nothing after it is lost."""
    rng = np.random.default_rng(5)
    A = [np.diag(rng.uniform(1, 2, 80)) for _ in range(3)]
    b = rng.standard_normal((1, 80, 1))
    projection = Projection(terms(A), b, cholesky(np.eye(80)))
    mus = rng.uniform(0.5, 1.5, (3, 20))
    for j in range(12):
        projection.append(np.linalg.solve(np.tensordot(mus[:, j], np.array(A), axes=1), b[0]))
    reduced, one = projection.reduced(), np.ones((1, 20))
    a = online.solve(reduced, mus, one)
    norms = online.residual(reduced, mus, one, a)[0]
    np.testing.assert_allclose(norms, dense(projection, mus, one)[1][0], rtol=1e-6, atol=1e-13)
    assert norms[:12].max() < 1e-12 < norms[12:].min()


def test_norms_by_interpolation():
    """Form E3: as sharp as E4 down to 1e-7 of the largest, an estimate."""
    rng = np.random.default_rng(9)
    R, t = rng.standard_normal((50, 4)), np.linspace(0, 1, 300)
    c = np.stack([np.ones_like(t), -np.exp(t), t**2, np.sin(3 * t)])
    estimate = interpolate_norms(c[:, ::3], lambda l: np.linalg.norm(R @ c[:, 3 * l]))
    np.testing.assert_allclose(estimate(c), np.linalg.norm(R @ c, axis=0), rtol=1e-9)
