"""The fused verbs of the iterations: one readable form for any array library, one compiled form for NumPy on a CPU.

`verbs(A, space)` picks the module; both offer the same functions with the same meaning, and a test compares them:

    product(A, x, space)                          A x, with its shape and type checked
    residual(A, b, x, space)                      b - A x in at least double precision
    apply_dot(A, p, q, space)                     q = A p and p^H q
    precondition(M, r, z, space)                  z = M r and r^H z (M.apply_dot(r, z) where M has it)
    step(M, rz, pq, p, q, x, r, z, active, space) x + alpha p, r - alpha q, z = M r, r^H r, r^H z with alpha = rz / pq
    combine(M, rz, rz_old, z, p, space)           z + (rz / rz_old) p

Vectors handed in may be overwritten and are handed back: callers use what is returned. Where M is diagonal, the compiled step
hands back r for z, and combine, which is told M, makes z on the way. A denominator that is not finite
and positive leaves the vectors as they are, so x stays finite until the host looks.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..arrays import Space
from ..storage import Stored
from . import columns, reference
from .cuda import verbs as of_gpu
from .cuda.launch import MOST_COLUMNS

COMPILED_FROM = 10_000  # rows from which an operator known by products gets compiled updates: BLAS takes threads there


def verbs(A: Any, space: Space) -> ModuleType:
    """The verbs for vectors of this space: compiled for NumPy vectors and blocks and for a GPU, the array API form otherwise."""
    if space.is_cupy and (space.columns is None or 0 < space.columns <= MOST_COLUMNS):
        return of_gpu
    if not space.is_numpy or not (isinstance(A, Stored) or A.shape[0] >= COMPILED_FROM):
        return reference
    # Compiled code and its compiler are loaded when first needed.
    if space.columns is None:
        from . import cpu

        return cpu
    from . import block

    return block


def blocks(A: Any, space: Space) -> ModuleType:
    """The module whose `Block` keeps the columns of a block method for this A: by tiles where kernels are compiled for it."""
    if isinstance(A, Stored) and space.is_numpy and space.dtype == "float64" == A.dtype.name:
        from . import tiles

        return tiles
    return columns


__all__ = ["COMPILED_FROM", "blocks", "verbs"]
