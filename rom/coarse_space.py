"""A reduced basis inside of an iterative solver: its first guess, and a second, small solve beside its preconditioner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..solvers import arrays
from ..solvers.arrays import Space
from ..solvers.operator import checked, name_of
from ..solvers.preconditioners.deflation import FORMS, Deflation, top
from ..solvers.recycling.space import RecycleSpace
from ..solvers.system import preconditioner
from .operators.terms import deviation

DEPENDENT = 1e-12  # of the largest: singular values of the basis, and of V^H A V, that count as zero
SYMMETRIC = 1e-12  # of the largest entry: a difference that is the rounding of an assembly
SEED = 52_963


@dataclass(frozen=True, slots=True, eq=False)
class CoarseSpace:
    """The recipe for M + s V (V^H A V)^-1 V^H: a preconditioner M, and a basis V of a reduced model as a coarse space.

    The coarse solve is the reduced model at work on the residual: the full solver gets faster as the model learns. On a thermal
    block of 3481 unknowns, with Jacobi and a POD basis of N = 0, 10, 20, 40, cg takes for the right-hand side of the model 142,
    80, 69, 77 iterations additive and 142, 77, 22, 1 balanced; for a random one 144, 82, 82, 87 additive.

    Parameters
    ----------
    basis : array_like (n, N)
        Real or complex, a direction a column. Columns may be zero, dependent or of any length.
    M : operator, recipe or None
        What it is added to; None is the identity.
    form : 'additive' or 'balanced'
        balanced: M acts on what the coarse solve leaves: P^H M P + V E^-1 V^H for a Hermitian A and M P + V E^-1 V^H for others,
        with E = V^H A V, P = I - A V E^-1 V^H.

    Notes
    -----
    Called with A: `Deflation` for a Hermitian A, which is positive definite if M is and drops directions along which A is not
    positive: for cg and minres. For other A a linear preconditioner for gmres. Set-up: N products with A and 4 n N^2 flops;
    memory 2 n N numbers; 4 n N flops an application, twice that where balanced and Hermitian. Hermitian is judged by the entries,
    or by A.spd, or by products with two random vectors. Raises ValueError if the basis is not finite or not of A's size,
    TypeError if M is not linear. Carlberg, Forstall and Tuminaro, SIAM J. Matrix Anal. Appl. 37 (2016) 1304 (POD bases in cg);
    Tang, Nabben, Vuik and Erlangga, J. Sci. Comput. 39 (2009), Table 1 (AD, BNN and A-DEF1).

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.rom.coarse_space import CoarseSpace
    >>> from petrov.solvers import Jacobi, cg, problems
    >>> A, b = problems.poisson(30)[:2]
    >>> V = np.linalg.eigh(A.toarray())[1][:, :20]
    >>> cg(A, b, M=CoarseSpace(V, M=Jacobi())).iterations < 0.5 * cg(A, b, M=Jacobi()).iterations
    True
    """

    basis: Any
    M: Any = None
    form: str = "additive"

    name = "coarse space"

    def __post_init__(self) -> None:
        V = np.asarray(self.basis)
        if V.ndim != 2 or V.dtype.kind not in "biufc":
            raise ValueError(f"basis must be an array (n, N) of numbers, a direction a column; got {V.dtype}, shape {V.shape}")
        if not np.isfinite(V).all():
            raise ValueError("basis must be finite; it holds NaN or infinity")
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}; got {self.form!r}")
        object.__setattr__(self, "basis", V)

    def __call__(self, A: Any) -> Any:
        V = self.orthonormal(A)
        if is_hermitian(A):
            return Deflation(RecycleSpace(V.T), self.M, self.form)(A)
        M = preconditioner(self.M, A)
        if getattr(M, "linear", True) is False:
            raise TypeError(f"CoarseSpace needs a linear M; {name_of(M)} declares linear=False")
        image = product(A, V)
        weight = top(checked(A), M, Space(np, V.dtype.name, "cpu", None)) if V.shape[1] else 1.0
        return Corrected(V, image, inverse(V.conj().T @ image), M, A.shape, A.dtype, self.form == "balanced", weight)

    def guess(self, A: Any, b: Any) -> np.ndarray:
        """V (V^H A V)^-1 V^H b for b (n,) or (n, k): the reduced model's answer, a first guess x0 for any method.

        For a Hermitian positive definite A it is the best in the span of V in the norm of A. Cost: N products with A, and
        4 n N^2 flops. Where V^H A V is singular its pseudo-inverse is taken; an empty basis gives zero.
        """
        V, b = self.orthonormal(A), np.asarray(b)
        if b.ndim not in (1, 2) or b.shape[0] != V.shape[0]:
            raise ValueError(f"b must have shape ({V.shape[0]},) or ({V.shape[0]}, k); got {b.shape}")
        return V @ (inverse(V.conj().T @ product(A, V)) @ (V.conj().T @ b))

    def orthonormal(self, A: Any) -> np.ndarray:
        """An orthonormal basis of the span (n, N'), without what depends on other columns; in A's precision at least."""
        V = self.basis
        if A.shape[0] != V.shape[0]:
            raise ValueError(f"basis holds directions of {V.shape[0]} unknowns; A has {A.shape[0]}")
        wide = arrays.working_dtype(V.dtype.name, "float64" if A.dtype is None else arrays.dtype_name(A))
        length = np.linalg.norm(V, axis=0)
        V = (V[:, length > 0] / length[length > 0]).astype(arrays.WIDE[wide])
        from scipy.linalg import qr

        Q, R, _ = qr(V, mode="economic", pivoting=True, check_finite=False) if V.shape[1] else (V, V[:0], None)
        d = abs(np.diagonal(R))
        return Q[:, : int((d > DEPENDENT * d.max(initial=0.0)).sum())]


@dataclass(frozen=True, slots=True, eq=False)
class Corrected:
    """M + weight V E^-1 V^H, or M (I - A V E^-1 V^H) + V E^-1 V^H where balanced, E = V^H A V; for an A that is not Hermitian."""

    V: np.ndarray
    image: np.ndarray
    E_inverse: np.ndarray
    M: Any
    shape: tuple[int, int]
    dtype: Any
    balanced: bool
    weight: float

    linear = True
    spd = None
    name = "coarse space"

    @property
    def nbytes(self) -> int:
        return int(self.V.nbytes + self.image.nbytes)

    def __matmul__(self, r: Any) -> Any:
        y = self.E_inverse @ (self.V.conj().T @ r)
        if self.balanced:
            return self.smooth(r - self.image @ y) + self.V @ y
        return self.smooth(r) + self.weight * (self.V @ y)

    def smooth(self, r: Any) -> Any:
        """M r."""
        return r if self.M is None else self.M @ r

    def __repr__(self) -> str:
        form = "before" if self.balanced else "added to"
        n, N = self.V.shape
        return f"{self.name}: {n} x {n}, {N} directions {form} {name_of(self.M)}, {self.V.dtype}, {self.nbytes} bytes"


def inverse(E: np.ndarray) -> np.ndarray:
    """E^-1, or the pseudo-inverse without singular values that are rounding."""
    return np.linalg.pinv(E, rcond=DEPENDENT) if E.size else E


def product(A: Any, V: np.ndarray) -> np.ndarray:
    """A V, column by column where A takes vectors alone."""
    return np.asarray(A @ V) if V.shape[1] else V


def is_hermitian(A: Any) -> bool:
    """By A.spd, by the entries, or by <u, A v> = <A u, v> for two random vectors."""
    if getattr(A, "spd", None) is not None:
        return bool(A.spd)
    if isinstance(A, np.ndarray) or arrays.sparse(A):
        return deviation(A) <= SYMMETRIC * abs(A).max()
    rng = np.random.default_rng(SEED)
    u, v = rng.standard_normal((2, A.shape[0]))
    Au, Av = A @ u, A @ v
    return bool(abs(np.vdot(u, Av) - np.vdot(Au, v)) <= 1e-10 * np.linalg.norm(u) * np.linalg.norm(Av))
