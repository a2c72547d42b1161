"""A convolutional network on a grid as a record of numbers, and its forward pass in NumPy: what is applied, without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from .checks import check_weights

TINY = np.float32(1e-30)
BLOCK = 1024  # cells whose neighbourhoods are gathered at a time: they stay in the cache


@dataclass(frozen=True, slots=True)
class GridArchitecture:
    """A residual network from one number a cell to one number a cell: fine convolutions, coarse ones, fine ones.

    dim: 2 or 3; width: filters of 3^dim cells; down, coarse, up: how many convolutions before the pooling (2, 4, ...: one, pairs
    with a skip, one), on the coarse grid and after the upsampling (pairs with a skip). coarsest: None for this network f, that of
    the paper; a number for f on a ladder of grids, y_l = f(r_l) + gain P y_(l+1), r_(l+1) the means of 4 r_l over 2^dim cells, P
    (multi)linear interpolation, down to the grid whose longest side has at most so many cells: one more for every doubling. f is
    the same on all of them, and reads r_l / rms(r_l); by the 4, the square of the ratio of their cells, so are its equations.

    >>> from petrov.learned.networks.grid_network import GridArchitecture
    >>> GridArchitecture(dim=3).parameters, GridArchitecture(dim=3, down=6, coarse=10, up=6).parameters
    (97457, 152881)
    """

    dim: int = 2
    width: int = 16
    down: int = 4
    coarse: int = 6
    up: int = 4
    coarsest: int | None = None

    def __post_init__(self) -> None:
        if self.dim not in (2, 3):
            raise ValueError(f"dim must be 2 or 3; got {self.dim!r}")
        counts = {"width": (self.width, 1, 1), "down": (self.down, 2, 2), "coarse": (self.coarse, 2, 2), "up": (self.up, 2, 2)}
        if self.coarsest is not None:
            counts["coarsest"] = self.coarsest, 2, 1
        for what, (value, least, step) in counts.items():
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 1024 or value % step:
                kind = "an even integer" if step == 2 else "an integer"
                raise ValueError(f"{what} must be {kind} from {least} to 1024; got {value!r}")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """name -> shape of every array of weights, as torch names them."""
        w, cube = self.width, (3,) * self.dim
        kernels = {"first": (w, 1, *cube)}
        for part in ("down", "coarse", "up"):
            kernels |= {f"{part}.{k}": (w, w, *cube) for k in range(getattr(self, part))}
        kernels["last"] = (1, w, *(1,) * self.dim)
        found: dict[str, tuple[int, ...]] = {}
        for name, shape in kernels.items():
            found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        return found | ({} if self.coarsest is None else {"gain": (1,)})

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes().values())

    def rungs(self, grid: tuple[int, ...]) -> int:
        """How many grids coarser than this one f reads."""
        return 0 if self.coarsest is None else max(0, math.ceil(math.log2(max(grid) / self.coarsest)))

    def padded(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        """The grid with cells added at its ends, where its sides cannot be halved so often."""
        unit = 2 ** (self.rungs(grid) + 1)
        return tuple(-(-n // unit) * unit for n in grid)


@dataclass(frozen=True, slots=True, eq=False)
class GridNetwork:
    """An architecture with its weights, float32, by the names of `architecture.shapes()`.

    ValueError if an array is missing, of another shape or type, or not finite.
    """

    architecture: GridArchitecture
    weights: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        check_weights(self.weights, self.architecture.shapes(), "this architecture", "float32")

    @property
    def parameters(self) -> int:
        return self.architecture.parameters

    def on(self, grid: tuple[int, ...]) -> Forward:
        """The forward pass on grids of this shape; ValueError if it has another number of sides, or an empty one."""
        if len(grid) != self.architecture.dim or min(grid) < 1:
            raise ValueError(f"this network reads grids of {self.architecture.dim} sides; got {tuple(grid)}")
        return forward(self, tuple(int(n) for n in grid))


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Cells of one grid as columns of arrays (width, 2 margin + cells), a layer of zero cells around the grid.

    steps: from a cell to its 3^dim neighbours, in the order of a kernel; inside: 1 in the grid, 0 in the layer around it.
    """

    shape: tuple[int, ...]
    margin: int
    steps: tuple[int, ...]
    inside: np.ndarray

    @classmethod
    def of(cls, grid: tuple[int, ...]) -> Level:
        shape = tuple(n + 2 for n in grid)
        strides = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
        steps = tuple(int(np.dot(strides, offset)) for offset in product((-1, 0, 1), repeat=len(grid)))
        inside = np.pad(np.ones(grid, np.float32), 1).ravel()
        return cls(shape, max(steps), steps, inside)

    def new(self, width: int) -> np.ndarray:
        return np.zeros((width, 2 * self.margin + len(self.inside)), np.float32)

    def interior(self, x: np.ndarray) -> np.ndarray:
        """The cells of the grid, as a view (width, *grid)."""
        cells = x[:, self.margin : self.margin + len(self.inside)].reshape(len(x), *self.shape)
        return cells[(slice(None), *[slice(1, -1)] * len(self.shape))]


