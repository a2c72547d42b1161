"""PETSc as a peer: how its ranks are run, and, where it is installed, that it solves the same system."""

import os
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from petrov.benchmarks import measure, petsc
from petrov.benchmarks.contests import JACOBI
from petrov.benchmarks.document import OK, SKIPPED
from petrov.benchmarks.iteration import race_of_iterations
from petrov.benchmarks.measure import Settings, model_system
from petrov.benchmarks.records import Problem

PROBLEM = Problem("laplace", "laplace", "spd", lambda: model_system("spd", 30), work="iteration")


@pytest.fixture
def present(monkeypatch):
    monkeypatch.setattr(petsc, "absent", lambda: "")


def test_what_is_missing_is_named_with_what_brings_it(monkeypatch):
    monkeypatch.setattr(petsc.importlib.util, "find_spec", lambda name: None if name == "petsc4py" else name)
    monkeypatch.setattr(petsc.shutil, "which", lambda name: None)
    assert petsc.absent().startswith("petsc4py, mpiexec not found; `make petsc`")
    with pytest.raises(FileNotFoundError, match="petsc4py, mpiexec not found"):
        petsc.launch([sys.executable, "-c", ""], 10.0)


def test_without_petsc4py_the_row_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(measure.importlib.util, "find_spec", lambda name: None)
    (row,) = measure.race(petsc.MULTIGRID_2D[:1], PROBLEM, PROBLEM.make(), Settings())
    assert row.status == SKIPPED
    assert "petsc4py is not installed; `make petsc`" in row.reason


def test_a_failing_program_is_quoted(present, capfd):
    program = "import sys; print('spam'); print('an Error of its own', file=sys.stderr); print('ham'); sys.exit(7)"
    with pytest.raises(RuntimeError, match="PETSc ended with status 7: an Error of its own"):
        petsc.launch([sys.executable, "-c", program], 20.0)
    assert capfd.readouterr() == ("", "")


def test_a_program_that_hangs_is_ended_with_its_children(present, tmp_path):
    child = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with pytest.raises(TimeoutError, match="not done after 3 s"):
        petsc.launch([sys.executable, "-c", program], 3.0)
    pid = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 5.0
    while time.monotonic() < end and alive(pid):
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid):
    """Whether the process runs; one that waits to be reaped does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_ranks_have_one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    given = petsc.environment()
    assert (given["OMP_NUM_THREADS"], given["OPENBLAS_NUM_THREADS"]) == ("1", "1")
    assert ("OMPI_ALLOW_RUN_AS_ROOT" in given) >= (os.geteuid() == 0)


@pytest.mark.mpi
@pytest.mark.parametrize("method", petsc.MULTIGRID_2D + petsc.MULTIGRID_3D[:1], ids=lambda method: method.name)
def test_hypre_and_gamg_reach_the_true_residual(method, capfd):
    system = PROBLEM.make()
    (row,) = measure.race([method], PROBLEM, system, Settings(repeat=1))
    assert (row.status, row.warnings) == (OK, [])
    assert row.relative_residual <= 1e-8
    assert 0 < row.setup_seconds + row.solve_seconds < 5.0  # starting the ranks takes longer than this system
    assert capfd.readouterr() == ("", "")


@pytest.mark.mpi
def test_its_cg_makes_the_iterates_of_the_textbook_on_rows_that_do_not_divide():
    system = model_system("spd", 33)  # 1089 rows on two ranks
    rows = race_of_iterations([JACOBI[0], *petsc.ITERATION], PROBLEM, system, Settings(repeat=1))
    assert [row.status for row in rows] == [OK, OK], [row.reason for row in rows]


@pytest.mark.mpi
def test_a_limit_of_iterations_is_no_success():
    (method,) = petsc.ITERATION
    row = measure.measure(replace(method, iteration_cap=3), PROBLEM, PROBLEM.make(), Settings())
    assert (row.status, row.iterations) == ("NOT CONVERGED", 3)


@pytest.mark.mpi
def test_our_preconditioner_inside_a_ksp_is_timed_after_it_was_right(monkeypatch):
    from petrov.benchmarks import inside_ksp

    cost = inside_ksp.measured(40, 2, rounds=2)
    assert min(cost) > 0 and "PCApply" in str(cost)
    monkeypatch.setattr(inside_ksp, "RTOL", 1e-3)
    monkeypatch.setattr(inside_ksp, "cg", lambda *_, **__: SimpleNamespace(x=np.zeros(1600), iterations=1))
    with pytest.raises(ArithmeticError, match=r"is not within 0\.001"):
        inside_ksp.measured(40, 2, rounds=1)
