"""Every way to the answers of a set that a knowledgeable user would try first: what petrov.Sequence is held against."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, splu
from scipy.sparse.linalg import gmres as scipy_gmres

from ... import Sequence
from ...solvers import IncompleteCholesky, IncompleteLU, Jacobi, SmoothedAggregation, Solver, cg, compact, gmres, minres
from ...solvers.external.pyamg import PyAMG
from .sets import Family
from .sweeps import asm, ilu0, ssor

OURS, RIVAL, REFERENCE = "petrov.Sequence", "rival", "SciPy gmres(40)"
LIMIT = 20.0  # seconds that one system may take
KEPT_FOR = 10  # iterations up to which a set-up of an earlier matrix is good enough

Answers = list[np.ndarray]


class OutOfTime(Exception):
    """A system took LIMIT seconds."""


class Way(NamedTuple):
    """One way to the answers of several systems. `role`: ours, rival or reference; `each`: every system by itself, so a few of
    them say what all cost."""

    name: str
    role: str
    each: bool
    run: Callable[[Family, list[int], float], Answers]


def ways(family: Family) -> list[Way]:
    """Ours first; the rivals; SciPy's gmres(40) with the preconditioners of the paper."""
    multigrid = multigrid_updated if family.definite else kept_while_good(gmres, PyAMG("ruge_stuben"))
    incomplete = ("ICC", IncompleteCholesky()) if family.definite else ("ILU", ilu0)
    references = (("none", None), ("Jacobi", Jacobi()), ("SOR", ssor), ("ASM", asm), incomplete)
    return [
        Way(OURS, OURS, False, in_sequence), *krylov(family),
        Way("SuperLU, symmetric mode", RIVAL, True, factorised),
        Way("SuperLU, factors and ordering kept", RIVAL, False, factors_kept),
        Way("SuperLU of an earlier one as M", RIVAL, False, kept_while_good(cg if family.definite else gmres, factors)),
        Way("multigrid, updated" if family.definite else "PyAMG RS of an earlier one as M", RIVAL, False, multigrid),
        *(reference(name, recipe) for name, recipe in references),
    ]  # fmt: skip


def of(family: Family, chosen: list[int]) -> Iterator[tuple[Any, np.ndarray]]:
    return (family.systems[k] for k in chosen)


def in_sequence(family: Family, chosen: list[int], rtol: float) -> Answers:
    sequence = Sequence(rtol=rtol)
    return [result.x for result in sequence.solve(list(of(family, chosen)), parameters=family.parameters[chosen])]


# -- Every system by itself ------------------------------------------------------------------------------------------------


def factorised(family: Family, chosen: list[int], rtol: float) -> Answers:
    return [factor(A).solve(b) for A, b in of(family, chosen)]


def krylov(family: Family) -> list[Way]:
    """Our iterations that suit the set."""
    if family.definite:
        table = [("cg + Jacobi", cg, Jacobi()), ("cg + IC", cg, IncompleteCholesky())]
    elif family.symmetric:
        table = [("minres", minres, None), ("gmres + ILU", gmres, IncompleteLU())]
    else:
        table = [("gmres + Jacobi", gmres, Jacobi()), ("gmres + ILU", gmres, IncompleteLU())]
    return [alone(name, method, recipe) for name, method, recipe in table]


def alone(name: str, method: Callable[..., Any], recipe: Any) -> Way:
    def run(family: Family, chosen: list[int], rtol: float) -> Answers:
        return [method(compact(A), b, M=recipe, rtol=rtol, time_limit=LIMIT).x for A, b in of(family, chosen)]

    return Way(name, RIVAL, True, run)


def reference(name: str, recipe: Any) -> Way:
    """SciPy's restarted gmres, as SKR's baseline is PETSc's."""

    def run(family: Family, chosen: list[int], rtol: float) -> Answers:
        found = []
        for A, b in of(family, chosen):
            M, end = None if recipe is None else recipe(A), time.perf_counter() + LIMIT

            def look(_: Any, end: float = end) -> None:
                if time.perf_counter() > end:
                    raise OutOfTime

            operator = None if M is None else LinearOperator(A.shape, lambda r, M=M: M @ r, dtype=A.dtype)
            x, _ = scipy_gmres(A, b, M=operator, restart=40, rtol=rtol, maxiter=10**6, callback=look, callback_type="pr_norm")
            found.append(x)
        return found

    return Way(f"{REFERENCE} + {name}", REFERENCE, True, run)


# -- What can be kept is kept ----------------------------------------------------------------------------------------------


def factor(A: Any, ordering: str = "MMD_AT_PLUS_A") -> Any:
    return splu(sp.csc_array(A), permc_spec=ordering, diag_pivot_thresh=0.0, options={"SymmetricMode": True})


def factors(A: Any) -> LinearOperator:
    return LinearOperator(A.shape, factor(A).solve, dtype=A.dtype)


def factors_kept(family: Family, chosen: list[int], rtol: float) -> Answers:
    """The factors while the matrix is the same, the ordering while its pattern is."""
    former = first = family.systems[chosen[0]][0]
    lu = factor(first)
    order = lu.perm_c.argsort()
    numbered = sp.csr_array((np.arange(1.0, first.nnz + 1), first.indices, first.indptr), shape=first.shape)
    pattern = sp.csc_array(numbered[order][:, order])
    places = pattern.data.astype(np.int64) - 1
    found = []
    for A, b in of(family, chosen):
        if A is not former:
            pattern.data = A.data[places]
            lu, former = factor(pattern, "NATURAL"), A
        if former is first:
            found.append(lu.solve(b))
        else:
            found.append(np.empty_like(b))
            found[-1][order] = lu.solve(b[order])
    return found


def kept_while_good(method: Callable[..., Any], recipe: Callable[[Any], Any]) -> Callable[[Family, list[int], float], Answers]:
    """A set-up serves the matrices that come until it takes more than ten iterations, or twice those of its own."""

    def run(family: Family, chosen: list[int], rtol: float) -> Answers:
        M, most, found = None, KEPT_FOR, []
        for A, b in of(family, chosen):
            if M is not None:
                result = method(compact(A), b, M=M, rtol=rtol, max_iterations=most)
            if M is None or not result.converged:
                M = recipe(A)
                result = method(compact(A), b, M=M, rtol=rtol, time_limit=LIMIT)
                most = max(KEPT_FOR, 2 * result.iterations)
            found.append(result.x)
        return found

    return run


def multigrid_updated(family: Family, chosen: list[int], rtol: float) -> Answers:
    """A hierarchy that is brought up to date where the matrix has changed."""
    solver, former, found = None, None, []
    for A, b in of(family, chosen):
        if solver is None:
            solver = Solver(A, method="cg", M="gmg" if family.grid else SmoothedAggregation())
        elif A is not former:
            solver.update(A)
        former = A
        found.append(solver.solve(b, rtol=rtol, time_limit=LIMIT).x)
    return found
