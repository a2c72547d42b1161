"""Advection in any direction: a published reduced model (libMesh, reduced_basis_ex1), and outputs with the square of the error.

-0.05 u'' + (x_vel, y_vel) . u' = 1 on the unit square, for velocities of both signs. A velocity term is skew, so its sign takes
nothing from the stability of the rest: min-theta still holds, and the bounds are rigorous. libMesh prints the largest bound on
a grid of 10 x 10 velocities before each of 20 steps of its greedy algorithm, and after the last; all 21 numbers come out here.
The outputs are the means of u over four small squares. Their error is at most a constant times that of u; with dual=True the
adjoint problem gets a basis too, a correction comes from it, and the bound is the product of two errors.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from petrov import rom

PUBLISHED = np.array([3.74824, 6.67625, 5.18295, 3.59028, 2.71338, 2.50784, 2.15653, 1.71352, 1.61442, 1.09712, 0.9794, 0.763958,
                      0.616746, 0.530181, 0.475932, 0.440399, 0.423537, 0.408558, 0.333764, 0.196867, 0.191475])  # fmt: skip


def wind(n: int) -> tuple[Any, Any, np.ndarray]:
    """(assemble, the stiffness matrix, the outputs) of n x n bilinear elements, u = 0 all around."""
    ones, inner = np.ones(n), slice(1, -1)
    K, M, C = (sp.diags_array([a * ones, b * np.r_[1, 2 * ones[1:], 1], c * ones], offsets=[-1, 0, 1]).tocsr()[inner, inner]
               for a, b, c in ((-n, n, -n), (1 / (6 * n), 2 / (6 * n), 1 / (6 * n)), (-0.5, 0, 0.5)))  # fmt: skip
    X, Bx, By = sp.kron(K, M) + sp.kron(M, K), sp.kron(C, M), sp.kron(M, C)  # x slow, y fast
    f = np.full((n - 1) ** 2, 1 / n**2)
    edges = (np.arange(n) + 0.5) / n
    inside = [((low < edges) & (edges < low + 0.1)) / (2 * n * 0.1) for low in (0.2, 0.7)]
    left, right = (values[:-1] + values[1:] for values in inside)
    L = np.stack([np.kron(x, y) for x, y in ((right, right), (left, right), (left, left), (right, left))])
    return (lambda mu: ((0.05 * X + mu["x_vel"] * Bx + mu["y_vel"] * By).tocsr(), f, L)), X.tocsr(), L


def main(n: int = 50, size: int = 60) -> SimpleNamespace:
    assemble, X, L = wind(n)
    P = rom.Parameters(x_vel=(-2.0, 2.0), y_vel=(-2.0, 2.0))
    mus, found = np.vstack([[[-2.0, 0.79]], P.random(19, seed=8)]), {}
    truth = np.stack([L @ spsolve(*assemble(P.mapping(mu))[:2]) for mu in mus])
    for dual in (False, True):
        model = rom.ReducedModel(assemble, P, operator=rom.Affine(["0.05", "x_vel", "y_vel"]), product=X, dual=dual,
                                 stability=lambda mu: 0.05, basis=rom.Greedy(tol=0, max_size=size)).fit(P.grid(10))  # fmt: skip
        r = model.predict(mus)
        found[dual] = r.output_bound.max(), abs(r.outputs - truth).max(), (r.output_bound / abs(r.outputs - truth)).min()
        print(f"dual={dual!s:5}  outputs: largest bound {found[dual][0]:.2e}, error {found[dual][1]:.2e}; {r}")
    off = abs(model.greedy_bounds[:21] / PUBLISHED - 1).max()
    print(f"\nbound before step 0, 5, ..., 20: {model.greedy_bounds[:21:5]}\nlibMesh's:                       {PUBLISHED[::5]}")
    return SimpleNamespace(kind=r.kind, off=off, plain=found[False], dual=found[True])


if __name__ == "__main__":
    main()
