"""Weights on disk and training: what is written comes back, what is damaged is refused, kill -9 changes no bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from petrov.learned import GraphFactor, NeumannFactor, SparseInverseNetwork, WeightsError, checkpoint, describe, load, save, split
from petrov.learned.networks.architecture import Network
from petrov.solvers import Jacobi, cg, problems

SEED = 12_377
PARTS = split(["fem2d", "fv2d"], sizes=[80, 120], unseen_sizes=[300], count=6, held_out=1)
SMALL = {"steps": 6, "batch": 2, "columns": 3, "unrolled": 5, "every": 2}


def small(kind: str = "sparse"):
    return GraphFactor.untrained(width=5, steps=2, start="jacobi") if kind == "graph" else SparseInverseNetwork.untrained(width=6, steps=2)


def same(one, other) -> bool:
    return all(np.array_equal(value, other.network.weights[name]) for name, value in one.network.weights.items())


def ended(path) -> tuple:
    """Where training stood when it wrote this file: facts, and every array to the bit."""
    header, arrays = checkpoint.read(path)
    return header["facts"], {name: value.tobytes() for name, value in arrays.items()}


# Files.


@pytest.mark.parametrize("recipe", [
    SparseInverseNetwork.untrained(coordinates=3, width=7, epsilon=3e-3), GraphFactor.untrained(node_features=2, edge_features=1, guess=True, start="jacobi"),
])  # fmt: skip
def test_what_is_saved_comes_back(recipe, tmp_path):
    path = tmp_path / "w.safetensors"
    save(recipe, path, {"family": ["fem2d"], "seed": 3})
    again = load(path)
    assert type(again) is type(recipe) and same(recipe, again) and again.network.architecture == recipe.network.architecture
    told = describe(path)
    assert told["facts"] == {"family": ["fem2d"], "seed": 3} and told["kind"] == recipe.kind and told["petrov"] and told["bounds"]
    if recipe.kind == "sparse-inverse-network":
        assert again.epsilon == 3e-3
    else:
        assert again.start == "jacobi"
    first = path.read_bytes()
    save(again, path, {"family": ["fem2d"], "seed": 3})
    assert path.read_bytes() == first and [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_loading_and_applying_need_no_torch(tmp_path):
    """In a process in which torch cannot be imported."""
    save(small(), tmp_path / "s")
    save(small("graph"), tmp_path / "g")
    code = f"""
import sys
sys.modules["torch"] = sys.modules["torch_geometric"] = None
from petrov import learned
from petrov.solvers import cg, problems
A, b = problems.poisson(12)[:2]
for M in (learned.load({str(tmp_path / "s")!r}), learned.load({str(tmp_path / "g")!r}), learned.NeumannFactor(), learned.DiagonalSweeps()):
    assert cg(A, b, M=M).converged
try:
    learned.train
except ImportError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0 and 'pip install "petrov[learned]"' in ran.stdout, ran.stderr


def damaged(path, change):
    """A file of weights whose header, as a JSON value, has been changed before it was written."""
    recipe = small()
    header = {"kind": recipe.kind, **recipe.description()}
    arrays = dict(recipe.network.weights)
    change(header, arrays)
    checkpoint.write(path, header, arrays)


BAD = [
    (lambda h, a: h.update(kind="other"), "its kind is 'other'"),
    (lambda h, a: h.pop("architecture"), "architecture"),
    (lambda h, a: h["architecture"].update(code="import os"), "not described"),
    (lambda h, a: h["architecture"].update(width=10**9), "width must be"),
    (lambda h, a: h["bounds"].update(epsilon=0.0), "epsilon must be positive"),
    (lambda h, a: h.update(kind="graph-factor", start="x"), "start must be"),
    (lambda h, a: a.popitem(), "arrays are missing"),
    (lambda h, a: a.update({next(iter(a)): np.zeros(3)}), "must be float64"),
    (lambda h, a: a.update({k: v.astype("float32") for k, v in a.items()}), "must be float64"),
    (lambda h, a: a.update({k: v * np.inf for k, v in a.items()}), "must be finite"),
]


@pytest.mark.parametrize(("change", "says"), BAD)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_headers_that_are_refused(change, says, tmp_path):
    damaged(tmp_path / "w", change)
    with pytest.raises(WeightsError, match=says):
        load(tmp_path / "w")


