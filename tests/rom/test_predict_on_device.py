"""`ReducedModel.predict` at parameters of CuPy: the answers of NumPy, CuPy's arrays, one read a call; see `tests/devices.py`."""

import math

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.rom import EIM, MDEIM, POD, SCM, Affine, Greedy, InfSup, LocalBases, MinTheta, Parameters, Pointwise, ReducedModel
from petrov.rom import load as load_model
from petrov.rom.reduced_model import online

n = 40
x = (np.arange(n) + 0.5) / n
K = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tocsr() * n
M = sp.eye_array(n, format="csr") / n
C = sp.diags_array([-0.5, 0.5], offsets=[-1, 1], shape=(n, n)).tocsr()
LEFT = sp.diags_array((x < 0.5) * 1.0) / n
P = Parameters(k=(1.0, 50.0, "log"), s=(0.1, 2.0))
L = np.stack([np.ones(n) / n, (x < 0.3) / n])


def assemble(mu):
    return K + mu["k"] * M + mu["s"] ** 2 * LEFT, np.ones(n) / n


def two_sides(mu):
    return assemble(mu)[0], np.stack([np.ones(n), np.exp(-x)], axis=1) / n, L


def convection(mu):
    return K + mu["k"] * M + mu["s"] * C, np.ones(n) / n, L[:1]


def waves(mu):
    return (K + (1j * mu["k"]) * M).tocsr(), np.ones(n) / n * (1 + mu["s"]), L


def bump(points, mu):
    return np.exp(-((points[:, 0] - mu["s"] / 2) ** 2) * mu["k"])


def hill(mu):
    return K + sp.diags_array(bump(x[:, None], mu)) / n, np.ones(n) / n


def model(assemble, **options):
    options = {"product": K, "stability": 1.0, "basis": Greedy(max_size=6), **options}
    return lambda: ReducedModel(assemble, P, **options).fit(40)


THETAS = ["1", "k", "s**2"]
CALLABLES = [lambda mu: 1.0, lambda mu: mu["k"], lambda mu: np.square(mu["s"])]
MODELS = {
    "expressions": model(assemble, operator=Affine(THETAS), output=L),
    "functions": model(assemble, operator=Affine(CALLABLES), stability=lambda mu: 1.0 + 0 * mu["k"]),
    "dependent functions": model(assemble, operator=Affine([*THETAS, lambda mu: 1 + mu["k"]]), stability=MinTheta()),
    "several right-hand sides, dual": model(two_sides, operator=Affine(THETAS), dual=True, stability=MinTheta()),
    "convection, dual": model(convection, operator=Affine(["1", "k", "s"]), dual=True, stability=MinTheta()),
    "complex": model(waves, operator=Affine(["1", "1j * k"], rhs=["1 + s"]), dual=True, stability=InfSup(8)),
    "no stability": model(assemble, operator=Affine(THETAS), output=L, stability=None, basis=POD(size=5)),
    "EIM": model(hill, operator=EIM([bump], [x[:, None]], error=lambda mus: (1e-8, 0.0)), stability=Pointwise()),
    "EIM, expression": model(hill, operator=EIM(["exp(-(x - s / 2)**2 * k)"], [x[:, None]], tol=1e-8), stability=Pointwise()),
    "EIM, estimate": model(hill, operator=EIM([bump], [x[:, None]], error=lambda mus: (1e-3, 0.0)), stability=InfSup(8)),
    "EIM, measured": model(hill, operator=EIM([bump], [x[:, None]], tol=1e-3)),
    "learned": model(assemble, operator="auto", stability="auto"),
}
FIELDS = ("coefficients", "bound", "norms", "outputs", "output_bound", "relative_bound", "full")


@pytest.mark.parametrize("name", MODELS)
def test_predict(device, name):
    """One read of one array, a flag for each condition: nothing of the size of the parameters or of the model."""
    fitted = MODELS[name]()
    mus = P.random(30, seed=4)
    host = fitted.predict(mus)
    there = device.put(mus)
    fitted.predict(there)  # the arrays are moved
    with device.counted() as reads:
        found = fitted.predict(there)
    assert len(reads) == 1 and reads[0] <= 12
    assert found.kind == host.kind and len(found) == 30
    for field in FIELDS:
        expected, value = getattr(host, field), getattr(found, field)
        if expected is None:
            assert value is None
            continue
        scale = np.nanmax(np.abs(np.where(np.isfinite(expected), expected, 0.0)), initial=0.0)
        # a bound is a norm of what cancels: in rounding, which its floor counts, it may differ
        atol = 1e-10 * scale + (1e-13 if "bound" in field else 0.0)
        np.testing.assert_allclose(device.get(value), expected, rtol=1e-6 if "bound" in field else 1e-9, atol=atol)
    with device.counted() as reads:
        one, some, every = found.fields(3), found.fields([2, 5]), found.fields()
    assert reads == []
    for value, expected in ((one, host.fields(3)), (some, host.fields([2, 5])), (every, host.fields())):
        np.testing.assert_allclose(device.get(value), expected, rtol=1e-9, atol=1e-12)
    assert repr(found)[:40] == repr(host)[:40]


