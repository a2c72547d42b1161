"""Least squares: SciPy's LSMR behind our record."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from ..result import SolveResult, Status
from ..system import iteration_limit, nonfinite, nonnegative, vector


def lsmr(
    A: Any, b: Any, *, x0: Any = None, rtol: float | None = None, atol: float = 0.0, max_iterations: int | None = None,
    damp: float = 0.0,
) -> SolveResult:  # fmt: skip
    """Minimise ||b - A x||_2 for any A (m, n), of any rank, by LSMR (SciPy's); needs A.H or A.T products.

    Status CONVERGED if ||b - A x|| <= max(rtol ||b||, atol); INCONSISTENT if no x reaches that and x is a least-squares
    solution, ||A^H r|| <= rtol ||A|| ||r|| (`inconsistency` = ||r|| / ||b||); MAX_ITERATIONS otherwise. NumPy only, b (m,).
    Raises TypeError or ValueError for bad input. Holds 2 vectors (m,) and 5 (n,); an iteration is one product with A and
    one with A^H. Fong and Saunders, SIAM J. Sci. Comput. 33 (2011).

    >>> import numpy as np
    >>> from petrov.solvers import lsmr
    >>> r = lsmr(np.array([[1.0], [1.0]]), np.array([1.0, 2.0])); r.x.round(6), r.status.name
    (array([1.5]), 'INCONSISTENT')
    """
    from scipy.sparse.linalg import aslinearoperator
    from scipy.sparse.linalg import lsmr as scipy_lsmr

    b = vector(b, "b", np)
    if not isinstance(b, np.ndarray) or b.ndim != 1 or len(A.shape) != 2 or b.shape[0] != A.shape[0]:
        raise ValueError(f"lsmr needs a NumPy b ({A.shape[0]},) beside A {tuple(A.shape)}; got {tuple(b.shape)}")
    rtol = 1e-8 if rtol is None else nonnegative(rtol, "rtol")
    limit = iteration_limit(max_iterations, max(A.shape))
    b_norm = float(np.linalg.norm(b))
    if (defect := nonfinite("b", b, b_norm)) is not None:
        raise ValueError(f"{defect}; {Status.NONFINITE_INPUT.value}")
    operator = aslinearoperator(A)
    start, first = time.perf_counter(), np.zeros(A.shape[1]) if x0 is None else np.array(x0)
    dtype = np.result_type(operator.dtype, b.dtype, first.dtype, np.float64)
    x, _, iterations, _, _, norm_a, *_ = scipy_lsmr(
        operator, b.astype(dtype), damp=damp, conlim=0, maxiter=limit, x0=None if x0 is None else first,
        atol=max(1e-4 * rtol, 1e-15), btol=rtol / 4,
    )  # fmt: skip
    r = b - operator @ x  # SciPy's estimates are not taken on trust
    residual = float(np.linalg.norm(r))
    gradient = float(np.linalg.norm(operator.H @ r))
    if residual <= max(rtol * b_norm, nonnegative(atol, "atol")):
        status = Status.CONVERGED
    elif gradient <= 10 * rtol * norm_a * residual:
        status = Status.INCONSISTENT
    else:
        status = Status.MAX_ITERATIONS
    reason = "x is a least-squares solution: no x reaches the tolerance" if status is Status.INCONSISTENT else status.value
    relative = residual / b_norm if b_norm > 0 else 0.0
    return SolveResult(
        x=x, status=status, reason="" if status is Status.CONVERGED else reason, method="lsmr", preconditioner="none",
        residual=residual, residuals=np.array([b_norm, residual]), iterations=int(iterations), matvecs=int(iterations) + 2,
        solve_seconds=time.perf_counter() - start, inconsistency=relative if status is Status.INCONSISTENT else 0.0, rtol=rtol,
        relative_residual=relative, statuses=(status,),
    )  # fmt: skip
