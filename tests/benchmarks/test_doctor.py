"""`petrov doctor`: every requirement of setup.cfg is looked for, what is missing or broken is said, the trial decides."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from petrov.benchmarks import doctor, machine, probes
from petrov.benchmarks.doctor import Part, state

VERSIONS = {  # an installation with a torch that does not start and a PyAMG that is too old
    "numpy": "2.4.1", "scipy": "1.17.0", "numba": "0.68.1", "array-api-compat": "1.16", "rich": "15.0", "threadpoolctl": "3.8.0",
    "safetensors": "0.8.0", "torch": "2.13.0+cpu", "pyamg": "4.9",
}  # fmt: skip


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The versions that doctor sees, for the test to change; probes that take no time."""
    versions = dict(VERSIONS)
    monkeypatch.setattr(machine, "version", lambda name: versions.get(name, ""))
    monkeypatch.setattr(doctor, "PROBES", {"torch": "raise OSError('libtorch.so [not found]')", "numba": "print('starts')"})
    return versions


def test_what_is_said_of_each_library(installed: dict[str, str]) -> None:
    parts = {part.name: part for part in doctor.examine()}
    assert (state(parts["numpy"]), parts["numpy"].extra) == ("installed", "core")
    assert state(parts["numba"]) == "starts"
    assert state(parts["torch"]) == 'broken: OSError: libtorch.so [not found]; pip install "petrov[learned]"'
    assert state(parts["pyamg"]) == f'older than {parts["pyamg"].least}; pip install "petrov[bench]"'
    assert state(parts["petsc4py"]) == 'missing; pip install "petrov[petsc]"'
    assert state(Part("core", "scipy", "1.13", "")) == 'missing; pip install "petrov"'
    assert "pytest" not in parts
    assert {part.extra for part in parts.values()} >= {"core", "learned", "cuda", "petsc", "cholmod", "bench"}


def test_the_whole(installed: dict[str, str], capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert doctor.main() == 0  # extras may be missing or broken
    out = capsys.readouterr().out
    assert "broken: OSError: libtorch.so [not found]" in out
    assert f"CONVERGED: cg + jacobi, n = {doctor.CELLS**2}" in out
    assert "threading layer: " in out


@pytest.mark.parametrize("version", ["", "1.2.3"], ids=["missing", "old"])
def test_a_core_library_decides(installed: dict[str, str], version: str) -> None:
    installed["scipy"] = version
    assert doctor.main() == 1


def test_the_trial_decides(installed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "solve", lambda *_, **__: SimpleNamespace(converged=False))
    assert doctor.main() == 1


def test_a_probe_that_hangs_or_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PROBES", {"torch": "import os; os.abort()"})
    torch = Part("learned", "torch", "2.4", "2.13")
    assert doctor.probe(torch).found == "exit code -6"
    assert not doctor.probe(torch).works

    def hang(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("python", 120)

    monkeypatch.setattr(subprocess, "run", hang)
    assert "did not end" in state(doctor.probe(torch))


def test_the_devices_of_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [{"name": b"NVIDIA A", "totalGlobalMem": 79 * 2**30 + 5}, {"name": b"NVIDIA B", "totalGlobalMem": 12 * 2**30}]
    cupy: Any = ModuleType("cupy")
    runtime = SimpleNamespace(getDeviceCount=lambda: 2, getDeviceProperties=devices.__getitem__)
    cupy.cuda = SimpleNamespace(is_available=lambda: False, runtime=runtime)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert probes.cupy_found() == "no CUDA device"
    cupy.cuda.is_available = lambda: True
    assert probes.cupy_found() == "NVIDIA A, 79 GiB; NVIDIA B, 12 GiB"


def test_what_petsc_has(monkeypatch: pytest.MonkeyPatch) -> None:
    petsc4py: Any = ModuleType("petsc4py")
    system = SimpleNamespace(getVersion=lambda: (3, 26, 1), hasExternalPackage=lambda name: name == "MUMPS")
    petsc4py.PETSc = SimpleNamespace(Sys=system, ScalarType=complex)
    monkeypatch.setitem(sys.modules, "petsc4py", petsc4py)
    assert probes.petsc_found() == "PETSc 3.26.1, complex, MUMPS; without hypre"


def test_an_mpiexec_of_another_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It starts as many processes as are asked for, each of which is alone."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert probes.ranks_that_meet() == "no mpiexec on the PATH"
    for does, says in (("echo 2; echo 2", "two ranks meet"), ("echo 1; echo 1", "of another MPI: its ranks do not meet"), ("exit 7", "ends with 7")):
        mpiexec = tmp_path / "mpiexec"
        mpiexec.write_text(f"#!/bin/sh\n{does}\n")
        mpiexec.chmod(0o755)
        assert probes.ranks_that_meet().startswith(str(mpiexec)) and probes.ranks_that_meet().endswith(says)


@pytest.mark.mpi
def test_petsc_and_its_ranks_are_found() -> None:
    found = {name: doctor.probe(Part("petsc", name, "3", "4")) for name in ("petsc4py", "mpi4py")}
    assert all(part.works for part in found.values()), found
    assert found["petsc4py"].found.startswith("PETSc 3.") and "float64" in found["petsc4py"].found
    assert found["mpi4py"].found.endswith("two ranks meet")


def test_the_requirements_without_an_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Straight from the tree there is no metadata: setup.cfg says the same."""

    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    found = {(extra, name): least for extra, name, least in doctor.requirements()}
    assert found["core", "numpy"] >= "1.26"
    assert found["bench", "pyamg"]
    assert ("petsc", "mpi4py") in found
    assert not any(extra == doctor.DEVELOPMENT for extra, _ in found)
