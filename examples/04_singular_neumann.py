"""A singular system: Poisson's equation with no flux through any side, which fixes u up to a constant.

A @ 1 = 0, so A x = b has a solution only if b sums to zero, and then a line of them. `nullspace="constant"` projects
b off the null space and returns the x of mean zero; without it, a b outside the range of A is refused, not guessed at.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import petrov
from petrov.solvers import problems


class Numbers(NamedTuple):
    refused_as: str
    mean: float
    error: float
    inconsistency: float


def main(n: int = 64) -> Numbers:
    A, b, u, *_ = problems.poisson(n, boundary="neumann")  # b sums to zero: as much flows in as out
    leaking = b + 0.1 * np.linalg.norm(b) / n  # a source too many: nothing balances it

    print("Without a null space:")
    try:
        refused_as = petrov.solve(A, leaking).status.name
    except petrov.SolveError as failure:
        refused_as = failure.result.status.name
        print(f"  {failure}")

    print("\nWith nullspace='constant', and a b that is in the range of A:")
    r = petrov.solve(A, b, nullspace="constant")
    mean, error = float(r.x.mean()), float(np.abs(r.x - u).max())
    print(f"  {r}\n  mean of x {mean:.1e}, largest error {error:.1e}")

    print("\nWith a b that is not, the part outside is named:")
    projected = petrov.solve(A, leaking, nullspace="constant")
    print(f"  {projected}")
    print(f"  inconsistency = ||b - P b|| / ||b|| = {projected.inconsistency:.4f}")
    return Numbers(refused_as, mean, error, projected.inconsistency)


if __name__ == "__main__":
    main()
