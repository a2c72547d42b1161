"""Bad inputs: what a user gets for what should not have come in. One row a case, the number of the row in the test's id.

The numbers are those of the project's list of bad inputs. Every row states the one outcome that petrov documents: a Status, or
an error and what it says. Whatever the row says beside it, an x that comes back is finite, CONVERGED is judged again in
extended precision, and the inputs are unchanged.
"""

import os
import re
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator

import petrov
from petrov.solvers import SolveInterrupted, Status, bicgstab, cg, flexible_cg, gmres, minres
from petrov.solvers.storage import Diagonal

S = Status
N = 50
NAN, INF = float("nan"), float("inf")
HONEST = set(Status)  # any outcome that tells the truth: CONVERGED only where it is
FAILED = HONEST - {S.CONVERGED}
KRYLOV = {"cg": cg, "flexible_cg": flexible_cg, "minres": minres, "gmres": gmres, "bicgstab": bicgstab}


def front(**choice):
    return lambda A, b, **keywords: petrov.solve(A, b, raise_on_failure=False, **choice, **keywords)


METHODS = {**KRYLOV, "solve": front(), "solve cg": front(method="cg"), "solve minres": front(method="minres")}
ALL = (*KRYLOV, "solve")
DEFINITE, GENERAL = ("cg", "flexible_cg"), ("gmres", "bicgstab")
SYMMETRIC = (*DEFINITE, "minres")


@dataclass(frozen=True)
class Row:
    """`system()` is (A, b) or (A, b, keywords); `outcome` a Status, a set of them, or an exception type whose text matches `says`."""

    number: int
    case: str
    system: Callable[[], tuple]
    outcome: Any
    says: str = ""
    methods: tuple = ALL
    check: Callable[[Any], Any] = field(default=lambda result: True)


def table(*rows):
    """Each row once for each of its methods."""
    return pytest.mark.parametrize(
        ("row", "method"),
        [pytest.param(row, METHODS[name], id=f"{row.number:02}-{row.case}-{name}") for row in rows for name in row.methods],
    )


# -- the judge -----------------------------------------------------------------------------------------------------------


def run(row, method):
    A, b, keywords = (*row.system(), {})[:3]
    inputs = arrays_of(A) + arrays_of(b) + arrays_of(keywords.get("x0"))
    before = [array.copy() for array in inputs]
    if isinstance(row.outcome, type):
        with pytest.raises(row.outcome, match=row.says):
            method(A, b, **keywords)
    else:
        result = method(A, b, **keywords)
        assert result.status in (row.outcome if isinstance(row.outcome, set) else {row.outcome}), str(result)
        assert re.search(row.says, str(result)), str(result)
        assert np.isfinite(numpy(result.x)).all()
        if result.converged and "nullspace" not in keywords:
            assert true_relative(A, b, result.x) <= keywords.get("rtol", 1e-5 if numpy(result.x).dtype.itemsize == 4 else 1e-8)
        assert row.check(result)
    assert all(np.array_equal(old, new, equal_nan=old.dtype.kind in "fc") for old, new in zip(before, inputs, strict=True))


def arrays_of(x):
    """The NumPy arrays that hold x."""
    if isinstance(x, np.ndarray):
        return [x.view(np.ndarray)]
    return [part for part in (getattr(x, name, None) for name in ("data", "indices", "indptr")) if isinstance(part, np.ndarray)]


def numpy(x):
    return x.detach().numpy() if hasattr(x, "detach") else np.asarray(x)


def true_relative(A, b, x):
    """max over columns of ||b - A x|| / ||b||, in extended precision."""
    wide = np.clongdouble
    if isinstance(A, Operator):
        A = A.A
    dense = A.toarray() if sp.issparse(A) else A @ np.eye(A.shape[1]) if isinstance(A, LinearOperator) else numpy(A)
    b, x = np.asarray(numpy(b)).astype(wide), numpy(x).astype(wide)
    r, size = np.linalg.norm(b - dense.astype(wide) @ x, axis=0), np.linalg.norm(b, axis=0)
    return float(np.max(r / np.where(size > 0, size, 1), initial=0.0))


# -- the material --------------------------------------------------------------------------------------------------------


def T(low=-1.0, middle=2.5, high=-1.0, n=N):
    """The well-behaved matrix that every row spoils in its own way: tridiagonal, symmetric positive definite."""
    return sp.diags_array([float(low), middle, high], offsets=[-1, 0, 1], shape=(n, n), dtype=float).tocsr()


def B(n=N):
    return np.random.default_rng(77).standard_normal(n)


def put(array, index, value):
    array[index] = value
    return array


def spoiled(A, attribute, index, value):
    getattr(A, attribute)[index] = value
    return A


def raw_csr(data, indices, indptr):
    """A csr_array that SciPy has not looked at."""
    A = sp.csr_array((N, N))
    A.data, A.indices, A.indptr = np.asarray(data, float), np.asarray(indices, np.int32), np.asarray(indptr, np.int32)
    return A


class Operator:
    """Nothing but shape, dtype, @: `product(A, x, count)` computes A x as badly as the row wants."""

    def __init__(self, product, A=None, dtype=float):
        self.product, self.A, self.count = product, T() if A is None else A, 0
        self.shape, self.dtype = self.A.shape, np.dtype(dtype)

    def __matmul__(self, x):
        self.count += 1
        return self.product(self.A, x, self.count)


def jacobi(A):
    return Diagonal(1 / A.diagonal(), "jacobi")


def signs(n=N):
    return np.where(np.arange(n) % 2, -1.0, 1.0)


