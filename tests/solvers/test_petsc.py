"""PETSc and ranks: the programs of ranks.py on one, two and three ranks agree, and PETSc's parts are what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import petrov
from petrov.solvers import IncompleteCholesky, Jacobi, SmoothedAggregation, Status, cg, problems

pytestmark = pytest.mark.mpi
PROGRAM = Path(__file__).with_name("ranks.py")
ALONE = {"OPENBLAS_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}


@cache  # several tests look at one run
def launched(ranks, *case):
    command = ["mpiexec", "-n", str(ranks), sys.executable, str(PROGRAM), *case]
    return subprocess.run(command, env={**os.environ, **ALONE}, capture_output=True, text=True, timeout=240, check=False)


def found(ranks, case):
    ran = launched(ranks, case)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.parametrize("ranks", [2, 3])
def test_methods_take_as_many_iterations_on_any_number_of_ranks(ranks):
    """bicgstab's count swings with rounding."""
    alone, together = found(1, "methods"), found(ranks, "methods")
    assert alone.keys() == together.keys() and len(alone) == 10
    assert all(abs(alone[name] - together[name]) <= (10 if name == "bicgstab" else 2) for name in alone), (alone, together)


def test_multigrid_takes_as_many_iterations_on_four_ranks():
    """The bar is 1.5 times; measured: the same but for one."""
    counts = {ranks: found(ranks, "multigrid") for ranks in (1, 2, 4)}
    for name in counts[1]:
        assert max(counts[ranks][name] for ranks in (2, 4)) <= 1.5 * counts[1][name], (name, counts)
    assert counts[1]["2-D aggregation"] <= 14 and counts[1]["3-D aggregation"] <= 12


def test_preconditioners_of_one_process_set_up_per_rank():
    """Iterations on 1, 2 and 4 ranks. Measured with aggregation: Poisson 10, 11, 11; Darcy 10, 12, 12."""
    counts = {ranks: found(ranks, "schwarz") for ranks in (1, 2, 4)}
    for name in counts[1]:
        print(name, [count[name] for count in counts.values()])
        if "no coarse space" not in name:
            assert max(count[name] for count in counts.values()) <= 1.5 * min(count[name] for count in counts.values()), (name, counts)
    assert counts[4]["Darcy, no coarse space"] > 2 * counts[1]["Darcy, no coarse space"]  # what the coarse space is for


@pytest.mark.parametrize("ranks", [1, 3])
def test_schwarz_over_ranks_is_definite_and_what_it_says(ranks):
    assert min(found(ranks, "definite").values()) > 0


def test_a_coarse_problem_may_be_singular(petsc):
    from petrov.solvers.external.petsc.schwarz import exact

    u = exact(sp.csr_array([[1.0, -1.0], [-1.0, 1.0]])) @ np.array([1.0, -1.0])
    assert u[0] - u[1] == pytest.approx(1.0)


def test_what_schwarz_over_ranks_refuses(petsc, system):
    A, _ = system
    for wrong, says in (({"overlap": -1}, "overlap must be an integer of at least 0; got -1"), ({"coarse": "all"}, "coarse must be a number of functions")):
        with pytest.raises(ValueError, match=says):
            petsc.DistributedSchwarz(**wrong)
    with pytest.raises(TypeError, match="local must be a recipe"):
        petsc.DistributedSchwarz(A)
    with pytest.raises(TypeError, match="needs the entries of A; got a Mat of type python"):
        petsc.DistributedSchwarz()(petsc.Distributed.of(petsc.petsc_matrix(sp.linalg.aslinearoperator(A))))
    with pytest.raises(ValueError, match="several near null vectors need coarse='ranks'"):
        petsc.DistributedSchwarz().bind(near_nullspace=np.ones((A.shape[0], 2)))(A)


def test_a_recipe_that_fails_on_one_rank_fails_on_all():
    said = found(2, "refusing")
    assert "on the rows of rank 1 failed: ZeroDivisionError: not with me" in said


