"""Solvers of the small equations in a step: against matrix exponentials, orders, tolerances, what is kept and what is refused."""

import numpy as np
import pytest
from scipy.linalg import expm, toeplitz

from petrov.rom.ttn.implicit import Implicit
from petrov.rom.ttn.krylov import Krylov, phi
from petrov.rom.ttn.local_solvers import FunctionFlow, LinearFlow, LocalSolveError, Stats
from petrov.rom.ttn.runge_kutta import RK4, AdaptiveRK

array_api_strict = pytest.importorskip("array_api_strict")

N, SHAPE = 30, (5, 3, 2)
G, Y0, B = (np.random.default_rng(40_823).standard_normal(shape) / 2 for shape in ((N, N), SHAPE, SHAPE))
C = G + 1j * G[::-1]
MATRICES = {  # H, factor, hermitian
    "symmetric": (G + G.T, -1.0, True),
    "symmetric, unknown": (G + G.T, -1.0, None),
    "skew": (G - G.T, 1.0, None),
    "nonnormal": (np.triu(G), 2.0, False),
    "Schroedinger, real": (G + G.T, -1j, True),
    "Schroedinger, complex": (C + C.conj().T, -1j, True),
    "Hermitian, heat": (C + C.conj().T, -0.7, True),
    "complex nonnormal": (np.triu(C), 0.3 + 0.4j, None),
}
ALL = [Krylov(), RK4(3), AdaptiveRK(), *map(Implicit, ("implicit Euler", "Crank-Nicolson", "SDIRK2"))]


def flow(H, factor=1.0, hermitian=None, source=None):
    return LinearFlow(lambda Y: np.reshape(H @ np.reshape(Y, -1), Y.shape), factor, hermitian, source)


def exact(H, factor, h, Y, source=None):
    n = Y.size
    A = np.zeros((n + 1, n + 1), np.result_type(H, type(factor)))
    A[:n, :n], A[:n, n] = h * factor * H, 0 if source is None else h * source.reshape(-1)
    return (expm(A) @ np.append(Y.reshape(-1), 1))[:n].reshape(Y.shape)


def distance(X, Y):
    return np.linalg.norm(X - Y) / max(np.linalg.norm(Y), np.linalg.norm(Y0))


def orders(solver_of, F, reference):
    errors = [distance(solver_of(k).solve(F, Y0, 0.0, 0.4)[0], reference) for k in (8, 16, 32)]
    return np.log2(errors[0] / errors[1]), np.log2(errors[1] / errors[2])


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("source", [None, B], ids=["homogeneous", "affine"])
@pytest.mark.parametrize("h", [0.01, 0.4, -0.4, 2.5])
@pytest.mark.parametrize("max_dim", [40, 9])
def test_krylov_gives_the_exponential_within_its_tolerance(name, source, h, max_dim):
    H, factor, hermitian = MATRICES[name]
    Y, stats = Krylov(tol=1e-10, max_dim=max_dim).solve(flow(H, factor, hermitian, source), Y0, 0.3, h)
    assert distance(Y, exact(H, factor, h, Y0, source)) < 1e-10
    assert Y.dtype == np.result_type(H, Y0, type(factor)) and Y.shape == SHAPE
    assert stats.applications <= (max_dim + (source is not None)) * stats.substeps
    if max_dim > N:
        assert stats.substeps == 1  # at most all dimensions, which are exact


@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-9, 1e-13])
@pytest.mark.parametrize("name", ["symmetric", "Schroedinger, complex", "nonnormal"])
def test_krylov_takes_no_more_vectors_than_the_tolerance_asks_for(name, tol):
    H, factor, hermitian = MATRICES[name]
    F, reference = flow(H, factor, hermitian), exact(H, factor, 0.2, Y0)
    Y, stats = Krylov(tol).solve(F, Y0, 0.0, 0.2)
    assert distance(Y, reference) < tol
    m = stats.applications - 4
    with pytest.raises(LocalSolveError, match=r"1 substeps .* Take Implicit, a smaller h or a larger max_dim"):
        Krylov(tol, max_dim=max(m, 2), max_substeps=1).solve(F, Y0, 0.0, 0.2)


