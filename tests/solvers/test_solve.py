"""The front door: what it chooses, what it refuses, what it says, and the systems it transforms before solving."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from cases import CASES, DTYPES, FORMS, Bare, residual

import petrov
from petrov.solvers import Jacobi, SolveError, Status
from petrov.solvers.choose import plans
from petrov.solvers.recognise import recognise
from petrov.solvers.storage import compact


def grid(m: int, dim: int = 2, boundary: float = 2.0) -> sp.csr_array:
    """The m^dim five- or seven-point Laplacian; boundary=1 makes its ends Neumann."""
    T = sp.diags_array([-np.ones(m - 1), np.r_[boundary, 2.0 * np.ones(m - 2), boundary], -np.ones(m - 1)], offsets=[-1, 0, 1])
    A = T
    for _ in range(dim - 1):
        A = sp.kron(A, sp.eye_array(m)) + sp.kron(sp.eye_array(A.shape[0]), T)
    return A.tocsr()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("form", ["ndarray", "csr_array", "csc_array", "LinearOperator", "bare", "torch", "array_api_strict"])
def test_defaults_solve_everything(case, form, dtype):
    A, b = case.system(dtype)
    given, rhs = FORMS[form](A, b)
    result = petrov.solve(given, rhs)
    assert result.converged and type(result.x) is type(rhs) and result.x.dtype == rhs.dtype
    assert residual(A, b, result.x) <= result.rtol * (1 + 1e-6)


CHOICES = [
    ("small sparse", grid(20), "direct", "superlu"),
    ("dense", np.eye(5) + 0.1, "direct", ""),
    ("large 3-D", grid(32, 3), "cg", ""),
    ("not symmetric, large 3-D", (grid(28, 3) + sp.eye_array(28**3, k=1)).tocsr(), "gmres", "ilu"),
    ("operator, symmetric", Bare(grid(12).toarray()), "cg", "none"),
    ("operator, not symmetric", Bare(np.triu(np.ones((9, 9)))), "gmres", "none"),
]


@pytest.mark.parametrize(("name", "A", "method", "M"), CHOICES, ids=[row[0] for row in CHOICES])
def test_the_choice_and_its_reason(name, A, method, M):
    b = np.random.default_rng(4).standard_normal(A.shape[0])
    result = petrov.solve(A, b)
    assert result.method == method and M in result.preconditioner
    assert result.reason and "\n" not in str(result)
    assert np.linalg.norm(b - A @ result.x) <= 1e-8 * np.linalg.norm(b)


def test_symmetric_is_judged_exactly_or_by_two_products():
    facts = recognise(compact(grid(10)), 3)
    assert facts.symmetric and facts.definite == 1 and facts.dominant and not facts.zero_sums
    assert (facts.width, facts.depth) == (10, 19)
    nearly = grid(10).toarray()
    for size, verdict in ((1e-14, True), (1e-9, False), (1e-3, False)):
        nearly[0, 1] = -1 + size
        assert recognise(compact(sp.csr_array(nearly)), 3).symmetric is verdict
    assert recognise(Bare(grid(6).toarray()), 3).symmetric and not recognise(Bare(np.triu(np.ones((5, 5)))), 3).symmetric
    assert recognise(compact(grid(8, boundary=1.0)), 3).zero_sums


def test_methods_that_need_symmetry_refuse_its_absence():
    A, b = CASES[7].system("float64")
    for method in ("cg", "minres", "flexible_cg"):
        for given in (sp.csr_array(A), A, Bare(A)):
            with pytest.raises(SolveError, match=r"not symmetric.*gmres") as caught:
                petrov.solve(given, b, method=method)
            assert caught.value.result.status is Status.NOT_SYMMETRIC
            assert caught.value.result.matvecs == 0


def test_negative_definite_is_solved_with_the_sign_turned():
    A, b = -grid(12), np.ones(144)
    result = petrov.solve(A, b)
    assert "negative definite" in result.reason and result.method == "direct"
    assert np.linalg.norm(b - A @ result.x) <= 1e-8 * np.linalg.norm(b)
    assert petrov.solve(A, b, method="cg").converged


def test_when_the_first_choice_fails_the_next_is_tried_and_said():
    A = Bare(np.diag(np.r_[np.ones(20), -np.ones(20)]) + 0.1)
    result = petrov.solve(A, np.arange(40.0))
    assert result.method == "minres" and "INDEFINITE_MATRIX" in result.reason


def test_a_failure_raises_with_the_best_x_and_the_next_thing_to_try():
    A, b = grid(40), np.random.default_rng(6).standard_normal(1600)
    with pytest.raises(SolveError, match="max_iterations") as caught:
        petrov.solve(A, b, method="cg", M=None, max_iterations=30)
    result = caught.value.result
    assert result.status is Status.MAX_ITERATIONS and np.isfinite(result.x).all()
    quiet = petrov.solve(A, b, method="cg", M=None, max_iterations=30, raise_on_failure=False)
    assert (quiet.x == result.x).all()


@pytest.mark.parametrize("M", ["none", "jacobi", "chebyshev", "ic", "ilu", "amg", "rs"])
def test_preconditioners_by_name(M):
    A, b = grid(30), np.random.default_rng(6).standard_normal(900)
    result = petrov.solve(A, b, M=M)
    assert result.converged
    assert result.method == ("flexible_cg" if M == "ilu" else "cg")
    plain = petrov.solve(A, b, method="cg", M=None).iterations
    assert result.iterations <= plain


def dirichlet(m: int) -> tuple[sp.csr_array, np.ndarray, np.ndarray]:
    """A Laplacian whose boundary rows were replaced by those of the identity, columns kept; b; the boundary."""
    A, b = grid(m).tolil(), np.random.default_rng(3).standard_normal(m * m)
    index = np.arange(m * m).reshape(m, m)
    edge = np.unique(np.r_[index[0], index[-1], index[:, 0], index[:, -1]])
    A[edge] = 0
    for i in edge:
        A[i, i] = 1.0
    return A.tocsr(), b, edge


@pytest.mark.parametrize("method", ["auto", "cg", "minres"])
def test_enforced_and_condensed_systems_choose_the_same(method):
    A, b, edge = dirichlet(40)
    free = np.setdiff1d(np.arange(1600), edge)
    condensed = petrov.solve(A[free][:, free], b[free] - A[free][:, edge] @ b[edge], method=method)
    enforced = petrov.solve(A, b, method=method)
    assert enforced.method == condensed.method and enforced.preconditioner == condensed.preconditioner
    assert np.linalg.norm(b - A @ enforced.x) <= 1e-8 * np.linalg.norm(b)
    assert f"{len(edge)} rows that fix one unknown eliminated" in str(enforced)
    assert (enforced.x[edge] == b[edge]).all()


def test_elimination_serves_blocks_warm_starts_callbacks_and_diagonal_matrices():
    A, b, _ = dirichlet(20)
    B = np.stack([b, 2 * b], axis=1)
    x = petrov.solve(A, B, method="cg").x
    assert np.linalg.norm(B - A @ x) <= 1e-8 * np.linalg.norm(B)
    seen = []
    warm = petrov.solve(A, b, x0=x[:, 0], method="cg", callback=lambda state: seen.append(state.x.shape))
    assert warm.iterations <= 1
    petrov.solve(A, b, method="cg", callback=lambda state: seen.append(state.x.shape))
    assert set(seen) == {(400,)}
    assert (petrov.solve(sp.diags_array([2.0, 4.0]).tocsr(), np.ones(2)).x == [0.5, 0.25]).all()


@pytest.mark.parametrize("method", ["auto", "cg", "minres", "gmres"])
def test_pure_neumann(method):
    A, b = grid(24, boundary=1.0), np.random.default_rng(12).standard_normal(576)
    result = petrov.solve(A, b, nullspace="constant", method=method)
    projected = b - b.mean()
    assert np.linalg.norm(projected - A @ result.x) <= 1e-8 * np.linalg.norm(projected) * (1 + 1e-6)
    assert abs(result.x.mean()) <= 1e-12 * np.abs(result.x).max()
    assert result.inconsistency == pytest.approx(np.linalg.norm(b - projected) / np.linalg.norm(b))
    assert "outside the range" in str(result)
    oracle = np.linalg.lstsq(A.toarray(), b)[0]
    assert result.x == pytest.approx(oracle, rel=1e-5, abs=1e-6)
    assert "outside the range" not in str(petrov.solve(A, projected, nullspace=np.ones(576), method=method))


@pytest.mark.parametrize("M", ["none", "jacobi", "amg"])
def test_pure_neumann_with_preconditioners(M):
    A, b = grid(24, boundary=1.0), np.random.default_rng(12).standard_normal(576)
    result = petrov.solve(A, b, nullspace="constant", method="cg", M=M)
    assert np.linalg.norm(b - b.mean() - A @ result.x) <= 1e-8 * np.linalg.norm(b - b.mean()) * (1 + 1e-6)


def test_singular_and_not_symmetric_projects_off_the_left_null_space():
    rng = np.random.default_rng(77)
    A = grid(12, boundary=1.0).toarray() * rng.uniform(0.5, 2.0, (144, 1))  # A 1 = 0, but 1^T A is not 0
    b = rng.standard_normal(144)
    left = np.linalg.svd(A)[0][:, -1]
    for given in (sp.csr_array(A), A):
        result = petrov.solve(given, b, nullspace="constant")
        assert result.inconsistency == pytest.approx(abs(left @ b) / np.linalg.norm(b), rel=1e-6)
        projected = b - left * (left @ b)
        assert np.linalg.norm(projected - A @ result.x) <= 1e-7 * np.linalg.norm(projected)
        assert abs(result.x.mean()) <= 1e-10


@pytest.mark.parametrize(
    ("nullspace", "message"),
    [
        ("linear", "must be 'constant'"),
        (np.ones(7), "got shape"),
        (np.arange(576.0), "not one of A"),
        (np.ones((576, 2)), "independent"),
    ],
)
def test_a_wrong_nullspace_is_refused(nullspace, message):
    with pytest.raises(ValueError, match=message):
        petrov.solve(grid(24, boundary=1.0), np.ones(576), nullspace=nullspace)


def test_inconsistent_without_a_nullspace_is_named():
    A = grid(16, boundary=1.0)
    b = np.random.default_rng(5).standard_normal(256)
    with pytest.raises(SolveError, match="nullspace") as caught:
        petrov.solve(A, b, method="cg", M=None)
    assert caught.value.result.status is Status.INCONSISTENT
    with pytest.raises(SolveError, match="nullspace") as caught:
        petrov.solve(A, b)
    assert caught.value.result.status is Status.INCONSISTENT
    empty = grid(4).tolil()
    empty[5] = 0
    with pytest.raises(SolveError, match="row 5 of A is zero"):
        petrov.solve(empty.tocsr(), np.ones(16))


def test_tolerances_below_the_precision_are_refused():
    A, b = grid(10), np.ones(100)
    for given, rhs, rtol in ((A, b, 1e-16), (A, b, 0.0), (A.astype("float32"), b.astype("float32"), 1e-10)):
        with pytest.raises(ValueError, match="below 4 eps"):
            petrov.solve(given, rhs, rtol=rtol)
    assert petrov.solve(A, b, rtol=0.0, atol=1e-6).converged


def test_solver_sets_up_once_and_follows_a_new_matrix():
    A = grid(30)
    S = petrov.Solver(A)
    rng = np.random.default_rng(2)
    first, second = (S.solve(rng.standard_normal(900)) for _ in range(2))
    assert first.setup_seconds > 0 and second.setup_seconds == 0.0
    S.update((2 * A).tocsr())
    b = np.ones(900)
    assert np.linalg.norm(b - 2 * A @ S.solve(b).x) <= 1e-8 * 30
    inverse = S.as_linear_operator()
    assert np.linalg.norm(b - 2 * A @ (inverse @ b)) <= 1e-8 * 30
    assert (inverse @ np.ones((900, 2))).shape == (900, 2)
    assert "Solver 900 x 900: direct" in repr(S)


def test_near_nullspace_reaches_the_preconditioner_only():
    A, b = grid(30), np.ones(900)
    seen = {}

    class Recipe:
        def bind(self, **fields):
            seen.update(fields)
            return self

        def __call__(self, A):
            return sp.eye_array(900).tocsr()

    assert petrov.solve(A, b, M=Recipe(), near_nullspace=np.ones((900, 1))).inconsistency == 0.0
    assert list(seen) == ["near_nullspace"]


def test_unknown_names_are_listed():
    with pytest.raises(ValueError, match="method must be one of auto, cg"):
        petrov.solve(np.eye(2), np.ones(2), method="magic")
    with pytest.raises(ValueError, match="one of none, jacobi"):
        petrov.solve(np.eye(2), np.ones(2), M="magic")
    with pytest.raises(TypeError, match="tolerance"):
        petrov.solve(np.eye(2), np.ones(2), tolerance=1e-3)


def test_plans_never_end_in_nothing():
    for A in (grid(5), grid(200), grid(30, 3), -grid(5), (grid(9) + sp.eye_array(81, k=1)).tocsr()):
        for singular in (False, True):
            assert plans(recognise(compact(A), 1), singular)


START = """
import time
import numba, scipy.linalg, scipy.sparse.linalg
libraries = time.process_time()
import numpy as np, scipy.sparse as sp
import petrov
m = 64
T = sp.diags_array([-np.ones(m - 1), 2 * np.ones(m), -np.ones(m - 1)], offsets=[-1, 0, 1])
A = (sp.kron(T, sp.eye_array(m)) + sp.kron(sp.eye_array(m), T)).tocsr()
for method in {methods}:
    assert petrov.solve(A, np.ones(m * m), method=method).converged
