"""The real matrices: from tests/data of the source tree, or from the folder PETROV_TEST_DATA/matrices."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from scipy import io, sparse

SEED = 20261
TREE = Path(__file__).resolve().parent.parent / "tests" / "data"


def folders() -> list[Path]:
    """Where matrices are looked for, in this order."""
    extra = os.environ.get("PETROV_TEST_DATA")
    return [TREE, Path(extra) / "matrices"] if extra else [TREE]


def find(name: str) -> Path | None:
    """The file of a matrix, or None when it is in neither folder."""
    paths = (folder / f"{name}.mtx.gz" for folder in folders())
    return next((path for path in paths if path.is_file()), None)


def read(name: str) -> tuple[sparse.csr_array, np.ndarray]:
    """A (n, n) csr_array and b (n,): the right-hand side of the source program if it is there, else A x, x seeded normal.

    Raises FileNotFoundError, saying where the matrices are, when the file is missing.

    >>> from petrov.benchmarks import data
    >>> A, b = data.read("bcsstk01") if data.find("bcsstk01") else data.io.mmread(...)  # doctest: +SKIP
    >>> A.shape  # doctest: +SKIP
    (48, 48)
    """
    path = find(name)
    if path is None:
        raise FileNotFoundError(
            f"not shipped in wheels: {name}.mtx.gz; run from the source tree (tests/data), or set PETROV_TEST_DATA to a "
            "folder whose subfolder matrices/ holds it"
        )
    A = canonical(io.mmread(path))
    source = path.with_name(f"{name}_b.npy")
    if source.is_file():
        return A, np.load(source, allow_pickle=False)
    x = np.random.default_rng(SEED).standard_normal(A.shape[0])
    return A, A @ x


def canonical(A: object) -> sparse.csr_array:
    """A as a sorted csr_array with int32 indices and double precision: the one form that every method and peer is given."""
    A = sparse.csr_array(A)
    A = sparse.csr_array((A.data, A.indices.astype(np.int32), A.indptr.astype(np.int32)), shape=A.shape)
    A = A.astype(np.result_type(A.dtype, np.float64))
    A.sum_duplicates()
    A.sort_indices()
    return A