def test_files_that_are_refused(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "w"
    save(small(), path)
    whole = path.read_bytes()
    load(path)
    for bad, says in ((whole[:-9], "damaged"), (b"", "damaged"), (whole[:-8] + b"\0" * 8, "not those that were written")):
        path.write_bytes(bad)
        with pytest.raises(WeightsError, match=says):
            load(path)
    save_file({"a": np.ones(3)}, path)
    with pytest.raises(WeightsError, match="without the header of petrov"):
        load(path)
    checkpoint.write(path, {}, {})
    path.write_bytes(path.read_bytes().replace(b'\\"schema\\": 1', b'\\"schema\\": 2'))
    with pytest.raises(WeightsError, match="schema 2"):
        load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "w"
    save(small(), path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save(small("graph"), path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


class Negative:
    """-I, which says that it is definite."""

    shape, dtype, spd = (5, 5), np.dtype(float), True

    def __matmul__(self, r):
        return -r


def test_the_probe_on_loading(tmp_path, monkeypatch):
    save(small(), tmp_path / "w")
    monkeypatch.setattr(SparseInverseNetwork, "small", lambda self: Negative())
    with pytest.raises(WeightsError, match="failed its probe on a small system: it is not positive"):
        load(tmp_path / "w")


# Training.


@pytest.fixture
def train():
    pytest.importorskip("torch")
    pytest.importorskip("torch_geometric")
    from petrov import learned

    return learned.train


@pytest.mark.parametrize(("kind", "loss"), [("graph", "data"), ("graph", "unrolled-cg"), ("sparse", "unrolled-cg"), ("sparse", "sai"), ("sparse", "kaporin")])
def test_every_loss_trains_and_gives_the_same_bits(kind, loss, train, tmp_path):
    torch, found = pytest.importorskip("torch"), []
    for k in range(2):
        torch.manual_seed(k)  # no generator of torch is asked
        train(small(kind), PARTS, loss=loss, checkpoint=tmp_path / f"{k}", progress=False, **SMALL)
        found.append(ended(tmp_path / f"{k}"))
    assert found[0] == found[1]
    moved = [name for name, value in checkpoint.read(tmp_path / "0")[1].items() if name.startswith("now/") and value.any()]
    assert "now/edge_decoder.2.weight" in moved


def test_training_lowers_iterations(train):
    """On a size that was not trained on; the start, Jacobi's and the Neumann factor's, is what has to be beaten."""
    parts = split(["fem2d"], sizes=[100, 150], unseen_sizes=[500], count=12, held_out=1)
    system = parts.validation[0].system()
    for recipe, start, part in ((small("graph"), Jacobi(), 0.9), (small(), NeumannFactor(), 0.98)):
        trained = train(recipe, parts, progress=False, steps=40, every=20, rate=1e-2)
        counts = [cg(system.A, system.b, M=M).iterations for M in (trained, start)]
        assert counts[0] < part * counts[1], counts


def test_the_start_is_returned_if_nothing_beats_it(train):
    """Steps far too large make it worse."""
    assert same(train(small(), PARTS, progress=False, **{**SMALL, "rate": 3.0}), small())


def test_what_is_trained_is_what_is_applied(train):
    """The loss of a graph factor that guesses, computed once more from M and M.guess as a solver sees them."""
    from petrov.learned import training

    recipe = GraphFactor.untrained(coordinates=2, node_features=1, edge_features=2, guess=True, width=6, steps=2)
    rng = np.random.default_rng(SEED)
    weights = {name: value + 0.2 * rng.standard_normal(value.shape) for name, value in recipe.network.weights.items()}
    recipe, system = GraphFactor(Network(recipe.network.architecture, weights)), PARTS.training[0].system()
    objective = training.OBJECTIVES[recipe.kind][0](recipe, training.Plan("data", columns=3), "cpu")
    value = objective.loss(objective.prepare(system), np.random.default_rng(3))

    M, s = system.bind(recipe)(system.A), 1 / np.sqrt(system.A.diagonal())
    B = np.random.default_rng(3).standard_normal((len(s), 3))
    X = np.linalg.solve(s[:, None] * system.A.toarray() * s, B)
    product = s[:, None] * np.linalg.inv(M @ np.eye(len(s))) * s  # L L^T of the scaled matrix
    data = np.mean(((product @ X - B) ** 2).sum(0) / (B**2).sum(0))
    guess = M.guess(B[:, 0] / s) / s
    wanted = data + ((guess - X[:, 0]) ** 2).sum() / (X[:, 0] ** 2).sum()
    assert float(value.detach()) == pytest.approx(wanted, rel=1e-5), "a set-up runs in single precision"


@pytest.mark.parametrize("kind", ["graph", "sparse"])
def test_stopped_and_gone_on_with(kind, train, tmp_path, capfd):
    path, at_once = tmp_path / "t", tmp_path / "at once"
    whole = train(small(kind), PARTS, checkpoint=at_once, progress=False, **SMALL)
    train(small(kind), PARTS, checkpoint=path, progress=False, **{**SMALL, "steps": 4})
    assert same(whole, train(small(kind), PARTS, checkpoint=path, **SMALL)) and "6/6" in capfd.readouterr().err
    assert ended(path) == ended(at_once)
    assert same(whole, train(small(kind), PARTS, checkpoint=path, progress=False, **SMALL)) and ended(path) == ended(at_once)


def test_checkpoints_of_other_work(train, tmp_path):
    path = tmp_path / "t"
    train(small(), PARTS, checkpoint=path, progress=False, **{**SMALL, "steps": 2})
    with pytest.raises(ValueError, match=r"is of other work \(plan differs\)"):
        train(small(), PARTS, checkpoint=path, progress=False, **{**SMALL, "rate": 1e-4})
    with pytest.raises(ValueError, match="start differs"):
        train(SparseInverseNetwork.untrained(width=6, steps=2, seed=4), PARTS, checkpoint=path, progress=False, **SMALL)
    save(small(), path)
    with pytest.raises(ValueError, match="other work"):
        train(small(), PARTS, checkpoint=path, progress=False, **SMALL)


def test_time_runs_out(train, tmp_path):
    """No time at all: one look at the start, which is returned."""
    got = train(small(), PARTS, minutes=0.0, checkpoint=tmp_path / "t", progress=False, **SMALL)
    assert same(got, small()) and not (tmp_path / "t").exists()


@pytest.mark.slow
def test_kill_changes_no_bit(train, tmp_path):
    path = tmp_path / "t"
    code = f"""
from petrov import learned
parts = learned.split(["fem2d", "fv2d"], sizes=[80, 120], unseen_sizes=[300], count=6, held_out=1)
learned.train(learned.SparseInverseNetwork.untrained(width=6, steps=2), parts, checkpoint={str(path)!r}, progress=False,
              steps=10**6, batch=2, columns=3, unrolled=5, every=2)
"""
    for _ in range(2):
        before = path.stat().st_mtime_ns if path.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", code])
        deadline = time.monotonic() + 240
        while not (path.exists() and path.stat().st_mtime_ns > before) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = checkpoint.read(path)[0]["facts"]["step"]
    steps = 2 * (done // 2) + 4
    for file in (path, tmp_path / "at once"):
        train(small(), PARTS, checkpoint=file, progress=False, **{**SMALL, "steps": steps})
    assert ended(path) == ended(tmp_path / "at once")


REFUSED = [
    (lambda t: t(small(), PARTS, loss="data"), "loss must be one of"),
    (lambda t: t(small("graph"), PARTS, loss="sai"), "loss must be one of data, unrolled-cg for a graph factor"),
    (lambda t: t(small(), PARTS, steps=0), "steps must be"),
    (lambda t: t(small(), PARTS, rate=-1.0), "rate must be positive"),
]


@pytest.mark.parametrize(("run", "says"), REFUSED)
def test_refusals(run, says, train):
    with pytest.raises(ValueError, match=says):
        run(train)


def test_weights_are_checked_where_they_enter():
    with pytest.raises(ValueError, match="must be finite"):
        Network(small().network.architecture, {k: np.full_like(v, np.nan) for k, v in small().network.weights.items()})
    assert problems.poisson(3).spd


# Fine-tuning, and training by command.


def test_tune(train):
    from petrov import learned

    systems = [problems.jump(9, seed=seed, contrast=1e4)[:2] for seed in range(5)]
    options = {"steps": 30, "every": 10, "batch": 1, "columns": 3, "rate": 1e-2, "progress": False}
    start = small("graph")
    tuned = learned.tune(start, systems, **options)
    assert same(tuned, learned.tune(start, iter(systems), **options))
    A, b = systems[1]
    assert cg(A, b, M=tuned).iterations < 0.9 * cg(A, b, M=start).iterations
    for few in ([], systems[:1]):
        with pytest.raises(ValueError, match=f"two systems or more.*got {len(few)}"):
            learned.tune(small(), few)
    with pytest.raises(ValueError, match=r"systems\[1\]: b must have shape \(81,\)"):
        learned.tune(small(), [systems[0], (systems[0][0], np.ones(3))])
    with pytest.raises(TypeError, match=r"systems\[0\] must be \(A, b\)"):
        learned.tune(small(), [3, 4])


TRAIN = ["train", "sparse-inverse-network", "--family", "fv2d", "--systems", "3", "--sizes", "60", "--unseen-sizes", "120", "--steps", "2"]


def test_train_by_command(train, tmp_path, capsys):
    from petrov.cli import main

    out = tmp_path / "w.safetensors"
    assert main([*TRAIN, "--out", str(out)]) == 0 and "iterations on unseen sizes" in capsys.readouterr().out
    first, facts = load(out), describe(out)["facts"]
    assert facts["families"] == ["fv2d"] and facts["steps"] == 2 and facts["seconds"] > 0 and list(tmp_path.iterdir()) == [out]
    assert main([*TRAIN, "--out", str(out)]) == 0 and same(first, load(out))
    assert main([*TRAIN, "--out", str(out), "--start", str(out)]) == 0
    for wrong, says in (
        (["--family", "nope"], "family must be one of fem2d"), (["--loss", "nope"], "loss must be one of sai, unrolled-cg, kaporin"),
        (["--out", str(tmp_path / "w.npy")], "name of a .safetensors file"), (["--minutes", "0"], "--minutes must be positive"),
        (["--family", "fv2d", "fv3d"], "one dimension"), (["--start", str(tmp_path / "no")], "there is no file"),
    ):  # fmt: skip
        assert main([*TRAIN, *wrong]) == 2 and says in capsys.readouterr().err
