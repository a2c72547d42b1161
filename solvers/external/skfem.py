"""scikit-fem's `solve(A, b, solver=...)` with petrov.solve inside. Nothing of scikit-fem is imported here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..result import SolveResult
from ..solve import solve

KEYWORDS = set(inspect.signature(solve).parameters) - {"A", "b", "raise_on_failure"}


def solver_petrov(*, report: Callable[[SolveResult], Any] | None = None, **keywords: Any) -> Callable[..., Any]:
    """A solver for scikit-fem: `skfem.solve(*condense(K, f, D=D), solver=solver_petrov())`, or with `enforce`.

    Parameters
    ----------
    report : callable(SolveResult), optional
        Told of every solve; `report=print` prints its line, `report=results.append` keeps the records.
    **keywords
        Those of `petrov.solve`, except raise_on_failure: x alone is returned, so a failure is always raised. What has one
        row an unknown (x0, nullspace, near_nullspace) is that of the system solved: `near_nullspace=modes[I]` after
        `condense`, all rows after `enforce`. skfem.solve(..., **later) overrides them for one solve.

    Returns
    -------
    callable(A, b, **later) -> x
        A (n, n), b (n,) to x (n,), as `petrov.solve(A, b, **keywords).x`.

    Raises
    ------
    TypeError
        At once for a keyword that petrov.solve does not have; from the solve, what `petrov.solve` raises.

    Notes
    -----
    Cost and memory are those of `petrov.solve`; nothing is kept between two solves. The rows that `enforce` fixes are
    eliminated exactly, so `enforce` and `condense` of one problem lead to the same system and the same method.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from petrov.solvers.external.skfem import solver_petrov
    >>> solver = solver_petrov(method="cg", M="jacobi")
    >>> solver(sp.csr_matrix([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0])).round(4)
    array([0.0909, 0.6364])
    """
    known(keywords)

    def solver(A: Any, b: Any, **later: Any) -> Any:
        known(later)
        result = solve(A, b, **{**keywords, **later})
        if report is not None:
            report(result)
        return result.x

    return solver


def known(keywords: dict[str, Any]) -> None:
    """Refuse what petrov.solve would, and the one keyword by which a failure could pass unseen."""
    if "raise_on_failure" in keywords:
        raise TypeError("solver_petrov returns x alone, so a failure is always raised; leave raise_on_failure out")
    if unknown := sorted(keywords.keys() - KEYWORDS):
        raise TypeError(f"petrov.solve has no keyword {', '.join(unknown)}; it has {', '.join(sorted(KEYWORDS))}")
