"""GridMultigrid: the kernels against the cycle in torch, definite whatever the weights, iterations of every coefficient."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.linalg import cholesky, eigvalsh

from petrov.learned import GridMultigrid, load, save
from petrov.learned import grid_multigrid as recipes
from petrov.learned.families import family
from petrov.solvers import cg, problems
from petrov.solvers.kernels import grid_sweeps, grid_sweeps_tail
from petrov.solvers.problems.grid import finite_volumes

SEED = 40_343


def wild(dim: int, hidden: int, sweeps: tuple[int, ...], size: float = 1.0) -> GridMultigrid:
    """A recipe with random weights of this size everywhere."""
    start, rng = GridMultigrid.untrained(dim, hidden=hidden, sweeps=sweeps), np.random.default_rng(SEED)
    return start.with_weights({name: size * rng.standard_normal(value.shape) for name, value in start.weights.items()})


@pytest.mark.parametrize("tail", [0, 600])
@pytest.mark.parametrize(("dim", "n", "hidden", "sweeps"), [(2, 32, 0, (3, 2)), (2, 32, 5, (2, 3)), (2, 48, 4, (4,)), (3, 12, 5, (3, 2))])
def test_the_kernels_agree_with_the_cycle_in_torch(dim, n, hidden, sweeps, tail, monkeypatch):
    torch = pytest.importorskip("torch")
    from petrov.learned.objectives import grid_multigrid as objective

    recipe = wild(dim, hidden, sweeps, 0.4)
    rng = np.random.default_rng(SEED)
    A = finite_volumes(np.exp(rng.standard_normal((n,) * dim)), ("dirichlet", "neumann", "dirichlet")[:dim])
    r = rng.standard_normal(n**dim)
    with torch.no_grad():
        at = objective.prepared(dim, "cpu", family(f"fv{dim}d").system(n**dim, 3)._replace(A=A))
        levels = objective.levels(recipe, recipe.module, at.couplings, at.excess)
        expected = objective.cycle(recipe, levels, 0, torch.from_numpy(r).reshape(at.excess.shape)).numpy().ravel()
    monkeypatch.setattr(recipes, "TAIL", tail)
    monkeypatch.setattr(recipes, "TWICE", 0.0)  # a V-cycle
    M = recipes.hierarchy(recipe, A)
    assert len(M.rows) >= 2 and len(M.levels) == (2 if tail else len(M.rows))
    assert np.linalg.norm(M @ r * A.diagonal().max() - expected) < 3e-6 * np.linalg.norm(expected)


def solid(n: int) -> sp.csr_array:
    """A grid with a third of its cells solid: rows of the identity, no couplings; the others see them as Dirichlet sides."""
    A = problems.poisson(n).A.tolil()
    for cell in np.flatnonzero(np.random.default_rng(SEED).random(n * n) < 0.33):
        A[cell, :] = 0
        A[:, cell] = 0
        A[cell, cell] = 1.0
    return sp.csr_array(A)


def layers(n: int) -> sp.csr_array:
    """Couplings along one axis a thousandth of those along the other."""
    line = problems.poisson(n, 1).A / n**2
    return sp.csr_array(sp.kron(sp.eye_array(n), 1e-3 * line) + sp.kron(line, sp.eye_array(n)))


def coefficient(shape: tuple[int, ...]) -> np.ndarray:
    return np.exp(2.0 * np.random.default_rng(SEED).standard_normal(shape))


GRIDS = {
    "even": lambda: finite_volumes(coefficient((20, 20)), ("dirichlet",) * 2),
    "odd": lambda: finite_volumes(coefficient((17, 13)), ("neumann", "dirichlet")),
    "torus": lambda: finite_volumes(coefficient((16, 12)), ("periodic", "dirichlet")),
    "torus of threes": lambda: finite_volumes(coefficient((18, 10)), ("periodic",) * 2) + sp.diags_array(np.ones(180)),
    "reaction": lambda: problems.poisson(16, boundary="neumann").A + sp.diags_array(coefficient((256,))),
    "layers": lambda: layers(18),
    "cube": lambda: finite_volumes(coefficient((7, 6, 8)), ("dirichlet", "neumann", "dirichlet")),
    "solid": lambda: solid(18),
}


@pytest.mark.parametrize("name", GRIDS)
def test_definite_whatever_the_weights(name, monkeypatch):
    monkeypatch.setattr(recipes, "DENSE", 12)
    monkeypatch.setattr(recipes, "TWICE", 1.0)
    A = GRIDS[name]()
    for sweeps in ((3, 2), (2, 3)):
        M = recipes.hierarchy(wild(2, 6, sweeps, 2.0), A)
        columns, L = M @ np.eye(A.shape[0]), cholesky(A.toarray(), lower=True)
        assert np.abs(columns - columns.T).max() < 2e-6 * np.abs(columns).max()
        assert eigvalsh(L.T @ (columns + columns.T) @ L)[0] > 0.05  # twice the smallest eigenvalue of M A


@pytest.mark.parametrize("shape", [(61, 1, 45), (64, 1, 44), (48, 34, 31)])
def test_the_bits_do_not_depend_on_the_chunks(shape, monkeypatch):
    nz, ny, nx = shape
    A = finite_volumes(coefficient((nz, nx) if ny == 1 else shape), ("dirichlet",) * (2 + (ny > 1)))
    monkeypatch.setattr(recipes, "TAIL", 0)
    for sweeps in (2, 3):
        level = recipes.hierarchy(wild(2, 4, (sweeps,)), A).levels[0]
        w, step = level.work(), level.step
        w.f[...] = np.random.default_rng(SEED).standard_normal(w.f.shape) * (level.inverse > 0)
        coarse = np.zeros(step.coarse.field, np.float32)
        given = np.random.default_rng(SEED + 1).standard_normal(coarse.shape).astype(np.float32)
        found = set()
        for chunks in (0, 1, 2):
            grid_sweeps.down.serial(
                level.size, chunks, w.f, w.u, w.r, *level.couplings, level.inverse, level.weights, coarse, sweeps, nz, ny,
                step.starts_z, step.starts_y,
            )  # fmt: skip
            below = coarse.tobytes()
            grid_sweeps.up.serial(
                level.size, chunks, w.f, w.u, *level.couplings, level.inverse, level.weights, given, sweeps, nz, ny, step.starts_z
            )  # fmt: skip
            found.add((below, w.u[:, :, 1:-1].tobytes()))
        assert len(found) == 1


def test_the_tail_gives_the_bits_of_its_levels_one_by_one(monkeypatch):
    A, found = finite_volumes(coefficient((150, 131)), ("dirichlet", "neumann")), set()
    monkeypatch.setattr(recipes, "TWICE", 0.0)
    for tail in (0, 70_000):
        monkeypatch.setattr(recipes, "TAIL", tail)
        M = recipes.hierarchy(wild(2, 4, (3, 2), 0.3), A)
        found.add((M @ np.random.default_rng(SEED).standard_normal(A.shape[0])).tobytes())
    assert len(M.levels) == 1 and len(found) == 1


def test_two_visits_where_they_are_definite(monkeypatch):
    """The estimate is the largest eigenvalue of M A; what it lets pass is visited twice and takes fewer iterations."""
    for A, sweeps in ((problems.jump(32, contrast=1e4, seed=SEED).A, (3, 4)), (problems.noise(32, contrast=1e6, seed=SEED).A, (2,))):
        monkeypatch.setattr(recipes, "TWICE", 0.0)
        recipe = GridMultigrid.untrained(2, hidden=0, sweeps=sweeps)
        tail, L = recipes.hierarchy(recipe, A).levels[-1], cholesky(A.toarray(), lower=True)
        columns = recipes.hierarchy(recipe, A) @ np.eye(A.shape[0])
        exact = eigvalsh(L.T @ (columns + columns.T) @ L / 2)[-1]
        given = (tail.table, tail.coefficients, np.zeros(tail.vectors, np.float32), tail.maps, tail.dense)
        assert 0.7 * exact <= grid_sweeps_tail.largest(0, 12, *given) <= 1.01 * exact
    A = problems.jump(256, contrast=1e4, seed=SEED).A
    once = iterations(recipes.hierarchy(GridMultigrid.untrained(2, hidden=0), A), A)
    monkeypatch.setattr(recipes, "TWICE", 0.1)
    M = recipes.hierarchy(GridMultigrid.untrained(2, hidden=0), A)
    assert M.levels[-1].table[:, grid_sweeps_tail.TWICE].any() and iterations(M, A) < once


@cache
def systems(dim: int, n: int) -> dict[str, sp.csr_array]:
    return {
        "constant": problems.poisson(n, dim).A, "lognormal": problems.darcy(n, dim, seed=SEED).A,
        "blocks": problems.jump(n, dim, contrast=1e4, seed=SEED).A,
        "conductors": problems.inclusions(n, dim, contrast=1e3, seed=SEED).A,
        "insulators": problems.inclusions(n, dim, contrast=1e-3, seed=SEED).A, "noise": problems.noise(n, dim, seed=SEED).A,
    }  # fmt: skip


def iterations(M, A) -> int:
    result = cg(A, np.random.default_rng(SEED).standard_normal(A.shape[0]), M=M, rtol=1e-8)
    assert result.converged
    return result.iterations


UNTRAINED = {
    (2, 128): {"constant": 8, "lognormal": 9, "blocks": 11, "conductors": 11, "insulators": 12, "noise": 23},
    (3, 24): {"constant": 8, "lognormal": 9, "blocks": 19, "conductors": 20, "insulators": 8, "noise": 28},
}  # fmt: skip


@pytest.mark.parametrize(("dim", "n"), UNTRAINED)
def test_iterations_before_training(dim, n):
    found = {name: iterations(GridMultigrid.untrained(dim), A) for name, A in systems(dim, n).items()}
    assert all(found[name] <= most for name, most in UNTRAINED[dim, n].items()), found


@pytest.mark.parametrize(("A", "cause", "other"), [
    (problems.anisotropic(12, epsilon=0.1, angle=0.6).A, "tensor grid", "algebraic multigrid"),
    (family("fem2d").system(200, 3).A, "tensor grid", "algebraic multigrid"),
])  # fmt: skip
def test_another_matrix_is_left_to_another_method_by_name(A, cause, other):
    with pytest.warns(RuntimeWarning, match=f"{cause}.*{other}"):
        M = GridMultigrid.untrained(2)(A)
    assert M.name == other and iterations(M, A) < 40


def test_a_failed_probe_is_left_to_geometric_multigrid(monkeypatch):
    monkeypatch.setattr(recipes, "defect", lambda M, **_: "it is not positive")
    A = problems.poisson(32).A
    with pytest.warns(RuntimeWarning, match="not positive; geometric multigrid"):
        assert GridMultigrid.untrained(2)(A).name == "geometric multigrid"


def test_files_and_recipes(tmp_path):
    recipe = wild(3, 5, (2, 3))
    save(recipe, tmp_path / "w.safetensors")
    again = load(tmp_path / "w.safetensors")
    assert again.description() == recipe.description() and all(np.array_equal(again.weights[k], v) for k, v in recipe.weights.items())
    with pytest.raises(ValueError, match="sweeps"):
        GridMultigrid.untrained(2, sweeps=(1,))
    with pytest.raises(ValueError, match="inner"):
        GridMultigrid(2, {**GridMultigrid.untrained(2, hidden=3).weights, "inner": np.zeros((3, 2))})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        A = problems.jump(24, contrast=1e4).A
        M = recipe(A)
        assert iterations(M.update(A), A) == iterations(M, A)


SHIPPED = {
    ("grid-multigrid-2d", 2, 128): {"constant": 6, "lognormal": 7, "blocks": 9, "conductors": 11, "insulators": 10, "noise": 21},
    ("grid-multigrid-3d", 3, 24): {"constant": 8, "lognormal": 9, "blocks": 20, "conductors": 20, "insulators": 8, "noise": 27},
}  # fmt: skip


@pytest.mark.parametrize(("name", "dim", "n"), SHIPPED)
def test_iterations_of_the_weights_that_come_with_petrov(name, dim, n):
    """Ceilings by coefficient; in all no more than without a network, which was trained as long on the same systems."""
    found = {kind: iterations(load(name), A) for kind, A in systems(dim, n).items()}
    scalars = {kind: iterations(load(f"{name}-scalars"), A) for kind, A in systems(dim, n).items()}
    assert all(found[kind] <= most for kind, most in SHIPPED[name, dim, n].items()), (found, scalars)
    assert np.mean(np.log(list(found.values()))) < np.mean(np.log(list(scalars.values()))), (found, scalars)
