"""The automatic choice: which method and which preconditioner, in which order to try them, and why.

Costs are estimates in seconds from the number of entries and two numbers of the graph (its largest breadth-first level, which
bounds a separator, and its number of levels, the diameter); the constants were measured on two cores. `petrov bench peers --only
choice` holds every choice against the methods that it passed over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .direct import factorize
from .external.petsc import DistributedAggregation, PETSc
from .external.pyamg import PyAMG
from .operator import name_of
from .preconditioners import NAMED, GeometricMultigrid, IncompleteCholesky, IncompleteLU, Jacobi, SmoothedAggregation
from .recognise import Facts

DIRECT_AT_ONCE = 2.5e-3  # seconds below which a factorisation, which cannot fail to converge, is taken without comparing
SURE = 0.02  # seconds up to which it may take twice as long as an iteration that may fail
MULTIGRID_FROM = 10_000  # rows: below, milliseconds are to be won, and the compiler takes seconds at its first use
DENSE_LIMIT = 4_000  # rows up to which a dense matrix is factorised
LEAST_GUARD = 100  # iterations that any M is given
DIRECT_LIMIT = 600.0  # estimated seconds beyond which a factorisation is no fallback but a lost afternoon

PRECONDITIONERS: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    **NAMED,
    "rs": lambda: PyAMG(kind="ruge_stuben"),
}


@dataclass(frozen=True, slots=True)
class Factorise:
    """The recipe of a direct solve; spd=True is a promise that lets a sparse factorisation keep to the diagonal."""

    spd: bool | None = None

    name = "factorisation"

    def __call__(self, A: Any) -> Any:
        return factorize(A, spd=self.spd)


class Candidate(Protocol):
    """A recipe that says what it costs, so that it can be chosen among others."""

    def estimate(self, facts: Facts) -> tuple[float, float] | None: ...  # seconds of set-up and solve, and of another solve
    def __call__(self, A: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """One thing to try: a method by name, a preconditioner (operator, recipe or None), the reason in a few words."""

    method: str
    M: Any
    why: str


def named(M: str) -> Any:
    """The recipe behind the name of a preconditioner; ValueError listing the names for any other."""
    if M not in PRECONDITIONERS:
        raise ValueError(f"M must be an operator, a recipe, None or one of {', '.join(PRECONDITIONERS)}; got {M!r}")
    return PRECONDITIONERS[M]()


def plans(facts: Facts, singular: bool, uses: int = 1, candidates: Sequence[Candidate] = ()) -> list[Plan]:
    """What to try for A when the user leaves both method and M open, best first; `singular`: a null space was given; `uses`:
    right-hand sides to come, over which a set-up pays; `candidates`: recipes that stand beside our own."""
    shape = describe(facts)
    if facts.on_gpu:
        return gpu_plans(facts, f"{shape}, on a GPU")
    if facts.form == "rows of ranks":
        return distributed_plans(facts, shape, singular)
    if facts.form == "operator":
        if facts.symmetric:
            return [
                Plan("cg", None, f"{shape}: symmetric by two sampled products, its entries unknown"),
                Plan("minres", None, "A turned out not to be positive definite"),
                Plan("gmres", None, "minres failed"),
            ]
        return [Plan("gmres", None, f"{shape}: not symmetric by two sampled products"), Plan("bicgstab", None, "gmres failed")]
    if facts.form == "dense":
        iterative = [Plan("cg", Jacobi(), shape)] if facts.positive else [Plan("gmres", None, shape)]
        factor = Plan("direct", Factorise(), f"{shape}: a factorisation is cheap and sure")
        return [factor] if facts.n <= DENSE_LIMIT else [*iterative, factor]
    return sparse_plans(facts, shape, singular, uses, candidates)


def distributed_plans(facts: Facts, shape: str, singular: bool) -> list[Plan]:
    """What to try for a matrix of PETSc whose rows are dealt over ranks."""
    general = Plan("gmres", None if singular else PETSc("bjacobi"), shape if not facts.symmetric else "cg failed")
    if not facts.symmetric:
        return [general]
    multigrid = [Plan("cg", DistributedAggregation(), f"{shape}: multigrid over ranks")] if facts.positive else []
    return [*multigrid, Plan("minres", None, "A turned out not to be positive definite" if multigrid else shape), general]


def gpu_plans(facts: Facts, shape: str) -> list[Plan]:
    """What to try for a matrix on a GPU: nothing that substitutes one row after the other."""
    if not facts.symmetric:
        return [Plan("gmres", Jacobi() if facts.definite else None, shape), Plan("bicgstab", None, "gmres failed")]
    if facts.definite != 1:
        return [Plan("minres", None, shape)]
    multigrid = [] if facts.n < MULTIGRID_FROM else [SmoothedAggregation()] if facts.grid is None else [GeometricMultigrid()]
    return [
        *(Plan("cg", M, f"{shape}: large, so multigrid") for M in multigrid),
        Plan("cg", Jacobi(), shape), Plan("minres", None, "A turned out not to be positive definite"),
    ]  # fmt: skip


KSPS = {"cg": "cg", "flexible_cg": "fcg", "gmres": "gmres", "bicgstab": "bcgs"}  # our name of a method -> that of its KSP


def petsc_plans(facts: Facts, singular: bool, method: str, M: Any, prefix: str | None = None) -> list[Plan]:
    """What backend="petsc" runs: the KSP of a method with M, or with what suits A (GAMG, block Jacobi) where it is left open, or
    what the options under a prefix say."""
    if method != "auto" and method not in KSPS:
        raise ValueError(f"backend='petsc' has the methods auto, {', '.join(KSPS)}; got {method!r}")
    definite = facts.symmetric is True and facts.definite != 0
    chosen = ("cg" if definite else "gmres") if method == "auto" else method
    kind = "none" if singular else "gamg" if definite else "bjacobi"
    suited = None if singular and prefix is None else PETSc(kind, prefix=prefix)
    return [Plan(f"petsc {KSPS[chosen]}", suited if isinstance(M, str) else M, f"{describe(facts)}; PETSc was asked for")]


def sparse_plans(
    facts: Facts, shape: str, singular: bool, uses: int = 1, candidates: Sequence[Candidate] = ()
) -> list[Plan]:
    """Everything that suits A, the quickest by estimate first; a factorisation that is quick enough before all."""
    border = 2.0 if singular else 1.0  # a null space costs a dense border
    seconds, again = border * direct_seconds(facts), border * direct_again(facts)
    why = f"{shape}: a factorisation (about {seconds:.2g} s) is cheap and sure"
    cost = 0.0 if seconds <= DIRECT_AT_ONCE else seconds / 2 if seconds <= SURE else seconds
    cost += (uses - 1) * again
    # An A that only may be definite is factorised as if it were: the residual tells, and the general form comes next.
    factors = [(cost, Plan("direct", direct_recipe(facts, singular), why))]
    if factors[0][1].M.spd:
        factors.append((cost + seconds, Plan("direct", Factorise(), "with pivoting")))
    known = iterative_plans(facts, shape, singular)
    if facts.symmetric and facts.definite == 1 and not singular:
        known += candidate_plans(facts, shape, candidates)
    iterations = [(once + (uses - 1) * more, plan) for once, more, plan in known]
    tries = [*iterations, *(factors if seconds <= DIRECT_LIMIT else [])]
    return [plan for _, plan in sorted(tries, key=lambda pair: pair[0])]


def direct_recipe(facts: Facts, singular: bool = False) -> Factorise:
    """The factorisation that suits A: without pivoting where A may be positive definite."""
    return Factorise(True if facts.form == "sparse" and facts.positive and not singular else None)


def iterative_plans(facts: Facts, shape: str, singular: bool) -> list[tuple[float, float, Plan]]:
    """(seconds of set-up and solve, seconds of another solve, plan) of the iterations that A's symmetry and signs allow."""
    plain = 1.5 * facts.depth * (1e-9 * facts.entries + 1e-5) + 1e-3  # steps grow with the diameter of the mesh
    if facts.symmetric and facts.definite == 1:
        # Iterations by the diameter: a mesh of tetrahedra, whose rows are longer, is crossed in half as many steps.
        steps = 0.5 if facts.dominant else min(0.13 * facts.entries / facts.n, 2.0)
        ic = steps * facts.depth * 3e-9 * facts.entries
        # A factorisation that needs a shift is that of a matrix on which it is poor: then what comes next is better.
        unshifted = Plan("cg", IncompleteCholesky(max_shift=0.0), shape)
        tries = [
            *([(plain, plain, Plan("cg", Jacobi(), shape))] if singular else [(ic + 1e-3, 0.8 * ic + 2e-4, unshifted)]),
            (100 * plain, 100 * plain, Plan("minres", None, "A turned out not to be positive definite")),
            *([] if singular else [(50 * plain, 50 * plain, Plan("cg", IncompleteCholesky(), f"{shape}: with a shift"))]),
        ]
        if facts.n >= MULTIGRID_FROM:
            amg = Plan("cg", SmoothedAggregation(), f"{shape}: large, so multigrid")
            tries.append((2.5e-7 * facts.entries + 4e-3, 1.3e-7 * facts.entries + 1e-3, amg))
        if facts.n >= MULTIGRID_FROM and facts.grid is not None:
            why = f"{shape}: the matrix of a {facts.grid} grid"
            tries.append((2e-8 * facts.entries + 2e-3, 2e-8 * facts.entries + 1e-3, Plan("cg", GeometricMultigrid(), why)))
        return tries
    if facts.symmetric:
        return [(10 * plain, 10 * plain, Plan("minres", None, f"{shape}: quicker than a factorisation"))]
    if singular:
        return [(20 * plain, 20 * plain, Plan("gmres", None, shape))]
    ilu = 30 * plain
    return [
        (ilu, 0.8 * ilu, Plan("gmres", IncompleteLU(), f"{shape}: quicker than a factorisation")),
        (2 * ilu, 1.6 * ilu, Plan("bicgstab", IncompleteLU(), "gmres failed")),
    ]


