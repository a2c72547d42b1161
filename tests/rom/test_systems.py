"""The known systems are what they say: dense NumPy gives the published figures."""

import numpy as np
import pytest
import scipy.linalg as la
import scipy.sparse.linalg as sla

from .systems import gaussian_1d, grid, icosphere, libmesh_ex1, libmesh_ex2, reaction_1d, sphere, thermal_block


def weak_greedy(problem, size, order=None, tie=1e-8):
    """Bounds before each step and after the last, the indices chosen, the basis; residuals orthogonalised in X."""
    half = dense_half(problem.X)
    thetas = np.array([[float(theta(problem.at(row))) for theta in problem.thetas] for row in problem.train])
    alpha = np.array([float(problem.alpha(problem.at(row))) for row in problem.train])
    f = problem.assemble(problem.at(problem.train[0]))[1]
    V, bounds, chosen = np.zeros((len(f), 0)), [], []
    for step in range(size + 1):
        reduced = np.array([V.T @ (A @ V) for A in problem.terms])
        R = la.qr(half(np.column_stack([f, *(A @ V for A in problem.terms)])), mode="r")[0]
        a = np.linalg.solve(np.einsum("mq,qij->mij", thetas, reduced), np.broadcast_to(V.T @ f, (len(thetas), step))[..., None])[..., 0]
        c = np.concatenate([np.ones((len(a), 1)), -np.einsum("mq,mj->mqj", thetas, a).reshape(len(a), -1)], axis=1)
        found = np.linalg.norm(c @ R.T, axis=1) / alpha
        bounds.append(found.max())
        if step < size:
            chosen.append(int(np.argmax(found >= found.max() * (1 - tie))) if order is None else order[step])
            A, b = problem.assemble(problem.at(problem.train[chosen[-1]]))[:2]
            u = sla.spsolve(A.tocsc(), b)
            for _ in range(2):
                u = u - V @ (V.T @ (problem.X @ u))
            V = np.column_stack([V, u / np.sqrt(u @ (problem.X @ u))])
    return np.array(bounds), chosen, V


def dense_half(X):
    L = la.cholesky(X.toarray(), lower=True)
    return lambda y: la.solve_triangular(L, y, lower=True)


def test_libmesh_ex1_has_all_21_bounds_and_the_outputs():
    problem = libmesh_ex1()
    half, known = dense_half(problem.X), problem.known
    bounds, _, _ = weak_greedy(problem, 20)
    np.testing.assert_allclose(bounds, known.bounds, rtol=5e-6)
    bounds, _, V = weak_greedy(problem, 20, known.order)
    np.testing.assert_allclose(bounds, known.bounds, rtol=5e-6)
    A, b, L = problem.assemble(known.mu)
    u = V @ np.linalg.solve(V.T @ (A @ V), V.T @ b)
    np.testing.assert_allclose(L @ u, known.outputs, rtol=5e-6)
    dual = np.linalg.norm(half(L[0]))
    assert dual == pytest.approx(known.output_dual_norm, rel=2e-6)
    assert dual * np.linalg.norm(half(b - A @ u)) / 0.05 == pytest.approx(known.output_bound, rel=2e-6)


def test_libmesh_ex2_has_the_outputs_and_the_smallest_eigenvalue():
    problem = libmesh_ex2()
    A, b, L = problem.assemble(problem.known.mu)
    outputs = L @ sla.spsolve(A.tocsc(), b)
    assert (abs(outputs - problem.known.outputs) < problem.known.output_bounds / 10).all()
    S = problem.terms[2].toarray()
    smallest = la.eigh((S + S.T) / 2, problem.X.toarray(), eigvals_only=True, subset_by_index=(0, 0))
    assert smallest[0] == pytest.approx(problem.known.smallest, rel=2e-6)


def test_reaction_has_the_measured_errors():
    problem = reaction_1d()
    half, known = dense_half(problem.X), problem.known
    _, _, V = weak_greedy(problem, 12)
    for size, expected in known.errors.items():
        W, worst = V[:, :size], np.zeros(2)
        for row in known.tests:
            A, b = problem.assemble(problem.at(row))
            u = sla.spsolve(A.tocsc(), b)
            v = W @ np.linalg.solve(W.T @ (A @ W), W.T @ b)
            norm, error = (np.sqrt(w @ (problem.X @ w)) for w in (u, u - v))
            worst = np.maximum(worst, [error / norm, np.linalg.norm(half(b - A @ v)) / norm])
        if size <= 10:  # beyond, rounding
            np.testing.assert_allclose(worst, expected, rtol=0.2)


def interpolation(F, size):
    R, rows, columns = F, [], []
    for _ in range(size):
        i, j = np.unravel_index(np.abs(R).argmax(), F.shape)
        rows.append(i)
        columns.append(j)
        R = F - np.linalg.solve(F[np.ix_(rows, columns)].T, F[:, columns].T).T @ F[rows]
    return np.abs(R).max(), rows, columns


