"""The JSON file of a run: one schema, written whole to a temporary name and renamed, read back to resume or compare."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from . import machine

FORMAT, SCHEMA = "petrov benchmark", 1
OK, NOT_CONVERGED, WRONG, FAILED, SKIPPED = "OK", "NOT CONVERGED", "WRONG", "FAILED", "SKIPPED"
STATUSES = (OK, NOT_CONVERGED, WRONG, FAILED, SKIPPED)


@dataclass(frozen=True, slots=True)
class Row:
    """One method on one problem. Seconds are medians over `runs`, and None unless the answer was right.

    status: OK (true residual within rtol), NOT CONVERGED (it is not, and the method says so), WRONG (it is not, and the
    method claims success), FAILED (an exception), SKIPPED (not run; reason says why).
    asked_rtol: what the method was asked for; below rtol where its own test had to be tightened.
    history: [iteration, relative residual] pairs, thinned.
    work: the line of the table of bars that the row belongs to. traffic: bytes per row of A that one solve_seconds moves
    between memory and processor, counted from the storage. memory: peak bytes per unknown.
    """

    problem: str
    family: str
    kind: str
    method: str
    library: str
    status: str
    reason: str = ""
    chose: str = ""
    rows: int | None = None
    entries: int | None = None
    rtol: float | None = None
    asked_rtol: float | None = None
    relative_residual: float | None = None
    iterations: int | None = None
    setup_seconds: float | None = None
    solve_seconds: float | None = None
    fastest_seconds: float | None = None
    slowest_seconds: float | None = None
    runs: int = 0
    history: list[list[float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    work: str = ""
    traffic: float | None = None
    memory: float | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.problem, self.method

    @property
    def total_seconds(self) -> float | None:
        if self.setup_seconds is None or self.solve_seconds is None:
            return None
        return self.setup_seconds + self.solve_seconds


@dataclass(frozen=True, slots=True)
class Document:
    """A run: `identity` (settings, machine, versions, threads, source) says what the rows were measured on; `load` is how
    many other processes wanted a core just before it began (the one-minute average; None where the system has none)."""

    identity: dict[str, Any]
    rows: tuple[Row, ...] = ()
    finished: bool = False
    load: float | None = None

    @property
    def done(self) -> dict[tuple[str, str], Row]:
        return {row.key: row for row in self.rows}


def identity(settings: dict[str, Any]) -> dict[str, Any]:
    """All that must be equal for two runs to be halves of one."""
    return {
        "settings": settings,
        "machine": machine.machine(),
        "versions": machine.versions(),
        "threads": machine.threads(),
        "source": machine.source_digest(),
    }


def save(document: Document, path: Path) -> None:
    """Write the document so that a kill at any moment leaves the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text(document))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def text(document: Document) -> str:
    """The document as JSON, a row a line. Non-finite numbers are refused: no other reader of JSON takes them."""
    head = {
        "format": FORMAT, "schema": SCHEMA, "identity": document.identity, "load": document.load,
        "finished": document.finished,
    }  # fmt: skip
    names = [item.name for item in fields(Row)]
    lines = (json.dumps({name: getattr(row, name) for name in names}, allow_nan=False) for row in document.rows)
    return f'{json.dumps(head, indent=1, allow_nan=False)[:-2]},\n "rows": [\n' + ",\n".join(lines) + "\n ]\n}\n"


def load(path: Path) -> Document:
    """Read a document. Raises FileNotFoundError, or ValueError if the file is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a petrov benchmark: it does not parse as JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{path} is not a petrov benchmark: expected a JSON object with format = {FORMAT!r}")
    if content.get("schema") != SCHEMA:
        raise ValueError(f"{path} has schema {content.get('schema')!r}; this version of petrov reads {SCHEMA}: run it again")
    if missing := {"identity", "load", "finished", "rows"} - content.keys():
        raise ValueError(f"{path} lacks {sorted(missing)}: it is damaged, run the benchmark again")
    rows = tuple(parse_row(entry, path) for entry in content["rows"])
    return Document(content["identity"], rows, bool(content["finished"]), content["load"])


def parse_row(entry: dict[str, Any], path: Path) -> Row:
    if unknown := entry.keys() - {item.name for item in fields(Row)}:
        raise ValueError(f"{path} holds a row with unknown fields {sorted(unknown)}")
    if missing := {"problem", "family", "kind", "method", "library", "status"} - entry.keys():
        raise ValueError(f"{path} holds a row that lacks {sorted(missing)}")
    row = Row(**entry)
    if row.status not in STATUSES:
        raise ValueError(f"{path}: row {row.key} has status {row.status!r}; expected one of {', '.join(STATUSES)}")
    return row


def resume(path: Path | None, wanted: dict[str, Any]) -> tuple[Document, str]:
    """The document to go on with, and a sentence about it: the unfinished one at path if its identity is `wanted`.

    Any other benchmark found at path is kept beside it under NAME.previous.json, never overwritten in place.
    """
    load_now = machine.load()
    fresh = Document(wanted, load=load_now)
    if path is None or not path.exists():
        return fresh, ""
    found = load(path)
    if found.identity == json.loads(json.dumps(wanted)) and not found.finished:
        return Document(wanted, found.rows, load=higher(found.load, load_now)), f"going on after {len(found.rows)} rows of {path}"
    previous = path.with_suffix(".previous.json")
    path.replace(previous)
    why = "finished" if found.finished else "measured with other settings, machine or versions"
    return fresh, f"{path} was {why}: kept as {previous.name}"


def higher(a: float | None, b: float | None) -> float | None:
    return max((value for value in (a, b) if value is not None), default=None)


def best(rows: Iterable[Row]) -> Row | None:
    """The fastest row whose answer was right."""
    timed = [row for row in rows if row.status == OK and row.total_seconds is not None]
    return min(timed, key=lambda row: row.total_seconds or 0.0, default=None)


def by_problem(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows grouped by problem, in the order of the file."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.problem, []).append(row)
    return groups


def speed_against_peers(rows: Iterable[Row]) -> tuple[Row | None, dict[str, float]]:
    """The best peer of one problem, and for each of our right answers its time / ours (above 1: we are faster)."""
    rows = list(rows)
    peer = best(row for row in rows if row.library != "petrov")
    ours = [row for row in rows if row.library == "petrov" and row.status == OK and row.total_seconds]
    if peer is None or peer.total_seconds is None:
        return None, {}
    return peer, {row.method: peer.total_seconds / row.total_seconds for row in ours if row.total_seconds}
