"""PyAMG's multigrid hierarchies: as a preconditioner recipe, and imported into ours."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import arrays
from ..operator import checked
from ..preconditioners.entries import symmetric_entries
from ..preconditioners.multigrid.aggregate_level import dense_level, matrix_level
from ..preconditioners.multigrid.cycle import Kind
from ..preconditioners.multigrid.hierarchy import Hierarchy
from ..preconditioners.multigrid.matrices import matrix, transposed
from ..preconditioners.multigrid.on_gpu import HierarchyOnGPU
from ..preconditioners.multigrid.smoothed_aggregation import power_of_two
from ..storage import compact
from ..storage.resident import Move

SYMMETRIC_SWEEPS = {"sweep": "symmetric"}
ASYMMETRY = {"float64": 1e-12, "complex128": 1e-12, "float32": 1e-6, "complex64": 1e-6}  # max|A - A^H| / max|A|


@dataclass(frozen=True, slots=True, eq=False)
class PyAMG:
    """The recipe for M = one multigrid cycle of PyAMG from a zero guess.

    Parameters
    ----------
    kind : str
        "smoothed_aggregation" (scalar or vector problems; symmetric or not; real or complex) or "ruge_stuben" (real A,
        scalar problems, best near M-matrices).
    cycle : str
        "V", "W" or "F"; only V and W keep M symmetric.
    near_nullspace : (n, m) array, optional
        What A almost annihilates, for smoothed aggregation: the rigid-body modes of elasticity; the constant by default.
    block_size : int
        Unknowns of a node, numbered side by side: smoothed aggregation then aggregates nodes and smooths by blocks.
    max_levels, max_coarse : int
        The hierarchy stops at so many levels, or below so many unknowns, which are solved with a pseudo-inverse.
    seed : int
        PyAMG draws from NumPy's global generator; it is seeded with this for the set-up and then put back as it was.

    Notes
    -----
    A: NumPy or SciPy (any format), shared with PyAMG, not written to. Smoothers are symmetric Gauss-Seidel before and after
    for a Hermitian A, which makes M Hermitian positive definite if A is; `spd` is then True, else None. ImportError naming
    the extra if PyAMG is missing; ValueError if A is not finite or the kind does not fit it. Memory: the hierarchy,
    1.3 to 2.5 times A as a rule. Bell, Olson, Schroder and Southworth, PyAMG, Journal of Open Source Software 8 (2023).

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from petrov.solvers.external.pyamg import PyAMG
    >>> M = PyAMG(max_coarse=4)(sp.diags_array([[-1.0] * 29, [2.0] * 30, [-1.0] * 29], offsets=[-1, 0, 1]))
    >>> M.name, M.spd, [level.A.shape[0] for level in M.hierarchy.levels]
    ('pyamg SA', True, [30, 10, 4])
    """

    kind: str = "smoothed_aggregation"
    cycle: str = "V"
    near_nullspace: Any = None
    block_size: int = 1
    max_levels: int = 10
    max_coarse: int = 10
    seed: int = 7349

    def __post_init__(self) -> None:
        if self.kind not in NAMES:
            raise ValueError(f"kind must be one of {', '.join(NAMES)}; got {self.kind!r}")
        if self.cycle not in ("V", "W", "F"):
            raise ValueError(f"cycle must be V, W or F; got {self.cycle!r}")
        if self.kind == "ruge_stuben" and (self.near_nullspace is not None or self.block_size != 1):
            raise ValueError("ruge_stuben takes no near_nullspace and no block_size; use kind='smoothed_aggregation'")
        if self.block_size != int(self.block_size) or self.block_size < 1:
            raise ValueError(f"block_size must be an integer >= 1; got {self.block_size!r}")

    @property
    def name(self) -> str:
        return NAMES[self.kind]

    def bind(
        self, *, coordinates: Any = None, node_features: Any = None, edge_features: Any = None, grid: Any = None,
        mask: Any = None, near_nullspace: Any = None,
    ) -> PyAMG:  # fmt: skip
        """This recipe with what A alone cannot tell. Smoothed aggregation uses near_nullspace; the other facts have no use."""
        if near_nullspace is None or self.kind != "smoothed_aggregation":
            return self
        return replace(self, near_nullspace=near_nullspace)

    def __call__(self, A: Any) -> Cycle:
        csr, dtype = rows_of(A, self.name)
        hermitian = is_hermitian(csr, ASYMMETRY[dtype.name])
        positive = bool((csr.diagonal().real > 0).all())
        with untouched(self.seed):
            try:
                import pyamg
            except ImportError as error:
                raise ImportError('PyAMG is not installed: pip install "petrov[bench]"; or use another preconditioner') from error
            hierarchy = self.build(pyamg, csr, hermitian)
        symmetric = hermitian and positive and self.cycle in ("V", "W")
        return Cycle(hierarchy, self.cycle, csr.shape, dtype, self.name, spd=True if symmetric else None)

    def build(self, pyamg: Any, csr: Any, hermitian: bool) -> Any:
        limits = {"max_levels": self.max_levels, "max_coarse": self.max_coarse}
        point = ("gauss_seidel", SYMMETRIC_SWEEPS)
        if self.kind == "ruge_stuben":
            if np.iscomplexobj(csr.data):
                raise ValueError(f"{self.name} takes a real A; got {csr.dtype}; use kind='smoothed_aggregation'")
            return pyamg.ruge_stuben_solver(csr, presmoother=point, postsmoother=point, **limits)
        B = None if self.near_nullspace is None else near_nullspace(self.near_nullspace, csr)
        if csr.shape[0] % self.block_size:
            raise ValueError(f"block_size = {self.block_size} does not divide the {csr.shape[0]} unknowns of A")
        if self.block_size > 1:
            csr = csr.tobsr((self.block_size, self.block_size))
        if hermitian:
            block = ("block_gauss_seidel", SYMMETRIC_SWEEPS)
            return pyamg.smoothed_aggregation_solver(
                csr, B=B, symmetry="hermitian", presmoother=block, postsmoother=block, improve_candidates=None, **limits
            )
        smoother = ("gauss_seidel_nr", SYMMETRIC_SWEEPS)
        return pyamg.smoothed_aggregation_solver(
            csr, B=B, BH=None if B is None else B.copy(), symmetry="nonsymmetric", presmoother=smoother, postsmoother=smoother,
            improve_candidates=None, **limits,
        )  # fmt: skip


NAMES = {"smoothed_aggregation": "pyamg SA", "ruge_stuben": "pyamg RS"}


@dataclass(frozen=True, slots=True, eq=False)
class Cycle:
    """M: one cycle from zero, a column at a time. `hierarchy` is PyAMG's own object."""

    hierarchy: Any
    cycle: str
    shape: tuple[int, int]
    dtype: np.dtype
    name: str
    linear: bool = True
    spd: bool | None = None

    @property
    def H(self) -> Cycle:
        if not self.spd:
            raise AttributeError(f"the adjoint of {self.name} is known only for a Hermitian positive definite A")
        return self

    def __matmul__(self, r: Any) -> np.ndarray:
        r = np.asarray(r)
        result = np.result_type(self.dtype, r)
        if r.ndim == 1:
            return self.apply(r).astype(result, copy=False)
        z = np.empty(r.shape, result)
        for column in range(r.shape[1]):
            z[:, column] = self.apply(r[:, column])
        return z

    def moved(self, move: Move) -> HierarchyOnGPU:
        """The same levels on a GPU, in our cycle: see `import_hierarchy`, which says what it takes."""
        return import_hierarchy(self.hierarchy, cycle=self.cycle).moved(move)  # type: ignore[arg-type]

    def apply(self, r: np.ndarray) -> np.ndarray:
        if np.iscomplexobj(r) and self.hierarchy.levels[0].A.dtype.kind == "f":
            return self.apply(r.real) + 1j * self.apply(r.imag)
        b = np.ascontiguousarray(r, self.hierarchy.levels[0].A.dtype)
        return self.hierarchy.solve(b, maxiter=1, cycle=self.cycle, tol=1e-300)

    def __repr__(self) -> str:
        sizes = ", ".join(str(level.A.shape[0]) for level in self.hierarchy.levels)
        complexity = self.hierarchy.operator_complexity()
        return (
            f"{self.name}: {self.shape[0]} x {self.shape[1]}, {self.dtype}, {self.cycle}-cycle, levels of {sizes} unknowns, "
            f"operator complexity {complexity:.2f}"
        )


