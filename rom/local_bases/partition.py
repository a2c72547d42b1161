"""A partition of the parameters into clusters with a basis each, which measures what it gains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..pod import Euclidean, half_product
from .fields import checked_fields, checked_parameters, evaluated, length, projection_errors
from .gains import MeasuredGain, PredictedGain
from .vote import Vote

PROBES = 8  # stored features that a callable given to from_arrays must reproduce


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """Clusters of the parameters, a basis each, as `LocalBases.fit` makes them.

    Memory: all bases, the features if there are any, and a few numbers a snapshot.

    Attributes
    ----------
    labels : ndarray (m,)
        The cluster of each training snapshot.
    medoids : ndarray (k,)
        The snapshot that stands for each cluster.
    bases : list of k ndarrays (n, N_i)
        Orthonormal in the product.
    whole : ndarray (n, max N_i)
        The basis of all snapshots, with which the local ones compete.
    training_errors : ndarray (2, m)
        Relative, of projecting each snapshot on its basis, and on the whole one.
    mus : ndarray (m, p)
    vote : Vote
        The classifier of parameters, or of features.
    features : callable or None
    space : object with lower and lift, or None
        The coordinates in which the product is Euclidean; None after `from_arrays` without the product.
    """

    labels: np.ndarray
    medoids: np.ndarray
    bases: list[np.ndarray]
    whole: np.ndarray
    training_errors: np.ndarray
    mus: np.ndarray
    vote: Vote
    features: Callable[[np.ndarray], Any] | None
    space: Any

    def assign(self, mus: Any) -> np.ndarray:
        """The clusters (q,) of parameters (q, p), by the vote of the training parameters, or of their features.

        q m p multiply-adds. Raises ValueError for parameters that are not finite or not p.
        """
        mus = checked_parameters(mus, None, self.mus.shape[1])
        return self.vote(mus if self.features is None else evaluated(self.features, mus, self.vote.points.shape[1]))

    def before(self) -> PredictedGain:
        """The gain that the snapshots and their partition alone predict: each is projected on the basis of its own cluster.

        The bases have seen these snapshots, so the errors are too small, and those of the local bases, made of fewer
        snapshots each, more so than that of the whole one.
        """
        means = [[float(part[self.labels == c].mean()) for part in self.training_errors] for c in range(len(self.bases))]
        sizes = [basis.shape[1] for basis in self.bases]
        local, whole = (float(part.mean()) for part in self.training_errors)
        return PredictedGain(np.bincount(self.labels), np.array(sizes), np.array(means), local, whole)

    def after(self, snapshots: Any, mus: Any) -> MeasuredGain:
        """The gain measured on q snapshots that the bases have not seen, given with their parameters as those of `fit`.

        Cost: a projection on each of the bases, 4 n q sum_i N_i operations. Raises ValueError for what does not fit `fit`'s
        snapshots, and without the product that they had.
        """
        if self.space is None:
            raise ValueError("this partition was made with a product: Partition.from_arrays(..., product=X) measures in it")
        fields = [self.space.lower(field) for field in checked_fields(snapshots)]
        mus = checked_parameters(mus, len(fields), self.mus.shape[1])
        items = [field / length(field, i) for i, field in enumerate(fields)]
        local = projection_errors(items, [self.space.lower(basis) for basis in self.bases])
        whole = projection_errors(items, [self.space.lower(self.whole)])[0]
        taken, best = self.assign(mus), local.argmin(axis=0)
        chosen = local[taken, np.arange(len(items))]
        return MeasuredGain(
            count=len(items),
            size=self.whole.shape[1],
            whole=float(whole.mean()),
            oracle=float(local.min(axis=0).mean()),
            random=float(local.mean()),
            classifier=float(chosen.mean()),
            accuracy=float((taken == best).mean()),
            validated=self.vote.accuracy,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """All that a file needs, as plain arrays; callables and the product are given again to `from_arrays`."""
        found = {name: getattr(self, name) for name in ("labels", "medoids", "whole", "training_errors", "mus")}
        found |= {f"basis_{i}": basis for i, basis in enumerate(self.bases)}
        if self.vote.scale is None:
            found["features"] = self.vote.points
        else:
            found["scale"] = self.vote.scale
        found["vote"] = np.array([self.vote.width, self.vote.accuracy])
        found["product"] = np.array(not isinstance(self.space, Euclidean))
        return found

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], *, features: Any = None, product: Any = None) -> Partition:
        """The partition whose `arrays()` these are.

        features: the callable that it was made with; it is called for eight of the training parameters and must give the same.
        product: needed by `after` alone, if there was one. Raises ValueError if features are missing, needless or different.
        """
        mus, labels, weighted = arrays["mus"], arrays["labels"], bool(arrays["product"])
        if ("features" in arrays) != (features is not None):
            wanted = "give the callable again, as features=" if features is None else "features= must be left out"
            raise ValueError(f"this partition was made with{'out' * (features is not None)} features: {wanted}")
        if product is not None and not weighted:
            raise ValueError("this partition was made without a product: product= must be left out")
        if features is not None:
            probes = np.unique(np.linspace(0, len(mus) - 1, PROBES).astype(int))
            stored = arrays["features"][probes]
            given = evaluated(features, mus[probes], stored.shape[1])
            if np.abs(given - stored).max() > 1e-8 * np.abs(stored).max():
                raise ValueError("features= differs from the callable that the partition was made with: it gives other values")
        points = mus if features is None else arrays["features"]
        width, accuracy = (float(value) for value in arrays["vote"])
        vote = Vote(points, labels, arrays["scale"] if features is None else None, width, accuracy)
        bases = [arrays[f"basis_{i}"] for i in range(len(arrays["medoids"]))]
        space = None if weighted and product is None else half_product(product, len(arrays["whole"]))
        return cls(labels, arrays["medoids"], bases, arrays["whole"], arrays["training_errors"], mus, vote, features, space)

    def __repr__(self) -> str:
        sizes = [basis.shape[1] for basis in self.bases]
        held = f"{len(sizes)} clusters with bases of {min(sizes)} to {max(sizes)} vectors"
        return f"{type(self).__name__}: {len(self.labels)} snapshots of {len(self.whole)} unknowns, {held}"
