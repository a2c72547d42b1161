"""The record of a run: the x to return, its true residual, and the sentence that explains the outcome.

`run` is the stopping.Run of the solve.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from . import arrays
from .operator import name_of
from .result import SolveResult, Status, worst
from .system import times


def report(run: Any, x: Any) -> SolveResult:
    """The SolveResult for x, or for the best x seen if this one is worse."""
    problem, vector = run.problem, run.space.columns is None
    x, norms = better(run, x)
    x, norms = restored(run, x, norms)
    statuses = tuple(status or Status.INTERRUPTED for status in run.statuses)
    status = worst(statuses)
    scale = np.atleast_1d(problem.scale)
    relative = np.divide(norms, problem.b_norm, out=np.zeros_like(norms), where=problem.b_norm > 0)
    history = np.array([np.atleast_1d(row) for row in run.history]).reshape(-1, len(norms)) * scale
    residual = norms * scale
    return SolveResult(
        x=x,
        status=status,
        reason=sentence(run.detail, status),
        method=run.method,
        preconditioner=name_of(problem.M),
        residual=float(residual[0]) if vector else residual,
        residuals=history[:, 0] if vector else history,
        iterations=int(run.iterations[0]) if vector else run.iterations,
        matvecs=run.matvecs,
        setup_seconds=problem.setup_seconds,
        solve_seconds=time.perf_counter() - run.began - run.compile_seconds,
        compile_seconds=run.compile_seconds,
        rtol=problem.rtol,
        relative_residual=float(relative[0]) if vector else relative,
        statuses=statuses,
        unknowns=problem.size,
        ranks=1 if run.space.comm is None else run.space.comm.Get_size(),
    )


def better(run: Any, x: Any) -> tuple[Any, np.ndarray]:
    """(x, true residual norms) of the last x or of the best one kept; x = 0 where an input was not finite."""
    if run.problem.defect is not None:
        return arrays.zeros(run.problem.b.shape, run.space), np.full(len(run.statuses), math.nan)
    if not np.isfinite(arrays.norm(x, run.space)).all():  # a row of zeros hides a NaN from the residual
        x = run.best if run.best is not None and np.isfinite(arrays.norm(run.best, run.space)).all() else run.start()
        run.statuses = [Status.DIVERGED if status is Status.CONVERGED else status for status in run.statuses]
        return x, np.atleast_1d(run.true_residual(x)[1])
    kept = run.best is not None and Status.CONVERGED not in run.statuses and not run.norms.max() <= run.best_norms.max()
    if kept:
        norms = np.atleast_1d(run.true_residual(run.best)[1])
        if not run.norms.max() <= norms.max():
            return run.best, norms
    return x, run.norms


def restored(run: Any, x: Any, norms: np.ndarray) -> tuple[Any, np.ndarray]:
    """x in the user's units, judged once more where the change of scale has cost digits or overflowed."""
    exponent = run.exponent()
    if not np.any(exponent) or run.problem.defect is not None:
        return x, norms
    own = times(x, exponent, run.space)
    if np.all(np.isfinite(arrays.norm(own, run.space))):
        again = times(own, -np.asarray(exponent), run.space)
        if not arrays.everywhere(bool(run.space.xp.all(again == x)), run.space):
            norms = np.atleast_1d(run.true_residual(again)[1])
            short, detail = ~(norms <= run.problem.limit), "x is so small that its type holds few digits of it"
            run.detail = detail if short.any() else run.detail
            run.statuses = [
                Status.STAGNATED if bad and status is Status.CONVERGED else status
                for status, bad in zip(run.statuses, short, strict=True)
            ]
        return own, norms
    run.detail = f"x is too large for {run.space.dtype}"
    run.statuses = [Status.DIVERGED] * len(run.statuses)
    return arrays.zeros(x.shape, run.space), run.problem.b_norm.copy()


def sentence(detail: str, status: Status) -> str:
    if status is Status.CONVERGED:
        return detail
    return f"{detail}; {status.value}" if detail else status.value
