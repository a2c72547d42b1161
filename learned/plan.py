"""How something is trained: all that decides the weights, besides the recipe and the systems."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers of a training run.

    loss: by name, one of those of the recipe's kind; batch: systems a step; columns: vectors a system; rate: of Adam, times
    `decay` every step; clip: the largest norm of a gradient; unrolled: steps of cg; every: steps from one validation to the next;
    rtol: to which validation solves.
    """

    loss: str
    steps: int = 400
    batch: int = 2
    columns: int = 8
    rate: float = 3e-3
    decay: float = 0.996
    clip: float = 1.0
    unrolled: int = 12
    every: int = 50
    rtol: float = 1e-8
    seed: int = 10_267

    def __post_init__(self) -> None:
        for what in ("steps", "batch", "columns", "unrolled", "every"):
            if not isinstance(getattr(self, what), int) or getattr(self, what) < 1:
                raise ValueError(f"{what} must be an integer and at least 1; got {getattr(self, what)!r}")
        for what in ("rate", "decay", "clip", "rtol"):
            if not 0.0 < getattr(self, what) < math.inf:
                raise ValueError(f"{what} must be positive and finite; got {getattr(self, what)!r}")
