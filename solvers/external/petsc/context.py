"""Our preconditioners inside PETSc: a Python context for its PC of type python."""

from __future__ import annotations

import atexit
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from ...preconditioners.multigrid.hierarchy import Hierarchy
from .from_options import recipe_from_options
from .library import library
from .matrix import adopt


@dataclass(slots=True, eq=False)
class Context:
    """An applied preconditioner, or a recipe that makes one of the operator that the PC is given, for PCPYTHON.

        pc.setType("python"); pc.setPythonContext(Context(SmoothedAggregation()))

    A recipe is set up when PETSc sets up the PC, and brought up to date where it can be when the matrix has changed. Without
    one, it is what the options of the PC say then: see `recipe_from_options`.
    """

    M: Any = None
    applied: Any = None

    def setUp(self, pc: Any) -> None:
        finalise_in_time()
        if hasattr(self.M, "shape"):
            self.applied = self.M
            return
        if self.M is None:
            self.M = recipe_from_options(pc.getOptionsPrefix(), pc.getComm().getSize())
        A = adopt(pc.getOperators()[1])
        if self.applied is not None and hasattr(self.applied, "update"):
            try:
                self.applied = self.applied.update(A)
                return
            except ValueError:
                pass  # another pattern: set up anew
        self.applied = self.M(A)

    def apply(self, pc: Any, x: Any, y: Any) -> None:
        given = x.getArray(readonly=True)
        if isinstance(self.applied, Hierarchy) and given.dtype == self.applied.dtype:
            self.applied.apply(unlocked(given), y.getArray())
        else:  # what is not ours might write to the vector it is given
            y.setArray(self.applied @ np.array(given))

    def applyTranspose(self, pc: Any, x: Any, y: Any) -> None:
        H = self.applied.H
        y.setArray(np.conj(H @ np.conj(x.getArray(readonly=True))))

    def view(self, pc: Any, viewer: Any) -> None:
        viewer.printfASCII(f"  {self.applied!r}\n")


def unlocked(x: np.ndarray) -> np.ndarray:
    """A view of x that passes for one that may be written to, which a cycle does not do: it is compiled for such arrays alone."""
    place = {**x.__array_interface__, "data": (x.ctypes.data, False)}
    return np.asarray(SimpleNamespace(__array_interface__=place))


@cache
def finalise_in_time() -> None:
    """End PETSc while Python still runs: a KSP that is alive at the end of a script is destroyed when PETSc ends, and its PC of
    type python then calls an interpreter that is gone (petsc4py 3.18: a segmentation fault after the last line)."""
    atexit.register(library()._finalize)


def PetrovPC() -> Context:
    """Ours by options alone: -pc_type python -pc_python_type petrov.solvers.external.petsc.PetrovPC, and -pc_petrov_type amg, ic,
    ... for which and -pc_petrov_strength 0.1, ... for its parameters, all under the prefix of the KSP."""
    return Context()
