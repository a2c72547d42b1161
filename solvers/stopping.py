"""The one definition of converged, and everything else that ends a solve.

    ||b - A x||_2 <= max(rtol ||b||_2, atol)

with the residual recomputed from x, in at least double precision, per column, M never in it, and written so that NaN fails.

A method is two loops. The outer one asks `Run.restart(x)` for the true residual of x and ends when it returns None; the
inner one advances its recurrence and ends when `Run.look` returns True. So an iteration that only looks converged is
checked, restarted from the truth, and called STAGNATED when the truth no longer improves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import arrays
from .certify import flat
from .kernels import reference
from .kernels.verbs import verbs
from .operator import size_of
from .report import report
from .result import SolveInterrupted, SolveResult, Status
from .system import System, times


def look(*scalars: Any) -> tuple[Any, ...]:
    """The scalars of an iteration on the host: with `Run.batch`, the only place where a solve waits for its device."""
    return tuple(scalar if scalar is None else arrays.host(scalar) for scalar in scalars)


def read(scalar: Any) -> Any:
    """One scalar on the host, complex where it is: for methods whose small matrices live there."""
    return arrays.scalar(scalar)


@dataclass(frozen=True, slots=True)
class State:
    """What a callback sees: iteration (1, 2, ...), residual (the recurrence's norm), x (built when read, read-only)."""

    iteration: int
    residual: Any
    _x: Callable[[], Any]

    @property
    def x(self) -> Any:
        return self._x()


def row_norm(A: Any, space: Any) -> float:
    """The size of a row of A, from its product with a vector of signs; 0 if A multiplies in double precision."""
    if reference.answers_in_double(A, space):
        return 0.0
    n = A.shape[1]
    signs = arrays.asarray(np.where(np.random.default_rng(n).random(n) < 0.5, -1.0, 1.0), space)
    return float(arrays.norm(reference.product(A, signs, space), space)) / math.sqrt(size_of(A))


class Run:
    """One solve in progress: the true residual, the history, the reasons to stop, the best x so far.

    Holds one vector besides the method's own: a copy of x at the smallest residual seen, renewed whenever the residual
    has fallen tenfold.
    """

    def __init__(self, method: str, problem: System, *, compiled: bool = False, looks_rarely: bool = False):
        self.method, self.problem, self.space = method, problem, problem.space
        self.interval = problem.space.interval if looks_rarely and problem.callback is None else 1
        self.verbs = verbs(problem.A, problem.space) if compiled else reference
        k = 1 if self.space.columns is None else self.space.columns
        self.statuses: list[Status | None] = [None] * k  # final, one a column
        self.pending: list[Status | None] = [None] * k  # seen by the recurrence, judged with the true residual
        self.detail = ""
        self.iteration = self.matvecs = self.restarts = 0
        self.iterations = np.zeros(k, np.int64)
        self.history: list[Any] = []
        self.unseen: list[tuple[Any, ...]] = []  # scalars of the iterations since the last look, and those on their way
        self.flights: list[tuple[int, Any]] = []
        self.norms = problem.b_norm.copy()  # of the true residual, last computed
        self.strikes = np.zeros(k, int)
        self.apparent = np.zeros(k, bool)  # the recurrence says converged
        # The recurrence may run on below the limit only down to rounding, else rtol = 0 would never be looked at.
        self.check = np.maximum(problem.limit, self.space.eps / 4 * problem.b_norm)
        self.alarm = np.full(k, math.inf)
        self.best: Any = None
        self.best_norms = np.full(k, math.inf)
        self.latest: Callable[[], Any] = self.start
        self.row_norm: float | None = None  # 0 where products are made in double precision after all
        self.patience = 2  # restarts in a row that may bring nothing
        self.refining = False  # each step is judged by its true residual, so the history is the truth
        self.compile_seconds = 0.0
        self.began = time.perf_counter()

    # -- the outer loop ------------------------------------------------------------------------------------------------

    def start(self) -> Any:
        """The first x, the method's to overwrite: x0, zero where b is zero, zero if none was given."""
        b, x0 = self.problem.b, self.problem.x0
        if x0 is None or not self.problem.b_norm.any():
            return arrays.zeros(b.shape, self.space)
        x = arrays.copy(x0, self.space)
        if self.space.columns is not None and not self.problem.b_norm.all():
            nonzero = self.space.xp.asarray(self.problem.b_norm > 0, device=self.space.device)
            x = self.space.xp.where(nonzero, x, self.space.xp.zeros_like(x))
        return x

    def restart(self, x: Any) -> Any:
        """b - A x in the working precision, to go on from; None when every column has ended."""
        if self.problem.defect is not None:
            return self.end_all(Status.NONFINITE_INPUT, self.problem.defect)
        self.latest = lambda: x
        r, self.norms, previous = *self.true_residual(x), self.norms
        if self.restarts == 0 or self.refining:
            self.history.append(self.norms.copy())
            self.alarm = np.maximum(self.problem.b_norm, self.norms) / self.space.eps
        for column in self.active():
            self.statuses[column] = self.judge(column, previous[column])
            if self.statuses[column] is not None and not (self.apparent[column] and self.interval > 1):
                self.iterations[column] = self.iteration  # on a GPU a few were made after the one that was enough
        self.restarts += 1
        self.flights.clear()
        self.apparent[:] = False
        if not self.active():
            return None
        self.keep(x, self.norms)
        if self.space.scratch is not None and self.interval > 1:
            self.space.scratch.aim(self.check)
        r = arrays.asarray(r, self.space)
        return r if self.refining else arrays.copy(r, self.space)  # a refinement does not write to it

    def true_residual(self, x: Any) -> tuple[Any, np.ndarray]:
        problem = self.problem
        if self.restarts == 0 and problem.x0 is None:
            return problem.b_wide, problem.b_norm.copy()
        self.matvecs += len(self.active())
        r = self.verbs.residual(problem.A, problem.b_wide, x, self.space)
        return r, np.atleast_1d(arrays.norm(r, self.space))

    def judge(self, column: int, previous: float) -> Status | None:
        """The final status of one column, given its true residual; None to go on."""
        norm, limit = self.norms[column], self.problem.limit[column]
        if norm + self.rounding(column) <= limit:
            return Status.CONVERGED
        if self.pending[column] is not None:
            return self.pending[column]
        if not math.isfinite(norm):
            return Status.NONFINITE_OPERATOR if self.restarts == 0 else Status.DIVERGED
        if self.iteration >= self.problem.max_iterations:
            return Status.MAX_ITERATIONS
        if self.restarts > 0:
            # A restart that was thought converged must at least halve the true residual, any other must be seen to help.
            if self.apparent[column] and limit < 4 * self.space.eps * self.problem.b_norm[column]:
                return Status.STAGNATED  # asked for more than the precision holds, and got what it holds
            bar = 0.5 if self.apparent[column] else 0.999
            self.strikes[column] = self.strikes[column] + 1 if norm > bar * previous else 0
            if self.strikes[column] >= (2 if self.apparent[column] else self.patience):
                return Status.STAGNATED
            if self.apparent[column]:  # the recurrence ran ahead of the truth: aim it lower
                self.check[column] = min(self.check[column], 0.25 * norm)
        return None

    def rounding(self, column: int) -> float:
        """What rounding may hide in a residual made of single-precision products: eps (||b|| + a ||x||), a a row's norm."""
        if self.problem.exact_entries:
            return 0.0
        if self.row_norm is None:
            self.row_norm, self.matvecs = row_norm(self.problem.A, self.space), self.matvecs + 2
        size = float(np.atleast_1d(arrays.norm(self.latest(), self.space))[column])
        return self.space.eps * (float(self.problem.b_norm[column]) + self.row_norm * size) if self.row_norm else 0.0

    def refined(self, x: Any) -> None:
        """Count one correction by a factorisation, which is thought to have converged."""
        self.latest = lambda: x
        self.iteration += 1
        self.apparent[:] = True
        self.interrupted(self.norms if self.space.columns is not None else self.norms[0])

    # -- the inner loop ------------------------------------------------------------------------------------------------

    def look(
        self, x: Any, rr: Any, *, curvature: Any = None, preconditioned: Any = None, products: int = 1,
        direction: tuple[Any, Any] | None = None, breakdown: Any = None,
    ) -> bool:  # fmt: skip
        """After one step: note ||r||^2 = rr and end the inner loop if there is a reason; True to end it.

        x is the iterate, or a function that builds it. curvature is p^H A p and preconditioned r^H M r where the method
        needs them positive, direction (p, A p) what curvature was taken along; breakdown is a number whose zero (or NaN)
        ends the recurrence.
        """
        self.iteration += 1
        self.matvecs += products * (1 if self.space.columns is None else len(self.active()))
        self.latest = x if callable(x) else (lambda: x)
        if self.interval > 1:
            return self.batch(x, (rr, curvature, preconditioned, breakdown), direction)
        norm = self.note(self.iteration, x, look(rr, curvature, preconditioned, breakdown), direction)
        return self.interrupted(norm) or self.iteration >= self.problem.max_iterations or not self.moving()

    def batch(self, x: Any, scalars: tuple[Any, ...], direction: Any) -> bool:
        """Look at several iterations at once, while the device is at the next ones: it never waits for the host. True to end.

        Those that were made after the one that was enough have left x as it was: see `floor` in kernels/cuda/vectors.cu.
        """
        self.unseen.append(scalars)
        last = self.iteration >= self.problem.max_iterations
        if len(self.unseen) < self.interval and not last:
            return False
        self.flights.append((self.iteration + 1 - len(self.unseen), self.space.scratch.board.send(self.unseen)))
        self.unseen = []
        while len(self.flights) > (0 if last else 1):
            first, flight = self.flights.pop(0)
            for number, seen in enumerate(flight.arrived(), first):
                norm = self.note(number, x, seen, direction if number == self.iteration else None)
                if not self.moving():
                    return True
            if self.interrupted(norm):
                return True
        return last

    def note(self, number: int, x: Any, scalars: tuple[Any, ...], direction: Any) -> Any:
        """Judge iteration `number` by its scalars; its norm, or norms. x and direction are those of the last iteration."""
        rr, curvature, preconditioned, breakdown = scalars
        if self.space.columns is None:
            norm = math.sqrt(rr) if rr >= 0.0 else math.nan
            self.history.append(norm)
            healthy = (
                self.check[0] < norm < self.alarm[0]
                and (curvature is None or 0.0 < curvature < math.inf)
                and (preconditioned is None or 0.0 < preconditioned < math.inf)
                and (breakdown is None or 0.0 != breakdown < math.inf)
            )
        else:
            norm = np.sqrt(np.maximum(rr, 0.0))
            self.history.append(norm)
            healthy = False
        if not healthy:
            self.diagnose(number, np.atleast_1d(norm), curvature, preconditioned, breakdown, direction)
        elif norm < 0.1 * self.best_norms[0] and not callable(x) and number == self.iteration:
            self.keep(x, np.atleast_1d(norm))  # an iterate that is built when read can be built later
        return norm

    def diagnose(
        self, number: int, norms: np.ndarray, curvature: Any, preconditioned: Any, breakdown: Any, direction: Any
    ) -> None:  # fmt: skip
        """Sort out, column by column, what the scalars of an iteration say."""
        scalars = [None if s is None else np.atleast_1d(s) for s in (curvature, preconditioned, breakdown)]
        for column in self.active():
            pq, rz, divisor = (None if s is None else float(s[column]) for s in scalars)
            norm = norms[column]
            if norm <= self.check[column]:
                if not self.apparent[column]:
                    self.apparent[column], self.iterations[column] = True, number
            elif rz is not None and not math.isfinite(rz):
                self.pending[column] = Status.NONFINITE_PRECONDITIONER
            elif pq is not None and not math.isfinite(pq):
                self.pending[column] = Status.NONFINITE_OPERATOR
            elif rz is not None and rz <= 0:
                self.pending[column] = Status.INDEFINITE_PRECONDITIONER
            elif pq is not None and pq <= 0:
                self.pending[column] = Status.INCONSISTENT if flat(self, direction, pq, column) else Status.INDEFINITE_MATRIX
            elif not norm < self.alarm[column]:
                self.pending[column] = Status.DIVERGED
            elif divisor is not None and not (divisor != 0 and math.isfinite(divisor)):
                self.pending[column] = Status.BREAKDOWN

    def interrupted(self, norm: Any) -> bool:
        """The callback, once an iteration, and the clock."""
        if self.problem.callback is not None:
            try:
                answer = self.problem.callback(State(self.iteration, self.units(norm), self.snapshot))
            except Exception as error:
                error.add_note(f"raised in iteration {self.iteration} of {self.method}")
                raise
            if answer is not None and not isinstance(answer, (bool, np.bool_)):
                raise TypeError(f"callback(state) must return True to stop, or False or None to go on; got {answer!r}")
            if not arrays.everywhere(not answer, self.space):
                self.leave(Status.STOPPED)
                return True
        if self.problem.deadline < math.inf and not arrays.everywhere(time.perf_counter() <= self.problem.deadline, self.space):
            self.leave(Status.TIME_LIMIT)
            return True
        return False

    def units(self, norm: Any) -> Any:
        scaled = norm * self.problem.scale
        return scaled if self.space.columns is not None else float(scaled)

    def snapshot(self) -> Any:
        """x as it is now, in the units of the caller, safe to keep and closed to writing where the library can."""
        x = arrays.copy(self.finished(self.latest()), self.space)
        if isinstance(x, np.ndarray):
            x.flags.writeable = False
        return x

    def active(self) -> list[int]:
        return [column for column, status in enumerate(self.statuses) if status is None]

    def moving(self) -> list[int]:
        """Columns whose recurrence still has to run."""
        return [c for c in self.active() if self.pending[c] is None and not self.apparent[c]]

    def mask(self) -> Any:
        """None for a vector; for a block, which columns still move, as booleans of the space."""
        if self.space.columns is None or self.interval > 1:
            return None  # a GPU tells by itself
        moving = np.zeros(self.space.columns, bool)
        moving[self.moving()] = True
        return self.space.xp.asarray(moving, device=self.space.device)

    # -- the end -------------------------------------------------------------------------------------------------------

    def leave(self, status: Status) -> None:
        for column in self.active():
            if self.pending[column] is None:
                self.pending[column] = status

    def end_all(self, status: Status, detail: str = "") -> None:
        self.detail = detail
        self.statuses = [status] * len(self.statuses)

    def keep(self, x: Any, norms: np.ndarray) -> None:
        """Remember x if it is better than the best so far in its worst column; written so that NaN is not."""
        if norms.max(initial=0.0) < self.best_norms.max(initial=0.0) and not self.problem.defect:
            if isinstance(self.best, np.ndarray):
                np.copyto(self.best, x)  # no new pages
            else:
                self.best = arrays.copy(x, self.space)
            self.best_norms = norms.copy()

    def finished(self, x: Any) -> Any:
        """x in the units of the caller: undo the powers of two that b and A were scaled by."""
        exponent = self.exponent()
        return x if not np.any(exponent) else times(x, exponent, self.space)

    def exponent(self) -> Any:
        """The power of two between the method's x and the user's."""
        return np.log2(self.problem.scale) + math.log2(self.problem.A_scale)


def drive(run: Run, loop: Callable[[Run], Any]) -> SolveResult:
    """Run a method's loop to its result. Ctrl-C raises SolveInterrupted, which carries the best x so far."""
    try:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # what overflows is named by its status
            return report(run, loop(run))
    except KeyboardInterrupt:
        x = run.latest()
        run.pending = [Status.INTERRUPTED] * len(run.pending)
        run.restart(x)
        result = report(run, x)
        raise SolveInterrupted(f"{run.method} interrupted after {run.iteration} iterations; {result}", result) from None
    except Exception as error:
        if not getattr(error, "__notes__", None):
            error.add_note(f"raised in iteration {run.iteration + 1} of {run.method}")
        if run.space.comm is not None:
            arrays.bring_down(run.space.comm, error)
        raise
