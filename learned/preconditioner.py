"""Graph networks as recipes: a network reads the graph of A once, at set-up; what is applied are compiled sweeps and products."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from .factors import EPSILON, TriangularFactors, check_epsilon, sparse_inverse, triangular
from .families import family
from .graph import Graph
from .networks.architecture import Architecture, Network, untrained
from .probe import defect
from .recipe import fallen_back, told


@dataclass(frozen=True, slots=True, eq=False)
class GraphFactor:
    """The recipe for M = (L L^T)^-1 with L on the pattern of the lower triangle of A, its entries from a graph network.

    The scalars of the edges (i, j) and (j, i) of S A S, S = diag(A)^-1/2, are averaged and added to the start; L_ij is sqrt(a_ii)
    times that, its row shrunk where sum_j |L_ij| would exceed sqrt(a_ii); L_ii = sqrt(a_ii). M is symmetric positive definite
    whatever the weights.

    Parameters
    ----------
    network : Network
        Trained by `petrov.learned.train`, or `GraphFactor.untrained(...).network`.
    start : 'gauss-seidel' or 'jacobi'
        What the network adds to: the entries of S A S, which make M symmetric Gauss-Seidel where no row is shrunk, or nothing,
        as in the paper.
    coordinates, node_features, edge_features
        What `bind` was given; those that the network does not read are left out.

    Notes
    -----
    Called with A (stored, real, symmetric, positive diagonal) it runs the network in single precision, and returns what is
    applied by the two triangular sweeps of IC(0). If the network reads right-hand sides, M.guess(b) is its prediction of x. M is
    probed (finite, symmetric, positive); if that fails, Jacobi is returned with a RuntimeWarning that says why. Raises what
    `graph` raises, and ValueError if a feature is missing.

    Li, Chen, Du and Matusik, Learning preconditioners for conjugate gradient PDE solvers (ICML 2023). Ours differs: A is scaled
    to a unit diagonal, so features and entries have no units; M does not depend on b (their nodes read it), which enters the
    prediction of x alone; rows are bounded; the decoders start at zero, so that training begins at a known method.

    Examples
    --------
    >>> from petrov.learned import GraphFactor
    >>> from petrov.solvers import cg, problems
    >>> problem = problems.poisson(16)
    >>> M = GraphFactor.untrained(coordinates=2).bind(coordinates=problem.coordinates)
    >>> cg(problem.A, problem.b, M=M).converged
    True
    """

    network: Network
    start: str = "gauss-seidel"
    coordinates: Any = None
    node_features: Any = None
    edge_features: Any = None

    name = "graph factor"
    kind = "graph-factor"

    def __post_init__(self) -> None:
        if self.start not in ("gauss-seidel", "jacobi"):
            raise ValueError(f"start must be 'gauss-seidel' or 'jacobi'; got {self.start!r}")

    @classmethod
    def untrained(
        cls, *, coordinates: int = 0, node_features: int = 0, edge_features: int = 0, guess: bool = False, width: int = 16,
        steps: int = 5, seed: int = 28_657, start: str = "gauss-seidel",
    ) -> GraphFactor:  # fmt: skip
        """The network of the paper before training, by how many features of each kind it reads (0: of A alone)."""
        architecture = Architecture(coordinates, node_features, edge_features, guess, width, steps, "relu", False, True)
        return cls(untrained(architecture, seed), start)

    def bind(self, *, coordinates: Any = None, node_features: Any = None, edge_features: Any = None, **_: Any) -> GraphFactor:
        """The recipe told what A alone cannot tell; what it knew and is not told again stays."""
        return told(self, coordinates=coordinates, node_features=node_features, edge_features=edge_features)

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        return self.network.weights

    def with_weights(self, weights: Mapping[str, np.ndarray]) -> GraphFactor:
        """The same recipe with other weights; ValueError if they are not of its architecture."""
        return replace(self, network=replace(self.network, weights=weights))

    def description(self) -> dict[str, Any]:
        """What makes the recipe again, with the weights; what `bind` gave is not kept."""
        return {"architecture": asdict(self.network.architecture), "start": self.start, "bounds": {"row_sum": 1.0}}

    @classmethod
    def described(cls, description: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> GraphFactor:
        """The inverse of `description`; KeyError, TypeError or ValueError if it describes none."""
        network = Network(architecture_of(description["architecture"]), weights)
        return cls(network, description["start"])

    def small(self) -> Any:
        """The recipe applied to a system of 64 unknowns, with features of the number that it reads."""
        return probed(self)

    @property
    def module(self) -> Any:
        """The network as a torch module, its weights copied; needs torch and PyG."""
        from .networks.message_passing import module_of

        return module_of(self.network)

    def __call__(self, A: Any) -> Any:
        known = self.network.architecture.graph(A, self.coordinates, self.node_features, self.edge_features)
        edges = compiled(self.network, known)[1]
        off = 0.5 * (edges + edges[known.reverse]) + (known.values if self.start == "gauss-seidel" else 0.0)
        if not np.isfinite(off).all():
            return fallen_back(self.name, A, "the network gives NaN or infinity")
        M: Any = triangular(known, off, self.name)
        if self.network.architecture.right_hand_side:
            M = GuessingFactors(M, self.network, known)
        return fallen_back(self.name, A, found) if (found := defect(M)) else M


@dataclass(frozen=True, slots=True, eq=False)
class GuessingFactors:
    """M = (L L^T)^-1, and the network's prediction of x as a first guess."""

    factors: TriangularFactors
    network: Network
    graph: Graph
    linear: bool = True
    spd: bool | None = True

    @property
    def shape(self) -> tuple[int, int]:
        return self.factors.shape

    @property
    def dtype(self) -> np.dtype:
        return self.factors.dtype

    @property
    def name(self) -> str:
        return self.factors.name

    @property
    def H(self) -> GuessingFactors:
        return self

    @property
    def nbytes(self) -> int:
        return self.factors.nbytes

    def __matmul__(self, r: Any) -> np.ndarray:
        return self.factors @ r

    def guess(self, b: Any) -> np.ndarray:
        """A first guess x0 (n,) or (n, k) for A x = b: homogeneous of degree one in b. One forward pass a column."""
        b = np.asarray(b)
        if b.ndim not in (1, 2) or len(b) != self.graph.size:
            raise ValueError(f"b must have shape ({self.graph.size},) or ({self.graph.size}, k); got {b.shape}")
        columns = b.reshape(len(b), -1)
        x = [predicted(self.network, self.graph, columns[:, k]) for k in range(columns.shape[1])]
        return (np.stack(x, axis=1) if x else columns).reshape(b.shape).astype(b.dtype, copy=False)

    def __repr__(self) -> str:
        return repr(self.factors)


