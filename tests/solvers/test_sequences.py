"""petrov.Sequence: every x answers its own system, in the caller's order, whatever was done to get it; and what was done."""

import gc
import resource

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator

import petrov
from petrov.solvers import Jacobi, SolveInterrupted, compact, problems
from petrov.solvers.sequences.answers import Answers
from petrov.solvers.sequences.costs import Costs
from petrov.solvers.sequences.course import Course, Options
from petrov.solvers.sequences.relation import SAME, Reference
from petrov.solvers.sequences.start import Start, combination

RNG = np.random.default_rng(41)
L = sp.csr_array(problems.poisson(24).A)
N = L.shape[0]
F = RNG.standard_normal(N)
D = [sp.diags_array(np.exp(np.random.default_rng(seed).standard_normal(N))) for seed in range(6)]


def directions(A, rank, count, seed=0):
    rng = np.random.default_rng(seed)
    return [(A, b) for b in rng.standard_normal((count, rank)) @ rng.standard_normal((rank, A.shape[0]))]


def wind(k):
    return problems.convection_diffusion(24, peclet=10.0 + k).A


def dirichlet(k):
    """Finite elements whose boundary rows are those of the identity."""
    A = sp.lil_array(problems.darcy(24, seed=k).A)
    for i in range(24):
        A[i, :] = 0
        A[i, i] = 1
    return sp.csr_array(A)


SEQUENCES = {
    "one matrix, rank 2": directions(L, 2, 12),
    "one matrix, full rank": directions(L, 30, 30),
    "equal matrices": [(L.copy(), b) for _, b in directions(L, 3, 8)],
    "b = 0 among others": [*directions(L, 2, 4), (L, np.zeros(N))],
    "columns scaled": [(L @ d, F) for d in D],
    "rows scaled": [(d @ L, b) for d, (_, b) in zip(D, directions(L, 2, 6), strict=True)],
    "both scaled": [(d @ L @ d, F) for d in D],
    "multiples": [((1 + k) * L, F) for k in range(5)],
    "nearly scaled": [(L @ d - 0.01 * k * sp.eye_array(N), F) for k, d in enumerate(D)],
    "there and back": [((1 + t) * L + s * sp.eye_array(N), F) for t, s in zip([0, 0, 0, 2, 0, 0, 2, 0], range(8), strict=True)],
    "the first after others": [(L + 1e-3 * k * sp.eye_array(N), F) for k in (0, 1, 2, 3, 4, 4)] + [(3 * L, F), (L, F), (L, F)],
    "drifting": [(L + 0.5 * k * sp.eye_array(N), F) for k in range(12)],
    "independent media": [problems.darcy(24, seed=k)[:2] for k in range(6)],
    "not symmetric": [(wind(k), F) for k in range(6)],
    "indefinite": [(L - (150.0 + 30 * k) * sp.eye_array(N), F) for k in range(8)],
    "complex": [(L + 1j * k * sp.eye_array(N), F + 0j) for k in range(4)],
    "single precision": [(L.astype(np.float32), b.astype(np.float32)) for _, b in directions(L, 2, 6)],
    "blocks": [(L, np.stack([F, b], axis=1)) for _, b in directions(L, 2, 4)],
    "dense": [((L + k * sp.eye_array(N)).toarray(), F) for k in (0, 0, 1)],
    "products alone": [(LinearOperator(L.shape, matvec=lambda x: L @ x, dtype=float), F)] * 3,
    "rows of the identity": [(dirichlet(k), F) for k in (1, 2, 3)],
    "sizes change": [problems.poisson(n)[:2] for n in (8, 9, 9, 8)],
}


