"""The tables of problems. A suite is a list of Problem rows; nothing is built before its turn comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..solvers import problems
from . import data
from .records import Kind, Problem, System, off

LARGEST_3D = 100

# name, dim, kind, problem, its keywords
FAMILIES: dict[str, tuple[int, Kind, Callable[..., Any], dict[str, Any]]] = {
    "poisson 2-D": (2, "spd", problems.poisson, {}),
    "poisson 3-D": (3, "spd", problems.poisson, {}),
    "neumann 2-D": (2, "semidefinite", problems.poisson, {"boundary": "neumann"}),
    "darcy log-normal": (2, "spd", problems.darcy, {}),
    "jump 1e6": (2, "spd", problems.jump, {"contrast": 1e6}),
    "jump 1e6, 3-D": (3, "spd", problems.jump, {"contrast": 1e6}),
    "anisotropic": (2, "spd", problems.anisotropic, {}),
    "helmholtz": (2, "indefinite", problems.helmholtz, {}),
    "convection-diffusion": (2, "general", problems.convection_diffusion, {}),
}

# family, n cells a side
QUICK = (
    ("poisson 2-D", (64, 128, 256)), ("poisson 3-D", (32,)), ("neumann 2-D", (128,)), ("darcy log-normal", (128,)),
    ("jump 1e6", (128,)), ("anisotropic", (128,)),
)  # fmt: skip
FULL = (
    ("poisson 2-D", (64, 128, 256, 512, 1024)), ("poisson 3-D", (32, 64, 100)), ("neumann 2-D", (128, 512)),
    ("darcy log-normal", (128, 512)), ("jump 1e6", (128, 512)), ("jump 1e6, 3-D", (32, 64)), ("anisotropic", (128, 512)),
    ("helmholtz", (64, 128)), ("convection-diffusion", (128, 256)),
)  # fmt: skip
PLOTTED = frozenset(
    {("poisson 2-D", 256), ("poisson 3-D", 32), ("neumann 2-D", 128), ("darcy log-normal", 128), ("jump 1e6", 128),
     ("anisotropic", 128)}
)  # fmt: skip

# name, kind, in the quick suite
MATRICES: tuple[tuple[str, Kind, bool], ...] = (
    ("bcsstk01", "spd", True), ("bcsstk03", "spd", True), ("nos5", "spd", True), ("pyamg_bar", "spd", True),
    ("gr_900_900_crg", "spd", True), ("1138_bus", "spd", True), ("bcsstk13", "spd", True),
    ("hypre_beam_tet2475", "spd", True), ("ani4", "spd", True), ("pyamg_unit_square", "semidefinite", True),
    ("tumorAntiAngiogenesis_2", "indefinite", True), ("young1c", "general", True), ("utm300", "general", True),
    ("west0479", "general", True), ("pde900", "general", True), ("olm1000", "general", True), ("epb0", "general", True),
    ("of_elbow_p", "spd", False), ("of_pitzDaily_p", "spd", False), ("ccx_segmenttet", "spd", False),
    ("of_scalarTransport_T", "general", False), ("cavity14", "general", False),
)  # fmt: skip


def poisson(*, quick: bool = False, sizes: Sequence[int] | None = None) -> list[Problem]:
    """Model problems and real matrices. `sizes` runs the model problems of the suite at these sizes instead, 3-D ones up
    to 100, and no matrices."""
    table: Iterable[tuple[str, Sequence[int]]] = QUICK if quick else FULL
    if sizes is None:
        return [*models(table), *matrices(quick)]
    at = {family: [n for n in sizes if FAMILIES[family][0] == 2 or n <= LARGEST_3D] for family, _ in table}
    return models(at.items(), plot_all=True)


def models(table: Iterable[tuple[str, Sequence[int]]], *, plot_all: bool = False) -> list[Problem]:
    rows = []
    for family, sizes in table:
        dim, kind, make, keywords = FAMILIES[family]
        plotted = {n for n in sizes if (family, n) in PLOTTED} or ({max(sizes, default=0)} if plot_all else set())
        rows += [
            Problem(f"{family} {n}^{dim}", family, kind, partial(model, make, n, dim, keywords), dim, n in plotted) for n in sizes
        ]
    return rows


def model(make: Callable[..., Any], n: int, dim: int, keywords: dict[str, Any]) -> System:
    """The System of a named problem of petrov.solvers.problems, with a random right-hand side, consistent if A is singular.

    Not the manufactured one: a product of sines is an eigenvector of the discrete Laplacian, which cg solves in one step.
    """
    problem = make(n, dim, **keywords)
    rows = problem.b.shape[0]
    nullspace, near = orthonormal(problem.nullspace, rows), orthonormal(problem.near_nullspace, rows)
    b = off(nullspace, np.random.default_rng(data.SEED).standard_normal(rows))
    return System(data.canonical(problem.A), b, nullspace, near)


def matrices(quick: bool) -> list[Problem]:
    names = [(name, kind) for name, kind, always in MATRICES if always or not quick]
    return [Problem(name, "SuiteSparse and others", kind, partial(matrix, name, kind)) for name, kind in names]


def matrix(name: str, kind: Kind) -> System:
    """A matrix from a file; the semidefinite ones here are Neumann Laplacians, whose nullspace is the constants."""
    A, b = data.read(name)
    return System(A, b, orthonormal("constant", b.shape[0]) if kind == "semidefinite" else None)


def orthonormal(basis: Any, rows: int) -> np.ndarray | None:
    """An orthonormal basis (rows, k) of the span; 'constant' means the constants."""
    if basis is None:
        return None
    if isinstance(basis, str):
        if basis != "constant":
            raise ValueError(f"a nullspace is None, 'constant' or a basis (n, k); got {basis!r}")
        return np.full((rows, 1), rows**-0.5)
    basis = np.asarray(basis, dtype=np.float64)
    return np.linalg.qr(basis.reshape(rows, -1))[0]


SUITES: dict[str, Callable[..., list[Problem]]] = {"poisson": poisson}
