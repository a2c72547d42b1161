"""Right-hand sides of one matrix that have been answered, and what they say of another."""

from __future__ import annotations

import numpy as np

from .. import arrays
from ..arrays import Space

MOST = 64  # pairs that are held
NEW = 1e-3  # of ||b||: what is left of b below this adds nothing that could be trusted
BUDGET = 0.25  # of the time of the solves, which looking may take before it has found anything
FREE = 4  # right-hand sides that are looked at whatever it takes
SAMPLED = 4  # entries a vector by which independence is told
SEED = 60_457
HERE = Space(np, "float64", "cpu", None)


class Answers:
    """Pairs (q, x) with A x = q and orthonormal q: whatever lies in the span of the q needs no solve.

    The oldest pair goes when a new one needs its place. Looking ends when it has taken a quarter of the time of the solves
    without a right-hand side that the others tell, so right-hand sides of full rank cost little. Memory: 128 n numbers at most.
    `home`: whether the n rows are of one rank of several.
    """

    def __init__(self, n: int, most: int = MOST, home: Space = HERE) -> None:
        self.n, self.most, self.home = n, most, home
        self.Q, self.X = np.zeros((0, n)), np.zeros((0, n))
        self.size, self.found, self.seen = 0, 0, 0
        self.looking, self.solving = 0.0, 0.0  # seconds

    @property
    def worth(self) -> bool:
        """Whether to go on looking."""
        return self.most > 0 and (self.found > 0 or self.seen < FREE or self.looking <= BUDGET * self.solving)

    def independent(self, B: np.ndarray, rtol: float) -> bool:
        """True only if no column of B (n, k) is within rtol of its length of the span of the others and the pairs.

        Told from some of the entries, where distances are no longer than over all: the least singular value is no longer either.
        """
        vectors = self.size + B.shape[1]
        if SAMPLED * vectors >= self.n or self.home.comm is not None:
            return False
        some = np.random.default_rng(SEED).choice(self.n, SAMPLED * vectors, replace=False)
        norms = np.linalg.norm(B, axis=0)
        lengths = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
        part = np.concatenate([self.Q[: self.size, some].T, B[some] * lengths], axis=1)
        return bool(np.linalg.svd(part, compute_uv=False)[-1] > rtol)

    def guess(self, b: np.ndarray) -> tuple[np.ndarray | None, np.ndarray, float]:
        """(x, b - A x, its part of ||b||) with the x that the pairs tell; x is None without pairs."""
        X, left, parts = self.guesses(b[:, None])
        return None if X is None else X[:, 0], left[:, 0], float(parts[0])

    def guesses(self, B: np.ndarray) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
        """The same for the columns of B (n, k)."""
        norms = arrays.norm(B, self.home)
        if not self.size:
            return None, B, np.where(norms > 0, 1.0, 0.0)
        Q, X = self.Q[: self.size], self.X[: self.size]
        C = arrays.across(Q @ B, self.home)
        left = B - Q.T @ C
        again = arrays.across(Q @ left, self.home)  # once more: what is left of a b in the span is rounding
        left -= Q.T @ again
        parts = np.divide(arrays.norm(left, self.home), norms, out=np.zeros_like(norms), where=norms > 0)
        return X.T @ (C + again), left, parts

    def learn(self, left: np.ndarray, x: np.ndarray, part: float) -> None:
        """Take the pair (left, x) in, part being ||left|| / ||b||."""
        size = float(arrays.norm(left, self.home))
        if part < NEW or not size > 0.0 or not arrays.everywhere(bool(np.isfinite(x).all()), self.home):
            return
        if self.size == len(self.Q) < self.most:
            grown = min(max(1, 2 * len(self.Q)), self.most)
            self.Q, self.X = (np.concatenate([P, np.empty((grown - len(P), self.n))]) for P in (self.Q, self.X))
        if self.size == self.most:
            self.Q[:-1], self.X[:-1] = self.Q[1:].copy(), self.X[1:].copy()
            self.size -= 1
        self.Q[self.size], self.X[self.size] = left / size, x / size
        self.size += 1
