"""Geometric multigrid on CuPy arrays: the cycle of the CPU, kernel by kernel or in one block."""

from functools import reduce

import numpy as np
import pytest
from scipy.sparse import diags_array, eye_array, kron

from petrov.solvers import GeometricMultigrid, SmoothedAggregation, cg, flexible_cg, problems
from petrov.solvers.device import made
from petrov.solvers.kernels.cuda import launch
from petrov.solvers.preconditioners.multigrid import grids_on_gpu

from .device_answers import answers, there, vectors


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of 32 threads, each a fibre on the double."""
    monkeypatch.setattr(launch, "THREADS", 32)


def laplacian(n, periodic):
    A = diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]).tolil()
    if periodic:
        A[0, n - 1] = A[n - 1, 0] = -1
    return A.tocsr()


def grid(*sides):
    """Cells of other sizes in every direction, some directions periodic (sizes below zero), and a reaction."""
    A = 0.1 * eye_array(abs(int(np.prod(sides))))
    for axis, side in enumerate(sides):
        factors = [eye_array(abs(n)) for n in sides]
        factors[axis] = (1 + axis) * laplacian(abs(side), side < 0)
        A = A + reduce(kron, factors)
    return A.tocsr()


def poisson(n, dim):
    return problems.poisson(n, dim).A.tocsr()


GRIDS = {
    "2-D": lambda: poisson(32, 2), "odd": lambda: poisson(45, 2), "3-D": lambda: poisson(16, 3), "darcy": lambda: problems.darcy(50, seed=3).A.tocsr(),
    "darcy 3-D": lambda: problems.darcy(13, 3, seed=1).A.tocsr(), "jumps": lambda: problems.jump(40, contrast=1e6, seed=0).A.tocsr(),
    "torus": lambda: grid(-12, -18, -10), "channel": lambda: grid(30, -22), "ring": lambda: grid(-30, 20), "line": lambda: grid(300),
    "small": lambda: poisson(8, 2),
}  # fmt: skip


@pytest.fixture(params=["kernels", "block", "solved"])
def coarsest(request, monkeypatch):
    """Levels of more than a hundred cells by kernels of their own, or all in one block; or a larger one solved, as by default."""
    monkeypatch.setattr(grids_on_gpu, "ONE_BLOCK", 101 if request.param == "kernels" else 10**6)
    monkeypatch.setattr(grids_on_gpu, "ONE_DENSE", 256 if request.param == "block" else 0)
    return None if request.param == "solved" else 100


@pytest.mark.parametrize("cycle", ["V", "W"])
@pytest.mark.parametrize("name", GRIDS)
def test_a_cycle_on_a_grid_is_that_of_the_cpu(device, coarsest, name, cycle):
    A, b = GRIDS[name](), vectors(GRIDS[name]().shape[0], 3, "float64")
    M = made(GeometricMultigrid(cycle=cycle, coarsest=coarsest), there(A, device))
    H = GeometricMultigrid(cycle=cycle, coarsest=coarsest or 512)(A)
    in_one_block = grids_on_gpu.ONE_BLOCK > 101 and coarsest == 100 and len(M.rows) > 1
    assert len(M.levels) == (1 if in_one_block else len(M.rows)) and (type(M.levels[-1]).__name__ == "BlockTail") is in_one_block
    want = H @ b
    close = 1e-6 * np.abs(want).max()
    assert np.abs(answers(M, b, device) - want).max() <= close and M.spd
    assert np.abs(answers(M, b[:, 1], device) - want[:, 1]).max() <= close
    assert np.abs(answers(M, b[:, :2] @ [1, 1j], device) - want[:, :2] @ [1, 1j]).max() <= close
    assert np.abs(answers(M, b.astype("float32"), device) - want).max() <= close
    assert np.abs(device.get(M @ device.put(1e-200 * b)) * 1e200 - want).max() <= close
    for columns in (slice(None), 0):
        found, expected = cg(there(A, device), device.put(np.ascontiguousarray(b[:, columns])), M=M), cg(A, b[:, columns], M=H)
        assert found.converged and abs(int(np.max(found.iterations)) - int(np.max(expected.iterations))) <= 2
        assert (np.linalg.norm(b[:, columns] - A @ device.get(found.x), axis=0) <= 1.01e-8 * np.linalg.norm(b[:, columns], axis=0)).all()


def test_a_cycle_on_a_grid_in_parts(device, monkeypatch):
    """As many levels by kernels of their own as not, W: both visit twice, and what they hand each other is right."""
    monkeypatch.setattr(grids_on_gpu, "ONE_BLOCK", 300)
    A = poisson(24, 3)
    M, H = made(GeometricMultigrid(coarsest=100), there(A, device)), GeometricMultigrid()(A)
    assert [level.size for level in M.levels] == [13824, 1728, 216] and M.twice == (False, True, False)
    r = vectors(A.shape[0], 2, "float64")
    want = H @ r
    assert np.abs(device.get(M @ device.put(r)) - want).max() <= 1e-6 * np.abs(want).max()
    B = problems.darcy(24, 3, seed=1).A
    want = H.update(B) @ r
    assert np.abs(device.get(M.update(there(B, device)) @ device.put(r)) - want).max() <= 1e-6 * np.abs(want).max()


@pytest.mark.parametrize("recipe", [GeometricMultigrid(), SmoothedAggregation()], ids=["grids", "aggregates"])
def test_matrices_and_vectors_in_single_precision(device, recipe):
    A = GRIDS["darcy"]().astype(np.float32)
    b = vectors(A.shape[0], None, "float32")
    M, H = made(recipe, there(A, device)), recipe(A)
    assert M.rows[-1][0] > 100 >= H.rows[-1][0]  # the last level, solved
    assert answers(M, b, device).dtype == np.float32
    found, expected = cg(there(A, device), device.put(b), M=M), cg(A, b, M=H)
    assert found.converged and abs(found.iterations - expected.iterations) <= 2
    assert np.linalg.norm(b - A.astype(float) @ device.get(found.x).astype(float)) <= 1.01e-5 * np.linalg.norm(b)


@pytest.mark.parametrize("method", [cg, flexible_cg])
def test_a_system_far_from_one_in_size(device, method):
    """What is brought into range by powers of two changes no iteration."""
    A, b = GRIDS["2-D"](), vectors(1024, None, "float64")
    want = method(A, b, M=GeometricMultigrid()).iterations
    for size in (1e-120, 1e90):
        found = method(there(size * A, device), device.put(size * b), M=GeometricMultigrid())
        assert found.converged and abs(found.iterations - want) <= 1
