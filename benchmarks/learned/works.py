"""The table of contests, in full and in small sizes: families, grids, meshes, growth, what no family draws, definiteness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ...learned import FAMILIES
from ..contests import Contest
from ..document import Row
from . import definite
from .contest import measure
from .systems import GRID_SHIFTS, SEED, SHIFTS, Case, System, drawn, obstacles, only, real
from .ways import Way, nonlinear_ways, ways

FAMILY, GRID, MESH, GROWTH, SHIFT, DIRECTIONS = "families", "grids", "meshes", "growth", "shift", "directions"
TIMED = (FAMILY, GRID, MESH, GROWTH, SHIFT, DIRECTIONS)
COEFFICIENTS = ("constant", "lognormal", "blocks", "inclusions")  # that the bars on grids name
MANY = 20  # held-out systems of a family
FLOW = ("of_elbow_p", "of_pitzDaily_p")  # pressure of a flow on real meshes


def contests(only_works: Sequence[str] | None, quick: bool) -> list[Contest]:
    table = (families, grids, meshes, growth, shifts, directions)
    found = [contest(case, choose) for rows in table for case, choose in rows(quick)]
    found += [*definite.contests()]
    return [one for one in found if only_works is None or one.work in only_works]


Choose = Callable[[], list[Way]]


def contest(case: Case, choose: Choose) -> Contest:
    def run(timing: Any) -> list[Row]:
        return measure(case, choose(), timing)

    return Contest(case.problem, case.work, run)


def families(quick: bool) -> list[tuple[Case, Choose]]:
    """Every family, many held-out systems, every kind of right-hand side."""
    sizes = {"fem2d": 15_000, "fem3d": 8_000, "fv2d": 128**2, "fv3d": 20**3, "anisotropic2d": 8_000, "heat2d": 8_000}
    sizes |= {"stretched2d": 96**2, "rough2d": 96**2}
    shown = ("fem2d", "fv2d", "fem3d") if quick else tuple(sizes)
    return [(drawn(FAMILY, FAMILIES[name], 1_000 if quick else sizes[name], MANY, every=True), ways) for name in shown]


def grids(quick: bool) -> list[tuple[Case, Choose]]:
    """Structured grids by coefficient, at the sizes that the bars are for."""
    sides = ((2, "fv2d", (64,)), (3, "fv3d", (16,))) if quick else ((2, "fv2d", (512, 1024)), (3, "fv3d", (64, 128)))
    return [
        (of_grid(GRID, name, coefficient, dim, n, 1 if quick or n == 128 else 5 if dim == 2 else 3), on_grids)
        for dim, name, numbers in sides
        for coefficient in COEFFICIENTS[1:]
        for n in numbers
    ]


def of_grid(work: str, name: str, coefficient: str, dim: int, n: int, count: int) -> Case:
    case = drawn(work, only(name, coefficient), n**dim, count, name=f"{coefficient} {dim}-D")
    return replace(case, name=f"{coefficient} {n}^{dim}")


def on_grids() -> list[Way]:
    """What can win on a grid: multigrid."""
    return [way for way in ways() if "Multigrid" in way.name or "multigrid" in way.name or way.name in ("PyAMG SA", "PyAMG RS")]


def meshes(quick: bool) -> list[tuple[Case, Choose]]:
    """Unstructured systems of the sizes that the bars are for, and the pressure of two flows."""
    sizes = (("fem2d", (1_500,)), ("fem3d", (1_500,))) if quick else (
        ("fem2d", (15_000, 60_000, 250_000)), ("fem3d", (15_000, 60_000, 250_000)),
    )  # fmt: skip
    found = [
        drawn(MESH, FAMILIES[name], n, 1 if quick else 5 if n < 50_000 else 3 if n < 200_000 else 1)
        for name, numbers in sizes
        for n in numbers
    ]
    found += [Case(MESH, name, "pressure of a flow", real(name), 1 if quick else 3) for name in FLOW]
    return [(case, algebraic) for case in found]


def algebraic() -> list[Way]:
    """All but some of the single-level methods; every form of what was learned."""
    return [way for way in ways() if way.name not in ("Chebyshev(3)", "FSAI")]


def growth(quick: bool) -> list[tuple[Case, Choose]]:
    """A family at n, 4 n, 16 n, 64 n; grids from 64^2 to 2048^2, without what grows."""
    first = 250 if quick else 1_000
    found = [
        (drawn(GROWTH, FAMILIES[name], first * k, 2 if quick else 5 if k < 16 else 3), ways)
        for name in ("fem2d", "fv2d")
        for k in ((1, 4, 16) if quick else (1, 4, 16, 64))
    ]
    sides = (32, 64, 128) if quick else (64, 128, 256, 512, 1024, 2048)
    found += [
        (of_grid(GROWTH, "fv2d", coefficient, 2, n, 1), multilevel) for coefficient in COEFFICIENTS for n in sides
    ]
    return found


def multilevel() -> list[Way]:
    """Learned multigrid on grids, and ours without a network."""
    return [way for way in ways() if way.name == "GeometricMultigrid, W" or way.kin.startswith("grid-multigrid")]


def shifts(quick: bool) -> list[tuple[Case, Choose]]:
    """What no family draws."""
    size, side = (1_000, 32) if quick else (15_000, 256)
    found = []
    for name, make in SHIFTS.items():
        dim = 3 if name == "three dimensions" else 2
        found.append(Case(SHIFT, name, name, partial(of_shift, make, size), 2 if quick else 3, dim))
    for name, make in GRID_SHIFTS.items():
        found.append(Case(SHIFT, name, name, partial(of_shift, make, side), 2 if quick else 3, 2, grid=True))
    return [(case, algebraic) for case in found]


def directions(quick: bool) -> list[tuple[Case, Choose]]:
    """Poisson between the same obstacles to 1e-4, from the size that was trained on to eight times as many cells a side."""
    cases = [
        Case(DIRECTIONS, f"obstacles {n}^2", "obstacles", partial(obstacles, n), 2 if quick else 6, grid=True, rtol=1e-4)
        for n in ((32, 64) if quick else (64, 128, 256, 512))
    ]
    return [(case, nonlinear_ways) for case in cases]


def of_shift(make: Callable[[int, int], System], size: int, k: int) -> System:
    return make(size, SEED + k)
