"""Inside NGSolve: its matrix as it lies in memory, our multigrid as a preconditioner of its own Krylov solver.

NGSolve assembles -div(grad u) = 1 on the unit square, u = 0 on its sides, in linear elements, and its `CGSolver` iterates. A
preconditioner is any `BaseMatrix`: one of ten lines hands it ours. Unknowns on the sides are fixed, not eliminated: M works on
the free ones and leaves zero on the others, like NGSolve's own `local` and `h1amg`, which run beside it.
"""

from __future__ import annotations

from types import SimpleNamespace

import ngsolve as ng
import numpy as np
from ngsolve.krylovspace import CGSolver
from scipy.sparse import csr_array

import petrov
from petrov.solvers import SmoothedAggregation


class Preconditioner(ng.BaseMatrix):
    """M, which knows the free unknowns alone, on vectors of all."""

    def __init__(self, M: object, free: np.ndarray) -> None:
        super().__init__()
        self.M, self.free = M, free

    def Mult(self, x: ng.BaseVector, y: ng.BaseVector) -> None:
        y[:] = 0
        y.FV().NumPy()[self.free] = self.M @ x.FV().NumPy()[self.free]

    Height = Width = lambda self: len(self.free)
    IsComplex = lambda self: False  # noqa: E731


def main(maxh: float = 0.008) -> SimpleNamespace:
    space = ng.H1(ng.Mesh(ng.unit_square.GenerateMesh(maxh=maxh)), order=1, dirichlet=".*")
    u, v = space.TnT()
    a = ng.BilinearForm(ng.grad(u) * ng.grad(v) * ng.dx)
    own = {name: ng.Preconditioner(a, name) for name in ("local", "h1amg")}
    A, b = a.Assemble().mat, ng.LinearForm(v * ng.dx).Assemble().vec
    free = np.array(space.FreeDofs())
    view = csr_array(tuple(map(np.asarray, A.CSR())), shape=A.shape)  # its values are NGSolve's, not copied
    inner = view[free][:, free]
    ours = Preconditioner(SmoothedAggregation()(inner), free)
    iterations, answers = {}, {}
    for name, M in {**own, "petrov": ours}.items():
        solver, x = CGSolver(mat=A, pre=M, tol=1e-10, maxiter=2000), b.CreateVector()
        x.data = solver * b
        iterations[name], answers[name] = solver.iterations, x.FV().NumPy()[free].copy()
    r = petrov.solve(inner, b.FV().NumPy()[free], rtol=1e-10)
    difference = np.linalg.norm(answers["petrov"] - r.x) / np.linalg.norm(r.x)
    mean = b.FV().NumPy()[free] @ r.x
    print(f"{len(r.x)} free unknowns of {A.height}; iterations of NGSolve's cg: {iterations}")
    print(f"{r}\ndifference from it: {difference:.1e}; mean of u: {mean:.5f} (0.03514 in the limit)")
    return SimpleNamespace(iterations=iterations, difference=difference, mean=mean)


if __name__ == "__main__":
    main()
