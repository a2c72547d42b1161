"""Right-hand sides to train on: random combinations of the Ritz vectors of a matrix, the low ones weighted, as in the paper.

Kaneda et al., A deep conjugate direction method for iteratively solving linear systems (ICML 2023), section 5. Where they take
long, `python -m petrov.learned.ritz FAMILY --size N --systems K --folder DATA` writes them first, and `train(data="DATA")` reads
them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ..solvers.krylov.lanczos import Lanczos
from .checkpoint import read, write
from .families import FAMILIES, Member

VECTORS = 512  # Lanczos steps a system
WEIGHT = 9.0  # of the lower half and `BEYOND` of all
BEYOND = 0.05  # theta / m: 500 of 10,000 in the paper
LARGEST_PIECE = 1 << 28  # bytes of vectors a file


@dataclass(frozen=True, slots=True, eq=False)
class RitzBasis:
    """Ritz values (m,), rising, and vectors (m, n), orthonormal rows in single precision."""

    values: np.ndarray
    vectors: np.ndarray

    def combinations(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Rows c of length one (count, m): normal of deviation 9 in the lower half and the next twentieth, of 1 above.

        c @ vectors are right-hand sides; (c / values) @ vectors what solves A x = b as far as Ritz values are eigenvalues.
        """
        m = len(self.values)
        c = rng.standard_normal((count, m), np.float32)
        c[:, : m // 2 + int(BEYOND * m)] *= WEIGHT
        return c / np.linalg.norm(c, axis=1, keepdims=True)


def ritz_basis(
    A: Any, count: int, *, seed: int = 40_487, folder: str | Path | None = None, progress: bool = False, piece: int = 256
) -> RitzBasis:  # fmt: skip
    """The Ritz basis of `count` Lanczos steps with a sparse symmetric positive definite A, from A times a random vector.

    folder: files there, named after A, count and seed, are read if they are there and written if not, `piece` vectors a file,
    while the work goes on: after Ctrl-C or kill -9 the next call takes up the last one written and ends with the same bits.
    progress: a bar on stderr. Steps are in single precision: count (n + 8) numbers of 4 bytes twice, count^2 n multiplications
    twice. Raises what `checkpoint.read` and `Lanczos` raise, ValueError if A is not positive definite.

    >>> from petrov.learned.ritz import ritz_basis
    >>> from petrov.solvers import problems
    >>> basis = ritz_basis(problems.jump(8).A, 20)
    >>> basis.values.shape, basis.vectors.shape
    ((20,), (20, 64))
    """
    A = A.astype(np.float32)
    rows = max(1, min(piece, LARGEST_PIECE // (4 * A.shape[0])))
    store = Store(None if folder is None else Path(folder), name_of(A, count, seed, rows))
    if whole(done := store.parts("ritz")):
        return joined(done)
    start = A @ np.random.default_rng(seed).standard_normal(A.shape[0]).astype(np.float32)
    found = taken_up(Lanczos.begin(start, count), store.parts("lanczos"))
    with bar(progress, found.room, found.steps) as shown:
        while found.steps < found.room and not found.closed:
            before = found.steps
            found = found.extended(A, rows)
            new, after = slice(before, found.steps), slice(before + 1, found.steps + 1)
            part = {"vectors": found.vectors[after], "diagonal": found.diagonal[new], "off": found.off[new]}
            store.write("lanczos", before // rows, part)
            shown(found.steps)
    if not found.values[0] > 0:
        raise ValueError(f"A must be positive definite; its lowest Ritz value is {found.values[0]:.3g}")
    parts = []
    for k, (values, vectors) in enumerate(found.ritz(rows)):
        parts.append({"values": values, "vectors": vectors, "of": np.array([found.steps])})
        store.write("ritz", k, parts[-1])
    store.forget("lanczos")
    return joined(parts)


def taken_up(found: Lanczos, parts: Iterable[dict[str, np.ndarray]]) -> Lanczos:
    """The iteration with the steps that were written before."""
    for part in parts:
        steps = found.steps + len(part["diagonal"])
        found.vectors[found.steps + 1 : steps + 1] = part["vectors"]
        found.diagonal[found.steps : steps], found.off[found.steps : steps] = part["diagonal"], part["off"]
        found = replace(found, steps=steps)
    return found


def whole(parts: list[dict[str, np.ndarray]]) -> bool:
    return bool(parts) and sum(len(part["values"]) for part in parts) == int(parts[0]["of"][0])


def joined(parts: list[dict[str, np.ndarray]]) -> RitzBasis:
    return RitzBasis(*(np.concatenate([part[what] for part in parts]) for what in ("values", "vectors")))


def name_of(A: Any, count: int, seed: int, rows: int) -> str:
    """A name for all that decides the basis."""
    matrix = A.tocsr()
    told = sha256(f"{A.shape} {count} {seed} {rows}\n".encode())
    for part in (matrix.data, matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)):
        told.update(np.ascontiguousarray(part).tobytes())
    return told.hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Store:
    """Numbered parts of a computation as files in a folder; without one, nothing is kept."""

    folder: Path | None
    name: str

    def path(self, what: str, k: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{what}-{self.name}-{k:04}.safetensors"

    def parts(self, what: str) -> list[dict[str, np.ndarray]]:
        """Those that are there, up to the first that is not."""
        found: list[dict[str, np.ndarray]] = []
        while self.folder is not None and self.path(what, len(found)).exists():
            found.append(read(self.path(what, len(found)))[1])
        return found

    def write(self, what: str, k: int, part: dict[str, np.ndarray]) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            write(self.path(what, k), {"kind": what}, part)

    def forget(self, what: str) -> None:
        if self.folder is not None:
            for path in self.folder.glob(f"{what}-{self.name}-*.safetensors"):
                path.unlink()


@contextmanager
def bar(wanted: bool, steps: int, done: int) -> Iterator[Callable[[int], Any]]:
    """shown(step) of a progress bar on stderr, or of none."""
    if not wanted:
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("Lanczos", total=steps, completed=done)
        yield lambda step: progress.update(task, completed=step)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the bases of a family's first systems, as `split` draws them for training."""
    parser = argparse.ArgumentParser(prog="python -m petrov.learned.ritz", description=__doc__)
    parser.add_argument("family", help=", ".join(FAMILIES))
    parser.add_argument("--size", type=int, required=True, help="cells of a grid")
    parser.add_argument("--systems", type=int, default=64)
    parser.add_argument("--seed", type=int, default=71_993, help="of the first system")
    parser.add_argument("--vectors", type=int, default=VECTORS)
    parser.add_argument("--folder", required=True)
    asked = parser.parse_args(argv)
    for k in range(asked.systems):
        system = Member(asked.family, asked.size, asked.seed + k).system()
        ritz_basis(system.A, min(asked.vectors, len(system.b)), folder=asked.folder, progress=True)


if __name__ == "__main__":
    main()
