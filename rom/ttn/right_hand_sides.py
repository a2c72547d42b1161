"""What may stand right of Y' = F(t, Y), in the one form that integrators know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .gauges import Gauges
from .kron_sum import KronSum
from .local_solvers import Flow, LinearFlow
from .local_sums import core_function, down, edge_function, up
from .moving_flow import MovingFlow, with_source
from .operator_kind import is_hermitian, unit
from .overlaps import overlap_core, overlap_down, overlap_edge, overlap_up
from .program import Program
from .projected_function import Cores, Function, merged, projected
from .state import TTN
from .tasks import Workers, serial
from .tensors import adjoint, matrix
from .tree import Tree
from .ttno import TTNO

__all__ = ["Affine", "Function", "Linear", "RightHandSide", "Stage", "Views", "as_rhs"]

View = Any  # what a right-hand side knows of a subtree, or of the rest of the tree, between two sets of bases


class Stage(Protocol):
    """F during one step, between bases that the integrator chooses.

    A *view* is what F knows of a part of the tree, between orthonormal bases `ket` (those of the state that F is applied to) and
    `bra` (those it is projected on). Integrators hand views on and do not look into them.

    up(node, below, bra, ket): the subtree of a node, from the views of its children (in order) and two cores of the node.
    down(node, siblings, above, bra, ket): the rest of the tree at the edge of a node, from the views of all children of its
    parent (the node's own is not read), the view from above the parent (None at the root), and two cores of the parent,
    orthonormal towards the node (`Gauges.towards[node]`). In both, `bra is ket` says that all bases below and above are the
    same as well.
    core(node, below, above, like): the flow of the core of a node; `like` has the shape (ket) and type of that core, above is
    None at the root. Between different bases its value has the shape of bra.
    edge(node, below, above, like): the flow of the matrix S (r of the node's basis, r of the rest) on an edge.
    """

    def up(self, node: int, below: Sequence[View], bra: Any, ket: Any) -> View: ...
    def down(self, node: int, siblings: Sequence[View], above: View, bra: Any, ket: Any) -> View: ...
    def core(self, node: int, below: Sequence[View], above: View, like: Any) -> Flow: ...
    def edge(self, node: int, below: View, above: View, like: Any) -> Flow: ...


class RightHandSide(Protocol):
    """`at(t, h)`: the stage of the step from t to t + h."""

    @property
    def tree(self) -> Tree: ...
    @property
    def is_complex(self) -> bool: ...
    def at(self, t: float, h: float) -> Stage: ...


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """Y' = A Y for a KronSum or TTNO, also with a factor, as in -1j * H, and with coefficients that are functions of time.

    With `RK4` and `AdaptiveRK` coefficients are those of the times of the stages; `Krylov`, the default, takes them at the middle
    of a step (the exponential midpoint rule, of order 2). `hermitian`: whether A is, up to its factor; None looks: the forms
    <X, A X> of random X are real or not. Operators with callables count as not known.

    >>> import numpy as np
    >>> tree = Tree.balanced([2, 2])
    >>> Linear(-1j * KronSum(tree, [(1.0, {0: np.array([1.0, 2.0])})])).hermitian
    True
    """

    A: Any
    hermitian: bool | None = None
    parts: tuple[tuple[Callable[[float], complex] | None, Program], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.A, KronSum | TTNO):
            raise TypeError(f"A must be a KronSum or a TTNO; got {type(self.A).__name__}")
        parts = tuple((coefficient, unit(part.program)) for coefficient, part in self.A.split())
        object.__setattr__(self, "parts", parts)
        if self.hermitian is None:
            known = [is_hermitian(program) for _, program in parts]
            object.__setattr__(self, "hermitian", None if None in known else all(known))

    @property
    def tree(self) -> Tree:
        return self.A.tree

    @property
    def is_complex(self) -> bool:
        factor = complex(self.A.factor)
        return factor.imag != 0 or any(has_complex(coefficient, program) for coefficient, program in self.parts)

    def at(self, t: float, h: float) -> LinearStage:
        coefficients, programs = zip(*self.parts, strict=True)
        return LinearStage(coefficients, programs, self.A.factor, self.hermitian, t + h / 2)


def has_complex(coefficient: Callable[[float], complex] | None, program: Program) -> bool:
    """Whether a part makes a real state complex; a coefficient of time is asked once, at t = 0."""
    ops = any(getattr(op, "dtype", None) is not None and op.dtype.kind == "c" for local in program.locals for op in local.ops)
    return ops or program.is_complex or (coefficient is not None and complex(coefficient(0.0)).imag != 0)


@dataclass(frozen=True, slots=True, eq=False)
class LinearStage:
    """`factor` times the sum of coefficients times programs; a view is a tuple of channels, one a program."""

    coefficients: tuple[Callable[[float], complex] | None, ...]
    programs: tuple[Program, ...]
    factor: complex
    hermitian: bool | None
    middle: float

    def up(self, node: int, below: Sequence[View], bra: Any, ket: Any) -> View:
        return tuple(up(p, node, [view[k] for view in below], bra, ket, known=bra is ket) for k, p in enumerate(self.programs))

    def down(self, node: int, siblings: Sequence[View], above: View, bra: Any, ket: Any) -> View:
        views: list[list[Any]] = [[None if view is None else view[k] for view in siblings] for k in range(len(self.programs))]
        return tuple(
            down(p, node, views[k], None if above is None else above[k], bra, ket, known=bra is ket)
            for k, p in enumerate(self.programs)
        )

    def core(self, node: int, below: Sequence[View], above: View, like: Any) -> LinearFlow | MovingFlow:
        shape = tuple(like.shape)
        return self.summed([
            core_function(p, node, [view[k] for view in below], None if above is None else above[k], shape, like)
            for k, p in enumerate(self.programs)
        ])  # fmt: skip

    def edge(self, node: int, below: View, above: View, like: Any) -> LinearFlow | MovingFlow:
        return self.summed([edge_function(p, node, below[k], above[k], like) for k, p in enumerate(self.programs)])

    def summed(self, functions: list[Callable[[Any], Any]]) -> LinearFlow | MovingFlow:
        if self.coefficients == (None,):
            return LinearFlow(functions[0], self.factor, self.hermitian)

        def at(t: float) -> LinearFlow:
            numbers = [1.0 if c is None else c(t) for c in self.coefficients]
            hermitian = self.hermitian if all(complex(c).imag == 0 for c in numbers) else None
            pairs = list(zip(numbers, functions, strict=True))
            return LinearFlow(lambda C: sum(c * f(C) for c, f in pairs), self.factor, hermitian)

        return MovingFlow(at, at(self.middle))


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """Y' = A Y + source: A as for `Linear`, the source a TTN on the same tree or a function of time that returns one.

    A source of time is taken when coefficients of time are: at the middle of a step by `Krylov`. It need not be orthonormal.

    >>> import numpy as np
    >>> tree = Tree.balanced([2, 2])
    >>> b = TTN.product(tree, [np.ones(2), np.ones(2)])
    >>> Affine(KronSum(tree, [(-1.0, {})]), b).is_complex
    False
    """

    A: Any
    source: TTN | Callable[[float], TTN]
    linear: Linear = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "linear", self.A if isinstance(self.A, Linear) else Linear(self.A))
        self.at_time(0.0)

    @property
    def tree(self) -> Tree:
        return self.linear.tree

    @property
    def is_complex(self) -> bool:
        return self.linear.is_complex or self.at_time(0.0).dtype.startswith("complex")

    def at_time(self, t: float) -> TTN:
        source = self.source(t) if callable(self.source) else self.source
        if not isinstance(source, TTN) or source.tree != self.tree:
            came = source if isinstance(source, TTN) else type(source).__name__
            raise ValueError(f"the source must be a TTN on the tree of the operator; got {came} at t = {t:g}")
        return source

    def at(self, t: float, h: float) -> AffineStage:
        return AffineStage(self.linear.at(t, h), self.at_time(t + h / 2), self.at_time if callable(self.source) else None)


@dataclass(frozen=True, slots=True, eq=False)
class AffineStage:
    """A linear stage and a source, that of the middle; a view is (that of the linear stage, <bra, source> of the same part).

    For a source of time, `moving`, a third entry holds the bases projected on.
    """

    linear: LinearStage
    source: TTN
    moving: Callable[[float], TTN] | None = None

    def up(self, node: int, below: Sequence[View], bra: Any, ket: Any) -> View:
        linear = self.linear.up(node, [view[0] for view in below], bra, ket)
        overlap = overlap_up([view[1] for view in below], bra, self.source.cores[node])
        return linear, overlap, self.bases([view[2] for view in below], node, bra)

    def down(self, node: int, siblings: Sequence[View], above: View, bra: Any, ket: Any) -> View:
        views = [(None, None, None) if view is None else view for view in siblings]
        linear, rest, known = (None, None, None) if above is None else above
        linear = self.linear.down(node, [view[0] for view in views], linear, bra, ket)
        tree = self.source.tree
        axis, parent = tree.axis(node), tree.parent[node]
        overlap = overlap_down(axis, [view[1] for view in views], rest, bra, self.source.cores[parent])
        return linear, overlap, self.bases([*(view[2] for k, view in enumerate(views) if k != axis), known], parent, bra)

    def core(self, node: int, below: Sequence[View], above: View, like: Any) -> LinearFlow | MovingFlow:
        linear, rest, known = (None, None, None) if above is None else above
        flow = self.linear.core(node, [view[0] for view in below], linear, like)
        source = overlap_core([view[1] for view in below], rest, self.source.cores[node])
        if self.moving is None:
            return with_source(flow, source)
        moving, bases = self.moving, merged([view for view in (*(view[2] for view in below), known) if view is not None])
        return with_source(flow, source, lambda t: projected(moving(t), bases.bra, node))

    def edge(self, node: int, below: View, above: View, like: Any) -> LinearFlow | MovingFlow:
        flow, source = self.linear.edge(node, below[0], above[0], like), overlap_edge(below[1], above[1])
        if self.moving is None:
            return with_source(flow, source)
        moving, bra = self.moving, merged([below[2], above[2]]).bra
        return with_source(flow, source, lambda t: adjoint(matrix(bra[node])) @ matrix(projected(moving(t), bra, node)))

    def bases(self, parts: Sequence[Cores | None], node: int, bra: Any) -> Cores | None:
        """Those of a source of time: of some parts of the tree and of one more node."""
        if self.moving is None:
            return None
        return merged([*(part for part in parts if part is not None), Cores({}, {node: bra})])


def as_rhs(x: Any) -> RightHandSide:
    """The right-hand side that x stands for: an operator (KronSum, TTNO), or one of `Linear`, `Affine`, `Function` as it is.

    Make it once for many steps: what is learned of an operator is kept in it. TypeError for anything else.

    >>> tree = Tree.balanced([2, 2])
    >>> as_rhs(KronSum(tree, [(2.0, {})])).hermitian
    True
    """
    if isinstance(x, KronSum | TTNO):
        return Linear(x)
    if all(hasattr(x, name) for name in ("tree", "at", "is_complex")):
        return x
    raise TypeError(
        f"a right-hand side is a KronSum or TTNO A (Y' = A Y), Affine(A, source), or Function(tree, F) with F(t, state) -> TTN; "
        f"got {type(x).__name__}"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """A stage seen from every node and edge of one state: all bases are those of its gauges."""

    stage: Stage
    gauges: Gauges
    up: tuple[View, ...]
    down: tuple[View, ...]

    @classmethod
    def of(cls, stage: Stage, seen: Gauges, workers: Workers | None = None) -> Views:
        """Of all nodes, from above of those that `seen` has gauges of; with workers, of several at a time."""
        tree, cores = seen.bases.tree, seen.bases.cores
        workers = workers or serial(tree)
        ups: list[View] = [None] * len(tree.parent)
        downs: list[View] = [None] * len(tree.parent)

        def see_up(node: int) -> None:
            if node < tree.root:
                ups[node] = stage.up(node, [ups[child] for child in tree.children[node]], cores[node], cores[node])

        def see_down(node: int) -> None:
            if seen.towards[node] is not None:
                parent, Q = tree.parent[node], seen.towards[node]
                downs[node] = stage.down(node, [ups[child] for child in tree.children[parent]], downs[parent], Q, Q)

        workers.up(see_up)
        workers.down(see_down)
        return cls(stage, seen, tuple(ups[:-1]), tuple(downs))

    def flow(self, node: int) -> Flow:
        """Of gauges.weighted[node]: K-step at leaf nodes, Galerkin step of the core elsewhere."""
        below = [self.up[child] for child in self.gauges.bases.tree.children[node]]
        return self.stage.core(node, below, self.down[node], self.gauges.weighted[node])

    def edge(self, node: int) -> Flow:
        """Of gauges.S[node].T, which is (rank of the node's basis, rank of the rest)."""
        return self.stage.edge(node, self.up[node], self.down[node], self.gauges.weighted[node])
