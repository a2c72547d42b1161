"""Functions of an affine family from those at a few nodes, against dense computations and the figures of the reference family."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from scipy.interpolate import RBFInterpolator

from petrov.rom.matrix_functions.algorithms import Iteration, Polynomial
from petrov.rom.matrix_functions.interpolate import interpolate_function, interpolate_inverse, interpolate_logdet
from petrov.rom.parameters import Parameters
from petrov.solvers import Jacobi, cg

BOX = Parameters(a=(0.5, 1.5), b=(0.5, 1.5))
TRAIN = BOX.grid(21)
THETAS = [lambda mu: 1.0, lambda mu: mu["a"], lambda mu: mu["b"]]


def family(seed, n=60):
    """A0 = I + B0 B0^T / n, A_i = B_i B_i^T / n."""
    B = np.random.default_rng(seed).standard_normal((3, n, n))
    A = B @ B.transpose(0, 2, 1) / n
    A[0] += np.eye(n)
    return list(A)


def summed(A, mus):
    return np.array([A[0] + a * A[1] + b * A[2] for a, b in mus])


def relative(X, exact):
    return (np.linalg.norm(X - exact, axis=(1, 2)) / np.linalg.norm(exact, axis=(1, 2))).max()


def some(seed, count=50):
    return np.random.default_rng(seed).uniform(0.5, 1.5, (count, 2))


def test_the_inverse_of_the_reference_family_beats_an_interpolation_of_its_entries():
    errors, plates = [], []
    for seed in range(10):
        A, mus = family(seed), some(100 + seed)
        exact = np.linalg.inv(summed(A, mus))
        inverse = interpolate_inverse(A, THETAS, TRAIN, parameters=BOX)
        assert inverse.size == 28
        errors.append(relative(inverse.evaluate(mus), exact))
        plate = RBFInterpolator(inverse.nodes, inverse.values.reshape(28, -1), kernel="thin_plate_spline")
        plates.append(relative(plate(mus).reshape(exact.shape), exact))
    assert np.median(errors) < 4e-5
    assert np.median(errors) < np.median(plates) / 30


@pytest.mark.parametrize(
    ("degree", "size", "inverse", "logdet"),
    [(1, 3, 6.8e-2, 1.2), (2, 6, 2.0e-2, 3.2e-1), (3, 10, 3.6e-3, 4.1e-2), (4, 15, 7.1e-4, 6.1e-3), (6, 28, 2.1e-5, 1.1e-4),
     (8, 45, 5.7e-7, 2.8e-6)],
)  # fmt: skip
def test_the_ladder_of_the_reference_family(degree, size, inverse, logdet):
    found = []
    for seed in range(5):
        A, mus = family(seed), some(100 + seed)
        matrices = summed(A, mus)
        X = interpolate_inverse(A, THETAS, TRAIN, parameters=BOX, degree=degree)
        y = interpolate_logdet(A, THETAS, TRAIN, parameters=BOX, degree=degree)
        assert X.size == y.size == size
        exact, values = np.linalg.inv(matrices), np.linalg.slogdet(matrices)[1]
        errors, misses = np.linalg.norm(X.evaluate(mus) - exact, 2, axis=(1, 2)), abs(y.evaluate(mus) - values)
        assert (errors <= X.bound(mus)).all() and (misses <= y.bound(mus)).all()
        assert 1 <= X.estimate(mus).max() / errors.max() < 500 and 1 <= y.estimate(mus).max() / misses.max() < 500
        found.append((relative(X.evaluate(mus), exact), misses.max()))
    medians = np.median(found, axis=0)
    assert medians[0] < 2 * inverse and medians[1] < 2 * logdet


@pytest.mark.parametrize("size", [2, 5, 7, 11, 16])
def test_an_estimate_of_an_interpolation_that_was_cut_short(size):
    A, mus = family(2, n=30), some(4)
    X = interpolate_inverse(A, THETAS, TRAIN, parameters=BOX, max_size=size)
    errors = np.linalg.norm(X.evaluate(mus) - np.linalg.inv(summed(A, mus)), axis=(1, 2))
    assert errors.max() <= X.estimate(mus).max() and (errors <= X.bound(mus)).all()


def test_the_remainder_of_a_series_is_in_the_bound():
    f = interpolate_inverse([np.eye(1), 0.97 * np.eye(1)], THETAS[:1] + [lambda mu: mu["s"]], {"s": np.linspace(-1, 1, 41)}, degree=3)
    s, k = np.array([[0.5]]), np.arange(3000)
    beta = f.coefficients(s)[:, 0]
    terms = 0.97**k * abs(0.5**k - (beta[:, None] * f.nodes**k).sum(axis=0))
    assert terms.sum() <= f.bound(s)[0] < 1.6 * terms.sum() and terms[:61].sum() < 0.95 * terms.sum()


CASES = {
    "sqrt": (scipy.linalg.sqrtm, lambda A: A, True),
    "exp": (scipy.linalg.expm, lambda A: [part / 4 for part in A], True),
    "sign": (scipy.linalg.signm, lambda A: [np.block([[part, part / 9], [part / 7, -part]]) for part in A], False),
}


@pytest.mark.parametrize("name", CASES)
def test_other_functions_against_scipy(name):
    reference, change, bounded = CASES[name]
    A, mus = change(family(3, n=20)), some(9, 12)
    exact = np.array([reference(part) for part in summed(A, mus)])
    f = interpolate_function(name, A, THETAS, TRAIN, parameters=BOX, degree=7)
    assert relative(f.evaluate(mus), exact) < 1e-4
    coarse = interpolate_function(name, A, THETAS, TRAIN, parameters=BOX, degree=3)
    errors = np.linalg.norm(coarse.evaluate(mus) - exact, 2, axis=(1, 2))
    assert errors.max() < coarse.estimate(mus).max()
    if bounded:
        assert (errors <= coarse.bound(mus)).all()
    else:
        with pytest.raises(ValueError, match="no series of sign is known"):
            f.bound(mus)


def test_a_polynomial_is_exact_from_its_degree_on_and_bounded_below_it():
    A, mus, cubic = [part / 5 for part in family(4, n=12)], some(8, 20), Polynomial([1.0, -2.0, 0.5, 3.0])
    exact = np.array([cubic(part) for part in summed(A, mus)])
    f = interpolate_function(cubic, A, THETAS, TRAIN, parameters=BOX, degree=3)
    assert f.size == 10 and relative(f.evaluate(mus), exact) < 1e-13 and f.bound(mus).max() < 1e-10
    coarse = interpolate_function(cubic, A, THETAS, TRAIN, parameters=BOX, degree=2)
    errors = np.linalg.norm(coarse.evaluate(mus) - exact, 2, axis=(1, 2))
    assert (errors <= coarse.bound(mus)).all() and (coarse.bound(mus) < 100 * errors.max()).all() and errors.max() > 1e-3


def test_an_iteration_of_matrix_powers_and_a_callable_of_the_user():
    A, mus = family(5, n=15), some(7, 6)
    newton_schulz = Iteration(lambda X, A: 2 * X - X @ A @ X, start=lambda A: A.T / np.linalg.norm(A) ** 2)
    X = interpolate_function(newton_schulz, A, THETAS, TRAIN, parameters=BOX)
    Y = interpolate_function(np.linalg.inv, A, THETAS, TRAIN, parameters=BOX)
    assert relative(X.evaluate(mus), Y.evaluate(mus)) < 1e-12 and Y.name == "inv"
    with pytest.raises(np.linalg.LinAlgError, match="did not converge in 3 steps"):
        interpolate_function(Iteration(newton_schulz.step, newton_schulz.start, max_iterations=3), A, THETAS, TRAIN, parameters=BOX)
    with pytest.raises(np.linalg.LinAlgError, match="diverged"):
        Iteration(lambda X, A: X @ X)(np.diag([3.0, 2.0]))


def diffusion(m, field):
    """Five points on an m x m grid, the conductivity of the left half: the field's, of the right: 1 less."""
    line = sp.diags_array([-np.ones(m - 1), 2 * np.ones(m), -np.ones(m - 1)], offsets=[-1, 0, 1])
    grid = sp.kron(line, sp.eye_array(m)) + sp.kron(sp.eye_array(m), line)
    root = sp.diags_array(np.sqrt(np.repeat(field(np.arange(m) / m), m)))
    return (root @ grid @ root).tocsr()


