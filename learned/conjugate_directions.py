"""Deep conjugate directions: a convolutional network proposes where to go from a residual, flexible_cg goes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np

from .networks.grid_network import Forward, GridArchitecture, GridNetwork, untrained
from .recipe import told


@dataclass(frozen=True, slots=True, eq=False)
class ConjugateDirections:
    """The recipe for r -> |r| f(r / |r|) with a network f on the grid of A: a direction for flexible_cg, no linear map.

    The network reads the residual alone, neither A nor where the obstacles are: of every system of the size and the kind that it
    was trained on it knows the low modes, which CG is slowest with. flexible_cg makes its directions conjugate to the last two
    and searches exactly along them, so it never does harm but costs iterations where it knows nothing.

    Parameters
    ----------
    network : GridNetwork
        Trained by `petrov.learned.train`, or `ConjugateDirections.untrained(...).network`.
    grid : tuple of int
        Cells along each axis, last axis fastest. None: read from the diagonals of A, where every cell is an unknown.
    mask : booleans of that shape
        True where a cell is an unknown, in the order of the grid; None: all are. The network sees zeros elsewhere.

    Notes
    -----
    `petrov.solve(A, b, M=recipe.bind(grid=..., mask=...))` takes flexible_cg because M says linear=False. Applied in NumPy, in
    single precision, columns one by one; holds about 5 width numbers of 4 bytes a cell while it works. In 2-D a cell costs 44 000
    flops, and A's row 10: on one core an iteration takes 250 (512^2 cells) to 450 times (64^2) as long as one of CG's, and no
    number of iterations that it saves makes up for that there. It is the method of a paper, to compare with; `GridMultigrid` is
    what is fast. Raises ValueError where the grid cannot be told or does not fit.

    `load("conjugate-directions-2d")` is the network of the paper, trained on 32^2 and 64^2 cells with solid bodies in them. It
    sees 22 cells far: to 1e-4, between bodies that it has not met, it takes 15, 25 and 47 iterations at 64^2, 128^2 and 256^2
    (means of six systems; CG 117, 224 and 436). `load("conjugate-directions-2d-deep")`, no network of the paper, adds what the
    same network says of the means of r on coarser grids, one more for every doubling: 13, 17 and 22, and 34 at 512^2 (CG 871).
    It was trained on at most 128^2 cells; with `.deeper(16, gain=0.6)`, a larger part for the coarse grids, it takes 30 there.

    Kaneda, Akar, Chen, Kala, Hyde and Teran, A deep conjugate direction method for iteratively solving linear systems (ICML
    2023). Ours differs: the residual is scaled to mean square one, not to length one, which at the size that was trained on is
    a factor in the weights, and keeps what the network reads of one size on others.

    Examples
    --------
    >>> from petrov.learned import ConjugateDirections
    >>> from petrov.solvers import flexible_cg, problems
    >>> A, b = problems.poisson(16)[:2]
    >>> flexible_cg(A, b, M=ConjugateDirections.untrained(), max_iterations=3).iterations
    3
    """

    network: GridNetwork
    grid: tuple[int, ...] | None = None
    mask: Any = None

    name = "conjugate directions"
    kind = "conjugate-directions"

    @classmethod
    def untrained(cls, *, dim: int = 2, seed: int = 28_657, **architecture: Any) -> ConjugateDirections:
        """The network of the paper before training; keywords are those of `GridArchitecture`."""
        return cls(untrained(GridArchitecture(dim=dim, **architecture), seed))

    def deeper(self, coarsest: int, gain: float = 0.5) -> ConjugateDirections:
        """The same network on a ladder of grids: with one level more for every doubling of a grid."""
        a, b = self.network.architecture, self.network.weights
        return ConjugateDirections(
            GridNetwork(replace(a, coarsest=coarsest), {**b, "gain": np.full(1, gain, np.float32)}), self.grid, self.mask
        )

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        return self.network.weights

    def with_weights(self, weights: Mapping[str, np.ndarray]) -> ConjugateDirections:
        held = {name: np.asarray(value, np.float32) for name, value in weights.items()}
        return ConjugateDirections(GridNetwork(self.network.architecture, held), self.grid, self.mask)

    def description(self) -> dict[str, Any]:
        """Nothing bounds the directions: the line search does."""
        return {"architecture": asdict(self.network.architecture), "bounds": {}}

    @classmethod
    def described(cls, description: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> ConjugateDirections:
        given = description["architecture"]
        if not isinstance(given, dict) or set(given) != {field.name for field in fields(GridArchitecture)}:
            raise ValueError("its architecture is not described by the numbers that this petrov knows")
        return cls(GridNetwork(GridArchitecture(**given), weights))

    def bind(self, *, grid: Any = None, mask: Any = None, **_: Any) -> ConjugateDirections:
        """The recipe told the grid, and which of its cells are unknowns; what it knew and is not told again stays."""
        return told(self, grid=None if grid is None else tuple(int(n) for n in grid), mask=mask)

    def small(self) -> Directions:
        """Applied on a grid of five cells a side."""
        grid = (5,) * self.network.architecture.dim
        return Directions(self.network.on(grid), np.arange(math.prod(grid)), np.dtype(np.float64))

    @property
    def module(self) -> Any:
        """The network as a torch module, its weights copied; needs torch."""
        from .networks.convolution import module_of

        return module_of(self.network)

    def __call__(self, A: Any) -> Directions:
        n = A.shape[0]
        grid = self.grid if self.grid is not None else grid_of(A, self.network.architecture.dim)
        mask = np.ones(grid, bool) if self.mask is None else np.asarray(self.mask)
        if mask.shape != tuple(grid) or mask.dtype != bool or np.count_nonzero(mask) != n:
            raise ValueError(
                f"{n} unknowns were asked for on a grid {tuple(grid)}, the mask is {mask.dtype} {mask.shape} with "
                f"{np.count_nonzero(mask)} cells; bind(grid=, mask=) with one True for each unknown, in the order of the grid"
            )
        dtype = np.dtype(A.dtype) if A.dtype is not None else np.dtype(np.float64)
        return Directions(self.network.on(grid), np.flatnonzero(mask), dtype)


def grid_of(A: Any, dim: int) -> tuple[int, ...]:
    """The sides of a grid whose neighbours are coupled in A, from the distances of its diagonals: 1, n_2, n_2 n_3."""
    if not hasattr(A, "tocsr"):
        raise ValueError(f"the grid cannot be read from {type(A).__name__}, which has no entries; give it with bind(grid=...)")
    entries = A.tocsr().tocoo()
    gaps = [int(gap) for gap in np.unique(np.abs(entries.row.astype(np.int64) - entries.col)) if gap > 0]
    sizes = [*gaps, A.shape[0]]
    if len(gaps) != dim or gaps[0] != 1 or any(large % small for small, large in pairwise(sizes)):
        shown = ", ".join(map(str, gaps[:4])) + (", ..." if len(gaps) > 4 else "")
        raise ValueError(
            f"the grid cannot be read from A, whose diagonals lie at distances {shown or 'none'} for {A.shape[0]} unknowns in "
            f"{dim} dimensions; give it with bind(grid=..., mask=...)"
        )
    return tuple(large // small for small, large in pairwise(sizes))[::-1]


@dataclass(frozen=True, slots=True, eq=False)
class Directions:
    """r -> |r| f(r / |r|): homogeneous, not linear. cells: where the unknowns are in the grid."""

    forward: Forward
    cells: np.ndarray
    dtype: np.dtype

    name = "conjugate directions"
    linear = False
    spd = None

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.cells), len(self.cells)

    @property
    def nbytes(self) -> int:
        return self.forward.nbytes + self.cells.nbytes

    def __matmul__(self, r: Any) -> np.ndarray:
        r = np.asarray(r)
        if r.ndim not in (1, 2) or len(r) != len(self.cells):
            raise ValueError(f"r must have shape ({len(self.cells)},) or ({len(self.cells)}, k); got {r.shape}")
        columns = [self.direction(r[:, k]) for k in range(r.shape[1])] if r.ndim == 2 else [self.direction(r)]
        dtype = np.result_type(r.dtype, np.float32)
        return (np.stack(columns, axis=1) if r.ndim == 2 and columns else columns[0] if columns else r).astype(dtype, copy=False)

    def direction(self, r: np.ndarray) -> np.ndarray:
        size = float(np.linalg.norm(r)) / math.sqrt(max(len(r), 1))
        if size == 0.0 or not math.isfinite(size):
            return r * 0.0  # NaN where r is not finite
        u = np.zeros(self.forward.grid, np.float32)
        u.reshape(-1)[self.cells] = r / size
        return size * self.forward(u).reshape(-1)[self.cells].astype(np.float64)

    def __repr__(self) -> str:
        grid = " x ".join(str(n) for n in self.forward.grid)
        parameters = self.forward.architecture.parameters
        return f"{self.name} {self.shape[0]} x {self.shape[1]} on a grid {grid}, {parameters} weights"