def rows_of(A: Any, name: str) -> tuple[Any, np.dtype]:
    """(A as a CSR matrix of our own that shares A's arrays, in double precision; A's dtype)."""
    from scipy.sparse import csr_array, csr_matrix

    A = checked(A)
    if not isinstance(A, np.ndarray) and not hasattr(A, "tocsr"):
        raise TypeError(
            f"{name} needs the entries of A in a NumPy array or a SciPy sparse matrix; got {type(A).__name__} from "
            f"{arrays.library(A)}; use Chebyshev, which needs products alone"
        )
    view = compact(csr_array(A) if isinstance(A, np.ndarray) else A.tocsr())
    dtype, csr = view.dtype, view.tocsr()
    if not np.isfinite(csr.data).all():
        raise ValueError(f"{name} needs finite entries; A holds NaN or infinity")
    if csr.nnz > np.iinfo(np.int32).max:
        raise ValueError(f"{name} takes at most 2^31 - 1 entries (32-bit indices); got {csr.nnz}; use Chebyshev or Jacobi")
    index = [part.astype(np.int32, copy=False) for part in (csr.indices, csr.indptr)]
    return csr_matrix((csr.data.astype(arrays.WIDE[dtype.name], copy=False), *index), shape=csr.shape, copy=False), dtype


