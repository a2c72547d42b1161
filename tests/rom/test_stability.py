"""Bounds of the coercivity constant stay below the dense eigenvalue, whatever the signs; what cannot be bounded is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp

from petrov.rom.parameters import Parameters
from petrov.rom.stability.context import Context, Eigenvalue, user
from petrov.rom.stability.eigenvalues import confirmed, smallest_eigenvalue, smallest_singular_value
from petrov.rom.stability.inf_sup import InfSup
from petrov.rom.stability.min_theta import MinTheta, Pointwise
from petrov.rom.stability.successive_constraints import SCM, Polytope, minima
from petrov.solvers.direct.cholesky import cholesky


def alphas(A, X):
    """All eigenvalues of the Hermitian part, by LAPACK."""
    A, X = (M.toarray() if sp.issparse(M) else M for M in (A, X))
    return scipy.linalg.eigvalsh((A + A.conj().T) / 2, X)


def exact(context, mus):
    return np.array([alphas(sum(c * A for c, A in zip(row, context.matrices, strict=True)), context.X)[0]
                     for row in context.coefficients(mus)])  # fmt: skip


def family(*, n=30, complex_=False, skew=False, seed=17):
    """Four terms, with coefficients of both signs, dense or sparse by n; indefinite at some parameters."""
    rng = np.random.default_rng(seed)

    def matrix():
        B = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if complex_ else 0)
        return B / np.sqrt(n)

    P = Parameters(s=(-1.0, 1.0), t=(0.5, 2.0))
    A = [1.2 * np.eye(n), matrix(), matrix(), matrix()]
    A[1] = A[1] @ A[1].conj().T
    A[2] = A[2] - A[2].conj().T if skew else A[2]
    X = np.eye(n) + A[1] / 2

    def coefficients(mus):
        s, t = mus.T
        return np.stack([np.ones_like(s), t, (1 + 2j) * s if complex_ else s, s * t], axis=1)

    return Context(A, coefficients, X, cholesky(X), P, P.random(200))


def block_terms(m=12):
    """The stiffness matrices of four blocks of the unit square, bilinear elements, and their sum."""
    half = m // 2
    parts = [slice(0, half), slice(half, m)]
    pieces = [line(m, part) for part in parts]
    A = [sp.csr_array(sp.kron(K1, M2) + sp.kron(M1, K2)) for K1, M1 in pieces for K2, M2 in pieces]
    inside = np.flatnonzero(np.outer(*[np.r_[0, np.ones(m - 1), 0]] * 2).ravel())
    return [a[inside][:, inside] for a in A]


def line(m, part=slice(None)):
    """(stiffness, mass) of linear elements of the unit interval, only those of a part of them."""
    h, on = 1.0 / m, np.zeros(m)
    on[part] = 1.0
    main = np.r_[on, 0] + np.r_[0, on]
    K, M = (sp.diags_array(values, offsets=[-1, 0, 1]) for values in ([-on, main, -on], [on, 2 * main, on]))
    return sp.csr_array(K / h), sp.csr_array(M * h / 6)


def thermal(m=12):
    A = block_terms(m)
    P = Parameters(**{f"k{i}": (0.1, 10.0, "log") for i in range(4)})
    X = sp.csr_array(sum(A))
    return Context(A, lambda mus: mus, X, cholesky(X), P, P.random(100))


def libmesh_ex2(m=25):
    """Diffusion mu_0, mu_1 in the halves, -mu_2 (u_x, v), u = 0 on the left side; X the inner product of H^1."""
    whole_K, whole_M = line(m)
    K, M = whole_K[1:][:, 1:], whole_M[1:][:, 1:]
    advection = sp.diags_array([-np.ones(m) / 2, np.r_[-0.5, np.zeros(m - 1), 0.5], np.ones(m) / 2], offsets=[-1, 0, 1])
    C = sp.csr_array(advection)[1:][:, 1:]  # (u', v)
    cut = np.arange(m) + 0.5 < m / 2
    halves = []
    for weight in (cut, ~cut):
        part_K, part_M = (B[1:][:, 1:] for B in line(m, np.flatnonzero(weight)))
        halves.append(sp.csr_array(sp.kron(part_K, whole_M) + sp.kron(part_M, whole_K)))
    A = [*halves, sp.csr_array(-sp.kron(C, whole_M))]
    X = sp.csr_array(sp.kron(K, whole_M) + sp.kron(M, whole_K) + sp.kron(M, whole_M))
    P = Parameters(mu0=(0.1, 1.0), mu1=(0.1, 1.0), mu2=(0.0, 0.5))
    return Context(A, lambda mus: mus, X, cholesky(X), P, P.random(100))


def gaussian(cells=400):
    """-((1 + 10 exp(-(x - m1)^2 / 0.02)) u')' + m2 u on the unit interval, one quadrature point a cell."""
    h, x = 1.0 / cells, (np.arange(cells) + 0.5) / cells
    P = Parameters(m1=(0.1, 0.9), m2=(1.0, 100.0))
    D = sp.diags_array([np.ones(cells - 1), -np.ones(cells - 1)], offsets=[0, -1], shape=(cells, cells - 1)) / np.sqrt(h)
    M = sp.diags_array([np.ones(cells - 2), 4 * np.ones(cells - 1), np.ones(cells - 2)], offsets=[-1, 0, 1]) * h / 6

    def kappa(x, mu):
        return 1 + 10 * np.exp(-((x[:, 0] - mu["m1"]) ** 2) / 0.02)

    def reaction(x, mu):
        return mu["m2"]

    def assemble(mu):
        return sp.csr_array(D.T @ sp.diags_array(kappa(x[:, None], mu)) @ D + mu["m2"] * M)

    X = assemble(P.mapping(P.centre))
    return Context(None, None, X, cholesky(X), P, P.random(50), assemble, functions=(kappa, reaction), points=(x[:, None],) * 2)


FAMILIES = {
    "real": family(),
    "complex": family(complex_=True),
    "a skew term": family(skew=True),
    "sparse, above LAPACK's size": thermal(18),
}


@pytest.mark.parametrize("context", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("recipe", [SCM(tol=0.3, max_size=12), Eigenvalue()], ids=["scm", "eigenvalue"])
def test_a_bound_stays_below_the_dense_eigenvalue_for_coefficients_of_any_sign(context, recipe):
    prepared = recipe.prepare(context)
    mus = context.parameters.random(40, seed=23)
    bound, alpha = prepared.values(mus), exact(context, mus)
    assert prepared.rigorous and prepared.for_true_operator
    assert (bound <= alpha + 1e-12).all()
    if prepared.name == "eigenvalue":
        assert (alpha - bound <= 1.01e-3 * abs(alpha)).all()
    else:
        assert np.median(alpha - bound) < 0.3 * abs(alpha).max()
    again = recipe.restore(prepared.arrays, context).values(mus)
    assert np.array_equal(again, bound)


def test_indefinite_parameters_get_negative_bounds():
    context = FAMILIES["real"]
    mus = context.parameters.random(60, seed=5)
    negative = exact(context, mus) < 0
    assert 0 < negative.sum() < 60
    for recipe in (SCM(max_size=15), Eigenvalue()):
        assert (recipe.prepare(context).values(mus)[negative] < 0).all()


def test_the_successive_constraints_of_libmesh_example_2():
    context = libmesh_ex2()
    prepared = SCM(tol=0.1).prepare(context)
    low, high = prepared.arrays["low"], prepared.arrays["high"]
    assert f"{low[2]:.6g}" == "-0.380786"  # B_min(2), as published
    advection = (context.matrices[2] + context.matrices[2].T) / 2
    assert low[2] <= smallest_eigenvalue(advection, context.X, tol=1e-9) < low[2] * (1 - 1e-6)
    assert abs(high[2]) < 1e-9 and abs(low[:2]).max() < 1e-9 and (high[:2] <= 1 + 1e-6).all()
    gaps = prepared.arrays["gaps"]
    assert gaps[0] > 1 and gaps[-1] <= 0.1 and len(gaps) < 25
    mus = context.parameters.random(15, seed=8)
    bound, alpha = prepared.values(mus), exact(context, mus)
    assert (bound <= alpha).all() and (bound > 0.7 * alpha).all()


def test_the_linear_programs_are_solved_to_the_end():
    """Against HiGHS, one program a parameter."""
    from scipy.optimize import linprog

    rng = np.random.default_rng(31)
    inner = rng.standard_normal((8, 5))
    low, high = inner.min(axis=0) - 0.1, inner.max(axis=0) + 0.1
    rows = rng.standard_normal((9, 5))
    polytope = Polytope(low, high, rows, (rows @ inner.T).min(axis=1))
    theta = np.vstack([rng.standard_normal((150, 5)), np.eye(5), np.zeros((1, 5)), rows[:2]])
    found = minima(theta, polytope)
    programs = [linprog(row, A_ub=-rows, b_ub=-polytope.limits, bounds=np.stack([low, high], axis=1)).fun for row in theta]
    assert found == pytest.approx(programs, abs=1e-7)
    assert (found <= (theta @ inner.T).min(axis=1) + 1e-12).all()


def test_min_theta_on_the_thermal_block():
    context = thermal()
    prepared = MinTheta().prepare(context)
    assert prepared.arrays["alpha"] == pytest.approx(1.0, abs=1e-11) and prepared.arrays["slack"].max() < 1e-10
    mus = context.parameters.random(30, seed=3)
    bound, alpha = prepared.values(mus), exact(context, mus)
    assert bound == pytest.approx(mus.min(axis=1), rel=1e-8)
    assert (bound <= alpha * (1 + 1e-12)).all()
    elsewhere = MinTheta(reference=(1.0, 2.0, 0.5, 1.0)).prepare(context).values(mus)
    assert (elsewhere <= alpha).all() and (elsewhere > 0).all()


def with_terms(context, matrices, coefficients):
    from dataclasses import replace

    return replace(context, matrices=matrices, coefficients=coefficients)


def test_min_theta_lets_a_convection_have_any_sign_and_refuses_other_negative_coefficients():
    context = thermal()
    N = sp.csr_array(sp.triu(context.matrices[0], 1) - sp.tril(context.matrices[0], -1)) * (1 + 1e-15)

    def convective(mus):
        return np.hstack([mus, -mus[:, :1]])

    prepared = MinTheta().prepare(with_terms(context, [*context.matrices, N], convective))
    assert list(prepared.arrays["free"]) == [False] * 4 + [True]
    assert prepared.values(context.train) == pytest.approx(context.train.min(axis=1), rel=1e-8)

    def sometimes(mus):
        return mus - np.array([0.0, 0.0, 0.15, 0.0])

    with pytest.raises(ValueError, match=r"term 2 has -0\.\d+ at k0 = .*SCM\(\), Pointwise\(\) or Eigenvalue\(\)"):
        MinTheta().prepare(with_terms(context, context.matrices, sometimes))
    with pytest.raises(ValueError, match="term 1 is not"):
        indefinite = [context.matrices[0], context.matrices[1] - 0.1 * context.matrices[2], *context.matrices[2:]]
        MinTheta().prepare(with_terms(context, indefinite, lambda mus: mus))


def test_the_pointwise_bound_of_the_moving_gaussian():
    """Effectivity of the error bound in the norm of u', N = 10, median 2.4-2.8."""
    from dataclasses import replace

    reference = (100.0, 1.0)  # the bump far away: kappa = 1
    context = gaussian()
    X = context.assemble(dict(zip(context.parameters.names, reference, strict=True)))
    context = replace(context, X=X, factor=cholesky(X), exact=False)
    prepared = Pointwise(reference=reference).prepare(context)
    assert prepared.for_true_operator and not prepared.rigorous
    b, solve, L = np.full(X.shape[0], 1 / 400), sp.linalg.spsolve, context.factor

    def matrix(mu):
        return context.assemble(context.parameters.mapping(mu))

    snapshots = np.stack([solve(matrix(mu), b) for mu in context.parameters.random(120, seed=9)], axis=1)
    V = L.lift(np.linalg.svd(L.lower(snapshots), full_matrices=False)[0][:, :10])
    mus = context.parameters.random(120, seed=3)
    effectivity = []
    for mu, alpha in zip(mus, prepared.values(mus), strict=True):
        A = matrix(mu)
        reduced = V @ np.linalg.solve(V.T @ (A @ V), V.T @ b)
        effectivity.append(L.dual_norm(b - A @ reduced) / alpha / L.norm(solve(A, b) - reduced))
    assert min(effectivity) >= 1 and max(effectivity) < 4.6 and 2.4 < np.median(effectivity) < 2.8
    true = [alphas(matrix(mu), X)[0] for mu in mus[:20]]
    assert (prepared.values(mus[:20]) <= np.array(true) * (1 + 1e-12)).all()


def test_pointwise_refuses_what_it_cannot_compare():
    context, x = gaussian(40), np.zeros((3, 1))
    with pytest.raises(ValueError, match="divides by g_0"):
        Pointwise([lambda x, mu: mu["m1"] - 0.5], [x]).prepare(context)
    shifted = Pointwise([lambda x, mu: mu["m1"] - 0.3], [x]).prepare(context)
    with pytest.raises(ValueError, match=r"g_0 is negative at m1 = 0\.2"):
        shifted.values([[0.2, 5.0]])
    with pytest.raises(ValueError, match="real, finite"):
        Pointwise([lambda x, mu: 1j * mu["m1"]], [x]).prepare(context)
    with pytest.raises(ValueError, match="one array of points for each"):
        Pointwise([], []).prepare(context)


@pytest.mark.parametrize("above", [1e-6, 1e-3, 0.5])
def test_a_ritz_value_above_the_smallest_eigenvalue_is_caught(above):
    context = thermal(18)
    A = sum(context.matrices[1:], 0.3 * context.matrices[0])
    lambda_min = alphas(A, context.X)[0]
    alpha = confirmed(A, context.X, lambda_min * (1 + above), margin=above / 10)
    assert lambda_min - max(4 * above, 1e-9) * (1 + above) * lambda_min < alpha < lambda_min
    assert confirmed(A, context.X, lambda_min, margin=1e-6) == pytest.approx(lambda_min, rel=1.001e-6)


@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("complex_", [False, True])
def test_smallest_eigenvalues_come_from_above(shift, complex_):
    context = thermal(18)
    A = 2 * context.matrices[0] + context.matrices[1] - shift * context.matrices[2]
    if complex_:
        D = sp.diags_array(np.exp(1j * np.arange(A.shape[0])))
        A = D.conj() @ A @ D
    X = context.X + sp.eye_array(A.shape[0])
    value, dense = smallest_eigenvalue(A, X, cholesky(X)), alphas(A, X)[0]
    assert dense - 1e-12 <= value <= dense + 1e-3 * max(abs(dense), 1e-3)


def helmholtz(mus):
    return np.hstack([np.ones((len(mus), 1)), -(mus**2)])


def test_inf_sup_is_an_estimate_that_is_right_at_its_points():
    n = 80
    K = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]) * (n + 1)
    K, M, P = sp.csr_array(K), sp.eye_array(n, format="csr") / (n + 1), Parameters(k=(3.5, 6.0))
    context = Context([K, M], helmholtz, K, cholesky(K), P, P.grid(41))
    prepared = InfSup(size=21).prepare(context)
    assert not prepared.rigorous and not prepared.for_true_operator

    def beta(k):
        return abs(scipy.linalg.eigvalsh((K - k**2 * M).toarray(), K.toarray())).min()

    points = prepared.arrays["points"]
    assert prepared.values(points) == pytest.approx([beta(*mu) for mu in points], rel=1e-6)
    mus = P.random(20, seed=4)
    assert prepared.values(mus) == pytest.approx([beta(*mu) for mu in mus], rel=0.2)
    assert smallest_singular_value(K - K, K, cholesky(K)) == 0.0


