"""What the rows of `petrov bench learned` say to the bars."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from .. import stages
from ..document import OK, SKIPPED, Row, by_problem
from ..sequences.verdicts import Verdict
from ..table import ratio, seconds
from . import definite, works
from .samples import of, paired, said
from .standings import CLASSICAL, Standing, helps, iterations, role, standings, totals
from .ways import DIRECTIONS, NETWORK, SCALARS

WORKS = {
    works.FAMILY: "held-out systems of every family, five kinds of right-hand sides",
    works.GRID: "structured grids: learned multigrid beside our hand-tuned one",
    works.MESH: "unstructured meshes and the pressure of flows: learned multigrid beside PyAMG",
    works.GROWTH: "iterations and seconds as the mesh is refined",
    works.SHIFT: "what no family draws",
    works.DIRECTIONS: "deep conjugate directions beside cg, to 1e-4",
    definite.WORK: "symmetric and positive on every matrix at hand",
}
ONE_BAR, ONE_TARGET, TEN_BAR = 1.0, 0.8, 0.85  # of our geometric multigrid's seconds
INFERENCE = 30e-3  # s, at 1024^2
FEWEST, MOST = 7, 11  # iterations on grids, whatever the size
NOISE_BAR = 25
PYAMG_BAR, PYAMG_TARGET = 1 / 2, 1 / 4
SAVED = 0.85  # of the iterations of scalars alone
PER_DOUBLING = 1.3  # of cells a side
THIRD = 1 / 3  # of the iterations of PyAMG's default on rotated anisotropy
GEOMETRIC = "GeometricMultigrid"


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    parts = (of_grids, of_meshes, of_growth, of_shifts, of_factors, of_directions, of_definite)
    return [verdict for part in parts for verdict in part(rows)]


def compared(
    work: str, what: str, ours: Row | None, rival: Row | None, quantity: Any, bar: float, target: float | None = None
) -> Verdict:
    """The median of the paired ratios against a bar; not measured where there are no weights."""
    told = ratio(bar) + (f", target {ratio(target)}" if target else "")
    if ours is None or ours.status == SKIPPED:
        return Verdict(work, what, "no weights here", told, None)
    if ours.status != OK:
        return Verdict(work, what, f"{ours.status}: {ours.reason}", told, False)
    found = paired(ours, rival, quantity)
    if found is None or rival is None:
        return Verdict(work, what, "no rival was right", told, None)
    return Verdict(work, what, f"{said(found)} of {rival.method}", told, found.median <= bar)


def of_grids(rows: Sequence[Row]) -> list[Verdict]:
    found = []
    for one in standings(rows):
        if one.problem.startswith(works.GRID) and one.kin.startswith("grid"):
            found += [
                compared(
                    works.GRID, f"{one.problem}: set-up + {k} solves", one.network, one.best(k, name=GEOMETRIC), totals(k), bar,
                    target,
                )
                for k, bar, target in ((1, ONE_BAR, ONE_TARGET), (10, TEN_BAR, None))
            ]  # fmt: skip
        if one.problem.startswith(works.GRID) and one.kin == "grid-multigrid-2d" and one.problem.endswith("1024^2"):
            found.append(of_inference(one))
    return found


def of_inference(one: Standing) -> Verdict:
    """What the network adds to the set-up of the same cycle without one."""
    parts = [of(row, lambda s: s.setup) for row in (one.network, one.scalars) if row is not None and row.status == OK]
    both = [part.median for part in parts if part is not None]
    more = both[0] - both[1] if len(both) == 2 else None
    told = "no weights here" if more is None else f"{1e3 * more:.1f} ms"
    what = f"{one.problem}: set-up of the network beyond that of its scalars"
    return Verdict(works.GRID, what, told, seconds(INFERENCE), None if more is None else more <= INFERENCE)


def of_meshes(rows: Sequence[Row]) -> list[Verdict]:
    found = []
    for one in standings(rows):
        if one.problem.startswith(works.MESH) and one.kin == "graph-multigrid":
            what = f"{one.problem}: set-up + solve"
            found.append(compared(works.MESH, what, one.network, one.best(library="pyamg"), totals(1), PYAMG_BAR, PYAMG_TARGET))
            what = f"{one.problem}: iterations, of scalars alone"
            found.append(compared(works.MESH, what, one.network, one.scalars, iterations, SAVED))
    return found


def of_growth(rows: Sequence[Row]) -> list[Verdict]:
    """Iterations of grid multigrid at all sizes of a coefficient."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.work == works.GROWTH and role(row) == (NETWORK, "grid-multigrid-2d") and row.family.endswith("2-D"):
            groups.setdefault(row.family, []).append(row)
    bar = f"{FEWEST} to {MOST}"
    found = []
    for family, group in groups.items():
        counts = [row.iterations for row in group if row.status == OK and row.iterations is not None]
        told = ", ".join(f"{round((row.rows or 0) ** 0.5)}^2: {row.iterations}" for row in group if row.status == OK)
        absent = all(row.status == SKIPPED for row in group)
        met = None if absent else len(counts) == len(group) and max(counts) <= MOST
        found.append(Verdict(works.GROWTH, f"{family}: iterations", told or "no weights here", bar, met))
    return found