@dataclass(frozen=True, slots=True, eq=False)
class Forward:
    """The network on grids of one shape: u (*grid) -> (*grid), float32. Weights are laid out for products, memory is its own.

    A cell costs 2 * 3^dim width^2 flops a convolution; held are about 5 width numbers a cell.
    """

    architecture: GridArchitecture
    grid: tuple[int, ...]
    levels: tuple[Level, ...]
    kernels: Mapping[str, tuple[np.ndarray, np.ndarray]]
    gain: np.float32

    @property
    def nbytes(self) -> int:
        kept = [part for pair in self.kernels.values() for part in pair]
        return sum(part.nbytes for part in kept) + sum(level.inside.nbytes for level in self.levels)

    def __call__(self, u: np.ndarray) -> np.ndarray:
        r = [np.zeros(tuple(n - 2 for n in self.levels[0].shape), np.float32)]
        r[0][tuple(slice(n) for n in self.grid)] = u
        for _ in self.levels[2:]:
            r.append(np.float32(4) * pooled(r[-1][None])[0])
        y: Any = None
        for k in range(len(r))[::-1]:
            size = np.float32(1) if k == 0 else max(np.sqrt(np.square(r[k]).mean()), TINY)  # the caller has scaled the first
            z = size * self.single(k, r[k] / size)
            y = z if y is None else z + self.gain * interpolated(y)
        return np.ascontiguousarray(y[tuple(slice(n) for n in self.grid)])

    def single(self, k: int, u: np.ndarray) -> np.ndarray:
        """f on grid k and the one below it."""
        a, level, below = self.architecture, self.levels[k], self.levels[k + 1]
        x = level.new(1)
        level.interior(x)[0] = u
        x = self.convolved("down.0", level, self.convolved("first", level, x, linear=True))
        x = self.pairs("down", range(1, a.down - 1, 2), level, x)
        x = self.convolved(f"down.{a.down - 1}", level, x)
        coarse = below.new(a.width)
        below.interior(coarse)[:] = pooled(level.interior(x))
        coarse = self.pairs("coarse", range(0, a.coarse, 2), below, coarse)
        spread(below.interior(coarse), level.interior(x))
        x = self.pairs("up", range(0, a.up, 2), level, x)
        weight, bias = self.kernels["last"]
        return np.tensordot(weight[0], level.interior(x), axes=1) + bias[0]

    def pairs(self, part: str, starts: range, level: Level, x: np.ndarray) -> np.ndarray:
        """x <- x + ReLU(conv(ReLU(conv(x)))) for every pair of convolutions."""
        for k in starts:
            x = self.convolved(f"{part}.{k + 1}", level, self.convolved(f"{part}.{k}", level, x), skip=x)
        return x

    def convolved(
        self, name: str, level: Level, x: np.ndarray, *, skip: np.ndarray | None = None, linear: bool = False
    ) -> np.ndarray:
        """ReLU(conv(x)) + skip, a block of cells at a time: neighbourhoods gathered, one product, what comes after it."""
        (weight, bias), inputs = self.kernels[name], len(x)
        y = level.new(len(weight))
        gathered = np.empty((len(level.steps) * inputs, BLOCK), np.float32)
        for low, high in blocks(len(level.inside)):
            patch = gathered[:, : high - low]
            here, there = level.margin + low, level.margin + high
            for k, step in enumerate(level.steps):
                patch[k * inputs : (k + 1) * inputs] = x[:, here + step : there + step]
            out = weight @ patch
            out += bias[:, None]
            if not linear:
                np.maximum(out, 0.0, out=out)
            if skip is not None:
                out += skip[:, here:there]
            np.multiply(out, level.inside[low:high], out=y[:, here:there])
        return y


