"""The verdicts: what meets a bar, and that nothing passes which was not measured."""

from dataclasses import replace

import pytest

from petrov.benchmarks import bars
from petrov.benchmarks.bars import MISSED, NO_BAR, NO_PEER, PASSED, TARGET
from petrov.benchmarks.document import FAILED, NOT_CONVERGED, OK, SKIPPED, WRONG, Row


def row(method, library, setup, solve, work="structured-2d", problem="p", status=OK, **more):
    times = {"setup_seconds": setup, "solve_seconds": solve} if status == OK else {}
    return Row(problem, "f", "spd", method, library, status, work=work, **times, **more)


PEERS = [row("SA", "pyamg", 20.0, 20.0), row("RS", "pyamg", 10.0, 20.0), row("hypre", "petsc", 4.0, 8.0)]


@pytest.mark.parametrize(
    ("seconds", "verdict", "beside_petsc"),
    [
        (0.74, TARGET, TARGET), (0.75, TARGET, TARGET), (0.76, PASSED, TARGET), (0.81, PASSED, PASSED), (2.0, PASSED, PASSED),
        (2.01, MISSED, MISSED), (31.0, MISSED, MISSED),
    ],
)  # fmt: skip
def test_set_up_and_solve_are_held_against_the_best_peer_of_the_bar(seconds, verdict, beside_petsc):
    ours = row("petrov", "petrov", 0.5 * seconds, 0.5 * seconds)
    against_pyamg, against_petsc = bars.lines([ours, *PEERS])
    assert (against_pyamg.peer.method, against_pyamg.verdict) == ("RS", verdict)
    assert against_pyamg.ratio == pytest.approx(seconds / 30.0)
    assert (against_petsc.peer.method, against_petsc.verdict) == ("hypre", beside_petsc)


def test_without_a_bar_nothing_is_judged():
    ours, peer = row("a", "petrov", 0.0, 1.0, "kernels"), row("b", "scipy", 0.0, 4.0, "kernels")
    assert [(line.verdict, line.ratio) for line in bars.lines([ours, peer])] == [(NO_BAR, 0.25)]
    assert bars.lines([replace(ours, status=WRONG), peer])[0].verdict == bars.lines([ours])[0].verdict == NO_BAR


def test_of_an_iteration_only_its_own_time_counts():
    ours, peer = row("a", "petrov", 50.0, 1.0, "iteration"), row("b", "scipy", 0.0, 4.0, "iteration")
    line = bars.lines([ours, peer])[0]
    assert (line.ratio, line.verdict) == (0.25, PASSED)


@pytest.mark.parametrize("status", [WRONG, FAILED, NOT_CONVERGED, SKIPPED])
def test_without_a_right_answer_of_ours_the_bar_is_missed(status):
    ours = row("petrov", "petrov", 0, 0, status=status, reason="so it was")
    assert [(line.verdict, line.ratio) for line in bars.lines([ours, *PEERS])] == [(MISSED, None)] * 2
    assert f"{status}: so it was" in bars.lines([ours, *PEERS])[0].reason


def test_a_peer_without_a_right_answer_is_no_peer_and_no_pass():
    ours = row("petrov", "petrov", 0.1, 0.1)
    absent = row("SA", "pyamg", 0, 0, status=SKIPPED, reason="not installed")
    wrong = row("RS", "pyamg", 0, 0, status=WRONG)
    assert bars.lines([ours, absent, wrong])[0].verdict == NO_PEER
    assert "not installed" in bars.lines([ours, absent, wrong])[0].reason
    assert bars.lines([ours])[0].verdict == NO_PEER
    assert bars.tally([ours, absent]) == "0 of 0 bars met, 0 with their target; 2 had no peer."


def steps(counts, work="sizes", family="poisson"):
    return [
        replace(row("petrov", "petrov", 1.0, 1.0, work, f"{family} {k}", iterations=count, rows=10**k), family=family)
        for k, count in enumerate(counts)
    ]


@pytest.mark.parametrize(
    ("work", "counts", "verdict"),
    [
        ("sizes", [10, 12, 11], PASSED), ("sizes", [10, 13], MISSED), ("sizes", [13, 10], MISSED),
        ("elasticity", [10, 15], PASSED), ("elasticity", [10, 16], MISSED), ("sizes", [0, 0], MISSED),
    ],
)  # fmt: skip
def test_iterations_may_grow_by_so_much_over_a_family(work, counts, verdict):
    (spread,) = bars.spreads(steps(counts, work))
    assert spread.verdict == verdict


def test_families_are_apart_and_a_size_that_failed_misses():
    rows = [*steps([10, 10]), *steps([30, 30], family="jump")]
    assert [one.verdict for one in bars.spreads(rows)] == [PASSED, PASSED]
    rows[1] = replace(rows[1], status=NOT_CONVERGED, reason="at the limit")
    missed, met = bars.spreads(rows)
    assert (missed.verdict, met.verdict) == (MISSED, PASSED)
    assert "at the limit" in missed.reason
    assert bars.tally(rows).startswith("1 of 2 bars met")


def test_the_bars_are_those_that_were_set():
    table = {key: (work.bars[0].bar, work.bars[0].target) for key, work in bars.WORKS.items() if work.bars}
    assert table == {
        "iteration": (1 / 3, 1 / 6), "permuted": (1 / 2, 1 / 3), "structured-2d": (1 / 15, 1 / 40),
        "structured-3d": (1 / 12, 1 / 30), "unstructured": (1 / 2, 1 / 4), "real": (1 / 2, 1 / 4), "update": (1 / 4, 1 / 10),
        "aggregation": (1.0, 1 / 2), "choice": (1.5, None), "kernels": (None, None),
    }  # fmt: skip
    beside_petsc = {key: (bar.bar, bar.target) for key, work in bars.WORKS.items() for bar in work.bars if bar.libraries == {"petsc"}}
    assert beside_petsc == {
        "iteration": (0.9, 0.5), "permuted": (0.9, 0.5), "structured-2d": (1 / 6, 1 / 15), "structured-3d": (1 / 6, 1 / 15),
        "unstructured": (1.0, 1 / 2), "aggregation": (1.0, 1 / 2),
    }  # fmt: skip
