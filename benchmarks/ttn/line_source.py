"""Radiation of a line source where scattering and absorption are uncertain: 10^4 cells x 1024 moments x 100 x 100 nodes.

Section 5.3 of Ceruti, Kusch, Lubich and Sulz, arXiv 2412.00858, with its square, source, grid, moments, nodes and steps. There
the terms of xi and eta have the opposite sign, which on symmetric nodes changes neither mean nor variance.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from ...rom.ttn import RK4, TTN, Evolution, KronSum, ParallelBUG, RankAdaptiveBUG, StepTruncate, Tree, evolve
from ...rom.ttn.gauges import gauges
from .. import memory
from ..document import OK, WRONG, Row
from .spherical_harmonics import absolute, flux_matrices, orders

WORK = "line"
SIDE, WIDTH, FLOOR = 3.0, 0.03, 1e-4  # of the square [-1.5, 1.5]^2; sqrt(2) WIDTH is the deviation of the source; its least value


@dataclass(frozen=True, slots=True)
class Case:
    """cells along a side, centres of the outer ones on the sides; degree N of P_N; Gauss-Legendre nodes in xi and in eta.

    Scattering is 1 + xi, absorption 1 + eta, with xi and eta uniform in [-1, 1]. The steps have the length of half a cell.
    """

    cells: int = 100
    degree: int = 31
    nodes: int = 100
    end: float = 1.0

    @property
    def name(self) -> str:
        return f"line source, {self.cells}^2 x {self.moments} x {self.nodes}^2"

    @property
    def dx(self) -> float:
        return SIDE / (self.cells - 1)

    @property
    def dt(self) -> float:
        return self.dx / 2

    @property
    def steps(self) -> int:
        return math.ceil(self.end / self.dt - 1e-9)

    @property
    def moments(self) -> int:
        return (self.degree + 1) ** 2

    @property
    def centres(self) -> np.ndarray:
        return np.linspace(-SIDE / 2, SIDE / 2, self.cells)

    @property
    def tree(self) -> Tree:
        """((square, direction), (xi, eta))."""
        return Tree.balanced([self.cells**2, self.moments, self.nodes, self.nodes])


# -- Square ----------------------------------------------------------------------------------------------------------------


def differences(cells: int, dx: float) -> tuple[Any, Any, Any, Any]:
    """(D_x, D_y, E_x, E_y): central first differences, and second ones times dx / 2; x counts slowest.

    Rows of the outer cells are zero: nothing moves there, and for the others they are the boundary values.
    """
    inner = np.ones(cells)
    inner[[0, -1]] = 0.0
    ones = np.ones(cells - 1)
    first = sp.diags_array([ones, -ones], offsets=[1, -1]) / (2 * dx)
    second = sp.diags_array([ones, -2 * np.ones(cells), ones], offsets=[1, 0, -1]) / (2 * dx)
    mask = sp.diags_array(inner)
    along_x = [sp.kron(mask @ D, mask).tocsr() for D in (first, second)]
    along_y = [sp.kron(mask, mask @ D).tocsr() for D in (first, second)]
    return along_x[0], along_y[0], along_x[1], along_y[1]


def source(case: Case) -> np.ndarray:
    """The scalar flux at t = 0, a Gaussian that is nowhere below FLOOR, in the order of the cells."""
    x2 = case.centres**2
    r2 = np.add.outer(x2, x2).ravel()
    return np.maximum(FLOOR, np.exp(-r2 / (4 * WIDTH**2)) / (4 * math.pi * WIDTH**2))


# -- The whole -------------------------------------------------------------------------------------------------------------


def transport(case: Case) -> list[tuple[float, Any, Any]]:
    """The terms (c, on cells, on moments) at xi = eta = 0: upwind differences, absorption, scattering out of a direction."""
    A_x, A_y = flux_matrices(case.degree)
    D_x, D_y, E_x, E_y = differences(case.cells, case.dx)
    return [
        (-1.0, D_x, A_x), (1.0, E_x, absolute(A_x)), (-1.0, D_y, A_y), (1.0, E_y, absolute(A_y)),
        (-1.0, None, None), (-1.0, None, scattered(case)),
    ]  # fmt: skip


def scattered(case: Case) -> np.ndarray:
    """The diagonal of what scattering takes away: all moments but the first, the scalar flux."""
    return np.append(0.0, np.ones(case.moments - 1))


def operator(case: Case) -> KronSum:
    """The right-hand side. The diagonals of xi and eta are the nodes themselves."""
    nodes = np.polynomial.legendre.leggauss(case.nodes)[0]
    terms: list[Any] = [(c, {0: cells, 1: moments}) for c, cells, moments in transport(case)]
    last = terms[-1][1][1]
    return KronSum(case.tree, (*terms, (-1.0, {1: last, 2: nodes}), (-1.0, {3: nodes})))


def start(case: Case, rank: int = 10) -> TTN:
    """Isotropic, and the same for all parameters; scaled so that moment 0 is the scalar flux."""
    first, ones = np.eye(1, case.moments)[0], np.ones(case.nodes)
    return TTN.product(case.tree, [source(case), first, ones, ones], rank=rank)


def mean_and_deviation(case: Case, state: TTN) -> tuple[np.ndarray, np.ndarray]:
    """(cells, cells) each: of the scalar flux, over xi and eta."""
    w = np.polynomial.legendre.leggauss(case.nodes)[1] / 2
    flux = state.contract({1: np.eye(1, case.moments)[0]})
    mean = flux.moments({1: np.ones(1), 2: w, 3: w})
    weighted = flux.project(2, np.diag(np.sqrt(w))).project(3, np.diag(np.sqrt(w))).orthonormal()
    square = (gauges(weighted).weighted[case.tree.node_of[0]] ** 2).sum(1)  # all other bases are orthonormal
    shape = (case.cells, case.cells)
    return mean.reshape(shape), np.sqrt(np.maximum(square - mean**2, 0.0)).reshape(shape)


# -- Beside it -------------------------------------------------------------------------------------------------------------


def collocated(case: Case, xi: float, eta: float = 0.0) -> np.ndarray:
    """The scalar flux (cells, cells) at the end for one pair of parameters: RK4 of the full system in the same steps.

    In a quarter of the square and for even harmonics: moment (l, m) has the parities (-1)^m in x, (-1)^(l + m) in y.
    """
    l, m = orders(case.degree)
    even, odd = m >= 0, case.cells % 2  # with an odd number of cells, those on the axes are their own mirror images
    fluxes = [(A[even][:, even], absolute(A)[even][:, even].toarray()) for A in flux_matrices(case.degree)]
    signs = (-1.0) ** m[even], (-1.0) ** (l + m)[even]
    decay = ((1 + eta) + (1 + xi) * scattered(case)[even])[:, None, None]

    def rate(V: np.ndarray) -> np.ndarray:
        change = -decay * V
        for axis, (A, absolute_A), sign in zip((1, 2), fluxes, signs, strict=True):
            mirrored = sign[:, None, None] * np.take(V, [odd], axis)
            wide = np.moveaxis(np.concatenate([mirrored, V, np.take(V, [-1], axis)], axis), axis, 0)
            plus, minus = (np.moveaxis(part, 0, axis) for part in (wide[2:], wide[:-2]))
            flux = absolute_A @ (plus - 2 * V + minus).reshape(len(V), -1) - A @ (plus - minus).reshape(len(V), -1)
            change[:, :-1, :-1] += flux.reshape(V.shape)[:, :-1, :-1] / (2 * case.dx)
        return change

    half = case.cells // 2
    V = np.zeros((int(even.sum()), half + odd, half + odd))
    V[0] = source(case).reshape(case.cells, -1)[half:, half:]
    for k in range(case.steps):
        h = min(case.dt, case.end - k * case.dt)
        k1 = rate(V)
        k2 = rate(V + h / 2 * k1)
        k3 = rate(V + h / 2 * k2)
        V = V + h / 6 * (k1 + 2 * (k2 + k3) + rate(V + h * k3))
    return np.pad(V[0], ((half, 0), (half, 0)), "reflect" if odd else "symmetric")


def reference(case: Case, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (cells, cells) by collocation at so many Gauss-Legendre nodes in xi.

    In eta nothing has to be computed: absorption that is the same everywhere is the factor exp(-eta t) of every solution.
    """
    (xi, w), t = np.polynomial.legendre.leggauss(nodes), case.end
    flux = np.array([collocated(case, node) for node in xi])
    mean = np.tensordot(w / 2, flux, 1) * math.sinh(t) / t
    square = np.tensordot(w / 2, flux**2, 1) * math.sinh(2 * t) / (2 * t)
    return mean, np.sqrt(square - mean**2)