def data(name):
    """A matrix of tests/data, or of the folder PETROV_TEST_DATA; skips where that one is needed and not there."""
    folders = [Path(__file__).parents[1] / "data"]
    if "PETROV_TEST_DATA" in os.environ:
        folders.append(Path(os.environ["PETROV_TEST_DATA"]) / "matrices")
    for folder in folders:
        if (path := folder / f"{name}.mtx.gz").exists():
            return sp.csr_array(scipy.io.mmread(path))
    return pytest.skip(f"{name} is not shipped: set PETROV_TEST_DATA to the folder that has it")


def image(A):
    """A right-hand side in the range of A."""
    return A @ np.random.default_rng(77).standard_normal(A.shape[1])


def hermitian():
    return T().astype(complex) + sp.diags_array([-0.3j, 0.3j], offsets=[-1, 1], shape=(N, N)).tocsr()


def spectrum(values):
    Q, _ = np.linalg.qr(np.random.default_rng(414).standard_normal((len(values), len(values))))
    return (Q * values) @ Q.T


def saddle():
    constraint = np.random.default_rng(31).standard_normal((15, 40))
    return sp.csr_array(np.block([[np.diag(np.linspace(1, 9, 40)), constraint.T], [constraint, np.zeros((15, 15))]]))


# -- values --------------------------------------------------------------------------------------------------------------


def unharmed(result):
    return result.matvecs == 0 and not result.x.any()


def zero_at_once(result):
    return not result.x.any() and np.max(result.iterations) == 0


GRADED = np.logspace(0, 20, N)


@table(
    Row(1, "NaN in b", lambda: (T(), put(B(), 7, NAN)), S.NONFINITE_INPUT, "b is nan at index 7", check=unharmed),
    Row(1, "NaN in a block", lambda: (T(), put(np.ones((N, 2)), (7, 1), NAN)), S.NONFINITE_INPUT, r"b is nan at index (\(7, 1\)|7)"),
    Row(2, "inf in b", lambda: (T(), put(B(), 7, INF)), S.NONFINITE_INPUT, "b is inf at index 7", check=unharmed),
    Row(3, "NaN in A", lambda: (spoiled(T(), "data", 10, NAN), B()), S.NONFINITE_INPUT, "A is nan in row 3, column 4", check=unharmed),
    Row(3, "NaN in dense A", lambda: (put(T().toarray(), (3, 4), NAN), B()), S.NONFINITE_INPUT, "A is .*row 3, column 4"),
    Row(3, "NaN in A, asked cg", lambda: (spoiled(T(), "data", 10, NAN), B()), S.NONFINITE_INPUT, "A is nan in row 3", ("solve cg",)),
    Row(4, "NaN in x0", lambda: (T(), B(), {"x0": put(B(), 9, NAN)}), S.NONFINITE_INPUT, "x0 is nan at index 9", check=unharmed),
    Row(5, "inf on the diagonal", lambda: (spoiled(T(), "data", 9, INF), B()), S.NONFINITE_INPUT, "A is inf in row 3, column 3"),
    Row(6, "b = 0", lambda: (T(), np.zeros(N)), S.CONVERGED, check=zero_at_once),
    Row(7, "b = 0 with x0 = 1", lambda: (T(), np.zeros(N), {"x0": np.ones(N)}), S.CONVERGED, check=zero_at_once),
    Row(8, "x0 exact", lambda: (T(-1, 3, -1), T(-1, 3, -1) @ np.arange(N), {"x0": np.arange(N) * 1.0}), S.CONVERGED,
        check=lambda r: r.iterations == 0 and r.residual == 0.0),
    Row(9, "b 1e-200", lambda: (T(), B() * 1e-200), S.CONVERGED),
    Row(10, "b subnormal", lambda: (T(), B() * 1e-310), S.CONVERGED, check=lambda r: r.x.any()),
    Row(10, "b and x subnormal", lambda: (T() * 1e8, B() * 1e-310), HONEST),
    Row(11, "b 1e200", lambda: (T(), B() * 1e200), S.CONVERGED),
    Row(11, "b 1e307", lambda: (T(), B() * 1e307), S.CONVERGED),
    Row(12, "A 1e200", lambda: (T() * 1e200, B()), S.CONVERGED),
    Row(12, "A 1e-200", lambda: (T() * 1e-200, B()), S.CONVERGED),
    Row(12, "A subnormal", lambda: (T() * 1e-310, B() * 1e-310), HONEST),
    Row(12, "operator 1e200", lambda: (Operator(lambda A, x, k: A @ x, T() * 1e200), B()), HONEST),
    Row(12, "operator 1e-200", lambda: (Operator(lambda A, x, k: A @ x, T() * 1e-200), B()), HONEST),
    Row(12, "x overflows", lambda: (T() * 1e-200, B() * 1e200), FAILED),
    Row(13, "diagonal 1..1e20", lambda: (sp.diags_array(GRADED).tocsr(), np.ones(N)), {S.STAGNATED, S.MAX_ITERATIONS}, "", tuple(KRYLOV),
        check=lambda r: r.relative_residual <= 1),
    Row(13, "diagonal 1..1e20, Jacobi", lambda: (sp.diags_array(GRADED).tocsr(), np.ones(N), {"M": Diagonal(1 / GRADED)}), S.CONVERGED,
        "", tuple(KRYLOV)),
    Row(13, "diagonal 1..1e20", lambda: (sp.diags_array(GRADED).tocsr(), np.ones(N)), S.CONVERGED, "", ("solve",)),
    Row(14, "one row by 1e-12", lambda: (sp.diags_array(put(np.ones(N), 20, 1e-12)) @ T(), B()), HONEST, "", (*GENERAL, "solve")),
    Row(15, "rows 1e-30..1e5", lambda: (sp.diags_array(np.logspace(-30, 5, N)) @ T(), B()), HONEST, "", (*GENERAL, "solve")),
    Row(16, "single, rtol 1e-10", lambda: (T().astype("f4"), B().astype("f4"), {"rtol": 1e-10}), S.STAGNATED, "", tuple(KRYLOV)),
    Row(16, "single, rtol 1e-10", lambda: (T().astype("f4"), B().astype("f4"), {"rtol": 1e-10}), ValueError, "below 4 eps", ("solve",)),
)  # fmt: skip
def test_values(row, method):
    run(row, method)


