"""What every solve keeps, whatever it is given: random systems of any shape, scale, layout and spectrum against dense oracles.

R1 CONVERGED only if ||b - A x|| in extended precision is within the tolerance. R2 x is finite. R3 inputs are not written to.
R4 nothing iterates on NaN: a defect ends the solve within five products. R7 no error but TypeError, ValueError or
LinAlgError, no warning, no hang.
"""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import petrov
from petrov.solvers import Status, bicgstab, cg, flexible_cg, gmres, minres
from petrov.solvers.storage import Diagonal

METHODS = {
    "cg": cg, "flexible_cg": flexible_cg, "minres": minres, "gmres": gmres, "bicgstab": bicgstab,
    "solve": lambda A, b, **keywords: petrov.solve(A, b, raise_on_failure=False, **keywords),
}  # fmt: skip
WIDE = {"f": np.longdouble, "c": np.clongdouble}
LAYOUTS = ["C", "F", "reversed", "csr", "csc", "coo", "unsorted", "dia", "operator"]
SPECTRA = ["definite", "graded", "indefinite", "semidefinite", "general", "zero"]
PRECONDITIONERS = ["none", "jacobi", "tiny", "huge", "random", "indefinite", "zero", "nan"]
DEFECTS = ["none", "none", "none", "b nan", "b inf", "A nan", "x0 nan", "operator nan"]


class Operator:
    """A by its products, which are NaN from the count-th on."""

    def __init__(self, A, count=10**9):
        self.A, self.left, self.shape, self.dtype = A, count, A.shape, A.dtype
        self.wasted = 0

    def __matmul__(self, x):
        self.left -= 1
        self.wasted += self.left < 0
        return self.A @ x if self.left >= 0 else np.full_like(x, np.nan)


