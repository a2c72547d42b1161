"""Blocks of rows in colours, so that the sweeps through a triangular factor may take the blocks of one colour at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..storage import CSR

FEWEST = 4  # blocks: two of each colour


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """An order of n rows: block b holds rows starts[b] to starts[b + 1] of the new order, which are rows i + shifts[b] of the
    old one; colour c holds blocks colours[c] to colours[c + 1]. All int64."""

    starts: np.ndarray
    shifts: np.ndarray
    colours: np.ndarray

    @property
    def count(self) -> int:
        return len(self.shifts)

    def original(self, row: int) -> int:
        """The old number of a row."""
        return row + int(self.shifts[np.searchsorted(self.starts, row, side="right") - 1])

    @property
    def nbytes(self) -> int:
        return self.starts.nbytes + self.shifts.nbytes + self.colours.nbytes


def one_block(n: int) -> Blocks:
    """The order as it is."""
    return Blocks(np.array([0, n]), np.zeros(1, np.int64), np.array([0, 1]))


def coloured(csr: CSR, rows: int) -> tuple[CSR, Blocks]:
    """(A reordered, the order): blocks of `rows` rows that follow each other, coloured one after another in their order.

    A comes back as it is, in one block, where fewer than two blocks a colour would be left (few rows, or rows that couple far
    apart) or where rows is 0. Iwashita, Nakashima and Takahashi, IPDPS 2012 (algebraic block multicolour ordering).
    """
    from ..kernels import triangular as kernels

    n = csr.shape[0]
    count = -(-n // rows) if rows else 1
    if count < FEWEST:
        return csr, one_block(n)
    coupled = np.zeros((count, count), bool)
    kernels.couplings(rows, csr.indptr, csr.indices, coupled)
    colour = greedy_colours(coupled | coupled.T)
    if 2 * (colour.max() + 1) > count:
        return csr, one_block(n)
    order = np.argsort(colour, kind="stable")
    sizes = np.minimum((order + 1) * rows, n) - order * rows
    starts = np.concatenate([[0], np.cumsum(sizes)])
    blocks = Blocks(starts, order * rows - starts[:-1], np.concatenate([[0], np.cumsum(np.bincount(colour))]))
    moves = np.empty(count, np.int64)
    moves[order] = -blocks.shifts
    indptr, indices, values = np.empty_like(csr.indptr), np.empty_like(csr.indices), np.empty_like(csr.values)
    kernels.renumber(rows, starts, blocks.shifts, moves, csr.indptr, csr.indices, csr.values, indptr, indices, values)
    return CSR(values, indices, indptr, csr.shape, None), blocks


def greedy_colours(coupled: Any) -> np.ndarray:
    """The smallest colour that no neighbour before it has, node by node; coupled (k, k) is symmetric."""
    colour = np.full(len(coupled), -1)
    for b in range(len(coupled)):
        taken = set(colour[:b][coupled[b, :b]].tolist())
        colour[b] = next(c for c in range(b + 1) if c not in taken)
    return colour
