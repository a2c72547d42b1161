"""The fused sweeps on a tensor grid against the same cycle written with dense matrices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.solvers.preconditioners.multigrid import geometric
from petrov.solvers.preconditioners.multigrid.geometric import GeometricMultigrid
from petrov.solvers.preconditioners.multigrid.tensor_grid import TensorGrid, coarsening, grids

SEED = 61_703


@dataclass
class Case:
    """Cells (z, y, x), which directions are periodic, how strong each is, whether the sides are Dirichlet."""

    shape: tuple[int, int, int]
    periodic: tuple[bool, bool, bool] = (False, False, False)
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    dirichlet: bool = True
    reaction: float = 0.0


CASES = {
    "two dimensions": Case((12, 1, 16)),
    "odd sides": Case((13, 1, 11)),
    "one colour short": Case((5, 1, 21)),
    "three dimensions": Case((6, 5, 8)),
    "odd in three": Case((7, 4, 5)),
    "Neumann": Case((12, 1, 10), dirichlet=False),
    "reaction": Case((9, 1, 14), dirichlet=False, reaction=0.3),
    "periodic in x": Case((8, 1, 12), (False, False, True)),
    "periodic, three to one": Case((14, 1, 18), (True, False, True)),
    "periodic in three": Case((4, 6, 4), (True, True, True), dirichlet=False, reaction=0.1),
    "strong in x": Case((16, 1, 16), weights=(0.01, 1.0, 1.0)),
    "strong in z": Case((16, 1, 16), weights=(1.0, 1.0, 0.01)),
    "weak in y": Case((6, 5, 6), weights=(1.0, 0.02, 1.0)),
    "one row": Case((1, 1, 150)),
}


def parts(case: Case) -> tuple[list[np.ndarray], np.ndarray]:
    """Couplings by direction (z, y, x), each (nz, ny, nx), and the excess; coefficients over four decades."""
    rng = np.random.default_rng(SEED)
    couplings = []
    for axis in range(3):
        t = case.weights[axis] * 10.0 ** rng.uniform(-2, 2, case.shape)
        if not case.periodic[axis]:
            t[tuple(slice(-1, None) if a == axis else slice(None) for a in range(3))] = 0.0
        couplings.append(t)
    excess = np.full(case.shape, case.reaction)
    if case.dirichlet:
        excess[0] += 2.0
        excess[-1] += 2.0
    return couplings, excess


def assemble(couplings: list[np.ndarray], excess: np.ndarray) -> np.ndarray:
    number = np.arange(excess.size).reshape(excess.shape)
    A = np.diag(excess.ravel())
    for axis, t in enumerate(couplings):
        here, there = number.ravel(), np.roll(number, -1, axis).ravel()
        for i, j, sign in ((here, here, 1), (there, there, 1), (here, there, -1), (there, here, -1)):
            np.add.at(A, (i, j), sign * t.ravel())
    return A


def coarser(couplings, excess, step, periodic):
    """Couplings and excess of the next level, cell by cell; P."""
    shape, coarse_shape = excess.shape, step.coarse.shape
    x = step.home_x if len(step.home_x) > 1 else np.arange(shape[2]) // 2 if len(step.home_x) else np.arange(shape[2])
    homes = [step.home_z, step.home_y, x]
    number = np.arange(np.prod(coarse_shape)).reshape(coarse_shape)
    home = number[np.ix_(*homes)]
    below, less = [np.zeros(coarse_shape) for _ in range(3)], np.zeros(coarse_shape)
    for cell in np.ndindex(shape):
        at = tuple(homes[axis][cell[axis]] for axis in range(3))
        wall = any(step.coarsened[a] and not periodic[a] and shape[a] > 1 and cell[a] in (0, shape[a] - 1) for a in range(3))
        less[at] += excess[cell] * (0.5 if wall else 1.0)
        for axis in range(3):
            last = cell[axis] + 1 == shape[axis] or homes[axis][cell[axis] + 1] != homes[axis][cell[axis]]
            below[axis][at] += last * couplings[axis][cell] * (0.5 if step.coarsened[axis] else 1.0)
    return below, less, np.eye(number.size)[home.ravel()]


def cycle(couplings, excess, periodic, kind: str, strength=None, ratio=6) -> np.ndarray:
    """M as a dense matrix: red, black, the coarse correction, black, red."""
    strength = strength or tuple(float(t.mean()) for t in couplings)
    shape = excess.shape
    A = assemble(couplings, excess)
    step = None
    if excess.size > geometric.DENSE:
        step = coarsening(TensorGrid(shape, periodic), strength)
    if step is None:
        return np.linalg.pinv(A, rcond=1e-10, hermitian=True)
    colour = np.add.outer(np.add.outer(np.arange(shape[0]), np.arange(shape[1])), np.arange(shape[2])).ravel() % 2
    halves = [np.diag(np.where(colour == c, 1 / np.diag(A), 0.0)) for c in (0, 1)]
    below, less, P = coarser(couplings, excess, step, periodic)
    strength = geometric.weaker(strength, step)
    C = cycle(below, less, periodic, kind, strength, 3)
    last = less.size <= geometric.DENSE or coarsening(step.coarse, strength) is None
    if kind == "W" and not last and excess.size >= ratio * less.size:
        C = 2 * C - C @ assemble(below, less) @ C
    eye = np.eye(len(A))
    error, M = eye, np.zeros_like(A)
    for B in (halves[0], halves[1], P @ C @ P.T, halves[1], halves[0]):
        M = M + B @ error  # x += B (b - A x), as a map from b
        error = eye - A @ M
    return M


@pytest.mark.parametrize("kind", ["V", "W"])
@pytest.mark.parametrize("name", CASES)
def test_a_cycle_is_that_of_dense_matrices(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometric, "DENSE", 12)
    case = CASES[name]
    couplings, excess = parts(case)
    A = assemble(couplings, excess)
    expected = cycle(couplings, excess, case.periodic, kind)
    for threaded in (20_000, 30):  # all levels in one call, then the large ones in calls of their own
        monkeypatch.setattr(geometric, "THREADED", threaded)
        M = GeometricMultigrid(cycle=kind)(sp.csr_array(A))
        got = M @ np.eye(len(A))
        scale = np.abs(expected).max()
        np.testing.assert_allclose(got / scale, expected / scale, rtol=0, atol=2e-4)
        assert len(M.rows) > 1
    symmetric = (got + got.T) / 2
    assert np.abs(got - symmetric).max() <= 1e-3 * scale
    if case.dirichlet or case.reaction:
        assert np.linalg.eigvalsh(symmetric).min() > 0


@pytest.mark.parametrize("name", CASES)
def test_the_grid_is_told_from_the_matrix(name: str) -> None:
    case = CASES[name]
    A = sp.csr_array(assemble(*parts(case)))
    offsets = sorted({int(o) for o in (A.tocoo().col - A.tocoo().row) if o > 0})
    assert case.shape in [grid.shape for grid in grids(A.shape[0], offsets)]
    M = GeometricMultigrid()(A)
    assert M.levels[0].grid.shape == case.shape and M.levels[0].grid.periodic == case.periodic
