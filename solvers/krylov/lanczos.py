"""The Lanczos iteration with full reorthogonalisation: an orthonormal basis in which a symmetric A is tridiagonal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Lanczos:
    """A Q^T = Q^T T + off[m - 1] q_m e_m^T after m steps, the rows of Q orthonormal to rounding, T tridiagonal.

    Attributes
    ----------
    vectors : (room + 1, n)
        Rows 0 to m are q_0, ..., q_m, in the precision of the first vector; the others are room for more steps.
    diagonal, off : (room,) float64
        Entries 0 to m - 1 are those of T and the one beside its last row; off[m - 1] is 0 if the space is invariant.
    steps : int
        m.

    Notes
    -----
    For real NumPy vectors. A step is one product and four passes over the vectors so far (Gram and Schmidt twice): m^2 n
    multiplications in all. Saad, Numerical Methods for Large Eigenvalue Problems (2011), Algorithm 6.5.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.solvers.krylov.lanczos import Lanczos
    >>> found = Lanczos.begin(np.ones(4), room=9).extended(np.diag([1.0, 2.0, 3.0, 4.0]), 9)
    >>> found.steps, found.values.round(10).tolist()
    (4, [1.0, 2.0, 3.0, 4.0])
    """

    vectors: np.ndarray
    diagonal: np.ndarray
    off: np.ndarray
    steps: int = 0

    @classmethod
    def begin(cls, start: np.ndarray, room: int) -> Lanczos:
        """No step yet, memory for `room` of them. ValueError if start (n,) is zero or not finite, or room < 1."""
        length = float(np.linalg.norm(np.asarray(start, np.float64)))
        if not 0.0 < length < math.inf or room < 1:
            raise ValueError(f"Lanczos needs a finite start other than 0 and room >= 1; got ||start|| = {length}, room = {room}")
        room = min(room, len(start))
        vectors = np.zeros((room + 1, len(start)), np.asarray(start).dtype)
        vectors[0] = start / length
        return cls(vectors, np.zeros(room), np.zeros(room))

    @property
    def room(self) -> int:
        return len(self.diagonal)

    @property
    def closed(self) -> bool:
        """The space is invariant under A: no step can be added, the Ritz values are eigenvalues."""
        return self.steps > 0 and self.off[self.steps - 1] == 0.0

    def extended(self, A: Any, steps: int) -> Lanczos:
        """The same after so many steps more, or as many as there is room for, or until the space is invariant.

        Shares memory with this one, whose own rows stay as they are. FloatingPointError if A gives NaN or infinity.
        """
        Q, T, off, m = self.vectors, self.diagonal, self.off, self.steps
        floor = 4 * np.finfo(Q.dtype).eps * math.sqrt(Q.shape[1])
        while m < min(self.steps + steps, self.room) and not (m and off[m - 1] == 0.0):
            w = np.asarray(A @ Q[m]).astype(Q.dtype, copy=True)
            size = float(np.linalg.norm(w))
            if not math.isfinite(size):
                raise FloatingPointError(f"A gave NaN or infinity in Lanczos step {m + 1}; check A")
            T[m] = float(np.dot(Q[m], w))
            for _ in range(2):
                w -= (Q[: m + 1] @ w) @ Q[: m + 1]
            beta = float(np.linalg.norm(w))
            off[m] = beta if beta > floor * size and m + 1 < Q.shape[1] else 0.0
            if off[m] > 0.0:
                Q[m + 1] = w / beta
            m += 1
        return replace(self, steps=m)

    @property
    def values(self) -> np.ndarray:
        """The Ritz values (m,), rising."""
        from scipy.linalg import eigh_tridiagonal

        return eigh_tridiagonal(self.diagonal[: self.steps], self.off[: max(self.steps - 1, 0)], eigvals_only=True)

    def ritz(self, rows: int = 256) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The Ritz values, rising, and Ritz vectors (rows of length one), at most so many at a time: (k,) and (k, n)."""
        from scipy.linalg import eigh_tridiagonal

        m = self.steps
        values, S = eigh_tridiagonal(self.diagonal[:m], self.off[: max(m - 1, 0)])
        for low in range(0, m, rows):
            part = S[:, low : low + rows].T.astype(self.vectors.dtype)
            yield values[low : low + rows], part @ self.vectors[:m]
