"""The projected problem V^H (M du/dt + A u + f - b) = 0, u = V a, stepped for many parameters at once.

f and a b known by entries are interpolated from few of them: V^H f ~ W f_points, W = V^H U (P^T U)^-1 for a basis U of what they
were in training (Chaturantabut and Sorensen, SIAM J. Sci. Comput. 32 (2010) 2737, equations 3.4 and 4.5). No loop of a time step
has the length n: f sees an array in which only what the points depend on was written, and all else is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..empirical_interpolation import deim, qdeim
from .functions import Stated
from .problem import Problem
from .stencils import Differences
from .time_stepping import march

RULES = {"qdeim": qdeim, "deim": deim}
TOGETHER = 1 << 18  # numbers in the matrices of one batch
WORKSPACE = 1 << 22  # numbers in the full-length states of one batch
SAME = 1e-10  # relative to the largest entry: where an evaluation from few unknowns must agree
SPARE = 4  # such arrays, of different batches, that are kept for the next call


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """V^H g ~ W g_points, points (d,), W (N, d). For f also by differences: which unknowns, and the rows V_needed (s, N)."""

    points: np.ndarray
    W: np.ndarray
    by: Differences | None = None
    V: np.ndarray | None = None
    near: np.ndarray | None = None  # (d, w, N): rows of V for the w unknowns of each point, filled up with zeros
    slot: np.ndarray | None = None  # where entry e of the derivative lies among the (d, w)


def sampled(V: np.ndarray, U: np.ndarray | None, rule: str, pattern: Any = None) -> Sampled:
    """V^H g ~ V^H U (P^T U)^-1 g_points for a basis U (n, d) and points by `rule`; U None: all entries, and no interpolation.

    Without any vectors (d = 0) g is zero. pattern: for f, what it depends on (n, n).
    """
    if U is None:
        points, W = np.arange(len(V)), V.conj().T
    elif U.shape[1]:
        points = np.sort(RULES[rule](U))
        W = np.linalg.solve(U[points].T, (V.conj().T @ U).T).T
    else:
        points, W = np.zeros(0, np.intp), np.zeros((V.shape[1], 0))
    return Sampled(points, W) if pattern is None else with_differences(points, W, Differences.of(pattern[points]), V)


def with_differences(points: np.ndarray, W: np.ndarray, by: Differences, V: np.ndarray) -> Sampled:
    """The same with the rows of V laid out as products with the derivative need them: a block of equal width for each point."""
    rank = np.arange(len(by.rows)) - np.searchsorted(by.rows, by.rows)
    width = int(rank.max(initial=-1)) + 1
    near = np.zeros((len(points), width, V.shape[1]), V.dtype)
    near[by.rows, rank] = V[by.cols]
    return Sampled(points, W, by, np.ascontiguousarray(V[by.needed]), near, by.rows * width + rank)


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """Everything that a trajectory needs: M (N, N), A (Q, N, N), b (P, N), outputs L (l, N) or None, V (n, N), X V (n, N)."""

    stated: Stated
    M: np.ndarray
    A: np.ndarray
    b: np.ndarray
    f_by: Sampled | None
    b_by: Sampled | None
    L: np.ndarray | None
    V: np.ndarray
    dual: np.ndarray
    spare: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return int(self.V.shape[1])

    def started(self, mus: np.ndarray) -> np.ndarray:
        """a(t0) (m, N), the projections of u0 in the product X: n N operations each where u0 depends on mu."""
        if self.stated.start.constant:
            return np.tile(self.stated.start(mus[0]) @ self.dual.conj(), (len(mus), 1))
        return np.stack([self.stated.start(mu) @ self.dual.conj() for mu in mus])

    def solve(self, mus: np.ndarray) -> np.ndarray:
        """Coefficients (m, K + 1, N) at points (m, p)."""
        states = (1 + (self.f_by.by.count if self.f_by is not None and self.f_by.by is not None else 0)) * len(self.V)
        size = max(1, min(TOGETHER // self.size**2, WORKSPACE // states if self.f_by is not None else TOGETHER))
        parts = [self.part(mus[i : i + size]) for i in range(0, len(mus), size)]
        return np.concatenate(parts)

    def part(self, mus: np.ndarray) -> np.ndarray:
        """`solve` for as many parameters as fit the cache together."""
        stated, a = self.stated, self.started(mus)
        system = ReducedSystem(self, mus, np.tensordot(stated.weights(mus), self.A, axes=1))
        dtype = np.result_type(a, system.A, self.M, self.b)
        found = np.empty((len(mus), len(stated.times), self.size), dtype)

        def keep(k: int, a: np.ndarray) -> None:
            found[:, k] = a

        march(system, stated.scheme, stated.times, a.astype(dtype), tol=stated.tol, keep=keep)
        return found


class ReducedSystem:
    """m reduced problems as one `time_stepping.System`, states (m, N)."""

    def __init__(self, reduced: Reduced, mus: np.ndarray, A: np.ndarray) -> None:
        self.reduced, self.mus, self.A = reduced, mus, A
        self.linear = reduced.f_by is None
        self.size_A, self.size_M = np.linalg.norm(A, axis=(1, 2)), float(np.linalg.norm(reduced.M))
        self.last: tuple[int, np.ndarray] = (-1, np.zeros(0))

    def mass(self, a: np.ndarray) -> np.ndarray:
        return a @ self.reduced.M.T

    def rate(self, a: np.ndarray, k: int) -> np.ndarray:
        return (self.A @ a[:, :, None])[:, :, 0] - self.b(k)

    def b(self, k: int) -> np.ndarray:
        """V^H b (m, N) at time t_k."""
        if self.last[0] != k:
            reduced, t = self.reduced, float(self.reduced.stated.times[k])
            if reduced.b_by is None:
                b = reduced.stated.b_weights(self.mus, t) @ reduced.b
            else:
                assert reduced.stated.b is not None
                b = reduced.stated.b.batch(t, self.mus, reduced.b_by.points) @ reduced.b_by.W.T
            self.last = (k, b)
        return self.last[1]

    def force(self, a: np.ndarray) -> np.ndarray:
        """W f_points."""
        f = self.reduced.f_by
        assert f is not None and f.V is not None
        return self.entries(a @ f.V.T) @ f.W.T

    def entries(self, values: np.ndarray) -> np.ndarray:
        """f_points (k m, d) from the unknowns they depend on (k m, s), for the parameters in order, k times over."""
        reduced = self.reduced
        f, stated, count, n = reduced.f_by, reduced.stated, len(values), len(reduced.V)
        assert f is not None and f.by is not None and stated.f is not None
        spare = reduced.spare.pop(count, None)
        U = np.full((n, count), np.nan) if spare is None else spare  # an unknown of all parameters in a row
        U[f.by.needed] = values.T
        mus = self.mus if count == len(self.mus) else np.tile(self.mus, (count // len(self.mus), 1))
        found = stated.f.batch(U.T, mus, f.points)
        if len(reduced.spare) >= SPARE:
            reduced.spare.clear()
        reduced.spare[count] = U  # only the needed rows were ever written
        return found

    def factor(self, c: float, theta: float, a: np.ndarray | None) -> Callable[[np.ndarray], np.ndarray]:
        J = c * self.reduced.M + theta * self.A
        if a is not None:
            J = J + theta * self.slope(a)
        inverse = np.linalg.inv(J)
        return lambda r: (inverse @ r[:, :, None])[:, :, 0]

    def slope(self, a: np.ndarray) -> np.ndarray:
        """W (f_points)' V (m, N, N), by differences."""
        f = self.reduced.f_by
        assert f is not None and f.by is not None and f.near is not None and f.V is not None
        entries, _ = f.by.entries(a @ f.V.T, self.entries)
        d, w, _ = f.near.shape
        padded = np.zeros((len(a), d * w))
        padded[:, f.slot] = entries
        rows = np.ascontiguousarray(padded.reshape(len(a), d, w).transpose(1, 0, 2)) @ f.near  # (d, m, N)
        return np.tensordot(f.W, rows, axes=1).transpose(1, 0, 2)

    def size(self, a: np.ndarray) -> np.ndarray:
        squares = np.einsum("ij,ij->i", a.real, a.real)
        return np.sqrt(squares + np.einsum("ij,ij->i", a.imag, a.imag) if np.iscomplexobj(a) else squares)

    def magnitude(self, c: float, theta: float) -> np.ndarray:
        return c * self.size_M + theta * self.size_A

    def said(self, which: int) -> str:
        return self.reduced.stated.parameters.said(self.mus[which])