# -- Measured --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """A method; eps, of the norm, is what its truncation may leave out at an edge.

    The first steps are of step-and-truncate: light leaves the cell and the one moment that it starts in at once, out of the reach
    of bases that are updated one by one, and errors of steps that are as long as a cell stay. allowed: of the mean, relative.
    """

    name: str
    method: Any
    eps: float
    allowed: float
    first: int = 3

    order = 1

    def step(self, state: TTN, rhs: Any, t: float, h: float, *, span: tuple[float, float] | None = None) -> Any:
        """With the tolerance that belongs to the norm of the state."""
        found = self.eps * float(np.linalg.norm(state.cores[-1]))
        field = "theta" if isinstance(self.method, ParallelBUG) else "tolerance"
        return replace(self.method, **{field: found}).step(state, rhs, t, h, span=span)


# Published, but for the least rank, 2: powers of xi grow by less than eps in a step, and would be cut again in every one.
LIMITS: dict[str, Any] = {"min_rank": 3, "max_rank": 250, "local": RK4()}
WAYS = (
    Way("RankAdaptiveBUG", RankAdaptiveBUG(**LIMITS), 1e-3, 2e-2),
    Way("ParallelBUG", ParallelBUG(**LIMITS, start=0), 1e-3, 2e-1),
)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What a way led to: seconds and the peak of the memory of the process, ranks at every step, statistics at the end."""

    way: Way
    seconds: float
    memory: int
    result: Evolution
    mean: np.ndarray
    deviation: np.ndarray

    @property
    def numbers(self) -> int:
        """Held by the last state."""
        return sum(core.size for core in self.result.state.cores)


