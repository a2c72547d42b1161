"""Pictures of trees and of evolutions on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .state import TTN
from .tree import Tree

LARGEST = 100.0  # inches of a side: pictures of more pixels are not written
MOST_COLUMNS = 4


def figure(width: float, height: float, layout: Any = None) -> Any:
    """A Figure of matplotlib, without a window."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('drawing needs matplotlib: pip install "petrov[bench]"') from error
    return Figure(figsize=(width, height), layout=layout)


def written(made: Any, path: str | None) -> Any:
    if path is not None:
        made.savefig(path, dpi=140)
    return made


def positions(tree: Tree) -> np.ndarray:
    """(nodes, 2): a node lies above its children, in the middle of them; those without children follow one another."""
    at = np.zeros((len(tree.parent), 2))
    for depth, level in enumerate(tree.levels):
        at[list(level), 1] = -depth
    free = 0.0
    for node in tree.nodes:
        children = list(tree.children[node])
        if children:
            at[node, 0] = at[children, 0].mean()
        else:
            at[node, 0], free = free, free + 1.0
    return at


def draw(thing: TTN | Tree, path: str | None = None, *, ranks: Sequence[int] | None = None) -> Any:
    """A matplotlib Figure of a tree: edges as thick as the logarithm of their rank, which stands beside; legs with their leaf.

    `ranks`: an edge each, if they are not those of the state. Written to `path` if given. ImportError without matplotlib.
    """
    if not isinstance(thing, TTN | Tree):
        raise TypeError(f"draw takes a TTN or a Tree; got {type(thing).__name__}")
    tree = thing if isinstance(thing, Tree) else thing.tree
    if ranks is None and isinstance(thing, TTN):
        ranks = thing.ranks
    if ranks is not None and len(ranks) < len(tree.edges):
        raise ValueError(f"ranks must be {len(tree.edges)} numbers, an edge each; got {len(ranks)}")
    at = positions(tree)
    made = figure(min(2.0 + 0.8 * at[:, 0].max(), LARGEST), min(1.4 + 0.8 * len(tree.levels), LARGEST))
    axis = made.add_axes((0.0, 0.0, 1.0, 1.0))
    for node in tree.edges:
        (x, y), (u, v) = at[node], at[tree.parent[node]]
        width = 1.0 if ranks is None else 1.0 + np.log2(max(ranks[node], 1))
        axis.plot([x, u], [y, v], color="0.6", linewidth=width, zorder=1)
        if ranks is not None:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
            axis.text((x + u) / 2, (y + v) / 2, str(ranks[node]), ha="center", va="center", fontsize=8, bbox=box)
    for node in tree.nodes:
        leaf, (x, y) = tree.leg[node], at[node]
        axis.plot(x, y, "o", color="tab:blue" if leaf >= 0 else "0.3", markersize=6, zorder=2)
        if leaf >= 0:
            axis.text(x, y - 0.18, f"{leaf} ({tree.size(node)})", ha="center", va="top", fontsize=8)
    axis.set(xlim=(at[:, 0].min() - 0.8, at[:, 0].max() + 0.8), ylim=(at[:, 1].min() - 0.6, 0.4))
    axis.set_axis_off()
    return written(made, path)


def plot_evolution(result: Any, path: str | None = None) -> Any:
    """A matplotlib Figure: numbers observed, and ranks, against time, each in a place of its own, as their scales differ.

    Observed arrays, and complex numbers, are left out.
    """
    numbers = {name: values for name, values in result.observed.items() if values.ndim == 1 and values.dtype.kind != "c"}
    count = len(numbers) + 1
    rows = -(-count // MOST_COLUMNS)
    made = figure(4.2 * min(count, MOST_COLUMNS), 3.4 * rows, "constrained")
    axes = made.subplots(rows, -(-count // rows), squeeze=False).reshape(-1)
    for axis in axes[count:]:
        axis.remove()
    axes = axes[:count]
    for axis, (name, values) in zip(axes, numbers.items(), strict=False):
        axis.plot(result.times, values, label=name)
        axis.set_ylabel(name)
    if result.ranks.shape[1]:
        axes[-1].step(result.times, result.ranks.max(axis=1), where="post", label="largest rank")
        axes[-1].step(result.times, result.ranks.mean(axis=1), where="post", label="mean rank")
        axes[-1].set_ylabel("rank")
        axes[-1].legend(frameon=False)
    for axis in axes:
        axis.set_xlabel("t")
    return written(made, path)
