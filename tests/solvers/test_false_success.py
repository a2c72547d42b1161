"""No false success: what a method calls CONVERGED is judged again, in extended precision, on real and generated matrices.

The table is matrices x (double precision at four tolerances, single at two) x (no preconditioner, Jacobi), with iterations
capped, because an honest MAX_ITERATIONS is no failure here. The shipped matrices are always in it, those of the folder
PETROV_TEST_DATA where it is set.
"""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.linalg
import scipy.sparse as sp

from petrov.solvers import Status, bicgstab, cg, gmres, minres
from petrov.solvers.storage import Diagonal

TOLERANCES = [(np.float64, (1e-4, 1e-6, 1e-8, 1e-12)), (np.float32, (1e-3, 1e-5))]
CAP = 2000  # iterations
SHIPPED = Path(__file__).parents[1] / "data"
OUTSIDE = os.environ.get("PETROV_TEST_DATA")
# Neither matrix gives its capped method one success, with or without Jacobi: a table without successes would prove nothing.
OUT_OF_REACH = {"cavity14", "west0479"}


def names(folder):
    return sorted(path.name.removesuffix(".mtx.gz") for path in folder.glob("*.mtx.gz"))


def real_matrices():
    shipped = names(SHIPPED)
    if OUTSIDE is None:
        missing = pytest.mark.skip(reason="PETROV_TEST_DATA is not set: matrices that may not be shipped are left out")
        return [*shipped, pytest.param("those of PETROV_TEST_DATA", marks=missing)]
    return [*shipped, *(name for name in names(Path(OUTSIDE) / "matrices") if name not in shipped)]


def read(name):
    """A (n, n) and b (n,): the right-hand side of the source program where there is one, else A x for a random x."""
    path = SHIPPED / f"{name}.mtx.gz"
    if not path.exists():
        path = Path(OUTSIDE) / "matrices" / path.name
    A = sp.csr_array(scipy.io.mmread(path))
    b = path.with_name(f"{name}_b.npy")
    return A, np.load(b, allow_pickle=False) if b.exists() else made(A)


def made(A):
    return A @ np.random.default_rng(1729).standard_normal(A.shape[0])


def spectrum(values, seed):
    Q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))
    A = (Q * values) @ Q.T
    return (A + A.T) / 2


def tridiagonal(n, low=-1.0, middle=2.0, high=-1.0):
    return sp.diags_array([low, middle, high], offsets=[-1, 0, 1], shape=(n, n)).tocsr()