# -- shape, type, layout -------------------------------------------------------------------------------------------------


def np_matrix():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # NumPy's, about the class itself
        return np.matrix(T().toarray())


def bad_indices(format, value):
    A = T().asformat(format)
    if format == "coo":
        A.coords[1][5] = value
    elif format == "lil":
        A.rows[5] = [0, 1, value]
    else:
        A.indices[5] = value
    return A


def duplicates():
    """T from triplets that come twice, unsorted, with explicit zeros."""
    A = T().tocoo()
    order = np.random.default_rng(5).permutation(3 * A.nnz)
    rows, columns = (np.tile(index, 3)[order] for index in A.coords)
    return sp.coo_array((np.concatenate([A.data / 2, A.data / 2, 0 * A.data])[order], (rows, columns)), (N, N))


def noncanonical_csr():
    A = duplicates()
    order = np.argsort(A.coords[0], kind="stable")
    return raw_csr(A.data[order], A.coords[1][order], np.r_[0, np.cumsum(np.bincount(A.coords[0], minlength=N))])


def mixed_indices(indices, indptr):
    A = T()
    A.indices, A.indptr = A.indices.astype(indices), A.indptr.astype(indptr)
    return A


class Series:
    """As much of a pandas vector as a solver sees."""

    __module__ = "pandas.core.series"
    dtype, shape, ndim = np.dtype(float), (N,), 1


def torch_row(make):
    def system():
        return make(pytest.importorskip("torch"))

    return system


INTEGERS = [
    Row(25, f"A {name}", lambda name=name: (T(1, 100, 1).astype(name), np.full(N, 100, name)), S.CONVERGED,
        check=lambda r: r.x.dtype == np.float64)
    for name in ("int64", "int8", "uint8")
]  # fmt: skip

FORMATS = [
    Row(39, format, lambda format=format: (T().asformat(format), B()), S.CONVERGED)
    for format in ("csc", "coo", "bsr", "dia", "lil", "dok")
]


