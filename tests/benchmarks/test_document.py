"""The JSON file: schema, atomic replacement, resuming, refusals."""

import json
from dataclasses import fields, replace

import pytest

from petrov.benchmarks import document, machine
from petrov.benchmarks.document import OK, WRONG, Document, Row, load, resume, save


def row(problem="p", method="petrov.solve", library="petrov", seconds=1.0, status=OK, **more):
    seconds = seconds if status == OK else None
    return Row(problem, "family", "spd", method, library, status, setup_seconds=seconds, solve_seconds=seconds, **more)


IDENTITY = {"settings": {"suite": "poisson", "sizes": []}, "machine": {"cores": 2}}


@pytest.fixture(autouse=True)
def half_busy(monkeypatch):
    monkeypatch.setattr(machine, "load", lambda: 0.5)


def test_a_document_comes_back_as_it_was(tmp_path):
    rows = (row(history=[[0, 1.0], [3, 1e-9]], warnings=["UserWarning: ü"]), row("q", status=WRONG, reason="no"))
    before = Document(IDENTITY, rows, True)
    save(before, tmp_path / "deep" / "b.json")
    assert load(tmp_path / "deep" / "b.json") == before
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["b.json"]


def test_the_schema_of_a_row(tmp_path):
    save(Document(IDENTITY, (row(),), False), tmp_path / "b.json")
    content = json.loads((tmp_path / "b.json").read_text())
    assert {key: content[key] for key in ("format", "schema", "finished")} == {
        "format": "petrov benchmark", "schema": 1, "finished": False,
    }  # fmt: skip
    assert set(content["rows"][0]) == {item.name for item in fields(Row)}


def test_a_failing_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "b.json"
    save(Document(IDENTITY, (row(),)), path)
    old = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        save(Document(IDENTITY, (row(relative_residual=float("nan")),)), path)
    assert (path.read_bytes(), [item.name for item in tmp_path.iterdir()]) == (old, ["b.json"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "does not parse"),
        ("[1, 2]", "expected a JSON object"),
        ('{"format": "other"}', "expected a JSON object with format"),
        ('{"format": "petrov benchmark", "schema": 99}', "schema 99"),
        ('{"format": "petrov benchmark", "schema": 1, "identity": {}}', "lacks"),
        (
            '{"format": "petrov benchmark", "schema": 1, "identity": {}, "load": 0, "finished": true, "rows": [{"spam": 1}]}',
            "spam",
        ),
        (
            '{"format": "petrov benchmark", "schema": 1, "identity": {}, "load": 0, "finished": true, "rows": [{"rows": 1}]}',
            "lacks",
        ),
    ],
)
def test_another_file_is_refused(text, message, tmp_path):
    path = tmp_path / "b.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_an_unknown_status_is_refused(tmp_path):
    save(Document(IDENTITY, (replace(row(), status="GREAT"),)), tmp_path / "b.json")
    with pytest.raises(ValueError, match="GREAT"):
        load(tmp_path / "b.json")


def test_resume_goes_on_only_with_its_own_unfinished_run(tmp_path):
    path = tmp_path / "b.json"
    assert resume(path, IDENTITY) == (Document(IDENTITY, load=0.5), "")
    save(Document(IDENTITY, (row(),), False, load=3.0), path)
    start, message = resume(path, IDENTITY)
    assert (len(start.rows), start.load, "after 1 rows" in message, path.exists()) == (1, 3.0, True, True)


@pytest.mark.parametrize(("identity", "finished"), [(IDENTITY, True), ({**IDENTITY, "machine": {"cores": 3}}, False)])
def test_any_other_run_is_kept_beside(identity, finished, tmp_path):
    path = tmp_path / "b.json"
    save(Document(identity, (row(),), finished), path)
    start, message = resume(path, IDENTITY)
    assert (start, path.exists()) == (Document(IDENTITY, load=0.5), False)
    assert "b.previous.json" in message
    assert len(load(tmp_path / "b.previous.json").rows) == 1


def test_the_best_peer_is_the_fastest_right_one():
    rows = [row(seconds=1.0), row(method="petrov cg", seconds=4.0), row(method="a", library="scipy", seconds=2.0),
            row(method="b", library="pyamg", seconds=3.0), row(method="c", library="scipy", status=WRONG)]  # fmt: skip
    peer, ratios = document.speed_against_peers(rows)
    assert (peer.method, ratios) == ("a", {"petrov.solve": 2.0, "petrov cg": 0.5})
    assert document.speed_against_peers(rows[:2]) == (None, {})


def test_the_identity_names_machine_versions_threads_and_source():
    identity = document.identity({"suite": "poisson"})
    assert set(identity) == {"settings", "machine", "versions", "threads", "source"}
    assert identity["machine"]["cores"] >= 1
    assert identity["versions"]["petrov"]
    assert identity["threads"]["numba"] >= 1
    assert len(identity["source"]) == 12
    assert json.loads(json.dumps(identity)) == identity
