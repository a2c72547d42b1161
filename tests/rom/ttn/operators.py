"""Operators of every kind and their dense matrices, made by Kronecker products and nothing of the package."""

from functools import reduce

import numpy as np
import scipy.sparse as sp

from petrov.rom.ttn.kron_sum import KronSum
from petrov.rom.ttn.legs import dense
from petrov.rom.ttn.ttno import TTNO


def dense_terms(sizes, terms):
    return sum(c * reduce(np.kron, [dense(ops.get(leaf), n) for leaf, n in enumerate(sizes)]) for c, ops in terms)


def random_terms(sizes, dtype="float64", seed=77, kinds=("dense",), count=6):
    """Terms of one to three factors, some of which are the same object."""
    rng = np.random.default_rng(seed)

    def factor(n):
        A = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if dtype.startswith("complex") else 0)
        kind = kinds[rng.integers(len(kinds))]
        return {"dense": A, "sparse": sp.csr_array(A * (np.abs(A) > 0.5)), "diagonal": A[0].copy(), "callable": lambda X: A @ X}[kind]

    pool = [[factor(n) for _ in range(2)] for n in sizes]
    terms = []
    for _ in range(count):
        acting = rng.choice(len(sizes), size=min(len(sizes), int(rng.integers(1, 4))), replace=False)
        c = rng.standard_normal() + (1j * rng.standard_normal() if dtype.startswith("complex") else 0)
        terms.append((c, {int(leaf): pool[leaf][rng.integers(2)] for leaf in acting}))
    return [*terms, (0.5, {})]


def kron_sum(tree, dtype="float64"):
    terms = random_terms(tree.sizes, dtype, kinds=("dense", "diagonal", "sparse", "callable"))
    return KronSum(tree, terms), dense_terms(tree.sizes, terms)


def from_terms(tree, dtype="float64"):
    terms = random_terms(tree.sizes, dtype, kinds=("dense", "diagonal", "sparse"))
    return TTNO.from_terms(tree, terms), dense_terms(tree.sizes, terms)


def rotated(tree, dtype="float64"):
    """Without identity channels."""
    A, matrix = from_terms(tree, dtype)
    return A.rounded(), matrix


def scaled_sum(tree, dtype="float64"):
    """Two TTNOs of different factors, added."""
    A, dense_A = from_terms(tree, dtype)
    terms = random_terms(tree.sizes, dtype, seed=3)
    return -2 * A + 3 * TTNO.from_terms(tree, terms), -2 * dense_A + 3 * dense_terms(tree.sizes, terms)


def pairwise(tree, dtype="float64"):
    if len(set(tree.sizes)) > 1:
        rng = np.random.default_rng(1)
        op = [rng.standard_normal((n, n)) for n in tree.sizes]
    else:
        op = np.diag(np.arange(1.0, tree.sizes[0] + 1))
    d = tree.order
    V = 1 / (1.0 + np.abs(np.subtract.outer(range(d), range(d))))
    ops = op if isinstance(op, list) else [op] * d
    terms = [(V[i, j], {i: ops[i], j: ops[j]}) for i in range(d) for j in range(i + 1, d)] + [(1.0, {i: ops[i]}) for i in range(d)]
    return TTNO.pairwise(tree, V, op, onsite=op), dense_terms(tree.sizes, terms)


OPERATORS = {
    "KronSum": kron_sum,
    "from_terms": from_terms,
    "rotated": rotated,
    "sum": scaled_sum,
    "pairwise": pairwise,
}
