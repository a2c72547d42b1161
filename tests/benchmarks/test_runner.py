"""A tiny suite end to end: rows, checkpoint, a kill, resuming, the exit codes and the table."""

from dataclasses import replace

import pytest

from petrov.benchmarks import document, measure, runner, suites, table
from petrov.benchmarks.document import OK, SKIPPED, WRONG, Document, load
from petrov.benchmarks.measure import model_system
from petrov.benchmarks.records import Problem

IDENTITY = {"settings": {"suite": "tiny"}}


@pytest.fixture
def go(problems, methods, settings, console):
    """Run the tiny suite; the console's text is go.text()."""

    def go(names=("direct", "lie", "peer"), path=None, start=None, problems=problems):
        chosen = [methods[name] for name in names]
        return runner.run(problems, chosen, settings, start or Document(IDENTITY), path, console)

    go.text = console.file.getvalue
    return go


def test_every_problem_meets_every_method_and_the_file_holds_what_was_returned(go, tmp_path):
    result = go(path=tmp_path / "b.json")
    assert [row.status for row in result.rows] == [OK, WRONG, OK] * 3
    assert [row.problem for row in result.rows[::3]] == ["laplace 6^2", "laplace 9^2", "laplace 12^2"]
    assert load(tmp_path / "b.json") == result
    assert result.finished
    assert [bool(row.history) for row in result.rows] == [False] * 3 + [True, False, True] + [False] * 3
    assert "WRONG claims success at 1e-08" in go.text()


def test_a_kill_loses_one_row_and_the_next_run_goes_on(go, problems, methods, tmp_path, monkeypatch):
    path, measured = tmp_path / "b.json", []
    real = measure.measure

    def killed_in_row_five(method, problem, system, settings):
        if problem.name != "warm-up":
            measured.append((problem.name, method.name))
            if len(measured) == 5:
                raise KeyboardInterrupt
        return real(method, problem, system, settings)

    monkeypatch.setattr(measure, "measure", killed_in_row_five)
    first = go(path=path)
    assert (len(first.rows), first.finished, runner.exit_code(first)) == (4, False, 130)
    assert "run the same command to go on" in go.text()
    start, message = document.resume(path, IDENTITY)
    assert (start.rows, "after 4 rows" in message) == (first.rows, True)

    second = go(path=path, start=start)
    assert second.finished
    assert second.rows[:4] == first.rows  # not measured again: the very numbers
    assert len(second.rows) == len(measured) - 1 == 9
    assert measured[4] == measured[5]
    assert load(path) == second


def test_a_matrix_that_is_not_there_is_one_row_that_says_so(go):
    def make():
        raise FileNotFoundError("not shipped in wheels: spam.mtx.gz")

    result = go(problems=[Problem("spam", "files", "spd", make), Problem("l", "l", "spd", lambda: model_system("spd", 5))])
    assert [(row.problem, row.method, row.status) for row in result.rows][:2] == [
        ("spam", "(all)", SKIPPED), ("l", "petrov.solve", OK),
    ]  # fmt: skip
    assert "not shipped in wheels" in go.text()


@pytest.mark.parametrize(
    ("names", "code"), [(("direct", "lie", "explode"), 0), (("direct",), 0), (("our lie",), 1), (("our bomb",), 1)]
)
def test_only_our_own_untruth_fails_the_run(names, code, go, methods):
    methods["our lie"] = replace(methods["lie"], library="petrov")
    methods["our bomb"] = replace(methods["explode"], name="petrov.solve", library="petrov")
    assert runner.exit_code(go(names)) == code


def test_the_table_shows_losses_as_plainly_as_wins(go, console):
    result = go()
    rows = [replace(row, setup_seconds=0.0, solve_seconds=seconds) if row.status == OK else row
            for row, seconds in zip(result.rows, [1, None, 2, 3, None, 1, 1, None, 1.01], strict=True)]  # fmt: skip
    table.show(replace(result, rows=tuple(rows)), console)
    text = go.text()
    assert "2.0x faster" in text
    assert "3.0x slower" in text
    assert "faster on 1, slower on 1, equal on 1" in text
    assert "peers:  wrong answers 3, not converged 0, failed 0" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"suite": "spam"}, "no suite 'spam'; there is poisson"),
        ({"sizes": [4]}, "at least 8"),
        ({"sizes": []}, "at least 8"),
        ({"repeat": 0}, "at least 1; got 0"),
    ],
)
def test_bad_input_is_exit_code_two_and_a_message(arguments, message, capsys):
    assert runner.main(**arguments) == 2
    assert message in capsys.readouterr().err


def test_a_file_of_another_kind_is_not_overwritten(tmp_path, capsys):
    path = tmp_path / "precious.json"
    path.write_text('{"a": 1}')
    assert runner.main(json=path, sizes=[8]) == 2
    assert path.read_text() == '{"a": 1}'
    assert "not a petrov benchmark" in capsys.readouterr().err


def test_main_runs_the_real_methods_and_writes_json_and_html(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(suites.SUITES, "poisson", lambda quick, sizes: suites.models([("poisson 2-D", sizes)]))
    assert runner.main(sizes=[12], html=tmp_path / "r.html", repeat=1) == 0
    result = load(tmp_path / "r.json")
    assert result.finished
    statuses = {row.method: row.status for row in result.rows}
    assert set(statuses.values()) == {OK}
    assert {"petrov.solve", "petrov cg + IC(0)", "petrov direct", "scipy cg", "scipy splu", "pyamg SA + cg"} <= set(statuses)
    assert {pool.split()[-1] for pool in result.identity["threads"]["blas"]} == {"1"}
    default = next(row for row in result.rows if row.method == "petrov.solve")
    assert default.relative_residual <= 1e-8
    assert default.chose
    assert "petrov.solve" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "faster on" in capsys.readouterr().out
