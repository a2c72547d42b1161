"""The Fokker-Planck equation in six dimensions: where six coupled noisy oscillators are, on a grid of 31^6 points.

dX = -B X dt + sqrt(2) dW with neighbours coupled through B, which a train of cores suits. Central differences keep the equations
of mean and covariance: both must follow those of a 6 x 6 differential equation, up to the errors in time and of the ranks.
"""

from __future__ import annotations

from itertools import combinations_with_replacement
from types import SimpleNamespace

import numpy as np

from petrov.rom.ttn import TTN, KronSum, ProjectorSplitting, Tree, evolve


def moments(Y: TTN, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """(mass, mean, covariance) of a density on the grid: every one is a product with vectors at the leaves."""
    d, h, ones = Y.tree.order, x[1] - x[0], np.ones_like(x)

    def integral(*factors: int) -> float:
        return float(Y.moments({leaf: h * ones * x ** factors.count(leaf) for leaf in range(d)}))

    mass, C = integral(), np.zeros((d, d))
    mean = np.array([integral(i) for i in range(d)]) / mass
    for i, j in combinations_with_replacement(range(d), 2):
        C[i, j] = C[j, i] = integral(i, j) / mass - mean[i] * mean[j]
    return mass, mean, C


def main(d: int = 6, n: int = 31, end: float = 0.5, dt: float = 0.05, path: str | None = None) -> SimpleNamespace:
    x, h = np.linspace(-7.0, 7.0, n, retstep=True)
    D1 = (np.eye(n, k=1) - np.eye(n, k=-1)) / (2 * h)
    D2 = (np.eye(n, k=1) - 2 * np.eye(n) + np.eye(n, k=-1)) / h**2
    B = 1.5 * np.eye(d) - 0.5 * np.eye(d, k=1) - 0.3 * np.eye(d, k=-1)
    terms = [(1.0, {i: D2 + B[i, i] * D1 @ np.diag(x)}) for i in range(d)]  # p' = div(grad p + B x p)
    terms += [(B[i, j], {i: D1, j: x}) for i in range(d) for j in range(d) if i != j and B[i, j]]
    start = TTN.product(Tree.chain([n] * d), [np.exp(-((x - 1) ** 2) / 2) / np.sqrt(2 * np.pi)] * d)
    names = {"mass": lambda Y: moments(Y, x)[0], "cov": lambda Y: moments(Y, x)[2], "mean": lambda Y: moments(Y, x)[1]}
    result = evolve(start, KronSum(start.tree, terms), (0, end), dt=dt, method=ProjectorSplitting(tolerance=1e-6), observe=names)
    w, V = np.linalg.eig(B)
    decay = (V * np.exp(-end * w)) @ np.linalg.inv(V)
    steady = np.linalg.solve(np.kron(B, np.eye(d)) + np.kron(np.eye(d), B), 2 * np.eye(d).reshape(-1)).reshape(d, d)
    expected = steady + decay @ (np.eye(d) - steady) @ decay.T
    errors = [np.abs(result.observed["mean"][-1] - decay @ np.ones(d)).max(), np.abs(result.observed["cov"][-1] - expected).max()]
    print(f"{result}\n{result.state.nbytes // 8} numbers for {float(n) ** d:.1e} unknowns\n{result.state.to_text()}\n")
    print("errors: mean {:.1e}, covariance {:.1e}; mass {:.8f}".format(*errors, result.observed["mass"][-1]))
    if path is not None:
        from matplotlib.figure import Figure

        axis = (figure := Figure(figsize=(5.5, 4.5), layout="constrained")).subplots()
        marginal = result.state.moments({leaf: np.full(n, h) for leaf in range(2, d)})  # of the first two oscillators
        figure.colorbar(axis.contourf(x, x, marginal.T, np.linspace(0.01, 0.21, 11)), label="density")
        axis.set(xlabel="x of oscillator 1", ylabel="x of oscillator 2", title=f"t = {end:g}", xlim=(-3, 4), ylim=(-3, 4))
        figure.savefig(path, dpi=150)
    return SimpleNamespace(errors=np.array(errors), mass=result.observed["mass"], rank=max(result.state.ranks))


if __name__ == "__main__":
    main()
