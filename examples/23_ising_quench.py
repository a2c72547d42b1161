"""A quench of sixteen spins that all act on one another: the Schroedinger equation of 2^16 numbers, in a tree of small cores.

The energy is 2 sum n_i n_j / |i - j| + sum (sx_i + n_i), n = (1 + sz) / 2; all spins start up. Two methods of a different kind,
on two trees, are compared with the full vector: its magnetisation is kept here from a computation with all 65 536 numbers.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from petrov.rom.ttn import TTN, TTNO, KronSum, ProjectorSplitting, RankAdaptiveBUG, Tree, evolve

EXACT = {0.1: 0.9818539381, 0.2: 0.9460424861, 0.5: 0.9717537323}  # mean sz


def quench(tree: Tree, method: Any, dt: float) -> Any:
    d = tree.order
    n, sx = np.diag([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]])
    distance = np.maximum(np.abs(np.subtract.outer(range(d), range(d))), 1)
    H = TTNO.pairwise(tree, 2.0 / distance, n, onsite=sx + n)
    Z = KronSum(tree, [(1.0 / d, {leaf: np.array([1.0, -1.0])}) for leaf in range(d)])
    up = TTN.product(tree, [np.array([1.0, 0.0])] * d)
    observe = {"magnetisation": lambda Y: Y.expectation(Z).real, "energy": lambda Y: Y.expectation(H).real}
    return evolve(up, -1j * H, (0, 0.5), dt=dt, method=method, observe=observe)


def main(d: int = 16, path: str | None = None) -> SimpleNamespace:
    runs = {
        "balanced tree, rank-adaptive BUG": quench(Tree.balanced([2] * d), RankAdaptiveBUG(tolerance=1e-8), 0.02),
        "train, two-site projector splitting": quench(Tree.chain([2] * d), ProjectorSplitting(tolerance=1e-7), 0.05),
    }
    errors, drifts = [], []
    print("                                       rank  seconds    error of <sz>   drift of energy")
    for name, result in runs.items():
        seen = np.isclose(result.times[:, None], [*EXACT]).any(axis=1)
        errors.append(np.abs(result.observed["magnetisation"][seen] - [*EXACT.values()]).max())
        drifts.append(np.ptp(result.observed["energy"]))
        print(f"{name:38} {result.ranks.max():4} {result.seconds:8.1f} {errors[-1]:16.1e} {drifts[-1]:17.1e}")
    print(f"numbers in the last state: {sum(core.size for core in result.state.cores)} of {2**d}")
    if path is not None:
        from matplotlib.figure import Figure

        left, right = (figure := Figure(figsize=(9, 3.6), layout="constrained")).subplots(1, 2)
        left.plot(*zip(*EXACT.items(), strict=True), "ko", label="all 65 536 numbers")
        for name, result in runs.items():
            left.plot(result.times, result.observed["magnetisation"], label=name)
            right.step(result.times, result.ranks.max(axis=1), where="post")
        left.set(xlabel="t", ylabel="mean of sz")
        right.set(xlabel="t", ylabel="largest rank")
        left.legend(frameon=False, fontsize=8)
        figure.savefig(path, dpi=150)
    return SimpleNamespace(errors=np.array(errors), drifts=np.array(drifts))


if __name__ == "__main__":
    main()
