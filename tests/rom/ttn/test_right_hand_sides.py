"""Operators, sources and functions of the state, seen from every node and edge; what is refused."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from petrov.rom.ttn import BUG, RK4, TTN, TTNO, AdaptiveRK, Implicit, KronSum, Krylov, Tree, gauges
from petrov.rom.ttn.environments import Environments
from petrov.rom.ttn.local_solvers import rate
from petrov.rom.ttn.method import prepared
from petrov.rom.ttn.right_hand_sides import Affine, Function, Linear, Views, as_rhs

from .integration import difference, full
from .operators import OPERATORS, dense_terms, random_terms
from .trees import TREES, state


def flows(rhs, Y, t=0.3):
    """All values of a right-hand side at the nodes and edges of an orthonormal state."""
    seen = gauges(Y)
    views = Views.of(rhs.at(t, 0.1), seen)
    found = [views.flow(node)(t, seen.weighted[node]) for node in Y.tree.nodes]
    return found + [views.edge(node)(t, seen.S[node].T) for node in Y.tree.edges]


def same(a, b, size=1.0):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, atol=1e-11 * size)


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
def test_one_function_written_in_three_ways(tree):
    """A Y + b as Affine, as Function, and A Y from the environments plus the projections of b."""
    A, dense = OPERATORS["from_terms"](tree, "complex128")
    b, Y = state(tree, 2, "complex128", seed=6), state(tree, 2, "complex128").orthonormal()
    size = np.abs(dense).max() * Y.norm() + b.norm()

    def F(t, X):
        return TTN.from_dense(tree, (dense @ X.to_dense().reshape(-1)).reshape(tree.sizes)) + b

    same(flows(Affine(A, b), Y), flows(Function(tree, F), Y), size)
    E = Environments.of(A, Y)
    linear = [E.core(node)(E.gauges.weighted[node]) for node in tree.nodes]
    linear += [E.edge(node)(E.gauges.S[node].T) for node in tree.edges]
    same(flows(as_rhs(A), Y), linear, size)
    same(flows(Affine(A, b), Y), [x + y for x, y in zip(linear, flows(Function(tree, lambda t, X: b), Y), strict=True)], size)


def moving():
    """(A(t) with some coefficients of time, its dense matrix, b(t), a state) on a tree with legs at inner nodes."""
    tree = TREES["comb"]
    terms = random_terms(tree.sizes)
    A = KronSum(tree, [((lambda t, c=c: c * np.cos(3 * t)) if k % 2 else c, ops) for k, (c, ops) in enumerate(terms)])
    b = state(tree, 2, seed=9)
    return A, lambda t: dense_terms(tree.sizes, A.at(t).terms), lambda t: np.sin(t) * b, state(tree, 2).orthonormal()


def test_coefficients_and_sources_of_time():
    """Flows are those of the time that they are called with, and constant linear equations those of the middle."""
    A, _, b, Y = moving()
    same(flows(as_rhs(3.0 * A), Y, t=0.7), flows(as_rhs(3.0 * A.at(0.7)), Y), 1e3)
    same(flows(Affine(A, b), Y, t=0.7), flows(Affine(A.at(0.7), b(0.7)), Y), 1e3)
    same(flows(Affine(A.at(0.7), b), Y, t=0.7), flows(Affine(A.at(0.7), b(0.7)), Y), 1e3)
    seen = gauges(Y)
    views, middle = (Views.of(Affine(*rhs).at(0.7, 0.1), seen) for rhs in ((A, b), (A.at(0.75), b(0.75))))
    for node in Y.tree.nodes:
        C = seen.weighted[node]
        np.testing.assert_allclose(rate(views.flow(node), C), middle.flow(node)(0.0, C), atol=1e-9)


@pytest.mark.parametrize(
    "local, least",
    [(RK4(), 13.0), (AdaptiveRK(rtol=1e-13, atol=1e-13), None), (Krylov(tol=1e-14), 3.7), (Implicit("Crank-Nicolson"), 3.7), (Implicit("SDIRK2"), 3.7)],
    ids=["RK4", "AdaptiveRK", "Krylov", "Crank-Nicolson", "SDIRK2"],
)
def test_orders_in_time_are_those_of_local_solvers(local, least):
    """Y' = A(t) Y + b(t) in full bases against a dense integration: step-halving ratios 16 for RK4, 4 for the midpoint rule."""
    A, dense, b, _ = moving()
    size = np.abs(dense(0.0)).max()
    A, Y = A * (1 / size), full(A.tree)
    exact = solve_ivp(lambda t, y: dense(t) @ y / size + b(t).to_dense().reshape(-1), (0.2, 1.2), Y.to_dense().reshape(-1), "DOP853", rtol=1e-12, atol=1e-12)
    errors = []
    for n in (4, 8):
        X = Y
        for k in range(n):
            X = BUG(local=local).step(X, Affine(A, b), 0.2 + k / n, 1 / n).state
        errors.append(difference(X, exact.y[:, -1]) / np.linalg.norm(exact.y[:, -1]))
    assert errors[1] < 1e-9 if least is None else errors[0] / errors[1] > least and errors[1] < 0.02, errors


