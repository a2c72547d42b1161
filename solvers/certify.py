"""Proofs that a symmetric system is singular and has no solution, looked for only when a solve has failed.

`run` is the stopping.Run of the solve.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import arrays
from .operator import largest_entry
from .result import Status

FAILED = (Status.MAX_ITERATIONS, Status.STAGNATED, Status.DIVERGED)


def flat(run: Any, direction: tuple[Any, Any] | None, pq: float, column: int) -> bool:
    """True if p^H A p <= 0 is rounding along a null vector of a semidefinite A, not a sign of an indefinite one.

    A semidefinite A has ||A p||^2 <= ||A|| p^H A p, so both must vanish together. `direction` is (p, A p).
    """
    if direction is None:
        return False
    p, q = (float(np.atleast_1d(arrays.norm(v, run.space))[column]) for v in direction)
    floor = 1e3 * run.space.eps * size_of_A(run) * p * p
    return abs(pq) <= floor and q * q <= 10 * size_of_A(run) * floor


def certify(run: Any, x: Any) -> None:
    """A diverged x along which a symmetric A vanishes while b does not proves that no solution exists: INCONSISTENT."""
    if run.iteration == 0 or not any(status in FAILED for status in run.statuses):
        return
    problem, space = run.problem, run.space
    run.matvecs += len(run.statuses)
    with np.errstate(invalid="ignore", over="ignore"):
        image, length = arrays.norm(run.verbs.product(problem.A, x, space), space), arrays.norm(x, space)
        overlap = np.abs(arrays.host(run.verbs.dot(problem.b, x, space)))
        null = image <= 1e3 * space.eps * size_of_A(run) * length
        proof = np.atleast_1d(null & (overlap > 1e-6 * length * np.reshape(problem.b_norm, np.shape(length))))
    run.statuses = [
        Status.INCONSISTENT if status in FAILED and proof[column] else status for column, status in enumerate(run.statuses)
    ]


def size_of_A(run: Any) -> float:
    """A lower estimate of ||A||: its largest entry, or how much it lengthens b."""
    largest = largest_entry(run.problem.A)
    if largest is not None:
        return largest
    run.matvecs += len(run.statuses)
    image = arrays.norm(run.verbs.product(run.problem.A, run.problem.b, run.space), run.space)
    sizes = run.problem.b_norm
    return float(np.max(np.divide(image, sizes, where=sizes > 0, out=np.zeros_like(sizes))))
