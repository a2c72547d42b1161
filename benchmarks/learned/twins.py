"""What a network starts from, with one number tuned in its place: the twin that has to lose before a network has learned."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...learned import factors
from ...learned.families import Member
from ...learned.graph import graph
from ...solvers import cg


@dataclass(frozen=True, slots=True)
class SSOR:
    """M = (D/w + L)^-T D (D/w + L)^-1 up to a factor; w = 1 is symmetric Gauss-Seidel, from which GraphFactor starts."""

    omega: float = 1.0

    name = "ssor"

    def __call__(self, A: Any) -> Any:
        known = graph(A)
        return factors.substitutions(known, self.omega * known.values, self.name)


@dataclass(frozen=True, slots=True)
class ScaledNeumann:
    """M = S (G G^T + epsilon I) S, G = I - c E; c = 1/2 is the Neumann factor, from which SparseInverseNetwork starts."""

    c: float = 0.5

    name = "scaled neumann"

    def __call__(self, A: Any) -> Any:
        known = graph(A)
        return factors.sparse_inverse(known, np.ones(known.size), -self.c * known.values, factors.EPSILON, self.name)


class Tuned(NamedTuple):
    """The best recipe of a number, and seconds to find it."""

    recipe: Any
    number: float
    seconds: float


def tuned(make: Callable[[float], Any], numbers: Sequence[float], members: Sequence[Member]) -> Tuned:
    """The number whose recipe needs the fewest iterations (geometric mean) on systems to tune on, of all `numbers`."""
    start = time.process_time()
    systems = [member.system() for member in members]

    def score(number: float) -> float:
        return float(np.mean([np.log(cg(one.A, one.b, M=make(number)).iterations) for one in systems]))

    best = min(numbers, key=score)
    return Tuned(make(best), best, time.process_time() - start)
