"""Training systems: right as discretisations, the same for a seed, divided so that no part knows another."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.learned import FAMILIES, Family, NeumannFactor, split, stretched
from petrov.learned.families import Member
from petrov.learned.meshes import mass, mesh, stiffness, volumes
from petrov.solvers import Jacobi, cg
from petrov.solvers.problems.grid import finite_volumes

SEED = 88_811


def made(dim: int, size: int, holes: int = 0, seed: int = SEED):
    return mesh(size, dim, np.random.default_rng(seed), holes=holes)


def print_of(system) -> str:
    """A fingerprint of every array of a system."""
    total = hashlib.sha256(repr(system).encode())
    for A in (system.A, *system.edge_features):
        for part in (A.data, A.indices, A.indptr):
            total.update(part.tobytes())
    for part in (system.b, system.coordinates, system.node_features):
        total.update(part.tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("dim", [2, 3])
def test_a_mesh_fills_the_cube(dim):
    grid = made(dim, 900)
    assert 0.75 * 900 < len(grid.points) < 1.4 * 900
    assert volumes(grid.points[grid.simplices]).sum() == pytest.approx(1, abs=2e-3)  # but for slivers
    assert np.array_equal(np.unique(grid.simplices), np.arange(len(grid.points)))


def test_a_hole_is_a_hole():
    grid = made(2, 3_000, holes=3)
    area = volumes(grid.points[grid.simplices]).sum()
    edges = np.concatenate([np.sort(grid.simplices[:, list(pair)], axis=1) for pair in ((0, 1), (0, 2), (1, 2))])
    unique, times = np.unique(edges, axis=0, return_counts=True)
    euler = len(grid.points) - len(unique) + len(grid.simplices)  # 1 - the number of holes
    assert euler < 1 and times.max() == 2
    assert 1 - 3 * np.pi * 0.2**2 < area < 1 - (1 - euler) * np.pi * 0.07**2


@pytest.mark.parametrize("dim", [2, 3])
def test_linear_functions_are_exact(dim):
    """grad (c . x) . K grad (d . x) over the domain, and the mass of 1."""
    grid, rng = made(dim, 500, holes=1), np.random.default_rng(SEED)
    B = rng.standard_normal((dim, dim))
    K, (c, d) = B @ B.T, rng.standard_normal((2, dim))
    total = volumes(grid.points[grid.simplices]).sum()
    A = stiffness(grid, np.broadcast_to(K, (len(grid.simplices), dim, dim)))
    u, v, one = grid.points @ c, grid.points @ d, np.ones(len(grid.points))
    assert u @ A @ v == pytest.approx(c @ K @ d * total) and np.abs(A @ one).max() < 1e-12
    M = mass(grid, np.full(len(grid.simplices), 3.0))
    assert one @ M @ one == pytest.approx(3 * total)
    assert u @ M @ one == pytest.approx(3 * (volumes(grid.points[grid.simplices]) * (grid.points[grid.simplices].mean(1) @ c)).sum())


def test_the_error_falls_as_h_squared():
    """-Laplace u = f with u = sin(pi x) sin(pi y), zero on all sides."""
    errors = []
    for size in (250, 4_000):
        grid = made(2, size)
        free = ~np.any([grid.on_side(axis, end) for axis in (0, 1) for end in (0, 1)], axis=0)
        u = np.sin(np.pi * grid.points).prod(axis=1)
        A, M = (sp.csr_array(part) for part in (stiffness(grid, np.broadcast_to(np.eye(2), (len(grid.simplices), 2, 2))), mass(grid, np.ones(len(grid.simplices)))))
        x = sp.linalg.spsolve(A[free][:, free].tocsc(), (M @ (2 * np.pi**2 * u))[free])
        errors.append(np.sqrt(np.mean((x - u[free]) ** 2)))
    assert 10 < errors[0] / errors[1] < 25  # a quarter of h: 16


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_is_positive_definite_and_bound(name):
    for seed in (1, 2):
        system = FAMILIES[name].system(220, seed)
        A, n = system.A.toarray(), system.A.shape[0]
        assert np.array_equal(A, A.T) and np.linalg.eigvalsh(A)[0] > 0 and 100 < n < 330
        assert np.allclose(sum(part.toarray() for part in system.edge_features), A)
        assert set(np.unique(system.node_features)) == {0.0, 1.0} and system.coordinates.shape == (n, FAMILIES[name].dim)
        assert system.bind(recipe := Jacobi()) is recipe


def test_the_same_bits_for_a_seed():
    """And other ones for another seed, size or family."""
    members = [Member(name, size, seed) for name in ("fem2d", "fv3d") for size in (100, 140) for seed in (5, 6)]
    prints = [print_of(member.system()) for member in members]
    assert prints == [print_of(member.system()) for member in members] and len(set(prints)) == len(prints)
    alike = [Family(name, False, 2, ("constant",)).system(100, 5) for name in ("one", "other")]
    assert not np.array_equal(alike[0].b, alike[1].b)


def test_what_a_family_draws():
    kinds = {FAMILIES["fv2d"].system(60, seed).name for seed in range(24)}
    assert kinds == {f"fv2d, {kind}" for kind in ("constant", "lognormal", "blocks", "inclusions")}
    smooth = Family("smooth", False, 2, ("constant",))
    assert {FAMILIES["heat2d"].system(60, seed).edge_features[0].nnz > 0 for seed in range(3)} == {True}
    assert smooth.system(60, 1).edge_features[0].count_nonzero() == 0


def test_stretched_cells():
    """Cells of one width give the volumes of the uniform grid; on cells that grow, linear functions have their flux."""
    rng = np.random.default_rng(SEED)
    a, sides = rng.uniform(0.1, 3, (6, 6)), ("dirichlet", "neumann")
    even = stretched.finite_volumes([np.full(6, 1 / 6)] * 2, a, sides) - finite_volumes(a, sides) / 36
    assert abs(even).max() < 1e-12
    h = [stretched.widths(6, 1e-2, np.random.default_rng(seed)) for seed in (3, 4)]
    u = 2.0 * stretched.middles(h)[:, 0] - 1.0
    flux = stretched.finite_volumes(h, np.ones((6, 6)), ("neumann", "neumann")) @ u
    assert np.allclose(flux.reshape(6, 6)[0], -2.0 * h[1]) and np.allclose(flux.reshape(6, 6)[1:-1], 0, atol=1e-12)
    ratios = [h.min() / h.max() for h in (stretched.widths(9, 1e-3, rng) for _ in range(20))]
    assert min(ratios) < 0.03 and min(ratios) >= 0.999e-3 and max(ratios) > 0.1


@pytest.mark.parametrize(("size", "most"), [(900, 140), (3_800, 280)])
def test_the_neumann_factor_halves_the_iterations_of_jacobi(size, most):
    """On meshes with a hole: our prototype took 49 for 102 and 99 for 203."""
    system = Family("one hole", True, 2, ("constant",), holes=1).system(size, 23)
    jacobi, neumann = (cg(system.A, system.b, M=M).iterations for M in (Jacobi(), NeumannFactor()))
    assert 0.44 < neumann / jacobi < 0.54 and most / 2 < jacobi < most


def test_parts_know_nothing_of_each_other():
    parts = split(["fem2d", "fv2d"], sizes=[200, 300], unseen_sizes=[900], test_sizes=[2000], unseen_families=["heat2d"], count=9, held_out=2)
    groups = [{(m.family, m.size) for m in part} for part in (parts.training, parts.validation, parts.test)]
    seeds = [{m.seed for m in part} for part in (parts.training, parts.validation, parts.test)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not groups[one] & groups[other] and not seeds[one] & seeds[other]
    assert len(groups[0]) == 4 and groups[1] == {("fem2d", 900), ("fv2d", 900)}
    assert groups[2] == {("fem2d", 2000), ("fv2d", 2000)} | {("heat2d", size) for size in (200, 300, 900, 2000)}


REFUSED = [
    (lambda: split(["fem2d"], sizes=[300], unseen_sizes=[300]), "must not overlap"),
    (lambda: split(["fem2d"], sizes=[300], unseen_sizes=[900], test_sizes=[300]), "must not overlap"),
    (lambda: split([], sizes=[300], unseen_sizes=[900]), "must not overlap"),
    (lambda: split(["fem2d"], sizes=[300], unseen_sizes=[900], unseen_families=["fem2d"]), "must not be among"),
    (lambda: split(["fem4d"], sizes=[300], unseen_sizes=[900]), "family must be one of"),
    (lambda: FAMILIES["fem2d"].system(5, 1), "at least 20"),
    (lambda: FAMILIES["fem2d"].system(50, -1), "seed at least 0"),
    (lambda: Family("x", True, 4), "dim must be"),
    (lambda: Family("x", True, 2, ("rough",)), "coefficients must be"),
    (lambda: Family("x", True, 2, anisotropy=0.0), "anisotropy"),
    (lambda: Family("x", False, 2, holes=1), "elements=True"),
    (lambda: Family("x", True, 2, stretch=0.5), "needs finite volumes"),
]


@pytest.mark.parametrize(("make", "says"), REFUSED)
def test_refusals(make, says):
    with pytest.raises(ValueError, match=says):
        make()
