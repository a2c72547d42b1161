"""What full trajectories leave behind: singular vectors of the states, of f and of b; memory does not grow with time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..files.checkpoint import Checkpoint, fingerprint
from ..incremental_svd.svd import IncrementalSVD
from ..pod import kept, pod
from .problem import FullSystem, Problem

EPS = float(np.finfo(np.float64).eps)
BLOCK = 64  # states of a trajectory that are held before they are compressed
FINER = 1e-2  # a trajectory is compressed to this part of the tolerance
CAP = 400  # singular values that are followed while trajectories come in
DEFAULT = 1e-8  # the tolerance where only a size was asked for
SAMPLES = 8  # states that are kept as they are


@dataclass(slots=True, eq=False)
class Compressed:
    """Singular vectors times values (n, r) of columns that come one by one, to a relative tolerance: a nested POD.

    Himpe, Leibner and Rave, SIAM J. Sci. Comput. 40 (2018) A3267.
    """

    product: Any
    tol: float
    held: np.ndarray | None = None
    waiting: list[np.ndarray] = field(default_factory=list)

    def add(self, column: np.ndarray) -> None:
        self.waiting.append(column.copy())
        if len(self.waiting) == BLOCK:
            self.columns()

    def columns(self) -> np.ndarray:
        """What there is so far, compressed."""
        if self.waiting:
            S = np.stack(self.waiting, axis=1)
            modes = pod(S if self.held is None else np.hstack([self.held, S]), product=self.product, tol=self.tol)
            self.held = modes.basis * modes.singular_values[: modes.size]
            self.waiting = []
        assert self.held is not None
        return self.held


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Singular vectors (n, r) and values (r,) of everything seen."""

    vectors: np.ndarray
    values: np.ndarray

    def size(self, tol: float | None, most: int | None) -> int:
        """The fewest vectors that leave tol of the whole (root of the sum of squares), at most `most`; 0 if all was zero."""
        if not len(self.values) or not self.values[0] > 0:
            return 0
        return kept(self.values, len(self.vectors) * EPS, tol, most)


def trajectory(problem: Problem, mu: np.ndarray, product: Any, tols: dict[str, float]) -> dict[str, np.ndarray]:
    """name -> compressed columns of one full solution; "sample": its last state."""
    found = {name: Compressed(product if name == "states" else None, FINER * tol) for name, tol in tols.items()}

    def keep(k: int, u: np.ndarray, system: FullSystem) -> None:
        found["states"].add(u)
        if "nonlinear" in found:
            found["nonlinear"].add(system.force(u))
        if "rhs" in found:
            found["rhs"].add(system.b(k))
        last[0] = u

    last = [np.zeros(0)]
    problem.solve(mu, keep)
    return {name: part.columns() for name, part in found.items()} | {"sample": last[0]}


def gathered(
    problem: Problem, train: np.ndarray, product: Any, limits: dict[str, float | None], checkpoint: str | Path | None,
    say: Callable[[str], Any],
) -> tuple[dict[str, Spectrum], list[tuple[np.ndarray, np.ndarray]]]:  # fmt: skip
    """name -> singular vectors over all training trajectories, and a few samples (mu, last state).

    checkpoint: a folder in which each trajectory is kept.
    Memory: about (CAP + the compressed columns of one trajectory) numbers for each unknown and name.
    """
    tols = {name: DEFAULT if tol is None else tol for name, tol in limits.items()}
    samples: list[tuple[np.ndarray, np.ndarray]] = []
    saved = None if checkpoint is None else Checkpoint(checkpoint, identity(problem, train, product, tols))
    found = {name: IncrementalSVD(CAP, product=product if name == "states" else None, keep_right=False) for name in tols}
    for i, mu in enumerate(train):
        say(f"trajectory {i + 1} of {len(train)}")
        if saved is not None and i < saved.steps():
            parts = saved.load(i + 1)
        else:
            parts = trajectory(problem, mu, product, tols)
            if saved is not None:
                saved.append(parts)
        samples += [(mu, parts["sample"])] if len(samples) < SAMPLES else []
        for name, svd in found.items():
            if parts[name].shape[1]:
                svd.append_columns(parts[name])
    return {name: spectrum(svd, problem.n) for name, svd in found.items()}, samples


def spectrum(svd: IncrementalSVD, n: int) -> Spectrum:
    if not svd.shape[0]:
        return Spectrum(np.zeros((n, 0)), np.zeros(0))
    return Spectrum(svd.basis, svd.singular_values)


def identity(problem: Problem, train: np.ndarray, product: Any, tols: dict[str, float]) -> dict[str, Any]:
    """From what the trajectories are computed: matrices and parameters, and what the functions return at some points."""
    stated, everything, mus = problem.stated, np.arange(problem.n), train[:3]
    parts: list[Any] = [stated.times, train, problem.b_vectors, stated.weights(mus), problem.terms.values]
    parts += [] if problem.terms.pattern is None else [*problem.terms.pattern]
    parts += [] if problem.mass is None else [problem.mass.data, problem.mass.indices, problem.mass.indptr]
    for mu in mus:
        u = stated.start(mu)
        parts += [u, stated.b_weights(mu[None], float(stated.times[-1]))]
        if stated.f is not None:
            parts.append(stated.f.one(u, mu, everything))
        if stated.b is not None:
            parts.append(stated.b.one(float(stated.times[-1]), mu, everything))
    if product is not None:
        parts.append(product.lower(np.linspace(-1.0, 1.0, problem.n)))
    return {
        "what": "trajectories of a TransientModel", "parameters": stated.parameters.record(), "method": stated.scheme.name,
        "tol": stated.tol, "compression": dict(tols), "data": fingerprint(*parts),
    }  # fmt: skip