def run(case: Case, way: Way, progress: bool = False) -> Run:
    memory.forget_peak()
    begun = time.perf_counter()
    A, state, first = operator(case), start(case), min(way.first, case.steps) * case.dt
    if way.first:
        state = evolve(state, A, (0, first), dt=case.dt, method=StepTruncate(tolerance=way.eps / 10)).state
    result = evolve(state, A, (first, case.end), dt=case.dt, method=way, progress=progress)
    seconds = time.perf_counter() - begun
    return Run(way, seconds, memory.peak(), result, *mean_and_deviation(case, result.state))


def measure(case: Case, timing: Any = None, ways: Sequence[Way] = WAYS, nodes: int = 3, progress: bool = False) -> list[Row]:
    """A row for every way, judged by collocation. Error of the mean in relative_residual; history: [t, largest rank]."""
    expected = reference(case, nodes)
    return [row(case, run(case, way, progress), expected) for way in ways]


def row(case: Case, found: Run, expected: tuple[np.ndarray, np.ndarray]) -> Row:
    mean, deviation = (off(a, b) for a, b in zip((found.mean, found.deviation), expected, strict=True))
    way, result, unknowns = found.way, found.result, math.prod(case.tree.sizes)
    said = (
        f"ranks {result.state.ranks}, deviation off by {deviation:.1e}, {found.memory / 2**30:.2f} GiB at the peak, "
        f"{found.numbers:.1e} numbers, mass off by {found.mean.sum() / expected[0].sum() - 1:.1e}"
    )
    right = mean <= way.allowed
    return Row(
        case.name, WORK, "transport", f"petrov {way.name}, {way.eps:g}", "petrov", OK if right else WRONG, said,
        rows=unknowns, rtol=way.allowed, asked_rtol=way.eps, relative_residual=mean, iterations=case.steps,
        solve_seconds=found.seconds if right else None, runs=1, work=WORK,
        history=[[float(t), float(max(ranks))] for t, ranks in zip(result.times, result.ranks, strict=True)],
        memory=found.memory / unknowns,
    )  # fmt: skip


def off(a: np.ndarray, b: np.ndarray) -> float:
    """Relative, in the 2-norm."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
