"""Block conjugate gradients: the columns of a block search each other's directions too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..certify import certify
from ..kernels import reference
from ..kernels.verbs import blocks
from ..result import SolveResult, Status
from ..stopping import Run, drive
from ..system import system
from .cg import iterate as each_by_itself
from .cg import steps
from .gram import gap, independent, solved

PATIENCE = 10  # times sqrt(n) iterations without progress, beside half of all, after which the block is given up: residuals may
# rise for long before they fall (1100 iterations at n = 25 600, an unpreconditioned log-normal coefficient)


def block_cg(
    A: Any, b: Any, *, M: Any = None, x0: Any = None, rtol: float | None = None, atol: float = 0.0,
    max_iterations: int | None = None, time_limit: float | None = None, callback: Callable[[Any], Any] | None = None,
) -> SolveResult:  # fmt: skip
    """Solve A X = B for a symmetric (Hermitian) positive definite A and several right-hand sides by block conjugate gradients.

    Each column is minimised over the directions of all: k columns take fewer iterations together than the slowest alone, the
    fewer the more small eigenvalues there are. Columns may be repeated, zero or combinations of others: a direction that others
    span is dropped. A column that has converged leaves the block and stays as it is.

    Parameters
    ----------
    A : (n, n) operator
        Anything with shape, dtype and @. Symmetry is not checked here (`petrov.solve` does); directions along which A is not
        positive end the iteration as INDEFINITE_MATRIX.
    b : (n, k)
        The right-hand sides; one, (n,) or (n, 1), is solved by the recurrence of `cg`.
    M, x0, rtol, atol, max_iterations, time_limit, callback
        As in `cg`: converged means ||b - A x||_2 <= max(rtol ||b||_2, atol) per column, recomputed from x.

    Returns
    -------
    SolveResult
        Whatever happened: a method does not raise on failure. Where the block loses accuracy before the tolerance, or makes no
        progress, the columns that are left go on by cg, each by itself, and `reason` says so.

    Raises
    ------
    TypeError, ValueError
        If an argument is not part of a linear system. SolveInterrupted on Ctrl-C.

    Notes
    -----
    Holds 3 blocks (X, R, P), A P for an A that is not stored, M R if M is not diagonal. An iteration is a product with k columns,
    an M, and 8 k^2 flops a row beside them (2 k^2 each for X, R and P, k^2 each for P^T A P and R^T M R). Where the matrix is
    stored by bands these are 7 reads or writes of a block: P^T A P is summed while P is made, the product is made twice instead
    of being kept, and X is brought up to date every second time, with what the next directions tell of the last (where M is an
    operator every time: 8, and its own). Two small matrices are factorised on the host. O'Leary, Linear Algebra Appl. 29 (1980)
    293, with dependent directions left out as in Ji and Li, Numer. Math. 135 (2017), Algorithm 2.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.solvers import block_cg, cg, problems
    >>> A = problems.poisson(40).A
    >>> B = np.random.default_rng(8).standard_normal((1600, 6))
    >>> bool(block_cg(A, B).iterations.max() < 0.8 * cg(A, B).iterations.max())
    True
    """
    if getattr(M, "linear", True) is False:
        raise TypeError(
            f"block_cg needs a linear M; {type(M).__name__} declares linear=False; use flexible_cg, which needs less of M"
        )
    problem = system(
        A, b, M=M, x0=x0, rtol=rtol, atol=atol, max_iterations=max_iterations, time_limit=time_limit, callback=callback
    )  # fmt: skip
    alone = problem.space.columns in (None, 0, 1)
    return drive(Run("block_cg", problem, compiled=True), each_by_itself if alone else iterate)


def iterate(run: Run) -> Any:
    """The columns together, until they have ended or the block is of no more use; then each by itself."""
    A, M, space = run.problem.A, run.problem.M, run.space
    run.compile_seconds = blocks(A, space).compile_for(A)
    x, sound = run.start(), True
    while (r := run.restart(x)) is not None:
        if sound and not run.strikes[run.active()].any():
            x, sound = together(run, x, r)
            continue
        if not run.detail:
            run.compile_seconds += run.verbs.compile_for(A, M, space)
            run.detail = (
                f"the block made no more progress after {run.iteration} iterations, and cg went on with "
                f"{len(run.active())} of its {space.columns} columns, each by itself"
            )
        x = steps(run, x, r)
    certify(run, x)
    return x


def together(run: Run, x: Any, r: Any) -> tuple[Any, bool]:
    """(x after the steps to the look that ends them, whether the block is still of use). Ji and Li, Algorithm 2: there the
    directions are made orthonormal, here those that depend on others are left out, and the small systems scaled."""
    A, M, space, k = run.problem.A, run.problem.M, run.space, len(run.norms)
    moving, squares = run.moving(), run.norms**2
    block = blocks(A, space).Block(A, M, x, r, moving, space)
    progress = Progress(squares[moving].copy(), moving, run.iteration, PATIENCE * math.sqrt(run.problem.size))
    rho = block.start()
    chosen = independent(rho, space.eps)
    beta = np.zeros((0, len(chosen)), rho.dtype)
    while True:
        curvatures, gram = block.turn(beta, chosen), None
        used, curvature, direction = usable(run, block, curvatures)
        kept = [chosen[i] for i in used]
        run.matvecs += block.size
        if curvature is None and kept:
            alpha = np.zeros((block.size, len(moving)), rho.dtype)
            alpha[used] = solved(among(curvatures, used), rho[kept])
            gram, squares[moving] = block.advance(alpha)
        new = rho if gram is None else gram
        signs = np.ones(k)
        signs[moving] = np.diag(new).real
        if run.look(
            block.x, squares, curvature=curvature, preconditioned=None if M is None else signs, products=0, direction=direction
        ):
            diverged = [c for c in run.active() if run.pending[c] is Status.DIVERGED]
            for column in diverged:
                run.pending[column] = None
            return (x, False) if diverged else (block.x(), True)
        if not kept or progress.none(squares, moving, run.iteration):
            return block.x(), False
        left = run.moving()
        stay = [j for j, column in enumerate(moving) if column in left]
        if len(stay) < len(moving):
            block.keep(stay)
        within = among(new, stay)
        chosen = independent(within, space.eps)
        beta = np.zeros((block.size, len(chosen)), rho.dtype)
        beta[used] = solved(among(rho, kept), new[kept][:, [stay[j] for j in chosen]])
        rho, moving = within, left


def among(gram: np.ndarray, chosen: list[int]) -> np.ndarray:
    """The part of a Gram matrix that is of these vectors."""
    return gram if len(chosen) == len(gram) else gram[np.ix_(chosen, chosen)]


def usable(run: Run, block: Any, gram: np.ndarray) -> tuple[list[int], Any, Any]:
    """(the directions to step along, None, None), or (none, curvature, its direction) where P^H A P is not positive."""
    k = len(run.norms)
    if not np.isfinite(gram).all():
        return [], np.full(k, np.nan), None
    value, v = gap(gram)
    if value > -100 * len(gram) * run.space.eps:
        return independent(gram, run.space.eps), None, None
    p = block.along(v)
    q = reference.product(run.problem.A, p, run.space)
    run.matvecs += 1
    xp = run.space.xp
    return [], np.full(k, (v.conj() @ gram @ v).real), (xp.stack([p] * k, axis=1), xp.stack([q] * k, axis=1))


class Progress:
    """The least squares of residuals so far, and when one last fell by a fifth."""

    def __init__(self, squares: np.ndarray, moving: list[int], iteration: int, patience: float):
        self.least = dict(zip(moving, squares, strict=True))
        self.begun, self.last, self.patience = iteration, iteration, patience

    def none(self, squares: np.ndarray, moving: list[int], iteration: int) -> bool:
        """True once nothing has fallen for as long as all before took, and for `patience` iterations at that."""
        for column in moving:
            if squares[column] < 0.8 * self.least[column]:
                self.least[column], self.last = squares[column], iteration
        return iteration - self.last > max(self.patience, self.last - self.begun)
