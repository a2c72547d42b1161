"""Step and truncate: Runge-Kutta methods whose stages are sums of states, rounded. The simple reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .local_solvers import Stats
from .method import StepResult, checked_ranks, prepared
from .operator_product import applied
from .projected_function import Function
from .right_hand_sides import Affine, Linear, as_rhs
from .state import TTN
from .tensors import norm
from .truncation import truncated

# order -> (nodes c, rows of a, weights b)
SCHEMES: dict[int, tuple[Sequence[float], Sequence[Sequence[float]], Sequence[float]]] = {
    1: ((0.0,), ((),), (1.0,)),
    2: ((0.0, 0.5), ((), (0.5,)), (0.0, 1.0)),
    4: ((0.0, 0.5, 0.5, 1.0), ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
}


@dataclass(frozen=True, slots=True)
class StepTruncate:
    """An explicit Runge-Kutta method of order `rk` (1: Euler, 2: midpoint, 4: classical) with rounding after every sum.

    F(t, Y) is formed as a state: ranks are multiplied by those of the operator, and added in sums, before they are rounded with
    a weighted tail of `tolerance`, relative to the norm of the state, an edge. Stable for |h lambda| < 2 to 2.8, whatever is
    left out; errors of rounding h F add to those of the method in every step. No basis is projected on, so nothing is missed:
    the reference for other methods, and for sums with few terms. Memory: r times the operator's rank, to the power of the
    edges of a node.

    Linear, Affine and Function, linear coefficients of time at the times of the stages. Operators must be KronSum or TTNO.

    >>> import numpy as np
    >>> from petrov.rom.ttn import KronSum, TTN, Tree
    >>> Y = TTN.product(Tree.balanced([3, 3]), [np.ones(3), np.ones(3)])
    >>> A = KronSum(Y.tree, [(-1.0, {0: np.arange(3.0)})])
    >>> StepTruncate().step(Y, A, 0.0, 0.1).state.to_dense()[:, 0].round(6)
    array([1.      , 0.904837, 0.818733])
    """

    rk: int = 4
    tolerance: float = 1e-10
    max_rank: int | None = None

    def __post_init__(self) -> None:
        if self.rk not in SCHEMES:
            raise ValueError(f"rk must be one of {[*SCHEMES]}; got {self.rk}")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"tolerance must be at least 0 and less than 1, as a part of the norm; got {self.tolerance}")
        checked_ranks(1, self.max_rank)

    @property
    def order(self) -> int:
        return self.rk

    def step(self, state: TTN, rhs: Any, t: float, h: float, *, span: tuple[float, float] | None = None) -> StepResult:
        """From t to t + h."""
        rhs = as_rhs(rhs)
        F, state = function(rhs), prepared(state, rhs)
        limit = self.tolerance * norm(state.cores[-1])
        nodes, rows, weights = SCHEMES[self.rk]
        slopes: list[TTN] = []
        for c, row in zip(nodes, rows, strict=True):
            stage, _ = self.total(state, [h * a for a in row], slopes, limit)
            slopes.append(self.rounded(F(t + c * h, stage), limit / abs(h) if h else limit)[0])
        state, discarded = self.total(state, [h * b for b in weights], slopes, limit)
        return StepResult(state, discarded, stats=Stats(len(nodes), 1))

    def total(self, state: TTN, factors: Sequence[float], slopes: Sequence[TTN], limit: float) -> tuple[TTN, tuple[float, ...]]:
        """The state plus factors times slopes, rounded."""
        terms = [factor * slope for factor, slope in zip(factors, slopes, strict=True) if factor]
        return self.rounded(sum(terms, start=state), limit) if terms else (state, (0.0,) * len(state.tree.edges))

    def rounded(self, state: TTN, limit: float) -> tuple[TTN, tuple[float, ...]]:
        return truncated(state, limit, max_rank=self.max_rank)


def function(rhs: Any) -> Callable[[float, TTN], TTN]:
    """(t, state) -> F(t, state) as a state; TypeError for a right-hand side that is known by projections only."""
    if isinstance(rhs, Linear):
        return lambda t, state: applied(rhs.A.at(t), state)
    if isinstance(rhs, Affine):
        return lambda t, state: applied(rhs.linear.A.at(t), state) + rhs.at_time(t)
    if isinstance(rhs, Function):
        return rhs.F
    raise TypeError(f"StepTruncate forms F(t, Y) itself: it takes Linear, Affine and Function; got {type(rhs).__name__}")
