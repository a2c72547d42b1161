"""Deep conjugate directions: the network of the paper, twins that agree, data, losses, and what trained weights are worth."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.sparse as sp

import petrov
from petrov.learned import FAMILIES, ConjugateDirections, WeightsError, load, save
from petrov.learned.conjugate_directions import grid_of
from petrov.learned.networks.grid_network import GridArchitecture, GridNetwork, untrained
from petrov.learned.obstacles import bodies, poisson
from petrov.learned.ritz import ritz_basis
from petrov.solvers import cg, flexible_cg, problems
from petrov.solvers.krylov.lanczos import Lanczos

SEED = 52_361


def shaken(architecture: GridArchitecture) -> GridNetwork:
    """Random weights, biases too."""
    rng = np.random.default_rng(SEED)
    drawn = untrained(architecture, SEED).weights
    return GridNetwork(architecture, {name: (value + 0.1 * rng.standard_normal(value.shape)).astype("float32") for name, value in drawn.items()})


def useful(dim: int = 2) -> GridNetwork:
    """About u and its means over 2^dim cells, by the positive parts of u and -u."""
    network = shaken(GridArchitecture(dim=dim, width=4))
    weights, middle = {name: 0.1 * value for name, value in network.weights.items()}, (1,) * dim
    for name, at, value in (("first", (0, 0), 1), ("first", (1, 0), -1), ("last", (0, 0), 1), ("last", (0, 1), -1)):
        weights[f"{name}.weight"][(*at, *(middle if name == "first" else (0,) * dim))] = value
    for name in ("down.0", "down.3"):
        for k in (0, 1):
            weights[f"{name}.weight"][(k, k, *middle)] = 1
    return GridNetwork(network.architecture, weights)


def system(side: int = 12, seed: int = 3, dim: int = 2):
    return FAMILIES[f"obstacles{dim}d"].system(side**dim, seed)


# The network.


@pytest.mark.parametrize(("architecture", "parameters"), [
    ({"dim": 3}, 97_457), ({"dim": 3, "down": 6, "coarse": 10, "up": 6}, 152_881), ({"dim": 2}, 32_657),
])  # fmt: skip
def test_the_counts_of_the_paper(architecture, parameters):
    """Its two networks, for 64^3 and 128^3 cells, and the first in 2-D."""
    pytest.importorskip("torch")
    recipe = ConjugateDirections.untrained(**architecture)
    assert recipe.network.parameters == parameters == sum(value.numel() for value in recipe.module.parameters())


ARCHITECTURES = {
    "of the paper": ({}, (16, 24)),
    "sides that are odd": ({}, (13, 9)),
    "of the paper in 3-D": ({"dim": 3, "width": 6}, (7, 6, 10)),
    "for 128": ({"down": 6, "coarse": 10, "up": 6, "width": 5}, (12, 11)),
    "many levels": ({"coarsest": 3}, (21, 40)),
    "many levels in 3-D": ({"dim": 3, "coarsest": 4, "width": 4}, (9, 17, 8)),
    "one cell": ({"coarsest": 8}, (1, 1)),
    "more cells than a block": ({"width": 3}, (50, 41)),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_numpy_and_torch_agree(name):
    torch = pytest.importorskip("torch")
    architecture, grid = ARCHITECTURES[name]
    recipe = ConjugateDirections(shaken(GridArchitecture(**architecture)))
    assert sorted(recipe.module.state_dict()) == sorted(recipe.weights)
    u = np.random.default_rng(SEED).standard_normal((2, *grid)).astype("float32")
    with torch.no_grad():
        expected = recipe.module(torch.from_numpy(u)).numpy()
    forward = recipe.network.on(grid)
    got = np.stack([forward(part) for part in u])
    assert got.dtype == np.float32 and np.abs(got - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.abs(expected[0] - expected[1]).max() > 1e-2 * np.abs(expected).max()


def test_one_more_level_for_every_doubling():
    deeper, grid = ConjugateDirections(shaken(GridArchitecture(width=4))).deeper(8), (33, 8)
    a = deeper.network.architecture
    assert [a.rungs((n, n)) for n in (8, 16, 33, 64, 128, 512)] == [0, 1, 3, 3, 4, 6] and a.padded(grid) == (48, 16)
    assert [GridArchitecture().rungs((n, n)) for n in (16, 512)] == [0, 0] and a.parameters == GridArchitecture(width=4).parameters + 1
    u = np.random.default_rng(SEED).standard_normal((8, 8)).astype("float32")
    alone = ConjugateDirections(shaken(GridArchitecture(width=4))).network
    assert np.array_equal(deeper.network.on((8, 8))(u), alone.on((8, 8))(u))
    u = np.random.default_rng(SEED).standard_normal((16, 16)).astype("float32")
    below = 4 * u.reshape(8, 2, 8, 2).mean(axis=(1, 3))
    size = np.sqrt((below**2).mean())
    coarse = np.pad(size * alone.on((8, 8))(below / size), 1, mode="edge")
    middle, sides = 0.75 * coarse[1:-1], (0.25 * coarse[:-2], 0.25 * coarse[2:])
    rows = np.stack([middle + sides[0], middle + sides[1]], axis=1).reshape(16, 10)
    middle, sides = 0.75 * rows[:, 1:-1], (0.25 * rows[:, :-2], 0.25 * rows[:, 2:])
    fine = np.stack([middle + sides[0], middle + sides[1]], axis=2).reshape(16, 16)
    assert np.allclose(deeper.network.on((16, 16))(u), alone.on((16, 16))(u) + 0.5 * fine, atol=1e-5)


# The recipe.


def test_directions_are_homogeneous_and_not_linear():
    found = system()
    M = found.bind(ConjugateDirections(shaken(GridArchitecture())))(found.A)
    r, s = np.random.default_rng(SEED).standard_normal((2, len(found.b)))
    assert M.linear is False and M.spd is None and M.shape == found.A.shape and M.nbytes > 0 and "12 x 12" in repr(M)
    assert np.allclose(M @ (1e-9 * r), 1e-9 * (M @ r), rtol=1e-5) and not np.allclose(M @ (r + s), M @ r + M @ s, rtol=0.1)
    columns = M @ np.column_stack([r, 0 * r, s])
    assert np.array_equal(columns[:, 0], M @ r) and not columns[:, 1].any() and np.array_equal(columns[:, 2], M @ s)
    assert np.isnan(M @ (r * np.nan)).all() and (M @ r.astype("float32")).dtype == np.float32
    with pytest.raises(ValueError, match=r"r must have shape"):
        M @ r[:-1]


def test_unknowns_are_where_the_mask_says():
    """A network of zeros but for the middle of one filter: u, the positive part of r on the grid, and its means over 2 x 2 cells."""
    found = system()
    weights = {name: np.zeros_like(value) for name, value in untrained(GridArchitecture(), SEED).weights.items()}
    for name in ("first", "down.0", "down.3", "last"):
        weights[f"{name}.weight"][(0, 0, *[n // 2 for n in weights[f"{name}.weight"].shape[2:]])] = 1.0
    M = found.bind(ConjugateDirections(GridNetwork(GridArchitecture(), weights)))(found.A)
    r = np.random.default_rng(SEED).standard_normal(len(found.b))
    u = np.zeros(found.grid)
    u[found.mask] = np.maximum(r, 0)
    u += np.kron(u.reshape(6, 2, 6, 2).mean(axis=(1, 3)), np.ones((2, 2)))
    assert np.allclose(M @ r, u[found.mask], atol=1e-6)


def test_solve_takes_flexible_cg():
    found = system()
    recipe = found.bind(ConjugateDirections.untrained())
    result = petrov.solve(found.A, found.b, M=recipe, max_iterations=9, raise_on_failure=False)
    assert result.method == "flexible_cg" and result.preconditioner == "conjugate directions"
    direction = recipe(found.A)
    again = flexible_cg(found.A, found.b, direction=lambda r: direction @ r, max_iterations=9)
    assert np.allclose(again.residuals, result.residuals, rtol=1e-3)


@pytest.mark.parametrize("grid", [(5, 7), (4, 3, 6), (2, 3)])
def test_the_grid_is_read_from_A(grid):
    from petrov.solvers.problems.grid import finite_volumes

    A = finite_volumes(np.ones(grid), ("dirichlet",) * len(grid))
    assert grid_of(A, len(grid)) == grid
    assert ConjugateDirections.untrained(dim=len(grid))(A).forward.grid == grid


REFUSED = [
    (lambda r: r(sp.eye_array(9).tocsr()), "distances none for 9 unknowns in 2 dimensions; give it with bind"),
    (lambda r: r(system().A), "the grid cannot be read from A"),
    (lambda r: r(problems.poisson(4, 3).A), "the grid cannot be read from A"),
    (lambda r: r(sp.linalg.aslinearoperator(problems.poisson(4).A)), "LinearOperator, which has no entries"),
    (lambda r: r.bind(grid=(4, 5))(problems.poisson(4).A), "16 unknowns were asked for on a grid"),
    (lambda r: r.bind(grid=(4, 4), mask=np.ones(16, bool))(problems.poisson(4).A), "one True for each unknown"),
    (lambda r: r.bind(grid=(4, 4, 1))(problems.poisson(4).A), "reads grids of 2 sides"),
    (lambda r: GridArchitecture(dim=1), "dim must be"),
    (lambda r: GridArchitecture(down=3), "down must be an even integer from 2 to 1024; got 3"),
    (lambda r: GridArchitecture(width=0), "width must be an integer from 1"),
    (lambda r: GridArchitecture(coarsest=1), "coarsest must be an integer from 2"),
    (lambda r: r.with_weights({}), "arrays are missing"),
    (lambda r: r.with_weights({k: v * np.inf if "first.b" in k else v for k, v in shaken(GridArchitecture()).weights.items()}), "must be finite"),
    (lambda r: GridNetwork(r.network.architecture, {k: v.astype(float) for k, v in r.weights.items()}), "must be float32"),
    (lambda r: poisson(np.ones((3, 3), bool), "neumann"), "no cell is fluid"),
    (lambda r: poisson(np.zeros((3, 3), bool), "robin"), "walls must be one of"),
]


@pytest.mark.parametrize(("make", "says"), REFUSED)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_refusals(make, says):
    with pytest.raises(ValueError, match=says):
        make(ConjugateDirections.untrained())


def test_files(tmp_path):
    recipe = ConjugateDirections(shaken(GridArchitecture(dim=3, width=3, coarsest=4)))
    save(recipe, tmp_path / "w", {"seed": 3})
    again = load(tmp_path / "w")
    assert again.network.architecture == recipe.network.architecture
    assert all(np.array_equal(value, again.weights[name]) for name, value in recipe.weights.items())
    from petrov.learned import checkpoint

    header, arrays = checkpoint.read(tmp_path / "w")
    checkpoint.write(tmp_path / "w", {**header, "architecture": {"code": 1}}, arrays)
    with pytest.raises(WeightsError, match="architecture is not described"):
        load(tmp_path / "w")


# Obstacles.


@pytest.mark.parametrize("dim", [2, 3])
def test_no_fluid_is_shut_in(dim):
    found = [bodies(10, dim, 8, np.random.default_rng(k)) for k in range(6)]
    for solid in found:
        A = poisson(solid, "neumann")
        count, labels = sp.csgraph.connected_components(A)
        points = np.argwhere(~solid)
        rim = ((points == 0) | (points == 9)).any(axis=1)
        assert set(labels[rim]) == set(range(count)) and np.linalg.eigvalsh(A.toarray())[0] > 0
    assert len({solid.tobytes() for solid in found}) == 6 and all(0 < solid.mean() < 0.9 for solid in found)


def test_walls():
    """A cell beside a wall: a neighbour less on the diagonal where no flux goes in; twice a face on a side of the square."""
    solid = np.zeros((4, 4), bool)
    solid[1, 1] = True
    held, shut = (poisson(solid, walls).toarray() for walls in ("dirichlet", "neumann"))
    assert held[0, 0] == 6 and held[1, 1] == 5 and shut[1, 1] == 4 and held[5, 5] == 4 and shut[5, 5] == 3 and held[6, 6] == 5 == shut[6, 6]
    assert np.array_equal(held - np.diag(np.diag(held)), shut - np.diag(np.diag(shut))) and np.array_equal(held, held.T)


# Ritz vectors.


def test_lanczos():
    A = problems.jump(7, contrast=1e2, seed=SEED).A
    start = np.random.default_rng(SEED).standard_normal(49)
    at_once = Lanczos.begin(start, 30).extended(A, 30)
    found = Lanczos.begin(start, 30)
    for _ in range(6):
        found = found.extended(A, 5)
    assert all(np.array_equal(getattr(found, what), getattr(at_once, what)) for what in ("vectors", "diagonal", "off"))
    Q, T = found.vectors, np.diag(found.diagonal) + np.diag(found.off[:-1], 1) + np.diag(found.off[:-1], -1)
    left = A @ Q[:30].T - Q[:30].T @ T
    left[:, -1] -= found.off[-1] * Q[30]
    assert np.abs(Q @ Q.T - np.eye(31)).max() < 1e-14 and np.abs(left).max() < 1e-13 * np.abs(A).max() and not found.closed
    whole, space = np.linalg.eigvalsh(A.toarray()), Lanczos.begin(start, 99).extended(A, 99)
    assert space.steps == 49 and space.closed and np.allclose(space.values, whole, rtol=1e-9)
    assert space.extended(A, 5).steps == 49
    values, vectors = (np.concatenate(part) for part in zip(*space.ritz(rows=20), strict=True))
    assert np.abs(A @ vectors.T - vectors.T * values).max() < 1e-9 * whole[-1]


def test_an_invariant_space_ends_lanczos():
    A = np.diag([1.0, 1.0, 2.0, 2.0, 5.0])
    found = Lanczos.begin(np.ones(5), 5).extended(A, 5)
    assert found.steps == 3 and found.closed and np.allclose(found.values, [1, 2, 5])
    with pytest.raises(ValueError, match="finite start other than 0"):
        Lanczos.begin(np.zeros(5), 5)
    with pytest.raises(FloatingPointError, match="NaN or infinity in Lanczos step 1"):
        Lanczos.begin(np.ones(5), 5).extended(A * np.nan, 5)


def test_right_hand_sides():
    """Low modes nine times as strong, and a twentieth more than half of them are low."""
    A = sp.diags_array(np.linspace(1.0, 5.0, 40)).tocsr()
    basis = ritz_basis(A, 40)
    assert np.allclose(basis.values, A.diagonal(), rtol=1e-5) and np.abs(np.abs(basis.vectors) - np.eye(40)).max() < 1e-3
    c = basis.combinations(4_000, np.random.default_rng(SEED))
    assert np.allclose(np.linalg.norm(c, axis=1), 1, rtol=1e-5)
    sizes = np.sqrt((c**2).mean(axis=0))
    assert np.allclose(sizes[:22], sizes[0], rtol=0.1) and np.allclose(sizes[22:], sizes[-1], rtol=0.1) and 8.5 < sizes[0] / sizes[-1] < 9.5
    with pytest.raises(ValueError, match="A must be positive definite; its lowest Ritz value is -3"):
        ritz_basis(A - 4 * sp.eye_array(40).tocsr(), 40)


def test_a_basis_is_kept_and_not_mistaken(tmp_path, capfd):
    A, other = (system(14, seed).A for seed in (3, 4))
    found = ritz_basis(A, 50, folder=tmp_path, piece=16, progress=True)
    assert "Lanczos" in capfd.readouterr().err
    files = sorted(tmp_path.iterdir())
    again = ritz_basis(A, 50, folder=tmp_path, piece=16)
    assert len(files) == 4 and np.array_equal(found.vectors, again.vectors) and np.array_equal(found.vectors, ritz_basis(A, 50, piece=16).vectors)
    ritz_basis(other, 50, folder=tmp_path, piece=16)
    ritz_basis(A, 51, folder=tmp_path, piece=16)
    assert len(list(tmp_path.iterdir())) == 12
    files[1].write_bytes(files[1].read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(WeightsError, match="not those that were written"):
        ritz_basis(A, 50, folder=tmp_path, piece=16)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_stopped_and_taken_up(how, tmp_path):
    """Whatever ends it, the next call ends with the bits of one that was not stopped."""
    code = f"""
