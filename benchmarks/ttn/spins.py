"""The contests on spins: time a step on the same tree, error against time, chains on their own ground, many spins."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ...rom.ttn import MidpointBUG, ParallelBUG, ProjectorSplitting, RankAdaptiveBUG
from ..contests import Contest
from ..document import Row
from .quench import LARGE, LONG, MIDDLE, NEAR, Entry, Quench, race
from .timing import Timing

ISING, NEIGHBOURS, MANY = "ising", "neighbours", "large"
STEPS, PRECISION = f"{LONG.name}: steps of 0.01", f"{LONG.name}: to t = 1"
CHAINS, MORE, MOST = f"{NEAR.name}: to t = 1", f"{MIDDLE.name}: ten steps", f"{LARGE.name}: ten steps"
SAME = 1e-8  # tolerance of the peers in the contest of steps
SPARED = 1e-7  # ours there: with the direction that is spared beyond it, the ranks are theirs, and the errors smaller
GOOD, COARSE = 1e-5, 1e-1  # errors beyond which an answer is wrong: of methods of order two, of order one
CODES: dict[str, tuple[Callable[..., Any], str, float]] = {
    "two sites, chain": (ProjectorSplitting, "chain", GOOD),
    "two sites, balanced": (ProjectorSplitting, "balanced", GOOD),
    "MidpointBUG": (MidpointBUG, "balanced", 1e-3),
    "RankAdaptiveBUG": (RankAdaptiveBUG, "balanced", 1e-3),
    "ParallelBUG": (lambda tolerance: ParallelBUG(theta=tolerance), "balanced", COARSE),
}  # a small theta would not help ParallelBUG here: its error is that of order one
BUGS: dict[str, dict[str, Any]] = {
    "PyTreeNet BUG, dense exponentials": {"mode": "fastest"},
    "PyTreeNet BUG, RK45": {"mode": "RK45", "rtol": SAME, "atol": SAME},
}


def contests(quick: bool) -> list[Contest]:
    table: tuple[tuple[str, str, Quench, list[Entry], float, int], ...] = (
        (ISING, STEPS, LONG, steps(), 0.1 if quick else 0.2, 40), (ISING, PRECISION, LONG, to_one(quick), 1.0, 40),
        (NEIGHBOURS, CHAINS, NEAR, chains(quick), 1.0, 40), (MANY, MORE, MIDDLE, many(MIDDLE), 0.1, 20),
        (MANY, MOST, LARGE, many(LARGE), 0.1, 20),
    )  # fmt: skip
    return [Contest(one[1], one[0], partial(rows, *one)) for one in table]


def rows(work: str, problem: str, quench: Quench, entries: list[Entry], end: float, most: int, timing: Timing) -> list[Row]:
    rounds = timing.rounds if problem == STEPS else timing.repeat
    return race(work, problem, quench, entries, end, most=most, seconds=timing.seconds, rounds=rounds)


def ours(code: str, dt: float, tolerance: float) -> Entry:
    method, tree, allowed = CODES[code]
    return Entry(f"petrov {code}, {dt:.3g}", method(tolerance=tolerance), tree, dt, tolerance, allowed=allowed)


def tenpy(method: str, dt: float, tolerance: float, **options: Any) -> Entry:
    name = f"TeNPy {method.upper()}, {dt / options.get('substeps', 1):.3g}"
    return Entry(name, method, "chain", dt, tolerance, "tenpy", GOOD, options)


def pytreenet(tree: str, dt: float, tolerance: float) -> Entry:
    return Entry(f"PyTreeNet TDVP2, {tree}, {dt:.3g}", "tdvp2", tree, dt, tolerance, "pytreenet", GOOD)


def steps() -> list[Entry]:
    """The same algorithm on the same tree to the same ranks; PyTreeNet's with either solver of its local equations."""
    own = {"petrov RankAdaptiveBUG": (RankAdaptiveBUG(SPARED), GOOD), "petrov ParallelBUG": (ParallelBUG(theta=SPARED), COARSE)}
    return [Entry(name, method, "balanced", 0.01, SPARED, allowed=allowed) for name, (method, allowed) in own.items()] + [
        Entry(name, "bug", "balanced", 0.01, SAME, "pytreenet", GOOD, options) for name, options in BUGS.items()
    ]


def to_one(quick: bool) -> list[Entry]:
    """Steps and tolerances that lead from errors of 1e-4 to 1e-9; the two-site schemes of all have the same."""
    both = ((0.1, 1e-7), (1 / 12, 1e-7), (0.05, 1e-7), (0.02, 1e-8))[: 2 if quick else 4]
    bugs = ((0.05, 1e-7), (0.02, 1e-8), (0.01, 1e-8))[: 1 if quick else 3]
    return [
        *(ours("two sites, chain", *of) for of in both), *(ours("two sites, balanced", *of) for of in both[:3]),
        *(ours(code, *of) for code in ("MidpointBUG", "RankAdaptiveBUG", "ParallelBUG") for of in bugs),
        *(tenpy("tdvp2", *of) for of in both), pytreenet("chain", *both[1]),
    ]  # fmt: skip


def chains(quick: bool) -> list[Entry]:
    """TEBD makes one step of the others in small ones, at order four."""
    both = ((0.1, 1e-7), (0.05, 1e-7))[: 1 if quick else 2]
    small = (1,) if quick else (1, 2)
    return [
        *(ours(f"two sites, {tree}", *of) for tree in ("chain", "balanced") for of in both),
        *(ours("RankAdaptiveBUG", *of) for of in ((0.05, 1e-7),)),
        *(tenpy("tdvp2", *of) for of in both), *(tenpy("tebd", 0.1, 1e-7, order=4, substeps=k) for k in small),
    ]  # fmt: skip


def many(quench: Quench) -> list[Entry]:
    """PyTreeNet up to 32 spins: the time to make its operator grows by more than ten where their number doubles."""
    own = {"RankAdaptiveBUG": RankAdaptiveBUG(SAME, max_rank=20), "ParallelBUG": ParallelBUG(theta=SAME, max_rank=20)}
    found = [Entry(f"petrov {name}", method, "balanced", 0.01, SAME) for name, method in own.items()]
    found.append(Entry("petrov two sites, chain", ProjectorSplitting(tolerance=SAME, max_rank=20), "chain", 0.01, SAME))
    found.append(Entry("TeNPy TDVP2", "tdvp2", "chain", 0.01, SAME, "tenpy"))
    if quench.d <= MIDDLE.d:
        name, options = next(iter(BUGS.items()))
        found.append(Entry(name, "bug", "balanced", 0.01, SAME, "pytreenet", options=options))
    return found
