"""The forward pass of a graph network in single precision, compiled: what a set-up runs. `Network` is its readable twin.

A feature is a row of a table, and a block of nodes or edges goes through a whole MLP while its tables stay in the first cache;
the inner loops run along the block and are vectorised. Edges stand row by row, so a chunk of nodes owns the sums over its edges.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ...solvers.kernels.borrow import borrowed
from ...solvers.kernels.threads import part, twins
from ..graph import Graph
from .architecture import NORM_EPSILON, Network

CHUNK = 2_048  # nodes
BLOCK = 256  # nodes or edges
EPSILON = np.float32(NORM_EPSILON)
ZERO, HALF, ONE, ROOT = np.float32(0), np.float32(0.5), np.float32(1), np.float32(0.5**0.5)
# erf(z) = 1 - (1 + a_1 z + ... + a_6 z^6)^-16 to 3e-7 for z >= 0: Abramowitz and Stegun, Handbook (1964), 7.1.28
A1, A2, A3 = np.float32(0.0705230784), np.float32(0.0422820123), np.float32(0.0092705272)
A4, A5, A6 = np.float32(0.0001520143), np.float32(0.0002765672), np.float32(0.0000430638)


@part
def _add_product(W, X, at, count, Y):
    """Y[:, :count] += W X[:, at : at + count]; four rows of X at once."""
    outputs, inputs = W.shape
    W, X, Y = borrowed(W), borrowed(X), borrowed(Y)
    fours = inputs - inputs % 4
    for o in range(outputs):
        y = Y[o]
        for k in range(0, fours, 4):
            w0, w1, w2, w3 = W[o, k], W[o, k + 1], W[o, k + 2], W[o, k + 3]
            x0, x1 = X[k, at : at + count], X[k + 1, at : at + count]
            x2, x3 = X[k + 2, at : at + count], X[k + 3, at : at + count]
            for b in range(count):
                y[b] += w0 * x0[b] + w1 * x1[b] + (w2 * x2[b] + w3 * x3[b])
        for k in range(fours, inputs):
            w0, x0 = W[o, k], X[k, at : at + count]
            for b in range(count):
                y[b] += w0 * x0[b]


@part
def _begin(bias, count, Y):
    for o in range(len(bias)):
        y, first = Y[o], bias[o]
        for b in range(count):
            y[b] = first


@part
def _activate(gelu, outputs, count, Y):
    for o in range(outputs):
        y = Y[o]
        if gelu:
            for b in range(count):
                z = abs(y[b]) * ROOT
                t = ONE + z * (A1 + z * (A2 + z * (A3 + z * (A4 + z * (A5 + z * A6)))))
                t *= t
                t *= t
                t *= t
                t *= t
                erf = ONE - ONE / t
                y[b] = HALF * (y[b] + abs(y[b]) * erf)
        else:
            for b in range(count):
                y[b] = max(y[b], ZERO)


@part
def _normalise(scale, shift, count, Y, mean, square):
    """LayerNorm over the rows of Y."""
    outputs = len(scale)
    share = ONE / np.float32(outputs)
    for b in range(count):
        mean[b], square[b] = ZERO, ZERO
    for o in range(outputs):
        y = Y[o]
        for b in range(count):
            mean[b] += y[b]
    for b in range(count):
        mean[b] *= share
    for o in range(outputs):
        y = Y[o]
        for b in range(count):
            y[b] -= mean[b]
            square[b] += y[b] * y[b]
    for b in range(count):
        square[b] = ONE / np.sqrt(square[b] * share + EPSILON)
    for o in range(outputs):
        y, s, first = Y[o], scale[o], shift[o]
        for b in range(count):
            y[b] = y[b] * square[b] * s + first


@part
def _finish(second, bias, scale, shift, gelu, count, H, Y, mean, square):
    """Y from the products H of an MLP's first layer."""
    _activate(gelu, len(H), count, H)
    _begin(bias, count, Y)
    _add_product(second, H, 0, count, Y)
    if len(scale) > 0:
        _normalise(scale, shift, count, Y, mean, square)


@part
def _put(Y, count, add, out, at):
    for o in range(len(out)):
        y, target = Y[o], out[o, at : at + count]
        if add:
            for b in range(count):
                target[b] += y[b]
        else:
            for b in range(count):
                target[b] = y[b]


