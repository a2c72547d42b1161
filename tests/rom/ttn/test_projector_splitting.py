"""Projector splitting: orders, exactness, what it conserves, against dense exponentials and fine steps."""

from functools import reduce

import numpy as np
import pytest
import scipy.linalg

from petrov.rom.ttn import TTN, TTNO, Affine, Function, KronSum, Linear, ProjectorSplitting, Tree, evolve
from petrov.rom.ttn.krylov import Krylov
from petrov.rom.ttn.method import prepared
from petrov.rom.ttn.moving_centre import MovingCentre
from petrov.rom.ttn.operator_product import applied
from petrov.rom.ttn.projector_splitting import filled
from petrov.rom.ttn.runge_kutta import RK4
from petrov.rom.ttn.state import unitary_error

from .integration import difference
from .operators import OPERATORS
from .trees import TREES, state

array_api_strict = pytest.importorskip("array_api_strict")

SITES = [2] * 6
SPINS = {
    "balanced": Tree.balanced(SITES),
    "chain": Tree.chain(SITES),
    "legs inside": Tree.nested((({0: (1,)}, {2: 3}), {4: 5}), SITES),
}
EXACT = {0.1: 0.9818539381, 0.2: 0.9460424861, 0.5: 0.9717537323, 1.0: 0.9590587133}  # mean sz of 16 sites, by the full vector


def ising(tree):
    """Long-range Ising with Omega = Delta = alpha = 1, nu = 2."""
    sites = np.arange(tree.order)
    V = 2.0 / np.maximum(np.abs(np.subtract.outer(sites, sites)), 1)
    n, sx = np.diag([1.0, 0.0]), np.array([[0.0, 1.0], [1.0, 0.0]])
    return TTNO.pairwise(tree, V, n, onsite=sx + n)


def all_up(tree):
    return TTN.product(tree, [np.array([1.0, 0.0])] * tree.order)


def magnetisation(tree):
    Z = KronSum(tree, [(1 / tree.order, {leaf: np.array([1.0, -1.0])}) for leaf in range(tree.order)])
    return lambda Y: Y.expectation(Z).real


def slopes(errors):
    return np.log2(np.array(errors[:-1]) / np.array(errors[1:]))


def flat(Y):
    return Y.to_dense().reshape(-1)


@pytest.mark.parametrize("tree", SPINS.values(), ids=SPINS.keys())
def test_one_site_order_of_a_step(tree):
    """At fixed ranks, unsaturated, against many small steps."""
    Y, H = TTN.random(tree, 2, dtype="complex128"), -1j * ising(tree)
    assert max(Y.ranks) == 2
    errors = {1: [], 2: []}
    local = Krylov(tol=1e-14)
    for h in (0.04, 0.02, 0.01):
        fine = evolve(Y, H, (0, h), dt=h / 16, method=ProjectorSplitting(sites=1, local=local)).state
        for order, found in errors.items():
            made = ProjectorSplitting(order, 1, local=local).step(Y, H, 0.0, h).state
            assert made.ranks == Y.ranks
            found.append(np.linalg.norm(flat(made) - flat(fine)))
    assert slopes(errors[1])[-1] == pytest.approx(2, abs=0.1)
    assert slopes(errors[2])[-1] == pytest.approx(3, abs=0.2)


def test_order_of_a_step_with_functions_of_time():
    """A step from t = 0, where all that F does grows with t."""
    tree = Tree.chain([2] * 5)
    H, Y, errors = ising(tree), TTN.random(tree, 2, dtype="complex128"), []
    F = Function(tree, lambda t, X: applied(-20j * t * H, X), is_complex=True)
    for h in (0.08, 0.04):
        method = ProjectorSplitting(sites=1, local=RK4())
        fine = evolve(Y, F, (0, h), dt=h / 8, method=method).state
        errors.append(np.linalg.norm(flat(method.step(Y, F, 0.0, h).state) - flat(fine)))
    assert slopes(errors)[0] > 3.5  # the commutators are of second order in t


