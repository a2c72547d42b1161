"""The table of contests: complete, in both sizes, with the peers that its bars name."""


import numpy as np
import pytest
from scipy.sparse import diags_array

from petrov.benchmarks import bars, contests, data, petsc
from petrov.benchmarks.contests import Contest, contest, scrambled, updated
from petrov.benchmarks.document import OK, SKIPPED
from petrov.benchmarks.measure import Settings, model_system, race
from petrov.benchmarks.records import DEFINITE, Method, Outcome, Problem

SETTINGS = Settings(repeat=1, least=1, first_counts=False)


@pytest.fixture(scope="module", params=[True, False], ids=["quick", "full"])
def table(request):
    return contests.contests(None, request.param)


def test_every_work_has_its_contests_under_names_of_their_own(table):
    assert {one.work for one in table} == set(bars.WORKS)
    names = [one.name for one in table]
    assert len(names) == len(set(names))


def test_works_can_be_chosen():
    assert {one.work for one in contests.contests(["update", "memory"], True)} == {"update", "memory"}


@pytest.fixture
def asked(monkeypatch):
    """Every contest's problem, methods and race, gathered instead of run."""
    found = []
    monkeypatch.setattr(contests, "contest", lambda *given, **more: found.append((given, more)) or Contest("x", given[0], None))
    for rows in contests.TABLE:
        rows(False)
    return found


def test_each_bar_meets_one_of_ours_and_the_peers_that_it_names(asked):
    for (work, name, _, methods), _ in asked:
        libraries = {method.library for method in methods}
        assert "petrov" in libraries, name
        assert all(bar.libraries & libraries for bar in bars.WORKS[work].bars), name


def test_the_sizes_are_those_that_were_set(asked):
    names = {f"{work}: {name}" for (work, name, *_), _ in asked}
    assert {
        "iteration: poisson 1024^2", "permuted: poisson 100^3", "structured-2d: log-normal 1024^2", "structured-3d: poisson 100^3",
        "structured-3d: jump 1e6 128^3", "unstructured: P1 500^2", "unstructured: P1 60^3", "aggregation: poisson 1024^2", "aggregation: poisson 100^3", "sizes: jump 1e6 2048^2",
        "sizes: log-normal 128^3", "real: of_pitzDaily_p",
    } <= names  # fmt: skip


def test_a_scrambled_matrix_has_no_diagonals_and_fits_no_single_precision():
    system, plain = scrambled(14, 2), model_system("spd", 14)
    A = system.A.tocoo()
    off = A.col != A.row
    assert np.mean(A.data.astype(np.float32) != A.data) > 0.99
    assert len(np.unique((A.col - A.row)[off])) > 100
    assert abs(system.A - system.A.T).max() < 1e-10 * abs(system.A).max()
    jacobi = 1 / np.sqrt(A.diagonal())
    scaled = np.linalg.eigvalsh(jacobi[:, None] * A.toarray() * jacobi)
    assert scaled[0] > 0
    assert scaled[-1] / scaled[0] < 10 * np.linalg.cond(plain.A.toarray())


def factored(system):
    return np.linalg.inv(system.A.toarray())


def apply(inverse, system, rtol, limits, history):
    return Outcome(inverse @ system.b, claims=True, iterations=1)


STAND_IN = Method("petrov stand-in", "petrov", DEFINITE, factored, apply)


def test_a_contest_runs_its_methods_in_one_race():
    one = contest("update", "laplace", lambda: model_system("spd", 6), [STAND_IN, *contests.PYAMG], family="f")
    rows = one.run(SETTINGS)
    assert [(row.problem, row.family, row.work, row.status) for row in rows] == [("update: laplace", "f", "update", OK)] * 3
    assert all(row.setup_seconds > 0 and row.runs == 1 for row in rows)


def test_a_matrix_that_is_not_there_is_a_row_that_says_so():
    def make():
        return data.read("no_such_matrix")

    (row,) = contest("real", "no_such_matrix", make, [STAND_IN]).run(SETTINGS)
    assert (row.status, row.work) == (SKIPPED, "real")
    assert "PETROV_TEST_DATA" in row.reason


def test_an_update_is_timed_without_the_first_set_up(monkeypatch, clock):
    """A recipe whose set-up takes long and whose update does not: only the second is in the row, and x is of the second A."""
    first, second = model_system("spd", 8), model_system("spd", 8)
    second = second._replace(A=data.canonical(second.A + diags_array(np.arange(8.0, 72.0))))
    made = []

    class Slow:
        def __call__(self, A):
            made.append(float(A.diagonal()[0]))
            clock.sleep(0.3)
            return Inverse(A)

    class Inverse:
        shape, dtype, spd, linear = first.A.shape, first.A.dtype, True, True

        def __init__(self, A):
            self.inverse = np.linalg.inv(A @ np.eye(A.shape[0]))

        def __matmul__(self, r):
            return self.inverse @ r

        def update(self, A):
            made.append(float(A.diagonal()[0]))
            clock.sleep(0.01)
            return Inverse(A)

    monkeypatch.setattr(contests.solvers, "Slow", Slow, raising=False)
    monkeypatch.setattr(contests, "perf_counter", lambda: clock.now)
    (row,) = race([updated("Slow", lambda: first.A)], Problem("p", "f", "spd", lambda: second), second, SETTINGS)
    assert row.status == OK
    assert made[:2] == [first.A[0, 0], second.A[0, 0]] == [4.0, 12.0]
    assert row.setup_seconds + row.solve_seconds == pytest.approx(0.01)
    assert row.iterations <= 2


def test_petsc_takes_part_in_both_dimensions():
    assert [len(contests.petsc_multigrid(dim, quick)) for dim in (2, 3) for quick in (True, False)] == [2, 4, 2, 4]
    assert {method.library for method in petsc.MULTIGRID_2D} == {"petsc"}
    assert all("2 ranks" in method.name for method in contests.petsc_multigrid(3, True))
