"""All ways on the same held-out systems: right at every right-hand side, or no time is kept."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...learned.families import System
from ...solvers import cg, flexible_cg
from ..document import FAILED, NOT_CONVERGED, OK, SKIPPED, WRONG, Row
from ..measure import first_line
from ..records import Limits
from ..records import System as Plain
from . import systems
from .samples import NONE, Sample
from .systems import KINDS, Case
from .ways import Way, prepared

LOOSE, TIGHT = 1e-4, 1e-12
ROUNDING = 1e-3
EVERY = 5  # systems of a case that are solved for all kinds of right-hand sides and to all tolerances


@dataclass(frozen=True, slots=True)
class Timing:
    """count: held-out systems at most; rounds: timed runs of each, the fastest of which counts; seconds, iterations: of a solve.
    weights: what takes part."""

    count: int
    rounds: int
    seconds: float
    iterations: int
    weights: dict[str, Any] = field(default_factory=dict)


class Unsolved(Exception):
    """A right-hand side whose true residual is too large; `lie` if success was claimed."""

    def __init__(self, said: str, lie: bool):
        super().__init__(said)
        self.lie = lie


@dataclass(slots=True)
class Track:
    """A way through a case: its samples so far, what went wrong, what it said, how often it had to shift or fall back."""

    way: Way
    samples: list[Sample] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    lies: int = 0
    failed: bool = False
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, said: str) -> None:
        self.notes[said] = self.notes.get(said, 0) + 1

    @property
    def lost(self) -> bool:
        """Two systems are enough to know."""
        return self.failed or len(self.trouble) > 1


def measure(case: Case, ways: Sequence[Way], timing: Timing) -> list[Row]:
    """A row a way: medians over the systems; every sample in `history`."""
    count = min(case.count, timing.count)
    try:
        first = case.make(0)
    except FileNotFoundError as error:
        return [Row(case.problem, case.family, "spd", "(all)", "", SKIPPED, str(error), work=case.work)]
    n = first.A.shape[0]
    chosen = [way for way in ways if way.suits(case, n)]
    tracks = [Track(way) for way in chosen]
    present = [track for track in tracks if not track.way.absent]
    before = first if case.warm is None else case.warm()
    for track in present:  # to warm up
        guarded(track, case, before, -1, timing)
    for k in range(count):
        system = first if k == 0 else case.make(k)
        for track in present if k % 2 == 0 else reversed(present):
            if not track.lost:
                guarded(track, case, system, k, timing)
    return [row_of(case, track, first, count) for track in tracks]


def guarded(track: Track, case: Case, system: System, k: int, timing: Timing) -> None:
    """One system; the first, which warms up, has the number -1 and leaves no trace unless it raises."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            sample = sampled(track, case, system, max(k, 0), timing, warm=k < 0)
        except Unsolved as error:
            if k >= 0:
                track.trouble.append(f"system {k}: {error}")
                track.lies += error.lie
        except Exception as error:
            track.failed, track.trouble = True, [f"{type(error).__name__}: {first_line(str(error))}"]
        else:
            if k >= 0:
                track.samples.append(sample)
    if k >= 0:
        for one in {first_line(str(w.message)) for w in caught if issubclass(w.category, RuntimeWarning)}:
            track.note(one)


def sampled(track: Track, case: Case, system: System, k: int, timing: Timing, *, warm: bool) -> Sample:
    """Solve every right-hand side once, and judge; then the timed runs, whose residuals are judged as well."""
    way = track.way
    b = systems.right_hand_side("white", system, k)
    if way.outside is not None:
        return elsewhere(way, system, b, k, case.rtol, timing)
    if warm:
        A, M = prepared(way, system)
        solved(way, A, M, system, b, case.rtol, timing)
        return Sample(k, len(b), *[NONE] * 9)
    setup, solve, iterations = np.inf, np.inf, 0
    for _ in range(timing.rounds):
        with quiet():
            start = time.process_time()
            A, M = prepared(way, system)
            ready = time.process_time()
            _, iterations = solved(way, A, M, system, b, case.rtol, timing)
            end = time.process_time()
        setup, solve = min(setup, ready - start), min(solve, end - ready)
    if getattr(M, "attempts", 1) > 1:
        track.note("met a pivot that is not positive and was shifted")
    every = case.every and k < EVERY
    loose, tight = tolerances(way, A, M, b, timing) if every and not way.direct else (NONE, NONE)
    others = [NONE] * (len(KINDS) - 1)
    if every:
        bs = [systems.right_hand_side(kind, system, k) for kind in KINDS[1:]]
        others = [float(solved(way, A, M, system, b, case.rtol, timing)[1]) for b in bs]
    return Sample(k, len(b), setup, solve, loose, float(iterations), tight, *others)


