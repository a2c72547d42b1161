"""Block CG against dense solves, against cg, and on blocks whose columns depend on one another."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.solvers import Jacobi, SmoothedAggregation, SolveInterrupted, Status, block_cg, cg, compact, problems
from petrov.solvers.krylov import gram
from petrov.solvers.operator import Counted

SEED = 61_211


def block(n: int, k: int, dtype: str = "float64") -> np.ndarray:
    rng = np.random.default_rng(SEED + k)
    B = rng.standard_normal((n, k))
    return (B + 1j * rng.standard_normal((n, k)) if dtype.startswith("complex") else B).astype(dtype)


def hermitian(n: int, dtype: str) -> np.ndarray:
    """Positive definite, eigenvalues from 1 to 10^4 (50 in single), Hermitian in a way that shows a missing conjugate."""
    Q = np.linalg.qr(block(n, n, dtype if dtype.startswith("complex") else "float64"))[0]
    A = (Q * np.geomspace(1, 1e4 if dtype in ("float64", "complex128") else 50, n)) @ Q.conj().T
    return ((A + A.conj().T) / 2).astype(dtype)


def relative(A, B, X):
    return np.linalg.norm(B - A @ X, axis=0) / np.linalg.norm(B, axis=0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("k", [2, 3, 5, 8, 13])
def test_equals_a_dense_solve(k, dtype):
    A, B = hermitian(60, dtype), block(60, k, dtype)
    result = block_cg(A, B)
    assert result.converged, str(result)
    assert (relative(A, B, result.x) <= result.rtol * (1 + 1e-3)).all()
    if dtype in ("float64", "complex128"):
        np.testing.assert_allclose(result.x, np.linalg.solve(A, B), atol=1e-7 * np.abs(result.x).max())
    assert result.iterations.max() <= cg(A, B).iterations.max() + 2


SYSTEMS = {
    "bands": lambda: compact(problems.darcy(48, 2, seed=3).A),
    "bands, 3D": lambda: compact(problems.poisson(14, 3).A),
    "bands, not halved": lambda: compact(unhalved(problems.poisson(50).A)),
    "rows": lambda: compact(sp.csr_array(shuffled(problems.darcy(40, 2, seed=3).A))),
    "slices": lambda: compact(problems.elasticity(26).A),
    "scipy": lambda: problems.jump(30, 2, contrast=1e3, seed=4).A,
    "bare": lambda: Counted(problems.poisson(30).A),
}  # fmt: skip


def unhalved(A):
    """Symmetric to rounding only, so that no half of it is thrown away."""
    n = A.shape[0]
    return sp.csr_array(A + sp.diags_array([1e-13], offsets=[1], shape=(n, n)))


def shuffled(A):
    order = np.random.default_rng(SEED).permutation(A.shape[0])
    return sp.csr_array(A)[order][:, order]


@pytest.mark.parametrize("M", [None, Jacobi(), SmoothedAggregation()], ids=["none", "jacobi", "amg"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_takes_every_form_and_never_more_iterations_than_cg(name, M):
    A = SYSTEMS[name]()
    M = None if M is None else M(getattr(A, "A", A))
    B = block(A.shape[0], 7)
    result, single = block_cg(A, B, M=M), cg(A, B, M=M)
    assert result.converged and single.converged, str(result)
    assert result.reason == ""
    assert (relative(getattr(A, "A", A), B, result.x) <= 1e-8 * (1 + 1e-6)).all()
    assert result.iterations.max() <= single.iterations.max() + 2


def test_repeated_zero_and_combined_columns():
    A = compact(problems.poisson(50).A)
    B = block(2500, 6)
    B[:, 1], B[:, 2], B[:, 4] = B[:, 0], 0.0, 2 * B[:, 3] - 1e-3 * B[:, 0]
    for M in (None, Jacobi()(A)):
        for matrix in (A, A.tocsr()):
            result = block_cg(matrix, B, M=M)
            assert result.converged and result.reason == "", str(result)
            assert not result.x[:, 2].any() and result.iterations[2] == 0
            np.testing.assert_allclose(result.x[:, 0], result.x[:, 1], rtol=1e-6, atol=1e-6 * np.abs(result.x).max())
            assert np.linalg.norm(B - A @ result.x, axis=0).max() <= 1e-8 * np.linalg.norm(B, axis=0).max()
            assert result.iterations.max() <= cg(A, B, M=M).iterations.max() + 2


def test_all_columns_zero():
    result = block_cg(compact(problems.poisson(50).A), np.zeros((2500, 3)))
    assert result.converged and result.matvecs == 0 and not result.x.any()


def test_a_column_that_converges_early_leaves_and_stays():
    """One that is solved before it begins, and one that is an eigenvector, solved in one step among random ones."""
    A = compact(problems.poisson(50).A)
    dense, B = A.tocsr().toarray(), block(2500, 5)
    B[:, 1] = np.linalg.eigh(dense)[1][:, 7]
    x0 = np.zeros_like(B)
    x0[:, 3] = np.linalg.solve(dense, B[:, 3])
    for matrix in (A, A.tocsr()):
        seen = []
        result = block_cg(matrix, B, x0=x0, callback=lambda state, seen=seen: seen.append(state.x[:, 1]))
        assert result.converged and result.iterations[3] == 0 and (np.ptp(result.residuals[1:, 1]) == 0)
        assert (result.iterations[[0, 2, 4]] > 10).all() and (result.x[:, 3] == x0[:, 3]).all()
        assert (result.x[:, 1] == seen[0]).all()
        assert (relative(dense, B, result.x) <= 1e-8 * (1 + 1e-6)).all()


def test_one_column_is_solved_as_by_cg():
    A, B = compact(problems.poisson(50).A), block(2500, 1)
    for b in (B, B[:, 0]):
        result, single = block_cg(A, b), cg(A, b)
        assert result.x.shape == b.shape and (result.x == single.x).all()
        assert result.method == "block_cg"


def test_residuals_that_rise_for_long_are_waited_for():
    A = compact(problems.darcy(70, 2, seed=3).A)
    B = block(4900, 3)
    result = block_cg(A, B, rtol=1e-4)
    assert result.converged and result.reason == "", str(result)
    assert np.argmax(np.linalg.norm(result.residuals, axis=1) < 0.8 * np.linalg.norm(result.residuals[0])) > 100


def test_x0_callback_limits_and_interruption():
    A, B = compact(problems.poisson(50).A), block(2500, 4)
    done = block_cg(A, B)
    again = block_cg(A, B, x0=done.x)
    assert again.converged and (again.iterations == 0).all() and again.matvecs == 4
    few = block_cg(A, B, max_iterations=5)
    assert few.statuses == (Status.MAX_ITERATIONS,) * 4 and len(few.residuals) == 6
    seen = []
    stopped = block_cg(
        A, B, callback=lambda state: seen.append((state.iteration, state.residual, state.x)) or state.iteration == 7
    )
    assert stopped.status is Status.STOPPED and len(seen) == 7
    np.testing.assert_allclose(np.linalg.norm(B - A @ seen[4][2], axis=0), seen[4][1], rtol=1e-9)
    with pytest.raises(ValueError, match="read-only"):
        seen[0][2][0, 0] = 1.0
    assert block_cg(A, B, time_limit=0.0).status is Status.TIME_LIMIT

    def press(state):
        if state.iteration == 9:
            raise KeyboardInterrupt

    with pytest.raises(SolveInterrupted) as caught:
        block_cg(A, B, callback=press)
    assert caught.value.result.status is Status.INTERRUPTED
    assert (relative(A, B, caught.value.result.x) < 1).all()


def test_failures_are_named():
    B = block(40, 4)
    assert block_cg(np.diag(np.linspace(-1, 5, 40)), B).status is Status.INDEFINITE_MATRIX
    assert block_cg(np.diag(np.linspace(1, 5, 40)), B, M=-np.eye(40)).status is Status.INDEFINITE_PRECONDITIONER
    B[3, 2] = np.nan
    assert block_cg(np.eye(40), B).status is Status.NONFINITE_INPUT
    B = block(40, 4)
    broken = np.eye(40)
    assert block_cg(Faulty(broken), B).status is Status.NONFINITE_OPERATOR
    assert block_cg(broken, B, M=Faulty(broken)).status is Status.NONFINITE_PRECONDITIONER
    singular = np.diag([0.0] + [1.0] * 39)
    assert block_cg(singular, B).status in (Status.INCONSISTENT, Status.INDEFINITE_MATRIX)
    with pytest.raises(TypeError, match=r"block_cg needs a linear M.*flexible_cg"):
        faulty = Faulty(broken)
        faulty.linear = False
        block_cg(broken, B, M=faulty)


class Faulty:
    def __init__(self, A):
        self.A, self.shape, self.dtype = A, A.shape, A.dtype

    def __matmul__(self, x):
        return self.A @ x * np.nan


def test_a_block_that_loses_its_way_is_finished_by_cg(monkeypatch):
    """From the twentieth on its steps come to nothing, which no number of the recurrence shows."""
    from petrov.solvers.kernels import tiles

    A, B = compact(problems.poisson(50).A), block(2500, 4)
    advance, steps = tiles.Block.advance, [0]

    def wrong(self, alpha):
        steps[0] += 1
        return advance(self, alpha * (1.0 if steps[0] < 20 else 1e-9))

    monkeypatch.setattr(tiles.Block, "advance", wrong)
    result = block_cg(A, B)
    assert result.converged, str(result)
    assert "made no more progress after" in result.reason and "4 of its 4 columns" in result.reason
    assert (relative(A, B, result.x) <= 1e-8 * (1 + 1e-6)).all()


@pytest.mark.parametrize("M", [None, Jacobi()], ids=["none", "jacobi"])
def test_late_steps_of_x_are_as_good_as_punctual_ones(M, monkeypatch):
    """Every second step of x is added with the next one, out of directions that are no longer there: down to what rounding leaves,
    the same numbers of iterations and of products, a restart being one, and a callback sees the same x in every iteration."""
    from petrov.solvers.kernels import tiles

    A = compact(problems.darcy(64, 2, seed=3).A)
    B, M = block(A.shape[0], 6), None if M is None else M(A)
    seen_through, late = tiles.Block.seen_through, []
    runs = []
    for punctual in (False, True):
        monkeypatch.setattr(
            tiles.Block, "seen_through", lambda *given, punctual=punctual: not punctual and (late.append(seen_through(*given)) or late[-1])
        )
        for rtol in (1e-8, 1e-11):
            result = block_cg(A, B, M=M, rtol=rtol)
            assert result.converged and result.reason == "", str(result)
            assert (relative(A, B, result.x) <= rtol * (1 + 1e-3)).all()
            runs.append((result.matvecs, result.iterations.tolist(), result.x))
        seen = []
        block_cg(A, B, M=M, max_iterations=24, callback=lambda state, seen=seen: seen.append(state.x) if state.iteration % 5 else None)
        runs.append((0, 0, np.array(seen)))
    assert np.mean(late) > 0.9
    for ours, theirs in zip(runs[:3], runs[3:], strict=True):
        assert ours[:2] == theirs[:2]
        np.testing.assert_allclose(ours[2], theirs[2], atol=1e-10 * np.abs(theirs[2]).max())


def test_independent_vectors_are_told_from_the_others():
    V = block(30, 6)
    V[:, 2], V[:, 4] = V[:, 0] + 1e-9 * V[:, 1], 0.0
    V *= 10.0 ** np.arange(6)
    assert gram.independent(V.T @ V, 2e-16) in ([0, 1, 3, 5], [1, 2, 3, 5])
    assert gram.independent(np.full((2, 2), np.nan), 2e-16) == []
    value, v = gram.gap(np.array([[1.0, 2.0], [2.0, 1.0]]))
    assert value == pytest.approx(-1.0) and v[0] == pytest.approx(-v[1])
    assert gram.gap(np.diag([1.0, -3.0]))[1].tolist() == [0.0, 1.0]


def test_the_same_bits_for_one_thread_and_two(monkeypatch):
    A, B = compact(problems.darcy(160, 2, seed=3).A), block(25_600, 5)
    M = Jacobi()(A)
    monkeypatch.setenv("PETROV_NUM_THREADS", "1")
    one = block_cg(A, B, M=M)
    monkeypatch.delenv("PETROV_NUM_THREADS")
    two = block_cg(A, B, M=M)
    assert two.converged and two.x.any() and (two.x == one.x).all() and (two.residuals == one.residuals).all()


def test_sixteen_columns_take_a_third_of_the_iterations():
    A = compact(problems.darcy(128, 2, seed=3).A)
    B, M = block(A.shape[0], 16), Jacobi()(A)
    result = block_cg(A, B, M=M)
    assert result.converged and result.iterations.max() < 0.4 * cg(A, B[:, 0].copy(), M=M).iterations
    assert result.matvecs < 0.4 * 16 * cg(A, B[:, 0].copy(), M=M).iterations + 100
