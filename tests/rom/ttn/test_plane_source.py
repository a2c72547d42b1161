"""The published plane source with two uncertain parameters against its collocation data, in the folder PETROV_TEST_DATA."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from petrov.rom.ttn import ProjectorSplitting


def published(name):
    folder = os.environ.get("PETROV_TEST_DATA")
    path = Path(folder) / "ttn" / name if folder else None
    if path is None or not path.exists():
        pytest.skip(f"{name} is not shipped: set PETROV_TEST_DATA to the folder that has ttn/{name}")
    return np.loadtxt(path)


@pytest.mark.slow
@pytest.mark.parametrize(("tolerance", "off", "rank"), [(1e-4, (2e-4, 4e-3), 30), (1e-5, (5e-5, 5e-4), 40)])
def test_mean_and_variance(tolerance, off, rank):
    """10^4 x 2 x 10^4 unknowns to t = 2; steps of 0.01, four times the published ones."""
    expected = published("plane_source_mean.txt"), published("plane_source_variance.txt")
    path = Path(__file__).parents[3] / "examples" / "24_plane_source.py"
    spec = importlib.util.spec_from_file_location("plane_source", path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    result = example.main(end=2.0, method=ProjectorSplitting(tolerance=tolerance, min_rank=6))
    errors = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip((result.mean, result.variance), expected, strict=True)]
    assert errors[0] < off[0] and errors[1] < off[1] and max(result.ranks) <= rank
