"""Many right-hand sides: together as the columns of one b, or one after another with what was set up kept.

b (n, k) is solved by the same loop as one vector: A and M are read once for all columns. When the next b is known only
after the last x, `petrov.Solver(A)` looks at A and sets M up once. Each column is held to its own ||b||.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

import petrov
from petrov.solvers import problems


class Numbers(NamedTuple):
    difference: float  # between the columns of the block and the single solves
    setups: int  # how many of the single solves had to set something up
    iterations: np.ndarray  # of each column


def main(n: int = 24, columns: int = 8) -> Numbers:
    A = problems.darcy(n, dim=3, coefficient="two-phase", seed=2_718).A
    B = np.random.default_rng(6_174).standard_normal((A.shape[0], columns))
    petrov.solve(A, B, method="cg", M="ic")  # compiles the kernels, so that the seconds below are those of the work

    start = time.perf_counter()
    block = petrov.solve(A, B, method="cg", M="ic")
    print(f"together:             {time.perf_counter() - start:.3f} s\n  {block}")
    print(f"  iterations by column: {block.iterations}")

    start = time.perf_counter()
    solver = petrov.Solver(A, method="cg", M="ic")
    results = [solver.solve(b) for b in B.T]
    print(f"\none Solver:           {time.perf_counter() - start:.3f} s\n  {solver}")
    print(f"  set-up by solve: {', '.join(f'{r.setup_seconds:.4f}' for r in results)} s")

    start = time.perf_counter()
    for b in B.T:
        petrov.solve(A, b, method="cg", M="ic")
    print(f"\nset up every time:    {time.perf_counter() - start:.3f} s")

    X = np.stack([r.x for r in results], axis=1)
    difference = float(np.linalg.norm(block.x - X) / np.linalg.norm(X))
    print(f"\nblock and single solutions differ by {difference:.1e}, the tolerance being {block.rtol:g}")
    return Numbers(difference, sum(r.setup_seconds > 0 for r in results), block.iterations)


if __name__ == "__main__":
    main()
