"""The small matrices of block methods: Gram matrices of vectors that may depend on one another, on the host, in double."""

from __future__ import annotations

import math

import numpy as np

DEPENDENT = 1e-12  # of the square of a vector's length: what is left of it off the others, below which it depends on them


def scales(gram: np.ndarray) -> np.ndarray:
    """1 / length of every vector, 0 where that is none."""
    lengths = np.sqrt(np.maximum(np.diag(gram).real, 0.0))
    usable = (lengths > 0) & np.isfinite(lengths)
    return np.divide(1.0, lengths, out=np.zeros(len(gram)), where=usable)


def independent(gram: np.ndarray, eps: float) -> list[int]:
    """Vectors of which none depends on the others, the longest off those before first: a Cholesky factorisation with pivots.

    Rounding of `eps` in the products has left nothing that can be told below ten times as much.
    """
    s, k = scales(gram), len(gram)
    scaled, within = s[:, None] * gram * s, max(DEPENDENT, 10 * k * eps)
    factor = cholesky(scaled)
    if factor is not None and (factor.diagonal().real ** 2 > within).all():
        return list(range(k))
    if not np.isfinite(gram).all():
        return []
    chosen: list[int] = []
    for _ in range(k):
        left = np.diag(scaled).real.copy()
        left[chosen] = 0.0
        pivot = int(left.argmax())
        if not left[pivot] > within:
            break
        scaled = scaled - np.outer(scaled[:, pivot], scaled[pivot]) / left[pivot]
        chosen.append(pivot)
    return sorted(chosen)


def gap(gram: np.ndarray) -> tuple[float, np.ndarray]:
    """The least eigenvalue of a Gram matrix scaled to a unit diagonal, and along which combination of the vectors it lies.

    A positive definite one is not looked at closer: (1, zeros).
    """
    least = np.diag(gram).real
    if least.min(initial=1.0) <= 0.0:
        at = int(least.argmin())
        size = np.abs(least).max()
        return -1.0 if least[at] < 0 or size == 0 else 0.0, np.eye(len(gram))[at]
    s = scales(gram)
    scaled = s[:, None] * gram * s
    if cholesky(scaled) is None:
        values, vectors = np.linalg.eigh(scaled)
        return float(values[0]), s * vectors[:, 0]
    return 1.0, np.zeros(len(gram))


def solved(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    """gram^-1 right for a Gram matrix of independent vectors, scaled first."""
    from scipy.linalg import lapack

    s = scales(gram)
    scaled, right = s[:, None] * gram * s, s[:, None] * right
    if (factor := cholesky(scaled)) is None:
        return s[:, None] * np.linalg.solve(scaled, right)
    solve = lapack.zpotrs if np.iscomplexobj(factor) or np.iscomplexobj(right) else lapack.dpotrs
    return np.ascontiguousarray(s[:, None] * solve(factor, right, lower=1)[0])


def cholesky(matrix: np.ndarray) -> np.ndarray | None:
    """L on and below the diagonal, None if there is none. LAPACK itself: NumPy's checks take five times as long at k = 16."""
    from scipy.linalg import lapack

    if not len(matrix):
        return matrix
    L, info = (lapack.zpotrf if np.iscomplexobj(matrix) else lapack.dpotrf)(matrix, lower=1)
    return L if info == 0 and math.isfinite(L[-1, -1].real) else None