@pytest.mark.parametrize(
    "options", [{}, {"sort": None}, {"method": "cg", "M": Jacobi(), "recycle": 8}], ids=["auto", "as is", "cg"]
)
@pytest.mark.parametrize("name", SEQUENCES)
def test_every_x_answers_its_own_system(name, options):
    if "method" in options and name in (
        "not symmetric",
        "indefinite",
        "complex",
        "nearly scaled",
        "columns scaled",
        "rows scaled",
    ):
        pytest.skip("cg needs a definite A")
    if "method" in options and name in ("rows of the identity", "products alone"):
        pytest.skip("not symmetric before those rows are eliminated; no diagonal for Jacobi")
    systems = SEQUENCES[name]
    kept = [(A.copy() if hasattr(A, "copy") else A, b.copy()) for A, b in systems]
    results = petrov.Sequence(**options).solve(systems)
    assert len(results) == len(systems)
    for (A, b), (was, b_was), result in zip(systems, kept, results, strict=True):
        rtol = 1e-5 if b.dtype == np.float32 else 1e-8
        wide = np.asarray(result.x, dtype=np.result_type(result.x, np.float64))
        assert result.converged
        assert result.x.shape == b.shape
        residual = np.linalg.norm(b - A @ wide, axis=0)
        assert (residual <= 1.001 * rtol * np.linalg.norm(b, axis=0)).all()
        np.testing.assert_allclose(result.residual, residual, rtol=1e-3, atol=1e-12)
        assert (b == b_was).all()
        assert A is was or abs(A - was).max() == 0


def ways(systems, **options):
    sequence = petrov.Sequence(**options)
    sequence.solve(systems)
    return {way: count for way, count, _ in sequence.summary.ways}


TOLD = "put together from solutions of other right-hand sides"


@pytest.mark.parametrize(
    "systems, expected",
    [
        (directions(L, 3, 40), {"set up": 1, TOLD: 39}),
        ([(L.copy(), b) for _, b in directions(L, 3, 12)], {"set up": 1, "the same A": 2, TOLD: 9}),
        (directions(L, 40, 40), {"set up": 1, "the same A": 39}),
        ([(L @ d, F) for d in D], {"set up": 1, f"{TOLD}, A = A0 diag(d)": 5}),
        ([(d @ L, d @ F) for d in D], {"set up": 1, f"{TOLD}, A = diag(d) A0": 5}),
        ([(d @ L @ d, d @ F) for d in D], {"set up": 1, f"{TOLD}, A = diag(d) A0 diag(d)": 5}),
        ([(L @ d, b) for d, (_, b) in zip(D, directions(L, 6, 6), strict=True)], {"set up": 1, "A = A0 diag(d)": 5}),
        ([(L, F), (L, F + 1e-5 * RNG.standard_normal(N)), *directions(L, 2, 30)], {"set up": 1, "the same A": 1, TOLD: 30}),
    ],
    ids=["few directions", "equal matrices", "full rank", "columns", "rows", "both", "columns, full rank", "one almost known"],
)
def test_what_is_known_is_not_solved_again(systems, expected):
    assert ways(systems) == expected


def test_a_factorisation_serves_matrices_that_change_a_little():
    A = problems.convection_diffusion(64, peclet=20.0).A
    systems = [(sp.csr_array(A + 1.0 * k * sp.eye_array(A.shape[0])), np.ones(A.shape[0])) for k in range(40)]
    assert sum(count for way, count in ways(systems, method="direct").items() if way.startswith("the set-up of an earlier")) > 20


def test_a_multiple_of_the_first_matrix_is_no_multiple_of_the_one_that_is_held():
    course, near = Course(Options()), sp.csr_array(L + 1e-3 * sp.eye_array(N))
    course.advance(L, [F])
    relation, held = course.related(near)
    assert held and relation is not None and not relation.exact
    course.kept(near, F, relation, np.inf, 0.0)
    assert course.related(near) == (SAME, True)
    relation, held = course.related(sp.csr_array(3 * L))
    assert relation is not None and relation.exact and not held


