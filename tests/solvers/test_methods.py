"""Every method on every kind of matrix, in every form and precision, against the true residual."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from cases import CASES, DTYPES, FORMS, METHODS, Bare, residual

from petrov.solvers import Status, compact, flexible_cg, lsmr
from petrov.solvers.operator import Counted

SOLVABLE = [(name, case) for name, (_, kinds) in METHODS.items() for case in CASES if case.kind in kinds]
SAMPLE = {"spd": "laplacian", "indefinite": "both signs", "general": "convection"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "case"), SOLVABLE, ids=lambda value: getattr(value, "name", value))
def test_solves_what_it_is_made_for(name, case, dtype):
    A, b = case.system(dtype)
    result = METHODS[name][0](A, b)
    assert result.status is Status.CONVERGED, str(result)
    assert result.x.dtype == dtype
    assert residual(A, b, result.x) <= result.rtol * (1 + 1e-6)
    assert result.residual == pytest.approx(np.linalg.norm(b) * residual(A, b, result.x), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", METHODS)
def test_takes_every_form_of_a_matrix(name, dtype, form):
    method, kinds = METHODS[name]
    case = next(case for case in CASES if case.name == SAMPLE[kinds[-1]])
    A, b = case.system(dtype)
    given, rhs = FORMS[form](A, b)
    result = method(given, rhs)
    assert result.converged, str(result)
    assert type(result.x) is type(rhs)
    assert result.x.dtype == rhs.dtype
    assert residual(A, b, result.x) <= result.rtol * (1 + 1e-6)


@pytest.mark.parametrize("form", ["ndarray", "csr_array", "LinearOperator", "torch", "array_api_strict"])
@pytest.mark.parametrize("name", METHODS)
def test_several_right_hand_sides(name, form):
    """Columns of very different size and difficulty, a zero one among them; each judged by itself."""
    method, kinds = METHODS[name]
    case = next(case for case in CASES if case.name == SAMPLE[kinds[-1]])
    A, b = case.system("float64")
    B = np.stack([b, 0 * b, 1e-3 * b[::-1], A @ np.ones(len(b))], axis=1)
    given, rhs = FORMS[form](A, B)
    result = method(given, rhs)
    assert result.converged
    assert result.statuses == (Status.CONVERGED,) * 4
    assert tuple(result.x.shape) == B.shape and result.residual.shape == result.iterations.shape == (4,)
    x = np.asarray(result.x)
    assert not x[:, 1].any()
    for j in (0, 2, 3):
        assert residual(A, B[:, j], x[:, j]) <= 1e-8 * (1 + 1e-6)
    assert result.iterations[1] == 0


@pytest.mark.parametrize("name", METHODS)
def test_one_column_comes_back_as_one_column(name):
    A, b = CASES[3].system("float64")
    result = METHODS[name][0](A, b[:, None])
    assert result.x.shape == (len(b), 1)
    assert result.converged


@pytest.mark.parametrize("name", METHODS)
def test_products_are_counted_as_they_are_made(name):
    A, b = CASES[3].system("float64")
    counted = Counted(A)
    result = METHODS[name][0](counted, b)
    assert result.matvecs == counted.products


@pytest.mark.parametrize("name", METHODS)
def test_warm_start_costs_one_product_when_exact(name):
    A, b = CASES[3].system("float64")
    x = np.linalg.solve(A, b)
    before = x.copy()
    result = METHODS[name][0](A, b, x0=x)
    assert result.converged and result.iterations == 0 and result.matvecs == 1
    assert (x == before).all() and result.x is not x


def test_zero_x0_costs_no_product():
    A, b = CASES[3].system("float64")
    counted = Counted(A)
    assert METHODS["cg"][0](counted, b, max_iterations=0).matvecs == counted.products == 0


@pytest.mark.parametrize("name", METHODS)
def test_preconditioner_as_operator_recipe_or_bare_object(name):
    A, b = CASES[4].system("float64")
    inverse = np.diag(1 / np.diag(A))
    for M in (inverse, sp.csr_array(inverse), Bare(inverse), lambda A: Bare(inverse)):
        result = METHODS[name][0](A, b, M=M)
        assert result.converged and residual(A, b, result.x) <= 1e-8 * (1 + 1e-6)


def test_exact_preconditioner_converges_at_once():
    A, b = CASES[4].system("float64")
    for name in ("cg", "flexible_cg", "minres", "gmres", "bicgstab"):
        assert METHODS[name][0](A, b, M=np.linalg.inv(A)).iterations <= 2, name


def test_flexible_cg_survives_a_preconditioner_that_changes():
    A, b = CASES[3].system("float64")
    rng = np.random.default_rng(515)

    class Fickle(Bare):
        linear = False

        def __matmul__(self, r):
            return r * (1 + 0.5 * rng.random(len(r)))

    result = METHODS["flexible_cg"][0](A, b, M=Fickle(A))
    assert result.converged
    with pytest.raises(TypeError, match=r"cg needs a linear M.*flexible_cg"):
        METHODS["cg"][0](A, b, M=Fickle(A))


DIRECTIONS = {  # whatever a network may return
    "r": lambda A, rng: lambda r: r,
    "the solution": lambda A, rng: lambda r: np.linalg.solve(A, r),
    "uphill": lambda A, rng: lambda r: -r,
    "far too long": lambda A, rng: lambda r: 1e200 * r,
    "far too short": lambda A, rng: lambda r: 1e-200 * r,
    "noise": lambda A, rng: lambda r: rng.standard_normal(len(r)),
    "not linear": lambda A, rng: lambda r: np.maximum(r, 0.1 * r),
    "skewed": lambda A, rng: lambda r: r + np.roll(r, 1) - np.roll(r, -1),
    "in single precision": lambda A, rng: lambda r: r.astype("float32"),
    "writes to r": lambda A, rng: lambda r: np.multiply(r, 2.0, out=r),
}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_no_direction_lets_the_error_grow(name):
    """In the norm of A, whatever comes back; and the search along it is exact."""
    A, b = CASES[3].system("float64")
    solution, iterates = np.linalg.solve(A, b), [0.0 * b]
    direction = DIRECTIONS[name](A, np.random.default_rng(3))
    result = flexible_cg(A, b, direction=direction, max_iterations=25, callback=lambda state: iterates.append(state.x.copy()) or False)
    errors = [np.sqrt((x - solution) @ A @ (x - solution)) for x in iterates]
    assert len(errors) > 1 and all(late <= early * (1 + 1e-12) for early, late in pairwise(errors))
    assert errors[-1] < 0.99 * errors[0] and result.preconditioner == "<lambda>"
    for before, x in pairwise(iterates[:20]):  # no step of another length is better
        step, r = x - before, b - A @ x
        assert abs(step @ r) <= 1e-9 * np.linalg.norm(step) * np.linalg.norm(b)


def test_directions_are_made_conjugate_to_the_last():
    """With a memory of all of them, any independent directions solve a system of n unknowns in n steps."""
    A, b = CASES[4].system("float64")
    n, taken, rng = len(b), [], np.random.default_rng(4)

    def noise(r):
        return rng.standard_normal(len(r))

    result = flexible_cg(A, b, direction=noise, memory=n, callback=lambda state: taken.append(state.x.copy()) or False)
    assert result.converged and n - 3 <= result.iterations <= n
    steps = np.diff(np.array([0 * b, *taken]), axis=0)[:12]
    lengths = np.sqrt(np.einsum("in,nm,im->i", steps, A, steps))
    assert np.abs((steps @ A @ steps.T) / np.outer(lengths, lengths) - np.eye(12)).max() < 1e-10
    assert flexible_cg(A, b, direction=noise, memory=2, max_iterations=n).status.name == "MAX_ITERATIONS"


def test_a_direction_is_an_M():
    """The same steps; columns one by one; other libraries."""
    torch = pytest.importorskip("torch")
    A, b = CASES[4].system("float64")
    inverse = np.diag(1 / np.diag(A))
    one, other = flexible_cg(A, b, M=inverse), flexible_cg(A, b, direction=lambda r: inverse @ r)
    assert one.iterations == other.iterations and np.allclose(one.x, other.x, rtol=1e-10)
    both = flexible_cg(A, np.column_stack([b, b[::-1]]), direction=lambda r: inverse @ r)
    assert both.converged and both.iterations[0] == one.iterations and np.allclose(both.x[:, 0], one.x, rtol=1e-10)
    far = flexible_cg(torch.from_numpy(A), torch.from_numpy(b), direction=lambda r: r / 3)
    assert far.converged and isinstance(far.x, torch.Tensor)


def test_gmres_restart_limits_memory_not_correctness():
    A, b = CASES[7].system("float64")
    full, short = (METHODS["gmres"][0](A, b, restart=m) for m in (40, 5))
    assert full.converged and short.converged
    assert full.iterations < short.iterations


def test_minres_finds_a_least_squares_solution_of_an_inconsistent_system():
    A = np.diag([1.0, 2.0, 0.0])
    result = METHODS["minres"][0](A, np.array([1.0, 2.0, 1.0]))
    assert result.status is Status.INCONSISTENT
    assert A @ result.x == pytest.approx([1.0, 2.0, 0.0])


def test_lsmr_solves_and_says_when_it_only_fits():
    A, b = CASES[7].system("float64")
    assert residual(A, b, lsmr(A, b).x) <= 1e-8
    tall = np.vander(np.linspace(0, 1, 9), 3)
    rhs = np.exp(np.linspace(0, 1, 9))
    result = lsmr(sp.csr_array(tall), rhs, rtol=1e-10)
    assert result.status is Status.INCONSISTENT
    assert result.x == pytest.approx(np.linalg.lstsq(tall, rhs)[0], rel=1e-6)


def test_compact_is_lossless_and_passes_through():
    rng = np.random.default_rng(99)
    dense = np.where(rng.random((30, 30)) < 0.2, rng.standard_normal((30, 30)), 0.0)
    for form in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok"):
        A = compact(getattr(sp, f"{form}_array")(dense))
        assert (A.tocsr().toarray() == dense).all()
        assert compact(A) is A
    doubled = sp.coo_array((np.ones(4), ([0, 0, 1, 1], [0, 0, 1, 0])), shape=(2, 2)).tocsr()
    assert (compact(doubled) @ np.ones(2) == [2.0, 2.0]).all()


def test_residual_history_starts_at_x0_and_ends_below_the_limit():
    A, b = CASES[3].system("float64")
    result = METHODS["cg"][0](A, b)
    assert result.residuals[0] == pytest.approx(np.linalg.norm(b))
    assert result.residuals[-1] <= 1e-8 * np.linalg.norm(b)
    assert len(result.residuals) == result.iterations + 1


class Single(Bare):
    """An operator that rounds every product to single precision, whatever it is given."""

    def __matmul__(self, x):
        return super().__matmul__(x.astype("float32")).astype("float32")


@pytest.mark.parametrize("name", METHODS)
def test_products_in_single_precision_are_not_trusted_beyond_their_rounding(name):
    """The same residual may be claimed when A multiplies in double, and may not when rounding could hide it."""
    A, _ = CASES[3].system("float32")
    b = np.sin(np.pi * np.arange(1, 41) / 41).astype("float32")  # x is 170 times as large, and so is what rounding may hide
    assert METHODS[name][0](Bare(A), b, rtol=4e-5).converged
    result = METHODS[name][0](Single(A), b, rtol=4e-5)
    assert result.status in (Status.STAGNATED, Status.MAX_ITERATIONS)
    easy, b = CASES[2].system("float32")
    assert METHODS[name][0](Single(easy), b).converged
