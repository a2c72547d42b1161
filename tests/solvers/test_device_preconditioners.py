"""Preconditioners on CuPy arrays: the operators of the CPU, without a read on the host while they are applied.

`device` is CuPy's double on the host, and CuPy itself where tests marked gpu are run.
"""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.io import mmread
from scipy.sparse import csr_array

from petrov.solvers import (
    Chebyshev,
    GeometricMultigrid,
    IncompleteCholesky,
    Jacobi,
    Schwarz,
    SmoothedAggregation,
    SparseInverse,
    cg,
    problems,
)
from petrov.solvers.device import made
from petrov.solvers.external.pyamg import PyAMG, import_hierarchy
from petrov.solvers.kernels.cuda import launch
from petrov.solvers.preconditioners import IncompleteLU
from petrov.solvers.preconditioners.multigrid import Hierarchy
from petrov.solvers.preconditioners.multigrid.aggregates_on_gpu import whole

from .device_answers import answers, there, vectors

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


def unordered():
    """A log-normal medium whose cells come in no order: its rows are stored in slices, sorted by length."""
    order = np.random.default_rng(2).permutation(2500)
    return problems.darcy(50, seed=3).A.tocsr()[order][:, order].tocsr()


MATRICES = {
    "poisson 2-D": lambda: poisson(20, 2), "poisson 3-D": lambda: poisson(8, 3), "darcy": lambda: problems.darcy(50, seed=3).A.tocsr(),
    "mesh": mesh, "unordered": unordered,
}  # fmt: skip

# recipe, and what single precision inside it leaves of its answers
SAME = {
    "jacobi": (Jacobi(), 0.0), "chebyshev(0)": (Chebyshev(degree=0), 0.0), "chebyshev(1)": (Chebyshev(degree=1), 0.0),
    "chebyshev(3)": (Chebyshev(degree=3), 0.0), "chebyshev(4)": (Chebyshev(degree=4, lower=0.01), 0.0),
    "sparse inverse": (SparseInverse(), 0.0), "grown, single": (SparseInverse(steps=2, single=True), 1e-6),
}  # fmt: skip


def test_every_form_is_tried(device):
    forms = {name: there(make(), device).form for name, make in MATRICES.items()}
    assert forms == {"poisson 2-D": "csr", "poisson 3-D": "csr", "darcy": "dia", "mesh": "csr", "unordered": "sell"}


@pytest.mark.parametrize("problem", MATRICES)
@pytest.mark.parametrize("name", SAME)
def test_operators_are_those_of_the_cpu(device, name, problem):
    A, (recipe, single) = MATRICES[problem](), SAME[name]
    ours, M = made(recipe, there(A, device)), recipe(A)
    assert ours.spd and ours.linear and tuple(ours.shape) == A.shape and M.name in repr(ours)
    for columns, dtype in ((None, "float64"), (3, "float64"), (2, "float64"), (None, "float32"), (None, "complex128"), (3, "complex128")):
        r = vectors(A.shape[0], columns, dtype)
        want, z = M @ r, answers(ours, r, device)
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


def test_vectors_are_kept_for_a_thread_and_for_fewer_columns(device):
    A = MATRICES["poisson 2-D"]()
    M, r = made(Chebyshev(degree=2), there(A, device)), vectors(400, 3, "float64")
    want = [device.get(M @ device.put(np.ascontiguousarray(r[:, :k]))) for k in (3, 2, 1)]
    ((key, sets),) = M.work.sets.items()
    assert key[1] == "float64" and [most for most, _ in sets] == [1, 3]  # made ready, then asked for three
    found = []
    other = threading.Thread(target=lambda: found.append(device.get(M @ device.put(r))))
    other.start()
    other.join()
    assert len(M.work.sets) == 2 and np.array_equal(found[0], want[0])
    for k, z in zip((3, 2, 1), want, strict=True):
        np.testing.assert_allclose(z, want[0][:, :k], rtol=1e-14)


# -- hierarchies of matrices --------------------------------------------------------------------------------------------------------


ORDER = np.random.default_rng(3).permutation(24 * 24).astype(np.uint32)


def scattered():
    """A Laplacian in an order that hides its neighbours."""
    back = np.argsort(ORDER)
    return poisson(24, 2)[back][:, back].tocsr()


def reordered(A):
    """What SmoothedAggregation makes of such a matrix, if it is large."""
    H = SmoothedAggregation()(A[ORDER][:, ORDER].tocsr())
    return replace(H, levels=(replace(H.levels[0], order=ORDER), *H.levels[1:]))


