"""What conftest.py does to the tests: a test on ranks may not skip where petsc4py is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest

@pytest.mark.mpi
def test_on_ranks():
    pytest.skip("mpiexec is not there")

def test_elsewhere():
    pytest.skip("no such library")
"""


def test_a_test_on_ranks_that_skips_has_failed(tmp_path):
    (tmp_path / "petsc4py.py").write_text("")
    (tmp_path / "test_skipping.py").write_text(TESTS)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", ROOT / "pyproject.toml", "-p", "conftest", "-p", "no:cacheprovider", "test_skipping.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'tests'}"}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 1 and "1 failed, 1 skipped" in ran.stdout, ran.stdout + ran.stderr
    assert "skipped although petsc4py is installed" in ran.stdout and "mpiexec is not there" in ran.stdout
