"""POD against the definition: the best basis in the product, its error, and digits that the Gram matrix would lose."""

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.rom.pod import pod
from petrov.solvers.direct.cholesky import cholesky

SEED = 5309


def decaying(n, m, ratio, seed=SEED, complex_=False):
    """(S, sigma) with singular values sigma_j = ratio^j."""
    rng = np.random.default_rng(seed)

    def orthonormal(rows):
        A = rng.standard_normal((rows, min(n, m))) + (1j * rng.standard_normal((rows, min(n, m))) if complex_ else 0)
        return np.linalg.qr(A)[0]

    sigma = ratio ** np.arange(min(n, m))
    return (orthonormal(n) * sigma) @ orthonormal(m).conj().T, sigma


def spd(n, complex_=False):
    """Tridiagonal, condition about n^2."""
    upper = np.full(n - 1, -1.0 + (0.5j if complex_ else 0.0))
    return sp.diags_array([upper.conj(), np.full(n, 2.5), upper], offsets=[-1, 0, 1]).tocsc()


@pytest.mark.parametrize("shape", [(300, 40), (40, 300), (50, 50)], ids=str)
def test_singular_values_are_accurate_to_rounding_not_to_its_root(shape):
    S, sigma = decaying(*shape, 10**-0.5)
    modes = pod(S, tol=1.1e-11)
    assert np.abs(modes.singular_values[:25] - sigma[:25]).max() < 1e-14  # 1e-12 at the end: S^H S stops at 1e-8
    assert modes.size == 22  # sqrt(sum_(j >= 22) 10^-j) = 1.05e-11 <= 1.1e-11 sqrt(sum_j 10^-j)
    left = S - modes.basis @ (modes.basis.conj().T @ S)
    assert np.linalg.norm(left) == pytest.approx(modes.error(), rel=1e-2)
    assert np.abs(modes.basis.T @ modes.basis - np.eye(22)).max() < 1e-14


@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_modes_are_orthonormal_and_best_in_the_product(complex_, dense):
    n, m, N = 60, 20, 7
    S, _ = decaying(n, m, 0.5, complex_=complex_)
    X = spd(n, complex_).toarray()
    w, Q = np.linalg.eigh(X)
    root = (Q * np.sqrt(w)) @ Q.conj().T
    sigma = np.linalg.svd(root @ S)[1]
    modes = pod(S, product=X if dense else spd(n, complex_), size=N)
    V = modes.basis
    assert np.abs(V.conj().T @ X @ V - np.eye(N)).max() < 1e-13
    assert modes.singular_values == pytest.approx(sigma, abs=1e-13)
    error = np.linalg.norm(root @ (S - V @ (V.conj().T @ X @ S)))
    assert error == pytest.approx(np.sqrt((sigma[N:] ** 2).sum()), rel=1e-10)
    assert modes.error() == pytest.approx(error, rel=1e-10)
    assert modes.error(0) == pytest.approx(np.linalg.norm(root @ S))


def test_a_factorisation_serves_as_the_product():
    S, _ = decaying(40, 10, 0.3)
    X = spd(40)
    assert np.array_equal(pod(S, product=cholesky(X), size=4).basis, pod(S, product=X, size=4).basis)


def test_weights_count_a_snapshot_as_often():
    S, _ = decaying(30, 4, 0.6)
    often = pod(S[:, [0, 0, 0, 1, 2, 2]])
    weighted = pod(S, weights=[3, 1, 2, 0])
    assert weighted.singular_values[:3] == pytest.approx(often.singular_values[:3])
    assert weighted.size == often.size == 3
    assert np.abs(weighted.basis.T @ often.basis) == pytest.approx(np.eye(3), abs=1e-12)


@pytest.mark.parametrize(("tol", "size", "kept"), [(None, None, 4), (None, 9, 4), (0.0, None, 4), (0.2, None, 1), (1e-3, None, 3), (1e-3, 2, 2)])
def test_how_many_modes(tol, size, kept):
    sigma = np.array([1.0, 1e-1, 1e-2, 1e-4, 0.0, 0.0])
    modes = pod(np.diag(sigma), tol=tol, size=size)
    assert modes.size == kept
    assert modes.energy() == pytest.approx(1 - (sigma[kept:] ** 2).sum() / (sigma**2).sum())
    assert f"{kept} modes" in repr(modes)


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64", "complex128"])
def test_types_stay_in_their_family(dtype):
    S, _ = decaying(50, 9, 0.1)
    for product in (None, spd(50)):
        modes = pod(S.astype(dtype), product=product)
        assert modes.basis.dtype == dtype
        assert modes.singular_values.dtype == modes.basis.real.dtype
        assert modes.size < 7 if dtype in ("float32", "complex64") else modes.size == 9  # the others are rounding
    assert pod(np.ones((3, 2), int)).basis.dtype == "float64"


def test_large_and_small_scales():
    S, sigma = decaying(50, 8, 0.5)
    for scale in (1e-200, 1e200):
        modes = pod(S * scale, tol=0.1)
        assert modes.error(0) == pytest.approx(scale * np.linalg.norm(sigma))
        assert modes.size == pod(S, tol=0.1).size


def test_zero_snapshots_have_no_modes():
    modes = pod(np.zeros((5, 3)))
    assert modes.size == 0
    assert modes.error() == 0.0


@pytest.mark.parametrize(
    ("S", "options", "error", "text"),
    [
        (np.zeros((3, 0)), {}, ValueError, "not empty"),
        (np.zeros(3), {}, ValueError, r"\(n, m\)"),
        (np.array([[1.0, np.nan]]), {}, ValueError, r"entry \(0, 1\) is nan"),
        (np.array([["a"]]), {}, TypeError, "must hold numbers"),
        (np.eye(3), {"tol": 1.0}, ValueError, "0 <= tol < 1"),
        (np.eye(3), {"size": 0}, ValueError, "at least 1"),
        (np.eye(3), {"weights": [1, 1]}, ValueError, "3 finite numbers"),
        (np.eye(3), {"weights": [1, 1, -1]}, ValueError, ">= 0"),
        (np.eye(3), {"product": np.eye(4)}, ValueError, r"\(3, 3\)"),
        (np.eye(3), {"product": np.diag([1.0, -1.0, 1.0])}, np.linalg.LinAlgError, "positive definite"),
    ],
)
def test_bad_input_is_refused(S, options, error, text):
    with pytest.raises(error, match=text):
        pod(S, **options)
