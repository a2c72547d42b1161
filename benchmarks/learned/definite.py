"""Is M definite: every learned preconditioner on every symmetric positive definite matrix at hand, beside IC(0)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ...learned import probe
from ...learned.families import System
from ...solvers.preconditioners.multigrid import Hierarchy
from ..contests import Contest
from ..document import FAILED, OK, SKIPPED, WRONG, Row
from ..measure import first_line
from ..suites import MATRICES
from . import systems
from .contest import Timing, method_of
from .ways import Way, baselines, learned_ways

WORK = "definite"
DENSE = 400  # unknowns up to which M is looked at entry by entry
NEGATIVE = {"float64": 4e-12, "float32": 1e-5}  # of its diagonal: what rounding makes of a zero eigenvalue
GENERATED: dict[str, Callable[[], System]] = {
    **{name: partial(make, 350, 3) for name, make in systems.SHIFTS.items()},
    **{name: partial(make, 18, 3) for name, make in systems.GRID_SHIFTS.items()},
}


class Found(NamedTuple):
    """Of M = recipe(A): what is wrong with it, '' if nothing; pivots that IC(0) had to shift; iterations of white noise."""

    defect: str
    shifted: bool
    iterations: int


def contests() -> list[Contest]:
    names = [name for name, kind, _ in MATRICES if kind == "spd"]
    found: dict[str, Callable[[], System]] = {name: partial(systems.real(name), 0) for name in names}
    found |= GENERATED
    return [Contest(f"{WORK}: {name}", WORK, partial(measure, f"{WORK}: {name}", make)) for name, make in found.items()]


def measure(problem: str, make: Callable[[], System], timing: Timing) -> list[Row]:
    """A row for IC(0) and for every learned preconditioner: nothing is timed."""
    chosen = [way for way in baselines() if way.name == "IC(0)"]
    chosen += [way for way in learned_ways() if not way.name.startswith("grid")]
    try:
        system = make()
    except FileNotFoundError as error:
        return [Row(problem, WORK, "spd", "(all)", "", SKIPPED, str(error), work=WORK)]
    return [judged(problem, way, system, timing) for way in chosen]


def judged(problem: str, way: Way, system: System, timing: Timing) -> Row:
    base: dict[str, Any] = {
        "problem": problem, "family": "matrices", "kind": "spd", "method": way.name, "library": way.library, "work": WORK,
        "rows": system.A.shape[0], "entries": int(system.A.nnz), "chose": way.role if not way.kin else f"{way.role} of {way.kin}",
    }  # fmt: skip
    if way.absent:
        return Row(**base, status=SKIPPED, reason=way.absent)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = look(way, system, timing)
        except Exception as error:
            return Row(**base, status=FAILED, reason=f"{type(error).__name__}: {first_line(str(error))}")
    said = sorted({first_line(str(w.message)) for w in caught})
    if found.shifted:
        said.append("met a pivot that is not positive and was shifted")
    return Row(
        **base, status=WRONG if found.defect else OK, reason=found.defect, warnings=said, iterations=found.iterations,
    )  # fmt: skip


def look(way: Way, system: System, timing: Timing) -> Found:
    A = system.A
    M = way.recipe(system)(A)
    result = method_of(M)(A, system.b, M=M, rtol=1e-8, max_iterations=timing.iterations, time_limit=timing.seconds)
    precision = "float32" if isinstance(M, Hierarchy) else np.dtype(M.dtype).name  # multigrid computes in single inside
    found = probe.defect(M, dtype=precision) or dense_defect(M, precision)
    return Found(found, getattr(M, "attempts", 1) > 1, int(result.iterations))


def dense_defect(M: Any, precision: str) -> str:
    """What is wrong with M entry by entry, beside rounding in this precision; '' if nothing, or if it is large."""
    n = M.shape[0]
    if n > DENSE:
        return ""
    full = np.column_stack([M @ e for e in np.eye(n)])
    d = 1.0 / np.sqrt(np.abs(np.diag(full)))
    scaled = full * d * d[:, None]
    if not np.abs(scaled - scaled.T).max() <= probe.ROUNDING[precision] * np.abs(scaled).max():
        return f"M is not symmetric: {np.abs(scaled - scaled.T).max():.1e} of its diagonal"
    least = float(np.linalg.eigvalsh((scaled + scaled.T) / 2)[0])
    return "" if least > -NEGATIVE[precision] else f"M is not positive: its smallest eigenvalue is {least:.1e} of its diagonal"