def jumps(n, contrast):
    """-(k u')' with k alternating between 1 and `contrast` in eight pieces."""
    k = np.where(np.arange(n + 1) * 8 // (n + 1) % 2, contrast, 1.0)
    return sp.diags_array([-k[1:-1], k[:-1] + k[1:], -k[1:-1]], offsets=[-1, 0, 1]).tocsr()


def saddle(n, m, seed):
    B = np.random.default_rng(seed).standard_normal((m, n))
    return np.block([[np.diag(np.linspace(1, 50, n)), B.T], [B, np.zeros((m, m))]])


def scaled_rows(n, exponents):
    A = tridiagonal(n, -1.4, 3.0, -0.6).toarray()
    return np.logspace(*exponents, n)[:, None] * A


def hermitian(n, seed):
    X = np.random.default_rng(seed).standard_normal((n, n, 2)) @ [1, 1j]
    return X @ X.conj().T + 0.01 * np.eye(n)


GENERATED = {
    "hilbert 14": lambda: scipy.linalg.hilbert(14),
    "diagonal 1..1e12": lambda: sp.diags_array(np.logspace(0, 12, 60)).tocsr(),
    "diagonal 1..1e20": lambda: sp.diags_array(np.logspace(0, 20, 60)).tocsr(),
    "definite, condition 1e10": lambda: spectrum(np.logspace(-10, 0, 80), 271),
    "definite, condition 1e13": lambda: spectrum(np.logspace(-13, 0, 80), 828),
    "jumps of 1e8": lambda: jumps(200, 1e8),
    "semidefinite, consistent": lambda: jumps(80, 10.0) - sp.diags_array(np.r_[1.0, np.zeros(78), 1.0]),
    "indefinite": lambda: spectrum(np.r_[-np.logspace(-1, 1, 20), np.logspace(-2, 2, 40)], 182),
    "saddle point": lambda: saddle(60, 20, 845),
    "hermitian": lambda: hermitian(60, 904),
    "convection": lambda: tridiagonal(120, -1.9, 2.0, -0.1),
    "one row of 1e-12": lambda: scaled_rows(60, (0, 0)) * np.r_[np.ones(30), 1e-12, np.ones(29)][:, None],
    "rows from 1e-30 to 1e5": lambda: scaled_rows(60, (-30, 5)),
    "random, not symmetric": lambda: np.random.default_rng(523).standard_normal((36, 36)),
}


def suited(A):
    """The methods that the entries allow, the usual one first."""
    if abs(A - A.conj().T).max() > 1e-12 * abs(A).max():
        return (gmres, bicgstab)
    return (cg, minres) if (A.diagonal().real > 0).all() else (minres,)


def jacobi(A):
    diagonal = np.abs(A.diagonal())
    return Diagonal(1 / np.where(diagonal > 0, diagonal, diagonal.dtype.type(1)), "jacobi")


def relative(A, b, x):
    """||b - A x|| / ||b|| in extended precision: independent of everything the package does."""
    wide = np.clongdouble if np.iscomplexobj(A) or np.iscomplexobj(b) else np.longdouble
    A = A.astype(wide) if not isinstance(A, sp.csr_array) else sp.csr_array((A.data.astype(wide), A.indices, A.indptr), A.shape)
    return float(np.linalg.norm(b.astype(wide) - A @ x.astype(wide)) / np.linalg.norm(b.astype(wide)))


def runs(A, b, methods):
    """(description, result, relative residual) for every cell of the table that belongs to A."""
    for dtype, tolerances in TOLERANCES:
        dtype = np.result_type(dtype, np.complex64) if np.iscomplexobj(A) else dtype
        A_cast, b_cast = A.astype(dtype), b.astype(dtype)
        for M in (None, jacobi(A_cast)):
            for method in methods:
                for rtol in tolerances:
                    result = method(A_cast, b_cast, M=M, rtol=rtol, max_iterations=CAP)
                    cell = f"{method.__name__}, {np.dtype(dtype).name}, M={M and M.name}, rtol={rtol:g}"
                    yield cell, result, relative(A_cast, b_cast, result.x), rtol


def judge(A, b, methods):
    """(number of successes, descriptions of the false ones, descriptions of x that are not finite)."""
    cells = list(runs(A, b, methods))
    false = [f"{cell}: {true:.2e}" for cell, result, true, rtol in cells if result.converged and not true <= rtol]
    wild = [cell for cell, result, _, _ in cells if not np.isfinite(result.x).all()]
    return sum(result.converged for _, result, _, _ in cells), false, wild


@pytest.mark.parametrize("name", real_matrices())
def test_no_false_success_on_a_real_matrix(name):
    A, b = read(name)
    successes, false, wild = judge(A, b, suited(A)[:1])
    assert not false and not wild
    assert bool(successes) is (name not in OUT_OF_REACH)


@pytest.mark.parametrize("name", GENERATED)
def test_no_false_success_on_a_generated_matrix(name):
    A = GENERATED[name]()
    A = sp.csr_array(A) if sp.issparse(A) else A
    successes, false, wild = judge(A, made(A), suited(A))
    assert not false and not wild
    assert successes


@pytest.mark.parametrize("exponent", [-300, -200, -30, 30, 200, 300])
@pytest.mark.parametrize("name", ["jumps of 1e8", "saddle point", "convection"])
def test_no_false_success_at_the_ends_of_the_range(name, exponent):
    A = GENERATED[name]()
    for method in suited(A):
        b = made(A / abs(A).max()) * 10.0**exponent
        result = method(A, b, rtol=1e-8, max_iterations=CAP)
        assert not result.converged or relative(A, b, result.x) <= 1e-8


def test_the_table_is_as_large_as_promised():
    assert len(names(SHIPPED)) + len(GENERATED) >= 25


def test_the_judge_finds_a_false_success():
    A = tridiagonal(40)

    def liar(A, b, *, M, rtol, max_iterations):
        return replace(cg(A, b, M=M, rtol=rtol, max_iterations=1), status=Status.CONVERGED)

    successes, false, wild = judge(A, made(A), (liar,))
    assert len(false) == successes == 12
    assert not wild
