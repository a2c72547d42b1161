"""Operators in tree tensor network form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...solvers import arrays
from . import legs
from .kron_sum import KronSum, same_terms
from .operator_dense import dense_program
from .program import Local, Program, joined
from .state import MOST_ENTRIES, TTN
from .terms import compressed
from .tree import Tree


@dataclass(frozen=True, slots=True, eq=False)
class TTNO:
    """An operator as `factor` times a network of `cores`, one a node of the tree, in post-order: NumPy arrays, which are moved
    once to the device of the states that they meet there (CuPy's are read on the host).

    Axes of a core: the bonds to the children in order; if the node has a leg, its row and its column (out, in); the bond to the
    parent last, of length 1 at the root. Zeros are not multiplied with: operators from `from_terms` and `pairwise` keep two bonds
    for the identity and for what is complete, which sums skip; sums and multiples keep them, `rounded` does not.

    >>> import numpy as np
    >>> tree = Tree.balanced([2] * 8)
    >>> V = 1 / (1 + np.abs(np.subtract.outer(range(8), range(8))))
    >>> H = TTNO.pairwise(tree, V, np.diag([1.0, 0.0]), onsite=np.ones((2, 2)))
    >>> max(H.ranks), (-1j * H + H).to_dense().dtype
    (6, dtype('complex128'))
    """

    tree: Tree
    cores: tuple[np.ndarray, ...]
    factor: complex = 1.0
    _program: list[Program] = field(repr=False, default_factory=list)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cores", tuple(np.asarray(arrays.to_numpy(core)) for core in self.cores))
        if len(self.cores) != len(self.tree.parent):
            raise ValueError(f"a tree of {len(self.tree.parent)} nodes needs as many cores; got {len(self.cores)}")
        bonds = [core.shape[-1] for core in self.cores]
        for node, core in enumerate(self.cores):
            own = (self.tree.size(node),) * 2 if self.tree.leg[node] >= 0 else ()
            shape = (*(bonds[c] for c in self.tree.children[node]), *own, 1 if node == self.tree.root else bonds[node])
            if core.shape != shape:
                raise ValueError(f"core {node} must have the shape {shape}: children, out, in, parent; got {core.shape}")

    @classmethod
    def from_terms(cls, tree: Tree, terms: Sequence[tuple[complex, Mapping[int, Any]]], tol: float = 1e-13) -> TTNO:
        """The sum of c times the product of the operators {leaf: op}, with bonds as small as the coefficients allow.

        Per edge, the coefficients as a matrix (operators inside, operators outside), weighted by the sizes of the operators, are
        cut at tol times the largest singular value. Operators: as for KronSum; held dense.
        """
        parsed = KronSum(tree, tuple(terms)).terms
        if any(callable(coefficient) for coefficient, _ in parsed):
            raise TypeError("a TTNO has constant coefficients: use KronSum for functions of time")
        return cls.from_program(compressed(tree, same_terms(parsed), tol))

    @classmethod
    def pairwise(cls, tree: Tree, V: Any, op: Any, onsite: Any = None, tol: float = 1e-12) -> TTNO:
        """sum_(i < j) V[i, j] op_i op_j + sum_i onsite_i: bonds of 2 plus the rank of V[subtree, rest] at tol.

        op and onsite: one operator for all leaves, or a sequence of one a leaf. V (d, d) is read above its diagonal.
        """
        d = tree.order
        V = np.asarray(V)
        if V.shape != (d, d):
            raise ValueError(f"V must have the shape ({d}, {d}), a row and a column a leaf; got {V.shape}")
        ops, single = per_leaf(op, d), per_leaf(onsite, d)
        terms = [(V[i, j].item(), {i: ops[i], j: ops[j]}) for i in range(d) for j in range(i + 1, d) if V[i, j] != 0]
        terms += [(1.0, {i: one}) for i, one in enumerate(single) if one is not None]
        return cls.from_terms(tree, terms or [(0.0, {})], tol)

    @classmethod
    def from_program(cls, program: Program) -> TTNO:
        """Its dense cores."""
        cores = tuple(dense_core(program, node) for node in program.tree.nodes)
        return cls(program.tree, cores, program.factor, [replace(program, factor=1.0)])

    @property
    def ranks(self) -> tuple[int, ...]:
        """The bond of every edge."""
        return tuple(core.shape[-1] for core in self.cores[:-1])

    @property
    def is_constant(self) -> bool:
        return True

    @property
    def program(self) -> Program:
        """What environments read: the entries of the cores that are not zero."""
        if not self._program:
            self._program.append(Program(self.tree, tuple(local(self, node) for node in self.tree.nodes)))
        return self._program[0].scaled(self.factor)

    def at(self, t: float) -> TTNO:
        """Itself, at any time."""
        return self

    def split(self) -> list[tuple[None, TTNO]]:
        """As of a KronSum: one constant operator."""
        return [(None, self)]

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.tree.order} leaves, bonds up to {max(self.ranks, default=1)}"

    def scaled(self, factor: complex) -> TTNO:
        """Times a number."""
        return TTNO(self.tree, self.cores, self.factor * factor, self._program)

    __mul__ = __rmul__ = scaled

    def __truediv__(self, divisor: complex) -> TTNO:
        return self.scaled(1.0 / divisor)

    def __neg__(self) -> TTNO:
        return self.scaled(-1.0)

    def __add__(self, other: Any) -> TTNO:
        if not isinstance(other, TTNO | KronSum):
            return NotImplemented
        return TTNO.from_program(joined(self.program, other.program))

    __radd__ = __add__

    def __sub__(self, other: Any) -> TTNO:
        return self + other.scaled(-1.0)

    def rounded(self, tol: float = 1e-13) -> TTNO:
        """With the smallest bonds for an error of tol of the Frobenius norm an edge: weighted truncation, as of a state."""
        squared = self.tree.resized({leaf: size * size for leaf, size in enumerate(self.tree.sizes)})
        flat = []
        for node, core in enumerate(self.cores):
            children = core.shape[: len(self.tree.children[node])]
            own: tuple[int, ...] = (-1,) if self.tree.leg[node] >= 0 else ()
            flat.append(core.reshape(*children, *own, core.shape[-1]))
        cores = []
        for node, core in enumerate(TTN(squared, tuple(flat)).rounded(tol).cores):
            own = (self.tree.size(node),) * 2 if self.tree.leg[node] >= 0 else ()
            cores.append(core.reshape(*core.shape[: len(self.tree.children[node])], *own, core.shape[-1]))
        return TTNO(self.tree, tuple(cores), self.factor)

    def to_dense(self) -> np.ndarray:
        """The matrix on arrays flattened in the order of the leaves: for small trees, tests and debugging."""
        return dense_program(self.program)


def per_leaf(op: Any, d: int) -> list[Any]:
    if isinstance(op, list | tuple):
        if len(op) != d:
            raise ValueError(f"operators must be one for all leaves or {d}, one a leaf; got {len(op)}")
        return [*op]
    return [op] * d


def dense_core(program: Program, node: int) -> np.ndarray:
    """The core of one node as an array. ValueError above 2^28 entries."""
    tree, found = program.tree, program.locals[node]
    bonds = [program.locals[child].count for child in tree.children[node]]
    if math.prod(bonds) * found.count * tree.size(node) ** 2 > MOST_ENTRIES:
        raise ValueError(
            f"a TTNO holds dense operators: bonds {(*bonds, found.count)} at a leg of length {tree.size(node)} are too many "
            f"numbers; take a KronSum, with sparse operators, diagonals or functions"
        )
    index, values = found.channels.T, found.values
    if tree.leg[node] < 0:
        core = np.zeros((*bonds, found.count), values.dtype)
        np.add.at(core, tuple(index), values)
        return core
    ops = np.stack([legs.dense(op, tree.size(node)) for op in found.ops])
    n = tree.size(node)
    core = np.zeros((*bonds, found.count, n, n), np.result_type(values, ops))
    np.add.at(core, (*index[:-2], index[-1]), values[:, None, None] * ops[index[-2]])
    return np.moveaxis(core, -3, -1)


def local(A: TTNO, node: int) -> Local:
    """The entries of a core that are not zero (one if all are); leg operators that are multiples of one another are one."""
    tree, core = A.tree, A.cores[node]
    if not core.any():
        width = len(tree.children[node]) + 1 + (tree.leg[node] >= 0)
        return Local(np.zeros((1, width), int), np.zeros(1, core.dtype), (None,), core.shape[-1])
    if tree.leg[node] < 0:
        index = np.nonzero(core)
        return Local(np.stack(index, axis=1), core[index], (None,), core.shape[-1])
    n = tree.size(node)
    blocks = np.moveaxis(core, -1, -3)  # children, parent, out, in
    index = np.nonzero(np.any(blocks != 0, axis=(-2, -1)))
    ops: list[Any] = [None]
    known: dict[bytes, int] = {np.eye(n, dtype=core.dtype).tobytes(): 0}
    rows, values = [], []
    for row in zip(*index, strict=True):
        block = blocks[row]
        c = block.flat[np.argmax(np.abs(block))]
        place = known.setdefault((block / c + 0.0).tobytes(), len(ops))
        if place == len(ops):
            ops.append(block / c)
        rows.append((*row[:-1], place, row[-1]))
        values.append(c)
    return Local(np.array(rows), np.array(values, core.dtype), tuple(ops), core.shape[-1])
