"""The four data sets of SKR (Wang et al., ICLR 2024) rebuilt from their published scripts, and three that a user would meet.

What the scripts fix is kept: the random fields, the five-point matrices, geometry, boundary data. Meshes are ours: MATLAB's
mesh generator is not to be had, so the thermal and the Poisson set use quadratic triangles on a regular mesh of the same size.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from ...solvers import problems

ALPHA, TAU = 2.5, 7.0  # of the Gaussian fields: covariance (-Laplace + TAU^2)^-ALPHA


class Family(NamedTuple):
    """Systems (A, b) of one set, what tells them apart (N, ...), and the tolerance they are solved to. `grid`: A is that of a
    five-point grid, symmetric and definite."""

    name: str
    systems: list[tuple[Any, np.ndarray]]
    parameters: np.ndarray
    rtol: float
    symmetric: bool
    definite: bool
    grid: bool = False


def gaussian(n: int, rng: np.random.Generator) -> np.ndarray:
    """One periodic Gaussian field (n, n) with mean zero."""
    k = np.fft.fftfreq(n, 1 / n)
    size = TAU ** (ALPHA - 1) * np.sqrt(2) * n * n
    spectrum = size * (4 * np.pi**2 * (k[:, None] ** 2 + k[None, :] ** 2) + TAU**2) ** (-ALPHA / 2)
    spectrum[0, 0] = 0.0
    noise = (rng.standard_normal((n, n)) + 1j * rng.standard_normal((n, n))) / np.sqrt(2)
    return np.fft.ifft2(spectrum * noise).real


@cache
def laplacian(n: int) -> sp.csr_array:
    """The five-point Laplacian on n^2 interior nodes, times h^2."""
    T = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    return sp.csr_array(sp.kron(T, sp.eye_array(n)) + sp.kron(sp.eye_array(n), T))


def darcy(count: int, n: int = 100, *, released: bool = False, seed: int = 5_309) -> Family:
    """'Darcy flow': u_ij has the coefficient of its own node in every row it appears in, so A = L diag(a), a = exp(field).

    That is what the scripts say in mathematics. In the released code the slice of one of the five diagonals is two cells off
    (s - 2 where s is meant); `released` does the same, and then A is L diag(a) up to a few per cent only. f = 1.
    """
    fields = np.stack([np.exp(gaussian(n + 2, np.random.default_rng([seed, k]))) for k in range(count)])
    b = np.full(n * n, 1.0 / (n - 1) ** 2)
    systems = [(columns(field, released), b) for field in fields]
    return Family("Darcy, as released" if released else "Darcy", systems, fields, 1e-8, False, False)


def columns(field: np.ndarray, released: bool = False) -> sp.csr_array:
    a = field[1:-1, 1:-1].ravel()
    n = field.shape[0] - 2
    A = sp.csr_array(laplacian(n) @ sp.diags_array(a))
    if released:
        above = field[:-2, 1:-1].ravel()[n - 2 :][: n * n - n]
        off = sp.diags_array([a[: n * n - n] - above], offsets=[-n], shape=A.shape)
        A = sp.csr_array(A + off)
    A.sort_indices()
    return A


def helmholtz(count: int, n: int = 100, *, released: bool = False, seed: int = 5_309) -> Family:
    """'Helmholtz': the same with 4 a - h^2 k^2 on the diagonal, k uniform in (0, 1): far from waves."""
    rng = np.random.default_rng(seed)
    base, k = darcy(count, n, released=released, seed=seed + 1), rng.uniform(0, 1, count)
    shift = 1.0 / (n - 1) ** 2
    systems = [(sp.csr_array(A - shift * kk**2 * sp.eye_array(n * n)), b) for (A, b), kk in zip(base.systems, k, strict=True)]
    return Family("Helmholtz, as released" if released else "Helmholtz", systems, base.parameters, 1e-7, False, False)


def thermal(count: int, cells: int = 40, *, seed: int = 5_309) -> Family:
    """Heat in a block with a slot: temperature r_1 on the left, flux -r_2 on the right, insulated elsewhere; r is uniform in
    (0, 100).

    One matrix, right-hand sides in a plane. `cells` along the width of 1, a multiple of 20; 40 give 9,879 unknowns (11,063 in the
    paper).
    """
    x, y = np.linspace(-0.5, 0.5, cells + 1), np.linspace(-0.8, 0.8, 8 * cells // 5 + 1)
    A, load, _ = elements(x, y, hole=lambda p: (np.abs(p[0]) < 0.05) & (np.abs(p[1]) < 0.4))
    r = np.random.default_rng(seed).uniform(0, 100, (count, 2))
    left = np.isclose(load.points[0], -0.5)
    free = np.flatnonzero(~left)
    heated, flux = -(A[free][:, np.flatnonzero(left)] @ np.ones(left.sum())), load.side(lambda p: np.isclose(p[0], 0.5))[free]
    K = canonical(A[free][:, free])
    return Family("Thermal", [(K, hot * heated - out * flux) for hot, out in r], r, 1e-11, True, True)


def poisson(count: int, cells: int = 134, *, seed: int = 5_309) -> Family:
    """-Laplace u = f in the unit square, f and the values on the four sides Chebyshev series of degree 5 in x, coefficients
    uniform in (-1, 1).

    One matrix, right-hand sides in a space of 20 dimensions: on an upright side x is constant. 134 cells a side give 71,289
    unknowns (71,313 in the paper).
    """
    line = np.linspace(0, 1, cells + 1)
    A, load, values = elements(line, line)
    points, rng = load.points, np.random.default_rng(seed)
    sides = [np.isclose(points[1], 0), np.isclose(points[0], 1), np.isclose(points[1], 1), np.isclose(points[0], 0)]
    fixed = np.any(sides, axis=0)
    free = np.flatnonzero(~fixed)
    K, coupling = canonical(A[free][:, free]), A[free]
    coefficients = rng.uniform(-1, 1, (count, 5, 6))
    basis = np.polynomial.chebyshev.chebvander(points[0], 5).T
    loads = np.stack([values(T)[free] for T in basis])
    systems = []
    for given in coefficients:
        u = np.zeros(points.shape[1])
        for side, series in zip(sides, given[1:], strict=True):
            u[side] = series @ basis[:, side]
        systems.append((K, given[0] @ loads - coupling @ u))
    return Family("Poisson", systems, coefficients.reshape(count, -1), 1e-11, True, True)


class Load(NamedTuple):
    """Where the unknowns are (2, N), and the load of a unit flux through the sides where a condition holds."""

    points: np.ndarray
    side: Callable[[Callable[[np.ndarray], np.ndarray]], np.ndarray]


def elements(x: np.ndarray, y: np.ndarray, hole: Any = None) -> tuple[sp.csr_array, Load, Callable[[np.ndarray], np.ndarray]]:
    """(stiffness, loads on sides, loads of a source by its values at the unknowns) of quadratic triangles on a tensor mesh."""
    import skfem
    from skfem.models.poisson import laplace, mass

    mesh = skfem.MeshTri.init_tensor(x, y)
    if hole is not None:
        mesh = mesh.remove_elements(np.flatnonzero(hole(mesh.p[:, mesh.t].mean(axis=1))))
    basis = skfem.Basis(mesh, skfem.ElementTriP2())

    def side(where: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        facets = skfem.FacetBasis(mesh, skfem.ElementTriP2(), facets=mesh.facets_satisfying(where, boundaries_only=True))
        return skfem.LinearForm(lambda v, w: v).assemble(facets)

    M = sp.csr_array(mass.assemble(basis))
    return sp.csr_array(laplace.assemble(basis)), Load(basis.doflocs, side), lambda values: M @ values


def canonical(A: Any) -> sp.csr_array:
    A = sp.csr_array(0.5 * (A + A.T))
    A.sort_indices()
    return A


def media(count: int, n: int = 100, *, seed: int = 5_309) -> Family:
    """Log-normal Darcy flow as it is: symmetric finite volumes, contrast of 10^4 and more, independent samples."""
    found = [problems.darcy(n, seed=seed + k) for k in range(count)]
    fields = np.stack([np.log(np.asarray(p.coefficient)).reshape(n, n) for p in found])
    return Family("log-normal media", [(p.A, p.b) for p in found], fields, 1e-8, True, True, True)


def heat(count: int, n: int = 100, *, seed: int = 5_309) -> Family:
    """Steps of the heat equation with a source that moves: one matrix, each right-hand side from the solution before."""
    h = problems.heat(n, dt=1e-3)
    lu = sp.linalg.splu(h.A.tocsc())
    u, systems = h.b + np.random.default_rng(seed).standard_normal(n * n), []
    for k in range(count):
        centre = 0.5 + 0.3 * np.array([np.cos(0.2 * k), np.sin(0.2 * k)])
        b = h.step(u) + h.dt * 1e3 * np.exp(-100 * np.sum((h.coordinates - centre) ** 2, axis=1))
        systems.append((h.A, b))
        u = lu.solve(b)
    return Family("heat in time", systems, np.arange(count, dtype=float), 1e-8, True, True, True)


def waves(count: int, n: int = 100) -> Family:
    """-Laplace u - k^2 u = f with k from 10 to 20: symmetric, indefinite, two to seven wavelengths across."""
    L = problems.poisson(n).A
    b = problems.poisson(n, rhs="random").b
    k = np.linspace(10, 20, count)
    return Family("waves", [(sp.csr_array(L - kk**2 * sp.eye_array(n * n)), b) for kk in k], k, 1e-8, True, False)
