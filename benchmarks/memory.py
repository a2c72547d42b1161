"""Peak memory of one large solve, in a process of its own: `python -m petrov.benchmarks.memory CELLS RECIPE`."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from .. import solvers
from ..solvers import problems
from . import data
from .document import FAILED, NOT_CONVERGED, OK, Row
from .measure import Settings, first_line
from .records import System, relative_residual

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RTOL = 1e-8
WARM_UP = 32  # cells of the system that loads the compiled kernels, which then count among what was held before


def measured(name: str, work: str, cells: int, recipe: str, settings: Settings) -> Row:
    """Poisson on cells^3 by cg with the named recipe in a child process: the row, `memory` its peak bytes per unknown."""
    row = Row(name, work, "spd", f"petrov cg + {recipe}", "petrov", FAILED, work=work, rows=cells**3, rtol=RTOL)
    command = [sys.executable, "-m", __name__, str(cells), recipe]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=settings.seconds + 300.0)
    except subprocess.TimeoutExpired:
        return replace(row, status=FAILED, reason=f"not done after {settings.seconds + 300.0:g} s")
    if run.returncode:
        said = run.stderr.strip().splitlines() or [f"ended with status {run.returncode}"]
        return replace(row, status=FAILED, reason=first_line(said[-1]))
    found = json.loads(run.stdout)
    right = found["relative_residual"] <= RTOL
    reason = f"{found['before']:.0f} of them for A, b and the libraries, before the solve; A: {found['form']}"
    return replace(
        row, status=OK if right else NOT_CONVERGED, reason=f"{found['peak']:.0f} bytes per unknown at the peak, {reason}",
        iterations=found["iterations"], relative_residual=found["relative_residual"], runs=1, memory=found["peak"],
        setup_seconds=found["setup_seconds"], solve_seconds=found["solve_seconds"], entries=found["entries"],
    )  # fmt: skip


def solve(cells: int, recipe: str) -> dict[str, Any]:
    """Assemble, forget the assembly's own peak, set up, solve, judge: bytes are of the whole process, per unknown."""
    timed(*system(min(cells, WARM_UP)), recipe)
    A, b = system(cells)
    before = forget_peak()
    form, result, setup, total = timed(A, b, recipe)
    used = peak()
    return {
        "iterations": int(result.iterations), "relative_residual": relative_residual(System(A, b), result.x),
        "form": repr(form), "entries": int(A.nnz), "before": before / len(b), "peak": used / len(b),
        "setup_seconds": setup, "solve_seconds": total - setup - result.compile_seconds,
    }  # fmt: skip


def system(cells: int) -> tuple[Any, np.ndarray]:
    A = data.canonical(problems.poisson(cells, 3).A)
    return A, np.random.default_rng(data.SEED).standard_normal(A.shape[0])


def timed(A: Any, b: np.ndarray, recipe: str) -> tuple[Any, Any, float, float]:
    """The compact form, the result, seconds until M was ready and until x was."""
    start = perf_counter()
    form = solvers.compact(A)
    M = getattr(solvers, recipe)()(form)
    ready = perf_counter()
    result = solvers.cg(form, b, M=M, rtol=RTOL)
    return form, result, ready - start, perf_counter() - start


def forget_peak() -> int:
    """Bytes held now. Where Linux lets a process forget its peak, what was used before this call no longer counts in it."""
    if not STATUS.exists():
        return peak()
    CLEAR.write_text("5", encoding="ascii")
    return field("VmRSS")


def peak() -> int:
    """The most bytes that this process held in memory."""
    if STATUS.exists():
        return field("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def field(name: str) -> int:
    line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(solve(int(sys.argv[1]), sys.argv[2])))
