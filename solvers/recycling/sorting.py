"""The order in which to solve systems of different parameters, so that each is near the one before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

KEPT = 12  # frequencies of each axis that stand for a field
WIDE = 256  # numbers a sample beyond which vectors are projected
PROJECTED = 64
GROUP = 1_000  # samples among which the nearest is looked for
BITS, AXES = 10, 6  # of a Hilbert curve: 2^10 steps along each of the 6 directions in which samples differ most
AT_ONCE = 2**22  # numbers of a slice of the work
SEED = 92_003
METHODS = ("auto", "greedy", "hilbert", "grouped")


def order(parameters: Any, method: str = "auto", *, start: int = 0) -> np.ndarray:
    """A permutation (N,) of the samples that begins with `start` and keeps near ones together.

    Parameters
    ----------
    parameters : (N,), (N, p) or (N, n_1, ..., n_d) array
        What sets a system apart, one sample a row; fields (d >= 2) stand by their lowest 12 frequencies an axis, vectors longer
        than 256 by 64 random projections.
    method : str
        'greedy': to the nearest sample that is left, O(N^2 p). 'hilbert': along a Hilbert curve through the 6 principal
        directions, O(N p + N log N). 'grouped': greedy within groups of 1000 along that curve, O(1000 N p). 'auto': greedy up
        to 2000 samples, grouped above.

    Returns
    -------
    (N,) int64

    Notes
    -----
    Memory: N p numbers (p after the reduction, 168 for fields in the plane; in single precision where the fields are) and a slice
    of the fields, which may be a memory map. The reduction never lengthens a distance between fields. Wang et al., ICLR 2024,
    Algorithm 1; Skilling, AIP Conf. Proc. 707 (2004) 381. Raises ValueError for parameters that are not finite numbers.

    >>> import numpy as np
    >>> from petrov.solvers.recycling import sorting
    >>> sorting.order(np.array([0.0, 5.0, 1.0, 4.0]))
    array([0, 2, 3, 1])
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    F = features(parameters)
    if not 0 <= start < max(len(F), 1):
        raise ValueError(f"start must be one of the {len(F)} samples; got {start}")
    if method == "greedy" or (method == "auto" and len(F) <= 2 * GROUP):
        return greedy(F, start)
    along = hilbert(F)
    along = np.roll(along, -int(np.flatnonzero(along == start)[0]))
    return along if method == "hilbert" else grouped(F, along)


def features(parameters: Any) -> np.ndarray:
    """(N, p) of short rows, distances as they are or a little less."""
    P = np.asarray(parameters)
    if P.ndim == 0 or P.dtype.kind not in "biufc" or not all(np.isfinite(part).all() for part in slices(P)):
        raise ValueError(f"parameters must be finite numbers, one sample a row; got dtype {P.dtype}, shape {P.shape}")
    if P.dtype.kind == "c":
        P = np.stack([P.real, P.imag], axis=-1).reshape(len(P), *P.shape[1:-1], -1)
    if P.ndim > 2:
        return low_frequencies(P)
    P = np.asarray(P, float).reshape(len(P), -1)
    if P.shape[1] <= WIDE:
        return P
    project = np.random.default_rng(SEED).standard_normal((P.shape[1], PROJECTED)) / np.sqrt(PROJECTED)
    return P @ project


