"""Burgers' equation: a bump that steepens into a front, for any viscosity and height, without solving it again.

u_t - nu u_xx + (u^2 / 2)_x = 0 on ]0, 1[ with u = 0 at the ends. The model solves it in full 25 times, keeps N modes of the
states and 4/3 N points at which it looks at the flux, and then answers for hundreds of parameters at once; the last column is
the time of one of them. The estimate is the distance to a somewhat richer model; the error is measured against full solutions
that the model has not seen.
"""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp

from petrov.rom import Parameters
from petrov.rom.transient.model import TransientModel

N_X = 500
H, X = 1 / (N_X + 1), np.arange(1, N_X + 1) / (N_X + 1)
LAPLACIAN = sp.diags_array([-np.ones(N_X - 1), 2 * np.ones(N_X), -np.ones(N_X - 1)], offsets=[-1, 0, 1]) / H**2


def flux(u: np.ndarray, mu: dict, i: np.ndarray) -> np.ndarray:
    """(u^2 / 2)_x at the points i, for one state u (n,) or many (m, n)."""
    left, right = np.where(i > 0, u[..., i - 1], 0.0), np.where(i < N_X - 1, u[..., (i + 1) % N_X], 0.0)
    return (right**2 - left**2) / (4 * H)


def main(sizes: tuple[int, ...] = (15, 30, 40), count: int = 200) -> SimpleNamespace:
    parameters = Parameters(nu=(0.005, 0.05, "log"), a=(0.5, 1.5))
    held_out, many = parameters.random(3, seed=9), parameters.random(count, seed=10)
    found = SimpleNamespace(errors=[], projections=[], estimates=[], speedups=[])
    model = TransientModel(
        None, [("nu", LAPLACIAN)], flux, parameters=parameters, t=(0, 0.5), dt=0.01,
        u0=lambda mu: mu["a"] * np.exp(-(((X - 0.25) / 0.1) ** 2)),
    ).fit(parameters.grid(5))  # fmt: skip
    print(f"{'modes':>6} {'points':>7} {'error':>9} {'projection':>11} {'estimate':>9} {'full':>8} {'reduced':>9}")
    for N in sizes:
        model.resize(basis=N, deim=N * 4 // 3)
        checks = [model.verify(mu) for mu in held_out]
        estimates = model.predict(held_out, estimate=True).estimate
        begin = time.perf_counter()
        model.predict(many)
        each, full = (time.perf_counter() - begin) / count, min(check.seconds for check in checks)
        found.errors.append(max(check.relative for check in checks))
        found.projections.append(max(check.relative_projection for check in checks))
        found.estimates.append(max(np.linalg.norm(e) / np.linalg.norm(c.norms) for e, c in zip(estimates, checks, strict=True)))
        found.speedups.append(full / each)
        figures = f"{found.errors[-1]:9.1e} {found.projections[-1]:11.1e} {found.estimates[-1]:9.1e}"
        print(f"{N:6} {len(model.points):7} {figures} {full:6.3f} s {each * 1e3:6.2f} ms")
    return found


if __name__ == "__main__":
    main()
