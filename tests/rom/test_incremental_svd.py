"""The streaming SVD against the dense SVD of the whole matrix: every way to change it, and what it may cost."""

import io
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.rom.incremental_svd.growing_basis import GrowingBasis
from petrov.rom.incremental_svd.svd import IncrementalSVD

SEED = 4021


def orthonormal(rng, n, k, complex_=False):
    return np.linalg.qr(rng.standard_normal((n, k)) + (1j * rng.standard_normal((n, k)) if complex_ else 0))[0]


def decaying(n, m, sigma, complex_=False):
    """A (n, m) with the singular values sigma."""
    rng = np.random.default_rng(SEED)
    return (orthonormal(rng, n, len(sigma), complex_) * sigma) @ orthonormal(rng, m, len(sigma), complex_).conj().T


def value(svd):
    return (svd.basis * svd.singular_values) @ svd.right.conj().T


def error(svd, A):
    return np.linalg.norm(A - value(svd))


def skew(U):
    """How far from orthonormal."""
    return np.abs(U.conj().T @ U - np.eye(U.shape[1])).max(initial=0.0)


def assert_truncates(svd, A):
    """svd is the best approximation of A of its rank."""
    U, sigma, V = np.linalg.svd(A, full_matrices=False)
    k = len(svd.singular_values)
    assert svd.shape == A.shape
    assert svd.singular_values == pytest.approx(sigma[:k], abs=1e-12 * sigma[0])
    assert np.linalg.norm(value(svd) - (U[:, :k] * sigma[:k]) @ V[:k]) < 1e-11 * sigma[0]
    assert max(skew(svd.basis), skew(svd.right)) < 1e-13


@pytest.fixture(scope="module")
def stream():
    """Spectrum 10^(-j/3), n = 5000, 40 + 200 columns appended one at a time, rank 30."""
    sigma = 10.0 ** (-np.arange(240) / 3)
    A = decaying(5000, 240, sigma)
    svd = IncrementalSVD(30).append_columns(A[:, :40])
    for j in range(40, 240):
        svd.append_columns(A[:, j])
    return svd, A, np.linalg.norm(sigma[30:])


def test_one_column_at_a_time_is_as_good_as_the_whole(stream):
    svd, A, best = stream
    U = svd.basis
    assert np.linalg.norm(A - U @ (U.T @ A)) <= 1.1 * best
    assert error(svd, A) <= 1.1 * best
    assert svd.singular_values == pytest.approx(10.0 ** (-np.arange(30) / 3), abs=1e-10)


def test_bases_stay_orthonormal_over_200_updates(stream):
    svd = stream[0]
    assert skew(svd.basis) < 1e-13
    assert skew(svd.right) < 1e-13


def test_error_is_the_error_where_only_columns_or_rows_came():
    A = decaying(60, 50, 0.8 ** np.arange(50))
    columns, rows = IncrementalSVD(8), IncrementalSVD(8)
    for j in range(0, 50, 5):
        columns.append_columns(A[:, j : j + 5])
        rows.append_rows(A.T[j : j + 5])
    for svd, whole in ((columns, A), (rows, A.T)):
        assert svd.error == pytest.approx(error(svd, whole), rel=1e-10)
        assert svd.largest_error == pytest.approx(svd.error)