def low_frequencies(fields: np.ndarray, count: int = KEPT) -> np.ndarray:
    """(N, p): the lowest `count` frequencies of every axis but the first, by Parseval scaled to keep their distances."""
    axes = tuple(range(1, fields.ndim))
    keep = np.ix_(*([*range(count // 2), *range(-(count // 2), 0)] if n > count else range(n) for n in fields.shape[1:-1]))
    last, even = min(count // 2 + 1, fields.shape[-1] // 2 + 1), fields.shape[-1] % 2 == 0
    weights = np.full(last, np.sqrt(2.0))  # of a pair of conjugate frequencies, of which one is kept
    weights[0] = 1.0
    if even and last == fields.shape[-1] // 2 + 1:
        weights[-1] = 1.0
    kind, parts = np.result_type(fields.dtype, np.float32), []
    for part in slices(fields):
        waves = np.fft.rfftn(np.asarray(part, kind), axes=axes, norm="ortho")[..., :last] * weights
        kept = waves[(slice(None), *keep)].reshape(len(waves), -1)
        parts.append(np.concatenate([kept.real, kept.imag], axis=1).astype(kind, copy=False))
    return np.concatenate(parts) if parts else np.zeros((0, 1))


def slices(samples: np.ndarray) -> Iterator[np.ndarray]:
    """A few million numbers at a time."""
    step = max(1, AT_ONCE // max(1, samples[0].size if len(samples) else 1))
    return (samples[first : first + step] for first in range(0, len(samples), step))


def greedy(F: np.ndarray, start: int = 0) -> np.ndarray:
    """From `start` always to the nearest row that is left; ties to the lowest index."""
    left, names = np.array(F, copy=True), np.arange(len(F))
    squares = np.einsum("ij,ij->i", left, left)
    found, here, count = [], start, len(F)
    while count:
        found.append(names[here])
        point = left[here].copy()
        # The last one takes the place of the one that is gone: what is left stays contiguous.
        count -= 1
        left[here], squares[here], names[here] = left[count], squares[count], names[count]
        if count:
            distances = squares[:count] - 2.0 * (left[:count] @ point)
            near = np.flatnonzero(distances <= distances.min())
            here = int(near[np.argmin(names[near])])
    return np.array(found, np.int64)


def grouped(F: np.ndarray, along: np.ndarray, size: int = GROUP) -> np.ndarray:
    """Greedy within groups of neighbours of an order, each entered where it is nearest to the end of the last."""
    parts: list[np.ndarray] = []
    for group in np.array_split(along, max(1, -(-len(along) // size))):
        start = 0
        if parts:
            gap = F[group] - F[parts[-1][-1]]
            start = int(np.argmin(np.einsum("ij,ij->i", gap, gap)))
        parts.append(group[greedy(F[group], start)])
    return np.concatenate(parts)


def hilbert(F: np.ndarray) -> np.ndarray:
    """The rows in the order of a Hilbert curve through their principal directions."""
    if len(F) < 2:
        return np.arange(len(F))
    mean, scale = F.mean(axis=0, dtype=float), max(float(np.abs(F).max()), 1e-300)
    spread = sum(np.asarray((part - mean) / scale, float).T @ ((part - mean) / scale) for part in slices(F))
    values, vectors = np.linalg.eigh(spread)
    axes = vectors[:, ::-1][:, : min(AXES, int(np.sum(values > 1e-12 * values[-1])) or 1)]
    place = np.concatenate([(part - mean) @ axes for part in slices(F)])
    span = np.ptp(place[:, 0])  # one scale for all: a curve must not stretch what hardly differs
    cells = np.clip((place - place.min(axis=0)) / (span if span > 0 else 1.0) * (2**BITS - 1), 0, 2**BITS - 1)
    return np.lexsort(hilbert_digits(cells.astype(np.int64))[::-1])


def hilbert_digits(cells: np.ndarray) -> np.ndarray:
    """(BITS, N): the digits, first to last, of where the cells (N, d) of 2^BITS steps an axis lie on the curve.

    Skilling's transposed form of the index: undo the excess work from the highest bit down, then Gray decode.
    """
    X = cells.T.copy()
    d = len(X)
    for bit in range(BITS - 1, 0, -1):
        Q = 1 << bit
        P = Q - 1
        for axis in range(d):
            set_ = (X[axis] & Q) != 0
            swap = np.where(set_, 0, (X[0] ^ X[axis]) & P)
            X[0] ^= np.where(set_, P, swap)
            X[axis] ^= swap
    for axis in range(1, d):
        X[axis] ^= X[axis - 1]
    flip = np.zeros_like(X[0])
    for bit in range(BITS - 1, 0, -1):
        flip ^= np.where(X[d - 1] & (1 << bit), (1 << bit) - 1, 0)
    X ^= flip
    digits = np.zeros((BITS, X.shape[1]), np.int64)
    for bit in range(BITS):
        for axis in range(d):
            digits[BITS - 1 - bit] |= ((X[axis] >> bit) & 1) << (d - 1 - axis)
    return digits


def path_length(parameters: Any, along: np.ndarray) -> float:
    """The sum of the distances from each sample to the next."""
    F = features(parameters)[along]
    return float(np.linalg.norm(np.diff(F, axis=0), axis=1).sum())