@table(
    Row(17, "A 50 x 40", lambda: (np.ones((50, 40)), B()), ValueError, r"square; got shape \(50, 40\)"),
    Row(17, "sparse A 40 x 50", lambda: (sp.csr_array((40, 50)), B()), ValueError, r"square; got shape \(40, 50\)"),
    Row(18, "b of 49", lambda: (T(), B(49)), ValueError, r"\(50,\) or \(50, k\) beside A \(50, 50\); got \(49,\)"),
    Row(19, "b (n, 1)", lambda: (T(), B()[:, None]), S.CONVERGED, check=lambda r: r.x.shape == (N, 1)),
    Row(20, "b (n, 2)", lambda: (T(), np.c_[B(), np.ones(N)]), S.CONVERGED, check=lambda r: r.x.shape == (N, 2) and len(r.statuses) == 2),
    Row(20, "b (n, 2, 2)", lambda: (T(), np.ones((N, 2, 2))), ValueError, r"got \(50, 2, 2\)"),
    Row(21, "b a list", lambda: (T(), B().tolist()), S.CONVERGED),
    Row(21, "b a tuple", lambda: (T(), tuple(B())), S.CONVERGED),
    Row(22, "b strings", lambda: (T(), np.array(["1.0"] * N)), TypeError, "b has dtype .*holds no numbers"),
    Row(22, "b a list of strings", lambda: (T(), ["1.0"] * N), TypeError, "b has dtype .*holds no numbers"),
    Row(23, "b of objects", lambda: (T(), B().astype(object)), TypeError, "b has dtype object"),
    Row(23, "A of objects", lambda: (T().toarray().astype(object), B()), TypeError, "A has dtype object"),
    Row(24, "b masked", lambda: (T(), np.ma.masked_array(B(), B() > 1)), TypeError, "b is a masked array"),
    Row(24, "x0 masked", lambda: (T(), B(), {"x0": np.ma.masked_array(B(), B() > 1)}), TypeError, "x0 is a masked array"),
    *INTEGERS,
    Row(25, "A bool", lambda: (sp.eye_array(N, dtype=bool).tocsr(), np.arange(N)), S.CONVERGED, check=lambda r: r.x.dtype == float),
    Row(26, "A float16", lambda: (T().toarray().astype("f2"), B()), TypeError, "A has dtype float16"),
    Row(26, "b float16", lambda: (T(), B().astype("f2")), TypeError, "b has dtype float16"),
    Row(27, "A longdouble", lambda: (T().astype(np.longdouble), B()), TypeError, "A has dtype (longdouble|float128)"),
    Row(27, "b longdouble", lambda: (T(), B().astype(np.longdouble)), TypeError, "b has dtype (longdouble|float128)"),
    Row(28, "complex b, real A", lambda: (T(), B() + 1j * B()[::-1]), S.CONVERGED, check=lambda r: r.x.imag.any()),
    Row(29, "real b, Hermitian A", lambda: (hermitian(), B()), S.CONVERGED, check=lambda r: r.x.imag.any()),
    Row(30, "complex symmetric young1c", lambda: (data("young1c"), np.ones(841)), S.NOT_SYMMETRIC, "gmres", ("solve cg", "solve minres"),
        check=lambda r: r.matvecs <= 5),
    Row(31, "imaginary diagonal", lambda: (T() + 0.1j * sp.eye_array(N), B()), S.NOT_SYMMETRIC, "Hermitian", ("solve cg",)),
    Row(33, "int64 indices", lambda: (mixed_indices(np.int64, np.int64), B()), S.CONVERGED),
    Row(33, "int64 indices, int32 indptr", lambda: (mixed_indices(np.int64, np.int32), B()), S.CONVERGED),
    Row(34, "unsorted duplicates, coo", lambda: (duplicates(), B()), S.CONVERGED),
    Row(34, "unsorted duplicates, csr", lambda: (noncanonical_csr(), B()), S.CONVERGED),
    *[
        Row(35, f"index {value} in {format}", lambda format=format, value=value: (bad_indices(format, value), B()), ValueError, "ind(ex|ices)")
        for format in ("csr", "csc", "coo") for value in (N, 10**8, -60)
    ],
    *[
        Row(35, f"index 50 in {format}", lambda format=format: (bad_indices(format, N), B()), ValueError, "ind(ex|ices)")
        for format in ("bsr", "lil")
    ],
    Row(36, "indptr falls", lambda: (spoiled(T(), "indptr", 9, 3), B()), ValueError, "indptr must rise"),
    Row(36, "indptr short", lambda: (raw_csr([1.0], [0], [0, 1]), B()), ValueError, "51 entries; got 2"),
    Row(36, "indptr beyond the data", lambda: (raw_csr(np.ones(N), np.arange(N), 2 * np.arange(N + 1)), B()), ValueError, "ends at 100"),
    Row(37, "lower triangle", lambda: (sp.tril(T()).tocsr(), B()), S.NOT_SYMMETRIC, "not symmetric", ("solve cg", "solve minres")),
    Row(38, "0 x 0", lambda: (np.zeros((0, 0)), np.zeros(0)), S.CONVERGED, check=lambda r: r.x.shape == (0,)),
    Row(38, "0 x 0 sparse", lambda: (sp.csr_array((0, 0)), np.zeros(0)), S.CONVERGED, check=lambda r: r.x.shape == (0,)),
    Row(38, "1 x 1", lambda: (np.array([[4.0]]), np.array([2.0])), S.CONVERGED, check=lambda r: r.x == 0.5),
    Row(38, "2 x 2", lambda: (np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([3.0, 3.0])), S.CONVERGED, check=lambda r: np.allclose(r.x, 1)),
    *FORMATS,
    Row(39, "np.matrix", lambda: (np_matrix(), B()), S.CONVERGED, check=lambda r: type(r.x) is np.ndarray),
    Row(39, "sparse matrix", lambda: (sp.csr_matrix(T()), B()), S.CONVERGED),
    Row(39, "dense", lambda: (T().toarray(), B()), S.CONVERGED),
    Row(40, "pandas b", lambda: (T(), Series()), TypeError, "Series from pandas"),
    Row(40, "torch b beside SciPy A", torch_row(lambda torch: (T(), torch.ones(N))), TypeError, "A from scipy and b from torch"),
    Row(40, "NumPy b beside torch A", torch_row(lambda torch: (torch.eye(N), np.ones(N))), TypeError, "A from torch and b from numpy"),
    Row(41, "x0 on another device",
        torch_row(lambda torch: (torch.eye(N), torch.ones(N), {"x0": torch.ones(N, device="meta")})), TypeError, "on cpu.*on meta"),
    Row(42, "torch b requires grad",
        torch_row(lambda torch: (torch.tensor(T().toarray()), torch.tensor(B(), requires_grad=True))), S.CONVERGED,
        check=lambda r: not r.x.requires_grad),
    Row(42, "torch A requires grad",
        torch_row(lambda torch: (torch.tensor(T().toarray(), requires_grad=True), torch.tensor(B()))), S.CONVERGED,
        check=lambda r: not r.x.requires_grad),
)  # fmt: skip
def test_shape_type_layout(row, method):
    run(row, method)


LAYOUTS = {
    "negative stride": (lambda: B()[::-1].copy()[::-1], True),
    "every other": (lambda: np.repeat(B(), 2)[::2], True),
    "read-only": (lambda: np.frombuffer(B().tobytes()), True),
    "big-endian": (lambda: B().astype(">f8"), True),
    "column of a C block": (lambda: np.c_[B(), B()][:, 0], True),
}


@pytest.mark.parametrize("method", KRYLOV.values(), ids=KRYLOV)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_row_32_layout_of_b_changes_no_bit(layout, method):
    b = LAYOUTS[layout][0]()
    x = method(T(), b).x
    assert x.dtype == np.float64
    assert x.dtype.isnative
    assert np.array_equal(x, method(T(), B()).x)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize(
    "form", ["Fortran order", "big-endian", "negative strides", "read-only", "big-endian csr", "read-only csr"]
)
def test_row_32_layout_of_A(form, method):
    A = T().toarray()
    if form.endswith("csr"):
        A = T()
        A.data = A.data.astype(">f8") if "big" in form else np.frombuffer(A.data.tobytes())
    elif form == "big-endian":
        A = A.astype(">f8")
    elif form == "read-only":
        A.flags.writeable = False
    else:
        A = np.asfortranarray(A) if form == "Fortran order" else A[::-1, ::-1].copy()[::-1, ::-1]
    expected = method(T() if form.endswith("csr") else T().toarray(), B())
    result = method(A, B())
    assert result.converged
    if form in ("read-only", "read-only csr", "big-endian csr"):
        assert np.array_equal(result.x, expected.x)
    else:  # a product of another layout sums in another order
        assert np.linalg.norm(result.x - expected.x) <= 1e-12 * np.linalg.norm(expected.x)


# -- mathematics ---------------------------------------------------------------------------------------------------------


def neumann(shift=0.0):
    A = data("pyamg_unit_square")
    return A, image(A) + shift


