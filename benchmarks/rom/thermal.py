"""The thermal block: our greedy algorithm and our answers with bounds beside pyMOR's, on the same matrices and parameters."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from ... import rom
from ..document import OK, WRONG, Row
from . import peer
from .peer import Block, Offline

WORK = "thermal"
OURS, ALONE = "petrov.rom.ReducedModel", "petrov.rom.ReducedModel, one parameter a call"
ANSWERS = 1000  # whose seconds are given
JUDGED = 10  # parameters at which errors are computed
SLACK = 1e-6  # of a bound, that rounding may take from it


@dataclass(frozen=True, slots=True)
class Case:
    """train: parameters to train on; size: of the basis; agreement: relative, of errors and bounds with pyMOR's."""

    blocks: tuple[int, int]
    train: int
    size: int
    agreement: float

    @property
    def name(self) -> str:
        return f"thermal block {self.blocks[0]}x{self.blocks[1]}, N = {self.size}"


CASES = {
    True: (Case((2, 2), 100, 12, 1e-8), Case((3, 3), 200, 20, 1e-8)),
    False: (Case((2, 2), 500, 20, 1e-6), Case((3, 3), 1000, 40, 1e-8)),
}


@dataclass(frozen=True, slots=True)
class Timing:
    """Squares along a side; rounds; parameters in one call of ours; parameters one after another."""

    n: int
    rounds: int
    batch: int
    few: int


@dataclass(slots=True)
class Seconds:
    """What was measured of one way: seconds of each offline run, and of ANSWERS answers in each round."""

    offline: list[float] = field(default_factory=list)
    online: list[float] = field(default_factory=list)


# -- Ours ------------------------------------------------------------------------------------------------------------------


def box(block: Block) -> dict[str, tuple[float, float]]:
    return {f"d{q}": (0.1, 1.0) for q in range(len(block.terms))}


def assembling(block: Block) -> Callable[[Mapping[str, float]], tuple[Any, np.ndarray]]:
    """The black box: A(mu) and f."""

    def assemble(mu: Mapping[str, float]) -> tuple[Any, np.ndarray]:
        return sum(mu[name] * A for name, A in zip(box(block), block.terms, strict=True)), block.f

    return assemble


def smallest(mu: Mapping[str, Any]) -> Any:
    """min_q mu_q, a lower bound of the coercivity constant in H1_0: pyMOR's "min(diffusion)"."""
    return np.minimum.reduce(list(mu.values()))


def unfitted(block: Block, basis: Any) -> Any:
    """Our model of a block, with a recipe for its basis."""
    return rom.ReducedModel(
        assembling(block), rom.Parameters(**box(block)), operator=rom.Affine(list(box(block))),
        basis=basis, product=block.X, stability=smallest,
    )  # fmt: skip


def greedy(block: Block, size: int) -> Offline:
    """Our side of `peer.greedy`."""
    start = time.perf_counter()
    model = unfitted(block, rom.Greedy(tol=0.0, max_size=size)).fit(train=block.train)
    seconds = time.perf_counter() - start
    return Offline(model, lambda c: model.basis @ c.T, np.asarray(model.greedy_bounds, float), seconds)


# -- Both ------------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def prepared(case: Case, timing: Timing) -> tuple[Block, Offline, Offline]:
    """The block, and both models of it, for the contests that use them."""
    block = peer.thermal(timing.n, case.blocks, case.train, timing.batch)
    return block, greedy(block, case.size), peer.greedy(block, case.size)


