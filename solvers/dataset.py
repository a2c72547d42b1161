"""Training data for operator learning: coefficients a and solutions u of a family of systems, resumable at every sample.

A folder holds manifest.json and, shard by shard, a-00000.npy and u-00000.npy of shape (samples, n, ..., n). A shard that is being
written is called .part, and done-00000.npy.part says which of its samples are there: each is marked after its data are written,
so a process that is killed loses at most the sample it was at. Files are read without pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .result import SolveResult
from .sequences import Sequence, Summary

SCHEMA = 1
LOCK = ".lock"
WINDOW = 64  # samples that are sorted together; their matrices are held


System = Callable[[int], tuple[Any, np.ndarray, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The data that are asked for: `samples` pairs (a, u), each of `shape`, kept as `dtype`, `shard` of them a file.

    `family` says in words and numbers what the samples are: a folder is gone on with only if it holds the same.
    """

    samples: int
    shape: tuple[int, ...]
    family: dict[str, Any]
    rtol: float = 1e-8
    dtype: str = "float32"
    shard: int = 256

    def __post_init__(self) -> None:
        for name in ("samples", "shard"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; got {getattr(self, name)}")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"dtype must be float32 or float64; got {self.dtype!r}")
        if not 1e-14 <= self.rtol < 1:
            raise ValueError(f"rtol must lie between 1e-14 and 1; got {self.rtol}")

    def shards(self) -> list[tuple[int, int, int]]:
        """(number, first sample, samples) of every shard."""
        starts = range(0, self.samples, self.shard)
        return [(k, first, min(self.shard, self.samples - first)) for k, first in enumerate(starts)]


def generate(
    system: System, wanted: Wanted, folder: str | Path, *, progress: Callable[[int, int], Any] | None = None
) -> Summary:  # fmt: skip
    """Write the samples that the folder does not hold yet.

    system(i) gives (A, b, a) of sample i, always the same: A u = b is solved to wanted.rtol by a `Sequence`, a and u are written
    in wanted.shape. progress(samples there, samples wanted) is called after each.

    Returns the summary of the solves. Raises FileExistsError if the folder holds other data, files that are not ours, or has
    another writer; SolveError if a system is not solved. Whatever ends it, calling again goes on where it stopped. Memory: the
    matrices of 64 samples, and what a solve needs.

    >>> import tempfile
    >>> from petrov.solvers import dataset, problems
    >>> def system(i):
    ...     p = problems.darcy(8, seed=i)
    ...     return p.A, p.b, p.coefficient
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = dataset.generate(system, dataset.Wanted(samples=5, shape=(8, 8), family={"problem": "darcy"}), folder)
    ...     a, u = dataset.read(folder)
    >>> a.shape, u.shape
    ((5, 8, 8), (5, 8, 8))
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        writer = Writer(system, wanted, folder, progress)
        sequence = Sequence(rtol=wanted.rtol, window=WINDOW)
        sequence.solve(writer.systems(), write=writer.write)
    return sequence.summary


class Writer:
    """Where each solution of a sequence of systems belongs."""

    def __init__(
        self, system: System, wanted: Wanted, folder: Path, progress: Callable[[int, int], Any] | None
    ) -> None:  # fmt: skip
        self.system, self.wanted, self.folder, self.progress = system, wanted, folder, progress
        self.manifest = opened(wanted, folder)
        self.missing = missing(wanted, self.manifest)
        self.there = wanted.samples - sum(count - done_in(folder, k, count) for k, _, count in self.missing)
        self.open: dict[int, Shard] = {}
        self.sent: dict[int, int] = {}  # the sample behind each system of the sequence
        self.report()

    def systems(self) -> Iterator[tuple[Any, np.ndarray]]:
        """The samples that are missing; their coefficients are written as they come."""
        for number, first, count in self.missing:
            shard = Shard(self.wanted, self.folder, number, first, count)
            if not (left := shard.left()):  # killed between its last sample and its entry in the manifest
                self.close(shard)
            self.open[number] = shard
            for sample in left:
                A, b, a = self.system(sample)
                shard.a[sample - first] = np.reshape(a, self.wanted.shape)
                self.sent[len(self.sent)] = sample
                yield A, b

    def write(self, index: int, result: SolveResult) -> None:
        """Keep one solution; one that failed is not, and the sequence raises."""
        if not result.converged:
            return
        sample = self.sent[index]
        number = sample // self.wanted.shard
        if self.open[number].take(sample, result.x):
            self.close(self.open.pop(number))
        self.there += 1
        self.report()

    def close(self, shard: Shard) -> None:
        """Enter a shard that is whole in the manifest, and give its files their names."""
        self.manifest["shards"] = sorted([*self.manifest["shards"], shard.entry()], key=lambda entry: entry["number"])
        save(self.manifest, self.folder)

    def report(self) -> None:
        if self.progress is not None:
            self.progress(self.there, self.wanted.samples)


def read(folder: str | Path, *, verify: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(a, u) of all samples (samples, n, ..., n), in order; verify=True compares every file with its checksum.

    FileNotFoundError if the folder holds no data, ValueError if samples are missing or a file is not what was written.
    """
    folder = Path(folder)
    if not (folder / "manifest.json").is_file():
        raise FileNotFoundError(f"{folder} holds no manifest.json; `petrov generate` writes one")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    held = sum(shard["samples"] for shard in manifest["shards"])
    if held != manifest["wanted"]["samples"]:
        raise ValueError(
            f"{folder} holds {held} of {manifest['wanted']['samples']} samples; run `petrov generate` again to go on"
        )
    for shard in manifest["shards"] if verify else ():
        for name, sum_ in shard["sha256"].items():
            if checksum(folder / name) != sum_:
                raise ValueError(f"{folder / name} is not the file that was written: its checksum differs")
    parts = [[np.load(folder / f"{name}-{shard['number']:05d}.npy") for shard in manifest["shards"]] for name in "au"]
    return np.concatenate(parts[0]), np.concatenate(parts[1])


class Shard:
    """The files of one shard while it is being written."""

    def __init__(self, wanted: Wanted, folder: Path, number: int, first: int, count: int) -> None:
        self.folder, self.number, self.first, self.count = folder, number, first, count
        shape, dtype = (count, *wanted.shape), np.dtype(wanted.dtype)
        self.a, self.u = (self.mapped(name, shape, dtype) for name in "au")
        self.done = self.mapped("done", (count,), np.dtype(np.uint8))

    def path(self, name: str) -> Path:
        return self.folder / f"{name}-{self.number:05d}.npy"

    def mapped(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
        """The .part file in memory: what an earlier run left, or a new one, made whole before it gets its name."""
        part = self.path(name).with_suffix(".npy.part")
        if part.exists():
            try:
                found = np.lib.format.open_memmap(part, mode="r+")
            except ValueError:
                found = None
            if found is not None and found.shape == shape and found.dtype == dtype:
                return found
        fresh = part.with_suffix(".new")
        np.lib.format.open_memmap(fresh, mode="w+", dtype=dtype, shape=shape).flush()
        os.replace(fresh, part)
        return np.lib.format.open_memmap(part, mode="r+")

    def left(self) -> list[int]:
        return [self.first + int(k) for k in np.flatnonzero(self.done[:] == 0)]

    def take(self, sample: int, u: np.ndarray) -> bool:
        """Write one solution; True if it was the last."""
        self.u[sample - self.first] = u.reshape(self.u.shape[1:])
        self.done[sample - self.first] = 1  # only now
        return bool(self.done.all())

    def entry(self) -> dict[str, Any]:
        """What the manifest says of the files; they get their names when it is saved."""
        for data in (self.a, self.u):
            data.flush()
        sums = {self.path(name).name: checksum(self.path(name).with_suffix(".npy.part")) for name in "au"}
        return {"number": self.number, "first": self.first, "samples": self.count, "sha256": sums}


def done_in(folder: Path, number: int, count: int) -> int:
    """Samples that an unfinished shard holds."""
    try:
        done = np.load(folder / f"done-{number:05d}.npy.part")
    except (FileNotFoundError, ValueError):
        return 0
    return int(done.sum()) if done.shape == (count,) else 0


def opened(wanted: Wanted, folder: Path) -> dict[str, Any]:
    """The manifest of the folder: the one that is there, if it describes the same data, or a new one."""
    path, described = folder / "manifest.json", json.loads(json.dumps(asdict(wanted)))
    if not path.is_file():
        strangers = sorted(path.name for path in folder.iterdir() if path.name not in (LOCK, "manifest.json.new"))
        if strangers:
            raise FileExistsError(f"{folder} is not empty and holds no manifest.json of ours, but {strangers[0]}; name another")
        manifest = {"schema": SCHEMA, "wanted": described, "shards": []}
        save(manifest, folder)
        return manifest
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if manifest.get("schema") != SCHEMA or manifest.get("wanted") != described:
        there = manifest.get("wanted", {})
        there, here = ({**other, **other.get("family", {})} for other in (there, described))
        name = next((key for key in here if key != "family" and there.get(key) != here[key]), "schema")
        told = f"{name} is {there.get(name)!r} there, {here.get(name)!r} here"
        raise FileExistsError(f"{folder} holds other data: {told}; name another folder")
    for shard in manifest["shards"]:
        named(folder, shard)
    return manifest


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Refuse to write where another process writes; the lock ends with its process, however that ends."""
    try:
        import fcntl
    except ImportError:  # no POSIX: nothing to lock with
        yield
        return
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FileExistsError(f"another process is writing to {folder}; wait for it, or name another folder") from error
        yield


def missing(wanted: Wanted, manifest: dict[str, Any]) -> list[tuple[int, int, int]]:
    there = {shard["number"] for shard in manifest["shards"]}
    return [shard for shard in wanted.shards() if shard[0] not in there]


def save(manifest: dict[str, Any], folder: Path) -> None:
    """Write the manifest whole, then give the shards it names their names."""
    fresh = folder / "manifest.json.new"
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, folder / "manifest.json")
    for shard in manifest["shards"]:
        named(folder, shard)


def named(folder: Path, shard: dict[str, Any]) -> None:
    """Drop the .part of the files of a finished shard."""
    for name in shard["sha256"]:
        part = folder / f"{name}.part"
        if part.exists():
            os.replace(part, folder / name)
    (folder / f"done-{shard['number']:05d}.npy.part").unlink(missing_ok=True)


def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
