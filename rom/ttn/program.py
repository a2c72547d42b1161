"""What an operator does, node by node: the one form that integrators and environments know.

An operator on a tree is a sum of products of leg operators. Seen from an edge it is a sum over few *channels*: something in the
subtree times something in the rest. A node joins the channels of its children, and an operator on its leg, to those of its edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .tree import Tree


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """One node of a program: entry k adds values[k] times the product of what `channels[k]` names.

    Columns of `channels` (N, axes of a core): a channel of every child, the index in `ops` of the leg operator if the node has a
    leg (ops[0] is None, the identity), a channel of the edge to the parent, of which there are `count`.
    """

    channels: np.ndarray
    values: np.ndarray
    ops: tuple[Any, ...]
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """An operator on a tree: `factor` times what the locals add up to at the root.

    `identity[t]`: the channel of the edge of t that is the identity of its subtree; `complete[t]`: the one whose rest of the tree
    is the identity, so that it holds the terms which act in the subtree alone; -1 where there is none. Both are skipped in sums.
    """

    tree: Tree
    locals: tuple[Local, ...]
    factor: complex = 1.0
    identity: tuple[int, ...] = field(init=False)
    complete: tuple[int, ...] = field(init=False)
    plans: dict[Any, Any] = field(init=False, default_factory=dict)  # contraction plans made so far

    def __post_init__(self) -> None:
        object.__setattr__(self, "identity", identities(self.tree, self.locals))
        object.__setattr__(self, "complete", completes(self.tree, self.locals, self.identity))

    @property
    def ranks(self) -> tuple[int, ...]:
        """The channels of every edge."""
        return tuple(local.count for local in self.locals[:-1])

    @property
    def is_complex(self) -> bool:
        return isinstance(self.factor, complex) or any(local.values.dtype.kind == "c" for local in self.locals)

    def scaled(self, factor: complex) -> Program:
        """With the factor multiplied; plans are shared."""
        if factor == 1:
            return self
        scaled = copy(self)
        object.__setattr__(scaled, "factor", self.factor * factor)
        return scaled


def identities(tree: Tree, nodes: Sequence[Local]) -> tuple[int, ...]:
    """For every node the channel to its parent that is made of identities alone, or -1."""
    found: list[int] = []
    for node, local in enumerate(nodes):
        below = [found[child] for child in tree.children[node]] + ([0] if tree.leg[node] >= 0 else [])
        alone = sole_entries(local, local.channels.shape[1] - 1)
        matches = [channel for channel, k in alone.items() if [*local.channels[k, :-1]] == below and local.values[k] == 1]
        found.append(matches[0] if matches and -1 not in below else -1)
    return tuple(found)


def completes(tree: Tree, nodes: Sequence[Local], identity: Sequence[int]) -> tuple[int, ...]:
    """For every node the channel to its parent that goes up to the root with identities alone, or -1."""
    found = [-1] * len(tree.parent)
    found[tree.root] = 0
    for node in reversed(tree.nodes):
        local = nodes[node]
        for axis, child in enumerate(tree.children[node]):
            for channel, k in sole_entries(local, axis).items():
                if [*local.channels[k]] == carry(tree, node, axis, channel, identity, found[node]) and local.values[k] == 1:
                    found[child] = channel
    return tuple(found)


def carry(tree: Tree, node: int, axis: int, channel: int, identity: Sequence[int], out: int) -> list[int]:
    """The entry that hands a channel of one child on to `out`, with identities for the others; nothing matches a -1."""
    row = [identity[child] for child in tree.children[node]] + ([0] if tree.leg[node] >= 0 else []) + [out]
    row[axis] = channel
    return row


def sole_entries(local: Local, axis: int) -> dict[int, int]:
    """channel -> entry, for the channels of an axis that one entry alone uses."""
    channels, entries, counts = np.unique(local.channels[:, axis], return_index=True, return_counts=True)
    return {int(channel): int(k) for channel, k, n in zip(channels, entries, counts, strict=True) if n == 1}


def carries(program: Program, node: int) -> np.ndarray:
    """Which entries of a node hand the complete channel of a child on to the complete channel of the node."""
    tree, local = program.tree, program.locals[node]
    marked = np.zeros(len(local.values), bool)
    for axis, child in enumerate(tree.children[node]):
        if program.complete[child] >= 0 and program.complete[node] >= 0:
            row = carry(tree, node, axis, program.complete[child], program.identity, program.complete[node])
            marked |= (local.channels == row).all(axis=1)
    return marked


def folded(program: Program) -> Program:
    """The same operator with factor 1: the entries that enter complete channels are scaled, identities stay identities."""
    nodes = []
    for node, local in enumerate(program.locals):
        entering = (local.channels[:, -1] == program.complete[node]) & ~carries(program, node)
        if entering.any() and program.factor != 1:
            local = replace(local, values=np.where(entering, program.factor, 1.0) * local.values)
        nodes.append(local)
    return Program(program.tree, tuple(nodes))


def joined(a: Program, b: Program) -> Program:
    """a + b: identity and complete channels are shared, the others stand side by side."""
    if a.tree != b.tree:
        raise ValueError(f"operators must have the same tree to be added; they have\n{a.tree.to_text()}\nand\n{b.tree.to_text()}")
    a, b = (a, b) if a.factor == b.factor else (folded(a), folded(b))
    maps = [channel_map(a, b, node) for node in a.tree.nodes]
    nodes = []
    for node, (x, y) in enumerate(zip(a.locals, b.locals, strict=True)):
        columns = [maps[child] for child in a.tree.children[node]]
        ops, op_map = x.ops, {}
        if a.tree.leg[node] >= 0:
            op_map = {k: k if k == 0 else k + len(x.ops) - 1 for k in range(len(y.ops))}
            ops, columns = x.ops + y.ops[1:], [*columns, op_map]
        columns.append(maps[node])
        moved = np.array([[column[int(c)] for column, c in zip(columns, row, strict=True)] for row in y.channels])
        shared = carries(b, node) & present(moved, x.channels)
        if a.identity[node] >= 0:
            shared |= y.channels[:, -1] == b.identity[node]
        channels, values = np.vstack([x.channels, moved[~shared]]), np.concatenate([x.values, y.values[~shared]])
        nodes.append(Local(channels, values, ops, x.count + y.count - sum(c < x.count for c in maps[node].values())))
    return Program(a.tree, tuple(nodes), a.factor)


def channel_map(a: Program, b: Program, node: int) -> dict[int, int]:
    """The channel in a + b of every channel of b at the edge of a node."""
    shared = {b.identity[node]: a.identity[node], b.complete[node]: a.complete[node]}
    shared = {k: v for k, v in shared.items() if k >= 0 and v >= 0}
    rest = [channel for channel in range(b.locals[node].count) if channel not in shared]
    return shared | {channel: a.locals[node].count + k for k, channel in enumerate(rest)}


def present(rows: np.ndarray, among: np.ndarray) -> np.ndarray:
    known = {tuple(row) for row in among}
    return np.array([tuple(row) in known for row in rows], bool)
