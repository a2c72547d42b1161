"""Multigrid as users meet it: symmetric positive definite, independent of the size, brought up to date, clear when it refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import conformance
import numpy as np
import pytest
import scipy.sparse as sp
from conformance import PreconditionerConformance

import petrov
from petrov.solvers import GeometricMultigrid, SmoothedAggregation, cg, compact, flexible_cg, problems

SEED = 73_119


def random_rhs(A, seed=SEED):
    return np.random.default_rng(seed).standard_normal(A.shape[0])


def dense_of(M, n):
    return np.stack([M @ column for column in np.eye(n)], axis=1)


def triangles(n: int, seed: int = SEED) -> sp.csr_array:
    """-Laplace by linear elements on the Delaunay triangles of random points of the unit square, zero on a frame."""
    from scipy.spatial import Delaunay

    points = np.random.default_rng(seed).random((n, 2))
    corners = Delaunay(points).simplices
    x = points[corners]
    edges = np.stack([x[:, 2] - x[:, 1], x[:, 0] - x[:, 2], x[:, 1] - x[:, 0]], axis=1)
    area = np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]) / 2
    local = np.einsum("tid,tjd->tij", edges, edges) / (4 * area[:, None, None])
    rows, columns = np.repeat(corners, 3, axis=1).ravel(), np.tile(corners, (1, 3)).ravel()
    A = sp.coo_array((local.ravel(), (rows, columns)), shape=(n, n)).tocsr()
    inside = np.flatnonzero(np.abs(points - 0.5).max(axis=1) < 0.47)
    A = A[inside][:, inside]
    return ((A + A.T) / 2).tocsr()


MATRICES = {
    "triangles": lambda: triangles(900),
    "five-point": lambda: problems.jump(24, contrast=1e6).A,
    "seven-point": lambda: problems.darcy(9, dim=3).A,
    "elasticity": lambda: problems.elasticity(11).A,
    "Dirichlet rows": lambda: sp.block_diag([problems.poisson(20).A, sp.eye_array(30)]).tocsr(),
    "positive couplings": lambda: (lambda A: (A @ A).tocsr())(problems.poisson(20).A),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("cycle", ["V", "W"])
def test_aggregation_is_symmetric_positive_definite(name, cycle):
    A = MATRICES[name]()
    M = dense_of(SmoothedAggregation(coarsest=20, cycle=cycle)(A), A.shape[0])
    scale = np.abs(M).max()
    assert np.abs(M - M.T).max() <= 2e-5 * scale
    values = np.linalg.eigvals(M @ A.toarray())
    assert values.real.min() > 0 and values.real.max() < 2  # what a cycle of convergent parts leaves


def test_several_chunks_of_rows_change_the_smoother_but_not_its_symmetry(monkeypatch):
    from petrov.solvers.kernels import relaxation

    if hasattr(relaxation.down, "serial") and hasattr(relaxation.down.serial, "signatures"):
        A = triangles(24_000)
        M = SmoothedAggregation()(A)
        x, y = random_rhs(A), random_rhs(A, 4)
        assert M.levels[0].size > 2 * relaxation.ROWS
        assert abs((M @ x) @ y - x @ (M @ y)) < 1e-4 * np.linalg.norm(M @ x) * np.linalg.norm(y)
        assert x @ (M @ x) > 0


def counts(make, sizes, recipe):
    found = []
    for n in sizes:
        problem = make(n)
        A = compact(problem.A)
        result = cg(A, random_rhs(A), M=recipe(problem)(A))
        assert result.converged
        found.append(int(result.iterations))
    return found


GRIDS = {
    "constant, 2-D": (lambda n: problems.poisson(n), (64, 128, 256), 12),
    "log-normal, 2-D": (lambda n: problems.darcy(n, seed=SEED), (64, 128, 256), 13),
    "jumps, 2-D": (lambda n: problems.jump(n, contrast=1e6, seed=SEED), (64, 128, 256), 13),
    "constant, 3-D": (lambda n: problems.poisson(n, dim=3), (16, 32), 14),
    "log-normal, 3-D": (lambda n: problems.darcy(n, dim=3, seed=SEED), (16, 32), 15),
}


@pytest.mark.parametrize("name", GRIDS)
def test_geometric_iterations_hardly_depend_on_the_size(name):
    make, sizes, most = GRIDS[name]
    found = counts(make, sizes, lambda problem: GeometricMultigrid())
    assert max(found) <= min(most, 1.25 * min(found) + 1)


def test_aggregation_iterations_with_rigid_body_modes():
    found = counts(problems.elasticity, (20, 40, 80), lambda p: SmoothedAggregation(near_nullspace=p.near_nullspace))
    without = counts(problems.elasticity, (80,), lambda p: SmoothedAggregation())
    assert max(found) <= 1.5 * min(found) and 2 * found[-1] < without[0]


def test_the_unknowns_of_a_node_are_told_from_the_modes():
    problem = problems.elasticity(20)
    told = SmoothedAggregation().bind(near_nullspace=problem.near_nullspace)(problem.A)
    said = SmoothedAggregation(near_nullspace=problem.near_nullspace, block=2)(problem.A)
    assert told.rows == said.rows and told.rows[1][0] % 3 == 0


@pytest.mark.parametrize("boundary", ["neumann", "periodic", "mixed"])
@pytest.mark.parametrize("recipe", [GeometricMultigrid(), SmoothedAggregation()], ids=["geometric", "aggregation"])
def test_sides_of_every_kind(recipe, boundary):
    problem = problems.poisson(60, boundary=boundary, rhs="random")
    result = petrov.solve(problem.A, problem.b, M=recipe, nullspace=problem.nullspace)
    assert result.converged and result.iterations < 25


@pytest.mark.parametrize("recipe", [GeometricMultigrid(), SmoothedAggregation()], ids=["geometric", "aggregation"])
def test_update_is_a_set_up_of_the_new_values(recipe):
    first, second = (problems.darcy(48, seed=seed).A for seed in (5, 6))
    M, anew = recipe(first), recipe(second)
    renewed = M.update(second)
    b = random_rhs(second)
    counts = [int(cg(second, b, M=m).iterations) for m in (renewed, anew)]
    assert abs(counts[0] - counts[1]) <= 4
    if isinstance(recipe, GeometricMultigrid):
        assert (renewed @ b == anew @ b).all()
    assert (M @ b == recipe(first) @ b).all()  # the old one is as it was
    with pytest.raises(ValueError, match="shape"):
        M.update(problems.darcy(20).A)


def test_update_needs_the_same_pattern():
    M = SmoothedAggregation()(problems.poisson(30).A)
    with pytest.raises(ValueError, match="stand where"):
        M.update(triangles(1_300)[:900, :900].tocsr() + sp.eye_array(900))


def test_a_solver_updates_its_hierarchy(monkeypatch):
    from petrov.solvers.preconditioners.multigrid import hierarchy

    called = []
    update = hierarchy.Hierarchy.update
    monkeypatch.setattr(hierarchy.Hierarchy, "update", lambda self, A: called.append(1) or update(self, A))
    first, second = (problems.darcy(128, seed=seed) for seed in (5, 6))
    solver = petrov.Solver(first.A)
    solver.solve(first.b)
    x = solver.update(second.A).solve(second.b).x
    assert called and np.linalg.norm(second.b - second.A @ x) <= 1e-8 * np.linalg.norm(second.b)


@pytest.mark.parametrize("cycle", ["V", "W", "F", "K"])
@pytest.mark.parametrize("recipe", [GeometricMultigrid, SmoothedAggregation])
def test_every_cycle_converges_where_it_belongs(recipe, cycle):
    A = problems.jump(160, contrast=1e4).A
    M = recipe(cycle=cycle)(A)
    method = cg if M.linear and M.spd else flexible_cg
    assert (M.linear, M.spd) == {"V": (True, True), "W": (True, True), "F": (True, False), "K": (False, False)}[cycle]
    result = method(A, random_rhs(A), M=M)
    assert result.converged and result.iterations < 60


def test_scales_of_the_matrix_and_of_the_vector_do_not_matter():
    A, b = problems.darcy(40).A, random_rhs(problems.darcy(40).A)
    for recipe in (GeometricMultigrid(), SmoothedAggregation()):
        z = recipe(A) @ b
        for factor in (1e-30, 1e30, 1e200):
            np.testing.assert_allclose(recipe(A) @ (factor * b) / factor, z, rtol=0, atol=1e-5 * np.abs(z).max())
            np.testing.assert_allclose(factor * (recipe((factor * A).tocsr()) @ b), z, rtol=0, atol=1e-5 * np.abs(z).max())
        assert not (recipe(A) @ np.zeros_like(b)).any()


def test_threads_do_not_share_vectors_and_bits_do_not_change():
    A = problems.darcy(200).A
    for recipe in (GeometricMultigrid(), SmoothedAggregation()):
        M = recipe(A)
        vectors = [random_rhs(A, seed) for seed in range(7, 11)]
        alone = [M @ b for b in vectors]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda b, M=M: M @ b, vectors * 4))
        assert all((z == alone[k % 4]).all() for k, z in enumerate(together))
        assert (recipe(A) @ vectors[0] == alone[0]).all()


@pytest.mark.parametrize("kind", ["ruge_stuben_solver", "smoothed_aggregation_solver"])
def test_a_hierarchy_of_pyamg_keeps_its_levels(kind):
    pyamg = pytest.importorskip("pyamg")
    from petrov.solvers.external.pyamg import import_hierarchy

    A = triangles(3_000)
    solver = getattr(pyamg, kind)(sp.csr_matrix(A))
    M = import_hierarchy(solver)
    assert [size for size, _ in M.rows] == [level.A.shape[0] for level in solver.levels]
    result = cg(A, random_rhs(A), M=M)
    assert result.converged and result.iterations < 30
    with pytest.raises(TypeError, match="set up anew"):
        M.update(A)
    with pytest.raises(TypeError, match="levels"):
        import_hierarchy(A)


REFUSED = {
    "not symmetric": (sp.csr_array(np.array([[2.0, -1.0, 0], [-0.5, 2, -1], [0, -1, 2]])), ValueError, "symmetric"),
    "negative diagonal": (sp.csr_array(np.diag([1.0, -1.0, 2.0])), ValueError, "-1 in row 1"),
    "complex": (sp.csr_array(np.diag([1.0 + 0j, 1, 2])), TypeError, "real"),
    "not finite": (sp.csr_array(np.diag([1.0, np.nan, 2.0])), ValueError, "nan in row 1"),
    "no entries": (sp.linalg.aslinearoperator(np.eye(3)), TypeError, "entries"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_aggregation_refuses(name):
    A, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message):
        SmoothedAggregation()(A)


def test_geometric_refuses_what_is_no_grid():
    for A in (triangles(500), problems.convection_diffusion(12).A, problems.poisson(9, boundary="periodic").A):
        with pytest.raises((ValueError, TypeError), match="SmoothedAggregation"):
            GeometricMultigrid()(A)
    A = problems.poisson(12).A.tolil()
    A[11, 12] = A[12, 11] = -1.0  # the end of a row coupled to the beginning of the next
    with pytest.raises(ValueError, match="12 x 12"):
        GeometricMultigrid()(A.tocsr())
    for bad in ({"cycle": "Z"}, {"grid": (0, 3)}, {"grid": (1, 2, 3, 4)}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            GeometricMultigrid(**bad)


def test_a_hierarchy_prints_its_levels():
    text = repr(GeometricMultigrid()(problems.poisson(64).A))
    assert "W-cycle, 4 levels" in text and "4,096" in text and "complexity 1.3" in text


def test_solve_knows_a_grid_from_the_matrix_alone():
    for problem in (problems.darcy(110), problems.poisson(22, dim=3), problems.poisson((104), boundary="mixed", rhs="random")):
        result = petrov.solve(problem.A, random_rhs(problem.A))
        assert result.preconditioner == "geometric multigrid" and "grid" in result.reason


class TestSmoothedAggregation(PreconditionerConformance):
    @pytest.fixture(autouse=True)
    def single_precision(self, monkeypatch):
        monkeypatch.setitem(conformance.TOLERANCE, "float64", 2e-4)

    dtypes = ("float32", "float64")

    def create(self):
        return SmoothedAggregation()

    def dense(self, M, A):
        return np.linalg.inv(A)  # one level
