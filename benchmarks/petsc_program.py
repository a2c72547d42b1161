"""One solve by PETSc, run as `mpiexec -n RANKS python petsc_program.py FOLDER`: a program of its own, without petrov.

FOLDER holds task.json (options, rtol, iterations), A as indptr.npy, indices.npy, values.npy, and b.npy. Rank k writes its rows
of x as x.k.npy; rank 0 writes result.json: seconds of set-up (KSPSetUp, which is the preconditioner's) and of the solve from
zero, each the slowest rank's, iterations, PETSc's reason for stopping, and the norms of the residuals.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

WARM_UP = 2  # iterations made before the clock starts: pages are touched, ranks have met


def main(folder: Path) -> None:
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    import petsc4py

    petsc4py.init([sys.argv[0], *task["options"]])
    from petsc4py import PETSc

    A, b = system(PETSc, folder)
    x, ksp = b.duplicate(), PETSc.KSP().create()
    ksp.setOperators(A)
    ksp.setFromOptions()
    setup = slowest(PETSc, ksp.setUp)
    ksp.setTolerances(rtol=task["rtol"], atol=0.0, max_it=WARM_UP)
    ksp.solve(b, x)
    x.set(0.0)
    ksp.setTolerances(rtol=task["rtol"], atol=0.0, max_it=task["iterations"])
    if task["history"]:
        ksp.setConvergenceHistory(length=task["iterations"] + 1, reset=True)
    solve = slowest(PETSc, lambda: ksp.solve(b, x))
    rank = PETSc.COMM_WORLD.getRank()
    np.save(folder / f"x.{rank}.npy", x.getArray(readonly=True))
    if rank == 0:
        result = {
            "setup_seconds": setup, "solve_seconds": solve, "iterations": ksp.getIterationNumber(),
            "reason": int(ksp.getConvergedReason()), "version": ".".join(str(n) for n in PETSc.Sys.getVersion()),
            "history": [float(norm) for norm in ksp.getConvergenceHistory()] if task["history"] else [],
        }  # fmt: skip
        (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def system(PETSc: Any, folder: Path) -> tuple[Any, Any]:
    """A and b, each rank reading its own rows, which are PETSc's: n / ranks, the first ones one more."""
    comm = PETSc.COMM_WORLD
    parts = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("indptr", "indices", "values", "b")}
    n, size, rank = len(parts["b"]), comm.getSize(), comm.getRank()
    first, last = (rank_ * (n // size) + min(rank_, n % size) for rank_ in (rank, rank + 1))
    start, end = parts["indptr"][first], parts["indptr"][last]
    index = PETSc.IntType
    csr = (
        (parts["indptr"][first : last + 1] - start).astype(index), parts["indices"][start:end].astype(index),
        np.array(parts["values"][start:end], PETSc.ScalarType),
    )  # fmt: skip
    A = PETSc.Mat().createAIJ(((last - first, n), (last - first, n)), csr=csr, comm=comm)
    b = PETSc.Vec().createMPI((last - first, n), comm=comm)
    b.setArray(np.array(parts["b"][first:last], PETSc.ScalarType))
    A.assemble()
    return A, b


def slowest(PETSc: Any, work: Any) -> float:
    """Seconds of the work on the rank that needs the longest, all starting together."""
    comm = PETSc.COMM_WORLD
    comm.barrier()
    start = perf_counter()
    work()
    seconds = PETSc.Vec().createMPI((1, comm.getSize()), comm=comm)
    seconds.set(perf_counter() - start)
    return float(seconds.max()[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
