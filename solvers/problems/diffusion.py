"""Diffusion -div(a grad u) = f on the unit cube: Poisson and its rough coefficients, by cell-centred finite volumes."""

from __future__ import annotations

import numpy as np

from .fields import balls, blocks, lognormal, two_phase
from .grid import SIDES, centres, finite_volumes
from .problem import Problem, check, one_of, positive


def poisson(
    n: int, dim: int = 2, *, boundary: str | tuple[str, ...] = "dirichlet", rhs: str = "manufactured", seed: int = 5_309
) -> Problem:
    """-Laplace u = f on n^dim cells of the unit cube.

    boundary: 'dirichlet' (zero), 'neumann' (zero), 'periodic', 'mixed' (Dirichlet on the first axis, Neumann on the others),
    or one name an axis. rhs='manufactured': f of u = product of sin(pi x), cos(pi x) or sin(2 pi x) by axis, second-order
    accurate; rhs='random': standard normal, made consistent where A is singular. nullspace is the constant where it is.
    O(n^dim). ValueError for anything else.

    >>> from petrov.solvers import problems
    >>> problems.poisson(4)
    poisson: 16 unknowns, 64 entries
    """
    check(n, dim)
    sides = axes(boundary, dim)
    one_of("rhs", rhs, ("manufactured", "random"))
    A = finite_volumes(np.ones((n,) * dim), sides)
    points = centres(n, dim)
    shapes = {"dirichlet": (np.sin, np.pi), "neumann": (np.cos, np.pi), "periodic": (np.sin, 2 * np.pi)}
    solution, eigenvalue = np.ones(n**dim), 0.0
    for axis, side in enumerate(sides):
        function, frequency = shapes[side]
        solution = solution * function(frequency * points[:, axis])
        eigenvalue += frequency**2
    singular = "dirichlet" not in sides
    nullspace = np.ones((n**dim, 1)) if singular else None
    exact: np.ndarray | None = solution
    b = eigenvalue * solution
    if rhs == "random":
        b, exact = np.random.default_rng(seed).standard_normal(n**dim), None
    if singular:
        b = b - b.mean()
    return Problem(A, b, exact, nullspace, None, points, (n,) * dim, None, not singular, "poisson")


def axes(boundary: str | tuple[str, ...], dim: int) -> tuple[str, ...]:
    if boundary == "mixed":
        return ("dirichlet", *["neumann"] * (dim - 1))
    sides = (boundary,) * dim if isinstance(boundary, str) else tuple(boundary)
    if len(sides) != dim or any(side not in SIDES for side in sides):
        raise ValueError(f"boundary must be mixed, {', '.join(SIDES)}, or a tuple of {dim} of the last three; got {boundary!r}")
    return sides


def rough(name: str, coefficient: np.ndarray, seed: int) -> Problem:
    """-div(a grad u) = f with zero Dirichlet sides and a random f, standard normal in each cell."""
    n, dim = coefficient.shape[0], coefficient.ndim
    A = finite_volumes(coefficient, ("dirichlet",) * dim)
    b = np.random.default_rng(seed + 1).standard_normal(n**dim)
    return Problem(A, b, None, None, None, centres(n, dim), (n,) * dim, coefficient.ravel(), True, name)


def darcy(n: int, dim: int = 2, *, coefficient: str = "lognormal", seed: int = 5_309) -> Problem:
    """Flow in a random medium: 'lognormal' (correlation length 0.1, standard deviation 2) or 'two-phase' (12 and 3).

    The right-hand side is that of a constant source, f = 1.

    >>> from petrov.solvers import problems
    >>> problems.darcy(8, seed=77).spd
    True
    """
    check(n, dim)
    one_of("coefficient", coefficient, ("lognormal", "two-phase"))
    field = lognormal(n, dim, seed) if coefficient == "lognormal" else two_phase(n, dim, seed)
    return rough("darcy", field, seed)._replace(b=np.ones(n**dim))


def jump(n: int, dim: int = 2, *, contrast: float = 1e6, seed: int = 5_309) -> Problem:
    """8^dim equal blocks with coefficients contrast^U(-1/2, 1/2); random right-hand side."""
    check(n, dim)
    positive(contrast=contrast)
    return rough("jump", blocks(n, dim, seed, contrast, 8), seed)


def inclusions(n: int, dim: int = 2, *, contrast: float = 1e4, count: int = 24, seed: int = 5_309) -> Problem:
    """Balls of coefficient `contrast` in a matrix of 1; random right-hand side."""
    check(n, dim)
    positive(contrast=contrast, count=count)
    return rough("inclusions", balls(n, dim, seed, contrast, count), seed)


def noise(n: int, dim: int = 2, *, contrast: float = 1e4, seed: int = 5_309) -> Problem:
    """64^dim blocks with independent coefficients contrast^U(-1/2, 1/2): rough at every scale a grid can see."""
    check(n, dim)
    positive(contrast=contrast)
    return rough("noise", blocks(n, dim, seed, contrast, 64), seed)
