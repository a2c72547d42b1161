"""Sound scattered by a sphere: dense complex matrices of a boundary element code, for every wave number from 1 to 6.

The unknown q is the derivative of the total field on a soft unit sphere in the plane wave exp(i k z). The combined equation
(1/2 + K' - i eta S) q = (d/dn - i eta) exp(i k z) has kernels exp(i k r) / (4 pi r) and its derivative, so that A is linear in
exp(i k r) and k exp(i k r), whatever the geometry: those two functions are handed over, at distances r from 0 to 2, the diameter.
A dozen matrices then make all others, and ten modes of 24 solutions all solutions. Two errors are looked at: that of the model
against the code, by full solves and by verify; and that of the code against Mie's series, which is far larger.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.special import eval_legendre, spherical_jn, spherical_yn

from petrov import rom


def sphere(n: int, eta: float = 3.5) -> tuple[Any, np.ndarray]:
    """assemble(mu) with n elements of area 4 pi / n and one node each, spread evenly; and the z of the nodes."""
    z, angle = 1 - (2 * np.arange(n) + 1) / n, np.pi * (5**0.5 - 1) * np.arange(n)
    x = np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z], axis=1)
    r, area = np.linalg.norm(x[:, None] - x, axis=2), 4 * np.pi / n
    inverse = 1 / (r + np.eye(n) * (area / np.pi) ** 0.5 / 2)  # on the diagonal the mean of 1/r over a disc of that area

    def assemble(mu: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
        wave = np.exp(1j * mu["k"] * r)
        single = area / (4 * np.pi) * (wave * inverse + 1j * mu["k"] * np.eye(n))  # (wave - 1) / r is i k where r = 0
        normal = (1j * mu["k"] * area / (4 * np.pi) * wave - single) / 2  # d/dn_x, as (x - y) . n_x = r^2 / 2 on a sphere
        return np.eye(n) / 2 + normal - 1j * eta * single, 1j * (mu["k"] * z - eta) * np.exp(1j * mu["k"] * z)

    return assemble, z


def mie(k: float, z: np.ndarray) -> np.ndarray:
    """The derivative on the sphere, by spherical harmonics."""
    l = np.arange(40)[:, None]
    return -1j / k * np.sum((2 * l + 1) * 1j**l / (spherical_jn(l, k) + 1j * spherical_yn(l, k)) * eval_legendre(l, z), axis=0)


def main(n: int = 500) -> SimpleNamespace:
    assemble, z = sphere(n)
    P = rom.Parameters(k=(1.0, 6.0))
    waves = ["exp(1j*k*x)", "k*exp(1j*k*x)"]
    operator, basis = rom.EIM(waves, np.linspace(0, 2, 201), rhs=(waves, z), tol=1e-9), rom.POD(tol=1e-6, snapshots=24)
    model = rom.ReducedModel(assemble, P, operator=operator, basis=basis, product=None).fit(P.grid(201))
    print(model.report().split("\n\n")[0], "\n\n    k    against the code    verify    the code against Mie")
    predicted, rows = model.predict(np.linspace(1.1, 5.9, 6)), []
    for i, k in enumerate(predicted.mus[:, 0]):
        q, exact, certificate = np.linalg.solve(*assemble({"k": k})), mie(k, z), model.verify(k)
        errors = np.linalg.norm([q - predicted.fields(i), q - exact], axis=1)
        rows.append(np.array([errors[0], certificate.bound, errors[1]]) / np.linalg.norm(exact))
        print("{:5.2f}    {:16.1e}    {:6.0e}    {:20.1e}".format(k, *rows[i]))
    return SimpleNamespace(kinds=(predicted.kind, certificate.kind), size=model.size, errors=np.array(rows).T)


if __name__ == "__main__":
    main()