@pytest.mark.parametrize("black_box", [False, True])
def test_a_sweep_of_sparse_systems_needs_a_few_iterations(black_box):
    A = [diffusion(24, lambda x: 1.0 + x), diffusion(24, lambda x: (x > 0.4) * (1 + x)), sp.eye_array(576, format="csr")]
    matrices = A if not black_box else lambda mu: A[0] + mu["a"] * A[1] + mu["b"] * A[2]
    inverse = interpolate_inverse(matrices, THETAS, TRAIN, parameters=BOX)
    b = np.random.default_rng(2).standard_normal(576)
    for mu in some(6, 5):
        system = A[0] + mu[0] * A[1] + mu[1] * A[2]
        exact = scipy.sparse.linalg.spsolve(system.tocsc(), b)
        assert np.linalg.norm(inverse.apply(mu, b) - exact) < 1e-3 * np.linalg.norm(exact)
        result = cg(system, b, M=inverse.preconditioner(mu), rtol=1e-10)
        assert result.converged and result.iterations <= 4 < 40 < cg(system, b, M=Jacobi(), rtol=1e-10).iterations
    with pytest.raises(ValueError, match=r"no bound .*(sparse|callable)"):
        inverse.bound(TRAIN[:1])
    assert inverse.at(mu).spd is None and np.isfinite(inverse.estimate(TRAIN[:3] + 0.01)).all()
    B = np.stack([b, -b], axis=1)
    assert np.allclose(inverse.at(mu).H @ B, inverse.at(mu) @ B, rtol=1e-8, atol=1e-12)
    assert inverse.at({"a": 1.2, "b": 0.7}) @ B == pytest.approx(inverse.evaluate({"a": 1.2, "b": 0.7}) @ B)


