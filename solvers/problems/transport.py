"""Finite differences on the unit cube with zero boundary values: anisotropy, convection, waves."""

from __future__ import annotations

import numpy as np

from .grid import laplacian, nodes, offset, sine, stencil
from .problem import Problem, check, one_of, positive


def anisotropic(n: int, dim: int = 2, *, epsilon: float = 1e-3, angle: float = np.pi / 6) -> Problem:
    """-div(K grad u) = f, K = diag(1, epsilon, epsilon) turned by `angle` (radians) in the plane of the first two axes.

    n interior nodes a side, nine points in 2-D; manufactured u = prod sin(pi x). Symmetric positive definite.

    >>> from petrov.solvers import problems
    >>> problems.anisotropic(8).spd
    True
    """
    check(n, dim)
    positive(epsilon=epsilon)
    c, s = (np.cos(angle), np.sin(angle)) if dim > 1 else (1.0, 0.0)
    a, d, cross = c * c + epsilon * s * s, s * s + epsilon * c * c, (1 - epsilon) * c * s
    diagonal = (a, d, epsilon)[:dim] if dim > 1 else (1.0,)
    scale = float(n + 1) ** 2
    entries: dict[tuple[int, ...], float | np.ndarray] = {(0,) * dim: 2 * scale * sum(diagonal)}
    for axis, k in enumerate(diagonal):
        for step in (-1, 1):
            entries[offset(dim, **{f"axis{axis}": step})] = -k * scale
    if dim > 1:
        for i in (-1, 1):
            for j in (-1, 1):
                entries[offset(dim, axis0=i, axis1=j)] = -i * j * cross * scale / 2
    x = nodes(n, dim)
    u = sine(x)
    f = np.pi**2 * sum(diagonal) * u
    if dim > 1:
        mixed = np.prod(np.cos(np.pi * x[:, :2]), axis=1) * np.prod(np.sin(np.pi * x[:, 2:]), axis=1)
        f = f - 2 * cross * np.pi**2 * mixed
    return Problem(stencil(n, entries), f, u, None, None, x, (n,) * dim, None, True, "anisotropic")


def convection_diffusion(
    n: int, dim: int = 2, *, peclet: float = 100.0, wind: str = "recirculating", scheme: str = "upwind"
) -> Problem:
    """-Laplace u + peclet w . grad u = f with zero boundary values; not symmetric.

    wind 'constant': w = (cos 1/2, sin 1/2, 0); 'recirculating': the rotation of the stream function sin(pi x) sin(pi y) in
    the first two axes (2-D and 3-D). scheme 'upwind' (first order, an M-matrix) or 'central' (second order, oscillates when
    peclet / n > 2). Manufactured u = prod sin(pi x).
    """
    check(n, dim)
    one_of("wind", wind, ("recirculating", "constant"))
    one_of("scheme", scheme, ("upwind", "central"))
    if wind == "recirculating" and dim == 1:
        raise ValueError("wind='recirculating' needs dim 2 or 3; got dim 1; use wind='constant'")
    x = nodes(n, dim)
    w = np.zeros_like(x)
    if wind == "constant":
        w[:, 0], w[:, 1 % dim] = np.cos(0.5), np.sin(0.5) if dim > 1 else np.cos(0.5)
    else:
        w[:, 0] = np.sin(np.pi * x[:, 0]) * np.cos(np.pi * x[:, 1])
        w[:, 1] = -np.cos(np.pi * x[:, 0]) * np.sin(np.pi * x[:, 1])
    entries: dict[tuple[int, ...], float | np.ndarray] = {key: np.full(n**dim, value) for key, value in laplacian(n, dim).items()}
    f, u = dim * np.pi**2 * sine(x), sine(x)
    for axis in range(dim):
        speed = peclet * w[:, axis] * (n + 1)
        spread = np.abs(speed) / 2 if scheme == "upwind" else 0.0
        entries[(0,) * dim] = entries[(0,) * dim] + 2 * spread
        for step in (-1, 1):
            key = offset(dim, **{f"axis{axis}": step})
            entries[key] = entries[key] + step * speed / 2 - spread
        others = [k for k in range(dim) if k != axis]
        f = f + peclet * w[:, axis] * np.pi * np.cos(np.pi * x[:, axis]) * np.prod(np.sin(np.pi * x[:, others]), axis=1)
    return Problem(stencil(n, entries), f, u, None, None, x, (n,) * dim, None, False, "convection_diffusion")


def helmholtz(n: int, dim: int = 2, *, wavenumber: float = 20.0, absorption: float = 0.0) -> Problem:
    """-Laplace u - k^2 (1 + i absorption) u = f with zero boundary values, manufactured u = prod sin(pi x).

    Symmetric, and indefinite once k exceeds sqrt(dim) pi; absorption > 0 makes it complex symmetric (not Hermitian).

    >>> from petrov.solvers import problems
    >>> problems.helmholtz(10).spd
    False
    """
    check(n, dim)
    positive(wavenumber=wavenumber)
    entries = laplacian(n, dim)
    A = stencil(n, entries)
    shift = wavenumber**2 * (1 + 1j * absorption) if absorption else wavenumber**2
    lowest = dim * (2 * (n + 1) * np.sin(np.pi / (2 * (n + 1)))) ** 2
    A.setdiag(A.diagonal() - wavenumber**2)
    if absorption:
        A = A.astype(complex)
        A.setdiag(entries[(0,) * dim] - shift)
    x = nodes(n, dim)
    u = sine(x)
    f = (dim * np.pi**2 - shift) * u
    spd = None if absorption else bool(wavenumber**2 < lowest)
    return Problem(A, f, u, None, None, x, (n,) * dim, None, spd, "helmholtz")
