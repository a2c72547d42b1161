"""What a rank sends in one product with a five- or seven-point matrix, exactly, however the grid is dealt."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Halo(NamedTuple):
    """What one rank sends: rows, each once for every rank that needs it, and the messages in which they go."""

    rows: int
    messages: int


def starts(n: int, parts: int) -> np.ndarray:
    """Where each of the parts of n things begins, and n: n / parts each, the first ones one more, as PETSc deals rows.

    >>> from petrov.benchmarks.scaling.halo import starts
    >>> starts(10, 3)
    array([ 0,  4,  7, 10])
    """
    sizes = np.full(parts, n // parts)
    sizes[: n % parts] += 1
    return np.concatenate([[0], np.cumsum(sizes)])


def dealt(shape: Sequence[int], ranks: int, rank: int) -> Halo:
    """Rows in the order of the grid, the last axis fastest, dealt in `ranks` runs: slabs while a run holds a layer.

    >>> from petrov.benchmarks.scaling.halo import dealt
    >>> dealt((100, 100, 100), 4, 1)  # two faces
    Halo(rows=20000, messages=2)
    """
    begins = starts(math.prod(shape), ranks)
    own = np.arange(begins[rank], begins[rank + 1])

    def owner(points: Sequence[np.ndarray]) -> np.ndarray:
        return np.searchsorted(begins, index(shape, points), "right") - 1

    return sent(shape, np.unravel_index(own, shape), rank, owner)


def blocks(shape: Sequence[int], parts: Sequence[int], rank: int) -> Halo:
    """Boxes: parts[a] ranks along axis a, numbered like the points.

    >>> from petrov.benchmarks.scaling.halo import blocks
    >>> blocks((100, 100, 100), (4, 4, 4), 21)  # inside: six faces of 25 x 25
    Halo(rows=3750, messages=6)
    """
    begins = [starts(n, part) for n, part in zip(shape, parts, strict=True)]
    place = np.unravel_index(rank, parts)
    axes = [np.arange(begin[k], begin[k + 1]) for begin, k in zip(begins, place, strict=True)]
    points = tuple(axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))

    def owner(points: Sequence[np.ndarray]) -> np.ndarray:
        where = tuple(np.searchsorted(begin, x, "right") - 1 for begin, x in zip(begins, points, strict=True))
        return index(parts, where)

    return sent(shape, points, rank, owner)


def sent(
    shape: Sequence[int], points: Sequence[np.ndarray], rank: int, owner: Callable[[Sequence[np.ndarray]], np.ndarray]
) -> Halo:
    """The pairs of a point of this rank and another rank that owns one of its neighbours."""
    pairs = []
    for axis, n in enumerate(shape):
        for step in (-1, 1):
            inside = (points[axis] + step >= 0) & (points[axis] + step < n)
            near = [x[inside] + (step if k == axis else 0) for k, x in enumerate(points)]
            theirs = owner(near)
            away = theirs != rank
            mine = index(shape, [x[inside][away] for x in points])
            pairs.append(np.stack([mine, theirs[away]]))
    found = np.unique(np.concatenate(pairs, axis=1), axis=1)
    return Halo(found.shape[1], len(np.unique(found[1])))


def index(shape: Sequence[int], points: Sequence[np.ndarray]) -> np.ndarray:
    """The numbers of these points, the last axis fastest."""
    number = np.zeros_like(points[0], dtype=np.int64)
    for n, x in zip(shape, points, strict=True):
        number = number * n + x
    return number


def cubes(ranks: int, dim: int) -> tuple[int, ...]:
    """Factors of `ranks`, `dim` of them, as nearly equal as they can be.

    >>> from petrov.benchmarks.scaling.halo import cubes
    >>> cubes(1000, 3), cubes(8, 2), cubes(2, 3)
    ((10, 10, 10), (4, 2), (2, 1, 1))
    """
    if dim == 1:
        return (ranks,)
    factors = [k for k in range(1, ranks + 1) if ranks % k == 0]
    first = min((k for k in factors if k**dim >= ranks), default=ranks)
    return (first, *cubes(ranks // first, dim - 1))
