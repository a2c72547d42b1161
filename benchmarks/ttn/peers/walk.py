"""An evolution that waits at its start, and the clock that runs while it makes its steps: the same for petrov and its peers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Walk(NamedTuple):
    """step: one step on. magnetisation: the mean of sz. rank, bond: the largest of the state and of the operator."""

    step: Callable[[], Any]
    magnetisation: Callable[[], Any]
    rank: Callable[[], int]
    bond: int


class Watch:
    """Seconds of the processor and of the clock since it was made."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def read(self) -> tuple[float, float]:
        return time.process_time() - self.cpu, time.perf_counter() - self.wall


def timed(make: Callable[[Mapping[str, Any]], Walk], task: Mapping[str, Any]) -> dict[str, Any]:
    """What a run gave, as JSON can hold it.

    cpu, wall, ranks: of every step made; magnetisation: [step, value] pairs; setup_cpu, setup_wall: to make the operator and the
    state; bond: of the operator. No step begins after `seconds` of the processor. What is looked at between steps is in no time.
    """
    start = Watch()
    walk = make(task)
    setup = start.read()
    cpu: list[float] = []
    wall: list[float] = []
    ranks: list[int] = []
    seen: list[list[float]] = []
    for step in range(1, task["steps"] + 1):
        if start.read()[0] > task["seconds"]:
            break
        watch = Watch()
        walk.step()
        spent = watch.read()
        cpu.append(spent[0])
        wall.append(spent[1])
        ranks.append(int(walk.rank()))
        if step in task["look"]:
            seen.append([step, float(walk.magnetisation())])
    return {
        "setup_cpu": setup[0], "setup_wall": setup[1], "bond": int(walk.bond), "cpu": cpu, "wall": wall, "ranks": ranks,
        "magnetisation": seen,
    }  # fmt: skip
