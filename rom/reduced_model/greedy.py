"""The weak greedy algorithm: solve where the error bound is largest, add the solution to the basis, look again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..ranks import ALONE, Ranks
from .evaluation import Batch, solved
from .projection import Projection

TIE = 1e-8  # candidates this close to the largest, relative, count as equal: the lowest training index is taken


@dataclass(frozen=True, slots=True)
class Greedy:
    """Basis by the weak greedy algorithm: from the training point with the largest error bound, until that is at most `tol`.

    Parameters
    ----------
    tol : float
        Of the largest bound over the training set, in the norm of X; relative=True: of the bound over the norm of the reduced
        solution.
    max_size : int
        At most so many basis vectors.
    relative : bool
    validate : int
        When `tol` is reached, so many new random parameters are tried; those above `tol` join the training set, and it goes on
        until a fresh draw passes.
    rounds : int
        At most so many draws.

    Ties within 1e-8 go to the lowest training index, on every machine the same. It also ends where the worst point is one that
    was solved before: then nothing is left but round-off, or the error of an interpolated operator. Binev, Cohen, Dahmen,
    DeVore, Petrova and Wojtaszczyk, SIAM J. Math. Anal. 43 (2011) 1457; Veroy, Prud'homme, Rovas and Patera (2003).
    """

    tol: float = 1e-6
    max_size: int = 100
    relative: bool = False
    validate: int = 0
    rounds: int = 10

    def __post_init__(self) -> None:
        if not self.tol >= 0:
            raise ValueError(f"tol must be at least 0; got {self.tol}")
        if self.max_size < 1 or self.validate < 0 or self.rounds < 1:
            raise ValueError("max_size and rounds must be at least 1, validate at least 0")


@dataclass(slots=True, eq=False)
class History:
    """What a greedy did: the largest bound before each step (one more than steps), the parameters solved, why it ended."""

    bounds: list[float] = field(default_factory=list)
    selected: list[np.ndarray] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    reason: str = "not begun"


Snapshot = Callable[[np.ndarray, np.ndarray | None], np.ndarray]  # (mu, first iterate or None) -> x (n, k)


def greedy(
    projection: Projection, training: Batch, snapshot: Snapshot, recipe: Greedy, history: History, *,
    fresh: Callable[[int], Batch] | None = None, step: Callable[[History], Any] = lambda history: None, ranks: Ranks = ALONE,
) -> History:  # fmt: skip
    """Grow the basis of a projection; `history` holds what an interrupted run had done, and is kept up to date.

    snapshot(mu, x0) solves in full; step(history) is called after each. fresh(round) gives new parameters to validate with. The
    parameters are dealt over the ranks to look for the largest error.
    """
    rounds = 0
    while True:
        reduced, blind = projection.reduced(), ~(training.alpha > 0)
        seen = sighted(training)
        errors = swept(reduced, seen, recipe.relative, ranks)
        largest = float(errors.max())
        if len(history.bounds) <= len(history.selected):
            history.bounds.append(float("inf") if blind.any() else largest)
            step(history)
        if largest <= recipe.tol and fresh is not None and recipe.validate and rounds < recipe.rounds:
            new, rounds = fresh(rounds), rounds + 1
            worse = swept(reduced, new, recipe.relative, ranks) > recipe.tol
            if not worse.any():
                return ended(history, f"tol = {recipe.tol:g} is reached, on {len(new)} fresh parameters too")
            training = training.joined(subset(new, worse))
            continue
        if largest <= recipe.tol:
            but = f", by the residual where there is no bound: at {blind.sum()} training parameters of {len(blind)}"
            return ended(history, f"tol = {recipe.tol:g} is reached{but * bool(blind.any())}")
        if projection.size >= recipe.max_size:
            return ended(history, f"max_size = {recipe.max_size} is reached")
        index = int(np.flatnonzero(errors >= largest * (1 - TIE))[0]) if np.isfinite(largest) else int(np.argmax(errors))
        mu = training.mus[index]
        if any(np.array_equal(mu, before) for before in history.selected):
            return ended(history, "the worst parameters are solved already: what is left is round-off or interpolation error")
        guess = projection.V.columns @ solved(reduced, subset(seen, [index]))[0][:, :, 0] if projection.size else None
        if not projection.append(snapshot(mu, guess)):
            return ended(history, "the last solution lies in the space of the others, to rounding")
        history.selected.append(mu.copy())
        history.sizes.append(projection.size)


def swept(reduced: Any, given: Batch, relative: bool, ranks: Ranks = ALONE) -> np.ndarray:
    """The errors (m,) at the parameters of a batch, each by one of the ranks."""
    return ranks.swept(lambda part: measured(*solved(reduced, subset(given, part)), relative), len(given))


def sighted(given: Batch) -> Batch:
    """Where the stability constant is not positive and bounds are infinite, the least positive one ranks the residuals."""
    positive = given.alpha > 0
    if positive.all():
        return given
    return replace(given, alpha=np.where(positive, given.alpha, given.alpha[positive].min(initial=1.0)))


def ended(history: History, reason: str) -> History:
    history.reason = reason
    return history


def measured(a: np.ndarray, bounds: np.ndarray, relative: bool) -> np.ndarray:
    """The largest over the right-hand sides (m,); relative: to the reduced solution, whose norm is that of a."""
    if relative:
        sizes = np.linalg.norm(a, axis=0)
        bounds = np.divide(bounds, sizes, out=np.full(bounds.shape, np.inf), where=sizes > 0)
    return bounds.max(axis=0)


def subset(given: Batch, which: Any) -> Batch:
    """Some of the parameters of a batch."""
    names = ("thetas", "rhs", "outputs", "alpha", "errors")
    parts = {name: None if (x := getattr(given, name)) is None else x[..., which] for name in names}
    return Batch(given.mus[which], **parts, unit=given.unit)
