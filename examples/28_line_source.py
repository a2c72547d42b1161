"""A flash of radiation from a line, seen in a square across it, where scattering and absorption are uncertain.

51 x 51 cells, 78 moments in direction and 40 x 40 nodes of two random parameters, 3 x 10^8 unknowns, held as a tree
((square, direction), (xi, eta)). Light from one point leaves the bases it starts in at once: the first steps are of
step-and-truncate, which projects on none; then the bases follow the ring. Beside it: collocation, full computations for 4 xi.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp

from petrov.rom.ttn import RK4, TTN, FunctionFlow, KronSum, RankAdaptiveBUG, StepTruncate, Tree, evolve


def flux_matrices(N: int) -> tuple[sp.csr_array, sp.csr_array]:
    """A_x and A_y of P_N: directions times spherical harmonics sin(theta)^m ... cos(m phi), the polar axis is y."""
    k, m = np.array([(k, m) for k in range(N + 1) for m in range(k + 1)]).T
    A_x, A_y, up, down, half = *np.zeros((2, len(k), len(k))), k < N, m < k - 1, np.where(m > 0, 0.5, np.sqrt(0.5))
    A_y[((k + 1) * (k + 2) // 2 + m)[up], up] = np.sqrt(((k + 1) ** 2 - m**2) / (2 * k + 1) / (2 * k + 3))[up]
    A_x[((k + 1) * (k + 2) // 2 + m + 1)[up], up] = (half * np.sqrt((k + m + 1) * (k + m + 2) / (2 * k + 1) / (2 * k + 3)))[up]
    A_x[(k * (k - 1) // 2 + m + 1)[down], down] = -(half * np.sqrt((k - m) * (k - m - 1) / abs(4 * k**2 - 1)))[down]
    return sp.csr_array(A_x + A_x.T), sp.csr_array(A_y + A_y.T)


def main(cells: int = 51, degree: int = 11, nodes: int = 40, end: float = 1.0, path: str | None = None) -> SimpleNamespace:
    (x, h), ((z, w), (few, v)) = np.linspace(-1.5, 1.5, cells, retstep=True), map(np.polynomial.legendre.leggauss, (nodes, 4))
    (A_x, A_y), (I, up, down) = flux_matrices(degree), (sp.eye_array(cells, k=k) for k in (0, 1, -1))
    D_x, D_y = sp.kron(up - down, I).tocsr() / (2 * h), sp.kron(I, up - down).tocsr() / (2 * h)
    E = (sp.kron(up + down, I) + sp.kron(I, up + down - 4 * I)).tocsr() / (20 * h)  # a little diffusion, in x as in y
    flash, e = np.exp(-np.add.outer(x**2, x**2).ravel() / 0.02) / (0.02 * np.pi), np.eye(1, A_x.shape[0])[0]
    tree = Tree.balanced([cells**2, len(e), nodes, nodes])  # absorption 1 + eta; scattering 1 + xi, of all moments but the first
    moved, lost = [(-1.0, {0: D_x, 1: A_x}), (-1.0, {0: D_y, 1: A_y}), (1.0, {0: E})], [(-1.0, {}), (-1.0, {3: z})]
    F = KronSum(tree, [*moved, *lost, (-1.0, {1: 1 - e}), (-1.0, {1: 1 - e, 2: z})])
    start = TTN.product(tree, [flash, e, np.ones(nodes), np.ones(nodes)])
    early = evolve(start, F, (0, 1.5 * h), dt=h / 2, method=StepTruncate(tolerance=1e-4))
    later = RankAdaptiveBUG(tolerance=1e-3, relative=True, min_rank=3, local=RK4())
    result = evolve(early.state, F, (1.5 * h, end), dt=h / 2, method=later)
    flux = result.state.contract({1: e}).to_dense()
    mean, square = (np.einsum("xoij,i,j->x", values, w / 2, w / 2) for values in (flux, flux**2))
    flows = [FunctionFlow(lambda t, U, s=s: E @ U - D_x @ U @ A_x - D_y @ U @ A_y - s * U * (1 - e)) for s in 1 + few]
    full = np.array([RK4(steps=round(2 * end / h)).solve(flow, np.outer(flash, e), 0.0, end)[0][:, 0] for flow in flows])
    expected = v / 2 @ full * np.exp(-end) * np.sinh(end) / end  # absorption: a factor exp(-(1 + eta) t) of every solution
    error, deviation = np.linalg.norm(mean - expected) / np.linalg.norm(expected), np.sqrt(square - mean**2)
    print(f"{result}\n{result.state.to_text()}\nrelative error of the mean against collocation: {error:.1e}")
    if path is not None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 4), layout="constrained")
        for axes, values, title in zip(figure.subplots(1, 2), (mean, deviation), ("mean", "standard deviation"), strict=True):
            figure.colorbar(axes.pcolormesh(x, x, values.reshape(cells, cells).T), ax=axes)
            axes.set(aspect="equal", xlabel="x", ylabel="y", title=f"scalar flux, {title}")
        figure.savefig(path, dpi=150)
    return SimpleNamespace(mean=mean.reshape(cells, cells), deviation=deviation, error=error, ranks=result.state.ranks)


if __name__ == "__main__":
    main()
