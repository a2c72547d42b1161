"""`petrov bench learned`: systems that no training saw, twins against dense formulas, liars, verdicts, the command."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from petrov.benchmarks.document import Row, load
from petrov.benchmarks.learned import contest, definite, standings, suite, systems, ways, works
from petrov.benchmarks.learned.contest import Timing, measure
from petrov.benchmarks.learned.samples import NONE, Sample, of, paired
from petrov.benchmarks.learned.systems import GRID_SHIFTS, KINDS, SEED, SHIFTS, Case, drawn, right_hand_side
from petrov.benchmarks.learned.tables import break_even_line, lines
from petrov.benchmarks.learned.twins import SSOR, ScaledNeumann, tuned
from petrov.benchmarks.learned.verdicts import WORKS, tally, verdicts
from petrov.benchmarks.learned.ways import Way, plain
from petrov.learned import FAMILIES, NeumannFactor
from petrov.learned.families import Member
from petrov.solvers import Jacobi

TIMING = Timing(3, 1, 10.0, 300)
CASE = drawn(works.FAMILY, FAMILIES["fv2d"], 64, 3, every=True)


# -- Systems and twins -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SHIFTS, *GRID_SHIFTS])
def test_what_no_family_draws_is_definite_and_seeded(name):
    make, size = (SHIFTS[name], 120) if name in SHIFTS else (GRID_SHIFTS[name], 9)
    system, again = make(size, 5), make(size, 5)
    A = system.A.toarray()
    assert np.array_equal(A, again.A.toarray()) and np.abs(A - A.T).max() <= 1e-14 * np.abs(A).max()
    d = np.sqrt(A.diagonal())
    assert np.linalg.eigvalsh(A / d / d[:, None])[0] > 0
    assert len(system.b) == len(system.coordinates) == len(A) and not np.array_equal(make(size, 6).A.data[:50], system.A.data[:50])


def test_shifts_are_what_they_are_called():
    assert not (SHIFTS["L-shape"](200, 1).coordinates > 0.55).all(axis=1).any()
    assert SHIFTS["three dimensions"](120, 1).coordinates.shape[1] == 3
    eigenvalues = np.linalg.eigvalsh(systems.turned(1e-3, 0.7))
    np.testing.assert_allclose(eigenvalues, [1e-3, 1.0])
    d = systems.noise(24, 1).A.diagonal()
    assert d.max() / d.min() > 1e3


def test_held_out_systems_have_seeds_of_their_own():
    assert SEED > 71_993 + 100_000, "training counts on from there"
    names = [works.FAMILY, works.GRID, works.MESH, works.GROWTH, works.SHIFT]
    full = works.contests(names, False)
    assert {one.work for one in full} == set(names) and len({one.name for one in works.contests(None, False)}) == len(works.contests(None, False))
    assert sum(case.count >= 20 for case, _ in works.families(False)) >= 6
    np.testing.assert_array_equal(CASE.make(2).A.data, FAMILIES["fv2d"].system(64, SEED + 2).A.data)


def test_right_hand_sides_differ():
    system = CASE.make(0)
    found = [right_hand_side(kind, system, 3) for kind in KINDS]
    unit = np.array([b / np.linalg.norm(b) for b in found])
    assert len(KINDS) >= 5 and np.isfinite(unit).all() and np.abs(unit @ unit.T - np.eye(len(KINDS))).max() < 0.9
    assert np.count_nonzero(found[KINDS.index("point")]) == 1


@pytest.mark.parametrize("omega", [1.0, 1.6])
def test_ssor_is_its_formula(omega):
    A = systems.finite_elements(60, 2, name="small").A
    full, r = A.toarray(), np.random.default_rng(4).standard_normal(A.shape[0])
    D, L = np.diag(full.diagonal()), np.tril(full, -1)
    dense = omega * (D / omega + L) @ np.linalg.inv(D / omega) @ (D / omega + L).T  # the factor does not matter to cg
    np.testing.assert_allclose(SSOR(omega)(A) @ r, np.linalg.solve(dense, r), rtol=1e-10)


def test_neumann_twin_contains_the_neumann_factor_and_tuning_takes_the_best():
    A, r = CASE.make(0).A, np.random.default_rng(4).standard_normal(64)
    np.testing.assert_allclose(ScaledNeumann(0.5)(A) @ r, NeumannFactor()(A) @ r, rtol=1e-12)
    members = [Member("fv2d", 400, 3)]
    found = tuned(SSOR, (0.3, 1.6, 1.99), members)
    assert found.number == 1.6 and found.recipe == SSOR(1.6) and found.seconds > 0


# -- Measuring -------------------------------------------------------------------------------------------------------------


class Broken:
    """M = 0: says that it is fine."""

    def __init__(self, A):
        self.shape, self.dtype, self.linear, self.spd = A.shape, np.dtype(float), True, True

    def __matmul__(self, r):
        return 0.0 * r


def explode(A):
    raise RuntimeError("boiler pressure")


def test_no_time_without_a_right_answer():
    chosen = [
        Way("fine", "petrov", plain(Jacobi())), Way("liar", "petrov", plain(Broken), direct=True), Way("zero", "petrov", plain(Broken)),
        Way("bomb", "petrov", plain(explode)), Way("absent", "petrov", plain(None), absent="no weights"),
        Way("elsewhere", "petrov", plain(Jacobi()), suits=lambda case, n: n > 64),
    ]  # fmt: skip
    rows = {row.method: row for row in measure(CASE, chosen, TIMING)}
    assert {name: row.status for name, row in rows.items()} == {
        "fine": "OK", "liar": "WRONG", "zero": "NOT CONVERGED", "bomb": "FAILED", "absent": "SKIPPED",
    }  # fmt: skip
    assert all(row.setup_seconds is None and row.solve_seconds is None for name, row in rows.items() if name != "fine")
    fine = rows["fine"]
    first = Sample(*fine.history[0])
    assert fine.runs == 3 and fine.solve_seconds > 0 and first.loose < first.iterations < first.tight and min(first) >= 0
    assert "boiler" in rows["bomb"].reason and rows["absent"].reason == "no weights" and "2 of 2" in rows["liar"].reason


def test_too_few_iterations_is_no_answer_and_orders_alternate():
    seen = []

    def noted(name):
        def recipe(A):
            seen.append(name)
            return Jacobi()(A)

        return Way(name, "petrov", plain(recipe))

    rows = measure(CASE, [noted("a"), noted("b")], TIMING)
    assert seen == ["a", "b", "a", "b", "b", "a", "a", "b"] and [row.status for row in rows] == ["OK", "OK"]
    (row,) = measure(CASE, [noted("a")], replace(TIMING, iterations=3))
    assert row.status == "NOT CONVERGED" and "MAX_ITERATIONS" in row.reason
    gone = Case(works.MESH, "gone", "gone", systems.real("no_such_matrix"), 1)
    assert [row.status for row in measure(gone, [noted("a")], TIMING)] == ["SKIPPED"]


def test_peers_in_other_processes_and_direct_solvers_take_part():
    from petrov.benchmarks.records import Outcome

    def outside(_, system, rtol, limits, history):
        return Outcome(np.linalg.solve(system.A.toarray(), system.b), claims=True, iterations=4, setup_seconds=0.0)

    table = {way.name: way for way in ways.baselines()}
    rows = measure(CASE, [Way("far", "petsc", plain(None), outside=outside), table["direct"], table["PyAMG SA"]], TIMING)
    assert [row.status for row in rows] == ["OK"] * 3 and [row.iterations for row in rows][:2] == [4, 1]
    assert of(rows[1], lambda one: one.tight) is None and rows[0].solve_seconds > 0


def test_every_form_of_what_was_learned_has_a_way():
    found = ways.learned_ways()
    for one in ways.LEARNED:
        assert {way.role for way in found if way.kin == one.name} == {ways.UNTRAINED, ways.SCALARS, ways.NETWORK}
    for choose in (ways.ways, works.algebraic):
        assert {way.name for way in found} <= {way.name for way in choose()}, "no network without its twins"
    recipe, absent = ways.loaded("no such weights")
    assert recipe is None and "no such weights" in absent and ways.fingerprint("no such weights") == {"digest": "", "seconds": None}


def test_definite_or_wrong(monkeypatch):
    good, bad = Way("good", "petrov", plain(Jacobi()), ways.NETWORK, "k"), Way("bad", "petrov", plain(lambda A: Flip(A)), ways.NETWORK, "k")
    system = CASE.make(0)
    assert definite.judged("m", good, system, TIMING).status == "OK"
    row = definite.judged("m", bad, system, TIMING)
    assert row.status == "WRONG" and "positive" in row.reason
    slightly = np.eye(5)
    slightly[0, 1] = 1e-6
    assert "symmetric" in definite.dense_defect(Held(slightly), "float64") and definite.dense_defect(Held(np.eye(5)), "float64") == ""
    assert "positive" in definite.dense_defect(Held(np.diag([1.0, 1.0, -1.0])), "float64")
    assert definite.dense_defect(Held(slightly), "float32") == ""


class Held:
    def __init__(self, full):
        self.full, self.shape, self.dtype, self.linear, self.spd = full, full.shape, np.dtype(float), True, True

    def __matmul__(self, r):
        return self.full @ r


class Flip(Held):
    def __init__(self, A):
        super().__init__(np.diag(np.r_[-1.0, np.ones(A.shape[0] - 1)]))


# -- What the rows say -----------------------------------------------------------------------------------------------------


def row(work, name, method, role, setup, solve, its, *, kin="", library="petrov", family="x", rows=1000, status="OK"):
    history = [[k, rows, setup * f, solve * f, NONE, its, NONE, *[NONE] * 4] for k, f in enumerate((1.0, 1.1, 0.9))] if status == "OK" else []
    return Row(
        f"{work}: {name}", family, "spd", method, library, status, "why" if status != "OK" else "", f"{role} of {kin}" if kin else role,
        rows=rows, iterations=its if status == "OK" else None, setup_seconds=setup, solve_seconds=solve, runs=3, work=work, history=history,
    )  # fmt: skip


def three(work, name, kin, network, scalars, untrained):
    """Forms of a learned preconditioner from (set-up, solve, iterations)."""
    forms = {"network": network, "scalars": scalars, "untrained": untrained}
    return [row(work, name, f"{kin} {role}", role, *numbers, kin=kin) for role, numbers in forms.items()]


def test_grids_are_held_against_the_best_geometric_cycle():
    rows = [
        row("grids", "g 512^2", "GeometricMultigrid, V", "baseline", 1.0, 3.0, 12), row("grids", "g 512^2", "GeometricMultigrid, W", "baseline", 1.0, 2.0, 10),
        row("grids", "g 512^2", "PyAMG SA", "baseline", 0.1, 0.1, 10, library="pyamg"),
        *three("grids", "g 512^2", "grid-multigrid-2d", (1.0, 1.7, 8), (0.5, 2.0, 10), (0.5, 4.0, 20)),
    ]  # fmt: skip
    one, ten = verdicts(rows)
    assert one.met and "0.90 of GeometricMultigrid, W" in one.found and not ten.met and "18" not in ten.found
    million = [replace(one, problem="grids: g 1024^2") for one in three("grids", "", "grid-multigrid-2d", (0.06, 0.1, 8), (0.031, 0.1, 10), (0.03, 0.1, 20))]
    assert verdicts(million)[-1].met and "29.0 ms" in verdicts(million)[-1].found
    assert verdicts([million[0], replace(million[1], history=[[*v[:2], 0.02, *v[3:]] for v in million[1].history])])[-1].met is False
    skipped = [*rows[:3], replace(rows[3], status="SKIPPED", history=[]), *rows[4:]]
    assert [v.met for v in verdicts(skipped)] == [None, None] and "not measured" in tally(skipped)
    lost = [*rows[:3], replace(rows[3], status="NOT CONVERGED", history=[]), *rows[4:]]
    assert [v.met for v in verdicts(lost)] == [False, False]


def test_meshes_shifts_growth_factors_and_matrices_have_their_bars():
    mesh = [
        row("meshes", "m", "PyAMG SA", "baseline", 1.0, 1.0, 10, library="pyamg"), row("meshes", "m", "direct", "baseline", 0.1, 0.1, 1),
        *three("meshes", "m", "graph-multigrid", (0.5, 0.4, 17), (0.4, 0.5, 20), (0.4, 0.9, 30)),
    ]  # fmt: skip
    assert [v.met for v in verdicts(mesh)] == [True, True]
    assert [v.met for v in verdicts([mesh[0], *three("meshes", "m", "graph-multigrid", (0.6, 0.5, 18), (0.4, 0.5, 20), (1, 1, 30))])] == [False, False]
    shift = [
        row("shift", "rotated anisotropy", "PyAMG SA", "baseline", 1.0, 1.0, 90, library="pyamg"),
        row("shift", "rotated anisotropy", "PyAMG SA, evolution", "baseline", 2.0, 0.4, 10, library="pyamg"),
        row("shift", "rotated anisotropy", "n", "network", 1.0, 1.0, 29, kin="graph-multigrid"),
        row("shift", "cellwise noise", "n", "network", 1.0, 1.0, 26, kin="grid-multigrid-2d"),
    ]  # fmt: skip
    assert [v.met for v in verdicts(shift)] == [True, True, False]
    growth = [row("growth", f"c {n}^2", "n", "network", 1.0, 1.0, its, kin="grid-multigrid-2d", family="c 2-D", rows=n * n) for n, its in ((64, 8), (128, 9), (256, 11))]
    assert [v.met for v in verdicts(growth)] == [True] and "128^2: 9" in verdicts(growth)[0].found
    assert [v.met for v in verdicts([*growth, replace(growth[0], iterations=12)])] == [False]
    factors = [
        row("families", "fem2d, 9", "IC(0)", "baseline", 1.0, 1.0, 50), row("families", "fem2d, 9", "n", "network", 1.0, 1.0, 49, kin="graph-factor-2d"),
        row("families", "fem2d, 9", "Jacobi", "baseline", 1.0, 1.0, 99), row("families", "fem2d, 9", "s", "network", 1.0, 1.0, 100, kin="sparse-inverse-2d"),
    ]  # fmt: skip
    assert [v.met for v in verdicts(factors)] == [True, False]
    directions = [row("directions", f"obstacles {n}^2", m, role, 1.0, 1.0, its) for n, *all_its in ((64, 100, 60, 60), (128, 200, 120, 80)) for m, role, its in zip(("cg", *ways.DIRECTIONS), ("baseline", "network", "network"), all_its, strict=True)]
    share, other, deep = verdicts(directions)
    assert share.met and "0.60 of cg; 64^2: 60, 128^2: 120" in share.found and other.met and not deep.met and "64^2: 60, 128^2: 80; 1.33" in deep.found
    assert verdicts([*directions[:5], replace(directions[5], iterations=78)])[2].met
    assert [v.met for v in verdicts([replace(one, status="SKIPPED") if one.chose == "network" else one for one in directions])] == [None] * 3
    matrices = [replace(row("definite", k, "n", "network", 1.0, 1.0, 9, kin="graph-multigrid"), warnings=["Jacobi is used instead"]) for k in "ab"]
    (said,) = verdicts(matrices)
    assert said.met and "2 of them by falling back" in said.found
    assert verdicts([matrices[0], replace(matrices[1], status="WRONG")])[0].met is False


def test_learning_is_judged_beside_scalars_and_training_by_what_it_saves():
    better = three("families", "f", "graph-multigrid", (1.0, 1.0, 8), (1.0, 2.0, 10), (1.0, 3.0, 20))
    slower = three("families", "g", "graph-multigrid", (50.0, 1.0, 8), (1.0, 2.0, 10), (1.0, 3.0, 20))
    more = three("families", "h", "graph-multigrid", (1.0, 1.0, 12), (1.0, 2.0, 10), (1.0, 3.0, 20))
    assert [one.word for one in standings.helps([*better, *slower, *more])] == ["helps", "fewer iterations, no time", "does not help"]
    brittle = three("families", "k", "graph-multigrid", (1.0, 4.0, 40), (1.0, 8.0, 80), (1.0, 3.0, 20))
    (one,) = standings.helps(brittle)
    assert one.word == "does not help" and one.twin == "graph-multigrid untrained", "to beat bad scalars is no help"
    assert paired(better[0], better[1], lambda one: one.iterations).median == 0.8
    rival = row("families", "f", "IC(0)", "baseline", 1.0, 3.0, 40)
    best = row("families", "f", "direct", "baseline", 3.5, 0.05, 1)
    (even,) = standings.break_evens([*better, rival, best], {"graph-multigrid": {"seconds": 100.0}})
    assert even.rival == "direct" and even.gain == pytest.approx(1.55) and even.one == pytest.approx(100 / 1.55) and even.ten is None
    assert break_even_line(even)["ten"] == "never" and break_even_line(even)["one"] == "65"
    (unknown,) = standings.break_evens([*better, rival], {})
    assert break_even_line(unknown)["training"] == "not told" and break_even_line(unknown)["one"] == "-"


def test_slopes_and_lines():
    rows = [row("growth", f"{n}", "Jacobi", "baseline", 1.0, 1.0, round(n**0.5), rows=n) for n in (10_000, 40_000, 160_000)]
    (slope,) = standings.slopes(rows)
    assert slope.slope == pytest.approx(0.5, abs=0.01)
    first, second, third = lines([rows[0], row("growth", "x", "SSOR", "scalars", 0.5, 0.5, 9, kin="graph-factor-2d"), replace(rows[1], status="FAILED", reason="why")])
    assert (first["method"], first["ratio"], second["ratio"], third["status"]) == ("SSOR", "0.50", "1.00", "FAILED: why")
    assert second["ten"] == "11 s" and second["hundred"] == "101 s" and second["quartiles"] == "1.9 s - 2.1 s"


# -- The command -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    """The command's own contests: two tiny families, one of them at three sizes, and one matrix."""
    few = {"Jacobi", "IC(0)", "direct", "SSOR, w = 1", "SSOR, w tuned", "graph-factor-2d"}

    def some():
        return [way for way in ways.ways() if way.name in few]

    monkeypatch.setattr(ways, "TUNED_ON", (Member("fem2d", 200, 3),))
    monkeypatch.setattr(ways, "OMEGAS", (1.0, 1.5))
    ways.twin.cache_clear()
    cases = [CASE, *(drawn(works.GROWTH, FAMILIES["fv2d"], n, 2) for n in (49, 100, 196))]
    table = [*(works.contest(case, some) for case in cases), *definite.contests()[:2]]
    monkeypatch.setattr(suite, "contests", lambda only, quick: [one for one in table if only is None or one.work in only])
    monkeypatch.setitem(suite.TIMINGS, True, TIMING)
    yield
    ways.twin.cache_clear()


