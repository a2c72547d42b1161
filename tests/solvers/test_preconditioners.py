"""Jacobi, Chebyshev, IC(0), ILU and PyAMG against dense oracles; every refusal provoked; the protocol by conformance."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from conformance import (
    FORMS,
    SPD_CASES,
    STORED,
    Bare,
    OperatorConformance,
    PreconditionerConformance,
    as_strict,
    as_torch,
    close,
    laplacian,
    matrix,
    vectors,
)  # fmt: skip

from petrov.solvers import arrays, cg, gmres
from petrov.solvers.external.pyamg import PyAMG
from petrov.solvers.operator import Counted, Diagonal, Scaled
from petrov.solvers.preconditioners import Chebyshev, IncompleteCholesky, IncompleteLU, Jacobi
from petrov.solvers.storage.csr import view

DENSE_LIBRARIES = ("torch", "array_api_strict")


def poisson(n: int, dtype: str = "float64") -> sp.csr_array:
    """The five-point matrix of an n x n grid."""
    T = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    eye = sp.eye_array(n)
    return sp.csr_array(sp.kron(T, eye) + sp.kron(eye, T)).astype(dtype)


def ic0(A: np.ndarray) -> np.ndarray:
    """L with a positive diagonal and L L^H = A on the pattern of A: the textbook loops, column by column."""
    L, n = np.tril(A).astype(np.result_type(A, float)), len(A)
    for k in range(n):
        L[k, k] = np.sqrt(L[k, k].real)
        L[k + 1 :, k] /= L[k, k]
        for j in range(k + 1, n):
            rows = np.flatnonzero(A[j:, j]) + j
            L[rows, j] -= L[rows, k] * L[j, k].conj()
    return L


# Recipes and operators that follow the protocol.


class TestJacobi(PreconditionerConformance):
    forms = (*STORED, *DENSE_LIBRARIES)

    def create(self):
        return Jacobi()

    def dense(self, M, A):
        return np.diag(1 / A.diagonal())

    def test_name_and_print(self):
        assert Jacobi()(np.eye(3)).name == Jacobi().name == "jacobi"


class TestJacobiInTorch(TestJacobi):
    form = "torch"
    forms = ("torch",)


class TestJacobiInArrayApiStrict(TestJacobi):
    form = "array_api_strict"
    forms = ("array_api_strict",)


class TestChebyshev(PreconditionerConformance):
    forms = tuple(name for name in FORMS if name not in ("LinearOperator", "bare", "CuPy"))

    def create(self):
        return Chebyshev(degree=3)

    def dense(self, M, A):
        return polynomial(M, A, A.diagonal())


class TestChebyshevInTorch(TestChebyshev):
    form = "torch"
    forms = ("torch",)


class TestChebyshevInArrayApiStrict(TestChebyshev):
    form = "array_api_strict"
    forms = ("array_api_strict",)


class TestChebyshevOfProducts(TestChebyshev):
    form = "bare"
    forms = ("LinearOperator", "bare")

    def create(self):
        return Chebyshev(degree=4)

    def dense(self, M, A):
        return polynomial(M, A, np.ones(len(A)))


class TestIncompleteCholesky(PreconditionerConformance):
    def create(self):
        return IncompleteCholesky()

    def dense(self, M, A):
        L = ic0(A + M.shift * np.diag(A.diagonal()))
        return np.linalg.inv(L @ L.conj().T)


class TestIncompleteLU(PreconditionerConformance):
    """With nothing dropped the incomplete factors are the complete ones."""

    cases = (*SPD_CASES, "convection", "random, general", "indefinite")
    pickles = False
    spd_expected = None

    def create(self):
        return IncompleteLU(drop_tol=0.0, fill_factor=100.0)

    def dense(self, M, A):
        return np.linalg.inv(A)


class AnyPyAMG(PreconditionerConformance):
    """M from PyAMG's own solver object: one cycle from zero, a column at a time."""

    pickles = False

    def dense(self, M, A):
        columns = [M.hierarchy.solve(e, maxiter=1, cycle=M.cycle, tol=1e-300) for e in np.eye(len(A), dtype=A.dtype)]
        return np.stack(columns, axis=1)