@st.composite
def systems(draw):
    """All that one example varies; the numbers come from a seed, so that shrinking shrinks the structure."""
    return {
        "n": draw(st.one_of(st.integers(0, 4), st.integers(5, 60))),
        "columns": draw(st.sampled_from([None, None, 1, 3])),
        "dtype": draw(st.sampled_from(["float64", "float64", "float32", "complex128", "complex64"])),
        "layout": draw(st.sampled_from(LAYOUTS)),
        "spectrum": draw(st.sampled_from(SPECTRA)),
        "A_exponent": draw(st.one_of(st.just(0), st.integers(-300, 300))),
        "b_exponent": draw(st.one_of(st.just(0), st.integers(-300, 300))),
        "M": draw(st.sampled_from(PRECONDITIONERS)),
        "x0": draw(st.booleans()),
        "defect": draw(st.sampled_from(DEFECTS)),
        "rtol": draw(st.sampled_from([1e-3, 1e-6, 1e-8, 1e-11])),
        "method": draw(st.sampled_from(list(METHODS))),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


def numbers(rng, shape, dtype):
    x = rng.standard_normal(shape)
    return (x + 1j * rng.standard_normal(shape) if dtype.startswith("complex") else x).astype(dtype)


def scaled(x, exponent, dtype):
    """10^exponent x, within the range of the type."""
    limit = 300 if np.finfo(dtype).bits == 64 else 30
    return (x * np.asarray(10.0 ** float(np.clip(exponent, -limit, limit)), np.finfo(dtype).dtype)).astype(dtype)


def dense(rng, n, spectrum, dtype):
    """(n, n) with that spectrum, of norm about 1."""
    if spectrum == "zero":
        return np.zeros((n, n), dtype)
    if spectrum == "general":
        return numbers(rng, (n, n), dtype) / max(n, 1) ** 0.5
    values = {
        "definite": np.linspace(0.1, 1, n),
        "graded": np.logspace(-12, 0, n),
        "indefinite": np.where(np.arange(n) % 2, -1, 1) * np.linspace(0.1, 1, n),
        "semidefinite": np.where(np.arange(n) < n // 3, 0, np.linspace(0.1, 1, n)),
    }[spectrum]
    Q, _ = np.linalg.qr(numbers(rng, (n, n), dtype).astype("complex128" if dtype.startswith("complex") else "float64"))
    A = (Q * values) @ Q.conj().T
    return ((A + A.conj().T) / 2).astype(dtype)


def laid_out(A, layout, defect):
    """The same entries in another form; the dense form beside it is what the judge uses."""
    if defect == "operator nan":
        return Operator(A, 4)
    if layout == "reversed":
        return A[::-1, ::-1].copy()[::-1, ::-1]
    if layout in ("C", "F"):
        return np.array(A, order=layout)
    if layout == "operator":
        return Operator(A)
    if layout == "dia":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sp.SparseEfficiencyWarning)  # many diagonals are what is wanted
            return sp.csr_array(A).todia()
    if layout == "unsorted":
        matrix = sp.csr_array(A)
        matrix.indices, matrix.data = matrix.indices.copy(), matrix.data.copy()
        for low, high in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
            matrix.indices[low:high], matrix.data[low:high] = matrix.indices[low:high][::-1], matrix.data[low:high][::-1]
        matrix.has_sorted_indices = matrix.has_canonical_format = False
        return matrix
    return sp.csr_array(A).asformat(layout)


def preconditioner(kind, A, rng):
    n, real = A.shape[0], np.finfo(A.dtype).dtype
    limit = 10.0 ** (100 if real == np.float64 else 8)
    diagonal = np.abs(A.diagonal())
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        inverse = 1 / diagonal
    values = {
        "none": None,
        "jacobi": np.where(np.isfinite(inverse) & (inverse > 0), inverse, 1),
        "tiny": np.full(n, 1 / limit),
        "huge": np.full(n, limit),
        "random": rng.uniform(0.1, 10, n),
        "indefinite": np.where(np.arange(n) % 2, -1.0, 1.0),
        "zero": np.zeros(n),
        "nan": np.full(n, np.nan),
    }[kind]
    return None if values is None else Diagonal(values.astype(real), kind)


def build(case):
    """(A in its layout, A dense, b, keywords)."""
    rng, n, dtype = np.random.default_rng(case["seed"]), case["n"], case["dtype"]
    shape = (n,) if case["columns"] is None else (n, case["columns"])
    A = dense(rng, n, case["spectrum"], dtype)
    b = numbers(rng, shape, dtype) if case["spectrum"] == "general" else A @ numbers(rng, shape, dtype) + (case["seed"] % 2)
    A, b = scaled(A, case["A_exponent"], dtype), scaled(b, case["b_exponent"], dtype)
    x0 = numbers(rng, shape, dtype) if case["x0"] else None
    if n and case["defect"] in ("b nan", "b inf"):
        b.flat[-1] = np.nan if case["defect"] == "b nan" else np.inf
    if n and case["defect"] == "A nan":
        A[0, -1] = np.nan
    if n and case["defect"] == "x0 nan":
        x0 = np.full(shape, np.nan, dtype)
    keywords = {"M": preconditioner(case["M"], A, rng), "x0": x0, "rtol": case["rtol"], "max_iterations": 4 * n + 5}
    return laid_out(A, case["layout"], case["defect"]), A, b, keywords


def true_relative(A, b, x):
    """max over columns of ||b - A x|| / ||b|| in extended precision."""
    wide = WIDE["c" if np.iscomplexobj(A) or np.iscomplexobj(b) else "f"]
    size = np.linalg.norm(b.astype(wide), axis=0)
    r = np.linalg.norm(b.astype(wide) - A.astype(wide) @ x.astype(wide), axis=0)
    return float(np.max(np.where(size > 0, r / np.where(size > 0, size, 1), np.where(r > 0, np.inf, 0)), initial=0.0))


def arrays_of(*things):
    parts = []
    for thing in things:
        inner = thing.A if isinstance(thing, Operator) else thing
        candidates = (
            [inner]
            if isinstance(inner, np.ndarray)
            else [getattr(inner, a, None) for a in ("data", "indices", "indptr", "values")]
        )
        parts += [part for part in candidates if isinstance(part, np.ndarray)]
    return parts


def keeps_its_word(case):
    A, entries, b, keywords = build(case)
    inputs = arrays_of(A, b, keywords["x0"], keywords["M"])
    before = [part.copy() for part in inputs]
    single = case["dtype"] in ("float32", "complex64")
    try:
        result = METHODS[case["method"]](A, b, **keywords)
    except ValueError as refusal:  # R7: solve refuses what single precision cannot reach; nothing else of this is an error
        assert case["method"] == "solve", refusal
        assert single, refusal
        assert "below 4 eps" in str(refusal)
        return
    assert all(np.array_equal(old, new, equal_nan=True) for old, new in zip(before, inputs, strict=True))  # R3
    assert result.x.shape == b.shape
    assert np.isfinite(result.x).all()  # R2
    if result.converged:  # R1
        assert true_relative(entries, b, result.x) <= case["rtol"] * (1 + 1e-3)  # rounding of a residual in double precision
    broken = case["n"] > 0 and case["defect"] in ("b nan", "b inf", "A nan", "x0 nan")
    zero = not b.any() and case["defect"] == "x0 nan"
    if broken and not zero and (case["defect"] != "A nan" or case["layout"] != "operator"):  # R4
        without_x0 = case["defect"] == "x0 nan" and result.status is Status.INCONSISTENT and result.matvecs == 0
        assert result.status is Status.NONFINITE_INPUT or without_x0
        if case["columns"] in (None, 1):  # the other columns of a block may be solved
            assert result.matvecs <= 5
    if isinstance(A, Operator):
        columns = 1 if case["columns"] is None else case["columns"]
        looks = 2 * single  # whether products are made in double after all, and the size of a row
        assert A.wasted <= 5 * columns + looks + 10 * (case["method"] == "solve")  # solve tries what another method may survive


@settings(max_examples=200, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(systems())
def test_every_solve_keeps_its_word(case):
    keeps_its_word(case)


@pytest.mark.slow
@settings(max_examples=2000, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(systems())
def test_every_solve_keeps_its_word_in_two_thousand_systems(case):
    keeps_its_word(case)
