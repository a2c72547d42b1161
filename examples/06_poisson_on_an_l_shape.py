"""Finite elements: Laplace's equation on an L-shape by scikit-fem, petrov plugged into its solve(..., solver=...).

The gradient of r^(2/3) sin(2 theta / 3) is infinite in the corner. Its boundary values are set in scikit-fem's two ways:
`condense` drops the known unknowns, `enforce` keeps them as rows of the identity. petrov sees one problem in both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from skfem import Basis, BilinearForm, ElementTriP1, Functional, MeshTri, condense, enforce, solve
from skfem.helpers import dot, grad

import petrov
from petrov.solvers.external.skfem import solver_petrov


class Numbers(NamedTuple):
    error: float  # in the L2 norm
    difference: float  # between the solutions of condense and enforce
    methods: tuple[str, str]


@BilinearForm
def stiffness(u, v, w):
    return dot(grad(u), grad(v))


@Functional
def squared_error(w):
    return (w["u"] - exact(w.x)) ** 2


def exact(x: np.ndarray) -> np.ndarray:
    theta = np.arctan2(x[0] - x[1], -x[0] - x[1]) + 3 * np.pi / 4  # from 0 to 3 pi / 2, one side of the corner to the other
    return np.hypot(x[0], x[1]) ** (2 / 3) * np.sin(2 / 3 * theta)


def main(refinements: int = 5) -> Numbers:
    mesh = MeshTri.init_lshaped().refined(refinements)
    basis = Basis(mesh, ElementTriP1())
    A, b, D = stiffness.assemble(basis), basis.zeros(), mesh.boundary_nodes()
    u = np.zeros(A.shape[0])
    u[D] = exact(mesh.p[:, D])

    results: list[petrov.SolveResult] = []
    solver = solver_petrov(report=results.append)
    condensed = solve(*condense(A, b, x=u, D=D), solver=solver)
    enforced = solve(*enforce(A, b, x=u, D=D), solver=solver)
    print(f"condense:\n  {results[0]}\nenforce:\n  {results[1]}")

    error = float(np.sqrt(squared_error.assemble(basis, u=basis.interpolate(condensed))))
    difference = float(np.abs(condensed - enforced).max())
    print(f"\n{len(u)} nodes: error {error:.2e} in L2; the two solutions differ by {difference:.1e}")
    return Numbers(error, difference, (results[0].method, results[1].method))


if __name__ == "__main__":
    main()
