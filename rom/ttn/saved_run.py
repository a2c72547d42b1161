"""An evolution in a folder, so that it goes on after it was killed: data only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...solvers import arrays
from ..files.checkpoint import Checkpoint, fingerprint
from .kron_sum import KronSum
from .local_solvers import Stats
from .right_hand_sides import Affine, Linear
from .run import Now, Row, Run
from .state import TTN
from .tensors import placed
from .ttno import TTNO

ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class SavedRun:
    """The folder of one evolution. Each entry holds the cores, and the rows recorded since the entry before."""

    def __init__(self, folder: str | Path, identity: Mapping[str, Any]) -> None:
        self.checkpoint = Checkpoint(folder, identity)
        self.rows = 0  # in the folder

    def restored(self, run: Run) -> bool:
        """Whether there is an entry; then the run is what the last one was written of."""
        count = self.checkpoint.steps()
        if not count:
            return False
        for i in range(1, count + 1):
            entry = self.checkpoint.load(i)
            run.rows.extend(rows_of(entry, list(run.observe)))
        like = run.now.state.cores[0]
        state = TTN(run.now.state.tree, tuple(placed(entry[f"core/{node}"], like) for node in run.now.state.tree.nodes))
        step, rejections, applications, substeps = map(int, entry["counts"])
        tail, seconds = map(float, entry["sums"])
        run.now = Now(state, step, len(run.rows), tail, rejections, Stats(applications, substeps), seconds)
        self.rows = len(run.rows)
        return True

    def append(self, run: Run) -> None:
        now = run.now
        entry: dict[str, Any] = {f"core/{node}": arrays.to_numpy(core) for node, core in enumerate(now.state.cores)}
        entry["counts"] = np.array([now.step, now.rejections, now.stats.applications, now.stats.substeps])
        entry["sums"] = np.array([now.tail, now.seconds])
        rows = run.rows[self.rows : now.rows]
        entry["times"] = np.array([row.t for row in rows])
        entry["discarded"] = np.array([row.discarded for row in rows])
        entry["ranks"] = np.array([row.ranks for row in rows], int).reshape(len(rows), len(now.state.tree.edges))
        if rows:
            entry |= {f"observed/{k}": np.stack([row.observed[k] for row in rows]) for k in range(len(run.observe))}
        self.checkpoint.append(entry)
        self.rows = now.rows


def rows_of(entry: Mapping[str, np.ndarray], names: Sequence[str]) -> list[Row]:
    count = len(entry["times"])
    observed: list[Any] = [entry[f"observed/{k}"] if count else [] for k in range(len(names))]
    times, ranks, tails = entry["times"].tolist(), entry["ranks"].tolist(), entry["discarded"].tolist()
    return [Row(times[i], tuple(values[i] for values in observed), tuple(ranks[i]), tails[i]) for i in range(count)]


def identity_of(state: TTN, rhs: Any, method: Any, steps: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    """What tells one evolution from another: all numbers in it. Functions are not compared."""
    return {
        "tree": state.tree.record(),
        "state": fingerprint(*(arrays.to_numpy(core) for core in state.cores)),
        "right-hand side": fingerprint(*described(rhs)),
        "method": {"name": type(method).__name__} | parameters(method),
        "keep": [fingerprint(*described(w)) for w in getattr(method, "keep", ())],
        "t": [steps[0].t, steps[-1].end] if steps else [],
        "steps": [len(steps), fingerprint(np.array([(step.t, step.h, step.saved) for step in steps]).reshape(-1, 3))],
        "observe": list(names),
    }


def parameters(method: Any) -> dict[str, str]:
    """The fields of a method as texts; of one that is no dataclass, its text."""
    if not is_dataclass(method):
        return {"parameters": ADDRESS.sub("", repr(method))}
    return {field.name: ADDRESS.sub("", repr(getattr(method, field.name))) for field in fields(method)}


def described(x: Any) -> list[Any]:
    """The numbers in a right-hand side, in order; texts for what is a function."""
    if isinstance(x, Linear):
        return ["linear", repr(x.hermitian), *described(x.A)]
    if isinstance(x, Affine):
        return ["affine", *described(x.linear), *(described(x.source) if isinstance(x.source, TTN) else ["function"])]
    if isinstance(x, TTN | TTNO):
        factor = [np.complex128(x.factor)] if isinstance(x, TTNO) else []
        return [type(x).__name__, *factor, *(arrays.to_numpy(core) for core in x.cores)]
    if isinstance(x, KronSum):
        found: list[Any] = ["KronSum", np.complex128(x.factor)]
        for coefficient, factors in x.terms:
            found.append("function" if callable(coefficient) else np.complex128(coefficient))
            for leaf in sorted(factors):
                found += [np.array(leaf), *described_op(factors[leaf])]
        return found
    return [type(x).__name__]


def described_op(op: Any) -> list[Any]:
    if op is None or (callable(op) and not hasattr(op, "shape")):
        return ["identity" if op is None else "function"]
    if arrays.sparse(op):
        op = op.tocsr()
        return [op.data, op.indices, op.indptr]
    return [op]
