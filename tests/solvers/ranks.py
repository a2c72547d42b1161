"""Run as `mpiexec -n RANKS python ranks.py CASE`: solves of matrices whose rows are dealt over ranks; rank 0 prints what was found.

Every x is held to b - A x with the whole matrix, which every rank makes for that.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from petsc4py import PETSc

import petrov
from petrov.learned import load
from petrov.solvers import Deflation, IncompleteCholesky, bicgstab, block_cg, cg, flexible_cg, gcrodr, gmres, minres, problems
from petrov.solvers.direct import factorize
from petrov.solvers.external import petsc

COMM = PETSc.COMM_WORLD
RANK, SIZE = COMM.getRank(), COMM.getSize()


def dealt(A):
    """(Mat of the rows of A, first and last row of this rank)."""
    A = A.tocsr()
    n = A.shape[0]
    low, high = RANK * n // SIZE, (RANK + 1) * n // SIZE
    own, index = A[low:high], PETSc.IntType
    entries = (own.indptr.astype(index), own.indices.astype(index), own.data)
    mat = PETSc.Mat().createAIJ(((high - low, n), (high - low, n)), csr=entries, comm=COMM)
    mat.assemble()
    return mat, slice(low, high)


class Jacobi:
    name, spd, linear = "jacobi", True, True

    def __init__(self, d):
        self.d, self.shape, self.dtype = d, (len(d), len(d)), d.dtype

    def __matmul__(self, r):
        return (r.T / self.d).T


def gathered(x):
    parts = COMM.tompi4py().allgather(np.asarray(x))
    return np.concatenate(parts)


def methods():
    """Iterations of every method with Jacobi, recycling included; each x within its tolerance."""
    A, found = problems.darcy(40, seed=3).A, {}
    rng = np.random.default_rng(1)
    b, c, B = rng.standard_normal(1600), rng.standard_normal(1600), rng.standard_normal((1600, 4))
    mat, own = dealt(A)
    D, M = petsc.Distributed.of(mat), Jacobi(A.diagonal()[own])

    def kept(name, r, rhs):
        x = gathered(r.x)
        assert r.converged, (name, r)
        assert np.linalg.norm(rhs - A @ x) <= 1.01e-8 * np.linalg.norm(rhs), name
        found[name] = int(np.max(r.iterations))
        return r

    for method in (cg, flexible_cg, minres, gmres, bicgstab, gcrodr):
        kept(method.__name__, method(D, b[own], M=M), b)
    kept("block_cg", block_cg(D, B[own], M=M), B)
    first = kept("cg leaving directions", cg(D, b[own], M=M, recycle=10), b)
    kept("cg with them", cg(D, c[own], M=Deflation(first.space, M)), c)
    kept("gcrodr with a space", gcrodr(D, c[own], M=M, space=gcrodr(D, b[own], M=M).space), c)
    return found


def multigrid():
    """Iterations of petrov.solve, of aggregation over ranks and of GAMG, both ways around."""
    found = {}
    small, own = dealt(problems.poisson(7).A)  # gathered at once; rows of the ranks differ
    assert petsc.DistributedAggregation()(petsc.Distributed.of(small)).shape == (own.stop - own.start,) * 2
    for name, problem in (("2-D", problems.darcy(160)), ("3-D", problems.poisson(28, dim=3))):
        A = problem.A
        b = np.random.default_rng(1).standard_normal(A.shape[0])
        mat, own = dealt(A)
        D = petsc.Distributed.of(mat)
        M = petsc.DistributedAggregation(gathered=2000)(D)
        u, v = np.random.default_rng(RANK).standard_normal((2, D.shape[0]))
        inner = [float(gathered(np.array([x @ (M @ y)])).sum()) for x, y in ((u, v), (v, u), (u, u))]
        assert abs(inner[0] - inner[1]) <= 1e-6 * abs(inner[2]) and inner[2] > 0
        vec = mat.createVecLeft()
        vec.setArray(b[own])
        answer = petrov.solve(mat, vec)
        x = gathered(answer.x.getArray(readonly=True))
        assert np.linalg.norm(b - A @ x) <= 1.01e-8 * np.linalg.norm(b)
        found |= {f"{name} aggregation": cg(D, b[own], M=M).iterations, f"{name} solve": answer.iterations}
        found[f"{name} cg + GAMG"] = cg(D, b[own], M=petsc.PETSc("gamg")).iterations
        found[f"{name} KSP + GAMG"] = petsc.ksp(mat, b[own], M=petsc.PETSc("gamg")).iterations
        found[f"{name} KSP + ours"] = petsc.ksp(mat, b[own], M=M).iterations
    return found


def schwarz():
    """Iterations with preconditioners of one process, set up per rank."""
    found = {}
    for name, problem in {"Poisson 2-D": problems.poisson(256), "Darcy": problems.darcy(256), "Poisson 3-D": problems.poisson(40, dim=3)}.items():
        A = problem.A
        b = np.random.default_rng(1).standard_normal(A.shape[0])
        mat, own = dealt(A)
        D = petsc.Distributed.of(mat)
        recipes = {"aggregation": petsc.DistributedSchwarz(), "one vector a rank": petsc.DistributedSchwarz(overlap=32, coarse="ranks")}
        if name == "Poisson 2-D":
            for weights in ("graph-multigrid", "graph-factor-2d"):
                recipes[weights] = petsc.DistributedSchwarz(load(weights)).bind(coordinates=problem.coordinates[own])
        elif name == "Darcy":
            recipes["no coarse space"] = petsc.DistributedSchwarz(coarse=None)
        else:
            recipes["ic"] = petsc.DistributedSchwarz(IncompleteCholesky())
        for key, recipe in recipes.items():
            M = recipe(D)
            assert M.spd, key
            r = cg(D, b[own], M=M)
            assert np.linalg.norm(b - A @ gathered(r.x)) <= 1.01e-8 * np.linalg.norm(b)
            found[f"{name}, {key}"] = r.iterations
    return found


def definite():
    """M of DistributedSchwarz, column by column: symmetric positive definite; S alone against its formula with dense matrices."""
    A = problems.darcy(14, seed=5).A
    n = A.shape[0]
    mat, own = dealt(A)
    D, found = petsc.Distributed.of(mat), {}

    def dense(M):
        local = M @ np.eye(n)[own]
        np.testing.assert_allclose(local[:, 3], M @ np.eye(n)[own][:, 3], rtol=0, atol=0)
        return gathered(local)

    near = np.stack([np.ones(n), problems.darcy(14).coordinates[:, 0]], axis=1)
    exact = lambda A: factorize(A, spd=True)  # noqa: E731
    for name, recipe in {
        "aggregates": petsc.DistributedSchwarz(coarse=40), "vectors": petsc.DistributedSchwarz(overlap=3, coarse="ranks").bind(near_nullspace=near[own]),
        "ic": petsc.DistributedSchwarz(IncompleteCholesky(), coarse="ranks"), "alone": petsc.DistributedSchwarz(lambda A: Jacobi(A.diagonal()), overlap=0, coarse=None),
    }.items():  # fmt: skip
        M = recipe(D)
        W = dense(M)
        assert np.abs(W - W.T).max() <= 1e-5 * np.abs(W).max(), name
        found[name] = float(np.linalg.eigvalsh((W + W.T) / 2).min() * A.diagonal().max())
        assert found[name] > 0, name
        if M.Q is not None:
            Q = gathered(np.stack([M.Q @ e for e in np.ascontiguousarray(np.eye(n)[:, own])], axis=1))
            np.testing.assert_allclose(Q @ A.toarray() @ Q, Q, atol=1e-10 * np.abs(Q).max())
            assert np.linalg.matrix_rank(Q, tol=1e-8 * np.abs(Q).max()) == (2 * SIZE if name == "vectors" else int(M.Q.last.counts.sum()))
    M = petsc.DistributedSchwarz(exact, overlap=2, coarse=None)(D)
    S, inside = np.zeros((n, n)), [np.flatnonzero(grown(A, slice(k * n // SIZE, (k + 1) * n // SIZE), 2)) for k in range(SIZE)]
    sums = sum(np.bincount(rows, weights, n) for rows, weights in zip(inside, COMM.tompi4py().allgather(M.piece.weights**2), strict=True))
    np.testing.assert_allclose(sums, 1.0)
    for rows, weights in zip(inside, COMM.tompi4py().allgather(M.piece.weights), strict=True):
        S[np.ix_(rows, rows)] += weights[:, None] * np.linalg.inv(A.toarray()[np.ix_(rows, rows)]) * weights
    np.testing.assert_allclose(dense(M), S, atol=1e-12 * np.abs(S).max())
    return found


def grown(A, rows, layers):
    """Which unknowns are within so many steps of the rows."""
    inside = np.zeros(A.shape[0], bool)
    inside[rows] = True
    for _ in range(layers):
        inside |= abs(A) @ inside.astype(float) > 0
    return inside


def refusing():
    """A recipe that fails on one rank fails on all, with what it said."""
    D = petsc.Distributed.of(dealt(problems.poisson(20).A)[0])

    def picky(A):
        if RANK == SIZE - 1:
            raise ZeroDivisionError("not with me")
        return Jacobi(A.diagonal())

    try:
        petsc.DistributedSchwarz(picky)(D)
    except ValueError as error:
        said = COMM.tompi4py().allgather(str(error))
    assert len(set(said)) == 1
    return said[0]


def singular():
    """A null space that the matrix carries, as a constant and as a vector, and one that is given."""
    A = problems.poisson(60, boundary="neumann").A
    b = np.random.default_rng(1).standard_normal(3600)
    found = {}
    for name in ("constant", "vector", "given"):
        mat, own = dealt(A)
        v = mat.createVecRight()
        v.set(1 / 60)
        if name != "given":
            space = {"constant": name == "constant", "vectors": [v] if name == "vector" else []}
            mat.setNullSpace(PETSc.NullSpace().create(**space, comm=COMM))
        given = {"nullspace": np.ones(own.stop - own.start)} if name == "given" else {}
        r = petrov.solve(mat, b[own], **given)
        x = gathered(r.x)
        off = b - b.mean()
        assert abs(x.mean()) < 1e-12 and np.linalg.norm(off - A @ x) <= 1.01e-8 * np.linalg.norm(off)
        assert abs(r.inconsistency - np.linalg.norm(b - off) / np.linalg.norm(b)) < 1e-12
        found[name] = r.iterations
    for coarse in (100, "ranks"):
        r = petrov.solve(mat, b[own], nullspace="constant", M=petsc.DistributedSchwarz(coarse=coarse, overlap=8))
        x = gathered(r.x)
        assert abs(x.mean()) < 1e-12 and np.linalg.norm(off - A @ x) <= 1.01e-8 * np.linalg.norm(off)
        found[f"schwarz {coarse}"] = r.iterations
    return found


def endings():
    """What ends a solve early ends it on all ranks alike."""
    A = problems.darcy(30).A
    b = np.random.default_rng(1).standard_normal(900)
    mat, own = dealt(A)
    D, bad = petsc.Distributed.of(mat), b.copy()
    bad[-1] = np.nan
    statuses = {
        "nan": cg(D, bad[own]).status.name,
        "callback": cg(D, b[own], callback=lambda state: RANK == SIZE - 1 and state.iteration == 7).status.name,
        "time": cg(D, b[own], time_limit=1e-9).status.name,
        "iterations": petsc.ksp(mat, b[own], max_iterations=5).status.name,
        "indefinite": cg(petsc.Distributed.of(dealt(A - 0.5 * problems.poisson(30).A)[0]), b[own]).status.name,
    }
    every = COMM.tompi4py().allgather(statuses)
    assert all(one == statuses for one in every)
    return statuses


def inside():
    """Our preconditioners in a user's KSP: the same iterations as in our cg."""
    A = problems.darcy(160).A
    b = np.random.default_rng(1).standard_normal(A.shape[0])
    mat, own = dealt(A)
    x, y = mat.createVecs()
    y.setArray(b[own])
    solver, found = petrov.Solver(mat), {}
    found["ours"] = solver.solve(b[own]).iterations
    contexts = {"as_petsc_pc": solver.as_petsc_pc(), "recipe": petsc.Context(petsc.DistributedAggregation() if SIZE > 1 else None)}
    contexts |= {"options": petsc.PetrovPC()}
    for name, context in contexts.items():
        if name != "as_petsc_pc" and SIZE == 1:  # where solve takes another recipe
            continue
        ksp = PETSc.KSP().create(comm=COMM)
        ksp.setOperators(mat)
        ksp.setType("cg")
        ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        ksp.setTolerances(rtol=1e-8)
        ksp.getPC().setType("python")
        ksp.getPC().setPythonContext(context)
        ksp.solve(y, x)
        found[name] = ksp.getIterationNumber()
        assert np.linalg.norm(b - A @ gathered(x.getArray(readonly=True))) <= 1.01e-8 * np.linalg.norm(b)
    return found


