"""How the sum over the entries of a node is factored: which products are taken, in which order, before any number is known.

A sum of products sum_k v_k A_k (x) B_k (x) C_k ... acts on a core axis by axis, the last one first. Entries that share the factor
of the first axis are added up before it is applied, and so on recursively; what is left of the last axis is one matrix, a
combination of channels. Identities are not applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...solvers import arrays
from .tensors import placed


@dataclass(frozen=True, slots=True)
class Step:
    """sum over parts of (channel of this mode) (part) + the identity times `alone` + the row `row` of combinations of this mode.

    `parts`: (channel, step of the later modes). `alone`: the step that the identity of this mode multiplies, or None.
    """

    mode: int
    row: int = -1
    parts: tuple[tuple[int, Step], ...] = ()
    alone: Step | None = None


@dataclass(slots=True)
class Plan:
    """Steps, or numbers for multiples of the identity, and for every mode the combinations (rows, channels) that they take."""

    counts: Sequence[int]
    rows: list[list[np.ndarray]]
    roots: list[Step | float] = field(default_factory=list)
    placed: dict[Any, Any] = field(default_factory=dict)  # combinations in the library of the cores
    layouts: dict[Any, Any] = field(default_factory=dict)  # as programs, for cores of different shapes
    known: dict[tuple[int, int], list[tuple[int, Any]]] = field(default_factory=dict)

    def terms(self, mode: int, row: int) -> list[tuple[int, Any]]:
        """[(channel, weight)] of a combination, without zeros."""
        if (mode, row) not in self.known:
            weights = self.rows[mode][row]
            self.known[mode, row] = [(int(k), weights[k].item()) for k in np.flatnonzero(weights)]
        return self.known[mode, row]

    def combinations(self, mode: int, like: Any) -> Any:
        """The rows of a mode as a matrix (rows, channels) that multiplies arrays like `like`."""
        key = (mode, like.dtype, type(like), arrays.device(like))
        if key not in self.placed:
            self.placed[key] = placed(np.array(self.rows[mode]), like)
        return self.placed[key]


def planned(
    channels: np.ndarray,
    values: np.ndarray,
    counts: Sequence[int],
    identities: Sequence[int],
    sums: tuple[np.ndarray, int] | None = None,
) -> Plan:
    """The plan of entries (N, modes): counts[j] channels of mode j, of which identities[j] is the identity (-1 for none).

    One sum over all; or, with (the number of its sum for every entry, how many there are), sums 0, 1, ... one by one.
    """
    plan = Plan(counts, [[] for _ in counts])
    for k in range(1 if sums is None else sums[1]):
        chosen = slice(None) if sums is None else sums[0] == k
        plan.roots.append(factored(plan, channels[chosen], values[chosen], 0, identities))
    return plan


def factored(plan: Plan, channels: np.ndarray, values: np.ndarray, mode: int, identities: Sequence[int]) -> Step | float:
    """The step for the modes from `mode` on; a number if nothing but identities is left."""
    if mode == len(plan.counts):
        return values.sum().item()
    row = np.zeros(plan.counts[mode], values.dtype)
    groups: dict[int, np.ndarray] = {int(k): channels[:, mode] == k for k in np.unique(channels[:, mode])}
    alone, parts = None, []
    order = sorted(groups, key=lambda k: k != identities[mode])  # the identity first: the rows of the others follow one another
    for k in order:
        part = factored(plan, channels[groups[k]], values[groups[k]], mode + 1, identities)
        if not isinstance(part, Step):
            row[k] += part
        elif k == identities[mode]:
            alone = part
        else:
            parts.append((k, part))
    used = np.flatnonzero(row)
    if not parts and alone is None and [*used] in ([], [identities[mode]]):
        return row.sum().item()
    number = -1
    if used.size:
        number = len(plan.rows[mode])
        plan.rows[mode].append(row)
    return Step(mode, number, tuple(parts), alone)
