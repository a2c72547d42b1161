"""The heat equation in time: a sequence of systems with one matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .grid import laplacian, nodes, sine, stencil
from .problem import check, positive


class Heat(NamedTuple):
    """(1 + dt L) u_(k+1) = u_k: A, b = u_0 for the first step; `step(x)` is the right-hand side after x.

    `exact(k)` is u_k of the discrete scheme, known because u_0 is an eigenvector of the five-point L.
    """

    A: Any
    b: np.ndarray
    step: Callable[[np.ndarray], np.ndarray]
    exact: Callable[[int], np.ndarray]
    coordinates: np.ndarray
    grid: tuple[int, ...]
    dt: float
    spd: bool = True
    name: str = "heat"


def heat(n: int, dim: int = 2, *, dt: float = 1e-3) -> Heat:
    """u_t = Laplace u on n^dim interior nodes with zero boundary values, implicit Euler, u_0 = prod sin(pi x).

    >>> from petrov.solvers import problems
    >>> import numpy as np
    >>> h = problems.heat(8); x = np.linalg.solve(h.A.toarray(), h.b); np.allclose(x, h.exact(1))
    True
    """
    check(n, dim)
    positive(dt=dt)
    entries = {key: dt * value + (1.0 if not any(key) else 0.0) for key, value in laplacian(n, dim).items()}
    x = nodes(n, dim)
    start = sine(x)
    rate = 1 + dt * dim * (2 * (n + 1) * np.sin(np.pi / (2 * (n + 1)))) ** 2
    return Heat(stencil(n, entries), start, lambda u: u, lambda k: start / rate**k, x, (n,) * dim, dt)
