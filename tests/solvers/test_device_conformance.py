"""The conformance classes on CuPy: what every operator and every preconditioner must do, on a GPU or on the double of one."""

import conformance
import numpy as np
import pytest
import scipy.sparse as sp
from conformance import OperatorConformance, PreconditionerConformance, as_cupy, vectors

from petrov.solvers import Jacobi
from petrov.solvers.kernels.cuda import launch
from petrov.solvers.storage import Diagonal, by_bands, by_slices, canonical, resident


class OnDevice:
    """The table of back ends is that of conformance.py; this class takes the row of CuPy."""

    libraries = ("cupy",)
    pickles = False  # arrays of a device stay there

    @pytest.fixture(autouse=True)
    def there(self, device, monkeypatch):
        monkeypatch.setattr(launch, "THREADS", 32)


class TestRows(OnDevice, OperatorConformance):
    def stored(self, dtype, seed):
        rng = np.random.default_rng(seed)
        return canonical(sp.csr_array(vectors((9, 9), dtype, seed) * (rng.random((9, 9)) < 0.4)))

    def create(self, dtype, seed):
        return resident(self.stored(dtype, seed), as_cupy)

    def dense(self, operator):
        return operator.on_host.tocsr().toarray()


class TestBands(TestRows):
    def stored(self, dtype, seed):
        d = vectors((3, 9), dtype, seed)
        return by_bands(canonical(sp.diags_array([d[0][:8], d[1], d[2][:7]], offsets=[-1, 0, 2]).tocsr()))


class TestHermitianBands(TestRows):
    def stored(self, dtype, seed):
        d = vectors((3, 9), dtype, seed)
        A = sp.diags_array([d[0][:8].conj(), d[1].real, d[0][:8]], offsets=[-1, 0, 1]).tocsr().astype(dtype)
        found = by_bands(canonical(A))
        assert found.hermitian
        return found


class TestSlices(TestRows):
    def stored(self, dtype, seed):
        return by_slices(canonical(sp.csr_array(vectors((70, 70), dtype, seed) * (np.abs(np.subtract.outer(*[np.arange(70)] * 2)) < 4))), gain=9.0)


class TestDiagonalThere(OnDevice, OperatorConformance):
    def create(self, dtype, seed):
        return Diagonal(vectors(9, dtype, seed)).moved(as_cupy)

    def dense(self, operator):
        return np.diag(operator.values.get())


class TestJacobiThere(OnDevice, PreconditionerConformance):
    form, forms = "CuPy", ("CuPy",)

    def create(self):
        return Jacobi()

    def dense(self, M, A):
        return np.diag(1 / A.diagonal())


def test_the_table_of_back_ends_has_every_library():
    assert set(conformance.LIBRARIES) == {"numpy", "torch", "array_api_strict", "cupy"}
