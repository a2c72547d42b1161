"""`petrov.solve` and what stands behind it on CuPy: the answers, the refusals, and one graph for many iterations."""

import sys

import numpy as np
import pytest
import scipy.sparse as sp

import petrov
from petrov.solvers import IncompleteCholesky, Jacobi, cg, compact, problems
from petrov.solvers.external import dlpack
from petrov.solvers.kernels.cuda import graph, launch

A = problems.darcy(20, seed=4).A.tocsr()
n = A.shape[0]
b = np.random.default_rng(6).standard_normal(n)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(launch, "THREADS", 32)


def there(device, A):
    import cupyx.scipy.sparse as sparse

    return sparse.csr_matrix(A)


def fixed_rows(A):
    """Dirichlet rows without their columns."""
    keep = np.arange(n) >= 25
    return (sp.diags_array(keep * 1.0) @ A + sp.diags_array(~keep * 3.0)).tocsr()


def neumann(A):
    off = A - sp.diags_array(A.diagonal())
    return (off - sp.diags_array(np.asarray(off.sum(axis=1)).ravel())).tocsr()


SYSTEMS = {  # how A comes, more arguments, the method that answers
    "definite": (A, {}, "cg"),
    "negative definite": (-A, {}, "cg"),
    "fixed rows": (fixed_rows(A), {}, "cg"),
    "singular": (neumann(A), {"nullspace": "constant"}, "cg"),
    "indefinite": ((A - 40 * sp.eye_array(n)).tocsr(), {}, "minres"),
    "not symmetric": ((A + 0.02 * sp.triu(A, 1)).tocsr(), {}, "gmres"),
    "single": (A.astype(np.float32), {}, "cg"),
    "complex": ((A + 0.1j * (sp.triu(A, 1) - sp.tril(A, -1))).tocsr(), {}, "cg"),
}


@pytest.mark.parametrize("columns", [None, 2])
@pytest.mark.parametrize("name", SYSTEMS)
def test_the_front_door(device, name, columns):
    """The same choice but for what cannot run there, and x within the tolerance of the user's own system."""
    matrix, more, method = SYSTEMS[name]
    if columns and method != "cg":
        pytest.skip("minres and gmres take the columns in turn: nothing that is new")
    single = matrix.dtype == np.float32
    given = b[: matrix.shape[0]] if columns is None else np.stack([b, b**2], axis=1)[: matrix.shape[0]]
    given = given.astype(np.float32) if single else given
    result = petrov.solve(there(device, matrix), device.put(given), **more)
    x, rtol = device.get(result.x), 1e-5 if single else 1e-8
    assert result.method == method and x.dtype == np.result_type(matrix.dtype, given.dtype)
    right = given - given.mean(axis=0) if more else given
    residual = right.astype(complex) - matrix.astype(complex) @ x
    residual -= residual.mean(axis=0) if more else 0
    assert (np.linalg.norm(residual, axis=0) <= 1.02 * rtol * np.linalg.norm(right, axis=0)).all()
    if more:
        assert np.abs(x.mean(axis=0)).max() <= 1e-10 * np.abs(x).max() and result.inconsistency > 0


def test_a_solver_goes_on_with_another_matrix(device):
    S = petrov.Solver(there(device, A))
    first = S.solve(device.put(b))
    second = S.update(there(device, (A + sp.eye_array(n)).tocsr())).solve(device.put(b))
    assert first.iterations > second.iterations > 0
    assert np.linalg.norm(b - A @ device.get(second.x) - device.get(second.x)) <= 1.01e-8 * np.linalg.norm(b)
    assert "on a GPU" in repr(S) and "on a GPU" in repr(compact(there(device, A)))


MIXED = {  # what is asked, what the message names
    "b on the host": (lambda A, b: petrov.solve(A, b.get()), "got A from cupy and b from numpy; convert b"),
    "A on the host": (lambda A, b: petrov.solve(A.get(), b), "got A from scipy and b from cupy; convert b"),
    "x0 on the host": (lambda A, b: petrov.solve(A, b, x0=b.get()), "x0 must live where b lives"),
    "M on the host": (lambda A, b: petrov.solve(A, b, M=Jacobi()(A.get())), r"M \(jacobi\) is not: give the recipe"),
    "M a matrix": (lambda A, b: cg(compact(A), b, M=sp.eye_array(n)), r"A is on a GPU and M \(dia_array\) is not"),
    "triangular": (lambda A, b: petrov.solve(A, b, M=IncompleteCholesky()), r"ic\(0\) has no form on a GPU .* use Jacobi, Chebyshev"),
    "direct": (lambda A, b: petrov.solve(A, b, method="direct"), "factorisation has no form on a GPU"),
    "a product": (lambda A, b: compact(A) @ b.get(), r"A is on a GPU and x is not \(numpy\): move it there, cupy.asarray\(x\)"),
}


@pytest.mark.parametrize("name", MIXED)
def test_mixed_devices_are_refused_with_the_remedy(device, name):
    ask, says = MIXED[name]
    with pytest.raises(TypeError, match=says):
        ask(there(device, A), device.put(b))


def test_what_is_wrong_is_named(device):
    bad = b.copy()
    bad[7] = np.nan
    with pytest.raises(petrov.SolveError, match="b is nan at index 7"):
        petrov.solve(there(device, A), device.put(bad))
    broken = A.copy()
    broken.data[3] = np.inf
    with pytest.raises(petrov.SolveError, match="A is inf in row"):
        petrov.solve(there(device, broken), device.put(b))
    with pytest.raises(ValueError, match=rf"takes x of shape \({n},\)"):
        compact(there(device, A)) @ device.put(b[:-1])
    result = cg(compact(there(device, A - 40 * sp.eye_array(n))), device.put(b))
    assert result.status.name == "INDEFINITE_MATRIX" and np.isfinite(device.get(result.x)).all()