def by_options():
    """-pc_petrov_type and parameters of it, on several ranks inside DistributedSchwarz."""
    A = problems.darcy(100).A
    b = np.random.default_rng(1).standard_normal(A.shape[0])
    mat, own = dealt(A)
    for key, value in {"pc_petrov_type": "ic", "pc_petrov_overlap": 3, "pc_petrov_coarse": "ranks", "pc_petrov_shift": 0.2}.items():
        PETSc.Options("flow_").setValue(key, value)
    ksp = PETSc.KSP().create(comm=COMM)
    ksp.setOptionsPrefix("flow_")
    ksp.setOperators(mat)
    ksp.setType("cg")
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(rtol=1e-8, max_it=1000)
    ksp.getPC().setType("python")
    ksp.getPC().setPythonContext(petsc.PetrovPC())
    x, y = mat.createVecs()
    y.setArray(b[own])
    ksp.solve(y, x)
    assert np.linalg.norm(b - A @ gathered(x.getArray(readonly=True))) <= 1.01e-8 * np.linalg.norm(b)
    recipe = IncompleteCholesky(shift=0.2)
    M = petsc.DistributedSchwarz(recipe, overlap=3, coarse="ranks") if SIZE > 1 else recipe
    return {"options": ksp.getIterationNumber(), "ours": cg(petsc.Distributed.of(mat), b[own], M=M(petsc.adopt(mat))).iterations}


