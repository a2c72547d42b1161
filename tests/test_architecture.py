"""One-way imports, light imports, the package list, small files, nothing left for later; each check seen to fire."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import architecture
import pytest
from architecture import arrows, cycles, package_list, sizes, style, unfinished

ROOT = Path(__file__).parents[1]

SOUND = {  # a small tree with nothing wrong
    "src/petrov/__init__.py": "from .solvers import solve",
    "solvers/__init__.py": "from .solve import solve",
    "solvers/arrays.py": "import numpy",
    "solvers/stopping.py": "from . import arrays",
    "solvers/solve.py": "from . import stopping\ndef solve():\n    import torch\n    from scipy.sparse import linalg",
    "solvers/krylov/__init__.py": "from .cg import cg",
    "solvers/krylov/cg.py": "from ..stopping import look\ndef cg():\n    assert look",
    "solvers/problems/__init__.py": "from ..arrays import norm",
    "rom/__init__.py": "from ..solvers.krylov import cg",
    "learned/__init__.py": "",
    "benchmarks/__init__.py": "from ..solvers import problems",
    "setup.cfg": """[options]
packages =
    petrov
    petrov.solvers
    petrov.solvers.krylov
    petrov.solvers.problems
    petrov.rom
    petrov.learned
    petrov.benchmarks
package_dir =
    petrov = src/petrov
    petrov.solvers = solvers
    petrov.rom = rom
    petrov.learned = learned
    petrov.benchmarks = benchmarks
