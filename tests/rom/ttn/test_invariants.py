"""Linear invariants that no truncation touches."""

import numpy as np
import pytest

from petrov.rom.ttn import TTN, KronSum, Tree
from petrov.rom.ttn.bug import RankAdaptiveBUG
from petrov.rom.ttn.invariants import holding, truncated_holding
from petrov.rom.ttn.krylov import Krylov
from petrov.rom.ttn.midpoint_bug import MidpointBUG
from petrov.rom.ttn.parallel_bug import ParallelBUG
from petrov.rom.ttn.second_order_parallel_bug import SecondOrderParallelBUG
from petrov.rom.ttn.state import unitary_error

from .integration import difference, many
from .trees import TREES, state


def diffusion(tree):
    """Mass is kept: the columns of A add up to zero, along each leg and for the coupled part."""
    rng = np.random.default_rng(3)
    terms = []
    for leaf, n in enumerate(tree.sizes):
        D = np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)
        terms.append((1.0, {leaf: D - np.diag(D.sum(axis=0))}))
        if leaf:
            terms.append((0.5, {leaf: D - np.diag(D.sum(axis=0)), leaf - 1: np.diag(rng.random(tree.sizes[leaf - 1]))}))
    return KronSum(tree, terms)


def mass(tree):
    return TTN.product(tree, [np.ones(n) for n in tree.sizes])


@pytest.mark.parametrize("name", ["balanced", "chain", "tucker"])
@pytest.mark.parametrize("make", [RankAdaptiveBUG, MidpointBUG, SecondOrderParallelBUG, lambda theta, **rest: ParallelBUG(theta=theta, **rest)])
def test_mass_is_kept_whatever_the_truncation(make, name):
    tree = TREES[name].resized(dict.fromkeys(range(5), 5))
    A, w, Y = diffusion(tree), mass(tree), TTN.random(tree, 3)
    start = w.inner(Y)
    loose = abs(w.inner(many(make(0.05, max_rank=4), Y, A, 0.02, 5)[0]) - start)
    Z, results = many(make(0.05, max_rank=4, keep=(w,), local=Krylov(tol=1e-14)), Y, A, 0.02, 5)
    assert abs(w.inner(Z) - start) < 1e-12 < loose
    assert max(Z.ranks) <= 4 and max(results[-1].discarded) > 0 and unitary_error(Z) < 1e-12


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES.keys())
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_bases_hold_several_states(tree, dtype):
    keep = (mass(tree), state(tree, 2, seed=9))
    Y = state(tree, 2, dtype).orthonormal()
    wide = holding(Y, keep)
    assert difference(wide, Y.to_dense().reshape(-1)) < 1e-12 * Y.norm() and unitary_error(wide) < 1e-12 and wide.dtype == dtype
    for weighted in (True, False):
        cut, discarded = truncated_holding(wide, keep, 0.3 * Y.norm(), 1, None, weighted)
        for w in keep:
            assert abs(w.inner(cut) - w.inner(Y)) < 1e-11 * Y.norm() * w.norm()
        assert holding(cut, keep).ranks == cut.ranks
        if weighted:
            assert difference(cut, Y.to_dense().reshape(-1)) <= np.linalg.norm(discarded) * (1 + 1e-9) + 1e-12 * Y.norm()


def test_what_is_refused():
    tree = TREES["balanced"]
    Y = state(tree).orthonormal()
    with pytest.raises(TypeError, match="keep must be"):
        RankAdaptiveBUG(keep=(np.ones(3),))
    with pytest.raises(ValueError, match="tree of the state"):
        holding(Y, (state(TREES["chain"]),))
    with pytest.raises(ValueError, match="not be zero"):
        holding(Y, (0.0 * Y,))
    with pytest.raises(ValueError, match="real and its imaginary"):
        holding(Y, (1j * Y,))
    assert Tree.balanced([2]).root == 0 and holding(Y, ()) is Y
