"""The drop-in replacements for scipy.sparse.linalg, put through SciPy's own tests first."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import types
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sparse
import scipy.sparse.linalg as sla

from petrov.solvers.external import scipy as ours

NAMES = ("bicgstab", "cg", "gmres", "minres")

# -- SciPy's own tests, as its wheel ships them -------------------------------------------------------------------------------

OTHER_SOLVERS = {"test_show", "TestQMR"}  # of tfqmr and qmr, which are not replaced
DROPPED_MARKS = ("pytest.mark.fail_slow", "pytest.mark.xfail")  # a plug-in's mark; an excuse of SciPy's that ours does not need


def scipy_tests(name):
    """SciPy's test module, executed anew with our functions where it imports SciPy's, and its list of solvers cut to ours."""
    spec = importlib.util.find_spec(f"scipy.sparse.linalg._isolve.tests.{name}")
    if spec is None:
        pytest.skip(f"this SciPy came without its tests ({name})", allow_module_level=True)
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = [mark for mark in node.decorator_list if not ast.unparse(mark).startswith(DROPPED_MARKS)]
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_SOLVERS":
            node.value = ast.parse(f"[{', '.join(NAMES)}]", mode="eval").body
    module = types.ModuleType(f"scipy_{name}")
    with mock.patch.multiple("scipy.sparse.linalg._isolve", **{method: getattr(ours, method) for method in NAMES}):
        exec(compile(ast.fix_missing_locations(tree), spec.origin, "exec"), vars(module))
    return module


def collected(module):
    """What pytest has to see of a module: its tests and the fixtures they ask for."""
    names = {name for name in vars(module) if name.startswith(("test_", "Test"))} | ({"solver", "case"} & set(vars(module)))
    return {name: vars(module)[name] for name in sorted(names - OTHER_SOLVERS)}  # in the same order in every process


iterative, minimal = scipy_tests("test_iterative"), scipy_tests("test_minres")
globals().update(collected(iterative) | collected(minimal))


def test_scipy_tests_run_on_ours():
    assert [solver.__module__ for solver in iterative._SOLVERS] == ["petrov.solvers.external.scipy"] * 4
    assert minimal.minres is ours.minres
    assert {case.solver for case in iterative.cases} == {getattr(ours, name) for name in NAMES}
    assert len(iterative.cases) > 60
    assert {"test_convergence", "test_x0_equals_Mb", "TestGMRES"} <= set(collected(iterative))
    assert len(collected(minimal)) >= 7


# -- what SciPy's tests leave open ----------------------------------------------------------------------------------------------

RNG = np.random.default_rng(60411)
N = 24
GENERAL = RNG.standard_normal((N, N)) + 6 * np.eye(N)
SPD = GENERAL @ GENERAL.T / N
INDEFINITE = SPD - 1.5 * np.eye(N)
COMPLEX = GENERAL + 1j * RNG.standard_normal((N, N))
HERMITIAN = COMPLEX @ COMPLEX.conj().T / N
B = RNG.standard_normal(N)


def each(*names):
    return pytest.mark.parametrize("method", [getattr(ours, name) for name in names or NAMES], ids=lambda method: method.__name__)


def theirs(method):
    return getattr(sla, method.__name__)


@each()
def test_signature(method):
    def shape(function):
        return [(p.name, p.default, p.kind) for p in inspect.signature(function).parameters.values()]

    assert shape(method) == shape(theirs(method))


MATRICES = {  # A, who solves it (SciPy's minres takes no complex A)
    "spd": (SPD, NAMES),
    "hermitian": (HERMITIAN, ("cg", "gmres", "bicgstab")),
    "indefinite": (INDEFINITE, ("gmres", "minres")),
    "general": (GENERAL, ("gmres", "bicgstab")),
    "complex": (COMPLEX, ("gmres", "bicgstab")),
}


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, sparse.coo_matrix, sla.aslinearoperator])
@pytest.mark.parametrize(("key", "name"), [(key, name) for key, (_, names) in MATRICES.items() for name in names])
def test_same_solution(key, name, form):
    A = MATRICES[key][0]
    x, info = getattr(ours, name)(form(A), B, rtol=1e-11, maxiter=2000)
    reference, reference_info = getattr(sla, name)(form(A), B, rtol=1e-11, maxiter=2000)
    assert info == reference_info == 0
    assert isinstance(info, int)
    assert np.linalg.norm(B - A @ x) <= 1e-11 * np.linalg.norm(B)
    np.testing.assert_allclose(x, reference, rtol=1e-8, atol=1e-9)


@each("cg", "gmres", "bicgstab")
@pytest.mark.parametrize("A_type", ["float32", "float64", "complex64", "int64", "bool"])
@pytest.mark.parametrize("b_type", ["float32", "float64", "complex64", "int32"])
def test_type_and_shape_of_x(method, A_type, b_type):
    A, b = sparse.diags_array(np.ones(5)).astype(A_type), np.arange(5)[:, None].astype(b_type)
    x, info = method(A, b)
    assert info == 0
    assert (x.dtype, x.shape) == (theirs(method)(A, b)[0].dtype, (5,))


class Callable:
    """What scipy.sparse.linalg.aslinearoperator takes: shape, dtype and matvec, and no @."""

    shape, dtype = (N, N), np.dtype(float)

    def matvec(self, x):
        return SPD @ x

    def psolve(self, r):
        return np.linalg.solve(SPD, r)


@each()
def test_operators(method):
    x, info = method(Callable(), B, rtol=1e-10)
    assert info == 0
    np.testing.assert_allclose(SPD @ x, B, atol=1e-8)
    seen = []
    options = {"callback_type": "pr_norm"} if method is ours.gmres else {}
    assert method(Callable(), B, rtol=1e-10, callback=seen.append, **options)[1] == 0
    assert len(seen) <= 2  # psolve is the inverse
    with pytest.warns(PendingDeprecationWarning):
        A, M = np.matrix(SPD), np.matrix(np.diag(1 / np.diag(SPD)))
    assert method(A, B[:, None], M=M)[1] == 0


@each()
def test_inputs_are_not_written_to(method):
    inputs = [SPD.copy(), B.copy(), np.full(N, 0.3), np.diag(1 / np.diag(SPD))]
    for array in inputs:
        array.flags.writeable = False
    A, b, x0, M = inputs
    x, info = method(A, b, x0, M=M)
    assert info == 0
    assert not any(np.shares_memory(x, array) for array in inputs)
    np.testing.assert_array_equal(method(A, b[:, None], x0[:, None], M=M)[0], x)
    x, info = method(np.eye(N), b, x0="Mb")
    assert info == 0
    assert not np.shares_memory(x, b)


SINGULAR = np.diag([1.0, 0.0, 2.0])
NAN = np.array([1.0, np.nan, 2.0])
FAILURES = {  # A, b, keywords, whose
    "indefinite": (np.diag([1.0, -1.0, 2.0]), np.ones(3), {}, ("cg",)),
    "negative M": (np.diag([1.0, 2.0, 3.0]), np.ones(3), {"M": -np.eye(3)}, ("cg",)),
    "nan in b": (np.eye(3), NAN, {}, NAMES),
    "nan in A": (np.diag(NAN), np.ones(3), {}, NAMES),
    "nan in x0": (np.eye(3), np.ones(3), {"x0": NAN}, NAMES),
    "nan out of A": (sla.LinearOperator((3, 3), matvec=lambda v: v * np.nan, dtype=float), np.ones(3), {}, NAMES),
    "nan out of M": (np.eye(3), np.ones(3), {"M": np.diag(NAN)}, NAMES),
    "inconsistent": (SINGULAR, np.ones(3), {}, NAMES),
    "zero A": (np.zeros((3, 3)), np.ones(3), {}, NAMES),
    "breakdown": (np.array([[0.0, 1.0], [-1.0, 0.0]]), np.ones(2), {}, ("cg", "bicgstab")),
    "no iterations": (np.eye(3), np.ones(3), {"maxiter": 0}, NAMES),
    "nothing is within": (np.eye(3), NAN, {"rtol": np.inf}, NAMES),
}


@pytest.mark.parametrize(("key", "name"), [(key, name) for key, row in FAILURES.items() for name in row[3]])
def test_failure_is_positive(key, name):
    A, b, keywords, _ = FAILURES[key]
    x, info = getattr(ours, name)(A, b, **keywords)
    assert info >= 1
    assert np.isfinite(x).all()


def test_no_false_success():
    """SciPy's minres calls the least-squares solution of an inconsistent system a success, and cg with maxiter=0."""
    assert sla.minres(SINGULAR, np.ones(3))[1] == 0 == sla.cg(SPD, B, maxiter=0)[1]
    x, info = ours.minres(SINGULAR, np.ones(3))
    assert info > 0
    np.testing.assert_allclose(SINGULAR @ (1.0 - SINGULAR @ x), 0.0, atol=1e-12)
    assert ours.cg(SPD, B, maxiter=0)[1] > 0