def of_shifts(rows: Sequence[Row]) -> list[Verdict]:
    found = []
    for one in standings(rows):
        name = one.problem.partition(": ")[2]
        of_name = {row.method: row for row in one.baselines}
        if not one.problem.startswith(works.SHIFT):
            continue
        if name.startswith("cellwise") and one.kin == "grid-multigrid-2d":
            found.append(bounded(works.SHIFT, f"{name}: iterations", one.network, NOISE_BAR))
        if name.startswith("rotated") and one.kin == "graph-multigrid":
            default, evolution = of_name.get("PyAMG SA"), of_name.get("PyAMG SA, evolution")
            found.append(compared(works.SHIFT, f"{name}: iterations", one.network, default, iterations, THIRD))
            found.append(compared(works.SHIFT, f"{name}: set-up + solve", one.network, evolution, totals(1), 1.0))
    return found


def bounded(work: str, what: str, row: Row | None, bar: int) -> Verdict:
    if row is None or row.status == SKIPPED:
        return Verdict(work, what, "no weights here", f"{bar}", None)
    met = row.status == OK and row.iterations is not None and row.iterations <= bar
    return Verdict(work, what, f"{row.iterations}" if row.status == OK else row.status, f"{bar}", met)


FACTORS = {"graph-factor-2d": "IC(0)", "sparse-inverse-2d": "Jacobi"}


def of_factors(rows: Sequence[Row]) -> list[Verdict]:
    """Networks of factors on the family that they were trained on."""
    found = []
    for one in standings(rows):
        if one.kin in FACTORS and one.problem.startswith(f"{works.FAMILY}: fem2d"):
            rival = next((row for row in one.baselines if row.method == FACTORS[one.kin]), None)
            what = f"{one.kin}: iterations, of {FACTORS[one.kin]}'s"
            found.append(compared(works.FAMILY, what, one.network, rival, iterations, 1.0))
    return found


def of_directions(rows: Sequence[Row]) -> list[Verdict]:
    """Iterations of cg's at the smallest size; of the deep network, how they grow when the cells a side double."""
    found = []
    groups = by_problem(row for row in rows if row.work == works.DIRECTIONS)
    for name in DIRECTIONS:
        pairs = [{row.method: row for row in group} for group in groups.values()]
        pairs = [of for of in pairs if name in of and "cg" in of]
        if not pairs:
            continue
        first = pairs[0]
        what = f"{name}: iterations, of cg's, {first['cg'].problem.partition(': ')[2]}"
        found.append(compared(works.DIRECTIONS, what, first[name], first["cg"], iterations, 1.0))
        counts = [(of["cg"].problem.rpartition(" ")[2], of[name].iterations) for of in pairs if of[name].status == OK]
        steps = [b / a for (_, a), (_, b) in pairwise(counts) if a and b]
        told = ", ".join(f"{size}: {count}" for size, count in counts)
        if name == DIRECTIONS[0]:  # its field of view does not grow: its counts do, and have no bar
            found[-1] = found[-1]._replace(found=f"{found[-1].found}; {told}" if told else found[-1].found)
            continue
        met = None if first[name].status == SKIPPED else bool(steps) and len(counts) == len(pairs) and max(steps) <= PER_DOUBLING
        told = f"{told}; {', '.join(f'{step:.2f}' for step in steps)}" if steps else told or "no weights here"
        found.append(Verdict(works.DIRECTIONS, f"{name}: iterations, growth a doubling", told, f"{PER_DOUBLING:.2f}", met))
    return found


def of_definite(rows: Sequence[Row]) -> list[Verdict]:
    """One line a learned preconditioner: on how many matrices it was definite; IC(0)'s shifts beside it."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row.work == definite.WORK and row.status != SKIPPED:
            groups.setdefault(row.method, []).append(row)
    shifted = sum(any("shifted" in text for text in row.warnings) for row in groups.get("IC(0)", []))
    found = []
    for method, group in groups.items():
        if role(group[0])[0] not in (SCALARS, NETWORK) or group[0].method.startswith(CLASSICAL):
            continue  # what is definite by its algebra
        fell = [row for row in group if any("instead" in text for text in row.warnings)]
        told = f"{sum(row.status == OK for row in group)} of {len(group)}"
        told += f", {len(fell)} of them by falling back" if fell else ""
        told += f"; IC(0) met a pivot that is not positive on {shifted}"
        found.append(Verdict(definite.WORK, f"{method}: definite on", told, "all", all(row.status == OK for row in group)))
    return found


def tally(rows: Sequence[Row]) -> str:
    """How many bars were met, and on how many problems the network helped, one sentence each."""
    helped = helps(rows)
    said = stages.tally(verdicts(rows))
    if helped:
        won = sum(one.word == "helps" for one in helped)
        said += f" Learning beat its twins in iterations and time on {won} of {len(helped)} pairs of problem and network."
    return said
