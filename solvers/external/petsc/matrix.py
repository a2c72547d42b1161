"""Matrices and vectors of PETSc as ours: a rank holds the rows that it owns, and sees vectors as NumPy arrays of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from .library import library

ASSEMBLED = ("seqaij", "mpiaij", "seqbaij", "mpibaij", "seqsbaij", "mpisbaij", "aij", "baij", "sbaij")


def is_petsc(x: Any) -> bool:
    """Whether x is an object of petsc4py, without importing it."""
    return type(x).__module__.partition(".")[0] == "petsc4py"


def adopt(A: Any) -> Any:
    """A petsc4py Mat as an operator of ours; anything else as it is.

    On one rank an assembled matrix becomes a SciPy CSR matrix, which every method and preconditioner of ours takes; on several,
    and for shell matrices, it is known by its products: `Distributed`.
    """
    if not is_petsc(A):
        return A
    if not hasattr(A, "getOwnershipRange") or not hasattr(A, "mult"):
        raise TypeError(f"A must be a matrix; got a petsc4py {type(A).__name__}")
    if A.getComm().getSize() == 1 and A.getType() in ASSEMBLED:
        return csr_of(A)
    return Distributed.of(A)


def ranks_of(A: Any) -> Any:
    """The communicator, of mpi4py, of the ranks that hold the rows of A; None where this process has them all."""
    if not is_petsc(A):
        return getattr(A, "comm", None)
    return A.getComm().tompi4py() if A.getComm().getSize() > 1 else None


def known_spaces(A: Any) -> tuple[Any, Any]:
    """(null space, near null space) that a Mat carries, as `petrov.solve` takes them; None where there is none."""
    if not is_petsc(A):
        return None, None
    null, near = A.getNullSpace(), A.getNearNullSpace()
    return vectors_of(null, A), None if (found := vectors_of(near, A)) is None or isinstance(found, str) else found


def vectors_of(space: Any, mat: Any) -> Any:
    """'constant', an array (m, d) of the rows of this rank, or None."""
    if not space.handle:
        return None
    vectors = [vec.getArray(readonly=True).copy() for vec in space.getVecs()]
    if space.hasConstant():
        if not vectors:
            return "constant"
        vectors.append(np.ones(len(vectors[0])))
    return np.stack(vectors, axis=1) if vectors else None


def csr_of(mat: Any) -> sp.csr_array:
    """The rows that this rank owns, all columns."""
    mat = mat.convert("aij") if "baij" in mat.getType() else mat
    indptr, indices, values = mat.getValuesCSR()
    first, last = mat.getOwnershipRange()
    return sp.csr_array((values, indices, indptr), shape=(last - first, mat.getSize()[1]))


@dataclass(frozen=True, slots=True, eq=False)
class Distributed:
    """The rows of a matrix that one rank owns: A @ x of local arrays (m,) or (m, k). Every rank has to call it.

    `shape` is (m, m), of this rank; `comm` the communicator of mpi4py, None on one rank; `global_size` all unknowns. Products are
    PETSc's, in its scalar type, without copies of x.
    """

    mat: Any
    shape: tuple[int, int]
    dtype: np.dtype
    comm: Any
    global_size: int
    x: Any
    y: Any

    @classmethod
    def of(cls, mat: Any) -> Distributed:
        rows, columns = mat.getLocalSize()
        if mat.getSize()[0] != mat.getSize()[1] or rows != columns:
            raise ValueError(
                f"A must be square, with rows and columns dealt alike; got {mat.getSize()} and on this rank {rows} x {columns}"
            )
        comm = mat.getComm()
        x, y = mat.createVecs()
        ours = comm.tompi4py() if comm.getSize() > 1 else None
        return cls(mat, (rows, rows), np.dtype(library().ScalarType), ours, mat.getSize()[0], x, y)

    def __matmul__(self, x: Any) -> np.ndarray:
        if x.ndim == 2:
            return np.stack([self @ x[:, k] for k in range(x.shape[1])], axis=1) if x.shape[1] else np.array(x)
        return applied(self.mat.mult, self.x, self.y, x)

    @property
    def assembled(self) -> bool:
        """Whether its entries are stored."""
        return self.mat.getType() in ASSEMBLED

    @property
    def H(self) -> Distributed:
        """The adjoint, whose products are PETSc's with the transposed matrix."""
        return Distributed.of(self.mat.copy().hermitianTranspose())

    def diagonal(self) -> np.ndarray:
        return self.mat.getDiagonal().getArray().copy()

    def block(self) -> sp.csr_array:
        """The square block of the rows and columns that this rank owns."""
        first, last = self.mat.getOwnershipRange()
        return csr_of(self.mat)[:, first:last]

    def __repr__(self) -> str:
        ranks = 1 if self.comm is None else self.comm.Get_size()
        return f"{self.mat.getType()} of PETSc: {self.global_size} unknowns on {ranks} ranks, {self.shape[0]} here"


def applied(operation: Any, x: Any, y: Any, array: Any) -> np.ndarray:
    """operation(x, y) on the vectors x, y of PETSc, with x standing on the array and y on a new one."""
    scalar = library().ScalarType
    wide = np.result_type(array.dtype, scalar)
    if np.dtype(scalar).kind != "c" and wide.kind == "c":
        raise TypeError("this PETSc has real numbers, and b is complex: solve for its real and imaginary parts")
    source, target = np.ascontiguousarray(array, scalar), np.empty(y.getLocalSize(), scalar)
    x.placeArray(source)
    y.placeArray(target)
    try:
        operation(x, y)
    finally:
        x.resetArray()
        y.resetArray()
    return target


def local_vector(b: Any) -> Any:
    """A petsc4py Vec as an array of the entries that this rank owns, copied; anything else as it is."""
    if not is_petsc(b):
        return b
    if not hasattr(b, "getArray"):
        raise TypeError(f"b must be a vector; got a petsc4py {type(b).__name__}")
    return b.getArray(readonly=True).copy()


def like(b: Any, x: np.ndarray) -> Any:
    """x as a vector of PETSc distributed like b."""
    vec = b.duplicate()
    vec.setArray(x)
    return vec


def petsc_matrix(A: Any) -> Any:
    """Any A as a Mat: that of a Distributed, an assembled one on this rank of stored entries, else a shell of products."""
    PETSc = library()
    if isinstance(A, Distributed):
        return A.mat
    if is_petsc(A):
        return A
    if hasattr(A, "tocsr") or isinstance(A, np.ndarray):
        csr = sp.csr_array(A.tocsr() if hasattr(A, "tocsr") else A)
        index = PETSc.IntType
        entries = (csr.indptr.astype(index), csr.indices.astype(index), csr.data.astype(PETSc.ScalarType))
        mat = PETSc.Mat().createAIJ(csr.shape, csr=entries, comm=PETSc.COMM_SELF)
        mat.assemble()
        return mat
    return shell(A)


def shell(A: Any) -> Any:
    PETSc = library()

    class Products:
        def mult(self, mat: Any, x: Any, y: Any) -> None:
            y.setArray(A @ x.getArray(readonly=True).copy())

    mat = PETSc.Mat().createPython(A.shape, Products(), comm=PETSc.COMM_SELF)
    mat.setUp()
    return mat
