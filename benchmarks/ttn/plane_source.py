"""Radiation of a plane source where scattering is uncertain: 201 cells x 100 moments x 100 x 100 nodes, beside collocation.

Section 5.2 of Ceruti, Kusch, Lubich and Sulz, arXiv 2412.00858, with its grid, moments, nodes, steps and limits of ranks. Its
collocation data are those of `collocation` to 13 digits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from ...rom.ttn import RK4, TTN, Evolution, KronSum, MidpointBUG, ParallelBUG, RankAdaptiveBUG, Tree, evolve
from ..document import OK, WRONG, Row

WORK = "plane"
LENGTH, WIDTH = 5.0, 0.03  # of the interval [-2.5, 2.5], of the source
EPS = (1e-3, 1e-4, 1e-5)
MEAN, VARIANCE, RANK = 2e-3, 1e-3, 45  # bars: relative errors in the 2-norm, the largest rank at the first eps


@dataclass(frozen=True, slots=True)
class Case:
    """cells with centres at both ends; moments of P_N; Gauss-Legendre nodes in xi and in eta, uniform in [-1, 1].

    Scattering is 5 + 4 xi + eta, there is no absorption. Steps of a tenth of a cell.
    """

    cells: int = 201
    moments: int = 100
    nodes: int = 100
    end: float = 2.0

    @property
    def dx(self) -> float:
        return LENGTH / (self.cells - 1)

    @property
    def steps(self) -> int:
        return math.ceil(self.end / (0.1 * self.dx) - 1e-9)

    @property
    def dt(self) -> float:
        return self.end / self.steps

    @property
    def tree(self) -> Tree:
        """((x, angle), (xi, eta))."""
        return Tree.balanced([self.cells, self.moments, self.nodes, self.nodes])


def source(case: Case) -> np.ndarray:
    """Moment 0 at t = 0 (cells,)."""
    x = np.linspace(-LENGTH / 2, LENGTH / 2, case.cells)
    return np.exp(-(x**2) / (2 * WIDTH**2)) / math.sqrt(2 * math.pi * WIDTH**2)


def flux(case: Case) -> np.ndarray:
    """The symmetric flux matrix of P_N for normalised Legendre polynomials (moments, moments)."""
    n = np.arange(1, case.moments)
    above = np.diag(n / np.sqrt(4.0 * n**2 - 1), 1)
    return above + above.T


def operator(case: Case) -> KronSum:
    """Central differences of the fluxes, with the stabilisation of Roe, and scattering out of all moments but the first."""
    ones, A = np.ones(case.cells), flux(case)
    speeds, V = np.linalg.eigh(A)
    D1 = sp.diags_array([ones[1:], -ones[1:]], offsets=[1, -1]).tocsr() / (2 * case.dx)
    D2 = sp.diags_array([ones[1:], -2 * ones, ones[1:]], offsets=[1, 0, -1]).tocsr() / (2 * case.dx)
    out, z = np.append(0.0, np.ones(case.moments - 1)), np.polynomial.legendre.leggauss(case.nodes)[0]
    moving = [(-1.0, {0: D1, 1: A}), (1.0, {0: D2, 1: (V * np.abs(speeds)) @ V.T})]
    return KronSum(case.tree, [*moving, (-5.0, {1: out}), (-4.0, {1: out, 2: z}), (-1.0, {1: out, 3: z})])


def start(case: Case) -> TTN:
    """Isotropic, the same for all parameters: a product of vectors."""
    ones = np.ones(case.nodes)
    return TTN.product(case.tree, [source(case), np.eye(1, case.moments)[0], ones, ones])


def statistics(case: Case, density: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, variance) over the parameters of the density (cells, nodes, nodes)."""
    w = np.polynomial.legendre.leggauss(case.nodes)[1] / 2
    mean = np.einsum("xij,i,j->x", density, w, w)
    return mean, np.einsum("xij,i,j->x", (density - mean[:, None, None]) ** 2, w, w)


def density(case: Case, state: TTN) -> np.ndarray:
    """Moment 0 at all nodes (cells, nodes, nodes)."""
    return state.moments({1: np.eye(1, case.moments)[0]})


# -- Beside it -------------------------------------------------------------------------------------------------------------


def collocation(case: Case, degree: int = 32) -> np.ndarray:
    """Moment 0 at all pairs of nodes (cells, nodes, nodes): RK4 of the full system, with the same differences and steps.

    Scattering is all that the parameters change, so degree + 1 runs, at Chebyshev points of it, give a polynomial that stands
    for the runs at all pairs. ValueError if its last coefficients do not say that it is exact to 13 digits.
    """
    points = np.polynomial.chebyshev.chebpts1(degree + 1)
    coefficients = np.polynomial.chebyshev.chebfit(points, solved(case, 5 + 5 * points).T, degree)
    if np.abs(coefficients[-2:]).max() > 1e-13 * np.abs(coefficients).max():
        raise ValueError(f"polynomials of degree {degree} in the scattering are too coarse: take more")
    z = np.polynomial.legendre.leggauss(case.nodes)[0]
    return np.polynomial.chebyshev.chebval((4 * z[:, None] + z) / 5, coefficients)