@pytest.mark.parametrize("ranks", [2, 3])
def test_sequences_on_ranks(ranks):
    """In the same order as on one rank, with as many iterations; what seconds decide may differ, the answers not."""
    alone, together = found(1, "sequence"), found(ranks, "sequence")
    assert alone["found"].keys() == together["found"].keys() and len(alone["found"]) == 9
    for name in ("recycled", "vectors, parameters", "one b", "generated"):
        (before, counts), (after, others) = alone["found"][name], together["found"][name]
        assert before == after and np.abs(np.subtract(counts, others)).max() <= 2, (name, counts, others)
        assert max(counts[2:]) < 0.65 * counts[0]  # what is recycled
    assert together["found"]["recycled"][0] == [0, 1, 5, 4, 6, 2, 3, 7]  # along mu, without having been told
    assert together["ways"]["one A"].count("put together from solutions of other right-hand sides") == 2


def test_progress_of_a_sequence_is_shown_once_and_a_rank_that_fails_ends_it():
    ran = launched(2, "sequence")
    assert ran.stderr.count("8/8") == 1 and launched(1, "sequence").stderr.count("8/8") == 1
    for system in ("0", "2"):
        ran = launched(2, "sequence_failing", system)
        assert ran.returncode != 0 and "this rank has had enough" in ran.stderr and "not reached" not in ran.stdout


def test_null_spaces_and_endings():
    spaces = found(2, "singular")
    for name in ("schwarz 100", "schwarz ranks"):
        assert spaces.pop(name) <= 1.5 * found(1, "singular")[name] <= 22
    assert len(set(spaces.values())) == 1 and spaces["constant"] <= 15
    assert found(2, "endings") == found(1, "endings") == {
        "nan": "NONFINITE_INPUT", "callback": "STOPPED", "time": "TIME_LIMIT", "iterations": "MAX_ITERATIONS", "indefinite": "INDEFINITE_MATRIX",
    }  # fmt: skip


@pytest.mark.parametrize("ranks", [1, 2])
def test_ours_inside_a_ksp(ranks):
    counts = found(ranks, "inside")
    assert len(set(counts.values())) == 1 and len(counts) == 2 * ranks, counts
    counts = found(ranks, "by_options")
    assert abs(counts["options"] - counts["ours"]) <= 1 and counts["ours"] > 20, counts


