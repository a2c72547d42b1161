"""Trees: which modes of a tensor are joined to which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any

NO_LEG = -1


@dataclass(frozen=True, slots=True)
class Tree:
    """A rooted tree whose nodes carry the legs (modes) 0, ..., d - 1 of a tensor. Immutable, hashable.

    Nodes are numbered in post-order: the nodes of a subtree follow one another, children before their parent, the root last.
    Any node may carry one leg, none has to: trains, combs, Tucker and hierarchical Tucker formats are all trees. The axes of the
    core of a node are its children in ascending order, then its leg if it has one, then its parent; that last axis has length 1
    at the root. `parent[t]` (-1 at the root) and `leg[t]` (-1 without one) describe it, with the lengths `sizes[leaf]`.

    ValueError if the numbering is no post-order, a leg is missing or doubled, or a node has neither leg nor child.

    >>> tree = Tree.balanced([2, 2, 3])
    >>> tree.children, tree.leg, tree.root
    (((), (), (0, 1), (), (2, 3)), (0, 1, -1, 2, -1), 4)
    >>> print(tree.to_text())
    root
    |- node 2
    |  |- leaf 0 (2)
    |  `- leaf 1 (2)
    `- leaf 2 (3)
    """

    parent: tuple[int, ...]
    leg: tuple[int, ...]
    sizes: tuple[int, ...]
    children: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)
    node_of: tuple[int, ...] = field(init=False, repr=False, compare=False)  # the node of every leaf
    below: tuple[tuple[int, ...], ...] = field(init=False, repr=False, compare=False)  # the leaves of every subtree, ascending

    def __post_init__(self) -> None:
        for name in ("parent", "leg", "sizes"):
            object.__setattr__(self, name, tuple(index(value) for value in getattr(self, name)))
        checked(self.parent, self.leg, self.sizes)
        children: list[list[int]] = [[] for _ in self.parent]
        below: list[set[int]] = [{leaf} - {NO_LEG} for leaf in self.leg]
        for node, parent in enumerate(self.parent[:-1]):
            children[parent].append(node)
            below[parent] |= below[node]
        at = {leaf: node for node, leaf in enumerate(self.leg)}
        object.__setattr__(self, "children", tuple(map(tuple, children)))
        object.__setattr__(self, "below", tuple(tuple(sorted(leaves)) for leaves in below))
        object.__setattr__(self, "node_of", tuple(at[leaf] for leaf in range(len(self.sizes))))

    @property
    def root(self) -> int:
        return len(self.parent) - 1

    @property
    def nodes(self) -> range:
        """All nodes, children before parents."""
        return range(len(self.parent))

    @property
    def edges(self) -> range:
        """The nodes below the root: each stands for the edge to its parent."""
        return range(len(self.parent) - 1)

    @property
    def order(self) -> int:
        """d, the number of legs."""
        return len(self.sizes)

    @property
    def levels(self) -> tuple[tuple[int, ...], ...]:
        """The nodes by their distance from the root: levels[0] is (root,). Those of a level do not depend on one another."""
        depth = [0] * len(self.parent)
        for node in reversed(self.edges):
            depth[node] = depth[self.parent[node]] + 1
        return tuple(tuple(t for t in self.nodes if depth[t] == level) for level in range(max(depth) + 1))

    def axis(self, node: int) -> int:
        """The axis of the parent's core that points to this node."""
        return self.children[self.parent[node]].index(node)

    def size(self, node: int) -> int:
        """The length of the leg of a node; 1 without one."""
        return 1 if self.leg[node] == NO_LEG else self.sizes[self.leg[node]]

    def core_shape(self, node: int, ranks: Sequence[int]) -> tuple[int, ...]:
        """The shape of a core if the edge of node t has ranks[t]; the root's entry is not read."""
        own = () if self.leg[node] == NO_LEG else (self.size(node),)
        return (*(ranks[child] for child in self.children[node]), *own, 1 if node == self.root else ranks[node])

    def feasible(self, ranks: int | Sequence[int]) -> tuple[int, ...]:
        """The ranks, each lowered to what the other edges of its two nodes can fill; 1 at the root. One number stands for all."""
        several = ranks if isinstance(ranks, Iterable) else [ranks] * len(self.parent)
        given = [index(rank) for rank in several]
        if len(given) not in (len(self.edges), len(self.parent)) or min(given, default=1) < 1:
            raise ValueError(f"ranks must be one number or {len(self.edges)} numbers >= 1, an edge each; got {ranks}")
        given = [*given[: len(self.edges)], 1]
        for node in self.edges:
            given[node] = min(given[node], self.size(node) * product(given[child] for child in self.children[node]))
        for node in reversed(self.edges):
            others = product(given[other] for other in self.children[self.parent[node]] if other != node)
            given[node] = min(given[node], self.size(self.parent[node]) * others * given[self.parent[node]])
        return tuple(given)

    def resized(self, sizes: Mapping[int, int]) -> Tree:
        """The same tree with other lengths of some leaves."""
        if unknown := [leaf for leaf in sizes if leaf not in range(self.order)]:
            raise ValueError(f"the tree has the leaves 0 ... {self.order - 1}; got {unknown}")
        return Tree(self.parent, self.leg, tuple(sizes.get(leaf, size) for leaf, size in enumerate(self.sizes)))

    @classmethod
    def nested(cls, structure: Any, sizes: Sequence[int]) -> Tree:
        """The tree that nested tuples draw: a number is a node with that leg alone, a tuple is a node with these children.

        A mapping {leaf: children} is a node with a leg and children; its value is one child or a tuple of several.

        >>> Tree.nested(((0, 1), {2: 3}), sizes=[2, 3, 4, 5]).parent
        (2, 2, 5, 4, 5, -1)
        """
        legs: list[int] = []
        parents: list[int] = []  # from the root on, the last child first: post-order backwards
        waiting = [(structure, NO_LEG)]
        while waiting:
            part, parent = waiting.pop()
            own, below = split(part)
            waiting.extend((child, len(legs)) for child in below)
            legs.append(own)
            parents.append(parent)
        last = len(legs) - 1
        return cls(tuple(last - p if p >= 0 else -1 for p in reversed(parents)), tuple(reversed(legs)), tuple(sizes))

    @classmethod
    def balanced(cls, sizes: Sequence[int]) -> Tree:
        """A binary tree: the legs at its leaf nodes, halves of a range at every inner node."""
        return cls.nested(halves(0, len(sizes)), sizes)

    @classmethod
    def chain(cls, sizes: Sequence[int]) -> Tree:
        """A train: node k has leg k and the child k - 1; the last node is the root."""
        return cls((*range(1, len(sizes)), -1), tuple(range(len(sizes))), tuple(sizes))

    @classmethod
    def comb(cls, sizes: Sequence[int], length: int) -> Tree:
        """Teeth that are trains of `length` legs each (the last one may be shorter), joined by a spine without legs."""
        if length < 1:
            raise ValueError(f"length must be at least 1, the legs of a tooth; got {length}")
        teeth = []
        for first in range(0, len(sizes), length):
            tooth: Any = first
            for leaf in range(first + 1, min(first + length, len(sizes))):
                tooth = {leaf: tooth}
            teeth.append(tooth)
        spine = teeth[0] if teeth else ()
        for tooth in teeth[1:]:
            spine = (spine, tooth)
        return cls.nested(spine, sizes)

    @classmethod
    def tucker(cls, sizes: Sequence[int]) -> Tree:
        """A root whose children carry one leg each."""
        return cls.nested(tuple(range(len(sizes))), sizes)

    def record(self) -> dict[str, list[int]]:
        """What JSON can hold; `from_record` reads it."""
        return {"parent": list(self.parent), "leg": list(self.leg), "sizes": list(self.sizes)}

    @classmethod
    def from_record(cls, record: Mapping[str, Sequence[int]]) -> Tree:
        return cls(tuple(record["parent"]), tuple(record["leg"]), tuple(record["sizes"]))

    def to_text(self, ranks: Sequence[int] | None = None) -> str:
        """The tree drawn in plain text, a node a line; with `ranks` (an edge each) the rank stands on the branch."""
        if ranks is not None and len(ranks) < len(self.edges):
            raise ValueError(f"ranks must be {len(self.edges)} numbers, an edge each; got {len(ranks)}")
        lines, waiting = [], [(self.root, "", "")]
        while waiting:
            node, first, rest = waiting.pop()
            lines.append(first + self._label(node, ranks))
            for child in reversed(self.children[node]):
                last = child == self.children[node][-1]
                waiting.append((child, rest + ("`- " if last else "|- "), rest + ("   " if last else "|  ")))
        return "\n".join(lines)

    def _label(self, node: int, ranks: Sequence[int] | None) -> str:
        leaf = "" if self.leg[node] == NO_LEG else f"leaf {self.leg[node]} ({self.size(node)})"
        name = ["root", leaf] if node == self.root else [leaf or f"node {node}"]
        rank = "" if ranks is None or node == self.root else f"{ranks[node]} - "
        return rank + ", ".join(part for part in name if part)


