"""A second, small, exact solve on the directions that were slow before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import arrays
from ..arrays import Space
from ..kernels import reference
from ..kernels.cuda import rows
from ..kernels.cuda.launch import columns_of
from ..kernels.cuda.work import Work, applied
from ..operator import checked, name_of
from ..recycling.space import RecycleSpace, combined, conjugate, finite, orthonormal, products, transposed
from ..system import preconditioner

NEGLIGIBLE = 1e-12  # of the largest eigenvalue of U^H A U: directions below it are dropped
FORMS = ("additive", "balanced")
SEED = 91_009


@dataclass(frozen=True, slots=True, eq=False)
class Deflation:
    """The recipe for M + s U (U^H A U)^-1 U^H: a preconditioner M and the directions U of a RecycleSpace.

    Any U gives a symmetric positive definite preconditioner of a symmetric positive definite A, so any cg may use it, and one
    made from another system helps as far as its slow directions are alike.
    s, a mean of the eigenvalues of M A, puts those of the directions among the largest, however A is scaled.

    Parameters
    ----------
    space : RecycleSpace
        Of `cg(..., recycle=k)`, `gcrodr`, or of rows of your own.
    M : operator, recipe or None
        What it is added to; None is the identity.
    form : 'additive' or 'balanced'
        balanced: P^H M P + s U (U^H A U)^-1 U^H with P = I - A U (U^H A U)^-1 U^H, the deflated form: what M does to the
        directions does not matter at all; 4 k sweeps instead of 2 k.
    single : bool
        Keep the directions in single precision: half of the memory and traffic, the same iterations.

    Notes
    -----
    Called with A it makes k products as one block and one more. Memory: 2 k n numbers. Dependent directions, and those along
    which A is not positive, are dropped. On a GPU the space must be there too; a few small matrices are read on the host while it
    is set up, and none while it is applied. Not worth it beside multigrid, which leaves nothing slow behind. Raises ValueError if
    the space is not of A's size, TypeError if M is not linear. Nicolaides, SIAM J. Numer. Anal. 24 (1987); Tang, Nabben, Vuik
    and Erlangga, J. Sci. Comput. 39 (2009), Table 1 (AD and BNN).

    Examples
    --------
    >>> from petrov.solvers import Deflation, Jacobi, cg, problems
    >>> A, b = problems.darcy(40, seed=1)[:2]
    >>> space = cg(A, b, M=Jacobi(), recycle=20).space
    >>> A, b = problems.darcy(40, seed=2)[:2]
    >>> cg(A, b, M=Deflation(space, Jacobi())).iterations < 0.8 * cg(A, b, M=Jacobi()).iterations
    True
    """

    space: RecycleSpace
    M: Any = None
    form: str = "additive"
    single: bool = False

    name = "deflation"
    on_device = True

    def __post_init__(self) -> None:
        if not isinstance(self.space, RecycleSpace):
            raise TypeError(f"space must be a RecycleSpace, as cg(..., recycle=k).space is; got {type(self.space).__name__}")
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}; got {self.form!r}")

    def __call__(self, A: Any) -> Deflated:
        A = checked(A)
        n = self.space.basis.shape[1]
        if n != A.shape[0]:
            raise ValueError(f"space holds directions of {n} unknowns; A has {A.shape[0]}")
        M = preconditioner(self.M, A)
        if getattr(M, "linear", True) is False:
            raise TypeError(f"Deflation needs a linear M; {name_of(M)} declares linear=False")
        U = self.space.basis
        check_place(U, A)
        home = arrays.namespace(U)
        dtype = arrays.working_dtype(arrays.dtype_name(U), "float64" if A.dtype is None else arrays.dtype_name(A))
        space = Space(home, dtype, arrays.device(U), None, comm=getattr(A, "comm", None))
        W, image = conjugated(A, arrays.asarray(U, space), space)
        keep = {"float64": "float32", "complex128": "complex64"}.get(dtype, dtype) if self.single else dtype
        weight = top(A, M, space) if W.shape[0] else 1.0
        W, image = arrays.asarray(W, space, keep), arrays.asarray(image, space, keep)
        return Deflated(W, image, M, (n, n), A.dtype, self.space, self.form == "balanced", weight, space.comm)


def check_place(U: Any, A: Any) -> None:
    """TypeError where one is on a GPU and the other is not."""
    place = arrays.home(A)
    there, on_gpu = arrays.of_cupy(arrays.namespace(U)), arrays.of_cupy(place)
    if place is not None and there != on_gpu:
        where = ("on a GPU", "not") if there else ("not on a GPU", "there")
        raise TypeError(
            f"the directions are {where[0]} and A is {where[1]}: move them, RecycleSpace(cupy.asarray(space.basis)) or "
            "RecycleSpace(space.basis.get())"
        )


def top(A: Any, M: Any, space: Space) -> float:
    """About where the eigenvalues of M A are, the largest first: their mean weighted by themselves, from one random vector."""
    v = arrays.asarray(np.random.default_rng(SEED).standard_normal(A.shape[0]), space)
    v = v / float(arrays.norm(v, space))
    Av = reference.product(A, v, space)
    MAv = Av if M is None else reference.product(M, Av, space, "M")
    below, above = (float(arrays.host(arrays.inner(x, Av, space))) for x in (v, MAv))
    return above / below if 0 < below < np.inf and 0 < above < np.inf else 1.0


def conjugated(A: Any, U: Any, space: Space) -> tuple[Any, Any]:
    """(W, A W) with W spanning the rows of U, A-orthonormal: W^H A W = I. For a Hermitian A that is positive on them."""
    U = orthonormal(U, space)[0] if finite(U, space) else U[:0, :]
    if U.shape[0] == 0:
        return U, U
    image = arrays.copy(transposed(reference.product(A, arrays.copy(transposed(U, space), space), space), space), space)
    E = products(conjugate(U, space), image, space).astype(arrays.WIDE[space.dtype])
    if not np.isfinite(E).all():
        return U[:0, :], U[:0, :]
    values, vectors = np.linalg.eigh((E + E.conj().T) / 2)
    good = values > NEGLIGIBLE * values.max(initial=0.0)
    T = (vectors[:, good] / np.sqrt(values[good])).T
    return combined(T, U, space), combined(T, image, space)


@dataclass(frozen=True, slots=True, eq=False)
class Deflated:
    """M + weight W W^H with A-orthonormal rows W (k, n) and their images A W, or balanced. `space`: what they came from."""

    W: Any
    image: Any
    M: Any
    shape: tuple[int, int]
    dtype: Any
    space: RecycleSpace
    balanced: bool
    weight: float
    comm: Any = None
    work: Work = field(default_factory=Work)

    linear = True
    name = "deflation"

    @property
    def spd(self) -> bool | None:
        return True if self.M is None else getattr(self.M, "spd", None)

    @property
    def H(self) -> Deflated:
        return self

    @property
    def size(self) -> int:
        """The directions in use."""
        return int(self.W.shape[0])

    @property
    def inner(self) -> Any:
        """The M that the directions are added to."""
        return self.M

    @property
    def former(self) -> Any:
        """The directions as rows whose length tells how slow they are."""
        return self.space.basis if self.space.weighted else self.W

    def pairs(self, space: Space) -> Iterator[tuple[Any, Any]]:
        """(direction, its image) in the precision of a space: what the next solve may take over."""
        for i in range(self.size):
            yield arrays.asarray(self.W[i, :], space), arrays.asarray(self.image[i, :], space)

    @property
    def nbytes(self) -> int:
        return 2 * int(self.W.shape[0] * self.W.shape[1]) * np.dtype(arrays.dtype_name(self.W)).itemsize

    def __matmul__(self, r: Any) -> Any:
        if hasattr(self, "into"):
            return applied(self, r)
        space = Space(arrays.namespace(r), arrays.dtype_name(r), arrays.device(r), None, comm=self.comm)
        kept = arrays.dtype_name(self.W)
        if space.dtype.startswith("complex") and not kept.startswith("complex"):
            kept = arrays.working_dtype(kept, "complex64")
        W, image = arrays.asarray(self.W, space, kept), arrays.asarray(self.image, space, kept)
        along = arrays.across(conjugate(W, space) @ arrays.asarray(r, space, kept), space)  # W^H r
        if not self.balanced:
            z = r if self.M is None else self.M @ r
            return z + back(W, self.weight * along, space)
        smooth = r - back(image, along, space)  # P r
        z = smooth if self.M is None else self.M @ smooth
        left = arrays.across(conjugate(image, space) @ arrays.asarray(z, space, kept), space)
        return z + back(W, self.weight * along - left, space)

    @property
    def into(self) -> Callable[[Any, Any], Any]:
        """into(r, z): z = M r on a GPU, for contiguous r and z of one type; there if the inner M has one too."""
        if arrays.library(self.W) != "cupy" or not (self.M is None or hasattr(self.M, "into")):
            raise AttributeError("into(r, z) is for a GPU, and needs an inner M that has it")
        return self.written

    def written(self, r: Any, z: Any) -> Any:
        """z = M r by raw kernels; see kernels/cuda/rows.py."""
        columns, kind, xp, n = columns_of(r), arrays.dtype_name(r), arrays.namespace(r), r.shape[0]
        own = self.work.of(columns, kind, lambda k, dtype: rows.room(self.size, n, k, dtype, xp))
        rows.along(self.W, r, columns, own.alpha, own)
        if not self.balanced:
            smooth = r if self.M is None else self.M.into(r, z)
            rows.add(self.W, self.weight, own.alpha, 0.0, own.alpha, columns, smooth, z)
            return z
        t = z if self.M is None else own.t
        rows.add(self.image, -1.0, own.alpha, 0.0, own.alpha, columns, r, t)  # P r
        smooth = t if self.M is None else self.M.into(t, z)
        rows.along(self.image, smooth, columns, own.beta, own)
        rows.add(self.W, self.weight, own.alpha, -1.0, own.beta, columns, smooth, z)
        return z

    def __repr__(self) -> str:
        form = "balanced with" if self.balanced else "added to"
        return (
            f"{self.name}: {self.shape[0]} x {self.shape[1]}, {self.size} of {self.space.size} directions {form} "
            f"{name_of(self.M)}, {arrays.dtype_name(self.W)}, {self.nbytes} bytes"
        )


def back(rows: Any, weights: Any, space: Space) -> Any:
    """The combination of the rows with these weights, in the precision of the vectors."""
    return arrays.asarray(transposed(rows, space) @ weights, space)