import time
from petrov.learned import FAMILIES, ritz
from petrov.solvers.krylov.lanczos import Lanczos
extended = Lanczos.extended
Lanczos.extended = lambda self, A, steps: time.sleep(0.2) or extended(self, A, steps)
ritz.ritz_basis(FAMILIES["obstacles2d"].system(196, 3).A, 120, folder={str(tmp_path)!r}, piece=8)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(tmp_path.glob("lanczos-*"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(how)
    assert process.wait() != 0
    done = len(list(tmp_path.glob("lanczos-*")))
    assert 3 <= done < 15 and not list(tmp_path.glob("ritz-*"))
    calls, extended = [], Lanczos.extended
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lanczos, "extended", lambda self, A, steps: calls.append(steps) or extended(self, A, steps))
        found = ritz_basis(system(14).A, 120, folder=tmp_path, piece=8)
    assert len(calls) == 15 - done and np.array_equal(found.vectors, ritz_basis(system(14).A, 120, piece=8).vectors)
    assert not list(tmp_path.glob("lanczos-*")) and not list(tmp_path.glob(".petrov-*"))


# Training.


@pytest.fixture
def objective():
    pytest.importorskip("torch")
    from petrov.learned.objectives import conjugate_directions

    return conjugate_directions


@pytest.mark.parametrize("dim", [2, 3])
def test_the_loss_is_what_flexible_cg_leaves(objective, dim):
    """The energy of the error before and after steps 3 to 6 of a solve with the same network, in double precision."""
    torch, found = pytest.importorskip("torch"), system(12 if dim == 2 else 6, dim=dim)
    recipe = ConjugateDirections(useful(dim))
    at, (A, b) = objective.prepared("cpu", None, found), found[:2]
    solution, iterates = np.linalg.solve(A.toarray(), b), [0 * b]
    flexible_cg(A, b, M=found.bind(recipe)(A), max_iterations=6, callback=lambda state: iterates.append(state.x.copy()) or False)
    energies = np.array([(solution - x) @ A @ (solution - x) for x in iterates])
    expected = np.log(energies[3:7] / energies[2:6] + objective.FLOOR).mean()
    got = objective.energy_left(recipe.module, at, at.spread(solution[None]), 2)
    assert float(got.detach()) == pytest.approx(expected, rel=1e-3) and expected < -0.1
    got.backward()
    assert torch.isfinite(got)


def test_the_loss_of_the_paper(objective):
    from petrov.learned.plan import Plan

    found = system()
    recipe = ConjugateDirections(shaken(GridArchitecture(width=4)))
    made = objective.directions(recipe, Plan("residual", columns=5), "cpu")
    at = made.prepare(found)
    B = at.basis.combinations(5, np.random.default_rng(7)) @ at.basis.vectors
    M, left = found.bind(recipe)(found.A), []
    for b in B:
        q = M @ b.astype(float)
        image = found.A @ q
        left.append(np.sum((b - (q @ b) / (q @ image) * image) ** 2))
    assert float(made.loss(at, np.random.default_rng(7)).detach()) == pytest.approx(np.mean(left), rel=1e-4)
    x = np.random.default_rng(SEED).standard_normal((2, len(found.b)))
    assert np.allclose(at.product(at.spread(x)).numpy()[:, at.cells], (found.A @ x.T).T, atol=1e-5)
    with pytest.raises(ValueError, match="loss must be one of residual, energy for conjugate directions; got 'data'"):
        objective.directions(recipe, Plan("data"), "cpu")
    with pytest.raises(ValueError, match="trained on grids; fem2d"):
        made.prepare(FAMILIES["fem2d"].system(60, 3))


def test_training_beats_cg(tmp_path):
    """A small network, after a few seconds, on obstacles that it has not met; what it learns from is kept."""
    pytest.importorskip("torch")
    from petrov.learned import split, train

    parts = split(["obstacles2d"], sizes=[256], unseen_sizes=[400], count=8, held_out=2)
    recipe = train(
        ConjugateDirections.untrained(width=6), parts, loss="energy", steps=60, every=30, columns=8, rate=1e-2, rtol=1e-4, data=tmp_path, progress=False
    )  # fmt: skip
    assert len(list(tmp_path.iterdir())) == len(parts.training)
    for member in parts.validation:
        found = member.system()
        trained = flexible_cg(found.A, found.b, M=found.bind(recipe)(found.A), rtol=1e-4)
        assert trained.converged and trained.iterations < 0.75 * cg(found.A, found.b, rtol=1e-4).iterations


# What comes with petrov.


def between(side: int, seed: int, walls: str):
    """The same bodies at every size: a matrix, a right-hand side, what to bind."""
    rng = np.random.default_rng([seed, 77])
    solid = bodies(side, 2, int(rng.integers(1, 9)), rng)
    A = poisson(solid, walls)
    return A, np.random.default_rng([seed, side]).standard_normal(A.shape[0]), {"grid": (side, side), "mask": ~solid}


def test_shipped_weights():
    """Iterations beside cg's on bodies that were not met; and at twice as many cells a side with one level more."""
    names, counts = ("conjugate-directions-2d", "conjugate-directions-2d-deep"), {}
    for side in (64, 128):
        for seed, walls in ((0, "dirichlet"), (2, "dirichlet"), (3, "neumann")):
            A, b, told = between(side, seed, walls)
            counts.setdefault(("cg", side), []).append(cg(A, b, rtol=1e-4).iterations)
            for name in names[side == 128 :]:
                result = flexible_cg(A, b, M=load(name).bind(**told)(A), rtol=1e-4)
                assert result.converged
                counts.setdefault((name, side), []).append(result.iterations)
    mean = {key: np.exp(np.mean(np.log(found))) for key, found in counts.items()}
    assert load(names[0]).network.parameters == 32_657 == load(names[1]).network.parameters - 1
    assert mean[names[0], 64] < 0.16 * mean["cg", 64] and mean[names[1], 64] < 0.16 * mean["cg", 64]
    assert mean[names[1], 128] < 1.35 * mean[names[1], 64] and mean["cg", 128] > 1.8 * mean["cg", 64]


def test_applying_needs_no_torch():
    code = """
import sys
sys.modules["torch"] = None
from petrov import learned, solve
system = learned.FAMILIES["obstacles2d"].system(1024, 3)
print(solve(system.A, system.b, M=system.bind(learned.load("conjugate-directions-2d")), rtol=1e-4).method)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert ran.stdout.strip() == "flexible_cg", ran.stderr
