"""The bandwidth of the machine by a triad, and the figure that holds our kernels against it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import prange

from ..solvers.kernels.threads import CHUNK, part, threads, twins
from . import figures
from .document import OK, Row
from .iteration import mean_seconds

FAMILY = "triad"
BYTES = 24  # per element: b and c read, a written
SIZES = tuple(2**k * CHUNK for k in range(12))  # elements of one of three arrays: 192 KiB to 384 MiB together
QUICK = SIZES[:9:2]
LEAST_SECONDS = 0.03


@part
def triad_part(a, b, c, s):
    for i in range(len(a)):
        a[i] = b[i] + s * c[i]


@twins
def triad(rows, a, b, c, s, length):
    """a = b + s c by chunks of `length`; called for its bandwidth alone."""
    for chunk in prange((rows + length - 1) // length):
        low, high = chunk * length, min(chunk * length + length, rows)
        triad_part(a[low:high], b[low:high], c[low:high], s)


def bandwidth(work: str, rows: int, *, threaded: bool, repeat: int) -> Row:
    """The least time of one triad over three arrays of so many elements, checked against NumPy."""
    count = threads() if threaded else 1
    a, b, c = np.zeros(rows), np.random.default_rng(rows).random(rows), np.ones(rows)
    length = min(CHUNK, rows // (2 * count))
    kernel = getattr(triad, "threaded" if threaded else "serial")

    def call() -> None:
        kernel(rows, a, b, c, 0.5, length)

    call()
    if not np.array_equal(a, b + 0.5 * c):
        raise ArithmeticError("the triad is not b + 0.5 c: no bandwidth can be told from it")
    seconds = min(mean_seconds(call, LEAST_SECONDS) for _ in range(repeat))
    name = f"{FAMILY}: {BYTES * rows / 2**20:.3g} MiB"
    return Row(
        name, FAMILY, "spd", f"triad, {count} thread{'s' if count > 1 else ''}", "machine", OK, rows=rows, work=work,
        setup_seconds=0.0, solve_seconds=seconds, runs=repeat, traffic=float(BYTES),
        reason=f"{BYTES * rows / seconds / 1e9:.1f} GB/s",
    )  # fmt: skip


def speed(row: Row) -> float | None:
    """GB/s (10^9 bytes a second) of a row that counts its traffic."""
    if row.status != OK or not row.traffic or not row.rows or not row.solve_seconds:
        return None
    return row.traffic * row.rows / row.solve_seconds / 1e9


def share(row: Row, rows: Sequence[Row]) -> float | None:
    """The speed of a row over the triad's at the nearest working set, all threads; None where either was not measured."""
    roof = [other for other in rows if other.family == FAMILY and speed(other)]
    own = speed(row)
    if own is None or not roof:
        return None
    nearest = min(roof, key=lambda other: (abs(math.log(size(other) / size(row))), -(speed(other) or 0.0)))
    return own / (speed(nearest) or math.inf)


def size(row: Row) -> float:
    """Bytes of the working set: all that one pass moves."""
    return (row.traffic or 0.0) * (row.rows or 0)


def figure(rows: Sequence[Row]) -> str | None:
    """GB/s over the working set: the triad's curves, and a point for each of our kernels. None without a triad."""
    roof = [row for row in rows if row.family == FAMILY and speed(row)]
    points = [row for row in rows if row.library == "petrov" and row.family != FAMILY and speed(row)]
    if not roof:
        return None
    canvas, grid = figures.blank(10.5, 4.6)
    axes: Any = grid[0][0]
    handles: dict[str, Any] = {}
    for k, name in enumerate(dict.fromkeys(row.method for row in roof)):
        curve = sorted((row for row in roof if row.method == name), key=size)
        handles[name] = axes.loglog(
            [size(row) for row in curve], [speed(row) for row in curve], color=("#9aa5b1", "#111111")[k % 2], linewidth=1.8
        )[0]  # fmt: skip
    for k, row in enumerate(points):
        label = f"{row.problem} ({row.method.removeprefix('petrov ')})"
        colour = list(figures.STYLES.values())[1 + k % (len(figures.STYLES) - 1)][0]
        marker = "osD^vP"[k // 8 % 6]
        handles[label] = axes.loglog([size(row)], [speed(row)], marker=marker, color=colour, linestyle="", markersize=7)[0]
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    figures.decorate(axes, "achieved bandwidth against the triad's", "bytes moved by one pass", "GB/s")
    figures.legend(canvas, handles)
    return figures.svg(canvas, "roofline")
