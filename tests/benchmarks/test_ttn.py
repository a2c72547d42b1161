"""`petrov bench ttn`: quenches against full vectors, peers that are there, absent or broken, rows, verdicts, the command."""

import functools
import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import expm_multiply

from petrov.benchmarks.contests import Contest
from petrov.benchmarks.document import Document, Row, identity, load
from petrov.benchmarks.ttn import alone, libraries, line_source, plane_source, quench, report, spins, suite, threads
from petrov.benchmarks.ttn.peers.walk import Walk, timed
from petrov.benchmarks.ttn.quench import LONG, NEAR, Entry, Quench, race
from petrov.benchmarks.ttn.timing import Timing
from petrov.benchmarks.ttn.verdicts import WORKS, duels, tally, verdicts
from petrov.rom.ttn import ParallelBUG, ProjectorSplitting, RankAdaptiveBUG

SMALL = [Quench("six", 6), Quench("six neighbours", 6, None)]


@functools.cache
def exact(d, pairs, t):
    """The mean of sz at t, from all 2^d numbers."""
    states = np.arange(2**d)
    up = 1.0 - ((states[:, None] >> np.arange(d)[::-1]) & 1)
    H = sp.diags_array(up.sum(axis=1) + sum(v * up[:, i] * up[:, j] for i, j, v in pairs)).tocsr()
    for k in range(d):
        H = H + sp.csr_array((np.ones(2**d), (states, states ^ (1 << k))), shape=(2**d, 2**d))
    Y = expm_multiply(-1j * t * H, np.eye(1, 2**d)[0].astype(complex))
    return float((abs(Y) ** 2) @ (2 * up.sum(axis=1) - d)) / d


def judged(of, t):
    return replace(of, exact={t: exact(of.d, tuple(of.pairs), t)})


@pytest.fixture(autouse=True)
def forget():
    libraries.seen.cache_clear()
    yield
    libraries.seen.cache_clear()


# -- Quenches --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", SMALL, ids=lambda of: of.name)
@pytest.mark.parametrize("method", [RankAdaptiveBUG(1e-10), ProjectorSplitting(tolerance=1e-10)], ids=lambda method: type(method).__name__)
@pytest.mark.parametrize("tree", ["chain", "balanced"])
def test_our_walks_lead_to_the_full_vector(of, method, tree):
    entry = Entry("it", method, tree, 0.02, 1e-10, allowed=2e-5)
    (row,) = race("ising", "race", judged(of, 0.2), [entry], 0.2, most=8, seconds=60.0, rounds=2)
    assert (row.status, row.iterations, row.runs, len(row.history)) == ("OK", 10, 2, 10)
    assert row.relative_residual < 2e-5 and row.solve_seconds == row.fastest_seconds <= row.slowest_seconds


def test_couplings_are_those_of_the_power_law():
    assert Quench("", 4).pairs == [(0, 1, 2.0), (0, 2, 1.0), (0, 3, 2 / 3), (1, 2, 2.0), (1, 3, 1.0), (2, 3, 2.0)]
    assert Quench("", 3, None).pairs == [(0, 1, 2.0), (1, 2, 2.0)]


@pytest.mark.parametrize("of", [LONG, NEAR], ids=lambda of: of.name)
def test_stored_magnetisations_are_met_by_an_integrator(of):
    entry = Entry("it", ProjectorSplitting(tolerance=1e-6), "chain", 0.1, 1e-6, allowed=2e-6)
    (row,) = race("ising", "race", of, [entry], 0.5, most=40, seconds=60.0, rounds=1)
    assert row.status == "OK", row.reason


@pytest.mark.slow
@pytest.mark.parametrize("t", LONG.exact)
def test_stored_magnetisations_are_those_of_the_full_vector(t):
    assert LONG.exact[t] == pytest.approx(exact(16, tuple(LONG.pairs), t), abs=1e-11)


# -- Peers -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("library", "method", "tree", "options", "allowed"),
    [
        ("tenpy", "tdvp2", "chain", {}, 1e-4), ("tenpy", "tebd", "chain", {"order": 4, "substeps": 2}, 1e-6),
        ("pytreenet", "bug", "balanced", {"mode": "fastest"}, 1e-4), ("pytreenet", "bug", "balanced", {"mode": "RK45", "rtol": 1e-8}, 1e-4),
        ("pytreenet", "tdvp2", "chain", {}, 1e-4),
    ],
)  # fmt: skip
def test_peers_that_are_there_lead_to_the_full_vector(library, method, tree, options, allowed):
    version, why = libraries.seen(library)
    if not version or (method == "bug" and "without BUG" in version):
        pytest.skip(why or version)
    of = Quench("eight", 8, None if method == "tebd" else 1.0)
    entry = Entry("it", method, tree, 0.02, 1e-10, library, allowed, options)
    (row,) = race("ising", "race", judged(of, 0.2), [entry], 0.2, most=16, seconds=60.0, rounds=1)
    assert (row.status, row.iterations) == ("OK", 10), row.reason
    assert row.relative_residual < allowed and row.solve_seconds > 0