def test_lanczos_keeps_the_norm():
    H = MATRICES["Schroedinger, complex"][0]
    Y = Y0 / np.linalg.norm(Y0)
    for _ in range(20):
        Y, _ = Krylov().solve(flow(H, -1j, True), Y, 0.0, 0.3)
        assert abs(np.linalg.norm(Y) - 1) < 1e-13


def test_lanczos_stays_orthogonal_where_single_eigenvalues_converge_first():
    H = np.diag(np.concatenate([[300.0, -280.0], np.linspace(-1, 1, 198)]))
    Y = np.random.default_rng(8_112).standard_normal(200)
    X, stats = Krylov(1e-12, max_dim=60).solve(flow(H, -1j, True), Y, 0.0, 2.0)
    assert np.linalg.norm(X - np.exp(-2j * np.diag(H)) * Y) < 1e-11 * np.linalg.norm(Y) and stats.applications < 40
    assert abs(np.linalg.norm(X) / np.linalg.norm(Y) - 1) < 1e-14


@pytest.mark.parametrize("hermitian", [True, None])
def test_stiff_decay_is_cut_into_substeps_and_the_limit_is_loud(hermitian):
    H = 1e4 * toeplitz([2.0, -1.0] + [0.0] * (N - 2))
    F = flow(H, -1.0, hermitian)
    Y, stats = Krylov(max_dim=15).solve(F, Y0, 0.0, 1e-2)
    assert distance(Y, exact(H, -1.0, 1e-2, Y0)) < 1e-10 and 1 < stats.substeps < 40
    with pytest.raises(LocalSolveError, match=r"3 substeps with 15 vectors each led from t = 2 to 2\.0\d* only, not to 3"):
        Krylov(max_dim=15, max_substeps=3).solve(F, Y0, 2.0, 1.0)


@pytest.mark.parametrize("hermitian", [True, None])
@pytest.mark.parametrize("tol", [1e-2, 1e-4])
def test_the_error_of_decay_is_not_only_that_of_the_end(hermitian, tol):
    H = toeplitz([2.0, -1.0] + [0.0] * (4 * N - 2))
    Y = np.zeros(4 * N)
    Y[0] = 1.0  # what has not reached the end of the space yet is missing there, long after the residual has decayed
    X, stats = Krylov(tol).solve(flow(H, -1.0, hermitian), Y, 0.0, 300.0)
    assert np.linalg.norm(X - expm(-300 * H) @ Y) < tol and stats.substeps < 6
    assert Krylov(tol).solve(flow(H, -1.0, hermitian), Y, 0.0, 30.0)[1].applications < 40  # looks before the leading term is small


def test_estimates_of_oscillating_errors_are_seldom_small_by_chance():
    rng, ratios = np.random.default_rng(5_310), []
    for _ in range(300):
        values, h, tol = rng.random(rng.integers(20, 120)), 10 ** rng.uniform(0, 2.3), 10 ** rng.uniform(-4, -1)
        Y = rng.standard_normal(values.size)
        X, _ = Krylov(tol, int(rng.integers(5, 41))).solve(LinearFlow(lambda Y, d=values: d * Y, -1j, True), Y, 0.0, h)
        ratios.append(np.linalg.norm(X - np.exp(-1j * h * values) * Y) / (tol * np.linalg.norm(Y)))
    assert np.mean(np.array(ratios) > 1) < 0.01 and max(ratios) < 2.5 and np.median(ratios) > 0.1


def test_tolerances_below_the_rounding_of_single_precision_cost_no_more():
    H, Y = (G - G.T).astype("float32"), Y0.astype("float32")
    for solver, limit in ((Krylov(1e-15), 14), (AdaptiveRK(1e-15, 1e-15), 400), (Implicit(rtol=1e-15), 80)):
        assert solver.solve(flow(H), Y, 0.0, 0.3)[1].applications < limit


