"""The lines of the tables, as texts: for the terminal and for the report."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from ..document import OK, Row
from ..table import seconds
from .samples import NONE, Spread, of, said
from .standings import BreakEven, Help, right, total

COLUMNS = (
    "method", "role", "set-up", "solve", "1 solve", "quartiles", "10", "100", "an iteration", "iterations", "1e-4", "1e-12",
    "others", "of the best", "",
)  # fmt: skip
TIMES = ("setup", "solve", "one", "quartiles", "ten", "hundred", "each")
COUNTS = ("iterations", "loose", "tight")
SHOWN = ("method", *TIMES, *COUNTS, "ratio")  # on a terminal
HEADS = ("method", "set-up", "solve", "1 solve", "quartiles", "10 solves", "100", "iteration", "its", "1e-4", "1e-12", "/ best")
OTHERS = ("smooth", "point", "range", "stripes")


def lines(group: Sequence[Row]) -> list[dict[str, str]]:
    """A line a way: right answers by the total of one right-hand side, then the others."""
    timed = sorted(right(group), key=lambda row: total(row, 1))
    best = min((total(row, 1) for row in timed if row.chose == "baseline"), default=None)
    return [line(row, best) for row in timed] + [trouble(row) for row in group if row.status != OK]


def line(row: Row, best: float | None) -> dict[str, str]:
    totals = {k: of(row, operator.methodcaller("total", k)) for k in (1, 10, 100)}
    each = of(row, lambda one: one.solve / max(one.iterations, 1.0))
    one = totals[1]
    return {
        "method": row.method, "role": row.chose.partition(" of ")[0], "setup": median(of(row, lambda s: s.setup)),
        "solve": median(of(row, lambda s: s.solve)), "one": median(one),
        "quartiles": f"{seconds(one.low)} - {seconds(one.high)}" if one and row.runs > 1 else "-",
        "ten": median(totals[10]), "hundred": median(totals[100]), "each": "-" if row.method == "direct" else median(each),
        "iterations": count(of(row, lambda s: s.iterations)), "loose": count(of(row, lambda s: s.loose)),
        "tight": count(of(row, lambda s: s.tight)),
        "others": " ".join(count(of(row, operator.attrgetter(kind))) for kind in OTHERS),
        "ratio": f"{one.median / best:.2f}" if one and best else "-", "status": "; ".join(row.warnings),
    }  # fmt: skip


def brief(line: dict[str, str]) -> list[str]:
    """What a terminal has room for."""
    return [line[name] for name in SHOWN]


def median(found: Spread | None) -> str:
    return seconds(found.median if found else None)


def count(found: Spread | None) -> str:
    return "-" if found is None or found.median == NONE else f"{found.median:.0f}"


def trouble(row: Row) -> dict[str, str]:
    """A way that has no times: why."""
    empty = dict.fromkeys((*TIMES, *COUNTS, "others", "ratio"), "-")
    return {"method": row.method, "role": row.chose.partition(" of ")[0], **empty, "status": f"{row.status}: {row.reason}"}


def help_line(one: Help) -> dict[str, str]:
    return {
        "kin": one.kin, "problem": one.problem, "twin": one.twin,
        "iterations": said(one.iterations), "one": said(one.one), "ten": said(one.ten),
        "word": one.word,
    }  # fmt: skip


def break_even_line(one: BreakEven) -> dict[str, str]:
    def after(gain: float, value: float | None) -> str:
        if gain <= 0:
            return "never"
        return "-" if value is None else f"{value:,.0f}"

    training = "not told" if one.training is None else seconds(one.training)
    saved = seconds(one.gain) if one.gain > 0 else f"-{seconds(-one.gain)}"
    return {
        "kin": one.kin, "problem": one.problem, "rival": one.rival, "training": training, "saved": saved,
        "one": after(one.gain, one.one), "ten": after(one.gain_ten, one.ten),
    }  # fmt: skip
