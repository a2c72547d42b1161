"""Run as `mpiexec -n RANKS python -m petrov.benchmarks.scaling.program TASK`, a task as JSON: measures and counts on so many
ranks; rank 0 prints what was found as the last line.

Seconds are those of the slowest rank, the least of the repetitions; an iteration is (t(many) - t(few)) / (many - few).
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp

from ... import solvers
from ...solvers import arrays
from ...solvers.external import petsc
from ...solvers.external.petsc.library import library
from ...solvers.external.petsc.matrix import csr_of
from ...solvers.kernels import cpu
from . import model
from .halo import starts

LOCAL = ((1000, 1000), (100, 100, 100))  # grids whose products, within a rank, are timed
VECTORS = 24  # of a million numbers: 183 MiB
MESSAGE = 2**20
RTOL = 1e-8
NEVER = 1e-14  # what no few iterations reach


# -- The matrix ------------------------------------------------------------------------------------------------------------


def rows(shape: tuple[int, ...], first: int, last: int) -> sp.csr_array:
    """These rows of the five- or seven-point matrix, 2 d on the diagonal and -1 beside it, the last axis fastest."""
    n, own = math.prod(shape), np.arange(first, last)
    offsets, found = [], []
    for axis in range(len(shape)):
        step = math.prod(shape[axis + 1 :])
        place = own // step % shape[axis]
        offsets += [-step, step]
        found += [place > 0, place < shape[axis] - 1]
    order = np.argsort([*offsets, 0])
    offset = np.array([*offsets, 0])[order]
    there = np.stack([*found, np.ones(len(own), bool)], axis=1)[:, order]
    columns = (own[:, None] + offset)[there]
    values = np.broadcast_to(np.where(offset == 0, 2.0 * len(shape), -1.0), there.shape)[there]
    return sp.csr_array((values, columns, np.concatenate([[0], np.cumsum(there.sum(axis=1))])), shape=(len(own), n))


def distributed(shape: tuple[int, ...]) -> Any:
    """The whole matrix, its rows dealt over the ranks."""
    PETSc = library()
    comm, n = PETSc.COMM_WORLD, math.prod(shape)
    begins = starts(n, comm.getSize())
    first, last = begins[comm.getRank()], begins[comm.getRank() + 1]
    own, kind = rows(shape, first, last), PETSc.IntType
    csr = (own.indptr.astype(kind), own.indices.astype(kind), own.data)
    mat = PETSc.Mat().createAIJ(((last - first, n), (last - first, n)), csr=csr, comm=comm)
    mat.assemble()
    return petsc.Distributed.of(mat)


# -- Clocks and counters ---------------------------------------------------------------------------------------------------


class Counting:
    """A communicator that counts the collective calls made on it."""

    def __init__(self, comm: Any) -> None:
        self.comm, self.calls = comm, 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.comm, name)
        if name.lower() in ("allgather", "allgatherv", "allreduce", "barrier", "bcast"):
            self.calls += 1
        return found


def world() -> Any:
    from mpi4py import MPI

    return MPI.COMM_WORLD


def slowest(work: Callable[[], Any]) -> float:
    """Seconds of the work on the rank that needs the longest, all starting together."""
    comm = world()
    comm.Barrier()
    start = perf_counter()
    work()
    return max(comm.allgather(perf_counter() - start))


def least(work: Callable[[], Any], repeat: int) -> float:
    work()
    return min(slowest(work) for _ in range(repeat))


def most(value: float) -> float:
    """Of all ranks."""
    return max(world().allgather(value))


def scattered() -> tuple[float, float]:
    """(messages, bytes) that this rank has sent in PETSc's scatters of vectors; PETSc counts those that come back as well."""
    said = library().Log.Event("VecScatterBegin").getPerfInfo()
    return said["numMessages"] / 2, said["messageLength"] / 2


# -- The machine -----------------------------------------------------------------------------------------------------------