def test_phi_functions():
    w = np.array([0.0, 1e-20, 1e-3, 0.49, -0.51, 3.0, -60.0, 30j, 1e-4j, 2 - 1j])
    for k, z in enumerate(w):
        for p, reference in enumerate(expm(np.array([[z, 1, 0], [0, 0, 1], [0, 0, 0]]))[0]):
            assert phi(p, w)[k] == pytest.approx(reference, rel=1e-12)


def test_invariant_spaces_end_at_once():
    eigenvector = np.linalg.eigh(G + G.T)[1][:, 3].reshape(SHAPE)
    for hermitian in (True, None):
        Y, stats = Krylov(1e-15).solve(flow(G + G.T, 1j, hermitian), eigenvector, 0.0, 300.0)
        assert distance(Y, exact(G + G.T, 1j, 300.0, eigenvector)) < 1e-11 and stats == Stats(1, 1)
    assert Krylov().solve(flow(0 * G, 1.0, True, B), Y0, 0.0, 2.0)[0] == pytest.approx(Y0 + 2 * B, abs=1e-14)
    assert Krylov().solve(LinearFlow(lambda Y: Y), Y0, 0.0, 1.0)[0] == pytest.approx(np.e * Y0, abs=1e-14)  # returns its argument
    Y, stats = Krylov().solve(flow(np.array([[2.0]]), -1j, True), np.ones((1, 1)), 0.0, 50.0)
    assert abs(Y - np.exp(-100j)) < 1e-13 and stats.applications == 1


def test_real_arithmetic_where_only_the_factor_is_complex():
    H, seen = G + G.T, set()

    def apply(Y):
        seen.add(Y.dtype.kind)
        return np.reshape(H @ np.reshape(Y, -1), SHAPE)

    Y, stats = Krylov().solve(LinearFlow(apply, -1j, True), Y0, 0.0, 0.5)
    assert seen == {"f"} and stats.substeps == 1 and distance(Y, exact(H, -1j, 0.5, Y0)) < 1e-10


@pytest.mark.parametrize("solver", ALL, ids=repr)
def test_zero_stays_zero_and_no_step_changes_nothing(solver):
    F = flow(G + G.T, -1.0, True)
    assert not np.any(solver.solve(F, 0 * Y0, 0.0, 1.0)[0])
    assert np.array_equal(solver.solve(F, Y0, 0.0, 0.0)[0], Y0)
    Y = np.array(Y0)
    solver.solve(F, Y, 0.0, 0.1)
    assert np.array_equal(Y, Y0)
    from_nothing = solver.solve(flow(G + G.T, -1.0, True, B), 0 * Y0, 0.0, 1e-3)[0]
    assert from_nothing == pytest.approx(1e-3 * B, rel=2e-2, abs=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "complex64", "float64", "complex128"])
@pytest.mark.parametrize("solver", ALL, ids=repr)
@pytest.mark.parametrize("xp", [np, array_api_strict], ids=["numpy", "strict"])
def test_precision_and_library_are_kept(solver, dtype, xp):
    H, Y = (xp.asarray((x + (0.1j * x if dtype.startswith("complex") else 0)).astype(dtype)) for x in (np.triu(G), Y0))
    F = LinearFlow(lambda Y: xp.reshape(H @ xp.reshape(Y, (-1,)), SHAPE), np.float64(-1.0))
    X, _ = solver.solve(F, Y, np.float64(0.0), np.float64(0.05))
    assert X.dtype == Y.dtype and type(X) is type(Y)
    allowed = 0.02 if "Euler" in repr(solver) else 2e-4 if isinstance(solver, Implicit) else 3e-6
    assert distance(np.asarray(X), exact(np.asarray(H), -1.0, 0.05, np.asarray(Y))) < allowed
    turned, _ = solver.solve(LinearFlow(F.apply, np.complex128(-1j)), Y, 0.0, 0.05)
    assert str(turned.dtype).endswith("complex64" if dtype.endswith(("float32", "complex64")) else "complex128")
    assert distance(np.asarray(turned), exact(np.asarray(H), -1j, 0.05, np.asarray(Y))) < allowed


