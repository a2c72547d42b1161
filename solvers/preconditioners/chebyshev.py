"""Chebyshev: a polynomial in D^-1 A, D = diag(A), that is small where the spectrum is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import arrays
from ..arrays import Space
from ..kernels.cuda.launch import columns_of
from ..kernels.cuda.smoothing import Steps, coefficients
from ..kernels.cuda.work import Work, applied
from ..operator import checked
from ..storage import Resident, compact, resident
from ..storage.resident import Move
from .jacobi import diagonal_of, positive, reciprocal

SAFETY = 1.1  # the largest Ritz value of a few Lanczos steps is below the largest eigenvalue, by less than this as a rule


@dataclass(frozen=True, slots=True, eq=False)
class Chebyshev:
    """The recipe for M = p(D^-1 A) D^-1 with 1 - t p(t) = T(t) / T(0), T the Chebyshev polynomial of an interval [a, b].

    For a Hermitian positive definite A, known by products alone if need be: the preconditioner for GPUs and for operators.

    Parameters
    ----------
    degree : int
        The degree of p: what M costs in products with A, beside as many updates of three vectors. 0 is Jacobi, scaled.
    lower : float
        a = lower * b. The default is a smoother's choice; nearer to 1 / cond(D^-1 A), down to that, suits M as the only
        preconditioner when the degree is high.
    eig_max : float, optional
        b, where an upper bound of the eigenvalues of D^-1 A is known. By default b is the largest Ritz value of `steps`
        Lanczos steps times 1.1, an estimate, or the largest row sum of |D^-1 A|, a bound, where A is stored and that is less.
    diagonal : (n,) array, optional
        D, for an A that cannot tell it; without it, such an A is not scaled (D = 1). It also says in which array library
        an A known by products alone works: NumPy without it.
    steps, seed : int
        Lanczos steps of the set-up, and what its first vector is drawn from. The Ritz values also tell a wrong use: a
        negative one, or an eig_max below the largest, is a ValueError.

    Notes
    -----
    M is Hermitian, and positive definite if no eigenvalue of D^-1 A reaches a + b; if the degree is even, so that T is odd
    and 1 - t p(t) stays below 1 for every t > 0, whatever they reach. Set-up: `steps` products; memory: 3 vectors, one on a
    GPU, where a step is one kernel and the set-up runs on the host. Saad,
    Iterative Methods for Sparse Linear Systems (2003), Algorithm 12.1; lower = 1/30: Adams, Brezina, Hu and Tuminaro, J.
    Comput. Phys. 188 (2003).

    Examples
    --------
    >>> import numpy as np
    >>> from petrov.solvers.preconditioners import Chebyshev
    >>> M = Chebyshev(degree=2)(np.array([[2.0, -1.0], [-1.0, 2.0]]))
    >>> M.name, M.spd, round(float(M.high), 2)
    ('chebyshev(2)', True, 1.5)
    """

    degree: int = 3
    lower: float = 1 / 30
    eig_max: float | None = None
    diagonal: Any = None
    steps: int = 10
    seed: int = 5821

    def __post_init__(self) -> None:
        if self.degree != int(self.degree) or self.degree < 0:
            raise ValueError(f"degree must be an integer >= 0; got {self.degree!r}")
        if not 0.0 < self.lower < 1.0:
            raise ValueError(f"lower must be a fraction of the largest eigenvalue, between 0 and 1; got {self.lower!r}")
        if self.eig_max is not None and not 0.0 < self.eig_max < math.inf:
            raise ValueError(f"eig_max must be positive and finite; got {self.eig_max!r}")
        if self.steps != int(self.steps) or self.steps < 1:
            raise ValueError(f"steps must be an integer >= 1; got {self.steps!r}")

    on_device = True

    @property
    def name(self) -> str:
        return f"chebyshev({self.degree})"

    def __call__(self, A: Any) -> Polynomial:
        A = checked(A)
        if isinstance(A, Resident):  # Lanczos runs on the host, and reads nothing of the device
            given = None if self.diagonal is None else arrays.to_numpy(self.diagonal)
            return replace(self, diagonal=given)(A.on_host).beside(A)
        d = diagonal_of(A, self.diagonal)
        if d is not None and not positive(d):
            raise ValueError(
                f"{self.name} needs a positive definite A, but its diagonal is not positive; use IncompleteLU with gmres"
            )
        inverse = None if d is None else reciprocal(d)
        ritz = ritz_values(A, d, self.steps, self.seed)
        least, largest = float(ritz[0]), float(ritz[-1])
        if not least > -1e-4 * largest or not math.isfinite(largest):
            raise ValueError(
                f"{self.name} needs a positive definite A, but D^-1 A has values from {least:.3g} to {largest:.3g}; "
                "use M=None or Jacobi with minres, or IncompleteLU with gmres"
            )
        if self.eig_max is not None and self.eig_max < largest * (1 - 1e-6):
            raise ValueError(
                f"eig_max must bound the eigenvalues of D^-1 A; got {self.eig_max:.6g}, but one is at least {largest:.6g}"
            )
        high = self.eig_max or min(SAFETY * largest, row_bound(A, inverse))
        return Polynomial(A, inverse, int(self.degree), self.lower * high, float(high))


@dataclass(frozen=True, slots=True, eq=False)
class Polynomial:
    """M = p(D^-1 A) D^-1 on the interval [low, high]; `inverse` is 1 / D (n,), or None for D = 1."""

    A: Any
    inverse: Any
    degree: int
    low: float
    high: float
    linear: bool = True
    spd: bool | None = True
    work: Work | None = None  # on a GPU

    @property
    def name(self) -> str:
        return f"chebyshev({self.degree})"

    @property
    def shape(self) -> tuple[int, int]:
        return self.A.shape

    @property
    def dtype(self) -> Any:
        return self.A.dtype

    @property
    def H(self) -> Polynomial:
        return self

    def __matmul__(self, r: Any) -> Any:
        """Saad's Algorithm 12.1 from x = 0, with D^-1 A and D^-1 r for A and r."""
        if self.work is not None:
            return applied(self, r)
        theta, delta = (self.high + self.low) / 2, (self.high - self.low) / 2
        sigma = theta / delta
        rho = 1 / sigma
        r = self.scale(r)
        d = r * (1 / theta)
        x = d
        for _ in range(self.degree):
            r = r - self.scale(self.A @ d)
            rho, previous = 1 / (2 * sigma - rho), rho
            d = d * (rho * previous) + r * (2 * rho / delta)
            x = x + d
        return x

    def moved(self, move: Move) -> Polynomial:
        """The same on a GPU, with A there in its compact form. TypeError if A is known by products alone."""
        stored = compact(self.A.tocsr()) if hasattr(self.A, "tocsr") else None
        if stored is None:
            raise TypeError(f"{self.name} moves with a sparse matrix; A is {type(self.A).__name__}: give the recipe one of CuPy")
        return self.beside(resident(stored, move))

    def beside(self, A: Resident) -> Polynomial:
        """The same for A, the same matrix on a GPU."""
        inverse = np.ones(self.shape[0]) if self.inverse is None else self.inverse.real
        return replace(self, A=A, inverse=A.move(np.ascontiguousarray(inverse)), work=Work())

    def into(self, r: Any, z: Any) -> Any:
        """z = M r on a GPU, for contiguous r and z (n,) or (n, k) of one type; see kernels/cuda/smoothing.py."""
        if self.work is None:
            raise TypeError(f"{self.name} is on the host: M.moved(move), or M @ r")
        dtype, columns = arrays.dtype_name(r), columns_of(r)
        steps = Steps(self.A, self.inverse, coefficients(self.degree + 1, self.low, self.high))
        xp: Any = arrays.namespace(r)
        other = self.work.of(columns, dtype, lambda k, _: xp.empty((r.shape[0], k), dtype=r.dtype))
        steps.from_zero(steps.kernels(dtype), columns, r, z, other)
        return z

    def scale(self, r: Any) -> Any:
        """D^-1 r."""
        if self.inverse is None:
            return r
        return self.inverse * r if r.ndim == 1 else self.inverse[:, None] * r

    def __repr__(self) -> str:
        scaled = "unscaled" if self.inverse is None else "scaled by the diagonal"
        return (
            f"{self.name}: {self.shape[0]} x {self.shape[1]}, {scaled}, spectrum taken to be in "
            f"[{self.low:.3g}, {self.high:.3g}], {self.degree} products"
        )