class TestPyAMGSmoothedAggregation(AnyPyAMG):
    def create(self):
        return PyAMG(max_coarse=4)


class TestPyAMGRugeStuben(AnyPyAMG):
    dtypes = ("float32", "float64")

    def create(self):
        return PyAMG(kind="ruge_stuben", cycle="W", max_coarse=4)


class TestCSRView(OperatorConformance):
    def create(self, dtype, seed):
        rng = np.random.default_rng(seed)
        return view(sp.csr_array(vectors((9, 9), dtype, seed) * (rng.random((9, 9)) < 0.4)))

    def dense(self, operator):
        return operator.tocsr().toarray()


class TestDiagonal(OperatorConformance):
    def create(self, dtype, seed):
        return Diagonal(vectors(9, dtype, seed))

    def dense(self, operator):
        return np.diag(operator.values)


class TestDiagonalInTorch(TestDiagonal):
    libraries = ("torch",)

    def create(self, dtype, seed):
        return Diagonal(as_torch(vectors(9, dtype, seed)))


class TestScaled(OperatorConformance):
    def create(self, dtype, seed):
        return Scaled(sp.csr_array(vectors((9, 9), dtype, seed)), 0.5)

    def dense(self, operator):
        return 0.5 * operator.A.toarray()


class TestCounted(OperatorConformance):
    def create(self, dtype, seed):
        return Counted(vectors((9, 9), dtype, seed))

    def dense(self, operator):
        return operator.A


# Jacobi


@pytest.mark.parametrize("A", [sp.csr_array(np.diag([2.0, 0.0, 1.0])), np.diag([2.0, 0.0, 1.0]), np.diag([2.0, 1e-310, 1.0])])
def test_jacobi_names_the_row_that_has_no_inverse(A):
    with pytest.raises(ValueError, match="on the diagonal in row 1, which has no inverse"):
        Jacobi()(A)


@pytest.mark.parametrize("hidden", [Bare, sp.linalg.aslinearoperator])
def test_jacobi_asks_for_the_diagonal_it_cannot_see(hidden):
    A = np.diag([2.0, 4.0])
    with pytest.raises(TypeError, match=r"Jacobi\(diagonal=d\)"):
        Jacobi()(hidden(A))
    assert np.array_equal(Jacobi(diagonal=np.array([2.0, 4.0]))(hidden(A)) @ np.ones(2), [0.5, 0.25])
    with pytest.raises(ValueError, match=r"shape \(2,\); got \(3,\)"):
        Jacobi(diagonal=np.ones(3))(hidden(A))


@pytest.mark.parametrize(
    ("d", "spd"), [([1.0, 2.0], True), ([1.0, -2.0], False), ([1.0, 2.0 + 1e-3j], False), ([1.0, 2.0 + 1e-16j], True)]
)
def test_jacobi_is_definite_exactly_if_the_diagonal_is_positive(d, spd):
    assert Jacobi()(np.diag(d)).spd is spd


def test_jacobi_widens_integers():
    assert Jacobi()(sp.csr_array(np.diag([2, 4]))).dtype == np.float64


