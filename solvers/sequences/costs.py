"""Which of several ways to take with the next system: the cheapest so far, and now and then another, which may have become so."""

from __future__ import annotations

from dataclasses import dataclass

FADING = 0.3  # the weight of the last system in a mean
PATIENCE = 8  # systems before a way that has lost is tried again; doubled every time it loses
LONGEST = 64  # systems that a way rests at most
TOO_LONG = 1.2  # times the cheapest way's seconds, after which a trial is given up


@dataclass(slots=True)
class Way:
    """One way to solve a system: its mean seconds (None before the first), and when to try it again after it has lost."""

    seconds: float | None = None
    patience: int = PATIENCE
    rests: int = 0
    taken: int = 0

    def record(self, seconds: float) -> None:
        # The first may have loaded what the others find.
        self.seconds = seconds if self.seconds is None or self.taken < 2 else (1 - FADING) * self.seconds + FADING * seconds
        self.taken += 1

    def lost(self) -> None:
        """It cost more than another way: let it rest."""
        self.rests, self.patience = self.patience, min(2 * self.patience, LONGEST)


class Costs:
    """The ways by name. Seconds decide, so two runs may choose differently; every x is held to the same tolerance."""

    def __init__(self) -> None:
        self.ways: dict[str, Way] = {}

    def way(self, name: str) -> Way:
        return self.ways.setdefault(name, Way())

    def choose(self, names: list[str]) -> str:
        """One of the names, the first of which needs no trial: whatever is known to be cheapest, or has not been tried."""
        for name in names[1:]:
            way = self.way(name)
            if way.rests:
                way.rests -= 1
                if not way.rests:
                    way.seconds = None  # that was long ago
                    return name
            elif way.seconds is None and self.way(names[0]).taken > 1:
                return name
        ready = [name for name in names if self.way(name).seconds is not None and not self.way(name).rests]
        return min(ready, key=lambda name: self.way(name).seconds or 0.0, default=names[0])

    def limit(self, name: str, names: list[str]) -> float:
        """Seconds after which a trial of one way is given up, by what the others take."""
        others = [self.way(other).seconds for other in names if other != name]
        return TOO_LONG * min((seconds for seconds in others if seconds is not None), default=float("inf"))

    def settle(self, name: str, seconds: float, names: list[str]) -> None:
        """Record what a way took; it rests if that was more than another is known to take."""
        way = self.way(name)
        way.record(seconds)
        others = [self.way(other).seconds for other in names if other != name]
        if name != names[0] and any(other is not None and other < (way.seconds or 0.0) for other in others):
            way.lost()
