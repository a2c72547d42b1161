"""Peak memory, measured in a child process."""

import subprocess
import sys

import pytest

from petrov.benchmarks import memory
from petrov.benchmarks.document import FAILED, OK
from petrov.benchmarks.measure import Settings


def test_a_child_solves_and_tells_its_peak():
    row = memory.measured("memory: poisson 16^3", "memory", 16, "Jacobi", Settings())
    assert row.status == OK, row.reason
    assert row.rows == 4096
    assert row.relative_residual <= 1e-8
    assert 1e7 < row.memory * row.rows < 2e9  # a process with NumPy and numba in it
    assert "bytes per unknown at the peak" in row.reason


def test_a_child_that_fails_is_a_row_that_says_why():
    row = memory.measured("memory: poisson 8^3", "memory", 8, "NoSuchRecipe", Settings())
    assert row.status == FAILED
    assert "NoSuchRecipe" in row.reason


FORGETTING = """
import numpy as np
from petrov.benchmarks import memory
size = 200 * 2**20
held = np.ones(size, np.uint8)
before = memory.peak()
del held
after = memory.forget_peak()
assert before - memory.peak() > 0.8 * size, (before, memory.peak())
assert memory.peak() >= after - 2**20
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux lets a process forget its peak")
def test_an_earlier_peak_is_forgotten():
    """In a process of its own: once in many runs one that had run other tests kept what it had freed."""
    ran = subprocess.run([sys.executable, "-c", FORGETTING], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
