"""Checkpoints: steps are there whole or not at all, belong to one piece of work, and damage is told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

from petrov.rom.files import model_file
from petrov.rom.files.checkpoint import Checkpoint, fingerprint
from petrov.rom.files.model_file import ModelFileError
from petrov.solvers.dataset import alone

IDENTITY = {"train": fingerprint(np.eye(3)), "options": {"tol": 1e-6, "seed": [7, 8]}}


def step(i):
    return {"snapshot": np.full(5, i + 1j), "mu": np.array([i], dtype=">f4"), "empty": np.empty((0, 3))}


@pytest.fixture
def folder(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run", IDENTITY)
    assert checkpoint.steps() == 0
    assert [checkpoint.append(step(i)) for i in (1, 2, 3, 4)] == [1, 2, 3, 4]
    return tmp_path / "run"


def sound(checkpoint, steps):
    assert checkpoint.steps() == steps
    for i in range(1, steps + 1):
        for mmap in ((), True):
            arrays = checkpoint.load(i, mmap=mmap)
            assert [*arrays] == [*step(i)]
            for name, array in step(i).items():
                np.testing.assert_array_equal(arrays[name], array)
                assert arrays[name].dtype == array.dtype


def test_work_goes_on(folder):
    (folder / ".petrov-0123.part").write_bytes(b"left by a writer that was killed")
    again = Checkpoint(str(folder), {"options": {"seed": (7, np.int64(8)), "tol": 1e-6}, "train": IDENTITY["train"]})
    sound(again, 4)
    assert again.append(step(5)) == 5
    sound(Checkpoint(folder, IDENTITY), 5)
    assert sorted(os.listdir(folder)) == [".lock", "header.json", *(f"step-0000{i}.rom" for i in range(1, 6))]


@pytest.mark.parametrize(
    "identity, said",
    [
        ({**IDENTITY, "train": "0"}, r"identity\['train'\] is '[0-9a-f]{64}' there, '0' here"),
        ({**IDENTITY, "options": {"tol": 1e-6, "seed": [7, 9]}}, r"identity\['options'\]\['seed'\]\[1\] is 8 there, 9 here"),
        ({**IDENTITY, "options": {"tol": 1e-6, "seed": [7]}}, r".*\['seed'\] is \[7, 8\] there, \[7\] here"),
        ({**IDENTITY, "options": "x" * 500}, r"identity\['options'\] is \{.*\} there, 'xx.*\.\.\. here; name another"),
        ({**IDENTITY, "size": 3}, r"identity\['size'\] is only here"),
        ({"train": IDENTITY["train"]}, r"identity\['options'\] is only there"),
    ],
)  # fmt: skip
def test_other_work_is_refused(identity, said, folder):
    before = sorted(os.listdir(folder))
    with pytest.raises(FileExistsError, match=f"other work: {said}.* or remove this one"):
        Checkpoint(folder, identity)
    assert sorted(os.listdir(folder)) == before


def spoil(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda folder: spoil(folder / "step-00003.rom"), "step-00003.rom: .*checksum"),
        (lambda folder: os.truncate(folder / "step-00003.rom", 100), "step-00003.rom: .*cut off"),
        (lambda folder: (folder / "step-00003.rom").unlink(), "step-00003.rom is missing"),
        (lambda folder: shutil.copy(folder / "step-00002.rom", folder / "step-00003.rom"), "step-00003.rom is step 2"),
        (lambda folder: model_file.write(folder / "step-00003.rom", "model", {}, {}), "'model' where a 'checkpoint step'"),
        (lambda folder: stranger(folder / "step-00003.rom"), "of this or other work"),
    ],
)  # fmt: skip
def test_damaged_steps_are_set_aside(damage, said, folder):
    damage(folder)
    there = (folder / "step-00003.rom").exists()
    with pytest.warns(RuntimeWarning, match=rf"{said}.*{2 if there else 1} steps? from .* renamed to \*\.dropped; 2 sound") as caught:
        checkpoint = Checkpoint(folder, IDENTITY)
    assert caught[0].filename == __file__
    assert (folder / "step-00003.rom.dropped").exists() == there and (folder / "step-00004.rom.dropped").exists()
    sound(checkpoint, 2)
    checkpoint.append(step(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sound(Checkpoint(folder, IDENTITY), 3)


def stranger(path):
    """A third step of other work."""
    other = Checkpoint(path.parent.parent / "other", {"train": 5})
    for i in (1, 2, 3):
        other.append(step(i))
    shutil.copy(other.path(3), path)


def test_damage_after_opening_is_an_error(folder):
    checkpoint = Checkpoint(folder, IDENTITY)
    spoil(folder / "step-00002.rom")
    with pytest.raises(ModelFileError, match="step-00002"):
        checkpoint.load(2)


def test_what_is_not_ours(folder, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match=r"not empty and holds no header.json of ours, but run; name another"):
        Checkpoint(tmp_path, IDENTITY)
    with pytest.raises(FileExistsError):
        Checkpoint(tmp_path / "thesis.txt", IDENTITY)
    for text, said in {
        "{": "not the JSON", "[]": "no schema", '{"schema": 2, "petrov": "9"}': "written by petrov 9 .*upgrade petrov, or name another",
        '{"schema": 1}': r"identity is None there",
    }.items():  # fmt: skip
        (folder / "header.json").write_text(text)
        with pytest.raises((ModelFileError, FileExistsError), match=said):
            Checkpoint(folder, IDENTITY)
    assert len(list(folder.glob("step-*.rom"))) == 4


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda c: c.load(0), IndexError, "step 0 was asked for; .* holds 4, numbered from 1"),
        (lambda c: c.load(5), IndexError, "step 5"),
        (lambda c: c.append({"a": np.array([None])}), TypeError, "object"),
        (lambda c: c.append([1]), TypeError, "mapping"),
        (lambda c: Checkpoint(c.folder, {"f": np.sin}), TypeError, r"header\['f'\] is of type ufunc"),
        (lambda c: Checkpoint(c.folder, "run"), TypeError, "mapping"),
    ],
)  # fmt: skip
def test_bad_calls(call, error, said, folder):
    with pytest.raises(error, match=said):
        call(Checkpoint(folder, IDENTITY))
    sound(Checkpoint(folder, IDENTITY), 4)


def test_two_writers(folder):
    first, second = Checkpoint(folder, IDENTITY), Checkpoint(folder, IDENTITY)
    with alone(folder):
        for call in (lambda: first.append(step(5)), lambda: Checkpoint(folder, IDENTITY)):
            with pytest.raises(FileExistsError, match="another process"):
                call()
        sound(first, 4)  # reading needs no lock
    assert first.append(step(5)) == 5
    with pytest.raises(FileExistsError, match=r"step-00005.rom was written by another process"):
        second.append(step(6))
    sound(Checkpoint(folder, IDENTITY), 5)


PROGRAM = """
import sys
import numpy as np
from petrov.rom.files.checkpoint import Checkpoint
checkpoint = Checkpoint(sys.argv[1], {"work": 1})
print(checkpoint.steps(), flush=True)
while True:
    print(checkpoint.append({"x": np.full(200_000, checkpoint.steps() + 1.0)}), flush=True)
