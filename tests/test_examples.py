"""The course in examples/: every file runs, and one of its numbers is what it should be."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from test_doctests import missing

EXAMPLES = Path(__file__).parents[1] / "examples"
FILES = sorted(path.name for path in EXAMPLES.glob("*.py"))
MOST_LINES = 60

NUMBERS: dict[str, Callable[[Any], bool]] = {  # the example, and what holds for what its main() returns
    "01_first_solve.py": lambda r: r.error < 1e-8 and r.relative_residual <= 1e-8 and r.status == "MAX_ITERATIONS",
    "02_choosing_a_preconditioner.py": lambda r: r["none"] == 0 and r["Jacobi()"] > 10 * r["PyAMG()"] > 0,
    "03_many_right_hand_sides.py": lambda r: r.difference < 1e-8 and r.setups == 1 and r.iterations.shape == (8,),
    "04_singular_neumann.py": lambda r: (
        r.refused_as == "INCONSISTENT"
        and abs(r.mean) < 1e-12
        and r.error < 4e-4
        and abs(r.inconsistency - 0.1 / 1.01**0.5) < 1e-10
    ),
    "05_custom_preconditioner.py": lambda r: 0 < max(r.values()) <= min(r.values()) + 3 <= 25,
    "06_poisson_on_an_l_shape.py": lambda r: (
        abs(r.error - 1.24e-3) < 2e-5 and r.difference < 1e-8 and r.methods[0] == r.methods[1]
    ),
    "07_elasticity_3d.py": lambda r: abs(r.deflection - 1.018) < 1e-3 and 0 < 2 * r.with_modes < r.without,
    "08_heat_in_an_elbow.py": lambda r: abs(r.watts / r.fin - 1) < 0.01 and r.imbalance < 1e-7,
    "10_a_sequence_of_media.py": lambda r: (
        r.residual <= 1e-8 and sum(n for way, n in r.ways.items() if "put together" in way) > 35 and sum(r.ways.values()) == 60
    ),
    "11_training_data.py": lambda r: r.shape == (50, 32, 32) and r.solved == (50, 0) and r.residual <= 1e-8,
    "12_thermal_block.py": lambda r: (
        r.kind == "rigorous"
        and r.size <= 20
        and r.ratio.min() >= 1
        and r.ratio.max() < 10
        and r.relative <= 2e-3
        and r.difference < 1e-12
    ),
    "13_moving_gaussian.py": lambda r: (
        r.kinds == ("estimate", "rigorous") and r.ratio.min() >= 1 and r.ratio.max() < 8 and r.error < 1e-3 and r.negative > 0.2
    ),
    "14_advection_diffusion.py": lambda r: (  # bound, error, and least bound / error of the outputs
        r.off < 5e-6 and r.kind == "rigorous" and min(r.plain[2], r.dual[2]) >= 1 and 5 * r.dual[0] < r.plain[0]
    ),
    "15_sphere_scattering.py": lambda r: (  # against the code, its certificate, the code against Mie's series
        r.kinds == ("estimate", "rigorous")
        and r.size <= 12
        and r.errors[0].max() < 1e-5
        and (r.errors[0] <= r.errors[1]).all()
        and r.errors[2].max() < 0.02
    ),
    "16_helmholtz_sweep.py": lambda r: (  # k, response, response in full, error, estimate
        r.kind == "estimate"
        and r.size <= 40
        and (abs(r.rows[:, 1] / r.rows[:, 2] - 1) < 1e-3).all()
        and (r.rows[:, 3] <= r.rows[:, 4]).all()
        and r.rows[0, 2] > 100
    ),
    "17_mapped_domain.py": lambda r: (  # h, c, stiffness, stiffness in full, error, estimate, bound
        r.kinds == ("estimate", "rigorous")
        and abs(r.square - 0.140577) < 1e-3
        and abs(r.rows[:, 2] - r.rows[:, 3]).max() < 5e-5
        and (r.rows[:, 4] <= r.rows[:, 6]).all()
        and r.rows[:, 6].max() < 1e-2
    ),
    "18_scikit_fem.py": lambda r: (  # angle, sensor, sensor in full, error, estimate, bound
        r.kinds == ("estimate", "rigorous")
        and r.calls < 200
        and abs(r.hottest - 0.68) < 0.02
        and abs(r.rows[:, 1] - r.rows[:, 2]).max() < 1e-5
        and (r.rows[:, 3] <= r.rows[:, 5]).all()
    ),
    "19_ngsolve_and_fenicsx.py": lambda r: (
        r.kind == "rigorous" and r.ratio.min() >= 1 - 1e-9 and r.ratio.max() < 5 and abs(r.mean - 0.0351443) < 2e-6
    ),
    "20_burgers.py": lambda r: max(r.errors[1:]) < 1e-3 and r.errors[0] > r.errors[-1] and min(r.speedups) > 1,
    "21_local_bases.py": lambda r: (
        r.gain > 1.4 and r.accuracy > r.break_even and r.raw > 15 and r.normalised > 4 and r.predicted > r.gain
    ),
    "22_learning_as_it_solves.py": lambda r: (
        r.iterations[-8:].mean() < 0.3 * r.plain[-1] and (r.other[:, 1] < 0.75 * r.other[:, 0]).all()
    ),
    "23_ising_quench.py": lambda r: (r.errors < [1e-5, 1e-8]).all() and (abs(r.drifts) < 1e-9).all(),
    "24_plane_source.py": lambda r: (r.errors < [1e-4, 2e-3]).all() and max(r.ranks) <= 30,
    "25_fokker_planck.py": lambda r: (r.errors < [1e-5, 1e-4]).all() and abs(r.mass[-1] - 1) < 1e-5 and r.rank <= 15,
    "26_henon_heiles.py": lambda r: r.error < 1e-5 and abs(r.drift) < 1e-7 and r.rank <= 40,
    "27_parametric_heat.py": lambda r: r.errors.max() < 1e-3 and r.rank <= 30,
    "28_line_source.py": lambda r: (  # the ring is round
        r.error < 1e-2 and max(r.ranks) <= 90 and abs(r.mean[38, 25] / r.mean[30, 37] - 1) < 0.02
    ),
    "29_learned_multigrid.py": lambda r: (
        all(row["network"] < 1.1 * row["SmoothedAggregation"] for row in r.table.values())
        and r.table["anisotropic2d"]["network"] < 0.7 * r.table["anisotropic2d"]["SmoothedAggregation"]
        and r.tuned[1] < 0.85 * r.tuned[0]
    ),
    "30_poisson_on_ranks.py": lambda r: (
        abs(r.mean - 0.035159) < 1e-6 and r.iterations < 100 and max(r.recycled[2:]) < 0.7 * min(r.plain[2:])
    ),
    "31_darcy_on_ranks.py": lambda r: (
        abs(r.flows / r.flows[0] - [1, 2.17674, 3.35339, 0.7795, 4.78160, 1.41656, 6.16536, 0.64391]).max() < 1e-3
        and np.median(r.iterations) < 0.5 * max(r.iterations)
    ),
    "32_reduced_model_on_ranks.py": lambda r: (
        r.kind == "rigorous" and r.size <= 32 and r.worst < 2e-3 and r.error < r.worst and max(r.calls) < 45
    ),
    "33_inside_ngsolve.py": lambda r: (
        0 < r.iterations["petrov"] <= r.iterations["h1amg"] < 0.2 * r.iterations["local"]
        and r.difference < 1e-8
        and abs(r.mean - 0.03514) < 1e-5
    ),
    "34_inside_fenicsx.py": lambda r: (
        0 < r.iterations["petrov"] <= r.iterations["gamg"] + 3 < 20 and abs(r.mean - 0.035144) < 5e-6
    ),
    "35_only_the_pc.py": lambda r: (
        0 < r.ours.iterations <= r.theirs.iterations + 1 < 15
        and max(r.ours.residual, r.theirs.residual) <= 1.01e-8
        and abs(r.ours.mean / r.theirs.mean - 1) < 1e-7
    ),
    "09_heat_in_time.py": lambda r: list(r.values()) == sorted(r.values(), reverse=True) and min(r.values()) < 0.5 * r["zero"],
}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name[:2]}", EXAMPLES / name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_example_has_its_numbers():
    assert sorted(NUMBERS) == FILES
    assert [int(name[:2]) for name in FILES] == list(range(1, len(FILES) + 1))


@pytest.mark.parametrize("name", sorted(NUMBERS))
def test_numbers(name, capsys):
    try:
        numbers = load(name).main()
    except ModuleNotFoundError as error:
        if not (library := missing(error)):
            raise
        pytest.skip(f"{library} is not installed")
    assert NUMBERS[name](numbers), numbers
    assert capsys.readouterr().out.count("\n") > 1  # a learner sees something


def python_with_dolfinx() -> str | None:
    """This Python, else what `make fenicsx` made: dolfinx comes from a distribution, built for the Python of that."""
    made = EXAMPLES.parent / ".venv" / "fenicsx" / "bin" / "python"
    return sys.executable if importlib.util.find_spec("dolfinx") else str(made) if made.exists() else None


@pytest.mark.parametrize("ranks", [1, 2])
def test_fenicsx_by_a_python_that_has_it(ranks):
    if (python := python_with_dolfinx()) is None:
        pytest.skip("dolfinx is not installed: `make fenicsx` (Debian)")
    launch = ["mpiexec", "-n", str(ranks)] if ranks > 1 else []
    root = dict.fromkeys(["OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "OMPI_MCA_rmaps_base_oversubscribe"], "1")
    ran = subprocess.run(
        [*launch, python, EXAMPLES / "34_inside_fenicsx.py"], env={**os.environ, **root, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    said = re.search(r"ranks: (\d+);.*'gamg': (\d+), 'petrov': (\d+)}\nmean of u: (\S+)", ran.stdout)
    assert int(said[1]) == ranks
    numbers = SimpleNamespace(iterations={"gamg": int(said[2]), "petrov": int(said[3])}, mean=float(said[4]))
    assert NUMBERS["34_inside_fenicsx.py"](numbers), numbers


@pytest.mark.parametrize("name", FILES)
def test_form(name):
    """Short, explained, and a script: the last statement is `if __name__ == "__main__": main()`."""
    source = (EXAMPLES / name).read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert len(source.splitlines()) <= MOST_LINES
    assert len(ast.get_docstring(tree).splitlines()) >= 3
    assert ast.unparse(tree.body[-1]) == "if __name__ == '__main__':\n    main()"


def test_runs_as_a_script_from_anywhere(tmp_path):
    ran = subprocess.run(
        [sys.executable, EXAMPLES / FILES[0]], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("CONVERGED: ")


def test_rigid_body_modes_cost_nothing():
    """The modes of example 07 are those: without supports, A maps them to zero."""
    from skfem import Basis, ElementTetP2, ElementVector, MeshTet
    from skfem.models.elasticity import lame_parameters, linear_elasticity

    basis = Basis(MeshTet().refined(1), ElementVector(ElementTetP2()))
    A = linear_elasticity(*lame_parameters(1.0, 0.3)).assemble(basis)
    modes = load("07_elasticity_3d.py").rigid_body_modes(basis)
    assert np.linalg.matrix_rank(modes) == 6
    assert np.abs(A @ modes).max() < 1e-12 * np.abs(A).max()