@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("as_given", [np.asarray, sp.csr_array, sp.csc_matrix, sp.coo_array], ids=["dense", "csr", "csc", "coo"])
@pytest.mark.parametrize("change", ["columns", "rows", "update"])
@pytest.mark.parametrize("width", [1, 7, 40])
def test_one_change_is_the_dense_svd_truncated(change, as_given, complex_, width):
    rng = np.random.default_rng(SEED + width)
    A = decaying(35, 33, 0.7 ** np.arange(6), complex_)  # held exactly by the first block

    def block(n, s):
        E = rng.standard_normal((n, s)) * (rng.random((n, s)) < 0.3)
        return E * (1 - 2j) if complex_ else E

    svd = IncrementalSVD(8).append_columns(A)
    if change == "columns":
        E = block(35, width)
        svd.append_columns(as_given(E))
        A = np.hstack([A, E])
    elif change == "rows":
        E = block(width, 33)
        svd.append_rows(as_given(E))
        A = np.vstack([A, E])
    else:
        D, E = block(35, width), block(33, width)
        svd.update(as_given(D), as_given(E))
        A = A + D @ E.conj().T
    assert error(svd, A) == pytest.approx(svd.error, rel=1e-8, abs=1e-12)
    if width <= 8 or change == "update" or as_given is np.asarray:  # else it may come in two halves, truncated in between
        assert_truncates(svd, A)


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_changes(seed):
    """Without truncation the matrix itself; with it no worse than stated; bases orthonormal throughout."""
    rng = np.random.default_rng(seed)
    n, m, rank = rng.integers(1, 50), rng.integers(1, 50), (300 if seed % 2 else int(rng.integers(1, 20)))

    def block(*shape):
        kind = rng.integers(4)
        if kind == 0:
            return sp.random_array(shape, density=0.1, rng=rng) * (1 + 1j * (seed % 3 == 0))
        low = rng.standard_normal((shape[0], 3)) @ rng.standard_normal((3, shape[1]))
        return low + [0.0, 1e-14, 1.0][kind - 1] * rng.standard_normal(shape)

    def dense(E):
        return E.toarray() if sp.issparse(E) else E

    A = np.zeros((n, m))
    svd = IncrementalSVD(rank).append_columns(A)
    for _ in range(20):
        change, s = rng.choice(["columns", "rows", "update"]), int(rng.integers(1, 25))
        if change == "columns":
            E = block(A.shape[0], s)
            svd.append_columns(E)
            A = np.hstack([A, dense(E)])
        elif change == "rows":
            E = block(s, A.shape[1])
            svd.append_rows(E)
            A = np.vstack([A, dense(E)])
        else:
            D, E = block(A.shape[0], s), block(A.shape[1], s)
            svd.update(D, E)
            A = A + dense(D) @ dense(E).conj().T
        if rng.random() < 0.4:
            assert max(skew(svd.basis), skew(svd.right)) < 1e-12
            assert error(svd, A) <= svd.largest_error + 1e-11 * np.linalg.norm(A)
    assert svd.shape == A.shape
    if rank == 300:
        assert error(svd, A) < 1e-11 * np.linalg.norm(A)


@pytest.mark.parametrize("by", ["columns", "rows"])
def test_sparse_blocks_against_svds(by):
    A = sp.random_array((3000, 400), density=0.01, rng=np.random.default_rng(SEED), format="csc")
    A = (A @ sp.diags_array(0.98 ** np.arange(400))).tocsc()
    best = np.sort(sp.linalg.svds(A, 10, random_state=SEED)[1])[::-1]
    svd = IncrementalSVD(30)
    for j in range(0, 400, 25):
        part = A[:, j : j + 25]
        if by == "columns":
            svd.append_columns(part)
        else:
            svd.append_rows(part.T.tocsr())
    assert svd.singular_values[:10] == pytest.approx(best, rel=0.01)
    total = np.linalg.norm(A.data)
    B = A if by == "columns" else A.T.tocsc()
    U = svd.basis[:, :10]
    left = np.sqrt(total**2 - np.linalg.norm(B.T @ U) ** 2)
    assert left <= 1.1 * np.sqrt(total**2 - (best**2).sum())
    whole = IncrementalSVD(400).append_columns(B) if by == "columns" else IncrementalSVD(400).append_rows(A.T)
    assert whole.singular_values[:10] == pytest.approx(best, rel=1e-10)


def test_sparse_columns_next_to_the_span_keep_their_digits():
    """|e|^2 - |U^H e|^2 would leave nothing of parts of 1e-9 and 1e-5: such columns are stored."""
    n, rng = 400, np.random.default_rng(SEED)
    first = sp.random_array((n, 6), density=0.05, rng=rng, format="csc")
    new = sp.random_array((n, 6), density=0.05, rng=rng, format="csc")
    near = first @ sp.csc_array(rng.standard_normal((6, 6))) + new @ sp.diags_array([1e-9, 1e-5, 1e-1, 1.0, 0.0, 1e-12])
    svd = IncrementalSVD(12).append_columns(first).append_columns(near)
    A = np.hstack([first.toarray(), near.toarray()])
    assert error(svd, A) < 1e-14 * np.linalg.norm(A)
    assert svd.singular_values == pytest.approx(np.linalg.svd(A)[1][: len(svd.singular_values)], abs=1e-14)
    assert skew(svd.basis) < 1e-13


def test_a_sparse_block_is_never_dense():
    n, s, k = 100_000, 300, 8
    rng = np.random.default_rng(SEED)
    index = rng.integers(0, n, (5, s))
    E = sp.csc_array((rng.standard_normal(5 * s), (index.ravel(), np.tile(np.arange(s), 5))), shape=(n, s))
    svd = IncrementalSVD(k).append_columns(E[:, :20])
    tracemalloc.start()
    try:
        svd.append_columns(E[:, 20:]).append_columns(E[:, :1])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 8 * n * k  # n s would be nine times that


