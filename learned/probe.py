"""A look at an applied preconditioner before it is trusted: finite, symmetric to rounding, positive."""

from __future__ import annotations

from typing import Any

import numpy as np

PAIRS = 4
SEED = 33_071
ROUNDING = {"float64": 1e-10, "float32": 1e-4}  # of |u| |M v|: a difference of u^T M v and v^T M u


def defect(M: Any, *, pairs: int = PAIRS, dtype: Any = None) -> str:
    """What is wrong with M, in words, as pairs of random vectors show; the empty string if nothing. Cost: 2 products a pair.

    dtype: the precision in which M computes, if it is not that of its results.

    An M that says that it is not linear, or not known to be definite, need only be finite.
    """
    n, dtype = M.shape[0], np.dtype(M.dtype if dtype is None else dtype)
    rng = np.random.default_rng(SEED)
    for _ in range(pairs if n else 0):
        u, v = rng.standard_normal((2, n), dtype=dtype)
        Mu, Mv = M @ u, M @ v
        if not (np.isfinite(Mu).all() and np.isfinite(Mv).all()):
            return "it gives NaN or infinity"
        if not (getattr(M, "linear", True) and getattr(M, "spd", True)):
            continue
        size = np.linalg.norm(u) * np.linalg.norm(Mv) + np.linalg.norm(v) * np.linalg.norm(Mu)
        if not abs(u @ Mv - v @ Mu) <= ROUNDING[dtype.name] * size:
            return f"it is not symmetric: u^T M v = {u @ Mv:.6g}, v^T M u = {v @ Mu:.6g}"
        if not (u @ Mu > 0 and v @ Mv > 0):
            return f"it is not positive: u^T M u = {min(u @ Mu, v @ Mv):.6g}"
    return ""
