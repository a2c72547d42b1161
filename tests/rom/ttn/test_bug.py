"""The BUG family: orders, exactness, robustness, gauges, types, and the published experiments."""

import numpy as np
import pytest
from scipy.sparse.linalg import expm_multiply

from petrov.rom.ttn import TTN, KronSum, Tree, tasks
from petrov.rom.ttn.bug import BUG, RankAdaptiveBUG
from petrov.rom.ttn.midpoint_bug import MidpointBUG
from petrov.rom.ttn.parallel_bug import ParallelBUG, joined, parallel_step
from petrov.rom.ttn.right_hand_sides import Affine, Function, as_rhs
from petrov.rom.ttn.second_order_parallel_bug import SecondOrderParallelBUG
from petrov.rom.ttn.state import unitary_error
from petrov.rom.ttn.tensors import along

from .integration import all_up, difference, evolved, full, ising, ising_exact, kron_sparse, magnetisation, many, smooth
from .operators import OPERATORS
from .trees import TREES, state

array_api_strict = pytest.importorskip("array_api_strict")

METHODS = {
    "BUG": BUG(tolerance=1e-13),
    "rank-adaptive": RankAdaptiveBUG(1e-14),
    "published truncation": RankAdaptiveBUG(1e-14, truncation="published"),
    "parallel": ParallelBUG(theta=1e-14),
    "midpoint": MidpointBUG(1e-14),
    "second-order parallel": SecondOrderParallelBUG(1e-14),
}
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())
each_tree = pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())


@each_method
@each_tree
def test_exact_where_bases_are_full(method, tree):
    A, dense = OPERATORS["from_terms"](tree, "complex128")
    A, dense = A * (0.2 / np.abs(dense).max()), dense * (0.2 / np.abs(dense).max())
    Y = full(tree, "complex128")
    assert difference(method.step(Y, A, 0.0, 0.7).state, evolved(dense, Y, 0.7)) < 1e-11 * Y.norm()
    assert difference(method.step(Y, A, 0.0, -0.7).state, evolved(dense, Y, -0.7)) < 1e-11 * Y.norm()


@pytest.mark.parametrize(
    "method, least, most, last",  # the slopes, and the error of the shortest step: the constant matters too
    [
        (ParallelBUG(theta=1e-14), 1.97, 2.03, 2.5e-4),
        (RankAdaptiveBUG(1e-14), 1.9, 4.1, 1e-7),
        (MidpointBUG(1e-14), 2.75, 3.1, 5e-8),
        (SecondOrderParallelBUG(1e-14), 2.95, 3.05, 1.5e-7),
    ],
)
def test_slopes_of_one_step(method, least, most, last):
    A, M, Y = smooth()
    steps = [0.04, 0.02, 0.01]
    results = [method.step(Y, -1j * A, 0.0, h) for h in steps]
    errors = [difference(r.state, expm_multiply(-1j * h * M, Y.to_dense().reshape(-1))) for r, h in zip(results, steps, strict=True)]
    slopes = np.log2(np.divide(errors[:-1], errors[1:]))
    assert least < slopes.min() and slopes.max() < most and errors[-1] < last, (errors, slopes)
    assert max(Y.ranks) < 12 and results[0].state.ranks[2] < 40  # no bond is saturated: leaves have 12, inner edges 144


@pytest.mark.parametrize("name, least, most", [("rank-adaptive", 1.7, 4.5), ("midpoint", 7.0, 9.0), ("second-order parallel", 3.5, 9.0)])
def test_one_step_converges_from_any_state(name, least, most):
    """A product under pairs of random matrices leaves its tangent space at once: order 3 a step with all of F(Y) in the bases."""
    rng, tree = np.random.default_rng(8), Tree.balanced([8] * 4)
    X = [Q + Q.T for Q in rng.standard_normal((4, 8, 8)) / 8]
    terms = [(1.0, {i: X[i], j: X[j]}) for i in range(4) for j in range(i + 1, 4)]
    A, M, Y = KronSum(tree, terms), kron_sparse(tree.sizes, terms), TTN.random(tree, 1)
    errors = [difference(METHODS[name].step(Y, A, 0.0, h).state, expm_multiply(h * M, Y.to_dense().reshape(-1))) for h in (0.1, 0.05)]
    assert least < errors[0] / errors[1] < most, errors