@each()
def test_last_iteration_counts(method):
    assert method(np.diag([1.0, 2.0, 2.0, 1.0]), np.ones(4), maxiter=2)[1] == 0


REFUSED = {  # what is wrong -> (A, b, keywords, error, its message)
    "A is a list": (SPD.tolist(), B, {}, TypeError, "A must have shape, dtype and @"),
    "A not square": (SPD[:, :5], B, {}, ValueError, "A must be square"),
    "b too short": (SPD, B[:5], {}, ValueError, "b must have shape"),
    "b a block": (SPD, np.ones((N, 2)), {}, ValueError, r"petrov.solvers takes \(n, k\)"),
    "b masked": (SPD, np.ma.masked_array(B, B > 0), {}, TypeError, "masked"),
    "x0 too short": (SPD, B, {"x0": np.zeros(5)}, ValueError, "x0 must have the shape"),
    "x0 a word": (SPD, B, {"x0": "bM"}, ValueError, "'Mb'"),
    "x0 complex": (SPD, B, {"x0": B + 1j}, TypeError, "x0 is complex"),
    "M too small": (SPD, B, {"M": np.eye(3)}, ValueError, "M must have the shape"),
    "M a function": (SPD, B, {"M": np.copy}, TypeError, "LinearOperator"),
    "rtol negative": (SPD, B, {"rtol": -1.0}, ValueError, "rtol must be"),
    "rtol nan": (SPD, B, {"rtol": np.nan}, ValueError, "rtol must be"),
    "maxiter negative": (SPD, B, {"maxiter": -3}, ValueError, "maxiter must be"),
    "maxiter no integer": (SPD, B, {"maxiter": 1e3}, TypeError, "maxiter must be"),
}


