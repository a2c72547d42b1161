"""Local reduced bases: one for each cluster of snapshots, a vote that finds the cluster of a parameter, and what it all gains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from ...solvers.direct.cholesky import cholesky
from ..pod import pod
from . import clustering
from .clustering import Clusters, Vote, columns, vote_by_features, vote_by_parameters

K_MEANS = {"k-means": False, "normalised k-means": True}
NAMED = ("sine", "grassmann", *K_MEANS)
EPS = float(np.finfo(np.float64).eps)
PROBES = 8  # stored features that a callable given to from_arrays must reproduce


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
    seed: int = clustering.SEED

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

        product: None, a symmetric positive definite X or its `cholesky(X)`: norms, angles and bases are those of X.
        Cost: one QR factorisation of the snapshots, then all is done in its small factor; m^2 small SVDs for trajectories.
        Memory: the snapshots twice more. Raises ValueError for wrong shapes, NaN, zero snapshots and k > m.
        """
        fields = blocks(snapshots)
        mus = parameters(mus, len(fields))
        space = coordinates(product)
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
        own = errors(items, local)[clusters.labels, np.arange(len(items))]
        return Partition(
            clusters.labels,
            clusters.medoids,
            [space.lift(Q @ U) for U in local],
            space.lift(Q @ whole),
            np.array([own, errors(items, [whole])[0]]),
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
            return clustering.kmeans(points, self.k, normalised=K_MEANS[kind], restarts=self.restarts, seed=self.seed)
        if callable(kind):
            D = pairwise(kind, given)
        elif not isinstance(kind, str):
            D = np.asarray(kind)
        elif kind == "sine" and single:
            D = clustering.sine_distances(np.hstack(items))
        else:
            D = clustering.subspace_distances(items, kind, self.directions)
        if D.shape != (len(items), len(items)):
            raise ValueError(f"dissimilarity must be ({len(items)}, {len(items)}), as there are so many snapshots; got {D.shape}")
        return clustering.kmedoids(D, self.k, restarts=self.restarts, seed=self.seed)


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """Clusters of the parameters, a basis each. Held: all bases, the features if there are any, and a few numbers a snapshot."""

    labels: np.ndarray  # (m,)
    medoids: np.ndarray  # (k,), the snapshot that stands for each cluster
    bases: list[np.ndarray]  # (n, N_i), orthonormal in the product
    whole: np.ndarray  # (n, max N_i), of all snapshots: what the local bases compete with
    training_errors: np.ndarray  # (2, m), relative, of projecting each snapshot on its basis and on the whole one
    mus: np.ndarray  # (m, p)
    vote: Vote
    features: Callable[[np.ndarray], Any] | None
    space: Any

    def assign(self, mus: Any) -> np.ndarray:
        """The clusters (q,) of parameters (q, p), by the vote of the training parameters, or of their features."""
        mus = parameters(mus, None, self.mus.shape[1])
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
        """The gain measured on snapshots that the bases have not seen, given as those of `fit`."""
        if self.space is None:
            raise ValueError("this partition was made with a product: Partition.from_arrays(..., product=X) measures in it")
        fields = [self.space.lower(field) for field in blocks(snapshots)]
        mus = parameters(mus, len(fields), self.mus.shape[1])
        items = [field / length(field, i) for i, field in enumerate(fields)]
        local = errors(items, [self.space.lower(basis) for basis in self.bases])
        whole = errors(items, [self.space.lower(self.whole)])[0]
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
        space = None if weighted and product is None else coordinates(product)
        return cls(labels, arrays["medoids"], bases, arrays["whole"], arrays["training_errors"], mus, vote, features, space)

    def __repr__(self) -> str:
        sizes = [basis.shape[1] for basis in self.bases]
        held = f"{len(sizes)} clusters with bases of {min(sizes)} to {max(sizes)} vectors"
        return f"{type(self).__name__}: {len(self.labels)} snapshots of {len(self.whole)} unknowns, {held}"


@dataclass(frozen=True, slots=True, eq=False)
class PredictedGain:
    """Mean relative projection errors of the training snapshots: on their local bases, and on one of all of the largest size."""

    members: np.ndarray  # (k,)
    sizes: np.ndarray  # (k,)
    means: np.ndarray  # (k, 2): local, whole
    local: float
    whole: float

    @property
    def gain(self) -> float:
        """log10(whole / local)."""
        return decades(self.whole, self.local)

    def __str__(self) -> str:
        lines = ["mean relative projection errors of the training snapshots", "cluster  fields    N     local     whole"]
        for c, (count, N, (local, whole)) in enumerate(zip(self.members, self.sizes, self.means, strict=True)):
            lines.append(f"{c:>7}  {count:>6}  {N:>3}  {local:8.1e}  {whole:8.1e}")
        lines.append(f"{'all':>7}  {self.members.sum():>6}  {self.sizes.max():>3}  {self.local:8.1e}  {self.whole:8.1e}")
        return "\n".join([*lines, f"predicted gain: {self.gain:.2f} digits"])


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredGain:
    """Mean relative projection errors of snapshots not seen before: on one basis of all, and on local ones chosen in three ways.

    oracle: by the best of the local bases, seen afterwards; random: in the mean over all choices; classifier: by `assign`.
    accuracy: how often the classifier chose the best basis; validated: its leave-one-out accuracy on the training labels.
    """

    count: int
    size: int
    whole: float
    oracle: float
    random: float
    classifier: float
    accuracy: float
    validated: float

    @property
    def gain(self) -> float:
        """log10(whole / oracle)."""
        return decades(self.whole, self.oracle)

    @property
    def break_even(self) -> float:
        """(whole - random) / (oracle - random): how often a choice must be the oracle's, else random, to equal the whole basis.

        0 if any choice is as good, infinite if even the oracle's is not better.
        """
        if self.oracle >= self.whole:
            return np.inf
        return max((self.random - self.whole) / (self.random - self.oracle), 0.0) if self.random > self.oracle else 0.0

    def __str__(self) -> str:
        return "\n".join(
            [
                f"mean relative projection error of {self.count} fields not seen before",
                f"  one basis of all, N = {self.size:<4}    {self.whole:8.1e}",
                f"  local bases, best choice      {self.oracle:8.1e}   gain: {self.gain:.2f} digits",
                f"  local bases, classifier       {self.classifier:8.1e}   the best choice in {self.accuracy:.0%}",
                f"  local bases, random choice    {self.random:8.1e}   break-even accuracy: {self.break_even:.0%}",
            ]
        )


# -- Fields in small coordinates -------------------------------------------------------------------------------------------


class Euclidean:
    """The coordinates of no product."""

    def lower(self, V: np.ndarray) -> np.ndarray:
        return V

    lift = lower


def coordinates(product: Any) -> Any:
    """What has .lower and .lift between fields and coordinates in which their norm is Euclidean."""
    if product is None:
        return Euclidean()
    return product if hasattr(product, "lower") and hasattr(product, "lift") else cholesky(product)


def blocks(snapshots: Any) -> list[np.ndarray]:
    """Snapshots (n, m), or m arrays (n, r_i), as checked arrays (n, r_i)."""
    single = not isinstance(snapshots, list | tuple)
    fields = [field[:, None] for field in columns(snapshots).T] if single else [columns(field) for field in snapshots]
    if not fields:
        raise ValueError("there are no snapshots; give an array (n, m), or a list of m arrays (n, r_i), with m at least 1")
    if len({len(field) for field in fields}) != 1 or not all(field.shape[1] for field in fields):
        raise ValueError(f"a list of snapshots holds arrays (n, r_i) of one n; got {[field.shape for field in fields[:5]]} ...")
    return fields


def parameters(mus: Any, count: int | None, width: int | None = None) -> np.ndarray:
    """mus as a checked array (count, width)."""
    mus = np.asarray(mus)
    asked = f"({'q' if count is None else count}, {'p' if width is None else width})"
    if mus.ndim != 2 or count not in (None, len(mus)) or width not in (None, mus.shape[1]) or mus.dtype.kind not in "fiub":
        raise ValueError(f"mus must be an array {asked} of real numbers, a parameter a row; got shape {mus.shape}, {mus.dtype}")
    if not np.isfinite(mus).all():
        raise ValueError("mus must be finite; it holds NaN or infinity")
    return np.array(mus, dtype=np.float64)


def evaluated(features: Callable[[np.ndarray], Any], mus: np.ndarray, width: int | None = None) -> np.ndarray:
    """features(mu) of each parameter, flattened: (q, d)."""
    found = [np.ravel(features(mu.copy())) for mu in mus]
    sizes = {len(row) for row in found} | ({width} if width else set())
    if found and (len(sizes) != 1 or max(sizes) < 2):
        raise ValueError(f"features(mu) must give at least 2 numbers, as many for each mu; got {sorted(sizes)}")
    return columns(np.array(found).T).T if found else np.zeros((0, width or 2))


def length(field: np.ndarray, i: int) -> float:
    """The norm of a field or trajectory."""
    largest = float(np.abs(field).max())
    if largest == 0:
        raise ValueError(f"snapshot {i} is zero: it has no direction and no relative error; leave it out")
    return largest * float(np.linalg.norm(field / largest))


def compressed(items: list[np.ndarray]) -> tuple[Any, list[np.ndarray]]:
    """(Q, items Q^H) with few rows: Q has orthonormal columns that span the items."""
    E = np.hstack(items)
    if E.shape[0] <= E.shape[1]:
        return np.eye(E.shape[0], dtype=E.dtype), items
    Q, R = np.linalg.qr(E)
    return Q, np.split(R, np.cumsum([item.shape[1] for item in items])[:-1], axis=1)


def errors(items: list[np.ndarray], bases: list[np.ndarray]) -> np.ndarray:
    """Relative errors (k, m) of projecting items of length one on orthonormal bases."""
    E = np.hstack(items)
    starts = np.cumsum([0] + [item.shape[1] for item in items[:-1]])
    squares = [(np.abs(E - U @ (U.conj().T @ E)) ** 2).sum(axis=0) for U in bases]
    return np.sqrt([np.add.reduceat(square, starts) for square in squares])


def pairwise(function: Callable[[np.ndarray, np.ndarray], Any], given: list[np.ndarray]) -> np.ndarray:
    """function(u_i, u_j) for i < j, as a symmetric matrix; single fields go in as (n,)."""
    flat = [item[:, 0] if item.ndim == 2 and item.shape[1] == 1 else item for item in given]
    D = np.zeros((len(flat), len(flat)))
    for i, u in enumerate(flat):
        D[i, i + 1 :] = [float(function(u, v)) for v in flat[i + 1 :]]
    return D + D.T


def decades(whole: float, local: float) -> float:
    """log10(whole / local), where an error below rounding counts as rounding."""
    return float(np.log10(max(whole, EPS) / max(local, EPS)))
