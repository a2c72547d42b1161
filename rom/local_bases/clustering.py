"""Clusters of snapshots: k-medoids (PAM) on a matrix of dissimilarities, and k-means as its rival."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .dissimilarities import checked_columns, checked_dissimilarities, normalised_columns

SEED = 60_217
GAIN = 1e-12  # of the cost: a smaller gain of a swap is rounding
ROUNDS = 300  # of k-means


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
    D = checked_dissimilarities(D)
    check_counts(k, len(D), restarts)
    rng = np.random.default_rng(seed)
    best, least = np.arange(k), math.inf
    for _ in range(restarts):
        medoids, cost = best_swaps(D, distant_seeds(lambda i: D[i], len(D), k, rng))
        if cost < least:
            best, least = medoids, cost
    best = np.sort(best)
    labels = D[best].argmin(axis=0)
    labels[best] = np.arange(k)
    return Clusters(labels, best, float(least))


def best_swaps(D: np.ndarray, medoids: np.ndarray) -> tuple[np.ndarray, float]:
    """(medoids, cost) after the best swap has been made until none lowers the cost."""
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
    points = checked_columns(points)
    check_counts(k, points.shape[1], restarts)
    points = normalised_columns(points) if normalised else points
    rng = np.random.default_rng(seed)
    best, least = np.arange(0), np.full(0, np.inf)
    for _ in range(restarts):
        start = distant_seeds(lambda i: squared_distances(points, points[:, [i]])[0], points.shape[1], k, rng)
        labels, far = lloyd(points, points[:, start])
        if not least.size or far.sum() < least.sum():
            best, least = labels, far
    medoids = np.array([np.flatnonzero(best == c)[least[best == c].argmin()] for c in range(k)])
    order = np.argsort(medoids)
    return Clusters(np.argsort(order)[best], medoids[order], float(least.sum()))


def lloyd(points: np.ndarray, means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(labels, squared distances to the means) when no label changes any more."""
    k, former = means.shape[1], np.full(points.shape[1], -1)
    for _ in range(ROUNDS):
        far = squared_distances(points, means)
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


def squared_distances(points: np.ndarray, means: np.ndarray) -> np.ndarray:
    """|mean - point|^2 of each mean and each column (k, m), with the digits that a comparison of distances needs."""
    lengths = [(np.abs(part) ** 2).sum(axis=0) for part in (means, points)]
    return np.maximum(lengths[0][:, None] + lengths[1] - 2 * (means.conj().T @ points).real, 0)


def distant_seeds(distances: Callable[[int], np.ndarray], m: int, k: int, rng: np.random.Generator) -> np.ndarray:
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


def check_counts(k: int, m: int, restarts: int) -> None:
    if not 1 <= k <= m:
        raise ValueError(f"{k} clusters of {m} items were asked for; k must be in 1..{m}")
    if restarts < 1:
        raise ValueError(f"restarts must be at least 1; got {restarts}")
