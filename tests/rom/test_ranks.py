"""Reduced models fitted by ranks together: the programs of ranks.py on one, two and three ranks make the same model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from petrov.rom.ranks import Ranks

PROGRAM = Path(__file__).with_name("ranks.py")
ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}


@cache
def launched(ranks, case):
    command = ["mpiexec", "-n", str(ranks), sys.executable, str(PROGRAM), case]
    return subprocess.run(command, env={**os.environ, **ALONE}, capture_output=True, text=True, timeout=240, check=False)


def found(ranks, case):
    ran = launched(ranks, case)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_the_same_model_on_any_number_of_ranks(ranks):
    """Measured: fields within 2e-16, bounds within 2e-10 of each other; assemblies of the busiest rank 37, 20, 15 in the greedy."""
    alone, together = found(1, "fits"), found(ranks, "fits")
    assert alone.keys() == together.keys() and len(alone) == 7
    for name, one in alone.items():
        other = together[name]
        assert other["size"] == one["size"] > 3 and other["selected"] == one["selected"], name
        for numbers, rtol in (("bounds", 1e-6), ("fields", 1e-9), ("norms", 1e-9), ("bound", 1e-4)):
            np.testing.assert_allclose(other[numbers], one[numbers], rtol=rtol, atol=1e-10, err_msg=name)
        if name != "found again":  # which solves nothing
            assert other["most calls"] <= one["most calls"] / ranks + 6, name
    assert together["found again"]["most calls"] < together["kept"]["most calls"] / 4


@pytest.mark.mpi
def test_progress_is_of_one_rank():
    assert 1 <= launched(2, "fits").stderr.count("greedy: 29 vectors") <= launched(1, "fits").stderr.count("greedy: 29 vectors") == 1


@pytest.mark.mpi
def test_what_fails_on_one_rank_fails_on_all():
    said = found(2, "failing")
    assert said == dict.fromkeys(("pod", "greedy"), "the work of rank 1 failed: ZeroDivisionError: this rank has had enough")
    ran = launched(2, "alone")
    assert ran.returncode != 0 and "this rank has had enough" in ran.stderr and "not reached" not in ran.stdout


class Comm:
    """What a communicator of one process, or of nothing, looks like."""

    def __init__(self, size=1):
        self.size = size

    def Get_size(self):
        return self.size

    def Get_rank(self):
        return 0

    def allgather(self, x):
        return [x]


def test_alone_it_is_as_without_ranks():
    ranks = Ranks.of(Comm())
    assert ranks.comm is None and (ranks.size, ranks.rank) == (1, 0)
    assert list(ranks.mapped(lambda x: x * x, [1, 2, 3])) == [1, 4, 9]
    np.testing.assert_array_equal(ranks.swept(lambda part: np.arange(5)[part], 5), np.arange(5))
    assert ranks.one(0, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):  # its own error, not that of a rank
        ranks.first(lambda: 1 / 0)


def test_what_is_refused():
    from petrov.rom import POD, Parameters, ReducedModel

    model = ReducedModel(lambda mu: (np.eye(2) * mu["a"], np.ones(2)), Parameters(a=(1.0, 2.0)), basis=POD(size=1))
    with pytest.raises(TypeError, match=r"comm must be a communicator of mpi4py, such as MPI\.COMM_WORLD; got str"):
        model.fit(5, comm="world")
    with pytest.raises(ValueError, match="workers= and comm= do not go together"):
        model.fit(5, comm=Comm(2), workers=2)
