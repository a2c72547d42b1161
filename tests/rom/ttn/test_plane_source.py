"""The plane source with two uncertain parameters: small against full collocation, and the published one against its data."""

import contextlib
import functools
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from petrov.benchmarks.ttn import plane_source
from petrov.benchmarks.ttn.plane_source import LIMITS, THETA, Case, Way
from petrov.rom.ttn import RK4, MidpointBUG, ParallelBUG, ProjectorSplitting, RankAdaptiveBUG, TruncationWarning, evolve

SMALL = Case(cells=41, moments=12, nodes=8, end=1.0)
STEPS = 80


@functools.cache
def expected(case):
    return plane_source.statistics(case, plane_source.collocation(case, 40))


def test_collocation_is_that_of_every_pair_of_nodes():
    """The polynomial in the scattering against runs at the pairs themselves."""
    z = np.polynomial.legendre.leggauss(SMALL.nodes)[0]
    pairs = [(0, 0), (3, 6), (7, 7)]
    alone = plane_source.solved(SMALL, np.array([5 + 4 * z[i] + z[j] for i, j in pairs]))
    together = plane_source.collocation(SMALL, 40)
    np.testing.assert_allclose(alone, np.stack([together[:, i, j] for i, j in pairs], axis=1), atol=1e-12 * alone.max())
    with pytest.raises(ValueError, match="too coarse"):
        plane_source.collocation(SMALL, 6)


@pytest.mark.parametrize(
    ("method", "mean", "variance", "rank"),
    [
        (RankAdaptiveBUG(1e-3, **THETA), 6e-4, 6e-3, 18),
        (RankAdaptiveBUG(1e-5, **THETA), 5e-4, 5e-3, 26),
        (RankAdaptiveBUG(1e-3, relative=True), 6e-4, 6e-3, 14),  # nothing but a tolerance
        (ParallelBUG(theta=1e-4, **THETA), 2.5e-2, 4e-2, 24),
        (MidpointBUG(1e-5, relative=True, local=RK4()), 1e-4, 2e-4, 22),
    ],
)
def test_from_a_product(method, mean, variance, rank):
    """Steps of an eighth of a cell, one leaf or the other alone sees nothing of the first: all of F is looked at."""
    found = plane_source.run(SMALL, Way("", method, 1.0, None), expected(SMALL))
    assert found.steps == STEPS and found.mean < mean and found.variance < variance and found.largest <= rank, found


@pytest.mark.filterwarnings("ignore::petrov.rom.ttn.TruncationWarning")  # as the one without deserves
@pytest.mark.parametrize("truncation", ["weighted", "published"])
def test_a_spared_direction_grows(truncation):
    """Without it, what steps add to a direction is cut off in each of them: a tolerance of 1e-3 costs 1e-2 and more."""
    method = RankAdaptiveBUG(1e-3, relative=True, truncation=truncation)
    spared, cut = (
        plane_source.run(SMALL, Way("", replace(method, spare=spare), 1.0, None), expected(SMALL)) for spare in (1, 0)
    )
    assert spared.mean < 0.1 * cut.mean and cut.largest < spared.largest


def test_truncations_that_add_up_are_told():
    """0.9 of the norm at 1e-1 a step, none to speak of at 1e-9; also if no time is recorded."""
    case = Case(cells=21, moments=6, nodes=4, end=1.0)
    for tolerance, told in ((1e-1, pytest.warns(TruncationWarning, match="in 40 steps")), (1e-9, contextlib.nullcontext())):
        with told:
            method = RankAdaptiveBUG(tolerance, relative=True, spare=0, local=RK4())
            evolve(plane_source.start(case), plane_source.operator(case), (0, 1), dt=case.dt, method=method, save_at=[])


def published(name):
    folder = os.environ.get("PETROV_TEST_DATA")
    path = Path(folder) / "ttn" / name if folder else None
    if path is None or not path.exists():
        pytest.skip(f"{name} is not shipped: set PETROV_TEST_DATA to the folder that has ttn/{name}")
    return np.loadtxt(path)


@pytest.mark.slow
def test_collocation_is_the_published_one():
    """Two thirds of a minute."""
    data = published("plane_source_mean.txt"), published("plane_source_variance.txt")
    assert max(plane_source.off(a, b) for a, b in zip(expected(Case()), data, strict=True)) < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "mean", "variance", "rank"),
    [
        (RankAdaptiveBUG(1e-3, **THETA), 2e-3, 1e-3, 45),
        (RankAdaptiveBUG(1e-4, **THETA), 2e-3, 1e-3, 50),
        (RankAdaptiveBUG(1e-5, **THETA), 3e-4, 3e-4, 50),
        (RankAdaptiveBUG(1e-3, **LIMITS), 2e-3, 1e-3, 45),
    ],
)
def test_mean_and_variance(method, mean, variance, rank):
    """10^4 x 2 x 10^4 unknowns to t = 2 in 800 steps, against the published data, which are those of collocation with RK4."""
    case, data = Case(), (published("plane_source_mean.txt"), published("plane_source_variance.txt"))
    found = plane_source.run(case, Way("", method, 1.0, None), data)
    assert found.steps == 800 and found.mean <= mean and found.variance <= variance and found.largest <= rank, found


@pytest.mark.slow
@pytest.mark.parametrize(("tolerance", "off", "rank"), [(1e-4, (2e-4, 4e-3), 30), (1e-5, (5e-5, 5e-4), 40)])
def test_projector_splitting(tolerance, off, rank):
    """Steps of 0.01, four times the published ones."""
    case, data = Case(), (published("plane_source_mean.txt"), published("plane_source_variance.txt"))
    A, state, method = plane_source.operator(case), plane_source.start(case), ProjectorSplitting(tolerance=tolerance, min_rank=6)
    result = evolve(state, A, (0.0, 2.0), dt=0.01, method=method)
    found = plane_source.statistics(case, plane_source.density(case, result.state))
    errors = [plane_source.off(a, b) for a, b in zip(found, data, strict=True)]
    assert errors[0] < off[0] and errors[1] < off[1] and max(result.state.ranks) <= rank
