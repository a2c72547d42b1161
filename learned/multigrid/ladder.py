"""The three rungs of a learned multigrid: a few scalars, a network of each entry, one that also hears of its neighbours.

What it reads of a level's matrix has no units and is the same on every level. Of row i, with m_i its largest -a_ij:

    1/m_i, 1/sqrt(a_ii)                      with which entries are scaled
    p_i = positive part / sum_j |a_ij|       j off the diagonal
    q_i = m_i / sum_j |a_ij|                 what the strongest coupling is of all
    s_i = sum_k a_ik / sum_k |a_ik|          how far the constant is from the null space
    t_i = sum_j |a_ij| / a_ii                off the diagonal

Of a row it reads p, q, s, t, of entry (i, j): -a_ij/m_i, -a_ij/m_j, a_ij/sqrt(a_ii a_jj), p_i, p_j, q_i, q_j, and d, the rows of
the finest level over its entries off the diagonal, which tells triangles from tetrahedra.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

RUNGS = ("scalars", "mlp", "gnn")
OF_EDGE, OF_ROW = 8, 4  # features: (p, q, s, t) of a row
EDGE_OUTPUTS, ROW_OUTPUTS = 3, 2
MOST = 2.0  # of a gate: how much more of an entry than it has the prolongator may see
SPREAD = 1.0  # a row's network changes damping and relaxation by at most e^+-1


class Scalar(NamedTuple):
    """A trained number between two bounds: low + (high - low) / (1 + exp(-raw))."""

    low: float
    high: float
    start: float


SCALARS = {
    "strength": Scalar(0.05, 0.95, 0.35),  # max(-a_ij/m_i, -a_ij/m_j) from which i and j are put in one aggregate
    "threshold": Scalar(0.0, 0.5, 0.05),  # where the gate of an entry begins to open,
    "width": Scalar(0.01, 0.5, 0.05),  # and over what it opens
    "positive": Scalar(0.0, 1.0, 0.5),  # of a gate, for entries of the sign of the diagonal
    "damping": Scalar(0.5, 2.5, 1.6),  # of the prolongator's smoother, over the row sum
    "relaxation": Scalar(0.4, 1.9, 1.1),  # of the Gauss-Seidel sweeps
    "correction": Scalar(0.5, 2.0, 1.0),  # of the coarse correction
}


def raw(name: str, value: float) -> float:
    """The unbounded number behind a scalar's value."""
    low, high, _ = SCALARS[name]
    part = (value - low) / (high - low)
    if not 0.0 < part < 1.0:
        raise ValueError(f"{name} must lie between {low} and {high}; got {value!r}")
    return math.log(part / (1.0 - part))


def values(scalars: np.ndarray) -> np.ndarray:
    """The bounded scalars (7,) in the order of SCALARS."""
    low, high = np.array([s.low for s in SCALARS.values()]), np.array([s.high for s in SCALARS.values()])
    return low + (high - low) / (1.0 + np.exp(-np.clip(scalars, -40.0, 40.0)))


def shapes(rung: str, width: int, channels: int) -> dict[str, tuple[int, ...]]:
    """name -> shape of the weights of a rung: `width` hidden units of an entry's and a row's network, `channels` of a message."""
    found: dict[str, tuple[int, ...]] = {"scalars": (len(SCALARS),)}
    if rung == "scalars":
        return found
    c = channels if rung == "gnn" else 0
    if c:
        found |= {"message.0.weight": (c, OF_EDGE), "message.0.bias": (c,)}
    for name, inputs, outputs in (("edge", OF_EDGE + 2 * c, EDGE_OUTPUTS), ("row", OF_ROW + c, ROW_OUTPUTS)):
        found |= {f"{name}.0.weight": (width, inputs), f"{name}.0.bias": (width,)}
        found |= {f"{name}.2.weight": (outputs, width), f"{name}.2.bias": (outputs,)}
    return found


def untrained(rung: str, width: int, channels: int, seed: int) -> dict[str, np.ndarray]:
    """Scalars at their start; last layers zero, so that every rung starts as `scalars`. The first hidden units hand on a feature
    each, so that what depends on one feature is learned first; others are drawn from +-1/sqrt(inputs), as are messages."""
    rng = np.random.default_rng(seed)
    weights = {"scalars": np.array([raw(name, s.start) for name, s in SCALARS.items()])}
    wanted = shapes(rung, width, channels)
    for name, shape in wanted.items():
        if name == "scalars":
            continue
        inputs = wanted[name.replace("bias", "weight")][1]
        drawn = rng.uniform(-1.0, 1.0, shape) / math.sqrt(inputs) if ".0." in name else np.zeros(shape)
        if name in ("edge.0.weight", "row.0.weight"):
            first = min(width, OF_EDGE if name[0] == "e" else OF_ROW)
            drawn[:first] = np.eye(first, inputs)
        if name in ("edge.0.bias", "row.0.bias"):
            drawn[:OF_EDGE if name[0] == "e" else OF_ROW] = 0.0
        weights[name] = drawn
    return weights


class Packed(NamedTuple):
    """The weights as the kernels take them, single precision; a network that a rung has not is one without hidden units."""

    scalars: np.ndarray
    message: tuple[np.ndarray, np.ndarray]
    edge: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    row: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

    @property
    def channels(self) -> int:
        return len(self.message[1])


def packed(weights: Mapping[str, np.ndarray]) -> Packed:
    def single(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.ascontiguousarray(weights.get(name, np.zeros(shape)), dtype=np.float32)

    message = single("message.0.weight", (0, OF_EDGE)), single("message.0.bias", (0,))
    c = len(message[1])

    def network(name: str, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return (
            single(f"{name}.0.weight", (0, inputs)), single(f"{name}.0.bias", (0,)), single(f"{name}.2.weight", (outputs, 0)),
            single(f"{name}.2.bias", (outputs,)),
        )  # fmt: skip

    return Packed(
        values(np.asarray(weights["scalars"], float)).astype(np.float32), message,
        network("edge", OF_EDGE + 2 * c, EDGE_OUTPUTS), network("row", OF_ROW + c, ROW_OUTPUTS),
    )  # fmt: skip
