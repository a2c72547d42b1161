"""A reduced model in a file: how large, how long to load, and whether it answers as before; beside pyMOR's pickle."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ... import rom
from ..document import OK, WRONG, Row
from . import peer, thermal
from .thermal import Case, Timing

WORK = "file"
OURS, RIVAL = "petrov.rom, save and load", "pyMOR, pickle"
ASKED = 100  # parameters at which the answers are compared


class Way(NamedTuple):
    """How a model is written, read, and asked."""

    model: Any
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    answers: Callable[[Any], np.ndarray]


def name(case: Case) -> str:
    return f"file of the {case.name}"


def measure(case: Case, timing: Timing) -> list[Row]:
    """What answers is kept, not the basis: pyMOR's reduced model has none.

    set-up: seconds to write; solve: seconds to read; memory: bytes of the file for each unknown of the full system.
    """
    block, ours, theirs = thermal.prepared(case, timing)
    mus = block.tests[:ASKED]
    asked = peer.asked(theirs.model, mus)
    row = Row(
        name(case), "thermal block", "spd", OURS, "petrov", OK, rows=len(block.f), entries=int(block.X.nnz),
        iterations=case.size, work=WORK,
    )  # fmt: skip
    here = Way(
        ours.model, lambda path: ours.model.save(path, basis=False), lambda path: rom.load(path, stability=thermal.smallest),
        lambda model: answers(model, mus),
    )  # fmt: skip
    there = Way(theirs.model, lambda path: peer.save(theirs.model, path), peer.load, lambda model: peer.answer(model, asked))
    return [kept(row, here, timing.rounds), kept(replace(row, method=RIVAL, library="pymor"), there, timing.rounds)]


def answers(model: Any, mus: np.ndarray) -> np.ndarray:
    result = model.predict(mus)
    return np.concatenate([np.asarray(result.coefficients).ravel(), np.asarray(result.bound)])


def kept(row: Row, way: Way, rounds: int) -> Row:
    """The row of a model that was written and read; wrong if it answers otherwise than before in a single bit."""
    written, read = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.rom"
        for _ in range(max(rounds, 3)):
            path.unlink(missing_ok=True)
            start = time.perf_counter()
            way.write(path)
            middle = time.perf_counter()
            model = way.read(path)
            written.append(middle - start)
            read.append(time.perf_counter() - middle)
        size = path.stat().st_size
    if not np.array_equal(way.answers(model), way.answers(way.model)):
        return replace(row, status=WRONG, reason="the model that was read answers otherwise")
    return replace(
        row, reason=f"{size:,} bytes", memory=size / (row.rows or 1), setup_seconds=float(np.median(written)),
        solve_seconds=float(np.median(read)), fastest_seconds=min(read), slowest_seconds=max(read), runs=len(read),
    )  # fmt: skip
