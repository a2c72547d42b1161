"""Step and truncate, and operators times states, against dense arrays."""

import numpy as np
import pytest
import scipy.linalg

from petrov.rom.ttn import TTN, Affine, Function, KronSum, StepTruncate
from petrov.rom.ttn.operator_product import applied

from .operators import OPERATORS
from .trees import TREES, state


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
@pytest.mark.parametrize("kind", OPERATORS)
def test_operator_times_state(kind, tree):
    A, dense = OPERATORS[kind](tree, "complex128")
    Y = state(tree)
    expected = 2j * dense @ Y.to_dense().reshape(-1)
    np.testing.assert_allclose(applied(2j * A, Y).to_dense().reshape(-1), expected, atol=1e-11 * np.abs(expected).max())


def test_real_stays_real():
    A, _ = OPERATORS["from_terms"](TREES["comb"])
    assert applied(A, state(TREES["comb"])).dtype == "float64"
    assert applied(A, state(TREES["comb"]).cast("float32")).dtype == "float32"


@pytest.mark.parametrize("rk", [1, 2, 4])
def test_order(rk):
    tree = TREES["balanced"]
    A, dense = OPERATORS["from_terms"](tree)
    Y, b = state(tree, 2).orthonormal(), state(tree, 1, seed=3)
    A, dense, x = 0.1 * A, 0.1 * dense, Y.to_dense().reshape(-1)
    particular = np.linalg.solve(dense, b.to_dense().reshape(-1))
    errors = []
    for h in (0.1, 0.05):
        exact = scipy.linalg.expm(h * dense) @ (x + particular) - particular
        made = StepTruncate(rk, tolerance=1e-15).step(Y, Affine(A, b), 0.0, h)
        errors.append(np.linalg.norm(made.state.to_dense().reshape(-1) - exact))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(rk + 1, abs=0.2)


def test_coefficients_and_functions_of_time():
    tree = TREES["tucker"]
    Y = state(tree, 2)
    growing = StepTruncate(tolerance=1e-15).step(Y, KronSum(tree, [(lambda t: t, {})]), 1.0, 0.1).state
    same = StepTruncate(tolerance=1e-15).step(Y, Function(tree, lambda t, X: t * X), 1.0, 0.1).state
    np.testing.assert_allclose(growing.to_dense(), np.exp(0.105) * Y.to_dense(), rtol=1e-6)
    np.testing.assert_allclose(growing.to_dense(), same.to_dense(), rtol=1e-12, atol=1e-12)


def test_ranks_follow_the_tolerance():
    tree = TREES["chain"]
    A, dense = OPERATORS["KronSum"](tree)
    Y = TTN.product(tree, [np.ones(n) for n in tree.sizes])
    loose, tight = (StepTruncate(tolerance=tol).step(Y, 0.1 * A, 0.0, 0.1) for tol in (1e-3, 1e-12))
    exact = scipy.linalg.expm(0.01 * dense) @ np.ones(72)
    size = np.linalg.norm(exact)
    assert max(loose.state.ranks) < max(tight.state.ranks)
    assert np.linalg.norm(tight.state.to_dense().reshape(-1) - exact) < 1e-5 * size
    assert 0 < max(loose.discarded) <= 1e-3 * size
    assert StepTruncate(tolerance=0.0, max_rank=2).step(Y, A, 0.0, 0.1).state.ranks == tree.feasible(2)[:-1]


def test_errors():
    with pytest.raises(ValueError, match="rk must be one of"):
        StepTruncate(3)
    with pytest.raises(ValueError, match="tolerance"):
        StepTruncate(tolerance=-1.0)
