"""Wheel, sdist, editable install and the bare tree: each is built from a clean copy and used from a clean directory."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import petrov

pytestmark = pytest.mark.packaging

ROOT = Path(__file__).parents[1]
FOLDERS = {"src/petrov": "petrov", **{name: f"petrov/{name}" for name in ["solvers", "rom", "learned", "benchmarks"]}}
CONFIG = configparser.ConfigParser(interpolation=None)
CONFIG.read(ROOT / "setup.cfg", encoding="utf-8")

# What a user's process does with the package, wherever it came from: import every listed package, solve, say where from.
USE = f"""
import importlib, numpy as np, petrov
for name in {CONFIG["options"]["packages"].split()!r}:
    importlib.import_module(name)
x = petrov.solve(np.array([[2.0, 1.0], [1.0, 2.0]]), np.array([4.0, 5.0])).x
assert np.allclose(x, [1.0, 2.0], atol=1e-6), x
print(petrov.__version__, petrov.__file__, petrov.solvers.__file__, sep="\\n")
"""
MATRIX = "%%MatrixMarket matrix coordinate real symmetric\n2 2 3\n1 1 2.0\n2 1 1.0\n2 2 2.0\n"


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """What a command prints; its error output where it fails. Kernels are not compiled: that is tested elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_", "COVERAGE_"))}
    environment = {**kept, "NUMBA_DISABLE_JIT": "1", **environment}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, f"{' '.join(map(str, command))}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The files that a commit of everything would hold, alone in a folder."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files belong to the project is not known")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=ROOT).split("\0")
    copy = tmp_path_factory.mktemp("tree")
    for name in listed:
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    return copy


@pytest.fixture(scope="module")
def archives(tree, tmp_path_factory) -> dict[str, Path]:
    """The sdist of the tree, and the wheel built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, tree, folder=folder)
    return {"sdist": next(folder.glob("*.tar.gz")), "wheel": next(folder.glob("*.whl"))}


@pytest.fixture(scope="module")
def dependencies(tmp_path_factory) -> Path:
    """What petrov depends on, as installed here, without petrov: a folder of links."""
    folder = tmp_path_factory.mktemp("dependencies")
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(site).iterdir():
            if "petrov" not in entry.name and entry.suffix != ".pth" and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture
def environment(dependencies, tmp_path) -> Path:
    """A new virtual environment that sees the dependencies and nothing else."""
    folder = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=tmp_path)
    paths = {"base": str(folder), "platbase": str(folder)}
    Path(sysconfig.get_path("purelib", "venv", paths), "dependencies.pth").write_text(str(dependencies))
    return folder


@pytest.fixture
def clean(tmp_path) -> Path:
    folder = tmp_path / "clean"
    folder.mkdir()
    return folder


def test_wheel_holds_the_package_and_nothing_else(tree, archives):
    """Every file of the package folders, templates and data too; the licence; no tests."""
    expected = {
        f"{target}/{path.relative_to(tree / folder)}"
        for folder, target in FOLDERS.items()
        for path in (tree / folder).rglob("*")
        if path.is_file()
    }
    with zipfile.ZipFile(archives["wheel"]) as wheel:
        names = set(wheel.namelist())
    about = f"petrov-{petrov.__version__}.dist-info"
    assert {name for name in names if not name.startswith(about)} == expected
    assert "petrov/py.typed" in names
    assert f"{about}/licenses/LICENSE" in names


def test_sdist_can_be_built_from(archives):
    with tarfile.open(archives["sdist"]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"setup.cfg", "pyproject.toml", "README.md", "LICENSE", "src/petrov/__init__.py"} <= names


def test_version_is_written_once():
    assert CONFIG["metadata"]["version"] == "attr: petrov.__version__"
    assert petrov.__version__ not in (ROOT / "pyproject.toml").read_text()
    assert f'__version__ = "{petrov.__version__}"' in (ROOT / "src/petrov/__init__.py").read_text()


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_install(kind, tree, archives, environment, clean):
    """Installed each way, the package imports, solves and has its command, outside the tree."""
    what = ["--editable", tree] if kind == "editable" else [archives[kind]]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", environment]
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", *what, folder=clean)

    version, front, solvers = run(environment / "bin/python", "-c", USE, folder=clean).split()
    assert version == petrov.__version__
    for file in (front, solvers):
        assert Path(file).is_relative_to(tree if kind == "editable" else environment), file

    (clean / "A.mtx").write_text(MATRIX)
    run(environment / "bin/petrov", "solve", "A.mtx", "--out", "x.npy", folder=clean)
    assert (clean / "x.npy").is_file()


def test_tree_without_installation(tree, dependencies, clean):
    """`PYTHONPATH=src` is enough: no installation, no site-packages."""
    path = os.pathsep.join([str(tree / "src"), str(dependencies)])
    version, front, solvers = run(sys.executable, "-S", "-c", USE, folder=clean, PYTHONPATH=path).split()
    assert version == petrov.__version__
    assert (Path(front), Path(solvers)) == (tree / "src/petrov/__init__.py", tree / "solvers/__init__.py")
