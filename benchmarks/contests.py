"""The table of contests: for every work of bars.py its problems, our methods and the peers, in full and in small sizes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .. import solvers
from ..solvers import compact, problems
from . import data, memory, petsc, roofline
from .document import SKIPPED, Row
from .iteration import PRODUCTS, race_of_iterations, race_of_products
from .measure import Settings, race
from .methods import AMG_CAP, LARGEST_3D_DIRECT, METHODS, front_door, iterate, nothing, outcome, prepare
from .peers import PEERS, PYAMG_JACOBI
from .records import DEFINITE, Limits, Method, Outcome, Problem, System
from .suites import MATRICES, matrix, model
from .unstructured import laplacian

SEED = 20_549
Race = Callable[[Sequence[Method], Problem, System, Settings], list[Row]]


class Contest(NamedTuple):
    """Rows that are measured together and kept together. `run(settings)` gives them."""

    name: str
    work: str
    run: Callable[[Settings], list[Row]]


def contest(
    work: str, name: str, make: Callable[[], System], methods: Sequence[Method], *, dim: int = 2, family: str = "",
    race: Race = race,
) -> Contest:  # fmt: skip
    """One problem with its methods; a file that is not there is a row that says so."""
    problem = Problem(f"{work}: {name}", family or name, "spd", make, dim, work=work)

    def run(settings: Settings) -> list[Row]:
        try:
            system = problem.make()
        except FileNotFoundError as error:
            return [Row(problem.name, problem.family, "spd", "(all)", "", SKIPPED, str(error), work=work)]
        return race(methods, problem, system, settings)

    return Contest(problem.name, work, run)


# -- Methods ---------------------------------------------------------------------------------------------------------------


def named(recipe: str) -> Method:
    """Our cg with the recipe of that name in petrov.solvers."""

    def setup(system: System) -> tuple[Any, Any]:
        return prepare(getattr(solvers, recipe)())(system)

    return Method(f"petrov cg + {recipe}", "petrov", DEFINITE, setup, iterate(solvers.cg), iteration_cap=AMG_CAP)


def updated(recipe: str, first: Callable[[], Any]) -> Method:
    """Our cg with M updated from the matrix of `first`, whose set-up is not timed."""

    def solve(_: None, system: System, rtol: float, limits: Limits, history: list[float] | None) -> Outcome:
        start = perf_counter()
        M = getattr(solvers, recipe)()(compact(first()))
        ready = perf_counter()
        A = compact(system.A)
        M = M.update(A)
        fresh = perf_counter()
        result = solvers.cg(A, system.b, M=M, rtol=rtol, max_iterations=limits.iterations, time_limit=limits.seconds)
        return replace(outcome(result, system, history), setup_seconds=fresh - ready, other_seconds=ready - start)

    return Method(f"petrov cg + {recipe}.update", "petrov", DEFINITE, nothing, solve, iteration_cap=AMG_CAP)


def known(*names: str) -> tuple[Method, ...]:
    """Methods of the suite by name."""
    table = {method.name: method for method in (*METHODS, *PEERS)}
    return tuple(table[name] for name in names)


GEOMETRIC, AGGREGATION = "GeometricMultigrid", "SmoothedAggregation"
GRID, ALGEBRAIC = named(GEOMETRIC), named(AGGREGATION)
PYAMG = known("pyamg SA + cg", "pyamg RS + cg")
JACOBI = known("petrov cg + Jacobi", "scipy cg + Jacobi")
NAMED = (
    Method(
        "petrov.solve(method='direct')", "named", DEFINITE, nothing, front_door(method="direct"), largest_3d=LARGEST_3D_DIRECT
    ),
    *(
        Method(f"petrov.solve(M='{M}')", "named", DEFINITE, nothing, front_door(method="cg", M=M))
        for M in ("none", "jacobi", "ic", "fsai", "amg", "gmg")
    ),
)


def petsc_multigrid(dim: int, quick: bool) -> tuple[Method, ...]:
    """hypre and GAMG on one rank and on two; on two alone in the quick form, where starting them takes longest."""
    methods = petsc.MULTIGRID_2D if dim == 2 else petsc.MULTIGRID_3D
    return methods[1::2] if quick else methods


# -- Systems ---------------------------------------------------------------------------------------------------------------


def scrambled(n: int, dim: int) -> System:
    """P D A D P^T: Poisson with random D, so that no two entries are alike and none fits single precision, and a random order
    P, so that nothing lies on diagonals. Jacobi undoes D: the iteration is Poisson's."""
    rng = np.random.default_rng(SEED)
    system = model(problems.poisson, n, dim, {})
    D, order = sparse.diags_array(rng.uniform(0.5, 1.5, len(system.b))), rng.permutation(len(system.b))
    A = sparse.csr_array(D @ system.A @ D)[order][:, order]
    return System(data.canonical(A), system.b)


