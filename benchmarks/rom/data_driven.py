"""The same solutions, used twice: projected with the operator that made them, and interpolated by machine learning (pyMOR's)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ... import rom
from ..document import OK, WRONG, Row
from . import peer, thermal
from .peer import Block
from .thermal import Case, Timing

WORK = "snapshots"
OURS, RIVAL = "petrov.rom.ReducedModel, POD", "pyMOR DataDrivenPODReductor"
SNAPSHOTS, TESTED = 200, 20
WIDTH = 0.5  # of the rival's kernel: the best of 1/4, 1/2, 1, 2, 4; it may use every solution as a centre (by default 20)


def name(case: Case) -> str:
    return f"snapshots of the {case.name}"


def measure(case: Case, timing: Timing) -> list[Row]:
    """relative_residual: the largest relative error in H1_0 at TESTED parameters. Nothing is timed."""
    block = peer.thermal(timing.n, case.blocks, min(SNAPSHOTS, case.train), TESTED)
    row = Row(
        name(case), "thermal block", "spd", OURS, "petrov", OK, rows=len(block.f), entries=int(block.X.nnz), iterations=case.size,
        work=WORK,
    )  # fmt: skip
    norms = thermal.true_errors(block, block.tests, np.zeros((len(block.f), TESTED)))
    rival = replace(row, method=RIVAL, library="pymor")
    rows = []
    for one, answers in ((row, projected), (rival, interpolated)):
        found, bounds = answers(block, case.size)
        errors = thermal.true_errors(block, block.tests, found)
        relative = errors / norms
        said = f"{len(block.train)} solutions: error {relative.max():.1e}, mean {relative.mean():.1e}"
        right = bounds is None or (errors <= bounds * (1 + thermal.SLACK)).all()
        rows.append(replace(one, status=OK if right else WRONG, reason=said, relative_residual=float(relative.max())))
    return rows


def projected(block: Block, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Our answers (n, m) at the test parameters, with their bounds: the operator, projected on the leading modes."""
    model = thermal.unfitted(block, rom.POD(size=size)).fit(train=block.train)
    result = model.predict(block.tests)
    return model.basis @ np.asarray(result.coefficients).T, np.asarray(result.bound)


def interpolated(block: Block, size: int) -> tuple[np.ndarray, None]:
    """pyMOR's, without: coefficients of the solutions in the same modes, interpolated by kernels (VKOGA)."""
    from pymor.algorithms.ml.vkoga.kernels import GaussianKernel
    from pymor.algorithms.ml.vkoga.regressor import VKOGARegressor
    from pymor.reductors.data_driven import DataDrivenPODReductor

    product = block.model.h1_0_semi_product
    with peer.plain():
        regressor = VKOGARegressor(GaussianKernel(WIDTH), max_centers=len(block.train_mus), tol=1e-12)
        solutions = block.model.solution_space.empty()
        for mu in block.train_mus:
            solutions.append(block.model.solve(mu))
        reductor = DataDrivenPODReductor(
            block.train_mus, solutions, regressor=regressor, product=product, pod_params={"product": product, "modes": size},
        )  # fmt: skip
        model = reductor.reduce()
        found = [reductor.reconstruct(model.solve(mu)).to_numpy() for mu in peer.asked(block.model, block.tests)]
    return np.column_stack([u.reshape(-1)[block.inside] for u in found]), None
