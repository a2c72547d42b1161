"""NGSolve and FEniCSx: ten lines hand either over to petrov; the first that is installed runs here, or the one asked for.

An adapter writes -div((1 + k x) grad u) + c u = 1 once, with parameters that can change, and takes CSR arrays out. As k, c >= 0,
the stability constant is 1 in the norm of the gradient, the matrix of k = c = 0. There the mean of u is known, 0.0351443.
"""

from __future__ import annotations

from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import spsolve

from petrov import rom


def by_ngsolve() -> tuple:
    import ngsolve as ng

    space = ng.H1(ng.Mesh(ng.unit_square.GenerateMesh(maxh=0.06)), order=2, dirichlet=".*")
    (u, v), k, c = space.TnT(), ng.Parameter(0), ng.Parameter(0)
    a = ng.BilinearForm(((1 + k * ng.x) * ng.grad(u) * ng.grad(v) + c * u * v) * ng.dx)
    b, free = ng.LinearForm(v * ng.dx).Assemble().vec.FV().NumPy().copy(), np.flatnonzero(list(space.FreeDofs()))
    csr = lambda: csr_array(tuple(map(np.asarray, a.Assemble().mat.CSR())))  # noqa: E731
    return lambda mu: (k.Set(mu["k"]), c.Set(mu["c"]), csr())[-1], b, free


def by_dolfinx() -> tuple:
    from mpi4py import MPI  # isort: skip  (it loads the library that dolfinx needs)
    from dolfinx import fem, mesh
    from ufl import SpatialCoordinate, TestFunction, TrialFunction, dx, grad, inner

    space = fem.functionspace(square := mesh.create_unit_square(MPI.COMM_SELF, 24, 24), ("Lagrange", 2))
    u, v, x, p = TrialFunction(space), TestFunction(space), SpatialCoordinate(square)[0], fem.Constant(square, (0.0, 0.0))
    a = fem.form(((1 + p[0] * x) * inner(grad(u), grad(v)) + p[1] * inner(u, v)) * dx)
    b = fem.assemble_vector(fem.form(inner(fem.Constant(square, 1.0), v) * dx)).array.copy()
    edge = fem.locate_dofs_geometrical(space, lambda x: np.isclose(x[:2] * (1 - x[:2]), 0).any(axis=0))
    csr = lambda: fem.assemble_matrix(a).to_scipy()  # noqa: E731  (of a PETSc matrix: csr_array(A.getValuesCSR()[::-1]))
    return lambda mu: (np.copyto(p.value, [mu["k"], mu["c"]]), csr())[-1], b, np.delete(np.arange(len(b)), edge)


def main(library: str | None = None) -> SimpleNamespace:
    adapters = {"ngsolve": by_ngsolve, "dolfinx": by_dolfinx}
    if (name := library or next(filter(find_spec, adapters), None)) is None:
        raise ModuleNotFoundError("pip install ngsolve, or conda install -c conda-forge fenics-dolfinx", name="ngsolve")
    matrix, b, free = adapters[name]()
    assemble = lambda mu: (matrix(mu)[free][:, free], b[free])  # noqa: E731
    P, X, recipe = rom.Parameters(k=(0.0, 10.0), c=(0.0, 100.0)), assemble({"k": 0, "c": 0})[0], rom.Affine(["1", "k", "c"])
    model = rom.ReducedModel(assemble, P, operator=recipe, product=X, stability=lambda mu: 1.0, output=b[free]).fit(500)
    r = model.predict(P.grid(30))
    e = np.stack([spsolve(*assemble(P.mapping(mu))) for mu in r.mus[::99]]) - r.fields(slice(0, None, 99))
    ratio = r.bound[::99] / np.sqrt(np.sum(e.T * (X @ e.T), axis=0))
    print(f"{name}: {r}\nbound / error: {ratio.min():.2f} to {ratio.max():.2f}; mean at k = c = 0: {r.outputs[0, 0]:.7f}")
    return SimpleNamespace(kind=r.kind, ratio=ratio, mean=r.outputs[0, 0])


if __name__ == "__main__":
    main()
