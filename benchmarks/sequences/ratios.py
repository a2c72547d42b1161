"""SKR in its own measure: iterations of GMRES(40) over those of GCRO-DR(40, 20) with its space carried on, beside the paper's.

Wang et al., Accelerating Data Generation for Neural Operators via Krylov Subspace Recycling, ICLR 2024, Table 1. There both ran
in PETSc on 72 processes, so SOR sweeps within 72 blocks of rows, and ASM has 72 pieces with ILU(0) inside; so it is here. The two
sets with coefficients are built as the released scripts build them (sets.py): the paper's counts are those of that matrix. Its
GMRES(40) stopped at 10,000 iterations, solved or not: 9,775 are its mean on Darcy without preconditioner; ours stops there too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ...solvers import IncompleteCholesky, Jacobi, Status, gcrodr, gmres
from ...solvers.recycling import sorting
from ..document import NOT_CONVERGED, OK, WRONG, Row
from . import sets
from .sets import Family
from .sweeps import asm, ilu0, local_ssor

WORK = "ratios"
RESTART, RECYCLE = 40, 20
MOST = 10_000  # iterations a system, as in the paper's scripts
GMRES, SORTED, UNSORTED = "GMRES(40)", "SKR(40, 20), sorted", "SKR(40, 20), unsorted"
PRECONDITIONERS: dict[str, Any] = {
    "none": None, "Jacobi": Jacobi(), "SOR": local_ssor, "ASM": asm, "ICC": IncompleteCholesky(), "ILU": ilu0,
}  # fmt: skip
LEAST, CARRIED = 2, 16  # systems that are solved at least: by GMRES(40), and by SKR, whose space has to settle


class Published(NamedTuple):
    """A block of Table 1: the set in full and quick, and for each tolerance the ratios of iterations by preconditioner."""

    full: Callable[[int], Family]
    quick: Callable[[int], Family]
    ratios: dict[float, dict[str, float]]


def block(rows: dict[float, tuple[float, ...]]) -> dict[float, dict[str, float]]:
    return {rtol: dict(zip(PRECONDITIONERS, ratios, strict=True)) for rtol, ratios in rows.items()}


TABLE_1 = {
    "Darcy": Published(
        lambda count: sets.darcy(count, released=True), lambda count: sets.darcy(count, 32, released=True),
        block({1e-2: (19.2, 22.6, 23.3, 13.4, 9.55, 9.44), 1e-5: (21.1, 24.5, 27.9, 22.2, 14.9, 14.4),
               1e-8: (19.1, 22.9, 27.5, 25.8, 18.9, 17.2)}),
    ),
    "Thermal": Published(
        sets.thermal, lambda count: sets.thermal(count, 20),
        block({1e-5: (20.8, 15.0, 8.76, 10.3, 10.3, 10.3), 1e-8: (23.6, 13.5, 9.30, 11.1, 11.1, 11.1),
               1e-11: (24.9, 12.8, 10.2, 11.7, 11.7, 11.7)}),
    ),
    "Poisson": Published(
        sets.poisson, lambda count: sets.poisson(count, 20),
        block({1e-5: (4.69, 4.68, 4.05, 3.93, 3.92, 3.92), 1e-8: (6.29, 6.30, 4.45, 4.83, 4.83, 4.87),
               1e-11: (6.83, 6.82, 4.35, 5.11, 5.13, 5.13)}),
    ),
    "Helmholtz": Published(
        lambda count: sets.helmholtz(count, released=True), lambda count: sets.helmholtz(count, 32, released=True),
        block({1e-2: (17.3, 20.3, 22.3, 25.4, 21.4, 17.6), 1e-5: (16.5, 20.0, 26.2, 29.3, 28.3, 27.2),
               1e-7: (13.7, 18.1, 25.9, 30.0, 29.3, 28.0)}),
    ),
}  # fmt: skip


class Case(NamedTuple):
    """A cell of the table."""

    problem: str
    rtol: float
    preconditioner: str

    @property
    def name(self) -> str:
        return f"{self.problem} {self.rtol:.0e} {self.preconditioner}"

    @property
    def published(self) -> float:
        return TABLE_1[self.problem].ratios[self.rtol][self.preconditioner]

    @property
    def least(self) -> float:
        """The lower end of the paper's range for this set and tolerance, over the preconditioners that are run here."""
        return min(TABLE_1[self.problem].ratios[self.rtol][p] for p in preconditioners(self.problem))


def preconditioners(problem: str) -> list[str]:
    """ICC stands for a symmetric matrix; the other two sets have none."""
    return [p for p in PRECONDITIONERS if p != "ICC" or problem in ("Thermal", "Poisson")]