print(time.process_time() / libraries)
"""


@pytest.mark.parametrize("method", ["auto", "cg"])
def test_the_first_solve_of_a_process_is_quick(tmp_path, method):
    """64^2 from an empty cache of compiled kernels, then from a warm one, in units of what loading NumPy, SciPy and numba costs
    in the same process (measured: 10 and 1.7). The bars are generous on purpose."""
    if os.environ.get("NUMBA_DISABLE_JIT"):
        pytest.skip("compiled code is switched off")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "2"}

    def times_loading() -> float:
        done = subprocess.run(
            [sys.executable, "-c", START.format(methods=[method])],
            env=environment,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parent,
        )
        assert done.returncode == 0, done.stderr
        return float(done.stdout)

    assert times_loading() < 60.0
    assert min(times_loading() for _ in range(3)) < 4.0


# Candidates, and recipes made by training.


@dataclass(frozen=True)
class Diagonal:
    """M = diag(values), which says what it costs."""

    values: np.ndarray
    cost: tuple[float, float] | None
    trained: bool = False
    name: str = "a diagonal"

    def estimate(self, facts):
        return self.cost if facts.n == len(self.values) else None

    def __call__(self, A):
        return Spd(sp.diags_array(self.values).tocsr())


@dataclass(frozen=True)
class Spd:
    matrix: Any
    linear: bool = True
    spd: bool = True

    @property
    def shape(self):
        return self.matrix.shape

    @property
    def dtype(self):
        return self.matrix.dtype

    def __matmul__(self, r):
        return self.matrix @ r


def test_candidates_are_weighed_by_what_they_say_they_cost():
    A, b, n = grid(60), np.arange(3600.0), 3600
    cheap, dear, strange = (Diagonal(np.ones(k), cost) for k, cost in ((n, (1e-7, 1e-7)), (n, (1e3, 1.0)), (7, (0.0, 0.0))))
    taken = petrov.solve(A, b, candidates=[strange, dear, cheap])
    assert taken.method == "cg" and "a diagonal, a candidate" in taken.reason
    assert petrov.solve(A, b, candidates=[dear, strange]).method == "direct"
    assert petrov.solve(A, b, candidates=[Diagonal(np.ones(n), None)]).method == "direct"
    many = petrov.Sequence(candidates=[cheap])
    assert "a candidate" in many.solve([(A, b)])[0].reason
    assert "a candidate" not in petrov.solve(A + sp.eye_array(n, k=1), b, candidates=[cheap]).reason
    with pytest.raises(TypeError, match="candidates are recipes with a method estimate"):
        petrov.solve(A, b, candidates=[Jacobi()])


def test_a_trained_recipe_whose_count_explodes_is_given_up():
    A, b = grid(40), np.random.default_rng(5).standard_normal(1600)
    bad = 10.0 ** np.random.default_rng(6).uniform(-6, 6, 1600)
    with pytest.warns(RuntimeWarning, match="a diagonal was given up after .* unlike those it was trained on; direct"):
        result = petrov.solve(A, b, M=Diagonal(bad, None, trained=True))
    assert result.converged and result.method == "direct"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert petrov.solve(A, b, M=Diagonal(np.ones(1600), None, trained=True)).method == "cg"  # it suits
        assert not petrov.solve(A, b, M=Diagonal(bad, None), max_iterations=400, raise_on_failure=False).converged  # not trained
        with pytest.raises(petrov.SolveError):  # the user's own method is kept to
            petrov.solve(A, b, method="cg", M=Diagonal(bad, None, trained=True), max_iterations=400)


def test_an_applied_preconditioner_of_the_whole_serves_the_free_rows():
    A, b, _ = dirichlet(20)
    M = sp.diags_array(1 / A.diagonal())
    for given in (M.tocsr(), Bare(M.toarray())):
        result = petrov.solve(A, b, M=given)
        assert result.method == "flexible_cg" and result.converged


def test_an_eliminated_unknown_that_overflows_is_no_answer():
    result = petrov.solve(sp.csr_array(np.array([[1e-17]], "float32")), np.array([1e30], "float32"), raise_on_failure=False)
    assert result.status is Status.DIVERGED and np.isfinite(result.x).all()
