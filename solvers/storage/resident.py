"""A matrix on a GPU: the arrays of its compact form there, and the same matrix on the host for whatever looks at entries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..kernels.cuda.matrix import product
from .csr import CSR, canonical
from .dia import DIA
from .sell import SELL

Move = Callable[[np.ndarray], Any]  # an array of the host as one of the device


@dataclass(frozen=True, slots=True, eq=False)
class Resident:
    """form 'csr', 'dia' or 'sell'; parts: what its kernels take, arrays on the device and numbers; on_host: what they are of.

    `A @ x` with x (n,) or (n, k) on the same device. Memory: the compact form twice, once there and once here, where recipes of
    preconditioners set up. `move` brings an array of the host to the device.
    """

    form: str
    parts: tuple[Any, ...]
    on_host: CSR | DIA | SELL
    move: Move

    @property
    def shape(self) -> tuple[int, int]:
        return self.on_host.shape

    @property
    def dtype(self) -> Any:
        return self.on_host.dtype

    @property
    def nnz(self) -> int:
        return self.on_host.nnz

    def __matmul__(self, x: Any) -> Any:
        return product(self, x)

    @property
    def H(self) -> Any:
        other = self.on_host.H
        return self if other is self.on_host else resident(canonical(other), self.move)

    def diagonal(self) -> Any:
        return self.move(self.on_host.diagonal())

    def __repr__(self) -> str:
        return f"{self.on_host!r}, on a GPU"


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A matrix on a GPU of which the host keeps nothing: its form and what the kernels take, as in `Resident`."""

    form: str
    parts: tuple[Any, ...]
    shape: tuple[int, int]

    @property
    def nbytes(self) -> int:
        return sum(int(getattr(part, "nbytes", 8)) for part in self.parts)


def placed(A: CSR | DIA | SELL, move: Move) -> Placed:
    """The compact form of A alone on a device."""
    if isinstance(A, DIA):
        n, count = A.bands.shape[1], len(A.offsets)
        return Placed("dia", (move(A.bands), move(np.array(A.offsets, np.int64)), count, int(A.hermitian), n), A.shape)
    if isinstance(A, SELL):
        return Placed("sell", tuple(map(move, (A.stored, A.columns, A.starts, A.bases, A.places))), A.shape)
    return Placed("csr", tuple(map(move, (A.values, A.indices, A.indptr))), A.shape)


def resident(A: CSR | DIA | SELL, move: Move) -> Resident:
    """A compacted matrix of the host on a device."""
    there = placed(A, move)
    return Resident(there.form, there.parts, A, move)


__all__ = ["Move", "Placed", "Resident", "placed", "resident"]
