"""An orthonormal basis that grows by blocks and is rotated lazily: U = W K with a small K, and W grows while K turns."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...solvers import arrays
from ...solvers.arrays import WIDE
from .blocks import adjoint_product, chunks, divided, inserted, lengths, pivots, renumbered, straightened, triangular

NOISE = 16.0  # times eps sqrt(columns): below it the part of a unit column outside the basis is rounding
HELD = 0.5  # what a unit column outside the basis keeps of its length when it is projected again, if it is more than rounding
DRIFT = 100.0  # times eps: how far from orthonormal the columns may be before they are made so again


class GrowingBasis:
    """U (n, k) with orthonormal columns, as U = W K. Not for users: `IncrementalSVD` holds one or two.

    W = [D, Q]: D (n, dense) is stored, Q = E Z - D Y is implicit for a sparse E (n, q); both have orthonormal columns. `extend`
    adds to W what a block lies outside of it and gives the block's coordinates; the caller then sets `K` (width, k), whose
    columns are orthonormal too: nothing is ever inverted, so U is as orthonormal as W. `append_units` adds rows instead: an
    explicit `tail` under W K. `collapse` applies K: W becomes U. Memory: n (k + buffer) numbers, n (k + s) for a dense block of
    more than `buffer` columns, and in a file if `path` is given.

    Zha and Simon, SIAM J. Sci. Comput. 21 (1999) 782; Deng et al., ICLR 2024 (arXiv 2401.09703), sections 3-4: implicit
    residuals and rotations that are stored. Unlike there, K is kept orthonormal and a sparse column that would cancel is stored.
    """

    def __init__(self, rows: int, dtype: Any, buffer: int, path: Any = None) -> None:
        self.buffer, self.path = buffer, path
        self.D = allocate(None, rows, 0, dtype)
        self.K = np.zeros((0, 0), WIDE[np.dtype(dtype).name])
        self.dense = 0
        self.tail = np.zeros((0, 0), dtype)
        self.forget()

    def forget(self) -> None:
        """No sparse columns."""
        self.E: Any = None
        self.Z, self.Y = np.zeros((0, 0)), np.zeros((self.dense, 0))

    @property
    def rows(self) -> int:
        return int(self.D.shape[0] + self.tail.shape[0])

    @property
    def width(self) -> int:
        return self.dense + self.Z.shape[0]

    @property
    def eps(self) -> float:
        return float(np.finfo(self.D.dtype).eps)

    def matrix(self) -> np.ndarray:
        """U, a view that the next change overwrites."""
        self.collapse()
        return self.D[:, : self.dense]

    # Coordinates

    def coordinates(self, F: Any) -> np.ndarray:
        """W^H F (width, s). D^H F for a sparse F reads only the rows where F has entries."""
        if not arrays.sparse(F):
            c = adjoint_product(self.D[:, : self.dense], F)
        else:
            used, index = np.unique(F.indices, return_inverse=True)
            c = adjoint_product(self.D[used, : self.dense], renumbered(F, index, len(used)))
        if self.E is None:
            return c
        return np.vstack([c, self.Z.conj().T @ adjoint_product(self.E, F) - self.Y.conj().T @ c])

    def stored(self, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(a, b) with W c = D a + E b."""
        b = self.Z @ c[self.dense :]
        return c[: self.dense] - self.Y @ c[self.dense :], b

    def combinations(self, c: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """W c, chunk of rows by chunk of rows."""
        a, b = (part.astype(self.D.dtype) for part in self.stored(c))
        E = None if self.E is None else self.E.tocsr()
        for part in chunks(self.D.shape[0], self.dense + c.shape[1]):
            yield part, self.D[part, : self.dense] @ a + (0 if E is None else E[part] @ b)

    def distance(self, F: Any, c: np.ndarray) -> float:
        """||F - W c||_F for c = W^H F; of a sparse F by the difference of the squares, accurate to 1e-8 ||F||."""
        if arrays.sparse(F):
            whole, held = (math.hypot(*lengths(part, 0.0)) for part in (F, c))
            return math.sqrt(max(whole - held, 0.0)) * math.sqrt(whole + held)
        return math.hypot(*(math.hypot(*lengths(F[part] - Wc, 0.0)) for part, Wc in self.combinations(c)))

    def free(self, count: int) -> np.ndarray:
        """The first columns of D not in use: where `outside` leaves its Q."""
        return self.D[:, self.dense : self.dense + count]

    # Growth

    def extend(self, F: Any) -> np.ndarray | None:
        """Coordinates Y (width, s) of F (n, s) in W, which first grows by what F has outside of it, up to rounding.

        None, and nothing changed, if F is sparse and more than `buffer` of its columns would have to be stored.
        """
        self.prepare(F.dtype)
        if not arrays.sparse(F):
            return self.extend_dense(F)
        norms = lengths(F)
        y = self.extend_sparse(divided(F, norms))
        return None if y is None else y * norms

    def prepare(self, dtype: Any, count: int = 0) -> None:
        """Ready for so many columns of this type in D."""
        if len(self.tail):
            self.collapse()
        self.promote(dtype)
        self.reserve(count)

    def promote(self, dtype: Any) -> None:
        """Ready for numbers of this type."""
        wide = np.dtype(np.result_type(self.D.dtype, dtype))
        if wide != self.D.dtype:
            self.move(self.D.shape[1], wide)
            self.tail, self.K = self.tail.astype(wide), self.K.astype(WIDE[wide.name])

    def extend_dense(self, F: np.ndarray) -> np.ndarray:
        """`extend` for a dense F."""
        n, s = F.shape
        if s > n:
            Q, R = np.linalg.qr(F)
            return self.extend_dense(Q) @ R
        self.reserve(s)
        return self.commit(*self.outside(F))

    def outside(self, F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(c, T) with F = W c + Q T, Q orthonormal and outside W, left in the free columns of D.

        Block Gram-Schmidt with Householder QR inside the block, the orthonormal block projected once more: BCGSI+ of Barlow and
        Smoktunowicz, Numer. Math. 123 (2013) 395. What is no more than rounding of its column is left out of Q.
        """
        R = self.free(F.shape[1])
        norms = lengths(F)
        np.divide(F, norms.astype(R.real.dtype), out=R)
        c = self.coordinates(R)
        self.subtract(R, c)
        R, T = self.independent(R, triangular(R), NOISE * self.eps * np.sqrt(F.shape[1]))
        while True:
            again = self.coordinates(R)
            self.subtract(R, again)
            c = c + again @ T
            moved = np.linalg.norm(again)
            if moved <= 1 - HELD:
                if moved**2 > self.eps:  # R^H R = I - again^H again
                    T = straightened(R, adjoint_product(R, R)) @ T
                return c * norms, T * norms
            R, turn = self.independent(R, triangular(R), HELD)
            T = turn @ T

    def subtract(self, R: np.ndarray, c: np.ndarray) -> None:
        """R - W c, in place."""
        for part, Wc in self.combinations(c):
            R[part] -= Wc

    def independent(self, R: np.ndarray, T: np.ndarray, noise: float) -> tuple[np.ndarray, np.ndarray]:
        """(R, T) without the directions in which R T is at most `noise`, R in place."""
        most = min(T.shape[0], self.D.shape[0] - self.width)
        left, sigma, right = np.linalg.svd(T, full_matrices=False)
        if most == T.shape[0] and (sigma > noise).all():
            return R, T
        r = min(most, int(np.count_nonzero(sigma > noise)))
        for part in chunks(len(R), R.shape[1]):
            R[part, :r] = R[part] @ left[:, :r].astype(R.dtype)
        return R[:, :r], sigma[:r, None] * right[:r]

    def commit(self, c: np.ndarray, T: np.ndarray) -> np.ndarray:
        """The coordinates of W c + Q T after the Q of `outside` has become part of W."""
        r, at = T.shape[0], self.dense
        self.dense += r
        self.K = inserted(self.K, at, np.zeros((r, self.K.shape[1])))
        self.Y = inserted(self.Y, at, np.zeros((r, self.Y.shape[1])))
        return inserted(c, at, T)

    def extend_sparse(self, F: Any) -> np.ndarray | None:
        """`extend` for a sparse F with columns of length one: Q = E Z - D Y where that is accurate, D for the other columns.

        (F - W c)^H (F - W c) = F^H F - c^H c = T^H T by pivoted Cholesky, so a column costs nnz k and no n-vector.
        """
        if self.E is not None and self.Z.shape[0] + F.shape[1] > 4 * self.buffer:
            self.collapse()
        c = self.coordinates(F)
        first, rest, T = pivots(adjoint_product(F, F) - c.conj().T @ c)
        rest = rest[lengths(F[:, rest], 0.0) > 0]
        if len(rest) > max(self.buffer, 1):
            return None
        if self.reserve(len(rest)):
            return self.extend_sparse(F)
        y = np.zeros((self.width + len(first), F.shape[1]), np.result_type(c, T))
        y[:, first] = self.commit_sparse(F[:, first], c[:, first], T)
        if len(rest):
            at = self.dense
            found = self.extend_dense(F[:, rest].toarray())
            y = inserted(y, at, np.zeros((self.dense - at, y.shape[1])))
            y[:, rest] = found
        return y

    def commit_sparse(self, F: Any, c: np.ndarray, T: np.ndarray) -> np.ndarray:
        """Coordinates of F = W c + Q T after Q = (F - W c) T^-1 has become an implicit part of W."""
        from scipy.sparse import hstack

        inverse = np.linalg.inv(T)
        a, b = self.stored(c)
        q, r = self.Z.shape[0], T.shape[0]
        Z = np.zeros((q + r, q + r), np.result_type(self.Z, b, inverse))
        Z[:q, :q], Z[:q, q:], Z[q:, q:] = self.Z, -b @ inverse, inverse
        self.Y = np.hstack([self.Y, a @ inverse])
        self.Z = Z
        self.E = F if self.E is None else hstack([self.E, F], format="csc")
        self.K = np.vstack([self.K, np.zeros((r, self.K.shape[1]))])
        return np.vstack([c, T])

    def append_units(self, G: np.ndarray, count: int) -> None:
        """U becomes [U G1; G2] with G = [G1; G2]: `count` more rows, in the tail, which is folded in in time."""
        k = len(G) - count
        self.K = self.K @ G[:k]
        above = self.tail @ G[:k] if len(self.tail) else np.zeros((0, G.shape[1]))
        self.tail = np.vstack([above, G[k:]]).astype(self.D.dtype)
        if len(self.tail) > 4 * self.buffer:
            self.collapse()

    # Storage

    def reserve(self, count: int) -> bool:
        """Room for `count` more columns in D. True if that has collapsed the basis."""
        if self.dense + count <= self.D.shape[1]:
            return False
        k = self.K.shape[1]
        if self.width > k:
            self.collapse(max(k + count, k + self.buffer))
            return True
        self.move(max(self.dense + count, k + self.buffer), self.D.dtype)
        return False

    def load(self, U: np.ndarray) -> None:
        """U (n, k), which is orthonormal, as the basis."""
        self.reserve(U.shape[1])
        self.D[:, : U.shape[1]] = U
        self.dense, self.K = U.shape[1], np.eye(U.shape[1], dtype=self.K.dtype)
        self.forget()

    def move(self, columns: int, dtype: Any) -> None:
        """D in an array of so many columns."""
        D = allocate(self.path, self.D.shape[0], columns, dtype)
        for j in range(self.dense):
            D[:, j] = self.D[:, j]
        self.D = D

    def collapse(self, columns: int = 0) -> None:
        """W becomes U, K the identity; D gets at least so many columns."""
        k, n = self.K.shape[1], self.D.shape[0]
        if len(self.tail) or max(columns, k) > self.D.shape[1]:
            D = allocate(self.path, self.rows, max(columns, k), np.result_type(self.D.dtype, self.tail.dtype))
        else:
            D = self.D
        gram = adjoint_product(self.tail, self.tail) if len(self.tail) else np.zeros((k, k), self.K.dtype)
        for part, rows in self.combinations(self.K):
            D[part, :k] = rows
            gram = gram + rows.conj().T @ rows
        if len(self.tail):
            D[n:, :k] = self.tail
        self.D, self.dense, self.tail = D, k, np.zeros((0, k), D.dtype)
        self.K = np.eye(k, dtype=WIDE[D.dtype.name])
        self.forget()
        if k and np.abs(gram - self.K).max() > DRIFT * self.eps:
            straightened(self.D[:, :k], gram)


def allocate(path: Any, rows: int, columns: int, dtype: Any) -> np.ndarray:
    """An array column by column, in memory or in the file `path`, which replaces the one of that name only in the directory."""
    if path is None or rows * columns == 0:
        return np.empty((rows, columns), dtype, order="F")
    new = f"{os.fspath(path)}.new"
    D = np.memmap(new, dtype, "w+", shape=(rows, columns), order="F")
    os.replace(new, path)
    return D
