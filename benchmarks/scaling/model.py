"""Seconds of an iteration from what it moves: memory, halos, sums over ranks, the level that every rank has whole, and Python.

    t = python + sum of bytes / speed + messages * latency + sent / link + gathers * gather(8 p) + gather(8 G) + t_G

with gather(b) = call + ceil(log2 p) * latency + b (p - 1) / (p link): our sums over ranks are gathers of one number a rank, added
in the order of the ranks. Nothing overlaps, and the busiest rank counts. Bytes are those of a write-allocate cache: what is
written without having been read is read first. A speed is what a kind of loop reaches, which is less than what memory gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

DOUBLE, INDEX = 8, 4
WRITTEN = 2 * DOUBLE  # fetched and stored
BINARY = 2 * DOUBLE + WRITTEN  # z = x + y of whole vectors, as NumPy makes it
SCALED = DOUBLE + WRITTEN  # y = c x
JACOBI_SWEEPS = (2 + 7 + 4) * DOUBLE


class Kinds(NamedTuple):
    """Bytes, or bytes a second of one rank with all at work, by who moves them: PETSc's products, the compiled sweeps of cg over
    its vectors, and NumPy's operations on whole arrays, of which the smoother is made."""

    products: float
    sweeps: float
    arrays: float

    def times(self, factor: float) -> Kinds:
        return Kinds(*(factor * one for one in self))

    def plus(self, other: Kinds) -> Kinds:
        return Kinds(*(one + more for one, more in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Machine:
    """speed, link: bytes a second, in memory and sent by a rank; latency: seconds of a message; call: of a gather besides."""

    speed: Kinds
    latency: float
    link: float
    call: float


@dataclass(frozen=True, slots=True)
class Iteration:
    """What the busiest rank does in one: seconds of Python, bytes in memory, sums over ranks, messages and bytes sent; the rows
    of the level that every rank has whole, and its seconds there."""

    python: float
    memory: Kinds
    gathers: float
    messages: float = 0.0
    sent: float = 0.0
    gathered: int = 0
    coarse: float = 0.0


class Parts(NamedTuple):
    """Seconds of one iteration."""

    python: float
    memory: float
    halos: float
    sums: float
    coarse: float

    @property
    def total(self) -> float:
        return sum(self)


def seconds(work: Iteration, machine: Machine, ranks: int) -> Parts:
    """The formula above, term by term."""
    return Parts(
        work.python,
        sum(moved / speed for moved, speed in zip(work.memory, machine.speed, strict=True)),
        work.messages * machine.latency + work.sent / machine.link,
        work.gathers * gather(machine, ranks, DOUBLE * ranks),
        work.coarse + (gather(machine, ranks, DOUBLE * work.gathered) if work.gathered else 0.0),
    )


def gather(machine: Machine, ranks: int, size: float) -> float:
    """Seconds until every rank has the `size` bytes of all, by recursive doubling (Thakur et al., IJHPCA 19, 2005)."""
    if ranks == 1:
        return 0.0
    return machine.call + math.ceil(math.log2(ranks)) * machine.latency + size * (ranks - 1) / (ranks * machine.link)


# -- Bytes of memory, a row ------------------------------------------------------------------------------------------------


def product(entries: float) -> float:
    """y = A x in CSR with 32-bit columns: entries a row, row pointers, x once, y."""
    return entries * (DOUBLE + INDEX) + INDEX + DOUBLE + WRITTEN


def jacobi_cg(entries: float) -> Kinds:
    """A p; p.q; x, r, p, q, d read and x, r written; d, r, p read and p written."""
    return Kinds(product(entries), JACOBI_SWEEPS, 0.0)


def plain_cg(entries: float) -> Kinds:
    """The same with z = M r in memory: A p; p.q; x, r, p, q read and x, r written; r.z; z, p read and p written."""
    return Kinds(product(entries), (2 + 6 + 2 + 3) * DOUBLE, 0.0)


def polynomial(entries: float, degree: int) -> Kinds:
    """`chebyshev.Polynomial` scaled by the diagonal, operation by operation."""
    return Kinds(degree * product(entries), 0.0, BINARY + SCALED + degree * (4 * BINARY + 2 * SCALED))


def level(entries: float, transfer: float, coarse: float, degree: int) -> Kinds:
    """One level of the V-cycle: two polynomials, two residuals, to the coarse rows (`coarse` of them for a fine one) and back.
    transfer: entries of P for a fine row."""
    across = 2 * (transfer * (DOUBLE + INDEX) + INDEX) + (DOUBLE + WRITTEN) * (1 + coarse)
    return polynomial(entries, degree).times(2).plus(Kinds(2 * product(entries) + across, 0.0, 4 * BINARY))