def machine(repeat: int) -> dict[str, Any]:
    """Bytes a second of a scaled copy, products, sweeps and operations on arrays, on all ranks at once; on several also of a
    message, its latency, and a gather of one number."""
    comm = world()
    found: dict[str, Any] = {"products": [products(shape, repeat) for shape in LOCAL], **sweeps(repeat)}
    if comm.Get_size() > 1:
        space = arrays.Space(np, "float64", "cpu", None, comm=comm)
        count = 200
        found["gather"] = least(lambda: [arrays.across(np.float64(1.0), space) for _ in range(count)], repeat) / count
        short, long = (least(partial(ping_pong, size, 50), repeat) / 100 for size in (8, MESSAGE))
        found |= {"latency": short, "link": (MESSAGE - 8) / (long - short)}
    return found


def products(shape: tuple[int, ...], repeat: int) -> float:
    """Bytes a second of A x, each rank with a matrix of its own."""
    own = rows(shape, 0, math.prod(shape))
    A, x = petsc.Distributed.of(petsc.petsc_matrix(own)), np.ones(own.shape[0])
    return len(x) * model.product(own.nnz / len(x)) / least(lambda: A @ x, repeat)


def sweeps(repeat: int) -> dict[str, float]:
    """Bytes a second of a scaled copy, of what cg with Jacobi does to its vectors, and of a sum of arrays: vectors as long as in
    the solves, and so many that no cache holds them."""
    n = math.prod(LOCAL[0])
    M = solvers.Jacobi(diagonal=np.ones(n))(sp.eye_array(n, format="csr"))
    space, vectors = arrays.Space(np, "float64", "cpu", None), [np.ones(n) for _ in range(VECTORS)]

    def copy() -> None:
        for a, b in zip(vectors[::2], vectors[1::2], strict=True):
            np.multiply(a, 1.0, out=b)

    def sweep() -> None:
        for k in range(0, VECTORS, 4):
            p, q, x, r = vectors[k : k + 4]
            cpu.dot(p, q, space)
            cpu.step(M, 1.0, 1e9, p, q, x, r, r, None, space)
            cpu.combine(M, 1.0, 1e9, r, p, space)

    def add() -> None:
        for a, b in zip(vectors[::2], vectors[1::2], strict=True):
            np.add(a, b)

    return {
        "copy": VECTORS // 2 * n * model.SCALED / least(copy, repeat),
        "sweeps": VECTORS // 4 * n * model.JACOBI_SWEEPS / least(sweep, repeat),
        "arrays": VECTORS // 2 * n * model.BINARY / least(add, repeat),
    }


def ping_pong(size: int, count: int) -> None:
    """A message there and back, between the first two ranks."""
    comm, buffer = world(), np.zeros(size, np.uint8)
    other = 1 - comm.Get_rank()
    for _ in range(count if other >= 0 else 0):
        if other:
            comm.Send(buffer, dest=1)
            comm.Recv(buffer, source=1)
        else:
            comm.Recv(buffer, source=0)
            comm.Send(buffer, dest=0)


# -- Solves ----------------------------------------------------------------------------------------------------------------


def right_hand_side(A: Any) -> np.ndarray:
    return np.random.default_rng(world().Get_rank()).standard_normal(A.shape[0])


def each(A: Any, M: Any, few: int, many: int, repeat: int) -> dict[str, float]:
    """Seconds of an iteration of cg, which is one product with A and one with M, and what the busiest rank sends in it."""
    b = right_hand_side(A)
    for k in (few, many):
        result = solvers.cg(A, b, M=M, rtol=NEVER, max_iterations=k)
        if result.iterations != k:
            raise ArithmeticError(f"{result.iterations} iterations, wanted {k}: {result}")
    solve = [partial(solvers.cg, A, b, M=M, rtol=NEVER, max_iterations=k) for k in (few, many)]
    first, last = np.min([[slowest(work) for work in solve] for _ in range(repeat)], axis=0)
    before = scattered()
    M @ (A @ b)
    messages, sent = (after - was for after, was in zip(scattered(), before, strict=True))
    return {"seconds": float(last - first) / (many - few), "messages": most(messages), "sent": most(sent)}


def solved(A: Any, M: Any) -> int:
    """Iterations to RTOL; ArithmeticError unless the true residual, by PETSc, is within it."""
    b = right_hand_side(A)
    result = solvers.cg(A, b, M=M, rtol=RTOL)
    r, rhs = A.mat.createVecs()
    rhs.setArray(b)
    x = rhs.duplicate()
    x.setArray(result.x)
    A.mat.mult(x, r)
    r.aypx(-1.0, rhs)
    if not (result.converged and r.norm() <= 1.01 * RTOL * rhs.norm()):
        raise ArithmeticError(f"||b - A x||/||b|| = {r.norm() / rhs.norm():.1e}: {result}")
    return int(result.iterations)