def test_a_first_iterate_comes_in_the_units_of_its_matrix():
    """A_k = L diag(d_k) - c_k I, c small: the solutions are alike after diag(d_k) alone."""
    systems = [(sp.csr_array(L @ D[k % 6] - 0.1 * k * sp.eye_array(N)), F) for k in range(20)]
    start, found = Start(), []
    for k, (A, b) in enumerate(systems):
        units = D[k % 6].diagonal() / D[0].diagonal()
        A = compact(A)
        found.append((start.guess(A, b, units), start.guess(A, b, None) if k == 4 else None))
        x = np.linalg.solve(A.tocsr().toarray(), b)
        start.learn(petrov.solve(A, b), units)
        if found[-1][0] is not None:
            assert np.linalg.norm(found[-1][0] - x) < 0.1 * np.linalg.norm(x)
    assert found[4][0] is not None and found[4][1] is None
    A, b = compact(systems[-1][0]), F
    start.rests, before = 0, start.guess(A, b, D[1].diagonal() / D[0].diagonal())
    start.rebase(D[2].diagonal() / D[0].diagonal())
    np.testing.assert_allclose(start.guess(A, b, D[1].diagonal() / D[2].diagonal()), before, rtol=1e-6)


@pytest.mark.parametrize("kind", ["independent", "dependent", "none", "not finite"])
def test_the_combination_of_least_residual(kind):
    rows, b = np.random.default_rng(5).standard_normal((3, 40)), np.random.default_rng(6).standard_normal(40)
    if kind == "dependent":
        rows[2] = rows[0] - 1e5 * rows[1]
    if kind == "none":
        rows[:] = 0.0
    c, left = combination(np.full_like(rows, np.nan) if kind == "not finite" else rows, b)
    if kind == "not finite":
        assert np.isnan(left)
        return
    best = np.linalg.lstsq(rows.T, b, rcond=1e-9)[0]
    assert left == pytest.approx(np.linalg.norm(b - best @ rows), rel=1e-9) and np.abs(c).max() < 1e3


def test_no_sorting_under_multigrid_and_none_where_nothing_moves():
    media = [problems.darcy(100, seed=k)[:2] for k in range(4)]
    fields = np.random.default_rng(1).standard_normal((4, 5))
    for method, M, moved in (("cg", "gmg", "in the order they came"), ("cg", "ic", "4 sorted")):
        sequence = petrov.Sequence(method=method, M=M)
        sequence.solve(media, parameters=fields)
        assert sequence.summary.sorted == moved


def test_recycled_directions_halve_the_iterations():
    media = [problems.darcy(60, seed=k)[:2] for k in range(12)]
    cold = petrov.Sequence(method="cg", M="jacobi", recycle=0).solve(media)
    warm = petrov.Sequence(method="cg", M="jacobi", recycle=20).solve(media)
    assert np.median([r.iterations for r in warm[4:]]) < 0.6 * np.median([r.iterations for r in cold[4:]])


def test_gcrodr_is_carried_along():
    systems = [(wind(k), F) for k in range(8)]
    cold = petrov.Sequence(method="gmres", M=None, recycle=0, sort=None).solve(systems)
    warm = petrov.Sequence(method="gcrodr", M=None, sort=None).solve(systems)
    assert sum(r.iterations for r in warm) < 0.8 * sum(r.iterations for r in cold)


def test_a_matrix_that_its_owner_changes_in_place_is_seen():
    A, seen = L.copy(), []

    def systems():
        for k in range(5):
            A.data[:] = L.data
            A.setdiag(L.diagonal() + 10.0 * k)
            seen.append(A.copy())
            yield A, F

    results = petrov.Sequence(window=1).solve(systems())
    assert all(np.linalg.norm(F - B @ r.x) <= 1e-8 * np.linalg.norm(F) for B, r in zip(seen, results, strict=True))


def test_the_next_system_may_depend_on_the_last_x():
    heat, x = problems.heat(20), [problems.heat(20).b]

    def steps():
        for _ in range(30):
            yield heat.A, heat.step(x[-1])

    results = petrov.Sequence(window=1, rtol=1e-12).solve(steps(), write=lambda index, result: x.append(result.x))
    np.testing.assert_allclose(x[-1], heat.exact(30), atol=1e-11)
    assert len(results) == 30


