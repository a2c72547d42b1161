"""A diagonal matrix: the one preconditioner that kernels fuse into the update of the residual."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..kernels.cuda.matrix import scaled


@dataclass(frozen=True, slots=True, eq=False)
class Diagonal:
    """The operator r -> d * r; `values` is d (n,), `name` is what it is called in messages."""

    values: Any
    name: str = "diagonal"
    linear: bool = True
    spd: bool | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return (self.values.shape[0], self.values.shape[0])

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    def __matmul__(self, x: Any) -> Any:
        return self.values * x if x.ndim == 1 else self.values[:, None] * x

    def diagonal(self) -> Any:
        return self.values

    def moved(self, move: Callable[[Any], Any]) -> Diagonal:
        """The same on another device: move(array of the host)."""
        return replace(self, values=move(self.values))

    def into(self, r: Any, z: Any) -> Any:
        """z = d r on a GPU, for contiguous r and z (n,) or (n, k) of one type."""
        return scaled(self.values, r, z)

    def __repr__(self) -> str:
        return f"{self.name}: {self.shape[0]} x {self.shape[1]}, {self.dtype}"

    @property
    def H(self) -> Diagonal:
        return Diagonal(self.values.conj(), self.name, self.linear, self.spd)
