"""A moving inclusion: the conductivity 1 + a exp(-|x - c|^2 / 0.05), which is no sum of functions of c times functions of x.

The code is a black box of NumPy and SciPy. What it is told to petrov is the function of x and mu that enters the integrals, and
the points x at which they evaluate it: `EIM` finds a few parameters whose matrices, rightly mixed, are the matrix for any other.
The mixture is not exact (and half of its weights are negative, which would fool the usual bounds), so `predict` says "estimate".
`verify(mu)` assembles once more, for that mu alone, and certifies the answer without a solve: the residual in the true system
over a true stability constant, which `Pointwise` knows to be the least ratio of two conductivities.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from petrov import rom


def conductivity(x: np.ndarray, mu: Any) -> np.ndarray:
    return 1 + mu["a"] * np.exp(-((x[:, 0] - mu["c"]) ** 2 + (x[:, 1] - 0.5) ** 2) / 0.05)


def square(n: int) -> tuple[Any, np.ndarray]:
    """assemble(mu) by finite volumes, u = 0 on the left side and the right one; and the middles of the faces."""
    i, j = np.arange(1, n) / n, (np.arange(n) + 0.5) / n
    D = sp.diags_array([np.ones(n - 1), -np.ones(n - 1)], offsets=[0, -1], shape=(n, n - 1))
    G = sp.vstack([sp.kron(D, sp.eye_array(n)), sp.kron(sp.eye_array(n - 1), -D.T)], format="csr")  # differences over faces
    faces = np.meshgrid(j, j, indexing="ij"), np.meshgrid(i, i, indexing="ij")
    x = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in faces])

    def assemble(mu: dict[str, float]) -> tuple[Any, np.ndarray]:
        return G.T @ sp.diags_array(conductivity(x, mu)) @ G, np.full(n * (n - 1), 1 / n**2)

    return assemble, x


def main(n: int = 50, count: int = 20) -> SimpleNamespace:
    assemble, x = square(n)
    P = rom.Parameters(c=(0.25, 0.75), a=(1.0, 10.0))
    operator, basis = rom.EIM([conductivity], x, tol=1e-6), rom.Greedy(tol=1e-3)
    model = rom.ReducedModel(assemble, P, operator=operator, stability=rom.Pointwise(), basis=basis).fit(P.grid(40, 10))
    mus = P.random(count, seed=3)
    r = model.predict(mus)
    print(f"{model.report()}\n\n   error     estimate      bound   (5 of {count})")
    X, found = assemble({"c": 0.5, "a": 5.5})[0], np.empty((count, 3))  # the inner product: A in the middle of the box
    for i, mu in enumerate(map(P.mapping, mus)):
        e, certificate = spsolve(*assemble(mu)) - r.fields(i), model.verify(mu)
        found[i] = np.sqrt(e @ X @ e), r.bound[i], certificate.bound
    print(*("  ".join(f"{value:10.3e}" for value in row) for row in found[:5]), certificate, sep="\n")
    negative = (model.weights(mus) < 0).mean()
    ratio = found[:, 2] / found[:, 0]
    print(f"bound / error: {ratio.min():.2f} to {ratio.max():.2f}; negative weights: {negative:.0%}")
    return SimpleNamespace(kinds=(r.kind, certificate.kind), error=found[:, 0].max(), ratio=ratio, negative=negative)


if __name__ == "__main__":
    main()