@pytest.mark.parametrize("how", ["list", "generator", "assembled"])
def test_results_come_in_the_callers_order_however_sorted(how):
    mus = np.random.default_rng(6).permutation(40) / 4.0
    asked, written = [], {}

    def assemble(mu):
        asked.append(float(mu))
        return sp.csr_array(L + mu * D[0]), F

    systems = {"list": lambda: [assemble(mu) for mu in mus], "generator": lambda: (assemble(mu) for mu in mus)}
    source = (assemble, mus) if how == "assembled" else systems[how]()
    sequence = petrov.Sequence(window=16)
    results = sequence.solve(
        source, parameters=None if how == "assembled" else mus, write=lambda i, r: written.setdefault(i, r.x)
    )
    assert sorted(asked) == sorted(mus)  # once each
    assert sorted(written) == list(range(40))
    assert all(r.x is None and len(r.residuals) == 0 and r.converged for r in results)
    for index, x in written.items():
        assert np.linalg.norm(F - (L @ x + mus[index] * (D[0] @ x))) <= 1e-8 * np.linalg.norm(F)
    assert "40 sorted" in str(sequence.summary)
    if how == "assembled":
        assert np.abs(np.diff(asked)).sum() < 25  # neighbours; about 130 as they came


def test_systems_of_one_matrix_are_solved_together():
    order = []
    other = sp.csr_array(problems.darcy(24, seed=9).A)
    systems = [(A, RNG.standard_normal(N)) for _ in range(4) for A in (L, other)]
    petrov.Sequence().solve(systems, write=lambda index, result: order.append(index))
    assert order == [0, 2, 4, 6, 1, 3, 5, 7]


def test_a_failure_names_its_system_and_keeps_the_others():
    systems = [(L, F), (L, F * np.nan), (L, 2 * F)]
    sequence = petrov.Sequence()
    with pytest.raises(petrov.SolveError, match="system 1: NONFINITE_INPUT"):
        sequence.solve(systems)
    assert sequence.results[0].converged
    results = petrov.Sequence(raise_on_failure=False).solve(systems)
    assert [r.converged for r in results] == [True, False, True]


def test_an_interruption_keeps_what_is_done():
    sequence, done = petrov.Sequence(), []

    def stop(index, result):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(index)

    with pytest.raises(SolveInterrupted, match="3 systems are solved"):
        sequence.solve([problems.darcy(12, seed=k)[:2] for k in range(9)], write=stop)
    assert len(sequence.results) == 3


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda s: s.solve(L), TypeError, "an iterable of"),
        (lambda s: s.solve([(L, F), L]), TypeError, "system 1 is"),
        (lambda s: s.solve([(L, F), (L, F[:-1])]), ValueError, "system 1: b must have shape"),
        (lambda s: s.solve([(L, F)], parameters=np.zeros(2)), ValueError, "a row for every one of the 1 systems"),
        (lambda s: s.solve((lambda mu: (L, F), "abc")), TypeError, "mus must be an array"),
        (lambda s: petrov.Sequence(recycle=-1), ValueError, "recycle must be"),
        (lambda s: petrov.Sequence(sort="nearest"), ValueError, "sort must be"),
        (lambda s: petrov.Sequence(window=0), ValueError, "window must be"),
        (lambda s: petrov.Sequence(method="sor").solve([(L, F)]), ValueError, "method must be"),
    ],
)
def test_bad_input_says_what_came(make, error, words):
    with pytest.raises(error, match=words):
        make(petrov.Sequence())


def test_an_empty_sequence_has_no_results():
    sequence = petrov.Sequence()
    assert sequence.solve([]) == []
    assert str(sequence.summary).startswith("0 systems")