def test_two_site_order_of_a_step():
    """A chain of neighbours, whose operator acts on pairs: two sites miss the splitting alone; while ranks can grow, less."""
    tree = Tree.chain([2] * 8)
    sx, z = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, -1.0])
    terms = [(1.0, {k: sx}) for k in range(8)] + [(0.7, {k: z, k + 1: z}) for k in range(7)]
    H = KronSum(tree, terms)
    Y = TTN.random(tree, 2, dtype="complex128")
    errors = {1: [], 2: []}
    dense = H.to_dense()
    for h in (0.04, 0.02, 0.01):
        exact = scipy.linalg.expm(-1j * h * dense) @ flat(Y)
        for order, found in errors.items():
            made = ProjectorSplitting(order, tolerance=1e-15, local=Krylov(tol=1e-14)).step(Y, -1j * H, 0.0, h).state
            found.append(np.linalg.norm(flat(made) - exact))
    assert slopes(errors[1]).min() > 2 and slopes(errors[2]).min() > 3
    assert errors[2][0] < 1e-9


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
@pytest.mark.parametrize("sites", [1, 2])
def test_exact_at_full_ranks(tree, sites):
    """Every projection is the identity then: each step back undoes a step forward."""
    A, dense = OPERATORS["from_terms"](tree, "complex128")
    Y = state(tree, 100, "complex128").orthonormal()
    made = ProjectorSplitting(sites=sites, tolerance=1e-14).step(Y, A, 0.0, 0.02).state
    np.testing.assert_allclose(flat(made), scipy.linalg.expm(0.02 * dense) @ flat(Y), atol=1e-10 * Y.norm())


def test_rank_one_product_of_flows_is_exact():
    """Without interaction every leg evolves by itself, and the ranks stay one."""
    tree, rng = SPINS["legs inside"], np.random.default_rng(6)
    ops = [B + B.T for B in rng.standard_normal((6, 2, 2))]
    H = KronSum(tree, [(1.0, {leaf: op}) for leaf, op in enumerate(ops)])
    made = ProjectorSplitting(sites=2, min_rank=1).step(all_up(tree), -1j * H, 0.0, 0.7).state
    exact = reduce(np.multiply.outer, [scipy.linalg.expm(-0.7j * op)[:, 0] for op in ops])
    np.testing.assert_allclose(made.to_dense(), exact, atol=1e-9)
    assert max(made.ranks) == 1


@pytest.mark.parametrize("tree", SPINS.values(), ids=SPINS.keys())
def test_product_states_grow(tree):
    """Also where nodes without a leg join edges of rank one, and a pair sees no room."""
    H = ising(tree)
    result = evolve(all_up(tree), -1j * H, (0, 0.2), dt=0.02, method=ProjectorSplitting())
    exact = scipy.linalg.expm(-0.2j * H.to_dense())[:, 0]
    np.testing.assert_allclose(flat(result.state), exact, atol=2e-6)
    assert max(result.state.ranks) > 2


@pytest.mark.parametrize("sites", [1, 2])
def test_norm_and_energy_and_the_way_back(sites):
    tree = SPINS["balanced"]
    Y, H = TTN.random(tree, 3, dtype="complex128"), ising(tree)
    method = ProjectorSplitting(sites=sites, tolerance=1e-13, local=Krylov(tol=1e-13))
    result = evolve(Y, -1j * H, (0, 0.5), dt=0.05, method=method)
    assert result.state.norm() == pytest.approx(1.0, abs=1e-10)
    assert result.state.expectation(H) == pytest.approx(Y.expectation(H), abs=1e-5 if sites == 1 else 1e-7)
    if sites == 2:
        return
    back = method.step(method.step(Y, -1j * H, 0.0, 0.1).state, -1j * H, 0.1, -0.1).state
    assert (back - Y).norm() < 1e-9  # the composition is symmetric


def test_small_singular_values_do_no_harm():
    """Half of the singular values are 1e-14: the step is as good as without them."""
    tree, h = SPINS["chain"], 0.05
    strong, H = TTN.random(tree, 2, dtype="complex128"), ising(tree)
    weak = strong + 1e-14 * TTN.random(tree, 2, seed=5, dtype="complex128")
    exact = scipy.linalg.expm(-1j * h * H.to_dense()) @ flat(strong)
    for order, sites in ((1, 1), (2, 1), (1, 2), (2, 2)):
        method = ProjectorSplitting(order, sites, tolerance=1e-12)
        errors = [np.linalg.norm(flat(method.step(Y, -1j * H, 0.0, h).state) - exact) for Y in (weak, strong)]
        assert errors[0] < 1.01 * errors[1] + 1e-9


