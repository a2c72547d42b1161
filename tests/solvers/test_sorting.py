"""The order of a sequence: permutations, curves, distances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from petrov.solvers.recycling import sorting


@given(
    arrays(float, st.tuples(st.integers(1, 40), st.integers(1, 5)), elements=st.floats(-10, 10)),
    st.sampled_from(["auto", "greedy", "hilbert", "grouped"]), st.integers(0, 1_000),
)  # fmt: skip
def test_an_order_is_a_permutation_from_the_start(parameters, method, seed):
    start = seed % len(parameters)
    order = sorting.order(parameters, method, start=start)
    assert order[0] == start
    assert sorted(order) == list(range(len(parameters)))


def test_greedy_goes_to_the_nearest_that_is_left():
    F = np.random.default_rng(1).standard_normal((60, 4))
    order, left = [3], set(range(60)) - {3}
    while left:
        order.append(min(left, key=lambda j: (np.linalg.norm(F[j] - F[order[-1]]), j)))
        left.remove(order[-1])
    assert sorting.order(F, "greedy", start=3).tolist() == order


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_the_hilbert_curve_takes_steps_of_one(dimension):
    side = 2**sorting.BITS
    rng = np.random.default_rng(dimension)
    corner = rng.integers(0, side - 9, dimension) // 8 * 8  # an aligned cube of the curve is passed in one go
    cells = corner + np.stack(np.meshgrid(*[np.arange(8)] * dimension, indexing="ij"), -1).reshape(-1, dimension)
    along = cells[np.lexsort(sorting.hilbert_digits(cells)[::-1])]
    assert (np.abs(np.diff(along, axis=0)).sum(axis=1) == 1).all()


@pytest.mark.parametrize("method", ["greedy", "hilbert", "grouped"])
def test_the_path_through_a_square_is_short(method):
    P = np.random.default_rng(2).random((3_000, 2))
    assert sorting.path_length(P, sorting.order(P, method)) < 1.4 * np.sqrt(3_000)  # the shortest is about 0.71 sqrt(N)


@pytest.mark.parametrize("shape", [(20, 20), (9, 10), (10, 9), (40, 40), (8, 8, 8)])
def test_low_frequencies_do_not_lengthen_distances(shape):
    fields = np.random.default_rng(3).standard_normal((7, *shape))
    F = sorting.features(fields)
    near, far = (np.linalg.norm((P[0] - P[1:]).reshape(6, -1), axis=1) for P in (F, fields))
    assert (near <= far * (1 + 1e-12)).all()
    if max(shape) <= sorting.KEPT:
        np.testing.assert_allclose(near, far)


def test_smooth_fields_are_told_apart_by_low_frequencies():
    x = np.linspace(0, 1, 64, endpoint=False)
    shifts = np.random.default_rng(4).permutation(30) / 60
    fields = np.sin(2 * np.pi * (x[None, :, None] + shifts[:, None, None])) + np.zeros((1, 1, 64))
    order = sorting.order(fields, start=int(np.argmin(shifts)))
    assert (np.diff(shifts[order]) > 0).all()


def test_long_vectors_are_projected_and_complex_ones_split():
    base = np.linspace(0, 1, 40)[:, None] * np.random.default_rng(5).standard_normal((1, 3_000))
    order = sorting.order(base[::-1], start=39)
    assert order.tolist() == list(range(39, -1, -1))
    assert sorting.order(np.array([0j, 5j, 1j, 4j])).tolist() == [0, 2, 3, 1]


@pytest.mark.parametrize(
    "parameters, method", [(np.array([1.0, np.nan]), "auto"), (np.array(["a"]), "auto"), (np.zeros(3), "nearest")]
)
def test_what_cannot_be_sorted_is_refused(parameters, method):
    with pytest.raises(ValueError, match="must be"):
        sorting.order(parameters, method)
