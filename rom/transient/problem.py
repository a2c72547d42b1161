"""M du/dt + A(mu) u + f(u, mu) = b(mu, t) in full: what the user gave, checked, and solved at one parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ...solvers import Solver
from ...solvers.direct import SuperLU
from ..operators.terms import Terms
from ..parameters import Parameters
from .functions import Stated
from .stencils import Differences
from .time_stepping import march

DIRECT = 20_000  # unknowns up to which the full system is factorised without asking which method is best


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """The full problem: what was stated, with its matrices. pattern, CSR (n, n): what f depends on, and the differences by it."""

    stated: Stated
    mass: Any  # CSR (n, n), or None for the identity
    terms: Terms
    jacobian: Callable[..., Any] | None
    b_vectors: np.ndarray  # (n, P)
    pattern: Any = None
    differences: Differences | None = None

    @property
    def n(self) -> int:
        return self.terms.shape[0]

    @property
    def parameters(self) -> Parameters:
        return self.stated.parameters

    @property
    def dtype(self) -> np.dtype:
        found = np.result_type(self.terms.dtype, self.b_vectors, *([] if self.mass is None else [self.mass.dtype]))
        return np.result_type(found, self.stated.start(self.parameters.centre))

    def system(self, mu: np.ndarray) -> FullSystem:
        A = self.terms.combined(self.stated.weights(mu[None])[0])
        return FullSystem(self, np.asarray(mu, float), A, norm(A), 1.0 if self.mass is None else norm(self.mass))

    def solve(self, mu: np.ndarray, keep: Callable[[int, np.ndarray, FullSystem], None]) -> None:
        """One trajectory; keep(k, u_k, system) is called with each state."""
        system = self.system(mu)
        u = self.stated.start(mu).astype(self.dtype)
        march(system, self.stated.scheme, self.stated.times, u, tol=self.stated.tol, keep=lambda k, u: keep(k, u, system))


@dataclass(slots=True, eq=False)
class FullSystem:
    """The full problem at one parameter, as `time_stepping.System`."""

    problem: Problem
    mu: np.ndarray
    A: Any
    size_A: float
    size_M: float
    factors: Any = None
    solver: Solver | None = None
    kept: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def linear(self) -> bool:
        return self.problem.stated.f is None

    def mass(self, u: np.ndarray) -> np.ndarray:
        return u if self.problem.mass is None else self.problem.mass @ u

    def rate(self, u: np.ndarray, k: int) -> np.ndarray:
        return self.A @ u - self.b(k)

    def b(self, k: int) -> np.ndarray:
        """b(mu, t_k), kept for the last time."""
        if k not in self.kept:
            problem, stated = self.problem, self.problem.stated
            t = float(stated.times[k])
            if stated.b is not None:
                b = stated.b.one(t, self.mu, np.arange(problem.n))
            else:
                b = problem.b_vectors @ stated.b_weights(self.mu[None], t)[0]
            if not np.isfinite(b).all():
                raise ValueError(f"rhs at {problem.parameters.said(self.mu)}, t = {t:.6g} holds NaN or infinity")
            self.kept = {k: b}
        return self.kept[k]

    def force(self, u: np.ndarray) -> np.ndarray:
        assert self.problem.stated.f is not None
        return self.problem.stated.f.one(u, self.mu, np.arange(self.problem.n))

    def factor(self, c: float, theta: float, u: np.ndarray | None) -> Callable[[np.ndarray], np.ndarray]:
        from scipy.sparse import csr_array, eye_array

        M = self.problem.mass
        J = csr_array(c * (eye_array(self.problem.n, format="csr") if M is None else M) + theta * self.A)
        if u is not None:
            J = csr_array(J + theta * self.slope(u))
        return self.inverse(J)

    def slope(self, u: np.ndarray) -> Any:
        """f'(u), by the user's jacobian or by differences."""
        from scipy.sparse import csr_array

        problem = self.problem
        if problem.jacobian is not None:
            J = problem.jacobian(u, problem.parameters.mapping(self.mu))
            if getattr(J, "shape", None) != (problem.n, problem.n):
                raise ValueError(f"jacobian must return a matrix ({problem.n}, {problem.n}); got {getattr(J, 'shape', type(J))}")
            return csr_array(J)
        by = problem.differences
        assert by is not None
        need, everything, moved = by.needed, np.arange(problem.n), u.copy()

        def values(states: np.ndarray) -> np.ndarray:
            found = []
            for state in states:
                moved[need] = state
                found.append(problem.stated.f.one(moved, self.mu, everything))  # type: ignore[union-attr]
            return np.stack(found)

        entries, _ = by.entries(u[None, need], values)
        return csr_array((entries[0], (by.rows, by.cols)), shape=(problem.n, problem.n))

    def inverse(self, J: Any) -> Callable[[np.ndarray], np.ndarray]:
        """By factors, in the order found for the last ones, or, where n is large, as petrov.Solver chooses."""
        if self.problem.n <= DIRECT:
            try:
                self.factors = SuperLU()(J) if self.factors is None else self.factors.update(J)
            except ValueError:  # entries at other places
                self.factors = SuperLU()(J)
            return self.factors.__matmul__
        self.solver = Solver(J, uses=10) if self.solver is None else self.solver.update(J, uses=10)
        return lambda r: self.solver.solve(r, rtol=1e-10).x  # type: ignore[union-attr]

    def size(self, u: np.ndarray) -> float:
        return float(np.linalg.norm(u))

    def magnitude(self, c: float, theta: float) -> float:
        return c * self.size_M + theta * self.size_A

    def said(self, which: int) -> str:
        return self.problem.parameters.said(self.mu)


def norm(A: Any) -> float:
    """The largest sum of moduli in a row."""
    return float(np.max(abs(A).sum(axis=1), initial=0.0))