def stacked(problem, mu):
    return np.concatenate([g(x, mu) for g, x in zip(problem.functions, problem.points, strict=True)])


def test_gaussian_interpolates_as_measured():
    problem = gaussian_1d()
    known, mus = problem.known, [problem.at(row) for row in problem.train]
    F = np.array([stacked(problem, mu) for mu in mus]).T
    for size in (5, 10, 20):
        worst, rows, columns = interpolation(F, size)
        assert (worst, np.linalg.cond(F[np.ix_(rows, columns)])) == pytest.approx(known.interpolation[size], rel=0.02)
    tests, errors = np.random.default_rng(5).uniform((0.1, 1), (0.9, 100), (100, 2)), []
    nodes = [problem.assemble(mus[j])[0].toarray() for j in columns]
    for row in tests:
        mu = problem.at(row)
        beta = np.linalg.solve(F[np.ix_(rows, columns)], stacked(problem, mu)[rows])
        A = problem.assemble(mu)[0].toarray()
        errors.append(abs(A - np.tensordot(beta, nodes, 1)).max() / abs(A).max())
    assert max(errors) == pytest.approx(known.matrix_errors[20], rel=0.5)
    A, X = (problem.assemble(mu)[0].toarray() for mu in ({"centre": 0.3, "sigma": 7.0}, known.bar))
    assert 0.2 < problem.alpha({"centre": 0.3, "sigma": 7.0})[0] / la.eigh(A, X, eigvals_only=True)[0] <= 1 + 1e-12


def test_sphere_is_the_single_layer_and_linear_in_its_exponentials():
    problem = sphere(2)
    A, b = problem.assemble({"k": 2.0})
    assert A.dtype == b.dtype == complex
    exact = np.sin(2) * np.exp(2j) / 2  # of the operator on constants; the collocation is of second order
    coarse, fine = (abs(sphere(level).assemble({"k": 2.0})[0].sum(axis=1) - exact).max() for level in (2, 3))
    assert coarse < 0.02 and 3.8 < coarse / fine < 4.2
    area = np.linalg.norm(np.cross(*np.diff(icosphere(3), axis=1).transpose(1, 0, 2)), axis=1) / 2
    assert len(area) == 1280 and 4 * np.pi * 0.995 < area.sum() < 4 * np.pi
    F = np.array([stacked(problem, problem.at(row)) for row in problem.train]).T
    errors = {}
    for size in (8, 10, 14):
        _, rows, columns = interpolation(F, size)
        nodes = [problem.assemble(problem.at(problem.train[j]))[0] for j in columns]
        beta = np.linalg.solve(F[np.ix_(rows, columns)], stacked(problem, {"k": 4.321})[rows])
        A = problem.assemble({"k": 4.321})[0]
        errors[size] = np.linalg.norm(A - np.tensordot(beta, nodes, 1)) / np.linalg.norm(A)
    assert all(errors[size] < 5 * problem.known.matrix_errors[size] for size in errors)


@pytest.mark.parametrize("blocks", [(2, 2), (3, 3), (2, 3)])
def test_thermal_block_solves_its_equation(blocks):
    problem = thermal_block(12, blocks)
    points = problem.known.points
    assert len(problem.terms) == blocks[0] * blocks[1] and len(points) == 11**2 + 12**2
    A, f = problem.assemble(dict.fromkeys(problem.box, 1.0))
    u = sla.spsolve(A.tocsc(), f)
    assert u.max() == pytest.approx(0.07367, rel=0.02)  # the membrane, at the centre
    assert points[u.argmax()] == pytest.approx([0.5, 0.5])
    assert f @ u == pytest.approx(0.035144, rel=0.02)
    one, (x, y) = problem.terms[1], points.T  # the second block from the left, below
    inside = (x > 1 / blocks[0]) & (x < 2 / blocks[0]) & (y < 1 / blocks[1])
    assert (one.diagonal()[inside] > 0).all() and (one.diagonal()[x < 1 / blocks[0] - 0.1] == 0).all()


def test_thermal_block_is_that_of_pymor():
    pytest.importorskip("pymor", reason="pyMOR is the oracle: pip install 'petrov[bench]'")
    from petrov.benchmarks.rom import peer

    ours, theirs = thermal_block(13, (3, 2)), peer.thermal(13, (3, 2))
    order, other = (np.lexsort(points.round(9).T) for points in (ours.known.points, theirs.points))
    for A, B in zip(ours.terms, theirs.terms, strict=True):
        assert abs(A[order][:, order] - B[other][:, other]).max() < 1e-12
    np.testing.assert_allclose(ours.assemble(dict.fromkeys(ours.box, 1.0))[1][order], theirs.f[other], rtol=1e-12)


def test_grid_has_its_first_axis_slowest():
    assert grid(np.array([1, 2]), np.array([3, 4])).tolist() == [[1, 3], [1, 4], [2, 3], [2, 4]]
