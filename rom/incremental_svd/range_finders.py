"""The leading directions of a wide block outside a basis, without orthogonalising the whole block."""

from __future__ import annotations

from typing import Any

import numpy as np

from .blocks import adjoint_product
from .growing_basis import GrowingBasis


def randomized(left: GrowingBasis, E: Any, most: int, rng: np.random.Generator, power: int) -> np.ndarray:
    """Coordinates of E but for the part outside `left` that a random range finder of width `most` does not see.

    Halko, Martinsson and Tropp, SIAM Rev. 53 (2011) 217, algorithm 4.4, on (I - W W^H) E.
    """
    left.prepare(E.dtype, most)
    c = left.coordinates(E)
    sample = rng.standard_normal((E.shape[1], most)).astype(left.D.real.dtype)
    for _ in range(power):
        _, T = left.outside(E @ sample)
        Q = left.free(len(T))
        sample = np.linalg.qr(adjoint_product(Q, E).conj().T)[0].astype(E.dtype)
    _, T = left.outside(E @ sample)
    return left.commit(c, adjoint_product(left.free(len(T)), E))


def lanczos(left: GrowingBasis, E: Any, most: int, rng: np.random.Generator) -> np.ndarray:
    """Coordinates of E but for the part outside `left` that `most` steps of Golub-Kahan-Lanczos do not see.

    On (I - W W^H) E, both families of vectors re-orthogonalised: Golub and Van Loan, Matrix Computations (2013), section 10.4.
    """
    left.prepare(E.dtype, most)
    c = left.coordinates(E)
    P = GrowingBasis(E.shape[1], E.dtype, most)
    P.prepare(E.dtype, most)
    p = rng.standard_normal((E.shape[1], 1)).astype(E.dtype)
    for _ in range(most):
        _, T = P.outside(p)
        if not len(T):
            break
        P.commit(np.zeros((P.width, 1)), T)
        _, T = left.outside(np.asarray(E @ P.D[:, P.dense - 1 : P.dense]))
        if not len(T):
            break
        row = adjoint_product(left.free(1), E)  # q^H E: q is outside W
        c = left.commit(c, row)
        p = row.conj().T.astype(E.dtype)
    return c
