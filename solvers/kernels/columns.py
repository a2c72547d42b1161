"""The block of a block method in the array API: any library, written to be read."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import arrays
from ..arrays import Space
from . import reference


class Block:
    """X, R = B - A X and the directions P of the columns of one solve. Made from x, r (n, k) and the columns that move.

    The small matrices that it takes and gives are on the host, in double precision.
    """

    def __init__(self, A: Any, M: Any, x: Any, r: Any, moving: list[int], space: Space):
        self.A, self.M, self.X, self.space, self.order, self.size = A, M, x, space, moving, 0
        self.R = self.taken(r, moving)
        self.Z = self.P = self.R

    def taken(self, x: Any, columns: list[int]) -> Any:
        places = self.space.xp.asarray(np.array(columns, np.int64), device=self.space.device)
        return arrays.copy(self.space.xp.take(x, places, axis=1), self.space)

    def small(self, matrix: np.ndarray) -> Any:
        return arrays.asarray(matrix, self.space)

    def gram(self, x: Any, y: Any) -> np.ndarray:
        """The Hermitian part of x^H y, summed in double precision."""
        xp, wide = self.space.xp, arrays.WIDE[self.space.dtype]
        x, y = arrays.asarray(x, self.space, wide), arrays.asarray(y, self.space, wide)
        x = xp.conj(x) if wide.startswith("complex") else x
        product = arrays.across(arrays.to_numpy(xp.permute_dims(x, (1, 0)) @ y), self.space)
        return (product + product.conj().T) / 2

    def start(self) -> np.ndarray:
        """Z = M R; R^H Z."""
        self.Z = self.R if self.M is None else reference.product(self.M, self.R, self.space, "M")
        return self.gram(self.R, self.Z)

    def turn(self, beta: np.ndarray, chosen: list[int]) -> np.ndarray:
        """P = Z[:, chosen] + P beta; P^H A P."""
        new = self.taken(self.Z, chosen)
        self.P = new if beta.shape[0] == 0 else new + self.P @ self.small(beta)
        self.Q, self.size = reference.product(self.A, self.P, self.space), len(chosen)
        return self.gram(self.P, self.Q)

    def advance(self, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """X += P alpha, R -= A P alpha; (R^H M R, R^H R on its diagonal)."""
        spread = np.zeros((alpha.shape[0], self.X.shape[1]), alpha.dtype)  # a column that has ended stays as it is
        spread[:, self.order] = alpha
        self.X = self.X + self.P @ self.small(spread)
        self.R = self.R - self.Q @ self.small(alpha)
        rho = self.start()
        return rho, np.diag(rho if self.M is None else self.gram(self.R, self.R)).real

    def keep(self, stay: list[int]) -> None:
        """Go on with these of the moving columns; the others stay as they are."""
        self.R = self.taken(self.R, stay)
        self.Z = self.R if self.M is None else self.taken(self.Z, stay)
        self.order = [self.order[j] for j in stay]

    def x(self) -> Any:
        """X (n, k)."""
        return self.X

    def along(self, v: np.ndarray) -> Any:
        """P v (n,)."""
        return self.P @ self.small(v)


def compile_for(A: Any) -> float:
    """The seconds spent compiling: none."""
    return 0.0
