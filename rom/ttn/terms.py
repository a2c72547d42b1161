"""Programs of sums of products: terms that look alike from an edge share a channel, exactly or after a compression."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import legs
from .program import Local, Program
from .tree import Tree

Term = tuple[Any, Mapping[int, Any]]  # (coefficient, {leaf: operator})


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """What the terms are at the edge of a node: numbers of channels, -1 where there is none."""

    count: int
    identity: int
    complete: int
    open: dict[int, tuple[int, int]]  # term that acts on both sides -> (channel, its operators inside)
    finished: int  # terms inside the subtree


def compiled(tree: Tree, terms: Sequence[Term]) -> tuple[Program, list[Edge]]:
    """The program of a sum of terms with numbers as coefficients, and what its channels are.

    Every edge has a channel for the identity, one for the sum of all terms inside its subtree, and one for each of the different
    parts that the other terms have inside. Operators are the same if they are the same object. Coefficients enter where a term
    is complete.
    """
    edges: list[Edge] = []
    nodes = []
    on_leg: list[dict[int, Any]] = [{} for _ in tree.nodes]
    for k, (_, factors) in enumerate(terms):
        for leaf, op in factors.items():
            on_leg[tree.node_of[leaf]][k] = op
    for node in tree.nodes:
        local, edge = compiled_node(tree, terms, node, edges, on_leg[node])
        nodes.append(local)
        edges.append(edge)
    return Program(tree, tuple(nodes)), edges


def compiled_node(
    tree: Tree, terms: Sequence[Term], node: int, edges: Sequence[Edge], on_leg: Mapping[int, Any]
) -> tuple[Local, Edge]:
    below = [edges[child] for child in tree.children[node]]
    ops, own = numbered(on_leg.values())
    tail = [0] if tree.leg[node] >= 0 else []
    finished = sum(edge.finished for edge in below)
    active = sorted({k for edge in below for k in edge.open} | set(on_leg))
    entries: dict[tuple[int, ...], Any] = {}
    identity = complete = -1
    count = 0
    if finished + len(active) < len(terms):
        identity, count = 0, 1
        entries[(*(edge.identity for edge in below), *tail, identity)] = 1.0
    for axis, edge in enumerate(below):
        if edge.complete >= 0:
            complete, count = (count, count + 1) if complete < 0 else (complete, count)
            row = [other.identity for other in below]
            row[axis] = edge.complete
            entries[(*row, *tail, complete)] = 1.0
    opened: dict[int, tuple[int, int]] = {}
    channels: dict[tuple[int, ...], int] = {}
    for k in active:
        coefficient, factors = terms[k]
        row = [edge.open[k][0] if k in edge.open else edge.identity for edge in below]
        row += [own[id(on_leg[k])] if k in on_leg else 0] if tail else []
        inside = sum(edge.open[k][1] for edge in below if k in edge.open) + (k in on_leg)
        if inside == len(factors):
            complete, count = (count, count + 1) if complete < 0 else (complete, count)
            entries[(*row, complete)] = entries.get((*row, complete), 0.0) + coefficient
            finished += 1
        else:
            if tuple(row) not in channels:
                channels[tuple(row)], count = count, count + 1
                entries[(*row, count - 1)] = 1.0
            opened[k] = channels[tuple(row)], inside
    local = Local(np.array([*entries]), np.array([*entries.values()]), ops, count)
    return local, Edge(count, identity, complete, opened, finished)


def numbered(ops: Iterator[Any] | Any) -> tuple[tuple[Any, ...], dict[int, int]]:
    """(the different operators after None, id -> place)."""
    found: list[Any] = [None]
    places = {id(None): 0}
    for op in ops:
        if id(op) not in places:
            places[id(op)] = len(found)
            found.append(op)
    return tuple(found), places


def compressed(tree: Tree, terms: Sequence[Term], tol: float) -> Program:
    """`compiled`, with the open channels of every edge reduced to what the coefficients need.

    For each edge: the coefficients as a matrix (part inside, part outside), each weighted by the sizes of its operators, is cut
    at tol times its largest singular value; its left singular vectors are the new channels. For pairwise interactions this matrix
    is the off-diagonal block V[subtree, rest], as in the construction by hierarchically semi-separable matrices of Ceruti,
    Kressner and Sulz, arXiv 2405.09952. The channels of the identity and of complete terms stay as they are.
    """
    program, edges = compiled(tree, terms)
    sizes = [{leaf: legs.scale(op, tree.sizes[leaf]) or 1.0 for leaf, op in factors.items()} for _, factors in terms]
    bases = [channel_basis(tree, terms, sizes, node, edges[node], tol) for node in tree.edges]
    nodes = []
    for node, local in enumerate(program.locals):
        channels, values, count = local.channels, local.values, local.count
        for axis, child in enumerate(tree.children[node]):
            if bases[child] is not None:
                channels, values = transformed(channels, values, axis, bases[child][1])
        if node < tree.root and bases[node] is not None:
            channels, values = transformed(channels, values, channels.shape[1] - 1, bases[node][0])
            count = bases[node][0].shape[1]
        nodes.append(Local(channels, values, local.ops, count))
    return Program(tree, tuple(nodes))


def channel_basis(
    tree: Tree, terms: Sequence[Term], sizes: Sequence[Mapping[int, float]], node: int, edge: Edge, tol: float
) -> Any:
    """(made, used), both (old channels, new channels): how new ones are made of old, and old are replaced; None to keep all."""
    inside = set(tree.below[node])
    columns: dict[Any, int] = {}
    found, scales = [], {}
    for k, (channel, _) in edge.open.items():
        coefficient, factors = terms[k]
        outside = tuple(sorted((leaf, id(op)) for leaf, op in factors.items() if leaf not in inside))
        scales[channel] = math.prod(sizes[k][leaf] for leaf in factors if leaf in inside)
        weight = coefficient * math.prod(sizes[k].values())
        found.append((channel, columns.setdefault(outside, len(columns)), weight))
    if not found:
        return None
    order = sorted(scales)
    Gamma = np.zeros((edge.count, len(columns)), np.result_type(*(np.asarray(weight) for _, _, weight in found)))
    np.add.at(Gamma, tuple(np.array([row[:2] for row in found]).T), [weight for _, _, weight in found])
    U, sigma, _ = np.linalg.svd(Gamma[order], full_matrices=False)
    rank = max(int(np.sum(sigma > tol * sigma[0])), 1)
    if rank == len(order):
        return None
    kept = [channel for channel in range(edge.count) if channel not in scales]
    made = np.zeros((edge.count, len(kept) + rank), U.dtype)
    made[kept, range(len(kept))] = 1.0
    used, size = made.copy(), np.array([scales[channel] for channel in order])[:, None]
    made[order, len(kept) :] = U[:, :rank] / size
    used[order, len(kept) :] = U[:, :rank].conj() * size
    return made, used


def transformed(channels: np.ndarray, values: np.ndarray, axis: int, M: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The entries with channel c of a column replaced by the sum over j of M[c, j] times channel j; rounding zeros go."""
    rest, where = np.unique(np.delete(channels, axis, axis=1), axis=0, return_inverse=True)
    total = np.zeros((len(rest), M.shape[1]), np.result_type(values, M))
    np.add.at(total, where.reshape(-1), values[:, None] * M[channels[:, axis]])
    row, new = np.nonzero(np.abs(total) > 1e-16 * np.abs(total).max(initial=0.0))
    return np.insert(rest[row], axis, new, axis=1), total[row, new]
