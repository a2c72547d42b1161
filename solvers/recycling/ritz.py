"""Ritz vectors from the small matrices that a solve leaves: no products with A."""

from __future__ import annotations

import numpy as np

DEPENDENT = 1e-8  # of the largest pivot of a QR factorisation: columns below it are dropped


def harmonic(G: np.ndarray, inner: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(Q, R, T): T (cols, k) combines the trial vectors into those of the `count` smallest harmonic Ritz values, G T = Q R.

    A W = Y G with orthonormal Y, inner = Y^H W: the values theta and vectors z of G^H G z = theta G^H inner z (Parks et al. 2006,
    their appendix), here as the largest 1 / theta of G^+ inner, which needs no normal equations. In real arithmetic both vectors
    of a complex pair come along, so k may be count + 1; dependent columns are dropped. None where not all is finite.
    """
    from scipy.linalg import qr

    if not (np.isfinite(G).all() and np.isfinite(inner).all()):
        return None
    pulled = np.linalg.lstsq(G, inner, rcond=None)[0]
    values, vectors = np.linalg.eig(pulled)
    order = np.argsort(-np.abs(values), kind="stable")
    T = vectors[:, order[:count]] if np.iscomplexobj(G) else real_pairs(values[order], vectors[:, order], count)
    T = T / np.linalg.norm(T, axis=0)
    Q, R, pivots = qr(G @ T, mode="economic", pivoting=True)
    sizes = np.abs(np.diag(R))
    good = int(np.sum(sizes > DEPENDENT * sizes.max(initial=0.0)))
    return (Q[:, :good], R[:good, :good], T[:, pivots[:good]]) if good else None


def real_pairs(values: np.ndarray, vectors: np.ndarray, count: int) -> np.ndarray:
    """Real columns that span the first `count` eigenvectors of a real matrix, a pair never parted."""
    columns: list[np.ndarray] = []
    for value, vector in zip(values, vectors.T, strict=True):
        if len(columns) >= count:
            break
        if value.imag == 0:
            columns.append(vector.real)
        elif value.imag > 0:  # its conjugate spans the same
            columns += [vector.real, vector.imag]
    return np.stack(columns, axis=1)


def smallest(F: np.ndarray, G: np.ndarray, count: int) -> np.ndarray:
    """Rows T (k, m) that combine trial vectors W into the Ritz vectors of the `count` smallest values: G t = theta F t.

    F = W^H A W and G = (A W)^H M (A W), Hermitian: Rayleigh and Ritz for M A in the inner product of A. What F does not tell from
    dependent is left out, so k may be less; no row is left where nothing is finite or positive.
    """
    lengths = np.sqrt(np.maximum(np.real(np.diag(F)), 0.0))
    if not (np.isfinite(F).all() and np.isfinite(G).all() and lengths.any()):
        return np.zeros((0, len(F)), F.dtype)
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    values, vectors = np.linalg.eigh((F + F.conj().T) / 2 * scale[:, None] * scale)
    good = values > DEPENDENT * values[-1]
    white = scale[:, None] * vectors[:, good] / np.sqrt(values[good])
    _, inside = np.linalg.eigh(white.conj().T @ (G + G.conj().T) @ white)
    return (white @ inside[:, :count]).T