def test_many_sparse_columns_next_to_the_span_come_a_few_at_a_time():
    n, s, k = 50_000, 200, 5
    rng = np.random.default_rng(SEED)
    first = sp.csc_array((rng.standard_normal(40), (rng.integers(0, n, 40), np.arange(40) % 4)), shape=(n, 4))
    new = sp.csc_array((rng.standard_normal(s), (rng.integers(0, n, s), np.arange(s))), shape=(n, s))
    E = (first @ sp.csc_array(rng.standard_normal((4, s))) + 1e-3 * new).tocsc()
    svd = IncrementalSVD(k).append_columns(first)
    tracemalloc.start()
    try:
        svd.append_columns(E)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 8 * n * k  # n s would be five times that
    used = np.unique(np.concatenate([first.indices, E.indices]))
    A = sp.hstack([first, E]).tocsr()[used].toarray()
    assert np.linalg.norm(A - (svd.basis[used] * svd.singular_values) @ svd.right.T) == pytest.approx(svd.error, rel=1e-8)
    assert svd.error <= 1.1 * np.linalg.norm(np.linalg.svd(A)[1][k:])


@pytest.mark.parametrize("spectrum", [10.0 ** (-np.arange(240) / 15), 1 / (1 + np.arange(240.0)), 1 / np.sqrt(1 + np.arange(240.0))], ids=["exponential", "algebraic", "slow"])
@pytest.mark.parametrize("method", ["gkl", "randomized"])
@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "sparse"])
def test_wide_blocks_by_their_leading_part(method, spectrum, sparse):
    A = decaying(800, 240, spectrum, complex_=spectrum[1] == 0.5)
    found = {}
    for name in ("exact", method):
        svd = IncrementalSVD(15, method=name)
        for j in range(0, 240, 80):
            part = A[:, j : j + 80]
            svd.append_columns(sp.csc_array(part) if sparse else part)
        found[name] = error(svd, A)
        assert skew(svd.basis) < 1e-13
        assert found[name] <= svd.largest_error * (1 + 1e-7)
        assert svd.error == pytest.approx(found[name], rel=0.2)
    assert found[method] <= 1.03 * found["exact"]
    rows = IncrementalSVD(15, method=method)
    for j in range(0, 240, 80):
        rows.append_rows(A.T[j : j + 80])
    assert error(rows, A.T) <= 1.03 * found["exact"]


def test_power_iterations_see_more():
    A = decaying(400, 200, 1 / np.sqrt(1 + np.arange(200.0)))
    errors = [error(IncrementalSVD(15, method="randomized", power=q, oversampling=0).append_columns(A), A) for q in (0, 1, 3)]
    assert errors[0] > 1.05 * errors[1] > 1.05 * errors[2]


