"""A wave packet in the Henon-Heiles potential, four dimensions: its autocorrelation, and the spectrum, which is its transform.

H = sum (p^2 + q^2) / 2 + lambda sum (q_k^2 q_(k+1) - q_(k+1)^3 / 3) in a basis of oscillator functions, on a train of cores. The
start is a displaced Gaussian, real as H is, so that <start, Y(2 t)> = sum Y(t)^2. Beside it, the exponential of the full matrix.
"""

from __future__ import annotations

from functools import reduce
from types import SimpleNamespace

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import expm_multiply

from petrov.rom.ttn import TTN, TTNO, ProjectorSplitting, Tree, evolve


def oscillator(n: int) -> tuple[np.ndarray, ...]:
    """(levels, q, q^2, q^3) as matrices in n oscillator functions; powers are taken in a larger basis, so that they are exact."""
    q = np.diag(np.sqrt(np.arange(1, n + 3) / 2), 1)
    q = q + q.T
    return np.diag(np.arange(n) + 0.5), *(np.linalg.matrix_power(q, k)[:n, :n] for k in (1, 2, 3))


def main(d: int = 4, n: int = 12, end: float = 6.0, dt: float = 0.1, path: str | None = None) -> SimpleNamespace:
    (levels, q, q2, q3), coupling = oscillator(n), 0.111803
    terms = [(1.0, {k: levels}) for k in range(d)]
    terms += [(coupling, {k: q2, k + 1: q}) for k in range(d - 1)] + [(-coupling / 3, {k + 1: q3}) for k in range(d - 1)]
    tree, alpha = Tree.chain([n] * d), 1.0 / np.sqrt(2)  # q = 1
    packet = np.exp(-(alpha**2) / 2) * alpha ** np.arange(n) / np.sqrt(np.cumprod(np.r_[1.0, np.arange(1, n)]))
    start, H = TTN.product(tree, [packet] * d), TTNO.from_terms(tree, terms)
    observe = {"overlap": start.inner, "energy": lambda Y: Y.expectation(H).real}
    observe["twice"] = lambda Y: TTN(tree, [core.conj() for core in Y.cores]).inner(Y)
    result = evolve(start, -1j * H, (0, end), dt=dt, method=ProjectorSplitting(tolerance=3e-6), observe=observe)
    factors = [[ops.get(k, sp.eye_array(n)) for k in range(d)] for _, ops in terms]
    full = sum(c * reduce(lambda A, B: sp.kron(A, B, "csr"), ops) for (c, _), ops in zip(terms, factors, strict=True))
    vector = reduce(np.kron, [packet] * d).astype(complex)
    expected = expm_multiply(-1j * full, vector, start=0.0, stop=end, num=len(result.times)) @ vector.conj()
    error, drift = np.abs(result.observed["overlap"] - expected).max(), np.ptp(result.observed["energy"])
    print(f"{result}\n{sum(core.size for core in result.state.cores)} of {n**d} numbers\n{result.state.to_text()}\n")
    print(f"error of the overlap {error:.1e}, drift of the energy {drift:.1e}")
    if path is not None:
        from matplotlib.figure import Figure

        times, E = 2 * result.times, np.linspace(1, 10, 400)
        window = np.cos(np.pi * times / (4 * end)) ** 2 * np.r_[0.5, np.ones(len(times) - 1)]
        spectrum = (np.exp(1j * np.outer(E, times)) @ (result.observed["twice"] * window)).real
        left, right = (figure := Figure(figsize=(9, 3.5), layout="constrained")).subplots(1, 2)
        left.plot(times, np.abs(result.observed["twice"]), "-", result.times, np.abs(expected), "k.")
        left.set(xlabel="t", ylabel="|<start, Y(t)>|", title="line: train of cores, from Y(t / 2), dots: full vector")
        right.plot(E, spectrum)
        right.set(xlabel="energy", ylabel="spectrum", title="states in the packet, by energy", yticks=[])
        figure.savefig(path, dpi=150)
    return SimpleNamespace(error=error, drift=drift, rank=result.ranks.max())


if __name__ == "__main__":
    main()
