"""Parametric systems whose answers are known: published by libMesh, or measured once.

Every maker returns a `Problem`. mu is a mapping from name to value. `python -m pytest tests/rom/test_systems.py` checks the
definitions themselves with dense NumPy.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True)
class Problem:
    """A(mu) u = b(mu), and what may be told about it.

    box: name -> (low, high). assemble(mu) -> (A, b) or (A, b, L), outputs L @ u. train: (m, p), columns in the order of box.
    thetas and terms: A(mu) = sum_q thetas[q](mu) terms[q], where that is so. functions and points: A(mu) is linear in the
    values functions[r](points[r], mu); rhs_functions and rhs_points the same for b. X: inner product. alpha(mu): a rigorous
    lower bound of the coercivity constant of A in X. known: what is published or was measured.
    """

    box: dict[str, tuple[float, float]]
    assemble: Callable[[Mapping[str, Any]], tuple]
    train: np.ndarray
    thetas: tuple[Callable, ...] = ()
    terms: tuple = ()
    functions: tuple[Callable, ...] = ()
    points: tuple[np.ndarray, ...] = ()
    rhs_functions: tuple[Callable, ...] = ()
    rhs_points: tuple[np.ndarray, ...] = ()
    X: Any = None
    alpha: Callable[[Mapping[str, Any]], Any] | None = None
    known: SimpleNamespace = field(default_factory=SimpleNamespace)

    def at(self, row: np.ndarray) -> dict[str, float]:
        """The mapping of a row of `train`, or of any row in its order."""
        return dict(zip(self.box, map(float, row), strict=True))


def affine(terms: tuple, thetas: tuple[Callable, ...], *rest: Any) -> Callable:
    """assemble of an affine operator, the rest of what it returns being the same at every mu."""

    def assemble(mu: Mapping[str, Any]) -> tuple:
        return (sum(theta(mu) * A for theta, A in zip(thetas, terms, strict=True)).tocsr(), *rest)

    return assemble


def grid(*axes: np.ndarray) -> np.ndarray:
    """All combinations, the first axis slowest."""
    return np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")], axis=1)


# -- Pieces in one dimension -----------------------------------------------------------------------------------------------


def elements(n: int, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """int w u'v', int w u v, int w u'v of n linear elements on ]0, 1[ (row: v), all n + 1 nodes, w constant in each."""
    w, h, e = np.ones(n) if weights is None else weights, 1 / n, np.arange(n)
    found = np.zeros((3, n + 1, n + 1))
    local = np.array([[[1, -1], [-1, 1]], [[2, 1], [1, 2]], [[-1, 1], [-1, 1]]]) * np.array([1 / h, h / 6, 1 / 2])[:, None, None]
    for i in (0, 1):
        for j in (0, 1):
            np.add.at(found, (slice(None), e + i, e + j), local[:, i, j, None] * w)
    return found[0], found[1], found[2]