def without_row(i):
    A = T().tolil()
    A[i, :] = A[:, i] = 0
    return A.tocsr()


def equal_rows():
    A = T().toarray()
    A[8], A[:, 8] = A[7], A[:, 7]
    A[8, 7] = A[7, 8] = A[8, 8] = A[7, 7]
    return A


def nearly_symmetric(size):
    skew = sp.diags_array([-size, size], offsets=[-1, 1], shape=(N, N)).tocsr()
    return T() + skew


def laplacian_3d(n, shift=0.0):
    D, I = T(-1, 2, -1, n), sp.eye_array(n)
    A = sp.kron(sp.kron(D, I), I) + sp.kron(sp.kron(I, D), I) + sp.kron(sp.kron(I, I), D)
    return sp.csr_array(A - shift * sp.eye_array(n**3))


def ones_image(A):
    return A, A @ np.ones(A.shape[0])


def off(A):
    """A real matrix with +-1 off its diagonal, as in the problems of another library's tests."""
    i, j = np.indices((10, 10)) + 1
    return np.where(i == j, A(i, j), np.where(i < j, 1.0, -1.0))


def ramp(A):
    return A, A @ np.arange(1.0, 1 + A.shape[0])


def singular_semidefinite():
    A = np.outer(np.arange(1.0, 11), np.arange(1.0, 11)) + 5 * np.eye(10)
    A[:, :2] = A[:2, :] = 1.0
    return A


def as_complex(system):
    """The same system under a unitary diagonal change of variables: Hermitian where it was symmetric."""

    def changed():
        A, b, *rest = system()
        u = np.exp(1j * np.arange(len(b)))
        A = A.toarray() if sp.issparse(A) else A
        return (u[:, None] * A * u.conj(), u * b, *rest)

    return changed


KRYLOV_JL = [
    ("symmetric definite", lambda: ramp(T(1, 4, 1, 10)), S.CONVERGED, ALL),
    ("symmetric indefinite", lambda: ramp(T(1, 1, 1, 10)), S.INDEFINITE_MATRIX, DEFINITE),
    ("symmetric indefinite", lambda: ramp(T(1, 1, 1, 10)), S.CONVERGED, ("minres", "gmres", "solve")),
    ("nonsymmetric definite", lambda: ramp(off(lambda i, j: 10.0)), S.CONVERGED, (*GENERAL, "solve")),
    ("nonsymmetric indefinite", lambda: ramp(off(lambda i, j: 10 * (-1.0) ** (i * j))), S.CONVERGED, (*GENERAL, "solve")),
    ("Laplacian", lambda: (laplacian_3d(8), np.ones(512)), S.CONVERGED, ALL),
    ("almost singular", lambda: ones_image(laplacian_3d(8, 5.0)), S.CONVERGED, ("minres", "solve")),
    ("almost singular", lambda: ones_image(laplacian_3d(8, 5.0)), S.INDEFINITE_MATRIX, DEFINITE),
    ("singular consistent", lambda: ones_image(singular_semidefinite()), S.CONVERGED, ("cg", "flexible_cg", "minres", "gmres")),
    ("square inconsistent", lambda: (np.diag(np.r_[0.0, np.ones(9)]), np.ones(10)), S.INCONSISTENT, SYMMETRIC),
    (
        "square inconsistent, singular by its factors",
        lambda: (np.diag(np.r_[0.0, np.ones(9)]), np.ones(10)),
        {S.BREAKDOWN, S.INCONSISTENT},
        ("solve",),
    ),
    ("square inconsistent", lambda: (np.diag(np.r_[0.0, np.ones(9)]), np.ones(10)), FAILED, GENERAL),
    (
        "symmetric breakdown",
        lambda: (np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])),
        S.CONVERGED,
        ("minres", "gmres", "solve"),
    ),
    ("symmetric breakdown", lambda: (np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])), S.INDEFINITE_MATRIX, DEFINITE),
    (
        "unsymmetric breakdown",
        lambda: (np.array([[0.0, 1.0], [-1.0, 0.0]]), np.array([1.0, 0.0])),
        S.CONVERGED,
        ("gmres", "solve"),
    ),
    ("unsymmetric breakdown", lambda: (np.array([[0.0, 1.0], [-1.0, 0.0]]), np.array([1.0, 0.0])), S.BREAKDOWN, ("bicgstab",)),
    (
        "preconditioned",
        lambda: (np.ones((10, 10)) + 9 * np.eye(10), 10 * np.arange(1.0, 11), {"M": np.eye(10) / 10}),
        S.CONVERGED,
        ALL,
    ),
    ("zero right-hand side", lambda: (np.random.default_rng(6).random((10, 10)), np.zeros(10)), S.CONVERGED, ALL),
]