""",
}


def setup_cfg(old: str, new: str) -> str:
    assert old in SOUND["setup.cfg"]
    return SOUND["setup.cfg"].replace(old, new)


PLANTED = [  # the check, the file of the sound tree that is replaced or added, its text, and what the check must say
    (arrows, "solvers/krylov/cg.py", "from ..solve import solve", "krylov.cg:1 imports petrov.solvers.solve, against"),
    (arrows, "solvers/krylov/cg.py", "from .. import cg", "krylov.cg:1 imports petrov.solvers, against"),
    (arrows, "solvers/external/other.py", "from ..solve import solve", "external.other:1 imports petrov.solvers.solve, against"),
    (arrows, "solvers/arrays.py", "def f():\n    from . import stopping", "imports petrov.solvers.stopping, against"),
    (arrows, "solvers/arrays.py", "from ..rom import pod", "imports petrov.rom, against"),
    (arrows, "solvers/arrays.py", "from .. import solve", "imports petrov, against"),
    (arrows, "solvers/solve.py", "from . import problems", "imports petrov.solvers.problems, against"),
    (arrows, "solvers/problems/__init__.py", "from .. import stopping", "imports petrov.solvers.stopping, against"),
    (arrows, "rom/__init__.py", "from .. import learned", "petrov.rom:1 imports petrov.learned, against"),
    (arrows, "learned/__init__.py", "from ..rom import pod", "petrov.learned:1 imports petrov.rom, against"),
    (arrows, "learned/__init__.py", "from ..benchmarks import run", "imports petrov.benchmarks, against"),
    (arrows, "solvers/utils.py", "", "enter utils in LAYERS"),
    (arrows, "solvers/solve.py", "from .choice import choose", "imports petrov.solvers.choice, which is no module"),
    (style, "solvers/solve.py", "import petrov.solvers.arrays", "write it as a relative import"),
    (style, "solvers/solve.py", "from solvers import arrays", "write it as a relative import"),
    (style, "benchmarks/__init__.py", "from examples import first", "write it as a relative import"),
    (style, "solvers/solve.py", "def f():\n    import json", "solve:2 imports json inside a function"),
    (style, "solvers/solve.py", "class C:\n    async def f(self):\n        from . import arrays", "inside a function"),
    (cycles, "solvers/arrays.py", "from . import stopping", "petrov.solvers.arrays"),
    (cycles, "solvers/stopping.py", "def f():\n    from .krylov import cg", "petrov.solvers.krylov"),
    (cycles, "solvers/stopping.py", "from .krylov.arnoldi import x", "petrov.solvers.krylov"),
    (cycles, "solvers/arrays.py", "from .arrays import norm", "petrov.solvers.arrays"),
    (package_list, "solvers/storage/__init__.py", "", "does not list petrov.solvers.storage"),
    (package_list, "solvers/storage/csr.py", "", "petrov.solvers.storage has no __init__.py"),
    (package_list, "setup.cfg", setup_cfg("petrov.rom\n", "petrov.rom.ttn\n"), "petrov.rom.ttn, which the tree lacks"),
    (package_list, "setup.cfg", setup_cfg("petrov.rom\n", "petrov.rom\n    petrov.rom\n"), "lists petrov.rom twice"),
    (package_list, "setup.cfg", setup_cfg("petrov.rom = rom", ""), "package_dir is not petrov.rom = rom"),
    (package_list, "setup.cfg", setup_cfg("= rom", "= reduced"), "package_dir is not petrov.rom = rom"),
    (sizes, "solvers/solve.py", "x = 1\n" * (architecture.MOST_LINES + 1), "petrov.solvers.solve has 401 lines"),
    (unfinished, "rom/__init__.py", "x = 1  # FIX" + "ME later", "rom/__init__.py:1 says FIX"),
    (unfinished, "examples/one.py", "\n# TO" + "DO: more", "examples/one.py:2 says TO"),
    (unfinished, "tests/test_it.py", "'''DONT" + "SHIP'''", "tests/test_it.py:1 says DONT"),
    (unfinished, "tests/test_it.py", "def test_it():\n    assert True", "tests/test_it.py:2 asserts a constant"),
    (unfinished, "tests/test_it.py", "x = 2\nassert (x == 3, 'never')", "tests/test_it.py:2 asserts a constant"),
]


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("check", architecture.CHECKS)
def test_tree(check):
    assert check(ROOT) == []


def test_the_tree_is_read():
    """No violation above is no news of a tree that was not found."""
    known = architecture.modules(ROOT)
    assert {"petrov", "petrov.solvers", "petrov.solvers.krylov.cg", "petrov.benchmarks"} <= known.keys()
    found = {(line.source.name, line.target) for line in architecture.imports(known)}
    assert ("petrov.solvers.krylov.cg", "petrov.solvers.stopping") in found
    assert ("petrov.solvers.kernels.verbs", "petrov.solvers.kernels.cpu") in found


@pytest.mark.parametrize("check", architecture.CHECKS)
def test_a_sound_tree_passes(check, tmp_path):
    assert check(plant(tmp_path, SOUND)) == []


@pytest.mark.parametrize(("check", "name", "text", "says"), PLANTED)
@pytest.mark.filterwarnings("ignore:assertion is always true:SyntaxWarning")
def test_a_planted_violation_is_found(check, name, text, says, tmp_path):
    found = check(plant(tmp_path, {**SOUND, name: text}))
    assert any(says in line for line in found), found


def python(statement: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A fresh process that runs a statement in a folder."""
    command = [sys.executable, "-c", statement]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def heavy_after(statement: str, folder: Path) -> list[str]:
    """The heavy libraries that a fresh process holds after a statement."""
    ran = python(f"{statement}\nimport sys\nprint(*sys.modules)", folder)
    assert ran.returncode == 0, ran.stderr
    return sorted(architecture.HEAVY & set(ran.stdout.split()))


@pytest.mark.parametrize("name", ["petrov", "petrov.solvers", "petrov.learned"])
def test_import_is_light(name, tmp_path):
    assert heavy_after(f"import {name}", tmp_path) == []


def test_a_heavy_import_is_found(tmp_path):
    assert heavy_after("import petrov.solvers, rich", tmp_path) == ["rich"]


def unguarded(root: Path) -> list[str]:
    """Folders that Python, started in the root, imports under a second name, or refuses without saying the first."""
    found = []
    for name, folder in architecture.FOLDERS.items():
        if "/" not in folder and (root / folder).exists():
            said = python(f"import {folder}", root).stderr.strip().rpartition("\n")[2]
            if not (said.startswith("ImportError") and name in said):
                found.append(f"import {folder} in the root does not end in an ImportError that names {name}")
    return found


def test_folders_are_guarded():
    assert unguarded(ROOT) == []


def test_a_missing_guard_is_found(tmp_path):
    guard = "if not __name__.startswith('petrov.'):\n    raise ImportError('this is petrov.solvers')\n"
    without = {"rom": "", "learned": "import nothing_there", "benchmarks": "raise ImportError('no')"}
    plant(tmp_path, {"solvers/__init__.py": guard, **{f"{name}/__init__.py": text for name, text in without.items()}})
    assert [line.split()[1] for line in unguarded(tmp_path)] == list(without)