def load(n: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """int v over the elements whose centre is in [low, high]."""
    centres = (np.arange(n) + 0.5) / n
    inside = ((low <= centres) & (centres <= high)) / (2 * n)
    return np.r_[inside, 0] + np.r_[0, inside]


def box_means(n: int, low: float, high: float) -> np.ndarray:
    """(4, n + 1, n + 1): means over the boxes with sides [low, high] or [1 - high, 1 - low], in libMesh's order."""
    right, left = load(n, low, high), load(n, 1 - high, 1 - low)
    pairs = ((right, right), (left, right), (left, left), (right, left))
    return np.array([np.outer(x, y) for x, y in pairs]) / (high - low) ** 2


# -- libMesh ---------------------------------------------------------------------------------------------------------------


def libmesh_ex1() -> Problem:
    """reduced_basis_ex1: .05 (grad u, grad v) + x_vel (u_x, v) + y_vel (u_y, v) = (1, v), 50 x 50 bilinear elements, u = 0 all
    around, X the stiffness matrix, and so alpha = .05. Unknowns: x slow, y fast."""
    n, inner = 50, slice(1, -1)
    K, M, C = (sp.csr_array(Z[inner, inner]) for Z in elements(n))
    X, Bx, By = (sp.csr_array(Z) for Z in (sp.kron(K, M) + sp.kron(M, K), sp.kron(C, M), sp.kron(M, C)))
    f, L = np.kron(load(n)[inner], load(n)[inner]), box_means(n, 0.7, 0.8)[:, inner, inner].reshape(4, -1)
    thetas = (lambda mu: 0.05, lambda mu: mu["x_vel"], lambda mu: mu["y_vel"])
    side = np.linspace(-2, 2, 10)
    train = grid(side, side)
    order = [(-9, -9), (9, 9), (-9, 9), (9, -9), (1, 1), (-3, -1), (1, -3), (-1, 5), (7, -1), (-9, 1), (-1, -9), (-1, 1),
             (5, 5), (1, 9), (3, -1), (-5, 3), (5, -5), (-3, -5), (-1, -1), (1, 3)]  # fmt: skip
    known = SimpleNamespace(
        bounds=np.array([
            3.74824, 6.67625, 5.18295, 3.59028, 2.71338, 2.50784, 2.15653, 1.71352, 1.61442, 1.09712, 0.9794, 0.763958,
            0.616746, 0.530181, 0.475932, 0.440399, 0.423537, 0.408558, 0.333764, 0.196867, 0.191475,
        ]),  # before each step and after the last
        order=[10 * ((a + 9) // 2) + (b + 9) // 2 for a, b in order],  # libMesh's choices, as indices of train
        mu={"x_vel": -2.0, "y_vel": 0.79}, outputs=np.array([0.12248, 0.370889, 0.254934, 0.114764]), output_bound=0.0659666,
        output_dual_norm=0.323675**0.5,
    )  # fmt: skip
    return Problem(
        {"x_vel": (-2.0, 2.0), "y_vel": (-2.0, 2.0)}, affine((X, Bx, By), thetas, f, L), train, thetas, (X, Bx, By), X=X,
        alpha=lambda mu: 0.05, known=known,
    )  # fmt: skip


def libmesh_ex2() -> Problem:
    """reduced_basis_ex2: mu_0 (grad u, grad v) left of x = .48, mu_1 right of it, - mu_2 (u, v_x), f = 1, u = 0 on the left side
    alone, 25 x 25 bilinear elements, X the product of H1.

    libMesh's source splits at .5 by the centre of the element, and the middle column, whose centre is .5, is on the right; its
    convection is - (u, v_x), not - (u_x, v): on the right side, where u is free, they differ, and only this one gives the
    published outputs. Its symmetric part is negative: A is not coercive by min-theta.
    """
    n, keep = 25, slice(1, None)
    left = np.arange(n) < 12
    K, M, C = elements(n)

    def stiffness(weights: np.ndarray) -> Any:
        Kx, Mx, _ = (Z[keep, keep] for Z in elements(n, weights * 1.0))
        return sp.csr_array(sp.kron(Kx, M) + sp.kron(Mx, K))

    A0, A1, A2 = stiffness(left), stiffness(~left), sp.csr_array(-sp.kron(C.T[keep, keep], M))
    f, L = np.kron(load(n)[keep], load(n)), box_means(n, 0.72, 0.88)[:, keep].reshape(4, -1)
    thetas = tuple(lambda mu, name=name: mu[name] for name in ("mu_0", "mu_1", "mu_2"))
    known = SimpleNamespace(
        mu={"mu_0": 0.2, "mu_1": 0.7, "mu_2": 0.1}, outputs=np.array([2.3524, 0.944943, 0.944943, 2.3524]),
        output_bounds=np.array([8.049e-4, 4.956e-4, 4.956e-4, 8.049e-4]), smallest=-0.380786,
    )  # fmt: skip
    box = {"mu_0": (0.1, 1.0), "mu_1": (0.1, 1.0), "mu_2": (0.01, 0.1)}
    train = np.random.default_rng(2_207).uniform(*np.array(list(box.values())).T, (100, 3))
    X = sp.csr_array(A0 + A1 + sp.kron(M[keep, keep], M))
    return Problem(box, affine((A0, A1, A2), thetas, f, L), train, thetas, (A0, A1, A2), X=X, known=known)


# -- One dimension ---------------------------------------------------------------------------------------------------------


def reaction_1d() -> Problem:
    """-u'' + mu u = 1 on ]0, 1[, u = 0 at both ends, 200 linear elements, X = stiffness, alpha = 1.

    A greedy basis on `train` has the figures of known: N -> (largest true error, largest exact bound) over `tests`, both
    divided by the norm of u in X. An error below 1e-12 is the rounding of the solves."""
    inner = slice(1, -1)
    K, M, _ = (sp.csr_array(Z[inner, inner]) for Z in elements(200))
    thetas = (lambda mu: 1.0, lambda mu: mu["mu"])
    known = SimpleNamespace(
        tests=10 ** np.random.default_rng(12).uniform(0, 3, (100, 1)),
        errors={6: (6.5e-5, 9.7e-5), 8: (3.0e-7, 3.6e-7), 10: (5.3e-10, 6.4e-10), 12: (7.5e-13, 2.5e-13)},
    )
    train = np.geomspace(1, 1000, 200)[:, None]
    return Problem(
        {"mu": (1.0, 1000.0)}, affine((K, M), thetas, load(200)[inner]), train, thetas, (K, M), X=K, alpha=lambda mu: 1.0, known=known,
    )  # fmt: skip


def gaussian_1d() -> Problem:
    """-((1 + 10 exp(-(x - centre)^2 / .02)) u')' + sigma u = 1 on ]0, 1[, u = 0 at both ends, 400 linear elements, the
    coefficient taken at their midpoints.

    Interpolate the three functions together: 1 and sigma / 100 at one point each, the Gaussian at 400. That scaling gives the
    figures of known: d -> (largest interpolation error over train, cond F). X = A at `bar`, with the pointwise alpha.
    """
    n, inner = 400, slice(1, -1)
    x, one = ((np.arange(n) + 0.5) / n)[:, None], np.zeros((1, 1))
    M = sp.csr_array(elements(n)[1][inner, inner])
    D = sp.diags_array([np.ones(n), -np.ones(n - 1)], offsets=[0, -1], shape=(n, n - 1)).tocsr() * n  # derivative in each cell

    def bump(x: np.ndarray, mu: Mapping[str, Any]) -> np.ndarray:
        return np.exp(-((x[:, 0] - mu["centre"]) ** 2) / 0.02)

    def matrix(mu: Mapping[str, Any]) -> Any:
        return (D.T @ sp.diags_array((1 + 10 * bump(x, mu)) / n) @ D + mu["sigma"] * M).tocsr()

    def alpha(mu: Mapping[str, Any]) -> Any:
        ratios = (1 + 10 * np.exp(-((x - mu["centre"]) ** 2) / 0.02)) / (1 + 10 * bump(x, bar))[:, None]
        return np.minimum(ratios.min(axis=0), np.asarray(mu["sigma"]) / bar["sigma"])

    bar = {"centre": 0.5, "sigma": 30.0}
    functions = (lambda x, mu: np.ones(len(x)), bump, lambda x, mu: np.full(len(x), mu["sigma"] / 100))
    known = SimpleNamespace(
        bar=bar,
        interpolation={5: (8.88e-1, 5.5), 10: (8.13e-2, 95), 15: (9.12e-4, 1.0e4), 20: (9.55e-7, 1.6e6), 25: (2.29e-9, 9.2e9), 30: (1.1e-13, 1.7e13)},
        matrix_errors={5: 8.0e-1, 10: 7.4e-2, 15: 8.2e-4, 20: 8.9e-7, 25: 2.2e-9, 30: 9.9e-14},  # largest, of the largest entry
        solution_errors={5: 3.8e-1, 10: 8.4e-2, 15: 8.7e-4, 20: 8.8e-7, 25: 2.2e-10, 30: 6.4e-12},
    )  # fmt: skip
    return Problem(
        {"centre": (0.1, 0.9), "sigma": (1.0, 100.0)}, lambda mu: (matrix(mu), load(n)[inner]),
        grid(np.linspace(0.1, 0.9, 81), np.linspace(1, 100, 12)), functions=functions, points=(one, x, one), X=matrix(bar),
        alpha=alpha, known=known,
    )  # fmt: skip


# -- Boundary elements -----------------------------------------------------------------------------------------------------


def icosphere(refinement: int) -> np.ndarray:
    """Triangles (t, 3, 3) of an icosahedron on the unit sphere, each cut into four `refinement` times."""
    p = (1 + 5**0.5) / 2
    corners = [(a, b * p, 0) for a in (-1, 1) for b in (-1, 1)]
    V = np.array([np.roll(corner, k) for k in range(3) for corner in corners]) / np.hypot(1, p)
    near = np.linalg.norm(V[:, None] - V, axis=2) < 1.1
    T = V[[(i, j, k) for i in range(12) for j in range(i) for k in range(j) if near[i, j] and near[j, k] and near[i, k]]]
    for _ in range(refinement):
        mid = T + np.roll(T, -1, axis=1)
        mid /= np.linalg.norm(mid, axis=2, keepdims=True)
        cut = [np.stack([T[:, i], mid[:, i], mid[:, i - 1]], axis=1) for i in range(3)]
        T = np.concatenate([*cut, mid])
    return T


def inverse_distance(P: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """int 1/r over the triangles (0, P, Q), r from 0."""
    along = (Q - P) / np.linalg.norm(Q - P, axis=1, keepdims=True)
    a, b = np.sum(P * along, axis=1), np.sum(Q * along, axis=1)
    h = np.linalg.norm(P - a[:, None] * along, axis=1)
    return h * (np.arcsinh(b / h) - np.arcsinh(a / h))


def sphere(refinement: int = 3) -> Problem:
    """Sound scattered by the unit sphere: the single layer int exp(i k r) / (4 pi r), collocated at the centroids of
    20 * 4^refinement triangles, one point each; the right-hand side is the plane wave exp(i k z). Complex, dense.

    On its own triangle: 1/r exactly, and (exp(i k r) - 1)/r at the midpoints of the sides. So A is linear in exp(i k r) at the
    distances that `points` holds, each once, among them 0, where the value is 1: sum beta = 1 follows.
    known.matrix_errors: d -> largest relative error in Frobenius' norm. All moduli are 1 at the start: the first pair is a
    tie, and its choice moves the figures by a factor of 4 either way (d = 10: 9e-9 to 1e-7). The continuous operator is
    singular at k = pi, 4.493, 5.763, this one near there.
    """
    T = icosphere(refinement)
    c, sides = T.mean(axis=1), (T + np.roll(T, -1, axis=1)) / 2
    area = np.linalg.norm(np.cross(T[:, 1] - T[:, 0], T[:, 2] - T[:, 0]), axis=1) / 2
    E = T - c[:, None]
    own = sum(inverse_distance(E[:, i - 1], E[:, i]) for i in range(3))
    near, far = np.linalg.norm(sides - c[:, None], axis=2), np.linalg.norm(c[:, None] - c, axis=2)
    safe = far + np.eye(len(c))

    def assemble(mu: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        A = np.exp(1j * mu["k"] * far) / safe * area
        np.fill_diagonal(A, own + np.sum((np.exp(1j * mu["k"] * near) - 1) / near, axis=1) * area / 3)
        return A / (4 * np.pi), np.exp(1j * mu["k"] * c[:, 2])

    distances = np.r_[0.0, near.ravel(), far[np.triu_indices(len(c), 1)]]
    _, first = np.unique(distances.round(11), return_index=True)
    known = SimpleNamespace(
        matrix_errors={4: 8.0e-2, 6: 6.2e-4, 8: 6.7e-6, 10: 8.9e-9, 12: 6.6e-11, 14: 7.7e-14},
        solution_errors={6: 1.9e-2, 10: 8.6e-4, 14: 2.2e-7, 18: 1.3e-8},  # N -> largest, POD of 24 solves, d = 14
    )
    return Problem(
        {"k": (1.0, 6.0)}, assemble, np.linspace(1, 6, 201)[:, None],
        functions=(lambda x, mu: np.exp(1j * mu["k"] * x[:, 0]),), points=(distances[first][:, None],),
        rhs_functions=(lambda x, mu: np.exp(1j * mu["k"] * x[:, 2]),), rhs_points=(c,), known=known,
    )  # fmt: skip


# -- Thermal block ---------------------------------------------------------------------------------------------------------


def thermal_block(n: int, blocks: tuple[int, int] = (2, 2)) -> Problem:
    """-div(sum_q mu_q 1_q grad u) = 1 on the unit square of blocks[0] x blocks[1] blocks, u = 0 all around: pyMOR's example.

    Linear elements on n x n squares, each cut into four by its diagonals; a triangle belongs to the block of its centroid.
    X is the sum of all terms (H1_0), so alpha = min_q mu_q. Names d0, d1, ...: blocks row by row from below, as pyMOR's.
    n = 100: 20,201 nodes, of which 19,801 are unknown.
    """
    node = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)  # [y, x]
    a, b, c, d = node[:-1, :-1].ravel(), node[:-1, 1:].ravel(), node[1:, 1:].ravel(), node[1:, :-1].ravel()
    centre = (n + 1) ** 2 + np.arange(n * n)
    y, x = np.divmod(node.ravel(), n + 1)
    yc, xc = np.divmod(np.arange(n * n), n)
    points = np.stack([np.r_[x, xc + 0.5], np.r_[y, yc + 0.5]], axis=1) / n
    T = np.concatenate([np.stack([p, q, centre], axis=1) for p, q in ((a, b), (b, c), (c, d), (d, a))])
    inner = np.flatnonzero(((points > 0) & (points < 1)).all(axis=1))
    block = np.minimum((points[T].mean(axis=1) * blocks).astype(int), np.array(blocks) - 1)
    owner = block[:, 0] + blocks[0] * block[:, 1]
    G = opposite_sides(points[T])
    area = 1 / (4 * n * n)
    local = G @ G.transpose(0, 2, 1) / (4 * area)
    rows, columns = np.repeat(T, 3, axis=1).ravel(), np.tile(T, (1, 3)).ravel()

    def term(q: int) -> Any:
        values = np.where((owner == q)[:, None, None], local, 0.0).ravel()
        A = sp.csr_array((values, (rows, columns)), shape=(len(points), len(points)))[inner][:, inner]
        A.eliminate_zeros()
        return A

    f = np.bincount(T.ravel(), minlength=len(points))[inner] * area / 3
    count = blocks[0] * blocks[1]
    terms = tuple(term(q) for q in range(count))
    names = [f"d{q}" for q in range(count)]
    thetas = tuple(lambda mu, name=name: mu[name] for name in names)
    return Problem(
        dict.fromkeys(names, (0.1, 1.0)), affine(terms, thetas, f), np.random.default_rng(77).uniform(0.1, 1, (500, count)),
        thetas, terms, X=sum(terms), alpha=lambda mu: np.minimum.reduce([mu[name] for name in names]),
        known=SimpleNamespace(points=points[inner]),
    )  # fmt: skip


def opposite_sides(P: np.ndarray) -> np.ndarray:
    """(t, 3, 2): the side opposite to each corner; its rotation by a right angle, over twice the area, is the gradient."""
    return np.roll(P, -2, axis=1) - np.roll(P, -1, axis=1)
