"""What the comparison with peers has to show: the works, their bars and targets, and what the rows of a run say to each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .document import OK, Row

PASSED, TARGET, MISSED, NO_PEER, NO_BAR = "bar met", "target met", "MISSED", "no peer", "no bar"


@dataclass(frozen=True, slots=True)
class Bar:
    """Time of ours / time of the best row of these libraries: at most `bar`, better `target`; None where none is set."""

    peer: str
    libraries: frozenset[str]
    bar: float | None = None
    target: float | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """A line of the table. `each`: what is timed is one iteration or product (solve_seconds), not set-up + solve.
    `spread`: the largest number of iterations of a family over its smallest is at most this."""

    key: str
    title: str
    bars: tuple[Bar, ...] = ()
    each: bool = False
    spread: float | None = None


def against(peer: str, library: str, bar: float | None = None, target: float | None = None) -> Bar:
    return Bar(peer, frozenset(library.split()), bar, target)


PYAMG, PETSC = "best of PyAMG SA, RS + cg", "best of hypre, GAMG + PETSc cg"
PETSC_CG = against("PETSc cg, 2 ranks", "petsc", 0.9, 0.5)

WORKS: dict[str, Work] = {
    work.key: work
    for work in (
        Work(
            "iteration", "one Jacobi-CG iteration, grid, entries exact in single precision",
            (against("scipy cg", "scipy", 1 / 3, 1 / 6), PETSC_CG), each=True,
        ),
        Work(
            "permuted", "one Jacobi-CG iteration, randomly permuted, entries that single precision does not hold",
            (against("best of scipy cg, pyamg cg", "scipy pyamg", 1 / 2, 1 / 3), PETSC_CG), each=True,
        ),
        Work(
            "structured-2d", "set-up + solve, two-dimensional grid",
            (against(PYAMG, "pyamg", 1 / 15, 1 / 40), against(PETSC, "petsc", 1 / 6, 1 / 15)),
        ),
        Work(
            "structured-3d", "set-up + solve, three-dimensional grid",
            (against(PYAMG, "pyamg", 1 / 12, 1 / 30), against(PETSC, "petsc", 1 / 6, 1 / 15)),
        ),
        Work(
            "unstructured", "set-up + solve, unstructured linear elements",
            (against(PYAMG, "pyamg", 1 / 2, 1 / 4), against(PETSC, "petsc", 1.0, 1 / 2)),
        ),
        Work(
            "aggregation", "set-up + solve, Poisson on grids by what needs no grid", (against(PETSC, "petsc", 1.0, 1 / 2),),
        ),
        Work("real", "set-up + solve, real matrices", (against(PYAMG, "pyamg", 1 / 2, 1 / 4),)),
        Work("update", "update + solve for a changed A", (against(f"{PYAMG}, set up anew", "pyamg", 1 / 4, 1 / 10),)),
        Work(
            "choice", "petrov.solve with its own choice, set-up + solve",
            (against("best of petrov's methods, asked for by name", "named", 1.5),),
        ),
        Work("sizes", "iterations from the smallest grid to the largest", spread=1.2),
        Work("elasticity", "iterations with rigid-body modes, from the smallest mesh to the largest", spread=1.5),
        Work("memory", "peak memory of a large solve"),
        Work("kernels", "one product, and the bandwidth of the machine", (against("scipy A @ x", "scipy"),), each=True),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One of our rows against one bar. `ratio` is ours / peer's, None where one of them has no right answer."""

    work: Work
    bar: Bar
    ours: Row
    peer: Row | None
    ratio: float | None
    verdict: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Spread:
    """The iterations of one of our methods on a family, by rows of A. `ratio`: the largest over the smallest."""

    work: Work
    family: str
    method: str
    iterations: tuple[tuple[int, int], ...]
    ratio: float | None
    verdict: str
    reason: str = ""


def cost(work: Work, row: Row) -> float | None:
    """The seconds that are compared."""
    return row.solve_seconds if work.each else row.total_seconds


def groups(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows by (work, problem), in the order of the run."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.work in WORKS:
            found.setdefault((row.work, row.problem), []).append(row)
    return found


def lines(rows: Iterable[Row]) -> list[Line]:
    """Every one of our rows against every bar of its work."""
    return [
        line(WORKS[key], bar, row, group)
        for (key, _), group in groups(rows).items()
        for bar in WORKS[key].bars
        for row in group
        if row.library == "petrov"
    ]


def line(work: Work, bar: Bar, ours: Row, group: list[Row]) -> Line:
    """Written so that what was not measured never passes."""
    peers = [row for row in group if row.library in bar.libraries]
    peer = min((row for row in peers if row.status == OK), key=lambda row: cost(work, row) or float("inf"), default=None)
    own, other = cost(work, ours), peer and cost(work, peer)
    if ours.status != OK or own is None:
        return Line(work, bar, ours, peer, None, NO_BAR if bar.bar is None else MISSED, f"{ours.status}: {ours.reason}")
    if peer is None or not other:
        why = "; ".join(sorted({f"{row.status}: {row.reason}" for row in peers})) or "not run"
        return Line(work, bar, ours, None, None, NO_BAR if bar.bar is None else NO_PEER, why)
    ratio = own / other
    return Line(work, bar, ours, peer, ratio, judged(ratio, bar.bar, bar.target))


def judged(ratio: float, bar: float | None, target: float | None) -> str:
    if bar is None:
        return NO_BAR
    return TARGET if target is not None and ratio <= target else PASSED if ratio <= bar else MISSED


def spreads(rows: Iterable[Row]) -> list[Spread]:
    """Our methods on the families of the works that bound the growth of iterations."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.library == "petrov" and row.work in WORKS and WORKS[row.work].spread is not None:
            found.setdefault((row.work, row.family, row.method), []).append(row)
    return [spread(WORKS[work], family, method, group) for (work, family, method), group in found.items()]


def spread(work: Work, family: str, method: str, group: list[Row]) -> Spread:
    """Missed as well where a size has no right answer."""
    counts = tuple((row.rows or 0, row.iterations or 0) for row in group if row.status == OK)
    wrong = [f"{row.problem} {row.status}: {row.reason}" for row in group if row.status != OK]
    steps = [count for _, count in counts]
    if wrong or not steps or not min(steps):
        return Spread(work, family, method, counts, None, MISSED, "; ".join(wrong) or "no iterations")
    ratio = max(steps) / min(steps)
    return Spread(work, family, method, counts, ratio, judged(ratio, work.spread, None))


def tally(rows: Iterable[Row]) -> str:
    """How many bars were met, one sentence."""
    rows = list(rows)
    verdicts = [item.verdict for item in lines(rows)] + [item.verdict for item in spreads(rows)]
    count = {name: verdicts.count(name) for name in (TARGET, PASSED, MISSED, NO_PEER)}
    judged_all = count[TARGET] + count[PASSED] + count[MISSED]
    absent = f"; {count[NO_PEER]} had no peer" if count[NO_PEER] else ""
    return f"{count[TARGET] + count[PASSED]} of {judged_all} bars met, {count[TARGET]} with their target{absent}."
