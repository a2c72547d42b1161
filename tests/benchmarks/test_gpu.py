"""`petrov bench gpu` from end to end on CuPy's double, whose times mean nothing, and what it says where there is no GPU."""

import re

import numpy as np
import pytest

from petrov.benchmarks.document import OK, load
from petrov.benchmarks.gpu import predictions, solves, suite, timing
from petrov.benchmarks.gpu.timing import Timing
from petrov.benchmarks.gpu.verdicts import WORKS, tally, verdicts
from petrov.solvers.kernels.cuda import launch


def test_without_a_gpu_it_says_what_brings_one(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    assert suite.main(quick=True) == 2
    assert 'CuPy is not installed: pip install "petrov[cuda]"' in capsys.readouterr().err


def test_the_suite_from_end_to_end(device, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(launch, "THREADS", 64)
    monkeypatch.setattr(timing, "device_name", lambda: "the double")
    monkeypatch.setattr(suite, "device_name", lambda: "the double")
    monkeypatch.setitem(suite.TIMINGS, True, Timing(1, 24, 13, 8, 60))
    kept, page = tmp_path / "gpu.json", tmp_path / "gpu.html"
    assert suite.main(quick=True, json=kept, html=page) == 0
    rows = load(kept).rows
    assert {row.work for row in rows} == set(WORKS) and all(row.status == OK for row in rows), [row for row in rows if row.status != OK]
    of = {row.method: row for row in rows if row.work == solves.ITERATION}
    assert of[solves.OURS].traffic == pytest.approx(16 + solves.VECTORS)  # four bands in single precision
    found = verdicts(rows)
    assert len(found) == 3 + 4 + 1 and re.fullmatch(r"\d+ of 8 bars met; missed: .*|8 of 8 bars met.", tally(rows))
    printed, text = capsys.readouterr().out, page.read_text(encoding="utf-8")
    assert "on the double" in printed and all(title in text for title in WORKS.values())


def test_rows_that_are_wrong_meet_no_bar():
    row = solves.row(solves.system(4, 2), solves.OURS, solve_seconds=1.0)
    other = solves.row(solves.system(4, 2), solves.THEIRS, "cupyx", solve_seconds=9.0)
    from dataclasses import replace

    pair = [replace(one, problem="cupyx: p", work=solves.AGAINST) for one in (row, other)]
    assert verdicts(pair)[0].met
    assert not verdicts([replace(pair[0], status="WRONG"), pair[1]])[0].met
    assert not verdicts([pair[0], replace(pair[1], solve_seconds=2.9)])[0].met


def test_the_plate_is_the_one_of_the_five_point_stencil():
    terms, b = predictions.plate(8)
    A = sum(terms).toarray()
    assert A.shape == (49, 49) and len(b) == 49
    np.testing.assert_array_equal(A, A.T)
    assert (A.diagonal() == 4).all() and sorted(np.unique(A)) == [-1, 0, 4]
