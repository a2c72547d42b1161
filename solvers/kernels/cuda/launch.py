"""Device code: read from the files beside this one, compiled by CuPy for the types in hand, started on the current stream."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ... import arrays
from ...arrays import Space, dtype_name

THREADS = 256  # of a block
BLOCKS = 8  # at most, for every multiprocessor: as many as it holds at once
LETTERS = {
    "float32": "float", "float64": "double", "complex64": "Pair32", "complex128": "Pair64", "uint8": "unsigned char",
    "uint16": "unsigned short", "uint32": "unsigned int", "uint64": "unsigned long long", "int64": "long long",
}  # fmt: skip
OPTIONS = ("--std=c++17",)
MOST_COLUMNS = 256  # of a block of vectors: a thread for each


@cache
def text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def source(files: tuple[str, ...], types: tuple[tuple[str, str], ...], threads: int) -> str:
    """What NVRTC compiles: the types by name (V, S, I, P, D; NumPy's names), then the files behind the prelude.

    A pair of reals is known by its name only once the prelude has said what it is; the types stand between.
    """
    head, marker, tail = text("prelude.cuh").partition("struct Pair64 { double re, im; };\n")
    named = "".join(f"typedef {LETTERS[dtype]} {letter};\n" for letter, dtype in types)
    return "".join([f"#define THREADS {threads}\n", head, marker, named, tail, *map(text, files)])


@cache
def module(files: tuple[str, ...], types: tuple[tuple[str, str], ...], threads: int, device: int, library: Any) -> dict[str, Any]:
    """The kernels of these files for these types on this device, by name, compiled when first asked for."""
    return Functions(library.RawModule(code=source(files, types, threads), options=OPTIONS))


class Functions(dict[str, Any]):
    """The functions of a module of CuPy, each looked up once."""

    def __init__(self, compiled: Any) -> None:
        super().__init__()
        self.compiled = compiled

    def __missing__(self, name: str) -> Any:
        self[name] = self.compiled.get_function(name)
        return self[name]


def kernels(*files: str, **types: Any) -> dict[str, Any]:
    """The kernels of `files` on the current device, with arrays or dtypes for the letters of their types."""
    import cupy

    pairs = tuple(sorted((letter, dtype if isinstance(dtype, str) else dtype_name(dtype)) for letter, dtype in types.items()))
    return module(files, pairs, THREADS, int(cupy.cuda.Device().id), cupy)


def columns_of(x: Any) -> int:
    """Of x (n,) or (n, k)."""
    return 1 if x.ndim == 1 else int(x.shape[1])


@cache
def blocks_on(device: int, library: Any) -> int:
    return BLOCKS * int(library.cuda.Device(device).attributes["MultiProcessorCount"])


def most_blocks() -> int:
    """As many as fit on the current device at once."""
    import cupy

    return blocks_on(int(cupy.cuda.Device().id), cupy)


def grid(rows: int, columns: int = 1) -> tuple[int]:
    """Blocks that share so many rows of so many columns: as many as fit on the device at once, or fewer."""
    if columns > THREADS:  # its kernel would do nothing
        raise ValueError(f"a block of {THREADS} threads takes as many columns at most; got {columns}; take fewer at once")
    return (max(1, min(most_blocks(), -(-rows // max(THREADS // columns, 1)))),)


def launch(kernel: Any, rows: int, columns: int, *arguments: Any) -> None:
    """Start kernel(rows, columns, *arguments) on the current stream."""
    kernel(grid(rows, columns), (THREADS,), (rows, columns, *arguments))


class Board:
    """Room for the scalars of several iterations, side by side, so that the host reads them in one transfer.

    They are handed out in turn, and again after `count`: what is needed longer is copied.
    """

    def __init__(self, count: int, columns: int | None) -> None:
        import cupy
        import cupyx

        shape = (count,) if columns is None else (count, columns)
        self.values = cupy.empty(shape)
        self.views = [self.values[place] for place in range(count)]
        self.places = {id(view): place for place, view in enumerate(self.views)}
        self.next, self.landing, self.sent = 0, [cupyx.empty_pinned(shape) for _ in range(2)], 0

    def take(self) -> Any:
        view, self.next = self.views[self.next], (self.next + 1) % len(self.views)
        return view

    def send(self, batch: list[tuple[Any, ...]]) -> Flight:
        """Start the transfer of all scalars to one of two landing places; the queue of the device goes on."""
        out, self.sent = self.landing[self.sent % 2], self.sent + 1
        places = [tuple(None if scalar is None else self.places[id(scalar)] for scalar in scalars) for scalars in batch]
        return Flight(places, out, arrays.fetch(self.values, out))


@dataclass(frozen=True, slots=True)
class Flight:
    """Scalars on their way: where each will stand in `landing` once `event` has happened."""

    places: list[tuple[int | None, ...]]
    landing: Any
    event: Any

    def arrived(self) -> list[tuple[Any, ...]]:
        """The scalars: floats, or rows (k,)."""
        arrays.landed(self.event, self.landing)
        read = self.landing.copy() if self.landing.ndim > 1 else self.landing.tolist()
        return [tuple(None if place is None else read[place] for place in places) for places in self.places]


@dataclass(slots=True, eq=False)
class Scratch:
    """What the sums of one solve need beside their result: the partial sums of the blocks and the ticket of the last to come.

    `active` is all columns; r^H r of the last step, `rr`, and the `floor` at which a column rests until the host has looked;
    `board`, where scalars go if the host looks now and then. A solve has a scratch of its own: solves on several streams do not
    meet.
    """

    partials: Any
    ticket: Any
    active: Any
    rr: Any
    floor: Any
    board: Board | None

    def aim(self, norms: Any) -> None:
        """Steps from here on rest where ||r|| is at most norms (k,)."""
        import cupy

        self.rr, self.floor = cupy.full(len(norms), cupy.inf), cupy.asarray(norms**2)


def scratch(space: Space) -> Scratch:
    """That of one solve, whose iterations have three scalars at most."""
    import cupy

    columns = space.columns or 1
    board = Board(4 * space.interval, space.columns) if space.interval > 1 else None
    partials, ticket = cupy.empty(2 * most_blocks() * columns), cupy.zeros(1, cupy.uint32)
    return Scratch(partials, ticket, cupy.ones(columns, bool), cupy.ones(columns), cupy.zeros(columns), board)


__all__ = [
    "MOST_COLUMNS", "THREADS", "Board", "Flight", "Scratch", "columns_of", "grid", "kernels", "launch", "scratch", "source",
]  # fmt: skip