# -- graphs -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("M", [None, Jacobi()], ids=["none", "jacobi"])
@pytest.mark.parametrize("most", [None, 3, 45])
def test_batches_of_iterations_are_graphs(device, monkeypatch, M, most):
    """As many iterations as asked for, to the last one, and the same x as with one launch a kernel."""
    launched, run = [], graph.Batch.run
    monkeypatch.setattr(graph.Batch, "run", lambda self: launched.append(1) or run(self))
    found = cg(compact(there(device, A)), device.put(b), M=M, max_iterations=most)
    monkeypatch.setattr(sys.modules["petrov.solvers.krylov.cg"], "capturable", lambda *_: False)
    plain = cg(compact(there(device, A)), device.put(b), M=M, max_iterations=most)
    assert found.iterations == plain.iterations and (most is None or found.iterations == most)
    np.testing.assert_array_equal(device.get(found.x), device.get(plain.x))
    np.testing.assert_array_equal(found.residuals, plain.residuals)
    assert (len(launched) == 0) == (most == 3)


def test_a_look_is_one_transfer_of_a_board(device):
    """Beside the true residuals at both ends: a norm is two numbers, b's and x's among them."""
    matrix, given = compact(there(device, A)), device.put(b)
    M = Jacobi()(matrix)
    cg(matrix, given, M=M)
    with device.counted() as reads:
        result = cg(matrix, given, M=M)
    boards = [size for size in reads if size > 1]
    assert len(boards) <= -(-result.iterations // 8) + 1 and set(boards) == {4 * 8}
    assert len(reads) - len(boards) <= 12


class Turned:
    """An operator of CuPy that answers in Fortran order."""

    def __init__(self, A, device):
        self.A, self.shape, self.dtype, self.device = A, A.shape, A.dtype, device

    def __matmul__(self, x):
        return self.device.cupy.asfortranarray(self.A @ x)


def test_vectors_in_fortran_order(device):
    matrix, B = compact(there(device, A)), np.stack([b, b**2, b**3], axis=1)
    expected = cg(matrix, device.put(B), M=Jacobi())
    given = device.cupy.asfortranarray(device.put(B))
    for x0 in (None, 0 * given):
        found = cg(matrix, given, M=Jacobi(), x0=x0)
        np.testing.assert_array_equal(device.get(found.x), device.get(expected.x))
    identity = Turned(compact(there(device, sp.eye_array(n, format="csr"))), device)
    for operator, M in ((Turned(matrix, device), None), (matrix, identity)):
        found = cg(operator, given, M=M)
        assert found.converged and (np.linalg.norm(B - A @ device.get(found.x), axis=0) <= 1.01e-8 * np.linalg.norm(B, axis=0)).all()


def test_a_callback_sees_every_iteration(device):
    seen = []
    result = cg(compact(there(device, A)), device.put(b), M=Jacobi(), callback=lambda state: seen.append(state.iteration))
    assert seen == list(range(1, result.iterations + 1))


# -- torch ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@pytest.mark.parametrize("layout", ["csr", "coo"])
def test_torch_on_a_gpu_comes_and_goes_without_a_copy(device, monkeypatch, layout):
    """On the double, tensors of the host stand for those of a GPU."""
    torch = pytest.importorskip("torch")
    double = not hasattr(device.cupy.cuda, "runtime")
    if double:
        monkeypatch.setattr(dlpack, "on_gpu", lambda x: type(x).__module__ == "torch")
    place = "cpu" if double else "cuda"
    dense = torch.tensor(A.toarray(), device=place)
    given = torch.tensor(b, device=place)
    matrix = dense.to_sparse_csr() if layout == "csr" else dense.to_sparse()
    result = petrov.solve(matrix, given)
    assert isinstance(result.x, torch.Tensor) and str(result.x.device).startswith(place)
    assert result.method == "cg" and float(torch.linalg.norm(given - dense @ result.x)) <= 1.01e-8 * np.linalg.norm(b)
    shared = dlpack.vector(given)
    shared[0] = 41.0
    assert float(given[0]) == 41.0


# -- sequences --------------------------------------------------------------------------------------------------------------------


def test_a_sequence_on_a_gpu_is_that_of_the_host(device):
    """cg with Jacobi and recycled directions on both: as many iterations, the same relations, x there."""
    change = sp.diags_array(np.linspace(0.0, 5.0, n))
    systems = [((A + 0.05 * i * change).tocsr(), np.roll(b, i)) for i in range(4)] + [(2 * A, b)]
    options = {"method": "cg", "M": Jacobi(), "recycle": 8}
    host, on_gpu = petrov.Sequence(**options), petrov.Sequence(**options)
    expected = host.solve(systems)
    found = on_gpu.solve([(there(device, matrix), device.put(given)) for matrix, given in systems])
    for (matrix, given), one, other in zip(systems, found, expected, strict=True):
        assert one.method == other.method == "cg" and abs(one.iterations - other.iterations) <= 2
        assert np.linalg.norm(given - matrix @ device.get(one.x)) <= 1.01e-8 * np.linalg.norm(given)
    assert "recycled directions" in found[1].reason
