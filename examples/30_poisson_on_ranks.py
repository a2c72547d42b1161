"""Beyond one process: a Poisson problem whose rows are built and kept by the ranks of MPI, and a sequence of them.

Run it on two ranks: mpiexec -n 2 python 30_poisson_on_ranks.py; alone it runs too. No rank ever has the whole matrix. Needs
petsc4py and mpi4py (`make petsc`). Every rank calls every solve, with its own rows of b, and gets its own rows of x.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

import petrov
from petrov.solvers import Deflation, cg
from petrov.solvers.external import petsc


def rows(PETSc, n: int, k: float) -> tuple:
    """Five-point -div(a grad u) on n x n cells, a = 1 + k x, u = 0 outside: this rank's rows, and b = 1 there."""
    mat = PETSc.Mat().create(comm=PETSc.COMM_WORLD)
    mat.setSizes((n * n, n * n))
    mat.setType("aij")
    mat.setPreallocationNNZ((5, 2))
    first, last = mat.getOwnershipRange()
    for row in range(first, last):
        j, i = divmod(row, n)
        faces = [(row - 1, i > 0, i), (row + 1, i < n - 1, i + 1), (row - n, j > 0, i + 0.5), (row + n, j < n - 1, i + 0.5)]
        weights = [1 + k * x / n for _, _, x in faces]
        mat.setValue(row, row, sum(w if inside else 2 * w for w, (_, inside, _) in zip(weights, faces, strict=True)))
        for weight, (column, inside, _) in zip(weights, faces, strict=True):
            if inside:
                mat.setValue(row, column, -weight)
    mat.assemble()
    return mat, np.full(last - first, 1.0 / n**2)


def main(n: int = 96) -> SimpleNamespace:
    from petsc4py import PETSc

    A, b = rows(PETSc, n, 0.0)
    r, say = petrov.solve(A, b), PETSc.Sys.Print  # which prints on the first rank
    say(r)
    mean = PETSc.COMM_WORLD.tompi4py().allreduce(float(np.sum(r.x))) / n**2
    say(f"mean of u: {mean:.6f} (0.035144 for n -> infinity)")

    say("\na sequence of media, by cg with Jacobi, and what the directions of earlier solves save:")
    space, plain, recycled = None, [], []
    for k in np.linspace(0, 5, 6):
        A, b = rows(PETSc, n, k)
        D, M = petsc.Distributed.of(A), petsc.PETSc("jacobi")(A)
        plain.append(cg(D, b, M=M).iterations)
        answer = cg(D, b, M=M if space is None else Deflation(space, M), recycle=16)
        space = answer.space
        recycled.append(answer.iterations)
    say(f"  without: {plain}\n  with:    {recycled}")
    return SimpleNamespace(mean=mean, iterations=r.iterations, plain=plain, recycled=recycled)


if __name__ == "__main__":
    main()