@each()
@pytest.mark.parametrize("key", REFUSED)
def test_refused(method, key):
    A, b, keywords, error, message = REFUSED[key]
    with pytest.raises(error, match=message):
        method(A, b, **keywords)


@each("cg", "bicgstab", "minres")
def test_callback(method):
    """The iterates are SciPy's, each its own array, closed to writing; no answer of the callback ends the solve."""
    seen, reference = [], []
    x, info = method(SPD, B, callback=lambda xk: seen.append(xk) or True)
    theirs(method)(SPD, B, callback=lambda xk: reference.append(xk.copy()))
    assert info == 0
    np.testing.assert_allclose(seen[:4], reference[:4], atol=1e-10)
    np.testing.assert_array_equal(seen[-1], x)
    with pytest.raises(ValueError, match="read-only"):
        seen[0][0] = 1.0


@pytest.mark.parametrize("M", [None, np.diag(1 / np.diag(GENERAL))])
@pytest.mark.parametrize("maxiter", [3, None])
@pytest.mark.parametrize("callback_type", ["x", "pr_norm", "legacy"])
def test_gmres_callback(callback_type, maxiter, M):
    def run(gmres, seen):
        watch = lambda value: seen.append(np.copy(value))  # noqa: E731
        return gmres(GENERAL, B, rtol=1e-9, restart=5, maxiter=maxiter, M=M, callback=watch, callback_type=callback_type)

    seen, reference = [], []
    (x, info), (_, reference_info) = run(ours.gmres, seen), run(sla.gmres, reference)
    assert info == reference_info == (maxiter or 0)
    if callback_type == "x":
        np.testing.assert_array_equal(seen[-1], x)
    else:
        residual = B - GENERAL @ x
        norm = np.linalg.norm(residual if M is None else M @ residual) / np.linalg.norm(B)
        np.testing.assert_allclose(seen[-1], norm, rtol=1e-5)
    if M is None:  # with M, SciPy minimises ||M r|| and we ||r||
        np.testing.assert_allclose(seen, reference, rtol=1e-6, atol=1e-12)
    if maxiter:
        assert len(seen) == len(reference)


