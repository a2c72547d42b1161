"""The scaling study: halos against the entries of the matrix and against PETSc's scatters, the bytes against what is done, limits of
the model, and the page against what was measured."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from petrov.benchmarks.scaling import halo, model, pages, program, suite, works
from petrov.benchmarks.scaling.model import Iteration, Kinds, Machine
from petrov.solvers.external.petsc.aggregation import Level, Levels
from petrov.solvers.preconditioners.chebyshev import Polynomial

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "scaling.json"
SHAPES = [(7, 9), (10, 4), (5, 4, 6), (3, 8, 2)]
MACHINE = Machine(Kinds(1e10, 2e10, 3e10), 2e-6, 1e9, 1e-6)
WORK = Iteration(3e-5, Kinds(1e8, 2e8, 3e8), 3.0, 4.0, 8e4, gathered=10_000, coarse=1e-4)


def laplacian(shape):
    """The same matrix by Kronecker products."""
    n, A = math.prod(shape), sp.csr_array((math.prod(shape),) * 2)
    for axis, k in enumerate(shape):
        T = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(k, k))
        before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
        A = A + sp.kron(sp.eye_array(before), sp.kron(T, sp.eye_array(after)))
    assert A.shape == (n, n)
    return sp.csr_array(A)


def by_entries(A, owner, rank):
    """What a rank sends: its unknowns in rows of others, once for each of these."""
    rows, columns = A.nonzero()
    pairs = {(c, owner[r]) for r, c in zip(rows, columns, strict=True) if owner[c] == rank != owner[r]}
    return halo.Halo(len(pairs), len({other for _, other in pairs}))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_of_the_matrix(shape):
    A, n = laplacian(shape), math.prod(shape)
    parts = [program.rows(shape, low, high) for low, high in ((0, n // 3), (n // 3, n))]
    assert abs(sp.vstack(parts) - A).max() == 0 and all(part.has_sorted_indices for part in parts)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("ranks", [1, 2, 3, 5, 11])
def test_halos_of_rows_as_they_come(shape, ranks):
    """Runs shorter than a layer too."""
    A, begins = laplacian(shape), halo.starts(math.prod(shape), ranks)
    owner = np.repeat(np.arange(ranks), np.diff(begins))
    for rank in range(ranks):
        assert halo.dealt(shape, ranks, rank) == by_entries(A, owner, rank)


@pytest.mark.parametrize(
    ("shape", "parts"), [((7, 9), (2, 3)), ((10, 4), (3, 1)), ((5, 4, 6), (2, 2, 3)), ((3, 8, 2), (3, 2, 1))], ids=str
)
def test_halos_of_boxes(shape, parts):
    places = [np.searchsorted(halo.starts(n, k), np.arange(n), "right") - 1 for n, k in zip(shape, parts, strict=True)]
    owner = np.ravel_multi_index(np.meshgrid(*places, indexing="ij"), parts).ravel()
    for rank in range(math.prod(parts)):
        assert halo.blocks(shape, parts, rank) == by_entries(laplacian(shape), owner, rank)


def test_boxes_are_as_equal_as_they_can_be():
    for ranks in (1, 2, 6, 7, 64, 360, 1000):
        for dim in (1, 2, 3):
            parts = halo.cubes(ranks, dim)
            assert math.prod(parts) == ranks and len(parts) == dim
    assert works.partition((100, 100, 100), 1000, "blocks") == halo.Halo(600, 6)
    assert works.partition((100, 100, 100), 1, "blocks") == works.partition((9, 9), 1, "slabs") == (0, 0)


# -- Bytes -----------------------------------------------------------------------------------------------------------------


class Counted(np.ndarray):
    """Counts what NumPy moves: 8 B for each array read, 16 B for the new one."""

    bytes = 0.0

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **keywords):
        assert method == "__call__" and out is None
        arrays = [x for x in inputs if isinstance(x, np.ndarray) and x.ndim]
        Counted.bytes += len(arrays) * 8 + 16
        plain = [x.view(np.ndarray) if isinstance(x, Counted) else x for x in inputs]
        return getattr(ufunc, method)(*plain, **keywords).view(Counted)


@dataclass
class Fake:
    """A matrix, a transfer or a last level that counts its products and moves nothing."""

    shape: tuple[int, int] = (50, 50)
    dtype: Any = np.float64
    products: int = 0
    transfers: int = 0

    def __matmul__(self, x):
        self.products += 1
        return x

    def up(self, x):
        self.transfers += 1
        return x

    down = up


@pytest.mark.parametrize("degree", [2, 4])
def test_bytes_of_a_level_are_those_of_its_operations(degree):
    A, P, last = Fake(), Fake(), Fake()
    S = Polynomial(A, np.full(50, 0.25), degree, 1 / 6, 1.0)
    for work, expected, products in (
        (lambda r: S @ r, model.polynomial(5.0, degree), degree),
        (lambda r: Levels((Level(A, S, P),), last, "") @ r, model.level(5.0, 3.0, 0.2, degree), 2 * degree + 2),
    ):
        A.products, Counted.bytes = 0, 0.0
        work(np.ones(50).view(Counted))
        assert Counted.bytes == expected.arrays and A.products == products
        assert expected.sweeps == 0 and expected.products >= products * model.product(5.0)
    assert P.transfers == 2 and last.products == 1
    across = model.level(5.0, 3.0, 0.2, degree).products - (2 * degree + 2) * model.product(5.0)
    assert across == pytest.approx(2 * (3 * 12 + 4) + (8 + 16 * 0.2) + (8 * 0.2 + 16))  # P^T r: r read, the coarse one written


def test_bytes_of_cg():
    """A five-point row: 60 B of entries, 4 of pointers, x, and y fetched and stored."""
    assert model.product(5.0) == 88 and sum(model.jacobi_cg(5.0)) == 88 + 16 + 56 + 32
    assert sum(model.plain_cg(5.0)) == 88 + 16 + 48 + 16 + 24


# -- The model ---------------------------------------------------------------------------------------------------------------


def test_limits_of_the_model():
    alone = model.seconds(WORK, MACHINE, 1)
    assert alone.sums == 0 and alone.coarse == WORK.coarse and alone.memory == pytest.approx(1e-2 + 1e-2 + 1e-2)
    parts = model.seconds(WORK, MACHINE, 1024)
    assert parts.total == sum(parts)
    assert parts.halos == pytest.approx(4 * 2e-6 + 8e4 / 1e9)
    assert parts.sums == pytest.approx(3 * (1e-6 + 10 * 2e-6 + 8 * 1023 / 1e9))
    assert parts.coarse == pytest.approx(1e-4 + 1e-6 + 10 * 2e-6 + 80_000 * 1023 / 1024 / 1e9)
    free = Machine(MACHINE.speed, 0.0, math.inf, 0.0)
    assert model.seconds(WORK, free, 1024).total == pytest.approx(alone.total - alone.halos)  # which the record has, ranks or not


def test_each_cost_grows_with_what_causes_it():
    def total(machine=MACHINE, ranks=16, **changed):
        return model.seconds(replace(WORK, **changed), machine, ranks).total

    for name in ("python", "gathers", "messages", "sent", "gathered", "coarse"):
        assert total(**{name: 2 * getattr(WORK, name)}) > total()
    assert total(memory=WORK.memory.times(2)) > total() < total(ranks=17)
    for slower in (replace(MACHINE, latency=3e-6), replace(MACHINE, link=5e8), replace(MACHINE, speed=MACHINE.speed.times(0.5))):
        assert total(slower) > total()
    times = [model.gather(MACHINE, ranks, 8 * ranks) for ranks in range(1, 200)]
    assert times == sorted(times) and times[0] == 0


LEVELS = works.Hierarchy((1 / 6, 1 / 9), (5.0, 9.0), (2.5, 3.0), 2, 20_000, 2e-8, 3.0, (3e-5, 3e-5))


def test_levels_on_paper():
    assert works.levels_on_paper(20_000, 64, LEVELS) == [20_000]
    assert works.levels_on_paper(1_200_000, 1, LEVELS) == [1_200_000, 200_000, 22_223, 2_470]
    assert works.levels_on_paper(1_200_000, 10**5, LEVELS) == [1_200_000, 200_000, 100_000]  # an aggregate a rank, and no more
    assert works.levels_on_paper(10**6, 10**6, LEVELS) == [10**6]


@pytest.mark.parametrize("shape", [(1024, 1024), (100, 100, 100)], ids=str)
def test_on_paper_work_is_shared_and_messages_are_not(shape):
    found = {ranks: works.aggregation_on_paper(shape, ranks, "blocks", LEVELS) for ranks in (1, 8, 64)}
    assert (found[1].messages, found[1].sent) == (0, 0)
    assert sum(found[1].memory) == pytest.approx(64 * sum(found[64].memory), rel=0.05)
    assert found[8].sent > found[64].sent and found[64].messages > found[8].messages
    first = works.partition(shape, 8, "blocks")
    assert found[8].sent > 7 * 8 * first.rows  # six products and that of cg on the finest level
    jacobi = works.jacobi_on_paper(shape, 8, "blocks", 3.0, 3e-5)
    assert (jacobi.messages, jacobi.sent, jacobi.gathered) == (first.messages, 8 * first.rows, 0)


# -- The page ----------------------------------------------------------------------------------------------------------------


def test_tables_go_between_their_marks():
    page = "a\n<!-- one -->\nold\nold\n<!-- /one -->\nb\n<!-- two -->\n<!-- /two -->\n"
    filled = pages.with_tables(page, {"one": r"\1 new", "two": "x"})
    assert filled == "a\n<!-- one -->\n\\1 new\n<!-- /one -->\nb\n<!-- two -->\nx\n<!-- /two -->\n"
    assert pages.with_tables(filled, {"one": r"\1 new", "two": "x"}) == filled
    with pytest.raises(ValueError, match="no place <!-- three -->"):
        pages.with_tables(page, {"three": ""})


def test_the_page_says_what_was_measured():
    found, page = suite.load(RESULTS), (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    assert pages.with_tables(page, pages.tables(found)) == page
    assert not found["identity"]["settings"]["quick"]


def test_another_file_is_refused(tmp_path):
    (tmp_path / "other.json").write_text(json.dumps({"format": "petrov benchmark", "schema": 1}))
    with pytest.raises(ValueError, match="not written by `petrov bench scaling`"):
        suite.load(tmp_path / "other.json")


def test_without_petsc_it_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(suite.petsc, "absent", lambda: "petsc4py not found")
    assert suite.main(quick=True) == 2
    assert "petrov bench scaling: scaling is measured with PETSc: petsc4py not found" in capsys.readouterr().err


def test_grids_of_strong_and_weak_scaling_are_measured_once():
    shapes = {ranks: [tuple(one["shape"]) for one in suite.cases(ranks, False)] for ranks in (1, 2, 4)}
    assert shapes[1] == [(1024, 1024), (100, 100, 100), (512, 1024), (50, 100, 100)]
    assert shapes[2] == [(1024, 1024), (100, 100, 100)]
    assert (2048, 1024) in shapes[4] and len(shapes[4]) == 4


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [1, 3])
def test_what_petsc_sends_is_the_halo(ranks):
    """Messages and bytes of an iteration by PETSc's own counters."""
    shapes = [(40, 61), (17, 16, 15)]
    found = suite.run(ranks, [{"shape": shape} for shape in shapes], repeat=1)
    assert found["ranks"] == ranks and all(value > 0 for value in (*found["machine"]["products"], found["machine"]["sweeps"]))
    for shape, case in zip(shapes, found["cases"], strict=True):
        sends = [halo.dealt(shape, ranks, rank) for rank in range(ranks)]
        expected = (max(one.messages for one in sends), 8 * max(one.rows for one in sends))
        for method in ("jacobi", "aggregation"):  # gathered at once: M sends no halo
            assert (case[method]["messages"], case[method]["sent"]) == expected
        told = pages.predicted(found, case, "jacobi", found["python"])
        assert told.total > 0 and (told.halos > 0) == (ranks > 1)
    if ranks > 1:
        assert found["sums"]["cg"] == 2 and found["sums"]["gmres"] == 3 and all(
            count == int(count) > 0 for count in found["sums"].values()
        )
