"""Reduced models whose figures are published by libMesh, or were measured once (rom.systems says where)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from petrov.rom import EIM, POD, SCM, Affine, Greedy, Parameters, Pointwise, ReducedModel
from petrov.rom.reduced_model import online
from petrov.rom.reduced_model.error_bound import interpolate_norms
from petrov.rom.reduced_model.evaluation import batch
from petrov.rom.reduced_model.part import part_of
from petrov.rom.reduced_model.projection import Projection
from petrov.solvers.direct.cholesky import cholesky

from . import systems


def model_of(e: systems.Problem, **options: Any) -> ReducedModel:
    options = {"product": e.X, "stability": e.alpha, "operator": e.thetas and Affine(e.thetas)} | options
    return ReducedModel(e.assemble, Parameters(**e.box), **options)


def truth(e: systems.Problem, mu: np.ndarray) -> np.ndarray:
    A, b = e.assemble(e.at(mu))[:2]
    return np.linalg.solve(A, b) if isinstance(A, np.ndarray) else spla.spsolve(A.tocsc(), b)


def errors(e: systems.Problem, model: ReducedModel, mus: np.ndarray, X: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """(errors of the fields, norms of the solutions) in the norm of X, Euclidean for None."""
    fields = model.predict(mus).fields()
    exact = np.stack([truth(e, mu) for mu in mus])
    norm = (lambda V: np.linalg.norm(V, axis=1)) if X is None else (lambda V: np.sqrt(np.einsum("ij,ij->i", V, (X @ V.T).T)))
    return norm(fields - exact), norm(exact)


def printed(value: float, published: float) -> bool:
    """Whether a number rounds to a published one of six digits."""
    return abs(value / published - 1) < 5e-6


# -- libMesh, reduced_basis_ex1 and ex2 ------------------------------------------------------------------------------------


def test_libmesh_ex1_bounds():
    e = systems.libmesh_ex1()
    model = model_of(e, basis=Greedy(tol=0, max_size=20), stability=lambda mu: 0.05).fit(e.train)
    assert len(model.greedy_bounds) == len(e.known.bounds) == 21
    assert all(printed(*pair) for pair in zip(model.greedy_bounds, e.known.bounds, strict=True)), model.greedy_bounds


def test_ties_are_broken_alike_with_noise():
    """The estimates differ in the last bits from machine to machine: the ladder must not."""
    e = systems.libmesh_ex1()
    noise = np.random.default_rng(3)
    alpha = lambda mu: 0.05 * (1 + 1e-12 * noise.standard_normal(len(mu["x_vel"])))  # noqa: E731
    model = model_of(e, basis=Greedy(tol=0, max_size=20), stability=alpha).fit(e.train)
    np.testing.assert_allclose(model.greedy_bounds, e.known.bounds, rtol=5e-6)


def test_libmesh_ex1_outputs():
    """Along libMesh's own selection order, which breaks ties in another way."""
    e = systems.libmesh_ex1()
    model = model_of(e, basis=Greedy(tol=0, max_size=1), stability=lambda mu: 0.05).fit(e.train)
    split = model.offline.split
    projection = Projection(split.A.terms, split.b.terms, cholesky(e.X), L=split.L.terms)
    for index in e.known.order:
        projection.append(truth(e, e.train[index])[:, None])
    mus = np.array([[e.known.mu[name] for name in e.box]])
    answer = part_of(projection).answer(batch(split, mus, lambda mus: np.full(len(mus), 0.05)))
    assert all(printed(*pair) for pair in zip(answer.outputs[:, 0, 0], e.known.outputs, strict=True)), answer.outputs
    assert all(printed(bound, e.known.output_bound) for bound in answer.output_bound[:, 0, 0]), answer.output_bound


def test_libmesh_ex2_outputs():
    e = systems.libmesh_ex2()
    model = model_of(e, basis=Greedy(tol=1e-6, max_size=30), stability="auto").fit(e.train)
    assert model.offline.stability.name == "scm" and isinstance(model.offline.stability_recipe, SCM)
    r = model.predict(e.known.mu)
    np.testing.assert_allclose(r.outputs[0], e.known.outputs, rtol=1e-4)
    exact = e.assemble(e.known.mu)[2] @ truth(e, np.array(list(e.known.mu.values())))
    assert r.kind == "rigorous" and (abs(r.outputs[0] - exact) <= r.output_bound[0]).all()