def forward(network: GridNetwork, grid: tuple[int, ...]) -> Forward:
    a = network.architecture
    shape = a.padded(grid)
    levels = tuple(Level.of(tuple(n >> k for n in shape)) for k in range(a.rungs(grid) + 2))
    kernels: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name in a.shapes():
        if name.endswith(".weight"):
            weight = network.weights[name]
            flat = np.moveaxis(weight.reshape(*weight.shape[:2], -1), 1, 2).reshape(len(weight), -1)  # (outputs, 3^dim inputs)
            kernels[name.removesuffix(".weight")] = np.ascontiguousarray(flat), network.weights[name[:-6] + "bias"]
    gain = network.weights["gain"][0] if a.coarsest is not None else np.float32(0)
    return Forward(a, grid, levels, kernels, gain)


def blocks(cells: int) -> Iterator[tuple[int, int]]:
    for low in range(0, cells, BLOCK):
        yield low, min(low + BLOCK, cells)


def halves(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """The 2^dim cells of every coarse cell, by slices."""
    for first in product((0, 1), repeat=len(shape)):
        yield (slice(None), *[slice(k, None, 2) for k in first])


def pooled(x: np.ndarray) -> np.ndarray:
    """The means over 2^dim cells of x (width, *grid)."""
    parts = [x[at] for at in halves(x.shape[1:])]
    return sum(parts[1:], parts[0]) * np.float32(1 / len(parts))


def spread(coarse: np.ndarray, x: np.ndarray) -> None:
    """x (width, *grid) += the value of the coarse cell around each cell."""
    for at in halves(x.shape[1:]):
        x[at] += coarse


def interpolated(y: np.ndarray) -> np.ndarray:
    """y (*grid) on a grid twice as fine: 3/4 of a cell's own coarse cell and 1/4 of the next one, along every axis."""
    for axis in range(y.ndim):
        y = np.moveaxis(y, axis, 0)
        ends = np.concatenate([y[:1], y, y[-1:]])
        fine = np.empty((2 * len(y), *y.shape[1:]), y.dtype)
        fine[::2], fine[1::2] = 0.75 * y + 0.25 * ends[:-2], 0.75 * y + 0.25 * ends[2:]
        y = np.moveaxis(fine, 0, axis)
    return y


def untrained(architecture: GridArchitecture, seed: int) -> GridNetwork:
    """Weights uniform within the bound of Glorot and Bengio (2010), as in the paper; biases 0, gain 1/2. Seeded."""
    rng = np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}
    for name, shape in architecture.shapes().items():
        cells = math.prod(shape[2:])
        bound = math.sqrt(6.0 / (cells * (shape[0] + shape[1]))) if len(shape) > 1 else 0.0
        weights[name] = rng.uniform(-bound, bound, shape).astype(np.float32) if bound else np.zeros(shape, np.float32)
    if architecture.coarsest is not None:
        weights["gain"] = np.full(1, 0.5, np.float32)
    return GridNetwork(architecture, weights)


def network_from(architecture: GridArchitecture, weights: Mapping[str, Any]) -> GridNetwork:
    """The network with these weights, whatever floating-point type they come in."""
    return GridNetwork(architecture, {name: np.asarray(value, np.float32) for name, value in weights.items()})
