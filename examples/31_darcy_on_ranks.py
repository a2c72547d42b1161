"""A sequence on several ranks: flow through a porous medium, again and again as the medium changes.

Run it on two ranks: mpiexec -n 2 python 31_darcy_on_ranks.py; alone it prints the same. Every rank makes its own rows: none ever
has a whole matrix; all call `petrov.Sequence`, each with what is its own. Needs petsc4py and mpi4py (`make petsc`).
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp

import petrov
from petrov.solvers.external import petsc

WAVES = np.random.default_rng(5).integers(0, 9, (60, 2))  # of the medium, the same on every rank


def permeability(mu: np.ndarray, cells: np.ndarray, n: int) -> np.ndarray:
    """exp(a sum of waves) at the centres of these cells of an n x n grid."""
    x, y = (cells % n + 0.5) / n, (cells // n + 0.5) / n
    waves = np.cos(np.pi * np.outer(x, WAVES[:, 0])) * np.cos(np.pi * np.outer(y, WAVES[:, 1]))
    return np.exp(waves @ (2.5 * mu / (1 + 0.15 * np.sum(WAVES**2, axis=1))))


def rows(PETSc, mu: np.ndarray, n: int) -> tuple:
    """Finite volumes for -div(k grad p) = 0, p = 1 on the left, 0 on the right, closed above and below: this rank's rows."""
    comm, N = PETSc.COMM_WORLD, n * n
    own = np.arange(N * comm.rank // comm.size, N * (comm.rank + 1) // comm.size)
    i, k, entries = own % n, permeability(mu, own, n), []
    diagonal = 2.0 * k * ((i == 0) + 1.0 * (i == n - 1))
    for step, there in ((-1, i > 0), (1, i < n - 1), (-n, own >= n), (n, own < N - n)):
        through = 2 / (1 / k[there] + 1 / permeability(mu, own[there] + step, n))  # the harmonic mean
        diagonal[there] += through
        entries.append((-through, np.flatnonzero(there), own[there] + step))
    value, row, column = map(np.concatenate, zip(*entries, (diagonal, np.arange(len(own)), own), strict=True))
    csr = sp.csr_array((value, (row, column)), shape=(len(own), N))
    places = [index.astype(PETSc.IntType) for index in (csr.indptr, csr.indices)]
    return PETSc.Mat().createAIJ([(len(own), N)] * 2, csr=(*places, csr.data), comm=comm), np.where(i == 0, 2 * k, 0.0)


def main(n: int = 80, count: int = 8) -> SimpleNamespace:
    from petsc4py import PETSc

    rng, flows = np.random.default_rng(6), np.zeros(count)
    mus = rng.permutation(np.linspace(*rng.standard_normal((2, len(WAVES))), count))  # from one medium to another

    def flow(index: int, r: petrov.SolveResult) -> None:  # in through the left side: 2 k (1 - p), summed over the ranks
        b = rows(PETSc, mus[index], n)[1]
        flows[index] = PETSc.COMM_WORLD.tompi4py().allreduce(float(np.sum(b * (1 - r.x))))

    sequence = petrov.Sequence(method="cg", M=petsc.PETSc("jacobi"), recycle=16, rtol=1e-10)
    iterations = [r.iterations for r in sequence.solve((lambda mu: rows(PETSc, mu, n), mus), write=flow)]
    PETSc.Sys.Print(f"iterations, in the order of mus:\n  {iterations}\nflow through each medium:\n  {flows.round(4)}")
    return SimpleNamespace(iterations=iterations, flows=flows)


if __name__ == "__main__":
    main()
