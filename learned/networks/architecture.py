"""A graph network as a record of numbers, and its forward pass in NumPy: the twin of `compiled`, which a set-up runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import erf

from ..graph import Graph, graph
from .checks import check_weights

OF_A = (4, 3)  # features of a node and an edge that A alone tells
NORM_EPSILON = 1e-5
ACTIVATIONS = ("relu", "gelu")
BLOCK = 2048  # rows


@dataclass(frozen=True, slots=True)
class Architecture:
    """An encode-process-decode network on the graph of A: what it reads, and its size.

    coordinates: their number a node, 0 if it reads none; node_features, edge_features: how many; right_hand_side: whether a node
    also reads b. `steps` rounds of e_ij <- MLP(e_ij, x_j, x_i), x_i <- MLP(sum_j e_ij, x_i), with one hidden layer of `width` and
    `activation`; residual: both are added to what was there, after a LayerNorm. Encoders end in a LayerNorm. A scalar is decoded
    for every node and every edge; pooled: an edge's decoder also reads the mean over all edges.
    """

    coordinates: int = 0
    node_features: int = 0
    edge_features: int = 0
    right_hand_side: bool = False
    width: int = 16
    steps: int = 5
    activation: str = "relu"
    residual: bool = False
    pooled: bool = False

    def __post_init__(self) -> None:
        for what, least in (("coordinates", 0), ("node_features", 0), ("edge_features", 0), ("width", 1), ("steps", 1)):
            value = getattr(self, what)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 4096:
                raise ValueError(f"{what} must be an integer from {least} to 4096; got {value!r}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}; got {self.activation!r}")
        if not all(isinstance(value, bool) for value in (self.right_hand_side, self.residual, self.pooled)):
            raise ValueError("right_hand_side, residual and pooled must be True or False")

    @property
    def nodes(self) -> int:
        """Features a node."""
        return OF_A[0] + self.coordinates + self.node_features + self.right_hand_side

    @property
    def edges(self) -> int:
        """Features an edge."""
        return OF_A[1] + (self.coordinates > 0) + self.edge_features

    def blocks(self) -> dict[str, tuple[int, int, bool]]:
        """name -> (inputs, outputs, whether a LayerNorm ends it) of every MLP."""
        w, ends = self.width, self.residual
        steps: dict[str, tuple[int, int, bool]] = {}
        for k in range(self.steps):
            steps |= {f"steps.{k}.edge_mlp": (3 * w, w, ends), f"steps.{k}.node_mlp": (2 * w, w, ends)}
        coders = {"node_encoder": (self.nodes, w, True), "edge_encoder": (self.edges, w, True)}
        return coders | steps | {"edge_decoder": (w * (1 + self.pooled), 1, False), "node_decoder": (w, 1, False)}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """name -> shape of every array of weights, as torch names them."""
        found: dict[str, tuple[int, ...]] = {}
        for name, (inputs, outputs, normalised) in self.blocks().items():
            found |= {f"{name}.0.weight": (self.width, inputs), f"{name}.0.bias": (self.width,)}
            found |= {f"{name}.2.weight": (outputs, self.width), f"{name}.2.bias": (outputs,)}
            found |= {f"{name}.3.weight": (outputs,), f"{name}.3.bias": (outputs,)} if normalised else {}
        return found

    def graph(self, A: Any, coordinates: Any, node_features: Any, edge_features: Any) -> Graph:
        """The graph of A with the features this network reads, others left out; ValueError if one is missing."""
        given = {"coordinates": coordinates, "node_features": node_features, "edge_features": edge_features}
        for what, values in given.items():
            wanted = getattr(self, what)
            got = 0 if values is None else len(values) if what == "edge_features" else np.shape(values)[-1]
            if wanted and got != wanted:
                raise ValueError(
                    f"this network was trained with {what}, {wanted} of them; got {got or 'none'}: give them with "
                    f"M.bind({what}=...)(A), or use a network that reads A alone"
                )
        return graph(A, **{what: values if getattr(self, what) else None for what, values in given.items()})


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """An architecture with its weights, float64, by the names of `architecture.shapes()`.

    ValueError if an array is missing, of another shape or not finite.
    """

    architecture: Architecture
    weights: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        check_weights(self.weights, self.architecture.shapes(), "this architecture")

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.architecture.shapes().values())

    def __call__(self, known: Graph, b: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The scalars of the nodes (n,) and the edges (m,); b (n,) where it reads a right-hand side, None for zero.

        O((n + m) width^2 steps) flops; memory: 4 width numbers an edge.
        """
        a, n, m = self.architecture, known.size, len(known.rows)
        features = known.nodes
        if a.right_hand_side:
            features = np.column_stack([features, np.zeros(n) if b is None else b])
        starts = np.concatenate([[0], np.cumsum(np.bincount(known.rows, minlength=n))])
        gather = sp.csr_array((np.ones(m), np.arange(m), starts), shape=(n, m))  # sums over the edges of a node
        x, e = self.mlp("node_encoder", features), self.mlp("edge_encoder", known.edges)
        for k in range(a.steps):
            # The first layer of (e, x_j, x_i) by parts: what belongs to a node is multiplied once, not for every edge.
            by_edge, by_source, by_target = np.split(self.weights[f"steps.{k}.edge_mlp.0.weight"].T, 3)
            new = self.edge_mlp(k, e, (x @ by_source, known.columns), (x @ by_target, known.rows), by_edge)
            e = e + new if a.residual else new
            new = self.mlp(f"steps.{k}.node_mlp", np.concatenate([gather @ e, x], axis=1))
            x = x + new if a.residual else new
        read = np.concatenate([e, np.broadcast_to(e.mean(axis=0) if m else e.sum(axis=0), e.shape)], axis=1) if a.pooled else e
        return self.mlp("node_decoder", x)[:, 0], self.mlp("edge_decoder", read)[:, 0]

    def edge_mlp(self, k: int, e: np.ndarray, source: tuple, target: tuple, by_edge: np.ndarray) -> np.ndarray:
        """MLP(e_ij, x_j, x_i) from the products of the nodes with the first layer, and where an edge finds them."""
        (x_j, j), (x_i, i) = source, target
        return in_blocks(len(e), lambda at: self.after_first(f"steps.{k}.edge_mlp", e[at] @ by_edge + x_j[j[at]] + x_i[i[at]]))

    def mlp(self, block: str, x: np.ndarray) -> np.ndarray:
        first = self.weights[f"{block}.0.weight"].T
        return in_blocks(len(x), lambda at: self.after_first(block, x[at] @ first))

    def after_first(self, block: str, inner: np.ndarray) -> np.ndarray:
        """An MLP from the products of its first layer on, which it overwrites."""
        inner += self.weights[f"{block}.0.bias"]
        y = activated(inner, self.architecture.activation) @ self.weights[f"{block}.2.weight"].T
        y += self.weights[f"{block}.2.bias"]
        if f"{block}.3.weight" not in self.weights:
            return y
        y -= y.mean(axis=1, keepdims=True)
        y *= self.weights[f"{block}.3.weight"] / np.sqrt(np.square(y).mean(axis=1, keepdims=True) + NORM_EPSILON)
        y += self.weights[f"{block}.3.bias"]
        return y


def in_blocks(rows: int, function: Callable[[slice], np.ndarray]) -> np.ndarray:
    """function of all rows, a few at a time: what lies between two layers stays in the cache."""
    return np.concatenate([function(slice(low, low + BLOCK)) for low in range(0, max(rows, 1), BLOCK)])


def activated(x: np.ndarray, activation: str) -> np.ndarray:
    return np.maximum(x, 0.0) if activation == "relu" else 0.5 * x * (1.0 + erf(x / math.sqrt(2.0)))


def untrained(architecture: Architecture, seed: int) -> Network:
    """Weights drawn uniformly from +-1 / sqrt(inputs); the last layers of both decoders are zero, and so is the output."""
    rng = np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}
    for name, shape in architecture.shapes().items():
        block, layer, what = name.rsplit(".", 2)
        inputs = architecture.width if layer == "2" else architecture.blocks()[block][0]
        drawn = rng.uniform(-1, 1, shape) / math.sqrt(inputs)
        last = layer == "2" and block.endswith("_decoder")
        weights[name] = np.full(shape, float(what == "weight")) if layer == "3" else drawn * (not last)
    return Network(architecture, weights)
