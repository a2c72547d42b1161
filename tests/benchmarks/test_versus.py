"""`petrov bench peers` from the command line to the files, with contests of stand-ins."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from petrov import cli
from petrov.benchmarks import document, versus, versus_report
from petrov.benchmarks.contests import JACOBI, PYAMG, Contest, contest
from petrov.benchmarks.document import Document, Row, load
from petrov.benchmarks.iteration import PRODUCTS, race_of_iterations, race_of_products
from petrov.benchmarks.measure import model_system
from petrov.benchmarks.roofline import bandwidth


def table(methods, lie=False):
    """A contest of every kind: iteration, product, set-up + solve, sizes, memory, triad."""
    ours = replace(methods["lie" if lie else "direct"], name="petrov stand-in", library="petrov")
    memory = Row("memory: p", "memory", "spd", "m", "petrov", "OK", "77 bytes per unknown", work="memory", memory=77.0)
    return [
        contest("iteration", "laplace 40^2", lambda: model_system("spd", 40), JACOBI, race=race_of_iterations),
        contest("structured-2d", "laplace 12^2", lambda: model_system("spd", 12), (ours, *PYAMG)),
        contest("sizes", "laplace 6^2", lambda: model_system("spd", 6), (ours,), family="laplace"),
        contest("sizes", "laplace 12^2", lambda: model_system("spd", 12), (ours,), family="laplace"),
        Contest("memory: p", "memory", lambda settings: [memory]),
        Contest("triad", "kernels", lambda settings: [replace(bandwidth("kernels", 4096, threaded=False, repeat=1), problem="triad")]),
        contest("kernels", "laplace 60^2", lambda: model_system("spd", 60), PRODUCTS, race=race_of_products),
    ]  # fmt: skip


@pytest.fixture
def run(methods, monkeypatch, tmp_path):
    def run(*arguments, lie=False, contests=None):
        chosen = table(methods, lie) if contests is None else contests
        monkeypatch.setattr(versus, "contests", lambda only, quick: [c for c in chosen if not only or c.work in only])
        return cli.main(["bench", "peers", "--quick", "--json", str(tmp_path / "p.json"), *arguments])

    return run


def test_it_measures_prints_and_writes(run, tmp_path, capsys):
    assert run("--html", str(tmp_path / "p.html")) == 0
    said, result = capsys.readouterr().out, load(tmp_path / "p.json")
    assert result.finished
    assert {row.status for row in result.rows} == {"OK"}
    assert len(result.rows) == 2 + 3 + 2 + 1 + 1 + 2
    for words in (
        "scipy cg + Jacobi",
        "1/15",
        "petrov stand-in",
        "77 bytes per unknown",
        "small sizes",
        "bars met",
        "triad, 1 thread",
    ):
        assert words in said
    html = (tmp_path / "p.html").read_text(encoding="utf-8")
    (plot,) = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    ElementTree.fromstring(plot)
    assert re.findall(r"""(?:\bsrc|href)\s*=\s*["']?(?!\#)[^"'\s>]+""", html) == []
    for words in ("petrov stand-in", "1/15", "77 bytes per unknown", "Machine and versions", "of the triad"):
        assert words in html


def test_works_are_chosen_and_a_wrong_one_lists_them(run, tmp_path, capsys):
    assert run("--only", "sizes") == 0
    assert {row.work for row in load(tmp_path / "p.json").rows} == {"sizes"}
    assert cli.main(["bench", "peers", "--only", "spam", "sizes"]) == 2
    assert "there is no work spam; there is iteration, permuted" in capsys.readouterr().err


def test_a_lie_of_ours_fails_the_run_and_misses(run, capsys):
    assert run("--only", "structured-2d", lie=True) == 1
    said = capsys.readouterr().out
    assert "WRONG: claims success at 1e-08; true relative residual 1.0e+00" in said
    assert "0 of 2 bars met" in said
    assert "No GPU took part: CuPy" in said or "petrov bench gpu" in said


def test_a_kill_loses_one_contest_and_the_next_run_goes_on(run, methods, tmp_path, capsys):
    count, chosen = [], table(methods)

    def counted(one):
        def work(settings):
            count.append(one.name)
            if len(count) == 3:
                raise KeyboardInterrupt
            return one.run(settings)

        return one._replace(run=work)

    chosen = [counted(one) for one in chosen]
    assert run(contests=chosen) == 130
    before = load(tmp_path / "p.json")
    assert (len(before.rows), before.finished) == (5, False)
    assert "run the same command to go on" in capsys.readouterr().out
    assert run(contests=chosen) == 0
    after = load(tmp_path / "p.json")
    assert after.finished
    assert after.rows[:5] == before.rows
    assert count[3] == count[2]
    assert len(count) == len(chosen) + 1


def test_the_report_of_a_run_without_peers_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(versus_report.petsc, "absent", lambda: "petsc4py not found")
    settings = {"suite": "peers", "quick": False, "only": [], "rtol": 1e-8, "repeat": 3, "seconds": 5.0}
    lost = Row("real: spam", "real", "spd", "petrov cg", "petrov", "FAILED", "a <bad> day", work="real")
    html = versus_report.render(Document(document.identity(settings), (lost,), False))
    for words in ("PETSc took no part: petsc4py not found", "MISSED", "a &lt;bad&gt; day", "This run was interrupted"):
        assert words in html
