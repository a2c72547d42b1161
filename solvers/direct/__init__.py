"""Direct factorisations behind the Operator protocol: recipes that return A^-1, applied as F @ b."""

from __future__ import annotations

from typing import Any

from .. import arrays
from . import sparse
from .dense import Dense, Inverse
from .refinement import direct
from .sparse import Cholmod, Factorization, SuperLU


def factorize(A: Any, *, spd: bool | None = None) -> Factorization | Inverse:
    """A^-1 by the best factorisation at hand for a stored A, dense or sparse.

    spd=True promises a Hermitian positive definite A (the dense ones find out by themselves). Raises
    numpy.linalg.LinAlgError if A is singular, TypeError if its entries are not stored.

    >>> import numpy as np
    >>> from petrov.solvers.direct import factorize
    >>> factorize(np.eye(2) * 4.0) @ np.ones(2)
    array([0.25, 0.25])
    """
    return Dense(spd)(A) if arrays.namespace(A) is not None else sparse.factorize(A, spd=spd)


__all__ = ["Cholmod", "Dense", "Factorization", "Inverse", "SuperLU", "direct", "factorize"]