@pytest.mark.parametrize("kind", [Tree.balanced, Tree.chain])
@pytest.mark.parametrize("make, largest", [(MidpointBUG, 1e-5), (SecondOrderParallelBUG, 2e-4)])
def test_second_order_from_a_product(make, largest, kind):
    """Fokker-Planck: terms D (x) x change two leaves of a product at once, and nothing of that is seen in its own bases."""
    d, n = 4, 8
    x = np.linspace(-4.0, 4.0, n)
    D1 = (np.diag(np.ones(n - 1), 1) - np.diag(np.ones(n - 1), -1)) * (n - 1) / 16
    D2 = (np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1) - 2 * np.eye(n)) * ((n - 1) / 8) ** 2
    terms = [(1.0, {i: D2 + 1.5 * D1 @ np.diag(x)}) for i in range(d)] + [(-0.5, {i: D1, i + 1: x}) for i in range(d - 1)]
    Y = TTN.product(kind([n] * d), [np.exp(-((x - 1) ** 2) / 2)] * d)
    exact = expm_multiply(0.4 * kron_sparse([n] * d, terms), Y.to_dense().reshape(-1))
    A, size = KronSum(Y.tree, terms), np.linalg.norm(exact)
    errors = [difference(many(make(1e-12, start_parts=1), Y, A, 0.4 / k, k, (0.0, 0.4))[0], exact) / size for k in (4, 8, 16)]
    assert min(errors[0] / errors[1], errors[1] / errors[2]) > 3.3 and errors[-1] < largest, errors


@each_method
def test_small_singular_values_do_no_harm(method):
    """A state with directions of weight 1e-14 beside one without: the step from either is as good."""
    A, M, Y = smooth(8)
    tiny = 1e-14 * TTN.random(Y.tree, 2, seed=3)
    exact = expm_multiply(0.02 * M, Y.to_dense().reshape(-1))
    error, with_tiny = difference(method.step(Y, A, 0.0, 0.02).state, exact), difference(method.step(Y + tiny, A, 0.0, 0.02).state, exact)
    assert with_tiny < 1.5 * error + 1e-10


@each_method
def test_a_gauge_changes_nothing(method):
    A, _, Y = smooth(6)
    Y = Y.rounded(1e-4)  # directions of weight w are what they are up to eps / w
    rng = np.random.default_rng(12)
    cores = [*Y.cores]
    for node in Y.tree.edges:
        G = np.eye(cores[node].shape[-1]) + 0.3 * rng.standard_normal((cores[node].shape[-1],) * 2)
        cores[node], parent = along(G.T, cores[node], cores[node].ndim - 1), Y.tree.parent[node]
        cores[parent] = along(np.linalg.inv(G), cores[parent], Y.tree.axis(node))
    theirs = TTN(Y.tree, tuple(cores))
    assert difference(theirs, Y.to_dense().reshape(-1)) < 1e-12 and unitary_error(theirs) > 0.1
    before = [core.copy() for core in cores]
    after = method.step(theirs, A, 0.0, 0.05).state
    assert difference(after, method.step(Y, A, 0.0, 0.05).state.to_dense().reshape(-1)) < 1e-11
    assert all(np.array_equal(x, y) for x, y in zip(before, theirs.cores, strict=True))
    assert unitary_error(after) < 1e-12


@each_method
@pytest.mark.parametrize("dtype", ["float64", "float32", "complex64"])
def test_types_are_kept(method, dtype):
    tree = TREES["balanced"]
    A, dense = OPERATORS["from_terms"](tree)
    A, dense = A * (0.1 / np.abs(dense).max()), dense * (0.1 / np.abs(dense).max())
    Y = full(tree, dtype)
    after = method.step(Y, A, 0.0, 0.5).state
    assert {core.dtype for core in after.cores} == {np.dtype(dtype)}
    assert difference(after, evolved(dense, Y, 0.5)) < 30 * np.finfo(dtype).eps
    turned = method.step(Y, -1j * A, 0.0, 0.5).state
    assert turned.dtype == {"float64": "complex128"}.get(dtype, "complex64")


