"""pyMOR's thermal block, its greedy algorithm and its reduced model: what ours is given, and what it is compared with.

pyMOR is used as its tutorials do, with its defaults (factors of the inner product are kept), but for its caches, which would
answer a repeated question from memory, and its messages, which take time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

NAME, DRAWS = "pyMOR", 42  # the seed that pyMOR's random numbers start from


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The discrete thermal block. terms: A(mu) = sum_q mu_q terms[q]; f; X (H1_0); all without the rows and columns of the
    boundary, where pyMOR's own have unit rows and every solution is 0. points (n, 2): nodes inside. inside: their numbers among
    all. train, tests (m, q): the first draws of `sample_randomly`. model, train_mus: pyMOR's."""

    model: Any
    terms: tuple[Any, ...]
    f: np.ndarray
    X: Any
    points: np.ndarray
    inside: np.ndarray
    train_mus: list[Any]
    train: np.ndarray
    tests: np.ndarray


class Offline(NamedTuple):
    """What the greedy algorithm gave: its reduced model, the largest estimate before every step, and how long it took."""

    model: Any
    lift: Any
    bounds: np.ndarray
    seconds: float


@contextmanager
def plain() -> Iterator[None]:
    """No caches, no messages; as it was afterwards."""
    from pymor.core import cache
    from pymor.core.logger import set_log_levels

    set_log_levels({"pymor": "ERROR"})
    cache.disable_caching()
    try:
        yield
    finally:
        cache.enable_caching()


def thermal(n: int, blocks: tuple[int, int], train: int = 0, tests: int = 0) -> Block:
    """The thermal block on n x n squares of four triangles."""
    from pymor.analyticalproblems.thermalblock import thermal_block_problem
    from pymor.discretizers.builtin import discretize_stationary_cg
    from pymor.tools.random import new_rng

    with plain(), new_rng(DRAWS):
        problem = thermal_block_problem(blocks)
        model, data = discretize_stationary_cg(problem, diameter=1 / n)
        mus = problem.parameter_space.sample_randomly(train) if train else []
        others = problem.parameter_space.sample_randomly(tests) if tests else []
    points = data["grid"].centers(2)
    inside = np.flatnonzero(~data["boundary_info"].dirichlet_mask(2))
    fixed, *free = model.operator.operators  # the unit rows come first
    if abs(fixed.matrix[inside]).max() > 0:
        raise AssertionError("pyMOR's first term is not that of the boundary alone: this version needs another way to read it")
    f = model.rhs.matrix.reshape(-1)[inside]
    terms = tuple(cut(term.matrix, inside) for term in free)
    return Block(
        model, terms, np.array(f), cut(model.h1_0_semi_product.matrix, inside), points[inside], inside, mus, values(mus),
        values(others),
    )  # fmt: skip


def cut(A: Any, inside: np.ndarray) -> Any:
    import scipy.sparse as sp

    found = sp.csr_array(A)[inside][:, inside]
    found.eliminate_zeros()
    found.sort_indices()
    return found


def values(mus: list[Any]) -> np.ndarray:
    return np.array([mu["diffusion"] for mu in mus])


def greedy(block: Block, size: int) -> Offline:
    """rb_greedy with the estimator that is stable against rounding, and min-theta."""
    from pymor.algorithms.greedy import rb_greedy
    from pymor.parameters.functionals import ExpressionParameterFunctional
    from pymor.reductors.coercive import CoerciveRBReductor

    with plain():
        start = time.perf_counter()
        reductor = CoerciveRBReductor(
            block.model, product=block.model.h1_0_semi_product,
            coercivity_estimator=ExpressionParameterFunctional("min(diffusion)", block.model.parameters),
        )  # fmt: skip
        found = rb_greedy(block.model, reductor, block.train_mus, max_extensions=size)
        seconds = time.perf_counter() - start
    return Offline(found["rom"], reductor.reconstruct, np.array(found["max_errs"], float), seconds)


def asked(model: Any, mus: np.ndarray) -> list[Any]:
    """Rows of parameters as pyMOR wants them."""
    return [model.parameters.parse({"diffusion": mu}) for mu in mus]


def answer(model: Any, mus: list[Any]) -> np.ndarray:
    """Solve and estimate at every mu: `compute` does both with one reduced solve (`estimate_error` after `solve`: with two)."""
    with plain():
        found = (model.compute(solution=True, solution_error_estimate=True, mu=mu) for mu in mus)
        return np.array([one["solution_error_estimate"][0] for one in found])


def solutions(offline: Offline, block: Block, mus: np.ndarray) -> np.ndarray:
    """The reduced solutions (n, m) at the nodes inside."""
    with plain():
        found = [offline.lift(offline.model.solve(mu)).to_numpy() for mu in asked(offline.model, mus)]
    return np.column_stack([u.reshape(-1)[block.inside] for u in found])


def save(model: Any, path: Path) -> None:
    """pyMOR's own way to keep a model."""
    from pymor.core.pickle import dump

    with path.open("wb") as file:
        dump(model, file)


def load(path: Path) -> Any:
    from pymor.core.pickle import load as read

    with path.open("rb") as file:
        return read(file)