@table(
    Row(43, "Neumann, consistent", neumann, S.CONVERGED),
    Row(43, "Neumann, consistent, null space", lambda: (*neumann(), {"nullspace": "constant"}), S.CONVERGED, "null space", ("solve",),
        check=lambda r: abs(r.x.sum()) <= 1e-10 * np.abs(r.x).sum() and r.inconsistency <= 1e-12),
    Row(44, "Neumann, inconsistent", lambda: neumann(1.0), S.INCONSISTENT, "nullspace=", (*SYMMETRIC, "solve")),
    Row(44, "Neumann, inconsistent", lambda: neumann(1.0), FAILED, "", GENERAL),
    Row(44, "Neumann, inconsistent, null space", lambda: (*neumann(1.0), {"nullspace": "constant"}), S.CONVERGED,
        "outside the range of A by", ("solve",), check=lambda r: r.inconsistency > 1e-3),
    Row(45, "A = 0", lambda: (sp.csr_array((N, N)), B()), S.INCONSISTENT, "no x solves", (*SYMMETRIC, "solve")),
    Row(45, "A = 0", lambda: (np.zeros((N, N)), B()), {S.BREAKDOWN, S.INCONSISTENT}, "", GENERAL),
    Row(45, "A = 0 as an operator", lambda: (Operator(lambda A, x, k: 0 * x), B()), {S.BREAKDOWN, S.INCONSISTENT}),
    Row(46, "an empty row", lambda: (without_row(7), B()), S.INCONSISTENT, "", SYMMETRIC),
    Row(46, "an empty row", lambda: (without_row(7), B()), S.INCONSISTENT, "row 7 of A is zero but b is not", ("solve",)),
    Row(46, "an empty row", lambda: (without_row(7), B()), FAILED, "", GENERAL),
    Row(46, "two equal rows", lambda: (equal_rows(), B()), S.INCONSISTENT, "", SYMMETRIC),
    Row(46, "two equal rows", lambda: (equal_rows(), B()), FAILED, "", (*GENERAL, "solve")),
    Row(47, "diag(1, -1), b = 1", lambda: (np.diag(signs()), np.ones(N)), S.INDEFINITE_MATRIX, "minres", DEFINITE),
    Row(47, "diag(1, -1), b = 1", lambda: (np.diag(signs()), np.ones(N)), S.CONVERGED, "", ("minres", "gmres", "solve")),
    Row(48, "tumorAntiAngiogenesis_2", lambda: (data("tumorAntiAngiogenesis_2"), np.ones(305)), S.INDEFINITE_MATRIX, "minres",
        (*DEFINITE, "solve cg")),
    Row(48, "saddle point", lambda: (saddle(), np.ones(55)), S.INDEFINITE_MATRIX, "minres", (*DEFINITE, "solve cg")),
    Row(48, "saddle point", lambda: (saddle(), np.ones(55)), S.CONVERGED, "", ("minres", "solve", "solve minres")),
    Row(49, "negative definite", lambda: (-T(), B()), S.INDEFINITE_MATRIX, "-A", DEFINITE),
    Row(49, "negative definite", lambda: (-T(), B()), S.CONVERGED, "solved as -A x = -b", ("solve", "solve cg")),
    Row(49, "minus the elbow pressure", lambda: (-data("of_elbow_p"), np.ones(918)), S.CONVERGED, "solved as -A x = -b", ("solve cg",)),
    *[
        Row(50, name, lambda name=name: (data(name), np.ones(data(name).shape[0])), S.NOT_SYMMETRIC, "gmres", ("solve cg", "solve minres"),
            check=lambda r: r.matvecs <= 5 and np.max(r.iterations) == 0)
        for name in ("cavity14", "epb0", "olm1000", "of_scalarTransport_T")
    ],
    Row(50, "epb0 by its products", lambda: (sp.linalg.aslinearoperator(data("epb0")), np.ones(1794)), S.NOT_SYMMETRIC, "sampled products",
        ("solve cg",), check=lambda r: r.matvecs <= 5),
    Row(51, "asymmetry 1e-13", lambda: (nearly_symmetric(1e-13), B()), S.CONVERGED, "", ("solve", "solve cg")),
    Row(51, "asymmetry 1e-9", lambda: (nearly_symmetric(1e-9), B()), S.NOT_SYMMETRIC, "max.A - A.H. = 8.*e-10", ("solve cg",)),
    Row(51, "asymmetry 1e-3", lambda: (nearly_symmetric(1e-3), B()), S.NOT_SYMMETRIC, "", ("solve cg",)),
    Row(51, "asymmetry 1e-3", lambda: (nearly_symmetric(1e-3), B()), S.CONVERGED, "", ("solve",)),
    Row(52, "bcsstk13, rtol 1e-12", lambda: (data("bcsstk13"), image(data("bcsstk13")), {"rtol": 1e-12, "max_iterations": 3000}), HONEST,
        "", ("cg", "minres", "solve")),
    *[
        Row(52, f"condition 1e{k}, rtol 1e-12", lambda k=k: (spectrum(np.logspace(-k, 0, 60)), np.ones(60), {"rtol": 1e-12}), HONEST)
        for k in (11, 13)
    ],
    *[Row(53, f"{case}, real", system, outcome, "", methods) for case, system, outcome, methods in KRYLOV_JL],
    *[Row(53, f"{case}, complex", as_complex(system), outcome, "", methods) for case, system, outcome, methods in KRYLOV_JL],
)  # fmt: skip
def test_mathematics(row, method):
    run(row, method)


# -- controls ------------------------------------------------------------------------------------------------------------


def controls(**keywords):
    return lambda: (T(), B(), keywords)


def slow():
    return Operator(lambda A, x, k: (time.sleep(0.01), A @ x)[1], T(-1, 2, -1)), B(), {"time_limit": 0.1}