@each_method
def test_any_array_library(method):
    tree = TREES["comb"]
    A, _ = OPERATORS["from_terms"](tree)
    Y = state(tree).orthonormal()
    strict = TTN(tree, tuple(array_api_strict.asarray(core) for core in Y.cores))
    after, same = method.step(strict, A, 0.0, 0.01), method.step(Y, A, 0.0, 0.01)
    assert difference(same.state, np.asarray(after.state.to_dense()).reshape(-1)) < 1e-9 * Y.norm()
    assert after.state.ranks == same.state.ranks


@each_method
def test_sources_and_functions(method):
    """Y' = A Y + b in full bases is exact; as a function of the state too, to the tolerance of the solver."""
    tree = Tree.balanced([2, 3, 2])
    A, dense = OPERATORS["from_terms"](tree)
    A, dense = A * (0.3 / np.abs(dense).max()), dense * (0.3 / np.abs(dense).max())
    Y, b = full(tree), TTN.random(tree, 2, seed=5)
    big = np.block([[dense, b.to_dense().reshape(-1, 1)], [np.zeros((1, 13))]])
    exact = evolved(big, TTN.from_dense(Tree.balanced([13]), np.append(Y.to_dense().reshape(-1), 1.0)), 0.5)[:-1]
    assert difference(method.step(Y, Affine(A, b), 0.0, 0.5).state, exact) < 1e-11
    F = Function(tree, lambda t, X: TTN.from_dense(tree, (dense @ X.to_dense().reshape(-1)).reshape(tree.sizes)) + b)
    assert difference(method.step(Y, F, 0.0, 0.5).state, exact) < 1e-9


@pytest.mark.parametrize("method", [RankAdaptiveBUG(1e-13), MidpointBUG(1e-13), SecondOrderParallelBUG(1e-13)])
def test_coefficients_of_time(method):
    """Y' = cos(t) A Y by Krylov spaces: the exponential midpoint rule, of order 2."""
    A, M, Y = smooth(6)
    moving = as_rhs(KronSum(A.tree, [(np.cos, ops) if c == 1.0 else (lambda t, c=c: c * np.cos(t), ops) for c, ops in A.terms]))
    exact = expm_multiply(np.sin(0.4) * M, Y.to_dense().reshape(-1))
    coarse, fine = (difference(many(method, Y, moving, 0.4 / n, n)[0], exact) for n in (4, 8))
    assert fine < 1e-3 and coarse / fine > 3.5


@pytest.mark.parametrize("make", [MidpointBUG, SecondOrderParallelBUG])
def test_the_first_step_of_a_span_is_made_in_parts(make):
    tree, rhs = ising(6)
    Y = all_up(tree)
    whole, parts = make(1e-10).step(Y, rhs, 1.0, 0.1, span=(1.0, 2.0)), many(make(1e-10), Y, rhs, 0.025, 4)[1]
    assert all(np.array_equal(x, y) for x, y in zip(whole.state.cores, parts[-1].state.cores, strict=True))
    np.testing.assert_allclose(whole.discarded, np.linalg.norm([result.discarded for result in parts], axis=0))
    assert whole.stats.applications == sum(result.stats.applications for result in parts)
    later = make(1e-10).step(Y, rhs, 1.1, 0.1, span=(1.0, 2.0))
    assert later.stats.applications == make(1e-10).step(Y, rhs, 1.1, 0.1).stats.applications < whole.stats.applications


