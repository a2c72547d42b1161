"""The problems are what they say: their character, their solutions, their coefficients, their errors."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse.linalg as sla

from petrov.solvers import problems
from petrov.solvers.problems.elasticity import assemble, rigid_body_modes, simplicial
from petrov.solvers.problems.fields import gaussian

SMALL = [
    problems.poisson(7), problems.poisson(9, 1), problems.poisson(4, 3), problems.poisson(6, boundary="neumann"),
    problems.poisson(6, boundary="periodic"), problems.poisson(6, boundary="mixed"), problems.poisson(4, 3, boundary=("periodic", "neumann", "dirichlet")),
    problems.darcy(9), problems.darcy(9, coefficient="two-phase"), problems.darcy(5, 3), problems.jump(9), problems.inclusions(9), problems.noise(9),
    problems.anisotropic(7), problems.anisotropic(4, 3), problems.anisotropic(6, 1), problems.convection_diffusion(7),
    problems.convection_diffusion(5, 3, wind="constant", scheme="central"), problems.helmholtz(8), problems.helmholtz(8, wavenumber=2.0),
    problems.helmholtz(7, absorption=0.1), problems.elasticity(3), problems.elasticity(2, 3), problems.heat(6), problems.heat(4, 3),
]  # fmt: skip


@pytest.mark.parametrize("problem", SMALL, ids=lambda p: p.name)
def test_character(problem):
    A, b = problem[:2]
    dense = A.toarray()
    assert A.format == "csr" and A.has_sorted_indices and A.indices.dtype == np.int32 and b.shape == (A.shape[0],)
    eigenvalues = np.linalg.eigvals(dense)
    smallest, largest = eigenvalues.real.min(), np.abs(eigenvalues).max()
    if problem.spd:
        assert (dense == dense.T).all() or np.abs(dense - dense.T).max() <= 1e-14 * largest
        assert smallest > 1e-12 * largest
    elif problem.name == "helmholtz" and problem.spd is False:
        assert (dense == dense.T).all() and smallest < 0
    elif problem.name == "helmholtz":
        assert (dense == dense.T).all() and np.iscomplexobj(dense)
    elif problem.name == "convection_diffusion":
        assert np.abs(dense - dense.T).max() > 0.01 * largest
    else:
        assert np.abs(dense @ problem.nullspace).max() <= 1e-12 * largest
        assert sum(abs(eigenvalues) < 1e-10 * largest) == 1
        assert abs(problem.nullspace[:, 0] @ b) <= 1e-10 * np.linalg.norm(b)


ORDERS = [
    ("poisson", {}, 2), ("poisson", {"boundary": "mixed"}, 2), ("poisson", {"boundary": "neumann"}, 2), ("poisson", {"boundary": "periodic"}, 2),
    ("anisotropic", {}, 2), ("convection_diffusion", {"scheme": "central", "peclet": 20.0}, 2),
    ("convection_diffusion", {"peclet": 20.0}, 1), ("helmholtz", {"wavenumber": 7.0}, 2), ("helmholtz", {"absorption": 0.2}, 2),
]  # fmt: skip


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize(("name", "options", "order"), ORDERS)
def test_manufactured_solutions_converge_at_their_order(name, options, order, dim):
    if name == "convection_diffusion" and dim == 1:
        options = {**options, "wind": "constant"}
    sizes, errors = ((8, 16) if dim == 3 else (32, 64)), []
    for n in sizes:
        p = getattr(problems, name)(n, dim, **options)
        x = sla.splu(p.A[:-1, :-1].tocsc()).solve(p.b[:-1]) if p.nullspace is not None else sla.splu(p.A.tocsc()).solve(p.b)
        if p.nullspace is not None:  # one unknown pinned, then the mean taken out
            x = np.append(x, 0.0)
            x = x - x.mean() + p.solution.mean()
        errors.append(np.abs(x - p.solution).max())
    steps = np.log((sizes[1] + (name not in ("poisson",))) / (sizes[0] + (name not in ("poisson",))))
    assert np.log(errors[0] / errors[1]) / steps >= order - (0.1 if dim < 3 else 0.25)


def test_a_face_carries_the_harmonic_mean():
    A = problems.grid.finite_volumes(np.array([1.0, 3.0]), ("dirichlet",)).toarray()
    face = 4 * 2 * 1 * 3 / (1 + 3)
    assert pytest.approx(np.array([[face + 8, -face], [-face, face + 24]])) == A


@pytest.mark.parametrize("name", ["darcy", "jump", "inclusions", "noise"])
def test_a_finer_grid_sees_the_same_coefficient(name):
    coarse, fine = (getattr(problems, name)(n, seed=916) for n in (10, 30))
    at = np.arange(1, 30, 3)
    assert fine.coefficient.reshape(30, 30)[np.ix_(at, at)] == pytest.approx(coarse.coefficient.reshape(10, 10), rel=1e-9)
    assert (getattr(problems, name)(10, seed=916).b == coarse.b).all()
    assert (getattr(problems, name)(10, seed=917).coefficient != coarse.coefficient).any()


def test_the_gaussian_field_has_the_covariance_it_claims():
    fields = np.stack([gaussian(20, 2, seed, 0.1) for seed in range(3_000, 4_500)])
    assert fields.mean() == pytest.approx(0, abs=0.01)
    assert fields.var() == pytest.approx(1, abs=0.03)
    at = fields[:, 10, 10]
    for distance in (1, 2, 4):
        want = np.exp(-0.5 * (distance / 20 / 0.1) ** 2)
        assert np.mean(at * fields[:, 10, 10 + distance]) == pytest.approx(want, abs=0.08)
    values = np.unique(problems.darcy(30, coefficient="two-phase").coefficient)
    assert values.tolist() == [3.0, 12.0]
    blocks = problems.jump(32, contrast=1e6).coefficient.reshape(32, 32)
    assert len(np.unique(blocks)) == 64 and blocks.min() >= 1e-3 and blocks.max() <= 1e3


@pytest.mark.parametrize("dim", [2, 3])
def test_elasticity_has_rigid_modes_and_the_energy_of_a_stretch(dim):
    points, simplices = simplicial(3, dim)
    A, b = assemble(points, simplices, 2.0, 0.25)
    modes = rigid_body_modes(points)
    assert np.abs(A @ modes).max() <= 1e-13 and modes.shape[1] == (3 if dim == 2 else 6)
    stretch = np.zeros_like(points)
    stretch[:, 0] = points[:, 0]
    u, mu, lame = stretch.ravel(), 2.0 / 2.5, 2.0 * 0.25 / (1.25 * 0.5)
    assert u @ (A @ u) == pytest.approx(2 * mu + lame)
    assert b.sum() == pytest.approx(-1.0)
    skfem = pytest.importorskip("skfem")
    from skfem.models.elasticity import lame_parameters, linear_elasticity

    kind, element = (skfem.MeshTri, skfem.ElementTriP1) if dim == 2 else (skfem.MeshTet, skfem.ElementTetP1)
    basis = skfem.Basis(kind(points.T.copy(), simplices.T.astype(np.int64)), skfem.ElementVector(element()))
    theirs = linear_elasticity(*lame_parameters(2.0, 0.25)).assemble(basis)
    order = np.ravel(basis.nodal_dofs, order="F")
    assert np.abs(theirs[order][:, order] - A).max() <= 1e-12


def test_heat_decays_as_the_scheme_says():
    h = problems.heat(12, dt=0.01)
    x = h.b
    factor = sla.splu(h.A.tocsc())
    for k in range(1, 4):
        x = factor.solve(h.step(x))
        assert x == pytest.approx(h.exact(k))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: problems.poisson(0), "n must be an integer >= 1"), (lambda: problems.poisson(4.5), "n must be"),
        (lambda: problems.poisson(4, 4), "dim must be 1, 2 or 3"), (lambda: problems.poisson(4, boundary="robin"), "boundary must be mixed"),
        (lambda: problems.poisson(4, boundary=("neumann",)), "tuple of 2"), (lambda: problems.poisson(4, rhs="zero"), "rhs must be one of"),
        (lambda: problems.darcy(4, coefficient="x"), "coefficient must be"), (lambda: problems.jump(4, contrast=-1), "contrast must be"),
        (lambda: problems.anisotropic(4, epsilon=0), "epsilon must be"), (lambda: problems.helmholtz(4, wavenumber=np.nan), "wavenumber must be"),
        (lambda: problems.convection_diffusion(4, 1), "recirculating"), (lambda: problems.convection_diffusion(4, scheme="x"), "scheme must be"),
        (lambda: problems.elasticity(3, 1), "dim 2 or 3"), (lambda: problems.elasticity(3, poisson_ratio=0.5), "poisson_ratio must lie"),
        (lambda: problems.heat(3, dt=0.0), "dt must be"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