def projected(
    problem: Problem, V: np.ndarray, U: np.ndarray | None, B: np.ndarray | None, *, rule: str, dual: np.ndarray, output: Any
) -> Reduced:  # fmt: skip
    """The problem on the span of V (n, N), with bases U of f and B of b; None: all their entries are evaluated."""
    adjoint, stated = V.conj().T, problem.stated
    M = adjoint @ (V if problem.mass is None else problem.mass @ V)
    A = np.stack([adjoint @ (problem.terms[q] @ V) for q in range(len(problem.terms))])
    f_by = None if stated.f is None else sampled(V, U, rule, problem.pattern)
    b_by = None if stated.b is None else sampled(V, B, rule)
    L = None if output is None else output @ V
    return Reduced(stated, M, A, problem.b_vectors.T @ V.conj(), f_by, b_by, L, V, dual)


def check_stencil(problem: Problem, reduced: Reduced, samples: list[tuple[np.ndarray, np.ndarray]]) -> None:
    """Refuse a stencil that is too small: at training states (mu, u) the entries must be those of the full evaluation."""
    f, stated = reduced.f_by, problem.stated
    if f is None or f.by is None or stated.f is None:
        return
    for mu, u in samples:
        local = np.full(problem.n, np.nan)
        local[f.by.needed] = u[f.by.needed]
        few, whole = stated.f.one(local, mu, f.points), stated.f.one(u, mu, np.arange(problem.n))
        off = ~(np.abs(few - whole[f.points]) <= SAME * np.abs(whole).max(initial=0.0))
        if off.any():
            i = int(f.points[np.argmax(off)])
            raise ValueError(
                f"entry {i} of nonlinear at {problem.parameters.said(mu)} is {few[np.argmax(off)]:.6g} from the unknowns of its "
                f"stencil and {whole[i]:.6g} from all: it depends on more of them. Pass stencil=, of what depends on what"
            )
