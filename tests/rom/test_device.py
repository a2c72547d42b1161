"""Reduced models on CuPy arrays: the answers of NumPy, arrays of CuPy, and few reads on the host.

`device` is CuPy's double on the host, and CuPy itself where tests marked gpu are run.
"""

import numpy as np
import pytest

from petrov.rom.empirical_interpolation import deim, eim, qdeim
from petrov.rom.pod import pod

CLOSE = {"rtol": 1e-10, "atol": 1e-10}


# -- POD ---------------------------------------------------------------------------------------------------------------------


def field(n, m, kind="float64"):
    x, mu = np.linspace(0, 1, n)[:, None], np.linspace(1, 2, m)
    S = np.exp(-3 * mu * x) + np.sin(4 * mu * x)
    return (S * np.exp(1j * mu) if kind.startswith("complex") else S).astype(kind)


def stiffness(n, kind):
    X = 2.1 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return X + 0.1j * (np.eye(n, k=1) - np.eye(n, k=-1)) if kind.startswith("complex") else X


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weights"])
@pytest.mark.parametrize("product", [False, True], ids=["Euclidean", "product"])
@pytest.mark.parametrize("kind", ["float64", "complex128", "float32"])
@pytest.mark.parametrize("shape", [(60, 12), (10, 25)], ids=["tall", "wide"])
def test_pod(device, shape, kind, product, weighted):
    """Reads: which columns are finite, the singular values, and three numbers that say whether X is an inner product."""
    n, m = shape
    S, X = field(n, m, kind), stiffness(n, kind).astype(kind) if product else None
    w = np.linspace(0.5, 1.5, m) if weighted else None
    host = pod(S, product=X, weights=w, tol=1e-4)
    given = {"product": None if X is None else device.put(X), "weights": None if w is None else device.put(w)}
    there = device.put(S)
    with device.counted() as reads:
        found = pod(there, tol=1e-4, **given)
    assert sorted(reads) == sorted([m, min(n, m)] + [3] * product + [m] * weighted)
    V, close = device.get(found.basis), {"rtol": 1e-10, "atol": 1e-10} if kind != "float32" else {"rtol": 1e-4, "atol": 1e-4}
    assert V.dtype == host.basis.dtype and found.singular_values.dtype == host.singular_values.dtype
    np.testing.assert_allclose(device.get(found.singular_values), host.singular_values, **close)
    np.testing.assert_allclose(V @ V.conj().T, host.basis @ host.basis.conj().T, **close)
    assert found.error() == pytest.approx(host.error(), rel=1e-3) and found.size == host.size
    assert "modes of" in repr(found)


def test_pod_refuses(device):
    import scipy.sparse as sp

    from petrov.solvers.direct.cholesky import cholesky

    S, X = device.put(field(6, 4)), sp.csr_array(stiffness(6, "float64"))
    indefinite = np.diag([1.0, 2.0, -1.0, 1.0, 1.0, 1.0])
    for error, said, wrong in [
        (TypeError, "one place", lambda: pod(S, product=stiffness(6, "float64"))),
        (TypeError, "one place", lambda: pod(field(6, 4), product=device.put(stiffness(6, "float64")))),
        (TypeError, "one place", lambda: pod(S, weights=np.ones(4))),
        (TypeError, "one place", lambda: pod(field(6, 4), weights=device.put(np.ones(4)))),
        (TypeError, "one place", lambda: pod(S, product=X)),
        (TypeError, "on the host", lambda: pod(S, product=cholesky(X))),
        (np.linalg.LinAlgError, "positive definite", lambda: pod(S, product=device.put(indefinite))),
        (ValueError, "Hermitian", lambda: pod(S, product=device.put(np.triu(np.ones((6, 6)))))),
        (ValueError, r"\(6, 6\)", lambda: pod(S, product=device.put(np.eye(5)))),
        (ValueError, "column 2", lambda: pod(device.put(np.where(np.arange(4) == 2, np.nan, field(6, 4))))),
        (ValueError, "not empty", lambda: pod(device.put(np.zeros((0, 3))))),
    ]:
        with pytest.raises(error, match=said):
            wrong()


