"""What is said of solves that are not begun, and of preconditioners that are given up."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from . import arrays
from .arrays import Space
from .choose import Plan
from .operator import name_of
from .result import SolveResult, Status
from .system import nonnegative


def reachable(rtol: float | None, atol: float, b: Any, space: Any) -> None:
    """Refuse a tolerance that no x of this precision can be trusted to reach."""
    if rtol is None:
        return
    rtol, atol, floor = nonnegative(rtol, "rtol"), nonnegative(atol, "atol"), 4 * space.eps
    size = float(np.max(arrays.norm(b, space), initial=0.0))
    if rtol < floor and math.isfinite(size) and atol < floor * size:
        raise ValueError(
            f"rtol = {rtol:.1e} is below 4 eps = {floor:.1e} of {space.dtype}, which no solution can be trusted to reach; "
            f"ask for rtol >= {floor:.1e}, set atol, or solve in double precision"
        )


def failed(b: Any, space: Space, method: str, status: Status, detail: str) -> SolveResult:
    """The record of a solve that was not begun: x = 0."""
    xp = arrays.namespace(b)
    assert xp is not None
    norms = arrays.norm(b, space)
    vector = b.ndim == 1
    return SolveResult(
        x=xp.zeros_like(b), status=status, reason=f"{detail}; {status.value}", method=method, preconditioner="none",
        residual=float(norms) if vector else norms, residuals=np.array([norms]), matvecs=0,
        iterations=0 if vector else np.zeros(b.shape[1], np.int64), relative_residual=1.0 if vector else np.ones(b.shape[1]),
        statuses=(status,) * (1 if vector else b.shape[1]),
    )  # fmt: skip


def given_up(plan: Plan, limit: int, instead: Plan) -> None:
    """Say that a trained preconditioner does not suit this matrix, and what is used instead."""
    other = " + ".join([instead.method, *([name_of(instead.M)] if instead.M is not None else [])])
    warnings.warn(
        f"{name_of(plan.M)} was given up after {limit} iterations, more than it should need: this matrix is unlike those it was "
        f"trained on; {other} is used instead",
        RuntimeWarning, stacklevel=2,
    )  # fmt: skip