def test_gmres_goes_on_to_maxiter():
    """While the residual falls, be it by less than a thousandth a cycle, maxiter decides, as in SciPy; then the solve ends."""
    n = 40
    slow = sparse.diags_array([np.full(n - 1, 1.0), np.full(n, 0.02), np.full(n - 1, -1.0)], offsets=[-1, 0, 1]).tocsr()
    b = np.random.default_rng(5150).standard_normal(n)
    assert ours.gmres(slow, b, restart=1, maxiter=60)[1] == sla.gmres(slow, b, restart=1, maxiter=60)[1] == 60
    assert ours.gmres(slow, b, restart=1)[1] == sla.gmres(slow, b, restart=1)[1] == 10 * n
    cyclic = sparse.csr_array(np.roll(np.eye(n), 1, axis=0))  # no progress at all before step n
    assert 1 <= ours.gmres(cyclic, np.eye(n)[0], restart=5, maxiter=500)[1] < 10


def test_gmres_warns_its_caller():
    with pytest.warns(DeprecationWarning, match="called without specifying `callback_type`") as caught:
        ours.gmres(SPD, B, callback=lambda norm: None)
    assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name]
    for keywords in ({}, {"callback": None, "callback_type": "x"}):
        assert ours.gmres(SPD, B, **keywords)[1] == 0
    with pytest.raises(ValueError, match="callback_type must be"):
        ours.gmres(SPD, B, callback_type="residual")


@pytest.mark.parametrize(("restart", "error"), [(0, ValueError), (-2, ValueError), (2.5, TypeError)])
def test_gmres_restart(restart, error):
    assert ours.gmres(SPD, B, restart=np.int64(7), rtol=1e-9)[1] == 0
    with pytest.raises(error):
        ours.gmres(SPD, B, restart=restart)


def test_minres_default_maxiter():
    assert ours.minres(np.array([[0.0, 1.0], [-1.0, 0.0]]), np.ones(2))[1] == 5 * 2


def test_minres_shift_from_x0():
    """(A - shift I) x = b from any x0; SciPy's first residual forgets the shift."""
    shift, x0 = np.float64(0.7), np.full(N, 0.5)
    for A in (SPD, sparse.csr_array(SPD), sla.aslinearoperator(SPD)):
        x, info = ours.minres(A, B, x0, shift=shift, rtol=1e-9)
        assert info == 0
        assert np.linalg.norm(B - SPD @ x + shift * x) <= 1e-9 * np.linalg.norm(B)
    assert ours.minres(SPD.astype("float32"), B.astype("float32"), shift=shift)[0].dtype == np.float32
    with pytest.raises(TypeError, match="complex"):
        ours.minres(HERMITIAN, B, shift=1j)


def test_minres_check():
    M = np.diag(1 / np.diag(SPD))
    assert ours.minres(SPD, B, M=M, check=True)[1] == 0
    assert ours.minres(HERMITIAN, B, x0=B, check=True)[1] == 0
    with pytest.raises(ValueError, match=r"symmetric \(Hermitian\) A"):
        ours.minres(GENERAL, B, check=True)
    with pytest.raises(ValueError, match=r"symmetric \(Hermitian\) M"):
        ours.minres(SPD, B, M=np.triu(np.ones((N, N))), check=True)
    with pytest.raises(ValueError, match="M is not positive definite"):
        ours.minres(SPD, B, M=-M)


def test_minres_show(capsys):
    seen = []
    ours.minres(SPD, B, show=True, callback=seen.append)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"minres: n = {N}, shift = 0, rtol = 1.00e-05")
    assert [int(line.split()[0]) for line in lines[1:11]] == list(range(1, 11))
    assert "CONVERGED" in lines[-1]
    assert len(seen) > 10
    ours.minres(SPD, B, callback=seen.append)
    assert capsys.readouterr().out == ""