# -- Empirical interpolation -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [None, 3])
@pytest.mark.parametrize("kind", ["float64", "complex128", "float32"])
def test_empirical_interpolation(device, kind, first):
    """Reads: the largest residual before each step; the value at `first`, whose row may be zero."""
    f = field(50, 30, kind)
    host = eim(f, tol=1e-5, first=first)
    there = device.put(f)
    with device.counted() as reads:
        found = eim(there, tol=1e-5, first=first)
    assert reads == [1] * (found.size + 1 + (first is not None)) and found.size > 4
    np.testing.assert_allclose(found.errors, host.errors, rtol=1e-8)
    for name in ("nodes", "points"):
        np.testing.assert_array_equal(device.get(getattr(found, name)), getattr(host, name))
    for name in ("lower", "upper"):
        np.testing.assert_allclose(device.get(getattr(found, name)), getattr(host, name), **CLOSE)
    values = np.exp(-np.outer(np.linspace(0, 1, host.size), [1.2, 1.7]))
    with device.counted() as reads:
        beta = found.coefficients(device.put(values))
        part = found.truncated(3).coefficients(device.put(values[:3, 0]))
    assert reads == [1, 1]
    np.testing.assert_allclose(device.get(beta), host.coefficients(values), rtol=1e-7)
    np.testing.assert_allclose(device.get(part), host.truncated(3).coefficients(values[:3, 0]), rtol=1e-9)
    np.testing.assert_allclose(device.get(host.beside(there).coefficients(device.put(values))), device.get(beta), rtol=1e-7)
    np.testing.assert_allclose(found.beside(f).coefficients(values), host.coefficients(values), rtol=1e-9)
    assert found.lebesgue(there) == pytest.approx(host.lebesgue(f)) and found.condition == pytest.approx(host.condition)
    assert repr(found.truncated(0).lebesgue(there)) == "0.0"


def test_ties_go_to_the_lowest_index(device):
    f = np.eye(4) + 1e-10 * np.arange(4)  # the last is the largest by less than counts
    found, host = eim(device.put(f)), eim(f)
    assert device.get(found.nodes).tolist() == host.nodes.tolist() == device.get(found.points).tolist() == [0, 1, 2, 3]
    assert device.get(deim(device.put(f[:, :1] * 0 + 1 + f[:, 1:2] * 1e-10))).tolist() == [0]


@pytest.mark.parametrize("points", [deim, qdeim])
@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_interpolation_points(device, points, kind):
    U = pod(field(40, 12, kind), size=6).basis
    there = device.put(U)
    with device.counted() as reads:
        found = points(there)
    assert reads == [6]
    np.testing.assert_array_equal(device.get(found), points(U))


def test_interpolation_refuses(device):
    f, fit = device.put(field(8, 5)), eim(field(8, 5))
    broken = np.where(np.arange(5) == 2, np.nan, field(8, 5))
    dependent = np.repeat(np.arange(1.0, 5.0)[:, None], 2, axis=1)
    zero_row = field(8, 5) * (np.arange(8) != 1)[:, None]
    for error, said, wrong in [
        (TypeError, "one place", lambda: fit.coefficients(device.put(np.ones(fit.size)))),
        (TypeError, "one place", lambda: eim(f).coefficients(np.ones(fit.size))),
        (TypeError, "one place", lambda: fit.lebesgue(f)),
        (ValueError, "column 2", lambda: eim(device.put(broken))),
        (ValueError, "leave first out", lambda: eim(device.put(zero_row), first=1)),
        (ValueError, "rows and columns", lambda: eim(device.put(np.ones(3)))),
        (ValueError, "finite", lambda: eim(f).coefficients(device.put(np.full(fit.size, np.nan)))),
        (ValueError, "f at the points", lambda: eim(f).coefficients(device.put(np.ones(fit.size + 1)))),
        (ValueError, "column 1", lambda: deim(device.put(dependent))),
        (ValueError, "independent", lambda: qdeim(device.put(dependent))),
        (ValueError, "independent", lambda: qdeim(device.put(np.ones((2, 3))))),
    ]:
        with pytest.raises(error, match=said):
            wrong()
    zero = eim(device.put(np.zeros((3, 4))))
    assert zero.size == 0 and device.get(zero.coefficients(device.put(np.zeros((0, 2))))).shape == (0, 2)
