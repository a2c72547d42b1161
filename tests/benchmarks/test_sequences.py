"""`petrov bench sequences`: the sets and preconditioners against their definitions, the verdicts, the command from end to end."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from petrov import cli
from petrov.benchmarks.document import Row, load
from petrov.benchmarks.sequences import ratios, recycling, sets, suite, sweeps, times, ways
from petrov.benchmarks.sequences.ratios import GMRES, SORTED, UNSORTED, Case
from petrov.benchmarks.sequences.verdicts import tally, verdicts
from petrov.benchmarks.sequences.ways import OURS, RIVAL, OutOfTime, Way

# -- Sets: what the paper's scripts say ------------------------------------------------------------------------------------


def laplacian(n):
    T = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return np.kron(np.eye(n), T) + np.kron(T, np.eye(n))


@pytest.mark.parametrize("released", [False, True])
def test_darcy_is_a_laplacian_times_the_coefficient(released):
    family = sets.darcy(2, 8, released=released)
    for (A, b), field in zip(family.systems, family.parameters, strict=True):
        a = field[1:-1, 1:-1].ravel()
        off = np.abs(A.toarray() - laplacian(8) * a).max() / a.max()
        assert (off > 1e-3) == released  # the slice that is two cells off
        assert (b == 1 / 49).all() and (a > 0).all()


def test_helmholtz_takes_a_little_off_the_diagonal_of_darcy():
    helmholtz, darcy = sets.helmholtz(3, 10), sets.darcy(3, 10, seed=5_310)
    for (A, _), (B, _) in zip(helmholtz.systems, darcy.systems, strict=True):
        off = (B - A).toarray()
        shift = off[0, 0]
        assert 0 < shift < 1 / 81
        np.testing.assert_allclose(off, shift * np.eye(100), atol=1e-14)


@pytest.mark.parametrize(("make", "rank"), [(lambda: sets.thermal(6, 20), 2), (lambda: sets.poisson(30, 12), 20)])
def test_the_sets_of_one_matrix_have_right_hand_sides_of_low_rank(make, rank):
    family = make()
    A, _ = family.systems[0]
    assert all(B is A for B, _ in family.systems)
    assert abs(A - A.T).max() == 0 and np.linalg.eigvalsh(A.toarray())[0] > 0
    assert np.linalg.matrix_rank(np.stack([b for _, b in family.systems], axis=1), tol=1e-9) == rank


def test_poisson_solves_its_equation():
    """With coefficients of u = x, f is 0 and u is linear: quadratic elements have it exactly."""
    x = np.linspace(0, 1, 9)
    A, load, _ = sets.elements(x, x)
    u = load.points[0]
    inside = ~np.any([np.isclose(load.points[i], side) for i in (0, 1) for side in (0, 1)], axis=0)
    assert np.abs((A @ u)[inside]).max() < 1e-12


def test_waves_are_indefinite_and_heat_follows_itself():
    A = sets.waves(3, 12).systems[2][0].toarray()
    values = np.linalg.eigvalsh(A)
    assert values[0] < 0 < values[-1]
    heat, media = sets.heat(3, 10), sets.media(2, 8)
    assert len({id(A) for A, _ in heat.systems}) == 1
    x = np.linalg.solve(heat.systems[0][0].toarray(), heat.systems[0][1])
    assert 0 < np.linalg.norm(heat.systems[1][1] - x) < np.linalg.norm(x)  # the last solution, decayed, and a source
    assert media.grid and abs(media.systems[0][0] - media.systems[1][0]).max() > 0


# -- Preconditioners that stand for PETSc's --------------------------------------------------------------------------------


def random_matrix(n=30):
    A = sp.random_array((n, n), density=0.1, rng=np.random.default_rng(11)) + 4 * sp.eye_array(n)
    return sp.csr_array(A)


def test_ssor_and_ilu_are_their_formulas():
    A, r = random_matrix(), np.random.default_rng(3).standard_normal(30)
    D, L, U = np.diag(A.diagonal()), np.tril(A.toarray(), -1), np.triu(A.toarray(), 1)
    M = (D + L) @ np.linalg.inv(D) @ (D + U)
    np.testing.assert_allclose(sweeps.ssor(A) @ r, np.linalg.solve(M, r), rtol=1e-12)
    F = sweeps.ilu0(A)
    packed = sp.csr_array((F.values, F.indices, F.indptr), shape=A.shape).toarray()
    product = (np.tril(packed, -1) + np.eye(30)) @ np.triu(packed)
    kept = A.toarray() != 0
    np.testing.assert_allclose(product[kept], A.toarray()[kept], rtol=1e-12)  # exact on the pattern of A: its definition
    np.testing.assert_allclose(F @ r, np.linalg.solve(product, r), rtol=1e-9)


def test_what_is_shared_among_ranks_couples_only_within_them():
    A, r = random_matrix(), np.random.default_rng(4).standard_normal(30)
    owner = np.arange(30) * 3 // 30
    own = sp.csr_array(np.where(owner[:, None] == owner, A.toarray(), 0.0))
    np.testing.assert_allclose(sweeps.local_ssor(A, 3) @ r, sweeps.ssor(own) @ r, rtol=1e-12)
    np.testing.assert_allclose(sweeps.asm(A, 1) @ r, sweeps.ilu0(A) @ r, rtol=1e-12)
    z = sweeps.asm(A, 3) @ r
    rows = np.unique(A[:10].indices)
    piece = sweeps.ilu0(sp.csr_array(A[rows][:, rows]))
    np.testing.assert_allclose(z[:10], (piece @ r[rows])[np.isin(rows, np.arange(10))], rtol=1e-12)


# -- Counts and times ------------------------------------------------------------------------------------------------------


def test_gmres_is_counted_up_to_the_cap_of_the_paper(monkeypatch):
    monkeypatch.setattr(ratios, "MOST", 60)
    family = sets.darcy(2, 24, released=True)
    rows = {row.method: row for row in ratios.measure(family, Case("Darcy", 1e-8, "none"), 0.0)}
    assert rows[GMRES].status == "NOT CONVERGED" and [count for _, count in rows[GMRES].history] == [60, 60]
    assert "2 of 2 systems were not solved" in rows[GMRES].reason
    monkeypatch.setattr(ratios, "MOST", 200)
    cyclic = np.roll(np.eye(100), 1, axis=0)  # no progress before the hundredth step
    assert ratios.patient(cyclic, np.eye(100)[0], M=None, restart=40, rtol=1e-8).iterations == 200


def test_a_space_that_is_carried_saves_iterations():
    family = sets.thermal(5, 20)
    (one,) = ratios.comparisons(ratios.measure(family, Case("Thermal", 1e-8, "Jacobi"), 0.0))
    assert one.right and one.ratio > 4 and one.case.published == 13.5 and one.case.least == 9.30


@pytest.mark.parametrize("make", [sets.darcy, sets.media, sets.waves])
def test_ways_agree_on_the_answers(make):
    """The ways of a set of each kind; none of them may be timed that is wrong."""
    family = make(3, 12)
    entries = [times.Entry(way, family) for way in ways.ways(family)]
    assert sum(entry.way.role == OURS for entry in entries) == 1
    for entry in entries:
        if family.definite or not entry.way.name.startswith(("SciPy", "PyAMG")):  # which take thousands of steps on the others
            entry.judge([0, 1, 2])
            assert entry.row.status == "OK", entry.row


def test_a_way_that_lies_or_is_late_is_not_the_best(monkeypatch):
    family = sets.media(3, 12)

    def late(family, chosen, rtol):
        raise OutOfTime

    def lie(family, chosen, rtol):
        return [np.zeros_like(family.systems[k][1]) for k in chosen]

    def broken(family, chosen, rtol):
        raise ValueError("spam")

    fake = [Way(OURS, OURS, False, ways.in_sequence), Way("late", RIVAL, True, late), Way("liar", RIVAL, True, lie),
            Way("broken", RIVAL, True, broken), Way("SuperLU", RIVAL, True, ways.factorised)]  # fmt: skip
    monkeypatch.setattr(times, "ways", lambda family: fake)
    rows = times.measure(family, times.Timing(2, 2))
    status = {row.method: (row.status, row.solve_seconds) for row in rows}
    assert status["late"] == ("NOT CONVERGED", ways.LIMIT) and status["liar"] == ("NOT CONVERGED", None)
    assert status["broken"] == ("FAILED", None)
    (standing,) = times.standings(rows)
    assert standing.rival.method == "SuperLU" and standing.ratio == pytest.approx(status[OURS][1] / status["SuperLU"][1])


def test_verdicts_need_right_answers_and_the_bar():
    def row(work, problem, method, **parts):
        return Row(problem, "Thermal", "spd", method, "petrov", "OK", rows=9, rtol=1e-8, work=work, **parts)

    def count(method, *numbers):
        history = [[float(k), float(n)] for k, n in enumerate(numbers)]
        return row("ratios", "Thermal 1e-08 Jacobi", method, chose="Jacobi", history=history)

    def met(*rows):
        return [one.met for one in verdicts(rows)]

    ours = [count(SORTED, 10), count(UNSORTED, 12)]
    assert met(count(GMRES, 200, 100), *ours) == [True] and met(count(GMRES, 80), *ours) == [False]
    assert met(count(GMRES, 150), replace(ours[0], status="NOT CONVERGED"), ours[1]) == [False]
    name = times.name("Thermal")
    clock = [row("times", name, OURS, solve_seconds=1.0), row("times", name, "rival", solve_seconds=0.9),
             row("times", name, "SciPy gmres(40) + ICC", solve_seconds=14.0)]  # fmt: skip
    assert met(*clock) == [True, True]
    assert met(replace(clock[0], solve_seconds=1.2), *clock[1:]) == [False, False]
    assert met(replace(clock[0], status="WRONG"), *clock[1:]) == [False, False]
    bar = recycling.TABLE[0]
    pair = [row(bar.work, bar.problem, bar.ours, history=[[0.0, 4.0], [1.0, 9.0], [2.0, 5.0]]),
            row(bar.work, bar.problem, bar.plain, history=[[0.0, 10.0]] * 3)]  # fmt: skip
    assert met(*pair) == [False] and recycling.shares(pair)[0].share == 0.5
    assert "0 of 1 bars met; missed: cg + Jacobi, 20 directions" in tally(pair)


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(suite.EXTENTS, True, suite.Extent(3, 0.0, 4, 1, 1, 1, 16, 24, 1))
    monkeypatch.setattr(suite, "SETS", {name: suite.SETS[name] for name in ("Thermal", "log-normal media")})
    monkeypatch.setattr(suite, "TABLE_1", {name: suite.TABLE_1[name] for name in ("Thermal", "Helmholtz")})
    monkeypatch.setattr(times.sets, "media", lambda count, n=12: MEDIA(count, 12))
    suite.carried.cache_clear()
    yield
    suite.carried.cache_clear()


MEDIA = sets.media


def test_the_command_measures_prints_resumes_and_reports(small, tmp_path, capsys):
    command = ["bench", "sequences", "--quick", "--json", str(tmp_path / "s.json"), "--html", str(tmp_path / "s.html")]
    assert cli.main(command) == 0
    said, result = capsys.readouterr().out, load(tmp_path / "s.json")
    assert result.finished and {row.work for row in result.rows} == set(suite.WORKS)
    for words in ("SKR(40, 20), sorted", "petrov.Sequence", "block_cg", "Thermal 1e-11", "small sizes", "bars met"):
        assert words in said
    html = (tmp_path / "s.html").read_text(encoding="utf-8")
    plots = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(plots) == 2
    for plot in plots:
        ElementTree.fromstring(plot)
    assert re.findall(r"""(?:\bsrc|href)\s*=\s*["']?(?!\#)[^"'\s>]+""", html) == []
    for words in ("SKR in its own measure", "paper 12.8", "log-normal media", "Machine and versions", "small sizes"):
        assert words in html


def test_works_are_chosen_and_a_wrong_one_lists_them(small, tmp_path, capsys):
    assert cli.main(["bench", "sequences", "--quick", "--only", "blocks", "--json", str(tmp_path / "s.json")]) == 0
    assert {row.work for row in load(tmp_path / "s.json").rows} == {"blocks"}
    capsys.readouterr()
    assert cli.main(["bench", "sequences", "--only", "spam"]) == 2
    assert "there is no work spam; there is ratios, times" in capsys.readouterr().err
