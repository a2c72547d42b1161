"""The tables and the plot of docs/scaling.md, from what was measured."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .. import figures
from . import halo, model, works

COLOURS = {"jacobi": "#17a2b8", "aggregation": "#0b3c8c"}
METHODS = {"jacobi": "cg + Jacobi", "aggregation": "cg + DistributedAggregation"}
RANKS = (1, 8, 64, 1000)
STRONG = ((1024, 1024), (100, 100, 100))
WEAK = (700, 80)  # points along each axis of what a rank has
GATHERED = 20_000  # the default of DistributedAggregation

Shapes = Callable[[int, int], tuple[int, ...]]  # (dimension, ranks) -> grid


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Every table of the page by the name of its place."""
    return {
        "measured on": setting(found), "machine": machine_table(found), "sums": sums_table(found),
        "measured": measured_table(found), "halos": halo_table(), "strong": paper_table(found, strong_shape),
        "weak": paper_table(found, weak_shape),
    }  # fmt: skip


def text(found: dict[str, Any]) -> str:
    return "\n\n".join(f"{name}\n\n{table}" for name, table in tables(found).items())


def write(found: dict[str, Any], path: Path) -> None:
    """Put the tables between their marks in the page, and the plot beside it as .svg."""
    filled = with_tables(path.read_text(encoding="utf-8"), tables(found))
    path.with_suffix(".svg").write_text(figure(found), encoding="utf-8")
    path.write_text(filled, encoding="utf-8")


def with_tables(page: str, given: dict[str, str]) -> str:
    """The page with what stands between <!-- name --> and <!-- /name --> replaced; ValueError if a place is missing."""
    for name, table in given.items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if (match := place.search(page)) is None:
            raise ValueError(f"the page has no place <!-- {name} --> ... <!-- /{name} -->")
        page = f"{page[: match.end(1)]}{table}\n{page[match.start(2) :]}"
    return page


