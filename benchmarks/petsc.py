"""PETSc as a peer: cg with Jacobi, hypre's BoomerAMG or GAMG on one rank or two, in processes of its own.

Its residual test is set to the true residual's norm (KSP's default is the preconditioned one: asked for 1e-8 with GAMG it left
a true residual of 3e-6). The system passes through files; starting the ranks and reading them counts as neither set-up nor solve.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from . import process
from .methods import AMG_CAP, nothing
from .records import DEFINITE, Limits, Method, Outcome, System

PROGRAM = Path(__file__).with_name("petsc_program.py")
CG = ("-ksp_type", "cg", "-ksp_norm_type", "unpreconditioned")
JACOBI = (*CG, "-pc_type", "jacobi")
GAMG = (*CG, "-pc_type", "gamg")
HYPRE = (*CG, "-pc_type", "hypre", "-pc_hypre_type", "boomeramg")
HYPRE_3D = (*HYPRE, "-pc_hypre_boomeramg_strong_threshold", "0.5")  # what hypre's manual has for three dimensions
PATIENCE = 60.0  # seconds beyond the limit of a solve, for set-up and start


def absent() -> str:
    """What is missing for PETSc to take part, and what brings it; '' if nothing is."""
    missing = [name for name in ("petsc4py", "mpi4py") if importlib.util.find_spec(name) is None]
    missing += [] if shutil.which("mpiexec") else ["mpiexec"]
    return f"{', '.join(missing)} not found; `make petsc` brings PETSc, hypre and petsc4py (Debian)" if missing else ""


def petsc(options: tuple[str, ...], ranks: int) -> Callable[..., Outcome]:
    """Solve: write the system, run the ranks, read x."""

    def solve(_: None, system: System, rtol: float, limits: Limits, history: list[float] | None) -> Outcome:
        start = perf_counter()
        task = {"options": options, "rtol": rtol, "iterations": limits.iterations, "history": history is not None}
        with tempfile.TemporaryDirectory(prefix="petrov-petsc-") as name:
            folder = Path(name)
            (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
            arrays = {"indptr": system.A.indptr, "indices": system.A.indices, "values": system.A.data, "b": system.projected}
            for part, array in arrays.items():
                np.save(folder / f"{part}.npy", array)
            launch(["mpiexec", "-n", str(ranks), sys.executable, str(PROGRAM), name], limits.seconds + PATIENCE)
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            x = np.concatenate([np.load(folder / f"x.{rank}.npy") for rank in range(ranks)])
        if history is not None:
            history.extend((np.array(result["history"]) / np.linalg.norm(system.projected)).tolist())
        timed = result["setup_seconds"] + result["solve_seconds"]
        return Outcome(
            x, claims=result["reason"] > 0, iterations=result["iterations"], setup_seconds=result["setup_seconds"],
            other_seconds=perf_counter() - start - timed, chose=f"PETSc {result['version']}",
        )  # fmt: skip

    return solve


def launch(command: list[str], seconds: float) -> None:
    """Run the ranks, quietly; errors as of `process.run`, and FileNotFoundError where PETSc is not."""
    reason = absent()
    if reason:
        raise FileNotFoundError(reason)
    process.run(command, seconds, environment(), name="PETSc")


def environment() -> dict[str, str]:
    """One thread a rank, and leave for Open MPI to run as root where root is who runs it, as in containers."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    leave = dict.fromkeys(("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), "1") if root else {}
    return {**os.environ, **threads, **leave}


def peer(name: str, options: tuple[str, ...], ranks: int, cap: int = AMG_CAP) -> Method:
    called = f"{name}, {ranks} rank{'s' if ranks > 1 else ''}"
    return Method(called, "petsc", DEFINITE, nothing, petsc(options, ranks), tighten=True, needs="petsc4py", iteration_cap=cap)


ITERATION = (peer("PETSc cg + Jacobi", JACOBI, 2, cap=10_000),)
MULTIGRID_2D = tuple(peer(n, o, k) for n, o in (("hypre + PETSc cg", HYPRE), ("GAMG + PETSc cg", GAMG)) for k in (1, 2))
MULTIGRID_3D = tuple(peer(n, o, k) for n, o in (("hypre + PETSc cg", HYPRE_3D), ("GAMG + PETSc cg", GAMG)) for k in (1, 2))