@contextmanager
def quiet() -> Iterator[None]:
    """No collection of garbage while a clock runs."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def method_of(M: Any) -> Any:
    """What `petrov.solve` would take: cg for what is linear and positive, or nothing, else flexible_cg."""
    return cg if M is None or (getattr(M, "linear", True) and getattr(M, "spd", None)) else flexible_cg


def solved(way: Way, A: Any, M: Any, system: System, b: np.ndarray, rtol: float, timing: Timing) -> tuple[np.ndarray, int]:
    """x from zero and its iterations; Unsolved unless its true residual, computed here, is small enough. NaN is not."""
    if way.direct:
        x, iterations, claims, said = M @ b, 1, True, "direct"
    else:
        result = method_of(M)(A, b, M=M, rtol=rtol, max_iterations=timing.iterations, time_limit=timing.seconds)
        x, iterations, claims, said = result.x, int(result.iterations), result.converged, result.status.name
    judge(system, b, x, rtol, claims, f"{said} after {iterations} iterations")
    return x, iterations


def judge(system: System, b: np.ndarray, x: np.ndarray, rtol: float, claims: bool, said: str) -> None:
    residual = float(np.linalg.norm(b - system.A @ x) / np.linalg.norm(b))
    if not residual <= rtol * (1 + ROUNDING):
        raise Unsolved(f"true relative residual {residual:.1e}, {said}", claims)


def tolerances(way: Way, A: Any, M: Any, b: np.ndarray, timing: Timing) -> tuple[float, float]:
    """Iterations to 1e-4, and to 1e-12 if double precision gets there."""
    result = method_of(M)(A, b, M=M, rtol=TIGHT, max_iterations=timing.iterations, time_limit=timing.seconds)
    below = np.flatnonzero(result.residuals <= LOOSE * np.linalg.norm(b))
    return float(below[0]) if len(below) else NONE, float(result.iterations) if result.converged else NONE


def elsewhere(way: Way, system: System, b: np.ndarray, k: int, rtol: float, timing: Timing) -> Sample:
    """A run in other processes, by their own clock; of white noise alone."""
    given = Plain(system.A, b)
    start = time.perf_counter()
    outcome = way.outside(None, given, rtol / 3, Limits(timing.iterations, timing.seconds), None)
    solve = time.perf_counter() - start - outcome.setup_seconds - outcome.other_seconds
    judge(system, b, outcome.x, rtol, bool(outcome.claims), f"{outcome.iterations} iterations")
    return Sample(k, len(b), outcome.setup_seconds, solve, NONE, float(outcome.iterations or 0), *[NONE] * 5)


def row_of(case: Case, track: Track, first: System, count: int) -> Row:
    """Medians of the samples, if every system was solved."""
    way, found = track.way, track.samples
    base: dict[str, Any] = {
        "problem": case.problem, "family": case.family, "kind": "spd", "method": way.name, "library": way.library,
        "chose": way.role if not way.kin else f"{way.role} of {way.kin}", "rows": first.A.shape[0], "entries": int(first.A.nnz),
        "rtol": case.rtol, "work": case.work, "warnings": [f"{said} ({times} of {count})" for said, times in track.notes.items()],
    }  # fmt: skip
    if way.absent:
        return Row(**base, status=SKIPPED, reason=way.absent)
    if track.failed:
        return Row(**base, status=FAILED, reason=track.trouble[0])
    if track.trouble:
        said = f"{len(track.trouble)} of {len(track.trouble) + len(found)} systems not solved; {track.trouble[0]}"
        history = [list(one) for one in found]
        return Row(**base, status=WRONG if track.lies else NOT_CONVERGED, reason=said, history=history)
    totals = [one.total() for one in found]
    return Row(
        **base, status=OK, reason=way.said, history=[list(one) for one in found], runs=len(found),
        iterations=round(float(np.median([one.iterations for one in found]))),
        setup_seconds=float(np.median([one.setup for one in found])),
        solve_seconds=float(np.median([one.solve for one in found])),
        fastest_seconds=min(totals), slowest_seconds=max(totals),
    )  # fmt: skip