def predicted(network: Network, known: Graph, b: np.ndarray) -> np.ndarray:
    """x = S y |S b| / sqrt(n), y the scalars of the nodes for a right-hand side S b of mean square one."""
    scaled = known.scale * b
    size = float(np.linalg.norm(scaled)) / max(known.size, 1) ** 0.5
    if size == 0.0:
        return np.zeros_like(scaled)
    return known.scale * network(known, scaled / size)[0] * size


def compiled(network: Network, known: Graph) -> tuple[np.ndarray, np.ndarray]:
    """The scalars of the nodes (n,) and the edges (m,) to single precision: 0.09 s for 60,000 nodes of the paper's network."""
    from .networks.compiled import forward

    return forward(network, known)


@dataclass(frozen=True, slots=True, eq=False)
class SparseInverseNetwork:
    """The recipe for M = S (G G^T + epsilon I) S with G on the pattern of A, its entries from a graph network.

    G = I - c E + (scalars of the nodes on the diagonal, of the edges off it), S A S = I + E with a unit diagonal: for c = 1/2 the
    network corrects the Neumann factor, from which training starts. M is symmetric positive definite whatever the weights.

    Parameters
    ----------
    network : Network
        Trained by `petrov.learned.train`, or `SparseInverseNetwork.untrained(...).network`.
    epsilon : float
        Positive.
    start : float
        c. Linear elements in 2-D need a fifth fewer iterations with 1.1 than with 1/2, and in 3-D more than twice as many.
    coordinates, node_features, edge_features
        What `bind` was given; those that the network does not read are left out.

    Notes
    -----
    Called with A (stored, real, symmetric, positive diagonal) it runs the network in single precision, and returns what is
    applied by two products. M is probed (finite, symmetric, positive); if that fails, Jacobi is returned with a RuntimeWarning
    that says why. Raises what `graph` raises, ValueError if a feature is missing. Yang, Li, Lyu, Li, Du and Liu, Learning sparse
    approximate inverse preconditioners for conjugate gradient solvers on GPUs (NeurIPS 2025); the start and the scaling are ours.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.learned import NeumannFactor, SparseInverseNetwork
    >>> from petrov.solvers import problems
    >>> A, b = problems.poisson(16)[:2]
    >>> bool(np.allclose(SparseInverseNetwork.untrained()(A) @ b, NeumannFactor()(A) @ b))
    True
    """

    network: Network
    epsilon: float = EPSILON
    start: float = 0.5
    coordinates: Any = None
    node_features: Any = None
    edge_features: Any = None

    name = "sparse inverse net"
    kind = "sparse-inverse-network"

    def __post_init__(self) -> None:
        check_epsilon(self.epsilon)
        if not math.isfinite(self.start):
            raise ValueError(f"start must be finite; got {self.start!r}")

    @classmethod
    def untrained(
        cls, *, coordinates: int = 0, node_features: int = 0, edge_features: int = 0, width: int = 24, steps: int = 4,
        seed: int = 28_657, epsilon: float = EPSILON, start: float = 0.5,
    ) -> SparseInverseNetwork:  # fmt: skip
        """The network of the paper before training, by how many features of each kind it reads (0: of A alone)."""
        architecture = Architecture(coordinates, node_features, edge_features, False, width, steps, "gelu", True, False)
        return cls(untrained(architecture, seed), epsilon, start)

    def bind(
        self, *, coordinates: Any = None, node_features: Any = None, edge_features: Any = None, **_: Any
    ) -> SparseInverseNetwork:  # fmt: skip
        """The recipe told what A alone cannot tell; what it knew and is not told again stays."""
        return told(self, coordinates=coordinates, node_features=node_features, edge_features=edge_features)

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        return self.network.weights

    def with_weights(self, weights: Mapping[str, np.ndarray]) -> SparseInverseNetwork:
        """The same recipe with other weights; ValueError if they are not of its architecture."""
        return replace(self, network=replace(self.network, weights=weights))

    def description(self) -> dict[str, Any]:
        """What makes the recipe again, with the weights; what `bind` gave is not kept."""
        told = {"architecture": asdict(self.network.architecture), "start": self.start}
        return {**told, "bounds": {"epsilon": self.epsilon}}

    @classmethod
    def described(cls, description: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> SparseInverseNetwork:
        """The inverse of `description`; KeyError, TypeError or ValueError if it describes none."""
        network = Network(architecture_of(description["architecture"]), weights)
        return cls(network, float(description["bounds"]["epsilon"]), float(description["start"]))

    def small(self) -> Any:
        """The recipe applied to a system of 64 unknowns, with features of the number that it reads."""
        return probed(self)

    @property
    def module(self) -> Any:
        """The network as a torch module, its weights copied; needs torch and PyG."""
        from .networks.message_passing import module_of

        return module_of(self.network)

    def __call__(self, A: Any) -> Any:
        known = self.network.architecture.graph(A, self.coordinates, self.node_features, self.edge_features)
        nodes, edges = compiled(self.network, known)
        if not (np.isfinite(nodes).all() and np.isfinite(edges).all()):
            return fallen_back(self.name, A, "the network gives NaN or infinity")
        M = sparse_inverse(known, 1.0 + nodes, edges - self.start * known.values, self.epsilon, self.name)
        return fallen_back(self.name, A, found) if (found := defect(M)) else M


def architecture_of(given: Any) -> Architecture:
    """From its JSON value; ValueError if that holds other numbers."""
    if not isinstance(given, dict) or set(given) != {field.name for field in fields(Architecture)}:
        raise ValueError("its architecture is not described by the numbers that this petrov knows")
    return Architecture(**given)


def probed(recipe: GraphFactor | SparseInverseNetwork) -> Any:
    a = recipe.network.architecture
    system = family("fv3d" if a.coordinates == 3 else "fv2d").system(64, 11)
    features = np.zeros((system.A.shape[0], a.node_features))
    points = np.resize(system.coordinates, (len(features), a.coordinates or 1))
    return recipe.bind(coordinates=points, node_features=features, edge_features=[system.A] * a.edge_features)(system.A)
