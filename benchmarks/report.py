"""The HTML report of a run: one file that needs no network, with losses as plain as wins."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from . import figures
from .document import OK, WRONG, Document, Row, by_problem, speed_against_peers
from .table import DEFAULT, busy, seconds, tally, verdict

TEMPLATE = "report.html.j2"
NEEDS = ("jinja2", "matplotlib")


def require_libraries() -> None:
    """Raise ImportError, naming the extra, when the libraries of the report are missing."""
    if missing := [name for name in NEEDS if importlib.util.find_spec(name) is None]:
        raise ImportError(f"the HTML report needs {' and '.join(missing)}; pip install 'petrov[bench]', or leave --html out")


def write(document: Document, path: Path) -> None:
    """Render the report to path, through a temporary name."""
    put(render(document), path)


def put(text: str, path: Path) -> None:
    """The text into a file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def render(document: Document) -> str:
    """The report as one HTML text, figures inline."""
    plots = {
        "scaling": figures.scaling(document.rows),
        "times": figures.times(document.rows),
        "histories": figures.histories(document.rows),
    }
    return filled(
        TEMPLATE, document, tally=tally(document).splitlines(), plots=plots,
        summary=[overview(name, rows) for name, rows in by_problem(document.rows).items()],
        problems=[detail(name, rows) for name, rows in by_problem(document.rows).items()],
    )  # fmt: skip


def filled(template: str, document: Document, *, plots: dict[str, str | None], **parts: Any) -> str:
    """A template with what every report of a run holds (identity, machine, versions) and its plots as they are, unescaped."""
    require_libraries()
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(
        identity=document.identity, finished=document.finished, busy=busy(document), facts=facts(document),
        plots={name: text and Markup(text) for name, text in plots.items()}, **parts,
    )  # fmt: skip


def overview(problem: str, rows: list[Row]) -> dict[str, Any]:
    """One line of the first table: the default against the best peer."""
    peer, ratios = speed_against_peers(rows)
    default = next((row for row in rows if row.method == DEFAULT), None)
    ratio = ratios.get(DEFAULT)
    return {
        "problem": problem, "rows": size(rows), "kind": rows[0].kind, "default": default and cells(default, ratio),
        "peer": peer and cells(peer, None), "ratio": verdict(ratio), "colour": colour(ratio),
        "best": max(ratios, key=ratios.__getitem__, default="-"), "reason": "" if default else rows[0].reason,
        "trouble": [f"{row.method}: {row.status}" for row in rows if row.status not in (OK, "SKIPPED")],
    }  # fmt: skip


def detail(problem: str, rows: list[Row]) -> dict[str, Any]:
    """All rows of a problem: right answers by time, the others after them."""
    _, ratios = speed_against_peers(rows)
    ordered = sorted(rows, key=lambda row: (row.status != OK, row.total_seconds or 0.0))
    return {
        "problem": problem, "rows": size(rows), "kind": rows[0].kind,
        "entries": next((f"{row.entries:,}" for row in rows if row.entries is not None), "-"),
        "lines": [cells(row, ratios.get(row.method)) for row in ordered],
    }  # fmt: skip


def cells(row: Row, ratio: float | None) -> dict[str, Any]:
    spread = (
        f"{seconds(row.fastest_seconds)} - {seconds(row.slowest_seconds)}" if row.runs > 1 else "one run" if row.runs else "-"
    )
    return {
        "method": row.method, "ours": row.library == "petrov", "chose": row.chose if row.method == DEFAULT else "",
        "setup": seconds(row.setup_seconds), "solve": seconds(row.solve_seconds), "total": seconds(row.total_seconds),
        "spread": spread, "iterations": "-" if row.iterations is None else f"{row.iterations:,}",
        "residual": "-" if row.relative_residual is None else f"{row.relative_residual:.1e}",
        "status": row.status, "reason": row.reason, "wrong": row.status == WRONG, "right": row.status == OK,
        "ratio": verdict(ratio), "colour": colour(ratio), "warnings": row.warnings,
        "swatch": figures.style(row.method, row.library, [row.method])["color"],
    }  # fmt: skip


def size(rows: list[Row]) -> str:
    return next((f"{row.rows:,}" for row in rows if row.rows is not None), "-")


def colour(ratio: float | None) -> str:
    return "" if ratio is None else "win" if ratio > 1.05 else "loss" if ratio < 1 / 1.05 else ""


def facts(document: Document) -> list[tuple[str, str]]:
    """Machine, versions, threads and settings as pairs of texts."""
    identity = document.identity
    flat = dict(identity["machine"])
    flat |= {f"{name} version": value or "not installed" for name, value in identity["versions"].items()}
    flat |= {"petrov threads": identity["threads"]["numba"], "BLAS threads": ", ".join(identity["threads"]["blas"])}
    flat |= {"load before the run": document.load}
    flat |= {name: value for name, value in identity["settings"].items() if value not in ([], None)}
    return [(name.replace("_gib", " (GiB)"), str(value)) for name, value in flat.items()]
