"""What the rows of `petrov bench rom` say to the bars."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .. import stages
from ..document import OK, Row, by_problem
from ..sequences.verdicts import Verdict
from ..table import ratio
from . import data_driven, peer, stored, thermal

OFFLINE_BAR, OFFLINE_TARGET = 1 / 4, 1 / 10
ONLINE_BAR, ONLINE_TARGET = 1 / 15, 1 / 50
ERROR_BAR = 1 / 100  # of what interpolation of the same solutions leaves
WORKS = {
    thermal.WORK: "the thermal block beside pyMOR: greedy errors, seconds offline, seconds of 1,000 answers with bounds",
    data_driven.WORK: "errors from the same solutions: the projected operator beside interpolated coefficients",
    stored.WORK: "a fitted model in a file, beside pyMOR's pickle: bytes, seconds to write and to read",
}


class Standing(NamedTuple):
    """A thermal block: ours, one parameter a call, and pyMOR."""

    ours: Row
    alone: Row
    theirs: Row

    @property
    def offline(self) -> float | None:
        return quotient(self.ours.setup_seconds, self.theirs.setup_seconds)

    @property
    def online(self) -> float | None:
        return quotient(self.ours.solve_seconds, self.theirs.solve_seconds)

    @property
    def single(self) -> float | None:
        return quotient(self.alone.solve_seconds, self.theirs.solve_seconds)


def quotient(a: float | None, b: float | None) -> float | None:
    return a / b if a and b else None


def standings(rows: Iterable[Row]) -> list[Standing]:
    groups = by_problem(row for row in rows if row.work == thermal.WORK)
    found = ({row.method: row for row in group} for group in groups.values())
    return [Standing(of[thermal.OURS], of[thermal.ALONE], of[peer.NAME]) for of in found]


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    return [*(verdict for one in standings(rows) for verdict in of_block(one)), *of_snapshots(rows), *of_files(rows)]


def of_block(one: Standing) -> list[Verdict]:
    right, apart = one.ours.status == OK, f"{one.ours.relative_residual:.1e}"
    shares = (
        ("offline", one.offline, OFFLINE_BAR, OFFLINE_TARGET),
        ("an answer with its bound", one.online, ONLINE_BAR, ONLINE_TARGET),
    )
    agreed = Verdict(
        thermal.WORK, f"{one.ours.problem}: greedy errors apart from pyMOR's", apart if right else f"{apart}: {one.ours.reason}",
        f"{one.ours.rtol:.0e}", right,
    )  # fmt: skip
    return [agreed] + [
        Verdict(
            thermal.WORK, f"{one.ours.problem}: {what}, of pyMOR's seconds", ratio(share) if right else one.ours.status,
            f"{ratio(bar)}, target {ratio(target)}", right and share is not None and share <= bar,
        )
        for what, share, bar, target in shares
    ]  # fmt: skip


def of_snapshots(rows: Iterable[Row]) -> list[Verdict]:
    found = []
    for problem, group in by_problem(row for row in rows if row.work == data_driven.WORK).items():
        of = {row.method: row for row in group}
        ours, theirs = of[data_driven.OURS], of[data_driven.RIVAL]
        share = quotient(ours.relative_residual, theirs.relative_residual)
        said = f"{ours.relative_residual:.1e}; {theirs.relative_residual:.1e}"
        met = ours.status == OK and share is not None and share <= ERROR_BAR
        found.append(Verdict(data_driven.WORK, f"{problem}: error; {theirs.method}'s", said, f"{ratio(ERROR_BAR)} of that", met))
    return found


def of_files(rows: Iterable[Row]) -> list[Verdict]:
    """No more than that the answers are the same; size and seconds are in the rows."""
    return [
        Verdict(stored.WORK, row.problem, row.reason, "answers as before, to the last bit", row.status == OK)
        for row in rows
        if row.work == stored.WORK and row.library == "petrov"
    ]


def tally(rows: Sequence[Row]) -> str:
    """How many bars were met, one sentence."""
    return stages.tally(verdicts(rows))
