"""Jacobi: the inverse of the diagonal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import arrays
from ..arrays import Space
from ..operator import Diagonal, checked


@dataclass(frozen=True, slots=True, eq=False)
class Jacobi:
    """The recipe for M = diag(A)^-1: the cheapest preconditioner, and the one that the kernels fuse into an iteration.

    Parameters
    ----------
    diagonal : (n,) array, optional
        The diagonal of A, for an A that cannot tell it (a LinearOperator, an object with @ alone).

    Notes
    -----
    Called with A it returns a `Diagonal`, `spd` if every entry is real and positive. Memory and traffic: one vector. Raises
    ValueError if an entry is zero or too small to invert, TypeError if A cannot tell its diagonal. Saad, Iterative Methods
    for Sparse Linear Systems (2003), section 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.solvers.preconditioners import Jacobi
    >>> M = Jacobi()(np.array([[4.0, 1.0], [1.0, 2.0]]))
    >>> M @ np.ones(2), M.spd
    (array([0.25, 0.5 ]), True)
    """

    diagonal: Any = None

    name = "jacobi"
    on_device = True

    def __call__(self, A: Any) -> Diagonal:
        A = checked(A)
        d = diagonal_of(A, self.diagonal)
        if d is None:
            raise TypeError(
                f"Jacobi needs the diagonal of A, which {type(A).__name__} does not tell; give it: Jacobi(diagonal=d) with d (n,)"
            )
        inverse = reciprocal(d)
        return Diagonal(inverse, name=self.name, spd=positive(d))


def diagonal_of(A: Any, given: Any = None) -> Any | None:
    """The diagonal of A (n,) in A's library, floating point; None if neither the caller nor A tells it."""
    d = given if given is not None else own_diagonal(A)
    if d is None:
        return None
    xp = arrays.namespace(d)
    if xp is None or tuple(d.shape) != (A.shape[0],):
        got = tuple(d.shape) if hasattr(d, "shape") else type(d).__name__
        raise ValueError(f"the diagonal of A {tuple(A.shape)} must be an array of shape ({A.shape[0]},); got {got}")
    space = Space(xp, arrays.working_dtype(arrays.dtype_name(d)), arrays.device(d), None)
    return arrays.asarray(arrays.detach(d), space)


def own_diagonal(A: Any) -> Any | None:
    """What A says of its diagonal: a method `diagonal`, the entries of an array, or those of a torch sparse tensor."""
    if callable(getattr(A, "to_sparse_coo", None)) and str(A.layout) != "torch.strided":
        entries = A.to_sparse_coo().coalesce()
        (rows, columns), values = entries.indices(), entries.values()
        d = values.new_zeros(A.shape[0])
        d[rows[rows == columns]] = values[rows == columns]
        return d
    if callable(getattr(A, "diagonal", None)):
        return A.diagonal()
    xp = arrays.namespace(A)
    return None if xp is None else xp.linalg.diagonal(A)


def reciprocal(d: Any) -> Any:
    """1 / d. ValueError naming the first row whose entry is zero or has no finite inverse; NaN and infinity pass through."""
    xp: Any = arrays.namespace(d)
    bad = xp.abs(d) < float(np.finfo(arrays.REAL[arrays.dtype_name(d)]).smallest_normal)
    if bool(xp.any(bad)):
        row = int(np.flatnonzero(arrays.to_numpy(bad))[0])
        raise ValueError(
            f"A has {arrays.scalar(d[row])} on the diagonal in row {row}, which has no inverse; reorder or scale A, or use a "
            "preconditioner that needs no diagonal (IncompleteLU, or M=None)"
        )
    return 1.0 / d


def positive(d: Any) -> bool:
    """Whether every entry is positive, and real up to the rounding of an assembly."""
    xp: Any = arrays.namespace(d)
    if not arrays.dtype_name(d).startswith("complex"):
        return bool(xp.all(d > 0))
    rounding = 1e-12 if arrays.dtype_name(d) == "complex128" else 1e-6
    return bool(xp.all(xp.real(d) > 0)) and bool(xp.all(xp.abs(xp.imag(d)) <= rounding * xp.real(d)))
