"""Sums of products of leg operators, held as the user gave them: sparse, diagonal, callable, with coefficients of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import index
from typing import Any

import numpy as np

from . import legs
from .operator_dense import dense_program
from .program import Program
from .terms import Term, compiled
from .tree import Tree


@dataclass(frozen=True, slots=True, eq=False)
class KronSum:
    """The operator sum_k c_k (x)_l A_kl on a tree: terms (c_k, {leaf: A_kl}); a leaf that a term does not name has the identity.

    A coefficient is a number or a function of time. A factor is a matrix (n, n), dense or scipy sparse; its diagonal (n,); a
    function of a matrix (n, k), column by column; or None, the identity. A factor that is the same object in several terms is
    applied once where it can be. Factors are held on the host (CuPy's are read), and moved once to the device of the states that
    they meet there; functions get arrays of that device. Scaled by numbers, added to others. ValueError or TypeError for a
    coefficient or a factor that cannot act, or holds NaN.

    >>> import numpy as np
    >>> tree = Tree.balanced([2, 2, 2])
    >>> A = KronSum(tree, [(1.0, {0: np.array([1.0, 2.0])}), (3.0, {1: np.ones((2, 2)), 2: np.eye(2)})])
    >>> A.to_dense().shape, (2 * A).is_constant
    ((8, 8), True)
    """

    tree: Tree
    terms: Sequence[Term]
    factor: complex = 1.0
    _program: list[Program] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        terms = [checked(self.tree, k, term) for k, term in enumerate(self.terms)]
        if not terms:
            raise ValueError("a KronSum needs at least one term; [(0.0, {})] is zero")
        object.__setattr__(self, "terms", tuple(terms))

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.tree.order} leaves, {len(self.terms)} terms"

    @property
    def is_constant(self) -> bool:
        return not any(callable(coefficient) for coefficient, _ in self.terms)

    @property
    def program(self) -> Program:
        """What environments read. ValueError if a coefficient is a function of time: `at(t)` or `split()` first."""
        if not self.is_constant:
            raise ValueError("coefficients are functions of time: take A.at(t), or A.split() and add up with the coefficients")
        if not self._program:
            self._program.append(compiled(self.tree, self.terms)[0])
        return self._program[0].scaled(self.factor)

    def at(self, t: float) -> KronSum:
        """With the coefficients of time t."""
        if self.is_constant:
            return self
        return KronSum(self.tree, tuple((c(t) if callable(c) else c, ops) for c, ops in self.terms), self.factor)

    def split(self) -> list[tuple[Callable[[float], complex] | None, KronSum]]:
        """[(coefficient, operator)]: the sum over coefficient(t) times a constant operator; None stands for the constant 1."""
        groups: dict[Any, list[Term]] = {}
        for coefficient, ops in self.terms:
            key = coefficient if callable(coefficient) else None
            groups.setdefault(key, []).append((coefficient if key is None else 1.0, ops))
        return [(key, KronSum(self.tree, tuple(terms), self.factor)) for key, terms in groups.items()]

    def scaled(self, factor: complex) -> KronSum:
        """Times a number."""
        return KronSum(self.tree, self.terms, self.factor * factor)

    __mul__ = __rmul__ = scaled

    def __truediv__(self, divisor: complex) -> KronSum:
        return self.scaled(1.0 / divisor)

    def __neg__(self) -> KronSum:
        return self.scaled(-1.0)

    def __add__(self, other: KronSum) -> KronSum:
        if not isinstance(other, KronSum):
            return NotImplemented
        if self.tree != other.tree:
            raise ValueError("operators must have the same tree to be added")
        if self.factor == other.factor:
            return KronSum(self.tree, (*self.terms, *other.terms), self.factor)
        return KronSum(self.tree, (*absorbed(self), *absorbed(other)))

    def __sub__(self, other: KronSum) -> KronSum:
        return self + other.scaled(-1.0)

    def to_dense(self) -> np.ndarray:
        """The matrix on arrays flattened in the order of the leaves: for small trees, tests and debugging."""
        return dense_program(self.program)


def checked(tree: Tree, k: int, term: Any) -> Term:
    """Term k with its factors as arrays, without identities."""
    if not (isinstance(term, tuple | list) and len(term) == 2 and isinstance(term[1], Mapping)):
        raise TypeError(f"a term is (coefficient, {{leaf: operator}}); term {k} is {term!r:.100}")
    coefficient, factors = term
    if not callable(coefficient):
        coefficient = number(coefficient, f"the coefficient of term {k}, if it is no function of time,")
    if not all(leaf in range(tree.order) for leaf in factors):
        raise ValueError(f"term {k} names the leaves {[*factors]}; the tree has 0 ... {tree.order - 1}")
    ops = {index(leaf): legs.checked(op, tree.sizes[leaf], leaf) for leaf, op in factors.items() if op is not None}
    return coefficient, ops or {0: None}


def number(x: Any, what: str) -> complex:
    """x as a Python number; TypeError or ValueError for another thing, NaN and infinity."""
    x = x.item() if getattr(x, "shape", None) == () else x
    if not isinstance(x, int | float | complex | np.number):
        raise TypeError(f"{what} must be a number; got {type(x).__name__}")
    if not np.isfinite(x):
        raise ValueError(f"{what} must be finite; got {x}")
    return x  # type: ignore[return-value]  # a Python number, or one of NumPy


def absorbed(A: KronSum) -> list[Term]:
    """The terms with the factor in their coefficients."""
    return [(times(coefficient, A.factor), ops) for coefficient, ops in A.terms]


def times(coefficient: Any, factor: complex) -> Any:
    return (lambda t: factor * coefficient(t)) if callable(coefficient) else factor * coefficient


def same_terms(terms: Sequence[tuple[Any, Mapping[int, Any]]]) -> list[Term]:
    """Terms whose equal dense factors are one object, so that they share channels."""
    known: dict[Any, Any] = {}

    def one(op: Any) -> Any:
        if not isinstance(op, np.ndarray):
            return op
        return known.setdefault((op.shape, op.dtype.str, op.tobytes()), op)

    return [(c, {leaf: one(op) for leaf, op in factors.items()}) for c, factors in terms]