@pytest.mark.parametrize("sites", [1, 2])
def test_sources_functions_and_times(sites):
    """The same equation as an affine one, as a function, with coefficients of time: one result."""
    tree = TREES["nested"]
    A, _ = OPERATORS["from_terms"](tree)
    A, Y, b = 0.2 * A, state(tree, 2).orthonormal(), state(tree, 1, seed=9)
    method = ProjectorSplitting(sites=sites, tolerance=1e-13, min_rank=1, local=RK4(steps=4))
    known = method.step(Y, Affine(A, b), 0.0, 0.05).state
    asked = method.step(Y, Function(tree, lambda t, X: applied(A, X) + b), 0.0, 0.05).state
    assert known.dtype == "float64" and known.ranks == asked.ranks
    np.testing.assert_allclose(known.to_dense(), asked.to_dense(), atol=1e-9 * Y.norm())
    linear = method.step(Y, KronSum(tree, [(lambda t: t, {0: np.array([1.0, 2.0])}), (1.0, {})]), 1.0, 0.1).state
    expected = np.exp(0.1 + 0.105 * np.array([1.0, 2.0]))[:, None, None, None, None] * Y.to_dense()
    np.testing.assert_allclose(linear.to_dense(), expected, atol=1e-6 * Y.norm())


@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
def test_flows_of_pairs(kind, tree):
    """Wherever the centre is: the flow of a pair is that of the operator between orthonormal bases."""
    A, dense = OPERATORS[kind](tree, "complex128")
    rhs, Y = Linear(A), state(tree, 2, "complex128").orthonormal()
    centre = MovingCentre(rhs.at(0.0, 0.1), prepared(Y, rhs))
    for child in tree.edges:
        centre.walk_up(tree.root)
        centre.walk_down(tree.parent[child])
        C = centre.pair(child)
        made = np.vdot(C, centre.pair_flow(child, C)(0.0, C))
        assert made == pytest.approx(np.vdot(flat(Y), dense @ flat(Y)), rel=1e-10)
        np.testing.assert_allclose(flat(TTN(tree, tuple(centre.cores))), flat(Y), atol=1e-11 * Y.norm())


def test_any_array_library():
    tree = SPINS["legs inside"]
    Y, H = TTN.random(tree, 2), ising(tree)
    strict = TTN(tree, tuple(array_api_strict.asarray(core) for core in Y.cores))
    for sites in (1, 2):
        method = ProjectorSplitting(sites=sites)
        made = method.step(strict, -1.0 * H, 0.0, 0.05).state
        np.testing.assert_allclose(np.asarray(made.to_dense()), method.step(Y, -1.0 * H, 0.0, 0.05).state.to_dense(), atol=1e-9)


def test_limits_and_errors():
    tree = SPINS["chain"]
    made = ProjectorSplitting(tolerance=1e-14, max_rank=3).step(TTN.random(tree, 3, dtype="complex128"), -1j * ising(tree), 0.0, 0.1)
    assert max(made.state.ranks) == 3 and max(made.discarded) > 1e-6
    for wrong in ({"order": 3}, {"sites": 0}, {"tolerance": -1.0}, {"min_rank": 0}, {"max_rank": 0}, {"min_rank": 5, "max_rank": 2}):
        with pytest.raises(ValueError, match="got"):
            ProjectorSplitting(**wrong)
    one = Tree.balanced([3])
    Y = TTN.product(one, [np.arange(3.0)])
    np.testing.assert_allclose(ProjectorSplitting().step(Y, KronSum(one, [(1.0, {})]), 0.0, 1.0).state.to_dense(), np.e * np.arange(3.0))


@pytest.mark.parametrize("tree", [Tree.balanced([2] * 16), Tree.chain([2] * 16)], ids=["balanced", "chain"])
@pytest.mark.slow
def test_sixteen_spins(tree):
    """Mean magnetisation against the full vector of 2^16 numbers, to ten digits."""
    times = [*EXACT]
    result = evolve(
        all_up(tree), -1j * ising(tree), (0, 1.0), dt=0.01, method=ProjectorSplitting(), save_at=times, observe={"mz": magnetisation(tree)}
    )
    np.testing.assert_allclose(result.observed["mz"], [*EXACT.values()], atol=1e-9)
    assert result.state.norm() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("Y", [TTN.random(Tree.balanced([3] * 4), 3), TTN.product(Tree.balanced([2] * 8), [[1.0, 0.0]] * 8)])
def test_two_sites_begin_with_every_direction_that_fits(Y):
    wide = filled(Y.orthonormal(), 16)
    assert wide.ranks == Y.tree.feasible(16)[:-1] and unitary_error(wide) < 1e-13
    assert difference(wide, Y.to_dense().reshape(-1)) < 1e-14
