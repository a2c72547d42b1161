"""The automatic choice: which method and which preconditioner, in which order to try them, and why.

Costs are estimates in seconds from the number of entries and two numbers of the graph (its largest breadth-first level,
the size of a separator, and its number of levels, the diameter); the constants were measured on one core.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, replace
from typing import Any

from .direct import factorize
from .external.pyamg import PyAMG
from .preconditioners import Chebyshev, IncompleteCholesky, IncompleteLU, Jacobi
from .recognise import Facts

DIRECT_AT_ONCE = 0.5  # seconds below which a factorisation, which cannot fail to converge, is taken without comparing
DENSE_LIMIT = 4_000  # rows up to which a dense matrix is factorised
DIRECT_LIMIT = 600.0  # estimated seconds beyond which a factorisation is no fallback but a lost afternoon

PRECONDITIONERS = {
    "none": lambda: None,
    "jacobi": Jacobi,
    "chebyshev": Chebyshev,
    "ic": IncompleteCholesky,
    "ilu": IncompleteLU,
    "amg": lambda: PyAMG(kind="smoothed_aggregation"),
    "rs": lambda: PyAMG(kind="ruge_stuben"),
}


@dataclass(frozen=True, slots=True)
class Factorise:
    """The recipe of a direct solve; spd=True is a promise that lets a sparse factorisation keep to the diagonal."""

    spd: bool | None = None

    name = "factorisation"

    def __call__(self, A: Any) -> Any:
        return factorize(A, spd=self.spd)


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


def plans(facts: Facts, singular: bool) -> list[Plan]:
    """What to try for A when the user leaves both method and M open, best first; `singular`: a null space was given."""
    shape = describe(facts)
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
    return sparse_plans(facts, shape, singular)


def sparse_plans(facts: Facts, shape: str, singular: bool) -> list[Plan]:
    """Iterate or factorise, whichever is estimated to be quicker, with the other to fall back on."""
    seconds = direct_seconds(facts)
    factors = [Plan("direct", Factorise(), f"{shape}: a factorisation (about {seconds:.2g} s) is cheap and sure")]
    if facts.positive and facts.dominant and not singular:  # definite for certain, so no pivoting is needed
        factors = [replace(factors[0], M=Factorise(spd=True))]
    tries = iterative_plans(facts, shape, singular)
    if seconds <= DIRECT_AT_ONCE or (facts.positive and seconds < iterative_seconds(facts)):
        return [*factors, *tries]
    return [*tries, *factors] if seconds <= DIRECT_LIMIT else tries


def iterative_plans(facts: Facts, shape: str, singular: bool) -> list[Plan]:
    if facts.symmetric and facts.definite == 1:
        multigrid = [] if importlib.util.find_spec("pyamg") is None or facts.n < 20_000 else [
            Plan("cg", PyAMG(kind="smoothed_aggregation"), f"{shape}: large, so multigrid (PyAMG is installed)")
        ]  # fmt: skip
        cheap = Jacobi() if singular else IncompleteCholesky()
        return [*multigrid, Plan("cg", cheap, shape), Plan("minres", None, "A turned out not to be positive definite")]
    if facts.symmetric:
        return [Plan("minres", None, f"{shape}: too large to factorise at once")]
    if singular:
        return [Plan("gmres", None, shape)]
    why = f"{shape}: too large to factorise at once"
    return [Plan("gmres", IncompleteLU(), why), Plan("bicgstab", IncompleteLU(), "gmres failed")]


def describe(facts: Facts) -> str:
    """'sparse, symmetric, positive diagonal, 5.0 entries a row' and the like."""
    parts = [facts.form, "symmetric" if facts.symmetric else "not symmetric"]
    if facts.form != "operator":
        parts.append({1: "positive diagonal", -1: "negative diagonal", 0: "diagonal of mixed sign"}[facts.definite or 0])
    if facts.form == "sparse":
        parts.append(f"{facts.entries / max(facts.n, 1):.1f} entries a row")
    return ", ".join(parts)


def direct_seconds(facts: Facts) -> float:
    """Factorising the top separator, a dense block of its width, and a logarithm of passes over the rest."""
    factor = 1.0 if facts.positive else 2.0
    return factor * (20.0 * facts.width**3 + 60.0 * facts.entries * math.log2(facts.n + 2)) / 1e9


def iterative_seconds(facts: Facts) -> float:
    """Conjugate gradients with IC(0): iterations grow with the diameter of the mesh, an iteration with the entries."""
    return 0.5 * facts.depth * 8e-9 * facts.entries + 1e-3