"""


def test_nothing_is_lost_by_kill_9(tmp_path):
    there = 0
    for more in (2, 5, 9):
        with subprocess.Popen([sys.executable, "-W", "error", "-c", PROGRAM, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True) as run:
            assert int(run.stdout.readline()) in (there, there + 1)  # what was renamed and not yet told
            for _ in range(more):
                there = int(run.stdout.readline())
            os.kill(run.pid, signal.SIGKILL)
            there = max([there, *map(int, run.stdout.read().split())])
    checkpoint = Checkpoint(tmp_path / "run", {"work": 1})
    assert checkpoint.steps() in (there, there + 1) and there >= 16
    for i in range(1, checkpoint.steps() + 1):
        assert (checkpoint.load(i)["x"] == i).all()
    assert json.loads((tmp_path / "run" / "header.json").read_text())["identity"] == {"work": 1}


A = np.arange(6.0).reshape(2, 3)


def test_fingerprints():
    alike = [(A,), (np.asfortranarray(A),), (np.repeat(A, 2, axis=1)[:, ::2],), (A.astype(">f8"),), (A.tolist(),)]
    assert {fingerprint(*things) for things in alike} == {fingerprint(A)}
    others = [
        (), (A.astype("f4"),), (A.ravel(),), (A.T,), (A[None],), (-A,), (A + 0j,), (A[:0],), (A, ""), ("", A), (A, A), (A[0], A[1]),
        ("a", "b"), ("ab", ""), ("", "ab"), ("ab",), (b"ab",), (0,), (0.0,), (-0.0,), (False,), ("0",), ([],), ("\ud800",), (A > 1,),
    ]  # fmt: skip
    assert len({fingerprint(*things) for things in [(A,), *others]}) == len(others) + 1
    for thing in (None, {"a": 1}, print, np.array([None]), ["a"]):
        with pytest.raises(TypeError, match="texts and arrays of numbers"):
            fingerprint(A, thing)