def cases(problem: str, quick: bool) -> list[Case]:
    """All of a set; quick: its tightest tolerance with Jacobi and ILU."""
    rtols = list(TABLE_1[problem].ratios)
    kinds = [p for p in preconditioners(problem) if not quick or p in ("Jacobi", "ILU")]
    return [Case(problem, rtol, p) for rtol in (rtols[-1:] if quick else rtols) for p in kinds]


class Comparison(NamedTuple):
    """The three rows of a case: mean iterations a system."""

    case: Case
    gmres: float
    sorted: float
    unsorted: float
    right: bool

    @property
    def ratio(self) -> float:
        return self.gmres / self.sorted

    @property
    def within(self) -> bool:
        """Every answer of SKR was right, and the ratio is not below the paper's range. GMRES(40) may have stopped at MOST."""
        return self.right and self.ratio >= self.case.least


def measure(family: Family, case: Case, seconds: float) -> list[Row]:
    """GMRES(40) on the systems one by one, SKR sorted, SKR as they come: each until `seconds` are over, a few at least."""
    recipe, rtol = PRECONDITIONERS[case.preconditioner], case.rtol
    first = family.systems[0][0]
    shared = all(A is first for A, _ in family.systems)
    M = recipe(first) if shared and recipe is not None else None

    def one(method: Callable[..., Any], k: int, **keywords: Any) -> tuple[Any, float]:
        A, b = family.systems[k]
        applied = M if shared or recipe is None else recipe(A)
        result = method(A, b, M=applied, restart=RESTART, rtol=rtol, **keywords)
        return result, float(np.linalg.norm(b - A @ result.x) / np.linalg.norm(b))

    def in_time(order: Iterable[int], least: int) -> Iterator[int]:
        end = time.perf_counter() + seconds
        return (k for count, k in enumerate(order) if count < least or time.perf_counter() < end)

    def alone() -> Iterator[tuple[Any, float]]:
        return (one(patient, k) for k in in_time(everything, LEAST))

    def carried(order: Iterable[int]) -> Iterator[tuple[Any, float]]:
        space = None
        for k in in_time(order, CARRIED):
            result, residual = one(gcrodr, k, recycle=RECYCLE, space=space, max_iterations=MOST)
            space = result.space
            yield result, residual

    row = Row(
        case.name, case.problem, "spd" if family.definite else "general", "", "petrov", OK, chose=case.preconditioner,
        rows=first.shape[0], entries=int(first.nnz), rtol=rtol, work=WORK,
    )  # fmt: skip
    everything = range(len(family.systems))
    runs = {GMRES: alone(), SORTED: carried(sorting.order(family.parameters, "greedy")), UNSORTED: carried(everything)}
    return [counted(row, method, list(found)) for method, found in runs.items()]


def patient(A: Any, b: np.ndarray, **keywords: Any) -> Any:
    """gmres that goes on after cycles without progress, as PETSc's does; at MOST iterations it is over."""
    result = gmres(A, b, max_iterations=MOST, **keywords)
    while result.status is Status.STAGNATED and result.iterations < MOST:
        more = gmres(A, b, x0=result.x, max_iterations=MOST - result.iterations, **keywords)
        result = replace(more, iterations=result.iterations + more.iterations)
    return result


def counted(row: Row, method: str, found: list[tuple[Any, float]]) -> Row:
    """The row of one method; the iterations of every system are its history."""
    worst, claimed = max(residual for _, residual in found), all(result.converged for result, _ in found)
    right = row.rtol is not None and worst <= row.rtol * (1 + 1e-3)
    stopped = sum(not result.converged for result, _ in found)
    return replace(
        row, method=method, status=OK if right else WRONG if claimed else NOT_CONVERGED, relative_residual=worst,
        iterations=round(float(np.mean([result.iterations for result, _ in found]))), runs=len(found),
        history=[[float(k), float(result.iterations)] for k, (result, _) in enumerate(found)],
        reason="" if right else f"{stopped} of {len(found)} systems were not solved, true relative residual {worst:.1e}",
    )  # fmt: skip


def comparisons(rows: Iterable[Row]) -> list[Comparison]:
    """What the rows of a run say, in their order."""
    groups: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.work == WORK:
            groups.setdefault(row.problem, {})[row.method] = row
    found = []
    for group in groups.values():
        if len(group) == 3:
            first = group[GMRES]
            assert first.rtol is not None
            mean = {method: float(np.mean([count for _, count in row.history])) for method, row in group.items()}
            right = all(row.status == OK for method, row in group.items() if method != GMRES)
            case = Case(first.family, first.rtol, first.chose)
            found.append(Comparison(case, mean[GMRES], mean[SORTED], mean[UNSORTED], right))
    return found
