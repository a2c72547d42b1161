"""The black box: assemble(mu) called, checked, counted, and solved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..solvers import SolveError, Solver, SolveResult, Status, arrays
from .parameters import Parameters

FIRST = 1e-8  # tolerance of a first solve
CORRECTED = 1e-5  # and of a correction, relative to the residual
CORRECTIONS = 4
ROUNDING, EPS = 4, float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """One A x = b with outputs L x: A (n, n) canonical CSR, dense or by products; b (n, k); L (l, n) or None."""

    A: Any
    b: np.ndarray
    L: np.ndarray | None = None


@dataclass(slots=True, eq=False)
class BlackBox:
    """assemble(mu) -> (A, b) or (A, b, L), mu a mapping name -> float; every answer is checked against the first.

    Raises TypeError or ValueError, naming the parameters, if an answer is no system, is not finite, or has another size or kind
    than the first one. `vector`: b is (n,), not (n, k). `calls` counts.
    """

    assemble: Callable[[dict[str, float]], Any]
    parameters: Parameters
    output: Any = None
    calls: int = 0
    vector: bool = True
    first: System | None = field(default=None)
    solver: Solver | None = None
    rtol: float = 1e-12

    def __post_init__(self) -> None:
        if self.output is not None:
            self.output = real_or_complex(self.output, "output=")

    def __call__(self, mu: np.ndarray) -> System:
        self.calls += 1
        answer = self.assemble(self.parameters.mapping(mu))
        try:
            system, vector = self.read(answer)
            if self.first is None:
                self.first, self.vector = system, vector
            self.compare(system, vector)
        except (TypeError, ValueError) as error:
            raise type(error)(f"assemble at {self.parameters.said(mu)}: {error}") from error
        return system

    def assembled(self, mu: dict[str, float]) -> System:
        """The same for a mapping name -> value."""
        return self(np.array([mu[name] for name in self.parameters.names]))

    def read(self, answer: Any) -> tuple[System, bool]:
        """The answer as a System, and whether its b was a vector."""
        if not isinstance(answer, tuple | list) or len(answer) not in (2, 3):
            raise TypeError(f"expected (A, b) or (A, b, L); got {type(answer).__name__}")
        A = matrix(answer[0])
        b = real_or_complex(answer[1], "b")
        if b.ndim not in (1, 2) or b.shape[0] != A.shape[0] or b.size == 0:
            raise ValueError(f"b must be (n,) or (n, k) with n = {A.shape[0]}; got {b.shape}")
        rows = self.output if self.output is not None else answer[2] if len(answer) == 3 else None
        return System(A, b.reshape(len(b), -1), None if rows is None else output_rows(rows, A.shape[0])), b.ndim == 1

    def compare(self, system: System, vector: bool) -> None:
        """Refuse what no linear combination with the first system could mean."""
        first = self.first
        assert first is not None
        pairs = {"A": (system.A, first.A), "b": (system.b, first.b), "L": (system.L, first.L)}
        for name, (now, then) in pairs.items():
            if (now is None) != (then is None):
                raise ValueError(f"{name} is returned for some parameters and not for others")
            if now is not None and tuple(now.shape) != tuple(then.shape):
                shapes = f"{tuple(now.shape)}, at the first parameters {tuple(then.shape)}"
                raise ValueError(f"{name} has shape {shapes}; a reduced model needs the same unknowns for all parameters")
        if kind(system.A) != kind(first.A) or vector != self.vector:
            raise TypeError(f"A is {kind(system.A)}, at the first parameters {kind(first.A)}; keep to one form")

    def solve(self, system: System, x0: np.ndarray | None = None) -> np.ndarray:
        """x (n, k) with ||b - A x|| <= rtol ||b|| a column, or as small as rounding allows; SolveError if it is not.

        By a Solver that keeps what it set up for the last A: to 1e-8 first, then corrections A d = b - A x, which come to an end
        where a tolerance asked for at once may lie below rounding (Higham, Accuracy and Stability (2002), chapter 12).
        """
        if self.solver is None:
            self.solver = Solver(system.A, uses=system.b.shape[1])
        else:
            self.solver.update(system.A, uses=system.b.shape[1])
        flat = (lambda x: x[:, 0]) if system.b.shape[1] == 1 else (lambda x: x)
        result = self.attempt(flat(system.b), x0=None if x0 is None else flat(x0), rtol=max(self.rtol, FIRST))
        x = result.x.reshape(system.b.shape)
        for _ in range(CORRECTIONS):
            r = system.b - np.asarray(system.A @ x)
            missing = np.linalg.norm(r, axis=0) > allowed(system, x, self.rtol)
            if not missing.any():
                return x
            d = self.attempt(flat(np.where(missing, r, 0.0)), rtol=max(self.rtol / FIRST, CORRECTED)).x
            x = x + d.reshape(x.shape)
        said = f"||b - A x|| stays above {self.rtol:.1e} ||b|| after {CORRECTIONS} corrections; give ReducedModel a looser rtol="
        raise SolveError(said, result)

    def attempt(self, b: np.ndarray, **keywords: Any) -> SolveResult:
        """A solve that may end where rounding allows no more: whether that is enough is judged by `allowed`."""
        assert self.solver is not None
        result = self.solver.solve(b, raise_on_failure=False, **keywords)
        if result.status not in (Status.CONVERGED, Status.STAGNATED):
            raise SolveError(str(result), result)
        return result

    def solution(self, mu: np.ndarray, x0: np.ndarray | None = None) -> tuple[System, np.ndarray]:
        """(system, x) at mu. A solve that fails is a SolveError that names mu: nothing is built on half-solved snapshots."""
        system = self(mu)
        try:
            return system, self.solve(system, None if x0 is None else np.reshape(x0, system.b.shape))
        except SolveError as error:
            said = (
                f"the full solve at {self.parameters.said(mu)} did not converge, and no reduced model is built on what is not a "
                f"solution: {error}. Give a looser rtol= to ReducedModel, or look at the matrix there"
            )
            raise SolveError(said, error.result) from error


def allowed(system: System, x: np.ndarray, rtol: float) -> np.ndarray:
    """The residual norms (k,) that pass: rtol ||b||, or what rounding makes of products with A, whose entries are known."""
    passing = rtol * np.linalg.norm(system.b, axis=0)
    if not (arrays.sparse(system.A) or isinstance(system.A, np.ndarray)):
        return passing
    return np.maximum(passing, ROUNDING * EPS * np.linalg.norm(abs(system.A) @ abs(x) + abs(system.b), axis=0))


def matrix(A: Any) -> Any:
    """A as canonical CSR, a dense array, or, known by products, as it is; finite."""
    if not hasattr(A, "shape") or len(A.shape) != 2 or A.shape[0] != A.shape[1] or A.shape[0] == 0:
        raise ValueError(f"A must be square, (n, n); got {type(A).__name__} of shape {getattr(A, 'shape', None)}")
    if arrays.sparse(A) and arrays.library(A) == "scipy":
        from scipy.sparse import csr_array

        csr = csr_array(A, dtype=working(A.dtype), copy=True)  # the caller may write the next matrix over this one
        csr.sum_duplicates()
        return finite(csr, csr.data, "A")
    if arrays.namespace(A) is not None:
        return real_or_complex(A, "A")
    if not hasattr(type(A), "__matmul__") or not hasattr(A, "dtype"):
        raise TypeError(f"A must have shape, dtype and @; got {type(A).__name__}")
    return A


def kind(A: Any) -> str:
    return "sparse" if arrays.sparse(A) else "dense" if isinstance(A, np.ndarray) else "known by products"


def working(dtype: np.dtype) -> np.dtype:
    """Reduced models are made in double precision."""
    return np.result_type(dtype, np.float64)


def real_or_complex(x: Any, name: str) -> np.ndarray:
    """x on the host in double precision, finite."""
    if arrays.sparse(x):
        x = x.toarray()
    values = np.asarray(arrays.to_numpy(x) if arrays.namespace(x) is not None else x)  # np.matrix would go on being one
    if values.dtype.kind not in "biufc":
        raise TypeError(f"{name} must hold numbers; got dtype {values.dtype}")
    return finite(values.astype(working(values.dtype)), values, name)


def finite(x: Any, values: np.ndarray, name: str) -> Any:
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinity")
    return x


def output_rows(rows: Any, n: int) -> np.ndarray:
    """L as (l, n)."""
    L = np.atleast_2d(real_or_complex(rows, "the output"))
    if L.ndim != 2 or L.shape[1] != n:
        raise ValueError(f"outputs must be rows (l, n) with n = {n}; got {L.shape}")
    return L
