"""Every Status provoked in every method where it can occur, and every error message of the checks provoked once."""

import ast
import inspect
import pickle
import re
import time

import numpy as np
import pytest
import scipy.sparse as sp

import petrov
from petrov.solvers import (
    SolveError,
    SolveInterrupted,
    Status,
    bicgstab,
    cg,
    compact,
    flexible_cg,
    gmres,
    lsmr,
    minres,
    operator,
    system,
)
from petrov.solvers.storage import Diagonal, csr

S = Status
N = 40
NAN = float("nan")
KRYLOV = (cg, flexible_cg, minres, gmres, bicgstab)
DEFINITE = (cg, flexible_cg)


def T(n=N):
    return sp.diags_array([-1.0, 2.2, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tocsr()


def B(n=N):
    return np.random.default_rng(352).standard_normal(n)


class Operator:
    """A by its products, each of which `spoil` may change."""

    def __init__(self, spoil, A=None):
        self.spoil, self.A, self.count, self.dtype = spoil, T() if A is None else A, 0, np.dtype(float)
        self.shape = self.A.shape

    def __matmul__(self, x):
        self.count += 1
        return self.spoil(self.A @ x, self.count)


def slow(y, count):
    time.sleep(0.005)
    return y


def nan_from_fifth(y, count):
    return y if count < 5 else y * NAN


def interrupt(state):
    raise KeyboardInterrupt


def skewed():
    """I + 100 K with a skew K: p^T A p > 0 for every p, yet far from symmetric."""
    K = np.triu(np.random.default_rng(18).standard_normal((N, N)), 1)
    return np.eye(N) + 100 * (K - K.T)


class Growing:
    """I + 10^k K with a skew K at the k-th product: p^T A p > 0 always, while the residual grows tenfold a step."""

    shape, dtype = (N, N), np.dtype(float)

    def __init__(self):
        self.count = 0

    def __matmul__(self, x):
        self.count += 1
        return x + 10.0**self.count * (np.roll(x, 1) - np.roll(x, -1))


def signs():
    return np.where(np.arange(N) % 2, -1.0, 1.0)


def neumann():
    A = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(N, N)).tolil()
    A[0, 0] = A[-1, -1] = 1.0
    return A.tocsr()


# status, methods in which it can occur, (A, b, keywords)
PROVOKED = [
    (S.CONVERGED, KRYLOV, lambda: (T(), B(), {})),
    (S.STOPPED, KRYLOV, lambda: (T(), B(), {"callback": lambda state: True})),
    (S.INTERRUPTED, KRYLOV, lambda: (T(), B(), {"callback": interrupt})),
    (S.TIME_LIMIT, KRYLOV, lambda: (Operator(slow), B(), {"time_limit": 0.02, "rtol": 1e-14})),
    (S.MAX_ITERATIONS, KRYLOV, lambda: (T(), B(), {"max_iterations": 3})),
    (S.STAGNATED, KRYLOV, lambda: (T(), B(), {"rtol": 1e-20})),
    (S.DIVERGED, DEFINITE, lambda: (Growing(), B(), {})),
    (S.INDEFINITE_MATRIX, DEFINITE, lambda: (np.diag(signs()), np.ones(N), {})),
    (S.INDEFINITE_PRECONDITIONER, (cg, flexible_cg, minres), lambda: (T(), np.ones(N), {"M": Diagonal(signs())})),
    (S.NOT_SYMMETRIC, (), None),
    (S.INCONSISTENT, (cg, flexible_cg, minres), lambda: (neumann(), 1 + np.arange(N) % 3, {})),
    (S.BREAKDOWN, (bicgstab,), lambda: (np.array([[0.0, 1.0], [-1.0, 0.0]]), np.array([1.0, 0.0]), {})),
    (S.BREAKDOWN, (gmres, bicgstab), lambda: (np.zeros((N, N)), B(), {})),
    (S.BREAKDOWN, (flexible_cg,), lambda: (T(), B(), {"M": Operator(lambda r, count: np.ones(N))})),  # said INCONSISTENT once
    (S.BREAKDOWN, (flexible_cg,), lambda: (T(), B(), {"direction": lambda r: np.ones(N)})),
    (S.BREAKDOWN, (flexible_cg,), lambda: (T(), B(), {"direction": lambda r: 0 * r})),
    (S.BREAKDOWN, (flexible_cg,), lambda: (T(), B(), {"direction": lambda r: np.append(r[::-1][:20], -r[::-1][20:])})),
    (S.NONFINITE_PRECONDITIONER, (flexible_cg,), lambda: (T(), B(), {"direction": lambda r: r * NAN})),
    (S.NONFINITE_PRECONDITIONER, (flexible_cg,), lambda: (T(), B(), {"direction": lambda r: r / np.zeros(N)})),
    (S.NONFINITE_PRECONDITIONER, KRYLOV, lambda: (T(), B(), {"M": Operator(nan_from_fifth, sp.eye_array(N).tocsr())})),
    (S.NONFINITE_OPERATOR, KRYLOV, lambda: (Operator(nan_from_fifth), B(), {})),
    (S.NONFINITE_INPUT, KRYLOV, lambda: (T(), B() * NAN, {})),
]

BY_SOLVE = [
    (S.STOPPED, lambda: (T(), B(), {"method": "cg", "M": None, "callback": lambda state: True})),
    (S.TIME_LIMIT, lambda: (Operator(slow), B(), {"time_limit": 0.02, "rtol": 1e-14})),
    (S.MAX_ITERATIONS, lambda: (T(), B(), {"method": "cg", "M": None, "max_iterations": 3})),
    (S.INDEFINITE_MATRIX, lambda: (sp.diags_array(signs()) @ sp.eye_array(N) + T(), np.ones(N), {"method": "cg", "M": None})),
    (S.INDEFINITE_PRECONDITIONER, lambda: (T(), np.ones(N), {"method": "cg", "M": Diagonal(signs())})),
    (S.NOT_SYMMETRIC, lambda: (skewed(), B(), {"method": "cg"})),
    (S.NOT_SYMMETRIC, lambda: (skewed(), B(), {"method": "flexible_cg"})),
    (S.NOT_SYMMETRIC, lambda: (skewed(), B(), {"method": "minres"})),
    (S.NOT_SYMMETRIC, lambda: (sp.linalg.aslinearoperator(skewed()), B(), {"method": "cg"})),
    (S.INCONSISTENT, lambda: (neumann(), 1.0 + np.arange(N) % 3, {"method": "cg", "M": None})),
    (S.INCONSISTENT, lambda: (sp.csr_array((N, N)), B(), {})),
    (S.NONFINITE_OPERATOR, lambda: (Operator(nan_from_fifth), B(), {})),
    (S.NONFINITE_INPUT, lambda: (T(), B() * NAN, {})),
]  # fmt: skip

# What each sentence must offer: something that the user can type or do next.
OFFERS = {
    S.CONVERGED: "within the tolerance",
    S.STOPPED: "x0",
    S.INTERRUPTED: "x0",
    S.TIME_LIMIT: "time_limit=.*x0.*preconditioner",
    S.MAX_ITERATIONS: "max_iterations=.*M=.*direct",
    S.STAGNATED: "loosen rtol.*double precision.*preconditioner.*method='direct'",
    S.DIVERGED: "minres, gmres, direct",
    S.INDEFINITE_MATRIX: "method='minres'.*'gmres'.*-A",
    S.INDEFINITE_PRECONDITIONER: "another M.*method='gmres'",
    S.NOT_SYMMETRIC: "method='gmres', 'bicgstab' or 'direct'",
    S.INCONSISTENT: "nullspace=.*method='lsmr'",
    S.BREAKDOWN: "another method.*another x0",
    S.NONFINITE_PRECONDITIONER: "check how M",
    S.NONFINITE_OPERATOR: "check the operator",
    S.NONFINITE_INPUT: "clean it",
}

CASES = [
    pytest.param(status, method, make, id=f"{status.name}-{method.__name__}")
    for status, methods, make in PROVOKED
    for method in methods
]


@pytest.mark.parametrize(("status", "method", "make"), CASES)
def test_a_method_returns_the_status(status, method, make):
    A, b, keywords = make()
    if status is S.INTERRUPTED:
        with pytest.raises(SolveInterrupted) as caught:
            method(A, b, **keywords)
        result = caught.value.result
    else:
        result = method(A, b, **keywords)
    assert result.status is status
    assert result.statuses == (status,)
    assert result.converged is (status is S.CONVERGED)
    assert np.isfinite(result.x).all()
    assert str(result).startswith(f"{status.name}: {method.__name__}")
    assert status is S.CONVERGED or status.value in result.reason


@pytest.mark.parametrize(("status", "make"), BY_SOLVE, ids=[f"{status.name}-{i}" for i, (status, _) in enumerate(BY_SOLVE)])
def test_solve_raises_what_a_method_returns(status, make):
    A, b, keywords = make()
    result = petrov.solve(A, b, raise_on_failure=False, **keywords)
    assert result.status is status, str(result)
    assert np.isfinite(result.x).all()
    A, b, keywords = make()
    if status is S.STOPPED:  # the user's own wish is no failure
        assert petrov.solve(A, b, **keywords).status is status
        return
    with pytest.raises(SolveError, match=re.escape(status.value)) as caught:
        petrov.solve(A, b, **keywords)
    assert caught.value.result.status is status
    assert str(caught.value) == str(caught.value.result)


@pytest.mark.parametrize("status", Status, ids=lambda status: status.name)
def test_a_status_says_what_to_try(status):
    assert re.search(OFFERS[status], status.value)
    assert status.value[0].isupper() is (
        status.value.split()[0] in ("A", "M")
    )  # follows a semicolon, so no capital but a letter's
    assert not status.value.endswith(".")


def test_every_status_is_provoked():
    assert {status for status, *_ in [*PROVOKED, *BY_SOLVE]} == set(Status)


@pytest.mark.parametrize("method", KRYLOV, ids=lambda method: method.__name__)
def test_a_block_reports_its_worst_column(method):
    b = np.c_[np.zeros(N), B()]
    result = method(T(), b, max_iterations=2)
    assert result.statuses == (S.CONVERGED, S.MAX_ITERATIONS)
    assert result.status is S.MAX_ITERATIONS
    assert not result.converged
    assert not result.x[:, 0].any()


def test_the_errors_survive_pickling():
    result = cg(T(), B(), max_iterations=1)
    for error in (SolveError("what to try", result), SolveInterrupted("interrupted", result)):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert np.array_equal(copy.result.x, result.x)
        assert copy.result.status is S.MAX_ITERATIONS


# -- error messages ------------------------------------------------------------------------------------------------------


def broken(**parts):
    """T with one of its index arrays replaced behind SciPy's back."""
    A = T()
    for name, values in parts.items():
        setattr(A, name, np.asarray(values, np.int32))
    return A


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def bad_coo(axis, value):
    A = T().tocoo()
    A.coords[axis][3] = value
    return A


class Shapeless:
    """An object with @ and nothing else."""

    def __matmul__(self, x):
        return x


class Series:
    """A vector of a library that petrov does not know."""

    __module__ = "pandas.core.series"
    dtype, shape, ndim = np.dtype(float), (N,), 1


def with_M(M):
    return lambda: cg(T(), B(), M=M)


def torch_beside_scipy():
    torch = pytest.importorskip("torch")
    return cg(T(), torch.ones(N, dtype=torch.float64))


def x0_of_another_library():
    torch = pytest.importorskip("torch")
    return cg(T(), B(), x0=torch.ones(N, dtype=torch.float64))


def returning(value):
    return Operator(lambda y, count: value)


# call, exception, what it says
ERRORS = [
    # what A is
    (lambda: cg("A", B()), TypeError, "A must have shape, dtype and @ (an array, a sparse matrix, a LinearOperator); got str"),
    (lambda: cg(Shapeless(), B()), TypeError, "A must have shape, dtype and @"),
    (
        lambda: cg(np.ones((4, 5)), np.ones(4)),
        ValueError,
        "A must be square; got shape (4, 5); for least squares use method='lsmr'",
    ),
    (lambda: cg(np.ones(4), np.ones(4)), ValueError, "A must be square; got shape (4,)"),
    (
        lambda: cg(T().toarray().astype("f2"), B()),
        TypeError,
        "A has dtype float16; use float32, float64, complex64 or complex128",
    ),
    # what its index arrays are
    (lambda: compact(broken(indptr=[0, 1])), ValueError, "A.indptr must rise from 0 over 41 entries; got 2 entries; rebuild"),
    (lambda: compact(broken(indptr=changed(T().indptr, 9, 2))), ValueError, "A.indptr must rise from 0"),
    (
        lambda: compact(broken(indptr=changed(T().indptr, -1, 999))),
        ValueError,
        "A.indptr ends at 999 but only 118 entries are stored",
    ),
    (
        lambda: compact(broken(indices=changed(T().indices, 3, N))),
        ValueError,
        "A has column index 40 in row 1, outside 0..39; rebuild",
    ),
    (lambda: compact(broken(indices=changed(T().indices, 3, -1))), ValueError, "A has column index -1 in row 1, outside 0..39"),
    (lambda: compact(bad_coo(0, N)), ValueError, "A has a row index outside 0..39; rebuild the matrix from checked triplets"),
    (lambda: compact(bad_coo(1, -3)), ValueError, "A has a column index outside 0..39"),
    # what b is
    (lambda: cg(T(), B(9)), ValueError, "b must have shape (40,) or (40, k) beside A (40, 40); got (9,)"),
    (torch_beside_scipy, TypeError, "A and b must come from one array library; got A from scipy and b from torch; convert b"),
    (
        lambda: cg(T(), np.ma.masked_array(B())),
        TypeError,
        "b is a masked array, whose masked entries have no value; fill it first",
    ),
    (lambda: cg(T(), sp.csr_array(B()[:, None])), TypeError, "b is sparse; a right-hand side must be dense (b.toarray())"),
    (lambda: cg(T(), Series()), TypeError, "b must be an array; got Series from pandas; pass its values as a NumPy array"),
    (lambda: cg(T(), 3.0), TypeError, "b must be an array; got float from builtins"),
    (lambda: cg(T(), ["one"] * N), TypeError, "b has dtype str96, which holds no numbers; pass b.astype(float)"),
    (
        lambda: cg(T(), B().astype("f2")),
        TypeError,
        "b has dtype float16; use float32, float64, complex64 or complex128 (b.astype(float))",
    ),
    # what x0 is
    (x0_of_another_library, TypeError, "x0 must live where b lives (numpy on cpu); got torch on cpu"),
    (lambda: cg(T(), B(), x0=np.ones(3)), ValueError, "x0 must have the shape (40,) of b; got (3,)"),
    (lambda: cg(T(), B(), x0=B() * 1j), TypeError, "x0 is complex but A and b are real; pass x0.real"),
    # what M is
    (with_M("amg"), TypeError, "M must be an operator (shape, dtype, @) or a recipe M(A) that returns one; got str"),
    (
        with_M(lambda r: 0.5),
        TypeError,
        "M(A) must return an operator with A's shape; function returned float; if M is a function r -> z",
    ),
    (with_M(np.eye(3)), ValueError, "M must have the shape (40, 40) of A; got (3, 3) from ndarray"),
    (with_M(lambda A: np.eye(3)), ValueError, "M must have the shape (40, 40) of A; got (3, 3) from function"),
    (
        with_M(Diagonal(np.ones(N), linear=False)),
        TypeError,
        "cg needs a linear M; Diagonal declares linear=False; use flexible_cg",
    ),
    # what the controls are
    (lambda: cg(T(), B(), rtol=-1e-8), ValueError, "rtol must be a finite number >= 0; got -1e-08"),
    (lambda: cg(T(), B(), atol=None), ValueError, "atol must be a finite number >= 0; got None"),
    (lambda: cg(T(), B(), time_limit=NAN), ValueError, "time_limit must be a finite number >= 0; got nan"),
    (lambda: cg(T(), B(), max_iterations=2.5), TypeError, "max_iterations must be an integer >= 0; got 2.5"),
    (lambda: cg(T(), B(), max_iterations=-1), ValueError, "max_iterations must be an integer >= 0; got -1"),
    (lambda: cg(T(), B(), callback=7), TypeError, "callback must be callable, callback(state) -> True to stop; got int"),
    (
        lambda: cg(T(), B(), callback=lambda s: 7),
        TypeError,
        "callback(state) must return True to stop, or False or None to go on; got 7",
    ),
    (
        lambda: gmres(T(), B(), restart=0),
        ValueError,
        "restart must be an integer >= 1 (steps before the basis is dropped); got 0",
    ),
    (
        lambda: gmres(T(), B(), restart=True),
        ValueError,
        "restart must be an integer >= 1 (steps before the basis is dropped); got True",
    ),
    (
        lambda: flexible_cg(T(), B(), memory=0),
        ValueError,
        "memory must be an integer >= 1 (directions to stay orthogonal to); got 0",
    ),
    (lambda: flexible_cg(T(), B(), direction=T(), M=T()), ValueError, "flexible_cg takes M or direction, not both; got both"),
    (lambda: flexible_cg(T(), B(), direction=T()), TypeError, "direction must be callable, direction(r) -> q of r's shape; got"),
    (
        lambda: flexible_cg(T(), B(), direction=lambda r: r[:3]),
        ValueError,
        "direction(r) must return an array of r's shape (40,); <lambda> returned (3,)",
    ),
    (lambda: flexible_cg(T(), B(), direction=lambda r: None), ValueError, "direction(r) must return an array of r's shape"),
    (lambda: lsmr(np.ones((4, 2)), np.ones(3)), ValueError, "lsmr needs a NumPy b (4,) beside A (4, 2); got (3,)"),
    (lambda: lsmr(np.ones((4, 2)), np.full(4, NAN)), ValueError, "b is nan at index 0; an input holds NaN or infinity; clean it"),
    # what a product returns
    (lambda: cg(returning(np.ones(3)), B()), ValueError, "A @ x must have the shape (40,) of x; Operator returned (3,)"),
    (
        lambda: cg(returning(1j * np.ones(N)), B()),
        TypeError,
        "A returned complex128 for a real float64 vector; give A its true dtype",
    ),
    (with_M(returning(np.ones(3))), ValueError, "M @ x must have the shape (40,) of x; Operator returned (3,)"),
]


def said(call, error):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(("call", "error", "says"), ERRORS, ids=[re.sub(r"\W+", " ", says)[:50] for *_, says in ERRORS])
def test_an_error_says_what_came_and_what_to_do(call, error, says):
    message = said(call, error)
    assert message.startswith(says)
    assert ";" in message  # what came; what to do about it


def fragments(module):
    """(line, longest constant piece of the message) of every TypeError and ValueError that a module raises."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.func.id in ("TypeError", "ValueError"):
            pieces = [
                piece.value for piece in ast.walk(node.exc) if isinstance(piece, ast.Constant) and isinstance(piece.value, str)
            ]
            yield node.lineno, max(pieces, key=len)


@pytest.mark.parametrize("module", [system, operator, csr], ids=lambda module: module.__name__)
def test_every_message_of_the_checks_is_provoked(module):
    messages = [says for *_, says in ERRORS]
    everything = "\n".join(said(call, error) for call, error, _ in ERRORS)
    silent = [(line, piece) for line, piece in fragments(module) if piece not in everything]
    assert len(messages) > 30
    assert not silent
    assert len(list(fragments(module))) >= 3
