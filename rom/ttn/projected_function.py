"""Right-hand sides that are functions of the whole state, projected on the bases of an integrator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..homes import together
from .local_solvers import FunctionFlow
from .overlaps import overlap_core, overlap_down, overlap_up
from .state import TTN
from .tensors import adjoint, along, matrix
from .tree import Tree


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """Y' = F(t, Y) for any F(t, state) -> TTN on the same tree, of any ranks and gauge; nonlinear terms are written this way.

    F gets the state in bases of the integrator, orthonormal but for one core. Each evaluation calls F once and forms inner
    products with its value: for ranks R of the value and r of the state O(R^2 r) numbers a node of three edges, twice that rank
    higher in time. `is_complex`: F makes complex states of real ones.

    >>> tree = Tree.balanced([2, 2])
    >>> Function(tree, lambda t, Y: -t * Y).is_complex
    False
    """

    tree: Tree
    F: Callable[[float, TTN], TTN]
    is_complex: bool = False

    def at(self, t: float, h: float) -> FunctionStage:
        return FunctionStage(self.tree, self.F)


@dataclass(frozen=True, slots=True)
class Cores:
    """The view of a part of the tree: all cores in it, of the state and of the bases projected on."""

    ket: Mapping[int, Any]
    bra: Mapping[int, Any]


@dataclass(frozen=True, slots=True, eq=False)
class FunctionStage:
    tree: Tree
    F: Callable[[float, TTN], TTN]

    def up(self, node: int, below: Sequence[Cores], bra: Any, ket: Any) -> Cores:
        return merged([*below, Cores({node: ket}, {node: bra})])

    def down(self, node: int, siblings: Sequence[Cores], above: Cores | None, bra: Any, ket: Any) -> Cores:
        parent, axis = self.tree.parent[node], self.tree.axis(node)
        others = [view for k, view in enumerate(siblings) if k != axis]
        return merged([*others, *([] if above is None else [above]), Cores({parent: ket}, {parent: bra})])

    def core(self, node: int, below: Sequence[Cores], above: Cores | None, like: Any) -> FunctionFlow:
        view = merged([*below, *([] if above is None else [above])])

        def change(t: float, C: Any) -> Any:
            return projected(self.value(t, {**view.ket, node: C}), view.bra, node)

        return FunctionFlow(change)

    def edge(self, node: int, below: Cores, above: Cores, like: Any) -> FunctionFlow:
        view = merged([below, above])
        ket, bra = view.ket[node], view.bra[node]

        def change(t: float, S: Any) -> Any:
            value = self.value(t, {**view.ket, node: along(S.T, ket, ket.ndim - 1)})
            return adjoint(matrix(bra)) @ matrix(projected(value, view.bra, node))

        return FunctionFlow(change)

    def value(self, t: float, cores: Mapping[int, Any]) -> TTN:
        found = self.F(t, TTN(self.tree, tuple(cores[node] for node in self.tree.nodes)))
        if not isinstance(found, TTN) or found.tree != self.tree:
            came = found if isinstance(found, TTN) else type(found).__name__
            raise TypeError(f"F(t, state) must return a TTN on the tree of the state; got {came} at t = {t:g}")
        together(state=next(iter(cores.values())), F=found.cores[-1])
        return found


def merged(views: Sequence[Cores]) -> Cores:
    ket: dict[int, Any] = {}
    bra: dict[int, Any] = {}
    for view in views:
        ket.update(view.ket)
        bra.update(view.bra)
    return Cores(ket, bra)


def projected(state: TTN, bra: Mapping[int, Any], node: int) -> Any:
    """The core of the state at a node between the bases bra, which has all other nodes; from the leaves and from the root."""
    tree = state.tree
    path = [node]
    while path[-1] != tree.root:
        path.append(tree.parent[path[-1]])
    up: dict[int, Any] = {}
    for t in tree.nodes:
        if t not in path:
            up[t] = overlap_up([up[child] for child in tree.children[t]], bra[t], state.cores[t])
    above = None
    for t in reversed(path[:-1]):
        parent = tree.parent[t]
        siblings = [up.get(child) for child in tree.children[parent]]
        above = overlap_down(tree.axis(t), siblings, above, bra[parent], state.cores[parent])
    return overlap_core([up[child] for child in tree.children[node]], above, state.cores[node])
