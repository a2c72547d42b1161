"""A first solve: Poisson's equation on a square, by finite differences.

`petrov.solve(A, b)` looks at A, chooses a method and a preconditioner, and proves the answer: converged means that
||b - A x|| <= rtol ||b|| held for the x returned, recomputed from x. What it cannot solve, it refuses with advice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

import petrov


class Numbers(NamedTuple):
    error: float  # the largest distance from the known solution
    relative_residual: float
    status: str  # how the last one ended


def laplacian(n: int) -> sp.csr_array:
    """-Laplace on the n^2 inner nodes of the unit square, zero on its boundary: five entries a row."""
    line = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1]) * (n + 1) ** 2
    return (sp.kron(line, sp.eye_array(n)) + sp.kron(sp.eye_array(n), line)).tocsr()


def main(n: int = 100) -> Numbers:
    A = laplacian(n)
    x, y = np.meshgrid(*[np.arange(1, n + 1) / (n + 1)] * 2)
    u = (x * (1 - x) * y * (1 - y)).ravel()
    b = 2 * (x * (1 - x) + y * (1 - y)).ravel()  # = -Laplace u; differences of a quadratic are exact, so A u = b too

    r = petrov.solve(A, b)
    print(r)
    error = float(np.abs(r.x - u).max())
    print(f"\nthe largest error is {error:.1e}, u being up to {u.max():.3f}")

    print("\nMore than rounding allows is an error that says so:")
    try:
        petrov.solve(A, b, rtol=1e-17)
    except ValueError as refusal:
        print(f"  ValueError: {refusal}")

    print("\nA failure carries its reason and the best x so far:")
    try:
        status = petrov.solve(A, b, method="cg", M=None, max_iterations=20).status
    except petrov.SolveError as failure:
        print(f"  {failure}")
        status = failure.result.status
    return Numbers(error, r.relative_residual, status.name)


if __name__ == "__main__":
    main()
