"""The automatic choice: which method and which preconditioner, in which order to try them, and why.

Costs are estimates in seconds from the number of entries and two numbers of the graph (its largest breadth-first level,
the size of a separator, and its number of levels, the diameter); the constants were measured on one core.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .direct import factorize
from .external.pyamg import PyAMG
from .preconditioners import Chebyshev, IncompleteCholesky, IncompleteLU, Jacobi
from .recognise import Facts

DIRECT_AT_ONCE = 0.5  # seconds below which a factorisation, which cannot fail to converge, is taken without comparing
DENSE_LIMIT = 4_000  # rows up to which a dense matrix is factorised
DIRECT_LIMIT = 600.0  # estimated seconds beyond which a factorisation is no fallback but a lost afternoon

PRECONDITIONERS: dict[str, Callable[[], Any]] = {
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
    """Everything that suits A, the quickest by estimate first; a factorisation that is quick enough before all."""
    certain = facts.positive and facts.dominant and not singular  # definite without doubt, so no pivoting is needed
    seconds = direct_seconds(facts)
    why = f"{shape}: a factorisation (about {seconds:.2g} s) is cheap and sure"
    factor = (0.0 if seconds <= DIRECT_AT_ONCE else seconds, Plan("direct", Factorise(True if certain else None), why))
    tries = [*iterative_plans(facts, shape, singular), *([factor] if seconds <= DIRECT_LIMIT else [])]
    return [plan for _, plan in sorted(tries, key=lambda pair: pair[0])]


def iterative_plans(facts: Facts, shape: str, singular: bool) -> list[tuple[float, Plan]]:
    """(estimated seconds, plan) of the iterations that A's symmetry and signs allow."""
    steps = 0.5 * facts.depth + 1  # conjugate gradients with IC(0) need about as many as half the diameter of the mesh
    if facts.symmetric and facts.definite == 1:
        cheap = Jacobi() if singular else IncompleteCholesky()
        tries = [
            (steps * 8e-9 * facts.entries + 1e-3, Plan("cg", cheap, shape)),
            (10 * steps * 8e-9 * facts.entries + 2e-3, Plan("minres", None, "A turned out not to be positive definite")),
        ]
        if facts.n >= 20_000 and importlib.util.find_spec("pyamg") is not None:
            why = f"{shape}: large, so multigrid (PyAMG is installed)"
            tries.append((2e-6 * facts.entries, Plan("cg", PyAMG(kind="smoothed_aggregation"), why)))
        return tries
    if facts.symmetric:
        return [(10 * steps * 8e-9 * facts.entries + 1e-3, Plan("minres", None, f"{shape}: quicker than a factorisation"))]
    if singular:
        return [(10 * steps * 4e-8 * facts.entries + 1e-3, Plan("gmres", None, shape))]
    ilu = steps * 1e-7 * facts.entries + 1e-3
    return [
        (ilu, Plan("gmres", IncompleteLU(), f"{shape}: quicker than a factorisation")),
        (2 * ilu, Plan("bicgstab", IncompleteLU(), "gmres failed")),
    ]


def describe(facts: Facts) -> str:
    """'sparse, symmetric, positive diagonal, 5.0 entries a row' and the like."""
    parts = [facts.form, "symmetric" if facts.symmetric else "not symmetric"]
    if facts.form != "operator":
        parts.append({1: "positive diagonal", -1: "negative diagonal", 0: "diagonal of mixed sign"}[facts.definite or 0])
    if facts.form == "sparse":
        parts.append(f"{facts.entries / max(facts.n, 1):.1f} entries a row")
    return ", ".join(parts)


def direct_seconds(facts: Facts) -> float:
    """Factorising the top separator, a dense block of the graph's width, and a logarithm of passes over the rest."""
    block = min(12.0 * facts.width**3, 3.0 * facts.n**3)  # no more than a dense factorisation of the whole
    return (1.0 if facts.positive else 2.0) * (block + 40.0 * facts.entries * math.log2(facts.n + 2)) / 1e9
