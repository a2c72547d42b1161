"""Generalised minimal residuals, restarted, preconditioned on the right."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import arrays
from ..kernels import reference
from ..result import SolveResult, Status
from ..stopping import Run, drive
from ..system import system
from .columns import one_by_one

SHORT = 8  # steps of a cycle that is over so soon that it pays to keep M v for each


@one_by_one
def gmres(
    A: Any, b: Any, *, M: Any = None, x0: Any = None, rtol: float | None = None, atol: float = 0.0,
    max_iterations: int | None = None, time_limit: float | None = None, callback: Callable[[Any], Any] | None = None,
    restart: int = 40,
) -> SolveResult:  # fmt: skip
    """Solve A x = b for any square A by GMRES(restart); flexible, so M may change from call to call.

    Preconditioning is on the right: the residual minimised is that of A x = b itself, M never in it. Common arguments,
    the meaning of converged and errors as in `cg`; iterations counts inner steps; b (n, k) is solved column by column.
    A cycle that makes no progress twice ends STAGNATED. Raises ValueError if restart < 1.

    Holds restart + 3 vectors, 8 more with an M, twice as many with one that is not known to be linear; step j costs one
    product, one M and 4 j sweeps (orthogonalised twice, classical Gram-Schmidt). Saad and Schultz (1986); Saad, Iterative
    Methods (2003), Algorithms 9.5 and 9.6.

    >>> import numpy as np
    >>> from petrov.solvers import gmres
    >>> gmres(np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([3.0, 1.0])).x.round(6)
    array([1., 1.])
    """
    if isinstance(restart, bool) or not isinstance(restart, int) or restart < 1:
        raise ValueError(f"restart must be an integer >= 1 (steps before the basis is dropped); got {restart!r}")
    problem = system(
        A, b, M=M, x0=x0, rtol=rtol, atol=atol, max_iterations=max_iterations, time_limit=time_limit, callback=callback
    )  # fmt: skip
    return drive(Run("gmres", problem), lambda run: iterate(run, min(restart, max(A.shape[0], 1))))


def iterate(run: Run, restart: int) -> Any:
    x = run.start()
    while (r := run.restart(x)) is not None:
        x = cycle(run, x, r, restart)
    return x


def cycle(run: Run, x: Any, r: Any, restart: int) -> Any:
    """One cycle from the residual r: the x that minimises ||b - A x|| over x + span Z."""
    A, M, space = run.problem.A, run.problem.M, run.space
    # Z = M V must be kept if M may change; the first are kept anyhow, so that a short cycle needs no M for its end.
    kept = 0 if M is None else min(SHORT, restart) if fixed(M) else restart
    V = arrays.zeros((restart + 1, r.shape[0]), space)
    Z = arrays.zeros((kept, r.shape[0]), space)
    beta = float(arrays.norm(r, space))
    V[0, :] = r * (1.0 / beta)
    small = LeastSquares.of(beta, restart, complex if space.dtype.startswith("complex") else float)

    def solution(steps: int) -> Any:
        y = space.xp.asarray(small.coefficients(steps), dtype=r.dtype, device=space.device)
        if steps <= kept:
            return x + y @ Z[:steps, :]
        along = y @ V[:steps, :]
        return x + (along if M is None else reference.product(M, along, space, "M"))

    for j in range(restart):
        z = V[j, :] if M is None else reference.product(M, V[j, :], space, "M")
        if j < kept:
            Z[j, :] = z
        w = arrays.copy(reference.product(A, z, space), space)
        h, w = orthogonalise(w, V[: j + 1, :], space)
        length = float(arrays.norm(w, space))
        if not (math.isfinite(length) and np.isfinite(h).all()):
            sound = math.isfinite(float(arrays.norm(z, space)))
            run.leave(Status.NONFINITE_OPERATOR if sound else Status.NONFINITE_PRECONDITIONER)
            return solution(j) if j else x
        exhausted = length <= space.eps * float(np.abs(h).max())  # A Z is invariant: no further step can help
        norm = small.append(h, 0.0 if exhausted else length, j)
        if run.look(lambda j=j: solution(j + 1), norm * norm) or exhausted or j == restart - 1:
            if exhausted and norm > 0.999 * beta:  # and it holds no solution: A is singular
                run.leave(Status.BREAKDOWN)
            break
        V[j + 1, :] = w * (1.0 / length)
    return solution(j + 1)


def fixed(M: Any) -> bool:
    """True for a matrix and for what says that it is linear: M (V y) is then (M V) y."""
    return getattr(M, "linear", None) is True or arrays.sparse(M) or arrays.namespace(M) is not None


def orthogonalise(w: Any, V: Any, space: Any) -> tuple[np.ndarray, Any]:
    """w minus its part in the rows of V, by classical Gram-Schmidt twice; the coefficients (j,) on the host."""
    conjugate = space.xp.conj(V) if space.dtype.startswith("complex") else V
    first = arrays.across(conjugate @ w, space)
    w = w - first @ V
    second = arrays.across(conjugate @ w, space)
    return arrays.to_numpy(first + second).astype(arrays.WIDE[space.dtype]), w - second @ V


@dataclass(slots=True)
class LeastSquares:
    """min ||beta e_1 - H y|| column by column: R by Givens rotations, the right-hand side g rotated along."""

    R: np.ndarray
    g: np.ndarray
    rotations: list[tuple[float, complex]]

    @classmethod
    def of(cls, beta: float, size: int, kind: type) -> LeastSquares:
        g: np.ndarray = np.zeros(size + 1, kind)
        g[0] = beta
        return cls(np.zeros((size + 1, size), kind), g, [])

    def append(self, h: np.ndarray, length: float, j: int) -> float:
        """Take column j (h on top of length) in; the norm of the residual that is left."""
        column = self.R[:, j]
        column[: j + 1], column[j + 1] = h, length
        for i, (c, s) in enumerate(self.rotations):
            column[i], column[i + 1] = c * column[i] + s * column[i + 1], c * column[i + 1] - np.conj(s) * column[i]
        a, radius = column[j], math.hypot(abs(column[j]), length)
        phase = a / abs(a) if a != 0 else 1.0
        c, s = (abs(a) / radius, phase * length / radius) if radius > 0 else (1.0, 0.0)
        column[j], column[j + 1] = phase * radius, 0.0
        self.g[j], self.g[j + 1] = c * self.g[j] + s * self.g[j + 1], c * self.g[j + 1] - np.conj(s) * self.g[j]
        self.rotations.append((c, s))
        return float(abs(self.g[j + 1])) if radius > 0 else float(np.hypot(abs(self.g[j]), abs(self.g[j + 1])))

    def coefficients(self, steps: int) -> np.ndarray:
        """y (steps,); directions that A maps to zero get none."""
        R = self.R[:steps, :steps]
        diagonal = np.abs(np.diag(R))
        if diagonal.min() > np.finfo(float).eps * diagonal.max():
            return np.linalg.solve(R, self.g[:steps])
        return np.linalg.lstsq(R, self.g[:steps], rcond=None)[0]
