"""Evolution in time of a state on a tree: any right-hand side, any method."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .method import Method, prepared
from .result import Evolution, EvolutionError, EvolutionInterrupted, warn_of_truncation
from .right_hand_sides import as_rhs
from .run import Now, Run, contiguous, finite
from .saved_run import SavedRun, identity_of
from .schedule import Planned, planned_steps
from .state import TTN
from .tasks import few_blas_threads


def evolve(
    state: TTN,
    rhs: Any,
    t: tuple[float, float],
    *,
    dt: float,
    method: Method,
    save_at: Iterable[float] | None = None,
    observe: Mapping[str, Callable[[TTN], Any]] | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 60.0,
    progress: bool = False,
    target: float = 0.1,
) -> Evolution:
    """Y' = F(t, Y) from Y(t[0]) = state to t[1], in steps of dt by a method of this package.

    Parameters
    ----------
    state : TTN
        Cast to complex if the right-hand side is. Its library and device are those of the whole run.
    rhs : KronSum, TTNO, Linear, Affine or Function
        On the tree of the state: `-1j * H` for the Schroedinger equation.
    dt : float
        Length of the steps; the last one before a time of save_at and before t[1] is shorter if it has to be.
    method : BUG, RankAdaptiveBUG, ParallelBUG, MidpointBUG, ProjectorSplitting, StepTruncate, or what has their `step`.
    save_at : times, optional
        When to observe. Default: at the start and after every step.
    observe : {name: function of the state that returns a number or an array}, optional
    checkpoint : folder, optional
        Where the run is kept, at most every `checkpoint_seconds`, when it is interrupted and at its end. The same call goes on
        from there, also after kill -9, to the same bits. It holds data only; functions in rhs and observe are not compared.
    progress : bool
        A line on stderr, about once a second.
    target : float
        The accuracy wanted, as a part of the norm: a TruncationWarning is given at the end if what the truncations of all steps
        left out adds up to more.

    Returns
    -------
    Evolution with state, times, observed, ranks, discarded, rejections, seconds.

    Raises
    ------
    ValueError, TypeError
        dt <= 0, t[1] < t[0], save_at outside of t, another tree, a state that is not finite.
    EvolutionError
        A step failed or gave NaN or infinity, or a function in `observe` failed; with `.result` up to then.
    EvolutionInterrupted
        Ctrl-C; a KeyboardInterrupt with `.result` up to then.
    FileExistsError
        The folder holds another run; the message names the first difference.

    Memory: the state, what its method needs for a step, and a row of numbers a recorded time.

    From a state with CuPy cores all steps run on the device, by the same code in CuPy's calls in place of compiled loops, and
    .state holds CuPy cores. The host reads what it decides by: a norm and one row a Krylov vector in each local equation, the
    singular values of each truncated edge, and at a checkpoint the state.

    >>> import numpy as np
    >>> from petrov.rom.ttn import KronSum, ProjectorSplitting, TTN, Tree
    >>> spin = TTN.product(Tree.chain([2, 2]), [np.array([1.0, 0.0])] * 2)
    >>> H = KronSum(spin.tree, [(0.5, {0: np.array([[0, 1], [1, 0]])})])
    >>> up = KronSum(spin.tree, [(1.0, {0: np.array([1.0, 0.0])})])
    >>> observe = {"up": lambda Y: Y.expectation(up).real}
    >>> result = evolve(spin, -1j * H, (0, 1), dt=0.25, method=ProjectorSplitting(), observe=observe)
    >>> np.allclose(result.observed["up"], np.cos(result.times / 2) ** 2)
    True
    """
    first, steps = planned_steps(t, dt, save_at)
    rhs = as_rhs(rhs)
    run = Run(Now(contiguous(prepared(state, rhs))), checked_observe(observe))
    if not hasattr(method, "step") or isinstance(method, type):
        raise TypeError(f"method must be an integrator such as RankAdaptiveBUG() or ProjectorSplitting(); got {method!r}")
    saved = None
    if checkpoint is not None:
        saved = SavedRun(checkpoint, identity_of(run.now.state, rhs, method, steps, list(run.observe)))
    if saved is None or not saved.restored(run):
        run.start(first)
    span = (float(t[0]), float(t[1]))
    stepper = Stepper(run, rhs, method, span, saved, checkpoint_seconds, Line(span) if progress else None)
    try:
        for step in steps[run.now.step :]:
            stepper.take(step)
    except KeyboardInterrupt:
        result = run.result(reached(run, steps, span))
        told = f"interrupted at t = {result.t:g} of {span[1]:g}; the result so far is in .result"
        raise EvolutionInterrupted(told, result) from None
    finally:
        stepper.keep()
    result = run.result(reached(run, steps, span))
    warn_of_truncation(result, run.now.tail, target)
    return result


class Stepper:
    """Takes one step after the other, and keeps the run in its folder from time to time."""

    def __init__(
        self, run: Run, rhs: Any, method: Method, span: tuple[float, float], saved: Any, seconds: float, line: Line | None
    ) -> None:
        self.run, self.rhs, self.method, self.span, self.saved = run, rhs, method, span, saved
        self.seconds, self.line = seconds, line
        self.kept, self.kept_step = time.monotonic(), run.now.step

    def take(self, step: Planned) -> None:
        begun = time.perf_counter()
        try:
            with few_blas_threads([core.shape for core in self.run.now.state.cores]):
                made = self.method.step(self.run.now.state, self.rhs, step.t, step.h, span=self.span)
        except (ArithmeticError, np.linalg.LinAlgError) as error:
            self.fail(step, f"the step from t = {step.t:g} to {step.end:g} failed: {error}", error)
        if not finite(made.state):
            self.fail(step, f"the state at t = {step.end:g} holds NaN or infinity: take a smaller dt, or another local solver")
        try:
            self.run.finish(made, step.end, step.saved, time.perf_counter() - begun)
        except Exception as error:
            self.fail(step, f"what to observe failed at t = {step.end:g}: {type(error).__name__}: {error}", error)
        if self.line is not None:
            self.line.show(step.end, self.run.now)
        if time.monotonic() - self.kept >= self.seconds:
            self.keep()

    def fail(self, step: Planned, message: str, error: Exception | None = None) -> None:
        raise EvolutionError(f"{message}; the result up to t = {step.t:g} is in .result", self.run.result(step.t)) from error

    def keep(self) -> None:
        """Write what was reached, if that is new."""
        if self.saved is not None and self.run.now.step > self.kept_step:
            self.saved.append(self.run)
            self.kept, self.kept_step = time.monotonic(), self.run.now.step


class Line:
    """The line on stderr."""

    def __init__(self, span: tuple[float, float]) -> None:
        self.end, self.shown = span[1], 0.0

    def show(self, t: float, now: Now) -> None:
        last = t >= self.end
        if last or time.monotonic() - self.shown > 1.0:
            self.shown = time.monotonic()
            text = f"t = {t:.4g} of {self.end:g}, rank {max(now.state.ranks, default=1)}, {now.seconds / now.step:.3g} s a step"
            print(f"\r{text:<70}", end="\n" if last else "", file=sys.stderr, flush=True)


def reached(run: Run, steps: list[Planned], span: tuple[float, float]) -> float:
    return steps[run.now.step - 1].end if run.now.step else span[0]


def checked_observe(observe: Mapping[str, Callable[[TTN], Any]] | None) -> dict[str, Callable[[TTN], Any]]:
    found = dict(observe or {})
    for name, f in found.items():
        if not isinstance(name, str) or not callable(f):
            raise TypeError(f"observe must be a mapping from names to functions of the state; got {name!r}: {f!r}")
    return found