@pytest.mark.parametrize("complex_", [False, True])
def test_the_inf_sup_constant_is_the_smallest_singular_value(complex_):
    rng = np.random.default_rng(12)
    A, B = rng.standard_normal((2, 40, 40)) + (1j * rng.standard_normal((2, 40, 40)) if complex_ else 0)
    X = B @ B.conj().T + np.eye(40)
    L = np.linalg.cholesky(X)
    beta = np.linalg.svd(np.linalg.solve(L, np.linalg.solve(L, A.conj().T).conj().T))[1][-1]
    assert beta * (1 - 1e-9) <= smallest_singular_value(A, X) <= beta * (1 + 1e-4)


def test_the_users_bound_and_what_is_no_bound():
    context = thermal()
    mus = context.parameters.random(7)
    assert np.array_equal(user(lambda mu: mu["k1"] / 2).prepare(context).values(mus), mus[:, 1] / 2)
    assert np.array_equal(user(lambda mu: 0.1).prepare(context).values(mus), np.full(7, 0.1))
    assert user(lambda mu: 0.1).prepare(context).values(mus[:0]).shape == (0,)
    for wrong, says in [(lambda mu: np.nan, "a number or 7.*finite"), (lambda mu: np.ones(3), "a number or 7.*shape")]:
        with pytest.raises(ValueError, match=says):
            user(wrong).prepare(context).values(mus)
    with pytest.raises(ValueError, match="points must be finite"):
        user(lambda mu: 1.0).prepare(context).values(mus[0])
    with pytest.raises(TypeError, match="function"):
        user([0.3])
