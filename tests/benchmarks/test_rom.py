"""`petrov bench rom`: the thermal block against its definition and pyMOR's, the verdicts, the command from end to end."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse.linalg as sla

from petrov.benchmarks.document import Row, load
from petrov.benchmarks.rom import data_driven, peer, stored, suite, thermal
from petrov.benchmarks.rom.thermal import ALONE, OURS, Case, Timing
from petrov.benchmarks.rom.verdicts import WORKS, tally, verdicts

pytest.importorskip("pymor", reason="pyMOR is the rival: pip install 'petrov[bench]'")

CASE, TIMING = Case((2, 2), 40, 6, 1e-8), Timing(8, 1, 40, 3)


@pytest.fixture(scope="module")
def prepared():
    return thermal.prepared(CASE, TIMING)


# -- pyMOR's side ----------------------------------------------------------------------------------------------------------


def test_the_matrices_are_those_that_pymor_solves_with(prepared):
    block, *_ = prepared
    mu = block.tests[0]
    A, f = thermal.assembling(block)(dict(zip(thermal.box(block), mu, strict=True)))
    with peer.plain():
        u = block.model.solve(block.model.parameters.parse({"diffusion": mu})).to_numpy().reshape(-1)
    np.testing.assert_allclose(sla.spsolve(A.tocsc(), f), u[block.inside], rtol=1e-10)
    assert abs(sum(block.terms) - block.X).max() < 1e-12
    assert len(f) == 7**2 + 8**2 and not np.delete(u, block.inside).any()


def test_the_training_set_is_the_one_behind_the_known_ladder(prepared):
    """The first draw of pyMOR's seed, from which our reference figures are."""
    np.testing.assert_allclose(prepared[0].train[0], [0.796560443700367, 0.4949905957768471, 0.8727381279202442, 0.7276312261534275])


def test_estimates_of_pymor_are_bounds_and_its_caches_come_back(prepared):
    from pymor.core import cache

    block, _, theirs = prepared
    estimates = peer.answer(theirs.model, peer.asked(theirs.model, block.tests[:5]))
    errors = thermal.true_errors(block, block.tests[:5], peer.solutions(theirs, block, block.tests[:5]))
    assert (errors <= estimates).all() and (estimates <= 10 * errors).all()
    assert theirs.bounds.shape == (6,) and not cache._caching_disabled


# -- Judgement -------------------------------------------------------------------------------------------------------------


def test_ours_agrees_and_a_lie_is_wrong(prepared):
    block, ours, theirs = prepared
    row, alone, rival = thermal.judged(CASE, block, ours, theirs)
    assert row.status == alone.status == rival.status == "OK" and row.relative_residual < 1e-10, row
    late = ours._replace(bounds=np.r_[ours.bounds[:3], ours.bounds[3:] * (1 + 1e-6)])
    assert thermal.judged(CASE, block, late, theirs)[0].status == "WRONG"
    assert thermal.judged(CASE, block, ours._replace(bounds=ours.bounds[:2]), theirs)[0].status == "WRONG"
    nothing = ours._replace(lift=lambda c: np.zeros((len(block.f), len(c))))
    wrong, *_ = thermal.judged(CASE, block, nothing, theirs)
    assert wrong.status == "WRONG" and "above its bound" in wrong.reason
    assert thermal.timed(wrong, thermal.Seconds([1.0], [1.0])).solve_seconds is None


def test_a_model_that_is_read_otherwise_than_it_was_written_is_wrong(tmp_path):
    row = Row("file", "thermal block", "spd", "fake", "petrov", "OK", rows=10)
    way = stored.Way(np.ones(3), lambda path: path.write_text("spam"), lambda path: np.zeros(3), lambda model: model)
    assert stored.kept(row, way, 1).status == "WRONG"
    kept = stored.kept(row, way._replace(read=lambda path: np.ones(3)), 1)
    assert kept.status == "OK" and kept.memory == 0.4 and kept.reason == "4 bytes" and kept.solve_seconds >= 0


