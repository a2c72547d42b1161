"""The contests without peers: sources of radiation, threads; and what the rows of them say to their bars."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..contests import Contest
from ..document import OK, Row, by_problem
from ..sequences.verdicts import Verdict
from . import line_source, plane_source, threads

WORKS = (plane_source.WORK, line_source.WORK, threads.WORK)
SAMPLE = 8  # pairs of parameters that stand for all in the time of a collocation
MEMORY = 24 * 2**30  # bytes in which the line source must run to its end
SMALL = plane_source.Case(cells=101, moments=40, nodes=30, end=1.0)


def contests(quick: bool) -> list[Contest]:
    """In full: published sizes. Quick: a smaller plane source with two ways, no line source, threads on two of the problems."""
    plane, line = SMALL if quick else plane_source.Case(), line_source.Case()
    ways = plane_source.WAYS[1:2] if quick else plane_source.WAYS
    return [
        Contest(plane_name(plane), plane_source.WORK, partial(plane_rows, plane, ways)),
        *threads.contests(threads.CASES[::2] if quick else threads.CASES),
        *([] if quick else [Contest(line.name, line_source.WORK, partial(line_source.measure, line))]),
    ]


def plane_name(case: plane_source.Case) -> str:
    return f"plane source, {case.cells} x {case.moments} x {case.nodes}^2"


def plane_rows(case: plane_source.Case, ways: Sequence[plane_source.Way], timing: Any = None) -> list[Row]:
    """Every way, and the time of a collocation at all pairs of nodes."""
    return [*plane_source.measure(case, timing, ways), collocation_row(case)]


def collocation_row(case: plane_source.Case) -> Row:
    """Estimated: the time of SAMPLE runs at once, times their part of all."""
    begun = time.perf_counter()
    plane_source.solved(case, 5 + 5 * np.linspace(-1, 1, SAMPLE))
    spent, pairs = time.perf_counter() - begun, case.nodes**2
    return Row(
        plane_name(case), plane_source.WORK, "transport", f"collocation of {pairs:,} pairs, estimated", "numpy", OK,
        f"from {spent:.2f} s for {SAMPLE} of them at once", rows=math.prod(case.tree.sizes), iterations=case.steps,
        setup_seconds=0.0, solve_seconds=spent * pairs / SAMPLE, runs=1, work=plane_source.WORK,
    )  # fmt: skip


# -- Verdicts --------------------------------------------------------------------------------------------------------------


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    return [*of_plane(rows), *of_line(rows), *of_threads(rows)]


def of_plane(rows: Iterable[Row]) -> list[Verdict]:
    """A row is right if it meets its bars."""
    mean, variance, rank = f"{plane_source.MEAN:.0e}", f"{plane_source.VARIANCE:.0e}", plane_source.RANK
    bar = f"mean {mean}, variance {variance} (not of ParallelBUG), rank {rank} at 1e-3"
    return [
        Verdict(row.work, f"plane source, {row.method}", off(row), bar, row.status == OK)
        for row in rows
        if row.work == plane_source.WORK and row.library == "petrov"
    ]


def off(row: Row) -> str:
    return f"mean off by {row.relative_residual:.1e}, {row.reason}"


def of_line(rows: Iterable[Row]) -> list[Verdict]:
    found = []
    for row in rows:
        if row.work == line_source.WORK:
            fits = row.memory is not None and row.memory * (row.rows or 0) <= MEMORY
            bar = f"to the end in {MEMORY // 2**30} GiB, mean off by {row.rtol:.0e} at most"
            found.append(Verdict(row.work, f"line source, {row.method}", off(row), bar, row.status == OK and fits))
    return found


def of_threads(rows: Iterable[Row]) -> list[Verdict]:
    """Two threads beside one, and beside serial steps with as many threads for BLAS."""
    bars = {case.name: case.bar for case in threads.CASES}
    found = []
    for problem, group in by_problem(row for row in rows if row.work == threads.WORK).items():
        one, two, blas = (row.solve_seconds or math.nan for row in group)
        right = all(row.status == OK for row in group)
        for what, share, bar in (("one thread", one / two, bars[problem]), ("a threaded BLAS", blas / two, threads.BLAS_BAR)):
            said = f"{share:.2f}" if right else "other bits"
            found.append(Verdict(threads.WORK, f"{problem}: {what} / two threads", said, f"{bar:g}", right and share >= bar))
    return found
