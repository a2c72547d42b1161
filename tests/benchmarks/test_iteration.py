"""Timing one iteration or product: only after it was the right one."""

from dataclasses import replace

import numpy as np
import pytest

from petrov.benchmarks import iteration
from petrov.benchmarks.contests import JACOBI, PYAMG_JACOBI
from petrov.benchmarks.document import FAILED, OK, SKIPPED, WRONG
from petrov.benchmarks.iteration import MANY, race_of_iterations, race_of_products, textbook
from petrov.benchmarks.measure import Settings, model_system
from petrov.benchmarks.records import Problem

SETTINGS = Settings(repeat=2, seconds=20.0)
PROBLEM = Problem("laplace 40^2", "laplace", "spd", lambda: None, work="iteration")
OURS, SCIPY = JACOBI


@pytest.fixture(scope="module")
def system():
    return model_system("spd", 40)


def test_the_textbooks_loop_is_conjugate_gradients(system):
    norms = textbook(system, 90)
    assert norms[0] == 1.0
    assert norms[90] < 1e-4
    assert (norms > 0).all()


def test_ours_and_the_peers_make_its_iterates_and_are_timed(system):
    rows = race_of_iterations([OURS, SCIPY, PYAMG_JACOBI], PROBLEM, system, SETTINGS)
    assert [row.status for row in rows] == [OK] * 3, [row.reason for row in rows]
    assert all(row.iterations == MANY and row.runs == 2 and row.setup_seconds > 0 for row in rows)
    assert "bytes per row" in rows[0].chose
    assert [row.work for row in rows] == ["iteration"] * 3


def skewed(method, change):
    """The method with its outcome and history changed."""

    def solve(prepared, system, rtol, limits, history):
        return change(method.solve(prepared, system, rtol, limits, history), history)

    return replace(method, solve=solve, name="skewed")


def other_history(outcome, history):
    if history is not None:
        history[7] *= 1 + 1e-6
    return outcome


def short_history(outcome, history):
    if history is not None:
        del history[-1]
    return outcome


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (other_history, WRONG, "residual norms are off by 1.0e-06"),
        (short_history, WRONG, "residual norms are off by inf"),
        (lambda outcome, history: replace(outcome, x=1.001 * outcome.x), WRONG, "that of the x returned by"),
        (lambda outcome, history: replace(outcome, x=np.full_like(outcome.x, np.nan)), WRONG, "not the textbook's"),
        (lambda outcome, history: replace(outcome, iterations=3), FAILED, "made 3 iterations where 80"),
    ],
)
def test_another_iteration_is_not_timed(change, status, said, system):
    right, wrong = race_of_iterations([SCIPY, skewed(SCIPY, change)], PROBLEM, system, SETTINGS)
    assert (right.status, wrong.status, wrong.solve_seconds) == (OK, status, None)
    assert said in wrong.reason


def test_the_time_is_a_sixtieth_of_the_difference_of_the_minima(system, monkeypatch):
    solves = iter([5.0, 1.2, 7.0, 1.0, 7.6])  # the judged run, then 20 and 80 iterations twice

    def timed_run(method, system, rtol, limits, history=None):
        run = real(method, system, rtol, limits, history)
        return replace(run, solve=next(solves))

    real = iteration.run_once
    monkeypatch.setattr(iteration, "run_once", timed_run)
    (row,) = race_of_iterations([SCIPY], PROBLEM, system, SETTINGS)
    assert row.solve_seconds == pytest.approx((7.0 - 1.0) / 60)


def test_a_missing_library_is_a_row_that_says_so(system):
    (row,) = race_of_iterations([replace(SCIPY, needs="no_such_library")], PROBLEM, system, SETTINGS)
    assert row.status == SKIPPED
    assert "no_such_library is not installed" in row.reason


def test_products_are_compared_before_they_are_timed(system):
    ours, scipy = iteration.PRODUCTS
    wrong = replace(ours, setup=lambda system: 1.0001 * system.A, name="wrong")
    broken = replace(ours, setup=lambda system: 1 / 0, name="broken")
    rows = race_of_products([ours, scipy, wrong, broken], PROBLEM, system, SETTINGS)
    assert [row.status for row in rows] == [OK, OK, WRONG, FAILED]
    assert [row.solve_seconds is not None for row in rows] == [True, True, False, False]
    assert "off by 1.0e-04" in rows[2].reason
