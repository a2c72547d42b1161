"""ReducedModel as users meet it: kinds of matrices, labels, fallbacks, files, interruptions, bad input."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.rom import (
    EIM,
    MDEIM,
    POD,
    SCM,
    Affine,
    Eigenvalue,
    Greedy,
    LocalBases,
    MinTheta,
    ModelFileError,
    Parameters,
    ReducedModel,
    Training,
    load,
)
from petrov.solvers import SolveError

n = 60
K = sp.csr_array(sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n)) * (n + 1))
M = sp.csr_array(sp.eye_array(n) / (n + 1))
C = sp.csr_array(sp.diags_array([-0.5, 0.5], offsets=[-1, 1], shape=(n, n)))
x = np.arange(1, n + 1) / (n + 1)
f, L = np.full(n, 1 / (n + 1)), np.stack([x < 0.3, x > 0.6]) / (n + 1)
P = Parameters(k=(1.0, 500.0, "log"), c=(-10.0, 10.0))
THETAS = ["1", "k", "c"]


def assemble(mu: dict[str, float]) -> tuple[Any, np.ndarray, np.ndarray]:
    return K + mu["k"] * M + mu["c"] * C, f, L


def fitted(assemble: Any = assemble, train: int = 150, **options: Any) -> ReducedModel:
    defaults = {"operator": Affine(THETAS), "product": K, "stability": lambda mu: 1.0, "basis": Greedy(1e-7, 40)}
    return ReducedModel(assemble, P, **(defaults | options)).fit(train)


def solution(assemble: Any, mu: np.ndarray) -> np.ndarray:
    A, b = assemble(P.mapping(mu))[:2]
    A = A @ np.eye(n) if not hasattr(A, "toarray") else A.toarray()
    return np.linalg.solve(A, b)


def sizes(V: np.ndarray, X: Any = K) -> np.ndarray:
    return np.sqrt(np.einsum("in,in->i", V.conj(), (X @ V.T).T).real)


TESTS = P.random(1000, seed=8_821)


# -- One bound for every kind of matrix ------------------------------------------------------------------------------------

H = sp.csr_array(K + 1j * sp.diags_array([0.4, -0.4], offsets=[-1, 1], shape=(n, n)))
S = sp.diags_array(10.0 ** np.linspace(-4, 4, n))
S_K = S @ K @ S
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "not symmetric": (assemble, {}),
    "symmetric": (lambda mu: (K + mu["k"] * M + mu["c"] ** 2 * M, f), {"operator": Affine(["1", "k", "c**2"])}),
    "dense": (lambda mu: ((K + mu["k"] * M + mu["c"] * C).toarray(), f), {}),
    "complex Hermitian": (lambda mu: (H + mu["k"] * M, f + 1j * x), {"operator": Affine(["1", "k"]), "product": H}),
    "complex": (lambda mu: (K + (mu["k"] + 1j * mu["c"]) * M, f), {"operator": Affine(["1", "k + 1j*c"])}),
    "by products": (
        lambda mu: (sp.linalg.aslinearoperator(K + mu["k"] * M + mu["c"] * C), f), {"rtol": 1e-10, "train": 40, "basis": Greedy(1e-3, 15)},
    ),
    "b depends on mu": (
        lambda mu: (K + mu["k"] * M + mu["c"] * C, f + mu["c"] * x * f), {"operator": Affine(THETAS, rhs=["1", "c"])},
    ),
    "patterns differ": (lambda mu: (sp.csr_array(K + mu["k"] * M + (mu["c"] * C if mu["c"] > 0 else 0 * M)), f), {
        "operator": Affine(["1", "k", lambda mu: np.maximum(mu["c"], 0.0)])}),
    "written over": (None, {}),
    "a theta for one point": (
        lambda mu: (K + max(mu["k"], 40 * abs(mu["c"])) * M, f),
        {"operator": Affine(["1", lambda mu: np.max([mu["k"], 40 * np.abs(mu["c"])])])},
    ),
    "alpha for one point": (assemble, {"stability": lambda mu: min(mu["k"], 1.0)}),
    "sizes far apart": (
        lambda mu: (sp.csr_array(S @ (K + mu["k"] * M + mu["c"] * C) @ S), S @ f), {"product": sp.csr_array(S_K).tocoo()},
    ),
    "coefficients far apart": (lambda mu: (mu["k"] ** 3 * M + K, f), {"operator": Affine(["k**3", "1"])}),
}  # fmt: skip


def one_buffer() -> Any:
    """A code that assembles every matrix into the same arrays."""
    A, b = sp.csr_array(K + M + C), f.copy()
    parts = [(part + 0 * A).toarray()[np.nonzero(A.toarray())] for part in (K, M, C)]

    def assemble(mu: dict[str, float]) -> tuple[Any, np.ndarray]:
        A.data[:] = parts[0] + mu["k"] * parts[1] + mu["c"] * parts[2]
        return A, b

    return assemble


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_holds(kind):
    """On 1,000 random parameters wherever the true error exceeds 1e-11 of the solution."""
    black_box, options = KINDS[kind]
    black_box = black_box or one_buffer()
    X = options.get("product", K)
    model = fitted(black_box, **options)
    tests = TESTS[:100] if kind == "by products" else TESTS
    r = model.predict(tests)
    exact = np.stack([solution(black_box, mu) for mu in tests])
    error = sizes(r.fields() - exact, X)
    told = error > 1e-11 * sizes(exact, X)
    assert r.kind == "rigorous" and told.any() and (r.bound >= error)[told].all()
    assert r.bound.max() <= 10 * model.greedy_bounds[-1]
    assert (r.relative_bound[told] >= (error / sizes(exact, X))[told]).all()
    np.testing.assert_allclose(model.basis.conj().T @ (X @ model.basis), np.eye(model.size), atol=1e-9)


def test_fixed_unknowns_survive_interpolation():
    """Identity rows of Dirichlet conditions: the constant 1 is interpolated exactly, so the weights sum to one."""
    free = np.ones(n)
    free[[0, 17, n - 1]] = 0.0
    keep, fix = sp.diags_array(free), sp.diags_array(1.0 - free)

    def fixed(mu: dict[str, float]) -> tuple[Any, np.ndarray]:
        A, b = moving(mu)
        return sp.csr_array(keep @ A @ keep + fix), free * b

    eim = EIM([bump, sigma], [edges[:, None], np.zeros((1, 1))], max_size=8)
    model = fitted(fixed, operator=eim, product=sp.csr_array(keep @ K @ keep + fix))
    weights = model.weights(TESTS[:50])
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-12)
    assert (weights < 0).any() and abs(model.predict(TESTS[:50]).fields()[:, [0, 17, n - 1]]).max() < 1e-14
    A = model.offline.split.A.combined(TESTS[3])
    np.testing.assert_allclose(A[[0, 17, n - 1]].toarray(), np.eye(n)[[0, 17, n - 1]], atol=1e-12)


LITTLE: dict[str, tuple[Any, dict[str, Any]]] = {
    "one point": ([[5.0, 3.0]], {}),
    "two points": ([[5.0, 3.0], [100.0, -5.0]], {}),
    "a line": (np.stack([np.linspace(1, 10, 30)] * 2, axis=1), {}),
    "c = 0": (np.stack([np.linspace(1, 500, 30), np.zeros(30)], axis=1), {}),
    "a heap": (np.array([5.0, 3.0]) + 1e-8 * np.random.default_rng(6).random((20, 2)), {}),
}


@pytest.mark.parametrize("name", LITTLE)
def test_training_points_that_say_little(name):
    """They may make a poor basis, but never a bound that is none: what is exact is exact in the whole box."""
    train, options = LITTLE[name]
    r = fitted(train=train, **options).predict(TESTS[:200])
    error = sizes(r.fields() - np.stack([solution(assemble, mu) for mu in TESTS[:200]]))
    assert r.kind == "rigorous" and (r.bound >= error - 1e-12).all()


def test_what_training_points_do_not_show():
    """b does not change along them, or only in a corner: an estimate at the most, or refused at the solve that shows it."""
    line = np.stack([np.linspace(1, 500, 30), np.zeros(30)], axis=1)
    tilted = lambda mu: (K + mu["k"] * M, f * (1 + mu["c"] * x))  # noqa: E731
    assert fitted(tilted, train=line, operator=Affine(["1", "k"])).predict(TESTS).kind == "estimate"
    corner = lambda mu: (K + mu["k"] * M, f * (1 + (mu["k"] == 1.0)))  # noqa: E731
    with pytest.raises(ValueError, match="b differs from the sum"):
        fitted(corner, train=np.concatenate([TESTS[:300], [[1.0, 0.0]]]), operator=Affine(["1", "k"]))


@pytest.mark.parametrize("dual", [False, True])
def test_complex_outputs(dual):
    """Complex rows with complex coefficients: the norm of L(mu) is that of sum conj(weight) L^H."""
    rows = np.stack([L[0] * 1j * x + 2 * L[1], L[1] * (1 + 2j * x) + 1j * L[0]])
    weights = lambda mu: [1, mu["k"] * (1 + 1j), 1j * mu["c"]]  # noqa: E731

    def black_box(mu: dict[str, float]) -> Any:
        w = weights(mu)
        return K + (mu["k"] + 1j * mu["c"]) * M, f + 1j * mu["c"] * x * f, np.stack([w[1] * rows[0] + w[2] * rows[1], rows[0]])

    affine = Affine(["1", "k + 1j*c"], rhs=["1", "1j*c"], output=["1", "k*(1+1j)", "1j*c"])
    model = fitted(black_box, operator=affine, basis=Greedy(1e-3, 30), dual=dual)
    r, primal = model.predict(TESTS[:100]), fitted(black_box, operator=affine, basis=Greedy(1e-3, 30)).predict(TESTS[:100])
    for i, mu in enumerate(TESTS[:100]):
        A, b, rows_here = black_box(P.mapping(mu))
        assert (abs(rows_here @ np.linalg.solve(A.toarray(), b) - r.outputs[i]) <= r.output_bound[i]).all()
        norms = np.sqrt(np.einsum("ln,nl->l", rows_here, np.linalg.solve(K.toarray(), rows_here.conj().T)).real)
        np.testing.assert_allclose(primal.output_bound[i], norms * primal.bound[i], rtol=1e-8)


def test_several_right_hand_sides():
    B = np.stack([f, x * f, np.zeros(n)], axis=1)
    black_box = lambda mu: (assemble(mu)[0], B)  # noqa: E731
    r = fitted(black_box).predict(TESTS[:50])
    assert r.coefficients.shape == (50, r.coefficients.shape[1], 3) and r.bound.shape == (50, 3)
    exact = np.stack([solution(black_box, mu) for mu in TESTS[:50]])
    for column in range(2):
        assert (r.bound[:, column] >= sizes(r.fields()[..., column] - exact[..., column]) - 1e-12).all()
    assert (r.fields()[..., 2] == 0).all()


# -- What is called a bound ------------------------------------------------------------------------------------------------

bump = lambda x, mu: np.exp(-((x[:, 0] - mu["c"] / 20 - 0.5) ** 2) / 0.02)  # noqa: E731
edges = (np.arange(n + 1) + 0.5) / (n + 1)
D = sp.diags_array([1.0, -1.0], offsets=[0, -1], shape=(n + 1, n)) * np.sqrt(n + 1)


def moving(mu: dict[str, float]) -> tuple[Any, np.ndarray]:
    return sp.csr_array(D.T @ sp.diags_array(1 + 5 * bump(edges[:, None], mu)) @ D + mu["k"] * M), f


def moving_entries(mu: dict[str, float], rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    return moving(mu)[0].toarray()[rows, cols]


sigma = lambda x, mu: np.full(len(x), mu["k"])  # noqa: E731
LABELS: dict[str, tuple[Any, Any, Any, str]] = {
    "affine, stated": (assemble, Affine(THETAS), lambda mu: 1.0, "rigorous"),
    "affine, min-theta": (assemble, Affine(THETAS), MinTheta(), "rigorous"),
    "affine, scm": (assemble, Affine(THETAS), SCM(), "rigorous"),
    "affine, eigenvalues": (assemble, Affine(THETAS), Eigenvalue(), "rigorous"),
    "affine, auto": (assemble, Affine(THETAS), "auto", "rigorous"),
    "a list of thetas": (assemble, THETAS, "auto", "rigorous"),
    "affine, none": (assemble, Affine(THETAS), None, "none"),
    "EIM": (moving, EIM([bump, sigma], [edges[:, None], np.zeros((1, 1))], max_size=9), "auto", "estimate"),
    "MDEIM": (moving, MDEIM(moving_entries, max_size=9), "auto", "estimate"),
    "EIM, stated": (moving, EIM([bump, sigma], [edges[:, None], np.zeros((1, 1))], max_size=9), lambda mu: 1.0, "estimate"),
    "nothing known": (assemble, "auto", "auto", "estimate"),
    "nothing known, nonaffine": (moving, Training(samples=80, max_size=9), "auto", "estimate"),
}  # fmt: skip


@pytest.mark.parametrize("name", LABELS)
def test_labels(name):
    black_box, operator, stability, kind = LABELS[name]
    model = fitted(black_box, operator=operator, stability=stability, basis=Greedy(1e-5, 30), train=100)
    few = TESTS[:40]
    r = model.predict(few)
    assert r.kind == kind and (kind != "estimate" or "estimate" in repr(r))
    error = sizes(r.fields() - np.stack([solution(black_box, mu) for mu in few]))
    assert np.isnan(r.bound).all() if kind == "none" else (r.bound >= 0.3 * error).all()
    certificate = model.verify(few[0])  # rigorous for every operator: A is coercive
    assert certificate.kind == "rigorous" and error[0] - 1e-12 <= certificate.bound <= 100 * error[0] + 1e-9
    assert black_box is assemble or error.max() > 1e-9  # an interpolation whose error is there to be told


def test_min_theta_refuses_a_negative_coefficient():
    black_box = lambda mu: (K + mu["k"] * M + mu["c"] * M, f)  # noqa: E731
    with pytest.raises(ValueError, match=r"theta_q\(mu\) >= 0; term 2 .*c = -"):
        fitted(black_box, operator=Affine(THETAS), stability=MinTheta())


def test_not_coercive():
    """Helmholtz: no bound, an estimate, and product= must be given."""
    box = Parameters(k=(5.0, 25.0))
    black_box = lambda mu: (K - mu["k"] ** 2 * M - 1j * mu["k"] * E, f)  # noqa: E731
    E = sp.csr_array(([1.0], ([n - 1], [n - 1])), shape=(n, n))
    recipe = Affine(["1", "k**2", "k"])
    with pytest.raises(ValueError, match="product="):
        ReducedModel(black_box, box, operator=recipe).fit(50)
    model = ReducedModel(black_box, box, operator=recipe, product=K, basis=Greedy(1e-6, 40)).fit(np.linspace(5, 25, 80)[:, None])
    ks = np.linspace(5.1, 24.9, 60)[:, None]
    exact = np.stack([np.linalg.solve(black_box({"k": k})[0].toarray(), f) for k in ks[:, 0]])
    r = model.predict(ks)
    assert r.kind == "estimate" and sizes(r.fields() - exact).max() < 1e-5
    assert model.verify(ks[3]).kind == "estimate"


def test_dual_outputs():
    """Output errors are products of two errors: below the primal bound alone, and true."""
    plain = fitted(basis=Greedy(1e-3, 40))
    dual = fitted(basis=Greedy(1e-3, 40), dual=True)
    exact = np.stack([L @ solution(assemble, mu) for mu in TESTS[:200]])
    one, two = plain.predict(TESTS[:200]), dual.predict(TESTS[:200])
    for r in (one, two):
        assert (abs(r.outputs - exact) <= r.output_bound + 1e-14).all()
    assert two.output_bound.max() < 0.01 * one.output_bound.max()
    assert abs(two.outputs - exact).max() < 0.1 * abs(one.outputs - exact).max()


@pytest.mark.parametrize("train", [P.grid(12), P.random(144)], ids=["grid", "random"])
def test_nothing_is_learned_that_fails_elsewhere(train):
    """Polynomials that fit a grid may be garbage between its lines: then the weights are read off assemblies."""
    model = fitted(moving, operator="auto", stability=None, basis=Greedy(1e-2, 3), train=train)
    r = fitted(moving, operator="auto", basis=Greedy(1e-4, 30), train=train).predict(TESTS[:40])
    error = sizes(r.fields() - np.stack([solution(moving, mu) for mu in TESTS[:40]]))
    assert r.kind == "estimate" and (r.bound >= 0.3 * error).all()
    for mu in TESTS[:10]:
        exact = moving(P.mapping(mu))[0]
        assert abs(model.offline.split.A.combined(mu) - exact).max() < 1e-2 * abs(exact).max()


def test_errors_stated_for_the_operator_say_nothing_of_outputs():
    black_box = lambda mu: (*moving(mu), L[:1] * bump(x[:, None], mu))  # noqa: E731
    eim = EIM([bump, sigma], [edges[:, None], np.zeros((1, 1))], error=lambda mus: (0.1, 0.0))
    assert fitted(moving, operator=eim).predict(TESTS[:3]).kind == "rigorous"
    assert fitted(black_box, operator=eim).predict(TESTS[:3]).kind == "estimate"


def test_where_there_is_no_bound():
    """A singular corner and parameters without a stability constant: infinite there, and as good as ever elsewhere."""
    box = Parameters(k=(0.0, 1.0))
    model = ReducedModel(lambda mu: (mu["k"] * K, f), box, operator=["k"], product=K, stability=lambda mu: mu["k"])
    r = model.fit(np.linspace(0.1, 1, 10)).predict([[0.0], [0.5]])
    assert r.bound[0] == np.inf and r.bound[1] < 1e-12
    box = Parameters(c=(-11.0, 50.0))
    model = ReducedModel(lambda mu: (K + mu["c"] * M, f), box, operator=["1", "c"], product=K).fit(100)
    r = model.predict([[-10.9], [0.0], [40.0]])
    assert r.kind == "rigorous" and r.bound[0] == np.inf and r.bound[1:].max() < 1e-5 and "no bound" in model.history.reason


# -- The hierarchy ---------------------------------------------------------------------------------------------------------


def test_fallback():
    model = fitted(basis=Greedy(1e-3, 6))
    r = model.predict(TESTS[:60])
    tol = float(np.quantile(r.bound, 0.5))
    full = model.predict(TESTS[:60], tol=tol, fallback="full")
    assert full.full.sum() == 30 and full.bound.max() <= tol and model.size <= 6
    exact = np.stack([solution(assemble, mu) for mu in TESTS[:60]])
    assert (sizes(full.fields() - exact) <= full.bound + 1e-12).all()
    assert (abs(full.outputs - exact @ L.T) <= full.output_bound + 1e-14).all()
    rich = model.predict(TESTS[:60], tol=tol, fallback="enrich")
    assert 0 < rich.full.sum() < 30 and model.size > 6 and rich.bound.max() <= tol
    assert (sizes(rich.fields() - exact) <= rich.bound + 1e-12).all()
    assert not model.predict(TESTS[:60], tol=tol, fallback="enrich").full.any()  # it has learned


def test_enriched_by_the_last_parameter():
    model = fitted(basis=Greedy(1e-3, 3))
    r = model.predict(TESTS[:1], tol=1e-10, fallback="enrich")
    assert r.full.all() and model.size == 4
    assert len(model.predict(TESTS[:0], tol=1e-10, fallback="enrich")) == 0
    for tol in (np.nan, -1.0):
        with pytest.raises(ValueError, match="tol must be"):
            model.predict(TESTS[:1], tol=tol, fallback="full")


def test_arrays_of_the_caller():
    """What a user does with his arrays afterwards changes nothing."""
    mus, train, X, rows = TESTS[:5].copy(), P.random(20), K.copy(), L.copy()
    model = ReducedModel(lambda mu: assemble(mu)[:2], P, operator=THETAS, product=X, stability=None, output=rows, basis=POD(size=3))
    rows *= 0
    r = model.fit(train).predict(mus)
    first = model.verify(TESTS[0]).bound
    for array in (mus, train, X.data):
        array *= 0
    assert abs(r.outputs).min() > 0 and r.mus.min() != 0 and model.selected.min() != 0
    assert model.verify(TESTS[0]).bound == first


# -- Other bases -----------------------------------------------------------------------------------------------------------


def test_pod():
    model = fitted(basis=POD(tol=1e-6, snapshots=60))
    assert (np.diff(model.greedy_bounds) < 0).mean() > 0.8 and len(model.greedy_bounds) == model.size + 1
    twins = [fitted(basis=POD(size=5, snapshots=12)), ReducedModel(
        assemble, P, operator=Affine(THETAS), product=K, stability=lambda mu: 1.0, basis=POD(size=5, snapshots=12)).fit(150, workers=2)]
    np.testing.assert_allclose(*(twin.predict(TESTS[:5]).fields() for twin in twins), rtol=1e-9, atol=1e-12)


def test_local_bases():
    model = fitted(basis=LocalBases(k=4, size=5), train=200)
    r = model.predict(TESTS[:100])
    exact = np.stack([solution(assemble, mu) for mu in TESTS[:100]])
    assert len(model.parts) == 4 and r.kind == "rigorous" and (sizes(r.fields() - exact) <= r.bound + 1e-12).all()


def test_validated_greedy():
    """Ten training points are too few: fresh ones that fail join them."""
    few = fitted(basis=Greedy(1e-4, 60), train=10)
    more = fitted(basis=Greedy(1e-4, 60, validate=200), train=10)
    assert few.predict(TESTS).bound.max() > 1e-4 and more.size > few.size
    assert (more.predict(TESTS).bound <= 1e-4).mean() > 0.99 and "fresh" in more.history.reason


# -- Files -----------------------------------------------------------------------------------------------------------------

SAVED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "expressions": ({"stability": MinTheta()}, {}),
    "functions": ({"operator": Affine([lambda mu: 1.0, lambda mu: mu["k"], lambda mu: mu["c"]])}, {"operator": ..., "stability": ...}),
    "scm": ({"stability": SCM()}, {}),
    "a number": ({"stability": 1.0}, {}),
    "dual": ({"dual": True, "basis": Greedy(1e-3, 20)}, {"stability": ...}),
    "local": ({"basis": LocalBases(k=3, size=4)}, {"stability": ...}),
    "learned": ({"operator": "auto", "stability": "auto"}, {}),
}


@pytest.mark.parametrize("name", SAVED)
def test_save_and_load(name, tmp_path):
    options, needed = SAVED[name]
    model = fitted(train=80, **options)
    given = {"operator": model.operator, "stability": model.stability}
    path = tmp_path / "a.rom"
    model.save(path)
    again = load(path, assemble=assemble, **{key: given[key] for key in needed})
    old, new = model.predict(TESTS[:30]), again.predict(TESTS[:30])
    for field in ("coefficients", "bound", "outputs", "output_bound"):
        np.testing.assert_array_equal(getattr(old, field), getattr(new, field))
    assert new.kind == old.kind and again.parameters == P
    np.testing.assert_array_equal(old.fields(3), new.fields(3))
    assert again.verify(TESTS[0]).bound == pytest.approx(model.verify(TESTS[0]).bound, rel=1e-6)
    assert again.report().splitlines()[2:5] == model.report().splitlines()[2:5]
    for key in needed:
        with pytest.raises(ValueError, match=f"load\\(path, {key}="):
            load(path, **{other: given[other] for other in needed if other != key})


def test_single_precision(tmp_path):
    """The bound of fields counts what the basis lost in the file."""
    model, path = fitted(basis=Greedy(1e-9, 40)), tmp_path / "a.rom"
    model.save(path, single=True)
    again = load(path, stability=lambda mu: 1.0)
    again.save(path)
    for mmap in (False, True):
        r = load(path, stability=lambda mu: 1.0, mmap=mmap).predict(TESTS[:50])
        error = sizes(r.fields() - np.stack([solution(assemble, mu) for mu in TESTS[:50]]))
        assert (r.bound >= error).all() and r.bound.max() < 1e-6


def test_load_refuses_other_functions_and_broken_files(tmp_path):
    model, path = fitted(), tmp_path / "a.rom"
    model.save(path, basis=False)
    with pytest.raises(ValueError, match="stability constant are not those"):
        load(path, stability=lambda mu: 2.0)
    with pytest.raises(ValueError, match="of A are not those"):
        load(path, stability=lambda mu: 1.0, operator=Affine(["1", "k", "2*c"]))
    small = load(path, stability=lambda mu: 1.0)
    with pytest.raises(ValueError, match="basis=True"):
        small.predict(TESTS[:1]).fields(0)
    with pytest.raises(ValueError, match="assemble="):
        small.verify(TESTS[0])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFileError):
        load(path)


def test_save_refuses_what_no_file_holds(tmp_path):
    with pytest.raises(ValueError, match="needs the matrices"):
        fitted(stability=Eigenvalue(), basis=Greedy(1e-2, 3), train=20).save(tmp_path / "a.rom")


# -- Interruptions ---------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys, time, numpy as np
sys.path.insert(0, {tests!r})
import importlib.util
spec = importlib.util.spec_from_file_location("t", {here!r}); t = importlib.util.module_from_spec(spec); spec.loader.exec_module(t)
calls = 0
def slow(mu):
    global calls
    calls += 1
    time.sleep({pause})
    return t.assemble(mu)
model = t.ReducedModel(slow, t.P, operator=t.Affine(t.THETAS), product=t.K, stability=lambda mu: 1.0, basis={basis})
model.fit(60, checkpoint={folder!r})
np.savez({out!r}, calls=calls, bounds=model.greedy_bounds, fields=model.predict(t.TESTS[:20]).fields())
"""


