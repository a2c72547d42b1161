"""What a run prints: a line per row while it runs, a summary per problem at the end."""

from __future__ import annotations

import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .document import FAILED, NOT_CONVERGED, OK, SKIPPED, WRONG, Document, Row, by_problem, speed_against_peers

STYLES = {OK: "", NOT_CONVERGED: "yellow", WRONG: "bold red", FAILED: "red", SKIPPED: "dim"}
DEFAULT = "petrov.solve"
NOISY = 0.3  # load per core
HEADER = f"{'problem':<32} {'method':<30} {'set-up':>9} {'solve':>9} {'its':>6} {'residual':>9}  status"


def console() -> Console:
    """Standard output; wide enough for a row where it is a file or a pipe, which have no width."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 150)


def seconds(value: float | None) -> str:
    """Three significant digits with a unit that keeps them short; below ten microseconds, which no row resolves, 0.

    >>> from petrov.benchmarks.table import seconds
    >>> seconds(0.00123), seconds(0.5), seconds(12.3), seconds(3e-6), seconds(None)
    ('1.23 ms', '500 ms', '12.3 s', '0', '-')
    """
    if value is None:
        return "-"
    if value < 1e-5:
        return "0"
    scaled, unit = (value, "s") if value >= 0.9995 else (value * 1e3, "ms") if value >= 0.9995e-3 else (value * 1e6, "us")
    return f"{scaled:.3g} {unit}" if scaled < 999.5 else f"{scaled:.0f} {unit}"


def line(row: Row) -> Text:
    """One row on one line."""
    iterations = "-" if row.iterations is None else str(row.iterations)
    residual = "-" if row.relative_residual is None else f"{row.relative_residual:.1e}"
    said = " ".join(part for part in (row.status, row.chose if row.method == DEFAULT else "", row.reason) if part)
    return Text(
        f"{row.problem:<32} {row.method:<30} {seconds(row.setup_seconds):>9} {seconds(row.solve_seconds):>9} "
        f"{iterations:>6} {residual:>9}  {said}",
        style=STYLES[row.status],
    )  # fmt: skip


def verdict(ratio: float | None) -> str:
    """'2.1x faster' or '1.3x slower'; within 5 % 'equal'.

    >>> from petrov.benchmarks.table import verdict
    >>> verdict(2.5), verdict(0.5), verdict(1.02), verdict(None)
    ('2.5x faster', '2.0x slower', 'equal', '-')
    """
    if ratio is None:
        return "-"
    if 1 / 1.05 <= ratio <= 1.05:
        return "equal"
    factor, word = (ratio, "faster") if ratio > 1 else (1 / ratio, "slower")
    return f"{factor:.1f}x {word}" if factor < 99.5 else f"{factor:.0f}x {word}"


def ratio(value: float | None) -> str:
    """Three digits, and as a fraction where it is small.

    >>> from petrov.benchmarks.table import ratio
    >>> ratio(1 / 15), ratio(0.9), ratio(None)
    ('1/15', '0.90', '-')
    """
    if value is None:
        return "-"
    return f"{value:.2f}" if value > 0.55 else f"1/{1 / value:.3g}"


def summary(document: Document) -> Table:
    """A row per problem: the default against the best peer, seconds of set-up and solve apart, the ratio of their sums."""
    table = Table(title="medians of the runs with a right answer", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("problem", no_wrap=True)
    for name in ("petrov.solve chose", "best peer"):
        table.add_column(name, overflow="fold")
        for part in ("set-up", "solve"):
            table.add_column(part, justify="right", no_wrap=True)
    table.add_column("petrov.solve is", no_wrap=True)
    table.add_column("best of petrov", overflow="fold")
    for problem, rows in by_problem(document.rows).items():
        table.add_row(problem, *summary_row(rows))
    return table


def summary_row(rows: list[Row]) -> list[Text | str]:
    peer, ratios = speed_against_peers(rows)
    default = next((row for row in rows if row.method == DEFAULT), None)
    if default is None:
        return [Text(rows[0].reason, style=STYLES[SKIPPED])]
    ratio = ratios.get(DEFAULT)
    colour = "green" if ratio is not None and ratio > 1.05 else "red" if ratio is not None and ratio < 1 / 1.05 else ""
    return [
        Text(default.chose if default.status == OK else default.status, style=STYLES[default.status]),
        seconds(default.setup_seconds), seconds(default.solve_seconds),
        "none was right" if peer is None else peer.method, seconds(peer.setup_seconds if peer else None),
        seconds(peer.solve_seconds if peer else None), Text(verdict(ratio), style=colour),
        max(ratios, key=ratios.__getitem__, default="-"),
    ]  # fmt: skip


def tally(document: Document) -> str:
    """Wins, losses and wrong answers in one sentence each, ours and the peers'."""
    ratios = [speed_against_peers(rows)[1].get(DEFAULT) for rows in by_problem(document.rows).values()]
    known = [ratio for ratio in ratios if ratio is not None]
    faster, slower = sum(r > 1.05 for r in known), sum(r < 1 / 1.05 for r in known)
    counts = {
        (status, ours): sum(row.status == status and (row.library == "petrov") == ours for row in document.rows)
        for status in (NOT_CONVERGED, WRONG, FAILED)
        for ours in (True, False)
    }
    return (
        f"petrov.solve against the best peer of each problem: faster on {faster}, slower on {slower}, "
        f"equal on {len(known) - faster - slower}.\n"
        + "\n".join(
            f"{name + ':':<7} wrong answers {counts[WRONG, ours]}, not converged {counts[NOT_CONVERGED, ours]}, "
            f"failed {counts[FAILED, ours]}"
            for name, ours in (("petrov", True), ("peers", False))
        )
    )


def busy(document: Document) -> str:
    """A warning where other processes shared the machine; '' where none did."""
    cores = document.identity.get("machine", {}).get("cores", 1)
    if document.load is None or document.load <= NOISY * cores:
        return ""
    return f"The machine was busy before the run (load {document.load:g} on {cores} cores): take no time here for granted."


def show(document: Document, console: Console) -> None:
    console.print(summary(document))
    if warning := busy(document):
        console.print(warning, style="yellow")
    console.print(tally(document), highlight=False)
