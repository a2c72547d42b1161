"""SciPy's iterative solvers, drop-in: the signatures and the (x, info) of scipy.sparse.linalg, with petrov's methods inside.

    from petrov.solvers.external.scipy import cg        # instead of: from scipy.sparse.linalg import cg

What differs from SciPy, on purpose: info is 0 only if ||b - A x||_2 <= max(rtol ||b||_2, atol) holds for the x returned
(minres too, which in SciPy measures against ||A|| ||x|| and calls a least-squares solution a success), and never negative;
converging in the last iteration allowed is a success and maxiter=0 is not; x is the best iterate seen, always finite; NaN in
the input ends the solve at once; the iterates that a callback sees are copies, read-only.
"""

from __future__ import annotations

import math
import numbers
import operator
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import arrays, krylov
from ..operator import checked
from ..result import SolveResult, Status
from ..stopping import State
from ..system import initial_guess, nonnegative, preconditioner, right_hand_side

LOOSEST = 1e200  # stands for an infinite tolerance, which SciPy allows
LEGACY = (
    "gmres called without specifying `callback_type`, which means 'legacy' (residual norms, and maxiter counts steps) until "
    "SciPy changes its default; pass callback_type='pr_norm', 'x' or 'legacy'"
)
Callback = Callable[[Any], Any]


def cg(
    A: Any, b: Any, x0: Any = None, *, rtol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None, M: Any = None,
    callback: Callback | None = None,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Solve A x = b for a symmetric (Hermitian) positive definite A, as scipy.sparse.linalg.cg is called.

    Parameters
    ----------
    A : (n, n) array, matrix, sparse array, LinearOperator, or object with shape and matvec
        An attribute A.psolve is the preconditioner if M is None.
    b : (n,) or (n, 1)
    x0 : (n,) or (n, 1), or 'Mb' for the first iterate M b
        Not written to; None means zero.
    rtol, atol : float >= 0, infinity allowed
        Converged: ||b - A x||_2 <= max(rtol ||b||_2, atol), recomputed from x.
    maxiter : int
        Iterations; default 10 n.
    M : like A, M ~ A^-1
    callback : callback(xk)
        After every iteration, with a read-only copy of the iterate; its answer is ignored.

    Returns
    -------
    x : (n,), in the common floating-point type of A and b (integers count as float64)
    info : int
        0 if converged, else the number of iterations made, at least 1.

    Raises TypeError or ValueError if an argument is not part of a linear system: a shape that does not fit, no numbers, a
    negative tolerance. Memory, cost and source are those of petrov.solvers.cg, whose SolveResult also says why a solve ended.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.solvers.external.scipy import cg
    >>> x, info = cg(np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0]))
    >>> x.round(4), info
    (array([0.0909, 0.6364]), 0)
    """
    problem = translated(A, b, x0, M, rtol, atol)
    return pair(krylov.cg(**problem, max_iterations=limit(maxiter, problem, 10), callback=on_iterate(callback)))


def bicgstab(
    A: Any, b: Any, x0: Any = None, *, rtol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None, M: Any = None,
    callback: Callback | None = None,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Solve A x = b for any square A, as scipy.sparse.linalg.bicgstab is called.

    Arguments, (x, info) and errors as in `cg`; memory, cost and source are those of petrov.solvers.bicgstab.

    >>> import numpy as np
    >>> from petrov.solvers.external.scipy import bicgstab
    >>> x, info = bicgstab(np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([3.0, 1.0]))
    >>> x.round(4), info
    (array([1., 1.]), 0)
    """
    problem = translated(A, b, x0, M, rtol, atol)
    return pair(krylov.bicgstab(**problem, max_iterations=limit(maxiter, problem, 10), callback=on_iterate(callback)))


