"""solver_petrov inside scikit-fem's solve: both ways to set boundary values, keywords, failures."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

pytest.importorskip("skfem")
from skfem import Basis, ElementTetP1, ElementVector, MeshTet, MeshTri, condense, enforce, solve
from skfem.element import ElementTriP2
from skfem.models.elasticity import lame_parameters, linear_elasticity
from skfem.models.poisson import laplace, unit_load

import petrov
from petrov.solvers.external.skfem import solver_petrov


def poisson():
    """Poisson on a square by quadratic triangles, one side held at 1: A, b, x, D, no near null space."""
    basis = Basis(MeshTri().refined(4), ElementTriP2())
    x, D = basis.zeros(), basis.get_dofs(lambda p: p[0] == 0).all()
    x[D] = 1.0
    return laplace.assemble(basis), unit_load.assemble(basis), x, D, np.ones((basis.N, 1))


def elasticity():
    """A cube that is pulled at one side: A, b, x, D, the three translations."""
    basis = Basis(MeshTet().refined(2), ElementVector(ElementTetP1()))
    x, D = basis.zeros(), basis.get_dofs(lambda p: (p[0] == 0) | (p[0] == 1)).all()
    x[basis.get_dofs(lambda p: p[0] == 1).all("u^1")] = 0.1
    A = linear_elasticity(*lame_parameters(1.0, 0.3)).assemble(basis)
    return A, basis.zeros(), x, D, np.kron(np.ones((basis.N // 3, 1)), np.eye(3))


@pytest.mark.parametrize("problem", [poisson, elasticity])
@pytest.mark.parametrize("keywords", [{}, {"method": "cg"}, {"M": "ic"}, {"M": "amg"}, {"method": "minres", "M": None}])
def test_enforce_and_condense_are_one_problem(problem, keywords):
    A, b, x, D, near = problem()
    results: list[petrov.SolveResult] = []
    solver = solver_petrov(rtol=1e-10, report=results.append, **keywords)
    condensed = condense(A, b, x=x, D=D)
    first = solve(*condensed, solver=solver, near_nullspace=near[condensed[3]])
    second = solve(*enforce(A, b, x=x, D=D), solver=solver, near_nullspace=near)
    reference = solve(*condensed)  # SciPy's spsolve
    for u in (first, second):
        assert np.linalg.norm(u - reference) <= 1e-7 * np.linalg.norm(reference)
    chosen = [(r.method, r.preconditioner) for r in results]  # iterations may differ: ||b|| counts the rows enforced
    assert chosen[0] == chosen[1]


def test_later_keywords_hold_for_one_solve():
    A, b = sp.csr_matrix(np.diag([1.0, 2.0, 3.0])), np.ones(3)
    results: list[petrov.SolveResult] = []
    solver = solver_petrov(method="cg", report=results.append)
    solve(A, b, solver=solver, method="gmres")
    solve(A, b, solver=solver)
    assert [r.method for r in results] == ["gmres", "cg"]


def test_failure_is_raised():
    A, b = sp.csr_matrix([[1.0, 2.0], [2.0, 1.0]]), np.array([1.0, -1.0])
    with pytest.raises(petrov.SolveError, match="INDEFINITE_MATRIX"):
        solve(A, b, solver=solver_petrov(method="cg"))


@pytest.mark.parametrize(
    ("keyword", "says"), [("tol", "has no keyword tol; it has M, .*rtol"), ("raise_on_failure", "always raised")]
)
def test_keywords_are_checked(keyword, says):
    with pytest.raises(TypeError, match=says):
        solver_petrov(**{keyword: 1})
    solver = solver_petrov()
    with pytest.raises(TypeError, match=says):
        solver(np.eye(2), np.ones(2), **{keyword: 1})