def test_ranks_grow_from_a_product_and_stay_in_their_limits():
    tree, rhs = ising(8)
    Y = all_up(tree)
    free = many(RankAdaptiveBUG(1e-8), Y, rhs, 0.01, 10)[0]
    assert max(free.ranks) > 4
    for make in (RankAdaptiveBUG, MidpointBUG, SecondOrderParallelBUG, lambda theta, **rest: ParallelBUG(theta=theta, **rest)):
        limited = make(1e-8, max_rank=4)
        after, results = many(limited, Y, rhs, 0.01, 10)
        assert max(after.ranks) == 4 and max(results[-1].discarded) > 1e-8 and abs(after.norm() - 1) < 1e-2
    assert min(many(RankAdaptiveBUG(1e-2, min_rank=2), all_up(tree, 2), rhs, 1e-4, 2)[0].ranks) == 2
    assert many(BUG(), all_up(tree, 2), rhs, 0.01, 2)[0].ranks == all_up(tree, 2).ranks


@pytest.mark.parametrize(
    "method, sees", [(RankAdaptiveBUG(1e-10), True), (ParallelBUG(theta=1e-10), False), (MidpointBUG(1e-10), True), (SecondOrderParallelBUG(1e-10), True)]
)
def test_terms_that_change_several_bases_at_once(method, sees):
    """x (x) x on |00>: all of it in rank 2; from rank 1 nothing happens where the notes say so."""
    tree = Tree.balanced([2, 2])
    x = np.array([[0.0, 1.0], [1.0, 0.0]])
    A = KronSum(tree, [(-1j, {0: x, 1: x})])
    exact = np.array([np.cos(0.5), 0, 0, -1j * np.sin(0.5)])
    assert difference(method.step(all_up(tree, 2), A, 0.0, 0.5).state, exact) < 1e-9
    assert difference(method.step(all_up(tree), A, 0.0, 0.5).state, exact if sees else np.eye(4)[0]) < 1e-9


def test_norm_and_energy_are_kept():
    tree, rhs = ising(8)
    for method in (RankAdaptiveBUG(1e-10), MidpointBUG(1e-10)):
        Y, _ = many(method, all_up(tree), rhs, 1 / 32, 32)
        assert abs(Y.norm() - 1) < 1e-12
        assert abs(Y.expectation(rhs.A) - all_up(tree).expectation(rhs.A)) < 1e-7


def test_parallel_step_of_a_matrix():
    """Two leaves: the matrix algorithm of Ceruti, Kusch and Lubich (2024), written out."""
    n, r, h, rng = 6, 2, 0.05, np.random.default_rng(31)
    A, B = rng.standard_normal((2, n, n))
    tree = Tree.balanced([n, n])
    rhs = as_rhs(KronSum(tree, [(1.0, {0: A}), (0.5, {0: B, 1: A}), (1.0, {1: B})]))
    Y = TTN.random(tree, r)
    wide, _, estimate = parallel_step(Y, rhs.at(0.0, h), 0.0, h, None, 1e-14, tasks.serial(tree))
    U, V, S = Y.cores[0], Y.cores[1], Y.cores[2][..., 0]

    def F(X):
        return A @ X + 0.5 * B @ X @ A.T + X @ B.T

    def flow(project, X):
        f = np.stack([project(unit.reshape(X.shape)).reshape(-1) for unit in np.eye(X.size)], axis=1)
        return evolved(f, TTN.from_dense(Tree.balanced([X.size]), X.reshape(-1)), h).reshape(X.shape)

    K = flow(lambda K: F(K @ V.T) @ V, U @ S)
    L = flow(lambda L: F(U @ L.T).T @ U, V @ S.T)
    middle = flow(lambda S: U.T @ F(U @ S @ V.T) @ V, S)
    new_U, new_V = (np.linalg.qr(np.hstack([old, new]))[0][:, r:] for old, new in ((U, K), (V, L)))
    F0 = F(U @ S @ V.T)
    core = np.block([[middle, h * U.T @ F0 @ new_V], [h * new_U.T @ F0 @ V, np.zeros((r, r))]])
    expected = np.hstack([U, new_U]) @ core @ np.hstack([V, new_V]).T
    np.testing.assert_allclose(wide.to_dense(), expected, atol=1e-11)
    assert estimate == pytest.approx(h * np.linalg.norm(new_U.T @ F0 @ new_V), rel=1e-9)


