"""The HTML report: one file, no network, all plots, losses and wrong answers in it."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from petrov.benchmarks import document, figures, report
from petrov.benchmarks.document import FAILED, NOT_CONVERGED, OK, SKIPPED, WRONG, Document, Row

CURVE = [[0, 1.0], [5, 1e-4], [9, 1e-9]]


def row(problem, rows, method, library, status=OK, seconds=1.0, history=(), **more):
    seconds = seconds if status == OK else None
    return Row(problem, "laplace", "spd", method, library, status, rows=rows, entries=5 * rows, rtol=1e-8, iterations=9,
               setup_seconds=seconds, solve_seconds=seconds, runs=1, history=list(history), **more)  # fmt: skip


@pytest.fixture(scope="module")
def run():
    rows = []
    for n, speed in ((10, 1.0), (20, 3.0), (40, 1.0)):
        name = f"laplace {n}^2"
        rows += [
            row(name, n * n, "petrov.solve", "petrov", seconds=speed, history=CURVE, chose="cg + AMG"),
            row(name, n * n, "scipy splu", "scipy", seconds=2.0),
            row(name, n * n, "liar", "scipy", WRONG, reason="claims <success>", warnings=["UserWarning: a & b"]),
            row(name, n * n, "quitter", "pyamg", NOT_CONVERGED),
            row(name, n * n, "bomb", "pyamg", FAILED),
        ]
    rows.append(Row("absent", "files", "spd", "(all)", "", SKIPPED, "not shipped in wheels"))
    settings = {"suite": "poisson", "quick": True, "sizes": [], "rtol": 1e-8, "repeat": 3, "seconds": 5.0}
    return Document(document.identity(settings), tuple(rows), True)


@pytest.fixture(scope="module")
def html(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "deep" / "report.html"
    report.write(run, path)
    assert [item.name for item in path.parent.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


def test_it_needs_no_network(html):
    links = re.findall(r"""(?:\bsrc|href)\s*=\s*["']?([^"'\s>]+)""", html)
    assert links  # the plots refer to their own glyphs
    assert [link for link in links if not link.startswith("#")] == []
    assert re.findall(r"@import|<script|<link|url\((?!#)", html) == []


def test_it_holds_the_three_plots(html):
    plots = re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL)
    assert len(plots) == 3
    for plot in plots:
        ElementTree.fromstring(plot)


@pytest.mark.parametrize(
    "words",
    [
        "2.0x faster", "1.5x slower", "faster on 2, slower on 1", "claims &lt;success&gt;", "a &amp; b", "WRONG",
        "NOT CONVERGED", "FAILED", "not shipped in wheels", "peers:  wrong answers 3", "cg + AMG", "quick form", "numpy version",
        "petrov threads",
    ],
)  # fmt: skip
def test_it_says(words, html):
    assert words in html


def test_an_unfinished_run_says_so(run, html):
    assert "interrupted" not in html
    assert "This run was interrupted" in report.render(replace(run, finished=False))


def test_a_busy_machine_is_told(run):
    cores = run.identity["machine"]["cores"]
    assert "was busy" not in report.render(replace(run, load=0.1 * cores))
    assert "was busy before the run" in report.render(replace(run, load=0.9 * cores))


def test_a_report_without_any_right_answer_has_no_plots_and_no_error(run):
    wrong = tuple(item for item in run.rows if item.status != OK)
    assert "<svg" not in report.render(replace(run, rows=wrong))


def test_same_rows_same_figure(run):
    assert figures.histories(run.rows) == figures.histories(run.rows)


def test_every_method_of_the_suite_has_its_own_colour():
    from petrov.benchmarks.methods import METHODS
    from petrov.benchmarks.peers import PEERS

    names = {method.name for method in (*METHODS, *PEERS)}
    assert names == set(figures.STYLES)
    assert len({colour for colour, _ in figures.STYLES.values()}) == len(names)


def test_missing_libraries_name_the_extra(monkeypatch):
    monkeypatch.setattr(report, "NEEDS", ("jinja2", "a_library_nobody_has"))
    with pytest.raises(ImportError, match=r"a_library_nobody_has; pip install 'petrov\[bench\]'"):
        report.require_libraries()