def test_jacobi_reads_the_diagonal_of_torch_sparse_tensors():
    A = as_torch(np.array([[2.0, 1.0], [0.0, 4.0]]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch says, once, that its compressed rows are in beta
        stored = (A.to_sparse(), A.to_sparse_csr())
    for sparse in stored:
        assert Jacobi()(sparse).values.tolist() == [0.5, 0.25]


# Chebyshev


def polynomial(M, A: np.ndarray, d: np.ndarray) -> np.ndarray:
    """p(D^-1 A) D^-1 from the eigenvalues of D^-1/2 A D^-1/2 and the closed form of T: cosine inside, cosh outside."""
    root = np.sqrt(d.real)
    eigenvalues, V = np.linalg.eigh(A / root[:, None] / root)
    k, middle, half = M.degree + 1, (M.high + M.low) / 2, (M.high - M.low) / 2

    def T(t):
        t = np.asarray(t, float)
        outside = np.sign(t) ** k * np.cosh(k * np.arccosh(np.maximum(np.abs(t), 1)))
        return np.where(np.abs(t) <= 1, np.cos(k * np.arccos(np.clip(t, -1, 1))), outside)

    p = (1 - T((middle - eigenvalues) / half) / T(middle / half)) / eigenvalues
    return (V * p) @ V.conj().T / root[:, None] / root


@pytest.mark.parametrize("degree", [0, 1, 2, 5])
def test_chebyshev_costs_as_many_products_as_its_degree(degree):
    A = Counted(poisson(5))
    M = Chebyshev(degree, steps=6)(A)
    assert A.products == 6
    M @ np.ones((25, 2))
    assert A.products == 6 + 2 * degree


@pytest.mark.parametrize("case", [*SPD_CASES, "poisson"])
def test_chebyshev_covers_the_spectrum(case):
    A = poisson(30).toarray() if case == "poisson" else matrix(case, "float64")
    largest = np.linalg.eigvals(A / A.diagonal()[:, None]).real.max()
    M = Chebyshev()(A)
    assert largest * (1 - 1e-12) <= M.high <= 1.1 * largest * (1 + 1e-12)
    assert M.low == pytest.approx(M.high / 30)
    assert Chebyshev(eig_max=3.0 * largest, lower=0.1)(A).low == pytest.approx(0.3 * largest)


@pytest.mark.parametrize("degree", [2, 4])
def test_an_even_degree_stays_definite_above_the_interval(degree):
    A = poisson(8).toarray()
    M = Chebyshev(degree)(A)
    narrow = type(M)(A, M.inverse, degree, M.low / 3, M.high / 3)
    applied = narrow @ np.eye(64)
    assert np.linalg.eigvalsh((applied + applied.T) / 2)[0] > 0


@pytest.mark.parametrize(
    ("A", "says"),
    [
        (np.array([[1.0, 3.0], [3.0, 1.0]]), "needs a positive definite A, but D"),
        (np.diag([1.0, -1.0]), "diagonal is not positive"),
        (np.array([[2.0, 1.0], [-1.0, 2.0]]), "needs a Hermitian A"),
        (np.array([[2.0, 1j], [1j, 2.0]]), "needs a Hermitian A"),
        (Bare(np.diag([1.0, -1.0])), "needs a positive definite A, but D"),
        (np.array([[2.0, np.nan], [np.nan, 2.0]]), "needs a positive definite A, but D"),
    ],
)
def test_chebyshev_refuses_what_it_is_not_for(A, says):
    with pytest.raises(ValueError, match=says):
        Chebyshev()(A)


def test_chebyshev_takes_a_semidefinite_matrix():
    A = poisson(6)
    A = A - sp.diags_array(A.sum(axis=1))
    assert Chebyshev()(A).spd is True


@pytest.mark.parametrize(
    ("parameters", "says"),
    [({"degree": -1}, "degree"), ({"degree": 1.5}, "degree"), ({"lower": 0.0}, "lower"), ({"lower": 1.0}, "lower"),
     ({"eig_max": 0.0}, "eig_max"), ({"eig_max": np.inf}, "eig_max"), ({"steps": 0}, "steps")],
)  # fmt: skip
def test_chebyshev_parameters(parameters, says):
    with pytest.raises(ValueError, match=f"{says} must"):
        Chebyshev(**parameters)


def test_chebyshev_finds_an_eig_max_that_is_too_small():
    with pytest.raises(ValueError, match="one is at least"):
        Chebyshev(eig_max=1.0)(poisson(20))


# IC(0)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("case", SPD_CASES)
def test_incomplete_cholesky_reproduces_a_on_its_pattern(case, dtype):
    A = matrix(case, dtype)
    M = IncompleteCholesky()(sp.csr_array(A))
    assert M.attempts == 1 or case in ("Kershaw", "random")
    lower = sp.csr_array((M.factor, M.columns.astype(np.int32), M.starts.astype(np.int32)), shape=A.shape).toarray()
    upper = sp.csr_array((M.upper, M.upper_columns.astype(np.int32), M.upper_starts.astype(np.int32)), shape=A.shape).toarray()
    L = (lower + np.eye(len(A))) / np.sqrt(M.inverse)
    pattern = A != 0
    close((L @ L.conj().T)[pattern], (A + M.shift * np.diag(A.diagonal()))[pattern], dtype)
    assert np.array_equal(upper, lower.conj().T) and not lower[~pattern].any()


def test_incomplete_cholesky_shifts_until_the_pivots_are_positive():
    A = matrix("Kershaw", "float64")
    with pytest.raises(ValueError, match=r"row 3 with every shift up to 0 \(max_shift = 0\)"):
        IncompleteCholesky(max_shift=0.0)(A)
    M = IncompleteCholesky()(A)
    assert M.attempts > 1 and M.shift == 1e-3 * 2 ** (M.attempts - 2)
    assert f"shift {M.shift:g} after {M.attempts} attempts" in str(M)
    with pytest.raises(ValueError, match="max_shift"):
        IncompleteCholesky(max_shift=M.shift * 0.75)(A)
    again = IncompleteCholesky(shift=M.shift)(A)
    assert (again.attempts, again.shift) == (1, M.shift)


def test_incomplete_cholesky_of_a_tridiagonal_matrix_is_exact():
    A = sp.diags_array([-np.ones(49), 2.0 * np.ones(50), -np.ones(49)], offsets=[-1, 0, 1])
    x = vectors(50, "float64")
    close(IncompleteCholesky()(A) @ (A @ x), x, "float64")


def test_incomplete_cholesky_keeps_far_scales():
    s = 10.0 ** np.linspace(-140, 140, 30)
    A = s[:, None] * matrix("laplacian", "float64") * s
    M, unscaled = IncompleteCholesky()(A), IncompleteCholesky()(matrix("laplacian", "float64"))
    x = vectors(30, "float64")
    close(s * (M @ (s * x)), unscaled @ x, "float64")


@pytest.mark.parametrize(
    ("A", "error", "says"),
    [
        (np.array([[2.0, 1.0], [0.5, 2.0]]), ValueError, "needs a symmetric"),
        (np.array([[2.0, 1.0], [0.0, 2.0]]), ValueError, "needs a symmetric"),
        (np.array([[2.0, 0.0], [1.0, 2.0]]), ValueError, "needs a symmetric"),
        (np.array([[2.0, 1.0, 1.0], [0.0, 2.0, 0.0], [1.0, 0.0, 2.0]]), ValueError, "needs a symmetric"),
        (np.array([[2.0, 1j], [1j, 2.0]]), ValueError, "needs a symmetric"),
        (np.array([[2.0, 0.0], [0.0, 2.0 + 1j]]), ValueError, "needs a symmetric"),
        (np.array([[2.0, 0.0], [0.0, -1.0]]), ValueError, "positive diagonal; got -1 in row 1"),
        (np.array([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 2.0]]), ValueError, "positive diagonal; got 0 in row 1"),
        (np.array([[np.nan, 0.0], [0.0, 1.0]]), ValueError, "finite"),
        (Bare(np.eye(2)), TypeError, "Chebyshev, which needs products alone"),
        (as_strict(np.eye(2)), TypeError, "array_api_strict"),
    ],
)
def test_incomplete_cholesky_refuses_what_it_is_not_for(A, error, says):
    with pytest.raises(error, match=says):
        IncompleteCholesky()(A)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_incomplete_cholesky_in_blocks_is_that_of_the_matrix_in_their_order(dtype):
    phase = np.exp(1j * np.arange(1296.0)) if dtype == "complex128" else np.ones(1296)
    A = sp.csr_array(sp.diags_array(phase) @ poisson(36) @ sp.diags_array(phase.conj()))
    M = IncompleteCholesky(block=256)(A)
    assert M.blocks.count == 6 and "6 blocks in 2 colours" in str(M)
    order = np.array([M.blocks.original(row) for row in range(1296)])
    assert sorted(order) == list(range(1296)) and not np.array_equal(order, np.arange(1296))
    natural = IncompleteCholesky(block=0)(sp.csr_array(A[order][:, order]))
    X = vectors((1296, 2), dtype)
    close((M @ X)[order], natural @ X[order], dtype)
    close(M @ X[:, 0], (M @ X)[:, 0], dtype)
    assert cg(A, X[:, 0], M=M).iterations <= 1.1 * cg(A, X[:, 0], M=IncompleteCholesky(block=0)).iterations


def test_incomplete_cholesky_keeps_the_order_where_blocks_would_not_run_side_by_side():
    ring = sp.diags_array([np.ones(1999), np.ones(1)], offsets=[1, 1999])  # a ring of eight blocks has two colours
    assert IncompleteCholesky(block=256)(3 * sp.eye_array(2000) + ring + ring.T).blocks.count == 8
    A = sp.random_array((1500, 1500), density=0.01, rng=np.random.default_rng(731))
    assert IncompleteCholesky(block=256)(A + A.T + 90 * sp.eye_array(1500)).blocks.count == 1
    assert IncompleteCholesky(block=256)(poisson(27)).blocks.count == 1


def test_incomplete_cholesky_in_blocks_names_the_row_of_the_matrix():
    A = poisson(36).tolil()
    A[300, 301] = A[301, 300] = -5.0
    with pytest.raises(ValueError, match="in row 301 with every shift"):
        IncompleteCholesky(block=256, max_shift=0.0)(A.tocsr())


def test_incomplete_cholesky_ignores_stored_zeros_without_a_partner():
    A = sp.csr_array((np.array([2.0, 0.0, 2.0, 0.0, 2.0]), np.array([0, 2, 1, 0, 2]), np.array([0, 2, 3, 5])), shape=(3, 3))
    A = A + sp.csr_array((np.array([1.0, 0.0]), np.array([1, 0]), np.array([0, 1, 2, 2])), shape=(3, 3)) * 0
    close(IncompleteCholesky()(A) @ np.ones(3), np.full(3, 0.5), "float64")


@pytest.mark.parametrize(
    ("parameters", "says"),
    [({"shift": -1.0}, "shift must"), ({"shift": 2.0, "max_shift": 1.0}, "max_shift must"), ({"block": 9}, "block must")],
)
def test_incomplete_cholesky_parameters(parameters, says):
    with pytest.raises(ValueError, match=says):
        IncompleteCholesky(**parameters)


def test_incomplete_cholesky_is_not_compiled_again_for_another_layout():
    from petrov.solvers.kernels import triangular

    if not hasattr(triangular.solve.serial, "signatures"):
        pytest.skip("numba is switched off")
    M, X = IncompleteCholesky()(poisson(4)), vectors((32, 3), "float64")
    X.setflags(write=False)
    for x in (X[::2, 0], X[:16, 0], X[:16], X[::2], np.asfortranarray(X[:16])):
        M @ x
    signatures = [*triangular.solve.serial.signatures, *triangular.solve_block.serial.signatures]
    assert signatures and all(array.layout == "C" and array.mutable for signature in signatures for array in signature[1:])


def test_importing_the_preconditioners_loads_no_compiler():
    code = "import sys, petrov.solvers.preconditioners, petrov.solvers.external.pyamg; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"numba", "pyamg", "torch", "sksparse"} & set(ran.stdout.split())


# ILU


def test_incomplete_lu_drops():
    A = poisson(20)
    exact, dropped = IncompleteLU(drop_tol=0.0, fill_factor=50.0)(A), IncompleteLU(drop_tol=0.1)(A)
    assert dropped.entries < 0.5 * exact.entries
    x = vectors(400, "float64")
    assert 1e-4 < np.linalg.norm(dropped @ (A @ x) - x) / np.linalg.norm(x) < 0.9


@pytest.mark.parametrize("A", [np.zeros((3, 3)), np.array([[1.0, 2.0], [2.0, 4.0]]), np.array([[0.0, 1.0], [0.0, 2.0]])])
def test_incomplete_lu_of_a_singular_matrix(A):
    with pytest.raises(np.linalg.LinAlgError, match="try a smaller drop_tol"):
        IncompleteLU()(A)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [({"drop_tol": -1.0}, "drop_tol"), ({"fill_factor": 0.5}, "fill_factor"), ({"ordering": "x"}, "ordering")],
)
def test_incomplete_lu_parameters(parameters, says):
    with pytest.raises(ValueError, match=f"{says} must"):
        IncompleteLU(**parameters)


