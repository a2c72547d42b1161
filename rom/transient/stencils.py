"""Which unknowns an entry of f(u) depends on, and derivatives by a few differences because the others do not matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

DENSEST = 256  # unknowns per entry, on average, above which no stencil is looked for
STEP = float(np.sqrt(np.finfo(np.float64).eps))


def stencil(f: Callable[[np.ndarray], np.ndarray], states: list[np.ndarray]) -> Any:
    """The sparsity of the derivative of f: R^n -> R^m, found by NaN: f_i becomes NaN if u_j is and f_i depends on u_j.

    Unknowns are set to NaN by blocks; blocks in which something was seen are halved, and those that no entry can confuse go
    together, so that about log2(n) times the largest stencil evaluations are needed for each state. What a branch hides
    (an upwind difference, a maximum) is seen where the branch is taken: give states that take them all. Returns a boolean CSR
    (m, n). Raises ValueError if f is finite at none of the states, or if its entries depend on more than DENSEST unknowns.
    After Griewank and Mitev, Math. Program. 93 (2002) 1, whose search for sparsity also goes from blocks to their parts.

    >>> import numpy as np
    >>> from petrov.rom.transient.stencils import stencil
    >>> stencil(lambda u: u[1:] * u[:-1], [np.ones(4)]).toarray().astype(int)
    array([[1, 1, 0, 0],
           [0, 1, 1, 0],
           [0, 0, 1, 1]])
    """
    total, said = None, ""
    for u in states:
        with np.errstate(all="ignore"):
            try:
                known = np.isfinite(f(u))
            except (ArithmeticError, ValueError) as error:  # a state that f refuses tells nothing
                known, said = np.zeros(1, bool), f" ({error})"
            if known.all():
                found = by_blocks(f, u)
                total = found if total is None else total + found
    if total is None:
        raise ValueError(f"nonlinear is not finite at u0 nor near it{said}: its stencil cannot be found; pass stencil=")
    total.sort_indices()
    return total


def by_blocks(f: Callable[[np.ndarray], np.ndarray], u: np.ndarray) -> Any:
    from scipy.sparse import csr_array

    n = len(u)
    width = 1 << max(n - 1, 0).bit_length()
    rows: Any = np.flatnonzero(np.isnan(f(np.full(n, np.nan))))
    cols: Any = np.zeros(len(rows), np.int64)
    m = len(f(u))
    while width > 1:
        width //= 2
        rows, cols = np.repeat(rows, 2), (2 * cols[:, None] + [0, 1]).ravel()
        inside = cols * width < n
        rows, cols = rows[inside], cols[inside]
        if len(rows) > DENSEST * max(m, 1) and n > DENSEST:
            raise ValueError(f"entries of nonlinear depend on more than {DENSEST} unknowns each: DEIM would not be cheap")
        colour = colours(rows, cols, m, -(-n // width))
        seen = np.zeros(len(rows), bool)
        block = np.arange(n) // width
        for c in range(colour.max(initial=-1) + 1):
            hit = np.isnan(f(np.where(colour[block] == c, np.nan, u)))
            seen |= (colour[cols] == c) & hit[rows]
        rows, cols = rows[seen], cols[seen]
    return csr_array((np.ones(len(rows), bool), (rows, cols)), shape=(m, n))


def colours(rows: np.ndarray, cols: np.ndarray, m: int, n: int) -> np.ndarray:
    """A number (n,) for each column of a pattern, so that two of the same number share no row; -1 for columns without entries.

    Greedy, in order. Curtis, Powell and Reid, IMA J. Appl. Math. 13 (1974) 117.
    """
    from scipy.sparse import csr_array

    pattern = csr_array((np.ones(len(rows), np.int32), (rows, cols)), shape=(m, n))
    near = (pattern.T @ pattern).tocsr()
    indices, indptr, found = near.indices.tolist(), near.indptr.tolist(), [-1] * n
    for j in range(n):
        others = indices[indptr[j] : indptr[j + 1]]
        if others:
            taken, c = {found[i] for i in others}, 0
            while c in taken:
                c += 1
            found[j] = c
    return np.array(found, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Differences:
    """Forward differences of d entries of f at one state or many: entry e is the derivative of f_rows[e] by u_cols[e].

    `needed` (s,): the unknowns that the entries depend on. One evaluation of the entries for each of `count` colours.
    """

    rows: np.ndarray
    cols: np.ndarray
    needed: np.ndarray
    colour: np.ndarray  # (s,)
    places: np.ndarray  # cols = needed[places]

    @classmethod
    def of(cls, pattern: Any) -> Differences:
        """From the rows of a pattern (d, n)."""
        csr = pattern.tocsr()
        rows = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr))
        needed, places = np.unique(csr.indices, return_inverse=True)
        colour = colours(rows, places, csr.shape[0], len(needed))
        return cls(rows, needed[places] if len(needed) else csr.indices, needed, colour, places)

    @property
    def count(self) -> int:
        return int(self.colour.max(initial=-1)) + 1

    def steps(self, values: np.ndarray) -> np.ndarray:
        """How far each of the needed unknowns (..., s) is moved: relative to it, and to the others where it is small."""
        scale = np.maximum(np.abs(values), 1e-3 * np.abs(values).max(axis=-1, initial=0.0, keepdims=True))
        h = STEP * np.where(scale > 0, scale, 1.0)
        return (values + h) - values

    def entries(self, values: np.ndarray, f: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(derivatives (m, entries), f (m, d)) from f: the needed unknowns (k, s) -> the entries (k, d), at values (m, s)."""
        m, count = len(values), self.count
        h = self.steps(values)
        moved = np.broadcast_to(values, (count + 1, *values.shape)).copy()
        for c in range(count):
            moved[c + 1] += np.where(self.colour == c, h, 0.0)
        found = f(moved.reshape((count + 1) * m, -1)).reshape(count + 1, m, -1)
        difference = found[1:] - found[:1]
        return difference[self.colour[self.places], :, self.rows].T / h[:, self.places], found[0]
