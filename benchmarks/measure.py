"""One row: is the answer right, and only then how long does it take."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import sparse

from .data import canonical
from .document import FAILED, NOT_CONVERGED, OK, SKIPPED, WRONG, Row
from .records import SYMMETRIC, Kind, Limits, Method, Outcome, Problem, System, relative_residual

ROUNDING = 1e-3  # two double-precision evaluations of one residual differ in their last digits
LADDER = (1.0, 0.3, 0.1, 1e-2, 1e-3, 1e-4)  # how far a method's own tolerance is tightened
LONG = 1.0  # seconds after which the first run is itself the measurement, and after which repeats end
LARGE = 30_000  # rows above which kernels may have another (threaded) form, warmed up apart
POINTS = 120  # of a residual history kept
SOURCES = {"pyamg": "pip install 'petrov[bench]'", "petsc4py": "`make petsc` brings it with PETSc (Debian), petrov[petsc] alone"}


@dataclass(frozen=True, slots=True)
class Settings:
    """rtol on the true residual; between `least` and `repeat` timed runs, no more once they took a second together; the run
    that is judged counts among them only if `first_counts` and it was long; an iteration is stopped after `seconds`."""

    rtol: float = 1e-8
    repeat: int = 5
    seconds: float = 300.0
    least: int = 1
    first_counts: bool = True


@dataclass(frozen=True, slots=True)
class Timed:
    """One run, its true residual and its wall times; the times hold no compilation that the method reports."""

    outcome: Outcome
    residual: float
    asked_rtol: float
    setup: float
    solve: float

    @property
    def total(self) -> float:
        return self.setup + self.solve


@dataclass(slots=True)
class Entry:
    """A method on its way through a race: its row so far, the rtol it is asked for, its timed runs, what it said."""

    method: Method
    row: Row
    asked_rtol: float
    runs: list[Timed] = field(default_factory=list)
    said: set[str] = field(default_factory=set)

    def wants_more(self, settings: Settings) -> bool:
        if self.row.status != OK or len(self.runs) >= max(settings.repeat, settings.least):
            return False
        return len(self.runs) < settings.least or sum(run.total for run in self.runs) < LONG


def measure(method: Method, problem: Problem, system: System, settings: Settings) -> Row:
    """The row of one method on one problem. An exception of the method is its row; Ctrl-C passes through."""
    return race([method], problem, system, settings)[0]


def race(methods: Sequence[Method], problem: Problem, system: System, settings: Settings) -> list[Row]:
    """The rows of several methods on one problem: each judged first, then their timed runs taken in turn, so that what else
    the machine does meets all alike."""
    entries = [entry(method, problem, system, settings) for method in methods]
    for one in entries:
        if one.row.status == OK:
            with listening(one):
                judge(one, problem, system, settings)
    while ready := [one for one in entries if one.wants_more(settings)]:
        for one in ready:
            with listening(one):
                one.runs.append(run_once(one.method, system, one.asked_rtol, limits(one.method, system, settings)))
    return [finished(one, settings) for one in entries]


def entry(method: Method, problem: Problem, system: System, settings: Settings) -> Entry:
    """A method at the start: OK until judged, or SKIPPED."""
    row = Row(
        problem.name, problem.family, problem.kind, method.name, method.library, OK, rows=system.A.shape[0],
        entries=int(system.A.nnz), rtol=settings.rtol, work=problem.work,
    )  # fmt: skip
    if reason := reason_to_skip(method, problem, system):
        row = replace(row, status=SKIPPED, reason=reason)
    return Entry(method, row, settings.rtol)


@contextmanager
def listening(entry: Entry) -> Iterator[None]:
    """Collect warnings and prints; whatever a method raises is its result."""
    printed: list[str] = []
    with warnings.catch_warnings(record=True) as caught, native_output(printed):
        warnings.simplefilter("always")
        try:
            yield
        except Exception as error:
            entry.row = replace(entry.row, status=FAILED, reason=f"{type(error).__name__}: {first_line(str(error))}")
    entry.said |= {f"{w.category.__name__}: {first_line(str(w.message))}" for w in caught}
    entry.said |= {f"printed: {first_line(line)}" for line in printed}


@contextmanager
def native_output(lines: list[str]) -> Iterator[None]:
    """Collect what compiled code writes to the process's standard output meanwhile (PyAMG's interpolation does)."""
    sys.stdout.flush()
    with tempfile.TemporaryFile() as file:
        kept = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)
            file.seek(0)
            lines.extend(file.read().decode(errors="replace").splitlines())


def reason_to_skip(method: Method, problem: Problem, system: System) -> str:
    """Why this pair is not run; '' if it is."""
    if method.needs and importlib.util.find_spec(method.needs) is None:
        return f"{method.needs} is not installed; {SOURCES.get(method.needs, SOURCES['pyamg'])}"
    rows = system.A.shape[0]
    if problem.dim == 3 and method.largest_3d is not None and rows > method.largest_3d:
        return f"the fill-in of a 3-D factorisation of {rows:,} rows needs too much memory and time"
    return ""


def judge(entry: Entry, problem: Problem, system: System, settings: Settings) -> None:
    """Correctness before time: the first run, which also records the history where one is plotted."""
    history: list[float] | None = [] if problem.plotted else None
    first = first_answer(entry.method, system, settings, history)
    status, reason = verdict(first, settings)
    entry.asked_rtol = first.asked_rtol
    entry.row = replace(
        entry.row, status=status, reason=reason, chose=first.outcome.chose, iterations=first.outcome.iterations,
        asked_rtol=first.asked_rtol, relative_residual=finite(first.residual), history=thinned(history or []),
    )  # fmt: skip
    slowed = first.outcome.compile_seconds > 0.0 or (problem.plotted and entry.method.history_costs)
    if settings.first_counts and first.total > LONG and not slowed:
        entry.runs.append(first)


def finished(entry: Entry, settings: Settings) -> Row:
    """The row, with medians of its runs if every one of them was right."""
    row, runs = replace(entry.row, warnings=sorted(entry.said)), entry.runs
    if row.status != OK:
        return row
    verdicts = [verdict(run, settings) for run in runs]
    if bad := next((item for item in verdicts if item[0] != OK), None):
        return replace(row, status=bad[0], reason=f"in a repeated run: {bad[1]}")
    totals = [run.total for run in runs]
    return replace(
        row, runs=len(runs), setup_seconds=float(np.median([run.setup for run in runs])),
        solve_seconds=float(np.median([run.solve for run in runs])),
        fastest_seconds=min(totals), slowest_seconds=max(totals),
    )  # fmt: skip


def limits(method: Method, system: System, settings: Settings) -> Limits:
    return method.limits(system.A.shape[0], settings.seconds)


def run_once(method: Method, system: System, asked_rtol: float, limits: Limits, history: list[float] | None = None) -> Timed:
    """Set-up and solve under the clock, without garbage collection, the true residual after it."""
    gc.disable()
    try:
        start = time.perf_counter()
        prepared = method.setup(system)
        ready = time.perf_counter()
        outcome = method.solve(prepared, system, asked_rtol, limits, history)
        end = time.perf_counter()
    finally:
        gc.enable()
    inside, elsewhere = outcome.setup_seconds, outcome.compile_seconds + outcome.other_seconds
    return Timed(
        outcome=replace(outcome, x=np.empty(0)), residual=relative_residual(system, outcome.x), asked_rtol=asked_rtol,
        setup=ready - start + inside, solve=max(end - ready - inside - elsewhere, 0.0),
    )  # fmt: skip


def first_answer(method: Method, system: System, settings: Settings, history: list[float] | None) -> Timed:
    """The first run within rtol, or the last tried: a method that stops on its recurrence is tightened while it claims."""
    for factor in LADDER if method.tighten else LADDER[:1]:
        if history is not None:
            history.clear()
        run = run_once(method, system, factor * settings.rtol, limits(method, system, settings), history)
        if run.residual <= settings.rtol * (1 + ROUNDING) or not run.outcome.claims:
            break
    return run


def verdict(run: Timed, settings: Settings) -> tuple[str, str]:
    """Status and sentence. Written so that NaN fails."""
    if run.residual <= settings.rtol * (1 + ROUNDING):
        tightened = run.asked_rtol < settings.rtol
        return OK, f"asked for {run.asked_rtol:.0e} to reach {settings.rtol:.0e}" if tightened else ""
    missed = f"true relative residual {run.residual:.1e}, wanted {settings.rtol:.0e}"
    if run.outcome.claims:
        return WRONG, f"claims success at {run.asked_rtol:.0e}; {missed}"
    after = "" if run.outcome.iterations is None else f" after {run.outcome.iterations} iterations"
    limit = f", at the limit of {settings.seconds:g} s" if run.solve >= settings.seconds else ""
    return NOT_CONVERGED, f"{missed}{after}{limit}"


def warm_up(method: Method, kind: Kind, *, large: bool) -> None:
    """One run on a model system of the kind: imports, compilation and thread pools are then behind us."""
    problem = Problem("warm-up", "warm-up", kind, lambda: model_system(kind, 176 if large else 24))
    measure(method, problem, problem.make(), Settings(rtol=1e-2, repeat=1, seconds=2.0))


def model_system(kind: Kind, n: int) -> System:
    """The five-point Laplacian on n x n, shifted to be indefinite, or with a first difference to be non-symmetric."""
    line = sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tolil()
    if kind == "semidefinite":
        line[0, 0] = line[-1, -1] = 1.0
    one = sparse.eye_array(n)
    A: Any = sparse.kron(one, line) + sparse.kron(line, one)
    if kind == "indefinite":
        A = A - 0.11 * sparse.eye_array(n * n)
    if kind not in SYMMETRIC:
        A = A + 0.5 * sparse.kron(one, sparse.diags_array([-1.0, 1.0], offsets=[-1, 0], shape=(n, n)))
    nullspace = np.full((n * n, 1), 1.0 / n) if kind == "semidefinite" else None
    b = np.random.default_rng(1729).standard_normal(n * n)
    return System(canonical(A), b, nullspace)


def thinned(history: list[float]) -> list[list[float]]:
    """[iteration, value] pairs, at most about POINTS, first and last kept, non-finite values left out."""
    keep = np.unique(np.linspace(0, len(history) - 1, min(len(history), POINTS)).round().astype(int))
    return [[int(k), float(history[k])] for k in keep if np.isfinite(history[k])]


def finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def first_line(text: str, width: int = 300) -> str:
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= width else line[: width - 3] + "..."
