"""A truncated singular value decomposition that follows a growing matrix: columns, rows and low-rank changes, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ...solvers import arrays
from ..pod import family, half_product
from .blocks import block
from .growing_basis import GrowingBasis
from .range_finders import lanczos, randomized

METHODS = ("exact", "gkl", "randomized")


class IncrementalSVD:
    """U diag(s) V^H, of rank at most `rank`, of a matrix A (n, m) that arrives in pieces and is never held.

    Parameters
    ----------
    rank : int
        The most singular values that are kept after each change.
    tol : float
        Singular values up to tol times the largest are dropped too; what is below rounding always is.
    product : None, matrix X (n, n), or Cholesky
        As in `pod`: the columns are measured by u^H X u, and U^H X U = I. Then no rows can be appended.
    method : 'exact', 'gkl' or 'randomized'
        How a block of more than rank + oversampling columns (rows) is added. exact: orthogonalised as a whole, the truncated SVD
        of [U diag(s) V^H, E] to rounding. gkl: rank + oversampling steps of Golub-Kahan-Lanczos on its part outside U, fully
        re-orthogonalised. randomized: a random range finder with `power` iterations. Both find the leading directions of that
        part only; narrower blocks are always added exactly.
    seed : int
        Of the start vectors of gkl and randomized.
    keep_right : bool
        False: V is not kept (`right` raises); only columns can be appended, and memory does not grow with m.
    storage : path, optional
        A file that U is kept in, memory mapped, while it grows. It is scratch: `state` is what to save.
    oversampling, power : int
        Of gkl and randomized.

    Notes
    -----
    A change is the SVD of a small matrix, of k + s rows and columns for a block of s (Zha and Simon, SIAM J. Sci. Comput. 21
    (1999) 782; Brand, Linear Algebra Appl. 415 (2006) 20). U = W K is rotated lazily: the directions of a block join W, which
    is multiplied by the small K once per `rank` columns or when U is read (Deng et al., ICLR 2024, arXiv 2401.09703, with an
    orthonormal K in place of an inverse). A dense block is orthogonalised twice: 8 n k s + 4 n s^2 operations. A SciPy sparse
    block costs nnz k: its directions stay implicit, E Z - D Y, unless a column lies so near the span of U that its squared
    length would cancel; such columns are stored, at most `rank` at a time (a block with more is halved, as if it came in two).

    Memory: 2 n k numbers and m k for V; n (k + 2 s) while a dense block of s > k columns is added, n k more while its room is
    made. Data larger than memory come in blocks of about k columns. Types: as the blocks are, wider when one is wider. All is
    computed on the host: blocks of CuPy and of other libraries are read there, and U, s and V are NumPy's.

    `error` is the Frobenius norm (the one of X) of A - U diag(s) V^H in exact arithmetic if only columns, or only rows, were
    appended by 'exact': what the truncations drop is then orthogonal. It is an estimate otherwise, and `largest_error` adds up.

    Raises ValueError for blocks that do not fit, are empty or not finite, TypeError for those that hold no numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.rom.incremental_svd.svd import IncrementalSVD
    >>> x, mu = np.linspace(0, 1, 300)[:, None], np.linspace(1, 2, 60)
    >>> A = np.exp(-mu * x)
    >>> svd = IncrementalSVD(6)
    >>> for block in np.split(A, 12, axis=1):
    ...     svd = svd.append_columns(block)
    >>> bool(np.allclose(svd.singular_values[:4], np.linalg.svd(A)[1][:4], rtol=1e-8, atol=0)), svd.shape
    (True, (300, 60))
    """

    def __init__(
        self, rank: int, *, tol: float = 0.0, product: Any = None, method: str = "exact", seed: int = 2718,
        keep_right: bool = True, storage: Any = None, oversampling: int = 10, power: int = 2,
    ) -> None:  # fmt: skip
        if rank < 1:
            raise ValueError(f"rank, the most singular values to keep, must be at least 1; got {rank}")
        if not 0 <= tol < 1:
            raise ValueError(f"tol is relative to the largest singular value: 0 <= tol < 1; got {tol}")
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
        if oversampling < 0 or power < 0:
            raise ValueError(f"oversampling and power must not be negative; got {oversampling} and {power}")
        self.rank, self.tol, self.method, self.oversampling, self.power = rank, tol, method, oversampling, power
        self.keep_right, self.storage, self.product, self.seed = keep_right, storage, product, seed
        self.sigma, self.columns = np.zeros(0), 0
        self.U: GrowingBasis | None = None  # in coordinates in which the product is Euclidean
        self.V: GrowingBasis | None = None
        self.factor: Any = None  # of the product, once n is known
        # Errors of one run of "columns" or "rows" are orthogonal (open); those of runs that ended (closed) may add up.
        self.run, self.total, self.open, self.closed = "", 0.0, 0.0, 0.0

    @classmethod
    def from_blocks(cls, blocks: Iterable[Any], rank: int, **options: Any) -> IncrementalSVD:
        """The SVD of the matrix whose columns arrive in blocks (n, s), of any iterable, each held only while it is added."""
        found = cls(rank, **options)
        for E in blocks:
            found.append_columns(E)
        if found.U is None:
            raise ValueError("from_blocks needs at least one block (n, s); got none")
        return found

    @property
    def shape(self) -> tuple[int, int]:
        """Of A so far."""
        return (0 if self.U is None else self.U.rows, self.columns)

    @property
    def basis(self) -> np.ndarray:
        """U (n, k), U^H X U = I: a copy; with `storage` and no product a read-only view, valid until the next change."""
        U = self.known_U().matrix()
        if self.product is not None:
            return np.asarray(self.factor.lift(U)).astype(family(U.dtype, self.factor), copy=False)
        U.flags.writeable = False
        return U.copy() if self.storage is None else U

    @property
    def singular_values(self) -> np.ndarray:
        """s (k,), descending, in double precision."""
        return self.sigma.copy()

    @property
    def right(self) -> np.ndarray:
        """V (m, k) with orthonormal columns: a copy."""
        self.known_U()
        return self.known_V("right").matrix().copy()

    @property
    def error(self) -> float:
        """Root of the sum of squares of all that was dropped: ||A - U diag(s) V^H||_F, exact or an estimate (see the notes)."""
        return self.total

    @property
    def largest_error(self) -> float:
        """What ||A - U diag(s) V^H||_F cannot exceed in exact arithmetic: by the triangle inequality where `error` estimates."""
        return self.closed + self.open

    def append_columns(self, E: Any) -> IncrementalSVD:
        """A becomes [A, E], E (n, s) or (n,), dense or SciPy sparse. Returns self."""
        E = self.lowered(block(E, "E", self.shape[0] if self.U else None))
        if self.U is None:
            self.start(E.shape[0], 0, E.dtype)
        self.append(E, self.known_U(), self.V, "columns")
        return self

    def append_rows(self, E: Any) -> IncrementalSVD:
        """A becomes [A; E], E (p, m) or (m,), dense or SciPy sparse. Returns self. Needs V, and no product."""
        if self.product is not None:
            raise ValueError("append_rows: the product X fits the rows that A has; start anew with a product for all rows")
        if not self.keep_right:
            raise ValueError("append_rows needs V: use keep_right=True")
        rows = block(E if arrays.sparse(E) else np.atleast_2d(E), "E", None, self.columns if self.U else None)
        if self.U is None:
            self.start(0, rows.shape[1], rows.dtype)
        across = rows.conj().T.tocsc() if arrays.sparse(rows) else rows.conj().T
        self.append(across, self.known_V("append_rows"), self.known_U(), "rows")
        return self

    def update(self, D: Any, E: Any) -> IncrementalSVD:
        """A becomes A + D E^H, D (n, c) and E (m, c), dense or sparse; exactly, whatever `method`. Returns self."""
        D = self.lowered(block(D, "D", self.shape[0] if self.U else None))
        E = block(E, "E", self.columns if self.U else None)
        if D.shape[1] != E.shape[1]:
            raise ValueError(f"D and E of A + D E^H must have as many columns; got {D.shape[1]} and {E.shape[1]}")
        if self.U is None:
            self.start(D.shape[0], E.shape[0], np.result_type(D.dtype, E.dtype))
        left, right = self.known_U(), self.known_V("update")
        y, z = extended(left, right, D), extended(right, left, E)
        Q, R = np.linalg.qr(np.hstack([left.K, y]))
        P, T = np.linalg.qr(np.hstack([right.K, z]))
        F, G = self.truncated((R * np.concatenate([self.sigma, np.ones(D.shape[1])])) @ T.conj().T, "update")
        left.K, right.K = Q @ F, P @ G
        return self

    def append(self, E: Any, left: GrowingBasis, right: GrowingBasis | None, what: str) -> None:
        """The SVD of U diag(s) V^H with the columns E beside it: of [U diag(s), E] = [W, Q] [[K diag(s), c], [0, T]]."""
        s = E.shape[1]
        for basis in (left, right):
            if basis is not None:
                basis.promote(E.dtype)
        y, lost = self.coordinates(E, left)
        if y is None:
            for part in (E[:, : s // 2], E[:, s // 2 :]):
                self.append(part, left, right, what)
            return
        left.K, G = self.truncated(np.hstack([left.K * self.sigma, y]), what, lost)
        if right is not None:
            right.append_units(G, s)
        if what == "columns":
            self.columns += s

    def coordinates(self, E: Any, left: GrowingBasis) -> tuple[np.ndarray | None, float]:
        """(E in the coordinates of `left`, which has grown to hold it or its leading part; the norm of what it does not hold)."""
        most = self.rank + self.oversampling
        if self.method == "exact" or min(E.shape) <= most:
            return left.extend(E), 0.0
        rng = np.random.default_rng([self.seed, left.rows, self.columns])
        y = lanczos(left, E, most, rng) if self.method == "gkl" else randomized(left, E, most, rng, self.power)
        return y, left.distance(E, y)

    def truncated(self, M: np.ndarray, what: str, lost: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """(F, G) of the leading singular triplets F diag(s) G^H of M, whose s becomes ours; the rest is counted as error."""
        F, sigma, G = np.linalg.svd(M, full_matrices=False)
        floor = max(self.tol, max(M.shape) * self.known_U().eps) * sigma.max(initial=0.0)
        k = min(self.rank, int(np.count_nonzero(sigma > floor)))
        self.sigma = sigma[:k]
        self.count(what, math.hypot(*sigma[k:], lost), lost > 0)
        return F[:, :k], G[:k].conj().T

    def count(self, what: str, dropped: float, oblique: bool) -> None:
        """Add the norm of what was dropped; `oblique`: it need not be orthogonal to anything."""
        self.total = math.hypot(self.total, dropped)
        if what == self.run and what != "update" and not oblique:
            self.open = math.hypot(self.open, dropped)
        else:
            self.closed, self.open, self.run = self.closed + self.open, dropped, "" if oblique else what

    def start(self, n: int, m: int, dtype: Any) -> None:
        """The zero matrix (n, m)."""
        self.U = GrowingBasis(n, dtype, self.rank, self.storage)
        self.V = GrowingBasis(m, dtype, self.rank) if self.keep_right else None
        self.columns = m

    def known_U(self) -> GrowingBasis:
        """U, or an error before the first block."""
        if self.U is None:
            raise ValueError("nothing has been appended yet: append_columns(E) first")
        return self.U

    def known_V(self, what: str) -> GrowingBasis:
        """V, which `what` needs."""
        if self.V is None:
            raise ValueError(f"{what} needs V: use keep_right=True")
        return self.V

    def lowered(self, E: Any) -> Any:
        """Columns in coordinates in which the product is the Euclidean one."""
        if self.product is None:
            return E
        if self.factor is None:
            self.factor = half_product(self.product, E.shape[0])
        lower = self.factor.lower(E.toarray() if arrays.sparse(E) else E)
        return lower.astype(family(E.dtype, self.factor), copy=False)

    def state(self) -> dict[str, np.ndarray]:
        """All that `from_state` needs to go on, as plain arrays (of numbers and short strings) to be saved as you like.

        "basis" is U in Euclidean coordinates (L^H U with a product): a view, to be saved before the next change.
        """
        left = self.known_U()
        state = {
            "basis": left.matrix(),
            "singular_values": self.sigma.copy(),
            "error": np.array([self.total, self.open, self.closed]),
            "run": np.array(self.run),
            "method": np.array(self.method),
            "tol": np.array(self.tol),
            "sizes": np.array([self.rank, self.columns, self.oversampling, self.power, self.seed, self.product is not None]),
        }
        return state if self.V is None else {**state, "right": self.V.matrix()}

    @classmethod
    def from_state(cls, state: dict[str, Any], *, product: Any = None, storage: Any = None) -> IncrementalSVD:
        """The IncrementalSVD that gave `state`, to go on as it would have. `product`: the one it had, if any."""
        rank, columns, oversampling, power, seed, weighted = (int(value) for value in state["sizes"])
        if bool(weighted) != (product is not None):
            raise ValueError(f"this state was made {'with' if weighted else 'without'} a product; pass product= accordingly")
        sizes = {"oversampling": oversampling, "power": power, "seed": seed}
        found = cls(rank, product=product, storage=storage, keep_right="right" in state, method=str(state["method"]), **sizes)
        found.tol = float(state["tol"])
        U, found.sigma, found.run = np.asarray(state["basis"]), np.array(state["singular_values"]), str(state["run"])
        found.start(U.shape[0], columns, U.dtype)
        found.known_U().load(U)
        if found.V is not None:
            found.V.load(np.asarray(state["right"]))
        found.factor = half_product(product, U.shape[0])
        found.total, found.open, found.closed = (float(value) for value in state["error"])
        return found

    def __repr__(self) -> str:
        n, m = self.shape
        return f"{type(self).__name__}: {n} x {m}, {len(self.sigma)} of at most {self.rank} values, error {self.error:.2e}"


def extended(basis: GrowingBasis, other: GrowingBasis, F: Any) -> np.ndarray:
    """Coordinates of F in the basis, grown to hold it; as a dense F if too many sparse columns had to be stored."""
    basis.promote(np.result_type(F.dtype, other.D.dtype))
    other.promote(basis.D.dtype)
    y = basis.extend(F)
    return basis.extend_dense(F.toarray()) if y is None else y
