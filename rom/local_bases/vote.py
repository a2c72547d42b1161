"""The cluster of a new parameter, by a vote of the training parameters or of their features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .dissimilarities import sine_distances

WEIGHTS = (0.5, 0.25, 0.125, 0.0, 1.0)  # of a parameter in the distance of a vote
WIDTHS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)  # of the kernel of a vote, in typical distances of neighbours; 0: the nearest alone
FEW = (0.0, 2.0)  # of these, while weights are looked for
CHUNK = 1024  # queries at a time


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
    best, _ = leave_one_out(parameter_distances(mus, mus, scale), labels, FEW)
    weights = np.ones(len(scale))
    for j in list(range(len(scale))) * (2 if len(scale) > 1 else 0):
        for weight in WEIGHTS:
            trial = np.where(np.arange(len(scale)) == j, weight, weights)
            accuracy, _ = leave_one_out(parameter_distances(mus, mus, scale * trial), labels, FEW)
            if accuracy > best:
                best, weights = accuracy, trial
    accuracy, width = leave_one_out(parameter_distances(mus, mus, scale * weights), labels, WIDTHS)
    return Vote(mus, labels, scale * weights, width, accuracy)


def vote_by_features(features: np.ndarray, labels: np.ndarray) -> Vote:
    """By the sine distance of features (m, d)."""
    accuracy, width = leave_one_out(sine_distances(features.T) ** 2, labels, WIDTHS)
    return Vote(features, labels, None, width, accuracy)


def parameter_distances(mus: np.ndarray, others: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (q, m) of scaled parameters, a coordinate at a time."""
    total = np.zeros((len(mus), len(others)))
    for j in np.flatnonzero(scale):
        total += ((mus[:, None, j] - others[:, j]) * scale[j]) ** 2
    return total


def leave_one_out(squares: np.ndarray, labels: np.ndarray, widths: tuple[float, ...]) -> tuple[float, float]:
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
