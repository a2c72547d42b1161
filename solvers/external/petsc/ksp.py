"""PETSc's iterations as methods of ours: any KSP, with our meaning of converged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...krylov.columns import one_by_one
from ...result import SolveResult, Status
from ...stopping import Run, drive
from ...system import system
from . import library as petsc
from .context import Context
from .library import library
from .matrix import adopt, is_petsc, like, local_vector, petsc_matrix
from .preconditioner import Applied, PETSc

# KSPConvergedReason, where it is a failure (petscksp.h).
REASONS = {
    -2: Status.BREAKDOWN, -3: Status.MAX_ITERATIONS, -4: Status.DIVERGED, -5: Status.BREAKDOWN, -6: Status.BREAKDOWN,
    -7: Status.NOT_SYMMETRIC, -8: Status.INDEFINITE_PRECONDITIONER, -9: Status.DIVERGED, -10: Status.INDEFINITE_MATRIX,
    -11: Status.BREAKDOWN,
}  # fmt: skip
RIGHT = ("gmres", "fgmres", "lgmres", "dgmres", "gcr", "bcgs", "fbcgs", "bcgsl", "tfqmr", "tcqmr", "cgs")
ENOUGH = 10**9  # iterations: ours are counted by `Run.look`


def ksp(
    A: Any, b: Any, *, M: Any = None, x0: Any = None, rtol: float | None = None, atol: float = 0.0,
    max_iterations: int | None = None, time_limit: float | None = None, callback: Callable[[Any], Any] | None = None,
    kind: str = "cg", options: Mapping[str, Any] | None = None, prefix: str | None = None,
) -> SolveResult:  # fmt: skip
    """Solve A x = b by a KSP of PETSc.

    Parameters
    ----------
    A : a Mat of petsc4py, or any operator of ours
        On several ranks a Mat; every rank calls.
    b, x0 : (m,) or (m, k), or a Vec
        The rows of this rank. x comes back as b came.
    M : a recipe or an operator
        `PETSc("gamg")` is set up and applied by PETSc itself, anything of ours through its Python context. None: no PC.
    rtol, atol, max_iterations, time_limit, callback
        As in `cg`: converged means ||b - A x||_2 <= max(rtol ||b||_2, atol), recomputed from x, whatever norm PETSc had.
    kind : str
        As -ksp_type has it: 'cg', 'fcg', 'pipecg', 'gmres', 'fgmres', 'bcgs', ... Preconditioned on the right where it can be,
        and tested with the norm of the true residual; one that cannot do that is refused.
    options : mapping
        Further options, as on the command line without the dash: {"ksp_gmres_restart": 50}.
    prefix : str, optional
        Of options on the command line or in PETSC_OPTIONS, which come before `kind` and `options`: with "flow_", -flow_ksp_type
        pipecg; where they are not given here, -flow_ksp_rtol, -flow_ksp_atol and -flow_ksp_max_it too, with our meaning of
        them; and without M -flow_pc_type. "" for options without a prefix. None: they are not looked at.

    Returns
    -------
    SolveResult
        Whatever happened; PETSc's reason for giving up is its status.

    Raises
    ------
    TypeError, ValueError
        If an argument is not part of a linear system, or PETSc refuses the type or an option (with its message).
        ImportError naming the extra if petsc4py is missing.

    Notes
    -----
    An iteration costs what PETSc's does, and a call of Python to judge it. The PETSc team, PETSc/TAO users manual (2024).
    """
    asked = {"M": M, "rtol": rtol, "atol": atol, "max_iterations": max_iterations, "kind": kind}
    asked = asked if prefix is None else overridden(asked, prefix)
    result = solved(
        adopt(A), local_vector(b), x0=local_vector(x0), time_limit=time_limit, callback=callback, given=dict(options or {}),
        prefix=prefix, **asked,
    )  # fmt: skip
    return replace(result, x=like(b, result.x)) if is_petsc(b) else result


def overridden(asked: dict[str, Any], prefix: str) -> dict[str, Any]:
    """What a call asks for, with the options under a prefix for the kind, and for what it leaves open."""
    database = library().Options(prefix)
    found = {**asked, "kind": database.getString("ksp_type", asked["kind"])}
    if asked["M"] is None and database.hasName("pc_type"):
        found["M"] = PETSc(database.getString("pc_type"), prefix=prefix)
    if asked["rtol"] is None and database.hasName("ksp_rtol"):
        found["rtol"] = database.getReal("ksp_rtol")
    if not asked["atol"] and database.hasName("ksp_atol"):
        found["atol"] = database.getReal("ksp_atol")
    if asked["max_iterations"] is None and database.hasName("ksp_max_it"):
        found["max_iterations"] = database.getInt("ksp_max_it")
    return found


@one_by_one
def solved(A: Any, b: Any, *, kind: str, given: dict[str, Any], prefix: str | None, **keywords: Any) -> SolveResult:
    problem = system(A, b, **keywords)
    return drive(Run(f"petsc {kind}", problem), lambda run: iterate(run, kind, given, prefix))


def iterate(run: Run, kind: str, given: dict[str, Any], wanted: str | None) -> Any:
    """Corrections by the KSP from zero until the true residual is within the tolerance, as a rule one."""
    with petsc.options({"ksp_type": kind, **given}, wanted) as prefix:
        solver = prepared(run, kind, prefix)
        x = run.start()
        while (r := run.restart(x)) is not None:
            x = corrected(run, solver, x, r)
    return x


def prepared(run: Run, kind: str, prefix: str) -> Any:
    """The KSP with its operator and preconditioner; ValueError with PETSc's message if it refuses the options."""
    lib, M = library(), run.problem.M
    mat = petsc_matrix(run.problem.A)
    solver = lib.KSP().create(comm=mat.getComm())
    solver.setOptionsPrefix(prefix)
    if isinstance(M, Applied):
        solver.setPC(M.pc)
    else:
        solver.setOperators(mat)
        solver.getPC().setType("none" if M is None else "python")
        if M is not None:
            solver.getPC().setPythonContext(Context(M))
            solver.getPC().setOptionsPrefix(f"{prefix}ours_")  # -pc_type is for a PC of PETSc's
    try:
        if kind in RIGHT:
            solver.setPCSide(lib.PC.Side.RIGHT)
        solver.setNormType(lib.KSP.NormType.UNPRECONDITIONED)
        solver.setFromOptions()
        solver.setTolerances(rtol=0.0, atol=0.0, divtol=1e300, max_it=ENOUGH)
        solver.setUp()
    except lib.Error as error:
        raise ValueError(f"PETSc refused -ksp_type {kind} with the norm of the true residual: {error}") from error
    return solver


def corrected(run: Run, solver: Any, x: Any, r: np.ndarray) -> Any:
    """x + d with A d = r as far as the KSP came before `look` stopped it or it gave up."""
    lib = library()
    d, rhs = solver.getOperators()[0].createVecs()
    rhs.setArray(r)

    def judged(solver: Any, iteration: int, norm: float) -> Any:
        if iteration == 0:
            return False
        stop = run.look(lambda: x + solver.buildSolution().getArray(readonly=True), norm * norm)
        return lib.KSP.ConvergedReason.CONVERGED_ATOL if stop else False

    solver.setConvergenceTest(judged)
    solver.solve(rhs, d)
    reason = int(solver.getConvergedReason())
    if reason < 0:
        run.leave(REASONS.get(reason, Status.BREAKDOWN))
    return x + d.getArray(readonly=True)
