"""Compiled contractions, solvers and factorisations against the array code that other libraries run."""

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.rom.ttn import contraction, local_sums
from petrov.rom.ttn.augmentation import NOISE, new_columns
from petrov.rom.ttn.environments import Environments
from petrov.rom.ttn.kron_sum import KronSum
from petrov.rom.ttn.krylov import Krylov
from petrov.rom.ttn.local_solvers import LinearFlow
from petrov.rom.ttn.machine import Machine
from petrov.rom.ttn.pairs import pair_function
from petrov.rom.ttn.runge_kutta import RK4
from petrov.rom.ttn.singular_values import leading
from petrov.rom.ttn.tree import Tree

from .operators import OPERATORS, random_terms
from .trees import TREES, state


def kinds(tree, dtype):
    """Every kind of leg operator on legs that are too long for dense stacks."""
    terms = random_terms(tree.sizes, dtype, kinds=("dense", "diagonal", "sparse"), count=8)
    return KronSum(tree, [*terms, (0.3, {0: sp.csr_array(np.eye(tree.sizes[0])), 1: np.eye(tree.sizes[1])})]), None


CASES = [(kind, name, dtype) for kind in OPERATORS for name in TREES for dtype in ("float64", "complex128")]
CASES += [("long legs", name, dtype) for name in ("balanced", "chain") for dtype in ("float64", "complex128")]


def environments(kind, name, dtype, monkeypatch, *, compiled):
    with monkeypatch.context() as patch:
        if not compiled:
            patch.setattr(contraction, "machine", lambda *_: None)
            patch.setattr(local_sums, "machine", lambda *_: None)
        tree = getattr(Tree, name)([40, 3, 36]) if kind == "long legs" else TREES[name]
        A, _ = kinds(tree, dtype) if kind == "long legs" else OPERATORS[kind](tree, "float64" if kind == "pairwise" else dtype)
        E = Environments.of(A, state(tree, 3, dtype).orthonormal())
        functions = [E.core(node) for node in tree.nodes] + [E.edge(node) for node in tree.edges]
    return E, functions


@pytest.mark.parametrize(("kind", "name", "dtype"), CASES)
def test_contractions(kind, name, dtype, monkeypatch):
    E, functions = environments(kind, name, dtype, monkeypatch, compiled=True)
    plain, others = environments(kind, name, dtype, monkeypatch, compiled=False)
    assert not any(isinstance(f, Machine) for f in others)
    assert kind == "KronSum" or all(isinstance(f, Machine) for f in functions)  # there are callables among its operators
    for a, b in zip([*E.up, *E.down[:-1]], [*plain.up, *plain.down[:-1]], strict=True):
        np.testing.assert_allclose(a.stack, b.stack, atol=1e-12 * (1 + np.abs(b.stack).max()))
    arguments = [*E.gauges.weighted, *(S.T for S in E.gauges.S[:-1])]
    for f, g, C in zip(functions, others, arguments, strict=True):
        np.testing.assert_allclose(f(C), g(C), atol=1e-12 * (1 + np.abs(g(C)).max()))
        assert f(C).dtype == C.dtype


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(("factor", "hermitian"), [(-0.3, None), (-0.3, True), (-1j, None), (-1j, True)])
@pytest.mark.parametrize("source", [False, True])
def test_solvers(dtype, factor, hermitian, source):
    """The same steps: equal numbers of applications, results equal to rounding."""
    tree = TREES["tucker"]
    terms = random_terms(tree.sizes, dtype, kinds=("dense",))
    if hermitian:
        terms = [(abs(c), {leaf: op + op.conj().T for leaf, op in ops.items()}) for c, ops in terms]
    E = Environments.of(KronSum(tree, terms), state(tree, 3, dtype).orthonormal())
    C = E.gauges.weighted[tree.root]
    H, b = E.core(tree.root), C[::-1].copy() if source else None
    compiled, plain = LinearFlow(H, factor, hermitian, b), LinearFlow(lambda Y: H(Y), factor, hermitian, b)
    assert isinstance(H, Machine) and C.size > 8
    for solver in (Krylov(1e-10), Krylov(1e-8, max_dim=9), RK4(3)):
        (X, used), (Y, expected) = (solver.solve(F, C, 0.0, 0.01) for F in (compiled, plain))
        assert used == expected and X.dtype == Y.dtype
        np.testing.assert_allclose(X, Y, atol=1e-13 * np.abs(Y).max())


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(12, 3), (4, 3), (5, 5), (3, 7)])
def test_factorisations(dtype, shape):
    """Equal up to the unitary freedom: compared by projectors and singular values."""
    rng = np.random.default_rng(6)
    M = (rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if dtype == "complex128" else 0)).astype(dtype)
    P, sigma, discarded = leading(M, 1.0)
    U, s, _ = np.linalg.svd(M)
    r = len(sigma)
    np.testing.assert_allclose(sigma, s[:r], rtol=1e-12)
    np.testing.assert_allclose(P @ P.conj().T, U[:, :r] @ U[:, :r].conj().T, atol=1e-12)
    assert discarded == pytest.approx(np.linalg.norm(s[r:]), abs=1e-12) and s[r:].sum() <= r + 1
    old = np.linalg.qr(M[:, :2])[0]
    added = new_columns(old, np.hstack([1e-9 * M, old]), 1e-6, 1e-16)
    assert added.shape == (shape[0], 0)
    added = new_columns(old, M, 0.0, 1e-16)
    both = np.hstack([old, added])
    np.testing.assert_allclose(both.conj().T @ both, np.eye(both.shape[1]), atol=1e-13)
    np.testing.assert_allclose(both @ (both.conj().T @ M), M, atol=1e-12)
    assert NOISE > 1 and both.shape[1] == min(shape)


def test_pairs(monkeypatch):
    tree = TREES["nested"]
    A, _ = OPERATORS["from_terms"](tree)
    E = Environments.of(A, state(tree, 3).orthonormal())
    child, parent = 0, tree.parent[0]
    C = np.random.default_rng(1).standard_normal(
        (*E.gauges.bases.cores[child].shape[:-1], *E.gauges.bases.cores[parent].shape[1:])
    )
    views = [[E.up[t] for t in tree.children[child]], [None, *(E.up[t] for t in tree.children[parent][1:])], E.down[parent]]
    run = pair_function(A.program, child, *views, C)
    monkeypatch.setattr(contraction, "machine", lambda *_: None)
    assert isinstance(run, Machine)
    np.testing.assert_allclose(run(C), pair_function(A.program, child, *views, C)(C), atol=1e-11)