def checked(parent: tuple[int, ...], leg: tuple[int, ...], sizes: tuple[int, ...]) -> None:
    if not sizes:
        raise ValueError("a tree needs at least one leaf, with its size")
    if len(parent) != len(leg) or not parent:
        raise ValueError(f"parent and leg must have an entry a node and at least one; got {len(parent)} and {len(leg)}")
    if min(sizes) < 1 or sorted(leaf for leaf in leg if leaf != NO_LEG) != list(range(len(sizes))):
        raise ValueError(f"every leaf 0 ... {len(sizes) - 1}, of a size >= 1, must be at one node; got {leg}, {sizes}")
    first = list(range(len(parent)))  # the first node of the subtree of each
    degree = Counter(parent)
    for node in range(len(parent)):
        if node < len(parent) - 1 and not node < parent[node] < len(parent):
            raise ValueError(f"nodes must come before their parents and the root last; node {node} has the parent {parent[node]}")
        below, count = node - 1, 0
        while below >= 0 and parent[below] == node:
            first[node], below, count = first[below], first[below] - 1, count + 1
        if count != degree[node]:
            raise ValueError(f"nodes must be in post-order, subtree after subtree; the children of node {node} are not")
        if first[node] == node and leg[node] == NO_LEG:
            raise ValueError(f"node {node} has neither a leg nor children: drop it")
    if parent[-1] != -1:
        raise ValueError(f"the last node must be the root, with the parent -1; got {parent[-1]}")


def split(part: Any) -> tuple[int, tuple[Any, ...]]:
    """(leg, children) of a part of a nested structure."""
    if isinstance(part, Mapping):
        if len(part) != 1:
            raise ValueError(f"a mapping of a nested structure is one node {{leaf: children}}; got {part}")
        ((own, below),) = part.items()
        return index(own), tuple(below) if isinstance(below, tuple | list) else (below,)
    if isinstance(part, tuple | list):
        return NO_LEG, tuple(part)
    return index(part), ()


def halves(start: int, stop: int) -> Any:
    if stop - start <= 1:
        return start
    middle = start + (stop - start + 1) // 2
    return halves(start, middle), halves(middle, stop)


def product(values: Any) -> int:
    total = 1
    for value in values:
        total *= value
    return total
