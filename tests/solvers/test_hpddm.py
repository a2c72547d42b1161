"""Recycling beside that of KSPHPDDM, where PETSc was built with HPDDM: Debian's was not, nor can it be had from the registries."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("ranks.py")


def test_gcrodr_takes_no_more_iterations_than_that_of_hpddm():
    """gcrodr(40, 20) along four convection-diffusion systems that differ a little, to 1e-10, without a preconditioner."""
    if importlib.util.find_spec("petsc4py") is None:
        pytest.skip("petsc4py is not installed: make petsc")
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), "hpddm"], env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    counts = json.loads(ran.stdout.splitlines()[-1])
    assert max(counts["ours"][1:]) < 0.8 * counts["ours"][0]  # recycling does something
    if counts["hpddm"] is None:
        pytest.skip("this PETSc has no KSP of type hpddm: configure it with --download-hpddm")
    assert all(ours <= 1.1 * theirs + 2 for ours, theirs in zip(counts["ours"], counts["hpddm"], strict=True)), counts
