"""Conjugate gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from .. import arrays
from ..certify import certify
from ..kernels.cuda.graph import Batch, capturable
from ..recycling.record import Record
from ..result import SolveResult
from ..stopping import Run, drive
from ..system import system


def cg(
    A: Any, b: Any, *, M: Any = None, x0: Any = None, rtol: float | None = None, atol: float = 0.0,
    max_iterations: int | None = None, time_limit: float | None = None, callback: Callable[[Any], Any] | None = None,
    recycle: int = 0,
) -> SolveResult:  # fmt: skip
    """Solve A x = b for a symmetric (Hermitian) positive definite A by preconditioned conjugate gradients.

    Parameters
    ----------
    A : (n, n) operator
        Anything with shape, dtype and @. Symmetry is not checked here (`petrov.solve` does); p^H A p <= 0 ends the
        iteration as INDEFINITE_MATRIX.
    b : (n,) or (n, k)
        Right-hand side; k columns run side by side, each with its own recurrence and its own end.
    M : operator or recipe, M ~ A^-1
        Linear, symmetric positive definite; one that declares linear=False is refused (use flexible_cg).
    x0 : like b
        First iterate, not written to; None means zero and costs no product.
    rtol, atol : float
        Converged: ||b - A x||_2 <= max(rtol ||b||_2, atol) per column, recomputed from x. rtol=None: 1e-8, 1e-5 in single.
    max_iterations : int
        Default min(10 n, 10^4).
    time_limit : float
        Seconds from the call.
    callback : callback(state) -> True to stop
        After every iteration; state has iteration, residual and x.
    recycle : int
        How many slow directions to leave in `result.space`, for `Deflation(space, M)` to use in the next solve: those of this
        one (of its first column), and of those before it where M is deflated. Costs no product with A; M is applied twice an
        iteration.

    Returns
    -------
    SolveResult
        Whatever happened: a method does not raise on failure.

    Raises
    ------
    TypeError, ValueError
        If an argument is not part of a linear system. SolveInterrupted on Ctrl-C.

    Notes
    -----
    Holds 4 vectors (x, r, p, A p), z = M r if M is not diagonal, and a copy of the best x. An iteration is one
    product, one M and three sweeps (152 bytes a row for a five-point CSR matrix in double precision). With recycle=k, 8 k
    vectors more, and 8 k sweeps an iteration in matrix products. Saad, Iterative
    Methods for Sparse Linear Systems (2003), Algorithm 9.1.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.solvers import cg
    >>> A = np.array([[4.0, 1.0], [1.0, 3.0]])
    >>> cg(A, np.array([1.0, 2.0])).x.round(4)
    array([0.0909, 0.6364])
    """
    if getattr(M, "linear", True) is False:
        raise TypeError(f"cg needs a linear M; {type(M).__name__} declares linear=False; use flexible_cg, which needs less of M")
    problem = system(
        A, b, M=M, x0=x0, rtol=rtol, atol=atol, max_iterations=max_iterations, time_limit=time_limit, callback=callback
    )  # fmt: skip
    if isinstance(recycle, bool) or not isinstance(recycle, int) or recycle < 0:
        raise ValueError(f"recycle must be an integer >= 0 (directions to keep); got {recycle!r}")
    if not recycle:
        return drive(Run("cg", problem, compiled=True, looks_rarely=True), iterate)
    record = Record.of(recycle, problem)
    result = drive(Run("cg", problem, compiled=True, looks_rarely=True), lambda run: iterate(run, record))
    return replace(result, space=record.ritz())


def iterate(run: Run, record: Record | None = None) -> Any:
    """The loop, once for every array library, device and number of columns."""
    run.compile_seconds = run.verbs.compile_for(run.problem.A, run.problem.M, run.space)
    x = run.start()
    while (r := run.restart(x)) is not None:
        x = steps(run, x, r, record)
    certify(run, x)
    return x


def steps(run: Run, x: Any, r: Any, record: Record | None = None) -> Any:
    """x after the steps from x, whose residual is r, to the next look that ends them. Line numbers are Saad's."""
    A, M, space, verbs, q = run.problem.A, run.problem.M, run.space, run.verbs, None
    z, rz = verbs.precondition(M, r, None, space)  # 1
    rz = arrays.reduce(rz, space)
    p = arrays.copy(z, space)

    def turn(rz: Any) -> tuple[Any, Any, Any]:
        """One iteration along p: ||r||^2, p^H A p, r^H M r."""
        nonlocal q, x, r, z
        q, pq = verbs.apply_dot(A, p, q, space)
        if record is not None:
            record.take(p, q)
        pq = arrays.reduce(pq, space)
        x, r, z, rr, rz = verbs.step(M, rz, pq, p, q, x, r, z, run.mask(), space)  # 3-6
        rr, rz = arrays.reduced(space, rr, rz)
        return rr, pq, rz

    def look(scalars: tuple[Any, Any, Any]) -> bool:
        rr, pq, rz = scalars
        return run.look(x, rr, curvature=pq, preconditioned=None if M is None else rz, direction=(p, q))

    def on(rz: Any) -> tuple[Any, Any, Any]:
        """The same, and the next direction."""
        scalars = turn(rz)
        verbs.combine(M, scalars[2], rz, z, p, space)
        return scalars

    captures = run.interval > 1 and record is None and capturable(A, M, r)
    while True:
        rz_old, scalars = rz, turn(rz)
        if look(scalars):
            return x
        rz = scalars[2]
        p = verbs.combine(M, rz, rz_old, z, p, space)  # 7-8
        if captures and not run.unseen:  # the iterations to come are those of the batch that is over, on the same arrays
            batch, captures = Batch(on, rz, space), False
            while run.iteration + run.interval <= run.problem.max_iterations:
                if any(look(scalars) for scalars in batch.run()):  # at the last of them
                    return x
            rz = batch.rz
