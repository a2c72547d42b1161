"""The recipe for local reduced bases: one for each cluster of snapshots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from ..pod import half_product, pod
from .clustering import SEED, Clusters, kmeans, kmedoids
from .dissimilarities import pairwise, sine_distances, subspace_distances
from .fields import checked_fields, checked_parameters, compressed, evaluated, length, projection_errors
from .partition import Partition
from .vote import vote_by_features, vote_by_parameters

K_MEANS = {"k-means": False, "normalised k-means": True}
NAMED = ("sine", "grassmann", *K_MEANS)


@dataclass(frozen=True, slots=True, eq=False)
class LocalBases:
    """The recipe for k local bases: cluster the snapshots, then a POD of each cluster.

    Parameters
    ----------
    k : int
        The number of clusters.
    dissimilarity : str, array (m, m) or callable(u_i, u_j) -> float
        'sine' of the angle between two snapshots: the relative error of projecting one on the other, blind to scaling and sign.
        'grassmann': the length of the principal angles, which for single fields is the angle. Both go to k-medoids, as do
        your own ones (of snapshots, or of features if there are any). 'k-means' and 'normalised k-means' are the rivals.
    size, tol : int, float, optional
        Of each POD: vectors at most; relative error in the mean square that ends it sooner. Neither: up to rounding.
    features : callable mu (p,) -> array, optional
        A cheap, simplified simulation. Clusters are then those of its results, of any shape, and a new parameter is assigned by
        them too. mu is a row of `mus`.
    directions : int, optional
        Of a trajectory, the leading left singular vectors that count in its dissimilarity; None: all above 1.5e-8 of the largest.
    restarts, seed : int
        Of the clustering.

    Notes
    -----
    Snapshots are divided by their norms first, so the partition and the bases depend on none. Sources: Daniel, Casenave, Akkari
    and Ryckelynck, AMSES 7:16 (2020) (Grassmann distances, classifier), arXiv:2103.13683 (simplified physics), arXiv:2108.12291
    (the sine dissimilarity). `Partition.before` and `.after` say whether it pays.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.rom.local_bases.bases import LocalBases
    >>> x, c = np.linspace(0, 1, 200), np.linspace(0.1, 0.9, 60)
    >>> fronts = 1 - np.tanh((x[:, None] - c) / 0.05)
    >>> parts = LocalBases(k=4, size=5).fit(fronts[:, ::2], c[::2, None])
    >>> measured = parts.after(fronts[:, 1::2], c[1::2, None])
    >>> bool(measured.classifier < measured.whole / 10)
    True
    """

    k: int = 8
    dissimilarity: Any = "sine"
    _: KW_ONLY
    size: int | None = None
    tol: float | None = None
    features: Callable[[np.ndarray], Any] | None = None
    directions: int | None = None
    restarts: int = 20
    seed: int = SEED

    def __post_init__(self) -> None:
        if isinstance(self.dissimilarity, str) and self.dissimilarity not in NAMED:
            named = ", ".join(NAMED)
            raise ValueError(f"dissimilarity must be one of {named}, an array or a callable; got {self.dissimilarity!r}")
        for name in ("k", "size", "directions", "restarts"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | np.integer) and value >= 1):
                raise ValueError(f"{name} must be an integer of at least 1; got {value!r}")
        if self.tol is not None and not 0 <= self.tol < 1:
            raise ValueError(f"tol must be in [0, 1); got {self.tol!r}")

    def fit(self, snapshots: Any, mus: Any, *, product: Any = None) -> Partition:
        """Cluster snapshots: an array (n, m), or a list of m arrays (n, r_i), a trajectory each; mus (m, p).

        product: None, a Hermitian positive definite X (n, n) or its `cholesky(X)`: norms, angles and bases are those of X.
        Cost: one QR factorisation of the snapshots, then all is done in its small factor; m^2 small SVDs for trajectories.
        Memory: the snapshots twice more. Raises ValueError for wrong shapes, NaN, zero snapshots and k > m, LinAlgError for an X
        that is not positive definite.
        """
        fields = checked_fields(snapshots)
        mus = checked_parameters(mus, len(fields))
        space = half_product(product, len(fields[0]))
        lowered = [space.lower(field) for field in fields]
        lengths = [length(field, i) for i, field in enumerate(lowered)]
        Q, items = compressed([field / size for field, size in zip(lowered, lengths, strict=True)])
        seen = None if self.features is None else evaluated(self.features, mus)
        if seen is None:
            clusters = self.clusters([item * size for item, size in zip(items, lengths, strict=True)], fields)
        else:
            clusters = self.clusters([feature[:, None] for feature in seen], list(seen))
        members = [np.hstack([items[i] for i in np.flatnonzero(clusters.labels == c)]) for c in range(self.k)]
        local = [pod(member, size=self.size, tol=self.tol).basis for member in members]
        whole = pod(np.hstack(items), size=max(U.shape[1] for U in local)).basis
        own = projection_errors(items, local)[clusters.labels, np.arange(len(items))]
        return Partition(
            clusters.labels,
            clusters.medoids,
            [space.lift(Q @ U) for U in local],
            space.lift(Q @ whole),
            np.array([own, projection_errors(items, [whole])[0]]),
            mus,
            vote_by_parameters(mus, clusters.labels) if seen is None else vote_by_features(seen, clusters.labels),
            self.features,
            space,
        )

    def clusters(self, items: list[np.ndarray], given: list[np.ndarray]) -> Clusters:
        """The clusters of items (d, r_i), which a callable is `given` as they came."""
        kind, single = self.dissimilarity, all(item.shape[1] == 1 for item in items)
        if isinstance(kind, str) and kind in K_MEANS:
            if not single:
                raise ValueError(f"{kind!r} clusters single fields; use 'grassmann' or 'sine' for trajectories")
            points = np.hstack(items)
            return kmeans(points, self.k, normalised=K_MEANS[kind], restarts=self.restarts, seed=self.seed)
        if callable(kind):
            D = pairwise(kind, given)
        elif not isinstance(kind, str):
            D = np.asarray(kind)
        elif kind == "sine" and single:
            D = sine_distances(np.hstack(items))
        else:
            D = subspace_distances(items, kind, self.directions)
        if D.shape != (len(items), len(items)):
            raise ValueError(f"dissimilarity must be ({len(items)}, {len(items)}), as there are so many snapshots; got {D.shape}")
        return kmedoids(D, self.k, restarts=self.restarts, seed=self.seed)
