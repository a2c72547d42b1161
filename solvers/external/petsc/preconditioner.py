"""Preconditioners of PETSc as ours: any PC, by its type and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .library import library, options
from .matrix import applied, petsc_matrix


@dataclass(frozen=True, slots=True, eq=False)
class PETSc:
    """The recipe for M = one application of a PC of PETSc.

    Parameters
    ----------
    kind : str
        The type, as -pc_type has it: 'gamg', 'hypre', 'icc', 'asm', 'bjacobi', 'lu', ...
    options : mapping
        As on the command line without the dash, {'pc_hypre_type': 'boomeramg'}; True for one without a value.
    spd : bool, optional
        What is known of M; by default True for types that are symmetric positive definite where A is ('jacobi', 'icc',
        'cholesky', 'gamg', 'hypre'), None for others, with which `petrov.solve` takes flexible_cg or gmres.
    near_nullspace : (n, k) array, optional
        Of the rows of this rank; given to PETSc with the matrix. `bind` sets it.
    prefix : str, optional
        Of options on the command line or in PETSC_OPTIONS, which then come before `kind` and `options`: with "flow_",
        -flow_pc_type icc makes this ICC; "" for those without a prefix. None: they are not looked at.

    Notes
    -----
    A: a Mat of petsc4py, `Distributed`, or anything of ours with stored entries, which is copied into a Mat on this rank. On
    several ranks every rank makes it and applies it. Set-up is PETSc's PCSetUp. ImportError naming the extra if petsc4py is
    missing; ValueError with PETSc's message if the set-up fails. The PETSc team, PETSc/TAO users manual (2024), chapter on KSP.

    Examples
    --------
    >>> from petrov.solvers.external.petsc import PETSc
    >>> PETSc("hypre", {"pc_hypre_type": "boomeramg"}).name
    'petsc hypre'
    """

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    spd: bool | None = None
    near_nullspace: Any = None
    prefix: str | None = None

    @property
    def name(self) -> str:
        return f"petsc {self.kind}"

    def bind(self, *, near_nullspace: Any = None, **_: Any) -> PETSc:
        """The recipe with a near null space that is known."""
        return self if near_nullspace is None else replace(self, near_nullspace=near_nullspace)

    def __call__(self, A: Any) -> Applied:
        mat = petsc_matrix(A)
        if self.near_nullspace is not None:
            mat.setNearNullSpace(space_of(mat, self.near_nullspace))
        with options({**self.options, "pc_type": self.kind}, self.prefix) as prefix:
            pc = library().PC().create(comm=mat.getComm())
            pc.setOptionsPrefix(prefix)
            pc.setOperators(mat)
            try:
                pc.setFromOptions()
                pc.setUp()
            except library().Error as error:
                raise ValueError(f"PETSc could not set up -pc_type {self.kind} {dict(self.options) or ''}: {error}") from error
        x, y = mat.createVecs()
        kind = pc.getType()
        known = self.spd if self.spd is not None else (True if kind in SPD else None)
        rows = mat.getLocalSize()[0]
        return Applied(pc, x, y, (rows, rows), np.dtype(library().ScalarType), f"petsc {kind}", known)


SPD = ("none", "jacobi", "icc", "cholesky", "gamg", "hypre")


def space_of(mat: Any, vectors: Any) -> Any:
    """Orthonormalised columns (m, k) as a near null space of PETSc."""
    rows: list[Any] = []
    for column in np.asarray(vectors, float).reshape(mat.getLocalSize()[0], -1).T:
        vec = mat.createVecRight()
        vec.setArray(np.ascontiguousarray(column))
        for other in rows:
            vec.axpy(-vec.dot(other), other)
        vec.normalize()
        rows.append(vec)
    return library().NullSpace().create(vectors=rows, comm=mat.getComm())


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """M = the application of a PC; M @ r of a local array (m,) or (m, k)."""

    pc: Any
    x: Any
    y: Any
    shape: tuple[int, int]
    dtype: np.dtype
    name: str
    spd: bool | None
    linear: bool = True

    @property
    def H(self) -> Applied:
        if not self.spd:
            raise TypeError(f"the adjoint of {self.name} is not known; declare spd=True if it is its own")
        return self

    def __matmul__(self, r: Any) -> np.ndarray:
        if r.ndim == 2:
            return np.stack([self @ r[:, k] for k in range(r.shape[1])], axis=1) if r.shape[1] else np.array(r)
        return applied(self.pc.apply, self.x, self.y, r)

    def __repr__(self) -> str:
        return f"{self.name}: {self.shape[0]} x {self.shape[1]} on this rank"
