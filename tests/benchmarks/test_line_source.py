"""The line source: P_N against quadrature, differences, statistics and collocation against the full system, both methods."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.benchmarks.ttn import line_source
from petrov.benchmarks.ttn.line_source import WAYS, Case
from petrov.benchmarks.ttn.spherical_harmonics import absolute, flux_matrices
from petrov.rom.ttn import TTN

SMALL = Case(cells=12, degree=3, nodes=4, end=0.6)


# -- Directions ------------------------------------------------------------------------------------------------------------


def harmonics(degree, cosine, angle):
    """Real orthonormal ones (number, points): derivatives of (1 - z^2)^l, and the angle around the axis of the cosine."""
    found = []
    for l in range(degree + 1):
        for m in range(-l, l + 1):
            power = np.polynomial.Polynomial([-1.0, 0.0, 1.0]) ** l
            f = power.deriv(l + abs(m))(cosine) * (1 - cosine**2) ** (abs(m) / 2)
            found.append(f * (np.ones_like(angle) if m == 0 else np.cos(m * angle) if m > 0 else np.sin(-m * angle)))
    return np.array(found)


@pytest.fixture(scope="module")
def sphere():
    """Points and weights that integrate products of harmonics up to degree 5 and a direction; the harmonics, normalised."""
    cosine, w = np.polynomial.legendre.leggauss(8)
    angle = 2 * np.pi * np.arange(16) / 16
    cosine, angle = (part.ravel() for part in np.meshgrid(cosine, angle, indexing="ij"))
    weights = np.repeat(w, 16) * 2 * np.pi / 16
    Y = harmonics(5, cosine, angle)
    return np.sqrt(1 - cosine**2) * np.cos(angle), cosine, weights, Y / np.sqrt(Y**2 @ weights)[:, None]


def test_flux_matrices_against_quadrature(sphere):
    x, y, weights, Y = sphere
    for A, direction in zip(flux_matrices(5), (x, y), strict=True):
        np.testing.assert_allclose(A.toarray(), (Y * weights * direction) @ Y.T, atol=1e-13)


def test_speeds_are_the_same_in_all_directions():
    """They are the nodes of Gauss-Legendre quadrature and of its derivatives: in (-1, 1), the largest that of order 0."""
    A_x, A_y = (A.toarray() for A in flux_matrices(7))
    speeds = np.linalg.eigvalsh(A_y)
    assert np.isclose(speeds.max(), np.polynomial.legendre.leggauss(8)[0].max())
    for turn in (0.3, 1.1, np.pi / 2):
        np.testing.assert_allclose(np.linalg.eigvalsh(np.cos(turn) * A_y + np.sin(turn) * A_x), speeds, atol=1e-13)


def test_absolute_values():
    for A in flux_matrices(6):
        found = absolute(A).toarray()
        np.testing.assert_allclose(found @ found, (A @ A).toarray(), atol=1e-13)
        assert np.linalg.eigvalsh(found).min() > -1e-13
        assert absolute(A).nnz < 0.2 * A.shape[0] ** 2


# -- The system ------------------------------------------------------------------------------------------------------------


def test_differences_of_polynomials():
    x, y = np.meshgrid(SMALL.centres, SMALL.centres, indexing="ij")
    inside = np.zeros((SMALL.cells, SMALL.cells))
    inside[1:-1, 1:-1] = 1.0
    D_x, D_y, E_x, E_y = line_source.differences(SMALL.cells, SMALL.dx)
    u = (x**2 + 3 * x * y**2).ravel()
    np.testing.assert_allclose(D_x @ u, (inside * (2 * x + 3 * y**2)).ravel(), atol=1e-12)
    np.testing.assert_allclose(D_y @ u, (inside * 6 * x * y).ravel(), atol=1e-12)
    np.testing.assert_allclose(E_x @ u, SMALL.dx / 2 * (inside * 2).ravel(), atol=1e-12)
    np.testing.assert_allclose(E_y @ u, SMALL.dx / 2 * (inside * 6 * x).ravel(), atol=1e-12)


def matrix(op, n):
    """What a term has on one leg, as a sparse matrix."""
    return op if sp.issparse(op) else sp.diags_array(np.ones(n) if op is None else op)


@pytest.mark.parametrize("cells", [12, 13])
def test_collocation_against_the_operator(cells):
    """A quarter of the square and half the harmonics do what the whole operator does at one pair of nodes."""
    case = Case(cells=cells, degree=3, nodes=4, end=0.6)
    nodes = np.polynomial.legendre.leggauss(case.nodes)[0]
    at = [np.eye(case.nodes)[i] for i in (3, 1)]
    M = sp.csr_array((cells**2 * case.moments,) * 2)
    for c, factors in line_source.operator(case).terms:
        c *= np.prod([at[k - 2] @ factors[k] for k in (2, 3) if k in factors])
        M = M + c * sp.kron(matrix(factors.get(0), cells**2), matrix(factors.get(1), case.moments)).tocsr()
    u = np.kron(line_source.source(case), np.eye(1, case.moments)[0])
    for k in range(case.steps):
        h = min(case.dt, case.end - k * case.dt)
        term = u
        for order in range(1, 5):
            term = h / order * (M @ term)
            u = u + term
    found = line_source.collocated(case, nodes[3], nodes[1])
    np.testing.assert_allclose(found.ravel(), u.reshape(-1, case.moments)[:, 0], atol=1e-12 * u.max())


def test_absorption_is_a_factor_of_the_solution():
    """Collocation in xi alone is collocation in both, to the errors of the steps in time."""
    case, (nodes, w) = Case(cells=20, degree=3), np.polynomial.legendre.leggauss(4)
    flux = np.array([[line_source.collocated(case, xi, eta) for eta in nodes] for xi in nodes])
    mean = np.einsum("i,j,ijxy->xy", w / 2, w / 2, flux)
    deviation = np.sqrt(np.einsum("i,j,ijxy->xy", w / 2, w / 2, (flux - mean) ** 2))
    found = line_source.reference(case, 4)
    assert line_source.off(found[0], mean) < 1e-4 and line_source.off(found[1], deviation) < 5e-4


def test_mean_and_deviation_of_a_state():
    w = np.polynomial.legendre.leggauss(SMALL.nodes)[1] / 2
    state = TTN.random(SMALL.tree, 3)
    flux = state.to_dense()[:, 0].reshape(SMALL.cells, SMALL.cells, SMALL.nodes, SMALL.nodes)
    mean = np.einsum("xyij,i,j->xy", flux, w, w)
    deviation = np.sqrt(np.einsum("xyij,i,j->xy", (flux - mean[..., None, None]) ** 2, w, w))
    found = line_source.mean_and_deviation(SMALL, state)
    np.testing.assert_allclose(found[0], mean, atol=1e-14)
    np.testing.assert_allclose(found[1], deviation, atol=1e-10)


# -- The methods -----------------------------------------------------------------------------------------------------------


def test_rows():
    """Both methods beside collocation; the state follows the light: ranks grow, and the mean is round in the square's sense."""
    case = Case(cells=16, degree=4, nodes=5)
    rows = line_source.measure(case)
    assert [row.status for row in rows] == ["OK"] * len(WAYS), [row.reason for row in rows]
    assert all(row.history[-1][1] > 15 and row.history[-1][0] == case.end and row.memory > 0 for row in rows)
    assert rows[0].relative_residual < 5e-3


def test_errors_fall_with_eps():
    case = Case(cells=16, degree=4, nodes=5)
    expected = line_source.reference(case, 5)
    found = [line_source.run(case, replace(WAYS[0], eps=eps)) for eps in (1e-2, 1e-3, 1e-5)]
    for k in (0, 1):
        errors = [line_source.off((one.mean, one.deviation)[k], expected[k]) for one in found]
        assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-3, errors
    assert found[0].numbers < found[1].numbers < found[2].numbers


def test_a_wrong_answer_is_called_wrong():
    (row,) = line_source.measure(Case(cells=12, degree=3, nodes=3), ways=[replace(WAYS[0], allowed=1e-6)])
    assert row.status == "WRONG" and row.solve_seconds is None and row.relative_residual > row.rtol
