"""The shape of the code, as functions from a source tree to a list of violations.

test_architecture.py asserts that each list is empty here, and is not where a violation was planted.
"""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

FOLDERS = {  # import name -> folder
    "petrov": "src/petrov",
    "petrov.solvers": "solvers",
    "petrov.rom": "rom",
    "petrov.learned": "learned",
    "petrov.benchmarks": "benchmarks",
}
OURS = {"petrov", "solvers", "rom", "learned", "benchmarks", "examples", "tests"}

# Layers of solvers/: a module imports its own layer or lower ones. A new module is entered here, or it is refused.
LAYERS = {
    "arrays": 0,
    **dict.fromkeys(["storage", "kernels"], 1),
    "operator": 2,
    "device": 2,
    **dict.fromkeys(["result", "system"], 3),
    **dict.fromkeys(["stopping", "certify", "report"], 4),
    **dict.fromkeys(["krylov", "preconditioners", "direct", "external", "recycling"], 5),
    **dict.fromkeys(
        ["solve", "solver", "recognise", "choose", "eliminate", "nullspace", "transform", "matrix_files", "compiling", "refusals"], 6
    ),
    "sequences": 7,
    "dataset": 7,
    "external.skfem": 6,  # hands the front door to another library
    "__init__": 8,
}
LEAF = "problems"  # knows arrays alone, and nothing of solvers/ knows it

# Layers of the whole: what is not named here is the front door.
FRONT = 2
PARTS = {"solvers": 0, "rom": 1, "learned": 1, "benchmarks": FRONT}

# Imported inside the function that needs them: optional, or slow to load.
HEAVY = {"cupy", "matplotlib", "mpi4py", "numba", "petsc4py", "pyamg", "rich", "torch"}
LATE = HEAVY | {"array_api_compat", "cupyx", "fcntl", "jinja2", "meshio", "pymor", "safetensors", "scipy", "skfem", "sksparse"}
LATE |= {"markupsafe", "threadpoolctl", "torch_geometric"}
# Compiled code, which loads its compiler, is loaded when first needed.
COMPILED = [
    "aggregation", "block", "borrow", "compiler", "cpu", "csr", "dia", "facts", "grid", "grid_setup", "grid_sweeps", "grid_sweeps_tail", "grid_tail", "inverse", "lanes", "relaxation",
    "scaling", "sell", "single_lanes", "small_systems", "sparse_product", "substitution", "tall_skinny", "threads", "tile_product", "tile_sweeps", "tiles", "triangular",
]  # fmt: skip
LATE_MODULES = {f"petrov.solvers.kernels.{name}" for name in COMPILED} | {"petrov.learned.networks.message_passing"}  # torch
LATE_MODULES |= {"petrov.learned.networks.compiled", "petrov.learned.networks.convolution"}
LATE_MODULES |= {"petrov.learned.multigrid.compiled", "petrov.learned.multigrid.module"}
LATE_MODULES |= {"petrov.learned.grid_paths", "petrov.learned.grid_weights", "petrov.learned.networks.path_network"}
LATE_MODULES |= {"petrov.rom.ttn.compiled", "petrov.rom.ttn.compiled_factors"}


MOST_LINES = 400
LEFT_FOR_LATER = re.compile(r"\b(" + "|".join(["FIX" + "ME", "TO" + "DO", "DONT" + "SHIP"]) + r")\b")


@dataclass(frozen=True)
class Module:
    """One file of the package: the name it is imported by, and where it is."""

    name: str
    path: Path

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def part(self) -> str:
        """solvers, rom, learned, benchmarks, or the empty string for the front door."""
        name = [*self.name.split("."), ""][1]
        return name if name in PARTS else ""

    @property
    def layer(self) -> str:
        """The name in LAYERS of a module of solvers/."""
        own = ".".join(self.name.split(".")[2:])
        return own if own in LAYERS else [*self.name.split("."), "__init__"][2]

    @cached_property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def package(self, dots: int) -> list[str]:
        """The package that so many dots mean in this file."""
        parts = self.name.split(".")
        return parts[: len(parts) - dots + self.is_package]


@dataclass(frozen=True)
class Import:
    """One imported name, absolute and dotted, and how it was written."""

    source: Module
    target: str
    line: int
    relative: bool
    late: bool  # inside a function

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line} imports {self.target}"


