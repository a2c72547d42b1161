"""SciPy's iterative solvers, drop-in: the signatures and the (x, info) of scipy.sparse.linalg, with petrov's methods inside.

    from petrov.solvers.external.scipy import cg        # instead of: from scipy.sparse.linalg import cg

What differs from SciPy, on purpose: info is 0 only if ||b - A x||_2 <= max(rtol ||b||_2, atol) holds for the x returned
(minres too, which in SciPy measures against ||A|| ||x|| and calls a least-squares solution a success), and never negative;
converging in the last iteration allowed is a success and maxiter=0 is not; x is the best iterate seen, always finite; NaN in
the input ends the solve at once; the iterates that a callback sees are copies, read-only.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from .. import arrays, krylov
from ..operator import checked
from ..result import SolveResult, Status
from ..stopping import State
from ..system import nonnegative, preconditioner, right_hand_side, vector

LOOSEST = 1e200  # stands for an infinite tolerance, which SciPy allows
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
    M : like A, M ~ A^-1, or a recipe of petrov (for example Jacobi())
    callback : callback(xk)
        After every iteration, with a read-only copy of the iterate; its answer is ignored.

    Returns
    -------
    x : (n,), in the common floating-point type of A and b (integers count as float64)
    info : int
        0 if converged, else the number of iterations made, at least 1.

    Raises
    ------
    TypeError, ValueError
        If an argument is not part of a linear system: a shape that does not fit, a dtype without numbers, a negative
        tolerance.

    Notes
    -----
    Memory, cost and source are those of petrov.solvers.cg, whose SolveResult also says why a solve ended.

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
    kind = callback_kind(callback, callback_type)
    problem = translated(A, b, x0, M, rtol, atol)
    restart = min(20 if restart is None else operator.index(restart), max(len(problem["b"]), 1))
    steps = 1 if kind == "legacy" else restart  # that maxiter counts as one
    watch = {None: None, "x": on_cycle(callback, restart)}.get(kind, on_residual(callback, problem))
    result = krylov.gmres(**problem, restart=restart, max_iterations=steps * limit(maxiter, problem, 10), callback=watch)
    if kind == "x" and result.iterations % restart and callback is not None:
        callback(result.x)  # the last cycle ended before it was full
    return pair(result, steps)


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
        print(f"minres: n = {len(problem['b'])}, shift = {float(shift):.6g}, rtol = {rtol:.2e}\n{'iteration':>9} {'residual':>12}")
    watch = on_iterate(callback)
    result = krylov.minres(**problem, max_iterations=limit(maxiter, problem, 5), callback=shown(watch) if show else watch)
    if show:
        print(result)
    if result.status is Status.INDEFINITE_PRECONDITIONER:
        raise ValueError(result.status.value)
    return pair(result)


# -- arguments and results --------------------------------------------------------------------------------------------------


def translated(A: Any, b: Any, x0: Any, M: Any, rtol: Any, atol: Any) -> dict[str, Any]:
    """SciPy's arguments as keywords of petrov's methods; b (n,) in the working precision, M applied."""
    psolve, A = getattr(A, "psolve", None), with_matmul(A)
    checked(A)
    b, space = right_hand_side(A, b)
    if b.ndim == 2 and b.shape[1] != 1:
        raise ValueError(f"b must have shape ({A.shape[0]},) or ({A.shape[0]}, 1); got {b.shape}; petrov.solvers takes blocks (n, k)")
    b = b.reshape(-1)
    if M is None and psolve is not None:
        M = LinearOperator(A.shape, matvec=psolve, dtype=A.dtype)
    M = preconditioner(with_matmul(M), A)
    if isinstance(x0, str):
        if x0 != "Mb":
            raise ValueError(f"x0 must be an array, None or 'Mb' (start from M @ b); got {x0!r}")
        x0 = b if M is None else M @ b
    if x0 is not None:
        x0 = vector(x0, "x0", np)
        x0 = x0.reshape(-1) if tuple(x0.shape) == (b.shape[0], 1) else x0
    loose = math.inf in (rtol, atol)
    atol = 0.0 if atol == math.inf else nonnegative(atol, "atol")
    rtol = LOOSEST if loose else min(nonnegative(rtol, "rtol"), LOOSEST)
    return {"A": A, "b": b, "x0": x0, "M": M, "rtol": rtol, "atol": atol}


def with_matmul(A: Any) -> Any:
    """A if it has @, else the LinearOperator of its shape and matvec; what is neither is for petrov to refuse or set up."""
    if arrays.is_numpy_matrix(A):
        return np.asarray(A)
    if not hasattr(type(A), "__matmul__") and hasattr(A, "shape") and hasattr(A, "matvec"):
        return aslinearoperator(A)
    return A


def limit(maxiter: Any, problem: dict[str, Any], factor: int) -> int:
    """maxiter, by default factor * n."""
    count = factor * len(problem["b"]) if maxiter is None else operator.index(maxiter)
    if count < 0:
        raise ValueError(f"maxiter must be an integer >= 0; got {maxiter!r}")
    return count


def pair(result: SolveResult, steps: int = 1) -> tuple[np.ndarray, int]:
    """(x, info): 0 if converged, else how many times `steps` iterations were made or begun, at least 1."""
    return result.x, 0 if result.converged else max(-(-int(result.iterations) // steps), 1)


# -- callbacks: what SciPy's get from petrov's State; none of them can stop the solve ------------------------------------------


def on_iterate(callback: Callback | None) -> Callback | None:
    if callback is None:
        return None

    def watch(state: State) -> None:
        callback(state.x)

    return watch


def on_cycle(callback: Callback | None, restart: int) -> Callback:
    def watch(state: State) -> None:
        if callback is not None and state.iteration % restart == 0:
            callback(state.x)

    return watch


def on_residual(callback: Callback | None, problem: dict[str, Any]) -> Callback:
    A, b, M = problem["A"], problem["b"], problem["M"]

    def watch(state: State) -> None:
        if callback is not None:
            residual = state.residual if M is None else np.linalg.norm(M @ (b - A @ state.x))
            callback(float(residual / np.linalg.norm(b)))

    return watch


def callback_kind(callback: Callback | None, callback_type: str | None) -> str | None:
    """What gmres's callback gets: 'x', 'pr_norm', 'legacy'; None if there is no callback."""
    if callback is not None and callback_type is None:
        warnings.warn(
            "gmres called without specifying `callback_type`, which means 'legacy' (residual norms, and maxiter counts steps) "
            "until SciPy changes its default; pass callback_type='pr_norm', 'x' or 'legacy'",
            DeprecationWarning,
            stacklevel=3,
        )
    kind = "legacy" if callback_type is None else callback_type
    if kind not in ("x", "pr_norm", "legacy"):
        raise ValueError(f"callback_type must be 'x', 'pr_norm' or 'legacy'; got {callback_type!r}")
    return None if callback is None else kind


def shown(watch: Callback | None) -> Callback:
    """Prints the first ten iterations and every tenth, then does what `watch` does."""

    def show(state: State) -> None:
        if state.iteration <= 10 or state.iteration % 10 == 0:
            print(f"{state.iteration:9d} {state.residual:12.5e}")
        if watch is not None:
            watch(state)

    return show


# -- minres's own -------------------------------------------------------------------------------------------------------------


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
