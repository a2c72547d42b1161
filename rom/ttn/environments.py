"""What an operator does at every node and edge of a state, with the bases of the rest held fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .contraction import Channels, Function
from .gauges import Gauges, gauges
from .local_sums import core_function, down, edge_function, expected, subtrees, up
from .program import Program
from .state import TTN

__all__ = ["Channels", "Environments", "core_function", "down", "downs", "edge_function", "expectation", "up", "ups"]


@dataclass(frozen=True, slots=True, eq=False)
class Environments:
    """An operator seen from every node and edge of a state.

    `up[t]`: the subtree of t between its bases, `down[t]`: the rest of the tree, both as matrices (channels, r', r). They belong
    to the state they were made of: states do not change, so a new state has new environments.

    >>> import numpy as np
    >>> from petrov.rom.ttn import TTN, KronSum, Tree
    >>> Y = TTN.random(Tree.balanced([4] * 4), 3)
    >>> E = Environments.of(KronSum(Y.tree, [(1.0, {0: np.diag(np.arange(4.0))})]), Y)
    >>> C = E.gauges.weighted[2]  # the core between all other bases
    >>> bool(np.isclose(np.vdot(C, E.core(2)(C)), Y.expectation(KronSum(Y.tree, [(1.0, {0: np.arange(4.0)})]))))
    True
    """

    program: Program
    gauges: Gauges
    up: tuple[Channels, ...]
    down: tuple[Channels | None, ...]

    @classmethod
    def of(cls, A: Any, state: TTN | Gauges) -> Environments:
        """All of them. The state must be orthonormal (`TTN.orthonormal`); identities are relied on."""
        seen = state if isinstance(state, Gauges) else gauges(state)
        program = A if isinstance(A, Program) else A.program
        up = ups(program, seen.bases)
        return cls(program, seen, tuple(up), tuple(downs(program, up, seen)))

    def core(self, node: int) -> Function:
        """C -> F_t(C) for cores of the shape of gauges.weighted[node]: for a leaf node, the right-hand side of its K-step."""
        tree = self.program.tree
        shape = tuple(self.gauges.weighted[node].shape)
        below = [self.up[child] for child in tree.children[node]]
        return core_function(self.program, node, below, self.down[node], shape, self.gauges.weighted[node])

    def edge(self, node: int) -> Function:
        """S -> F(S) for the matrix (r', r) on the edge of a node: `gauges.S[node].T`, rows on the side of the node's basis."""
        above = self.down[node]
        if above is None:
            raise ValueError("the root has no edge to a parent")
        return edge_function(self.program, node, self.up[node], above, self.gauges.weighted[node])


def ups(program: Program, ket: TTN, bra: TTN | None = None, *, orthonormal: bool = True) -> list[Channels]:
    """<bra basis, A, ket basis> of every subtree, leaves to root; the last is (1, 1, 1), the inner product without the factor.

    Without `bra` it is the ket, whose identity channels are known if it is orthonormal. Otherwise they hold overlaps.
    """
    return subtrees(program, ket.cores, (bra or ket).cores, known=bra is None and orthonormal)


def downs(program: Program, up: Sequence[Channels], seen: Gauges) -> list[Channels | None]:
    """The rest of the tree seen from every edge, root to leaves; None at the root."""
    tree = program.tree
    found: list[Channels | None] = [None] * len(tree.parent)
    for node in reversed(tree.edges):
        parent, Q = tree.parent[node], seen.towards[node]
        found[node] = down(program, node, [up[child] for child in tree.children[parent]], found[parent], Q, Q, known=True)
    return found


def expectation(A: Any, ket: TTN, bra: TTN | None = None) -> Any:
    """<bra, A ket> (bra is the ket unless given), a Python number; nothing has to be orthonormal."""
    return expected(A if isinstance(A, Program) else A.program, ket.cores, (bra or ket).cores)