@table(
    Row(56, "max_iterations 0", controls(max_iterations=0), S.MAX_ITERATIONS, "raise max_iterations=", (*KRYLOV, "solve cg"),
        check=lambda r: r.iterations == 0 and r.relative_residual == 1),
    Row(56, "max_iterations 0, good x0", lambda: (sp.eye_array(N).tocsr(), B(), {"max_iterations": 0, "x0": B()}), S.CONVERGED),
    Row(57, "max_iterations -1", controls(max_iterations=-1), ValueError, "max_iterations must be an integer >= 0; got -1"),
    Row(57, "max_iterations 2.5", controls(max_iterations=2.5), TypeError, "max_iterations must be an integer >= 0; got 2.5"),
    Row(57, "max_iterations True", controls(max_iterations=True), TypeError, "max_iterations must be an integer >= 0; got True"),
    Row(57, "max_iterations NaN", controls(max_iterations=NAN), TypeError, "max_iterations must be an integer >= 0; got nan"),
    Row(59, "rtol 0, atol 0", controls(rtol=0.0, atol=0.0), S.STAGNATED, "", tuple(KRYLOV), check=lambda r: r.relative_residual < 1e-14),
    Row(59, "rtol 0, atol 0", controls(rtol=0.0, atol=0.0), ValueError, "below 4 eps", ("solve",)),
    *[
        Row(60, f"{name} {value!r}", controls(**{name: value}), ValueError, f"{name} must be a finite number >= 0; got")
        for name in ("rtol", "atol") for value in (-1e-8, NAN, INF, "1e-8", True)
    ],
    Row(60, "atol None", controls(atol=None), ValueError, "atol must be a finite number >= 0; got None"),
    Row(60, "time_limit -1", controls(time_limit=-1), ValueError, "time_limit must be a finite number >= 0"),
    Row(61, "rtol 1e-30", controls(rtol=1e-30), S.STAGNATED, "loosen rtol", tuple(KRYLOV), check=lambda r: r.relative_residual < 1e-14),
    Row(61, "rtol 1e-30", controls(rtol=1e-30), ValueError, "rtol = 1.0e-30 is below 4 eps = 8.9e-16", ("solve",)),
    Row(62, "misspelt keyword", controls(maxiter=3), TypeError, "maxiter"),
    Row(62, "unknown preconditioner", controls(M="jacobbi"), ValueError, "one of none, jacobi, .*got 'jacobbi'", ("solve",)),
    Row(62, "unknown method", controls(method="conjugate"), ValueError, "one of auto, cg, .*got 'conjugate'", ("solve",)),
    Row(63, "time limit", slow, S.TIME_LIMIT, "raise time_limit=", check=lambda r: r.solve_seconds < 0.2),
    Row(64, "seed", lambda: (Operator(lambda A, x, k: A @ x), B(), {"seed": 991}), S.CONVERGED, "", ("solve",), check=lambda r: r.seed == 991),
)  # fmt: skip
def test_controls(row, method):
    run(row, method)


@pytest.mark.parametrize("method", [*KRYLOV.values(), METHODS["solve cg"]], ids=[*KRYLOV, "solve cg"])
def test_row_58_one_iteration_is_one_iteration(method):
    seen = []
    result = method(T(), B(), M=None, max_iterations=1, callback=lambda state: seen.append(state.iteration))
    assert (result.status, result.iterations, seen) == (S.MAX_ITERATIONS, 1, [1])


def test_row_64_the_same_seed_gives_the_same_bits():
    first, second = (petrov.solve(Operator(lambda A, x, k: A @ x), B(), seed=991).x for _ in range(2))
    assert np.array_equal(first, second)


# -- operators, preconditioners, callbacks -------------------------------------------------------------------------------


def nan_from(first):
    return lambda A, x, k: A @ x if k < first else np.full_like(x, NAN)


def own_buffer(A):
    buffer = np.empty(A.shape[0])

    def product(A, x, k):
        buffer[:] = A @ x
        return buffer

    return Operator(product, A)


def clobbering(A, x, k):
    y = A @ x
    x[:] = 0.0
    return y


def noisy(size):
    rng = np.random.default_rng(64)
    return lambda A, x, k: A @ x + size * np.linalg.norm(x) * rng.standard_normal(len(x))


def identity():
    return Operator(lambda A, x, k: x)


def raising(error):
    def product(A, x, k):
        raise error

    return Operator(product)


def changing():
    """A different positive diagonal at every call."""
    rng = np.random.default_rng(99)
    return Operator(lambda A, x, k: x * (1 + 4 * rng.random(len(x))))


def callback(action):
    def call(state):
        return action(state)

    return lambda: (T(), B(), {"callback": call})


def throw(error):
    raise error


def scribble(state):
    x = state.x
    if x.flags.writeable:
        x[:] = 1e9


SKEWED = np.eye(N) + 0.1 * np.triu(np.ones((N, N)), 1)  # definite, not symmetric


