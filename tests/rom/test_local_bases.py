"""Clusters against brute force and SciPy, local bases against the figures of the moving front, the vote, the reports and the arrays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles

from petrov.rom import LocalBases, Partition, kmeans, kmedoids
from petrov.rom.local_bases.dissimilarities import sine_distances, subspace_distances
from petrov.rom.local_bases.gains import MeasuredGain
from petrov.rom.local_bases.vote import elected, parameter_distances, vote_by_parameters
from petrov.solvers.direct.cholesky import cholesky

RIVALS = ("sine", "k-means", "normalised k-means")


def fronts(count, seed, signs=False, points=500):
    """(fields (points, count), mus (count, 2)): a front at c of height a."""
    rng = np.random.default_rng(seed)
    c, a = rng.uniform(0.1, 0.9, count), rng.uniform(0.2, 5, count)
    fields = a * (1 - np.tanh((np.linspace(0, 1, points)[:, None] - c) / 0.02)) / 2
    return fields * (rng.choice([-1, 1], count) if signs else 1), np.stack([c, a], axis=1)


def random(shape, seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    found = rng.standard_normal(shape)
    return (found + 1j * rng.standard_normal(shape) if np.dtype(dtype).kind == "c" else found).astype(dtype)


@pytest.fixture(scope="module")
def training():
    return fronts(200, 11)


@pytest.fixture(scope="module")
def partition(training):
    return LocalBases(size=6).fit(*training)


# -- Clusters --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("m, k", [(6, 1), (7, 2), (8, 3), (9, 4), (5, 5)])
def test_pam_finds_the_best_of_all_choices(m, k):
    for seed in range(5):
        points = random((m, 2), seed)
        D = np.linalg.norm(points[:, None] - points, axis=2)
        best = min(D[list(chosen)].min(axis=0).sum() for chosen in itertools.combinations(range(m), k))
        found = kmedoids(D, k)
        assert found.cost == pytest.approx(best, abs=1e-12)
        assert D[found.medoids[found.labels], np.arange(m)].sum() == pytest.approx(found.cost, abs=1e-12)
        assert (np.diff(found.medoids) > 0).all() or k == 1


def test_one_descent_ends_where_no_swap_helps():
    points = random((40, 2), 5)
    D = np.linalg.norm(points[:, None] - points, axis=2)
    found = kmedoids(D, 6, restarts=1)
    for l, h in itertools.product(range(6), range(40)):
        trial = found.medoids.copy()
        trial[l] = h
        assert D[trial].min(axis=0).sum() >= found.cost * (1 - 1e-12)
    assert kmedoids(D, 6).cost <= found.cost


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.data())
def test_no_cluster_is_empty(values, data):
    """Also where most items coincide."""
    k = data.draw(st.integers(1, len(values)))
    x = np.array(values, dtype=float)
    for found in (kmedoids(abs(x[:, None] - x), k, restarts=3), kmeans(x[None] + 1, k, restarts=3, normalised=values[0] > 1)):
        assert set(found.labels) == set(range(k))
        assert (found.labels[found.medoids] == np.arange(k)).all()


def test_kmeans_finds_separate_heaps():
    points = np.repeat(10 * random((5, 3), 3), 20, axis=1) + 0.1 * random((5, 60), 4)
    for normalised in (False, True):
        labels = kmeans(points, 3, normalised=normalised).labels
        assert (labels == np.repeat(labels[::20], 20)).all() and set(labels) == {0, 1, 2}


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32", "complex64"])
def test_sine_of_nearly_parallel_vectors(dtype):
    """The Gram matrix alone gives sqrt(eps) where it should give 1e-12."""
    eps, phase = float(np.finfo(dtype).eps), np.exp(0.3j) if np.dtype(dtype).kind == "c" else 1
    Q = np.linalg.qr(random((50, 9), 7, "complex128" if phase != 1 else "float64"))[0]
    angles = np.array([0, 1e-12, 1e-9, 1e-6, 1e-3, 0.1, 1.0, np.pi / 2])
    V = (Q[:, :1] * np.cos(angles) + Q[:, 1:] * np.sin(angles)) * phase * np.array([-3, -2, -1, 1, 2, 3, 4, 5]) * 1e30
    found = sine_distances(Q[:, :1].astype(dtype) * np.float32(1e-30), V.astype(dtype))[0]
    error = np.abs(found - np.sin(angles))
    assert error.max() < eps**0.75 and error[angles < 0.5 * eps**0.25].max() < 4 * eps
    assert sine_distances(V.astype(dtype))[0, 1:] == pytest.approx(found[1:], abs=4 * eps**0.75)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_grassmann_is_the_length_of_the_principal_angles(dtype):
    base = random((30, 4), 1, dtype)
    blocks = [base, base + 1e-9 * random((30, 4), 2, dtype), *(random((30, r), r, dtype) for r in (1, 3, 4, 6)), base @ random((4, 4), 9)]
    found = {kind: subspace_distances(blocks, kind) for kind in ("grassmann", "sine")}
    for (i, A), (j, B) in itertools.product(enumerate(blocks), repeat=2):
        angles, missing = subspace_angles(A, B), abs(A.shape[1] - B.shape[1])
        assert found["grassmann"][i, j] == pytest.approx(np.sqrt((angles**2).sum() + missing * np.pi**2 / 4), abs=1e-14, rel=1e-12)
        assert found["sine"][i, j] == pytest.approx(np.sqrt((np.sin(angles) ** 2).sum() + missing), abs=1e-14, rel=1e-12)
    fields = [block[:, :1] for block in blocks]
    assert subspace_distances(fields, "sine") == pytest.approx(sine_distances(np.hstack(fields)), abs=1e-12)


def test_directions_leave_noise_out():
    block = np.linalg.qr(random((30, 3), 1))[0]
    noisy = [block * [1, 0.5, 1e-4] + 1e-6 * random((30, 3), seed) for seed in (2, 3)]
    noisy[1][:, 2] = random(30, 4) * 1e-5
    assert subspace_distances(noisy, directions=2)[0, 1] < 1e-4 < 0.5 < subspace_distances(noisy)[0, 1]


@pytest.mark.parametrize(
    "D, k, said",
    [
        (np.zeros((2, 3)), 1, "square"),
        (np.array([[0, 1], [2, 0]]), 1, "symmetric"),
        (np.array([[1, 2], [2, 0]]), 1, "zero diagonal"),
        (np.array([[0, np.nan], [np.nan, 0]]), 1, "finite"),
        (np.array([[0, -1], [-1, 0]]), 1, "nonnegative"),
        (np.zeros((2, 2), complex), 1, "real"),
        (np.zeros((2, 2)), 3, r"k must be in 1\.\.2"),
    ],
)
def test_wrong_dissimilarities(D, k, said):
    with pytest.raises(ValueError, match=said):
        kmedoids(D, k)


# -- Local bases -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signs", [False, True])
def test_moving_front(signs):
    """Raw k-means is 15 times worse; normalised k-means is as good until the fields come with random signs."""
    found = {name: [] for name in RIVALS}
    for seed in (11, 22, 33, 44):
        for name, results in found.items():
            parts = LocalBases(dissimilarity=name, size=6).fit(*fronts(200, seed, signs))
            results.append(parts.after(*fronts(200, seed + 500, signs)))
    worse = {name: np.median([a.classifier / b.classifier for a, b in zip(found[name], found["sine"], strict=True)]) for name in RIVALS}
    assert worse["k-means"] >= 15
    assert worse["normalised k-means"] >= 4 if signs else worse["normalised k-means"] <= 1.2
    for gain in found["sine"]:
        assert gain.oracle <= gain.classifier < 6e-3 < 0.11 < gain.whole < gain.random
        assert gain.accuracy > 0.9 > gain.break_even and gain.gain > 1.4


def test_scaling_and_signs_change_nothing(training, partition):
    fields, mus = training
    rng = np.random.default_rng(3)
    other = LocalBases(size=6).fit(fields * rng.choice([-1, 1], 200) * 10.0 ** rng.uniform(-200, 200, 200), mus)
    assert (other.labels == partition.labels).all() and (other.medoids == partition.medoids).all()
    for U, V in zip(other.bases, partition.bases, strict=True):
        assert subspace_angles(U, V).max() < 1e-9
    phases = LocalBases(size=6).fit(fields * np.exp(1j * rng.uniform(0, 6, 200)), mus)
    assert (phases.labels == partition.labels).all() and phases.bases[0].dtype == np.complex128
    assert phases.training_errors == pytest.approx(partition.training_errors, rel=1e-6)


def test_seeds_are_reproducible(training, partition):
    again = LocalBases(size=6).fit(*training)
    assert all((a == b).all() for a, b in zip(again.bases, partition.bases, strict=True))
    D = sine_distances(random((4, 100), 2))
    for method, data in ((kmedoids, D), (kmeans, random((4, 100), 2))):
        costs = [[method(data, 6, restarts=1, seed=seed).cost for seed in range(9)] for _ in range(2)]
        assert costs[0] == costs[1] and len(set(costs[0])) > 1


def test_single_precision(training):
    fields, mus = training
    parts = LocalBases(size=6).fit(fields.astype(np.float32), mus)
    assert {basis.dtype for basis in parts.bases} == {np.dtype(np.float32)}
    assert parts.after(*fronts(100, 6)).gain > 1.4


def test_product_is_a_change_of_coordinates():
    """X = H^2 diagonal: the same as scaled fields without a product; bases are X-orthonormal, errors those of the X-norm."""
    fields, mus = fronts(60, 4, points=80)
    tested, at = fronts(40, 5, points=80)
    h = np.linspace(1, 20, 80)
    plain = LocalBases(k=4, size=4).fit(fields * h[:, None], mus)
    X = sp.diags_array(h**2).tocsr()
    for product in (X, X.toarray(), cholesky(X)):
        parts = LocalBases(k=4, size=4).fit(fields, mus, product=product)
        assert (parts.labels == plain.labels).all()
        for V in parts.bases:
            assert np.abs(V.T @ (X @ V) - np.eye(4)).max() < 1e-12
        a, b = parts.after(tested, at), plain.after(tested * h[:, None], at)
        assert (a.whole, a.oracle, a.random, a.classifier) == pytest.approx((b.whole, b.oracle, b.random, b.classifier), rel=1e-8)


def test_errors_are_those_of_projections(training, partition):
    """before() and after(), once more by plain projections, on the training set."""
    fields, mus = training
    errors = np.array([np.linalg.norm(fields - V @ (V.T @ fields), axis=0) for V in [*partition.bases, partition.whole]])
    errors /= np.linalg.norm(fields, axis=0)
    before, after = partition.before(), partition.after(fields, mus)
    own = errors[partition.labels, np.arange(200)]
    assert before.local == pytest.approx(own.mean()) and before.means[3, 0] == pytest.approx(own[partition.labels == 3].mean())
    assert before.whole == after.whole == pytest.approx(errors[-1].mean())
    assert after.oracle == pytest.approx(errors[:-1].min(axis=0).mean()) and after.random == pytest.approx(errors[:-1].mean())
    assert after.classifier == pytest.approx(own.mean())  # at the training parameters the nearest is right
    assert 0 < before.gain - partition.after(*fronts(200, 7)).gain < 0.5


def test_tolerance_sets_the_sizes(training):
    fields, mus = training
    parts = LocalBases(tol=1e-2).fit(fields, mus)
    unit = fields / np.linalg.norm(fields, axis=0)
    for c, V in enumerate(parts.bases):
        own = unit[:, parts.labels == c]
        rest = [np.linalg.norm(own - U @ (U.T @ own)) / np.linalg.norm(own) for U in (V, V[:, :-1])]
        assert rest[0] <= 1e-2 < rest[1]
    assert parts.whole.shape[1] == max(V.shape[1] for V in parts.bases)


@pytest.mark.parametrize("kind", ["grassmann", "sine"])
def test_trajectories(kind):
    """Three families of subspaces, trajectories of several lengths."""
    planes = [np.linalg.qr(random((40, 3), seed))[0] for seed in (1, 2, 3)]
    family = np.arange(24) % 3
    mus = family[:, None] + 0.1 * random((24, 1), 8)
    given_ = [planes[f] @ random((3, 4 + i % 3), i) * 10.0**i + 1e-9 * 10.0**i * random((40, 4 + i % 3), i) for i, f in enumerate(family)]
    parts = LocalBases(3, kind, size=3, directions=3).fit(given_, mus)
    assert (parts.labels == parts.labels[family]).all() and set(parts.labels) == {0, 1, 2}
    gain = parts.after(given_[:5], mus[:5])
    assert gain.accuracy == 1 and gain.oracle < 1e-7 < 0.1 < gain.whole
    rest = [np.linalg.norm(block - parts.whole @ (parts.whole.T @ block)) / np.linalg.norm(block) for block in given_[:5]]
    assert gain.whole == pytest.approx(np.mean(rest))
    with pytest.raises(ValueError, match="single fields"):
        LocalBases(3, "k-means").fit(given_, mus)


def test_dissimilarities_of_ones_own(training, partition):
    fields, mus = training[0][:, :40], training[1][:40]
    usual = LocalBases(3, size=4).fit(fields, mus)
    D = sine_distances(fields)
    for own in (D, lambda u, v: np.sqrt(1 - min((u @ v) ** 2 / (u @ u) / (v @ v), 1))):
        assert (LocalBases(3, own, size=4).fit(fields, mus).labels == usual.labels).all()
    with pytest.raises(ValueError, match=r"\(40, 40\).*got \(39, 39\)"):
        LocalBases(3, D[1:, 1:]).fit(fields, mus)
    assert (LocalBases(3, "grassmann").fit(fields, mus).labels == LocalBases(3, np.arcsin(D)).fit(fields, mus).labels).all()


# -- The vote --------------------------------------------------------------------------------------------------------------


def test_vote_finds_the_parameter_that_matters():
    """Clusters along the second of four parameters, whose units differ; the third is constant."""
    rng = np.random.default_rng(2)
    mus = rng.uniform(0, 1, (150, 4)) * [1e6, 1e-3, 0, 1]
    labels = (mus[:, 1] > 0.4e-3) + (mus[:, 1] > 0.7e-3).astype(int)
    vote = vote_by_parameters(mus, labels)
    queries = rng.uniform(0, 1, (3000, 4)) * [1e6, 1e-3, 0, 1]
    right = (queries[:, 1] > 0.4e-3) + (queries[:, 1] > 0.7e-3).astype(int)
    share = (vote(queries) == right).mean()
    nearest = elected(parameter_distances(queries, mus, np.array([1e-6, 1e3, 0, 1])), labels, 0.0)
    assert share > 0.95 > (nearest == right).mean() and vote.accuracy > 0.95


def test_vote_smooths_wrong_labels():
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, (400, 1))
    labels = np.where(rng.random(400) < 0.15, 1, 0) ^ (x[:, 0] > 0.5)
    vote = vote_by_parameters(x, labels)
    queries = rng.uniform(0, 1, (500, 1))
    assert vote.width > 0 and (vote(queries) == (queries[:, 0] > 0.5)).mean() > 0.85 and 0.7 < vote.accuracy < 0.9
    assert (vote(np.array([[-1e6], [1e6]])) == [0, 1]).all()  # the kernel is zero there


def coarse(mu):
    """The front on 40 points, for what it is worth."""
    return mu[1] * (1 - np.tanh((np.linspace(0, 1, 40) - mu[0]) / 0.04))


def test_features(training):
    """Clusters of a cheap simulation serve the fine one."""
    parts = LocalBases(size=6, features=coarse).fit(*training)
    gain = parts.after(*fronts(200, 7))
    assert gain.gain > 1.3 and gain.classifier < 0.1 * gain.whole
    assert (parts.labels == kmedoids(sine_distances(np.array([coarse(mu) for mu in training[1]]).T), 8).labels).all()
    with pytest.raises(ValueError, match="at least 2 numbers"):
        LocalBases(features=lambda mu: mu[:1]).fit(*training)


# -- Reports, arrays and mistakes ------------------------------------------------------------------------------------------


def test_reports_print_tables(training, partition):
    lines = str(partition.before()).splitlines()
    assert len(lines) == 2 + 8 + 1 + 1 and lines[-1].startswith("predicted gain: 1.")
    text = str(partition.after(*fronts(50, 7)))
    assert "50 fields not seen" in text and "break-even accuracy: 7" in text and text.count("\n") == 4
    assert repr(partition) == "Partition: 200 snapshots of 500 unknowns, 8 clusters with bases of 6 to 6 vectors"


@pytest.mark.parametrize("whole, oracle, random, expected", [(0.1, 0.01, 0.4, 0.3 / 0.39), (0.5, 0.01, 0.4, 0), (0.1, 0.2, 0.4, np.inf)])
def test_break_even(whole, oracle, random, expected):
    assert MeasuredGain(1, 1, whole, oracle, random, 0.1, 1.0, 1.0).break_even == pytest.approx(expected)


@pytest.mark.parametrize("features", [None, coarse])
@pytest.mark.parametrize("product", [None, sp.diags_array(np.linspace(1, 2, 500)).tocsr()])
def test_arrays_hold_all(training, tmp_path, features, product):
    parts = LocalBases(size=3, features=features).fit(*training, product=product)
    np.savez(tmp_path / "partition.npz", allow_pickle=False, **parts.arrays())
    with np.load(tmp_path / "partition.npz", allow_pickle=False) as file:
        stored = dict(file)
    other = Partition.from_arrays(stored, features=features, product=product)
    fields, mus = fronts(30, 7)
    assert (other.assign(mus) == parts.assign(mus)).all()
    assert str(other.before()) == str(parts.before()) and str(other.after(fields, mus)) == str(parts.after(fields, mus))
    if product is not None:
        with pytest.raises(ValueError, match="product=X"):
            Partition.from_arrays(stored, features=features).after(fields, mus)
    else:
        with pytest.raises(ValueError, match="without a product"):
            Partition.from_arrays(stored, features=features, product=np.eye(500))
    with pytest.raises(ValueError, match="features="):
        Partition.from_arrays(stored, features=coarse if features is None else None)
    if features is not None:
        with pytest.raises(ValueError, match="differs"):
            Partition.from_arrays(stored, features=lambda mu: coarse(mu) + 1e-3)


@pytest.mark.parametrize(
    "recipe, said",
    [
        ({"k": 0}, "k must be"),
        ({"size": 2.5}, "size must be"),
        ({"tol": -1}, "tol must be"),
        ({"dissimilarity": "cosine"}, "sine, grassmann"),
    ],
)
def test_wrong_recipes(recipe, said):
    with pytest.raises(ValueError, match=said):
        LocalBases(**recipe)


def test_mistakes(training, partition):
    fields, mus = training
    zero = fields.copy()
    zero[:, 17] = 0
    with pytest.raises(ValueError, match="snapshot 17 is zero"):
        LocalBases().fit(zero, mus)
    with pytest.raises(ValueError, match="snapshot 17 is zero"):
        partition.after(zero, mus)
    with pytest.raises(ValueError, match="column 1 is zero"):
        sine_distances(np.array([[1.0, 0.0]]))
    with pytest.raises(ValueError, match="NaN"):
        LocalBases().fit(np.where(fields > 4, np.nan, fields), mus)
    with pytest.raises(ValueError, match=r"mus must be an array \(200, p\)"):
        LocalBases().fit(fields, mus[:, 0])
    with pytest.raises(ValueError, match=r"mus must be an array \(q, 2\)"):
        partition.assign(mus[:, :1])
    with pytest.raises(ValueError, match=r"product must be a matrix \(500, 500\)"):
        LocalBases().fit(fields, mus, product=np.eye(3))
    with pytest.raises(ValueError, match="9 clusters of 8"):
        LocalBases(9).fit(fields[:, :8], mus[:8])
    for nothing in (fields[:, :0], []):
        with pytest.raises(ValueError, match="no snapshots"):
            partition.after(nothing, mus[:0])
    with pytest.raises(ValueError, match="of one n"):
        LocalBases(1).fit([fields[:, :2], fields[1:, :2]], mus[:2])


def test_as_many_clusters_as_snapshots(training):
    fields, mus = training[0][:, :3], training[1][:3]
    parts = LocalBases(3).fit(fields, mus)
    assert (parts.assign(mus) == [0, 1, 2]).all() and parts.assign(np.zeros((0, 2))).shape == (0,)
    assert parts.before().local < 1e-15 and parts.before().gain < 17
    assert LocalBases(1).fit(fields[:, :1], mus[:1]).labels.tolist() == [0]
