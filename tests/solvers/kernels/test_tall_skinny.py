"""The sweeps over tiles against the same block in the array API."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.solvers import arrays, compact, problems
from petrov.solvers.kernels import columns, threads, tile_sweeps, tiles
from petrov.solvers.storage import Diagonal, canonical

SEED = 8_317


def matrices(name: str):
    if name == "bands":
        return compact(problems.darcy(53, 2, seed=5).A)  # 2809 rows: the last tile is not full
    if name == "long bands":
        return compact(problems.poisson(160).A)  # more rows than threads start from
    if name == "bands, both halves":
        return compact(sp.csr_array(problems.convection_diffusion(50).A))
    if name == "rows":
        return canonical(sp.csr_array(problems.poisson(9).A))
    return compact(problems.elasticity(26).A)


def setting(name: str, k: int, moving: list[int], M_name: str):
    """Two blocks of the same vectors, by tiles and in the array API, and the random generator."""
    A, rng = matrices(name), np.random.default_rng(SEED + k)
    n = A.shape[0]
    x, r, d = rng.standard_normal((n, k)), rng.standard_normal((n, k)), rng.random(n) + 0.5
    M = {"none": None, "diagonal": Diagonal(d), "operator": sp.diags_array(d).tocsr()}[M_name]
    space = arrays.Space(np, "float64", "cpu", k)
    return [kind.Block(A, M, x.copy(), r.copy(), moving, space) for kind in (tiles, columns)], rng


def same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, atol=1e-11 * np.abs(theirs).max())


@pytest.mark.parametrize("M", ["none", "diagonal", "operator"])
@pytest.mark.parametrize(("k", "moving"), [(2, [0, 1]), (5, [4, 0, 1]), (9, [0, 2, 3, 4, 5, 6, 7, 8]), (16, list(range(16)))])
@pytest.mark.parametrize("name", ["bands", "long bands", "bands, both halves", "rows", "slices"])
def test_a_block_by_tiles_is_a_block(name, k, moving, M):
    (ours, theirs), rng = setting(name, k, moving, M)
    width, chosen = len(moving), list(range(len(moving)))[1:] or [0]
    same(ours.start(), theirs.start())
    gram = ours.turn(np.zeros((0, len(chosen))), chosen)
    if name != "bands, both halves":  # the tiles know that A is Hermitian
        same(gram, theirs.turn(np.zeros((0, len(chosen))), chosen))
    else:
        theirs.turn(np.zeros((0, len(chosen))), chosen)
    alpha = rng.standard_normal((len(chosen), width))
    for mine, other in zip(ours.advance(alpha), theirs.advance(alpha), strict=True):
        same(mine, other)
    for block in (ours, theirs):
        block.keep(list(range(width))[::-1][: width - 1])
    beta = rng.standard_normal((len(chosen), width - 1))
    ours.turn(beta, list(range(width - 1)))
    theirs.turn(beta, list(range(width - 1)))
    v = rng.standard_normal(width - 1)
    same(ours.along(v), theirs.along(v))
    alpha = rng.standard_normal((width - 1, width - 1))
    for mine, other in zip(ours.advance(alpha), theirs.advance(alpha), strict=True):
        same(mine, other)
    same(ours.x(), theirs.x())


@pytest.mark.parametrize("M", ["none", "diagonal"])
@pytest.mark.parametrize("name", ["bands", "rows"])
def test_x_is_up_to_date_whenever_it_is_asked_for(name, M, monkeypatch):
    """After every number of steps, and between the two halves of one: among them a beta that cannot be undone, one that leaves
    nothing of P beside Z, a column that leaves, a direction that is dropped and one more that comes back."""
    late, seen = [], tiles.Block.seen_through
    monkeypatch.setattr(tiles.Block, "seen_through", lambda *given: late.append(seen(*given)) or late[-1])
    for stop in (1, 2, 4, 5, 7, 9, 10, 13):
        (ours, theirs), rng = setting(name, 5, list(range(5)), M)
        width, before, largest = 5, 0, abs(matrices(name).tocsr()).max()
        late.clear()
        ours.start(), theirs.start()
        for step in range(stop):
            chosen = [0, 1, 3] if step == 11 else list(range(width))
            beta = np.linalg.qr(rng.standard_normal((max(before, len(chosen)),) * 2))[0][:before, : len(chosen)]
            if step in (3, 4):
                beta = beta * (np.geomspace(1, 1e-9, width) if step == 3 else 1e-9)
            alpha = rng.standard_normal((len(chosen), width)) / 10 / largest
            for block in (ours, theirs):
                block.turn(beta, chosen)
            if step == 8:
                same(ours.x(), theirs.x())
            for block in (ours, theirs):
                block.advance(alpha)
                if step == 6:
                    block.keep([3, 0, 1, 4])
            before, width = len(chosen), 4 if step >= 6 else 5
        same(ours.x(), theirs.x())
    assert late == [True, False, False, True, True, True, False, False]


def test_serial_and_threaded_sweeps_have_the_same_bits():
    if not hasattr(tile_sweeps.turn_bands.serial, "signatures"):
        pytest.skip("compiled code is switched off")
    (block, _), rng = setting("long bands", 6, list(range(6)), "diagonal")
    assert block.n > threads.THREADED_FROM
    block.turn(np.zeros((0, 6)), list(range(6)))
    alpha, saved = rng.standard_normal((6, 6)), [x.copy() for x in (block.P, block.X, block.R)]
    results = []
    for twin in ("serial", "threaded"):
        P, X, R = (x.copy() for x in saved)
        gram = getattr(tile_sweeps.turn_bands, twin)(block.n, *block.A, alpha, np.arange(6), block.d, R, P)
        out = getattr(tile_sweeps.advance_bands, twin)(block.n, *block.A, alpha, -alpha, alpha, block.d, True, P, X, R)
        results.append([P, X, R, gram, *out])
    assert all((one == two).all() for one, two in zip(*results, strict=True))
