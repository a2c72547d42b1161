"""The nouns of the suite (a problem, its system, a method, what one run of it gave) and the one test of correctness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

Kind = Literal["spd", "semidefinite", "indefinite", "general"]
SYMMETRIC: frozenset[str] = frozenset({"spd", "semidefinite", "indefinite"})
DEFINITE: frozenset[str] = frozenset({"spd", "semidefinite"})
EVERY: frozenset[str] = frozenset({*SYMMETRIC, "general"})


class System(NamedTuple):
    """A x = b as every method gets it: A (n, n) csr_array with int32 indices, b (n,), nullspace (n, k) orthonormal or None."""

    A: Any
    b: np.ndarray
    nullspace: np.ndarray | None = None
    near_nullspace: np.ndarray | None = None

    @property
    def projected(self) -> np.ndarray:
        """P b, with P the orthogonal projector off the nullspace: the right-hand side of a solver that knows none."""
        return off(self.nullspace, self.b)


@dataclass(frozen=True, slots=True)
class Problem:
    """A row block of the suite. `make` builds the System; `plotted` asks for its residual histories; `work` is the line of
    the table of bars that it belongs to (bars.py)."""

    name: str
    family: str
    kind: Kind
    make: Callable[[], System]
    dim: int = 2
    plotted: bool = False
    work: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where an iteration is stopped: the same number of iterations and seconds for every method. A set-up is never cut."""

    iterations: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """One solve. `claims`: the method itself reports success at its tolerance; a solver that does not test reports None.

    setup_seconds: the part of the call that was set-up, when the method does both in one; other_seconds: the part that was
    neither (starting another process, writing its files).
    """

    x: np.ndarray
    claims: bool | None
    iterations: int | None = None
    chose: str = ""
    setup_seconds: float = 0.0
    compile_seconds: float = 0.0
    other_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Method:
    """One way to solve: `setup(system)` is timed apart from `solve(prepared, system, rtol, limits, history)`.

    `history` is None, or a list that receives the relative residual norm of every iteration (in an untimed run).
    `tighten`: the method stops on a residual that its recurrence carries, so a smaller tolerance may be tried until the
    true residual satisfies. `history_costs`: a run that records one is slower. `needs`: the module it imports.
    `largest_3d`: the rows of the largest 3-D system that a factorisation is given.
    """

    name: str
    library: str
    kinds: frozenset[str]
    setup: Callable[[System], Any]
    solve: Callable[[Any, System, float, Limits, list[float] | None], Outcome]
    tighten: bool = False
    history_costs: bool = False
    needs: str = ""
    iteration_cap: int = 10_000
    largest_3d: int | None = None

    @property
    def ours(self) -> bool:
        return self.library == "petrov"

    def limits(self, rows: int, seconds: float) -> Limits:
        return Limits(min(10 * rows, self.iteration_cap), seconds)


def off(N: np.ndarray | None, v: np.ndarray) -> np.ndarray:
    """P v = v - N N^H v for orthonormal N (n, k)."""
    return v if N is None else v - N @ (N.conj().T @ v)


def relative_residual(system: System, x: Any) -> float:
    """||P(b - A x)|| / ||P b||, recomputed in double precision from x alone; infinity if x is not finite or misshapen.

    >>> import numpy as np
    >>> from petrov.benchmarks.records import System, relative_residual
    >>> system = System(np.diag([2.0, 4.0]), np.array([2.0, 4.0]))
    >>> relative_residual(system, np.array([1.0, 1.0])), relative_residual(system, np.array([np.nan, 1.0]))
    (0.0, inf)
    """
    x = np.asarray(x)
    if x.shape != system.b.shape or not np.isfinite(x).all():
        return float("inf")
    x = x.astype(np.result_type(x.dtype, np.float64))
    residual = off(system.nullspace, system.b - system.A @ x)
    return float(np.linalg.norm(residual) / np.linalg.norm(system.projected))
