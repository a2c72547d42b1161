"""Blocks of right-hand sides for methods that carry one recurrence: column after column, M set up once."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .. import arrays
from ..result import SolveResult, worst
from ..system import preconditioner


def one_by_one(method: Callable[..., SolveResult]) -> Callable[..., SolveResult]:
    """method(A, b (n,)) extended to b (n, k): the columns are solved in turn and reported in one record. What one leaves to be
    recycled is handed to the next."""

    @functools.wraps(method)
    def solve(A: Any, b: Any, **keywords: Any) -> SolveResult:
        if len(getattr(b, "shape", ())) != 2 or arrays.sparse(b) or arrays.namespace(b) is None or b.shape[1] == 0:
            return method(A, b, **keywords)
        start = time.perf_counter()
        if keywords.get("M") is not None:
            keywords["M"] = preconditioner(keywords["M"], A)
        setup_seconds, x0 = time.perf_counter() - start, keywords.pop("x0", None)
        columns: list[SolveResult] = []
        for j in range(b.shape[1]):
            columns.append(method(A, b[:, j], x0=None if x0 is None else x0[:, j], **keywords))
            if columns[-1].space is not None:
                keywords["space"] = columns[-1].space
        return merge(columns, arrays.namespace(b), setup_seconds)

    return solve


def merge(columns: list[SolveResult], xp: Any, setup_seconds: float) -> SolveResult:
    """One record for k single-column records; the histories are padded with their last value."""
    statuses = tuple(result.status for result in columns)
    status = worst(statuses)
    length = max(len(result.residuals) for result in columns)
    return replace(
        columns[statuses.index(status)],
        x=xp.stack([result.x for result in columns], axis=1),
        residual=np.array([result.residual for result in columns]),
        relative_residual=np.array([result.relative_residual for result in columns]),
        residuals=np.stack([padded(result.residuals, length) for result in columns], axis=1),
        iterations=np.array([result.iterations for result in columns]),
        matvecs=sum(result.matvecs for result in columns),
        setup_seconds=setup_seconds,
        solve_seconds=sum(result.solve_seconds for result in columns),
        compile_seconds=sum(result.compile_seconds for result in columns),
        statuses=statuses,
        space=columns[-1].space,
    )


def padded(history: np.ndarray, length: int) -> np.ndarray:
    """A history (m,) continued to `length` by its last value, by NaN if it is empty."""
    last = history[-1] if len(history) else np.nan
    return np.concatenate([history, np.full(length - len(history), last)])