# -- Bounds below the square root of round-off -----------------------------------------------------------------------------


def test_the_bound_keeps_all_digits():
    """-u'' + mu u = 1: the expanded residual stops at 1e-6, this one goes on to 1e-11 and below."""
    e = systems.reaction_1d()
    for N, (error, bound) in e.known.errors.items():
        model = model_of(e, basis=Greedy(tol=0, max_size=N)).fit(e.train)
        measured, sizes = errors(e, model, e.known.tests, e.X)
        bounds = model.predict(e.known.tests).bound
        assert (bounds / sizes).max() <= 2 * max(bound, 1e-13) and (measured / sizes).max() <= 2 * max(error, 1e-12)
        told = measured > 1e-11 * sizes
        assert (bounds >= measured)[told].all() and (told.any() or N == 12)
    assert (bounds / sizes).max() < 1e-11 and bounds.min() > 0


def test_the_stated_floor():
    e = systems.reaction_1d()
    model = model_of(e, basis=Greedy(tol=0, max_size=30)).fit(e.train)
    assert "round-off" in model.history.reason or "rounding" in model.history.reason
    assert 1e-16 < model.predict(e.train).bound.min() <= model.greedy_bounds[-1] < 1e-13


# -- The nonintrusive form -------------------------------------------------------------------------------------------------


def pointwise(e: systems.Problem) -> Pointwise:
    """The conductivity and the reaction, each times a positive semidefinite form."""
    conductivity = lambda x, mu: 1 + 10 * np.exp(-((x[:, 0] - mu["centre"]) ** 2) / 0.02)  # noqa: E731
    reaction = lambda x, mu: np.full(len(x), mu["sigma"])  # noqa: E731
    return Pointwise([conductivity, reaction], [e.points[1], e.points[2]], reference=e.known.bar, constant=False)


@pytest.mark.parametrize(("d", "bar"), [(20, 2e-6), (25, 1e-9)])
def test_moving_gaussian(d, bar):
    """1-D diffusion with a moving coefficient: the solution's error, negative weights, and a bound that holds all the same."""
    e = systems.gaussian_1d()
    model = model_of(e, operator=EIM(e.functions, e.points, max_size=d), basis=Greedy(1e-11, 100), stability=pointwise(e))
    model.fit(e.train)
    mus = model.parameters.random(1000, seed=4_219)
    measured, sizes = errors(e, model, mus)
    assert (measured / sizes).max() <= bar
    assert (model.offline.split.A.by.weights(mus) < 0).any(axis=1).all()
    r = model.predict(mus)
    in_X = errors(e, model, mus, e.X)[0]
    assert r.kind == "estimate" and (r.bound >= in_X).all()  # an estimate; here it holds
    for i in range(0, 1000, 50):
        certificate = model.verify(mus[i])
        assert certificate.kind == "rigorous" and in_X[i] <= certificate.bound <= 40 * in_X[i] + 1e-11


def test_a_rigorous_operator_error_makes_a_bound():
    """With ||A - sum beta A_m|| <= eps known (here: a hundred times the interpolation's), predict says bound, and it is one."""
    e = systems.gaussian_1d()
    size = np.sqrt(10) * 10 + 100 / 30  # forms with coefficient 1 are at most this, in X
    eim = EIM(e.functions, e.points, max_size=15, error=lambda mus: (np.full(len(mus), 1e-2 * size), np.zeros(len(mus))))
    model = model_of(e, operator=eim, basis=Greedy(1e-6, 40), stability=pointwise(e)).fit(e.train)
    mus = model.parameters.random(200, seed=91)
    r = model.predict(mus)
    assert r.kind == "rigorous" and (r.bound >= errors(e, model, mus, e.X)[0]).all()


SPHERES = [(2, 41), pytest.param(3, 24, marks=pytest.mark.slow)]  # 320 and 1280 triangles


