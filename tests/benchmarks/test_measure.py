"""A row is right before it is fast: false claims, failures, tightening and nullspaces."""

import os
import warnings
from dataclasses import replace

import numpy as np
import pytest

from petrov.benchmarks import measure
from petrov.benchmarks.document import FAILED, NOT_CONVERGED, OK, SKIPPED, WRONG
from petrov.benchmarks.measure import Settings, model_system
from petrov.benchmarks.methods import METHODS, front_door, nothing
from petrov.benchmarks.peers import PEERS
from petrov.benchmarks.records import EVERY, Method, Outcome, Problem, System, relative_residual


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("direct", OK, ""),
        ("lie", WRONG, "claims success at 1e-08; true relative residual 1.0e+00"),
        ("give up", NOT_CONVERGED, "after 360 iterations"),
        ("explode", FAILED, "RuntimeError: boiler pressure"),
    ],
)
def test_status_and_times_only_for_right_answers(name, status, words, problems, methods, settings):
    problem = problems[0]
    row = measure.measure(methods[name], problem, problem.make(), settings)
    assert (row.status, row.rows) == (status, 36)
    assert words in row.reason
    assert (row.setup_seconds is not None) == (row.solve_seconds is not None) == (status == OK)
    assert row.runs == (2 if status == OK else 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_non_finite_answer_is_wrong(bad, problems, settings):
    def poison(prepared, system, rtol, limits, history):
        return Outcome(np.full_like(system.b, bad), claims=True)

    row = measure.measure(Method("poison", "scipy", EVERY, lambda s: None, poison), problems[0], problems[0].make(), settings)
    assert (row.status, row.relative_residual) == (WRONG, None)


@pytest.mark.parametrize("x", [np.zeros(35), np.zeros((36, 1)), np.full(36, np.nan), np.full(36, np.inf)])
def test_an_answer_that_is_none_has_an_infinite_residual(x):
    assert relative_residual(model_system("spd", 6), x) == np.inf


def stops_early(factor):
    """A solver whose recurrence believes it is `factor` times better than it is."""

    def solve(prepared, system, rtol, limits, history):
        x = np.linalg.solve(system.A.toarray(), system.b)
        return Outcome(x * (1 + 0.99 * factor * rtol), claims=True, iterations=3)

    return solve


@pytest.mark.parametrize(("factor", "status", "asked"), [(1, OK, 1e-8), (2.5, OK, 3e-9), (9, OK, 1e-9), (1e9, WRONG, 1e-12)])
def test_a_recurrence_that_flatters_itself_is_tightened_until_true(factor, status, asked, problems, settings):
    method = Method("flatterer", "scipy", EVERY, lambda s: None, stops_early(factor), tighten=True)
    row = measure.measure(method, problems[0], problems[0].make(), settings)
    assert row.status == status
    assert row.asked_rtol == pytest.approx(asked)
    untightened = measure.measure(replace(method, tighten=False), problems[0], problems[0].make(), settings)
    assert untightened.status == (OK if factor == 1 else WRONG)


def test_a_wrong_repeat_takes_the_times_away(problems, settings):
    calls = []

    def fickle(prepared, system, rtol, limits, history):
        calls.append(1)
        x = np.linalg.solve(system.A.toarray(), system.b)
        return Outcome(x if len(calls) < 3 else 0 * x, claims=True)

    row = measure.measure(Method("fickle", "scipy", EVERY, lambda s: None, fickle), problems[0], problems[0].make(), settings)
    assert (row.status, row.setup_seconds, row.runs) == (WRONG, None, 0)
    assert "in a repeated run" in row.reason


def test_setup_and_solve_are_told_apart_and_compilation_is_in_neither(problems, settings, clock):
    def setup(system):
        clock.sleep(0.02)
        return np.linalg.solve(system.A.toarray(), system.b)

    def solve(x, system, rtol, limits, history):
        clock.sleep(0.05)
        return Outcome(x, claims=True, setup_seconds=0.03, compile_seconds=compile_seconds)

    compile_seconds = 0.01
    row = measure.measure(Method("sleeper", "petrov", EVERY, setup, solve), problems[0], problems[0].make(), settings)
    assert row.setup_seconds == pytest.approx(0.02 + 0.03)
    assert row.solve_seconds == pytest.approx(0.05 - 0.03 - 0.01)
    compile_seconds = 1e3
    row = measure.measure(Method("sleeper", "petrov", EVERY, setup, solve), problems[0], problems[0].make(), settings)
    assert row.solve_seconds == 0.0  # all of it was compilation
    assert row.fastest_seconds == row.slowest_seconds == pytest.approx(row.setup_seconds)


def test_a_long_run_is_not_repeated_unless_it_compiled_or_recorded(problems, settings, monkeypatch):
    monkeypatch.setattr(measure, "LONG", 0.0)

    def runs(problem, compiled, costs=False):
        calls = []

        def solve(prepared, system, rtol, limits, history):
            calls.append(1)
            return Outcome(np.linalg.solve(system.A.toarray(), system.b), claims=True, compile_seconds=compiled)

        method = Method("m", "petrov", EVERY, lambda s: None, solve, history_costs=costs)
        measure.measure(method, problem, problem.make(), settings)
        return len(calls)

    assert (runs(problems[0], 0.0), runs(problems[0], 1e-9)) == (1, 2)
    assert (runs(problems[1], 0.0), runs(problems[1], 0.0, costs=True), runs(problems[0], 0.0, costs=True)) == (1, 2, 1)


@pytest.mark.parametrize("name", ["scipy cg", "scipy minres", "scipy gmres + ILU", "pyamg SA + cg", "petrov cg", "front door"])
def test_every_iteration_ends_at_the_limit_of_seconds(name):
    front = Method("front door", "petrov", EVERY, nothing, front_door(method="cg", M=None))
    method = next(method for method in (*METHODS, *PEERS, front) if method.name == name)
    kind = "indefinite" if name == "scipy minres" else "spd"
    system = model_system(kind, 40)
    problem = Problem("l", "l", kind, lambda: system)
    row = measure.measure(method, problem, system, Settings(rtol=1e-15, seconds=1e-9))
    assert (row.status, row.setup_seconds) == (NOT_CONVERGED, None)
    assert "at the limit of 1e-09 s" in row.reason
    assert row.iterations < 10


def test_history_is_thinned_and_keeps_its_ends():
    history = list(np.logspace(0, -9, 5000))
    thin = measure.thinned(history)
    assert len(thin) == measure.POINTS
    assert thin[0] == [0, 1.0]
    assert thin[-1] == [4999, pytest.approx(1e-9)]
    assert measure.thinned([1.0, float("nan"), 0.5]) == [[0, 1.0], [2, 0.5]]


def test_warnings_of_a_method_are_its_row_s(problems, settings):
    def grumble(prepared, system, rtol, limits, history):
        warnings.warn("singular, maybe", RuntimeWarning, stacklevel=1)
        return Outcome(np.linalg.solve(system.A.toarray(), system.b), claims=True)

    row = measure.measure(Method("g", "scipy", EVERY, lambda s: None, grumble), problems[0], problems[0].make(), settings)
    assert (row.status, row.warnings) == (OK, ["RuntimeWarning: singular, maybe"])


def test_what_compiled_code_prints_is_collected_too(problems, settings, capfd):
    def print_below_python(prepared, system, rtol, limits, history):
        os.write(1, b"Inner denominator was zero.\n")
        return Outcome(np.linalg.solve(system.A.toarray(), system.b), claims=True)

    method = Method("printer", "pyamg", EVERY, lambda s: None, print_below_python)
    row = measure.measure(method, problems[0], problems[0].make(), settings)
    os.write(1, b"afterwards\n")
    assert row.warnings == ["printed: Inner denominator was zero."]
    assert capfd.readouterr().out == "afterwards\n"


def test_what_is_not_run_says_why(problems, methods, settings):
    absent = replace(methods["direct"], needs="a_library_nobody_has")
    row = measure.measure(absent, problems[0], problems[0].make(), settings)
    assert (row.status, "petrov[bench]" in row.reason) == (SKIPPED, True)
    limited = replace(methods["direct"], largest_3d=35)
    in_3d = Problem("cube", "cube", "spd", problems[0].make, dim=3)
    assert measure.measure(limited, in_3d, in_3d.make(), settings).status == SKIPPED
    assert measure.measure(limited, problems[0], problems[0].make(), settings).status == OK


def test_with_a_nullspace_only_the_projected_residual_counts():
    system = model_system("semidefinite", 5)
    x = np.linalg.pinv(system.A.toarray()) @ system.b
    assert abs(system.b.sum()) > 0.1  # b is outside the range: the residual itself cannot vanish
    assert relative_residual(system, x) < 1e-12
    assert relative_residual(system, x + 7.0) < 1e-12
    assert relative_residual(system._replace(nullspace=None), x) > 1e-2


@pytest.mark.parametrize("kind", ["spd", "semidefinite", "indefinite", "general"])
def test_the_warm_up_systems_are_of_their_kind(kind):
    A = model_system(kind, 24).A.toarray()
    symmetric = np.array_equal(A, A.T)
    assert symmetric == (kind != "general")
    if symmetric:
        smallest = np.linalg.eigvalsh(A)[0]
        assert {"spd": smallest > 1e-3, "semidefinite": abs(smallest) < 1e-12, "indefinite": smallest < -1e-2}[kind]


def test_system_projects_b_off_its_nullspace():
    system = System(np.eye(4), np.arange(4.0), np.full((4, 1), 0.5))
    np.testing.assert_allclose(system.projected, np.arange(4.0) - 1.5, atol=1e-15)


def test_in_a_race_all_are_judged_first_and_then_run_in_turn(problems, methods):
    order = []

    def noted(method):
        def solve(*arguments):
            order.append(method.name)
            return method.solve(*arguments)

        return replace(method, solve=solve)

    chosen = [noted(methods[name]) for name in ("direct", "lie", "peer", "explode")]
    rows = measure.race(chosen, problems[0], problems[0].make(), Settings(repeat=2, least=2, first_counts=False))
    assert [row.status for row in rows] == [OK, WRONG, OK, FAILED]
    assert [row.runs for row in rows] == [2, 0, 2, 0]
    assert order == ["petrov.solve", "liar", "scipy splu", "bomb", *["petrov.solve", "scipy splu"] * 2]


@pytest.mark.parametrize(
    ("least", "first_counts", "runs", "solves"), [(1, True, 1, 1), (1, False, 1, 2), (3, True, 3, 3), (3, False, 3, 4)]
)
def test_long_runs_are_repeated_so_often_and_no_more(least, first_counts, runs, solves, problems, methods, monkeypatch):
    count = []

    def solve(*arguments):
        count.append(arguments)
        return methods["direct"].solve(*arguments)

    monkeypatch.setattr(measure, "LONG", 0.0)
    chosen = Settings(repeat=5, least=least, first_counts=first_counts)
    row = measure.measure(replace(methods["direct"], solve=solve), problems[0], problems[0].make(), chosen)
    assert (row.runs, len(count)) == (runs, solves)


def test_what_is_neither_set_up_nor_solve_is_in_no_time(problems, methods, settings, clock):
    def solve(prepared, system, rtol, limits, history):
        clock.sleep(0.3)
        outcome = methods["direct"].solve(prepared, system, rtol, limits, history)
        return replace(outcome, setup_seconds=0.05, other_seconds=0.25)

    row = measure.measure(replace(methods["direct"], solve=solve), problems[0], problems[0].make(), settings)
    assert row.setup_seconds == pytest.approx(0.05)
    assert row.solve_seconds == pytest.approx(0.0, abs=1e-12)