# PyAMG


def test_pyamg_uses_the_near_nullspace_it_is_bound_to():
    A = poisson(12)
    B = np.column_stack([np.ones(144), np.arange(144) % 12])
    recipe = PyAMG().bind(near_nullspace=B, coordinates=np.zeros((144, 2)))
    assert recipe == recipe and PyAMG().near_nullspace is None
    levels = recipe(A).hierarchy.levels
    assert np.array_equal(levels[0].B, B)
    rs = PyAMG(kind="ruge_stuben")
    assert rs.bind(near_nullspace=B) is rs and PyAMG().bind(grid=(12, 12)).near_nullspace is None


def test_pyamg_aggregates_the_nodes_of_a_block_problem():
    A = sp.csr_array(sp.kron(poisson(8), np.eye(2)))
    M = PyAMG(block_size=2)(A)
    assert M.hierarchy.levels[0].A.blocksize == (2, 2)
    assert cg(A, np.ones(128), M=M).converged


@pytest.mark.parametrize(
    ("parameters", "A", "says"),
    [
        ({"kind": "x"}, None, "kind must be"), ({"cycle": "X"}, None, "cycle must be"),
        ({"block_size": 0}, None, "block_size must"),
        ({"kind": "ruge_stuben", "near_nullspace": np.ones((4, 1))}, None, "ruge_stuben takes no near_nullspace"),
        ({"kind": "ruge_stuben"}, np.eye(4, dtype=complex), "takes a real A"),
        ({"block_size": 3}, np.eye(4), "does not divide"), ({"near_nullspace": np.ones((3, 1))}, np.eye(4), r"shape \(4, m\)"),
        ({"near_nullspace": 1j * np.ones((4, 1))}, np.eye(4), "complex beside a real A"), ({}, np.diag([1.0, np.inf]), "finite"),
    ],
)  # fmt: skip
def test_pyamg_refuses(parameters, A, says):
    with pytest.raises(ValueError, match=says):
        PyAMG(**parameters)(A)


