"""Proofs that a symmetric system is singular and has no solution, looked for only when a solve has failed.

`run` is the stopping.Run of the solve.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import arrays
from .operator import largest_entry
from .result import Status
from .storage import Stored

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
    with np.errstate(invalid="ignore", over="ignore"):
        proof = null_and_seen_by_b(run, x)
        if isinstance(run.problem.A, Stored):
            proof |= null_and_seen_by_b(run, np.where(np.abs(x) > 1e-3 * np.abs(x).max(axis=0), x, 0))
    run.statuses = [
        Status.INCONSISTENT if status in FAILED and proof[column] else status for column, status in enumerate(run.statuses)
    ]


def null_and_seen_by_b(run: Any, v: Any) -> np.ndarray:
    """Per column: A v = 0 up to rounding, and v^H b is not."""
    problem, space = run.problem, run.space
    run.matvecs += len(run.statuses)
    image, length = arrays.norm(run.verbs.product(problem.A, v, space), space), arrays.norm(v, space)
    overlap = np.abs(arrays.host(arrays.reduce(run.verbs.dot(problem.b, v, space), space)))
    null = image <= 1e3 * space.eps * uncancelled(run, v, length)
    return np.atleast_1d(null & (overlap > 1e-6 * length * np.reshape(problem.b_norm, np.shape(length))))


def uncancelled(run: Any, x: Any, length: Any) -> Any:
    """|| |A| |x| ||, which A x would be without cancellation: a small entry of A that is alone in its row is no null row."""
    A = run.problem.A
    if not isinstance(A, Stored):
        return size_of_A(run) * length
    matrix = A.tocsr()  # not abs(matrix): SciPy would sort the user's arrays in place first
    sizes = type(matrix)((np.abs(matrix.data), matrix.indices, matrix.indptr), shape=A.shape)
    return arrays.norm(sizes @ np.abs(x), run.space)


def size_of_A(run: Any) -> float:
    """A lower estimate of ||A||: its largest entry, or how much it lengthens b."""
    largest = largest_entry(run.problem.A)
    if largest is not None:
        return largest
    run.matvecs += len(run.statuses)
    image = arrays.norm(run.verbs.product(run.problem.A, run.problem.b, run.space), run.space)
    sizes = run.problem.b_norm
    return float(np.max(np.divide(image, sizes, where=sizes > 0, out=np.zeros_like(sizes))))