def program(tmp_path, text):
    """A stand-in for the interpreter of the peers."""
    path = tmp_path / "python"
    path.write_text(f"#!{sys.executable}\nimport json, os, sys\ntask = json.load(sys.stdin)\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_a_peer_is_asked_in_a_process_with_one_thread(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv(libraries.CHECKOUT, "checkout")
    monkeypatch.setenv(libraries.INTERPRETER, program(tmp_path, "print(json.dumps({'task': task, 'words': sys.argv[1:], 'of': dict(os.environ)}))"))
    said = libraries.ask("pytreenet", {"d": 4})
    assert said["task"] == {"d": 4} and said["words"] == ["-m", "peers", "pytreenet"]
    first, folder = said["of"]["PYTHONPATH"].split(os.pathsep)
    assert first == "checkout" and os.path.exists(os.path.join(folder, "peers", "of_pytreenet.py"))
    assert {said["of"][name] for name in libraries.THREADS} == {"1"}
    assert libraries.environment("tenpy")["PYTHONPATH"] == folder


def test_a_peer_that_is_absent_is_named_and_skipped(tmp_path, monkeypatch):
    monkeypatch.setenv(libraries.INTERPRETER, program(tmp_path, "import no_such_tenpy"))
    (row,) = race("ising", "race", SMALL[0], [spins.tenpy("tdvp2", 0.1, 1e-6)], 0.2, most=8, seconds=1.0, rounds=1)
    assert row.status == "SKIPPED" and row.solve_seconds is None
    assert "No module named 'no_such_tenpy'" in row.reason and libraries.INTERPRETER in row.reason
    monkeypatch.setenv(libraries.INTERPRETER, str(tmp_path / "nothing"))
    libraries.seen.cache_clear()
    assert libraries.seen("tenpy")[0] == "" and "nothing" in libraries.seen("tenpy")[1]


def test_rows_of_peers_that_fail_stop_or_err(tmp_path, monkeypatch):
    of = replace(SMALL[0], exact={0.2: 0.5})
    found = {"version": "9", "setup_cpu": 1.0, "setup_wall": 1.0, "bond": 3, "cpu": [0.5, 0.25], "wall": [1.0, 1.0], "ranks": [2, 3], "magnetisation": [[2, 0.5]]}
    entry = spins.tenpy("tdvp2", 0.1, 1e-6)

    def row(answer):
        text = f"print({json.dumps(answer)!r} if task else '{{\"version\": \"9\"}}')"
        monkeypatch.setenv(libraries.INTERPRETER, program(tmp_path, text))
        libraries.seen.cache_clear()
        return race("ising", "race", of, [entry], 0.2, most=8, seconds=1.0, rounds=1)[0]

    right = row(found)
    assert (right.status, right.solve_seconds, right.setup_seconds, right.relative_residual) == ("OK", 0.75, 1.0, 0.0)
    assert right.history == [[1, 2, 0.5, 1.0], [2, 3, 0.25, 1.0]] and right.reason == "rank 3, operator's bond 3"
    far = row({**found, "magnetisation": [[2, 0.6]]})
    assert far.status == "WRONG" and far.solve_seconds is None and "1.0e-01, more than 1e-05" in far.reason
    assert row({**found, "magnetisation": [[2, float("nan")]]}).status == "WRONG"
    short = row({**found, "cpu": [0.5], "magnetisation": []})
    assert short.status == "NOT CONVERGED" and "after 1 of 2 steps" in short.reason and short.solve_seconds is None
    assert row("spam").status == "FAILED"


def test_no_step_begins_after_the_limit_and_looks_are_not_timed(monkeypatch):
    clock = iter(np.arange(100.0))
    monkeypatch.setattr("petrov.benchmarks.ttn.peers.walk.time.process_time", lambda: next(clock))
    walk = Walk(lambda: None, lambda: next(clock), lambda: 7, 3)
    found = timed(lambda task: walk, {"steps": 50, "look": [1, 2], "seconds": 10.0})
    assert found["cpu"] == [1.0, 1.0, 1.0] and found["ranks"] == [7, 7, 7] and len(found["magnetisation"]) == 2


# -- Verdicts --------------------------------------------------------------------------------------------------------------


def row(problem, method, library, seconds, error=1e-8, status="OK", work="ising"):
    history = [[1, 2, seconds / 2, seconds], [2, 3, seconds / 2, seconds]]
    return Row(problem, "spins", "balanced", method, library, status, iterations=2, relative_residual=error, solve_seconds=seconds, setup_seconds=0.1, history=history, work=work)  # fmt: skip


def test_steps_are_held_against_the_faster_peer_that_is_right():
    ours = row(spins.STEPS, "petrov RankAdaptiveBUG", "petrov", 1.0)
    peers = [row(spins.STEPS, "PyTreeNet BUG, RK45", "pytreenet", 30.0), row(spins.STEPS, "PyTreeNet BUG, dense exponentials", "pytreenet", 16.0)]
    (met,) = verdicts([ours, *peers])
    assert met.met and met.found.startswith("1/16 (1 s / 16 s; last step 1/16; ranks 3 / 3; errors 1.0e-08 / 1.0e-08)")
    assert not verdicts([ours, peers[0], replace(peers[1], solve_seconds=14.9)])[0].met
    assert verdicts([ours, peers[0], replace(peers[1], solve_seconds=1.0, status="WRONG")])[0].met
    assert not verdicts([replace(ours, status="WRONG"), *peers])[0].met
    absent = [replace(peer, status="SKIPPED", solve_seconds=None) for peer in peers]
    assert verdicts([ours, *absent])[0].met is None and verdicts([ours])[0].met is None
    failed = [replace(peer, status="FAILED", solve_seconds=None) for peer in peers]
    assert verdicts([ours, *failed])[0].met is False


def test_times_are_those_of_the_fastest_right_row_within_the_error():
    rows = [
        row(spins.PRECISION, "petrov two sites, chain, 0.1", "petrov", 1.0, 3e-7), row(spins.PRECISION, "petrov two sites, chain, 0.05", "petrov", 3.0),
        row(spins.PRECISION, "petrov MidpointBUG, 0.05", "petrov", 5.0), row(spins.PRECISION, "TeNPy TDVP2, 0.1", "tenpy", 1.0, 3e-7),
        row(spins.PRECISION, "TeNPy TDVP2, 0.05", "tenpy", 3.1), row(spins.PRECISION, "TeNPy TDVP2, 0.02", "tenpy", 9.0),
    ]  # fmt: skip
    (met,) = verdicts(rows)
    assert met.met and "two sites, chain, 0.05: 3 s" in met.found and "TeNPy TDVP2, 0.05: 3.1 s" in met.found
    assert verdicts([*rows[:4], replace(rows[4], solve_seconds=2.9)])[0].met is False
    assert verdicts(rows[:4])[0].met is False, "a peer that is right nowhere is not measured against, and passes nothing"
    assert verdicts(rows[:3])[0].met is None
    skipped = replace(rows[4], status="SKIPPED", relative_residual=None)
    assert tally([*rows[:3], skipped]) == f"0 of 1 bars met; not measured: {LONG.name}: error 2e-07 at t = 1, of TeNPy TDVP2's time."
    chains = [replace(one, problem=spins.CHAINS, method=one.method.replace("TDVP2", "TEBD")) for one in rows]
    assert verdicts(chains) == [] and [one.share for one in duels(chains) if one.peer] == [pytest.approx(3.0 / 3.1)]


# -- The command -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    """The command's own contests on few spins, without peers."""
    monkeypatch.setattr(libraries, "seen", functools.cache(lambda library: ("", f"{library} is elsewhere")))
    few = {name: judged(of, t) for name, of, t in (("steps", Quench(LONG.name, 4), 0.1), ("one", Quench(LONG.name, 4), 1.0), ("near", Quench(NEAR.name, 4, None), 1.0))}
    table = [
        (spins.ISING, spins.STEPS, few["steps"], spins.steps(), 0.1, 8), (spins.ISING, spins.PRECISION, few["one"], spins.to_one(True), 1.0, 8),
        (spins.NEIGHBOURS, spins.CHAINS, few["near"], spins.chains(True), 1.0, 8), (spins.MANY, spins.MORE, Quench("few", 4), spins.many(Quench("few", 4)), 0.1, 8),
    ]  # fmt: skip
    monkeypatch.setattr(spins, "contests", lambda quick: [Contest(one[1], one[0], functools.partial(spins.rows, *one)) for one in table])
    monkeypatch.setitem(suite.TIMINGS, True, Timing(1, 1, 5.0))


def test_the_command_measures_prints_keeps_and_reports(small, tmp_path, capsys):
    path, html = tmp_path / "t.json", tmp_path / "t.html"
    assert suite.main(quick=True, only=["ising", "neighbours", "large"], json=path, html=html) == 0
    said, result = capsys.readouterr().out, load(path)
    assert result.finished and {row.status for row in result.rows if row.library == "petrov"} == {"OK"}
    assert {row.status for row in result.rows if row.library != "petrov"} == {"SKIPPED"}
    assert result.identity["settings"]["versions"] == ["TeNPy not found", "PyTreeNet not found"]
    for words in ("RankAdaptiveBUG", "tenpy is elsewhere", "not measured", "0 of 3 bars met"):
        assert words in said
    text = html.read_text(encoding="utf-8")
    plots = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert [ElementTree.fromstring(plot).tag.endswith("svg") for plot in plots] == [True, True]
    assert re.findall(r"""(?:\bsrc|href)\s*=\s*["']?(?!\#)[^"'\s>]+""", text) == []
    for words in ("Error against time", "The same algorithm on the same tree", "not measured", "Machine and versions", "quick form"):
        assert words in text


def test_what_has_no_peer_has_bars():
    def of(work, problem, method, status="OK", seconds=1.0, **more):
        return Row(problem, work, "x", method, "petrov", status, "said", relative_residual=1e-3, rtol=2e-2, solve_seconds=seconds, work=work, **more)

    plane = [of("plane", "p", "a"), of("plane", "p", "b", "WRONG"), replace(of("plane", "p", "collocation"), library="numpy")]
    assert [one.met for one in verdicts(plane)] == [True, False]
    gib = 2.0**30
    line = [of("line", "l", "a", rows=10, memory=2.3 * gib), of("line", "l", "b", rows=10, memory=2.5 * gib), of("line", "l", "c", "WRONG", rows=10, memory=gib)]
    assert [one.met for one in verdicts(line)] == [True, False, False] and "24 GiB, mean off by 2e-02" in verdicts(line)[0].bar
    name = threads.CASES[0].name
    one, two, blas = (of("threads", name, method, seconds=seconds) for method, seconds in (("one", 1.6), ("two", 1.0), ("blas", 1.1)))
    assert [(v.found, v.met) for v in verdicts([one, two, blas])] == [("1.60", True), ("1.10", True)]
    assert [v.met for v in verdicts([replace(one, solve_seconds=1.4), two, replace(blas, solve_seconds=0.9)])] == [False, False]
    assert [v.met for v in verdicts([one, replace(two, status="WRONG"), blas])] == [False, False]


def test_sources_and_threads_run_as_contests(monkeypatch):
    small = plane_source.Case(cells=21, moments=6, nodes=4, end=0.2)
    monkeypatch.setattr(plane_source, "MEAN", 1.0)
    way, estimate = alone.plane_rows(small, [replace(plane_source.WAYS[1], variance=None)])
    assert way.status == "OK" and {way.problem, estimate.problem} == {alone.plane_name(small)}
    assert estimate.solve_seconds > 0 and "16 pairs, estimated" in estimate.method
    full = {contest.work: contest.name for contest in alone.contests(False)}
    assert full["plane"] == "plane source, 201 x 100 x 100^2" and full["line"] == "line source, 100^2 x 1024 x 100^2"
    assert {contest.work for contest in alone.contests(True)} == {"plane", "threads"}


def test_what_has_no_peer_and_many_spins_are_shown():
    line = Row("line source, small", "x", "transport", "petrov RankAdaptiveBUG, 0.001", "petrov", "OK", "ranks (4, 4, 2)", rows=10, rtol=0.02, memory=1.0, iterations=2, relative_residual=0.01, solve_seconds=2.5, history=[[0.1, 3.0], [0.2, 4.0]], work=line_source.WORK)
    many = replace(row(spins.MOST, "petrov RankAdaptiveBUG", "petrov", 5.0, work="large"), entries=18)
    stopped = replace(many, method="TeNPy TDVP2", library="tenpy", entries=65, status="NOT CONVERGED", reason="stopped after 3 of 10 steps", solve_seconds=None, setup_seconds=None, history=[])
    text = report.render(Document(identity({"quick": False, "versions": ["TeNPy 9"]}), (line, many, stopped), True))
    for words in ("What has no peer", "ranks (4, 4, 2)", "1.0e-02", "largest rank", "Many spins", ">18<", ">65<", "stopped after 3 of 10 steps"):
        assert words in text
    assert text.count("<svg") == 1 and "Error against time" not in text


def test_works_are_chosen_and_a_wrong_one_lists_them(small, tmp_path, capsys):
    assert suite.main(quick=True, only=["large"], json=tmp_path / "t.json") == 0
    assert {row.work for row in load(tmp_path / "t.json").rows} == {"large"}
    assert suite.main(quick=True, only=["spam"]) == 2
    assert f"there is no work spam; there is {', '.join(WORKS)}" in capsys.readouterr().err


def test_settings_are_data_and_every_code_has_a_colour():
    assert json.dumps(spins.steps()[2].task(LONG, 0.2, 40, 1.0))
    for quick in (True, False):
        names = {entry.name.rpartition(", ")[0] for make in (spins.to_one, spins.chains) for entry in make(quick)}
        assert names <= report.COLOURS.keys() and {entry.name for entry in spins.steps()} <= report.COLOURS.keys()
    assert isinstance(spins.steps()[1].method, ParallelBUG) and quench.PETROV == "petrov"
