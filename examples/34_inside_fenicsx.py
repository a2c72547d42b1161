"""FEniCSx assembles, PETSc iterates, petrov preconditions: Poisson on the unit square, on one rank or several.

Run it alone or with mpiexec -n 2, by a Python that has dolfinx (`make fenicsx` makes one on Debian). dolfinx gives a petsc4py
Mat whose rows its mesh has dealt over the ranks. A KSP solves with it, by its own GAMG and by ours, which `Solver.as_petsc_pc`
makes of that Mat. The rows of unknowns on the sides, u = 0, stay in the system as rows of the identity.
"""

from __future__ import annotations

from types import SimpleNamespace

import petrov


def assembled(n: int) -> tuple:
    """(A, b) of -div(grad u) = 1 in linear elements on n x n squares, each cut in two."""
    from mpi4py import MPI  # isort: skip  (it loads the library that dolfinx needs)
    from dolfinx import fem, mesh
    from dolfinx.fem import petsc
    from petsc4py import PETSc
    from ufl import TestFunction, TrialFunction, dx, grad, inner

    square = mesh.create_unit_square(MPI.COMM_WORLD, n, n)
    space = getattr(fem, "functionspace", fem.FunctionSpace)(square, ("Lagrange", 1))  # by this name from 0.7 on
    u, v, zero, one = TrialFunction(space), TestFunction(space), PETSc.ScalarType(0), PETSc.ScalarType(1)
    square.topology.create_connectivity(1, 2)
    sides = fem.locate_dofs_topological(space, 1, mesh.exterior_facet_indices(square.topology))
    fixed = [fem.dirichletbc(zero, sides, space)]
    (A := petsc.assemble_matrix(fem.form(inner(grad(u), grad(v)) * dx), bcs=fixed)).assemble()
    b = petsc.assemble_vector(fem.form(inner(fem.Constant(square, one), v) * dx))
    b.ghostUpdate(PETSc.InsertMode.ADD, PETSc.ScatterMode.REVERSE)
    load = b.copy()
    petsc.set_bc(b, fixed)  # zero: nothing to lift
    return A, b, load


def main(n: int = 200) -> SimpleNamespace:
    A, b, load = assembled(n)
    from petsc4py import PETSc

    iterations, x = {}, b.duplicate()
    for name in ("gamg", "petrov"):
        ksp = PETSc.KSP().create(A.getComm())
        ksp.setOperators(A)
        ksp.setType("cg")
        ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        ksp.setTolerances(rtol=1e-8)
        ksp.getPC().setType("gamg" if name == "gamg" else "python")
        if name == "petrov":
            ksp.getPC().setPythonContext(petrov.Solver(A).as_petsc_pc())
        ksp.solve(b, x)
        iterations[name] = ksp.getIterationNumber()
    mean = load.dot(x)
    PETSc.Sys.Print(f"{A.getSize()[0]} unknowns, ranks: {A.getComm().getSize()}; iterations of PETSc's cg: {iterations}")
    PETSc.Sys.Print(f"mean of u: {mean:.6f} (0.035144 in the limit)")
    return SimpleNamespace(iterations=iterations, mean=mean)


if __name__ == "__main__":
    main()