def test_blocks_of_a_core_with_three_children():
    grown, change = np.zeros((3, 3, 3, 1)), np.arange(1.0, 28.0).reshape(3, 3, 3, 1)
    grown[:2, :2, :2] = 7.0
    core, dropped = joined(grown, change, 0.5, (2, 2, 2))
    new = np.indices((3, 3, 3)).__eq__(2).sum(axis=0)[..., None]
    np.testing.assert_array_equal(core, np.select([new == 0, new == 1], [7.0 + 0 * change, 0.5 * change], 0.0))
    assert dropped == pytest.approx(0.5 * np.linalg.norm(change[new > 1]))


def test_a_rejected_step_is_the_step_in_the_larger_bases():
    tree, rhs = ising(6)
    Y, _ = many(RankAdaptiveBUG(1e-10, max_rank=2), all_up(tree), rhs, 0.02, 3)
    strict = ParallelBUG(theta=1e-6, reject=1e-30).step(Y, rhs, 0.0, 0.05)
    assert strict.rejections >= 1
    bases, rejections = Y, 0
    while rejections < strict.rejections:
        wide, _, _ = parallel_step(bases, rhs.at(0.0, 0.05), 0.0, 0.05, None, 1e-6, tasks.serial(tree))
        rejections += 1
        padded = np.zeros_like(wide.cores[-1])
        padded[tuple(slice(n) for n in bases.cores[-1].shape)] = bases.cores[-1]
        bases = wide.with_cores({tree.root: padded})
        assert difference(bases, Y.to_dense().reshape(-1)) < 1e-12
    again = ParallelBUG(theta=1e-6).step(bases, rhs, 0.0, 0.05)
    assert difference(again.state, strict.state.to_dense().reshape(-1)) < 1e-12
    exact = as_rhs(rhs.A).A.to_dense()
    plain = ParallelBUG(theta=1e-6).step(Y, rhs, 0.0, 0.05).state
    assert difference(strict.state, evolved(exact, Y, 0.05)) < 0.5 * difference(plain, evolved(exact, Y, 0.05))


@pytest.mark.parametrize("doubled", range(6))
def test_every_edge_can_reject(doubled):
    tree = Tree.balanced([8] * 4)
    before, ranks = TTN.random(tree, 2), [2] * 6
    ranks[doubled] = 4
    after = TTN(tree, tuple(np.zeros(tree.core_shape(node, [*ranks, 1])) for node in tree.nodes))
    assert ParallelBUG().hit(before, after) and not ParallelBUG(max_rank=4).hit(before, after)
    assert not ParallelBUG().hit(before, TTN.random(tree, 3))


