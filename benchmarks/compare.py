"""Two runs side by side: what changed in correctness, in iterations, in time. Time alone gates nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from .document import OK, SKIPPED, WRONG, Document, Row, load
from .table import console as table_console
from .table import seconds


def main(old: str | Path, new: str | Path) -> int:
    """Print the table of two JSON files of `petrov bench`.

    Returns 0; 1 if a row that was right is right no longer or an answer became WRONG; 2 if a file cannot be read.
    """
    try:
        before, after = load(Path(old)), load(Path(new))
    except (OSError, ValueError) as error:
        print(f"petrov bench compare: {error}", file=sys.stderr)
        return 2
    console = table_console()
    for difference in differences(before, after):
        console.print(difference, style="yellow")
    shared = [(before.done[key], after.done[key]) for key in before.done if key in after.done]
    console.print(comparison(shared))
    for name, rows in (("only in the old run", before.done.keys() - after.done.keys()),
                       ("only in the new run", after.done.keys() - before.done.keys())):  # fmt: skip
        if rows:
            console.print(f"{name}: {len(rows)} rows ({', '.join(sorted({problem for problem, _ in rows}))})")
    console.print(summary(shared))
    return int(any(worse(a, b) for a, b in shared))


def differences(before: Document, after: Document) -> list[str]:
    """Where the two runs were not made alike, a sentence each."""
    names = {"machine": "times are not comparable", "threads": "times are not comparable", "versions": "", "settings": ""}
    return [
        f"{name} differs{': ' + remark if remark else ''}: {short(before, after, name)}"
        for name, remark in names.items()
        if before.identity.get(name) != after.identity.get(name)
    ]


def short(before: Document, after: Document, name: str) -> str:
    a, b = before.identity.get(name, {}), after.identity.get(name, {})
    return ", ".join(f"{key} {a.get(key)} -> {b.get(key)}" for key in {**a, **b} if a.get(key) != b.get(key))


def comparison(pairs: list[tuple[Row, Row]]) -> Table:
    table = Table(title="old / new: above 1 the new run is faster; ~ where the two ranges of runs overlap")
    for name in ("problem", "method"):
        table.add_column(name, no_wrap=True)
    for name in ("old", "new", "old / new", "iterations"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("correctness")
    for a, b in pairs:
        changed = a.status != b.status
        table.add_row(
            a.problem, a.method, seconds(a.total_seconds), seconds(b.total_seconds), ratio_text(a, b), iterations(a, b),
            Text(f"{a.status} -> {b.status}" if changed else a.status, style=flag(a, b)),
        )  # fmt: skip
    return table


def ratio(a: Row, b: Row) -> float | None:
    """Total time of the old row over the new one's, when both were right."""
    if a.total_seconds is None or not b.total_seconds:
        return None
    return a.total_seconds / b.total_seconds


def ratio_text(a: Row, b: Row) -> Text | str:
    value = ratio(a, b)
    if value is None:
        return "-"
    if overlap(a, b):
        return f"~ {value:.2f}"
    return Text(f"{value:.2f}", style="green" if value > 1 else "red")


def overlap(a: Row, b: Row) -> bool:
    """Whether the ranges of the two rows' runs meet: then the ratio may be noise."""
    if None in (a.fastest_seconds, a.slowest_seconds, b.fastest_seconds, b.slowest_seconds):
        return False
    return a.fastest_seconds <= b.slowest_seconds and b.fastest_seconds <= a.slowest_seconds  # type: ignore[operator]


def iterations(a: Row, b: Row) -> str:
    if a.iterations == b.iterations:
        return "-" if a.iterations is None else str(a.iterations)
    return f"{a.iterations} -> {b.iterations}"


def worse(a: Row, b: Row) -> bool:
    """A right answer lost, or a false claim of success gained. A row that was not run is neither."""
    return (a.status == OK and b.status not in (OK, SKIPPED)) or (b.status == WRONG and a.status != WRONG)


def flag(a: Row, b: Row) -> str:
    if worse(a, b):
        return "bold red"
    return "green" if a.status != b.status and b.status == OK else "" if a.status == b.status else "yellow"


def summary(pairs: list[tuple[Row, Row]]) -> str:
    """Geometric means, ours and the peers' (which tell how far the machine itself moved), and the changes of status."""
    parts = []
    for name, ours in (("petrov", True), ("peers", False)):
        ratios = [value for a, b in pairs if (a.library == "petrov") == ours and (value := ratio(a, b)) is not None]
        if ratios:
            parts.append(f"{name} {np.exp(np.mean(np.log(ratios))):.2f} over {len(ratios)} rows")
    changed = [(a, b) for a, b in pairs if a.status != b.status]
    return (
        f"geometric mean of old / new: {'; '.join(parts) or 'no row is right in both'}. "
        f"Correctness changed in {len(changed)} rows, {sum(worse(a, b) for a, b in changed)} for the worse."
    )