@pytest.mark.parametrize(("refinement", "snapshots"), SPHERES)
def test_sphere(refinement, snapshots):
    """Boundary elements: complex, dense, interpolated in exp(i k r); near the resonances at 3.16, 4.52, 5.79 too."""
    e = systems.sphere(refinement)
    options: dict[str, Any] = {"rhs": (e.rhs_functions, e.rhs_points)}
    ks = np.concatenate([np.linspace(1.003, 5.997, 21), [3.14, 3.16, 3.18, 4.5, 4.52, 4.54, 5.77, 5.79, 5.81]])[:, None]
    ten = model_of(e, operator=EIM(e.functions, e.points, max_size=10, **options), product=None, basis=POD(size=2, snapshots=2), stability=None)
    A = ten.fit(e.train).offline.split.A
    for k in ks[::6]:
        exact = e.assemble({"k": k[0]})[0]
        assert np.linalg.norm(A.combined(k) - exact) <= 1e-6 * np.linalg.norm(exact)
    eim = EIM(e.functions, e.points, max_size=14, **options)
    model = model_of(e, operator=eim, product=None, basis=POD(size=14, snapshots=snapshots), stability=None).fit(e.train)
    measured, sizes = errors(e, model, ks)
    assert (measured / sizes).max() <= 1e-6 and model.predict(ks).kind == "none"


# -- Effectivities ---------------------------------------------------------------------------------------------------------

BOUNDED = {
    "advection": (systems.libmesh_ex1, lambda mu: 0.05), "advection, scm": (systems.libmesh_ex1, SCM()),
    "one side fixed, scm": (systems.libmesh_ex2, SCM()), "thermal block": (lambda: systems.thermal_block(16, (3, 3)), "auto"),
    "reaction": (systems.reaction_1d, "auto"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOUNDED)
def test_every_bound_holds_on_a_thousand_parameters(name):
    """Bound over error is at least 1 wherever the error exceeds 1e-11 of the solution."""
    make, stability = BOUNDED[name]
    e = make()
    model = model_of(e, basis=Greedy(tol=1e-4, max_size=25), stability=stability).fit(e.train)
    mus = model.parameters.random(1000, seed=30_011)
    r = model.predict(mus)
    factor = cholesky(e.X)
    exact = truths(e, mus)
    error, size = factor.norm((r.fields() - exact).T), factor.norm(exact.T)
    told = error > 1e-11 * size
    assert r.kind == "rigorous" and told.mean() > 0.9 and (r.bound >= error)[told].all()
    assert np.median(r.bound[told] / error[told]) < 200


def truths(e: systems.Problem, mus: np.ndarray) -> np.ndarray:
    """The full solutions (m, n) by sparse L U, one order for all."""
    order = spla.splu(sp.csc_array(e.X)).perm_c
    order = np.argsort(order)
    found = np.empty((len(mus), e.X.shape[0]))
    for row, mu in zip(found, mus, strict=True):
        A, b = e.assemble(e.at(mu))[:2]
        row[order] = spla.splu(A.tocsc()[order][:, order], permc_spec="NATURAL").solve(b[order])
    return found


@pytest.mark.parametrize(("N", "published"), [(6, 9.7e-5), (8, 3.6e-7), (10, 6.4e-10)])
def test_interpolated_norms_are_as_sharp(N, published):
    """Form E3: the residual norm by interpolation of products of coefficients, from norms alone."""
    e = systems.reaction_1d()
    model = model_of(e, basis=Greedy(tol=0, max_size=N)).fit(e.train)
    reduced, known = model.reduced_operators, []
    for mus in (e.train, e.known.tests):
        given = model.offline.batch(mus)
        a = online.solve(reduced, given.thetas, given.rhs)
        c = online.coefficients(reduced, given.thetas, given.rhs, a, 0, np)
        known.append((c, online.residual(reduced, given.thetas, given.rhs, a)[0]))
    (c, norms), (tests, exact) = known
    estimate = interpolate_norms(c, lambda l: norms[l])
    found, sizes = estimate(tests), errors(e, model, e.known.tests, e.X)[1]
    assert (found / sizes).max() <= 2 * published and estimate.interpolation.size <= 4 * N
    worst = np.argsort(exact)[-10:]
    np.testing.assert_allclose(found[worst], exact[worst], rtol=0.6)
