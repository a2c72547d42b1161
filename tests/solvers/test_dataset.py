"""Training data: every sample solves its equation, and none is lost or doubled however often the writer is killed."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import petrov
from petrov import cli
from petrov.solvers import dataset, problems
from petrov.solvers.dataset import Wanted

PROGRAM = """
import sys
from petrov.solvers import dataset, problems
def system(k):
    p = problems.darcy(16, seed=k)
    return p.A, p.b, p.coefficient
wanted = dataset.Wanted(samples=90, shape=(16, 16), family={}, shard=20, dtype="float64")
dataset.generate(system, wanted, sys.argv[1], progress=lambda there, wanted: print(there, flush=True))
"""


def media(n, dim=2, coefficient="lognormal"):
    """(system, the fields of Wanted that belong to it)."""

    def system(k):
        p = problems.darcy(n, dim, coefficient=coefficient, seed=k)
        return p.A, p.b, p.coefficient

    return system, {"shape": (n,) * dim, "family": {"problem": "darcy", "coefficient": coefficient}}


SYSTEM, SQUARE = media(8)


def solved(folder, wanted, dim=2, coefficient="lognormal"):
    a, u = dataset.read(folder, verify=True)
    assert a.shape == u.shape == (wanted.samples, *wanted.shape)
    for sample in range(wanted.samples):
        problem = problems.darcy(wanted.shape[0], dim, coefficient=coefficient, seed=sample)
        np.testing.assert_allclose(a[sample].ravel(), problem.coefficient, rtol=1e-6)
        residual = problem.b - problem.A @ u[sample].ravel().astype(float)
        assert np.linalg.norm(residual) <= (wanted.rtol if wanted.dtype == "float64" else 1e-2) * np.linalg.norm(problem.b)


@pytest.mark.parametrize(
    "grid, options",
    [
        ((12,), {"samples": 7, "shard": 3, "dtype": "float64"}), ((6, 3), {"samples": 4}), ((9,), {"samples": 1}),
        ((8, 2, "two-phase"), {"samples": 70, "shard": 100, "rtol": 1e-6, "dtype": "float64"}),
    ],
)  # fmt: skip
def test_every_sample_solves_its_equation(grid, options, tmp_path):
    system, fields = media(*grid)
    wanted = Wanted(**fields, **options)
    summary = dataset.generate(system, wanted, tmp_path / "data")
    assert summary.systems == wanted.samples
    solved(tmp_path / "data", wanted, *grid[1:])
    assert dataset.generate(system, wanted, tmp_path / "data").systems == 0


def test_nothing_is_lost_or_doubled_by_kill_9(tmp_path):
    """Four runs are killed at once after some sample; the fifth may finish."""
    there, solves = 0, 0
    for enough in (3, 25, 30, 75, None):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path / "data")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
            counts = []
            for line in run.stdout:
                counts.append(int(line))
                if enough is not None and counts[-1] >= enough:
                    os.kill(run.pid, signal.SIGKILL)
                    break
            counts += [int(line) for line in run.stdout if line.strip()]
        assert run.returncode == (0 if enough is None else -signal.SIGKILL)
        # What was reported is there; what was marked but not yet reported is at most one more.
        assert there <= counts[0] <= there + 1
        assert counts == list(range(counts[0], counts[-1] + 1))
        solves += len(counts) - 1 + (counts[0] - there)
        there = counts[-1]
    assert there == solves == 90
    solved(tmp_path / "data", Wanted(samples=90, shape=(16, 16), family={}, shard=20, dtype="float64"))


def test_a_shard_that_was_whole_but_not_named_is_not_solved_again(tmp_path, monkeypatch):
    wanted = Wanted(samples=4, shard=2, **SQUARE)
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "save", lambda manifest, folder: None if manifest["shards"] else save(manifest, folder))
        dataset.generate(SYSTEM, wanted, tmp_path)
    with pytest.raises(ValueError, match="holds 0 of 4"):
        dataset.read(tmp_path)
    assert dataset.generate(SYSTEM, wanted, tmp_path).systems == 0
    assert len(dataset.read(tmp_path, verify=True)[0]) == 4
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != ".lock") == [
        "a-00000.npy", "a-00001.npy", "manifest.json", "u-00000.npy", "u-00001.npy",
    ]  # fmt: skip


save = dataset.save


def two(coefficient):
    system, fields = media(8, 2, coefficient)
    return system, Wanted(samples=2, **fields)


def test_a_changed_file_is_told(tmp_path):
    dataset.generate(SYSTEM, Wanted(samples=2, **SQUARE), tmp_path)
    data = bytearray((tmp_path / "u-00000.npy").read_bytes())
    data[-1] ^= 1
    (tmp_path / "u-00000.npy").write_bytes(data)
    with pytest.raises(ValueError, match="checksum differs"):
        dataset.read(tmp_path, verify=True)


@pytest.mark.parametrize(
    "prepare, error, words",
    [
        (
            lambda folder: dataset.generate(*two("two-phase"), folder),
            FileExistsError,
            "coefficient is 'two-phase' there, 'lognormal'",
        ),
        (lambda folder: (folder / "thesis.tex").write_text("x"), FileExistsError, "thesis.tex; name another"),
        (lambda folder: (folder / "manifest.json").write_text(json.dumps({"schema": 9})), FileExistsError, "holds other data"),
    ],
)
def test_a_folder_of_something_else_is_left_alone(prepare, error, words, tmp_path):
    prepare(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(error, match=words):
        dataset.generate(SYSTEM, Wanted(samples=2, **SQUARE), tmp_path)
    assert all(path.read_bytes() == content for path, content in before.items())


def test_two_writers_do_not_share_a_folder(tmp_path):
    tmp_path.mkdir(exist_ok=True)
    with dataset.alone(tmp_path), pytest.raises(FileExistsError, match="another process is writing"):
        dataset.generate(SYSTEM, Wanted(samples=2, **SQUARE), tmp_path)


@pytest.mark.parametrize("field, value", [("samples", 0), ("shard", 0), ("dtype", "int8"), ("rtol", 2.0)])
def test_a_wrong_description_is_refused(field, value):
    with pytest.raises(ValueError, match=field):
        Wanted(**{"samples": 1, **SQUARE, field: value})


def test_the_command(tmp_path, capsys):
    command = ["generate", "darcy", "--samples", "3", "--grid", "8", "--out", str(tmp_path / "data")]
    assert cli.main(command) == 0
    assert "3 samples of 8 x 8 are in" in capsys.readouterr().out
    assert cli.main(command) == 0
    assert "nothing was missing" in capsys.readouterr().out
    assert cli.main([*command[:-1], str(tmp_path), "--grid", "9"]) == 2
    assert "name another" in capsys.readouterr().err


def test_a_command_that_is_interrupted_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def stop(*arguments, **keywords):
        raise petrov.SolveInterrupted("stopped", None)

    monkeypatch.setattr(dataset, "generate", stop)
    assert cli.main(["generate", "darcy", "--samples", "3", "--grid", "8", "--out", str(tmp_path)]) == 130
    assert "the same command goes on" in capsys.readouterr().err