def ritz_values(A: Any, d: Any, steps: int, seed: int) -> np.ndarray:
    """Ritz values, rising, of D^-1/2 A D^-1/2 after at most `steps` Lanczos steps from a seeded random vector.

    Each lies between the least and the largest eigenvalue. ValueError if the recurrence shows that A is not Hermitian.
    """
    space = home(A, d)
    n = A.shape[0]
    root = None if d is None else 1.0 / d**0.5
    rng = np.random.default_rng(seed)
    start = rng.standard_normal(n) + (1j * rng.standard_normal(n) if space.dtype.startswith("complex") else 0.0)
    v = arrays.asarray(start / max(float(np.linalg.norm(start)), 1.0e-300), space)
    previous, beta = arrays.zeros((n,), space), 0.0
    alphas, betas, scale = [], [], 0.0
    for _ in range(min(steps, n)):
        w = A @ (v if root is None else root * v)
        w = w if root is None else root * w
        scale = max(scale, float(arrays.norm(w, space)))
        alpha, back = (complex(arrays.scalar(arrays.inner(u, w, space))) for u in (v, previous))
        # For a Hermitian A alpha is real and v_(j-1)^H A v_j = beta_j, up to rounding that a small beta_j has magnified.
        rounding = 1e-12 + 1e3 * space.eps * (max(1.0, scale / beta) if beta else 1.0)
        if abs(back - beta) + abs(alpha.imag) > rounding * scale:
            raise ValueError("Chebyshev needs a Hermitian A, and Lanczos shows that this is not; use IncompleteLU with gmres")
        alphas.append(alpha.real)
        w = w - alpha.real * v - beta * previous
        previous, beta = v, float(arrays.norm(w, space))
        if not space.eps**0.5 * scale < beta < math.inf:  # an invariant space, or no number
            break
        betas.append(beta)
        v = w * (1.0 / beta)
    if not alphas or not np.isfinite(alphas).all():
        return np.full(1, math.nan if alphas else 1.0)
    off = betas[: len(alphas) - 1]
    return np.linalg.eigvalsh(np.diag(alphas) + np.diag(off, 1) + np.diag(off, -1))


def home(A: Any, d: Any) -> Space:
    """The library, precision and device in which A works: its own if it is an array, that of d, or NumPy."""
    known = d if d is not None else A if arrays.namespace(A) is not None else None
    name = "float64" if A.dtype is None else arrays.working_dtype(arrays.dtype_name(A))
    return Space(np, name, "cpu", None) if known is None else Space(arrays.namespace(known), name, arrays.device(known), None)


def row_bound(A: Any, inverse: Any) -> float:
    """The largest row sum of |D^-1 A|, which no eigenvalue exceeds; infinity where the entries of A cannot be read."""
    if inverse is None:
        return math.inf
    if hasattr(A, "tocsr"):
        csr = A.tocsr()  # SciPy's abs(csr) would sum the duplicates of the caller's A in place
        sums = type(csr)((np.abs(csr.data), csr.indices, csr.indptr), shape=csr.shape) @ np.ones(csr.shape[1])
        return float((sums * np.abs(inverse)).max(initial=0.0)) or math.inf
    xp = arrays.namespace(A)
    if xp is None or str(getattr(A, "layout", "torch.strided")) != "torch.strided":
        return math.inf
    return arrays.host(xp.max(xp.sum(xp.abs(A), axis=1) * xp.abs(inverse)))