def jacobi(A: Any, repeat: int) -> dict[str, Any]:
    M = solvers.Jacobi()(A)
    return {"iterations": solved(A, M), **each(A, M, 5, 20, repeat)}


def aggregation(A: Any, repeat: int, gathered: int) -> dict[str, Any]:
    """The same with multigrid over ranks, its set-up, its levels, and what the gathered one costs every rank."""
    recipe = petsc.DistributedAggregation(gathered=gathered)
    setup = least(lambda: recipe(A), 1)
    M = recipe(A)
    found = {"iterations": solved(A, M), "setup": setup, "degree": recipe.degree, **each(A, M, 2, 6, repeat)}
    whole = int(M.last.counts.sum())
    r = np.random.default_rng(0).standard_normal(whole)
    return found | {
        "levels": [level_of(level) for level in M.levels], "gathered": whole, "coarse": least(lambda: M.last.M @ r, repeat),
    }  # fmt: skip


def level_of(level: Any) -> dict[str, float]:
    """Rows of all ranks and of the fullest, entries of A and of P in one row of it."""
    kind = library().Mat.InfoType.LOCAL
    own = level.A.shape[0]
    entries, transfer = (most(mat.getInfo(kind)["nz_used"] / own) for mat in (level.A.mat, level.P.mat))
    return {"rows": level.A.global_size, "own": most(own), "entries": entries, "transfer": transfer}


def case(shape: tuple[int, ...], repeat: int) -> dict[str, Any]:
    A = distributed(shape)
    entries = most(csr_of(A.mat).nnz / A.shape[0])
    return {
        "shape": shape, "own": most(A.shape[0]), "entries": entries,
        "jacobi": jacobi(A, repeat), "aggregation": aggregation(A, repeat, petsc.DistributedAggregation().gathered),
    }  # fmt: skip


# -- What does not depend on size --------------------------------------------------------------------------------------------


def python(repeat: int) -> dict[str, float]:
    """Seconds of an iteration, and of one level of a cycle, on so few rows that no memory is moved."""
    A = distributed((24, 24 * world().Get_size()))
    M = solvers.Jacobi()(A)
    r = right_hand_side(A)
    cycles = [petsc.DistributedAggregation(gathered=gathered)(A) for gathered in (10**9, A.global_size // 2)]
    if [len(cycle.levels) for cycle in cycles] != [0, 1]:
        raise ArithmeticError(f"one level more was wanted of {cycles}")
    without, one = (least(partial(applied, cycle, r, 20), repeat) / 20 for cycle in cycles)
    return {"iteration": each(A, M, 10, 40, repeat)["seconds"], "level": one - without}


def applied(M: Any, r: np.ndarray, times: int) -> None:
    for _ in range(times):
        M @ r


def sums() -> dict[str, float]:
    """Sums over ranks of one iteration of each method with Jacobi, counted: the median of the 11th to the 20th."""
    A = distributed((40, 40))
    b, M, found = right_hand_side(A), solvers.Jacobi()(A), {}
    for name in ("cg", "flexible_cg", "block_cg", "minres", "gmres", "gcrodr", "bicgstab"):
        calls = []
        for steps in range(10, 21):
            comm = Counting(world())
            rhs = np.stack([b, b[::-1], np.roll(b, 3), b**2], axis=1) if name == "block_cg" else b
            getattr(solvers, name)(replace(A, comm=comm), rhs, M=M, rtol=NEVER, max_iterations=steps)
            calls.append(comm.calls)
        found[name] = float(np.median(np.diff(calls)))
    return found


def main(task: dict[str, Any]) -> dict[str, Any]:
    library().Log.begin()
    repeat, several = task["repeat"], world().Get_size() > 1
    return {
        "ranks": world().Get_size(), "machine": machine(repeat), "python": python(repeat), "sums": sums() if several else {},
        "cases": [case(tuple(one["shape"]), repeat) for one in task["cases"]],
    }  # fmt: skip


if __name__ == "__main__":
    answer = main(json.loads(sys.argv[1]))
    if world().Get_rank() == 0:
        print(json.dumps(answer))
