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


def large(size: int) -> np.ndarray:
    """An array of its own cache lines, from NumPy, which asks for large pages as the compiled code's allocator does not: a sweep
    was 4 % faster with them (measured)."""
    space = np.empty(size + 8)
    first = (64 - space.ctypes.data % 64) // 8 % 8
    return space[first : first + size]


class Block:
    """X, R = B - A X and the directions P of the columns of one solve. Made from x, r (n, k) and the columns that move.

    Where M is None or diagonal Z = M R is made on the way and not stored; A P is made twice and not stored.
    """

    def __init__(self, A: Any, M: Any, x: np.ndarray, r: np.ndarray, moving: list[int], space: Space):
        self.n, self.k = x.shape
        self.M, self.space, self.width, self.size = M, space, len(moving), 0
        self.order = np.array(moving + [j for j in range(self.k) if j not in moving])
        tiles = -(-self.n // TILE)
        self.X, self.R, self.P = (large(tiles * self.k * TILE).reshape(tiles, -1) for _ in range(3))
        sweeps.tiled(self.n, x[:, self.order], self.X)
        sweeps.tiled(self.n, r[:, self.order], self.R)
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
        if self.Z is not self.R:
            return self.preconditioned()
        z = self.R
        if len(self.d):
            z = large(self.R.size).reshape(self.R.shape)
            sweeps.tiled(self.n, self.d[: self.n, None] * self.columns(self.R, np.arange(self.width)), z)
        return whole(sweeps.gram_of(self.n, self.R, z, self.width))

    def columns(self, tiles: np.ndarray, order: np.ndarray) -> np.ndarray:
        x = np.empty((self.n, len(order)))
        sweeps.untiled(self.n, tiles, order, x)
        return x

    def preconditioned(self) -> np.ndarray:
        """Z = M R; R^T Z."""
        z = reference.product(self.M, self.columns(self.R, np.arange(self.width)), self.space, "M")
        sweeps.tiled(self.n, np.ascontiguousarray(z), self.Z)
        return whole(sweeps.gram_of(self.n, self.R, self.Z, self.width))

    def turn(self, beta: np.ndarray, chosen: list[int]) -> np.ndarray:
        """P = Z[:, chosen] + P beta; P^T A P."""
        self.size, beta, places = len(chosen), np.ascontiguousarray(beta), np.array(chosen, np.int64)
        if self.banded:
            return whole(sweeps.turn_bands(self.n, *self.A, beta, places, self.d, self.Z, self.P))
        sweeps.combine(self.n, beta, places, self.d, self.Z, self.P, self.rows)
        return whole(sweeps.gram_rows(self.n, *self.A, self.P, self.size))

    def advance(self, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """X += P alpha, R -= A P alpha; (R^T M R, R^T R on its diagonal)."""
        inside = self.Z is self.R
        kernel = sweeps.advance_bands if self.banded else sweeps.advance_rows
        gram, squares = kernel(self.n, *self.A, np.ascontiguousarray(alpha), self.d, inside, self.P, self.X, self.R)
        return whole(gram) if inside else self.preconditioned(), squares.sum(axis=0)

    def keep(self, stay: list[int]) -> None:
        """Go on with these of the moving columns; the others stay as they are."""
        order = np.array(stay + [j for j in range(self.k) if j not in stay])
        sweeps.reorder(self.n, order, self.X)
        sweeps.reorder(self.n, order, self.R)
        if self.Z is not self.R:
            sweeps.reorder(self.n, order, self.Z)
        self.order, self.width = self.order[order], len(stay)

    def x(self) -> np.ndarray:
        """X (n, k), the columns in their first order."""
        return self.columns(self.X, self.order)

    def along(self, v: np.ndarray) -> np.ndarray:
        """P v (n,)."""
        return self.columns(self.P, np.arange(self.size)) @ v


def whole(partial: np.ndarray) -> np.ndarray:
    """The symmetric matrix of which the chunks hold the upper half."""
    upper = np.triu(partial.sum(axis=0))
    return upper + np.triu(upper, 1).T


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
