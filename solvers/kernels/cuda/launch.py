"""Device code: read from the files beside this one, compiled by CuPy for the types in hand, started on the current stream."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

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


@cache
def most_blocks(device: int, library: Any) -> int:
    return BLOCKS * int(library.cuda.Device(device).attributes["MultiProcessorCount"])


def grid(rows: int, columns: int = 1) -> tuple[int]:
    """Blocks that share so many rows of so many columns: as many as fit on the device at once, or fewer."""
    import cupy

    return (max(1, min(most_blocks(int(cupy.cuda.Device().id), cupy), -(-rows // max(THREADS // columns, 1)))),)


def launch(kernel: Any, rows: int, columns: int, *arguments: Any) -> None:
    """Start kernel(rows, columns, *arguments) on the current stream."""
    kernel(grid(rows, columns), (THREADS,), (rows, columns, *arguments))


@dataclass(slots=True, eq=False)
class Scratch:
    """What the sums of one solve need beside their result: the partial sums of the blocks and the ticket of the last to come.

    `active` is all columns; r^H r of the last step, `rr`, and the `floor` at which a column rests until the host has looked. A
    solve has a scratch of its own, so that solves on several streams do not meet.
    """

    partials: Any
    ticket: Any
    active: Any
    rr: Any
    floor: Any

    def aim(self, norms: Any) -> None:
        """Steps from here on rest where ||r|| is at most norms (k,)."""
        import cupy

        self.rr, self.floor = cupy.full(len(norms), cupy.inf), cupy.asarray(norms**2)


def scratch(space: Space) -> Scratch:
    import cupy

    columns = space.columns or 1
    most = most_blocks(int(cupy.cuda.Device().id), cupy)
    partials, ticket = cupy.empty(2 * most * columns), cupy.zeros(1, cupy.uint32)
    return Scratch(partials, ticket, cupy.ones(columns, bool), cupy.ones(columns), cupy.zeros(columns))


__all__ = ["MOST_COLUMNS", "THREADS", "Scratch", "grid", "kernels", "launch", "scratch", "source"]