def is_hermitian(csr: Any, tolerance: float) -> bool:
    difference = abs(csr - csr.conj().T)
    return bool(difference.nnz == 0 or difference.max() <= tolerance * abs(csr).max())


def near_nullspace(B: Any, csr: Any) -> np.ndarray:
    """B as PyAMG takes it: (n, m), of A's type, a copy."""
    if np.iscomplexobj(B) and not np.iscomplexobj(csr.data):
        raise ValueError("near_nullspace is complex beside a real A; pass its real part")
    B = np.array(B, csr.dtype, order="C")
    B = B[:, None] if B.ndim == 1 else B
    if B.ndim != 2 or B.shape[0] != csr.shape[0] or B.shape[1] == 0:
        raise ValueError(f"near_nullspace must have shape ({csr.shape[0]}, m) beside A {csr.shape}; got {B.shape}")
    return B


@contextmanager
def untouched(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, which PyAMG draws from, and leave it and the warning filters as they were."""
    state = np.random.get_state()  # noqa: NPY002
    with warnings.catch_warnings():
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002


def import_hierarchy(solver: Any, *, cycle: Kind = "V") -> Hierarchy:
    """A PyAMG MultilevelSolver as a preconditioner of ours: its levels, our single-precision, threaded cycle.

    The levels' matrices and prolongators are taken as they are (copied to single precision); smoothing is that of
    SmoothedAggregation, whatever the solver was set up with. M is symmetric positive definite for 'V' and 'W'; it cannot be
    updated. On a GPU: `import_hierarchy(solver).moved(compact(A).move)`, for a matrix A of CuPy. Raises ValueError if a level is
    not real, symmetric with a positive diagonal, or its restriction is not the transpose of its prolongator, TypeError if
    `solver` has no levels. Memory: about that of the hierarchy in single precision.

    >>> import pyamg
    >>> from petrov.solvers import cg, problems
    >>> from petrov.solvers.external.pyamg import import_hierarchy
    >>> A, b = problems.poisson(48, rhs="random")[:2]
    >>> M = import_hierarchy(pyamg.ruge_stuben_solver(A))
    >>> cg(A, b, M=M).converged
    True
    """
    if not getattr(solver, "levels", None):
        raise TypeError(f"import_hierarchy needs a PyAMG MultilevelSolver, which has levels; got {type(solver).__name__}")
    original = symmetric_entries(solver.levels[0].A.tocsr(), "import_hierarchy").tocsr()
    scale = power_of_two(original)
    levels: list[Any] = []
    order = np.arange(original.shape[0], dtype=np.uint32)
    for number, level in enumerate(solver.levels[:-1]):
        A = matrix(symmetric_entries(level.A.tocsr(), f"level {number}").tocsr())
        P = level.P.tocsr()
        difference = np.abs((P.T - level.R).tocsr().data).max(initial=0.0)
        if difference > 1e-10 * np.abs(P.data).max(initial=0.0):
            raise ValueError(f"level {number}: the restriction is not the transpose of the prolongator; use symmetry='symmetric'")
        transfer, places = matrix(P), order if number == 0 else order[:0]
        levels.append(matrix_level(A._replace(values=scale * A.values), transfer, transposed(transfer).of(transfer), places))
    last = matrix(solver.levels[-1].A.tocsr())
    levels.append(dense_level(last._replace(values=scale * last.values), order if not levels else order[:0]))
    return Hierarchy(tuple(levels), original.shape, original.dtype, "pyamg hierarchy", cycle, scale)
