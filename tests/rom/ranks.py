"""Run as `mpiexec -n RANKS python ranks.py CASE`: reduced models fitted by ranks together; rank 0 prints what was made."""

from __future__ import annotations

import json
import sys
import tempfile

import numpy as np
import scipy.sparse as sp
from mpi4py import MPI

from petrov.rom import POD, Affine, Greedy, LocalBases, Parameters, ReducedModel
from petrov.solvers.arrays import RankError

COMM = MPI.COMM_WORLD
RANK, SIZE = COMM.Get_rank(), COMM.Get_size()
N = 20
D = sp.diags_array([np.ones(N), -np.ones(N)], offsets=[0, -1], shape=(N + 1, N)) * N  # differences, zero outside
G = sp.vstack([sp.kron(sp.eye_array(N), D), sp.kron(D, sp.eye_array(N))]).tocsr()
LEFT = abs(G) @ (np.arange(N * N) % N < N // 2) > 0
K = [(G.T @ sp.diags_array(1.0 * side) @ G).tocsr() / N**2 for side in (LEFT, ~LEFT)]  # A(mu) = left K_0 + right K_1 + mass
MASS = sp.eye_array(N * N, format="csr") * 0.1
B = np.stack([np.ones(N * N), np.linspace(0, 1, N * N)], axis=1) / N**2
P = Parameters(left=(0.1, 10.0), right=(0.1, 10.0))
THETAS = ["left", "right", "1"]


def assemble(mu):
    return mu["left"] * K[0] + mu["right"] * K[1] + MASS, B[:, 0], np.ones((1, N * N)) / N**2


def bent(mu):
    """Not affine in mu."""
    return (1 + mu["left"] ** 2) * (K[0] + K[1]) + mu["right"] * MASS, B[:, 0]


def several(mu):
    return assemble(mu)[0], B


def told(model, calls):
    """What was made, in numbers that do not depend on signs."""
    mus = P.random(7, seed=4)
    answer = model.predict(mus)
    fields = np.stack([answer.fields(i).ravel() for i in range(7)])
    probe = np.random.default_rng(3).standard_normal(fields.shape[1])
    every = COMM.allgather((model.box.calls, fields, np.array(answer.bound), model.selected))
    for one in every[1:]:  # all ranks have the same model, bit for bit
        assert all(np.array_equal(x, y) for x, y in zip(one[1:], every[0][1:], strict=True))
    most = max(one[0] for one in every)
    assert SIZE == 1 or most <= calls, (most, calls)
    return {
        "size": model.size, "selected": model.selected.tolist(), "bounds": model.greedy_bounds.tolist(), "fields": (fields @ probe).tolist(),
        "bound": np.max(answer.bound, axis=-1).ravel().tolist() if np.ndim(answer.bound) > 1 else answer.bound.tolist(), "most calls": most,
        "norms": np.linalg.norm(fields, axis=1).tolist(),
    }  # fmt: skip


def fits():
    """`calls`: assemblies of the busiest rank at most; dealt over two, half of them and what all make."""
    affine, train = Affine(THETAS), P.random(60, seed=9)
    found = {}
    model = ReducedModel(assemble, P, operator=affine, basis=Greedy(tol=1e-5, validate=40), product=K[0] + K[1] + MASS)
    found["greedy"] = told(model.fit(train, comm=COMM, progress=True), 40)
    model = ReducedModel(assemble, P, operator=affine, basis=Greedy(tol=1e-4), dual=True)
    found["dual"] = told(model.fit(train, comm=COMM), 40)
    model = ReducedModel(several, P, operator=affine, basis=POD(tol=1e-6))
    found["pod"] = told(model.fit(train, comm=COMM), 60 // SIZE + 25)
    model = ReducedModel(assemble, P, operator=affine, basis=LocalBases(k=2, tol=1e-5))
    found["local bases"] = told(model.fit(train, comm=COMM), 60 // SIZE + 25)
    model = ReducedModel(bent, P, basis=Greedy(tol=1e-4, max_size=8))
    found["nothing known"] = told(model.fit(train, comm=COMM), 80)
    with tempfile.TemporaryDirectory() as folder:
        where = COMM.bcast(folder)
        for name in ("kept", "found again"):
            model = ReducedModel(several, P, operator=affine, basis=POD(tol=1e-6))
            found[name] = told(model.fit(train, comm=COMM, checkpoint=f"{where}/steps"), 60 // SIZE + 25)
        COMM.Barrier()
    return found


def failing():
    """A full solve or an assembly that fails on one rank is an error on all."""
    said = {}

    def broken(mu):
        if RANK == SIZE - 1 and broken.armed:
            raise ZeroDivisionError("this rank has had enough")
        broken.armed = broken.count >= 7
        broken.count += 1
        return assemble(mu)

    for name, basis in {"pod": POD(tol=1e-6), "greedy": Greedy(tol=1e-12)}.items():
        broken.armed, broken.count = False, 0
        try:
            ReducedModel(broken, P, operator=Affine(THETAS), basis=basis).fit(60, comm=COMM)
        except RankError as error:
            said[name] = str(error)
    every = COMM.allgather(said)
    assert all(one == every[0] for one in every)
    return said


def alone():
    """What fails on one rank where all do the same: the job must end, not hang."""

    def theta(mu):
        if RANK == SIZE - 1:
            raise RuntimeError("this rank has had enough")
        return np.asarray(mu["left"])

    ReducedModel(assemble, P, operator=Affine([theta, "right", "1"])).fit(20, comm=COMM)
    return "not reached"


if __name__ == "__main__":
    answer = globals()[sys.argv[1]]()
    if RANK == 0:
        print(json.dumps(answer))
