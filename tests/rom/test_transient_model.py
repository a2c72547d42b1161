"""Time steps against dense algebra and manufactured solutions, reduced models against the full ones, bounds, files, checkpoints."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.rom import ModelFileError, Parameters, ReducedModel, TransientModel, load
from petrov.rom.files import model_file
from petrov.rom.transient.stencils import Differences, stencil
from petrov.rom.transient.time_stepping import SCHEMES, NewtonError


def laplacian(n):
    return sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]).tocsr() * (n + 1) ** 2


def mass_matrix(n):
    return sp.diags_array([np.ones(n - 1), 4 * np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1]).tocsr() / (6 * (n + 1))


def points(n):
    return np.arange(1, n + 1) / (n + 1)


def burgers(n=500, **more):
    """u_t - nu u_xx + (u^2 / 2)_x = 0 with a bump that becomes a moving front."""
    h, x = 1 / (n + 1), points(n)

    def flux(u, mu, i):
        left, right = np.where(i > 0, u[..., i - 1], 0.0), np.where(i < n - 1, u[..., (i + 1) % n], 0.0)
        return (right**2 - left**2) / (4 * h)

    given = {
        "parameters": Parameters(nu=(0.005, 0.05, "log"), a=(0.5, 1.5)), "t": (0, 0.5), "dt": 0.01,
        "u0": lambda mu: mu["a"] * np.exp(-(((x - 0.25) / 0.1) ** 2)), "basis": 30, "deim": 40,
    } | more  # fmt: skip
    return TransientModel(None, [("nu", laplacian(n))], given.pop("nonlinear", flux), **given)


def heat(n=200, **more):
    """A source of width 0.05 that moves with a speed that is the parameter."""
    M, x = mass_matrix(n), points(n)
    given = {
        "parameters": Parameters(k=(0.1, 1.0), c=(0.2, 0.6)), "t": (0, 1), "dt": 0.02, "basis": 1e-5, "deim": 1e-6,
        "rhs": lambda mu, t, i: np.exp(-(((x[i] - 0.2 - mu["c"] * t) / 0.05) ** 2)) / (n + 1),
    } | more  # fmt: skip
    return TransientModel(M, [("k", laplacian(n) / (n + 1))], **given)


@pytest.fixture(scope="module")
def front():
    return burgers().fit(Parameters(nu=(0.005, 0.05, "log"), a=(0.5, 1.5)).grid(4))


# -- Time steps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", SCHEMES)
def test_orders_of_convergence(method):
    v, P = np.array([1.0, -2.0, 0.5]), Parameters(a=(0.5, 2.0))
    A = np.array([[2.0, -1.0, 0.0], [-1.0, 3.0, 0.5], [0.0, 1.0, 1.0]])

    def rhs(mu, t, i):
        u = np.cos(2 * t) * v
        return (-2 * np.sin(2 * t) * v + mu["a"] * (A @ u) + u**3)[i]

    errors = []
    for steps in (40, 80, 160):
        model = TransientModel(None, [("a", A)], lambda u, mu, i: u[..., i] ** 3, parameters=P, rhs=rhs, u0=v, t=(0, 1), dt=1 / steps,
                               method=method)  # fmt: skip
        errors.append(np.linalg.norm(model.solve([1.3])[:, -1] - math.cos(2) * v))
    assert math.log2(errors[1] / errors[2]) == pytest.approx(SCHEMES[method].order, abs=0.1)


@pytest.mark.parametrize("dtype", [float, complex])
@pytest.mark.parametrize("method", SCHEMES)
def test_linear_steps_are_those_of_dense_algebra(method, dtype):
    n, K, dt = 12, 10, 0.05
    rng = np.random.default_rng(5)
    M = mass_matrix(n).toarray() * (n + 1)
    A, B = (rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if dtype is complex else 0) for _ in range(2))
    A, b, u0 = A + 6 * np.eye(n), rng.standard_normal(n), rng.standard_normal(n)
    model = TransientModel(M, [(1.0, A), (lambda mu: mu["s"] ** 2, B)], parameters=Parameters(s=(0.1, 1.0)), u0=u0, t=(0, K * dt), dt=dt,
                           method=method, rhs=[("cos(t) * s", b)], basis=n).fit(12)  # fmt: skip
    S, U = A + 0.49 * B, [u0]
    for k in range(K):
        scheme = SCHEMES["implicit Euler"] if k == 0 and method == "BDF2" else SCHEMES[method]
        F = lambda u, k: S @ u - math.cos(k * dt) * 0.7 * b  # noqa: E731
        old = M @ (scheme.a[1] * U[-1] + scheme.a[2] * U[max(k - 1, 0)]) / dt + (1 - scheme.theta) * F(U[-1], k)
        U.append(np.linalg.solve(scheme.a[0] * M / dt + scheme.theta * S, scheme.theta * math.cos((k + 1) * dt) * 0.7 * b - old))
    U = np.array(U).T
    assert np.linalg.norm(model.solve([0.7]) - U) <= 1e-10 * np.linalg.norm(U)
    assert np.linalg.norm(model.predict([0.7]).fields(0) - U) <= 1e-10 * np.linalg.norm(U)  # a basis of the whole space


@pytest.mark.parametrize("method", SCHEMES)
def test_deim_of_full_size_is_galerkin(method):
    options = {"n": 40, "dt": 0.005, "t": (0, 0.1), "basis": 6, "method": method}
    with_deim, without = burgers(deim=1e-14, **options).fit(8), burgers(deim=None, **options).fit(8)
    mus = with_deim.parameters.random(3, seed=8)
    assert len(with_deim.points) > 25 and len(without.points) == 40
    a, b = with_deim.predict(mus).coefficients, without.predict(mus).coefficients
    assert np.abs(a - b).max() <= 1e-7 * np.abs(b).max()
    V = without.basis  # and without it is the projection of the full residual, in time steps of the full basis
    full = burgers(deim=None, **{**options, "basis": 40}).fit(8)
    exact = full.solve(mus[0])
    assert np.linalg.norm(full.predict(mus[:1]).fields(0) - exact) <= 1e-6 * np.linalg.norm(exact)
    assert np.linalg.norm(V.T @ V - np.eye(6)) < 1e-12


# -- Reduced models --------------------------------------------------------------------------------------------------------


def test_burgers_to_a_thousandth_with_thirty_modes(front):
    held_out = front.parameters.random(4, seed=9)
    found = front.predict(held_out, estimate=True)
    assert found.kind == "estimate" and found.bound is None and front.online.reduced.stated.f.many
    for i, mu in enumerate(held_out):
        check = front.verify(mu)
        assert check.relative <= 1e-3 and check.relative <= 4 * check.relative_projection
        assert 0.3 < found.estimate[i].max() / check.errors.max() < 3
        assert np.allclose(front.predict(mu).coefficients[0], found.coefficients[i], rtol=0, atol=1e-7)
        u = front.solve(mu)
        assert np.linalg.norm(found.fields(i) - u) == pytest.approx(check.relative * np.linalg.norm(u), rel=1e-3)


def test_other_sizes_without_solving_again():
    small, large = burgers(80, t=(0, 0.1), basis=5, deim=7).fit(4), burgers(80, t=(0, 0.1), basis=9, deim=12).fit(4)
    mus = small.parameters.random(2, seed=6)
    resized = large.resize(5, 7).predict(mus).coefficients
    assert np.allclose(np.abs(resized), np.abs(small.predict(mus).coefficients), atol=1e-7)
    with pytest.raises(ValueError, match="resize keeps deim=None"):
        large.resize(5, None)


def test_a_function_for_one_parameter_at_a_time_gives_the_same(front):
    n = 500

    def flux(u, mu, i):
        left = np.array([u[j - 1] if j else 0.0 for j in i])
        right = np.array([u[j + 1] if j < n - 1 else 0.0 for j in i])
        return (right**2 - left**2) / (4 / (n + 1))

    model = burgers(nonlinear=flux, t=(0, 0.05)).fit(3)
    assert not model.online.reduced.stated.f.many and "one parameter at a time" in repr(model)
    mus = model.parameters.random(3, seed=2)
    assert np.allclose(model.predict(mus).coefficients, burgers(t=(0, 0.05)).fit(3).predict(mus).coefficients, atol=1e-9)


def test_a_function_that_mixes_parameters_is_called_for_each():
    model = burgers(40, t=(0, 0.05), nonlinear=lambda u, mu, i: np.mean(mu["a"]) * u[..., i] ** 3).fit(3)
    mus = model.parameters.random(3, seed=2)
    assert not model.online.reduced.stated.f.many
    found = model.predict(mus).coefficients
    assert np.allclose(found[1], model.predict(mus[1]).coefficients[0], atol=1e-8)


def test_online_evaluations_are_few(front):
    asked = []

    def flux(u, mu, i):
        asked.append((len(i), np.isfinite(np.atleast_2d(u)[0]).sum()))
        left, right = np.where(i > 0, u[..., i - 1], 0.0), np.where(i < 499, u[..., (i + 1) % 500], 0.0)
        return (right**2 - left**2) / (4 / 501)

    model = burgers(nonlinear=flux, t=(0, 0.05), deim=10).fit(3)
    asked.clear()
    model.predict(model.parameters.random(4, seed=2))
    assert asked and all(entries == len(model.points) <= 10 and known <= 20 for entries, known in asked)


def test_moving_source_is_as_good_as_its_modes():
    model = heat().fit(heat().parameters.grid(5))
    left = np.sqrt((model.singular_values["states"][model.online.reduced.size :] ** 2).sum())
    at_training = model.verify([0.325, 0.4])
    assert left <= 1e-5 * np.linalg.norm(model.singular_values["states"])
    for mu in model.parameters.random(3, seed=4):
        check = model.verify(mu)
        assert check.relative <= 1.5 * check.relative_projection + 1e-5
    assert np.linalg.norm(at_training.projection) <= 1.01 * left


def test_bound_holds_at_all_times():
    n, P = 60, Parameters(k=(0.1, 1.0))
    A, M, rng = laplacian(n) / (n + 1), mass_matrix(n), np.random.default_rng(3)
    b, u0 = rng.standard_normal((2, n)) / n, np.sin(3 * points(n)) + 0.1 * rng.standard_normal(n)
    skew = sp.diags_array([-np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1]) * 3.0
    for start in (u0, lambda mu: mu["k"] * u0):
        model = TransientModel(M, [("k", A), (1.0, skew)], parameters=P, u0=start, t=(0, 1), dt=0.05, basis=5, stability="k", energy=A,
                               rhs=[("sin(9 * t)", b[0]), (lambda mu, t: mu["k"] * t, b[1])]).fit(6)  # fmt: skip
        mus = P.random(5, seed=6)
        found = model.predict(mus)
        assert found.kind == "rigorous" and found.bound.shape == (5, 21)
        for i, mu in enumerate(mus):
            errors = model.verify(mu).errors
            assert (errors <= found.bound[i] * (1 + 1e-9)).all() and found.bound[i, -1] < 200 * errors.max()
            assert found.bound[i, 0] == pytest.approx(errors[0], rel=1e-6)


def test_black_box_and_outputs():
    n, x = 50, points(50)
    A, B = laplacian(n), sp.diags_array(1 + x).tocsr()
    common = {"parameters": Parameters(k=(0.1, 1.0)), "rhs": np.ones(n), "t": (0, 0.1), "dt": 0.01, "basis": 5, "output": x / n}
    stated = TransientModel(None, [("k", A), ("k**2", B)], **common).fit(5)
    black = TransientModel(None, (lambda mu: mu["k"] * A + mu["k"] ** 2 * B, ["k", "k**2"]), **common).fit(5)
    found = black.predict([0.3, 0.4])
    assert np.allclose(found.outputs, stated.predict([0.3, 0.4]).outputs, rtol=1e-9) and found.outputs.shape == (2, 11, 1)
    assert np.allclose(found.outputs[1, :, 0], found.fields(1).T @ (x / n)) and found.kind == "none"
    with pytest.raises(ValueError, match="differs from the sum of its terms"):
        TransientModel(None, (lambda mu: mu["k"] * A + mu["k"] ** 3 * B, ["k", "k**2"]), **common)


# -- Stencils --------------------------------------------------------------------------------------------------------------


def upwind(u, mu, i):
    n = u.shape[-1]
    back, ahead = u[..., i] - u[..., i - 1], u[..., (i + 1) % n] - u[..., i]
    return np.where(u[..., i] > 0, u[..., i] * back, u[..., i] * ahead)


def test_stencils_are_found_through_branches():
    n, rng = 37, np.random.default_rng(1)
    found = stencil(lambda u: upwind(u, {}, np.arange(n)), [rng.standard_normal(n), -np.ones(n), np.ones(n)])
    truth = sum((sp.diags_array(np.ones(n)).toarray() @ np.roll(np.eye(n), s, axis=1) for s in (-1, 0, 1)), np.zeros((n, n)))
    assert np.array_equal(found.toarray(), truth > 0)
    by = Differences.of(found[[3, 20, 36]])
    assert by.count == 3 and set(by.needed) == {2, 3, 4, 19, 20, 21, 35, 36, 0}


@pytest.mark.parametrize("dense", [200, 400])
def test_a_dependence_on_everything(dense):
    if dense == 200:
        assert stencil(lambda u: u + u.sum(), [np.ones(dense)]).nnz == dense**2
    else:
        with pytest.raises(ValueError, match="more than 256 unknowns"):
            stencil(lambda u: u + u.sum(), [np.ones(dense)])


def test_jacobian_and_stencil_of_the_user():
    n, h = 60, 1 / 61

    def jacobian(u, mu):
        return sp.diags_array([-u[:-1] / (2 * h), u[1:] / (2 * h)], offsets=[-1, 1])

    options = {"n": n, "t": (0, 0.05), "basis": 8, "deim": 12}
    plain = burgers(**options).fit(4)
    mus, band = plain.parameters.random(2, seed=7), laplacian(n)
    for more in ({"jacobian": jacobian}, {"stencil": band}, {"stencil": lambda i: np.concatenate([i, (i + 1) % n, np.maximum(i - 1, 0)])}):
        model = burgers(**options, **more).fit(4)
        assert np.allclose(model.predict(mus).coefficients, plain.predict(mus).coefficients, atol=1e-7)
    with pytest.raises(ValueError, match=r"depends on more of them. Pass stencil="):
        burgers(**options, stencil=sp.tril(band)).fit(4)


# -- Files and checkpoints -------------------------------------------------------------------------------------------------


def test_saved_and_loaded(front, tmp_path):
    file, given = tmp_path / "front.rom", front.online.reduced.stated
    front.save(file)
    functions = {"nonlinear": given.f.function, "u0": given.start.value}
    again, mus = TransientModel.load(file, functions), front.parameters.random(3, seed=1)
    assert np.array_equal(again.predict(mus, estimate=True).estimate, front.predict(mus, estimate=True).estimate)
    with pytest.raises(ValueError, match="verify needs the full problem"):
        again.verify(mus[0])
    with pytest.raises(ValueError, match="nonlinear is not the function"):
        TransientModel.load(file, functions | {"nonlinear": lambda u, mu, i: 1.01 * given.f.function(u, mu, i)})
    with pytest.raises(ValueError, match=r"the function 'u0' is no text: give it again"):
        TransientModel.load(file, {"nonlinear": given.f.function})
    with pytest.raises(ValueError, match=r"no function 'rhs' is to be given"):
        TransientModel.load(file, functions | {"rhs": max})
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelFileError):
        TransientModel.load(file, functions)


def test_load_tells_the_kinds_of_models_apart(tmp_path):
    """rom.load gives a transient model for its file, and refuses what belongs to the other kind."""
    model = TransientModel(None, [("k", laplacian(30))], parameters=Parameters(k=(0.1, 1.0)), rhs=lambda mu, t, i: mu["k"] + t * i,
                           t=(0, 1), dt=0.1, basis=3).fit(4)  # fmt: skip
    file, rhs = tmp_path / "heat.rom", model.online.reduced.stated.b.function
    model.save(file)
    again, mus = load(file, functions={"rhs": rhs}), model.parameters.random(3, seed=1)
    assert isinstance(again, TransientModel) and repr(again) == repr(model)
    assert np.array_equal(again.predict(mus).coefficients, model.predict(mus).coefficients)
    again.save(tmp_path / "copy.rom")
    assert (tmp_path / "copy.rom").read_bytes() == file.read_bytes()
    for wrong in ("assemble", "operator", "stability", "mmap"):
        with pytest.raises(ValueError, match=f"holds a transient model, .* no {wrong}="):
            load(file, functions={"rhs": rhs}, **{wrong: True})
    steady = ReducedModel(lambda mu: (np.diag([1.0, 2.0]) + mu["k"] * np.eye(2), np.ones(2)), Parameters(k=(0.0, 1.0)), operator=["1", "k"])
    steady.fit(5).save(tmp_path / "steady.rom")
    with pytest.raises(ValueError, match="functions= belongs to transient models"):
        load(tmp_path / "steady.rom", functions={})


def test_a_sound_file_that_is_no_transient_model(tmp_path):
    model_file.write(tmp_path / "other.rom", "transient model", {"parameters": {"k": [0, 1, "linear"]}}, {})
    with pytest.raises(ModelFileError, match="not a transient model of this petrov: KeyError"):
        load(tmp_path / "other.rom")
    model_file.write(tmp_path / "step.rom", "checkpoint step", {}, {})
    with pytest.raises(ModelFileError, match="holds a 'checkpoint step' where a 'reduced model' was expected"):
        load(tmp_path / "step.rom")


def test_saved_bound_and_source(tmp_path):
    A, n = laplacian(30), 30
    bounded = TransientModel(None, [(lambda mu: mu["k"], A)], parameters=Parameters(k=(0.1, 1.0)), rhs=[("t", np.ones(n))], t=(0, 1),
                             dt=0.1, basis=3, stability=lambda mu: mu["k"], energy=A).fit(4)  # fmt: skip
    source = heat(n=40).fit(4)
    for model, functions in (
        (bounded, {"theta 0": lambda mu: mu["k"], "stability": lambda mu: mu["k"]}), (source, {"rhs": source.online.reduced.stated.b.function})
    ):  # fmt: skip
        model.save(tmp_path / "a.rom")
        again, mus = TransientModel.load(tmp_path / "a.rom", functions), model.parameters.random(3, seed=1)
        assert np.array_equal(again.predict(mus).coefficients, model.predict(mus).coefficients)
        assert again.predict(mus).kind == model.predict(mus).kind
    assert np.array_equal(TransientModel.load(tmp_path / "a.rom", functions).predict(mus).coefficients, source.predict(mus).coefficients)


def test_an_interrupted_fit_goes_on(tmp_path):
    calls, limit = [0], [0]
    x, P = points(40), Parameters(k=(0.1, 1.0))

    def rhs(mu, t, i):
        calls[0] += 1
        if limit[0] and calls[0] > limit[0]:
            raise KeyboardInterrupt
        return np.sin(mu["k"] * x[i] + t)

    def model(**more):
        return TransientModel(None, [("k", laplacian(40))], parameters=P, rhs=rhs, t=(0, 1), dt=0.1, basis=4, **more)

    train = P.random(6, seed=3)
    whole = model().fit(train)
    limit[0], calls[0] = 60, 0
    with pytest.raises(KeyboardInterrupt):
        model().fit(train, checkpoint=tmp_path / "run")
    done = len(list((tmp_path / "run").glob("step-*.rom")))
    assert 0 < done < 6
    limit[0], calls[0] = 0, 0
    again = model().fit(train, checkpoint=tmp_path / "run")
    assert np.array_equal(again.basis, whole.basis) and calls[0] < 6 + (6 - done) * 11 + 3  # what was done is not done again
    with pytest.raises(FileExistsError):
        model(method="BDF2").fit(train, checkpoint=tmp_path / "run")


# -- What is refused -------------------------------------------------------------------------------------------------------


def test_a_step_that_cannot_be_solved_says_where():
    model = TransientModel(None, np.eye(2), lambda u, mu, i: -mu["a"] * u[..., i] ** 2, parameters=Parameters(a=(1.0, 9.0)), u0=2.0,
                           t=(0, 4), dt=0.5)  # fmt: skip
    with pytest.raises(NewtonError, match=re.escape("step 1 to t = 0.5 at a = 8: the residual")) as caught:
        model.solve([8.0])
    assert (caught.value.step, caught.value.time) == (1, 0.5)
    singular = TransientModel(np.zeros((2, 2)), np.array([[1.0, 1.0], [1.0, 1.0]]), parameters=Parameters(a=(1.0, 9.0)), u0=1.0, t=(0, 1),
                              dt=0.5, product=None)  # fmt: skip
    with pytest.raises(NewtonError, match=r"step 1 to t = 0.5 at a = 2: the linear system was not solved"):
        singular.solve([2.0])


def test_a_step_online_that_cannot_be_solved_says_for_which_parameter(front):
    given = front.online.reduced.stated
    bad = replace(given.f, function=lambda u, mu, i: given.f.function(u, mu, i) / (mu["a"] > 1.0), many=False)
    model = burgers()
    model.online = replace(front.online, reduced=replace(front.online.reduced, stated=replace(given, f=bad), spare={}))
    with pytest.raises(NewtonError, match=r"step 1 to t = 0.01 at nu = 0.02, a = 0.75"), np.errstate(divide="ignore", invalid="ignore"):
        model.predict([[0.02, 1.2], [0.02, 0.75]])


REFUSED = [
    ({"dt": 0.03}, "dt must divide the interval"),
    ({"t": (1, 0)}, "t0 < t1"),
    ({"t": 3}, "two times"),
    ({"method": "RK4"}, "method must be one of"),
    ({"rhs": np.ones(7)}, "vector 0 of rhs must hold 8"),
    ({"rhs": np.full(8, np.nan)}, "must hold 8 finite"),
    ({"rhs": 3.0}, "rhs must be"),
    ({"u0": np.ones(7)}, r"u0 must be a number or an array \(8,\)"),
    ({"u0": np.nan}, "u0 holds NaN"),
    ({"basis": 0}, "a size of at least 1"),
    ({"basis": "many"}, "basis must be a tolerance"),
    ({"basis": None}, "basis must be"),
    ({"interpolation": "magic"}, "interpolation must be one of"),
    ({"product": "energy"}, "product must be"),
    ({"product": -np.eye(8)}, "product= cannot be the inner product"),
    ({"mass": np.zeros((8, 8))}, "mass cannot be the inner product"),
    ({"mass": np.eye(7)}, r"mass must be a matrix, \(8, 8\)"),
    ({"affine": []}, "affine must be a matrix"),
    ({"affine": [np.eye(8)]}, "pairs"),
    ({"affine": [("1 + z", np.eye(8))]}, "z is not known"),
    ({"affine": np.full((8, 8), np.inf)}, "NaN or infinity"),
    ({"nonlinear": lambda u, mu, i: u[..., 1:]}, r"asked for 8 entries and must return \(8,\)"),
    ({"nonlinear": lambda u, mu, i: u[..., i] * np.nan}, "pass stencil="),
    ({"nonlinear": lambda u, mu, i: u[..., i], "affine": 1j * np.eye(8)}, "complex problems must be linear"),
    ({"jacobian": lambda u, mu: np.eye(8)}, "belong to nonlinear"),
    ({"nonlinear": lambda u, mu, i: u[..., i], "stencil": np.eye(7)}, "stencil must be a matrix"),
    ({"stability": 1.0}, "both stability=alpha and energy=X"),
    ({"stability": 1.0, "energy": np.eye(8), "method": "BDF2"}, "implicit Euler"),
    ({"parameters": Parameters(t=(0, 1))}, "cannot be called t"),
    ({"parameters": {"k": (0, 1)}}, "parameters must be Parameters"),
    ({"tol": 1.0}, "tol, of the residual"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_refused(given, said):
    options = {"mass": None, "affine": np.eye(8), "parameters": Parameters(k=(0.0, 1.0)), "t": (0, 1), "dt": 0.1} | given
    with pytest.raises((ValueError, TypeError), match=said):
        TransientModel(options.pop("mass"), options.pop("affine"), options.pop("nonlinear", None), **options)


def test_refused_later():
    model = TransientModel(None, np.eye(8), parameters=Parameters(k=(0.0, 1.0)), t=(0, 1), dt=0.1)
    with pytest.raises(ValueError, match="call fit"):
        model.predict([0.5])
    with pytest.raises(ValueError, match="all training trajectories are zero"):
        model.fit(2)
    with pytest.raises(ValueError, match="outside the box"):
        model.solve([2.0])
    with pytest.raises(ValueError, match="solve takes one parameter; got 2"):
        model.solve([[0.2], [0.3]])
