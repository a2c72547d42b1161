"""`petrov bench scaling`: runs of one rank, two and more in processes of their own, kept as JSON, and the page that they make."""

from __future__ import annotations

import json as json_text
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import document, machine, petsc, process, runner, table
from . import pages

FORMAT = "petrov scaling"
PATIENCE = 1800.0  # seconds for all of one number of ranks
MOST_RANKS = 8
STRONG = {False: ((1024, 1024), (100, 100, 100)), True: ((160, 160), (30, 30, 30))}
WEAK = {False: ((512, 1024), (50, 100, 100)), True: ((80, 160), (15, 30, 30))}  # on one rank; on p, p times as long
REPEAT = {False: 12, True: 2}


def main(quick: bool = False, json: str | Path | None = None, page: str | Path | None = None) -> int:
    """Measure, print the tables; keep what was measured in `json`, write tables and plot into `page` (docs/scaling.md).

    Needs PETSc. Returns 0, 2 where something is missing or a solve was wrong. Nothing is written before all is measured.
    """
    try:
        if reason := petsc.absent():
            raise FileNotFoundError(f"scaling is measured with PETSc: {reason}")
        found = measure(quick, machine.available_cores())
        console = table.console()
        console.print(pages.text(found), markup=False, highlight=False, soft_wrap=True)
        if json is not None:
            write(Path(json), json_text.dumps(found, indent=1) + "\n")
        if page is not None:
            pages.write(found, Path(page))
        return 0
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"petrov bench scaling: {error}", file=sys.stderr)
        return runner.BAD_INPUT


def measure(quick: bool, cores: int) -> dict[str, Any]:
    """The document: what it was measured on, and the runs on 1, 2, 4, ... ranks, at most one a core (two on one core)."""
    load = machine.load()
    ranks = [p for p in (1, 2, 4, 8) if p <= max(2, min(cores, MOST_RANKS))]
    identity = document.identity({"suite": "scaling", "quick": quick})
    runs = [run(p, cases(p, quick), REPEAT[quick]) for p in ranks]
    return {"format": FORMAT, "schema": document.SCHEMA, "identity": identity, "load": load, "runs": runs}


def cases(ranks: int, quick: bool) -> list[dict[str, Any]]:
    """The grids of strong and of weak scaling on so many ranks, each once."""
    shapes = [*STRONG[quick], *((ranks * first, *rest) for first, *rest in WEAK[quick])]
    return [{"shape": shape} for shape in dict.fromkeys(shapes)]


def run(ranks: int, wanted: Sequence[dict[str, Any]], repeat: int) -> dict[str, Any]:
    """program.py on so many ranks, one thread each."""
    task = json_text.dumps({"repeat": repeat, "cases": wanted})
    command = ["mpiexec", "-n", str(ranks), sys.executable, "-m", f"{__package__}.program", task]
    more = {"PETROV_NUM_THREADS": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
    said = process.run(command, PATIENCE, petsc.environment() | more, name=f"scaling on {ranks} ranks")
    return json_text.loads(said.splitlines()[-1])


def load(path: Path) -> dict[str, Any]:
    """What `--json` kept. ValueError if the file is something else."""
    found = json_text.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or (found.get("format"), found.get("schema")) != (FORMAT, document.SCHEMA):
        raise ValueError(f"{path} was not written by `petrov bench scaling` of this version")
    return found


def write(path: Path, text: str) -> None:
    """The old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