@twins
def mlp(n, X, first, bias, second, bias2, scale, shift, gelu, add, out):
    """out (outputs, n) = MLP(X (inputs, n)), or += it. out may be rows of X: a block is read before it is written."""
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low = np.int64(chunk) * CHUNK
        high = min(low + CHUNK, n)
        H, Y = np.empty((len(bias), BLOCK), np.float32), np.empty((len(bias2), BLOCK), np.float32)
        mean, square = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
        for at in range(low, high, BLOCK):
            count = min(BLOCK, high - at)
            _begin(bias, count, H)
            _add_product(first, X, at, count, H)
            _finish(second, bias2, scale, shift, gelu, count, H, Y, mean, square)
            _put(Y, count, add, out, at)


@twins
def edge_step(n, starts, rows, columns, P, Q, first, bias, second, bias2, scale, shift, gelu, add, e, sums):
    """e_ij <- MLP(e_ij, x_j, x_i), or += it, from P, Q (width, n), the products of x_j and x_i with the first layer; and the sums
    over the edges of each node (width, n)."""
    for chunk in prange((n + CHUNK - 1) // CHUNK):
        low, high = np.int64(chunk) * CHUNK, min((np.int64(chunk) + 1) * CHUNK, n)
        H, Y = np.empty((len(bias), BLOCK), np.float32), np.empty((len(bias2), BLOCK), np.float32)
        mean, square = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.float32)
        for o in range(len(bias2)):
            sums[o, low:high] = ZERO
        for at in range(starts[low], starts[high], BLOCK):
            count = min(BLOCK, starts[high] - at)
            i, j = rows[at : at + count], columns[at : at + count]
            for o in range(len(bias)):
                h, p, q, own = H[o], P[o], Q[o], bias[o]
                for b in range(count):
                    h[b] = own + p[j[b]] + q[i[b]]
            _add_product(first, e, at, count, H)
            _finish(second, bias2, scale, shift, gelu, count, H, Y, mean, square)
            _put(Y, count, add, e, at)
            for o in range(len(bias2)):
                total, values = sums[o], e[o, at : at + count]
                for b in range(count):
                    total[i[b]] += values[b]


def forward(network: Network, known: Graph) -> tuple[np.ndarray, np.ndarray]:
    """What network(known) gives, to single precision: the scalars of the nodes (n,) and of the edges (m,)."""
    a, n, w = network.architecture, known.size, network.architecture.width
    gelu, m = a.activation == "gelu", len(known.rows)
    starts = np.zeros(n + 1, np.int64)
    np.cumsum(np.bincount(known.rows, minlength=n), out=starts[1:])
    rows, columns = known.rows.astype(np.uint32), known.columns.astype(np.uint32)
    features = np.zeros((a.nodes, n), np.float32)
    features[: known.nodes.shape[1]] = known.nodes.T
    both, e = np.empty((2 * w, n), np.float32), np.empty((w, m), np.float32)  # the sums over the edges, the nodes
    sums, x = both[:w], both[w:]
    mlp(n, features, *layers(network, "node_encoder"), gelu, False, x)
    mlp(m, np.ascontiguousarray(known.edges.T, np.float32), *layers(network, "edge_encoder"), gelu, False, e)
    for k in range(a.steps):
        first, *rest = layers(network, f"steps.{k}.edge_mlp")
        by_edge, by_source, by_target = (np.ascontiguousarray(part) for part in np.split(first, 3, axis=1))
        edge_step(n, starts, rows, columns, by_source @ x, by_target @ x, by_edge, *rest, gelu, a.residual, e, sums)
        mlp(n, both, *layers(network, f"steps.{k}.node_mlp"), gelu, a.residual, x)
    first, bias, *rest = layers(network, "edge_decoder")
    if a.pooled:  # the mean over all edges is the same for every edge
        bias = bias + first[:, w:] @ (e.mean(axis=1, dtype=np.float64).astype(np.float32) if m else e.sum(axis=1))
    of_nodes, of_edges = np.empty((1, n), np.float32), np.empty((1, m), np.float32)
    mlp(n, x, *layers(network, "node_decoder"), gelu, False, of_nodes)
    mlp(m, e, np.ascontiguousarray(first[:, :w]), bias, *rest, gelu, False, of_edges)
    return of_nodes[0].astype(np.float64), of_edges[0].astype(np.float64)


def layers(network: Network, block: str) -> tuple[Any, ...]:
    """(first, bias, second, bias, scale, shift) of an MLP, single precision; the last two empty where no LayerNorm ends it."""
    names = (f"{block}.{layer}.{what}" for layer in (0, 2, 3) for what in ("weight", "bias"))
    return tuple(np.ascontiguousarray(network.weights.get(name, ()), np.float32) for name in names)