def candidate_plans(facts: Facts, shape: str, candidates: Sequence[Candidate]) -> list[tuple[float, float, Plan]]:
    """Those of the candidates that take A, with what they say they cost."""
    costs = [(M, M.estimate(facts)) for M in candidates]
    return [(*cost, Plan("cg", M, f"{shape}: {name_of(M)}, a candidate")) for M, cost in costs if cost is not None]


def guard(facts: Facts, M: Any) -> int | None:
    """Iterations beyond which a recipe that was made by training is given up: twice what Jacobi is expected to need on a mesh of
    this diameter. None for any other M, and where the mesh is not known."""
    return max(LEAST_GUARD, math.ceil(3.0 * facts.depth)) if getattr(M, "trained", False) and facts.depth else None


def describe(facts: Facts) -> str:
    """'sparse, symmetric, positive diagonal, 5.0 entries a row' and the like."""
    parts = [facts.form, "symmetric" if facts.symmetric else "not symmetric"]
    if facts.form != "operator":
        parts.append({1: "positive diagonal", -1: "negative diagonal", 0: "diagonal of mixed sign"}[facts.definite or 0])
    if facts.form == "sparse":
        parts.append(f"{facts.entries / max(facts.n, 1):.1f} entries a row")
    return ", ".join(parts)


def separator(facts: Facts) -> float:
    """Unknowns of the top separator. On a grid the largest level of a breadth-first search is one; on a mesh it is several times
    as large as one, and the mean level about as small as one can be."""
    return facts.width if facts.grid else math.sqrt(facts.width * facts.n / max(facts.depth, 1))


def direct_seconds(facts: Facts) -> float:
    """Factorising the top separator, a dense block, and a logarithm of passes over the rest."""
    block = min(2.5 * separator(facts) ** 3, 0.1 * facts.n**3)  # fill is never that of a dense matrix
    return (1.0 if facts.positive else 2.0) * (block + 30.0 * facts.entries * math.log2(facts.n + 2)) / 1e9


def direct_again(facts: Facts) -> float:
    """A solve with the factors at hand: the dense block of the top separator, and the entries of the rest."""
    return 2.5e-8 * facts.entries + 1.5e-8 * separator(facts) ** 2 + 2e-4
