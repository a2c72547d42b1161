"""The command line: exit codes, messages, files, what reaches petrov.solve, and the installed command itself."""

from __future__ import annotations

import gzip
import importlib.util
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import io, sparse

import petrov
from petrov import cli
from petrov.benchmarks import compare, runner
from petrov.solvers import SolveError, SolveInterrupted, SolveResult, Status
from petrov.solvers.choose import PRECONDITIONERS
from petrov.solvers.solver import NAMES

DATA = Path(__file__).resolve().parent / "data"
COMMAND = Path(sys.executable).with_name("petrov")
X = np.array([1.0, -2.0, 3.0])


def outcome(status: Status = Status.CONVERGED) -> SolveResult:
    """A result whose x is X."""
    return SolveResult(
        x=X, status=status, reason="as planned", method="cg", preconditioner="none", residual=1e-9,
        residuals=np.array([1.0, 1e-4, 1e-9]), iterations=2, matvecs=3, rtol=1e-8, relative_residual=1e-9,
    )  # fmt: skip


class Solve:
    """In petrov.solve's place: keeps what it was given, then returns or raises what it was told to."""

    def __init__(self, answer: SolveResult | BaseException):
        self.answer, self.A, self.b, self.keywords = answer, None, None, None

    def __call__(self, A: Any, b: Any, **keywords: Any) -> SolveResult:
        self.A, self.b, self.keywords = A, b, keywords
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Solve]:
    def put(answer: SolveResult | BaseException) -> Solve:
        fake = Solve(answer)
        monkeypatch.setattr(petrov, "solve", fake)
        return fake

    return put


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with A.mtx (3 x 3), b.npy and b.mtx."""
    monkeypatch.chdir(tmp_path)
    io.mmwrite("A.mtx", sparse.diags_array([2.0, 4.0, 5.0], format="coo"))
    np.save("b.npy", np.array([2.0, -8.0, 15.0]))
    io.mmwrite("b.mtx", np.array([[2.0], [-8.0], [15.0]]))
    return tmp_path


# -- petrov solve: outcomes ------------------------------------------------------------------------------------------------

OUTCOMES = {  # what petrov.solve does -> exit code, stdout, stderr, whether x is written
    "converged": (outcome(), 0, "CONVERGED: cg", "x is in x.npy\n", True),
    "least squares": (outcome(Status.INCONSISTENT), 0, "INCONSISTENT: cg", "x is in x.npy\n", True),
    "not converged": (
        SolveError("MAX_ITERATIONS: use M", outcome(Status.MAX_ITERATIONS)), 1, "",
        "petrov: MAX_ITERATIONS: use M\npetrov: the best x so far is in x.npy; --x0 goes on from it\n", True,
    ),
    "failed without x": (SolveError("nothing to show"), 1, "", "nothing to show\npetrov: no iteration was made", False),
    "not begun": (
        SolveError("NOT_SYMMETRIC", replace(outcome(Status.NOT_SYMMETRIC), iterations=0)), 1, "",
        "petrov: NOT_SYMMETRIC\npetrov: no iteration was made: x.npy was not written\n", False,
    ),
    "interrupted": (
        SolveInterrupted("cg interrupted", outcome(Status.INTERRUPTED)), 130, "",
        "petrov: cg interrupted\npetrov: the best x so far is in x.npy; --x0 goes on from it\n", True,
    ),
    "interrupted in the set-up": (KeyboardInterrupt(), 130, "", "interrupted; nothing was written", False),
    "refused": (ValueError("rtol is too small"), 2, "", "petrov: rtol is too small\n", False),
    "wrong type": (TypeError("A is no matrix"), 2, "", "petrov: A is no matrix\n", False),
    "library missing": (ModuleNotFoundError("No module named 'pyamg'"), 2, "", 'pip install "petrov[bench]"', False),
    "extra missing": (ImportError("amg needs PyAMG"), 2, "", "petrov: amg needs PyAMG\n", False),
    "no memory": (MemoryError("8 TiB"), 2, "", "out of memory: 8 TiB", False),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "code", "printed", "said", "written"), OUTCOMES.values(), ids=OUTCOMES)
def test_outcomes(
    answer: Any, code: int, printed: str, said: str, written: bool, folder: Path, stand_in: Any, capsys: Any
) -> None:
    stand_in(answer)
    assert cli.main(["solve", "A.mtx", "--rhs", "b.npy", "--out", "x.npy"]) == code
    out, err = capsys.readouterr()
    assert out.startswith(printed) if printed else not out
    assert said in err
    assert (folder / "x.npy").exists() == written
    if written:
        np.testing.assert_array_equal(np.load("x.npy"), X)


def test_every_option_reaches_solve(folder: Path, stand_in: Any) -> None:
    fake = stand_in(outcome())
    np.save("x0.npy", X)
    options = "--rhs b.mtx --x0 x0.npy --method minres --precond jacobi --nullspace constant --rtol 1e-5 --max-iterations 7"
    assert cli.main(["solve", "A.mtx", *options.split(), "--time-limit", "2.5"]) == 0
    np.testing.assert_array_equal(fake.A.toarray(), np.diag([2.0, 4.0, 5.0]))
    np.testing.assert_array_equal(fake.b, [2.0, -8.0, 15.0])
    np.testing.assert_array_equal(fake.keywords.pop("x0"), X)
    assert fake.keywords == {
        "method": "minres", "M": "jacobi", "rtol": 1e-5, "max_iterations": 7, "time_limit": 2.5, "callback": None,
        "nullspace": "constant",
    }  # fmt: skip


def test_what_is_left_out_is_left_to_solve(folder: Path, stand_in: Any, capsys: Any) -> None:
    fake = stand_in(outcome())
    assert cli.main(["solve", "A.mtx"]) == 0
    assert fake.keywords == {
        "method": "auto", "M": "auto", "rtol": None, "max_iterations": None, "time_limit": None, "callback": None,
        "nullspace": None, "x0": None,
    }  # fmt: skip
    x = np.random.default_rng(cli.SEED).standard_normal(3)
    np.testing.assert_array_equal(fake.b, [2 * x[0], 4 * x[1], 5 * x[2]])
    assert f"no --rhs given: b = A @ x, x standard normal from numpy.random.default_rng({cli.SEED})" in capsys.readouterr().err


def test_the_names_are_those_of_solve() -> None:
    assert set(cli.METHODS) == {"auto", "lsmr", *NAMES}
    assert set(cli.PRECONDITIONERS) == {"auto", *PRECONDITIONERS}


# -- petrov solve: bad input -----------------------------------------------------------------------------------------------

BAD = {  # arguments -> what stderr says
    "no such matrix": ("missing.mtx", "No such file or directory: 'missing.mtx'"),
    "a folder": (".", "ends in ''"),
    "a text": ("notes.txt", r"notes.txt: the name ends in '.txt'"),
    "a damaged matrix": ("cut.mtx", r"cut.mtx:3: .*declares 2 x 2 with 9 entries"),
    "a cut gzip": ("cut.mtx.gz", r"cut.mtx.gz: .*ended before"),
    "no such b": ("A.mtx --rhs missing.npy", "No such file or directory: 'missing.npy'"),
    "NaN in b": ("A.mtx --rhs nan.npy", r"nan.npy: 1 values are NaN or infinite, the first at index \[2\]"),
    "no such x0": ("A.mtx --x0 missing.npy", "No such file or directory: 'missing.npy'"),
    "out of another kind": ("A.mtx --out x.txt", "x is written as .npy"),
    "out in no folder": ("A.mtx --out nowhere/x.npy", "nowhere/x.npy: cannot be written"),
    "out is a folder": ("A.mtx --out folder.npy", "folder.npy: cannot be written"),
    "out is b": ("A.mtx --rhs b.npy --out ./b.npy", "b.npy is an input"),
    "report is A": ("A.mtx --report A.mtx", "A.mtx is an input"),
    "report in no folder": ("A.mtx --report nowhere/r.html", "nowhere/r.html: cannot be written"),
}


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD)
def test_bad_input_is_refused_before_the_solve(arguments: str, said: str, folder: Path, stand_in: Any, capsys: Any) -> None:
    fake = stand_in(outcome())
    (folder / "folder.npy").mkdir()
    (folder / "notes.txt").write_text("1 2 3")
    (folder / "cut.mtx").write_text("%%MatrixMarket matrix coordinate real general\n2 2 9\n1 1 1\n")
    (folder / "cut.mtx.gz").write_bytes(gzip.compress((folder / "A.mtx").read_bytes())[:-9])
    np.save("nan.npy", np.array([1.0, 2.0, np.nan]))
    assert cli.main(["solve", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert re.search(said, err)
    assert err.splitlines()[-1].startswith("petrov: ")
    assert fake.keywords is None


REAL_REFUSALS = {
    "lengths differ": ("A.mtx --rhs long.npy", 2, "b"),
    "rtol below rounding": ("A.mtx --rtol 1e-30", 2, "rtol"),
    "cg on a matrix that is not symmetric": ("skew.mtx --method cg", 1, "NOT_SYMMETRIC"),
}


@pytest.mark.parametrize(("arguments", "code", "said"), REAL_REFUSALS.values(), ids=REAL_REFUSALS)
def test_what_solve_itself_refuses(arguments: str, code: int, said: str, folder: Path, capsys: Any) -> None:
    np.save("long.npy", np.ones(4))
    io.mmwrite("skew.mtx", sparse.coo_array([[1.0, 2.0], [-2.0, 1.0]]))
    assert cli.main(["solve", *arguments.split()]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    ["", "solve", "solve A.mtx --method jacobi", "solve A.mtx --rtol small", "bench", "bench darcy", "bench compare a", "dance"],
)
def test_usage_errors_leave_by_2(arguments: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments.split())
    assert left.value.code == 2
    assert "usage: petrov" in capsys.readouterr().err


def test_a_report_without_its_libraries_is_refused_before_the_solve(
    folder: Path, stand_in: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, find = stand_in(outcome()), importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "jinja2" else find(name, *rest))
    assert cli.main(["solve", "A.mtx", "--report", "r.html"]) == 2
    assert 'needs jinja2: pip install "petrov[bench]"' in capsys.readouterr().err
    assert fake.keywords is None


def test_progress_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with cli.progress(np.ones(3), None) as callback:
        assert callback is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with cli.progress(np.ones((3, 2)), 1e-6) as callback:
        for residual in (np.array([1.0, 1e-3]), 0.0, np.inf, np.nan):
            assert callback(type("State", (), {"iteration": 1234, "residual": residual})()) is None
    assert "setting up" in capsys.readouterr().err


# -- petrov bench ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {"suite": "poisson", "quick": False, "sizes": None, "json": None, "html": None}),
        (
            "--quick --size 32 64 --json a.json --html a.html",
            {"suite": "poisson", "quick": True, "sizes": [32, 64], "json": Path("a.json"), "html": Path("a.html")},
        ),
    ],
)
def test_bench_hands_over_to_the_runner(arguments: str, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(runner, "main", lambda **keywords: given.update(keywords) or 7)
    assert cli.main(["bench", "poisson", *arguments.split()]) == 7
    assert given == expected


def test_compare_hands_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "main", lambda old, new: 3 if (old, new) == (Path("a"), Path("b")) else 0)
    assert cli.main(["bench", "compare", "a", "b"]) == 3


# -- The real thing --------------------------------------------------------------------------------------------------------


def test_a_real_matrix_from_file_to_file(tmp_path: Path) -> None:
    """The installed command, with b from a file: x on disk solves the system, the report shows it."""
    A = sparse.csr_array(io.mmread(DATA / "1138_bus.mtx.gz"))
    b = np.random.default_rng(5077).standard_normal(A.shape[0])
    np.save(tmp_path / "b.npy", b)
    run = subprocess.run(
        [COMMAND, "solve", DATA / "1138_bus.mtx.gz", "--rhs", "b.npy", "--method", "cg", "--precond", "ic", "--rtol", "1e-9",
         "--out", "x.npy", "--report", "r.html"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("CONVERGED: cg + ic")
    x = np.load(tmp_path / "x.npy", allow_pickle=False)
    assert np.linalg.norm(b - A @ x) <= 1e-9 * np.linalg.norm(b)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "CONVERGED" in page
    assert "<svg" in page


def test_not_converged_then_gone_on_with(folder: Path, capsys: Any) -> None:
    """Too few iterations is 1 and leaves a better x than none; going on from it is 0."""
    matrix, options = str(DATA / "nos5.mtx.gz"), ["--method", "cg", "--precond", "jacobi", "--out", "x.npy"]
    assert cli.main(["solve", matrix, *options, "--max-iterations", "40"]) == 1
    assert "MAX_ITERATIONS" in capsys.readouterr().err
    A = sparse.csr_array(io.mmread(matrix))
    b = A @ np.random.default_rng(cli.SEED).standard_normal(468)
    assert np.linalg.norm(b - A @ np.load("x.npy")) < np.linalg.norm(b)
    assert cli.main(["solve", matrix, *options, "--x0", "x.npy"]) == 0
    assert np.linalg.norm(b - A @ np.load("x.npy")) <= 1e-8 * np.linalg.norm(b)


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal and SIGINT")
def test_ctrl_c_on_a_terminal_keeps_the_best_x(tmp_path: Path) -> None:
    n = 200_000  # a chain: cg needs n iterations
    A = sparse.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1], format="csr")
    sparse.save_npz(tmp_path / "A.npz", A, compressed=False)
    terminal, end = os.openpty()
    command = [COMMAND, "solve", "A.npz", "--method", "cg", "--precond", "none", "--max-iterations", "1000000", "--out", "x.npy"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=end, env={**os.environ, "TERM": "xterm"}) as run:
        os.close(end)
        shown = listen(terminal, until=b"residual")
        run.send_signal(signal.SIGINT)
        shown += listen(terminal, until=b"goes on from it")
        assert run.wait(60) == 130
    os.close(terminal)
    text = re.sub(rb"\s+", b" ", shown)
    assert re.search(rb"iteration [\d,]+, residual \d", text), text
    assert b"the best x so far is in x.npy" in text, text
    assert b"Traceback" not in text
    assert np.isfinite(np.load(tmp_path / "x.npy", allow_pickle=False)).all()


def listen(terminal: int, until: bytes, seconds: float = 60) -> bytes:
    """What a terminal shows until some words have come."""
    shown, deadline = b"", time.monotonic() + seconds
    while until not in shown and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 65_536)
            except OSError:  # the other end is closed
                break
    return shown


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from petrov.cli import main\n"
        "try: main(['solve', '--help'])\n"
        "except SystemExit: print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    usage, _, loaded = run.stdout.strip().rpartition("\n")
    assert "--max-iterations" in usage
    assert "petrov" in loaded.split()
    assert not {"numpy", "scipy", "numba", "rich", "matplotlib", "torch", "jinja2"} & set(loaded.split())


def test_the_installed_command_reports_a_mistake_without_a_traceback() -> None:
    run = subprocess.run([COMMAND, "solve", "missing.mtx"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "petrov: [Errno 2] No such file or directory: 'missing.mtx'\n"


def test_train_knows_every_kind():
    """The command names kinds without loading them; the table that trains them names the same."""
    pytest.importorskip("torch")
    pytest.importorskip("torch_geometric")
    from petrov.cli import KINDS
    from petrov.learned.checkpoint import KINDS as written
    from petrov.learned.training import OBJECTIVES

    assert sorted(KINDS) == sorted(written) == sorted(OBJECTIVES)
