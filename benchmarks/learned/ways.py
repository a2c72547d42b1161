"""Who takes part: classical preconditioners, PyAMG, hypre, a direct solver; what was learned, with its twins."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ... import learned
from ...learned.families import Member, System
from ...solvers import compact
from ...solvers.direct import factorize
from ...solvers.external.pyamg import PyAMG
from ...solvers.preconditioners import (
    Chebyshev,
    GeometricMultigrid,
    IncompleteCholesky,
    Jacobi,
    SmoothedAggregation,
    SparseInverse,
)
from .. import petsc
from .systems import Case
from .twins import SSOR, ScaledNeumann, Tuned, tuned

BASELINE, UNTRAINED, SCALARS, NETWORK = "baseline", "untrained", "scalars", "network"
ROLES = (BASELINE, UNTRAINED, SCALARS, NETWORK)
LARGEST = 100_000  # unknowns up to which what needs as many iterations as the grid has cells along a side takes part
LARGEST_DIRECT = {2: 300_000, 3: 30_000}
LARGEST_PYAMG = 400_000


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way to solve. recipe(system) is told what the system knows; its call with A is the set-up.

    role: BASELINE, or of `kin` (the name of a learned preconditioner) the UNTRAINED, the SCALARS-only or the NETWORK form.
    suits(case, unknowns); absent: why it cannot take part at all; direct: M is A^-1; outside: runs elsewhere.
    """

    name: str
    library: str
    recipe: Callable[[System], Any]
    role: str = BASELINE
    kin: str = ""
    suits: Callable[[Case, int], bool] = lambda case, n: True
    absent: str = ""
    direct: bool = False
    outside: Any = None
    said: str = ""

    @property
    def ours(self) -> bool:
        return self.library == "petrov"


def plain(recipe: Any) -> Callable[[System], Any]:
    return lambda system: recipe


def small(case: Case, n: int) -> bool:
    return n <= LARGEST


def on_grids(case: Case, n: int) -> bool:
    return case.grid


