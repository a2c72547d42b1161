"""Where to begin: the combination of the last solutions that leaves the least residual."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import arrays
from ..result import SolveResult

REMEMBERED = 3
WORTH = 0.3  # of ||b||: a larger residual saves too little


class Start:
    """The last solutions, and whether they have told anything of the next one.

    Minimising ||b - A X c|| costs as many products as solutions are remembered. When that has gained nothing, it rests for 4, 8,
    16, ... systems. Fischer, Comput. Methods Appl. Mech. Engrg. 163 (1998) 193.
    """

    def __init__(self) -> None:
        self.recent: list[np.ndarray] = []
        self.rests, self.patience = 0, 4

    def guess(self, A: Any, b: Any) -> np.ndarray | None:
        """x0 (n,), or None where it is not worth it."""
        if self.rests:
            self.rests -= 1
            return None
        if not self.recent or not isinstance(b, np.ndarray) or b.shape != self.recent[0].shape or not arrays.sparse(A):
            return None
        X = np.stack(self.recent, axis=1)
        with np.errstate(all="ignore"):
            AX = A @ X
            finite = bool(np.isfinite(AX).all() and np.isfinite(b).all())
            Q, R = np.linalg.qr(AX) if finite else (AX, AX)
            c = np.linalg.lstsq(R, Q.conj().T @ b, rcond=1e-12)[0] if finite else b
            if not finite or not np.linalg.norm(b - AX @ c) <= WORTH * np.linalg.norm(b):
                self.rests, self.patience = self.patience, 2 * self.patience
                return None
        self.patience = 4
        return X @ c

    def learn(self, result: SolveResult) -> None:
        """Remember the solution of the last system."""
        x = result.x
        if not result.converged or not isinstance(x, np.ndarray) or x.ndim != 1:
            return
        if self.recent and (self.recent[0].shape != x.shape or self.recent[0].dtype != x.dtype):
            self.recent = []
        self.recent = [*self.recent[-(REMEMBERED - 1) :], x]
