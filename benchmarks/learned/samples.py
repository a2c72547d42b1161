"""What was measured of one way on one held-out system, and medians over many; kept in a row as lists of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..document import Row

NONE = -1.0  # not measured, or not reached


class Sample(NamedTuple):
    """One held-out system, known by its number; iterations of white noise at three tolerances, of others at 1e-8."""

    member: float
    unknowns: float
    setup: float
    solve: float
    loose: float  # iterations to 1e-4
    iterations: float  # to 1e-8
    tight: float  # to 1e-12
    smooth: float
    point: float
    range: float
    stripes: float

    def total(self, right_hand_sides: int = 1) -> float:
        """Seconds of one set-up and so many solves, one after another."""
        return self.setup + right_hand_sides * self.solve


def samples(row: Row) -> list[Sample]:
    return [Sample(*values) for values in row.history]


class Spread(NamedTuple):
    """Quartiles."""

    low: float
    median: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """None if there are none; what was not measured does not count."""
    known = [value for value in values if value != NONE]
    return Spread(*np.percentile(known, [25, 50, 75]).tolist()) if known else None


def of(row: Row, what: Callable[[Sample], float]) -> Spread | None:
    return spread([what(one) for one in samples(row)])


def paired(a: Row | None, b: Row | None, what: Callable[[Sample], float]) -> Spread | None:
    """Of the ratios a / b over the systems that both solved."""
    if a is None or b is None:
        return None
    of_b = {one.member: what(one) for one in samples(b)}
    return spread([what(one) / of_b[one.member] for one in samples(a) if of_b.get(one.member, 0.0) > 0 and what(one) != NONE])


def said(found: Spread | None) -> str:
    """The median, and the quartiles where they differ."""
    if found is None:
        return "-"
    return f"{found.median:.2f}" + (f" ({found.low:.2f} to {found.high:.2f})" if found.high > found.low else "")
