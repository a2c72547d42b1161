"""`petrov doctor`: what this installation consists of, what of it works, and the extra that brings what is missing."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from time import perf_counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .. import __version__, solve
from ..solvers.problems import poisson
from . import machine, probes

CORE = "core"
DEVELOPMENT = "dev"  # an extra that adds nothing to what the package can do
CELLS = 160  # of the trial system along a side: more rows than the threaded kernels start at

# Back ends that can be installed and yet not work: what a process of their own (some abort) prints when they do.
PROBES = {
    **{
        library: f"from {probes.__name__} import {name}; print({name}())"
        for library, name in (("cupy-cuda13x", "cupy_found"), ("mpi4py", "mpi_found"), ("petsc4py", "petsc_found"))
    },
    "pyamg": "import pyamg; print('works')",
    "scikit-sparse": "import sksparse.cholmod; print('works')",
    "torch": "import torch; print(torch.get_num_threads(), 'threads,', torch.cuda.device_count(), 'CUDA device(s)')",
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One library that petrov can use: what setup.cfg asks for and what is here."""

    extra: str
    name: str
    least: str
    version: str  # '' where it is not installed
    found: str = ""  # what its probe printed
    broken: bool = False

    @property
    def old(self) -> bool:
        return bool(self.version) and release(self.version) < release(self.least)

    @property
    def works(self) -> bool:
        return bool(self.version) and not self.old and not self.broken


def main() -> int:
    """Print the table and solve a system. Returns 0 if petrov works, extras or not; 1 if a core library or the trial fails."""
    console = Console(highlight=False)
    parts = examine()
    trial, solved = try_solve()
    for name, value in facts().items():
        console.print(Text(f"{name + ':':<12}{value}"), soft_wrap=True)
    console.print(table(parts))
    console.print(Text(trial), style=None if solved else "bold red", soft_wrap=True)
    return 0 if solved and all(part.works for part in parts if part.extra == CORE) else 1


def examine() -> list[Part]:
    """Every library of setup.cfg, core first, the installed back ends probed side by side."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        parts = [Part(extra, name, least, machine.version(name)) for extra, name, least in requirements()]
        return list(pool.map(probe, parts))


def requirements() -> Iterator[tuple[str, str, str]]:
    """(extra or 'core', name, least version) from the installed package or, run straight from its tree, from setup.cfg."""
    try:
        lines = metadata.requires("petrov") or []
    except metadata.PackageNotFoundError:
        lines = from_tree(Path(__file__).resolve().parent.parent / "setup.cfg")
    for line in lines:
        name, least, extra = re.match(r"([\w.-]+)(?:>=([\w.]+))?(?:.*extra == ['\"](\w+))?", line).groups()  # type: ignore[union-attr]
        if extra != DEVELOPMENT:
            yield extra or CORE, name, least or "0"


def from_tree(path: Path) -> list[str]:
    """setup.cfg's requirements as installed metadata writes them."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(path, encoding="utf-8")
    extras = config["options.extras_require"]
    return config["options"]["install_requires"].split() + [
        f"{line}; extra == '{extra}'" for extra in extras for line in extras[extra].split()
    ]


def release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, which is what setup.cfg's bounds have.

    >>> from petrov.benchmarks.doctor import release
    >>> release("2.13.0+cpu"), release("24.2rc1")
    ((2, 13, 0), (24, 2))
    """
    numbers = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(number) for number in numbers[0].split(".")) if numbers else ()


def probe(part: Part) -> Part:
    """The part with what its probe said, if it is installed and has one."""
    if not part.version or part.name not in PROBES:
        return part
    command, plain = [sys.executable, "-c", PROBES[part.name]], dict(os.environ)  # without what MPI in this process has added
    try:
        run = subprocess.run(command, env=plain, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        return replace(part, found="its import did not end within two minutes", broken=True)
    said = (run.stdout if run.returncode == 0 else run.stderr).strip().splitlines()
    found = said[-1] if said else f"exit code {run.returncode}"
    return replace(part, found=found, broken=run.returncode != 0)


def try_solve() -> tuple[str, bool]:
    """Solve a Poisson system with the threaded kernels; what happened, and whether it is solved."""
    A, b = poisson(CELLS)[:2]
    began = perf_counter()
    result = solve(A, b, method="cg", M="jacobi", raise_on_failure=False)
    return f"trial ({perf_counter() - began:.2f} s in all): {result}", result.converged


def facts() -> dict[str, str]:
    """Machine and threads; after a solve, when numba knows its threading layer."""
    import numba

    computer, threads = machine.machine(), machine.threads()
    layer: str
    try:
        layer = numba.threading_layer()
    except ValueError:  # no parallel kernel has run: one thread
        layer = "none entered"
    return {
        "petrov": f"{__version__}, Python {computer['python']} ({sys.executable})",
        "machine": f"{computer['processor']}, {computer['cores']} cores, {computer['memory_gib']} GiB, {computer['system']}",
        "threads": f"{threads['numba']} in petrov's kernels (threading layer: {layer}), {', '.join(threads['blas'])}",
    }


def table(parts: list[Part]) -> Table:
    result = Table(title="libraries")
    for name in ("needed for", "library", "version", "state"):
        result.add_column(name, no_wrap=name != "state")
    for part in sorted(parts, key=lambda part: part.extra != CORE):
        cells = (part.extra, part.name, part.version or "-", state(part))
        result.add_row(*(Text(cell) for cell in cells), style=None if part.works else colour(part))
    return result


def state(part: Part) -> str:
    if part.works:
        return part.found or "installed"
    get = f'pip install "petrov{"" if part.extra == CORE else f"[{part.extra}]"}"'
    why = "missing" if not part.version else f"older than {part.least}" if part.old else f"broken: {part.found}"
    return f"{why}; {get}"


def colour(part: Part) -> str:
    return "bold red" if part.extra == CORE else "yellow" if part.version else "dim"