def elements(n: int, dim: int, coefficient: Any = None) -> System:
    A = laplacian(n, dim, coefficient=coefficient, seed=SEED)
    return System(A, np.random.default_rng(data.SEED).standard_normal(A.shape[0]))


def wave(x: np.ndarray) -> np.ndarray:
    """A coefficient between 1/e and e."""
    return np.exp(np.sin(2 * np.pi * x[:, 0]) * np.cos(2 * np.pi * x[:, 1]))


COEFFICIENTS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "poisson": (problems.poisson, {}), "log-normal": (problems.darcy, {}), "jump 1e6": (problems.jump, {"contrast": 1e6}),
}  # fmt: skip


def grid_system(coefficient: str, n: int, dim: int) -> Callable[[], System]:
    make, keywords = COEFFICIENTS[coefficient]
    return functools.partial(model, make, n, dim, keywords)


# -- Works -----------------------------------------------------------------------------------------------------------------


def iterations(quick: bool) -> list[Contest]:
    found = []
    for dim, n in ((2, 256 if quick else 1024), (3, 32 if quick else 100)):
        name = f"poisson {n}^{dim}"
        table = (
            ("iteration", grid_system("poisson", n, dim), (*JACOBI, *petsc.ITERATION)),
            ("permuted", functools.partial(scrambled, n, dim), (*JACOBI, PYAMG_JACOBI, *petsc.ITERATION)),
        )
        found += [contest(work, name, make, methods, dim=dim, race=race_of_iterations) for work, make, methods in table]
    return found


def structured(quick: bool) -> list[Contest]:
    table = (
        ("poisson", 2, 1024, 128), ("log-normal", 2, 1024, 128), ("jump 1e6", 2, 1024, 128),
        ("poisson", 3, 100, 32), ("jump 1e6", 3, 128, 32),
    )  # fmt: skip
    return [
        contest(
            f"structured-{dim}d", f"{coefficient} {small if quick else n}^{dim}",
            grid_system(coefficient, small if quick else n, dim), (GRID, *PYAMG, *petsc_multigrid(dim, quick)), dim=dim,
        )
        for coefficient, dim, n, small in table
    ]  # fmt: skip


def unstructured(quick: bool) -> list[Contest]:
    ours = (ALGEBRAIC, *known("petrov.solve"))
    return [
        contest(
            "unstructured", f"P1 {n}^{dim}", functools.partial(elements, n, dim), (*ours, *PYAMG, *petsc_multigrid(dim, quick)),
            dim=dim,
        )
        for dim, n in ((2, 64 if quick else 500), (3, 12 if quick else 60))
    ]  # fmt: skip


def aggregation(quick: bool) -> list[Contest]:
    """The grids of PETSc's published times, by SmoothedAggregation, which asks for none."""
    return [
        contest(
            "aggregation", f"poisson {n}^{dim}", grid_system("poisson", n, dim), (ALGEBRAIC, *petsc_multigrid(dim, quick)),
            dim=dim,
        )
        for dim, n in ((2, 128 if quick else 1024), (3, 32 if quick else 100))
    ]  # fmt: skip


def real(quick: bool) -> list[Contest]:
    ours = (ALGEBRAIC, *known("petrov.solve"))
    names = [name for name, kind, always in MATRICES if kind == "spd" and (always or not quick)]
    return [contest("real", name, functools.partial(matrix, name, "spd"), (*ours, *PYAMG)) for name in names]


def updates(quick: bool) -> list[Contest]:
    """A log-normal medium that becomes another one, and elements whose coefficient changes."""
    n, m = (96, 48) if quick else (1024, 500)

    @functools.cache
    def medium() -> Any:
        return model(problems.darcy, n, 2, {"seed": SEED}).A

    @functools.cache
    def plain() -> Any:
        return elements(m, 2).A

    return [
        contest("update", f"log-normal {n}^2", grid_system("log-normal", n, 2), (updated(GEOMETRIC, medium), *PYAMG)),
        contest(
            "update", f"P1 {m}^2", functools.partial(elements, m, 2, wave), (updated(AGGREGATION, plain), *PYAMG)
        ),
    ]  # fmt: skip


