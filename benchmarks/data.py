"""The real matrices: from tests/data of the source tree, or from the folder PETROV_TEST_DATA/matrices."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from scipy import io, sparse

SEED = 20261
TREE = Path(__file__).resolve().parent.parent / "tests" / "data"


def folders() -> list[Path]:
    """Where matrices are looked for, in this order."""
    extra = os.environ.get("PETROV_TEST_DATA")
    return [TREE, Path(extra) / "matrices"] if extra else [TREE]


def find(name: str) -> Path | None:
    """The file of a matrix, or None when it is in neither folder.

    >>> from petrov.benchmarks import data
    >>> data.find("no_such_matrix") is None
    True
    """
    paths = (folder / f"{name}.mtx.gz" for folder in folders())
    return next((path for path in paths if path.is_file()), None)


def read(name: str) -> tuple[sparse.csr_array, np.ndarray]:
    """A (n, n) csr_array and b (n,): the right-hand side of the source program if it is there, else A x, x seeded normal.

    Raises FileNotFoundError, saying where the matrices are, when the file is missing.
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


def canonical(A: Any) -> sparse.csr_array:
    """A as a sorted csr_array with int32 indices and double precision: the one form that every method and peer is given.

    >>> import numpy as np
    >>> from petrov.benchmarks.data import canonical
    >>> A = canonical(np.eye(2, dtype=np.float32))
    >>> A.dtype.name, A.indices.dtype.name
    ('float64', 'int32')
    """
    B = sparse.csr_array(A)
    values = B.data.astype(np.result_type(B.dtype, np.float64))
    B = sparse.csr_array((values, B.indices.astype(np.int32), B.indptr.astype(np.int32)), shape=B.shape)
    B.sum_duplicates()
    B.sort_indices()
    return B
