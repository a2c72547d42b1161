"""The front door: look at A, choose, solve, check, and say what was done. Methods return; `solve` raises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .choose import Candidate
from .krylov import lsmr
from .result import SolveError, SolveResult, Status
from .solver import Solver

ANSWERS = {Status.CONVERGED, Status.STOPPED}


def solve(
    A: Any, b: Any, *, method: str = "auto", M: Any = "auto", x0: Any = None, rtol: float | None = None, atol: float = 0.0,
    max_iterations: int | None = None, time_limit: float | None = None, callback: Callable[[Any], Any] | None = None,
    nullspace: Any = None, near_nullspace: Any = None, backend: str = "auto", prefix: str | None = None,
    candidates: Sequence[Candidate] = (), seed: int = 20_231_109, raise_on_failure: bool = True,
) -> SolveResult:  # fmt: skip
    """Solve A x = b: choose the method and the preconditioner from what can be seen of A, and prove the answer.

    Parameters
    ----------
    A : (n, n) array, sparse array or matrix, LinearOperator, a Mat of petsc4py, or anything with shape, dtype and @
        float32, float64, complex64 or complex128 (integers are widened). Not written to.
    b : (n,) or (n, k)
        One right-hand side, or k in columns; (n, 1) comes back as (n, 1).
    method : str
        'auto', 'cg', 'block_cg' (the columns of b together), 'flexible_cg', 'minres', 'gmres', 'gcrodr', 'bicgstab', 'direct'
        or 'lsmr' (any shape of A). The cg and 'minres' refuse an A that is not symmetric (Hermitian): max|A - A^H| > 1e-12
        max|A|.
    M : preconditioner
        'auto', None, an operator M ~ A^-1, a recipe M(A) that makes one, or a name: 'none', 'jacobi', 'chebyshev', 'ic',
        'ilu', 'fsai', 'amg', 'gmg', 'rs'.
    x0, rtol, atol, max_iterations, time_limit, callback
        As in `cg`. Converged: ||b - A x||_2 <= max(rtol ||b||_2, atol) per column, recomputed from x in at least double
        precision. rtol=None: 1e-8, 1e-5 in single precision. An rtol below 4 eps of x's type is refused unless atol covers it.
    nullspace : 'constant', (n,), (n, d), or a pair (right, left)
        The null space of a singular A. b is projected off the left null space, x comes back orthogonal to the null space,
        converged means ||P(b - A x)|| <= max(rtol ||P b||, atol), `inconsistency` is ||b - P b|| / ||b||.
    near_nullspace : (n, d)
        What A nearly maps to zero (rigid-body modes); given to preconditioners that can use it, never to the test.
    backend : 'auto' or 'petsc'
        'petsc' runs a KSP of PETSc, with GAMG or block Jacobi unless M is given; x is judged as ever. With 'auto' a matrix of
        petsc4py is solved by our methods: on several ranks every rank calls, with its rows of b (an array or a Vec).
    prefix : str, optional
        Of options of PETSc, on the command line or in PETSC_OPTIONS, that come before what is chosen here, with backend='petsc':
        "flow_" for -flow_ksp_type, -flow_pc_type, ...; "" for those without a prefix. See `external.petsc.ksp`.
    candidates : sequence of recipes
        Which the automatic choice weighs with its own by what they say they cost: a recipe with a method estimate(facts) ->
        (seconds of set-up and solve, seconds of another solve), or None where A does not suit it. See `solvers.recognise.Facts`.
        `petrov.solve` begins with shipped weights of `petrov.learned` for large grids; () for none.
    seed : int
        For the sampled symmetry test of an operator without entries.
    raise_on_failure : bool
        False returns the failed SolveResult instead of raising.

    Returns
    -------
    SolveResult
        `print(r)` says in one line what was done, how well it went, and why it was chosen.

    Raises
    ------
    SolveError
        If no x within the tolerance was found; `.result` has the best x, the message what to try next.
    SolveInterrupted
        On Ctrl-C; `.result` has the best x so far.
    TypeError, ValueError
        For arguments that are not a linear system.

    Notes
    -----
    Rows whose only nonzero is on the diagonal (Dirichlet conditions enforced without their columns) are eliminated exactly
    before A is judged. A symmetric A with a negative diagonal is solved as -A x = -b. When the first choice fails for a
    reason that another method may survive, the next one is tried and the reason says so. A trained M that takes more than twice
    the iterations expected of Jacobi is given up for the automatic choice, with a RuntimeWarning.

    Examples
    --------
    >>> import numpy as np, petrov
    >>> A = np.array([[4.0, 1.0], [1.0, 3.0]])
    >>> petrov.solve(A, np.array([1.0, 2.0])).x.round(4)
    array([0.0909, 0.6364])
    """
    if method == "lsmr":
        if nullspace is not None or (M is not None and not (isinstance(M, str) and M in ("auto", "none"))):
            raise ValueError("lsmr takes no M and no nullspace (it returns the least-squares solution by itself); leave them out")
        result = lsmr(A, b, x0=x0, rtol=rtol, atol=atol, max_iterations=max_iterations)
        return finish(result, raise_on_failure, {*ANSWERS, Status.INCONSISTENT})
    solver = Solver(
        A, method=method, M=M, nullspace=nullspace, near_nullspace=near_nullspace, backend=backend, prefix=prefix,
        candidates=candidates, seed=seed,
    )  # fmt: skip
    result = solver.run(
        b, x0=x0, rtol=rtol, atol=atol, max_iterations=max_iterations, time_limit=time_limit, callback=callback
    )  # fmt: skip
    return finish(replace(result, setup_seconds=result.setup_seconds + solver.look_seconds), raise_on_failure, ANSWERS)


def finish(result: SolveResult, raise_on_failure: bool, answers: set[Status]) -> SolveResult:
    """The result, or a SolveError that carries it."""
    if result.status in answers or not raise_on_failure:
        return result
    raise SolveError(str(result), result)