def measure(case: Case, timing: Timing) -> list[Row]:
    """Both judged, then both timed in turn, offline and online."""
    block, ours, theirs = prepared(case, timing)
    rows = judged(case, block, ours, theirs)
    seconds = {OURS: Seconds([ours.seconds]), ALONE: Seconds(), peer.NAME: Seconds([theirs.seconds])}
    for _ in range(timing.rounds - 1):
        gc.collect()
        seconds[OURS].offline.append(greedy(block, case.size).seconds)
        seconds[peer.NAME].offline.append(peer.greedy(block, case.size).seconds)
    few = block.tests[: timing.few]
    asked = peer.asked(theirs.model, few)
    ways: dict[str, tuple[Callable[[], Any], int]] = {
        OURS: (lambda: ours.model.predict(block.tests), len(block.tests)),
        ALONE: (lambda: [ours.model.predict(mu[None]) for mu in few], len(few)),
        peer.NAME: (lambda: peer.answer(theirs.model, asked), len(few)),
    }
    for turn in range(-1, timing.rounds):  # the first is to warm up
        for name, (run, count) in ways.items():
            start = time.perf_counter()
            run()
            if turn >= 0:
                seconds[name].online.append((time.perf_counter() - start) / count * ANSWERS)
    return [timed(row, seconds[row.method]) for row in rows]


def judged(case: Case, block: Block, ours: Offline, theirs: Offline) -> list[Row]:
    """The rows without their times. Ours is right if every greedy error and every bound at the first test parameters is pyMOR's,
    and no true error is above its bound; pyMOR is measured as it is."""
    mus = block.tests[:JUDGED]
    result = ours.model.predict(mus)
    bounds, estimates = np.asarray(result.bound), peer.answer(theirs.model, peer.asked(theirs.model, mus))
    errors = true_errors(block, mus, ours.lift(np.asarray(result.coefficients)))
    their_errors = true_errors(block, mus, peer.solutions(theirs, block, mus))
    apart = float(max(off(ours.bounds[: case.size], theirs.bounds), off(bounds, estimates)))
    wrong = [
        *([f"greedy errors or bounds are {apart:.1e} from pyMOR's"] if not apart <= case.agreement else []),
        *(["an error is above its bound"] if not (errors <= bounds * (1 + SLACK)).all() else []),
    ]
    row = Row(
        case.name, "thermal block", "spd", OURS, "petrov", WRONG if wrong else OK, "; ".join(wrong), rows=len(block.f),
        entries=int(block.X.nnz), rtol=case.agreement, relative_residual=apart, iterations=case.size, work=WORK,
        history=[[float(N), float(bound)] for N, bound in enumerate(ours.bounds)],
    )  # fmt: skip
    rival = replace(
        row, method=peer.NAME, library="pymor", status=OK, reason=said(their_errors, estimates), relative_residual=None,
        history=[[float(N), float(bound)] for N, bound in enumerate(theirs.bounds)],
    )  # fmt: skip
    row = row if wrong else replace(row, reason=said(errors, bounds))
    return [row, replace(row, method=ALONE, history=[]), rival]


def off(ours: Sequence[float] | np.ndarray, theirs: Sequence[float] | np.ndarray) -> float:
    """The largest relative difference; infinite if there are not as many."""
    a, b = np.asarray(ours), np.asarray(theirs)
    return float(np.max(np.abs(a / b - 1))) if a.shape == b.shape and a.size else float("inf")


def true_errors(block: Block, mus: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Errors in H1_0 of the columns of found (n, m)."""
    import scipy.sparse.linalg as sla

    assemble, names = assembling(block), list(box(block))
    errors = []
    for mu, u in zip(mus, found.T, strict=True):
        A, f = assemble(dict(zip(names, mu, strict=True)))
        e = sla.spsolve(A.tocsc(), f) - u
        errors.append(float(np.sqrt(e @ (block.X @ e))))
    return np.array(errors)


def said(errors: np.ndarray, bounds: np.ndarray) -> str:
    return f"largest error {errors.max():.2e}, bound / error {np.median(bounds / errors):.1f}"


def timed(row: Row, seconds: Seconds) -> Row:
    """The row with medians; no times for a wrong answer, and no offline time of its own for one parameter a call."""
    if row.status != OK:
        return row
    online = seconds.online
    return replace(
        row, runs=len(online), setup_seconds=float(np.median(seconds.offline)) if seconds.offline else None,
        solve_seconds=float(np.median(online)), fastest_seconds=min(online), slowest_seconds=max(online),
    )  # fmt: skip
