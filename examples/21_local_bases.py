"""Local bases: a front that moves needs many vectors in one basis, and few in each of eight.

The fields are a (1 - tanh((x - c) / 0.02)) / 2, with the place c and the height a of the front at random, and, as eigenvectors
would, some come with the other sign. `LocalBases` divides them into clusters by the sine of the angle between two of them, which
sees neither height nor sign, and keeps a basis of six vectors for each. k-means does not know what a sign is. What a partition
is worth is measured on fields that it has not seen.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from petrov.rom.local_bases.bases import LocalBases


def fronts(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(fields (500, count), parameters (count, 2))."""
    c, a = rng.uniform(0.1, 0.9, count), rng.uniform(0.2, 5, count)
    x = np.linspace(0, 1, 500)[:, None]
    return rng.choice([-1, 1], count) * a * (1 - np.tanh((x - c) / 0.02)) / 2, np.stack([c, a], axis=1)


def main(count: int = 200) -> SimpleNamespace:
    rng = np.random.default_rng(27)
    snapshots, mus = fronts(count, rng)
    fields, at = fronts(count, rng)
    found = {}
    for name in ("sine", "normalised k-means", "k-means"):
        parts = LocalBases(k=8, dissimilarity=name, size=6).fit(snapshots, mus)
        found[name] = parts.after(fields, at)
        if name == "sine":
            predicted = parts.before()
            print(f"{predicted}\n\n{found[name]}\n")
    print(f"{'clusters by':20} {'best choice':>12} {'classifier':>12} {'one basis':>12}")
    for name, measured in found.items():
        print(f"{name:20} {measured.oracle:12.1e} {measured.classifier:12.1e} {measured.whole:12.1e}")
    sine = found["sine"]
    return SimpleNamespace(
        predicted=predicted.gain,
        gain=sine.gain,
        whole=sine.whole,
        classifier=sine.classifier,
        accuracy=sine.accuracy,
        break_even=sine.break_even,
        normalised=found["normalised k-means"].classifier / sine.classifier,
        raw=found["k-means"].classifier / sine.classifier,
    )


if __name__ == "__main__":
    main()
