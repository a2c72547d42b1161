"""What `petrov doctor` asks of back ends that can be installed and yet not work: each in a process of its own, for some abort."""

from __future__ import annotations

import shutil
import subprocess
import sys

from . import petsc

MEETING = "from mpi4py import MPI; print(MPI.COMM_WORLD.Get_size())"


def cupy_found() -> str:
    """Every device with its memory."""
    import cupy

    if not cupy.cuda.is_available():
        return "no CUDA device"
    runtime = cupy.cuda.runtime
    devices = [runtime.getDeviceProperties(k) for k in range(runtime.getDeviceCount())]
    return "; ".join(f"{one['name'].decode()}, {one['totalGlobalMem'] / 2**30:.0f} GiB" for one in devices)


def petsc_found() -> str:
    """Version, numbers, and the packages that our comparisons and examples use."""
    from petsc4py import PETSc

    packages = {name: PETSc.Sys.hasExternalPackage(name) for name in ("hypre", "MUMPS")}
    has, lacks = ([name for name, there in packages.items() if there is wanted] for wanted in (True, False))
    said = [f"PETSc {'.'.join(str(n) for n in PETSc.Sys.getVersion())}", PETSc.ScalarType.__name__, *has]
    return ", ".join(said) + (f"; without {', '.join(lacks)}" if lacks else "")


def mpi_found() -> str:
    """The library, and whether the mpiexec on the PATH is its own: that of another library starts ranks that never meet."""
    said = ranks_that_meet()  # before this process is a rank itself
    from mpi4py import MPI

    return f"{MPI.Get_library_version().partition(',')[0].splitlines()[0].strip(chr(0))}; {said}"


def ranks_that_meet() -> str:
    if (mpiexec := shutil.which("mpiexec")) is None:
        return "no mpiexec on the PATH"
    environment = petsc.environment() | {"OMPI_MCA_rmaps_base_oversubscribe": "1"}
    command = [mpiexec, "-n", "2", sys.executable, "-c", MEETING]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if ran.returncode != 0:
        return f"{mpiexec} ends with {ran.returncode}"
    return (
        f"{mpiexec}: two ranks meet"
        if ran.stdout.split() == ["2", "2"]
        else f"{mpiexec} is of another MPI: its ranks do not meet"
    )
