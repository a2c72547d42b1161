"""What every operator and every preconditioner must do. A new one writes `create` and `dense` and inherits the tests.

class TestMine(OperatorConformance):
    def create(self, dtype, seed): return Mine(...)
    def dense(self, operator): return operator.some_array

class TestMyRecipe(PreconditionerConformance):
    def create(self): return MyRecipe(...)
    def dense(self, M, A): return np.linalg.inv(...)      # A as a dense array
"""

from __future__ import annotations

import dataclasses
import pickle
import sys
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.solvers import arrays
from petrov.solvers.operator import Operator
from petrov.solvers.storage.csr import view

TOLERANCE = {"float32": 2e-4, "float64": 1e-10, "complex128": 1e-10}
SEED = 4187


def vectors(shape: Any, dtype: str, seed: int = SEED) -> np.ndarray:
    """Standard normal entries, complex where the dtype is."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if dtype.startswith("complex") else x).astype(dtype)


def close(got: Any, expected: np.ndarray, dtype: str, factor: float = 1.0) -> None:
    got = arrays.to_numpy(got)
    scale = np.abs(expected).max(initial=0.0) or 1.0
    np.testing.assert_allclose(got / scale, expected / scale, rtol=0, atol=factor * TOLERANCE[dtype])


def as_numpy(x: np.ndarray) -> Any:
    return x


def as_torch(x: np.ndarray) -> Any:
    torch = pytest.importorskip("torch")
    return torch.from_numpy(np.ascontiguousarray(x))


def as_strict(x: np.ndarray) -> Any:
    return pytest.importorskip("array_api_strict").asarray(np.ascontiguousarray(x))


def as_cupy(x: np.ndarray) -> Any:
    """By CuPy or its double, whichever the fixture `device` has put there."""
    return sys.modules["cupy"].asarray(np.ascontiguousarray(x))


def as_cupy_csr(A: np.ndarray) -> Any:
    return sys.modules["cupyx.scipy.sparse"].csr_matrix(sp.csr_matrix(A))


LIBRARIES = {"numpy": as_numpy, "torch": as_torch, "array_api_strict": as_strict, "cupy": as_cupy}


class Bare:
    """An operator with nothing but shape, dtype and @."""

    def __init__(self, A: Any):
        self._A, self.shape, self.dtype = A, A.shape, A.dtype

    def __matmul__(self, x: Any) -> Any:
        return self._A @ x


# The forms in which a matrix comes: name -> (library of the vectors, conversion from a dense NumPy array).
FORMS = {
    "ndarray": ("numpy", np.array),
    "ndarray, Fortran order": ("numpy", np.asfortranarray),
    "csr_array": ("numpy", sp.csr_array),
    "csr_matrix": ("numpy", sp.csr_matrix),
    "csr, 64-bit indices": ("numpy", lambda A: with_long_indices(sp.csr_array(A))),
    "csr, unsorted, duplicates": ("numpy", lambda A: unsorted(sp.csr_array(A))),
    "csc_array": ("numpy", sp.csc_array),
    "csc, unsorted, duplicates": ("numpy", lambda A: unsorted(sp.csr_array(A.T)).T),
    "coo_array": ("numpy", sp.coo_array),
    "dia_array": ("numpy", sp.dia_array),
    "bsr_array": ("numpy", lambda A: sp.csr_array(A).tobsr((1, 1))),
    "CSR view": ("numpy", lambda A: view(sp.csr_array(A))),
    "LinearOperator": ("numpy", lambda A: sp.linalg.aslinearoperator(A)),
    "bare": ("numpy", lambda A: Bare(A)),
    "torch": ("torch", as_torch),
    "array_api_strict": ("array_api_strict", as_strict),
    "CuPy": ("cupy", as_cupy_csr),
}
STORED = tuple(name for name in FORMS if name not in ("LinearOperator", "bare", "torch", "array_api_strict", "CuPy"))


def with_long_indices(A: Any) -> Any:
    return sp.csr_array((A.data, A.indices.astype(np.int64), A.indptr.astype(np.int64)), shape=A.shape)


def unsorted(A: Any) -> Any:
    """The same matrix with every row reversed and every entry split in two halves."""
    entries = A.tocoo()
    rows = np.concatenate([entries.row, entries.row])[::-1]
    columns = np.concatenate([entries.col, entries.col])[::-1]
    order = np.argsort(rows, kind="stable")
    values = (np.concatenate([entries.data, entries.data]) / 2)[::-1][order]
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=A.shape[0]))]).astype(np.int32)
    return sp.csr_array((values, columns[order].astype(np.int32), indptr), shape=A.shape)


def bytes_of(A: Any) -> list[bytes]:
    """Everything that a matrix stores, to be compared before and after."""
    if isinstance(A, np.ndarray):
        return [A.tobytes()]
    if isinstance(A, Bare):
        return bytes_of(A._A)
    A = A.get() if arrays.library(A) == "cupyx" else A
    parts = [getattr(A, name, None) for name in ("data", "indices", "indptr", "row", "col", "offsets", "values")]
    found = [np.asarray(part).tobytes() for part in parts if isinstance(part, np.ndarray)]
    return found or [arrays.to_numpy(A).tobytes()]


class _Parametrized:
    """Tests that take `dtype`, `library`, `form` or `case` run once for each that the class names."""

    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "complex128")
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)
    forms: ClassVar[tuple[str, ...]] = STORED
    cases: ClassVar[tuple[str, ...]] = ()

    def pytest_generate_tests(self, metafunc: Any) -> None:
        for argument, values in (("dtype", "dtypes"), ("library", "libraries"), ("form", "forms"), ("case", "cases")):
            if argument in metafunc.fixturenames:
                metafunc.parametrize(argument, getattr(self, values))


class OperatorConformance(_Parametrized):
    """`create(dtype, seed)` makes an operator for NumPy vectors (or `library`); `dense(operator)` is its oracle (n, n)."""

    pickles: ClassVar[bool] = True

    def create(self, dtype: str, seed: int) -> Any:
        raise NotImplementedError

    def dense(self, operator: Any) -> np.ndarray:
        raise NotImplementedError

    def convert(self, x: np.ndarray) -> Any:
        """x as a vector of the library in which the operator works."""
        return LIBRARIES[self.libraries[0]](x)

    def test_shape_and_dtype(self, dtype):
        A = self.create(dtype, SEED)
        assert isinstance(A, Operator)
        assert tuple(A.shape) == self.dense(A).shape
        assert all(isinstance(size, int) for size in A.shape)
        assert arrays.dtype_name(A) == dtype

    @pytest.mark.parametrize("shape", [(), (1,), (3,), (0,)])
    def test_product(self, dtype, shape):
        A = self.create(dtype, SEED)
        x = vectors((A.shape[1], *shape), dtype, SEED + 1)
        y = A @ self.convert(x)
        assert type(y) is type(self.convert(x)) and arrays.dtype_name(y) == dtype and tuple(y.shape) == (A.shape[0], *shape)
        close(y, self.dense(A) @ x, dtype)

    def test_columns_are_independent(self, dtype):
        A = self.create(dtype, SEED)
        X = vectors((A.shape[1], 3), dtype, SEED + 2)
        Y = arrays.to_numpy(A @ self.convert(X))
        for k in range(3):
            close(A @ self.convert(X[:, k]), Y[:, k], dtype)

    def test_layouts(self, dtype):
        if self.libraries[0] != "numpy":
            pytest.skip("layouts are NumPy's")
        A = self.create(dtype, SEED)
        n = A.shape[1]
        X = vectors((2 * n, 3), dtype, SEED + 3)
        frozen = X[:n].copy()
        frozen.setflags(write=False)
        layouts = [np.asfortranarray(X[:n]), X[::2], X[::2, 0], X[:n][::-1], X[:n, 1], frozen, frozen[:, 0]]
        for x in layouts:
            close(A @ x, self.dense(A) @ x, dtype)

    def test_linear(self, dtype):
        A = self.create(dtype, SEED)
        x, y = vectors((2, A.shape[1]), dtype, SEED + 4)
        left = A @ self.convert(x * np.asarray(-2.5, dtype) + y)
        close(left, -2.5 * arrays.to_numpy(A @ self.convert(x)) + arrays.to_numpy(A @ self.convert(y)), dtype)
        assert getattr(A, "linear", True)

    def test_adjoint(self, dtype):
        A = self.create(dtype, SEED)
        if not hasattr(A, "H"):
            pytest.skip("no .H")
        x = vectors(A.shape[0], dtype, SEED + 5)
        close(A.H @ self.convert(x), self.dense(A).conj().T @ x, dtype)
        assert tuple(A.H.shape) == tuple(A.shape)[::-1]

    def test_diagonal(self, dtype):
        A = self.create(dtype, SEED)
        if not hasattr(A, "diagonal"):
            pytest.skip("no .diagonal()")
        close(A.diagonal(), self.dense(A).diagonal(), dtype)

    def test_input_and_earlier_output_stay(self, dtype):
        A = self.create(dtype, SEED)
        x, other = (self.convert(vectors(A.shape[1], dtype, SEED + k)) for k in (6, 7))
        before = arrays.to_numpy(x).copy()
        y = A @ x
        first = arrays.to_numpy(y).copy()
        A @ other
        assert np.array_equal(arrays.to_numpy(x), before) and np.array_equal(arrays.to_numpy(y), first)
        if isinstance(y, np.ndarray):
            assert not np.shares_memory(x, y)

    def test_pickle(self, dtype):
        if not self.pickles:
            pytest.skip("holds a foreign object")
        A = self.create(dtype, SEED)
        x = self.convert(vectors(A.shape[1], dtype, SEED + 8))
        assert np.array_equal(arrays.to_numpy(pickle.loads(pickle.dumps(A)) @ x), arrays.to_numpy(A @ x))


def laplacian(n: int) -> np.ndarray:
    """The five-point matrix of an n x (n - 1) grid."""

    def line(k: int) -> np.ndarray:
        return 2 * np.eye(k) - np.eye(k, k=1) - np.eye(k, k=-1)

    return np.kron(line(n), np.eye(n - 1)) + np.kron(np.eye(n), line(n - 1))


def random_spd(n: int, dtype: str, seed: int) -> np.ndarray:
    """Sparse, Hermitian, eigenvalues from about 0.1 to 10, not diagonally dominant."""
    rng = np.random.default_rng(seed)
    B = vectors((n, n), dtype, seed) * (rng.random((n, n)) < 0.15) + 0.8 * np.eye(n)
    return B @ B.conj().T + 0.1 * np.eye(n)


def scaled(A: np.ndarray) -> np.ndarray:
    s = 10.0 ** np.random.default_rng(6173).uniform(-1, 1, len(A))
    return s[:, None] * A * s


# Positive definite, with a negative pivot in IC(0): Kershaw, J. Comput. Phys. 26 (1978).
KERSHAW = [[3.0, -2.0, 0.0, 2.0], [-2.0, 3.0, -2.0, 0.0], [0.0, -2.0, 3.0, -2.0], [2.0, 0.0, -2.0, 3.0]]

SPD_CASES = {
    "laplacian": lambda dtype: laplacian(6),
    "random": lambda dtype: random_spd(25, dtype, 9241),
    "badly scaled": lambda dtype: scaled(laplacian(5)),
    "dense": lambda dtype: random_spd(12, dtype, 377) + np.ones((12, 12)),
    "diagonal": lambda dtype: np.diag(np.arange(1.0, 9.0)),
    "Kershaw": lambda dtype: np.array(KERSHAW),
    "one unknown": lambda dtype: np.array([[3.0]]),
}
GENERAL_CASES = {
    "convection": lambda dtype: laplacian(6) + 0.7 * np.eye(30, k=1) - 0.4 * np.eye(30, k=-1),
    "random, general": lambda dtype: random_spd(25, dtype, 55) + vectors((25, 25), dtype, 56) * 0.1,
    "indefinite": lambda dtype: random_spd(25, dtype, 515) - 2.0 * np.eye(25),
}


def matrix(case: str, dtype: str) -> np.ndarray:
    """The dense matrix of a case: complex ones get a Hermitian phase, so that a missing conjugate shows."""
    A = {**SPD_CASES, **GENERAL_CASES}[case](dtype).astype(dtype)
    if dtype.startswith("complex"):
        phase = np.exp(1j * np.arange(len(A)))
        A = phase[:, None] * A * phase.conj()
    return A


class PreconditionerConformance(_Parametrized):
    """`create()` makes a recipe; `dense(M, A)` is the dense oracle of the applied M for a dense A."""

    cases: ClassVar[tuple[str, ...]] = tuple(SPD_CASES)
    form: ClassVar[str] = "csr_array"
    pickles: ClassVar[bool] = True

    def create(self) -> Any:
        raise NotImplementedError

    def dense(self, M: Any, A: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def setup(self, case: str, dtype: str, form: str | None = None) -> tuple[Any, np.ndarray, Any]:
        """(M, A dense, the library's conversion of vectors)."""
        A = matrix(case, dtype)
        library, convert = FORMS[form or self.form]
        return self.create()(convert(A)), A, LIBRARIES[library]

    def applied(self, M: Any, n: int, dtype: str, convert: Any) -> np.ndarray:
        """M as a dense array, from its action on the identity."""
        return arrays.to_numpy(M @ convert(np.eye(n, dtype=dtype)))

    def test_equals_the_oracle(self, case, dtype):
        M, A, convert = self.setup(case, dtype)
        assert tuple(M.shape) == A.shape and arrays.dtype_name(M) == dtype
        close(self.applied(M, len(A), dtype, convert), self.dense(M, A.astype(arrays.WIDE[dtype])), dtype)

    def test_every_form_of_the_matrix(self, form, dtype):
        M, A, convert = self.setup("random", dtype, form)
        x = convert(vectors(len(A), dtype))
        y = M @ x
        assert type(y) is type(x) and arrays.dtype_name(y) == dtype and tuple(y.shape) == (len(A),)
        close(y, self.dense(M, A.astype(arrays.WIDE[dtype])) @ vectors(len(A), dtype), dtype)

    def test_symmetric_positive_definite_if_it_says_so(self, case, dtype):
        M, A, convert = self.setup(case, dtype)
        assert M.linear is True and M.spd in (True, False, None)
        if case in SPD_CASES and self.spd_expected is not None:
            assert M.spd is self.spd_expected
        if M.spd:
            applied = self.applied(M, len(A), dtype, convert)
            close(applied, applied.conj().T, dtype)
            assert np.linalg.eigvalsh((applied + applied.conj().T) / 2)[0] > 0

    spd_expected: ClassVar[bool | None] = True

    def test_block_equals_columns(self, dtype):
        M, A, convert = self.setup("random", dtype)
        X = vectors((len(A), 3), dtype)
        Y = M @ convert(X)
        assert type(Y) is type(convert(X)) and tuple(Y.shape) == X.shape
        for k in range(3):
            close(M @ convert(X[:, k]), arrays.to_numpy(Y)[:, k], dtype, factor=1e-2)

    def test_matrix_and_vectors_are_not_written_to(self, form):
        library, convert = FORMS[form]
        for case in self.cases:
            A = convert(matrix(case, "float64"))
            before = bytes_of(A)
            x = LIBRARIES[library](vectors(A.shape[0], "float64"))
            x_before = arrays.to_numpy(x).copy()
            y = self.create()(A) @ x
            assert bytes_of(A) == before and np.array_equal(arrays.to_numpy(x), x_before)
            assert not hasattr(A, "symmetry")
            if isinstance(y, np.ndarray):
                assert not np.shares_memory(x, y)

    def test_deterministic(self):
        """Two set-ups agree to the bit, whatever state the global generator is in, and leave it there."""
        made = []
        for draws in (3, 700):
            np.random.random(draws)  # noqa: NPY002
            state = np.random.get_state()  # noqa: NPY002
            M, A, convert = self.setup("random", "float64")
            made.append(arrays.to_numpy(M @ convert(vectors(len(A), "float64"))))
            now = np.random.get_state()  # noqa: NPY002
            assert np.array_equal(now[1], state[1]) and now[2] == state[2]
        assert np.array_equal(*made)

    def test_adjoint(self, case, dtype):
        M, A, convert = self.setup(case, dtype)
        if not hasattr(M, "H"):
            pytest.skip("no .H")
        expected = self.dense(M, A.astype(arrays.WIDE[dtype])).conj().T
        close(self.applied(M.H, len(A), dtype, convert), expected, dtype)
        close(self.applied(M.H.H, len(A), dtype, convert), expected.conj().T, dtype)

    def test_vectors_of_a_wider_type(self):
        """Complex vectors beside a real M, double beside a single one: the common type comes out."""
        if FORMS[self.form][0] != "numpy":
            pytest.skip("other libraries do not mix types")
        M, A, _ = self.setup("random", "float64")
        for shape in [(), (2,)]:
            z = vectors((len(A), *shape), "complex128")
            y = M @ z
            assert y.dtype == np.complex128
            close(y, (M @ z.real) + 1j * (M @ z.imag), "complex128")
        M, A, _ = self.setup("random", "float32")
        assert (M @ vectors(len(A), "float64")).dtype == np.float64

    def test_recipe_is_a_frozen_record(self):
        recipe = self.create()
        with pytest.raises(TypeError, match="unexpected keyword"):
            type(recipe)(no_such_parameter=1)
        for parameter in dataclasses.fields(recipe):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(recipe, parameter.name, None)
        again = pickle.loads(pickle.dumps(recipe))
        assert dataclasses.asdict(again) == dataclasses.asdict(recipe)

    def test_name_and_print(self):
        M, A, _ = self.setup("random", "float64")
        assert M.name == self.create().name and len(M.name) < 20
        assert str(len(A)) in str(M) and M.name in str(M)

    def test_pickle(self):
        if not self.pickles:
            pytest.skip("holds a foreign object")
        M, A, convert = self.setup("random", "float64")
        x = convert(vectors(len(A), "float64"))
        assert np.array_equal(arrays.to_numpy(pickle.loads(pickle.dumps(M)) @ x), arrays.to_numpy(M @ x))

    def test_is_a_conforming_operator(self, dtype):
        """The applied M passes the tests of operators."""
        outer = self

        class Applied(OperatorConformance):
            pickles = outer.pickles
            libraries = (FORMS[outer.form][0],)

            def create(self, dtype: str, seed: int) -> Any:
                return outer.setup("random", dtype)[0]

            def dense(self, operator: Any) -> np.ndarray:
                return outer.dense(operator, matrix("random", dtype).astype(arrays.WIDE[dtype]))

        tests = Applied()
        tests.test_shape_and_dtype(dtype)
        for shape in [(), (1,), (3,), (0,)]:
            tests.test_product(dtype, shape)
        if tests.libraries == ("numpy",):
            tests.test_layouts(dtype)
        tests.test_linear(dtype)
        tests.test_input_and_earlier_output_stay(dtype)
        M = tests.create(dtype, SEED)
        if hasattr(M, "H"):
            tests.test_adjoint(dtype)
        if hasattr(M, "diagonal"):
            tests.test_diagonal(dtype)
