"""GMRES with deflated restarts: a subspace is kept from cycle to cycle and from system to system."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import arrays
from ..arrays import Space
from ..kernels import reference
from ..recycling.ritz import harmonic
from ..recycling.space import RecycleSpace, combined, finite, orthonormal, products, transposed
from ..result import SolveResult, Status
from ..stopping import Run, drive
from ..system import system
from .columns import one_by_one
from .gmres import LeastSquares, orthogonalise

PATIENCE = 10  # cycles without progress: meanwhile the space becomes better, which GMRES has not


@one_by_one
def gcrodr(
    A: Any, b: Any, *, M: Any = None, x0: Any = None, rtol: float | None = None, atol: float = 0.0,
    max_iterations: int | None = None, time_limit: float | None = None, callback: Callable[[Any], Any] | None = None,
    restart: int = 40, recycle: int = 20, space: RecycleSpace | None = None,
) -> SolveResult:  # fmt: skip
    """Solve A x = b for any square A by GCRO-DR(restart, recycle), flexible, so M may change from call to call.

    GMRES(restart) forgets at every restart; here the `recycle` harmonic Ritz vectors of smallest value stay, and what they can
    correct is corrected first. They are in `result.space`: hand it to the next solve as `space=`, of the same A or of another. It
    costs as many products with A as it has directions, once, and any space gives a right answer.

    Preconditioning is on the right. Common arguments, the meaning of converged and errors as in `cg`; iterations counts inner
    steps; b (n, k) is solved column by column, each with the space of the one before. Ten cycles in a row without progress end
    STAGNATED. Raises ValueError unless 0 < recycle < restart.

    Holds 2 restart vectors with an M, restart without, and 2 recycle more (3 with an M); step j costs one product, one M and
    4 (j + recycle) sweeps, a restart 3 restart recycle. Parks, de Sturler, Mackey, Johnson and Maiti, SIAM J. Sci. Comput. 28
    (2006), the appendix; flexible: Carvalho, Gratton, Lago and Vasseur, SIAM J. Matrix Anal. Appl. 32 (2011).

    >>> from petrov.solvers import gcrodr, problems
    >>> A, b = problems.convection_diffusion(24)[:2]
    >>> first = gcrodr(A, b, restart=20, recycle=8)
    >>> gcrodr(A, b[::-1].copy(), restart=20, recycle=8, space=first.space).iterations < first.iterations
    True
    """
    for name, value, least in (("restart", restart, 2), ("recycle", recycle, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} must be an integer >= {least}; got {value!r}")
    if recycle >= restart:
        raise ValueError(f"recycle must be less than restart = {restart}, or no step is left for a cycle; got {recycle}")
    if space is not None and not isinstance(space, RecycleSpace):
        raise TypeError(f"space must be a RecycleSpace, or None; got {type(space).__name__}")
    if space is not None and space.basis.shape[1] != A.shape[0]:
        raise ValueError(f"space holds directions of {space.basis.shape[1]} unknowns; A has {A.shape[0]}")
    problem = system(
        A, b, M=M, x0=x0, rtol=rtol, atol=atol, max_iterations=max_iterations, time_limit=time_limit, callback=callback
    )  # fmt: skip
    kept, size = Kept(), min(restart, max(problem.size, 2))
    result = drive(Run("gcrodr", problem), lambda run: iterate(run, size, min(recycle, size - 1), space, kept))
    return replace(result, space=space if kept.bases is None else kept.bases.space())


@dataclass(frozen=True, slots=True)
class Bases:
    """U, C = A U with orthonormal rows, and P with U = M P (P is U without an M): rows (k, n)."""

    U: Any
    C: Any
    P: Any

    @property
    def size(self) -> int:
        return int(self.C.shape[0])

    def space(self) -> RecycleSpace | None:
        return RecycleSpace(self.U, None if self.P is self.U else self.P) if self.size else None


@dataclass(slots=True)
class Kept:
    """The bases of the last cycle: what a solve leaves besides x."""

    bases: Bases | None = None


def iterate(run: Run, restart: int, recycle: int, space: RecycleSpace | None, kept: Kept) -> Any:
    x, run.patience = run.start(), PATIENCE
    while (r := run.restart(x)) is not None:
        bases = imaged(run, space) if kept.bases is None else kept.bases
        x, r = projected(run, bases, x, r)
        beta = float(arrays.norm(r, run.space))
        if beta <= run.check[0]:  # the recycled directions hold the solution
            run.apparent[:] = True
        else:
            x, bases = cycle(run, bases, x, r, restart, recycle)
        kept.bases = bases
    return x


def imaged(run: Run, space: RecycleSpace | None) -> Bases:
    """The recycled directions for this A: C = A U made orthonormal, and what is dependent dropped."""
    nothing = arrays.zeros((0, run.problem.b.shape[0]), run.space)
    if space is None or space.size == 0:
        return Bases(nothing, nothing, nothing)
    U = arrays.asarray(space.basis, run.space)
    images = reference.product(run.problem.A, arrays.copy(transposed(U, run.space), run.space), run.space)
    run.matvecs += space.size
    images = arrays.copy(transposed(images, run.space), run.space)
    if not finite(images, run.space):
        return Bases(nothing, nothing, nothing)  # what it holds has overflowed: begin afresh
    C, T = orthonormal(images, run.space)
    U = combined(T, U, run.space)
    if run.problem.M is None:
        return Bases(U, C, U)
    return Bases(U, C, C if space.source is None else combined(T, arrays.asarray(space.source, run.space), run.space))


def projected(run: Run, bases: Bases, x: Any, r: Any) -> tuple[Any, Any]:
    """x and r with the part of r in span C solved for: x + U C^H r, r - C C^H r."""
    if bases.size == 0:
        return x, r
    h, r = orthogonalise(r, bases.C, run.space)
    return x + arrays.asarray(h, run.space) @ bases.U, r


def cycle(run: Run, bases: Bases, x: Any, r: Any, restart: int, recycle: int) -> tuple[Any, Bases]:
    """One cycle from the residual r, orthogonal to C: the x that minimises ||b - A x|| over x + span [U Z], and new bases."""
    A, M, space, m = run.problem.A, run.problem.M, run.space, restart - min(bases.size, recycle)
    V = arrays.zeros((m + 1, r.shape[0]), space)
    Z = V if M is None else arrays.zeros((m, r.shape[0]), space)
    kind = arrays.WIDE[space.dtype]
    H, B = np.zeros((m + 1, m), kind), np.zeros((bases.size, m), kind)
    beta = float(arrays.norm(r, space))
    V[0, :] = r * (1.0 / beta)
    small = LeastSquares.of(beta, m, complex if kind.startswith("complex") else float)

    def solution(steps: int) -> Any:
        y = small.coefficients(steps)
        along = arrays.asarray(y, space) @ Z[:steps, :]
        return x + (along - arrays.asarray(B[:, :steps] @ y, space) @ bases.U if bases.size else along)

    for j in range(m):
        z = V[j, :] if M is None else reference.product(M, V[j, :], space, "M")
        if M is not None:
            Z[j, :] = z
        w = arrays.copy(reference.product(A, z, space), space)
        if bases.size:
            B[:, j], w = orthogonalise(w, bases.C, space)
        h, w = orthogonalise(w, V[: j + 1, :], space)
        length = float(arrays.norm(w, space))
        if not (math.isfinite(length) and np.isfinite(h).all() and np.isfinite(B[:, j]).all()):
            sound = math.isfinite(float(arrays.norm(z, space)))
            run.leave(Status.NONFINITE_OPERATOR if sound else Status.NONFINITE_PRECONDITIONER)
            return (solution(j) if j else x), bases
        exhausted = length <= space.eps * float(np.abs(h).max())  # nothing new under A: no further step can help
        H[: j + 1, j], H[j + 1, j] = h, 0.0 if exhausted else length
        norm = small.append(h, 0.0 if exhausted else length, j)
        if run.look(lambda j=j: solution(j + 1), norm * norm) or exhausted or j == m - 1:
            if exhausted and norm > 0.999 * beta:  # and what there is holds no solution: A is singular
                run.leave(Status.BREAKDOWN)
            break
        V[j + 1, :] = w * (1.0 / length)
    if not exhausted:
        V[j + 1, :] = w * (1.0 / length)
    return solution(j + 1), deflated(bases, V, Z, H, B, j + 1, recycle, space)


def deflated(bases: Bases, V: Any, Z: Any, H: np.ndarray, B: np.ndarray, steps: int, recycle: int, space: Space) -> Bases:
    """Bases of the smallest harmonic Ritz vectors in span [U Z]: A [U D, Z] = [C V] G, D making the directions of length one."""
    k, xp = bases.size, space.xp
    lengths = np.asarray(arrays.norm(transposed(bases.U, space), space))
    D = np.divide(1.0, lengths, out=np.ones(k), where=lengths > 0)
    G = np.block([[np.diag(D).astype(H.dtype), B[:, :steps]], [np.zeros((steps + 1, k), H.dtype), H[: steps + 1, :steps]]])
    inner = np.zeros_like(G)  # [C V]^H [P D, V]
    inner[k:, k:] = np.eye(steps + 1, steps)
    if k:
        P = (
            products(xp.conj(bases.C), bases.P, space),
            products(xp.conj(V[: steps + 1, :]), bases.P, space),
        )
        inner[:k, :k], inner[k:, :k] = P[0] * D, P[1] * D
    new = harmonic(G, inner, min(recycle, k + steps))
    if new is None:
        return bases
    Q, R, T = new

    def rows(first: Any, second: Any, weights: np.ndarray, scale: Any = 1.0) -> Any:
        below = combined(weights[:, k:], second, space)
        return below if k == 0 else combined(weights[:, :k] * scale, first, space) + below

    from_old = np.linalg.solve(R.T, T.T)  # rows of U R^-1
    C = rows(bases.C, V[: steps + 1, :], Q.T)
    U = rows(bases.U, Z[:steps, :], from_old, D)
    return Bases(U, C, U if Z is V else rows(bases.P, V[:steps, :], from_old, D))
