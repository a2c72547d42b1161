"""How long a run of `petrov bench ttn` may take, and how often it is repeated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """rounds of the contest of steps; repeat: of the others; no run begins a step after `seconds` of the processor.
    versions: of the peers that take part, for rows with other ones are not halves of one run."""

    rounds: int
    repeat: int
    seconds: float
    versions: tuple[str, ...] = ()
