"""What a solve returns: one record for every method, one enumeration of outcomes, one error that carries both."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Status(enum.Enum):
    """Why a solve ended. The value is the sentence a user needs next; members later in the list are worse."""

    CONVERGED = "the true residual is within the tolerance"
    STOPPED = "the callback asked to stop; pass x as x0 to go on"
    INTERRUPTED = "interrupted; pass x as x0 to go on"
    TIME_LIMIT = "the time limit was reached first; raise time_limit=, pass x as x0 to go on, or use a stronger preconditioner"
    MAX_ITERATIONS = (
        "the iteration limit was reached first; raise max_iterations=, or use a stronger preconditioner (M=) or a direct solve"
    )
    STAGNATED = (
        "the residual stopped falling above the tolerance: rounding allows no more in this precision, or the method "
        "makes no progress; loosen rtol, use double precision, a preconditioner or method='direct'"
    )
    DIVERGED = "the residual grew beyond recovery; check A and M, or try another method (minres, gmres, direct)"
    INDEFINITE_MATRIX = (
        "A is not positive definite (p^H A p <= 0 was met), which cg needs; use method='minres' if A is symmetric, "
        "'gmres' if not, or solve with -A if A is negative definite"
    )
    INDEFINITE_PRECONDITIONER = (
        "M is not positive definite (r^H M r <= 0 was met), which cg and minres need; use another M, or method='gmres'"
    )
    NOT_SYMMETRIC = "A is not symmetric (Hermitian), which cg and minres need; use method='gmres', 'bicgstab' or 'direct'"
    INCONSISTENT = (
        "A is singular and b is not in its range, so no x solves the system; pass nullspace= (for example 'constant') to "
        "solve the projected system, or method='lsmr' for the least-squares solution"
    )
    BREAKDOWN = "the recurrence broke down (division by zero); try another method (gmres, direct) or another x0"
    NONFINITE_PRECONDITIONER = "M returned NaN or infinity; check how M was set up and what it does to a finite vector"
    NONFINITE_OPERATOR = "A returned NaN or infinity for a finite vector; check the operator"
    NONFINITE_INPUT = "an input holds NaN or infinity; clean it before solving"


SEVERITY = {status: rank for rank, status in enumerate(Status)}


def worst(statuses: tuple[Status, ...]) -> Status:
    """The status of a block: its worst column's."""
    return max(statuses, key=SEVERITY.__getitem__, default=Status.CONVERGED)


@dataclass(frozen=True, slots=True, eq=False)
class SolveResult:
    """The outcome of one solve of A x = b; the same record for every method and every input. Not iterable.

    Attributes
    ----------
    x : (n,) or (n, k), same library, device and columns as b
        The best iterate found; always finite.
    status : Status
        Why the solve ended; the worst column's for a block.
    reason : str
        One sentence: what was seen, what was chosen, what to do next.
    method, preconditioner : str
        What was run.
    residual : float, or (k,) float64
        ||b - A x||_2 recomputed from the x returned, in at least double precision, in the units of b.
    residuals : (looks,) or (looks, k) float64
        The history: the norm that the method's recurrence carries, one row a look (one iteration on a CPU), row 0 at x0.
    iterations : int, or (k,) int64
        Inner iterations (every step of a restarted method counts).
    matvecs : int
        Products with A, counted in columns, the check at the end included.
    setup_seconds, solve_seconds, compile_seconds : float
        Preconditioner or factorisation; iteration; compiling kernels (first call of a process), in neither of the others.
    inconsistency : float
        ||b - P b|| / ||b|| for a solve with a nullspace, else 0.
    rtol : float
        The relative tolerance that was asked for.
    statuses : tuple of Status, one a column
    seed : int | None
        The seed of any randomness inside.
    space : RecycleSpace | None
        What a later solve can reuse.
    unknowns, ranks : int
        Rows of A, and on how many ranks they are; x and space then have the rows of this one.
    """

    x: Any
    status: Status
    reason: str
    method: str
    preconditioner: str
    residual: Any
    residuals: np.ndarray = field(repr=False)
    iterations: Any
    matvecs: int
    setup_seconds: float = 0.0
    solve_seconds: float = 0.0
    compile_seconds: float = 0.0
    inconsistency: float = 0.0
    rtol: float = 0.0
    relative_residual: Any = 0.0
    statuses: tuple[Status, ...] = ()
    seed: int | None = None
    space: Any = None
    unknowns: int = 0
    ranks: int = 1

    @property
    def converged(self) -> bool:
        return self.status is Status.CONVERGED

    def __str__(self) -> str:
        shape = " x ".join(str(size) for size in getattr(self.x, "shape", (self.unknowns,)))
        shape = shape if self.ranks == 1 else f"{self.unknowns} on {self.ranks} ranks"
        steps, relative = int(np.max(self.iterations, initial=0)), float(np.max(self.relative_residual, initial=0.0))
        method = self.method if self.preconditioner in ("", "none") else f"{self.method} + {self.preconditioner}"
        measured = "||P(b - A x)||/||P b||" if self.inconsistency > 0 else "||b - A x||/||b||"
        line = (
            f"{self.status.name}: {method}, n = {shape}, {steps} iteration{'s' * (steps != 1)}, "
            f"{self.matvecs} product{'s' * (self.matvecs != 1)}, {measured} = {relative:.2e}, "
            f"{self.setup_seconds:.3g} s set-up + {self.solve_seconds:.3g} s"
        )
        if self.compile_seconds > 0.01:
            line += f" (+ {self.compile_seconds:.3g} s compiling, once)"
        if self.inconsistency > self.rtol:
            line += f"; b is outside the range of A by {self.inconsistency:.2e} ||b||, solved for its projection"
        return f"{line}; {self.reason}" if self.reason else line

    __repr__ = __str__


class SolveError(RuntimeError):
    """A solve that did not converge. `.result` is the SolveResult with the best x so far; the message says what to try."""

    def __init__(self, message: str, result: Any = None):
        super().__init__(message)
        self.result: Any = result  # a SolveResult; None only where somebody else raised this error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.result)


class SolveInterrupted(KeyboardInterrupt):
    """Ctrl-C inside a solve. `.result` is the SolveResult so far: pass result.x as x0 to go on."""

    def __init__(self, message: str, result: Any = None):
        super().__init__(message)
        self.result: Any = result  # a SolveResult; None only where somebody else raised this error

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.result)
