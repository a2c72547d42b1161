"""Where to begin: the combination of the last solutions that leaves the least residual."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import arrays
from ..arrays import Space
from ..external.petsc import Distributed
from ..result import SolveResult
from ..storage import Stored
from .answers import HERE

REMEMBERED = 3
DEPENDENT = 1e-13  # of the largest eigenvalue of a Gram matrix of rows of length one
Known = Stored | Distributed
WORTH = 0.3  # of ||b||: a larger residual saves too little


class Start:
    """The last solutions, and whether they have told anything of the next one.

    Solutions are remembered in the units of the matrix that the set-up was made for: where A = A0 diag(units), A^-1 b is the
    like of A0^-1 b only after that scaling. Minimising ||b - A X c|| costs as many products as solutions are remembered. When
    that has gained nothing, it rests for 4, 8, 16, ... systems. Fischer, Comput. Methods Appl. Mech. Engrg. 163 (1998) 193.
    """

    def __init__(self) -> None:
        self.recent: list[np.ndarray] = []
        self.rests, self.patience = 0, 4

    def guess(self, A: Any, b: Any, units: np.ndarray | None) -> np.ndarray | None:
        """x0 (n,) for a compacted A, or the rows of it that this rank has of a distributed one; None where it is not worth it."""
        if self.rests:
            self.rests -= 1
            return None
        if not self.recent or not isinstance(b, np.ndarray) or b.shape != self.recent[0].shape or not isinstance(A, Known):
            return None
        with np.errstate(all="ignore"):
            X = np.stack(self.recent if units is None else [x / units for x in self.recent])
            images = np.stack([A @ x for x in X])
            home = Space(np, "float64", "cpu", None, comm=getattr(A, "comm", None))
            c, left = combination(images, b, home)
            if not left <= WORTH * arrays.norm(b, home):
                self.rests, self.patience = self.patience, 2 * self.patience
                return None
        self.patience = 4
        return c @ X

    def rebase(self, units: np.ndarray | None) -> None:
        """The set-up is made anew for a matrix with these units."""
        if units is not None:
            self.recent = [x / units for x in self.recent if x.shape == units.shape]

    def learn(self, result: SolveResult, units: np.ndarray | None) -> None:
        """Remember the solution of the last system."""
        x = result.x
        if not result.converged or not isinstance(x, np.ndarray) or x.ndim != 1:
            return
        if self.recent and (self.recent[0].shape != x.shape or self.recent[0].dtype != x.dtype):
            self.recent = []
        self.recent = [*self.recent[-(REMEMBERED - 1) :], x if units is None else x * units]


def combination(rows: np.ndarray, b: np.ndarray, home: Space = HERE) -> tuple[np.ndarray, float]:
    """(c, ||b - c rows||) with the c that makes that least, but for directions that depend on others; NaN where not finite.

    By the Gram matrix of a few rows (k, n), once more for what its squared condition has left.
    """
    gram = arrays.across(rows.conj() @ rows.T, home)
    lengths = np.sqrt(np.diag(gram).real)
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    if not (np.isfinite(gram).all() and np.isfinite(arrays.norm(b, home))):
        return np.zeros(len(rows)), np.nan
    values, vectors = np.linalg.eigh(scale[:, None] * gram * scale)
    good = values > DEPENDENT * values[-1]
    white = scale[:, None] * vectors[:, good] / np.sqrt(values[good])
    c, r = np.zeros(len(rows), white.dtype), b
    for _ in range(2):
        c = c + white @ (white.conj().T @ arrays.across(rows.conj() @ r, home))
        r = b - c @ rows
    return c, float(arrays.norm(r, home))