@pytest.mark.parametrize(("name", "lines"), [("30_poisson", 2), ("31_darcy", 4), ("32_reduced_model", 3)])
def test_an_example_prints_on_two_ranks_what_it_prints_on_one(name, lines):
    """The numbers in its last lines; of 32 those before the assemblies of each rank, which are dealt."""
    example = Path(__file__).parents[2] / "examples" / f"{name}_on_ranks.py"
    printed = []
    for ranks in (1, 2):
        ran = subprocess.run(
            ["mpiexec", "-n", str(ranks), sys.executable, str(example)], env={**os.environ, **ALONE}, capture_output=True, text=True,
            timeout=240, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        last = ran.stdout.splitlines()[-lines:] if name != "32_reduced_model" else ran.stdout.splitlines()[:lines]
        printed.append(re.findall(r"\d+\.\d+(?:e[+-]\d+)?|\d+", "\n".join(last)))
    pairs = list(zip(*printed, strict=True))
    assert len(pairs) >= 10
    for one, other in pairs:  # counts of iterations may differ by two, other numbers in the last digit
        assert abs(float(one) - float(other)) <= (2 if one.isdigit() else 1e-4 * (1 + abs(float(one)))), pairs


def test_a_script_changes_its_pc_on_two_ranks():
    example = Path(__file__).parents[2] / "examples" / "35_only_the_pc.py"
    ran = subprocess.run(
        ["mpiexec", "-n", "2", sys.executable, str(example)], env={**os.environ, **ALONE}, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    theirs, ours = (int(count) for count in re.findall(r"(\d+) iterations", ran.stdout))
    assert 0 < ours <= theirs < 15, ran.stdout


def test_a_rank_that_fails_ends_the_job():
    ran = launched(2, "failing")
    assert ran.returncode != 0 and "this rank has had enough" in ran.stderr and "not reached" not in ran.stdout


# On one rank, in this process.


@pytest.fixture(scope="module")
def petsc():
    from petrov.solvers.external import petsc

    return petsc


@pytest.fixture(scope="module")
def system():
    A = problems.poisson(40).A.tocsr()
    return A, np.random.default_rng(4).standard_normal(A.shape[0])


@pytest.mark.parametrize(("kind", "options", "spd"), [
    ("jacobi", {}, True), ("icc", {}, True), ("gamg", {}, True), ("hypre", {"pc_hypre_type": "boomeramg"}, True), ("ilu", {}, None),
    ("sor", {}, None), ("lu", {}, None), ("asm", {"pc_asm_overlap": 2}, None),
])  # fmt: skip
def test_preconditioners_of_petsc(kind, options, spd, petsc, system):
    A, b = system
    M = petsc.PETSc(kind, options)(A)
    assert M.spd is spd and M.shape == A.shape and M.name == f"petsc {kind}"
    R = np.random.default_rng(5).standard_normal((len(b), 3))
    np.testing.assert_allclose(M @ R, np.stack([M @ r for r in R.T], axis=1), rtol=0, atol=0)
    if spd:
        assert abs(R[:, 0] @ (M @ R[:, 1]) - R[:, 1] @ (M @ R[:, 0])) <= 1e-10 * (R[:, 0] @ (M @ R[:, 0]))
    result = petrov.solve(A, b, M=petsc.PETSc(kind, options))
    assert result.method == ("cg" if spd else "flexible_cg") and np.linalg.norm(b - A @ result.x) <= 1.01e-8 * np.linalg.norm(b)


@pytest.mark.parametrize("kind", ["cg", "fcg", "gmres", "fgmres", "bcgs", "gcr"])
@pytest.mark.parametrize("M", [None, Jacobi(), SmoothedAggregation(), "icc"], ids=["none", "jacobi", "amg", "icc"])
def test_iterations_of_petsc(kind, M, petsc, system):
    A, b = system
    M = petsc.PETSc(M) if isinstance(M, str) else M
    x0 = np.random.default_rng(6).standard_normal(len(b))
    seen = []
    result = petsc.ksp(A, b, kind=kind, M=M, x0=x0, max_iterations=9000, callback=lambda state: seen.append(state.residual))
    norm = np.linalg.norm(b - A @ result.x)
    assert result.converged and norm <= 1.01e-8 * np.linalg.norm(b) and result.residual == pytest.approx(norm, rel=1e-6)
    assert len(seen) == result.iterations > 0
    if kind == "cg":
        assert abs(cg(A, b, M=M, x0=x0).iterations - result.iterations) <= 2


def test_what_petsc_says_becomes_a_status(petsc, system):
    A, b = system
    assert petsc.ksp(A - 500 * sp.eye_array(len(b)), b).status is Status.INDEFINITE_MATRIX
    assert petsc.ksp(A, b, M=petsc.PETSc("jacobi"), max_iterations=3).status is Status.MAX_ITERATIONS
    assert petsc.ksp(A, np.zeros_like(b)).iterations == 0
    for kind, says in (("nonsense", "Unable to find requested KSP type nonsense"), ("minres", "does not support norm type UNPRECONDITIONED")):
        with pytest.raises(ValueError, match=says):
            petsc.ksp(A, b, kind=kind)
    with pytest.raises(ValueError, match="PETSc could not set up -pc_type nonsense"):
        petsc.PETSc("nonsense")(A)
    with pytest.raises(TypeError, match="b must be a vector; got a petsc4py Mat"):
        petrov.solve(A, petsc.petsc_matrix(A))
    with pytest.raises(ValueError, match="A must be square"):
        petrov.solve(petsc.petsc_matrix(sp.csr_array(np.ones((2, 3)))), np.ones(2))


def test_matrices_and_vectors_of_petsc(petsc, system):
    A, b = system
    mat = petsc.petsc_matrix(A)
    assert abs(petsc.adopt(mat) - A).max() == 0
    D = petsc.Distributed.of(mat)
    np.testing.assert_allclose(D @ b, A @ b, rtol=1e-14)
    np.testing.assert_allclose(D.H @ b, A.T @ b, rtol=1e-12)
    np.testing.assert_array_equal(D.diagonal(), A.diagonal())
    vec = mat.createVecLeft()
    vec.setArray(b)
    result = petrov.solve(mat, vec)
    assert np.linalg.norm(b - A @ result.x.getArray()) <= 1.01e-8 * np.linalg.norm(b) and "n = 1600" in str(result)
    np.testing.assert_array_equal(vec.getArray(), b)
    shell = petsc.petsc_matrix(petsc.Distributed.of(mat))
    assert shell is mat
    with pytest.raises(TypeError, match="is for the rows of a PETSc matrix"):
        petsc.DistributedAggregation()(A)


def test_a_preconditioner_for_petsc_of_a_matrix_with_fixed_rows(petsc, system):
    """Rows of Dirichlet unknowns, which solve eliminates, are there again in as_petsc_pc."""
    A, b = system
    A = sp.lil_array(A)
    for i in range(40):
        A[i, :] = 0
        A[i, i] = 4800.0
    A = sp.csr_array(A)
    context = petrov.Solver(A, M=SmoothedAggregation()).as_petsc_pc()
    z = context.M @ b
    np.testing.assert_allclose(z[:40], b[:40] / 4800)
    assert np.linalg.norm(b - A @ z) < 0.9 * np.linalg.norm(b)
    with pytest.raises(ValueError, match="without a preconditioner"):
        petrov.Solver(A, method="cg", M=None).as_petsc_pc()


def test_backend(petsc, system):
    A, b = system
    plain = petrov.solve(A, b, backend="petsc")
    assert plain.method == "petsc cg" and plain.preconditioner == "petsc gamg" and plain.iterations < 25
    assert petrov.solve(A, b, backend="petsc", M="ic", method="flexible_cg").method == "petsc fcg"
    assert petrov.solve(A + sp.eye_array(len(b), k=1), b, backend="petsc").method == "petsc gmres"
    neumann = problems.poisson(30, boundary="neumann").A
    r = petrov.solve(neumann, b[:900], backend="petsc", nullspace="constant")
    assert r.method == "petsc cg" and abs(r.x.mean()) < 1e-10
    with pytest.raises(ValueError, match="backend='petsc' has the methods auto, cg, flexible_cg, gmres, bicgstab; got 'minres'"):
        petrov.solve(A, b, backend="petsc", method="minres")
    with pytest.raises(ValueError, match="backend must be 'auto' or 'petsc'"):
        petrov.solve(A, b, backend="cuda")


@pytest.fixture
def options():
    """Sets options of PETSc for one test."""
    from petsc4py import PETSc

    names = []

    def give(**given):
        for name, value in given.items():
            names.append(name)
            PETSc.Options().setValue(name, value)

    yield give
    for name in names:
        PETSc.Options().delValue(name)


def test_options_under_a_prefix_reach_what_is_petsc(petsc, system, options):
    A, b = system
    options(flow_pc_type="icc", flow_ksp_type="fcg", flow_ksp_rtol=1e-4, flow_pc_factor_levels=2)
    M = petsc.PETSc("gamg", {"pc_factor_levels": 0}, prefix="flow_")(A)
    assert M.name == "petsc icc" and M.spd is True
    levels = {k: petsc.ksp(A, b, M=petsc.PETSc("icc", {"pc_factor_levels": k})).iterations for k in (0, 2)}
    assert petsc.ksp(A, b, M=M).iterations == levels[2] < levels[0]
    r = petsc.ksp(A, b, prefix="flow_")
    assert (r.method, r.preconditioner) == ("petsc fcg", "petsc icc") and 1e-8 < np.linalg.norm(b - A @ r.x) / np.linalg.norm(b) <= 1e-4
    assert petsc.ksp(A, b, prefix="flow_", rtol=1e-8, M=Jacobi()).relative_residual <= 1e-8  # what is said in the call stands
    r = petsc.ksp(A, b, prefix="flow_", M=Jacobi())
    assert (r.method, r.preconditioner) == ("petsc fcg", "jacobi")
    assert petsc.ksp(A, b, prefix="flow_", kind="cg").iterations == petsc.ksp(A, b, kind="fcg", rtol=1e-4, M=M).iterations
    for untouched in (petsc.ksp(A, b), petsc.ksp(A, b, prefix="other_")):
        assert (untouched.method, untouched.preconditioner) == ("petsc cg", "none")
    r = petrov.solve(A, b, backend="petsc", prefix="flow_")
    assert (r.method, r.preconditioner) == ("petsc fcg", "petsc icc")
    options(flow_ksp_max_it=3, flow_ksp_type="cg")
    assert petrov.solve(A, b, backend="petsc", prefix="flow_", rtol=1e-8, raise_on_failure=False).status is Status.MAX_ITERATIONS
    from petsc4py import PETSc

    assert PETSc.Options("flow_").getInt("pc_factor_levels") == 2 and PETSc.Options("flow_").getString("ksp_type") == "cg"
    neumann = problems.poisson(30, boundary="neumann").A
    options(well_pc_type="jacobi")
    r = petrov.solve(neumann, b[:900], backend="petsc", nullspace="constant", prefix="well_")
    assert "petsc jacobi" in r.preconditioner and abs(r.x.mean()) < 1e-10
    with pytest.raises(ValueError, match="goes with backend='petsc'"):
        petrov.solve(A, b, prefix="flow_")


def test_ours_is_chosen_by_options(petsc, system, options):
    """Under the prefix of a user's KSP, whose script knows nothing of petrov."""
    from petsc4py import PETSc

    A, b = system
    options(flow_pc_type="python", flow_pc_python_type="petrov.solvers.external.petsc.PetrovPC")

    def iterations():
        mat = petsc.petsc_matrix(A)
        x, y = mat.createVecs()
        y.setArray(b)
        ksp = PETSc.KSP().create(comm=PETSc.COMM_SELF)
        ksp.setOptionsPrefix("flow_")
        ksp.setOperators(mat)
        ksp.setType("cg")
        ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        ksp.setTolerances(rtol=1e-8)
        ksp.setFromOptions()
        ksp.solve(y, x)
        return ksp.getIterationNumber()

    assert iterations() == cg(A, b, M=SmoothedAggregation()).iterations
    options(flow_pc_petrov_type="ic", pc_petrov_type="jacobi")
    assert iterations() == cg(A, b, M=IncompleteCholesky()).iterations
    options(flow_pc_petrov_shift=0.5)
    assert iterations() == cg(A, b, M=IncompleteCholesky(shift=0.5)).iterations > cg(A, b, M=IncompleteCholesky()).iterations
    options(flow_pc_petrov_type="nonsense")
    with pytest.raises(Exception, match="-flow_pc_petrov_type must be one of amg, chebyshev, fsai, gmg, ic, ilu, jacobi; got nonsense"):
        iterations()


def test_by_name_and_brought_up_to_date(petsc, system):
    """-pc_type python -pc_python_type ...; a matrix that changes under the KSP updates the hierarchy."""
    from petsc4py import PETSc

    A, b = system
    mat = petsc.petsc_matrix(A)
    x, y = mat.createVecs()
    y.setArray(b)
    ksp = PETSc.KSP().create(comm=PETSc.COMM_SELF)
    ksp.setOperators(mat)
    ksp.setType("cg")
    ksp.setTolerances(rtol=1e-9)
    ksp.getPC().setType("python")
    ksp.getPC().setPythonType("petrov.solvers.external.petsc.PetrovPC")
    ksp.solve(y, x)
    first = ksp.getIterationNumber()
    mat.scale(3.0)
    ksp.setOperators(mat)
    ksp.solve(y, x)
    assert 0 < first < 20 and abs(ksp.getIterationNumber() - first) <= 1
    assert np.linalg.norm(b - 3 * A @ x.getArray()) <= 1e-7 * np.linalg.norm(b)