@pytest.mark.parametrize("method", ["exact", "gkl", "randomized"])
@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
def test_orthonormal_in_the_product(method, complex_):
    n, k = 90, 6
    X = sp.diags_array([-1.0, 2.5, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tocsc()
    A = decaying(n, 60, 0.5 ** np.arange(20), complex_)
    svd = IncrementalSVD(k, product=X, method=method, oversampling=4)
    for j in range(0, 60, 20):
        svd.append_columns(A[:, j : j + 20])
    U = svd.basis
    assert np.abs(U.conj().T @ (X @ U) - np.eye(k)).max() < 1e-13
    w, Q = np.linalg.eigh(X.toarray())
    root = (Q * np.sqrt(w)) @ Q.T
    best = np.linalg.norm(np.linalg.svd(root @ A)[1][k:])
    assert np.linalg.norm(root @ (A - value(svd))) <= 1.1 * best
    assert svd.error == pytest.approx(np.linalg.norm(root @ (A - value(svd))), rel=1e-9 if method == "exact" else 0.2)
    D, E = np.ones((n, 1)), np.arange(60.0)
    before = value(svd)
    svd.update(D, E)
    assert np.linalg.norm(root @ (value(svd) - before - D * E)) == pytest.approx(svd.open, rel=1e-8)


def test_types_widen_as_blocks_do():
    rng = np.random.default_rng(SEED)
    A = rng.standard_normal((20, 3)).astype(np.float32)
    svd = IncrementalSVD(9).append_columns(A)
    assert svd.basis.dtype == svd.right.dtype == "float32"
    assert svd.append_columns(A.astype(np.float64)).basis.dtype == "float64"
    svd.append_columns(np.arange(20))
    svd.append_columns(1j * A)
    assert svd.basis.dtype == svd.right.dtype == "complex128"
    whole = np.hstack([A, A, np.arange(20)[:, None], 1j * A])
    assert error(svd, whole) < 1e-6 * np.linalg.norm(whole)


def test_dependent_columns_and_tol_leave_few_values():
    A = decaying(50, 30, np.array([1.0, 1e-2, 1e-6]))
    svd = IncrementalSVD(20)
    for E in np.split(A, 10, axis=1):
        svd.append_columns(E)
    assert len(svd.singular_values) == 3
    assert svd.U.width == 3  # directions of rounding have not joined
    assert len(IncrementalSVD(20, tol=1e-4).append_columns(A).singular_values) == 2
    svd = IncrementalSVD(4).append_columns(np.zeros((6, 3)))
    assert svd.basis.shape == (6, 0)
    assert svd.append_columns(np.eye(6)[:, :2]).singular_values == pytest.approx([1, 1])
    assert svd.right == pytest.approx(np.vstack([np.zeros((3, 2)), svd.right[3:]]))


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_large_and_small_scales(scale):
    A = decaying(30, 20, 0.5 ** np.arange(10))
    for as_given in (np.asarray, sp.csc_array):
        for options in ({}, {"method": "gkl", "oversampling": 0}):
            svd = IncrementalSVD(5, **options).append_columns(as_given(A[:, :9] * scale)).append_columns(as_given(A[:, 9:] * scale))
            other = IncrementalSVD(5, **options).append_columns(as_given(A[:, :9])).append_columns(as_given(A[:, 9:]))
            assert svd.singular_values / scale == pytest.approx(other.singular_values)
            assert svd.error / scale == pytest.approx(other.error)


@pytest.mark.parametrize("method", ["exact", "randomized"])
@pytest.mark.parametrize("keep_right", [True, False])
def test_a_saved_state_goes_on_as_if_nothing_had_happened(method, keep_right):
    A = decaying(80, 60, 0.8 ** np.arange(60))
    X = sp.diags_array(np.linspace(1, 2, 80))
    svd = IncrementalSVD(5, method=method, oversampling=2, tol=0.5, seed=99, keep_right=keep_right, product=X).append_columns(A[:, :30])
    file = io.BytesIO()
    np.savez(file, **svd.state())
    file.seek(0)
    with np.load(file, allow_pickle=False) as state:
        with pytest.raises(ValueError, match="with a product"):
            IncrementalSVD.from_state(state)
        again = IncrementalSVD.from_state(state, product=X)
    for one in (svd, again):
        one.append_columns(A[:, 30:]).append_columns(A[:, 0])
    assert np.array_equal(again.basis, svd.basis)
    assert np.array_equal(again.singular_values, svd.singular_values)
    assert (again.error, again.largest_error, again.shape) == (svd.error, svd.largest_error, (80, 61))
    assert len(svd.singular_values) < 5  # because of tol
    if keep_right:
        assert np.array_equal(again.right, svd.right)


def test_a_file_holds_the_basis(tmp_path):
    A = decaying(70, 40, 0.8 ** np.arange(40))
    svd, plain = IncrementalSVD(6, storage=tmp_path / "U"), IncrementalSVD(6)
    for one in (svd, plain):
        one.append_columns(A[:, :10]).append_columns(A[:, 10:]).append_rows(A[:5, :40])
    U = svd.basis
    assert isinstance(U, np.memmap)
    assert not U.flags.writeable
    assert np.array_equal(U, plain.basis)
    assert [file.name for file in tmp_path.iterdir()] == ["U"]


def test_inputs_are_not_written_to_and_copies_are_handed_out():
    A = decaying(30, 12, 0.5 ** np.arange(12))
    kept = A.copy()
    svd = IncrementalSVD(4).append_columns(A)
    U = svd.basis
    U[:] = 0
    svd.singular_values[:] = 0
    svd.right[:] = 0
    svd.update(A[:, :2], kept[:12, :2])
    assert np.array_equal(A, kept)
    assert skew(svd.basis) < 1e-13


def bent():
    """A growing basis whose columns are orthonormal to 1e-12, those columns, and the generator."""
    rng = np.random.default_rng(SEED)
    U = orthonormal(rng, 40, 10) @ (np.eye(10) + 1e-12 * rng.standard_normal((10, 10)))
    basis = GrowingBasis(40, U.dtype, 10)
    basis.load(U)
    return basis, U, rng


def test_what_rounding_has_bent_is_straightened():
    basis, _, _ = bent()
    assert skew(basis.D[:, :10]) > 1e-13
    assert skew(basis.matrix()) < 1e-14


def test_rounding_of_a_bent_basis_is_no_new_direction():
    """The residual of a column in the span is then well above eps, and lies in the span."""
    basis, U, rng = bent()
    assert basis.extend(U @ rng.standard_normal((10, 3))).shape == (10, 3)


def test_distance_of_sparse_columns_is_that_of_dense_ones():
    rng = np.random.default_rng(SEED)
    basis = GrowingBasis(40, np.dtype(float), 10)
    basis.load(orthonormal(rng, 40, 10))
    E = sp.random_array((40, 5), density=0.4, rng=rng, format="csc")
    c = basis.coordinates(E)
    assert basis.distance(E, c) == pytest.approx(basis.distance(E.toarray(), c))


MEMORY = """
import resource, sys
import numpy as np, scipy.linalg
from petrov.rom.incremental_svd.growing_basis import GrowingBasis
from petrov.rom.incremental_svd.svd import IncrementalSVD

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

n, m, s = int(sys.argv[1]), 2000, 50
x, c = np.linspace(0, 1, n)[:, None], np.linspace(0, 1, m)
start = peak()
svd = IncrementalSVD.from_blocks((1 / (1 + 400 * (x - c[j : j + s]) ** 2) for j in range(0, m, s)), 50)
U = svd.basis
print(peak() - start, np.abs(U.T @ U - np.eye(50)).max(), svd.singular_values[0], svd.error)
"""


@pytest.mark.parametrize(("n", "megabytes"), [(10_000, 60), pytest.param(100_000, 400, marks=pytest.mark.slow)])
def test_2000_snapshots_in_bounded_memory(n, megabytes):
    """At rank 50 in blocks of 50; all of them would be 160 and 1600 MB."""
    done = subprocess.run([sys.executable, "-c", MEMORY, str(n)], capture_output=True, text=True, check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    peak, skewness, largest, left = map(float, done.stdout.split())
    assert peak <= megabytes
    assert skewness < 1e-13
    assert largest == pytest.approx(1993.9 * np.sqrt(n / 1e5), rel=1e-3)
    assert left < 2e-3 * largest


@pytest.mark.parametrize(
    ("use", "error_", "text"),
    [
        (lambda svd: IncrementalSVD(0), ValueError, "at least 1"),
        (lambda svd: IncrementalSVD(2, tol=1.0), ValueError, "0 <= tol < 1"),
        (lambda svd: IncrementalSVD(2, method="brand"), ValueError, "exact, gkl, randomized"),
        (lambda svd: IncrementalSVD(2, power=-1), ValueError, "not be negative"),
        (lambda svd: IncrementalSVD(2).basis, ValueError, "nothing has been appended"),
        (lambda svd: IncrementalSVD(2, keep_right=False).append_columns(np.eye(3)).right, ValueError, "needs V"),
        (lambda svd: IncrementalSVD(2, keep_right=False).append_rows(np.eye(3)), ValueError, "keep_right=True"),
        (lambda svd: IncrementalSVD(2, product=np.eye(3)).append_rows(np.eye(3)), ValueError, "the product X fits"),
        (lambda svd: IncrementalSVD(2, product=np.eye(4)).append_columns(np.eye(3)), ValueError, r"\(3, 3\)"),
        (lambda svd: IncrementalSVD.from_blocks(iter([]), 3), ValueError, "at least one block"),
        (lambda svd: svd.append_columns(np.eye(4)), ValueError, "must have 3 rows"),
        (lambda svd: svd.append_rows(np.eye(4)), ValueError, "must have 5 columns"),
        (lambda svd: svd.append_columns(np.zeros((3, 0))), ValueError, "not empty"),
        (lambda svd: svd.append_columns(sp.csc_array((3, 0))), ValueError, "must not be empty"),
        (lambda svd: svd.append_columns(np.array([1, np.inf, 0])), ValueError, "finite"),
        (lambda svd: svd.append_columns(sp.csc_array([[np.nan], [0], [0]])), ValueError, "finite"),
        (lambda svd: svd.append_columns(np.array(["a", "b", "c"])), TypeError, "numbers"),
        (lambda svd: svd.update(np.ones((3, 2)), np.ones((5, 1))), ValueError, "as many columns"),
    ],
)
def test_bad_input_is_refused(use, error_, text):
    svd = IncrementalSVD(2).append_columns(np.ones((3, 5)))
    with pytest.raises(error_, match=text):
        use(svd)
    assert svd.shape == (3, 5)
    assert svd.singular_values == pytest.approx([np.sqrt(15)])