def test_definiteness_is_looked_at():
    A, mu = family(6, n=30), [1.21, 0.77]
    good = interpolate_inverse(A, THETAS, TRAIN, parameters=BOX)
    assert (good.coefficients(mu) < 0).any()
    assert good.at(mu).spd is True and good.at(mu, probe=False).spd is None
    assert (good.at(mu) @ np.eye(30)) == pytest.approx(good.evaluate(mu))
    wide = Parameters(t=(1e-3, 1.0))  # 1 / t through three nodes dips below zero
    poor = interpolate_inverse([np.eye(3)], [lambda mu: mu["t"]], wide.grid(50), parameters=wide, degree=2)
    answers = [(poor.at(t).spd, poor.evaluate(t)[0, 0] > 0) for t in np.linspace(1e-3, 1, 30)]
    assert all(said == truth for said, truth in answers) and {truth for _, truth in answers} == {False, True}
    tilted = interpolate_inverse([A[0] + np.triu(A[1]), *A[1:]], THETAS, TRAIN, parameters=BOX)
    assert tilted.at(mu).spd is False


@pytest.mark.parametrize("dtype", ["float32", "complex64", "complex128"])
def test_types_and_complex_thetas(dtype):
    A = [part.astype(dtype) for part in family(7, n=10)]
    thetas = [lambda mu: 1.0, lambda mu: mu["a"], (lambda mu: np.exp(1j * mu["b"])) if dtype[0] == "c" else lambda mu: mu["b"]]
    f = interpolate_inverse(A, thetas, TRAIN, parameters=BOX, degree=8)
    X = f.evaluate([1.1, 0.9])
    theta = np.exp(0.9j) if dtype[0] == "c" else 0.9
    assert X.dtype == dtype == f.at([1.1, 0.9]).dtype
    assert relative(X[None], np.linalg.inv(A[0] + 1.1 * A[1] + theta * A[2])[None]) < 2e-4
    b = np.ones(10, dtype)
    assert f.apply([1.1, 0.9], b).dtype == dtype and f.at([1.1, 0.9]).H @ b == pytest.approx(X.conj().T @ b, rel=1e-4)


def test_sparse_complex_factorisations_and_their_adjoint():
    A = [diffusion(5, lambda x: 1.0 + x), diffusion(5, lambda x: (x > 0.4) * 1j), sp.eye_array(25, format="csr")]
    f = interpolate_inverse(A, [*THETAS[:2], lambda mu: np.exp(1j * mu["b"])], TRAIN, parameters=BOX, degree=4)
    operator, X = f.at([1.3, 0.6]), f.evaluate([1.3, 0.6])
    assert abs(f.coefficients([1.3, 0.6]).imag).max() > 1e-3
    assert np.allclose(operator @ np.eye(25), X) and np.allclose(operator.H @ np.eye(25), X.conj().T)


def test_sparse_determinants():
    A = [diffusion(8, lambda x: 1.0 + x), diffusion(8, lambda x: (x > 0.4) * 1.0), sp.eye_array(64, format="csr")]
    f, g = (interpolate_logdet(parts, THETAS, TRAIN, parameters=BOX) for parts in (A, [part.toarray() for part in A]))
    assert f.values == pytest.approx(g.values, rel=1e-12)
    order = np.random.default_rng(1).permutation(64)
    with pytest.raises(np.linalg.LinAlgError, match="positive determinant") if np.linalg.det(np.eye(64)[order]) < 0 else no_error():
        interpolate_logdet([part[order] for part in A], THETAS, TRAIN, parameters=BOX)