def sequence():
    """Sequences of systems on ranks: what is sorted, recycled, kept and told; every x within its tolerance."""
    from mpi4py import MPI

    ways, found = {}, {}
    rng = np.random.default_rng(3)
    fields = [problems.darcy(48, seed=seed).A for seed in (1, 2, 3)]
    mus = rng.permutation(np.linspace(0, 1, 8))
    b = rng.standard_normal((8, 48 * 48))
    own = dealt(fields[0])[1]

    def at(mu):
        return ((1 - mu) * fields[0] + mu * fields[1]).tocsr()

    def solved(name, systems, matrices, rhs, **keywords):
        order, options = [], {"method": "cg", "M": petsc.PETSc("jacobi"), **keywords}
        known = options.pop("parameters", None)
        S = petrov.Sequence(**options)
        shapes = S.solve(systems, parameters=known, write=lambda index, r: order.append((index, gathered(r.x if isinstance(r.x, np.ndarray) else r.x.getArray()))))
        for index, x in order:
            assert np.linalg.norm(rhs[index] - matrices[index] @ x) <= 1.01e-8 * np.linalg.norm(rhs[index]), (name, index)
        assert sorted(index for index, _ in order) == list(range(len(matrices)))
        found[name] = [[index for index, _ in order], [r.iterations for r in shapes]]
        ways[name] = [r.reason.partition(":")[0] for r in shapes]
        return S

    matrices = [at(mu) for mu in mus]
    mats = [dealt(A)[0] for A in matrices]
    vecs = []
    for mat, rhs in zip(mats, b, strict=True):
        vecs.append(mat.createVecLeft())
        vecs[-1].setArray(rhs[own])
    solved("recycled", list(zip(mats, [rhs[own] for rhs in b], strict=True)), matrices, b, recycle=12)
    solved("vectors, parameters", list(zip(mats, vecs, strict=True)), matrices, b, recycle=12, parameters=mus, sort="greedy")
    solved("one b", [(mat, b[0][own]) for mat in mats], matrices, [b[0]] * 8, recycle=12)  # begun with the last solutions
    solved("assembled", (lambda mu: (dealt(at(mu))[0], b[0][own]), mus), matrices, [b[0]] * 8, recycle=0, sort="greedy")
    solved("generated", ((mat, rhs[own]) for mat, rhs in zip(mats, b, strict=True)), matrices, b, recycle=12, window=3, method="gmres")
    solved("apart", list(zip(mats, [rhs[own] for rhs in b], strict=True)), matrices, b, recycle=0, sort=None)
    span = np.stack([b[0], b[1], b[0] + 2 * b[1], b[2], b[2] - b[0]])
    solved("one A", [(mats[0], rhs[own]) for rhs in span], matrices[:1] * 5, span)
    mat = mats[1].copy()

    def changing():
        for k in range(6):  # the same object, whose entries change little
            yield mat, b[k][own]
            mat.scale(1.01)

    solved("in place", changing(), [1.01**k * matrices[1] for k in range(6)], b, window=1)
    S = solved("chosen", [(mat, rhs[own]) for mat, rhs in zip(mats, b, strict=True)], matrices, b, method="auto", M="auto", progress=True)
    assert str(S.summary).startswith("8 systems of")
    every = MPI.COMM_WORLD.allgather((found, ways))
    assert all(one == every[0] for one in every)
    return {"found": found, "ways": ways}


