"""What a time depends on: machine, library versions, threads, and a digest of the code that ran."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from .. import __version__

LIBRARIES = ("numpy", "scipy", "numba", "pyamg", "petsc4py", "pymor", "scikit-sparse", "cupy-cuda13x")


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system, Python."""
    return {
        "processor": processor(),
        "cores": available_cores(),
        "memory_gib": memory_gib(),
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "python": platform.python_version(),
    }


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def available_cores() -> int:
    """The cores this process may use (fewer than the machine's in a container or under taskset)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gib() -> int | None:
    """Physical memory in GiB where the system tells it."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30)


def load() -> float | None:
    """Processes that want a core, averaged over the last minute: above about 0.3 per core, times are noisy."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def threads() -> dict[str, Any]:
    """Threads of petrov's kernels (numba) and of the BLAS that NumPy and SciPy call; their sparse products use one."""
    from ..solvers.kernels.threads import threads as kernel_threads

    pools = threadpool_info()
    return {
        "numba": kernel_threads(),
        "blas": sorted({f"{pool['internal_api']} {pool['num_threads']}" for pool in pools if pool["user_api"] == "blas"}),
    }


def versions() -> dict[str, str]:
    """Version of every library that takes part; '' where it is not installed."""
    return {"petrov": __version__} | {name: version(name) for name in LIBRARIES}


def version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def source_digest() -> str:
    """First 12 hex digits of SHA-256 over the .py files of solvers, rom, learned and benchmarks: which code was timed."""
    here = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for folder in (here, *(here.with_name(name) for name in ("rom", "learned", "solvers"))):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder.parent).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