def no_error():
    from contextlib import nullcontext

    return nullcontext()


def test_forms_of_a_parameter():
    A, columns = family(8, n=5), BOX.columns(TRAIN)
    f, g = interpolate_inverse(A, THETAS, columns), interpolate_logdet(A, THETAS, columns)
    one = {"a": 0.8, "b": 1.2}
    assert f.evaluate(one).shape == f.evaluate([0.8, 1.2]).shape == (5, 5) and np.ndim(g.evaluate(one)) == 0
    assert f.evaluate([[0.8, 1.2]]).shape == (1, 5, 5) and g.evaluate(columns).shape == (441,)
    assert f.coefficients(one).sum() == pytest.approx(1, abs=1e-12)
    assert interpolate_inverse(A[:1], THETAS[:1], columns).size == 1
    assert repr(f) == "MatrixFunction: inverse of 5 x 5 matrices from 28 matrices, float64"


BAD = [
    (lambda A: interpolate_inverse(A[:2], THETAS, TRAIN, parameters=BOX), ValueError, "a theta for each matrix"),
    (lambda A: interpolate_inverse([A[0], A[1], A[2][:2]], THETAS, TRAIN, parameters=BOX), ValueError, "one shape"),
    (lambda A: interpolate_function("invers", A, THETAS, TRAIN, parameters=BOX), ValueError, "inverse, logdet"),
    (lambda A: interpolate_inverse(A, THETAS, TRAIN), TypeError, "mapping"),
    (lambda A: interpolate_inverse(A, THETAS, TRAIN, parameters=BOX, degree=0), ValueError, "degree"),
    (lambda A: interpolate_inverse(A, THETAS, TRAIN, parameters=BOX, degree=2000), ValueError, "lower degree"),
    (lambda A: interpolate_inverse(A, [*THETAS[:2], lambda mu: [1, 2]], TRAIN, parameters=BOX), ValueError, "theta 2"),
    (lambda A: interpolate_inverse(A, [*THETAS[:2], lambda mu: np.nan], TRAIN, parameters=BOX), ValueError, "not finite"),
    (lambda A: interpolate_inverse([A[0] * np.nan, *A[1:]], THETAS, TRAIN, parameters=BOX), ValueError, "finite"),
    (lambda A: interpolate_inverse(lambda mu: A[0] + mu["a"] ** 2 * A[1] + mu["b"] * A[2], THETAS, TRAIN, parameters=BOX), ValueError,
     "these thetas"),
    (lambda A: interpolate_inverse([0 * A[0], 0 * A[1], A[2]], [*THETAS[:2], lambda mu: mu["b"] - 0.5], TRAIN, parameters=BOX),
     np.linalg.LinAlgError, "Singular"),
    (lambda A: interpolate_logdet([-part[:5, :5] for part in A], THETAS, TRAIN, parameters=BOX), np.linalg.LinAlgError, "positive"),
    (lambda A: interpolate_inverse(A, THETAS, TRAIN, parameters=BOX).evaluate([2.0, 1.0]), ValueError, "outside the box"),
    (lambda A: interpolate_inverse(A, THETAS, TRAIN, parameters=BOX).at(TRAIN), ValueError, "one parameter point"),
    (lambda A: interpolate_logdet(A, THETAS, TRAIN, parameters=BOX).at(TRAIN[0]), TypeError, "gives numbers"),
    (lambda A: interpolate_inverse(A, THETAS, TRAIN, parameters=BOX).apply(TRAIN[0], np.ones(3)), ValueError, "shape"),
    (lambda A: interpolate_inverse(A, THETAS, TRAIN, parameters=BOX).preconditioner(TRAIN[0])(np.eye(3)), ValueError, "shape"),
    (lambda A: interpolate_function(lambda A: "x", A, THETAS, TRAIN, parameters=BOX), ValueError, "number"),
    (lambda A: interpolate_function(lambda A: None, A, THETAS, TRAIN, parameters=BOX), TypeError, "operator"),
    (lambda A: interpolate_inverse([A[0], 9 * A[1], 9 * A[2]], [lambda mu: 1.0, *(lambda mu: 0.3 - mu["a"],) * 2], TRAIN,
     parameters=BOX).bound(TRAIN), ValueError, "converges up to 1"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_what_cannot_be_done_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(family(2, n=6))
