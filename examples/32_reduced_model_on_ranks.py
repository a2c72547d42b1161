"""The offline stage of a reduced model by several ranks: full solutions, assemblies and the training set are dealt.

Run it on two ranks: mpiexec -n 2 python 32_reduced_model_on_ranks.py; alone it runs too, and makes the same model. Here a rank
holds whole systems, and there are many of them: heat in a plate of two materials that a wind cools. `comm=` is all that is new;
every rank calls `fit`, and has the model afterwards. Needs mpi4py.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from petrov import rom


def plate(n: int) -> Any:
    """assemble(mu): -div(k grad u) + wind u = 1 on n x n cells, k = left or right of the middle, u = 0 around."""
    D = sp.diags_array([np.ones(n), -np.ones(n)], offsets=[0, -1], shape=(n + 1, n)) * n
    G = sp.vstack([sp.kron(sp.eye_array(n), D), sp.kron(D, sp.eye_array(n))]).tocsr()
    left = abs(G) @ (np.arange(n * n) % n < n // 2) > 0
    K = [(G.T @ sp.diags_array(1.0 * side) @ G).tocsr() for side in (left, ~left)]
    return lambda mu: (mu["left"] * K[0] + mu["right"] * K[1] + mu["wind"] * sp.eye_array(n * n, format="csr"), np.ones(n * n))


def main(n: int = 40) -> SimpleNamespace:
    from mpi4py import MPI

    comm, assemble = MPI.COMM_WORLD, plate(n)
    P = rom.Parameters(left=(0.1, 10.0, "log"), right=(0.1, 10.0, "log"), wind=(1.0, 100.0, "log"))
    recipe = rom.Greedy(tol=1e-3, relative=True, validate=400)
    model = rom.ReducedModel(assemble, P, operator=rom.Affine(["left", "right", "wind"]), basis=recipe).fit(1000, comm=comm)

    mus = P.random(2000, seed=3)
    r = model.predict(mus)
    u = spsolve(*assemble(P.mapping(mus[0])))
    error = np.linalg.norm(u - r.fields(0)) / np.linalg.norm(u)
    calls = comm.gather(model.box.calls)  # None on all but the first rank
    if calls is not None:
        print(f"{model!r}\nlargest relative bound at 2000 parameters: {r.relative_bound.max():.4e}")
        print(f"error of the first field: {error:.1e}\nsystems assembled by each rank: {calls}")
    return SimpleNamespace(size=model.size, worst=r.relative_bound.max(), kind=r.kind, error=error, calls=calls)


if __name__ == "__main__":
    main()
