"""Coefficients: functions of the unit cube that are the same on every grid for a seed."""

from __future__ import annotations

import numpy as np

from .grid import centres

PERIOD = 2.0  # of the Fourier series: twice the cube, so that opposite sides are independent


def gaussian(n: int, dim: int, seed: int, length: float) -> np.ndarray:
    """A Gaussian field of mean 0, variance 1 and covariance exp(-|x - y|^2 / (2 length^2)) at the cell centres, (n,)*dim.

    A Fourier series with random coefficients whose variance is the spectral density; waves shorter than a sixth of the
    density's reach (4 standard deviations) are left out. O(n^dim times the number of waves a side).
    """
    reach = int(np.ceil(4 / length * PERIOD / (2 * np.pi)))
    waves = np.arange(-reach, reach + 1)
    omega = 2 * np.pi * waves / PERIOD
    density = np.exp(-0.5 * (omega * length) ** 2)
    weights = density / density.sum()
    rng = np.random.default_rng(seed)
    size = (len(waves),) * dim
    spectrum = rng.standard_normal(size) + 1j * rng.standard_normal(size)
    for axis in range(dim):
        spectrum = spectrum * np.sqrt(weights).reshape([-1 if a == axis else 1 for a in range(dim)])
    x = (np.arange(n) + 0.5) / n
    basis = np.exp(1j * np.outer(x, omega))
    field = spectrum
    for _ in range(dim):  # one axis a turn: (waves, ...) -> (..., n)
        field = np.tensordot(field, basis, axes=(0, 1))
    return field.real


def lognormal(n: int, dim: int, seed: int, length: float = 0.1, deviation: float = 2.0) -> np.ndarray:
    """exp(deviation g), g Gaussian with correlation length `length`."""
    return np.exp(deviation * gaussian(n, dim, seed, length))


def two_phase(n: int, dim: int, seed: int, length: float = 0.1) -> np.ndarray:
    """12 where a Gaussian field is positive, 3 elsewhere: the convention of neural-operator data sets."""
    return np.where(gaussian(n, dim, seed, length) > 0, 12.0, 3.0)


def blocks(n: int, dim: int, seed: int, contrast: float, count: int) -> np.ndarray:
    """count^dim equal blocks with coefficient contrast^U(-1/2, 1/2) each."""
    values = contrast ** np.random.default_rng(seed).uniform(-0.5, 0.5, (count,) * dim)
    block = np.minimum((np.arange(n) + 0.5) / n * count, count - 1).astype(int)
    return values[np.ix_(*[block] * dim)]


def balls(n: int, dim: int, seed: int, contrast: float, count: int) -> np.ndarray:
    """`contrast` inside `count` balls of radius 0.03 to 0.12, 1 outside."""
    rng = np.random.default_rng(seed)
    points, field = centres(n, dim), np.ones(n**dim)
    for centre, radius in zip(rng.random((count, dim)), rng.uniform(0.03, 0.12, count), strict=True):
        field[np.sum((points - centre) ** 2, axis=1) < radius**2] = contrast
    return field.reshape((n,) * dim)