def test_the_command_measures_prints_keeps_and_reports(small, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("PETROV_NUM_THREADS", raising=False)
    path, html = tmp_path / "l.json", tmp_path / "l.html"
    assert suite.main(quick=True, json=path, html=html) == 0
    said, result = capsys.readouterr().out, load(path)
    assert result.finished and {row.method for row in result.rows} >= {"Jacobi", "SSOR, w tuned", "graph-factor-2d"}
    assert result.identity["settings"]["weights"].keys() >= {one.name for one in ways.LEARNED} and result.identity["threads"]["numba"] == 1
    for words in ("best first", "slope of log iterations", "bars met", "small sizes"):
        assert words in said
    text = html.read_text(encoding="utf-8")
    plots = re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL)
    assert [ElementTree.fromstring(plot).tag.endswith("svg") for plot in plots] == [True, True]
    assert re.findall(r"""(?:\bsrc|href)\s*=\s*["']?(?!\#)[^"'\s>]+""", text) == []
    for words in ("Does learning help?", "Every problem", "As the mesh is refined", "Symmetric and positive", "quick form", "Machine and versions"):
        assert words in text


def test_works_are_chosen_and_a_wrong_one_lists_them(small, tmp_path, capsys):
    assert suite.main(quick=True, only=[definite.WORK], json=tmp_path / "l.json") == 0
    assert {row.work for row in load(tmp_path / "l.json").rows} == {definite.WORK}
    assert suite.main(quick=True, only=["spam"]) == 2
    assert f"there is no work spam; there is {', '.join(WORKS)}" in capsys.readouterr().err


def test_the_method_is_what_m_says_of_itself():
    assert contest.method_of(Jacobi()(np.eye(3))) is contest.cg
    assert contest.method_of(Held(np.eye(2))) is contest.cg
    unknown = Held(np.eye(2))
    unknown.spd = None
    assert contest.method_of(unknown) is contest.flexible_cg
