"""Quenches of spins, the runs of petrov and of its peers on them, and the rows that these give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...rom.ttn import TTN, TTNO, KronSum, Tree
from ...rom.ttn.right_hand_sides import as_rhs
from ..document import FAILED, NOT_CONVERGED, OK, SKIPPED, WRONG, Row
from ..measure import finite
from . import libraries
from .peers.walk import Walk, timed

UP, N, SX = np.array([1.0, 0.0]), np.diag([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]])
TREES = {"chain": Tree.chain, "balanced": Tree.balanced}
PETROV = "petrov"
WARM = 2  # steps


@dataclass(frozen=True, slots=True)
class Quench:
    """d spins, all up at first; H = sum_k (sx_k + n_k) + sum_(i < j) 2 |i - j|^-alpha n_i n_j, n = (1 + sz) / 2.

    alpha None: neighbours alone act on each other. exact: the mean of sz at some times, from all 2^d numbers.
    """

    name: str
    d: int
    alpha: float | None = 1.0
    exact: Mapping[float, float] = field(default_factory=dict)

    @property
    def pairs(self) -> list[tuple[int, int, float]]:
        """(i, j, factor of n_i n_j)."""
        reach = 1 if self.alpha is None else self.d
        power = self.alpha or 0.0
        return [(i, j, 2.0 / (j - i) ** power) for i in range(self.d) for j in range(i + 1, min(i + reach, self.d - 1) + 1)]


LONG = Quench(
    "long-range Ising, 16 spins", 16, 1.0,
    {0.1: 0.9818539381279551, 0.2: 0.9460424860733493, 0.5: 0.9717537322907572, 1.0: 0.9590587132902249},
)  # fmt: skip
NEAR = Quench(
    "neighbours alone, 20 spins", 20, None,
    {0.1: 0.9804509036590275, 0.2: 0.9269486112818542, 0.5: 0.7131768115935899, 1.0: 0.7803699426569631},
)  # fmt: skip
MIDDLE, LARGE = Quench("long-range Ising, 32 spins", 32), Quench("long-range Ising, 64 spins", 64)


@dataclass(frozen=True, slots=True)
class Entry:
    """A way to run a quench. method: one of petrov's integrators, or the name of a peer's. options: of a peer.

    allowed: the error of the mean of sz at the end beyond which the answer counts as wrong, and has no time.
    """

    name: str
    method: Any
    tree: str
    dt: float
    tolerance: float
    library: str = PETROV
    allowed: float = np.inf
    options: Mapping[str, Any] = field(default_factory=dict)

    def task(self, quench: Quench, end: float, most: int, seconds: float) -> dict[str, Any]:
        steps = round(end / self.dt)
        return {
            "d": quench.d, "pairs": quench.pairs, "method": self.method, "tree": self.tree, "dt": self.dt, "steps": steps,
            "look": [steps] if quench.exact else [], "seconds": seconds, "tolerance": self.tolerance, "max_rank": most,
            "options": self.options,
        }  # fmt: skip


# -- Petrov's walk ---------------------------------------------------------------------------------------------------------


def make(task: Mapping[str, Any]) -> Walk:
    """The walk of one of our integrators: its steps alone, without the records that `evolve` keeps."""
    d = task["d"]
    tree = TREES[task["tree"]]([2] * d)
    H = hamiltonian(tree, task["pairs"])
    Z = KronSum(tree, tuple((1.0 / d, {leaf: np.array([1.0, -1.0])}) for leaf in range(d)))
    walk = Ours(task["method"], as_rhs(-1j * H), TTN.product(tree, [UP] * d), task["dt"], task["dt"] * task["steps"])
    return Walk(
        walk.step, lambda: walk.state.expectation(Z).real / walk.state.norm() ** 2, lambda: max(walk.state.ranks),
        max(H.ranks),
    )  # fmt: skip


def hamiltonian(tree: Tree, pairs: Sequence[tuple[int, int, float]]) -> TTNO:
    V = np.zeros((tree.order, tree.order))
    for i, j, v in pairs:
        V[i, j] = v
    return TTNO.pairwise(tree, V, N, onsite=SX + N)


@dataclass(slots=True)
class Ours:
    """A state on its way."""

    method: Any
    rhs: Any
    state: TTN
    dt: float
    end: float
    made: int = 0

    def step(self) -> None:
        self.state = self.method.step(self.state, self.rhs, self.made * self.dt, self.dt, span=(0.0, self.end)).state
        self.made += 1


# -- Rows ------------------------------------------------------------------------------------------------------------------


def race(
    work: str, problem: str, quench: Quench, entries: Sequence[Entry], end: float, *, most: int, seconds: float, rounds: int
) -> list[Row]:
    """The rows of all entries to t = end, which take their turns in rounds; `most`: the largest rank, `seconds`: of a run."""
    rows = [blank(work, problem, quench, entry) for entry in entries]
    tasks = [entry.task(quench, end, most, seconds) for entry in entries]
    for entry, task in zip(entries, tasks, strict=True):
        if entry.library == PETROV:
            timed(make, {**task, "steps": min(task["steps"], WARM), "look": []})  # loads what is compiled
    for _ in range(rounds):
        turns = zip(rows, entries, tasks, strict=True)
        rows = [run(row, entry, task, quench.exact.get(end)) if row.status == OK else row for row, entry, task in turns]
    return rows


def blank(work: str, problem: str, quench: Quench, entry: Entry) -> Row:
    why = "" if entry.library == PETROV else libraries.seen(entry.library)[1]
    return Row(
        problem, quench.name, entry.tree, entry.name, entry.library, SKIPPED if why else OK, why, rows=quench.d,
        rtol=entry.allowed if np.isfinite(entry.allowed) else None, asked_rtol=entry.tolerance, work=work,
    )  # fmt: skip


def run(row: Row, entry: Entry, task: Mapping[str, Any], exact: float | None) -> Row:
    """The row after one more run. Its seconds are the processor's, of the fastest run: what else the machine does only adds.

    entries: the bond of the operator. history: of every step its number, the rank, seconds of the processor and of the clock.
    """
    try:
        found = timed(make, task) if entry.library == PETROV else libraries.ask(entry.library, task)
    except (RuntimeError, TimeoutError, ArithmeticError, ValueError) as error:
        return replace(row, status=FAILED, reason=str(error))
    spent, steps = sum(found["cpu"]), len(found["cpu"])
    apart = abs(found["magnetisation"][-1][1] - exact) if found["magnetisation"] and exact is not None else None
    row = replace(
        row, iterations=steps, entries=found["bond"], relative_residual=apart and finite(apart), runs=row.runs + 1
    )  # fmt: skip
    if steps < task["steps"]:
        told = f"stopped after {steps} of {task['steps']} steps, {spent:.0f} s; operator made in {found['setup_cpu']:.1f} s"
        return replace(row, status=NOT_CONVERGED, reason=told)
    if apart is not None and not apart <= entry.allowed:
        return replace(row, status=WRONG, reason=f"error {apart:.1e}, more than {entry.allowed:.0e}")
    best = row.fastest_seconds is None or spent < row.fastest_seconds
    track = [[k + 1, *of] for k, of in enumerate(zip(found["ranks"], found["cpu"], found["wall"], strict=True))]
    return replace(
        row, reason=f"rank {max(found['ranks'], default=1)}, operator's bond {found['bond']}",
        setup_seconds=found["setup_cpu"] if best else row.setup_seconds, solve_seconds=spent if best else row.solve_seconds,
        fastest_seconds=min(spent, row.fastest_seconds or spent), slowest_seconds=max(spent, row.slowest_seconds or spent),
        history=track if best else row.history,
    )  # fmt: skip