# -- Baselines -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PyAMGAsItIs:
    """PyAMG's own solver function with these options, its V-cycle as M; nothing of ours set in between."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self, A: Any) -> Any:
        import pyamg

        state = np.random.get_state()  # noqa: NPY002  (PyAMG draws from the global generator)
        np.random.seed(7_349)  # noqa: NPY002
        try:
            hierarchy = getattr(pyamg, self.kind)(sp.csr_matrix(A), **self.options)
        finally:
            np.random.set_state(state)  # noqa: NPY002
        return Applied(hierarchy.aspreconditioner(cycle="V"))


@dataclass(frozen=True, slots=True, eq=False)
class Applied:
    """A cycle of PyAMG as an operator that says what it is."""

    cycle: Any
    linear: bool = True
    spd: bool | None = True

    @property
    def shape(self) -> tuple[int, int]:
        return self.cycle.shape

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float64)

    def __matmul__(self, r: Any) -> np.ndarray:
        return self.cycle.matvec(r)


SWEEP = {"sweep": "symmetric"}
SA, RS = "smoothed_aggregation_solver", "ruge_stuben_solver"
PYAMG: dict[str, tuple[str, dict[str, Any]]] = {
    "PyAMG SA": (SA, {}),
    "PyAMG SA, evolution": (SA, {"strength": "evolution"}),
    "PyAMG SA, Jacobi": (SA, {"presmoother": ("jacobi", {"omega": 4 / 3}), "postsmoother": ("jacobi", {"omega": 4 / 3})}),
    "PyAMG SA, Chebyshev": (SA, {"presmoother": ("chebyshev", {"degree": 3}), "postsmoother": ("chebyshev", {"degree": 3})}),
    "PyAMG RS": (RS, {}),
}


def suits_pyamg(case: Case, n: int) -> bool:
    return n <= LARGEST_PYAMG


def suits_direct(case: Case, n: int) -> bool:
    return n <= LARGEST_DIRECT[case.dim]


def baselines() -> list[Way]:
    missing = "" if importlib.util.find_spec("pyamg") else "PyAMG is not installed: pip install 'petrov[bench]'"
    single = {
        "Jacobi": Jacobi(), "Chebyshev(3)": Chebyshev(), "IC(0)": IncompleteCholesky(block=0), "FSAI": SparseInverse(),
    }  # fmt: skip
    grids = {f"GeometricMultigrid, {cycle}": GeometricMultigrid(cycle=cycle) for cycle in ("V", "W", "F")}
    return [
        *(Way(name, "petrov", plain(recipe), suits=small) for name, recipe in single.items()),
        *(Way(f"SmoothedAggregation, {cycle}", "petrov", plain(SmoothedAggregation(cycle=cycle))) for cycle in ("V", "W")),
        *(Way(name, "petrov", plain(recipe), suits=on_grids) for name, recipe in grids.items()),
        *(
            Way(name, "pyamg", plain(PyAMGAsItIs(kind, options)), suits=suits_pyamg, absent=missing)
            for name, (kind, options) in PYAMG.items()
        ),
        Way("PyAMG SA, lean", "pyamg", plain(PyAMG()), suits=suits_pyamg, absent=missing),
        Way("direct", "petrov", plain(partial(factorize, spd=True)), suits=suits_direct, direct=True),
        Way(
            "hypre + PETSc cg", "petsc", plain(None), absent=petsc.absent(), outside=petsc.petsc(petsc.HYPRE, 1),
            suits=suits_pyamg,
        ),
    ]  # fmt: skip


# -- Learned ---------------------------------------------------------------------------------------------------------------


class Learned(NamedTuple):
    """A learned preconditioner: names of its weights, of what is tuned in their place, and where it belongs."""

    name: str
    scalars: str  # weights, or '' where the twin is tuned here
    suits: Callable[[Case, int], bool]


LEARNED = (
    Learned("graph-multigrid", "graph-multigrid-scalars", lambda case, n: True),
    Learned("grid-multigrid-2d", "grid-multigrid-2d-scalars", lambda case, n: case.grid and case.dim == 2),
    Learned("grid-multigrid-3d", "grid-multigrid-3d-scalars", lambda case, n: case.grid and case.dim == 3),
    Learned("graph-factor-2d", "", small),
    Learned("sparse-inverse-2d", "", small),
)
TUNED_ON = tuple(Member("fem2d", 3000, 72_249 + k) for k in range(4))  # what chooses the weights of both networks of factors
OMEGAS = tuple(np.round(np.arange(0.8, 1.96, 0.05), 2).tolist())
CS = tuple(np.round(np.arange(0.3, 1.21, 0.04), 2).tolist())


@cache
def twin(name: str) -> Tuned:
    """The scalar twin of a network of factors, tuned once a process."""
    if name == "graph-factor-2d":
        return tuned(SSOR, OMEGAS, TUNED_ON)
    return tuned(ScaledNeumann, CS, TUNED_ON)


def loaded(name: str) -> tuple[Any, str]:
    """(recipe, '') of shipped weights, or (None, why not)."""
    try:
        return learned.load(name), ""
    except (FileNotFoundError, learned.WeightsError, ValueError) as error:
        return None, str(error)


def told(recipe: Any) -> Callable[[System], Any]:
    return lambda system: system.bind(recipe)


def weights_way(name: str, role: str, kin: str, suits: Callable[[Case, int], bool]) -> Way:
    recipe, absent = loaded(name)
    return Way(name, "petrov", told(recipe), role, kin, suits, absent)


def learned_ways() -> list[Way]:
    """Every learned preconditioner in its three forms; what has no weights here says so."""
    found = []
    for one in LEARNED:
        network = weights_way(one.name, NETWORK, one.name, one.suits)
        if one.scalars:
            scalars = weights_way(one.scalars, SCALARS, one.name, one.suits)
            start, absent = untrained(network)
            found.append(Way(f"{one.name}, untrained", "petrov", told(start), UNTRAINED, one.name, one.suits, absent))
        else:
            first, second = (
                ("SSOR, w = 1", "SSOR, w tuned") if one.name == "graph-factor-2d" else ("Neumann factor", "Neumann factor, tuned")
            )
            start = SSOR() if one.name == "graph-factor-2d" else learned.NeumannFactor()
            found.append(Way(first, "petrov", plain(start), UNTRAINED, one.name, one.suits))
            scalars = Way(second, "petrov", partial(tuned_recipe, one.name), SCALARS, one.name, one.suits)
        found += [scalars, network]
    return found


DIRECTIONS = ("conjugate-directions-2d", "conjugate-directions-2d-deep")


def nonlinear_ways() -> list[Way]:
    """What is no linear map: directions for flexible_cg, beside cg."""
    found = [Way("cg", "petrov", plain(None)), Way("cg, Jacobi", "petrov", plain(Jacobi()))]
    return found + [weights_way(name, NETWORK, name, lambda case, n: True) for name in DIRECTIONS]


def tuned_recipe(name: str, system: System) -> Any:
    return twin(name).recipe


def untrained(network: Way) -> tuple[Any, str]:
    """The network before training, of the same size, or why there is none."""
    if network.absent:
        return None, network.absent
    recipe = learned.load(network.name)
    sizes = [name for name in signature(type(recipe).untrained).parameters if hasattr(recipe, name)]
    return type(recipe).untrained(**{name: getattr(recipe, name) for name in sizes}), ""


def ways() -> list[Way]:
    return [*baselines(), *learned_ways()]


def fingerprints() -> dict[str, Any]:
    """Of every file of weights that takes part: a digest of its arrays, and seconds of training; '' and None if it is absent."""
    found = {}
    for one in LEARNED:
        for name in (one.name, one.scalars):
            if name:
                found[name] = fingerprint(name)
    return found | {name: fingerprint(name) for name in DIRECTIONS}


def fingerprint(name: str) -> dict[str, Any]:
    recipe, absent = loaded(name)
    if absent:
        return {"digest": "", "seconds": None}
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(recipe.weights[key]).tobytes() for key in sorted(recipe.weights)))
    facts = learned.describe(name).get("facts", {})
    return {"digest": digest.hexdigest()[:12], "seconds": facts.get("seconds")}


def prepared(way: Way, system: System) -> tuple[Any, Any]:
    """The set-up: A stored for fast products, and M."""
    recipe = way.recipe(system)
    A = compact(system.A)
    return A, None if recipe is None else recipe(system.A if way.library == "pyamg" or way.direct else A)
