"""Compact forms of a matrix: the same entries bit for bit, the same products, the bytes they say."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from petrov.solvers import compact, problems, solve
from petrov.solvers.preconditioners import Schwarz
from petrov.solvers.storage import CSR, DIA, SELL, by_bands, by_slices, canonical

VALUES = {
    "exact in single": lambda rng, n: rng.integers(-9, 9, n) / 8.0,
    "double": lambda rng, n: rng.standard_normal(n),
    "single": lambda rng, n: rng.standard_normal(n).astype(np.float32),
    "complex": lambda rng, n: rng.standard_normal(n) + 1j * rng.standard_normal(n),
    "subnormal": lambda rng, n: rng.standard_normal(n) * 1e-310,
    "minus zero": lambda rng, n: np.where(rng.random(n) < 0.3, -0.0, 1.5),
    "huge": lambda rng, n: rng.standard_normal(n) * 1e200,
}


@st.composite
def banded(draw) -> sp.csr_array:
    """A square matrix with some bands, most entries of which are there; symmetric, nearly symmetric or not."""
    n = draw(st.integers(1, 70))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    offsets = sorted(draw(st.sets(st.integers(0, n - 1), max_size=4)) | {0})
    values = VALUES[draw(st.sampled_from(sorted(VALUES)))]
    upper = [values(rng, n - o) for o in offsets]
    A = sum(
        (sp.diags_array([band], offsets=[o], shape=(n, n)) for band, o in zip(upper, offsets, strict=True)), sp.csr_array((n, n))
    )
    A = sp.csr_array(A, dtype=upper[0].dtype)
    kind = draw(st.sampled_from(["symmetric", "one entry off", "upper"]))
    if kind != "upper":
        strict = sp.triu(A, 1)
        A = sp.csr_array(A + strict.conj().T, dtype=upper[0].dtype)
        A.setdiag(A.diagonal().real)
    if kind == "one entry off" and A.nnz > n:
        A.data[rng.integers(A.nnz)] *= 1.25
    A.sum_duplicates()
    return A


def entries(A: DIA) -> np.ndarray:
    """A dense, from its bands alone."""
    n = A.shape[0]
    dense = np.zeros((n, n), A.dtype)
    for o, band in zip(A.offsets, A.bands, strict=True):
        rows = np.arange(max(0, -o), min(n, n - o))
        dense[rows, rows + o] = band[rows]
        if A.hermitian and o > 0:
            dense[rows + o, rows] = band[rows].conj()
    return dense


@settings(max_examples=60, deadline=None)
@given(A=banded(), B=banded(), seed=st.integers(0, 2**20), other=st.sampled_from(["values", "one value", "pattern"]))
def test_bands_like_those_of_another_matrix_are_lossless(A, B, seed, other):
    like, rng = by_bands(canonical(A)), np.random.default_rng(seed)
    if other != "pattern":
        B = A.copy()
        if other == "values":
            B.data = VALUES["double"](rng, B.nnz).astype(B.dtype)
        elif B.nnz:
            B.data[rng.integers(B.nnz)] = 1 / 3
    form = by_bands(canonical(B), like)
    if form is not None:
        assert np.array_equal(entries(form), B.toarray()) and form.dtype == B.dtype


def test_bands_in_single_precision_do_not_round_the_next_matrix():
    A = sp.csr_array(sp.diags_array([np.ones(30), 2 * np.ones(29)], offsets=[0, 1], shape=(30, 30)))
    B = A / 3
    like = by_bands(canonical(A))
    assert like.bands.dtype == np.float32 and np.array_equal(entries(by_bands(canonical(B), like)), B.toarray())
    assert by_bands(canonical(2 * A), like).bands.dtype == np.float32


@settings(max_examples=60, deadline=None)
@given(A=banded(), seed=st.integers(0, 2**20))
def test_bands_are_lossless(A, seed):
    form = by_bands(canonical(A))
    if form is None:  # CSR would be smaller
        return
    assert np.array_equal(entries(form), A.toarray()) and form.tocsr() is not None
    assert form.dtype == A.dtype and form.nnz == A.nnz and form.shape == A.shape
    assert form.bands.nbytes <= A.nnz * (form.bands.itemsize + 4)
    if form.bands.dtype != A.dtype:
        assert form.bands.dtype == np.float32 and np.array_equal(A.data.astype(np.float32).astype(float), A.data)
    assert form.hermitian == (abs(A - A.conj().T).max() == 0) or A.nnz == 0
    rng = np.random.default_rng(seed)
    for shape in ((A.shape[0],), (A.shape[0], 3)):
        x = rng.standard_normal(shape).astype(A.dtype.type(0).real.dtype)
        if A.dtype.kind == "c":
            x = x + 1j * rng.standard_normal(shape)
        sizes = abs(A).toarray() @ np.abs(x)
        assert (np.abs((form @ x) - (A @ x)) <= 64 * np.finfo(A.dtype).eps * sizes + 1e-320).all()


@st.composite
def scattered(draw) -> sp.csr_array:
    """Rows of different lengths, none empty, over few or many columns."""
    m, n = draw(st.integers(1, 200)), draw(st.sampled_from([1, 7, 200, 70_000]))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    lengths = rng.integers(1, 1 + min(n, draw(st.integers(1, 9))), m)
    columns = np.concatenate([np.sort(rng.choice(n, length, replace=False)) for length in lengths])
    values = VALUES[draw(st.sampled_from(sorted(VALUES)))](rng, len(columns))
    return sp.csr_array(
        (values, columns.astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)), shape=(m, n)
    )


def sliced_entries(A: SELL) -> np.ndarray:
    """A dense, from its slices alone."""
    dense = np.zeros(A.shape, A.dtype)
    for lane, place in enumerate(A.places):
        s = lane // 8
        here = np.arange(A.starts[s] + lane % 8, A.starts[s + 1], 8)
        np.add.at(dense[64 * (lane // 64) + place], np.int64(A.bases[s]) + A.columns[here], A.stored[here])
    return dense


@settings(max_examples=60, deadline=None)
@given(A=scattered(), seed=st.integers(0, 2**20))
def test_slices_are_lossless(A, seed):
    form = by_slices(canonical(A), gain=100.0)
    assert isinstance(form, SELL)
    assert np.array_equal(sliced_entries(form), A.toarray()) and sorted(form.places[:64]) == list(range(min(64, A.shape[0])))
    assert form.dtype == A.dtype and form.nnz == A.nnz and form.shape == A.shape
    with np.errstate(over="ignore"):
        exact = A.dtype == np.float64 and np.array_equal(A.data.astype(np.float32).astype(float), A.data)
    assert form.stored.dtype == (np.float32 if exact else A.dtype) and (form.columns.dtype == np.uint16 or A.shape[1] > 65_536)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(A.shape[1]).astype(A.dtype)
    sizes = abs(A) @ np.abs(x)
    assert (np.abs((form @ x) - (A @ x)) <= 64 * np.finfo(A.dtype).eps * sizes + 1e-320).all()
    assert np.array_equal(form @ np.stack([x, x], 1), A @ np.stack([x, x], 1))


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
def test_slices_serve_the_verbs(dtype):
    from petrov.solvers.kernels import sell

    rng = np.random.default_rng(7)
    A = sp.random_array((300, 300), density=0.02, rng=rng) + 9 * sp.eye_array(300)
    A = sp.csr_array(A + (1j * A.T if dtype == "complex128" else 0)).astype(dtype)
    form, p = by_slices(canonical(A), gain=2.0), rng.standard_normal(300).astype(dtype)
    q = np.empty_like(p)
    assert sell.apply_dot(form, p, q) == pytest.approx(np.vdot(p, A @ p).real, rel=1e-5)
    np.testing.assert_allclose(q, A @ p, rtol=1e-5, atol=1e-6)
    b = rng.standard_normal(300).astype(np.result_type(dtype, np.float64))
    r = np.empty_like(b)
    sell.residual(form, b, p.astype(b.dtype), r)
    np.testing.assert_allclose(r, b - A.astype(b.dtype) @ p, rtol=1e-5, atol=1e-6)


def test_slices_are_made_where_they_pay():
    order = np.random.default_rng(12).permutation(3_600)
    A = sp.csr_array(problems.darcy(60).A[order][:, order])
    form = compact(A)
    assert isinstance(form, SELL) and form.columns.dtype == np.uint16 and form.bytes_per_row < 0.85 * canonical(A).bytes_per_row
    assert "in slices of 8" in repr(form) and "columns as uint16" in repr(form)
    uneven = A.tolil()
    uneven[::64] = 0.1  # one long row in every window
    assert isinstance(compact(uneven.tocsr()), CSR)
    rows, columns = A.nonzero()
    assert isinstance(
        compact(sp.csr_array((A.data[rows != 5], (rows[rows != 5], columns[rows != 5])), shape=A.shape)), CSR
    )  # no row 5


def test_what_single_precision_does_not_hold_stays_double():
    A = problems.poisson(60).A
    assert compact(A).bands.dtype == np.float32
    for value in (0.1, np.nan, 1e300, 1 + 2.0**-30):
        B = A.copy()
        B.data[7_001] = B.data[7_001] + value if value < 1e200 else value
        form = compact(B)
        assert isinstance(form, DIA) and form.bands.dtype == np.float64
        same = np.array_equal(entries(form), B.toarray(), equal_nan=True) if form.shape[0] < 4_000 else True
        assert same


def test_the_smallest_form_is_chosen():
    grid = compact(problems.darcy(60).A)
    assert isinstance(grid, DIA) and grid.hermitian and grid.bytes_per_row == 24
    assert isinstance(compact(problems.poisson(60).A), DIA) and compact(problems.poisson(60).A).bytes_per_row == 12
    assert "3 bands, upper half" in repr(grid) and "24 bytes per row" in repr(grid)
    general = compact(problems.convection_diffusion(60).A)
    assert isinstance(general, DIA) and not general.hermitian and len(general.offsets) == 5
    wrapped = compact(problems.poisson(60, boundary="periodic").A)  # bands that the sampled rows need not show
    assert isinstance(wrapped, DIA) and {59, 3_540} < set(wrapped.offsets)
    assert compact(grid) is grid


def test_a_rare_offset_is_found():
    A = problems.darcy(70).A.tolil()
    A[2_500, 2_711] = A[2_711, 2_500] = 0.25
    form = compact(A.tocsr())
    assert isinstance(form, DIA) and 211 in form.offsets and np.array_equal(form.band(211)[2_500], 0.25)


def test_bands_are_shared_with_nobody_and_the_matrix_is_not_touched():
    A = problems.darcy(60).A
    before = [part.tobytes() for part in (A.data, A.indices, A.indptr)]
    form = compact(A)
    form.bands[:] = 0
    assert before == [part.tobytes() for part in (A.data, A.indices, A.indptr)] and form.tocsr() is not None


@pytest.mark.parametrize("form", ["symmetric", "general"])
def test_products_refuse_other_shapes(form):
    A = compact((problems.darcy if form == "symmetric" else problems.convection_diffusion)(60).A)
    with pytest.raises(ValueError, match="cannot multiply"):
        A @ np.ones(7)
    assert (A @ np.ones(3_600, int)).dtype == np.float64
    np.testing.assert_allclose(A @ np.asfortranarray(np.ones((3_600, 2))), A.tocsr() @ np.ones((3_600, 2)), rtol=1e-10, atol=1e-6)
    assert (A.H @ np.ones(3_600)).shape == (3_600,) and np.array_equal(A.diagonal(), A.tocsr().diagonal())


FORMS = {
    "CSR": canonical,
    "DIA": compact,
    "SELL": lambda A: by_slices(canonical(A), gain=2.0),
}
RECIPES = {"schwarz": Schwarz()} | {name: name for name in ("jacobi", "chebyshev", "ic", "ilu", "fsai", "amg", "rs", "none")}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("method", ["direct", *RECIPES])
def test_every_set_up_takes_every_form(form, method):
    A = problems.poisson(50).A
    stored, b = FORMS[form](A), np.random.default_rng(4).standard_normal(2_500)
    assert type(stored).__name__ == form
    x = solve(stored, b, method="direct").x if method == "direct" else solve(stored, b, M=RECIPES[method], rtol=1e-9).x
    assert np.linalg.norm(b - A @ x) <= 1e-8 * np.linalg.norm(b)
