"""The tables of the suite and the matrices behind it."""

import re
from pathlib import Path

import numpy as np
import pytest

from petrov.benchmarks import data, suites

SHIPPED = Path(__file__).parents[1] / "data"
NAMES = sorted(path.name.removesuffix(".mtx.gz") for path in SHIPPED.glob("*.mtx.gz"))


@pytest.mark.parametrize("quick", [True, False])
def test_names_are_unique_and_the_quick_suite_is_part_of_the_full_one(quick):
    names = [problem.name for problem in suites.poisson(quick=quick)]
    assert len(names) == len(set(names))
    assert {problem.name for problem in suites.poisson(quick=True)} <= {p.name for p in suites.poisson()}


def test_the_quick_suite_has_the_model_problems_and_real_matrices():
    problems = {problem.name: problem for problem in suites.poisson(quick=True)}
    assert {"poisson 2-D 64^2", "poisson 2-D 256^2", "poisson 3-D 32^3", "neumann 2-D 128^2", "1138_bus"} <= set(problems)
    assert problems["neumann 2-D 128^2"].kind == "semidefinite"
    assert sum(problem.name in NAMES for problem in problems.values()) == len(NAMES)


def test_sizes_replace_the_table():
    assert {p.name for p in suites.poisson(quick=True, sizes=[16, 200]) if p.family.startswith("poisson")} == {
        "poisson 2-D 16^2", "poisson 2-D 200^2", "poisson 3-D 16^3",
    }  # fmt: skip


@pytest.mark.parametrize("family", suites.FAMILIES)
def test_every_family_is_of_the_kind_it_says(family):
    dim, kind, _, _ = suites.FAMILIES[family]
    problem = suites.models([(family, (12,))])[0]
    system = problem.make()
    A = system.A.toarray()
    assert A.shape == (system.b.size,) * 2
    assert system.A.indices.dtype == system.A.indptr.dtype == np.int32
    assert (problem.dim, problem.name) == (dim, f"{family} 12^{dim}")
    check_kind(A, kind, system.nullspace)


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_matrix_is_of_the_kind_it_says(name):
    kind = next(kind for entry, kind, _ in suites.MATRICES if entry == name)
    system = suites.matrix(name, kind)
    check_kind(system.A.toarray(), kind, system.nullspace)
    assert np.linalg.norm(system.b) > 0


def check_kind(A, kind, nullspace):
    """Symmetric to rounding unless general; the sign of the smallest eigenvalue; the nullspace in both directions."""
    scale = np.abs(A).max()
    symmetric = not np.iscomplexobj(A) and np.abs(A - A.T).max() <= 1e-13 * scale
    assert symmetric == (kind != "general")
    assert (nullspace is not None) == (kind == "semidefinite")
    if nullspace is not None:
        np.testing.assert_allclose(nullspace.T @ nullspace, np.eye(nullspace.shape[1]), atol=1e-13)
        assert np.abs(A @ nullspace).max() <= 1e-12 * scale
    if kind == "indefinite":
        assert np.linalg.eigvalsh(A)[0] < -1e-5 * scale
    if kind in ("spd", "semidefinite"):
        shift = 0.0 if nullspace is None else scale * nullspace @ nullspace.T
        np.linalg.cholesky(A + shift)  # raises unless positive definite off the nullspace


def test_matrices_and_their_attribution_are_one_list():
    listed = re.findall(r"^\| (\S+) \| \d", (SHIPPED / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == NAMES
    assert set(NAMES) <= {name for name, _, _ in suites.MATRICES}


def test_further_matrices_come_from_the_environment(tmp_path, monkeypatch):
    (tmp_path / "matrices").mkdir()
    (tmp_path / "matrices" / "of_elbow_p.mtx.gz").write_bytes((SHIPPED / "bcsstk01.mtx.gz").read_bytes())
    np.save(tmp_path / "matrices" / "of_elbow_p_b.npy", np.arange(48.0))
    monkeypatch.setenv("PETROV_TEST_DATA", str(tmp_path))
    A, b = data.read("of_elbow_p")
    assert (A.shape, b[-1]) == ((48, 48), 47.0)
    monkeypatch.delenv("PETROV_TEST_DATA")
    with pytest.raises(FileNotFoundError, match="not shipped in wheels: of_elbow_p"):
        data.read("of_elbow_p")


def test_the_right_hand_side_is_the_same_every_time():
    first, second = data.read("nos5"), data.read("nos5")
    np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.parametrize("basis", ["constants", "rigid"])
def test_another_name_of_a_nullspace_is_refused(basis):
    with pytest.raises(ValueError, match=f"got '{basis}'"):
        suites.orthonormal(basis, 4)


def test_a_basis_is_orthonormalised():
    Q = suites.orthonormal(np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 0.0]]), 3)
    np.testing.assert_allclose(Q.T @ Q, np.eye(2), atol=1e-14)