@pytest.mark.parametrize("name", ["nonnormal", "complex nonnormal"])
def test_orders(name):
    H, factor, _ = MATRICES[name]
    F, reference = flow(H, factor, None, B), exact(H, factor, 0.4, Y0, B)
    assert orders(RK4, F, reference) == pytest.approx((4, 4), abs=0.25)
    for scheme, order in (("implicit Euler", 1), ("Crank-Nicolson", 2), ("SDIRK2", 2)):
        assert orders(lambda k, s=scheme: Implicit(s, k), F, reference) == pytest.approx((order, order), abs=0.25)


@pytest.mark.parametrize("t, h", [(0.0, 1.0), (1.0, -1.0)])
def test_orders_for_nonlinear_equations_that_depend_on_time(t, h):
    def g(t):  # u' = -u^2 u* + forcing, so that u = Y0 exp(i t) cos t; not differentiable as a function of a complex u
        return Y0 * np.exp(1j * t) * np.cos(t)

    def f(t, Y):
        return -abs(Y) ** 2 * Y + abs(g(t)) ** 2 * g(t) + Y0 * np.exp(1j * t) * (1j * np.cos(t) - np.sin(t))

    F, start = FunctionFlow(f), g(t)
    for scheme, order in (("implicit Euler", 1), ("Crank-Nicolson", 2), ("SDIRK2", 2)):
        errors = [distance(Implicit(scheme, k).solve(F, start, t, h)[0], g(t + h)) for k in (10, 20)]
        assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)
    errors = [distance(RK4(k).solve(F, start, t, h)[0], g(t + h)) for k in (10, 20)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.3)
    assert distance(AdaptiveRK(1e-9).solve(F, start, t, h)[0], g(t + h)) < 1e-8


@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-10])
@pytest.mark.parametrize("name", ["skew", "nonnormal", "Schroedinger, complex"])
def test_adaptive_steps_follow_the_tolerance(name, rtol):
    H, factor, _ = MATRICES[name]
    for h in (0.7, -0.7):
        Y, stats = AdaptiveRK(rtol).solve(flow(H, factor), Y0, 0.0, h)
        assert rtol / 1e3 < distance(Y, exact(H, factor, h, Y0)) < 30 * rtol
        assert stats.applications <= 2 + 8 * stats.substeps  # few steps are refused


def test_steps_that_meet_a_surprise_are_taken_again():
    pulse = FunctionFlow(lambda t, Y: Y0 * np.exp(-(((t - 0.5) / 0.02) ** 2)) / (0.02 * np.sqrt(np.pi)))
    Y, stats = AdaptiveRK(1e-8).solve(pulse, Y0, 0.0, 1.0)
    assert distance(Y, 2 * Y0) < 1e-7 and 6 * stats.substeps + 2 < stats.applications < 1200


def test_adaptive_steps_stop_at_singularities_and_at_stiffness():
    blow_up = FunctionFlow(lambda t, Y: Y * Y)
    with pytest.raises(LocalSolveError, match=r"at t = 1 a step of .* singular"):
        AdaptiveRK(1e-6).solve(blow_up, np.ones(3), 0.0, 2.0)
    with pytest.raises(LocalSolveError, match=r"200 steps led to t = 0\.\d+ only, not to 1: F may be stiff \(take Implicit\)"):
        AdaptiveRK(max_steps=200).solve(flow(1e5 * np.eye(N), -1.0), Y0, 0.0, 1.0)
    edge = FunctionFlow(lambda t, Y: Y if t < 0.5 else np.nan * Y)
    with pytest.raises(LocalSolveError, match=r"at t = 0\.5 a step"):
        AdaptiveRK().solve(edge, Y0, 0.0, 1.0)
    with pytest.raises(LocalSolveError, match=r"RK4 from t = 0 .* left the finite numbers"), np.errstate(all="ignore"):
        RK4(200).solve(flow(1e9 * np.eye(N), -1.0), Y0, 0.0, 1.0)


