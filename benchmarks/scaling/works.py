"""What an iteration moves: of the runs that were measured, and on paper for as many ranks as are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from . import halo, model
from .halo import Halo
from .model import DOUBLE, Iteration, Kinds, Machine

# A message of two microseconds is twice what InfiniBand of 100 Gb/s is rated at. Sixteen ranks share the link of a node.
LATENCY, LINK, SHARING = 2e-6, 12.5e9, 16


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """How a level shrinks, and entries a row of A and of P, level after level; the last ones hold for all below. gathered: rows
    up to which a level goes to every rank whole; coarse: seconds of a row of it; python: seconds of an iteration, of a level."""

    ratios: tuple[float, ...]
    entries: tuple[float, ...]
    transfers: tuple[float, ...]
    degree: int
    gathered: int
    coarse: float
    gathers: float
    python: tuple[float, float]


def machine_of(run: dict[str, Any], dim: int) -> Machine:
    """What a run measured, with the products of so many dimensions; on one rank nothing is sent."""
    found, ranks = run["machine"], run["ranks"]
    speed = Kinds(found["products"][dim - 2], found["sweeps"], found["arrays"])
    if ranks == 1:
        return Machine(speed, 0.0, math.inf, 0.0)
    call = max(0.0, found["gather"] - math.ceil(math.log2(ranks)) * found["latency"])
    return Machine(speed, found["latency"], found["link"], call)


def network(run: dict[str, Any], dim: int) -> Machine:
    """The speeds of the run with the most ranks, and the network that is assumed."""
    here = machine_of(run, dim)
    return Machine(here.speed, LATENCY, LINK / SHARING, here.call)


# -- Measured --------------------------------------------------------------------------------------------------------------


def measured(case: dict[str, Any], method: str, gathers: float, python: dict[str, float]) -> Iteration:
    """An iteration of a case, with the messages and sums (gathers) that were counted; Python is that of one rank."""
    found = case[method]
    counted = {"gathers": gathers, "messages": found["messages"], "sent": found["sent"]}
    if method == "jacobi":
        return Iteration(python["iteration"], model.jacobi_cg(case["entries"]).times(case["own"]), **counted)
    levels = found["levels"]
    sizes = [one["rows"] for one in levels] + [found["gathered"]]
    memory = model.plain_cg(case["entries"]).times(case["own"])
    for one, below in zip(levels, sizes[1:], strict=True):
        moved = model.level(one["entries"], one["transfer"], below / one["rows"], found["degree"])
        memory = memory.plus(moved.times(one["own"]))
    return Iteration(
        python["iteration"] + len(levels) * python["level"], memory, **counted, gathered=found["gathered"], coarse=found["coarse"]
    )


def hierarchy_of(case: dict[str, Any], gathered: int, gathers: float, python: dict[str, float]) -> Hierarchy:
    """What a measured case shows of its levels."""
    found = case["aggregation"]
    levels = found["levels"]
    sizes = [one["rows"] for one in levels] + [found["gathered"]]
    return Hierarchy(
        tuple(below / above for above, below in pairwise(sizes)),
        tuple(one["entries"] for one in levels), tuple(one["transfer"] for one in levels), found["degree"], gathered,
        found["coarse"] / found["gathered"], gathers, (python["iteration"], python["level"]),
    )  # fmt: skip


# -- On paper --------------------------------------------------------------------------------------------------------------


def partition(shape: Sequence[int], ranks: int, kind: str) -> Halo:
    """What a rank in the middle sends: 'slabs' (rows in the order of the grid) or 'blocks'."""
    if ranks == 1:
        return Halo(0, 0)
    if kind == "slabs":
        return halo.dealt(shape, ranks, ranks // 2)
    parts = halo.cubes(ranks, len(shape))
    middle = int(halo.index(parts, [np.array([part // 2]) for part in parts])[0])
    return halo.blocks(shape, parts, middle)


def jacobi_on_paper(shape: Sequence[int], ranks: int, kind: str, gathers: float, python: float) -> Iteration:
    n, sends = math.prod(shape), partition(shape, ranks, kind)
    entries = 1.0 + 2 * len(shape)
    return Iteration(python, model.jacobi_cg(entries).times(math.ceil(n / ranks)), gathers, sends.messages, DOUBLE * sends.rows)


def levels_on_paper(n: int, ranks: int, of: Hierarchy) -> list[int]:
    """Rows of the levels; the last is gathered. Aggregates stay within ranks, so there is one a rank at least; what is not a
    tenth smaller is no level."""
    sizes = [n]
    while sizes[-1] > of.gathered:
        ratio = of.ratios[min(len(sizes), len(of.ratios)) - 1]
        below = max(math.ceil(sizes[-1] * ratio), ranks)
        if below >= 0.9 * sizes[-1]:
            break
        sizes.append(below)
    return sizes


def aggregation_on_paper(shape: Sequence[int], ranks: int, kind: str, of: Hierarchy) -> Iteration:
    """Halos of a coarse level are the finest one's, shrunk like its surface; boxes also meet across edges and corners there."""
    n, dim, sends = math.prod(shape), len(shape), partition(shape, ranks, kind)
    sizes = levels_on_paper(n, ranks, of)
    memory = model.plain_cg(1.0 + 2 * dim).times(math.ceil(n / ranks))
    messages, sent = float(sends.messages), float(DOUBLE * sends.rows)  # A p
    for k, (size, below) in enumerate(pairwise(sizes)):
        at = min(k, len(of.entries) - 1)
        moved = model.level(of.entries[at], of.transfers[at], below / size, of.degree)
        memory = memory.plus(moved.times(math.ceil(size / ranks)))
        products = 2 * of.degree + 2
        for rows, times, finest in ((size, products, k == 0), (below, 2, False)):  # with A, and with P and its transpose
            near = sends.messages if finest or kind == "slabs" else min(3**dim - 1, ranks - 1)
            messages += times * near
            sent += times * DOUBLE * min(sends.rows * (rows / n) ** ((dim - 1) / dim), near * rows / ranks)
    python = of.python[0] + (len(sizes) - 1) * of.python[1]
    return Iteration(python, memory, of.gathers, messages, sent, gathered=sizes[-1], coarse=of.coarse * sizes[-1])