def gmres(
    A: Any, b: Any, x0: Any = None, *, rtol: float = 1e-5, atol: float = 0.0, restart: int | None = None,
    maxiter: int | None = None, M: Any = None, callback: Callback | None = None, callback_type: str | None = None,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Solve A x = b for any square A by GMRES(restart), as scipy.sparse.linalg.gmres is called.

    `restart` is min(20, n) by default. `maxiter` (default 10 n) and a positive info count cycles of `restart` steps. What
    callback gets is named by `callback_type`: 'x', the iterate after every cycle; 'pr_norm', ||M (b - A x)|| / ||b|| after
    every step (which costs one product and one M more a step if there is an M); 'legacy', the same, and maxiter and info
    count steps. A callback without callback_type means 'legacy' and warns (DeprecationWarning), as in SciPy. Preconditioning
    is on the right (SciPy's is on the left), so the iterates minimise ||b - A x||.

    Other arguments, (x, info) and errors as in `cg`; memory, cost and source are those of petrov.solvers.gmres.

    >>> import numpy as np
    >>> from petrov.solvers.external.scipy import gmres
    >>> x, info = gmres(np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([3.0, 1.0]))
    >>> x.round(4), info
    (array([1., 1.]), 0)
    """
    if callback is not None and callback_type is None:
        warnings.warn(LEGACY, DeprecationWarning, stacklevel=2)
    kind = "legacy" if callback_type is None else callback_type
    if kind not in ("x", "pr_norm", "legacy"):
        raise ValueError(f"callback_type must be 'x', 'pr_norm' or 'legacy'; got {callback_type!r}")
    problem = translated(A, b, x0, M, rtol, atol)
    restart = min(20 if restart is None else operator.index(restart), max(len(problem["b"]), 1))
    steps = 1 if callback is not None and kind == "legacy" else restart  # that maxiter counts as one
    return pair(cycles(problem, restart, steps * limit(maxiter, problem, 10), kind, callback), steps)


def minres(
    A: Any, b: Any, x0: Any = None, *, rtol: float = 1e-5, shift: float = 0.0, maxiter: int | None = None, M: Any = None,
    callback: Callback | None = None, show: bool = False, check: bool = False,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Solve (A - shift I) x = b for a symmetric (Hermitian) A, definite or not, as scipy.sparse.linalg.minres is called.

    `maxiter` is 5 n by default. `show` prints the residual as it falls and how the solve ended. `check` raises ValueError
    if A or M is seen not to be symmetric. ValueError also if M is seen not to be positive definite. A singular system with
    b outside the range gives the least-squares x and info > 0.

    Other arguments, (x, info) and errors as in `cg`; memory, cost and source are those of petrov.solvers.minres.

    >>> import numpy as np
    >>> from petrov.solvers.external.scipy import minres
    >>> x, info = minres(np.diag([1.0, -2.0, 3.0]), np.ones(3), shift=2.0)
    >>> x.round(4), info
    (array([-1.  , -0.25,  1.  ]), 0)
    """
    problem = translated(A, b, x0, M, rtol, 0.0)
    if check:
        check_symmetry(problem)
    if shift:
        problem["A"] = Shifted(problem["A"], float(shift))
    if show:
        print(f"minres: n = {len(problem['b'])}, shift = {float(shift):.6g}, rtol = {rtol:.2e}")
    result = krylov.minres(**problem, max_iterations=limit(maxiter, problem, 5), callback=on_iterate(callback, show))
    if show:
        print(result)
    if result.status is Status.INDEFINITE_PRECONDITIONER:
        raise ValueError(result.status.value)
    return pair(result)


def translated(A: Any, b: Any, x0: Any, M: Any, rtol: Any, atol: Any) -> dict[str, Any]:
    """SciPy's arguments as keywords of petrov's methods; b (n,) in the working precision."""
    psolve, A = getattr(A, "psolve", None), with_matmul(A)
    checked(A)
    b, space = right_hand_side(A, b)
    if b.ndim == 2 and b.shape[1] != 1:
        raise ValueError(f"b must have shape (n,) or (n, 1) with n = {A.shape[0]}; got {b.shape}; petrov.solvers takes (n, k)")
    b = b.reshape(-1)
    M = applied(M, psolve, A)
    if isinstance(x0, str):
        if x0 != "Mb":
            raise ValueError(f"x0 must be an array, None or 'Mb' (start from M @ b); got {x0!r}")
        x0 = b if M is None else M @ b
    if x0 is not None:
        x0 = initial_guess(np.reshape(x0, -1) if np.shape(x0) == (len(b), 1) else x0, b, space)
        x0 = x0 if np.any(x0) else None  # a zero start costs no product
    rtol, atol = (math.inf if value == math.inf else nonnegative(value, name) for name, value in (("rtol", rtol), ("atol", atol)))
    rtol, atol = (rtol, atol) if max(rtol, atol) <= LOOSEST else (LOOSEST, 0.0)
    return {"A": A, "b": b, "x0": x0, "M": M, "rtol": rtol, "atol": atol}


def applied(M: Any, psolve: Any, A: Any) -> Any:
    """M as an operator; A.psolve where there is no M."""
    from scipy.sparse.linalg import LinearOperator

    if M is None:
        return None if psolve is None else LinearOperator(A.shape, matvec=psolve, dtype=A.dtype)
    if not hasattr(M, "shape"):
        raise TypeError(
            f"M must be a matrix or a LinearOperator with A's shape; got {type(M).__name__}; pass LinearOperator(A.shape, "
            "matvec=M) if M is a function r -> z, or M(A) if it is a recipe of petrov"
        )
    return preconditioner(with_matmul(M), A)


def with_matmul(A: Any) -> Any:
    """A if it has @, else the LinearOperator of its shape and matvec; petrov refuses what is neither."""
    from scipy.sparse.linalg import aslinearoperator

    bare = hasattr(A, "matvec") and hasattr(A, "shape") and not hasattr(type(A), "__matmul__")
    return aslinearoperator(A) if bare else np.asarray(A) if arrays.is_numpy_matrix(A) else A


def limit(maxiter: Any, problem: dict[str, Any], factor: int) -> int:
    """maxiter, by default factor * n."""
    if maxiter is None:
        return factor * len(problem["b"])
    if isinstance(maxiter, numbers.Integral) and int(maxiter) >= 0:
        return int(maxiter)
    kind = ValueError if isinstance(maxiter, numbers.Integral) else TypeError
    raise kind(f"maxiter must be an integer >= 0, or None for {factor} n; got {maxiter!r}")


def pair(result: SolveResult, steps: int = 1) -> tuple[np.ndarray, int]:
    """(x, info): 0 if converged, else how many times `steps` iterations were made or begun, at least 1."""
    return result.x, 0 if result.converged else max(-(-int(result.iterations) // steps), 1)


def on_iterate(callback: Callback | None, show: bool = False) -> Callback | None:
    """callback(xk) after every iteration, whatever it answers; show prints the first ten residuals and every tenth."""

    def watch(state: State) -> None:
        if show and (state.iteration <= 10 or state.iteration % 10 == 0):
            print(f"{state.iteration:9d} {state.residual:12.5e}")
        if callback is not None:
            callback(state.x)

    return watch if show or callback is not None else None


def on_cycle(callback: Callback, restart: int) -> Callback:
    def watch(state: State) -> None:
        if state.iteration % restart == 0:
            callback(state.x)

    return watch


def on_residual(callback: Callback, problem: dict[str, Any]) -> Callback:
    A, b, M = problem["A"], problem["b"], problem["M"]

    def watch(state: State) -> None:
        residual = state.residual if M is None else np.linalg.norm(M @ (b - A @ state.x))
        callback(np.float64(residual / np.linalg.norm(b)))

    return watch


def cycles(problem: dict[str, Any], restart: int, allowed: int, kind: str, callback: Any) -> SolveResult:
    """GMRES as long as the residual falls, however slowly: where petrov calls it STAGNATED, SciPy goes on to maxiter."""
    watch = None
    if callback is not None:
        watch = on_cycle(callback, restart) if kind == "x" else on_residual(callback, problem)
    taken, last = 0, math.inf
    while True:
        result = krylov.gmres(**problem, restart=restart, max_iterations=allowed - taken, callback=watch)
        if callback is not None and kind == "x" and result.iterations % restart:
            callback(result.x)  # of a cycle that ended before it was full
        taken += result.iterations
        if result.status is not Status.STAGNATED or not result.residual < last or taken >= allowed:
            return replace(result, iterations=taken)
        problem, last = problem | {"x0": result.x}, result.residual


@dataclass(frozen=True, slots=True)
class Shifted:
    """A - shift I."""

    A: Any
    shift: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.A.shape

    @property
    def dtype(self) -> Any:
        return self.A.dtype

    def __matmul__(self, x: Any) -> Any:
        return self.A @ x - self.shift * x


def check_symmetry(problem: dict[str, Any]) -> None:
    """ValueError if A or M is not Hermitian, as seen on the first residual r: C^H = C gives ||C v||^2 = v^H C (C v)."""
    A, b, x0, M = (problem[name] for name in ("A", "b", "x0", "M"))
    r = b if x0 is None else b - A @ x0
    for what, C, v in (("A", A, r if M is None else M @ r), ("M", M, r)):
        if C is None:
            continue
        image = C @ v
        square, product = np.vdot(image, image).real, np.vdot(v, C @ image)
        if abs(square - product) > np.finfo(b.dtype).eps ** (1 / 3) * square:
            raise ValueError(
                f"minres(check=True) needs a symmetric (Hermitian) {what}: ||{what} v||^2 = {square:.6e} but v^H {what}^2 v = "
                f"{product:.6e}; use gmres or bicgstab, or another M"
            )
