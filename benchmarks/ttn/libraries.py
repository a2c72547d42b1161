"""Where the peers are, and how they are asked: in processes of their own, with one BLAS thread each."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from .. import process

INTERPRETER = "PETROV_TTN_PEERS"  # a Python that has them; by default the one that runs
CHECKOUT = "PETROV_TTN_PYTREENET"  # a folder that holds a `pytreenet` to be used instead of the installed one
NAMES = {"tenpy": "TeNPy", "pytreenet": "PyTreeNet"}
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
START, BUSY = 45.0, 2.0  # wall time that a task may take: so long, and so many times its own limit of processor time


def ask(library: str, task: Mapping[str, Any]) -> dict[str, Any]:
    """What the program of a library says to a task: see peers/__main__.py. RuntimeError or TimeoutError where it does not."""
    interpreter = os.environ.get(INTERPRETER) or sys.executable
    command = [interpreter, "-m", "peers", library]
    limit = START + BUSY * float(task.get("seconds", 0.0))
    said = process.run(command, limit, environment(library), name=NAMES[library], told=json.dumps(task))
    return dict(json.loads(said))


def environment(library: str) -> dict[str, str]:
    """One thread, and the folder of `peers` on the path; for PyTreeNet the checkout before all."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    checkout = os.environ.get(CHECKOUT, "") if library == "pytreenet" else ""
    path = os.pathsep.join(filter(None, [checkout, str(Path(__file__).parent)]))
    return {**kept, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": path, "TENPY_OPTIMIZE": "3"}  # 3: without checks of arguments


@cache
def seen(library: str) -> tuple[str, str]:
    """(version, ""), or ("", why it takes no part)."""
    try:
        return str(ask(library, {})["version"]), ""
    except (RuntimeError, TimeoutError, OSError) as error:
        return "", f"{error}; docs/benchmarks.md says how {INTERPRETER} names a Python that has {NAMES[library]}"