@table(
    Row(65, "A returns too much", lambda: (Operator(lambda A, x, k: np.ones(N + 1)), B()), ValueError, r"Operator returned \(51,\)"),
    Row(65, "M returns too much", lambda: (T(), B(), {"M": Operator(lambda A, x, k: np.ones(N + 1))}), ValueError, r"^M @ x.*\(51,\)"),
    Row(66, "A is NaN at product 7", lambda: (Operator(nan_from(7)), B()), S.NONFINITE_OPERATOR, "", check=lambda r: r.matvecs <= 13),
    Row(66, "A is always NaN", lambda: (Operator(nan_from(1)), B()), S.NONFINITE_OPERATOR, "check the operator",
        check=lambda r: r.matvecs <= 5),
    Row(67, "A reuses its buffer", lambda: (own_buffer(T()), B()), S.CONVERGED, check=lambda r: r.iterations <= 30),
    Row(67, "M reuses its buffer", lambda: (T(), B(), {"M": own_buffer(sp.eye_array(N).tocsr())}), S.CONVERGED,
        check=lambda r: r.iterations <= 30),
    Row(68, "A writes to its input", lambda: (Operator(clobbering), B()), HONEST),
    Row(68, "M writes to its input", lambda: (T(), B(), {"M": Operator(clobbering, sp.eye_array(N).tocsr())}), HONEST),
    Row(69, "A returns complex", lambda: (Operator(lambda A, x, k: (A @ x) * 1j), B()), TypeError, "A returned complex128 for a real"),
    Row(69, "M returns complex", lambda: (T(), B(), {"M": Operator(lambda A, x, k: x * 1j)}), TypeError, "M returned complex128 for a real"),
    Row(70, "A is random", lambda: (Operator(noisy(1.0)), B()), FAILED),
    Row(70, "A is a little random", lambda: (Operator(noisy(1e-6)), B()), HONEST),
    Row(70, "A is not linear", lambda: (Operator(lambda A, x, k: A @ x + np.abs(x)), B()), HONEST),
    Row(71, "M indefinite", lambda: (T(), B(), {"M": Diagonal(signs())}), S.INDEFINITE_PRECONDITIONER, "another M", ("cg", "minres")),
    Row(71, "r M r = 0", lambda: (T(), np.ones(N), {"M": Diagonal(signs())}), S.INDEFINITE_PRECONDITIONER, "another M", SYMMETRIC),
    Row(71, "M indefinite, r M r = 0", lambda: (T(), np.ones(N), {"M": Diagonal(signs())}), HONEST, "", (*GENERAL, "solve")),
    Row(72, "M = 0", lambda: (T(), B(), {"M": Diagonal(np.zeros(N))}), S.INDEFINITE_PRECONDITIONER, "", SYMMETRIC),
    Row(72, "M = 0", lambda: (T(), B(), {"M": Diagonal(np.zeros(N))}), FAILED, "", (*GENERAL, "solve")),
    Row(72, "M NaN", lambda: (T(), B(), {"M": Diagonal(np.full(N, NAN))}), S.NONFINITE_PRECONDITIONER, "how M was set up",
        check=lambda r: r.matvecs <= 5),
    Row(72, "M NaN at call 5", lambda: (T(), B(), {"M": Operator(nan_from(5), sp.eye_array(N).tocsr())}), S.NONFINITE_PRECONDITIONER),
    Row(73, "M not symmetric", lambda: (T(), B(), {"M": SKEWED}), HONEST, "", (*SYMMETRIC, "bicgstab")),
    Row(73, "M not symmetric", lambda: (T(), B(), {"M": SKEWED}), S.CONVERGED, "", ("flexible_cg", "gmres", "solve")),
    Row(73, "M changes", lambda: (T(), B(), {"M": changing()}), HONEST, "", ("cg", "minres", "bicgstab")),
    Row(73, "M changes", lambda: (T(), B(), {"M": changing()}), S.CONVERGED, "", ("flexible_cg", "gmres", "solve")),
    Row(74, "M returns its input", lambda: (T(), B(), {"M": identity()}), S.CONVERGED, check=lambda r: r.iterations <= 30),
    Row(74, "M returns its input, dense A", lambda: (T().toarray(), B(), {"M": identity()}), S.CONVERGED, check=lambda r: r.iterations <= 30),
    *[
        Row(75, f"M scaled 1e{k}", lambda k=k: (T(), B(), {"M": Diagonal(np.full(N, 10.0**k))}), S.CONVERGED,
            check=lambda r: 10 <= r.iterations <= 30)
        for k in (-150, -6, 6, 150)
    ],
    Row(76, "M = diag(1, 1e-12)", lambda: (T(), B(), {"M": Diagonal(np.where(signs() > 0, 1.0, 1e-12))}), HONEST),
    Row(76, "M = diag(1, 1e-12), 2 x 2", lambda: (np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([1.0, 5.0]),
        {"M": Diagonal(np.array([1.0, 1e-12])), "max_iterations": 1}), FAILED, "", tuple(KRYLOV)),
    Row(77, "M raises", lambda: (T(), B(), {"M": raising(ArithmeticError("M gave up"))}), ArithmeticError, "M gave up"),
    Row(77, "A raises", lambda: (raising(ArithmeticError("A gave up")), B()), ArithmeticError, "A gave up"),
    Row(78, "callback raises RuntimeError", callback(lambda s: throw(RuntimeError("mine"))), RuntimeError, "mine"),
    Row(78, "callback raises StopIteration", callback(lambda s: throw(StopIteration("mine"))), StopIteration, "mine"),
    Row(79, "callback raises KeyboardInterrupt", callback(lambda s: throw(KeyboardInterrupt())), SolveInterrupted, "interrupted after 1"),
    Row(80, "callback writes into x", callback(scribble), S.CONVERGED),
    Row(82, "callback returns True", callback(lambda s: True), S.STOPPED, "callback asked to stop", tuple(KRYLOV), check=lambda r: r.iterations == 1),
    Row(82, "callback returns 'yes'", callback(lambda s: "yes"), TypeError, "must return True to stop.*got 'yes'"),
    Row(82, "callback is no function", lambda: (T(), B(), {"callback": 7}), TypeError, "callback must be callable"),
)  # fmt: skip
def test_operators_preconditioners_callbacks(row, method):
    run(row, method)


@pytest.mark.parametrize("method", [*KRYLOV.values(), METHODS["solve cg"]], ids=[*KRYLOV, "solve cg"])
@pytest.mark.parametrize("number", [77, 78])
def test_row_77_78_the_next_solve_is_the_same_bit_for_bit(number, method):
    before = method(T(), B(), M=jacobi(T())).x
    keywords = {"M": raising(ArithmeticError())} if number == 77 else {"callback": lambda s: throw(ArithmeticError())}
    with pytest.raises(ArithmeticError) as caught:
        method(T(), B(), **keywords)
    assert any("iteration 1" in note for note in caught.value.__notes__)
    assert np.array_equal(method(T(), B(), M=jacobi(T())).x, before)


def test_row_81_a_callback_may_use_the_same_solver():
    solver = petrov.Solver(T(), method="cg", M="jacobi")
    expected, inner = solver.solve(B()), []
    result = solver.solve(B(), callback=lambda state: inner.append(solver.solve(np.ones(N)).x) and None)
    assert np.array_equal(result.x, expected.x)
    assert result.iterations == expected.iterations == len(inner)
    assert np.array_equal(inner[0], solver.solve(np.ones(N)).x)
