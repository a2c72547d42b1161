"""A certified reduced model: the heat in a plate of four materials, for ten thousand choices of them at once.

What is handed over is a function assemble(mu) -> (A, b), here a few lines of linear finite elements, and the box of mu. That A
is a sum of k0, ..., k3 times four matrices is stated as text; the matrices themselves nobody has to take apart. What comes back
is small, and gives every answer with a bound: ||u - u_N||_X, the gradient of the error, is not larger. It needs no full solution
to say so; fifty are made here all the same, to see that the bound holds, and how far it is from the error.
"""

from __future__ import annotations

import os
import tempfile
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from petrov import rom


def plate(n: int) -> tuple[Any, np.ndarray]:
    """assemble(mu) on 2 n^2 triangles, and the mean of the temperature as a row of outputs; u = 0 all around."""
    points = np.stack([axis.ravel() for axis in np.meshgrid(*[np.arange(n + 1) / n] * 2)], axis=1)
    a = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).ravel()  # the lower left corners of the squares
    T = np.concatenate([np.stack([a, a + 1, a + n + 2], axis=1), np.stack([a, a + n + 2, a + n + 1], axis=1)])
    sides = np.roll(points[T], 1, axis=1) - np.roll(points[T], -1, axis=1)  # opposite to each corner
    local, place = sides @ sides.transpose(0, 2, 1) * n**2 / 2, (np.repeat(T, 3, axis=1).ravel(), np.tile(T, (1, 3)).ravel())
    inner, material = np.flatnonzero(((points > 0) & (points < 1)).all(axis=1)), (points[T].mean(axis=1) > 0.5) @ [1, 2]
    b = np.bincount(T.ravel(), minlength=len(points))[inner] / (6 * n**2)

    def assemble(mu: dict[str, float]) -> tuple[Any, np.ndarray]:
        k = np.array([mu[f"k{q}"] for q in range(4)])[material]
        return sp.csr_array(((k[:, None, None] * local).ravel(), place))[inner][:, inner], b

    return assemble, b


def main(n: int = 48, count: int = 10_000) -> SimpleNamespace:
    assemble, mean = plate(n)
    P = rom.Parameters(**{f"k{q}": (0.2, 5.0, "log") for q in range(4)})
    recipe = rom.Greedy(tol=1e-3, relative=True, validate=1000)  # 0.1 percent, tried on fresh parameters too
    model = rom.ReducedModel(assemble, P, operator=rom.Affine(["k0", "k1", "k2", "k3"]), basis=recipe, output=mean).fit(500)
    r = model.predict(mus := P.random(count, seed=10))
    print(f"{model.report()}\n\n{r}")
    X = assemble(P.mapping(P.centre))[0]  # the inner product, unless another is given
    e = np.stack([spsolve(*assemble(P.mapping(mu))) for mu in mus[:50]]) - r.fields(slice(50))
    ratio = r.bound[:50] / np.sqrt(np.sum(e.T * (X @ e.T), axis=0))
    print(f"bound / error at 50 of them: {ratio.min():.2f} to {ratio.max():.2f}, median {np.median(ratio):.2f}")
    with tempfile.TemporaryDirectory() as folder:
        model.save(path := f"{folder}/plate.rom", basis=False)  # what the answers need, without the fields
        again, size = rom.load(path).predict(mus), os.path.getsize(path)
    difference = max(abs(again.outputs - r.outputs).max(), abs(again.bound - r.bound).max())
    print(f"saved in {size / 1024:.0f} KB; the answers of the loaded model differ by {difference:.0e}")
    return SimpleNamespace(kind=r.kind, size=model.size, ratio=ratio, relative=r.relative_bound.max(), difference=difference)


if __name__ == "__main__":
    main()
