"""The block of a block method as compiled kernels keep it: X, R and P by tiles, A by rows or bands."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np

from ..arrays import Space
from ..storage import DIA, SELL, Diagonal, empty
from . import reference
from . import tile_sweeps as sweeps
from .dia import places
from .tall_skinny import TILE
from .threads import THREADED_FROM
from .tile_product import padded

NONE = np.zeros(0)
SAFE = 1e-4  # least singular value of beta, between vectors of length one, through which the last directions are still seen


def large(size: int) -> np.ndarray:
    """An array of its own cache lines, from NumPy, which asks for large pages as the compiled code's allocator does not: a sweep
    was 4 % faster with them (measured)."""
    space = np.empty(size + 8)
    first = (64 - space.ctypes.data % 64) // 8 % 8
    return space[first : first + size]


class Block:
    """X, R = B - A X and the directions P of the columns of one solve. Made from x, r (n, k) and the columns that move.

    Where M is None or diagonal Z = M R is made on the way and not stored; A P is made twice and not stored.

    X is brought up to date every second step, where it can be: of P' = Z + P beta the last directions are P = (P' - Z) beta^-1,
    and both P' and Z pass through the cache in the next step, which adds P alpha = (P' - Z) `late` to its own.
    """

    def __init__(self, A: Any, M: Any, x: np.ndarray, r: np.ndarray, moving: list[int], space: Space):
        self.n, self.k = x.shape
        self.M, self.space, self.width, self.size = M, space, len(moving), 0
        self.owed = self.late = np.zeros((0, self.width))  # what X lacks: P owed + (P - Z) late
        self.lengths = self.new_lengths = np.ones(self.width)  # of R, as M sees them: before the last step, and now
        self.order = np.array(moving + [j for j in range(self.k) if j not in moving])
        tiles = -(-self.n // TILE)
        self.X, self.R, self.P = (large(tiles * self.k * TILE).reshape(tiles, -1) for _ in range(3))
        sweeps.tiled(self.n, x, self.order, self.X)
        sweeps.tiled(self.n, r, self.order, self.R)
        self.d = NONE
        if type(M) is Diagonal:
            self.d = np.zeros(tiles * TILE)
            self.d[: self.n] = M.values
        self.Z = self.R if M is None or type(M) is Diagonal else large(self.R.size).reshape(self.R.shape)
        A = A.rows if isinstance(A, SELL) else A
        self.banded = isinstance(A, DIA)
        self.rows = NONE if self.banded else large(self.n * padded(self.width))
        self.A = places(A) if isinstance(A, DIA) else (A.values, A.indices, A.indptr, self.rows)

    def start(self) -> np.ndarray:
        """R^T M R."""
        gram = self.started()
        self.new_lengths = np.sqrt(np.maximum(np.diag(gram), 0.0))
        return gram

    def started(self) -> np.ndarray:
        """R^T M R, with Z where it is kept."""
        if self.Z is not self.R:
            return self.preconditioned()
        z = self.R
        if len(self.d):
            z = large(self.R.size).reshape(self.R.shape)
            sweeps.tiled(self.n, self.d[: self.n, None] * self.columns(self.R, np.arange(self.width)), np.arange(self.width), z)
        return sweeps.whole(sweeps.gram_of(self.n, self.R, z, self.width))

    def columns(self, tiles: np.ndarray, order: np.ndarray) -> np.ndarray:
        x = np.empty((self.n, len(order)))
        sweeps.untiled(self.n, tiles, order, x)
        return x

    def preconditioned(self) -> np.ndarray:
        """Z = M R; R^T Z."""
        z = reference.product(self.M, self.columns(self.R, np.arange(self.width)), self.space, "M")
        sweeps.tiled(self.n, np.ascontiguousarray(z), np.arange(self.width), self.Z)
        return sweeps.whole(sweeps.gram_of(self.n, self.R, self.Z, self.width))

    def turn(self, beta: np.ndarray, chosen: list[int]) -> np.ndarray:
        """P = Z[:, chosen] + P beta; P^T A P."""
        if len(self.owed):
            if self.seen_through(beta, chosen):
                self.late, self.owed = np.linalg.solve(beta, self.owed), self.owed[:0]
            else:
                self.settle()
        self.lengths = self.new_lengths
        self.size, beta, places = len(chosen), np.ascontiguousarray(beta), np.array(chosen, np.int64)
        if self.banded:
            return sweeps.whole(sweeps.turn_bands(self.n, *self.A, beta, places, self.d, self.Z, self.P))
        sweeps.combine(self.n, beta, places, self.d, self.Z, self.P, self.rows)
        return sweeps.whole(sweeps.gram_rows(self.n, *self.A, self.P, self.size))

    def seen_through(self, beta: np.ndarray, chosen: list[int]) -> bool:
        """Whether P can be had back from P' = Z + P beta with few digits lost."""
        if len(chosen) != self.width or beta.shape != (self.width, self.width):
            return False
        between = self.lengths[:, None] * beta / self.new_lengths
        if not np.isfinite(between).all():
            return False
        values = np.linalg.svd(between, compute_uv=False)
        return bool(values[-1] > SAFE * max(1.0, values[0]))

    def advance(self, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """X += P alpha, now or with the next, R -= A P alpha; (R^T M R, R^T R on its diagonal)."""
        inside, steps = self.Z is self.R, alpha
        if len(self.late):
            steps = alpha + self.late
        elif inside:
            self.owed, steps = alpha, alpha[:0]
        less, self.late = -self.late, self.late[:0]
        kernel = sweeps.advance_bands if self.banded else sweeps.advance_rows
        steps, less, alpha = (np.ascontiguousarray(c) for c in (steps, less, alpha))
        parts, squares = kernel(self.n, *self.A, steps, less, alpha, self.d, inside, self.P, self.X, self.R)
        gram = sweeps.whole(parts) if inside else self.preconditioned()
        self.new_lengths = np.sqrt(np.maximum(np.diag(gram), 0.0))
        return gram, np.diag(gram) if self.M is None else squares.sum(axis=0)

    def settle(self) -> None:
        """Add to X what it lacks."""
        if len(self.owed) or len(self.late):
            steps = self.owed if len(self.owed) else self.late
            sweeps.settle(self.n, np.ascontiguousarray(steps), np.ascontiguousarray(-self.late), self.d, self.P, self.X, self.R)
        self.owed = self.late = np.zeros((0, self.width))

    def keep(self, stay: list[int]) -> None:
        """Go on with these of the moving columns; the others stay as they are."""
        self.settle()
        order = np.array(stay + [j for j in range(self.k) if j not in stay])
        sweeps.reorder(self.n, order, self.X)
        sweeps.reorder(self.n, order, self.R)
        if self.Z is not self.R:
            sweeps.reorder(self.n, order, self.Z)
        self.order, self.width = self.order[order], len(stay)
        self.owed = self.late = np.zeros((0, self.width))
        self.new_lengths = self.new_lengths[stay]

    def x(self) -> np.ndarray:
        """X (n, k), the columns in their first order."""
        self.settle()
        return self.columns(self.X, self.order)

    def along(self, v: np.ndarray) -> np.ndarray:
        """P v (n,)."""
        return self.columns(self.P, np.arange(self.size)) @ v


def compile_for(A: Any) -> float:
    """Compile (or load from the cache) the kernels for this A; the seconds it took."""
    start = time.perf_counter()
    A = A.rows if isinstance(A, SELL) else A
    _compile(A.kind, THREADED_FROM if A.shape[0] >= THREADED_FROM else 1)
    return time.perf_counter() - start


@cache
def _compile(kind: tuple[str, ...], rows: int) -> None:
    """Run every kernel once on empty rows."""
    A = empty(kind, rows)
    space = Space(np, "float64", "cpu", 1)
    block = Block(A, Diagonal(np.zeros(rows)), np.zeros((rows, 1)), np.zeros((rows, 1)), [0], space)
    block.start()
    block.turn(np.zeros((0, 1)), [0])
    block.advance(np.zeros((1, 1)))
    block.keep([0])
    block.x()


__all__ = ["Block", "compile_for"]
