"""Radiation from a plane source where the scattering is uncertain: 201 cells, 100 moments in angle, two random parameters.

201 x 100 x 100 x 100 unknowns in a tree ((x, angle), (xi, eta)) whose bases move with the solution. Beside it: collocation at all
10^4 pairs (xi, eta), from full computations for 25 sums sigma of them; between those, it is a polynomial of sigma.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp

from petrov.rom.ttn import RK4, TTN, FunctionFlow, KronSum, ProjectorSplitting, Tree, evolve


def transport(cells: int, moments: int) -> tuple[Any, ...]:
    """(x, the source, central and second differences, flux matrix of P_N, its absolute value, which moments are scattered)."""
    x, n, ones = np.linspace(-2.5, 2.5, cells), np.arange(1, moments), np.ones(cells)
    source = np.exp(-(x**2) / (2 * 0.03**2)) / np.sqrt(2 * np.pi * 0.03**2)
    D1 = sp.diags_array([ones[1:], -ones[1:]], offsets=[1, -1]).tocsr() / (2 * (x[1] - x[0]))
    D2 = sp.diags_array([ones[1:], -2 * ones, ones[1:]], offsets=[1, 0, -1]).tocsr() / (2 * (x[1] - x[0]))
    A = np.diag(n / np.sqrt(4.0 * n**2 - 1), 1)
    speeds, V = np.linalg.eigh(A + A.T)
    return x, source, D1, D2, A + A.T, (V * np.abs(speeds)) @ V.T, np.r_[0.0, np.ones(moments - 1)]


def statistics(rho: Any, w: Any) -> tuple[Any, Any]:
    return (mean := np.einsum("xij,i,j->x", rho, w, w)), np.einsum("xij,i,j->x", (rho - mean[:, None, None]) ** 2, w, w)


def main(end: float = 0.5, dt: float = 0.01, cells: int = 201, moments: int = 100, nodes: int = 100, method: Any = None,
         path: str | None = None) -> SimpleNamespace:  # fmt: skip
    x, source, D1, D2, A, R, G = transport(cells, moments)
    (z, w), first, chosen = np.polynomial.legendre.leggauss(nodes), np.eye(moments)[0], np.polynomial.chebyshev.chebpts1(25)
    tree = Tree.balanced([cells, moments, nodes, nodes])  # x, angle, xi, eta: sigma = 5 + 4 xi + eta
    F = KronSum(tree, [(-1.0, {0: D1, 1: A}), (1.0, {0: D2, 1: R}), (-5.0, {1: G}), (-4.0, {1: G, 2: z}), (-1.0, {1: G, 3: z})])
    start = TTN.product(tree, [source, first, np.ones(nodes), np.ones(nodes)])
    result = evolve(start, F, (0, end), dt=dt, method=method or ProjectorSplitting(tolerance=1e-5, min_rank=6))
    mean, variance = statistics(result.state.moments({1: first}), w / 2)  # moment 0 is the density
    flows = [FunctionFlow(lambda t, U, s=s: D2 @ U @ R - D1 @ U @ A - s * U * G) for s in 5 + 5 * chosen]
    full = np.array([RK4(steps=round(end / 0.005)).solve(flow, np.outer(source, first), 0.0, end)[0][:, 0] for flow in flows])
    full = np.polynomial.chebyshev.chebval(np.add.outer(4 * z, z) / 5, np.polynomial.chebyshev.chebfit(chosen, full, 24))
    errors = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip((mean, variance), statistics(full, w / 2), strict=True)]
    print(f"{result}\n{result.state.nbytes // 8} of {float(cells) * moments * nodes**2:.1g} numbers\n{result.state.to_text()}")
    print("relative error against collocation: mean {:.1e}, variance {:.1e}".format(*errors))
    if path is not None:
        from matplotlib.figure import Figure

        axes = (figure := Figure(figsize=(7, 4), layout="constrained")).subplots()
        axes.fill_between(x, mean - np.sqrt(variance), mean + np.sqrt(variance), alpha=0.3)
        axes.plot(x, mean, "-", x[::2], statistics(full, w / 2)[0][::2], "k.", markersize=4)
        axes.set(xlabel="x", ylabel="density", title="line: mean, band: standard deviation, dots: collocation")
        figure.savefig(path, dpi=150)
    return SimpleNamespace(mean=mean, variance=variance, errors=np.array(errors), ranks=result.state.ranks)


if __name__ == "__main__":
    main()