def test_forms_of_parameters_and_empty_batches(device):
    fitted = MODELS["expressions"]()
    mus = P.random(7, seed=1)
    expected = fitted.predict(mus).coefficients
    mapping = {"k": device.put(mus[:, 0]), "s": device.put(mus[:, 1])}
    for given in (device.put(mus), mapping):
        np.testing.assert_allclose(device.get(fitted.predict(given).coefficients), expected, rtol=1e-9)
    np.testing.assert_allclose(device.get(fitted.predict(device.put(mus[0])).coefficients), expected[:1], rtol=1e-9)
    empty = fitted.predict(device.put(mus[:0]))
    assert len(empty) == 0 and device.get(empty.bound).shape == device.get(empty.norms).shape == (0,)
    outside = fitted.predict(device.put(mus + [[100.0, 0.0]]), extrapolate=True)
    np.testing.assert_allclose(
        device.get(outside.coefficients), fitted.predict(mus + [[100.0, 0.0]], extrapolate=True).coefficients, rtol=1e-8
    )


def test_parts_of_a_batch(device, monkeypatch):
    """Small matrices and residuals of a few parameters at a time give what all at once give."""
    fitted, mus = MODELS["several right-hand sides, dual"](), device.put(P.random(23, seed=2))
    whole = fitted.predict(mus)
    monkeypatch.setattr(online, "NUMBERS", 500)
    parts = fitted.predict(mus)
    for field in FIELDS:
        np.testing.assert_allclose(device.get(getattr(parts, field)), device.get(getattr(whole, field)), rtol=1e-8, atol=1e-14)


def test_what_was_moved_is_kept_until_the_basis_changes(device, tmp_path):
    fitted, mus = MODELS["expressions"](), P.random(5, seed=3)
    there = device.put(mus)
    fitted.predict(there)
    kept = fitted.there
    fitted.predict(there)
    assert fitted.there is kept
    fitted.predict(mus[:1], tol=0.0, fallback="enrich")
    assert fitted.predict(there).coefficients.shape == (5, 7) and fitted.there is not kept
    fitted.save(tmp_path / "model", basis=False)
    again = load_model(tmp_path / "model")
    found = again.predict(there)
    np.testing.assert_allclose(device.get(found.coefficients), fitted.predict(mus).coefficients, rtol=1e-8)
    with pytest.raises(ValueError, match="basis=True"):
        found.fields(0)


def test_a_singular_matrix_is_no_answer_and_no_error(device):
    """Of many: its bound is infinite, and the others are as ever."""
    fitted = ReducedModel(
        lambda mu: ((mu["k"] - 2.0) * np.eye(3), np.ones(3)), Parameters(k=(0.0, 4.0)), operator=Affine(["k - 2"]), product=None,
        stability=lambda mu: abs(mu["k"] - 2.0), basis=Greedy(max_size=1),
    ).fit(np.array([[0.5], [3.0]]))  # fmt: skip
    found = fitted.predict(device.put(np.array([[1.0], [2.0], [3.0]])))
    assert np.isinf(device.get(found.bound)).tolist() == [False, True, False]
    np.testing.assert_allclose(np.abs(device.get(found.coefficients))[[0, 2], 0], np.sqrt(3.0))


def refused():
    """(the error, what it says, a model, parameters if not the usual ones)."""
    good, bad = P.random(4, seed=1), P.random(4, seed=1)
    bad[2] = np.nan, 1.0
    last = Affine(["1", "k", lambda mu: math.sqrt(mu["s"]) ** 4])  # of single numbers
    yield ValueError, "point 3 lies outside", MODELS["expressions"], good + [[0, 0], [0, 0], [0, 0], [0, 9]]
    yield ValueError, "point 2 is not finite", MODELS["expressions"], bad
    yield ValueError, r"\(m, 2\)", MODELS["expressions"], good[:, :1]
    yield TypeError, "theta 2 of A failed on CuPy arrays", model(assemble, operator=last), good
    yield TypeError, "give predict NumPy parameters", model(assemble, operator=Affine(THETAS), stability=SCM()), good
    entries = MDEIM(lambda mu, rows, cols: np.asarray(assemble(mu)[0].todense())[rows, cols])
    yield TypeError, "EntrySampler", model(assemble, operator=entries), good
    yield TypeError, "one basis", model(assemble, operator=Affine(THETAS), basis=LocalBases(k=2)), good
    yield (
        ValueError,
        "MinTheta needs",
        model(convection, operator=Affine(["1", "k", "s"]), stability=MinTheta()),
        good * [[-1, 1]],
    )


@pytest.mark.parametrize(("error", "said", "maker", "mus"), [*refused()])
def test_refusals_name_the_remedy(device, error, said, maker, mus):
    with pytest.raises(error, match=said):
        maker().predict(device.put(mus), extrapolate=bool((mus < 0).any()))


def test_refusals_of_calls(device):
    fitted, mus = MODELS["expressions"](), P.random(3, seed=1)
    there = device.put(mus)
    with pytest.raises(TypeError, match=r"fallback=.*cupy.asnumpy\(mus\)"):
        fitted.predict(there, tol=1e-3, fallback="full")
    with pytest.raises(TypeError, match="one place"):
        fitted.predict({"k": there[:, 0], "s": mus[:, 1]})
    for call in (fitted.verify, fitted.weights):
        with pytest.raises(TypeError, match=r"cupy.asnumpy\(mus\)"):
            call(there[:1, :])


def test_functions_that_are_not_of_single_points(device):
    """A theta that looks at the whole batch, which the host would find out and mend by calling it once a parameter."""
    peak = Affine(["1", "k", lambda mu: mu["s"] ** 2 if np.size(mu["s"]) < 20 else mu["s"].max() ** 2])
    fitted = ReducedModel(assemble, P, operator=peak, product=K, stability=1.0, basis=Greedy(max_size=3)).fit(10)
    with pytest.raises(ValueError, match="other values at single points"):
        fitted.predict(device.put(P.random(30, seed=1)))
