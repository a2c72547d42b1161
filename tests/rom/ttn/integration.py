"""What tests of integrators share: problems with dense solutions, many steps, errors."""

import functools

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import expm_multiply

from petrov.rom.ttn import TTN, TTNO, KronSum, Tree
from petrov.rom.ttn.right_hand_sides import as_rhs

UP = np.array([1.0, 0.0])


def ising(d):
    """(tree, -i H) of the long-range quench: Omega = Delta = 1, nu = 2, alpha = 1."""
    tree, k = Tree.balanced([2] * d), np.arange(d)
    V = 2.0 / np.maximum(np.abs(np.subtract.outer(k, k)), 1)
    H = TTNO.pairwise(tree, V, np.diag(UP), onsite=np.array([[1.0, 1.0], [1.0, 0.0]]))
    return tree, as_rhs(-1j * H)


@functools.cache
def ising_exact(d, t=1.0):
    """exp(-i t H) |up ... up> of the same problem, from bits."""
    states = np.arange(2**d)
    up = 1.0 - ((states[:, None] >> np.arange(d)[::-1]) & 1)
    energy = up.sum(axis=1) + sum(2.0 / (j - i) * up[:, i] * up[:, j] for i in range(d) for j in range(i + 1, d))
    H = sp.diags_array(energy).tocsr()
    for k in range(d):
        H = H + sp.csr_array((np.ones(2**d), (states, states ^ (1 << k))), shape=(2**d, 2**d))
    return expm_multiply(-1j * t * H, np.eye(1, 2**d)[0].astype(complex))


def all_up(tree, rank=1):
    return TTN.product(tree, [UP] * tree.order, rank=rank)


def magnetisation(Y):
    d = Y.tree.order
    return (Y.expectation(KronSum(Y.tree, [(1 / d, {k: np.array([1.0, -1.0])}) for k in range(d)])) / Y.norm() ** 2).real


def many(method, Y, rhs, h, steps, span=None):
    results = []
    for k in range(steps):
        results.append(method.step(Y, rhs, k * h, h, span=span))
        Y = results[-1].state
    return Y, results


def difference(Y, vector):
    return float(np.linalg.norm(Y.to_dense().reshape(-1) - vector))


def evolved(dense, Y, h):
    return scipy.linalg.expm(h * dense) @ Y.to_dense().reshape(-1)


def full(tree, dtype="float64"):
    """A state whose bases span the spaces of their subtrees, whatever the rest of the tree can fill."""
    rng, ranks = np.random.default_rng(5), [int(np.prod([tree.sizes[leaf] for leaf in below])) for below in tree.below]
    cores = [rng.standard_normal(tree.core_shape(node, ranks)) for node in tree.nodes]
    Y = TTN(tree, tuple(core.astype(dtype) for core in cores)).orthonormal()
    return Y.scaled(1 / Y.norm())


def kron_sparse(sizes, terms):
    """The sparse matrix of a sum of terms."""
    M = sp.csr_array((int(np.prod(sizes)),) * 2)
    for c, ops in terms:
        factors = [sp.csr_array(np.diag(op) if op.ndim == 1 else op) for op in (ops.get(leaf, np.eye(n)) for leaf, n in enumerate(sizes))]
        M = M + c * functools.reduce(sp.kron, factors)
    return M


@functools.cache
def smooth(n=12):
    """(A, its sparse matrix, Y): four leaves, a state of one smooth function of x0 + 2 x1 + x2 + x3, ranks far from full.

    Its singular values decay fast and A takes it out of the tangent space by rounding only, so that orders can be seen.
    """
    x = (np.arange(n) + 0.5) / n
    D = np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1) - 2 * np.eye(n)
    tree = Tree.balanced([n] * 4)
    terms = [(1.0, {k: D}) for k in range(4)] + [(-c, {i: x, j: x}) for c, i, j in [(1, 0, 2), (1, 0, 3), (2, 1, 2), (2, 1, 3), (2, 0, 1)]]
    M = kron_sparse([n] * 4, terms)
    X = np.meshgrid(*[x] * 4, indexing="ij")
    values = 1 / (1 + X[0] + 2 * X[1] + X[2] + X[3])
    return KronSum(tree, terms), M, TTN.from_dense(tree, values / np.linalg.norm(values), 1e-11)
