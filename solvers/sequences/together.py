"""Several right-hand sides of one matrix at once: only the directions that are new among them are solved for."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from ..result import SolveResult
from ..solver import Solver
from .answers import NEW, Answers

INDEPENDENT = 1e-12  # of the largest eigenvalue of a Gram matrix of columns of length one
ENOUGH = 8  # independent right-hand sides after which no more are looked at


def together(
    solver: Solver, answers: Answers, B: np.ndarray, rtol: float, keen: float, keywords: dict[str, Any]
) -> list[tuple[bool, SolveResult]]:
    """(whether others told it, its result) for every column of B (n, k).

    `rtol` decides what others tell; the few directions that many columns are made of are solved to `keen`.
    """
    begin, solved = time.perf_counter(), 0.0

    def run(columns: np.ndarray, **given: Any) -> list[SolveResult]:
        nonlocal solved
        start = time.perf_counter()
        found = results_of(solver.run(columns, **{**keywords, **given}))
        solved += time.perf_counter() - start
        return found

    if answers.worth and B.shape[1] >= ENOUGH and answers.independent(B, rtol):
        answers.most = 0  # there is nothing to find
    looking = answers.worth
    X, left, parts = answers.guesses(B) if looking else (None, B, np.ones(B.shape[1]))
    new = parts > rtol
    if looking and (directions := few(left[:, new], parts[new])) is not None:
        for j, result in enumerate(run(directions, rtol=keen)):
            answers.learn(directions[:, j], result.x, 1.0)
        X, left, parts = answers.guesses(B)
        new = parts > rtol
    results: dict[int, tuple[bool, SolveResult]] = {}
    groups: list[tuple[bool, list[int]]] = [(False, np.flatnonzero(new).tolist()), (True, np.flatnonzero(~new).tolist())]
    for told, columns in groups:
        if len(columns):
            every = len(columns) == B.shape[1]
            x0 = None if X is None else X if every else X[:, columns]
            found = run(B if every else np.ascontiguousarray(B[:, columns]), x0=x0)
            results |= {j: (told, result) for j, result in zip(columns, found, strict=True)}
    for j in groups[0][1] if looking and answers.most else ():
        x = results[j][1].x
        answers.learn(left[:, j], x if X is None else x - X[:, j], parts[j])
    answers.seen, answers.found = answers.seen + len(new), answers.found + int(np.sum(~new))
    answers.solving, answers.looking = answers.solving + solved, answers.looking + time.perf_counter() - begin - solved
    return [results[j] for j in range(len(new))]


def few(left: np.ndarray, parts: np.ndarray) -> np.ndarray | None:
    """Orthonormal directions (n, r) that span the columns, if they are fewer than half as many; None if not. Columns of which
    less is left than can be trusted are not asked."""
    left = left[:, parts >= NEW]
    if left.shape[1] < 3:
        return None
    scaled = left / np.linalg.norm(left, axis=0)
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    good = values > INDEPENDENT * values[-1]
    if 2 * good.sum() > len(values):
        return None
    directions = np.linalg.qr(scaled @ (vectors[:, good] / np.sqrt(values[good])))[0]
    return np.ascontiguousarray(directions)


def results_of(block: SolveResult) -> list[SolveResult]:
    """The result of every column of a block; seconds and products in equal shares."""
    k = block.x.shape[1]
    return [
        replace(
            block, x=np.ascontiguousarray(block.x[:, j]), status=block.statuses[j], residual=float(block.residual[j]),
            residuals=block.residuals[:, j].copy(), iterations=int(block.iterations[j]),
            relative_residual=float(block.relative_residual[j]), statuses=(block.statuses[j],),
            matvecs=block.matvecs // k + (j < block.matvecs % k), setup_seconds=block.setup_seconds / k,
            solve_seconds=block.solve_seconds / k, compile_seconds=block.compile_seconds / k,
        )
        for j in range(k)
    ]  # fmt: skip