def modules(root: Path) -> dict[str, Module]:
    """Every file of the package in a source tree, by import name."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            name = ".".join([package, *(part for part in parts if part != "__init__")])
            found[name] = Module(name, path)
    return found


def statements(node: ast.AST, late: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import statement below a node, and whether it stands inside a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, late
        else:
            yield from statements(child, late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def imports(known: dict[str, Module]) -> Iterator[Import]:
    """Every import of these modules; a relative one resolved to the module that it names."""
    for module in known.values():
        for node, late in statements(ast.parse(module.source, str(module.path))):
            dots = node.level if isinstance(node, ast.ImportFrom) else 0
            base = module.package(dots) if dots else []
            if isinstance(node, ast.ImportFrom) and node.module:
                base = [*base, *node.module.split(".")]
            for alias in node.names:
                full = ".".join([*base, alias.name])
                yield Import(module, full if not dots or full in known else ".".join(base), node.lineno, dots > 0, late)


def arrows(root: Path) -> list[str]:
    """Imports against the arrows: front door, benchmarks -> learned, rom -> solvers, and the layers of solvers/."""
    known = modules(root)
    solvers = [module for module in known.values() if module.part == "solvers"]
    found = [f"{m.name}: enter {m.layer} in LAYERS" for m in solvers if m.layer not in {*LAYERS, LEAF}]
    for line in imports(known):
        if line.relative and line.target not in known:
            found.append(f"{line}, which is no module")
        elif line.relative and not allowed(line.source, known[line.target]):
            found.append(f"{line}, against the arrows")
    return found


def allowed(source: Module, target: Module) -> bool:
    """Whether the arrows allow `source` to import `target`."""
    if source.part != "solvers" or target.part != "solvers":
        above, below = PARTS.get(source.part, FRONT), PARTS.get(target.part, FRONT)
        return below < above or source.part == target.part or below == above == FRONT
    if LEAF in (source.layer, target.layer):
        return source.layer == LEAF and target.layer in {LEAF, "arrays"}
    if not {source.layer, target.layer} <= LAYERS.keys():
        return True  # said once already
    return LAYERS[target.layer] <= LAYERS[source.layer]


def style(root: Path) -> list[str]:
    """Own modules imported by an absolute name; imports inside functions of what is neither optional nor slow."""
    found = []
    for line in imports(modules(root)):
        library = line.target.split(".")[0]
        if not line.relative and library in OURS:
            found.append(f"{line}: write it as a relative import")
        if line.late and library not in LATE and line.target not in LATE_MODULES:
            found.append(f"{line} inside a function: it is neither optional nor slow")
    return found


def cycles(root: Path) -> list[str]:
    """The first import cycle, by way of the packages that Python runs before a module too."""
    known = modules(root)
    graph: dict[str, set[str]] = {name: set() for name in known}
    for line in imports(known):
        parts = line.target.split(".")
        run = {".".join(parts[: i + 1]) for i in range(len(parts))} & known.keys()
        running = {name for name in run if f"{line.source.name}.".startswith(f"{name}.")}
        graph[line.source.name] |= run - running | ({line.target} & {line.source.name})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [" <- ".join(error.args[1])]
    return []


def package_list(root: Path) -> list[str]:
    """Differences between setup.cfg's packages and package_dir and the folders of the tree."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(root / "setup.cfg", encoding="utf-8")
    listed = config["options"]["packages"].split()
    mapped = dict(re.findall(r"(\S+)\s*=\s*(\S+)", config["options"]["package_dir"]))
    known = modules(root)
    packages = {name for name, module in known.items() if module.is_package}
    folders = packages | {name.rpartition(".")[0] for name, module in known.items() if not module.is_package}
    expected = {name: folder for name, folder in FOLDERS.items() if name in folders}
    return [
        *(f"setup.cfg lists {name}, which the tree lacks" for name in sorted({*listed} - folders)),
        *(f"setup.cfg does not list {name}" for name in sorted(folders - {*listed})),
        *(f"setup.cfg lists {name} twice" for name in sorted(folders) if listed.count(name) > 1),
        *(f"{name} has no __init__.py" for name in sorted(folders - packages)),
        *(f"package_dir is not {name} = {folder}" for name, folder in sorted(expected.items() ^ mapped.items())),
    ]


def sizes(root: Path) -> list[str]:
    """Files of the package with more lines than one algorithm needs."""
    lines = {name: len(module.source.splitlines()) for name, module in modules(root).items()}
    return [f"{name} has {n} lines, over {MOST_LINES}: it is two files" for name, n in lines.items() if n > MOST_LINES]


def unfinished(root: Path) -> list[str]:
    """Words that leave something for later and asserts that cannot fail, in the package, its tests and examples."""
    found = []
    for folder in [*FOLDERS.values(), "tests", "examples"]:
        for path in sorted((root / folder).rglob("*.py")):
            source, where = path.read_text(encoding="utf-8"), path.relative_to(root)
            for number, line in enumerate(source.splitlines(), 1):
                found += [f"{where}:{number} says {word}" for word in LEFT_FOR_LATER.findall(line)]
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Assert) and is_always_true(node.test):
                    found.append(f"{where}:{node.lineno} asserts a constant")
    return found


def is_always_true(test: ast.expr) -> bool:
    """Whether an asserted expression is true as written: `True`, `1`, `(x == 2, "message")`."""
    return (isinstance(test, ast.Constant) and bool(test.value)) or (isinstance(test, ast.Tuple) and bool(test.elts))


CHECKS = [arrows, style, cycles, package_list, sizes, unfinished]
