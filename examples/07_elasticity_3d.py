"""3-D elasticity by scikit-fem: a cantilever, and the rigid-body modes that multigrid needs.

A body without supports can be moved and turned at no cost: six modes that A nearly maps to zero. Told of them by
`near_nullspace=`, smoothed aggregation keeps them on every level, and needs a fraction of the iterations.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from skfem import Basis, ElementTetP2, ElementVector, LinearForm, MeshTet, condense, solve
from skfem.models.elasticity import lame_parameters, linear_elasticity

import petrov
from petrov.solvers.external.pyamg import PyAMG
from petrov.solvers.external.skfem import solver_petrov

LENGTH, YOUNG, WEIGHT = 5.0, 1000.0, 1.0  # of a beam of section 1 x 1; weight per volume


class Numbers(NamedTuple):
    deflection: float  # of the free end, in parts of what beam theory says
    with_modes: int  # iterations
    without: int


weight = LinearForm(lambda v, w: -WEIGHT * v[2])


def rigid_body_modes(basis: Basis) -> np.ndarray:
    """(N, 6): three translations and three turns, at every unknown of a vector-valued basis."""
    modes = np.zeros((basis.N, 6))
    for axis in range(3):
        dofs = basis.get_dofs(elements=True).all(f"u^{axis + 1}")
        modes[dofs, axis] = 1.0
        modes[dofs, 3:] = np.cross(np.eye(3), basis.doflocs[:, dofs].T[:, None, :])[:, :, axis]  # e_k x x, k = 0, 1, 2
    return modes


def main(n: int = 3) -> Numbers:
    mesh = MeshTet.init_tensor(np.linspace(0, LENGTH, 5 * n + 1), *[np.linspace(0, 1, n + 1)] * 2)
    basis = Basis(mesh.with_boundaries({"wall": lambda x: x[0] == 0}), ElementVector(ElementTetP2()))
    A, b = linear_elasticity(*lame_parameters(YOUNG, 0.3)).assemble(basis), weight.assemble(basis)
    system = condense(A, b, D=basis.get_dofs("wall"))
    modes = rigid_body_modes(basis)[system[3]]  # of the unknowns that condense keeps

    results: list[petrov.SolveResult] = []
    solver = solver_petrov(method="cg", M=PyAMG(block_size=3), report=results.append)
    solve(*system, solver=solver)
    u = solve(*system, solver=solver, near_nullspace=modes)
    print(f"without the modes:\n  {results[0]}\nwith them:\n  {results[1]}")
    end = u[basis.get_dofs(lambda x: x[0] == LENGTH).all("u^3")].mean()
    theory = -WEIGHT * LENGTH**4 / (8 * YOUNG / 12)  # Euler and Bernoulli: w L^4 / (8 E I), I = 1 / 12
    print(f"\nthe free end sinks by {-end:.4f}; beam theory, which leaves shear out, says {-theory:.4f}")
    return Numbers(float(end / theory), results[1].iterations, results[0].iterations)


if __name__ == "__main__":
    main()
