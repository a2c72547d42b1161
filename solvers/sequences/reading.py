"""The systems of a sequence as they come: a list, a generator read ahead, or an assembly for rows of parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from .. import arrays
from ..arrays import Space
from ..external.petsc import Distributed, is_petsc, ranks_of
from ..recycling import sorting
from .relation import dealt, entries

BINS = 64  # sums of stretches of the entries, which stand for a matrix without parameters


class Source(NamedTuple):
    """Batches of systems, and how many systems there are (None for a generator)."""

    batches: Iterator[Batch]
    total: int | None


class Order(NamedTuple):
    """The numbers of a batch but the first, in the order to solve them in, and whether that is not how they came."""

    rest: list[int]
    moved: bool


@dataclass(slots=True)
class Batch:
    """Systems that are sorted together: `take(k)` gives the k-th (A, b), which is system `first` + k of all."""

    first: int
    count: int
    take: Callable[[int], Any]
    parameters: np.ndarray | None
    matrices: list[Any] | None  # None where they are assembled on demand
    left: Counter[int]

    def __len__(self) -> int:
        return self.count

    def index(self, number: int) -> int:
        return self.first + number

    def system(self, number: int) -> tuple[Any, Any]:
        return pair(self.take(number), self.first + number)

    def uses(self, number: int) -> int:
        """Systems from this one on that share its A, as far as can be seen."""
        if self.matrices is None:
            return 1
        name = id(self.matrices[number])
        self.left[name] -= 1
        return max(1, self.left[name] + 1)

    def shares(self, number: int, other: int) -> bool:
        """Whether two systems have one A, that is one object."""
        return self.matrices is not None and self.matrices[number] is self.matrices[other]

    def order(self, method: str | None, near: bool = True) -> Order:
        """Systems of one A together; groups by the distance of their parameters, or of their matrices, unless `near` is False."""
        came = list(range(1, self.count))
        if method is None or self.count < 3:
            return Order(came, False)
        groups: dict[int, list[int]] = {}
        for number in range(self.count):
            groups.setdefault(number if self.matrices is None else id(self.matrices[number]), []).append(number)
        if len(groups) == 1:
            return Order(came, False)
        leaders = [members[0] for members in groups.values()]
        features = self.features(leaders) if near else None
        along = range(len(leaders)) if features is None else sorting.order(features, method)
        members = list(groups.values())
        order = [number for k in along for number in members[k]][1:]
        return Order(order, order != came)

    def features(self, numbers: list[int]) -> Any:
        """What tells the systems apart; None if nothing does."""
        if self.parameters is not None:
            return self.parameters[numbers]
        if self.matrices is None:
            return None
        if dealt(self.matrices[0]):
            return over_ranks([self.matrices[number] for number in numbers])
        found = [entries(self.matrices[number]) for number in numbers]
        if any(A is None or A.nnz != found[0].nnz or not np.isfinite(A.data).all() for A in found) or found[0].nnz < BINS:
            return None
        starts = np.linspace(0, found[0].nnz, BINS, endpoint=False).astype(int)
        return np.stack([np.add.reduceat(np.abs(A.data), starts) for A in found])


def over_ranks(matrices: list[Any]) -> Any:
    """The like for matrices of PETSc, by sums over stretches of all rows: the same numbers on all ranks, however many."""
    home = Space(np, "float64", "cpu", None, comm=ranks_of(matrices[0]))
    sums, good = np.zeros((len(matrices), BINS)), True
    for number, A in enumerate(matrices):
        rows, mat = entries(A), A.mat if isinstance(A, Distributed) else A
        if good := good and rows is not None and is_petsc(mat) and bool(np.isfinite(rows.data).all()):
            places = (mat.getOwnershipRange()[0] + np.arange(rows.shape[0])) * BINS // mat.getSize()[0]
            np.add.at(sums[number], places, abs(rows).sum(axis=1))
    return arrays.across(sums, home) if arrays.everywhere(good, home) else None


def pair(system: Any, index: int) -> tuple[Any, Any]:
    """(A, b), or a TypeError that says which system is none."""
    if not isinstance(system, (tuple, list)) or len(system) != 2:
        kind = f"{type(system).__name__} of {len(system)}" if isinstance(system, (tuple, list)) else type(system).__name__
        raise TypeError(f"every system must be a pair (A, b); system {index} is a {kind}")
    return system[0], system[1]


def batches(systems: Any, parameters: Any, window: int) -> Source:
    """The batches of a list (one), of (assemble, mus) (one), or of any other iterable (windows of it)."""
    if isinstance(systems, tuple) and len(systems) == 2 and callable(systems[0]) and not hasattr(systems[0], "shape"):
        return assembled(systems[0], systems[1], parameters)
    if isinstance(systems, (list, tuple)):
        known = checked(parameters, len(systems))
        return Source(iter([batch(0, list(systems), known)]), len(systems))
    if not isinstance(systems, Iterable) or hasattr(systems, "shape"):
        raise TypeError(f"systems must be an iterable of (A, b) or a pair (assemble, mus); got {type(systems).__name__}")
    return Source(windows(iter(systems), parameters, window), None)


def assembled(assemble: Callable[[Any], Any], mus: Any, parameters: Any) -> Source:
    mus = np.asarray(mus)
    if mus.ndim == 0 or mus.dtype.kind not in "biufc":
        raise TypeError(f"mus must be an array, one row a system; got dtype {mus.dtype}, shape {mus.shape}")
    known = mus if parameters is None else checked(parameters, len(mus))
    return Source(iter([Batch(0, len(mus), lambda k: assemble(mus[k]), known, None, Counter())]), len(mus))


def windows(systems: Iterator[Any], parameters: Any, window: int) -> Iterator[Batch]:
    first, known = 0, None if parameters is None else np.asarray(parameters)
    while read := list(islice(systems, window)):
        if known is not None and len(known) < first + len(read):
            raise ValueError(
                f"parameters must have a row for every system; got {len(known)} rows, and system {first + len(known)}"
            )
        yield batch(first, read, None if known is None else known[first : first + len(read)])
        first += len(read)


def batch(first: int, read: list[Any], parameters: np.ndarray | None) -> Batch:
    """Of systems that are in memory; each is let go when it is taken."""
    systems: list[Any] = [pair(system, first + k) for k, system in enumerate(read)]
    matrices = [A for A, _ in systems]
    return Batch(first, len(systems), lambda k: systems[k], parameters, matrices, Counter(map(id, matrices)))


def checked(parameters: Any, count: int) -> np.ndarray | None:
    if parameters is None:
        return None
    known = np.asarray(parameters)
    if known.ndim == 0 or len(known) != count:
        raise ValueError(f"parameters must have a row for every one of the {count} systems; got shape {known.shape}")
    return known