def imported(A):
    pyamg = pytest.importorskip("pyamg")
    return import_hierarchy(pyamg.ruge_stuben_solver(A, max_coarse=20))


HIERARCHIES = {
    "poisson 2-D": (SmoothedAggregation(coarsest=12), lambda: poisson(40, 2)),
    "poisson 3-D": (SmoothedAggregation(coarsest=12), lambda: poisson(13, 3)),
    "W": (SmoothedAggregation(coarsest=4, cycle="W"), lambda: poisson(16, 3)),
    "darcy": (SmoothedAggregation(coarsest=12), MATRICES["darcy"]),
    "mesh": (SmoothedAggregation(coarsest=12), mesh),
    "scattered": (reordered, scattered),
    "elasticity": (SmoothedAggregation(block=2, near_nullspace=None), lambda: problems.elasticity(12).A.tocsr()),
    "one level": (SmoothedAggregation(), lambda: poisson(9, 2)),
    "pyamg": (imported, mesh), "pyamg darcy": (imported, MATRICES["darcy"]),
}  # fmt: skip


class Twin:
    """The cycle of a moved hierarchy in NumPy, in double precision, from the levels of the host."""

    def __init__(self, H, steps):
        self.H, self.count = H, steps
        self.A = [csr_array(whole(level), dtype=float) for level in H.levels[:-1]]
        self.P = [level.P.scipy().astype(float) for level in H.levels[:-1]]
        self.D = [np.abs(A).sum(axis=1) for A in self.A]

    def smooth(self, k, f, u):
        """Saad's Algorithm 12.1 on [1/10, 1]."""
        theta, delta = 0.55, 0.45
        rho, r = delta / theta, (f - self.A[k] @ u) / self.D[k]
        d = r / theta
        for step in range(self.count):
            u = u + d
            if step < self.count - 1:
                r = r - (self.A[k] @ d) / self.D[k]
                rho, last = 1 / (2 * theta / delta - rho), rho
                d = rho * last * d + 2 * rho / delta * r
        return u

    def cycle(self, k, f, twice=False):
        if k == len(self.A):
            return self.H.levels[-1].inverse.astype(float) @ f
        u = self.smooth(k, f, np.zeros_like(f))
        below = self.P[k].T @ (f - self.A[k] @ u)
        again = self.H.cycle == "W" and k + 1 < len(self.A) and self.A[k].shape[0] >= (3 if k else 6) * self.A[k + 1].shape[0]
        c = self.cycle(k + 1, below)
        if again:
            c = c + self.cycle(k + 1, below - self.A[k + 1] @ c)
        return self.smooth(k, f, u + self.P[k] @ c)

    def __matmul__(self, r):
        z, order = np.empty_like(r), self.H.levels[0].order
        z[order] = self.H.scale * self.cycle(0, r[order])
        return z


def test_the_matrix_of_a_level_is_put_together():
    """Where its rows are dealt into several chunks, too."""
    A = problems.darcy(100, seed=1).A.tocsr()
    H = SmoothedAggregation()(A)
    assert H.levels[0].extra.any() and np.array_equal(H.levels[0].order, np.arange(10_000))
    difference = np.abs(whole(H.levels[0]) - H.scale * A)
    assert difference.max() <= 1e-6 * H.scale * np.abs(A).max()


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("name", HIERARCHIES)
def test_a_cycle_is_that_of_its_levels(device, name, steps):
    recipe, A = HIERARCHIES[name][0], HIERARCHIES[name][1]()
    H = recipe(A)
    M, twin = H.moved(there(A, device).move, steps=steps), Twin(H, steps)
    assert name != "W" or any(M.twice)
    assert name != "scattered" or M.gate.order is not None
    r = vectors(A.shape[0], None, "float64")
    want = twin @ r
    close = 2e-5 * np.abs(want).max()
    assert np.abs(answers(M, r, device) - want).max() <= close
    for power in (2.0**-900, 2.0**600):  # nothing is lost to single precision
        assert np.abs(device.get(M @ device.put(power * r)) / power - want).max() <= close
    block = answers(M, vectors(A.shape[0], 3, "float64"), device)
    assert np.abs(block - np.stack([device.get(M @ device.put(c)) for c in vectors(A.shape[0], 3, "float64").T], axis=1)).max() <= close
    both = answers(M, r + 1j * r[::-1], device)
    assert np.abs(both.real - want).max() <= close and np.abs(answers(M, r.astype("float32"), device) - want).max() <= close


