"""Levels made from a matrix, on a GPU: Chebyshev in place of Gauss-Seidel, which takes one row after the other.

The polynomial is that of the interval [1/10, 1] and of D^-1 A with D = diag(sum_j |a_ij|), of which no eigenvalue exceeds 1: M
stays definite without an estimate. A cycle of s steps before and after the correction takes 2 s products with A.
Iterations of cg with V-cycles to 1e-8, random right-hand side (measured):

    coarsest=100             Gauss-Seidel on the CPU   1 step   2 steps   3 steps
    Poisson 256^2, 40^3      12, 10                    15, 13   10, 9     9, 8
    darcy 256^2, 32^3        13, 11                    16, 14   11, 10    10, 8
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...kernels.cuda import launch
from ...kernels.cuda.matrix import start
from ...kernels.cuda.smoothing import Steps, coefficients
from ...kernels.cuda.work import Work
from ...storage import Placed, compact, placed
from ...storage.resident import Move
from .aggregate_level import MatrixLevel
from .on_gpu import HierarchyOnGPU, Rows, visits

STEPS = 2  # of the smoother, before and after the correction
LOW, HIGH = 0.1, 1.0  # of the spectrum of D^-1 A that it damps, all of what coarser levels do not see


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Right-hand side, iterate, a second iterate (and the residual), and what a second visit keeps; single precision."""

    f: Any
    u: Any
    v: Any
    saved: Any


@dataclass(frozen=True, slots=True, eq=False)
class SmoothedLevel:
    """A with its smoother, P and R = P^T, all in single precision.

    With two steps a V-cycle moves A four times, P and R once and 22 vectors (88 bytes a row), four of them 1 / D.
    """

    size: int
    entries: int
    smoother: Steps
    P: Placed
    R: Placed
    twice: bool

    def work(self, xp: Any, columns: int) -> Vectors:
        f, u, v, saved = (xp.empty((self.size if yes else 0, columns), dtype=xp.float32) for yes in (1, 1, 1, self.twice))
        return Vectors(f, u, v, saved)

    def turned(self, w: Vectors) -> tuple[Any, Any]:
        """Where to begin, and the other iterate: the last step of the cycle writes to u."""
        return (w.u, w.v) if len(self.smoother.coefficients) % 2 == 0 else (w.v, w.u)

    def down(self, w: Vectors, below: Any, columns: int) -> None:
        here, other = self.turned(w)
        self.smoother.from_zero(self.smoother.kernels("float32"), columns, w.f, here, other)
        start("residual", self.smoother.A, columns, here, w.f, other)
        start("product", self.R, columns, other, below.f)

    def up(self, w: Vectors, below: Any, columns: int) -> None:
        here, other = self.turned(w)
        start("add_product", self.P, columns, below.u, here)
        self.smoother.improve(self.smoother.kernels("float32"), columns, w.f, here, other)

    def again(self, w: Vectors, columns: int) -> None:
        launch.launch(launch.kernels("levels.cu", V="float32")["keep"], self.size, columns, w.u, w.saved)
        start("residual", self.smoother.A, columns, w.u, w.f, w.f)

    def sum(self, w: Vectors, columns: int) -> None:
        launch.launch(launch.kernels("levels.cu", V="float32")["add"], self.size, columns, w.saved, w.u)


@dataclass(frozen=True, slots=True, eq=False)
class SolvedLevel:
    """The last level, solved by its dense inverse (n, n): a warp a row."""

    size: int
    entries: int
    inverse: Any

    def work(self, xp: Any, columns: int) -> Vectors:
        f, u = (xp.empty((self.size, columns), dtype=xp.float32) for _ in range(2))
        return Vectors(f, u, None, None)

    def solve(self, w: Vectors, columns: int) -> None:
        kernel = launch.kernels("levels.cu", V="float32")["dense_product"]
        blocks = launch.grid(32 * self.size * columns)
        kernel(blocks, (launch.THREADS,), (self.size, columns, self.inverse, w.f, w.u))


def aggregates_on_gpu(M: Any, move: Move, steps: int = STEPS) -> HierarchyOnGPU:
    """A hierarchy of matrices, level after level, with so many steps of the smoother before and after each correction."""
    if steps != int(steps) or steps < 1:
        raise ValueError(f"steps must be an integer >= 1: those of the smoother; got {steps!r}")
    twice = visits([level.size for level in M.levels], M.cycle)
    levels = [smoothed(level, move, int(steps), again) for level, again in zip(M.levels[:-1], twice, strict=False)]
    last, order = M.levels[-1], M.levels[0].order
    solved = SolvedLevel(last.size, last.entries, move(np.ascontiguousarray(last.inverse)))
    gate = Rows(None if np.array_equal(order, np.arange(len(order))) else move(order))

    def renew(A: Any) -> HierarchyOnGPU:
        return aggregates_on_gpu(M.renew(A), move, steps)

    return HierarchyOnGPU(
        (*levels, solved), twice, gate, tuple(M.rows), M.shape, M.dtype, M.name, M.cycle, M.scale,
        None if M.renew is None else renew, Work(),
    )  # fmt: skip


def smoothed(level: MatrixLevel, move: Move, steps: int, twice: bool) -> SmoothedLevel:
    A = whole(level)
    sums = np.asarray(np.abs(A) @ np.ones(level.size))
    inverse = np.divide(1, sums, out=np.zeros_like(sums), where=sums > 0).astype(np.float32)
    there, P, R = (placed(compact(part), move) for part in (A, level.P.scipy(), level.R.scipy()))
    smoother = Steps(there, move(inverse), coefficients(steps, LOW, HIGH))
    return SmoothedLevel(level.size, level.entries, smoother, P, R, twice)


def whole(level: MatrixLevel) -> Any:
    """The matrix of a level in single precision, as SciPy's CSR: put together from what its sweeps read."""
    from scipy.sparse import csr_array, diags_array

    indptr, _, _, indices, values = level.rows_split
    inverse = level.inverse.astype(float)
    diagonal = np.divide(1.0, inverse, out=np.zeros_like(inverse), where=inverse > 0) - level.extra
    outside = csr_array((values, indices.view(np.int32), indptr.view(np.int32)), shape=(level.size, level.size))
    return (outside + diags_array(diagonal.astype(np.float32))).tocsr()