def sequence_failing():
    """An assembly that fails on one rank at a system: the job must end, not hang."""
    failing = int(sys.argv[2])
    A = problems.darcy(30).A
    mat, own = dealt(A)

    def assemble(k):
        if k == failing and RANK == SIZE - 1:
            raise RuntimeError("this rank has had enough")
        return mat, np.full(own.stop - own.start, 1.0 + k)

    petrov.Sequence().solve((assemble, np.arange(5)))
    return "not reached"


def hpddm():
    """Iterations of our gcrodr(40, 20) and of KSPHPDDM's along a sequence; None where PETSc has no HPDDM."""
    wind = problems.convection_diffusion(40).A
    systems = [(wind + 0.05 * k * problems.poisson(40).A).tocsr() for k in range(4)]
    b = np.random.default_rng(1).standard_normal(1600)
    space, ours, theirs = None, [], []
    for A in systems:
        r = gcrodr(A, b, restart=40, recycle=20, space=space, rtol=1e-10)
        assert r.converged
        space = r.space
        ours.append(r.iterations)
    ksp = PETSc.KSP().create(comm=COMM)
    try:
        ksp.setType("hpddm")
    except PETSc.Error:
        return {"ours": ours, "hpddm": None}
    for key, value in {"ksp_gmres_restart": 40, "ksp_hpddm_type": "gcrodr", "ksp_hpddm_recycle": 20, "ksp_hpddm_variant": "right"}.items():
        PETSc.Options("recycling_").setValue(key, value)
    ksp.setOptionsPrefix("recycling_")
    ksp.getPC().setType("none")
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setTolerances(rtol=1e-10, max_it=5000)
    ksp.setFromOptions()
    for A in systems:
        mat, own = dealt(A)
        x, y = mat.createVecs()
        y.setArray(b[own])
        ksp.setOperators(mat)
        ksp.solve(y, x)
        assert np.linalg.norm(b - A @ gathered(x.getArray(readonly=True))) <= 1.1e-10 * np.linalg.norm(b)
        theirs.append(ksp.getIterationNumber())
    return {"ours": ours, "hpddm": theirs}


def failing():
    """An operator that fails on one rank in its third product: the job must end, not hang."""
    A = problems.darcy(30).A
    mat, own = dealt(A)
    D = petsc.Distributed.of(mat)

    class Failing:
        shape, dtype, comm, global_size, count = D.shape, D.dtype, D.comm, D.global_size, 0

        def __matmul__(self, x):
            self.count += 1
            if self.count == 3 and RANK == SIZE - 1:
                raise RuntimeError("this rank has had enough")
            return D @ x

    cg(Failing(), np.ones(own.stop - own.start))
    return "not reached"


if __name__ == "__main__":
    answer = globals()[sys.argv[1]]()
    if RANK == 0:
        print(json.dumps(answer))
