"""Linear elements on triangulated points: what every such matrix satisfies, and a solution known exactly."""

import numpy as np
import pytest

from petrov.benchmarks.unstructured import assemble, jittered, laplacian, triangulation, volumes


@pytest.mark.parametrize(("n", "dim"), [(9, 2), (5, 3)])
def test_the_mesh_fills_the_cube_and_is_unstructured(n, dim):
    points = jittered(n, dim, 907)
    cells = triangulation(points, n)
    assert volumes(points, cells).sum() == pytest.approx(1.0, abs=1e-3 * (dim - 2) + 1e-12)
    assert len(np.unique(np.bincount(cells.ravel()))) > 3  # nodes meet different numbers of cells
    assert {float(points.min()), float(points.max())} == {0.0, 1.0}


@pytest.mark.parametrize(("n", "dim"), [(9, 2), (5, 3)])
def test_linear_functions_are_solved_exactly(n, dim):
    """u = x_1 has no flux jump inside: K u vanishes at inner nodes, whatever the (constant) coefficient."""
    points = jittered(n, dim, 907)
    cells = triangulation(points, n)
    K = assemble(points, cells, np.full(len(cells), 2.5))
    inside = ((points > 0) & (points < 1)).all(axis=1)
    assert inside.sum() > 10
    assert np.abs((K @ points[:, 1])[inside]).max() < 1e-12
    assert np.abs(K @ np.ones(len(points))).max() < 1e-12
    energy = points[:, 1] @ (K @ points[:, 1])
    assert energy == pytest.approx(2.5 * volumes(points, cells).sum(), rel=1e-12)


@pytest.mark.parametrize(("n", "dim", "rows"), [(8, 2, 72), (4, 3, 100)])
def test_it_is_symmetric_positive_definite_and_the_seeds(n, dim, rows):
    A = laplacian(n, dim, seed=907)
    assert A.shape == (rows, rows)
    assert abs(A - A.T).max() == 0.0
    assert np.linalg.eigvalsh(A.toarray())[0] > 1e-4
    assert abs(A - laplacian(n, dim, seed=907)).max() == 0.0
    assert abs(A - laplacian(n, dim, seed=908)).max() > 0.01
    assert abs(A - laplacian(n, dim, coefficient=lambda x: 1 + x[:, 0], seed=907)).max() > 0.01


def test_other_dimensions_are_refused():
    with pytest.raises(ValueError, match="dim must be 2 or 3; got 1"):
        laplacian(4, 1, seed=907)
