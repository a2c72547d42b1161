"""A script of petsc4py that changes its PC to ours, and nothing else: two lines of options, of which one is taken.

The script knows PETSc alone: it builds a 7-point Poisson matrix on its ranks, hands it to a KSP, reads options and solves. With
THEIRS it is preconditioned by GAMG, with OURS by our smoothed aggregation, which PETSc imports by its name. For a script that
cannot be edited: PETSC_OPTIONS="-pc_type python -pc_python_type petrov.solvers.external.petsc.PetrovPC". On ranks: mpiexec -n 2.
"""

from __future__ import annotations

from types import SimpleNamespace

from petsc4py import PETSc

THEIRS = {"pc_type": "gamg"}
OURS = {"pc_type": "python", "pc_python_type": "petrov.solvers.external.petsc.PetrovPC"}


def poisson(n: int) -> PETSc.Mat:
    """-u_xx - u_yy - u_zz on n^3 points, u = 0 around them, times the square of their distance: the rows of this rank."""
    A = PETSc.Mat().createAIJ((n**3, n**3), nnz=(7, 4))
    for row in range(*A.getOwnershipRange()):
        A.setValue(row, row, 6.0)
        for step in (1, n, n * n):
            place = row // step % n
            if place > 0:
                A.setValue(row, row - step, -1.0)
            if place < n - 1:
                A.setValue(row, row + step, -1.0)
    A.assemble()
    return A


def script(A: PETSc.Mat, options: dict[str, str]) -> SimpleNamespace:
    """What was there before: a KSP, its options, a solve."""
    for name, value in options.items():
        PETSc.Options()[name] = value
    x, b = A.createVecs()
    b.set(1.0)
    ksp = PETSc.KSP().create(A.getComm())
    ksp.setOperators(A)
    ksp.setType("cg")
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(rtol=1e-8)
    ksp.setFromOptions()
    ksp.solve(b, x)
    residual = (b - A * x).norm() / b.norm()
    PETSc.Sys.Print(f"{options}\n  {ksp.getIterationNumber()} iterations, ||b - A x||/||b|| = {residual:.1e}")
    return SimpleNamespace(iterations=ksp.getIterationNumber(), residual=residual, mean=x.sum() / A.getSize()[0])


def main(n: int = 40) -> SimpleNamespace:
    A = poisson(n)
    return SimpleNamespace(theirs=script(A, THEIRS), ours=script(A, OURS))


if __name__ == "__main__":
    main()