def test_pyamg_needs_entries():
    with pytest.raises(TypeError, match="Chebyshev, which needs products alone"):
        PyAMG()(Bare(np.eye(3)))


def test_pyamg_missing_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyamg", None)
    with pytest.raises(ImportError, match=r'pip install "petrov\[bench\]"'):
        PyAMG()(np.eye(3))


def test_pyamg_leaves_the_warning_filters():
    before = list(warnings.filters)
    PyAMG()(poisson(12))
    assert warnings.filters == before


@pytest.mark.parametrize(("cycle", "spd"), [("V", True), ("W", True), ("F", None)])
def test_pyamg_of_a_nonsymmetric_matrix_is_not_called_definite(cycle, spd):
    A = poisson(10)
    assert PyAMG(cycle=cycle)(A).spd is spd
    M = PyAMG(cycle=cycle)(A + sp.diags_array([0.5 * np.ones(99)], offsets=[1], shape=A.shape))
    assert M.spd is None and not hasattr(M, "H")


# What they are for


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize(
    ("recipe", "most"),
    [(Jacobi(), 110), (Chebyshev(), 45), (IncompleteCholesky(), 40), (PyAMG(), 15)],
    ids=lambda value: getattr(value, "name", None),
)
def test_cg_takes_fewer_iterations(recipe, most, dtype):
    A = poisson(40, dtype)
    plain, result = (cg(A, np.ones(1600, dtype), M=M) for M in (None, recipe))
    assert result.converged and result.x.dtype == dtype
    assert np.max(result.iterations) <= min(most, 1.05 * np.max(plain.iterations))  # Jacobi is plain cg here, but for rounding


def test_gmres_with_incomplete_lu():
    A = poisson(30) + sp.diags_array([0.8 * np.ones(899)], offsets=[1], shape=(900, 900))
    result = gmres(A, np.ones(900), M=IncompleteLU())
    assert result.converged and np.max(result.iterations) <= 10


@pytest.mark.parametrize("recipe", [Jacobi(), Chebyshev()], ids=["jacobi", "chebyshev"])
@pytest.mark.parametrize("convert", [as_torch, as_strict])
def test_cg_in_other_libraries(recipe, convert):
    A = laplacian(7)
    result = cg(convert(A), convert(np.ones(42)), M=recipe)
    assert result.converged and type(result.x) is type(convert(np.ones(2)))
    close(arrays.to_numpy(result.x), np.linalg.solve(A, np.ones(42)), "float64", factor=1e4)
