"""`petrov bench ttn`: integrators on trees beside PyTreeNet's and TeNPy's, and what only petrov can run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from .. import stages
from ..contests import Contest
from ..document import Document
from ..stages import Suite
from . import alone, libraries, report, spins
from .timing import Timing
from .verdicts import WORKS, tally, verdicts

TIMINGS = {True: Timing(1, 1, 20.0), False: Timing(2, 1, 60.0)}


def main(
    quick: bool = False, only: Sequence[str] | None = None, json: str | Path | None = None, html: str | Path | None = None
) -> int:
    """Run the contests of the works `only` names, or all; the rest as in `stages.main`. Peers: see `libraries`."""
    found = tuple(f"{name} {libraries.seen(library)[0] or 'not found'}" for library, name in libraries.NAMES.items())
    settings = replace(TIMINGS[quick], versions=found)
    return stages.main(Suite("ttn", WORKS, contests, settings, show, report.write), quick, only, json, html)


def contests(only: Sequence[str] | None, quick: bool) -> list[Contest]:
    found = [*spins.contests(quick), *alone.contests(quick)]
    return [one for one in found if only is None or one.work in only]


def show(result: Document, console: Console) -> None:
    stages.show_bars(result, console, verdicts(result.rows), tally(result.rows))
