"""Shape as a parameter: the torsion of bars with a hill or a dent in the top of their square section.

The code assembles on the triangles of a mesh where its nodes have moved to. Seen from the square, a triangle whose map has the
Jacobian J brings det(J) inv(J) inv(J)^T to the matrix, det(J) to the vector: these are handed over to EIM, so `predict` gives
estimates. The least eigenvalue of the tensors is a stability constant, so `verify` gives bounds. The output is the torsional
stiffness, the integral of 2 u over the section. For the square (h = 0) it is 0.140577.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve
from skfem import MeshTri

from petrov import rom


def sides(x: np.ndarray, mu: dict) -> np.ndarray:
    """Two sides (t, 2, 2) of triangles x (t, 6) of the square at mu, where y becomes y (1 + h exp(-((x - c) / 0.3)^2))."""
    z = np.stack([x[:, ::2], x[:, 1::2] * (1 + mu["h"] * np.exp(-(((x[:, ::2] - mu["c"]) / 0.3) ** 2)))], axis=1)
    return z[:, :, 1:] - z[:, :, :1]


def tensor(x: np.ndarray, mu: dict) -> np.ndarray:
    """det(J) inv(J) inv(J)^T, (t, 2, 2)."""
    K = sides(x, {"h": 0, "c": 0}) @ np.linalg.inv(sides(x, mu))
    return K @ K.transpose(0, 2, 1) / np.linalg.det(K)[:, None, None]


def main(n: int = 32, count: int = 20) -> SimpleNamespace:
    mesh = MeshTri.init_tensor(*[np.linspace(0, 1, n + 1)] * 2).oriented()
    T, inner, x = mesh.t.T, mesh.interior_nodes(), mesh.p.T[mesh.t.T].reshape(-1, 6)

    def assemble(mu: dict[str, float]) -> tuple:
        G, area = np.array([[-1, -1], [1, 0], [0, 1]]) @ np.linalg.inv(sides(x, mu)), np.linalg.det(sides(x, mu)) / 2
        A = sp.coo_array(((area[:, None, None] * G @ G.transpose(0, 2, 1)).ravel(), (np.repeat(T, 3), np.tile(T, 3).ravel())))
        return A.tocsr()[inner][:, inner], (b := np.bincount(T.ravel(), np.repeat(2 * area / 3, 3))[inner]), b

    def alpha(mu: dict[str, np.ndarray]) -> list[float]:
        return [np.linalg.eigvalsh(tensor(x, {"h": h, "c": c})).min() for h, c in zip(*mu.values(), strict=True)]

    entries = [lambda x, mu, i=i: tensor(x, mu).reshape(-1, 4)[:, i] for i in (0, 1, 3)]
    row = [lambda x, mu: np.linalg.det(sides(x, mu))], x
    P, recipe = rom.Parameters(h=(-0.4, 0.4), c=(0.4, 0.6)), rom.EIM(entries, x, rhs=row, output=row, tol=1e-5)
    model = rom.ReducedModel(assemble, P, operator=recipe, stability=alpha, basis=rom.Greedy(tol=5e-3)).fit(P.grid(12))
    r, rows, X = model.predict(P.random(count, seed=5)), [], assemble({"h": 0, "c": 0.5})[0]  # the product, A in the middle
    print(model.report().split("\n\n")[0], "\n\n       h        c   stiffness    in full    error      estimate   bound")
    for i, mu in enumerate(map(P.mapping, r.mus)):
        A, b, L = assemble(mu)
        e, certificate = (u := spsolve(A, b)) - r.fields(i), model.verify(mu)
        rows.append((*mu.values(), r.outputs[i, 0], L @ u, np.sqrt(e @ X @ e), r.bound[i], certificate.bound))
    print(*("{:8.3f} {:8.3f}   {:.6f}   {:.6f}  {:.2e}   {:.2e}   {:.2e}".format(*row) for row in rows[:5]), sep="\n")
    return SimpleNamespace(kinds=(r.kind, certificate.kind), square=model.predict([0, 0.5]).outputs[0, 0], rows=np.array(rows))


if __name__ == "__main__":
    main()
