"""Heat in a rod of four pieces, for all conductivities at once: the temperature as a function of x and of four parameters.

63 points and 16 values for each of four parameters: 4 million unknowns in one computation. Afterwards the temperature for any
values is a small product, by interpolation at the leaves; some are compared with a computation of their own.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp
from scipy.interpolate import BarycentricInterpolator
from scipy.linalg import expm

from petrov.rom.ttn import TTN, KronSum, MidpointBUG, Tree, evolve


def rod(n: int, pieces: int) -> list[np.ndarray]:
    """-A_1, ..., -A_pieces with u' = sum k_i A_i u: differences of fluxes through the faces of every piece, u = 0 at the ends."""
    D = sp.diags_array([np.ones(n), -np.ones(n)], offsets=[0, -1], shape=(n + 1, n)).tocsr() * (n + 1)
    piece = np.minimum((np.arange(n + 1) * pieces) // (n + 1), pieces - 1)
    return [(D.T @ sp.diags_array((piece == i) * 1.0) @ D).toarray() for i in range(pieces)]


def main(n: int = 63, values: int = 16, pieces: int = 4, end: float = 0.02, dt: float = 1e-3,
         path: str | None = None) -> SimpleNamespace:  # fmt: skip
    A, x, (nodes, w) = rod(n, pieces), np.arange(1, n + 1) / (n + 1), np.polynomial.legendre.leggauss(values)
    k = 10.0 ** (nodes / 2)  # conductivities from 0.32 to 3.2
    tree = Tree.chain([*[values] * (pieces // 2), n, *[values] * (pieces - pieces // 2)])
    rows = [leaf for leaf in range(pieces + 1) if leaf != pieces // 2]
    F = KronSum(tree, [(-1.0, {pieces // 2: A[i], leaf: k}) for i, leaf in enumerate(rows)])
    start = TTN.product(tree, [np.sin(np.pi * x) if leaf == pieces // 2 else np.ones(values) for leaf in range(pieces + 1)])
    method = MidpointBUG(tolerance=1e-6, relative=True)  # splitting methods go back in time, which heat does not allow
    result = evolve(start, F, (0, end), dt=dt, method=method)
    errors, size = [], sum(core.size for core in result.state.cores)
    print(f"{result}\n{size} numbers for {n * values**pieces} unknowns\n{result.state.to_text()}")
    for log_k in np.random.default_rng(5).uniform(-0.5, 0.5, (5, pieces)):
        at = {leaf: BarycentricInterpolator(nodes, np.eye(values))(2 * one) for leaf, one in zip(rows, log_k, strict=True)}
        u = result.state.moments(at)
        v = expm(-end * sum(10.0**one * B for one, B in zip(log_k, A, strict=True))) @ np.sin(np.pi * x)
        errors.append(np.abs(u - v).max())
        print("k =", (10.0**log_k).round(2), f"largest error {errors[-1]:.1e}")
    if path is not None:
        from matplotlib.figure import Figure

        mean = result.state.moments(weights := dict.fromkeys(rows, w / 2))  # logarithms uniform and independent
        square = [result.state.expectation(KronSum(tree, [(1.0, {**weights, pieces // 2: at})])) for at in np.eye(n)]
        spread, axes = np.sqrt(square - mean**2), (figure := Figure(figsize=(6, 3.5), layout="constrained")).subplots()
        axes.plot(x, mean, label="mean")
        axes.plot(x, u, "--", label="one rod")
        axes.fill_between(x, mean - spread, mean + spread, alpha=0.3, label="one standard deviation")
        axes.set(xlabel="x", ylabel="temperature", title=f"rods of unknown conductivity at t = {end:g}")
        axes.legend()
        figure.savefig(path, dpi=150)
    return SimpleNamespace(errors=np.array(errors), rank=result.ranks.max())


if __name__ == "__main__":
    main()
