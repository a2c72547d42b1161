"""When a solve ends: the one definition of converged, the last iteration, callbacks, Ctrl-C, the clock, and nothing left behind."""

import math
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp

import petrov
from petrov.solvers import SolveInterrupted, Status, bicgstab, cg, flexible_cg, gmres, minres
from petrov.solvers.storage import Diagonal

KRYLOV = [cg, flexible_cg, minres, gmres, bicgstab]
each_method = pytest.mark.parametrize("method", KRYLOV, ids=lambda method: method.__name__)
N = 80


def T(n=N, shift=2.2):
    return sp.diags_array([-1.0, shift, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tocsr()


def B(n=N):
    return np.random.default_rng(607).standard_normal(n)


def true_relative(A, b, x):
    """||b - A x|| / ||b|| in extended precision."""
    A = A.toarray() if sp.issparse(A) else A
    b = b.astype(np.longdouble)
    return float(np.linalg.norm(b - A.astype(np.longdouble) @ x.astype(np.longdouble)) / np.linalg.norm(b))


class Operator:
    """A by its products only, each of which first calls `before(count)`."""

    def __init__(self, A, before):
        self.A, self.before, self.count, self.shape, self.dtype = A, before, 0, A.shape, A.dtype

    def __matmul__(self, x):
        self.count += 1
        self.before(self.count)
        return self.A @ x


# -- the definition of converged -----------------------------------------------------------------------------------------


@each_method
def test_converging_on_the_last_allowed_iteration_counts(method):
    needed = method(T(), B()).iterations
    assert method(T(), B(), max_iterations=needed).status is Status.CONVERGED
    short = method(T(), B(), max_iterations=needed - 1)
    assert (short.status, short.iterations) == (Status.MAX_ITERATIONS, needed - 1)


@each_method
@pytest.mark.parametrize("factor", [1e-8, 1e8])
def test_a_scaled_preconditioner_does_not_converge_sooner(method, factor):
    plain, scaled = method(T(), B()), method(T(), B(), M=Diagonal(np.full(N, factor)))
    assert scaled.converged
    assert abs(scaled.iterations - plain.iterations) <= 1
    assert true_relative(T(), B(), scaled.x) <= 1e-8


@each_method
@pytest.mark.parametrize("M", [None, "jacobi"])
def test_a_hilbert_matrix_does_not_claim_what_it_has_not(method, M):
    A = scipy.linalg.hilbert(14)
    result = method(A, np.ones(14), M=M and Diagonal(1 / A.diagonal()), rtol=1e-12)
    assert not result.converged or true_relative(A, np.ones(14), result.x) <= 1e-12
    rounding = 14 * np.finfo(float).eps * np.linalg.norm(result.x)  # of a product, with ||A|| < 2
    assert result.residual == pytest.approx(true_relative(A, np.ones(14), result.x) * math.sqrt(14), abs=rounding)


@each_method
def test_more_than_the_precision_holds_stagnates_soon(method):
    reached = method(T(), B(), rtol=1e-14)
    result = method(T(), B(), rtol=1e-30)
    assert reached.converged
    assert result.status is Status.STAGNATED
    assert result.iterations <= 2 * reached.iterations
    assert true_relative(T(), B(), result.x) <= 1e-14


@each_method
def test_atol_and_rtol_take_the_larger(method):
    b = 100 * B() / np.linalg.norm(B())
    loose = method(T(), b, rtol=1e-12, atol=1.0)
    assert loose.converged
    assert 1e-3 < loose.residual <= 1.0
    assert method(T(), b, rtol=1e-2, atol=1e-12).iterations == loose.iterations


@each_method
def test_the_reported_residual_is_that_of_x(method):
    for limit in (3, 10, None):
        result = method(T(), B(), max_iterations=limit)
        assert result.relative_residual == pytest.approx(true_relative(T(), B(), result.x), rel=1e-6)
        assert result.residual == pytest.approx(result.relative_residual * np.linalg.norm(B()))


@each_method
def test_what_comes_back_is_never_worse_than_what_went_in(method):
    rng = np.random.default_rng(11)
    A = rng.standard_normal((N, N))
    x0 = rng.standard_normal(N)
    for start in (None, x0):
        first = 1.0 if start is None else true_relative(A, B(), start)
        for limit in (1, 5, 40):
            x = method(A, B(), x0=start, max_iterations=limit).x
            assert true_relative(A, B(), x) <= first * (1 + 1e-12)


# -- callbacks -----------------------------------------------------------------------------------------------------------


@each_method
def test_a_callback_sees_every_iteration(method):
    states = []
    result = method(T(), B(), callback=states.append)
    assert [state.iteration for state in states] == list(range(1, result.iterations + 1))
    assert [state.residual for state in states] == pytest.approx(list(result.residuals[1:]))
    assert states[-1].residual <= 1e-8 * np.linalg.norm(B())


@each_method
def test_a_callback_sees_x_as_it_is(method):
    seen = []

    def note(state):
        x = state.x
        assert state.residual == pytest.approx(true_relative(T(), B(), x) * np.linalg.norm(B()), rel=1e-4)
        assert not x.flags.writeable
        seen.append((x, x.copy()))

    method(T(), B(), callback=note)
    assert all(np.array_equal(x, then) for x, then in seen)  # what was kept has not moved on
    assert not np.array_equal(seen[0][0], seen[1][0])


@each_method
def test_looking_changes_no_bit(method):
    assert np.array_equal(method(T(), B(), callback=lambda state: state.x.sum() > math.inf).x, method(T(), B()).x)


@each_method
def test_returning_true_stops_at_once(method):
    result = method(T(), B(), callback=lambda state: state.iteration == 4)
    assert (result.status, result.iterations) == (Status.STOPPED, 4)
    assert result.relative_residual == pytest.approx(true_relative(T(), B(), result.x), rel=1e-6)
    again = method(T(), B(), x0=result.x)
    assert again.converged


@each_method
@pytest.mark.parametrize("answer", [None, False, np.False_])
def test_returning_nothing_goes_on(method, answer):
    assert method(T(), B(), callback=lambda state: answer).converged


@each_method
@pytest.mark.parametrize("answer", ["stop", 1, 0.0, [True]])
def test_returning_anything_else_is_refused(method, answer):
    with pytest.raises(TypeError, match=r"must return True to stop, or False or None"):
        method(T(), B(), callback=lambda state: answer)


@each_method
def test_what_a_callback_raises_comes_out_with_the_iteration(method):
    def fail(state):
        if state.iteration == 3:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as caught:
        method(T(), B(), callback=fail)
    assert caught.value.__notes__ == [f"raised in iteration 3 of {method.__name__}"]


# -- Ctrl-C --------------------------------------------------------------------------------------------------------------


def interrupt(count, at):
    if count == at:
        raise KeyboardInterrupt


@each_method
def test_ctrl_c_in_a_callback_hands_over_x(method):
    before = method(T(), B()).x
    with pytest.raises(SolveInterrupted) as caught:
        method(T(), B(), callback=lambda state: interrupt(state.iteration, 6))
    check_interrupted(caught.value.result, iterations=6)
    assert np.array_equal(method(T(), B()).x, before)


@each_method
@pytest.mark.parametrize("at", [1, 9])
def test_ctrl_c_in_a_product_hands_over_x(method, at):
    with pytest.raises(SolveInterrupted) as caught:
        method(Operator(T(), lambda count: interrupt(count, at)), B())
    check_interrupted(caught.value.result)


def test_ctrl_c_in_solve_speaks_of_the_original_system():
    A = sp.block_diag([sp.eye_array(3) * 2.0, T()], format="csr")
    b = np.r_[2.0, 4.0, 6.0, B()]
    with pytest.raises(KeyboardInterrupt) as caught:
        petrov.solve(A, b, method="cg", M=None, callback=lambda state: interrupt(state.iteration, 6))
    result = caught.value.result
    assert result.status is Status.INTERRUPTED
    assert result.x.shape == b.shape
    assert np.array_equal(result.x[:3], [1, 2, 3])


def check_interrupted(result, iterations=None):
    assert result.status is Status.INTERRUPTED
    assert np.isfinite(result.x).all()
    assert iterations is None or result.iterations == iterations
    assert result.relative_residual == pytest.approx(true_relative(T(), B(), result.x), rel=1e-6)
    assert result.relative_residual <= 1


SCRIPT = """
    import sys, time
    import numpy as np, scipy.sparse as sp
    import petrov
    from petrov.solvers import Status, {method}
    n = 60
    D = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n))
    A = (sp.kron(D, sp.eye_array(n)) + sp.kron(sp.eye_array(n), D)).tocsr()
    {method}(A, np.ones(n * n), max_iterations=2)
    def ready(state):
        if state.iteration == 5:
            print("ready", time.process_time(), flush=True)
        time.sleep(0.005)
    try:
        {method}(A, np.ones(n * n), rtol=1e-14, callback=ready)
    except petrov.SolveInterrupted as stop:
        assert stop.result.status is Status.INTERRUPTED
        assert np.isfinite(stop.result.x).all() and stop.result.iterations >= 5
        assert {method}(A, np.ones(n * n), x0=stop.result.x).converged
        print("handed over", time.process_time())
"""


@pytest.mark.skipif(os.name != "posix", reason="signals to a child process are POSIX")
@pytest.mark.parametrize("method", ["cg", "gmres"])
def test_a_real_ctrl_c_ends_within_seconds(method):
    script = textwrap.dedent(SCRIPT).format(method=method)
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        first, _, ready = child.stdout.readline().partition(" ")
        assert first == "ready", child.communicate()[1]
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert child.returncode == 0 and out.startswith("handed over "), err
    assert float(out.split()[-1]) - float(ready) < 5  # seconds of computing, the solve that follows included


# -- the clock -----------------------------------------------------------------------------------------------------------


@each_method
def test_a_time_limit_hands_over_the_best_x(method, clock):
    A = Operator(T(shift=2.0), lambda count: clock.sleep(0.01))
    start = clock.now
    result = method(A, B(), time_limit=0.1)
    assert clock.now - start < 0.2
    assert result.status is Status.TIME_LIMIT
    assert 0 < result.iterations < 40
    assert true_relative(A.A, B(), result.x) <= 1


# -- nothing is left behind ----------------------------------------------------------------------------------------------


@each_method
def test_a_failure_poisons_no_later_solve(method):
    A, b = T(), B()
    clean = method(A, b)
    failures = {
        "NaN": lambda: method(A, np.full(N, np.nan)),
        "limit": lambda: method(A, b, max_iterations=1),
        "stagnation": lambda: method(A, b, rtol=1e-30),
        "indefinite": lambda: method(-A, b),
        "overflow": lambda: method(A * 1e150, b * 1e-150, max_iterations=5),
    }
    for failure in failures.values():
        failure()
        again = method(A, b)
        assert np.array_equal(again.x, clean.x)
        assert np.array_equal(again.residuals, clean.residuals)
        assert (again.status, again.iterations, again.matvecs) == (clean.status, clean.iterations, clean.matvecs)