def test_hermitian_operators_are_found():
    tree = TREES["balanced"]
    terms = random_terms(tree.sizes, "complex128", kinds=("dense", "diagonal"))
    dense = dense_terms(tree.sizes, terms)
    adjoint = [(np.conj(c), {leaf: op.conj() if op.ndim == 1 else op.conj().T for leaf, op in ops.items()}) for c, ops in terms]
    both = KronSum(tree, [*terms, *adjoint])
    np.testing.assert_allclose(both.to_dense(), dense + dense.conj().T, atol=1e-12)
    assert Linear(-1j * both).hermitian is True and Linear(TTNO.from_terms(tree, [*terms, *adjoint])).hermitian is True
    assert Linear(KronSum(tree, terms)).hermitian is False
    assert Linear(KronSum(tree, [*both.terms, (1e-6, {0: np.array([[0.0, 1.0], [-1.0, 0.0]])})])).hermitian is False
    assert Linear(KronSum(tree, [(1.0, {0: lambda X: X})])).hermitian is None
    assert Linear(KronSum(tree, [(1.0, {0: lambda X: X})]), hermitian=True).hermitian is True


def test_real_or_complex():
    tree = TREES["balanced"]
    A = OPERATORS["KronSum"](tree)[0]
    assert not as_rhs(A).is_complex and as_rhs(-1j * A).is_complex
    assert as_rhs(KronSum(tree, [(1.0, {0: 1j * np.eye(2)})])).is_complex
    assert as_rhs(KronSum(tree, [(lambda t: 1j * t + 1, {0: np.eye(2)}), (lambda t: 1j, {})])).is_complex
    assert Affine(A, 1j * state(tree)).is_complex
    assert prepared(state(tree, dtype="float32"), as_rhs(-1j * A)).dtype == "complex64"


def test_what_is_refused():
    tree = TREES["balanced"]
    A, Y = OPERATORS["from_terms"](tree)[0], state(tree)
    with pytest.raises(TypeError, match="right-hand side is a KronSum"):
        as_rhs(np.eye(3))
    with pytest.raises(TypeError, match="A must be a KronSum"):
        Linear(np.eye(3))
    with pytest.raises(ValueError, match="source must be a TTN"):
        Affine(A, state(TREES["chain"]))
    with pytest.raises(ValueError, match="same tree"):
        prepared(state(TREES["chain"]), as_rhs(A))
    with pytest.raises(TypeError, match="must be a TTN"):
        prepared(np.ones(3), as_rhs(A))
    with pytest.raises(ValueError, match="NaN"):
        prepared(np.nan * Y, as_rhs(A))
    with pytest.raises(TypeError, match="must return a TTN"):
        flows(Function(tree, lambda t, X: 3.0), Y.orthonormal())


def test_sums_of_many_leaves_do_not_underflow():
    tree = Tree.balanced([2] * 300)
    x = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert Linear(KronSum(tree, [(1.0, {k: x}) for k in range(300)])).hermitian is True
