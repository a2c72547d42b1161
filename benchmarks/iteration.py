"""One iteration of Jacobi-CG, and one product: what storage and kernels alone are worth.

The time of an iteration is (t(80) - t(20)) / 60, with the minima of runs that the contenders make in turn. Before that the
first twenty residuals of each must be those of the textbook's loop, to rounding, and the residual of its x one of them.
"""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..solvers import compact
from .document import OK, WRONG, Row
from .measure import Entry, Settings, entry, listening, run_once
from .records import DEFINITE, Limits, Method, Outcome, Problem, System

FEW, MANY = 20, 80
RTOL = 1e-12  # out of reach within MANY iterations
ROUNDING = 1e-8
VECTORS = 10 * 8  # the least bytes per row of an iteration beside A: nine vectors of two fused sweeps, and the diagonal M
PRODUCT = 2 * 8  # x read, A x written
LEAST_SECONDS = 0.05  # of applications that one time of a product is taken over


def textbook(system: System, iterations: int) -> np.ndarray:
    """||r_k|| / ||b|| of the Jacobi-preconditioned iterates 0..k (iterations + 1,), Saad's Algorithm 9.1 in plain NumPy."""
    A, x = system.A, np.zeros_like(system.b)
    r, inverse = system.b.copy(), 1.0 / system.A.diagonal()
    z = inverse * r
    p, rz, norms = z.copy(), r @ z, [1.0]
    for _ in range(iterations):
        q = A @ p
        alpha = rz / (p @ q)
        x += alpha * p
        r -= alpha * q
        norms.append(float(np.linalg.norm(r) / np.linalg.norm(system.b)))
        z = inverse * r
        rz_old, rz = rz, r @ z
        p = z + (rz / rz_old) * p
    return np.array(norms)


def race_of_iterations(methods: Sequence[Method], problem: Problem, system: System, settings: Settings) -> list[Row]:
    """A row a method: solve_seconds is the time of one iteration, setup_seconds that of compact(A), M and the like."""
    entries = [entry(method, problem, system, settings) for method in methods]
    expected = textbook(system, FEW)
    form = compact(system.A)
    for one in (one for one in entries if one.row.status == OK):
        with listening(one):
            check(one, system, expected, settings)
            if one.method.ours:
                one.row = replace(one.row, chose=repr(form), traffic=bytes_per_row(form, VECTORS))
    times: dict[str, list[tuple[float, float, float]]] = {one.method.name: [] for one in entries}
    for _ in range(max(settings.repeat, settings.least)):
        for one in (one for one in entries if one.row.status == OK):
            with listening(one):
                few, many = (run_once(one.method, system, RTOL, Limits(k, settings.seconds)) for k in (FEW, MANY))
                if many.outcome.iterations != MANY:
                    raise RuntimeError(f"made {many.outcome.iterations} iterations where {MANY} were asked for")
                times[one.method.name].append((few.setup, few.solve, many.solve))
    return [timed(one, times[one.method.name]) for one in entries]


def check(one: Entry, system: System, expected: np.ndarray, settings: Settings) -> None:
    """WRONG, unless FEW iterations of the method are the textbook's."""
    history: list[float] = []
    run = run_once(one.method, system, RTOL, Limits(FEW, settings.seconds), history)
    found = np.array(history)
    off = float(np.abs(found / expected - 1).max()) if found.shape == expected.shape else float("inf")
    off_x = float(np.abs(run.residual / expected - 1).min())
    one.row = replace(one.row, iterations=MANY, relative_residual=run.residual)
    if not max(off, off_x) <= ROUNDING:
        reason = f"not the textbook's iterates: residual norms are off by {off:.1e}, that of the x returned by {off_x:.1e}"
        one.row = replace(one.row, status=WRONG, reason=reason)


def timed(one: Entry, times: list[tuple[float, float, float]]) -> Row:
    """The row with the difference of the minima, a sixtieth of it."""
    row = replace(one.row, warnings=sorted(one.said))
    if row.status != OK:
        return row
    setup, few, many = np.array(times).T
    return replace(
        row, runs=len(times), setup_seconds=float(np.median(setup)), solve_seconds=float(many.min() - few.min()) / (MANY - FEW),
    )  # fmt: skip


def bytes_per_row(form: Any, vectors: int) -> float | None:
    """What one pass moves for a row of A: what the storage counts for itself, and the vectors. None for a form that does not
    count."""
    own = getattr(form, "bytes_per_row", None)
    return None if own is None else float(own) + vectors


# -- One product -----------------------------------------------------------------------------------------------------------


def race_of_products(methods: Sequence[Method], problem: Problem, system: System, settings: Settings) -> list[Row]:
    """A row a method: solve_seconds is the time of one A @ x, the least of the rounds, each a mean over LEAST_SECONDS."""
    entries = [entry(method, problem, system, settings) for method in methods]
    x = system.b
    expected = system.A @ x
    ready: dict[str, Any] = {}
    for one in (one for one in entries if one.row.status == OK):
        with listening(one):
            start = time.perf_counter()
            form = one.method.setup(system)
            seconds = time.perf_counter() - start
            off = float(np.linalg.norm(form @ x - expected) / np.linalg.norm(expected))
            status, reason = (OK, "") if off <= ROUNDING else (WRONG, f"A @ x is off by {off:.1e}")
            chose, traffic = (repr(form), bytes_per_row(form, PRODUCT)) if one.method.ours else ("", None)
            ready[one.method.name] = form
            one.row = replace(
                one.row, status=status, reason=reason, relative_residual=off, setup_seconds=seconds, chose=chose, traffic=traffic
            )
    least = {name: float("inf") for name in ready}
    for _ in range(max(settings.repeat, settings.least)):
        for name, form in ready.items():
            least[name] = min(least[name], mean_seconds(partial(operator.matmul, form, x), LEAST_SECONDS))
    return [
        replace(one.row, runs=settings.repeat, solve_seconds=least[one.method.name]) if one.row.status == OK else one.row
        for one in entries
    ]


def mean_seconds(work: Callable[[], Any], least: float) -> float:
    """Seconds of one call, over so many calls that they take `least` seconds together, at most 10^4."""
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < least and count < 10_000:
        work()
        count += 1
    return spent / count


def nothing_to_solve(*_: Any) -> Outcome:
    raise RuntimeError("a product is no solve")


PRODUCTS = (
    Method("petrov A @ x", "petrov", DEFINITE, lambda system: compact(system.A), nothing_to_solve),
    Method("scipy A @ x", "scipy", DEFINITE, lambda system: system.A, nothing_to_solve),
)