def markdown(head: Sequence[str], rows: Iterator[Sequence[str]] | list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def size(shape: Sequence[int]) -> str:
    return " x ".join(f"{n:,}" for n in shape)


# -- Measured --------------------------------------------------------------------------------------------------------------


def setting(found: dict[str, Any]) -> str:
    computer, versions = found["identity"]["machine"], found["identity"]["versions"]
    said = (
        f"{computer['processor']}, {computer['cores']} cores, {computer['system']}, petsc4py {versions['petsc4py']}, "
        f"NumPy {versions['numpy']}."
    )
    return f"{said} {busy(found)}".rstrip()


def busy(found: dict[str, Any]) -> str:
    """What to think of the times if other processes ran; '' if none did."""
    if found["load"] is None or found["load"] <= 0.3 * found["identity"]["machine"]["cores"]:
        return ""
    return f"**Provisional**: {found['load']} other processes wanted a core, and ranks that wait for each other suffer most."


def machine_table(found: dict[str, Any]) -> str:
    rows = []
    for run in found["runs"]:
        one = run["machine"]
        speeds = (one["copy"], *one["products"], one["sweeps"], one["arrays"], one.get("link"))
        times = (one.get("latency"), one.get("gather"))
        rows.append([str(run["ranks"]), *(number(x and x / 1e9) for x in speeds), *(number(x and 1e6 * x) for x in times)])
    paper = works.network(found["runs"][-1], 2)
    assumed = (f"{number(paper.link / 1e9)}, assumed", f"{number(1e6 * paper.latency)}, assumed")
    rows.append(["on paper", *["as above"] * 5, *assumed, "by the formula"])
    head = ("ranks", "copy", "A x, 2-D", "A x, 3-D", "cg's sweeps", "x + y", "messages of 1 MiB", "a message, us", "a sum, us")
    return markdown(head, rows)


def number(x: float | None) -> str:
    """Three digits; '-' where nothing was measured."""
    return "-" if x is None else f"{x:.3g}" if x < 1000 else f"{x:,.0f}"


def sums_table(found: dict[str, Any]) -> str:
    counted = next(run["sums"] for run in found["runs"] if run["ranks"] > 1)
    return markdown(("method", "sums over ranks an iteration"), [[f"`{name}`", f"{k:.3g}"] for name, k in counted.items()])


def predicted(run: dict[str, Any], case: dict[str, Any], method: str, python: dict[str, float]) -> model.Parts:
    return model.seconds(
        works.measured(case, method, run["sums"].get("cg", 0.0), python), works.machine_of(run, len(case["shape"])), run["ranks"]
    )


def measured_table(found: dict[str, Any]) -> str:
    python = found["runs"][0]["python"]
    alone = {(method, tuple(case["shape"])): case[method]["seconds"] for case in found["runs"][0]["cases"] for method in METHODS}
    rows = []
    for method, name in METHODS.items():
        for run in found["runs"]:
            for case in run["cases"]:
                shape, ranks, own = tuple(case["shape"]), run["ranks"], case[method]
                weak = alone.get((method, (shape[0] // ranks, *shape[1:])))
                told = predicted(run, case, method, python).total
                against = [alone.get((method, shape)), weak]
                rates = [
                    "-" if one is None or ranks == 1 else f"{one / own['seconds'] / (ranks if kind == 0 else 1):.2f}"
                    for kind, one in enumerate(against)
                ]
                rows.append([
                    name, size(shape), str(ranks), str(own["iterations"]), number(own.get("setup")), number(1e3 * own["seconds"]),
                    number(1e3 * told), f"{100 * (told / own['seconds'] - 1):+.0f} %", *rates,
                ])  # fmt: skip
    head = ("method", "grid", "ranks", "iterations", "set-up, s", "an iteration, ms", "model, ms", "its error", "strong", "weak")
    return markdown(head, rows)


# -- On paper --------------------------------------------------------------------------------------------------------------


def halo_table() -> str:
    def rows() -> Iterator[list[str]]:
        for shape in STRONG:
            for ranks in (2, *RANKS[1:]):
                dealt, boxes = (works.partition(shape, ranks, kind) for kind in ("slabs", "blocks"))
                parts = " x ".join(str(part) for part in halo.cubes(ranks, len(shape)))
                sent = (f"{one.rows:,} in {one.messages}" for one in (dealt, boxes))
                yield [size(shape), f"{ranks:,}", f"{math.ceil(math.prod(shape) / ranks):,}", *sent, parts]

    head = ("grid", "ranks", "rows a rank", "dealt as they come: rows sent, messages", "in boxes: rows sent, messages", "boxes")
    return markdown(head, rows())


def strong_shape(dim: int, ranks: int) -> tuple[int, ...]:
    return STRONG[dim - 2]


def weak_shape(dim: int, ranks: int) -> tuple[int, ...]:
    return tuple(part * WEAK[dim - 2] for part in halo.cubes(ranks, dim))


def on_paper(found: dict[str, Any], shape: Sequence[int], ranks: int, method: str, kind: str = "blocks") -> model.Parts:
    """Seconds of an iteration on so many ranks: Python and memory as measured, levels as in the largest grid that was."""
    run, python = found["runs"][-1], found["runs"][0]["python"]
    network = works.network(run, len(shape))
    deepest = max((case for case in run["cases"] if len(case["shape"]) == len(shape)), key=lambda case: math.prod(case["shape"]))
    if method == "jacobi":
        work = works.jacobi_on_paper(shape, ranks, kind, run["sums"]["cg"], python["iteration"])
        return model.seconds(work, network, ranks)
    levels = works.hierarchy_of(deepest, GATHERED, run["sums"]["cg"], python)
    return model.seconds(works.aggregation_on_paper(shape, ranks, kind, levels), network, ranks)


def efficiency(found: dict[str, Any], shape_of: Shapes, dim: int, ranks: int, method: str) -> float:
    """Seconds on one rank over ranks x seconds, for each row."""
    alone, several = shape_of(dim, 1), shape_of(dim, ranks)
    one, many = on_paper(found, alone, 1, method).total, on_paper(found, several, ranks, method).total
    return one / many * math.prod(several) / math.prod(alone) / ranks


def paper_table(found: dict[str, Any], shape_of: Shapes) -> str:
    def rows() -> Iterator[list[str]]:
        for method, name in METHODS.items():
            for dim in (2, 3):
                for ranks in RANKS:
                    shape = shape_of(dim, ranks)
                    parts = on_paper(found, shape, ranks, method)
                    slabs = on_paper(found, shape, ranks, method, "slabs").total
                    yield [name, size(shape), f"{ranks:,}", *(number(1e6 * part) for part in (*parts, parts.total)),
                           f"{efficiency(found, shape_of, dim, ranks, method):.2f}", number(1e6 * slabs)]  # fmt: skip

    parts = ("Python", "memory", "halos", "sums", "gathered level")
    return markdown(("method", "grid", "ranks", *parts, "all, us", "efficiency", "dealt as they come, us"), rows())


def figure(found: dict[str, Any]) -> str:
    """Efficiency over ranks, strong and weak: lines by the model, marks as measured."""
    canvas, grid = figures.blank(10.0, 3.8, 1, 2, sharey=True)
    many = [2**k for k in range(11)]
    titles = {strong_shape: "strong: 1,024² and 100³", weak_shape: "weak: 700² and 80³ a rank"}
    for axes, (shape_of, title) in zip(grid[0], titles.items(), strict=True):
        for method, colour in COLOURS.items():
            for dim, line in ((2, "-"), (3, "--")):
                rates = [efficiency(found, shape_of, dim, ranks, method) for ranks in many]
                axes.semilogx(many, rates, base=2, color=colour, linestyle=line, label=f"{METHODS[method]}, {dim}-D")
        for ranks, rate, method, dim in measured_rates(found, weak=shape_of is weak_shape):
            axes.plot(ranks, rate, marker="os"[dim - 2], color=COLOURS[method], linestyle="")
        figures.decorate(axes, f"{title}; marks: measured", "ranks", "efficiency of an iteration")
        axes.set_ylim(0, 1.3)
    figures.legend(canvas, dict(zip(*reversed(grid[0][0].get_legend_handles_labels()), strict=True)))
    return figures.svg(canvas, "scaling")


def measured_rates(found: dict[str, Any], weak: bool) -> Iterator[tuple[int, float, str, int]]:
    """(ranks, efficiency, method, dimension) of what was measured on more than one rank."""
    alone = {(method, tuple(case["shape"])): case[method]["seconds"] for case in found["runs"][0]["cases"] for method in METHODS}
    for run in found["runs"][1:]:
        for case in run["cases"]:
            first, *rest = case["shape"]
            shape = (first // run["ranks"], *rest) if weak else (first, *rest)
            for method in METHODS:
                if (one := alone.get((method, shape))) is not None:
                    yield run["ranks"], one / case[method]["seconds"] / (1 if weak else run["ranks"]), method, len(shape)
