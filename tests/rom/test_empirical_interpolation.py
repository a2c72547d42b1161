"""Empirical interpolation: the published test functions, the triangles, and where the greedy has to stop."""

from __future__ import annotations

import numpy as np
import pytest

from petrov.rom.empirical_interpolation import deim, eim, qdeim


def grid(axis_x, axis_y):
    return np.stack(np.meshgrid(axis_x, axis_y, indexing="ij"), axis=-1).reshape(-1, 2)


def grepl(points, parameters):
    """1 / |x - mu|: Grepl, Maday, Nguyen and Patera, M2AN 41 (2007)."""
    return 1.0 / np.linalg.norm(points[:, None] - parameters, axis=2)


def test_the_function_of_grepl_maday_nguyen_and_patera():
    axis, training = np.linspace(0, 1, 51), np.linspace(-1, -0.01, 40)
    f = grepl(grid(axis, axis), grid(training, training))
    fit = eim(f, max_size=48)
    sizes = np.array([8, 16, 24, 32, 40, 48])
    assert fit.errors[sizes] == pytest.approx([2.7e-1, 8.6e-3, 6.6e-4, 1.3e-4, 1.4e-5, 1.9e-6], rel=0.04)
    assert [fit.truncated(k).lebesgue(f) for k in sizes] == pytest.approx([2.0, 2.3, 4.0, 5.2, 5.2, 10.2], rel=0.03)


def gaussian(x, mu):
    """The constant, the moving part of the conductivity and the reaction, each of size one."""
    bump = np.exp(-((x[:, None] - mu[:, 0]) ** 2) / 0.02)
    return np.concatenate([np.ones((1, len(mu))), bump, mu[None, :, 1] / 100])


def test_the_moving_gaussian_down_to_round_off():
    x = (np.arange(400) + 0.5) / 400
    training = grid(np.linspace(0.1, 0.9, 81), np.linspace(1, 100, 12))
    fit = eim(gaussian(x, training), tol=1e-14, first=0)
    ladder = np.array([8.88e-1, 8.13e-2, 9.12e-4, 9.55e-7, 2.29e-9])
    ratio = fit.errors[[5, 10, 15, 20, 25]] / ladder
    assert (ratio < 2).all() and (ratio > 0.5).all()
    assert fit.points[0] == 0 and 1e12 < fit.condition < 1e15 and 28 <= fit.size <= 34
    tests = np.random.default_rng(5).uniform([0.1, 1], [0.9, 100], (200, 2))
    exact = gaussian(x, tests)
    beta = fit.coefficients(exact[fit.points])
    assert abs(beta.sum(axis=0) - 1).max() < 1e-13
    assert abs(gaussian(x, training[fit.nodes]) @ beta - exact).max() < 1e-12


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_a_table_of_low_rank_is_exact_and_the_greedy_stops_there(dtype):
    rng = np.random.default_rng(7)
    factors = [rng.standard_normal(shape) for shape in [(60, 5), (5, 40)]]
    if dtype.startswith("complex"):
        factors = [part + 1j * rng.standard_normal(part.shape) for part in factors]
    f = (factors[0] @ factors[1]).astype(dtype)
    fit = eim(f, tol=0.0)
    assert fit.size == 5 and len(fit.errors) == 6
    F = f[fit.points][:, fit.nodes]
    assert abs(fit.lower @ fit.upper - F).max() < 1e-13 * abs(F).max()
    assert abs(fit.lower).max() < 1 + 1e-7
    eps = np.finfo(dtype).eps
    assert abs(f[:, fit.nodes] @ fit.coefficients(f[fit.points]) - f).max() < 100 * eps * abs(f).max()
    assert fit.coefficients(f[fit.points, 3]) == pytest.approx(fit.coefficients(f[fit.points])[:, 3])


def test_ties_go_to_the_lowest_index_whatever_the_last_bits_are():
    x = np.linspace(-1, 1, 41)
    f = np.cos(3 * np.subtract.outer(x, x))  # symmetric in both
    noisy = f * (1 + 1e-14 * np.random.default_rng(3).standard_normal(f.shape))
    assert eim(f, tol=1e-9).nodes.tolist() == eim(noisy, tol=1e-9).nodes.tolist()
    assert eim(np.ones((3, 4))).points.tolist() == [0] and eim(np.ones((3, 4))).nodes.tolist() == [0]


def test_nothing_to_interpolate():
    fit = eim(np.zeros((4, 3)))
    assert fit.size == 0 and fit.errors.tolist() == [0.0] and fit.condition == 1.0
    assert fit.coefficients(np.zeros((0, 6))).shape == (0, 6) and fit.lebesgue(np.zeros((4, 3))) == 0.0


def test_the_table_is_not_written_to():
    f = np.random.default_rng(4).standard_normal((30, 20))
    before = f.copy()
    eim(f), deim(f), qdeim(f)
    assert (f == before).all()


@pytest.mark.parametrize("select", [deim, qdeim])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_points_of_a_basis(select, dtype):
    x = np.linspace(0, 1, 200)
    snapshots = np.exp(np.outer(x, np.linspace(-6, 6, 30)) * (1 if dtype == "float64" else 1 + 2j))
    U = np.linalg.svd(snapshots, full_matrices=False)[0][:, :8]
    points = select(U)
    assert len(set(points.tolist())) == 8
    assert np.linalg.norm(np.linalg.inv(U[points]), 2) < 40  # the factor of the error; 200 points at random: hundreds
    best = snapshots - U @ (U.conj().T @ snapshots)
    error = snapshots - U @ np.linalg.solve(U[points], snapshots[points])
    assert np.linalg.norm(error) < 40 * np.linalg.norm(best)
    with pytest.raises(ValueError, match="independent"):
        select(np.hstack([U, U[:, :1]]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: eim(np.array([[1.0, np.nan]])), "column 1"),
        (lambda: eim(np.zeros((0, 3))), "rows and columns"),
        (lambda: eim(np.ones(3)), "rows and columns"),
        (lambda: eim(np.eye(3), first=3), "from 0 to 2"),
        (lambda: eim(np.eye(3), tol=np.nan), "at least 0; got tol=nan"),
        (lambda: eim(np.eye(3), max_size=-1), "at least 0; .*max_size=-1"),
        (lambda: eim(np.diag([0.0, 1.0]), first=0), "is zero"),
        (lambda: eim(np.eye(3)).coefficients(np.ones(2)), "shape"),
        (lambda: eim(np.eye(3)).coefficients(np.full(3, np.inf)), "finite"),
        (lambda: eim(np.eye(3)).truncated(4), "from 0 to 3"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