@pytest.mark.parametrize("name", HIERARCHIES)
def test_a_cycle_is_symmetric_and_definite(device, name):
    recipe, A = HIERARCHIES[name][0], HIERARCHIES[name][1]()
    A = A if A.shape[0] < 600 else recipe_sized(name)
    for steps in (1, 2):
        M = recipe(A).moved(there(A, device).move, steps=steps)
        dense = np.hstack([device.get(M @ device.put(part)) for part in np.array_split(np.eye(A.shape[0]), 1 + A.shape[0] // 32, axis=1)])
        assert np.abs(dense - dense.T).max() <= 1e-5 * np.abs(dense).max()
        values = np.linalg.eigvals((dense + dense.T) / 2 @ A.toarray()).real
        assert values.min() > 0 and values.max() < (1.001 if not any(M.twice) else 2), (values.min(), values.max())
        assert M.spd


def recipe_sized(name):
    """The same kind of problem, small enough for its dense inverse."""
    return {"poisson 3-D": lambda: poisson(8, 3), "W": lambda: poisson(8, 3), "elasticity": lambda: problems.elasticity(10).A.tocsr()}.get(
        name, lambda: problems.darcy(22, seed=3).A.tocsr() if "darcy" in name else poisson(22, 2)
    )()


@pytest.mark.parametrize("name", HIERARCHIES)
def test_cg_with_a_cycle_takes_no_more_iterations_than_on_the_cpu(device, name):
    """Two steps of Chebyshev cost twice a sweep of Gauss-Seidel, and are better."""
    recipe, A = HIERARCHIES[name][0], HIERARCHIES[name][1]()
    b = vectors(A.shape[0], None, "float64")
    M = recipe if isinstance(recipe, SmoothedAggregation) else recipe(A).moved(there(A, device).move)
    found, expected = cg(there(A, device), device.put(b), M=M), cg(A, b, M=recipe(A))
    assert found.converged and found.iterations <= expected.iterations + 2
    assert np.linalg.norm(b - A @ device.get(found.x)) <= 1.01e-8 * np.linalg.norm(b)


def test_hierarchies_are_updated(device):
    from cupyx.scipy.sparse import csr_matrix

    A, B = MATRICES["darcy"](), problems.darcy(50, seed=4).A.tocsr()
    M = made(SmoothedAggregation(), there(A, device))
    want = SmoothedAggregation(coarsest=512)(A).update(B).moved(there(A, device).move)
    r = device.put(vectors(2500, None, "float64"))
    np.testing.assert_array_equal(device.get(M.update(there(B, device)) @ r), device.get(want @ r))
    np.testing.assert_array_equal(device.get(M.update(csr_matrix(B)) @ r), device.get(want @ r))
    with pytest.raises(TypeError, match="imported"):
        imported(A).moved(there(A, device).move).update(there(A, device))


def test_the_recipe_of_pyamg_moves_its_levels(device):
    pytest.importorskip("pyamg")
    A = MATRICES["darcy"]()
    b = vectors(A.shape[0], None, "float64")
    found = cg(there(A, device), device.put(b), M=PyAMG())
    assert found.converged and found.iterations <= cg(A, b, M=PyAMG()).iterations + 2 and "pyamg hierarchy" in str(found)
    with pytest.raises(ValueError, match="symmetric"):
        cg(there(problems.convection_diffusion(12).A, device), device.put(np.ones(144)), M=PyAMG())


def test_many_columns(device, monkeypatch):
    """More than a block has threads go in parts."""
    monkeypatch.setattr(launch, "THREADS", 256)
    A = poisson(5, 2)
    M, r = made(SmoothedAggregation(), there(A, device)), vectors(25, 20, "complex128")
    wide = np.tile(r, (1, 15))
    want = np.tile(device.get(M @ device.put(r)), (1, 15))
    given = device.put(wide)
    np.testing.assert_array_equal(device.get(M.into(given, device.cupy.zeros_like(given))), want)
    with pytest.raises(ValueError, match=r"first one's shape, \(25, 25\)"):
        M.update(there(poisson(6, 2), device))


def test_cycles_that_have_no_form_there_are_refused(device):
    A = poisson(12, 2)
    with pytest.raises(TypeError, match="levels of own have no form on a GPU"):
        Hierarchy((object(),), (9, 9), np.float64, "own").moved(there(A, device).move)
    for recipe in (SmoothedAggregation, GeometricMultigrid):
        for cycle in ("F", "K"):
            with pytest.raises(TypeError, match=f"{cycle}-cycle has no form on a GPU"):
                made(recipe(cycle=cycle), there(A, device))
    with pytest.raises(ValueError, match="steps must be an integer"):
        SmoothedAggregation()(A).moved(there(A, device).move, steps=0)


# -- refusals -----------------------------------------------------------------------------------------------------------------------


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
