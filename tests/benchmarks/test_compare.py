"""Old against new: correctness changes are flagged and decide the exit code, times never do."""

import pytest

from petrov.benchmarks import compare
from petrov.benchmarks.document import FAILED, NOT_CONVERGED, OK, SKIPPED, WRONG, Document, Row, save


def row(method="petrov.solve", status=OK, total=1.0, spread=0.01, library="petrov", iterations=5):
    times = (total / 2, total / 2, total * (1 - spread), total * (1 + spread)) if status == OK else (None,) * 4
    return Row("laplace", "laplace", "spd", method, library, status, iterations=iterations, setup_seconds=times[0],
               solve_seconds=times[1], fastest_seconds=times[2], slowest_seconds=times[3], runs=3)  # fmt: skip


@pytest.fixture
def run(tmp_path, capsys):
    def run(old, new, new_machine=2):
        for name, rows, cores in (("old", old, 2), ("new", new, new_machine)):
            save(Document({"machine": {"cores": cores}}, tuple(rows), True), tmp_path / f"{name}.json")
        code = compare.main(tmp_path / "old.json", tmp_path / "new.json")
        return code, capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (OK, OK, 0), (OK, WRONG, 1), (OK, NOT_CONVERGED, 1), (OK, FAILED, 1), (NOT_CONVERGED, WRONG, 1),
        (OK, SKIPPED, 0), (WRONG, OK, 0), (WRONG, WRONG, 0), (FAILED, NOT_CONVERGED, 0),
    ],
)  # fmt: skip
def test_only_correctness_decides(old, new, code, run):
    result, text = run([row(status=old)], [row(status=new, total=50.0)])
    assert result == code
    assert (f"{old} -> {new}" in text) == (old != new)
    assert f"Correctness changed in {int(old != new)} rows, {code} for the worse" in text


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (row(total=3.0), row(total=1.0), " 3.00 "),
        (row(total=1.0), row(total=4.0), " 0.25 "),
        (row(total=1.0, spread=0.2), row(total=1.1, spread=0.2), "~ 0.91"),
        (row(iterations=5), row(iterations=9), "5 -> 9"),
    ],
)
def test_ratios_and_iterations(old, new, words, run):
    assert words in run([old], [new])[1]


def test_ours_and_peers_have_their_own_means(run):
    text = run([row(total=4.0), row("splu", total=1.0, library="scipy")], [row(), row("splu", total=2.0, library="scipy")])[1]
    assert "petrov 4.00 over 1 rows; peers 0.50 over 1 rows" in text


def test_rows_of_one_side_and_other_machines_are_named(run):
    code, text = run([row(), row("gone")], [row(), row("came")], new_machine=8)
    assert code == 0
    assert "only in the old run: 1 rows (laplace)" in text
    assert "only in the new run: 1 rows (laplace)" in text
    assert "machine differs: times are not comparable: cores 2 -> 8" in text


@pytest.mark.parametrize("content", [None, "not a benchmark"])
def test_unreadable_files_are_bad_input(content, tmp_path, capsys):
    path = tmp_path / "b.json"
    if content is not None:
        path.write_text(content)
    assert compare.main(path, path) == 2
    assert "petrov bench compare: " in capsys.readouterr().err
