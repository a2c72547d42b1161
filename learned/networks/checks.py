"""The one check of weights: every array that a network has, of its shape and type, finite, and no other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def check_weights(
    weights: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], of: str, dtype: str = "float64"
) -> None:
    """ValueError, naming the first array that is missing, not `of` the network, of another shape or type, or not finite."""
    if wrong := sorted(shapes.keys() ^ weights.keys()):
        raise ValueError(f"{len(wrong)} arrays are missing or not of {of}, the first {wrong[0]!r}")
    for name, shape in shapes.items():
        got = weights[name]
        if got.shape != shape or got.dtype != dtype:
            raise ValueError(f"{name} must be {dtype} {shape}; got {got.dtype} {got.shape}")
        if not np.isfinite(got).all():
            raise ValueError(f"{name} must be finite; it holds NaN or infinity")
