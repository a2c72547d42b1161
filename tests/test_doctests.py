"""Every example in a docstring of the package, in the README and in the guides of docs/ gives what it says."""

from __future__ import annotations

import configparser
import doctest
import importlib
import re
import shlex
from pathlib import Path
from types import ModuleType

import architecture
import pytest

from petrov import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = sorted(architecture.modules(ROOT))
GUIDES = ("README.md", "docs/learned_preconditioners.md", "docs/reduced_models.md", "docs/tree_tensor_networks.md")  # with examples
OPTIONAL = {
    "cupy",
    "cupyx",
    "jinja2",
    "matplotlib",
    "dolfinx",
    "meshio",
    "mpi4py",
    "ngsolve",
    "petsc4py",
    "pyamg",
    "pymor",
    "pytreenet",
    "skfem",
    "sksparse",
    "tenpy",
    "torch",
    "torch_geometric",
}
VARYING = {  # what no two runs, or no two processors, share
    r" \(\+ \S+ s compiling, once\)": "",
    r"[\d.e+-]+ s\b": "_ s",  # 0.0123 s
    r"(\|\|b - A x\|\|/\|\|b\|\|) = [\d.e+-]+": r"\1 = _",
}


class Checker(doctest.OutputChecker):
    """Outputs compared without what varies in the line that a SolveResult prints."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        for pattern, constant in VARYING.items():
            want, got = re.sub(pattern, constant, want), re.sub(pattern, constant, got)
        return super().check_output(want, got, optionflags | doctest.ELLIPSIS)


class Missing(Exception):
    """An example needs an optional library that is not installed here."""


class Runner(doctest.DocTestRunner):
    def report_unexpected_exception(self, out, test, example, exc_info) -> None:
        if library := missing(exc_info[1]):
            raise Missing(library)
        super().report_unexpected_exception(out, test, example, exc_info)


def missing(error: BaseException | None) -> str:
    """The optional library whose absence an error, or what it came from, reports; else the empty string."""
    while error is not None:
        name = (getattr(error, "name", None) or "").partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and name in OPTIONAL:
            return name
        error = error.__cause__
    return ""


def run(tests: list[doctest.DocTest]) -> tuple[int, list[str]]:
    """(examples tried, what went wrong with each that failed); Missing if an optional library was."""
    tried, said = 0, []
    for test in tests:
        tried += Runner(Checker(), verbose=False).run(test, out=said.append).attempted
    return tried, said


def examples(module: ModuleType) -> list[doctest.DocTest]:
    return [test for test in doctest.DocTestFinder(exclude_empty=True).find(module) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    try:
        tests = examples(importlib.import_module(name))
        _, said = run(tests)
    except (ImportError, Missing) as error:
        library = str(error) if isinstance(error, Missing) else missing(error)
        if not library:
            raise
        pytest.skip(f"{library} is not installed")
    assert not said, "".join(said)


def test_a_wrong_example_is_found():
    module = ModuleType("wrong", ">>> 1 + 1\n3\n>>> print('in 0.5 s')\nin 0.7 s\n")
    tried, said = run(examples(module))
    assert tried == 2
    assert len(said) == 1 and "Expected:\n    3\nGot:\n    2" in said[0]


def test_a_missing_library_is_told_from_a_mistake():
    """Only the absence of an optional library is a skip, also where an error of ours stands before it."""
    absent = "raise ModuleNotFoundError('no cupy', name='cupy.sparse')"
    for body in (absent, f"try: {absent}\n... except ImportError as error: raise ImportError('pip install') from error"):
        with pytest.raises(Missing, match="cupy"):
            run(examples(ModuleType("absent", f">>> {body}\n")))
    tried, said = run(examples(ModuleType("mistaken", ">>> import petrov.no_such_module\n")))
    assert tried == len(said) == 1


# -- The README ------------------------------------------------------------------------------------------------------------


def commands(kind: str) -> list[list[str]]:
    """The README's commands of one kind (petrov, make, pip, python), as words, without their comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [line[1:] for line in lines if line[0] == kind]


@pytest.mark.parametrize("page", GUIDES)
def test_pages(page):
    test = doctest.DocTestParser().get_doctest((ROOT / page).read_text(encoding="utf-8"), {}, page, page, 0)
    tried, said = run([test])
    assert tried > 10
    assert not said, "".join(said)


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_pages_link_to_what_exists(page):
    """Files, and headings of pages: #what-it-is-worth is the heading "What it is worth"."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        name, _, heading = target.partition("#")
        path = ROOT / "docs" / (name or page)
        assert path.is_file(), target
        titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
        assert not heading or heading in slugs, target


@pytest.mark.parametrize("words", [words for words in commands("petrov") if words[0] != "bench"], ids=" ".join)
def test_readme_commands(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    assert cli.main(words) == cli.SOLVED
    assert capsys.readouterr().out


def test_readme_names_what_exists():
    for words in commands("petrov"):
        cli.parser().parse_args(words)  # SystemExit for what the command line does not know
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = [extra for words in commands("pip") for extra in re.findall(r"\[(\w+)\]", words[-1])]
    assert {*extras} <= set(config["options.extras_require"])
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {words[0] for words in commands("make")} == {"demo", "test"} <= {*targets}
    files = [words[0] for words in commands("python")] + re.findall(r"\]\(([^)#]+)\)", README)
    assert len(files) > 10
    assert [name for name in files if not (ROOT / name).is_file()] == []