@pytest.mark.parametrize("basis", ["t.Greedy(1e-9, 14)", "t.POD(size=8, snapshots=14)"])
def test_kill_minus_nine(basis, tmp_path):
    """Killed in the middle of fit, the same command goes on, solves only what is missing, and makes the same model."""

    def run(folder: str, pause: float) -> tuple[subprocess.Popen, Any]:
        out = tmp_path / f"{folder}.npz"
        values = {"tests": os.path.dirname(os.path.dirname(__file__)), "here": __file__, "basis": basis, "pause": pause}
        code = SCRIPT.format(folder=str(tmp_path / folder), out=str(out), **values)
        return subprocess.Popen([sys.executable, "-c", code]), out

    process, whole = run("whole", 0.0)
    assert process.wait(120) == 0
    process, out = run("killed", 0.2)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "killed").glob("step-*.rom"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists() and len(list((tmp_path / "killed").glob("step-*.rom"))) < 14
    process, out = run("killed", 0.0)
    assert process.wait(120) == 0
    first, second = np.load(whole), np.load(out)
    assert second["calls"] <= first["calls"] - 4
    np.testing.assert_allclose(second["bounds"], first["bounds"], rtol=1e-12)
    np.testing.assert_allclose(second["fields"], first["fields"], rtol=1e-12, atol=1e-12 * abs(first["fields"]).max())


def test_ctrl_c_keeps_what_was_made():
    calls = 0

    def interrupted(mu: dict[str, float]) -> Any:
        nonlocal calls
        calls += 1
        if calls == 14:
            raise KeyboardInterrupt
        return assemble(mu)

    model = ReducedModel(interrupted, P, operator=Affine(THETAS), product=K, stability=lambda mu: 1.0, basis=Greedy(1e-9, 40))
    with pytest.raises(KeyboardInterrupt):
        model.fit(100)
    assert 3 <= model.size < 14 and model.predict(TESTS[:5]).kind == "rigorous"


def test_a_checkpoint_of_another_problem(tmp_path):
    model = ReducedModel(assemble, P, operator=Affine(THETAS), product=K, stability=lambda mu: 1.0, basis=Greedy(1e-3, 5))
    model.fit(50, checkpoint=tmp_path)
    other = ReducedModel(lambda mu: (2 * assemble(mu)[0], f), P, operator=Affine(THETAS), product=K, stability=lambda mu: 1.0)
    with pytest.raises(FileExistsError):
        other.fit(50, checkpoint=tmp_path)
    other = ReducedModel(lambda mu: (K + mu["k"] * M + 2 * mu["c"] * C, f, L), P, operator=THETAS, product=K, stability=1.0)
    with pytest.raises(FileExistsError):  # in the middle of the box they are the same
        other.fit(50, checkpoint=tmp_path)


def test_a_checkpoint_tells_adjoint_solutions_apart(tmp_path):
    """A fit with another tol meets the adjoint solutions of the first where it asks for more primal ones, at the same mu."""
    train = np.array([[2.0, -5.0], [300.0, 5.0]])
    fitted_in = lambda tol, folder: ReducedModel(  # noqa: E731
        lambda mu: (K + mu["k"] * M + mu["c"] * C, f, 10 * L), P, operator=THETAS, product=K, stability=1.0,
        basis=Greedy(tol, 9), dual=True).fit(train, checkpoint=folder)
    first = fitted_in(0.3, tmp_path)
    assert first.size == 0 and first.parts[0].dual.reduced.size > 0
    with pytest.warns(RuntimeWarning, match="not the one that is needed"):
        second = fitted_in(1e-9, tmp_path)
    assert second.size > first.size
    np.testing.assert_allclose(second.predict(TESTS[:9]).bound, fitted_in(1e-9, None).predict(TESTS[:9]).bound, rtol=1e-6)


# -- Bad input -------------------------------------------------------------------------------------------------------------

nan = K.copy()
nan.data[7] = np.nan
REFUSED: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "wrong thetas": (assemble, {"operator": Affine(["1", "k", "c**2"])}, ValueError, "differs from the sum"),
    "too few thetas": (assemble, {"operator": Affine(["1", "k"])}, ValueError, "differs from the sum"),
    "no system": (lambda mu: K, {}, TypeError, r"expected \(A, b\)"),
    "NaN": (lambda mu: (nan, f), {}, ValueError, "A holds NaN"),
    "b too short": (lambda mu: (K, f[:-1]), {}, ValueError, "b must be"),
    "sizes change": (lambda mu: (K[:-1, :-1], f[:-1]) if mu["c"] > 0 else (K, f), {}, ValueError, "same unknowns"),
    "not square": (lambda mu: (K[:-1], f), {}, ValueError, "square"),
    "unknown operator": (assemble, {"operator": "magic"}, TypeError, "operator must be"),
    "unknown product": (assemble, {"product": "magic"}, ValueError, "product must be"),
    "indefinite product": (assemble, {"product": -K}, ValueError, "product= cannot be"),
    "product of another size": (assemble, {"product": K[:-1, :-1]}, ValueError, "product= must be"),
    "unknown basis": (assemble, {"basis": 7}, TypeError, "Greedy, POD or LocalBases"),
    "singular": (lambda mu: (K - K, f), {"operator": Affine(["1"])}, SolveError, "full solve at"),
    "dual without outputs": (lambda mu: (assemble(mu)[0], f), {"dual": True}, ValueError, "output=L"),
    "by products, nothing known": (lambda mu: (sp.linalg.aslinearoperator(K), f), {"operator": "auto"}, ValueError, "products alone"),
    "thetas of a small part": (
        lambda mu: (sp.csr_array(sp.block_diag([1e12 * K, K + mu["k"] * M])), np.r_[f, f]), {
            "operator": Affine(["1"]), "product": sp.csr_array(sp.block_diag([K, K]))}, ValueError, "differs from the sum"),
    "theta not finite": (assemble, {"operator": Affine(["1", "k", lambda mu: mu["c"] * np.inf])}, ValueError, "theta 2 must return"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    black_box, options, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        fitted(black_box, **options)


@pytest.mark.parametrize(
    ("mus", "words"),
    [
        ([[1e4, 0.0]], "outside the box: k = 10000"),
        ([[2.0]], "columns k, c"),
        ([[np.nan, 0.0]], "not finite"),
        ({"k": 2.0}, "expected the parameters k, c"),
    ],
)
def test_bad_parameters(mus, words):
    with pytest.raises(ValueError, match=words):
        fitted(basis=Greedy(1e-2, 4), train=20).predict(mus)


def test_before_fit_and_for_nothing():
    model = ReducedModel(assemble, P)
    with pytest.raises(RuntimeError, match="fit"):
        model.predict(TESTS)
    assert len(fitted(basis=Greedy(1e-2, 4), train=20).predict(np.empty((0, 2))).bound) == 0


def test_report_and_plot(tmp_path):
    model = fitted()
    text = model.report()
    assert "affine in 3 functions" in text and "error bound" in text and str(model.size) in text
    figure = model.plot(tmp_path / "a.png")
    assert len(figure.axes) >= 2 and (tmp_path / "a.png").stat().st_size > 10_000
