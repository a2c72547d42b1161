"""A direct solve: one factorisation, then corrections until the true residual is within the tolerance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..kernels import reference
from ..result import SolveResult
from ..stopping import Run, drive
from ..system import system


def direct(
    A: Any, b: Any, *, M: Any, x0: Any = None, rtol: float | None = None, atol: float = 0.0,
    max_iterations: int | None = None, time_limit: float | None = None, callback: Callable[[Any], Any] | None = None,
) -> SolveResult:  # fmt: skip
    """Solve A x = b with a factorisation M of A (or a recipe for one) by x <- x + M (b - A x).

    The first step is the direct solve; the others, normally none or one, are iterative refinement with a residual in at
    least double precision. iterations counts the corrections. Arguments, the meaning of converged and errors as in `cg`;
    max_iterations defaults to 10. Holds the factors and 3 vectors. Higham, Accuracy and Stability of Numerical Algorithms
    (2002), chapter 12.

    >>> import numpy as np, scipy.sparse as sp
    >>> from petrov.solvers.direct import SuperLU, direct
    >>> direct(sp.csr_array(np.diag([1.0, 2.0])), np.ones(2), M=SuperLU()).x
    array([1. , 0.5])
    """
    problem = system(
        A, b, M=M, x0=x0, rtol=rtol, atol=atol, max_iterations=10 if max_iterations is None else max_iterations,
        time_limit=time_limit, callback=callback,
    )  # fmt: skip
    run = Run("direct", problem)
    run.refining = True
    return drive(run, iterate)


def iterate(run: Run) -> Any:
    x = run.start()
    while (r := run.restart(x)) is not None:
        x = x + reference.product(run.problem.M, r, run.space, "M")
        run.refined(x)
    return x