def choices(quick: bool) -> list[Contest]:
    """What petrov.solve chooses beside everything that it might have chosen, on grids, elements and real matrices."""
    grids = ((2, 16, 32), (3, 8)) if quick else ((2, 32, 64, 100, 160, 256, 512), (3, 16, 24, 32, 48))
    meshes = ((2, 16), (3, 8)) if quick else ((2, 64, 120, 240), (3, 16, 24, 48))
    files = [name for name, kind, always in MATRICES if kind == "spd" and (always or not quick)]
    systems: dict[str, Callable[[], System]] = {
        **{f"log-normal {n}^{dim}": grid_system("log-normal", n, dim) for dim, *numbers in grids for n in numbers},
        **{f"P1 {n}^{dim}": functools.partial(elements, n, dim) for dim, *numbers in meshes for n in numbers},
        f"elasticity {8 if quick else 40}^2": functools.partial(model, problems.elasticity, 8 if quick else 40, 2, {}),
        f"elasticity {4 if quick else 10}^3": functools.partial(model, problems.elasticity, 4 if quick else 10, 3, {}),
        **{name: functools.partial(matrix, name, "spd") for name in files},
    }
    return [
        contest("choice", name, make, (*known("petrov.solve"), *NAMED), dim=3 if name.endswith("^3") else 2)
        for name, make in systems.items()
    ]


def sizes(quick: bool) -> list[Contest]:
    table = {2: (32, 64, 128), 3: (8, 16, 32)} if quick else {2: (128, 256, 512, 1024, 2048), 3: (32, 64, 128)}
    return [
        contest("sizes", f"{name} {n}^{dim}", grid_system(name, n, dim), (GRID,), dim=dim, family=f"{name}, {dim}-D")
        for dim, numbers in table.items()
        for name in COEFFICIENTS
        for n in numbers
    ]


def elasticity(quick: bool) -> list[Contest]:
    table = {2: (8, 16, 32), 3: (4, 6)} if quick else {2: (32, 64, 128, 256), 3: (8, 16, 24)}
    return [
        contest(
            "elasticity", f"{n}^{dim}", functools.partial(model, problems.elasticity, n, dim, {}),
            (ALGEBRAIC, *known("pyamg SA + cg")), dim=dim, family=f"elasticity, {dim}-D",
        )
        for dim, numbers in table.items()
        for n in numbers
    ]  # fmt: skip


def large(quick: bool) -> list[Contest]:
    n = 48 if quick else 216
    name = f"memory: poisson {n}^3"
    return [Contest(name, "memory", lambda settings: [memory.measured(name, "memory", n, GEOMETRIC, settings)])]


def kernels(quick: bool) -> list[Contest]:
    """The triad over working sets of every size, and products with natural and with scrambled matrices."""
    n, m = (256, 32) if quick else (1024, 100)
    cases: dict[str, Callable[[], System]] = {
        f"poisson {n}^2": grid_system("poisson", n, 2), f"log-normal {n}^2": grid_system("log-normal", n, 2),
        f"poisson {m}^3": grid_system("poisson", m, 3), f"permuted poisson {n}^2": functools.partial(scrambled, n, 2),
        f"P1 {n // 2}^2": functools.partial(elements, n // 2, 2),
    }  # fmt: skip
    found = [
        Contest(f"triad: {count}", "kernels", functools.partial(triads, count))
        for count in (roofline.QUICK if quick else roofline.SIZES)
    ]
    return found + [contest("kernels", name, make, PRODUCTS, race=race_of_products) for name, make in cases.items()]


def triads(count: int, settings: Settings) -> list[Row]:
    return [roofline.bandwidth("kernels", count, threaded=threaded, repeat=settings.repeat) for threaded in (False, True)]


TABLE = (iterations, structured, unstructured, aggregation, real, updates, choices, sizes, elasticity, large, kernels)


def contests(only: Sequence[str] | None, quick: bool) -> list[Contest]:
    """All contests, or those of the works named."""
    return [one for rows in TABLE for one in rows(quick) if only is None or one.work in only]
