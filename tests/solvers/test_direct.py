"""Direct factorisations against dense inverses; singular matrices and missing libraries named; both of CHOLMOD's interfaces."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from conformance import (
    FORMS,
    GENERAL_CASES,
    SPD_CASES,
    STORED,
    Bare,
    PreconditionerConformance,
    as_strict,
    as_torch,
    close,
    matrix,
    vectors,
)

import petrov
from petrov.solvers import arrays, problems
from petrov.solvers.direct import Cholmod, Dense, Inverse, SuperLU, factorize, sparse


class Factors(PreconditionerConformance):
    """A recipe for A^-1 itself."""

    cases = (*SPD_CASES, *GENERAL_CASES)
    pickles = False
    spd_expected = None

    def dense(self, M, A):
        return np.linalg.inv(A)


class TestSuperLU(Factors):
    def create(self):
        return SuperLU()


class TestSuperLUDefinite(Factors):
    cases = tuple(SPD_CASES)
    spd_expected = True

    def create(self):
        return SuperLU(spd=True)


class TestDense(Factors):
    form = "ndarray"
    forms = ("ndarray", "ndarray, Fortran order")

    def create(self):
        return Dense()

    def test_name_and_print(self):
        for case, name in (("random", "cholesky"), ("indefinite", "ldl"), ("convection", "lu")):
            M = Dense()(matrix(case, "float64"))
            assert M.name == name and str(M).startswith(f"{name}: ") and f"{M.nbytes} bytes" in str(M)

    def test_only_cholesky_is_definite(self):
        assert [Dense()(matrix(case, "float64")).spd for case in ("random", "indefinite", "convection")] == [True, False, None]


class TestDenseInTorch(Factors):
    form = "torch"
    forms = ("torch",)
    pickles = True

    def create(self):
        return Dense()

    def test_name_and_print(self):
        M = Dense()(self.setup("random", "float64")[1:][0])
        assert str(M).startswith("cholesky")
        inverse = self.setup("random", "float64")[0]
        assert isinstance(inverse, Inverse) and inverse.name == "inverse" and f"{inverse.nbytes} bytes" in str(inverse)


class TestDenseInArrayApiStrict(TestDenseInTorch):
    form = "array_api_strict"
    forms = ("array_api_strict",)
    pickles = False


@pytest.fixture(params=["0.4", "0.5"])
def cholmod(request, monkeypatch):
    """Stand-ins with the two interfaces of scikit-sparse, on SuperLU; they record how they were called."""

    class CholmodNotPositiveDefiniteError(Exception):
        pass

    calls = []

    class Factor:
        """Of 0.4: called to solve; an indefinite matrix is found out by its pivots alone."""

        def __init__(self, A):
            self.lu, self.A = sp.linalg.splu(A), A

        def __call__(self, b):
            return self.lu.solve(b)

        def D(self):
            return np.linalg.eigvalsh(self.A.toarray())

    def cholesky(A, beta=0, mode="auto", ordering_method="default", use_long=None):
        calls.append((type(A), ordering_method))
        return Factor(A)

    def cho_factor(A, *, order="default"):
        calls.append((type(A), order))
        if np.linalg.eigvalsh(A.toarray())[0] <= 0:
            raise CholmodNotPositiveDefiniteError("column 1")
        lu = sp.linalg.splu(A)
        return SimpleNamespace(solve=lu.solve, nnz=lu.L.nnz)

    module = ModuleType("sksparse.cholmod")
    module.CholmodNotPositiveDefiniteError = CholmodNotPositiveDefiniteError
    # From 0.5 on `cholesky` is there too, and returns a matrix.
    new = {"cho_factor": cho_factor, "cholesky": lambda A, order=None: pytest.fail("the matrix of 0.5, not a solver")}
    vars(module).update({"cholesky": cholesky} if request.param == "0.4" else new)
    package = ModuleType("sksparse")
    package.cholmod = module
    monkeypatch.setitem(sys.modules, "sksparse", package)
    monkeypatch.setitem(sys.modules, "sksparse.cholmod", module)
    return SimpleNamespace(version=request.param, calls=calls)


def test_cholmod_by_either_interface(cholmod):
    A = matrix("random", "complex128")
    F = Cholmod(ordering="amd")(sp.csr_array(A))
    x = vectors((25, 2), "complex128")
    close(F @ x, np.linalg.solve(A, x), "complex128")
    assert F.spd is True and F.H is F and str(F).startswith("cholmod: 25 x 25")
    assert cholmod.calls == [(sp.csc_matrix if cholmod.version == "0.4" else sp.csc_array, "amd")]
    assert (F.entries is None) == (F.nbytes is None) == (cholmod.version == "0.4")


def test_cholmod_of_an_indefinite_matrix(cholmod):
    with pytest.raises(
        np.linalg.LinAlgError, match=r"positive definite A, which this is not \((column 1|pivot -1)\); use SuperLU"
    ):
        Cholmod()(np.diag([1.0, -1.0]))


def test_factorize_takes_cholmod_for_what_is_definite(cholmod):
    A = sp.csr_array(matrix("random", "float64"))
    assert [factorize(A, spd=spd).name for spd in (True, False, None)] == ["cholmod", "superlu", "superlu"]


def test_cholmod_is_the_library_where_it_is_installed():
    pytest.importorskip("sksparse.cholmod")
    for dtype in ("float32", "float64", "complex128"):
        A = matrix("laplacian", dtype)
        for shape in [(), (3,), (0,)]:
            x = vectors((len(A), *shape), dtype)
            F = Cholmod()(sp.csr_array(A))
            close(F @ x, np.linalg.inv(A) @ x, dtype)
    close(F @ x.real, np.linalg.inv(A) @ x.real, dtype)
    with pytest.raises(np.linalg.LinAlgError, match="positive definite"):
        Cholmod()(matrix("indefinite", "float64"))


def test_cholmod_missing_names_the_extra_and_factorize_does_without(monkeypatch):
    monkeypatch.setitem(sys.modules, "sksparse", None)
    A = sp.csr_array(matrix("random", "float64"))
    with pytest.raises(ImportError, match=r'pip install "petrov\[cholmod\]"'):
        Cholmod()(A)
    F = factorize(A, spd=True)
    assert F.name == "superlu" and F.spd is True


NEUMANN = np.array([[1.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]])


@pytest.mark.parametrize(
    ("recipe", "A", "says"),
    [
        (SuperLU(), sp.csr_array(np.array([[1.0, 1.0], [1.0, 1.0]])), "nullspace="),
        (SuperLU(spd=True), sp.csr_array(NEUMANN), "nullspace="),
        (SuperLU(), sp.csr_array(np.diag([1.0, 0.0, 2.0])), "row 1 has no nonzero entry"),
        (SuperLU(), sp.csr_array(np.array([[1.0, 0.0], [1.0, 0.0]])), "column 1 has no nonzero entry"),
        (Dense(), np.array([[1.0, 1.0], [1.0, 1.0]]), "zero pivot in row 1; pass nullspace="),
        (Dense(), np.array([[1.0, 2.0], [2.0, 4.0]]) * 1j, "L U factorisation found a zero pivot in row 1"),
        (Dense(), np.zeros((2, 2)), "zero pivot in row 0"),
        (Dense(), as_torch(np.ones((2, 2))), "A is singular"),
        (Dense(), as_strict(np.ones((2, 2))), "A is singular"),
        (Dense(spd=True), np.diag([1.0, -1.0]), "positive definite A"),
        (Dense(spd=True), np.array([[2.0, 1.0], [0.0, 2.0]]), "symmetric"),
    ],
)
def test_what_has_no_such_factorisation(recipe, A, says):
    with pytest.raises(np.linalg.LinAlgError, match=says):
        recipe(A)


@pytest.mark.parametrize("recipe", [SuperLU(), Dense()])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_entries_must_be_finite(recipe, value):
    with pytest.raises(ValueError, match="A holds NaN or infinity"):
        recipe(np.diag([1.0, value]))


@pytest.mark.parametrize("convert", [as_torch, as_strict])
def test_entries_of_other_libraries_must_be_finite(convert):
    with pytest.raises(ValueError, match="A holds NaN or infinity"):
        Dense()(convert(np.diag([1.0, np.nan])))


@pytest.mark.parametrize(
    ("recipe", "A", "says"),
    [(SuperLU(), Bare(np.eye(2)), "needs the entries of A"), (SuperLU(), as_torch(np.eye(2)), "from torch"),
     (Dense(), sp.csr_array(np.eye(2)), "use SuperLU"), (Dense(), Bare(np.eye(2)), "needs a dense array")],
)  # fmt: skip
def test_what_is_not_stored_is_refused(recipe, A, says):
    with pytest.raises(TypeError, match=says):
        recipe(A)


@pytest.mark.parametrize("recipe", [SuperLU, Cholmod])
def test_orderings(recipe):
    with pytest.raises(ValueError, match="ordering must be"):
        recipe(ordering="x")


def test_too_many_entries_for_superlu(monkeypatch):
    monkeypatch.setattr(sparse, "INDEX_LIMIT", 4)
    with pytest.raises(ValueError, match=r"at most 4 entries \(32-bit indices\); got 5; use an iterative method"):
        SuperLU()(sp.eye_array(5, format="csc"))


def test_out_of_memory_says_what_to_do(monkeypatch):
    def splu(*args, **keywords):
        raise MemoryError

    monkeypatch.setattr(sp.linalg, "splu", splu)
    with pytest.raises(MemoryError, match="3 unknowns; use an iterative method"):
        SuperLU()(sp.eye_array(3, format="csc"))


def test_a_symmetric_pattern_is_ordered_symmetrically():
    n = 40
    T = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    A = sp.csr_array(sp.kron(T, sp.eye_array(n)) + sp.kron(sp.eye_array(n), T))
    A.data *= np.random.default_rng(71).uniform(0.9, 1.1, A.nnz)
    by_column = SuperLU(ordering="COLAMD")(A)
    assert SuperLU()(A).entries < 0.8 * by_column.entries
    assert not sparse.symmetric_pattern(sp.csc_array(np.array([[1.0, 1.0], [0.0, 1.0]])))
    assert not sparse.symmetric_pattern(sp.csc_array(np.array([[1.0, 1.0], [1.0, 0.0]])))


@pytest.mark.parametrize(("spd", "kind"), [(True, "real"), (False, "real"), (False, "complex")])
def test_factors_of_another_matrix_in_the_same_order(spd, kind):
    A = problems.darcy(12, seed=1).A
    B = problems.darcy(12, seed=2).A @ sp.diags_array(np.linspace(1, 2, 144)) if not spd else problems.darcy(12, seed=2).A
    if kind == "complex":
        B = B + 0.1j * sp.eye_array(144)
    B = sp.csr_array(B)
    A.sort_indices()
    B.sort_indices()
    first = SuperLU(spd=spd)(A.astype(B.dtype))
    again = first.update(B)
    third = again.update(sp.csr_array(2 * B))
    for b in (np.arange(144.0), np.random.default_rng(1).standard_normal((144, 3))):
        np.testing.assert_allclose(again @ b, np.linalg.solve(B.toarray(), b), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(again.H @ b, np.linalg.solve(B.conj().T.toarray(), b), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(third @ b, (again @ b) / 2, rtol=1e-9, atol=1e-12)
    assert again.spd == first.spd and again.entries == pytest.approx(first.entries, rel=0.2)


def test_an_order_is_kept_for_its_pattern_alone():
    A = sp.csr_array(problems.poisson(6).A)
    F, other = SuperLU(spd=True)(A), A.tolil()
    other[0, 30] = other[30, 0] = -0.1
    with pytest.raises(ValueError, match="entries at other places"):
        F.update(other.tocsr())
    with pytest.raises(ValueError, match="keeps no ordering"):
        SuperLU(ordering="COLAMD")(A).update(A)
    hollow = A.copy()
    hollow.data[hollow.indptr[7] : hollow.indptr[8]] = 0.0
    with pytest.raises(np.linalg.LinAlgError, match="row 7 has no nonzero entry"):
        F.update(hollow)
    solver = petrov.Solver(A, method="direct")
    x = solver.solve(np.ones(36)).x
    order = solver.answerer.renew
    solver.update(sp.csr_array(2 * A))
    assert list(solver.former.values()) == [order]  # and not the factors
    np.testing.assert_allclose(solver.solve(np.ones(36)).x, x / 2, rtol=1e-10)
    assert solver.answerer.renew is order


@pytest.mark.parametrize("form", ["numpy", "torch"])
def test_dense_in_single_precision_factorises_in_double(form):
    """cond(A) = 10^6: single-precision factors would lose all but one digit."""
    Q = np.linalg.qr(vectors((20, 20), "float64"))[0]
    A = ((Q * np.logspace(0, -6, 20)) @ Q.T).astype("float32")
    b = vectors(20, "float32")
    convert = as_torch if form == "torch" else np.asarray
    x = arrays.to_numpy(factorize(convert(A)) @ convert(b))
    exact = np.linalg.solve(A.astype(float), b.astype(float))
    assert x.dtype == np.float32 and np.linalg.norm(x - exact) <= 1e-6 * np.linalg.norm(exact)
    y = SuperLU()(A) @ b
    assert y.dtype == np.float32 and np.linalg.norm(y - exact) <= 1e-6 * np.linalg.norm(exact)


@pytest.mark.parametrize("convert", [as_torch, as_strict])
def test_the_inverse_of_other_libraries_is_refined(convert):
    """cond(A) = 10^8: the residual is that of a factorisation, without the step it is far larger."""
    U, V = (np.linalg.qr(vectors((30, 30), "float64", seed))[0] for seed in (81, 82))
    A = (U * np.logspace(0, -8, 30)) @ V.T
    b = A @ vectors(30, "float64")  # far smaller than norm(x) / norm(A^-1)
    x = arrays.to_numpy(Dense()(convert(A)) @ convert(b))
    assert np.linalg.norm(A @ x - b) <= 1e-14 * np.linalg.norm(x)


@pytest.mark.parametrize("recipe", [SuperLU(), Dense(), Cholmod()])
def test_the_matrix_must_be_square(recipe, cholmod):
    with pytest.raises(ValueError, match=r"square; got shape \(2, 3\)"):
        recipe(np.ones((2, 3)))


@pytest.mark.parametrize("recipe", [SuperLU(), Dense()])
def test_complex_right_hand_side_of_a_real_matrix(recipe):
    A, b = matrix("convection", "float64"), vectors((30, 2), "complex128")
    x = recipe(A) @ b
    assert x.dtype == np.complex128
    close(A @ x, b, "complex128")


def test_factorize_of_nothing():
    for A in (np.zeros((0, 0)), sp.csr_array((0, 0))):
        assert (factorize(A) @ np.zeros((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("form", STORED)
def test_factorize_takes_every_stored_form(form):
    A = matrix("convection", "float64")
    close(factorize(FORMS[form][1](A)) @ np.ones(30), np.linalg.solve(A, np.ones(30)), "float64")
