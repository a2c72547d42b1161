"""A real mesh: heat runs along a steel rod bent to half a ring, held hot at one foot, cooled by air all over.

elbow.mesh (from SfePy; origin and licence in tests/data/README.md) has 1,823 nodes and 8,161 tetrahedra. What enters
through the foot must leave to the air: a balance that only a solved system keeps, and the theory of fins agrees.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from skfem import Basis, BilinearForm, ElementTetP1, FacetBasis, LinearForm, MeshTet, enforce, solve
from skfem.helpers import dot, grad

from petrov.solvers.external.skfem import solver_petrov

MESH = Path(__file__).parents[1] / "tests" / "data" / "elbow.mesh"
CONDUCTIVITY, TRANSFER, AIR, HOT = 50.0, 25.0, 20.0, 100.0  # W / (m K), W / (m^2 K), degrees Celsius
SECTION, PERIMETER = np.pi * 0.03**2, np.pi * 0.06  # m^2, m


class Numbers(NamedTuple):
    watts: float  # in through the foot
    imbalance: float  # how far what the air takes is from that, relative
    fin: float  # watts by the theory of straight fins


conduction = BilinearForm(lambda u, v, w: CONDUCTIVITY * dot(grad(u), grad(v)))
cooling = BilinearForm(lambda u, v, w: TRANSFER * u * v)
one = LinearForm(lambda v, w: 1.0 * v)


def main() -> Numbers:
    mesh = MeshTet.load(MESH)
    foot = mesh.facets_satisfying(lambda x: (x[1] < 1e-9) & (x[0] < 0.1), boundaries_only=True)
    basis = Basis(mesh, ElementTetP1())
    cooled = FacetBasis(mesh, ElementTetP1(), facets=np.setdiff1d(mesh.boundary_facets(), foot))
    A = conduction.assemble(basis) + cooling.assemble(cooled)
    b, held = TRANSFER * AIR * one.assemble(cooled), basis.get_dofs(foot).all()
    system = enforce(A, b, x=np.full(basis.N, HOT), D=held)
    u = solve(*system, solver=solver_petrov(method="cg", report=print))

    watts = float((A @ u - b)[held].sum())  # what these rows lack is what flows in there
    taken = float(TRANSFER * one.assemble(cooled) @ (u - AIR))
    m, length = np.sqrt(TRANSFER * PERIMETER / (CONDUCTIVITY * SECTION)), one.assemble(basis).sum() / SECTION
    fin = float(CONDUCTIVITY * SECTION * m * (HOT - AIR) * np.tanh(m * (length + SECTION / PERIMETER)))
    print(f"\n{watts:.4f} W flow in, the air takes {taken:.4f} W; a straight fin would need {fin:.1f} W")
    print(f"the other foot is at {u.min():.1f} degrees")
    return Numbers(watts, abs(taken / watts - 1), fin)


if __name__ == "__main__":
    main()
