"""Clusters of snapshots: k-medoids (PAM) on a matrix of dissimilarities, k-means as its rival, and a vote for new parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SEED = 60_217
GAIN = 1e-12  # of the cost: a smaller gain of a swap is rounding
RANK = 1.5e-8  # of the largest singular value of a trajectory: directions below it are not part of its subspace
ROUNDS = 300  # of k-means
WEIGHTS = (0.5, 0.25, 0.125, 0.0, 1.0)  # of a parameter in the distance of a vote
WIDTHS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)  # of the kernel of a vote, in typical distances of neighbours; 0: the nearest alone
FEW = (0.0, 2.0)  # of these, while weights are looked for
CHUNK = 1024  # queries at a time


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """labels (m,): the cluster of each item; medoids (k,): the item that stands for each, rising; cost: what was minimised."""

    labels: np.ndarray
    medoids: np.ndarray
    cost: float


def kmedoids(D: Any, k: int, *, restarts: int = 20, seed: int = SEED) -> Clusters:
    """k of m items, so that the sum of the dissimilarities D (m, m) between each item and its nearest medoid is small.

    PAM: from the seeds of k-medoids++ the best of all k (m - k) swaps of a medoid with another item is made until none lowers
    the cost, and the best of `restarts` such descents is kept. That is a local minimum, not always the global one. An item ties
    to the first of its nearest medoids, a medoid to itself, so no cluster is empty. Each swap costs k m^2 multiply-adds for all
    candidates together; memory: 3 m^2 numbers. Raises ValueError if D is not square, symmetric, finite and nonnegative with
    a zero diagonal, or if k is not in 1..m.

    Kaufman and Rousseeuw, Finding Groups in Data (1990), chapter 2; all k swaps with one item at once: Schubert and Rousseeuw,
    Information Systems 101 (2021) 101804; seeds: Arthur and Vassilvitskii, SODA (2007), with distances in place of their squares.

    >>> import numpy as np
    >>> from petrov.rom.local_bases.clustering import kmedoids
    >>> x = np.array([0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
    >>> found = kmedoids(abs(x[:, None] - x), 2)
    >>> found.labels, found.medoids, found.cost
    (array([0, 0, 0, 1, 1, 1]), array([1, 4]), 4.0)
    """
    D = dissimilarities(D)
    counted(k, len(D), restarts)
    rng = np.random.default_rng(seed)
    best, least = np.arange(k), math.inf
    for _ in range(restarts):
        medoids, cost = swapped(D, seeded(lambda i: D[i], len(D), k, rng))
        if cost < least:
            best, least = medoids, cost
    best = np.sort(best)
    labels = D[best].argmin(axis=0)
    labels[best] = np.arange(k)
    return Clusters(labels, best, float(least))


def dissimilarities(D: Any) -> np.ndarray:
    """D as a checked array (m, m)."""
    D = np.asarray(D)
    if D.ndim != 2 or D.shape[0] != D.shape[1] or D.dtype.kind not in "fiub":
        raise ValueError(f"dissimilarities must be a square array of real numbers (m, m); got shape {D.shape}, {D.dtype}")
    D = D.astype(np.float64)
    if not np.isfinite(D).all() or (D < 0).any():
        raise ValueError("dissimilarities must be finite and nonnegative")
    largest = D.max(initial=0.0)
    if np.abs(D - D.T).max(initial=0.0) > 1e-8 * largest or np.abs(D.diagonal()).max(initial=0.0) > 1e-8 * largest:
        raise ValueError("dissimilarities must be symmetric with a zero diagonal; give (D + D.T) / 2 less its diagonal")
    return D


def counted(k: int, m: int, restarts: int) -> None:
    if not 1 <= k <= m:
        raise ValueError(f"{k} clusters of {m} items were asked for; k must be in 1..{m}")
    if restarts < 1:
        raise ValueError(f"restarts must be at least 1; got {restarts}")


def seeded(distances: Callable[[int], np.ndarray], m: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """k different items, each drawn with a probability proportional to its distance to those drawn before."""
    chosen = [int(rng.integers(m))]
    near = distances(chosen[0]).copy()
    while len(chosen) < k:
        near[chosen] = 0
        if near.sum() == 0:  # all others coincide with one that is chosen
            near[np.setdiff1d(np.arange(m), chosen)] = 1
        chosen.append(int(rng.choice(m, p=near / near.sum())))
        near = np.minimum(near, distances(chosen[-1]))
    return np.array(chosen)


def swapped(D: np.ndarray, medoids: np.ndarray) -> tuple[np.ndarray, float]:
    """(medoids, cost) after the best swap has been made until none is left."""
    k = len(medoids)
    while True:
        near = D[medoids]
        owner = near.argmin(axis=0)
        first = near.min(axis=0)
        near[owner, np.arange(len(D))] = np.inf
        second = near.min(axis=0)
        joins = np.minimum(D, first)  # row h: the distances with item h as one medoid more
        leaves = np.minimum(D, second) - joins  # what the loss of its medoid then costs each item
        change = (joins - first).sum(axis=1)[:, None] + leaves @ np.eye(k)[owner]  # (m, k): h comes, medoid l goes
        h, l = np.unravel_index(change.argmin(), change.shape)
        if change[h, l] >= -GAIN * first.sum():
            return medoids, float(first.sum())
        medoids = medoids.copy()
        medoids[l] = h


def kmeans(points: Any, k: int, *, normalised: bool = True, restarts: int = 20, seed: int = SEED) -> Clusters:
    """k-means (Lloyd) of the columns of `points` (n, m): the sum of the squared distances to the means of the clusters is small.

    normalised: of the columns divided by their lengths. Neither form knows that u and -u span the same line, which the sine does.
    From seeds of k-means++; an empty cluster takes the column farthest from its mean. The medoid of a cluster is the column
    nearest to its mean. At most 300 rounds of n m k multiply-adds for each restart; memory: points twice. Raises ValueError for
    a zero column if normalised, for NaN and for k not in 1..m. Lloyd, IEEE Trans. Inf. Theory 28 (1982) 129.

    >>> import numpy as np
    >>> from petrov.rom.local_bases.clustering import kmeans
    >>> kmeans(np.array([[1.0, 0.9, 0.0, 0.1], [0.0, 0.1, 9.0, 3.0]]), 2).labels
    array([0, 0, 1, 1])
    """
    points = columns(points)
    counted(k, points.shape[1], restarts)
    points = unit(points) if normalised else points
    rng = np.random.default_rng(seed)
    best, least = np.arange(0), np.full(0, np.inf)
    for _ in range(restarts):
        start = seeded(lambda i: squared(points, points[:, [i]])[0], points.shape[1], k, rng)
        labels, far = rounds(points, points[:, start])
        if not least.size or far.sum() < least.sum():
            best, least = labels, far
    medoids = np.array([np.flatnonzero(best == c)[least[best == c].argmin()] for c in range(k)])
    order = np.argsort(medoids)
    return Clusters(np.argsort(order)[best], medoids[order], float(least.sum()))


def rounds(points: np.ndarray, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(labels, squared distances to the means) when no label changes any more."""
    k, former = means.shape[1], np.full(points.shape[1], -1)
    for _ in range(ROUNDS):
        far = squared(points, means)
        labels, far = far.argmin(axis=0), far.min(axis=0)
        for c in np.setdiff1d(np.arange(k), labels):
            shared = np.bincount(labels, minlength=k)[labels] > 1
            taken = np.where(shared, far, -1).argmax()
            labels[taken], far[taken] = c, 0
        if (labels == former).all():
            break
        means = points @ (np.eye(k)[labels] / np.bincount(labels, minlength=k)).astype(points.dtype)
        former = labels
    return labels, far


def squared(points: np.ndarray, means: np.ndarray) -> np.ndarray:
    """|mean - point|^2 of each mean and each column (k, m), with the digits that a comparison of distances needs."""
    lengths = [(np.abs(part) ** 2).sum(axis=0) for part in (means, points)]
    return np.maximum(lengths[0][:, None] + lengths[1] - 2 * (means.conj().T @ points).real, 0)


# -- Dissimilarities -------------------------------------------------------------------------------------------------------


def columns(U: Any) -> np.ndarray:
    """U as a checked array (n, m) of floating-point numbers."""
    U = np.asarray(U)
    if U.ndim != 2 or U.shape[0] == 0 or U.dtype.kind not in "fciub":
        raise ValueError(f"expected an array (n, m) of numbers, a vector a column; got shape {U.shape}, {U.dtype}")
    U = U if U.dtype.kind in "fc" else U.astype(np.float64)
    if not np.isfinite(U).all():
        raise ValueError("the vectors must be finite; they hold NaN or infinity")
    return U


def unit(U: np.ndarray) -> np.ndarray:
    """The columns divided by their lengths, at any scale; ValueError if one is zero."""
    largest = np.abs(U).max(axis=0)
    if (largest == 0).any():
        zero = np.flatnonzero(largest == 0)
        raise ValueError(f"column {zero[0]} is zero ({zero.size} of {largest.size} are): it has no direction; leave it out")
    U = U / largest
    return U / np.linalg.norm(U, axis=0)


def sine_distances(U: Any, V: Any = None) -> np.ndarray:
    """sin of the angle between the lines of two vectors, sqrt(1 - |<u, v>|^2 / (|u| |v|)^2): (m, q) for the columns of U and V.

    It is the relative error of projecting v on u: no scaling, sign or phase changes it. V=None: U with itself. The Gram matrix
    gives it to eps/sine only, eps that of the type: sines below eps^(1/4) are computed as the length of v - u <u, v> instead. So
    the absolute error is some eps^(3/4) (2e-12) at most and some eps for the smallest: more than enough to sort by. float64.
    n m q multiply-adds, and as many slower ones if all vectors are nearly parallel. Raises ValueError for a zero vector and NaN.
    Daniel, Casenave, Akkari and Ryckelynck, arXiv:2108.12291.

    >>> import numpy as np
    >>> from petrov.rom.local_bases.clustering import sine_distances
    >>> sine_distances(np.array([[1.0, -2.0, 1.0], [0.0, 0.0, 1e-12]]))[0]
    array([0.e+00, 0.e+00, 1.e-12])
    """
    U, W = columns(U), columns(U if V is None else V)
    dtype = np.result_type(U, W)
    U, W = unit(U.astype(dtype, copy=False)), unit(W.astype(dtype, copy=False))
    C = U.conj().T @ W
    D = np.sqrt(np.maximum((1 - np.abs(C)) * (1 + np.abs(C)), 0)).astype(np.float64)
    limit = float(np.finfo(C.dtype).eps) ** 0.25
    for i in range(len(D)):
        close = np.flatnonzero(D[i, i + 1 :] < limit) + i + 1 if V is None else np.flatnonzero(D[i] < limit)
        if close.size:
            D[i, close] = np.linalg.norm(W[:, close] - U[:, [i]] * C[i, close], axis=0)
    if V is None:
        D = np.triu(D, 1)
        D = D + D.T
    return D


def subspace_distances(blocks: list[np.ndarray], kind: str = "grassmann", directions: int | None = None) -> np.ndarray:
    """Distances (m, m) of the ranges of m arrays (n, r_i), from their principal angles t_1, t_2, ...

    kind 'grassmann': sqrt(sum t^2); 'sine': sqrt(sum sin^2 t). Between subspaces of dimensions p and q the missing |p - q|
    angles count as right ones, which keeps a metric: Ye and Lim, SIAM J. Matrix Anal. Appl. 37 (2016) 1176. A range is spanned by
    the left singular vectors above 1.5e-8 of the largest singular value, or by the leading `directions` of them at most: every
    angle counts alike, so directions of noise must be left out. Distances below eps^(1/4) are computed once more from sines
    (Bjorck and Golub, Math. Comp. 27 (1973) 579): errors as those of `sine_distances`. float64; memory: 2 m n max(r) numbers.

    >>> import numpy as np
    >>> from petrov.rom.local_bases.clustering import subspace_distances
    >>> I = np.eye(3)
    >>> subspace_distances([I[:, :1], I[:, 1:]], "sine").round(6).tolist()
    [[0.0, 1.414214], [1.414214, 0.0]]
    """
    right = {"grassmann": math.pi / 2, "sine": 1.0}[kind] ** 2
    bases = [subspace(block, directions) for block in blocks]
    sizes = np.array([basis.shape[1] for basis in bases])
    stacked = np.zeros((len(bases), len(bases[0]), sizes.max()), np.result_type(*bases))
    for place, basis in zip(stacked, bases, strict=True):
        place[:, : basis.shape[1]] = basis
    eps = float(np.finfo(stacked.dtype).eps)
    D = np.zeros((len(bases), len(bases)))
    for i, Q in enumerate(bases):
        cosines = np.linalg.svd(Q.conj().T @ stacked[:i], compute_uv=False) if i else np.zeros((0, sizes[i]))
        real = np.arange(cosines.shape[1]) < sizes[:i, None]  # the others are zero columns
        total = np.where(real, measured(np.arccos(np.minimum(cosines, 1)), kind), 0).sum(axis=1)
        D[i, :i] = np.sqrt(total + right * np.abs(sizes[:i] - sizes[i]))
        for j in np.flatnonzero(D[i, :i] < eps**0.25):
            sines = np.linalg.svd(bases[j] - Q @ (Q.conj().T @ bases[j]), compute_uv=False)
            D[i, j] = math.sqrt(measured(np.arcsin(np.minimum(sines, 1)), kind).sum())
    return D + D.T


def subspace(block: np.ndarray, directions: int | None) -> np.ndarray:
    """An orthonormal basis of the range of (n, r)."""
    U, s, _ = np.linalg.svd(columns(block), full_matrices=False)
    if s.max(initial=0.0) == 0:
        raise ValueError("a snapshot is zero: it has no direction; leave it out")
    return U[:, : min(int((s > RANK * s[0]).sum()), directions or len(s))]


def measured(angles: np.ndarray, kind: str) -> np.ndarray:
    """What each principal angle adds to the square of a distance."""
    return angles**2 if kind == "grassmann" else np.sin(angles) ** 2


# -- A vote of the neighbours ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class Vote:
    """A classifier: training items vote for their cluster with the weight exp(-d^2 / (2 width^2)), width 0: the nearest alone.

    d is the Euclidean distance of parameters times `scale` (p,), or the sine distance of features where scale is None.
    `accuracy`: the share of training items that the others put into the right cluster, the largest among the scales and widths
    tried, so somewhat too high. Assigning q items costs q m p multiply-adds; memory: 1024 m numbers.
    """

    points: np.ndarray  # parameters (m, p), or features (m, d)
    labels: np.ndarray  # (m,)
    scale: np.ndarray | None
    width: float
    accuracy: float

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """The clusters (q,) of parameters (q, p), or of features (q, d)."""
        parts = [points[i : i + CHUNK] for i in range(0, len(points), CHUNK)]
        found = [elected(self.distances(part), self.labels, self.width) for part in parts]
        return np.concatenate([np.zeros(0, self.labels.dtype), *found])

    def distances(self, points: np.ndarray) -> np.ndarray:
        """Squared distances (q, m)."""
        if self.scale is None:
            return sine_distances(points.T, self.points.T) ** 2
        return parameter_distances(points, self.points, self.scale)


def vote_by_parameters(mus: np.ndarray, labels: np.ndarray) -> Vote:
    """Parameters scaled to the box of the training set, then weighted: each in turn, twice, gets the weight that errs least."""
    extent = np.ptp(mus, axis=0)
    scale = np.divide(1.0, extent, out=np.zeros(len(extent)), where=extent > 0)
    best, _ = judged(parameter_distances(mus, mus, scale), labels, FEW)
    weights = np.ones(len(scale))
    for j in list(range(len(scale))) * (2 if len(scale) > 1 else 0):
        for weight in WEIGHTS:
            trial = np.where(np.arange(len(scale)) == j, weight, weights)
            accuracy, _ = judged(parameter_distances(mus, mus, scale * trial), labels, FEW)
            if accuracy > best:
                best, weights = accuracy, trial
    accuracy, width = judged(parameter_distances(mus, mus, scale * weights), labels, WIDTHS)
    return Vote(mus, labels, scale * weights, width, accuracy)


def vote_by_features(features: np.ndarray, labels: np.ndarray) -> Vote:
    """By the sine distance of features (m, d)."""
    accuracy, width = judged(sine_distances(features.T) ** 2, labels, WIDTHS)
    return Vote(features, labels, None, width, accuracy)


def parameter_distances(mus: np.ndarray, others: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (q, m) of scaled parameters, a coordinate at a time."""
    total = np.zeros((len(mus), len(others)))
    for j in np.flatnonzero(scale):
        total += ((mus[:, None, j] - others[:, j]) * scale[j]) ** 2
    return total


def judged(squares: np.ndarray, labels: np.ndarray, widths: tuple[float, ...]) -> tuple[float, float]:
    """(accuracy, width) of the width with which most items are elected rightly by the others (leave-one-out)."""
    if len(labels) == 1:
        return 1.0, 0.0
    squares = squares.copy()
    np.fill_diagonal(squares, np.inf)
    spacing = float(np.median(np.sqrt(squares.min(axis=1))))
    shares = [float((elected(squares, labels, width * spacing) == labels).mean()) for width in widths]
    best = int(np.argmax(shares))
    return shares[best], widths[best] * spacing


def elected(squares: np.ndarray, labels: np.ndarray, width: float) -> np.ndarray:
    """The label (q,) with most votes, of squared distances (q, m)."""
    if width == 0:
        return labels[squares.argmin(axis=1)]
    weights = np.exp((squares.min(axis=1)[:, None] - squares) / (2 * width**2))
    return (weights @ np.eye(labels.max() + 1)[labels]).argmax(axis=1)