def solved(case: Case, scattering: np.ndarray) -> np.ndarray:
    """Moment 0 at the end (cells, k) for k numbers of scattering, in characteristic variables, where differences are upwind."""
    speeds, V = np.linalg.eigh(flux(case))
    first = V[0][:, None]
    right, left = np.maximum(speeds, 0.0)[:, None] / case.dx, np.minimum(speeds, 0.0)[:, None] / case.dx

    def rate(u: np.ndarray) -> np.ndarray:
        change = -(right - left + scattering) * u
        change[1:] += right * u[:-1]
        change[:-1] -= left * u[1:]
        return change + (scattering * (u * first).sum(axis=1))[:, None, :] * first

    u = source(case)[:, None, None] * (first * np.ones(len(scattering)))
    for _ in range(case.steps):
        k1 = rate(u)
        k2 = rate(u + case.dt / 2 * k1)
        k3 = rate(u + case.dt / 2 * k2)
        u = u + case.dt / 6 * (k1 + 2 * (k2 + k3) + rate(u + case.dt * k3))
    return (u * first).sum(axis=1)


# -- Measured --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """A method, and the bar of its variance: None where it is only reported, as the first order of the method limits it."""

    name: str
    method: Any
    eps: float
    variance: float | None


LIMITS: dict[str, Any] = {"min_rank": 2, "max_rank": 50, "relative": True, "spare": 1}  # spare: their rule keeps one more, too
THETA: dict[str, Any] = {**LIMITS, "truncation": "published", "local": RK4()}
WAYS = (
    *(Way("RankAdaptiveBUG", RankAdaptiveBUG(eps, **THETA), eps, VARIANCE) for eps in EPS),
    *(Way("ParallelBUG", ParallelBUG(theta=eps, **THETA), eps, None) for eps in EPS),
    *(Way("RankAdaptiveBUG, weighted", RankAdaptiveBUG(eps, **LIMITS), eps, VARIANCE) for eps in EPS),
    *(Way("MidpointBUG, weighted", MidpointBUG(eps, **LIMITS), eps, VARIANCE) for eps in EPS),
)


@dataclass(frozen=True, slots=True)
class Found:
    """What a way led to: relative errors, the largest rank on the way, the ranks at the end, processor and wall seconds."""

    way: Way
    mean: float
    variance: float
    largest: int
    ranks: tuple[int, ...]
    cpu: float
    seconds: float
    steps: int

    @property
    def right(self) -> bool:
        """Whether its bars are met."""
        good = self.mean <= MEAN and self.variance <= (self.way.variance or math.inf)
        return good and (self.way.eps < EPS[0] or self.largest <= RANK)


def run(case: Case, way: Way, expected: tuple[np.ndarray, np.ndarray]) -> Found:
    A, state = operator(case), start(case)
    begun, cpu = time.perf_counter(), time.process_time()
    result: Evolution = evolve(state, A, (0.0, case.end), dt=case.dt, method=way.method)
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - begun
    mean, variance = (off(a, b) for a, b in zip(statistics(case, density(case, result.state)), expected, strict=True))
    return Found(way, mean, variance, int(result.ranks.max()), result.state.ranks, cpu, seconds, result.steps)


def off(a: np.ndarray, b: np.ndarray) -> float:
    """Relative, in the 2-norm."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def table(case: Case, ways: Sequence[Way] = WAYS, expected: tuple[np.ndarray, np.ndarray] | None = None) -> list[Found]:
    """One run a way, judged by mean and variance (cells,) of collocation, which is computed unless it is given."""
    expected = expected or statistics(case, collocation(case))
    return [run(case, way, expected) for way in ways]


def measure(case: Case, timing: Any = None, ways: Sequence[Way] = WAYS) -> list[Row]:
    """A row for every way. Error of the mean in relative_residual."""
    return [row(case, found) for found in table(case, ways)]


def row(case: Case, found: Found) -> Row:
    way = found.way
    said = f"variance off by {found.variance:.1e}, largest rank {found.largest}, at the end {found.ranks}, {found.cpu:.1f} CPU-s"
    return Row(
        f"plane source, {case.cells} x {case.moments} x {case.nodes}^2", WORK, "transport", f"petrov {way.name}, {way.eps:g}",
        "petrov", OK if found.right else WRONG, said, rows=math.prod(case.tree.sizes), rtol=MEAN, asked_rtol=way.eps,
        relative_residual=found.mean, iterations=found.steps, solve_seconds=found.seconds if found.right else None, runs=1,
        work=WORK,
    )  # fmt: skip


def show(rows: Sequence[Found]) -> None:
    print(f"{'method':<28}{'eps':>8}{'mean':>10}{'variance':>10}{'rank':>6}{'CPU-s':>8}{'steps':>7}")
    for f in rows:
        numbers = f"{f.mean:>10.1e}{f.variance:>10.1e}{f.largest:>6}{f.cpu:>8.1f}{f.steps:>7}"
        print(f"{f.way.name:<28}{f.way.eps:>8g}{numbers}", flush=True)


if __name__ == "__main__":
    show(table(Case()))
