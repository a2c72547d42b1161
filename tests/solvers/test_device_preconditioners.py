"""Preconditioners on CuPy arrays: the operators of the CPU, without a read on the host while they are applied.

`device` is CuPy's double on the host, and CuPy itself where tests marked gpu are run.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import mmread

from petrov.solvers import Chebyshev, IncompleteCholesky, Jacobi, Schwarz, SparseInverse, cg, compact, problems
from petrov.solvers.device import made
from petrov.solvers.kernels.cuda import launch
from petrov.solvers.preconditioners import IncompleteLU

DATA = Path(__file__).parents[1] / "data"
SIZES = {"float32": 3e-6, "float64": 1e-13, "complex128": 1e-13}  # of rounding


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 32 threads, each a fibre on the double."""
    monkeypatch.setattr(launch, "THREADS", 32)


def poisson(n, dim):
    return problems.poisson(n, dim).A.tocsr()


def mesh():
    """The Laplacian of a mesh of triangles, a node held."""
    return mmread(DATA / "pyamg_unit_square.mtx.gz").tocsr()[1:, 1:]


MATRICES = {
    "poisson 2-D": lambda: poisson(20, 2), "poisson 3-D": lambda: poisson(8, 3), "darcy": lambda: problems.darcy(50, seed=3).A.tocsr(),
    "mesh": mesh,
}  # fmt: skip

# recipe, and what single precision inside it leaves of its answers
SAME = {
    "jacobi": (Jacobi(), 0.0), "chebyshev(0)": (Chebyshev(degree=0), 0.0), "chebyshev(1)": (Chebyshev(degree=1), 0.0),
    "chebyshev(3)": (Chebyshev(degree=3), 0.0), "chebyshev(4)": (Chebyshev(degree=4, lower=0.01), 0.0),
    "sparse inverse": (SparseInverse(), 0.0), "grown, single": (SparseInverse(steps=2, single=True), 1e-6),
}  # fmt: skip


def there(A, device):
    """A in its compact form on the device."""
    from cupyx.scipy.sparse import csr_matrix

    return compact(csr_matrix(A))


def vectors(n, columns, dtype):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((n,) if columns is None else (n, columns))
    return (x + 1j * rng.standard_normal(x.shape) if dtype.startswith("complex") else x).astype(dtype)


def answers(M, r, device):
    """M r by @, and by `into` twice: with room that is there already, nothing is read and nothing allocated."""
    given = device.put(r)
    with device.counted() as reads:
        z = M @ given
        by_into = device.cupy.empty_like(z)
        assert M.into(given, by_into) is by_into
    stream, later = device.cupy.cuda.Stream(non_blocking=True), device.cupy.zeros_like(z)
    with stream:
        stream.begin_capture()
        M.into(given, later)
        graph = stream.end_capture()
        graph.launch(stream)
        stream.synchronize()
    assert not reads
    z = device.get(z)
    assert z.dtype == r.dtype and np.array_equal(device.get(by_into), z) and np.array_equal(device.get(later), z)
    assert np.array_equal(device.get(given), r)
    return z


@pytest.mark.parametrize("problem", MATRICES)
@pytest.mark.parametrize("name", SAME)
def test_operators_are_those_of_the_cpu(device, name, problem):
    A, (recipe, single) = MATRICES[problem](), SAME[name]
    ours, M = made(recipe, there(A, device)), recipe(A)
    assert ours.spd and ours.linear and tuple(ours.shape) == A.shape and M.name in repr(ours)
    for columns, dtype in ((None, "float64"), (3, "float64"), (2, "float64"), (None, "float32"), (None, "complex128"), (3, "complex128")):
        r = vectors(A.shape[0], columns, dtype)
        want = M @ r
        if dtype == "float32":
            z = device.put(r)
            z = device.get(ours.into(z, device.cupy.empty_like(z)))
        else:
            z = answers(ours, r, device)
        assert np.abs(z - want).max() <= max(SIZES[dtype], single) * np.abs(want).max()


@pytest.mark.parametrize("name", SAME)
def test_in_single_precision(device, name):
    A, recipe = MATRICES["darcy"]().astype(np.float32), SAME[name][0]
    ours, r = made(recipe, there(A, device)), vectors(A.shape[0], 3, "float32")
    want = recipe(A) @ r
    assert np.abs(answers(ours, r, device) - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("problem", MATRICES)
@pytest.mark.parametrize("name", SAME)
def test_cg_takes_the_iterations_of_the_cpu(device, name, problem):
    A, recipe = MATRICES[problem](), SAME[name][0]
    if name == "chebyshev(1)" and problem == "mesh":
        recipe = Chebyshev(degree=1, lower=0.1)
    for columns in (None, 3):
        b = vectors(A.shape[0], columns, "float64")
        found, expected = cg(there(A, device), device.put(b), M=recipe), cg(A, b, M=recipe)
        assert found.converged and abs(int(np.max(found.iterations)) - int(np.max(expected.iterations))) <= 2
        assert (np.linalg.norm(b - A @ device.get(found.x), axis=0) <= 1.01e-8 * np.linalg.norm(b, axis=0)).all()


@pytest.mark.parametrize("recipe", [IncompleteCholesky(), IncompleteLU(), Schwarz()], ids=lambda r: r.name)
def test_what_has_no_form_there_is_refused(device, recipe):
    A = poisson(12, 2)
    with pytest.raises(TypeError, match=r"no form on a GPU.*Chebyshev"):
        cg(there(A, device), device.put(np.ones(A.shape[0])), M=recipe)


@pytest.mark.parametrize("name", SAME)
def test_what_does_not_fit_is_refused(device, name):
    A = poisson(12, 2)
    M = made(SAME[name][0], there(A, device))
    if name == "jacobi":
        return
    with pytest.raises(TypeError, match="is on a GPU and r is not"):
        M @ np.ones(A.shape[0])
    with pytest.raises(ValueError, match="takes r of shape"):
        M @ device.put(np.ones(A.shape[0] + 1))
    with pytest.raises(TypeError, match="is on a GPU and M"):
        cg(there(A, device), device.put(np.ones(A.shape[0])), M=SAME[name][0](A))
