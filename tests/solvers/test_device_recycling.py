"""Directions of earlier solves on CuPy arrays: the iterations of the CPU, and only small matrices read on the host."""

import numpy as np
import pytest

from petrov.solvers import (
    Chebyshev,
    Deflation,
    GeometricMultigrid,
    Jacobi,
    RecycleSpace,
    block_cg,
    cg,
    compact,
    flexible_cg,
    gcrodr,
    problems,
)
from petrov.solvers.device import made
from petrov.solvers.kernels.cuda import launch

from .device_answers import answers, there, vectors

FIRST, SECOND = (problems.darcy(30, seed=seed).A.tocsr() for seed in (1, 2))
N = FIRST.shape[0]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 32 threads, each a fibre on the double."""
    monkeypatch.setattr(launch, "THREADS", 32)


def directions(count, dtype="float64"):
    return np.ascontiguousarray(vectors(N, count, dtype).T)


def hermitian():
    phases = np.exp(1j * np.arange(N))
    return (FIRST.multiply(phases[:, None]).multiply(phases.conj()[None, :])).tocsr()


INNER = {"none": None, "jacobi": Jacobi(), "chebyshev": Chebyshev(degree=2), "geometric": GeometricMultigrid(coarsest=100)}


@pytest.mark.parametrize("count", [1, 4, 7])
@pytest.mark.parametrize("form", ["additive", "balanced"])
@pytest.mark.parametrize("inner", INNER)
def test_a_deflated_preconditioner_is_that_of_the_cpu(device, inner, form, count):
    U = directions(count)
    for single in (False, True):
        M = made(Deflation(RecycleSpace(device.put(U)), INNER[inner], form, single), there(FIRST, device))
        H = Deflation(RecycleSpace(U), INNER[inner], form, single)(FIRST)
        assert M.spd is H.spd is True and M.size == count and M.weight == pytest.approx(H.weight)
        rounding = 1e-6 if single or inner == "geometric" else 1e-12
        for columns in (None, 3):
            r = vectors(N, columns, "float64")
            want = H @ r
            assert np.abs(answers(M, r, device) - want).max() <= rounding * np.abs(want).max()


def test_complex_directions(device):
    A, U = hermitian(), directions(3, "complex128")
    for form in ("additive", "balanced"):
        M, H = made(Deflation(RecycleSpace(device.put(U)), Jacobi(), form), there(A, device)), Deflation(RecycleSpace(U), Jacobi(), form)(A)
        r = vectors(N, 2, "complex128")
        assert np.abs(answers(M, r, device) - H @ r).max() <= 1e-11 * np.abs(H @ r).max()


def test_dependent_directions_are_dropped(device):
    U = np.vstack([directions(2), directions(2), np.zeros((1, N))])
    M = made(Deflation(RecycleSpace(device.put(U))), there(FIRST, device))
    assert M.size == 2
    none = made(Deflation(RecycleSpace(device.put(U[-1:]))), there(FIRST, device))
    r = vectors(N, 2, "float64")
    assert none.size == 0 and np.array_equal(answers(none, r, device), r)


def test_an_inner_operator_that_allocates_is_applied_by_products(device):
    A, U = there(FIRST, device), directions(3)

    class Own:
        shape, dtype, linear = (N, N), np.float64, True

        def __matmul__(self, r):
            return 0.5 * r

    M, r = made(Deflation(RecycleSpace(device.put(U)), Own()), A), vectors(N, 2, "float64")
    assert not hasattr(M, "into")
    want = Deflation(RecycleSpace(U), Own())(FIRST) @ r
    assert np.abs(device.get(M @ device.put(r)) - want).max() <= 1e-12 * np.abs(want).max()
    assert not hasattr(Deflation(RecycleSpace(U))(FIRST), "into")  # of the host


SOLVES = {
    "cg": lambda A, b, space: cg(A, b, M=Jacobi(), recycle=8) if space is None else cg(A, b, M=Deflation(space, Jacobi()), recycle=8),
    "balanced": lambda A, b, space: cg(A, b, M=Jacobi(), recycle=8) if space is None else cg(A, b, M=Deflation(space, Jacobi(), "balanced", True)),
    "flexible_cg": lambda A, b, space: cg(A, b, M=Jacobi(), recycle=8) if space is None else flexible_cg(A, b, M=Deflation(space, GeometricMultigrid())),
    "gcrodr": lambda A, b, space: gcrodr(A, b, M=Jacobi(), restart=30, recycle=8, space=space),
    "block_cg": lambda A, b, space: (
        cg(A, b[:, 0].copy(), M=Jacobi(), recycle=8) if space is None else block_cg(A, b, M=Deflation(space, Jacobi()))
    ),
    "cg, three columns": lambda A, b, space: cg(A, b, M=Jacobi(), recycle=8) if space is None else cg(A, b, M=Deflation(space, Jacobi())),
}  # fmt: skip
# Reads an iteration, beside a hundred for the set-up: looks; small products and a norm a step of gcrodr; three Gram matrices of block_cg.
READS = {"cg": 0.5, "balanced": 0.5, "flexible_cg": 6, "gcrodr": 5, "block_cg": 4, "cg, three columns": 0.5}


@pytest.mark.parametrize("name", SOLVES)
def test_what_one_solve_leaves_serves_the_next(device, name):
    solve, space, host = SOLVES[name], None, None
    b = vectors(N, 3 if name in ("block_cg", "cg, three columns") else None, "float64")
    for A in (FIRST, SECOND):
        expected, resident, given = solve(A, b, host), there(A, device), device.put(b)
        solve(resident, given, space)  # compiled
        with device.counted() as reads:
            found = solve(resident, given, space)
        space, host = found.space or space, expected.space or host
        assert found.converged and abs(int(np.max(found.iterations)) - int(np.max(expected.iterations))) <= 2
        assert max(reads) < 4 * 32**2 and len(reads) <= 100 + READS[name] * np.max(found.iterations)
        assert isinstance(space.basis, device.cupy.ndarray)
    x = device.get(found.x)
    assert (np.linalg.norm(b - SECOND @ x, axis=0) <= 1.01e-8 * np.linalg.norm(b, axis=0)).all()


def test_devices_do_not_mix(device):
    here, away = RecycleSpace(directions(2)), RecycleSpace(device.put(directions(2)))
    with pytest.raises(TypeError, match="the directions are not on a GPU and A is there"):
        cg(there(FIRST, device), device.put(np.ones(N)), M=Deflation(here))
    with pytest.raises(TypeError, match="the directions are on a GPU and A is not"):
        cg(compact(FIRST), np.ones(N), M=Deflation(away))
    with pytest.raises(TypeError, match="is on a GPU and M"):
        cg(there(FIRST, device), device.put(np.ones(N)), M=Deflation(here)(FIRST))


def test_directions_serve_a_dense_matrix_on_the_same_device(device):
    """It has no compact form, by which alone a matrix there was once known."""
    U, r = directions(2), vectors(N, None, "float64")
    M = Deflation(RecycleSpace(device.put(U)))(device.put(FIRST.toarray()))
    want = Deflation(RecycleSpace(U))(FIRST) @ r
    assert np.abs(device.get(M @ device.put(r)) - want).max() <= 1e-12 * np.abs(want).max()
