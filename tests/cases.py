"""Problems x requirements x methods: one table that the tests of every method walk through.

A case is a small system with a known character; a method names the characters it can be asked to solve. The oracle is a
dense solve in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from petrov import solvers

SEED = 7_301
DTYPES = ("float32", "float64", "complex128")


@dataclass(frozen=True)
class Case:
    """A dense (n, n) double-precision matrix and what it is: 'spd', 'indefinite' (symmetric) or 'general'."""

    name: str
    kind: str
    A: np.ndarray

    def system(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        """(A, b) in dtype; a complex one is made Hermitian (or not) by an imaginary part of the same character."""
        rng = np.random.default_rng(SEED)
        A, b = self.A, rng.standard_normal(len(self.A))
        if dtype.startswith("complex"):
            margin = np.abs(np.linalg.eigvals(A)).min() / (8 * np.sqrt(len(A)))  # keeps definite what is definite
            imaginary = margin * rng.standard_normal(A.shape)
            A = A + 1j * (imaginary - imaginary.T if self.kind != "general" else imaginary)
            b = b + 1j * rng.standard_normal(len(b))
        return A.astype(dtype), b.astype(dtype)


def spectrum(eigenvalues: np.ndarray) -> np.ndarray:
    """A symmetric matrix with these eigenvalues."""
    n = len(eigenvalues)
    Q = np.linalg.qr(np.random.default_rng(SEED + n).standard_normal((n, n)))[0]
    A = Q @ np.diag(eigenvalues) @ Q.T
    return (A + A.T) / 2


def laplacian(n: int) -> np.ndarray:
    return 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)


def convection(n: int) -> np.ndarray:
    return laplacian(n) + 0.4 * (np.eye(n, k=1) - np.eye(n, k=-1)) + 0.1 * np.eye(n)


CASES = (
    Case("one by one", "spd", np.array([[3.0]])),
    Case("two by two", "spd", np.array([[4.0, 1.0], [1.0, 3.0]])),
    Case("identity", "spd", np.eye(7)),
    Case("laplacian", "spd", laplacian(40)),
    Case("spectrum 1..50", "spd", spectrum(np.linspace(1.0, 50.0, 45))),
    Case("both signs", "indefinite", spectrum(np.concatenate([np.linspace(1.0, 20.0, 20), -np.linspace(2.0, 6.0, 8)]))),
    Case(
        "saddle point",
        "indefinite",
        np.block([[laplacian(12) + np.eye(12), np.eye(12)[:, ::3]], [np.eye(12)[:, ::3].T, np.zeros((4, 4))]]),
    ),
    Case("convection", "general", convection(40)),
    Case("rotated", "general", spectrum(np.linspace(2.0, 9.0, 30)) + np.triu(np.ones((30, 30)), 1) * 0.2),
)

# What each method can be asked to solve.
METHODS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "cg": (solvers.cg, ("spd",)),
    "block_cg": (solvers.block_cg, ("spd",)),
    "flexible_cg": (solvers.flexible_cg, ("spd",)),
    "minres": (solvers.minres, ("spd", "indefinite")),
    "gmres": (solvers.gmres, ("spd", "indefinite", "general")),
    "bicgstab": (solvers.bicgstab, ("spd", "general")),
}


class Bare:
    """An operator with nothing but what the protocol asks for."""

    def __init__(self, A: Any):
        self._A, self.shape, self.dtype = A, A.shape, A.dtype

    def __matmul__(self, x: Any) -> Any:
        return self._A @ x


def torch_pair(A: np.ndarray, b: np.ndarray) -> tuple[Any, Any]:
    import torch

    return torch.from_numpy(A.copy()), torch.from_numpy(b.copy())


def torch_sparse(A: np.ndarray, b: np.ndarray) -> tuple[Any, Any]:
    import torch

    return torch.from_numpy(A.copy()).to_sparse(), torch.from_numpy(b.copy())


def strict_pair(A: np.ndarray, b: np.ndarray) -> tuple[Any, Any]:
    import array_api_strict

    return array_api_strict.asarray(A), array_api_strict.asarray(b)


def wide_indices(A: np.ndarray) -> Any:
    matrix = sp.csr_array(A)
    return sp.csr_array((matrix.data, matrix.indices.astype(np.int64), matrix.indptr.astype(np.int64)), shape=A.shape)


# Every way in which a user may hand over the same dense matrix.
FORMS: dict[str, Any] = {
    "ndarray": lambda A, b: (A, b),
    "fortran": lambda A, b: (np.asfortranarray(A), b),
    **{
        f"{name}_array": lambda A, b, name=name: (getattr(sp, f"{name}_array")(A), b)
        for name in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")
    },
    "csr_matrix": lambda A, b: (sp.csr_matrix(A), b),
    "csr_array int64": lambda A, b: (wide_indices(A), b),
    "LinearOperator": lambda A, b: (sp.linalg.aslinearoperator(A), b),
    "bare": lambda A, b: (Bare(A), b),
    "torch": torch_pair,
    "torch sparse": torch_sparse,
    "array_api_strict": strict_pair,
}


def residual(A: np.ndarray, b: np.ndarray, x: Any) -> float:
    """||b - A x|| / ||b|| in the widest precision, independent of the package."""
    wide = np.clongdouble if np.iscomplexobj(A) or np.iscomplexobj(b) else np.longdouble
    r = b.astype(wide) - A.astype(wide) @ np.asarray(x).astype(wide)
    return float(np.linalg.norm(r.astype(complex)) / np.linalg.norm(b))