def test_the_operator_is_worth_more_than_its_solutions(monkeypatch):
    case = Case((2, 2), 60, 14, 1e-8)
    rows = data_driven.measure(case, TIMING)
    ours, theirs = rows
    assert ours.status == theirs.status == "OK" and ours.relative_residual < 1e-3 < 0.05 < theirs.relative_residual < 1
    (verdict,) = verdicts(rows)
    assert verdict.met == (ours.relative_residual <= theirs.relative_residual / 100)
    assert not verdicts([replace(ours, relative_residual=theirs.relative_residual / 99), theirs])[0].met
    monkeypatch.setattr(data_driven, "projected", lambda block, size: (np.zeros((len(block.f), data_driven.TESTED)), np.zeros(data_driven.TESTED)))
    assert data_driven.measure(case, TIMING)[0].status == "WRONG"


def test_verdicts_need_right_answers_and_the_bars():
    def row(method, library, offline, online):
        return Row(
            "block", "thermal block", "spd", method, library, "OK", rows=9, rtol=1e-8, relative_residual=1e-11, work="thermal",
            setup_seconds=offline, solve_seconds=online,
        )  # fmt: skip

    ours, alone, theirs = row(OURS, "petrov", 1.0, 1.0), row(ALONE, "petrov", None, 9.0), row(peer.NAME, "pymor", 4.1, 15.1)
    assert [one.met for one in verdicts([ours, alone, theirs])] == [True, True, True]
    assert [one.met for one in verdicts([ours, alone, replace(theirs, setup_seconds=3.9, solve_seconds=14.9)])] == [True, False, False]
    wrong = replace(ours, status="WRONG", setup_seconds=None, solve_seconds=None)
    assert [one.met for one in verdicts([wrong, alone, theirs])] == [False, False, False]
    file = replace(ours, problem="file", work="file", method="kept")
    assert [one.met for one in verdicts([file])] == [True] and verdicts([replace(file, status="WRONG")])[0].met is False
    assert tally([ours, alone, replace(theirs, setup_seconds=3.9)]) == "2 of 3 bars met; missed: block: offline, of pyMOR's seconds."


# -- The command -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(suite.CASES, True, (CASE,))
    monkeypatch.setitem(suite.TIMINGS, True, TIMING)


def test_the_command_measures_prints_resumes_and_reports(small, tmp_path, capsys):
    path, html = tmp_path / "r.json", tmp_path / "r.html"
    assert suite.main(quick=True, json=path, html=html) == 0
    said, result = capsys.readouterr().out, load(path)
    assert result.finished and {row.work for row in result.rows} == set(WORKS) and len(result.rows) == 7
    for words in ("petrov.rom.ReducedModel", "pyMOR", "small sizes", "bars met", "one parameter a call"):
        assert words in said
    text = html.read_text(encoding="utf-8")
    (plot,) = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    ElementTree.fromstring(plot)
    assert re.findall(r"""(?:\bsrc|href)\s*=\s*["']?(?!\#)[^"'\s>]+""", text) == []
    for words in ("The thermal block, beside pyMOR", "A model in a file", "Machine and versions", "small sizes"):
        assert words in text


def test_works_are_chosen_and_a_wrong_one_lists_them(small, tmp_path, capsys):
    assert suite.main(quick=True, only=["file"], json=tmp_path / "r.json") == 0
    assert {row.work for row in load(tmp_path / "r.json").rows} == {"file"}
    assert suite.main(quick=True, only=["spam"]) == 2
    assert "there is no work spam; there is thermal, snapshots, file" in capsys.readouterr().err


def test_the_full_form_has_the_published_cases():
    names = [contest.name for contest in suite.contests(None, False)]
    assert names[1] == "thermal block 2x2, N = 20" and names[3] == "thermal block 3x3, N = 40" and suite.TIMINGS[False].n == 100