def test_ten_thousand_solves_do_not_grow_in_memory():
    A = [sp.csr_array(problems.poisson(50).A + 9.0 * k * k * sp.eye_array(2_500)) for k in range(4)]
    rng = np.random.default_rng(7)
    sizes = []

    def systems():
        for k in range(10_000):
            if k in (2_000, 9_900):
                gc.collect()
                sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            yield A[k // 10 % 4], rng.standard_normal(2_500)

    petrov.Sequence(window=40).solve(systems(), write=lambda index, result: None)
    # The records without x and history take 10 MB; the x alone would take 150.
    assert sizes[1] - sizes[0] < 25_000  # kB


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["A0 diag(d)", "diag(d) A0", "diag(d) A0 diag(d)"])
@pytest.mark.parametrize("n", [24, 100])
def test_a_scaling_is_recognised_and_a_single_other_entry_refuted(kind, n, seed):
    A = sp.csr_array(wind(seed) if n == 24 else problems.darcy(n, seed=seed).A)
    d = sp.diags_array(np.exp(np.random.default_rng(seed).standard_normal(A.shape[0])))
    B = sp.csr_array({"A0 diag(d)": A @ d, "diag(d) A0": d @ A, "diag(d) A0 diag(d)": d @ A @ d}[kind])
    B.sort_indices()
    found = Reference(A).relation(B)
    assert (found.kind, found.exact) == (kind, True)
    M = np.eye(A.shape[0]) if n == 100 else np.linalg.inv(A.toarray())
    if n == 24:
        r = np.random.default_rng(0).standard_normal(A.shape[0])
        np.testing.assert_allclose(B @ (found.inverse(M) @ r), r, atol=1e-9)
    B.data[np.random.default_rng(seed).integers(B.nnz)] *= 1 + 1e-9
    other = Reference(A).relation(B)
    assert other is None or not other.exact


@given(st.integers(1, 6), st.integers(1, 30), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_answers_tell_what_lies_in_their_span_and_nothing_else(rank, count, seed):
    rng = np.random.default_rng(seed)
    A, V = rng.standard_normal((40, 40)) + 8 * np.eye(40), rng.standard_normal((40, rank))
    answers = Answers(40)
    for _ in range(count):
        b = V @ rng.standard_normal(rank)
        x, left, part = answers.guess(b)
        answers.learn(left, np.linalg.solve(A, left), part)
    assert answers.size <= rank
    b = V @ rng.standard_normal(rank)
    x, left, part = answers.guess(b)
    if count >= rank and part < 1e-12:
        np.testing.assert_allclose(A @ x, b, atol=1e-6 * np.linalg.norm(b))
    b = rng.standard_normal(40)
    x, left, part = answers.guess(b)
    np.testing.assert_allclose(b - left if x is None else A @ x, b - left, atol=1e-6 * np.linalg.norm(b))


def test_costs_try_what_is_new_once_and_return_to_what_is_cheap():
    costs, seconds, taken = Costs(), {"fresh": 1.0, "kept": 3.0}, []
    for _ in range(200):
        name = costs.choose(["fresh", "kept"])
        taken.append(name)
        costs.settle(name, seconds[name], ["fresh", "kept"])
    assert taken.count("kept") <= 6  # again and again, ever more seldom
    seconds["kept"] = 0.1
    for _ in range(300):
        name = costs.choose(["fresh", "kept"])
        taken.append(name)
        costs.settle(name, seconds[name], ["fresh", "kept"])
    assert taken[-20:].count("kept") == 20


def test_tune_is_asked_once_with_systems_of_the_sequence():
    asked = []

    def tune(M, systems):
        asked.append((M, systems))
        return Jacobi(diagonal=4 * np.ones(N))

    systems = [(sp.csr_array(L + 0.1 * k * sp.eye_array(N)), F) for k in range(40)]
    sequence = petrov.Sequence(M=Jacobi(), tune=tune)
    assert all(r.converged for r in sequence.solve(systems)) and sequence.course.options.M.diagonal is not None
    assert len(asked) == 1 and len(asked[0][1]) == 16 and all(any(A is B for B, _ in systems) for A, _ in asked[0][1])
    sequence.solve(systems[:31])
    assert len(asked) == 1
    sequence.solve(system for system in systems)
    assert len(asked) == 2 and asked[1][0].diagonal is None
    for M in ("auto", None, sp.eye_array(N)):
        with pytest.raises(TypeError, match="tune needs M, a recipe"):
            petrov.Sequence(M=M, tune=tune)