@pytest.mark.parametrize("make", [lambda threads: ParallelBUG(theta=1e-3, threads=threads), lambda threads: SecondOrderParallelBUG(1e-3, threads=threads)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_threads_change_no_bit(make, dtype, monkeypatch):
    monkeypatch.setattr(tasks, "WORK", 0.0)
    tree = Tree.balanced([5] * 6)
    A = KronSum(tree, [(0.3, {k: np.diag(np.ones(4), 1), k + 1: np.diag(np.ones(4), -1)}) for k in range(5)])
    Y = TTN.random(tree, 4, dtype=dtype)
    alone = many(make(1), Y, A, 0.05, 3)[0]
    for threads in (2, 5):
        shared = many(make(threads), Y, A, 0.05, 3)[0]
        assert all(np.array_equal(x, y) for x, y in zip(alone.cores, shared.cores, strict=True))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
def test_branches_are_disjoint_subtrees(count):
    for tree in TREES.values():
        branches, top = tasks.divided(tree, [1.0] * len(tree.parent), count)
        visited = [node for branch in branches for node in branch]
        assert sorted([*visited, *top]) == [*tree.nodes]
        assert all(set(tree.children[node]) <= set(branch) for branch in branches for node in branch)
    assert [len(branch) for branch in tasks.divided(Tree.balanced([2] * 8), [1.0] * 15, 2)[0]] == [7, 7]


def test_theta_falls_with_the_third_power_of_the_step():
    A, _, Y = smooth(6)
    for h in (0.05, -0.1):
        policy, given = ParallelBUG(tolerance=3.0).step(Y, A, 0.0, h), ParallelBUG(theta=3.0 * abs(h) ** 3).step(Y, A, 0.0, h)
        assert all(np.array_equal(x, y) for x, y in zip(policy.state.cores, given.state.cores, strict=True))
        assert policy.state.ranks != ParallelBUG(theta=0.0).step(Y, A, 0.0, h).state.ranks


def test_start_by_rank_adaptive_steps():
    tree, rhs = ising(6)
    Y = all_up(tree)
    method = ParallelBUG(theta=1e-10, start_parts=1)
    first = method.step(Y, rhs, 0.0, 1 / 64, span=(0.0, 1.0))
    same = RankAdaptiveBUG(1e-10).step(Y, rhs, 0.0, 1 / 64)
    assert all(np.array_equal(x, y) for x, y in zip(first.state.cores, same.state.cores, strict=True))
    assert first.estimate is None and method.step(Y, rhs, 2 / 64, 1 / 64, span=(0.0, 1.0)).estimate is not None
    assert method.step(Y, rhs, 0.0, 1 / 64).estimate is not None
    assert method.step(Y, rhs, 1.0, -1 / 64, span=(1.0, 0.0)).estimate is None


@pytest.mark.parametrize(
    "make, match",
    [
        (lambda: RankAdaptiveBUG(-1.0), "tolerance"),
        (lambda: RankAdaptiveBUG(max_rank=1, min_rank=2), "min_rank <= max_rank"),
        (lambda: MidpointBUG(truncation="none"), "weighted"),
        (lambda: ParallelBUG(reject=0.0), "reject"),
        (lambda: ParallelBUG(start=2.0), "part of the span"),
        (lambda: ParallelBUG(threads=0), "threads"),
        (lambda: SecondOrderParallelBUG(threads=0), "threads"),
        (lambda: SecondOrderParallelBUG(start_parts=0), "parts of the first step"),
        (lambda: MidpointBUG(start_parts=0), "parts of the first step"),
        (lambda: ParallelBUG(theta=np.nan), "tolerance"),
        (lambda: BUG(tolerance=-1), "tolerance"),
    ],
)
def test_what_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.slow
def test_plateau_of_parallel_bug_and_the_policy_without_it():
    """Eight spins at t = 1: about 1.5e-3 at theta = 1e-8 however small h, as published; theta = tol h^3 goes on."""
    tree, rhs = ising(8)
    exact, Y = ising_exact(8), all_up(tree)
    constant = [difference(many(ParallelBUG(theta=1e-8, spare=0), Y, rhs, 1 / n, n)[0], exact) for n in (256, 512)]
    assert constant == pytest.approx([1.9e-3, 1.5e-3], rel=0.15)
    policy = [difference(many(ParallelBUG(), Y, rhs, 1 / n, n, (0.0, 1.0))[0], exact) for n in (512, 1024)]
    assert policy[0] < 1e-6 and policy[0] / policy[1] > 1.8


@pytest.mark.slow
@pytest.mark.parametrize("method, rank, error", [(RankAdaptiveBUG(1e-8, max_rank=40), 2, 3e-7), (SecondOrderParallelBUG(1e-9), 1, 1e-9), (MidpointBUG(1e-9), 1, 1e-8)])
def test_sixteen_spins(method, rank, error):
    """Mean magnetisation at t = 1 in 100 steps; the exact value is that of the vector of 2^16 entries."""
    tree, rhs = ising(16)
    Y, _ = many(method, all_up(tree, rank), rhs, 0.01, 100, (0.0, 1.0))
    assert abs(magnetisation(Y) - 0.95905871329) < error
