"""The full solver gets faster as the model learns: systems come one after another, each must be solved to 1e-8, none is given up.

Nobody trains anything beforehand. Every solution joins a basis, by a streaming SVD that keeps it short; the basis gives the next
solve its first guess, and is the coarse space beside its preconditioner. Iterations fall to a fraction, and every
answer is still held to the residual of its own system. The same coarse space serves right-hand sides that it was not made for.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp

from petrov import rom
from petrov.solvers import Jacobi, cg


def plate(n: int) -> Any:
    """assemble(mu) -> (A, b): diffusion on n x n cells with two coefficients in smooth patches, u = 0 all around."""
    D = sp.diags_array([1.0, -1.0], offsets=[0, -1], shape=(n + 1, n))  # differences between neighbours, the walls included
    gradient = sp.vstack([sp.kron(D, sp.eye_array(n)), sp.kron(sp.eye_array(n), D)]).tocsr()
    at, wall = (np.arange(n) + 0.5) / n, np.arange(n + 1) / n
    faces = [np.stack(np.meshgrid(*axes, indexing="ij")).reshape(2, -1) for axes in ((wall, at), (at, wall))]
    y, x = np.concatenate(faces, axis=1)
    patches = np.stack([np.exp(-30 * ((x - cx) ** 2 + (y - cy) ** 2)) for cx, cy in ((0.3, 0.3), (0.6, 0.7))])

    def assemble(mu: dict[str, float]) -> tuple[Any, np.ndarray]:
        k = 0.1 + np.array([mu[f"k{q}"] for q in range(2)]) @ patches
        return sp.csr_array(gradient.T @ sp.diags_array(k) @ gradient), np.full(n * n, 1 / n**2)

    return assemble


def main(n: int = 64, count: int = 48) -> SimpleNamespace:
    assemble, P = plate(n), rom.Parameters(**{f"k{q}": (0.5, 5.0, "log") for q in range(2)})
    svd, iterations, plain, other = rom.IncrementalSVD(40, tol=1e-10, keep_right=False), [], [], []
    anything = np.random.default_rng(4).standard_normal(n * n)
    print("  system  basis   plain  guess + coarse space   another right-hand side: plain, coarse space")
    for i, mu in enumerate(P.random(count, seed=12)):
        A, b = assemble(P.mapping(mu))
        M = rom.CoarseSpace(svd.basis, M=Jacobi(), form="balanced") if i else Jacobi()
        result = cg(A, b, M=M, x0=M.guess(A, b) if i else None)
        assert result.converged, result
        iterations.append(result.iterations)
        svd.append_columns(result.x[:, None])
        if i % 8 == 7:
            plain.append(cg(A, b, M=Jacobi()).iterations)
            other.append((cg(A, anything, M=Jacobi()).iterations, cg(A, anything, M=M).iterations))
            print(f"{i + 1:8} {svd.basis.shape[1]:6} {plain[-1]:7} {iterations[-1]:21} {other[-1][0]:33}, {other[-1][1]}")
    return SimpleNamespace(plain=np.array(plain), iterations=np.array(iterations), other=np.array(other))


if __name__ == "__main__":
    main()