@pytest.mark.parametrize("hermitian", [True, None])
def test_stiff_heat_equation(hermitian):
    n = 100
    H = 1e6 / 4 * toeplitz([2.0, -1.0] + [0.0] * (n - 2))  # eigenvalues 242 .. 10^6
    values, Q = np.linalg.eigh(H)
    Y = Q @ np.linspace(1, 2, n)  # all modes, the stiff ones too
    for scheme, error in (("implicit Euler", 2e-2), ("SDIRK2", 1e-3)):
        X, stats = Implicit(scheme, steps=40, rtol=1e-9).solve(flow(H, -1.0, hermitian, Q[:, 0]), Y, 0.0, 5e-3)
        slow = np.exp(-5e-3 * values) * np.linspace(1, 2, n)
        slow[0] += (1 - np.exp(-5e-3 * values[0])) / values[0]
        assert np.linalg.norm(X - Q @ slow) < error and stats.substeps == 40
    assert stats.applications < 2 * 40 * 2.5 * n
    X, _ = Implicit("Crank-Nicolson", steps=40).solve(flow(H, -1.0, hermitian), Y, 0.0, 5e-3)
    assert abs(Q[:, -1] @ X) > 0.1  # reflected, not damped, as documented
    norm_kept = Implicit("Crank-Nicolson", steps=4, rtol=1e-13).solve(flow(H, -1j, hermitian), Y, 0.0, 1e-4)[0]
    assert np.linalg.norm(norm_kept) == pytest.approx(np.linalg.norm(Y), rel=1e-11)


def test_what_is_not_solved_is_refused():
    with pytest.raises(LocalSolveError, match=r"Implicit \(implicit Euler\): the system at t = 1\.5 was not solved .* iteration limit"):
        Implicit("implicit Euler", max_iterations=2).solve(flow(1e4 * G @ G.T, -1.0, True), Y0, 1.0, 0.5)
    with pytest.raises(LocalSolveError, match="Newton's method at t = 1 ended"):
        Implicit("implicit Euler").solve(FunctionFlow(lambda t, Y: 1 + Y * Y), Y0, 0.0, 1.0)
    with pytest.raises(LocalSolveError, match="declared hermitian=True, and is not"):
        Krylov().solve(flow(np.triu(G), 1.0, True), Y0, 0.0, 1.0)
    with pytest.raises(LocalSolveError, match=r"Krylov at t = 2, h = 1: H gave NaN"):
        Krylov().solve(flow(np.nan * G, 1.0), Y0, 2.0, 1.0)
    for solver in ALL:
        with pytest.raises(ValueError, match=r"Y at t = 0 holds NaN or infinity"):
            solver.solve(flow(G), Y0 * np.nan, 0.0, 1.0)
        with pytest.raises(TypeError, match="Y must be an array of float32"):
            solver.solve(flow(G), [1.0], 0.0, 1.0)
        with pytest.raises(TypeError, match="got int64"):
            solver.solve(flow(G), np.ones(N, np.int64), 0.0, 1.0)
        with pytest.raises(TypeError, match="F must be a Flow"):
            solver.solve(lambda t, Y: Y, Y0, 0.0, 1.0)
        with pytest.raises(ValueError, match="t and h must be finite"):
            solver.solve(flow(G), Y0, 0.0, np.inf)
    with pytest.raises(TypeError, match=r"Krylov needs a linear F.* use RK4"):
        Krylov().solve(FunctionFlow(lambda t, Y: Y), Y0, 0.0, 1.0)


@pytest.mark.parametrize("recipe, bad", [
    (Krylov, {"tol": 0.0}), (Krylov, {"max_dim": 1}), (Krylov, {"max_dim": 4.0}), (RK4, {"steps": 0}), (AdaptiveRK, {"rtol": -1.0}),
    (AdaptiveRK, {"atol": float("nan")}), (Implicit, {"scheme": "BDF2"}), (Implicit, {"steps": True}),
])  # fmt: skip
def test_parameters_are_checked(recipe, bad):
    with pytest.raises((ValueError, TypeError), match=next(iter(bad))):
        recipe(**bad)
